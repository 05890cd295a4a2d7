//! Where the values of a row of the log lie: a bit for each column that is NULL, then the values of the others.

use std::borrow::Cow;

use super::super::error::SourceError;
use super::super::wire::Cursor;
use super::table_map::{LogColumn, Storage};

/// One row, from its bits on.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    columns: &'a [LogColumn],
    body: &'a [u8],
    /// A bit for each column of JSON: whether the row has changes of its value instead of the value.
    patched: Option<&'a [u8]>,
}

/// The values of a row, one after the other.
pub struct Cells<'a> {
    columns: std::slice::Iter<'a, LogColumn>,
    nulls: &'a [u8],
    place: usize,
    cursor: Cursor<'a>,
}

impl<'a> Image<'a> {
    /// The rows of an event: each has all `columns`. Where it `is_partial`, every second one, which is the row after an update,
    /// begins with its options, and with one of them says of which values it has changes (`PARTIAL_UPDATE_ROWS_EVENT`).
    ///
    /// # Errors
    /// The last one is not whole.
    pub fn split(
        columns: &'a [LogColumn],
        mut body: &'a [u8],
        is_partial: bool,
    ) -> Result<Vec<Self>, SourceError> {
        const PARTIAL_JSON: u64 = 1;
        let documents = columns.iter().filter(|it| matches!(it.storage, Storage::Json(_))).count();
        let mut images = Vec::new();
        while !body.is_empty() {
            let mut patched = None;
            if is_partial && images.len() % 2 == 1 {
                let mut cursor = Cursor::new(body);
                if cursor.length()? & PARTIAL_JSON != 0 {
                    patched = Some(cursor.bytes(documents.div_ceil(8))?);
                }
                body = cursor.rest();
            }
            let whole = Self { columns, body, patched };
            let mut cells = whole.cells()?;
            while cells.next_cell()?.is_some() {}
            let rest = cells.cursor.rest();
            let length = body.len() - rest.len();
            if length == 0 {
                return Err(SourceError::Protocol("a row of the log with columns"));
            }
            images.push(Self { columns, body: body.get(..length).unwrap_or_default(), patched });
            body = rest;
        }
        Ok(images)
    }

    /// The columns that it has.
    #[must_use]
    pub fn columns(&self) -> &'a [LogColumn] {
        self.columns
    }

    /// Whether it has changes of the value of a column of JSON, which is the `number`th of them.
    #[must_use]
    pub fn is_patched(&self, number: usize) -> bool {
        let byte = self.patched.and_then(|bits| bits.get(number / 8));
        byte.is_some_and(|byte| byte >> (number % 8) & 1 == 1)
    }

    /// Whether it has all of its values.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.patched.is_none()
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Its values.
    ///
    /// # Errors
    /// It is shorter than its columns ask for.
    pub fn cells(&self) -> Result<Cells<'a>, SourceError> {
        let mut cursor = Cursor::new(self.body);
        let nulls = cursor.bytes(self.columns.len().div_ceil(8))?;
        Ok(Cells { columns: self.columns.iter(), nulls, place: 0, cursor })
    }
}

impl<'a> Cells<'a> {
    /// The next value, without the length before it: `None` behind the last, `Some(None)` for NULL.
    ///
    /// # Errors
    /// There is half of it.
    #[inline]
    pub fn next_cell(&mut self) -> Result<Option<Option<&'a [u8]>>, SourceError> {
        let Some(column) = self.columns.next() else { return Ok(None) };
        let place = self.place;
        self.place += 1;
        if self.nulls.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1) {
            return Ok(Some(None));
        }
        let count = match column.storage {
            Storage::Integer(bytes) | Storage::Enumeration(bytes) | Storage::Set(bytes) => {
                usize::from(bytes)
            }
            Storage::Float | Storage::OldTimestamp => 4,
            Storage::Double | Storage::OldDateTime => 8,
            Storage::Year => 1,
            Storage::Date | Storage::OldTime => 3,
            Storage::Decimal { precision, scale } => decimal_bytes(precision, scale),
            Storage::DateTime(fraction) => 5 + fraction_bytes(fraction),
            Storage::Timestamp(fraction) => 4 + fraction_bytes(fraction),
            Storage::Time(fraction) => 3 + fraction_bytes(fraction),
            Storage::Bits(bits) => usize::from(bits).div_ceil(8),
            Storage::Counted { length, .. } => {
                let width = if length < 256 { 1 } else { 2 };
                self.length(width)?
            }
            Storage::Long { width, .. } | Storage::Geometry(width) | Storage::Json(width) => {
                self.length(usize::from(width))?
            }
        };
        self.cursor.bytes(count).map(|bytes| Some(Some(bytes)))
    }

    fn length(&mut self, width: usize) -> Result<usize, SourceError> {
        let length = self.cursor.number(width)?;
        usize::try_from(length).map_err(|_| SourceError::Protocol("a length of a value in the log"))
    }
}

