//! What the rows of the log are of: a table, its columns' types, and what else the server tells of them.
//!
//! `Table_map_event`: the table's number, flags, its database and name, the types of its columns as the engine stores them,
//! for some types a byte or two more, which columns may be NULL; then fields, each with a kind and a length. Of the latter
//! only the names of the columns and the labels are of use, which are there with `binlog_row_metadata=FULL`: signs and character
//! sets are the catalog's to say, and a change of them ends a session (see [`super::statement`]).

use super::super::error::SourceError;
use super::super::wire::Cursor;

/// A table, as rows that follow have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    /// The number by which rows name it.
    pub number: u64,
    /// The database.
    pub database: String,
    /// The name.
    pub name: String,
    /// The columns, in order.
    pub columns: Vec<LogColumn>,
    /// Whether columns have names.
    pub has_names: bool,
}

/// A column, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogColumn {
    /// Its name, where the log has it.
    pub name: String,
    /// How its values are stored.
    pub storage: Storage,
    /// The labels of an enumeration or a set, where the log has them, in the column's character set. The catalog has them in
    /// three bytes a character at most, and others as `?`.
    pub labels: Option<Vec<Vec<u8>>>,
}

/// How values are stored: the type (`enum_field_types`) and what goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// A whole number of so many bytes.
    Integer(u8),
    /// IEEE 754 single.
    Float,
    /// IEEE 754 double.
    Double,
    /// Digits, and how many of them are behind the point.
    Decimal {
        /// All digits.
        precision: u8,
        /// Those behind the point.
        scale: u8,
    },
    /// One byte: years since 1900.
    Year,
    /// Three bytes.
    Date,
    /// A date and a time of day with so many digits of a second.
    DateTime(u8),
    /// Seconds since 1970 with so many digits of one.
    Timestamp(u8),
    /// A span with so many digits of a second.
    Time(u8),
    /// Eight bytes of decimal digits: a date and time of before MySQL 5.6.4.
    OldDateTime,
    /// Four bytes: seconds since 1970 of before MySQL 5.6.4.
    OldTimestamp,
    /// Three bytes of decimal digits: a span of before MySQL 5.6.4.
    OldTime,
    /// Bits.
    Bits(u16),
    /// Text or bytes behind a length of one or two bytes. What is shorter than `length` lacks the padding of its end.
    Counted {
        /// The most bytes.
        length: u16,
        /// Whether it is padded to them (`CHAR`, `BINARY`).
        is_padded: bool,
        /// Whether MariaDB may have compressed it.
        is_compressed: bool,
    },
    /// Text or bytes behind a length of so many bytes.
    Long {
        /// The bytes of the length.
        width: u8,
        /// Whether MariaDB may have compressed it.
        is_compressed: bool,
    },
    /// A geometry behind a length of so many bytes.
    Geometry(u8),
    /// MySQL's binary form of JSON behind a length of so many bytes.
    Json(u8),
    /// The number of a label, in so many bytes.
    Enumeration(u8),
    /// A bit for each label, in so many bytes.
    Set(u8),
}

const SHORT: SourceError = SourceError::Protocol("a description of a table in the log");

impl TableMap {
    /// The number, the database and the name of a table, whatever its columns are.
    ///
    /// # Errors
    /// They are not whole.
    pub fn named(body: &[u8]) -> Result<(u64, String, String), SourceError> {
        Self::head(&mut Cursor::new(body))
    }

    fn head(cursor: &mut Cursor<'_>) -> Result<(u64, String, String), SourceError> {
        let number = cursor.number(6)?;
        cursor.number(2)?;
        Ok((number, name(cursor)?, name(cursor)?))
    }

    /// Takes the body of an event.
    ///
    /// # Errors
    /// It is not whole, or a type is not known.
    pub fn parse(body: &[u8]) -> Result<Self, SourceError> {
        let mut cursor = Cursor::new(body);
        let (number, database, table) = Self::head(&mut cursor)?;
        let count = usize::try_from(cursor.length()?).map_err(|_| SHORT)?;
        let types = cursor.bytes(count)?;
        let mut metadata = Cursor::new(cursor.counted_bytes()?);
        let mut columns = Vec::with_capacity(count);
        for kind in types {
            let storage = storage(*kind, &mut metadata)?;
            columns.push(LogColumn { name: String::new(), storage, labels: None });
        }
        if !metadata.rest().is_empty() {
            return Err(SHORT);
        }
        cursor.bytes(count.div_ceil(8))?;
        let mut map = Self { number, database, name: table, columns, has_names: false };
        while !cursor.rest().is_empty() {
            let kind = cursor.byte()?;
            let value = cursor.counted_bytes()?;
            let value = Cursor::new(value);
            // `Optional_metadata_field_type`.
            match kind {
                NAMES => {
                    let mut value = value;
                    for column in &mut map.columns {
                        column.name = String::from_utf8_lossy(value.counted_bytes()?).into_owned();
                    }
                    map.has_names = true;
                }
                SET_LABELS => map.labels(value, |it| matches!(it, Storage::Set(_)))?,
                ENUMERATION_LABELS => {
                    map.labels(value, |it| matches!(it, Storage::Enumeration(_)))?;
                }
                _ => {}
            }
        }
        Ok(map)
    }

