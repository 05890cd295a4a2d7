//! A value of the log as a prepared statement would send it, and, where a column is declared or masked as text, as the
//! server would print it.
//!
//! There is one decoder of values, and it reads what the server sends for a copy. So a row of the log is first brought to that
//! form; most values are in it already, and nothing is copied. Forms of the log: `sql/log_event.cc`
//! (`log_event_print_value`), `sql-common/my_time.cc` (`my_datetime_packed_from_binary` and the like).

use super::super::catalog::Column;
use super::super::moment::{DateTime, Span};
use super::super::types::{Expression, Reading, Wire, plain_wire};
use super::charset::{Charset, Charsets};
use super::table_map::{LogColumn, Storage};
use super::{image, json};

/// Brings the values of one column to the form of a copy.
pub(super) struct Converter {
    step: Step,
    printed: Option<Printed>,
    scratch: Vec<u8>,
    text: Vec<u8>,
}

/// From the log to a prepared statement.
#[derive(Debug, Clone)]
enum Step {
    /// As it is.
    Same,
    /// NULL, whatever it is.
    Null,
    /// Three bytes to four.
    Medium {
        unsigned: bool,
    },
    Year,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    DateTime(u8),
    Timestamp(u8),
    Time(u8),
    OldDateTime,
    OldTimestamp,
    OldTime,
    /// To so many bytes, with zeros.
    Padded(usize),
    Text(Charset),
    Uncompressed(Option<Charset>),
    Enumeration(Vec<String>),
    Set(Vec<String>),
    Json,
    Uuid,
    Internet4,
    Internet6,
}

/// From a prepared statement to text.
#[derive(Debug, Clone)]
struct Printed {
    expression: Expression,
    plain: Wire,
    /// To so many digits, with zeros before them.
    width: usize,
}

impl Converter {
    /// A converter of what is stored as `stored` for the catalog's `column`, to be read as `reading` says.
    ///
    /// # Errors
    /// The log has the column in another form than the catalog, or its values cannot be read from a log; says which.
    pub(super) fn new(
        column: &Column,
        stored: &LogColumn,
        reading: &Reading,
        charsets: &Charsets,
    ) -> Result<Self, Unfit> {
        let plain = plain_wire(column).map_err(|_| Unfit::OtherForm)?;
        let step = match reading.wire == Wire::Nulled {
            true => Step::Null,
            false => step(column, stored, &plain, charsets)?,
        };
        let expression = reading.expression();
        let printed = match expression {
            Expression::Column | Expression::Null => None,
            Expression::Text
            | Expression::FloatText
            | Expression::HexadecimalText
            | Expression::BitText => {
                let is_zero_filled = column.type_text.ends_with(" zerofill");
                if is_zero_filled && !matches!(plain, Wire::Integer { .. }) {
                    return Err(Unfit::Unread(
                        "a declared text of a number that is filled with zeros",
                    ));
                }
                let digits = column.type_text.split(['(', ')']).nth(1);
                let width = match (&plain, column.type_name.as_str()) {
                    (Wire::Integer { .. }, "year") => 4,
                    _ if is_zero_filled => digits.and_then(|text| text.parse().ok()).unwrap_or(0),
                    _ => 0,
                };
                Some(Printed { expression, plain, width })
            }
        };
        Ok(Self { step, printed, scratch: Vec::new(), text: Vec::new() })
    }

    /// The value as a copy would have it; `Some(None)` for NULL, `None` when the bytes are no value of the type.
    #[inline]
    pub(super) fn convert<'s>(&'s mut self, bytes: &'s [u8]) -> Option<Option<&'s [u8]>> {
        let Self { step, printed, scratch, text } = self;
        let plain = if matches!(step, Step::Same) {
            bytes
        } else if matches!(step, Step::Null) {
            return Some(None);
        } else {
            scratch.clear();
            step.convert(bytes, scratch)?;
            scratch.as_slice()
        };
        match printed {
            None => Some(Some(plain)),
            Some(printed) => {
                text.clear();
                printed.print(plain, text)?;
                Some(Some(text.as_slice()))
            }
        }
    }
}

impl Converter {
    /// The value after `changes` of the one before; `Some(None)` for NULL, `None` when the bytes are no changes of a document.
    pub(super) fn convert_patched(&mut self, old: &[u8], changes: &[u8]) -> Option<Option<&[u8]>> {
        if matches!(self.step, Step::Null) {
            return Some(None);
        }
        self.scratch.clear();
        json::patch(old, changes, &mut self.scratch)?;
        Some(Some(self.scratch.as_slice()))
    }
}

