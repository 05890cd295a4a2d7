//! Rows of a prepared statement: a byte, a bit for each column that is NULL, then the values of the others, each in the
//! form of its type ("Binary Protocol Resultset Row", "Binary Protocol Value").

use super::super::error::SourceError;
use super::packet::Cursor;

/// How long the value of a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// So many bytes.
    Fixed(u8),
    /// As many as a byte before it says.
    Short,
    /// As many as a length-encoded number before it says.
    Counted,
    /// None at all.
    Nothing,
}

/// The form of the values that a column definition describes.
pub(super) fn column_type(definition: &[u8]) -> Result<Form, SourceError> {
    let mut cursor = Cursor::new(definition);
    // Catalog, schema, table, its own name, name, its own name.
    for _ in 0..6 {
        cursor.counted_bytes()?;
    }
    // The length of what follows, the character set, the display length.
    cursor.length()?;
    cursor.bytes(6)?;
    // `enum_field_types` in `include/mysql_com.h`.
    Ok(match cursor.byte()? {
        1 => Form::Fixed(1),
        2 | 13 => Form::Fixed(2),
        3 | 4 | 9 => Form::Fixed(4),
        5 | 8 => Form::Fixed(8),
        6 => Form::Nothing,
        7 | 10..=12 | 14 => Form::Short,
        0 | 15 | 16 | 242 | 245..=255 => Form::Counted,
        _ => return Err(SourceError::Protocol("a type of the protocol")),
    })
}

/// One row, where it lies in the read buffer.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    forms: &'a [Form],
    body: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn new(forms: &'a [Form], body: &'a [u8]) -> Self {
        Self { forms, body }
    }

    /// Its bytes, which are equal for equal rows.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.body
    }

    /// The bytes of all values but the last, and that one, `None` for NULL.
    ///
    /// # Errors
    /// It is shorter than its columns ask for.
    pub fn split_last(&self) -> Result<(&'a [u8], Option<&'a [u8]>), SourceError> {
        let mut values = self.values()?;
        for _ in 1..self.forms.len() {
            values.next_value()?;
        }
        let rest = values.cursor.rest().len();
        let own = self.body.get(..self.body.len() - rest).unwrap_or_default();
        Ok((own, values.next_value()?))
    }

    /// Its values.
    ///
    /// # Errors
    /// It is shorter than its columns ask for.
    pub fn values(&self) -> Result<Values<'a>, SourceError> {
        let mut cursor = Cursor::new(self.body);
        cursor.byte()?;
        // The first two bits are of no column.
        let nulls = cursor.bytes((self.forms.len() + 9) / 8)?;
        Ok(Values { forms: self.forms, nulls, cursor, place: 0 })
    }
}

/// The values of a row, one after the other.
pub struct Values<'a> {
    forms: &'a [Form],
    nulls: &'a [u8],
    cursor: Cursor<'a>,
    place: usize,
}

impl<'a> Values<'a> {
    /// The bytes of the next value; `None` for NULL.
    ///
    /// # Errors
    /// There is none, or half of it.
    #[inline]
    pub fn next_value(&mut self) -> Result<Option<&'a [u8]>, SourceError> {
        let form = self.forms.get(self.place).ok_or(SourceError::Protocol("a row as wide"))?;
        let bit = self.place + 2;
        self.place += 1;
        if self.nulls.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1) {
            return Ok(None);
        }
        match form {
            Form::Fixed(count) => self.cursor.bytes(usize::from(*count)),
            Form::Short => {
                let count = self.cursor.byte()?;
                self.cursor.bytes(usize::from(count))
            }
            Form::Counted => self.cursor.counted_bytes(),
            Form::Nothing => return Ok(None),
        }
        .map(Some)
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// There are bytes that no column asks for.
    pub fn end(&self) -> Result<(), SourceError> {
        match self.cursor.rest() {
            [] => Ok(()),
            _ => Err(SourceError::Protocol("a row as narrow")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    const FORMS: [Form; 4] = [Form::Fixed(4), Form::Counted, Form::Short, Form::Nothing];

    #[test]
    fn values_are_taken_in_order_and_nulls_have_no_bytes() {
        let body = [0, 0b0000_1000, 7, 0, 0, 0, 2, 9, 8];
        let row = Row::new(&FORMS, &body);
        let mut values = row.values().unwrap();
        assert_eq!(values.next_value().unwrap(), Some(&[7, 0, 0, 0][..]));
        assert_eq!(values.next_value().unwrap(), None);
        assert_eq!(values.next_value().unwrap(), Some(&[9, 8][..]));
        assert!(values.end().is_ok());
        assert_eq!(values.next_value().unwrap(), None);
        assert!(values.next_value().is_err());
    }

    #[test]
    fn a_type_that_is_not_known_is_an_error() {
        let mut definition = vec![0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 241, 0, 0, 0];
        assert!(column_type(&definition).is_err());
        if let Some(kind) = definition.get_mut(13) {
            *kind = 246;
        }
        assert_eq!(column_type(&definition).unwrap(), Form::Counted);
    }

    proptest! {
        #[test]
        fn no_row_is_too_odd_to_refuse(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let row = Row::new(&FORMS, &body);
            if let Ok(mut values) = row.values() {
                for _ in FORMS {
                    let _ = values.next_value();
                }
                let _ = values.end();
            }
        }
    }
}