/// Bytes of the digits of a second: two digits each.
fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits).div_ceil(2)
}

/// Bytes of so many decimal digits: nine in four bytes, what is left in as few as hold them (`dig2bytes`).
const DIGIT_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

fn decimal_bytes(precision: u8, scale: u8) -> usize {
    let (before, after) = (usize::from(precision.saturating_sub(scale)), usize::from(scale));
    let bytes = |digits: usize| digits / 9 * 4 + DIGIT_BYTES.get(digits % 9).copied().unwrap_or(0);
    bytes(before) + bytes(after)
}

/// The digits of a decimal as text (`bin2decimal`): the highest bit turned over is the sign, and all bits of a negative one
/// are turned over.
pub fn decimal_text(bytes: &[u8], precision: u8, scale: u8, text: &mut Vec<u8>) -> Option<()> {
    use std::io::Write as _;
    let is_negative = bytes.first()? & 0x80 == 0;
    let turned = |(place, byte): (usize, &u8)| {
        let byte = if place == 0 { byte ^ 0x80 } else { *byte };
        if is_negative { !byte } else { byte }
    };
    let plain: Vec<u8> = bytes.iter().enumerate().map(turned).collect();
    let mut rest = plain.as_slice();
    let mut group = |digits: usize| {
        let (bytes, left) = rest.split_at_checked(*DIGIT_BYTES.get(digits)?)?;
        rest = left;
        Some(bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)))
    };
    let (before, after) = (usize::from(precision.checked_sub(scale)?), usize::from(scale));
    text.clear();
    if is_negative {
        text.push(b'-');
    }
    let mut has_digit = false;
    for digits in std::iter::once(before % 9).chain(std::iter::repeat_n(9, before / 9)) {
        if digits == 0 {
            continue;
        }
        let number = group(digits)?;
        match has_digit {
            true => write!(text, "{number:09}").ok()?,
            false if number == 0 => {}
            false => {
                write!(text, "{number}").ok()?;
                has_digit = true;
            }
        }
    }
    if !has_digit {
        text.push(b'0');
    }
    if after > 0 {
        text.push(b'.');
    }
    for digits in std::iter::repeat_n(9, after / 9).chain(std::iter::once(after % 9)) {
        if digits > 0 {
            let number = group(digits)?;
            write!(text, "{number:0digits$}").ok()?;
        }
    }
    rest.is_empty().then_some(())
}