/// Why a column of the log cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The catalog has it in another form.
    OtherForm,
    /// It is something that is not read from a log.
    Unread(&'static str),
}

/// How a column is brought to the form of a copy.
fn step(
    column: &Column,
    stored: &LogColumn,
    plain: &Wire,
    charsets: &Charsets,
) -> Result<Step, Unfit> {
    let charset = || -> Result<Charset, Unfit> {
        let name = column.character_set.as_deref().unwrap_or("utf8mb4");
        charsets.find(name).cloned().ok_or(Unfit::Unread("a text of this character set"))
    };
    let fraction = column.fraction.unwrap_or(0);
    let bytes = match column.type_name.as_str() {
        "tinyint" => 1,
        "smallint" => 2,
        "mediumint" => 3,
        "int" => 4,
        "bigint" => 8,
        _ => 0,
    };
    let labels = || labels_of(column, stored, charset()?);
    Ok(match (column.type_name.as_str(), stored.storage) {
        (_, Storage::Integer(3)) if bytes >= 3 => Step::Medium { unsigned: column.unsigned() },
        (_, Storage::Integer(width)) if width <= bytes => Step::Same,
        ("year", Storage::Year) => Step::Year,
        ("float", Storage::Float) | ("double", Storage::Double) => Step::Same,
        ("decimal", Storage::Decimal { precision, scale })
            if column.scale == Some(i16::from(scale))
                && column.precision >= Some(u16::from(precision)) =>
        {
            Step::Decimal { precision, scale }
        }
        ("bit", Storage::Bits(bits)) if column.precision >= Some(bits) => Step::Same,
        ("date", Storage::Date) => Step::Date,
        ("datetime", Storage::DateTime(digits)) if digits == fraction => Step::DateTime(digits),
        ("timestamp", Storage::Timestamp(digits)) if digits == fraction => Step::Timestamp(digits),
        ("time", Storage::Time(digits)) if digits == fraction => Step::Time(digits),
        ("datetime", Storage::OldDateTime) if fraction == 0 => Step::OldDateTime,
        ("timestamp", Storage::OldTimestamp) if fraction == 0 => Step::OldTimestamp,
        ("time", Storage::OldTime) if fraction == 0 => Step::OldTime,
        ("uuid", Storage::Counted { .. }) => Step::Uuid,
        ("inet4", Storage::Counted { .. }) => Step::Internet4,
        ("inet6", Storage::Counted { .. }) => Step::Internet6,
        ("json", Storage::Json(_)) => Step::Json,
        ("enum", Storage::Enumeration(_)) => Step::Enumeration(labels()?),
        ("set", Storage::Set(_)) => Step::Set(labels()?),
        (_, Storage::Geometry(_)) if *plain == Wire::Geometry => Step::Same,
        (
            _,
            Storage::Counted { is_compressed: true, .. }
            | Storage::Long { is_compressed: true, .. },
        ) => {
            let is_text = *plain == Wire::Text;
            if !is_text && *plain != Wire::Bytes {
                return Err(Unfit::OtherForm);
            }
            Step::Uncompressed(is_text.then(charset).transpose()?)
        }
        (_, Storage::Counted { length, is_padded, .. }) if *plain == Wire::Bytes => {
            if is_padded {
                Step::Padded(usize::from(length))
            } else {
                Step::Same
            }
        }
        (_, Storage::Long { .. }) if *plain == Wire::Bytes => Step::Same,
        ("char" | "varchar", Storage::Counted { .. })
        | ("tinytext" | "text" | "mediumtext" | "longtext" | "json", Storage::Long { .. }) => {
            let charset = charset()?;
            if matches!(charset, Charset::Utf8) { Step::Same } else { Step::Text(charset) }
        }
        _ => return Err(Unfit::OtherForm),
    })
}