    /// Takes the labels of the columns of a kind.
    fn labels(
        &mut self,
        mut value: Cursor<'_>,
        is_kind: impl Fn(Storage) -> bool,
    ) -> Result<(), SourceError> {
        for column in self.columns.iter_mut().filter(|column| is_kind(column.storage)) {
            let count = value.length()?;
            let mut labels = Vec::new();
            for _ in 0..count {
                labels.push(value.counted_bytes()?.to_vec());
            }
            column.labels = Some(labels);
        }
        Ok(())
    }
}

const NAMES: u8 = 4;
const SET_LABELS: u8 = 5;
const ENUMERATION_LABELS: u8 = 6;

fn name(cursor: &mut Cursor<'_>) -> Result<String, SourceError> {
    let length = cursor.byte()?;
    let name = String::from_utf8_lossy(cursor.bytes(usize::from(length))?).into_owned();
    cursor.byte()?;
    Ok(name)
}

/// How a type is stored, with the bytes that go with it.
fn storage(kind: u8, metadata: &mut Cursor<'_>) -> Result<Storage, SourceError> {
    let small = |number: u64| u16::try_from(number).map_err(|_| SHORT);
    Ok(match kind {
        1 => Storage::Integer(1),
        2 => Storage::Integer(2),
        9 => Storage::Integer(3),
        3 => Storage::Integer(4),
        8 => Storage::Integer(8),
        4 => {
            metadata.byte()?;
            Storage::Float
        }
        5 => {
            metadata.byte()?;
            Storage::Double
        }
        7 => Storage::OldTimestamp,
        10 | 14 => Storage::Date,
        11 => Storage::OldTime,
        12 => Storage::OldDateTime,
        13 => Storage::Year,
        15 | 253 => Storage::Counted {
            length: small(metadata.number(2)?)?,
            is_padded: false,
            is_compressed: false,
        },
        16 => {
            let (bits, bytes) = (metadata.byte()?, metadata.byte()?);
            Storage::Bits(u16::from(bytes) * 8 + u16::from(bits))
        }
        17 => Storage::Timestamp(metadata.byte()?),
        18 => Storage::DateTime(metadata.byte()?),
        19 => Storage::Time(metadata.byte()?),
        140 => Storage::Long { width: metadata.byte()?, is_compressed: true },
        141 => Storage::Counted {
            length: small(metadata.number(2)?)?,
            is_padded: false,
            is_compressed: true,
        },
        245 => Storage::Json(metadata.byte()?),
        246 => Storage::Decimal { precision: metadata.byte()?, scale: metadata.byte()? },
        // MySQL's vector (242) is bytes behind their length.
        242 | 249..=252 => Storage::Long { width: metadata.byte()?, is_compressed: false },
        254 => {
            let (first, second) = (metadata.byte()?, metadata.byte()?);
            match first {
                247 => Storage::Enumeration(second),
                248 => Storage::Set(second),
                // Two bits of the length are in the byte of the type, turned over (`Field_string::do_save_field_metadata`).
                _ => Storage::Counted {
                    length: u16::from(second) | (u16::from(first & 0x30) ^ 0x30) << 4,
                    is_padded: true,
                    is_compressed: false,
                },
            }
        }
        255 => Storage::Geometry(metadata.byte()?),
        _ => return Err(SourceError::Protocol("a type of a column in the log")),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_char_columns_hide_two_bits_in_the_type() {
        let of = |metadata: &[u8]| storage(254, &mut Cursor::new(metadata)).unwrap();
        let padded = |length| Storage::Counted { length, is_padded: true, is_compressed: false };
        assert_eq!(of(&[0xfe, 40]), padded(40));
        // CHAR(255) of four bytes a character: 1020 = 0x3fc.
        assert_eq!(of(&[0xce, 0xfc]), padded(0x3fc));
        assert_eq!(of(&[247, 1]), Storage::Enumeration(1));
    }

    proptest! {
        #[test]
        fn no_description_is_too_odd_to_refuse(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = TableMap::parse(&body);
        }
    }
}