/// The bytes of a value that MariaDB may have compressed (`Field_longstr::compress`): a byte with the method and the count
/// of the bytes of the length, the length with its highest byte first, the compressed bytes. Method 0 has neither length nor
/// compression.
pub fn uncompressed(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    /// Zlib, and whether its own head is left out.
    const ZLIB: u8 = 8;
    let Some((head, rest)) = bytes.split_first() else { return Some(Cow::Borrowed(bytes)) };
    match head >> 4 {
        0 => Some(Cow::Borrowed(rest)),
        ZLIB => {
            let (length, packed) = rest.split_at_checked(usize::from(head & 7))?;
            let length = length.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
            let plain = match head & 8 == 0 {
                true => super::event::inflate(flate2::read::ZlibDecoder::new(packed), length),
                false => super::event::inflate(flate2::read::DeflateDecoder::new(packed), length),
            };
            plain.map(Cow::Owned)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    /// `decimal2bin`, by its description.
    fn packed(digits: &str, negative: bool, precision: usize, scale: usize) -> Vec<u8> {
        let (before, after) = digits.split_at(precision - scale);
        let mut groups: Vec<&str> = Vec::new();
        let first = before.len() % 9;
        groups.push(before.get(..first).unwrap());
        groups.extend((first..before.len()).step_by(9).map(|at| before.get(at..at + 9).unwrap()));
        groups.extend(
            (0..after.len()).step_by(9).map(|at| after.get(at..(at + 9).min(after.len())).unwrap()),
        );
        let mut bytes = Vec::new();
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            let number: u32 = group.parse().unwrap();
            let width = *DIGIT_BYTES.get(group.len()).unwrap();
            bytes.extend_from_slice(number.to_be_bytes().get(4 - width..).unwrap());
        }
        if negative {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        *bytes.first_mut().unwrap() ^= 0x80;
        bytes
    }

    proptest! {
        #[test]
        fn decimals_read_back(
            digits in "[0-9]{1,65}",
            scale in 0usize..30,
            negative: bool,
        ) {
            let scale = scale.min(digits.len());
            let bytes = packed(&digits, negative, digits.len(), scale);
            let byte = |count: usize| u8::try_from(count).unwrap();
            let (precision, places) = (byte(digits.len()), byte(scale));
            prop_assert_eq!(bytes.len(), decimal_bytes(precision, places));
            let mut text = Vec::new();
            decimal_text(&bytes, precision, places, &mut text).unwrap();
            let (before, after) = digits.split_at(digits.len() - scale);
            let before = before.trim_start_matches('0');
            let before = if before.is_empty() { "0" } else { before };
            let point = if scale > 0 { "." } else { "" };
            let sign = if negative { "-" } else { "" };
            prop_assert_eq!(String::from_utf8(text).unwrap(), format!("{sign}{before}{point}{after}"));
        }
    }

    #[test]
    fn the_example_of_the_servers_source() {
        // decimal.cc: 1234567890.1234 in DECIMAL(14,4) is 81 0D FB 38 D2 04 D2, and negative 7E F2 04 C7 2D FB 2D.
        let mut text = Vec::new();
        let positive = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        decimal_text(&positive, 14, 4, &mut text).unwrap();
        assert_eq!(text, b"1234567890.1234");
        let negative = [0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d];
        decimal_text(&negative, 14, 4, &mut text).unwrap();
        assert_eq!(text, b"-1234567890.1234");
    }

    #[test]
    fn a_row_after_an_update_may_have_changes_of_its_documents() {
        let column = |storage| LogColumn { name: String::new(), storage, labels: None };
        let columns =
            [column(Storage::Integer(2)), column(Storage::Json(4)), column(Storage::Json(4))];
        let before = [0, 7, 0, 3, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0];
        // The option of parts, for the second document; then the row.
        let after = [1, 0b10, 0, 8, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2, 1, b'$', 9];
        let body = [&before[..], &after, &before, &[0], &before].concat();
        let images = Image::split(&columns, &body, true).unwrap();
        assert_eq!(
            images.iter().map(Image::is_whole).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        let updated = images.get(1).unwrap();
        assert!(!updated.is_patched(0) && updated.is_patched(1));
        let mut cells = updated.cells().unwrap();
        assert_eq!(cells.next_cell().unwrap(), Some(Some(&[8, 0][..])));
        assert_eq!(cells.next_cell().unwrap(), Some(Some(&[][..])));
        assert_eq!(cells.next_cell().unwrap(), Some(Some(&[2, 1, b'$', 9][..])));
    }

    #[test]
    fn rows_are_told_apart_by_their_columns() {
        let column = |storage| LogColumn { name: String::new(), storage, labels: None };
        let columns = [
            column(Storage::Integer(2)),
            column(Storage::Counted { length: 20, is_padded: false, is_compressed: false }),
        ];
        let images = Image::split(&columns, &[0, 7, 0, 2, b'a', b'b', 2, 8, 0], false).unwrap();
        assert_eq!(images.iter().map(Image::bytes).collect::<Vec<_>>(), [6, 3]);
        let mut cells = images.last().unwrap().cells().unwrap();
        assert_eq!(cells.next_cell().unwrap(), Some(Some(&[8, 0][..])));
        assert_eq!(cells.next_cell().unwrap(), Some(None));
        assert_eq!(cells.next_cell().unwrap(), None);
        assert!(Image::split(&columns, &[0, 7, 0, 3, b'a'], false).is_err());
    }
}