impl Step {
    fn convert(&self, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Same => out.extend_from_slice(bytes),
            Self::Null => {}
            Self::Medium { unsigned } => {
                let &[low, middle, high] = bytes else { return None };
                let sign = if !unsigned && high & 0x80 != 0 { 0xff } else { 0 };
                out.extend([low, middle, high, sign]);
            }
            Self::Year => {
                let &[year] = bytes else { return None };
                let year = if year == 0 { 0 } else { 1900 + u16::from(year) };
                out.extend(year.to_le_bytes());
            }
            Self::Decimal { precision, scale } => {
                image::decimal_text(bytes, *precision, *scale, out)?;
            }
            Self::Date => {
                let &[low, middle, high] = bytes else { return None };
                let number = u32::from_le_bytes([low, middle, high, 0]);
                let (day, month) = (number % 32, number / 32 % 16);
                DateTime::of(number / 512, month, day, 0, 0)?.push_date(out);
            }
            Self::DateTime(digits) => {
                let (whole, fraction) = bytes.split_at_checked(5)?;
                let number = big_endian(whole).checked_sub(0x80_0000_0000)?;
                let (month, second) = (number >> 22, number % (1 << 17));
                let second = (second >> 12) * 3600 + (second >> 6) % 64 * 60 + second % 64;
                let part = |number: u64| u32::try_from(number).ok();
                let (year, month) = (part(month / 13)?, part(month % 13)?);
                let day = part(number >> 17 & 31)?;
                let microsecond = microsecond(fraction, *digits)?;
                DateTime::of(year, month, day, part(second)?, microsecond)?.push(out);
            }
            Self::Timestamp(digits) => {
                let (whole, fraction) = bytes.split_at_checked(4)?;
                let microsecond = microsecond(fraction, *digits)?;
                let second = u32::try_from(big_endian(whole)).ok()?;
                DateTime::of_timestamp(second, microsecond)?.push(out);
            }
            Self::Time(digits) => time(bytes, *digits)?.push(out),
            Self::OldDateTime => {
                let number = u64::from_le_bytes(bytes.try_into().ok()?);
                let (date, time) = (number / 1_000_000, number % 1_000_000);
                let second = time / 10_000 * 3600 + time / 100 % 100 * 60 + time % 100;
                let part = |number: u64| u32::try_from(number).ok();
                let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
                DateTime::of(part(year)?, part(month)?, part(day)?, part(second)?, 0)?.push(out);
            }
            Self::OldTimestamp => {
                let second = u32::from_le_bytes(bytes.try_into().ok()?);
                DateTime::of_timestamp(second, 0)?.push(out);
            }
            Self::OldTime => {
                let &[low, middle, high] = bytes else { return None };
                let sign = if high & 0x80 != 0 { 0xff } else { 0 };
                let number = i64::from(i32::from_le_bytes([low, middle, high, sign]));
                let whole = number.abs();
                let second = whole / 10_000 * 3600 + whole / 100 % 100 * 60 + whole % 100;
                Span::of(number < 0, second * 1_000_000)?.push(out);
            }
            Self::Padded(length) => {
                out.extend_from_slice(bytes);
                out.resize((*length).max(bytes.len()), 0);
            }
            Self::Text(charset) => charset.decode(bytes, out)?,
            Self::Uncompressed(None | Some(Charset::Utf8)) => {
                out.extend_from_slice(&image::uncompressed(bytes)?);
            }
            Self::Uncompressed(Some(charset)) => {
                charset.decode(&image::uncompressed(bytes)?, out)?;
            }
            Self::Enumeration(labels) => {
                // Number 0 is the empty text that stands for a value which was refused.
                if let Some(place) = little_endian(bytes)?.checked_sub(1) {
                    let label = labels.get(usize::try_from(place).ok()?)?;
                    out.extend_from_slice(label.as_bytes());
                }
            }
            Self::Set(labels) => {
                let bits = little_endian(bytes)?;
                if labels.len() < 64 && bits >> labels.len() != 0 {
                    return None;
                }
                let chosen = labels.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
                for (_, label) in chosen {
                    if !out.is_empty() {
                        out.push(b',');
                    }
                    out.extend_from_slice(label.as_bytes());
                }
            }
            Self::Json => json::print(bytes, out)?,
            Self::Uuid => {
                let mut whole = [0; 16];
                whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
                let uuid = uuid::Uuid::from_bytes(whole);
                out.extend_from_slice(uuid.hyphenated().encode_lower(&mut [0; 36]).as_bytes());
            }
            Self::Internet4 => {
                let mut whole = [0; 4];
                whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
                out.extend_from_slice(std::net::Ipv4Addr::from(whole).to_string().as_bytes());
            }
            Self::Internet6 => {
                let mut whole = [0; 16];
                whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
                out.extend_from_slice(std::net::Ipv6Addr::from(whole).to_string().as_bytes());
            }
        }
        Some(())
    }
}

impl Printed {
    /// The server's text of a value.
    fn print(&self, bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
        use std::io::Write as _;
        match (self.expression, &self.plain) {
            (Expression::HexadecimalText, _) => {
                text.extend_from_slice(b"0x");
                bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}")).ok()?;
            }
            (Expression::BitText, _) => write!(text, "{}", big_endian(bytes)).ok()?,
            (Expression::FloatText, Wire::Float) => {
                let number = f32::from_le_bytes(bytes.try_into().ok()?);
                super::super::number::print(f64::from(number), text);
            }
            (Expression::FloatText, _) => {
                let number = f64::from_le_bytes(bytes.try_into().ok()?);
                super::super::number::print(number, text);
            }
            (_, Wire::Integer { unsigned }) => {
                let number = match unsigned {
                    true => i128::from(little_endian(bytes)?),
                    false => {
                        let shift = 64 - u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
                        i128::from((little_endian(bytes)? << shift).cast_signed() >> shift)
                    }
                };
                write!(text, "{number:0width$}", width = self.width).ok()?;
            }
            (_, Wire::Date) => {
                text.extend_from_slice(DateTime::parse(bytes)?.date_text().as_bytes());
            }
            (_, Wire::DateTime { fraction }) => {
                text.extend_from_slice(DateTime::parse(bytes)?.text(*fraction).as_bytes());
            }
            (_, Wire::Time { fraction }) => {
                let mut printed = String::new();
                Span::parse(bytes)?.push_text(*fraction, &mut printed);
                text.extend_from_slice(printed.as_bytes());
            }
            (
                _,
                Wire::Bits
                | Wire::Float
                | Wire::Double
                | Wire::Decimal
                | Wire::Text
                | Wire::Bytes
                | Wire::Geometry
                | Wire::Uuid
                | Wire::Hashed(_)
                | Wire::Nulled,
            ) => text.extend_from_slice(bytes),
        }
        Some(())
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn little_endian(bytes: &[u8]) -> Option<u64> {
    let mut whole = [0; 8];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(whole))
}

/// Microseconds from the bytes of a fraction: hundredths in one byte, ten-thousandths in two, millionths in three.
fn microsecond(bytes: &[u8], digits: u8) -> Option<u32> {
    let number = u32::try_from(big_endian(bytes)).ok()?;
    let factor = match digits {
        0 => 0,
        1 | 2 => 10_000,
        3 | 4 => 100,
        5 | 6 => 1,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A span: a number of which a negative one is the complement, in its whole as in its fraction
/// (`my_time_packed_from_binary`).
fn time(bytes: &[u8], digits: u8) -> Option<Span> {
    let (whole, fraction) = bytes.split_at_checked(3)?;
    let bits = u32::try_from(fraction.len() * 8).ok()?;
    let all =
        (big_endian(whole) << bits | big_endian(fraction)).cast_signed() - (0x80_0000 << bits);
    let (positive, unit) = (all.abs(), 1i64 << bits);
    let (whole, fraction) = (positive / unit, positive % unit);
    let fraction = i64::from(microsecond(&fraction.to_be_bytes(), digits)?);
    let second = (whole >> 12) % 1024 * 3600 + (whole >> 6) % 64 * 60 + whole % 64;
    Span::of(all < 0, second * 1_000_000 + fraction)
}

/// The labels of an enumeration or a set: from the log, or from the catalog where that can show them.
fn labels_of(column: &Column, stored: &LogColumn, charset: Charset) -> Result<Vec<String>, Unfit> {
    let Some(logged) = &stored.labels else {
        if column.type_text.contains('?') {
            return Err(Unfit::Unread(
                "a label that the catalog cannot show (binlog_row_metadata)",
            ));
        }
        return Ok(labels(&column.type_text));
    };
    let text = |label: &Vec<u8>| {
        let mut text = Vec::new();
        charset.decode(label, &mut text)?;
        String::from_utf8(text).ok()
    };
    logged.iter().map(text).collect::<Option<_>>().ok_or(Unfit::OtherForm)
}

/// The labels of `enum('a','it''s')`.
fn labels(type_text: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut rest = type_text.chars().peekable();
    while let Some(next) = rest.next() {
        if next != '\'' {
            continue;
        }
        let mut label = String::new();
        while let Some(next) = rest.next() {
            match next {
                '\'' if rest.next_if_eq(&'\'').is_none() => break,
                // `append_unescaped`, which the server prints types with.
                '\\' => label.extend(rest.next().map(|escaped| match escaped {
                    '0' => '\0',
                    'n' => '\n',
                    'r' => '\r',
                    other => other,
                })),
                other => label.push(other),
            }
        }
        labels.push(label);
    }
    labels
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
