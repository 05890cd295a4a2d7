//! From the binary form of one value straight into the Arrow builder of its column.
//!
//! One decoder a column, chosen once when the table is planned; the hot path is one `match` a cell and no allocation. A
//! value that the column's lake type cannot hold is not an error: [`Decoder::append`] returns its exact text and appends
//! nothing, and the caller stores NULL beside the text in `_ol_odd` (invariant I5). Bytes that are not what the type's form
//! says are an error that stops the table (invariant I6).

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeBinaryBuilder,
    Float32Builder, Float64Builder, Int32Builder, Int64Builder, LargeBinaryBuilder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, new_null_array};
use arrow_schema::{ArrowError, DataType};

use super::moment::{DateTime, Span};
use super::types::Wire;
use crate::column::mask::Salt;

/// What became of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// It is in the builder.
    Stored,
    /// It does not fit; this is its text, and nothing was appended.
    Odd(String),
}

/// The bytes are not a value of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a value of the type")]
pub(super) struct Undecodable;

/// A whole number as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Signed,
    Unsigned,
    Bits,
}

/// A decoder with its builder.
pub(super) enum Decoder {
    Boolean(BooleanBuilder, Number),
    Int(Int32Builder, Number),
    Long(Int64Builder, Number),
    /// A whole number that needs more than eight bytes with its sign.
    Whole(Decimal128Builder, Number),
    Float(Float32Builder),
    FloatAsDouble(Float64Builder),
    Double(Float64Builder),
    Decimal {
        builder: Decimal128Builder,
        precision: u8,
        scale: u8,
    },
    Text(StringBuilder),
    Bytes(LargeBinaryBuilder),
    Geometry {
        builder: LargeBinaryBuilder,
        scratch: Vec<u8>,
    },
    Uuid(FixedSizeBinaryBuilder),
    Date(Date32Builder),
    DateTime {
        builder: TimestampMicrosecondBuilder,
        fraction: u8,
    },
    Time {
        builder: Time64MicrosecondBuilder,
        fraction: u8,
    },
    TimeText {
        builder: StringBuilder,
        fraction: u8,
        scratch: String,
    },
    Hashed {
        builder: StringBuilder,
        salt: Salt,
        scratch: String,
    },
    Nulled {
        data_type: DataType,
        rows: usize,
    },
}

impl Decoder {
    /// The decoder of values that arrive as `wire` and land as `lake` (the Arrow type of the lake's column).
    ///
    /// `None` when the pair is one that no contract makes.
    pub(super) fn new(wire: &Wire, lake: &DataType) -> Option<Self> {
        let number = match *wire == Wire::Bits {
            true => Number::Bits,
            false if *wire == (Wire::Integer { unsigned: true }) => Number::Unsigned,
            false => Number::Signed,
        };
        let decimal = || Decimal128Builder::new().with_data_type(lake.clone());
        Some(match (wire, lake) {
            (Wire::Integer { .. } | Wire::Bits, DataType::Boolean) => {
                Self::Boolean(BooleanBuilder::new(), number)
            }
            (Wire::Integer { .. }, DataType::Int32) => Self::Int(Int32Builder::new(), number),
            (Wire::Integer { .. } | Wire::Bits, DataType::Int64) => {
                Self::Long(Int64Builder::new(), number)
            }
            (Wire::Integer { .. } | Wire::Bits, DataType::Decimal128(20, 0)) => {
                Self::Whole(decimal(), number)
            }
            (Wire::Float, DataType::Float32) => Self::Float(Float32Builder::new()),
            (Wire::Float, DataType::Float64) => Self::FloatAsDouble(Float64Builder::new()),
            (Wire::Double, DataType::Float64) => Self::Double(Float64Builder::new()),
            (Wire::Decimal, DataType::Decimal128(precision, scale)) => Self::Decimal {
                builder: decimal(),
                precision: *precision,
                scale: u8::try_from(*scale).ok()?,
            },
            (Wire::Text | Wire::Decimal, DataType::Utf8) => Self::Text(StringBuilder::new()),
            (Wire::Bytes, DataType::LargeBinary) => Self::Bytes(LargeBinaryBuilder::new()),
            (Wire::Geometry, DataType::LargeBinary) => {
                Self::Geometry { builder: LargeBinaryBuilder::new(), scratch: Vec::new() }
            }
            (Wire::Uuid, DataType::FixedSizeBinary(16)) => {
                Self::Uuid(FixedSizeBinaryBuilder::new(16))
            }
            (Wire::Date, DataType::Date32) => Self::Date(Date32Builder::new()),
            (Wire::DateTime { fraction }, DataType::Timestamp(_, _)) => Self::DateTime {
                builder: TimestampMicrosecondBuilder::new().with_data_type(lake.clone()),
                fraction: *fraction,
            },
            (Wire::Time { fraction }, DataType::Time64(_)) => {
                Self::Time { builder: Time64MicrosecondBuilder::new(), fraction: *fraction }
            }
            (Wire::Time { fraction }, DataType::Utf8) => Self::TimeText {
                builder: StringBuilder::new(),
                fraction: *fraction,
                scratch: String::new(),
            },
            (Wire::Hashed(Some(salt)), DataType::Utf8) => Self::Hashed {
                builder: StringBuilder::new(),
                salt: salt.clone(),
                scratch: String::new(),
            },
            (Wire::Nulled, lake) => Self::Nulled { data_type: lake.clone(), rows: 0 },
            _ => return None,
        })
    }

    /// Appends one value, or says why it does not fit.
    ///
    /// # Errors
    /// [`Undecodable`] when the bytes are not a value of the type.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<Appended, Undecodable> {
        match self {
            Self::Boolean(builder, number) => match number.read(bytes)? {
                0 => builder.append_value(false),
                1 => builder.append_value(true),
                other => return Ok(Appended::Odd(other.to_string())),
            },
            Self::Int(builder, number) => {
                let value = i32::try_from(number.read(bytes)?).map_err(|_| Undecodable)?;
                builder.append_value(value);
            }
            Self::Long(builder, number) => {
                let value = number.read(bytes)?;
                match i64::try_from(value) {
                    Ok(value) => builder.append_value(value),
                    Err(_) => return Ok(Appended::Odd(value.to_string())),
                }
            }
            Self::Whole(builder, number) => builder.append_value(number.read(bytes)?),
            Self::Float(builder) => builder.append_value(f32::from_le_bytes(fixed(bytes)?)),
            Self::FloatAsDouble(builder) => {
                builder.append_value(f64::from(f32::from_le_bytes(fixed(bytes)?)));
            }
            Self::Double(builder) => builder.append_value(f64::from_le_bytes(fixed(bytes)?)),
            Self::Decimal { builder, precision, scale } => {
                match decimal(bytes, *precision, *scale)? {
                    Some(value) => builder.append_value(value),
                    None => return odd_text(bytes),
                }
            }
            Self::Text(builder) => match std::str::from_utf8(bytes) {
                Ok(text) => builder.append_value(text),
                // A column of utf8mb4 is sent as it is stored, which a server does not check again.
                Err(_) => return Ok(odd_bytes(bytes)),
            },
            Self::Bytes(builder) => builder.append_value(bytes),
            Self::Geometry { builder, scratch } => {
                geometry(bytes, scratch).ok_or(Undecodable)?;
                builder.append_value(scratch.as_slice());
            }
            Self::Uuid(builder) => {
                let text = std::str::from_utf8(bytes).map_err(|_| Undecodable)?;
                let uuid = uuid::Uuid::try_parse(text).map_err(|_| Undecodable)?;
                builder.append_value(uuid.as_bytes()).map_err(|_| Undecodable)?;
            }
            Self::Date(builder) => {
                let date = DateTime::parse(bytes).ok_or(Undecodable)?;
                match date.days() {
                    Some(day) => builder.append_value(day),
                    None => return Ok(Appended::Odd(date.date_text())),
                }
            }
            Self::DateTime { builder, fraction } => {
                let moment = DateTime::parse(bytes).ok_or(Undecodable)?;
                match moment.microseconds() {
                    Some(value) => builder.append_value(value),
                    None => return Ok(Appended::Odd(moment.text(*fraction))),
                }
            }
            Self::Time { builder, fraction } => {
                let span = Span::parse(bytes).ok_or(Undecodable)?;
                match span.time_of_day() {
                    Some(value) => builder.append_value(value),
                    None => {
                        let mut text = String::new();
                        span.push_text(*fraction, &mut text);
                        return Ok(Appended::Odd(text));
                    }
                }
            }
            Self::TimeText { builder, fraction, scratch } => {
                scratch.clear();
                Span::parse(bytes).ok_or(Undecodable)?.push_text(*fraction, scratch);
                builder.append_value(&scratch);
            }
            Self::Hashed { builder, salt, scratch } => {
                scratch.clear();
                salt.mask(bytes, scratch);
                builder.append_value(&scratch);
            }
            Self::Nulled { rows, .. } => *rows += 1,
        }
        Ok(Appended::Stored)
    }

    /// Appends NULL.
    #[inline]
    pub(super) fn append_null(&mut self) {
        match self {
            Self::Boolean(builder, _) => builder.append_null(),
            Self::Int(builder, _) => builder.append_null(),
            Self::Long(builder, _) => builder.append_null(),
            Self::Whole(builder, _) | Self::Decimal { builder, .. } => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::FloatAsDouble(builder) | Self::Double(builder) => builder.append_null(),
            Self::Text(builder) | Self::TimeText { builder, .. } | Self::Hashed { builder, .. } => {
                builder.append_null();
            }
            Self::Bytes(builder) | Self::Geometry { builder, .. } => builder.append_null(),
            Self::Uuid(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::DateTime { builder, .. } => builder.append_null(),
            Self::Time { builder, .. } => builder.append_null(),
            Self::Nulled { rows, .. } => *rows += 1,
        }
    }

    /// What stands for the last value in a digest of its row, for a masked column; the value itself must not.
    pub(super) fn masked(&self) -> Option<&[u8]> {
        if let Self::Hashed { scratch, .. } = self {
            return Some(scratch.as_bytes());
        }
        matches!(self, Self::Nulled { .. }).then_some(&[])
    }

    /// Takes what was appended as an array, and begins anew.
    ///
    /// # Errors
    /// Arrow's, when the values are not what the column's type allows; never for values that `append` took.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(builder, _) => ArrayBuilder::finish(builder),
            Self::Int(builder, _) => ArrayBuilder::finish(builder),
            Self::Long(builder, _) => ArrayBuilder::finish(builder),
            Self::Whole(builder, _) | Self::Decimal { builder, .. } => {
                ArrayBuilder::finish(builder)
            }
            Self::Float(builder) => ArrayBuilder::finish(builder),
            Self::FloatAsDouble(builder) | Self::Double(builder) => ArrayBuilder::finish(builder),
            Self::Text(builder) | Self::TimeText { builder, .. } | Self::Hashed { builder, .. } => {
                ArrayBuilder::finish(builder)
            }
            Self::Bytes(builder) | Self::Geometry { builder, .. } => ArrayBuilder::finish(builder),
            Self::Uuid(builder) => ArrayBuilder::finish(builder),
            Self::Date(builder) => ArrayBuilder::finish(builder),
            Self::DateTime { builder, .. } => ArrayBuilder::finish(builder),
            Self::Time { builder, .. } => ArrayBuilder::finish(builder),
            Self::Nulled { data_type, rows } => new_null_array(data_type, std::mem::take(rows)),
        })
    }
}

impl Number {
    /// The number that bytes are.
    #[inline]
    fn read(self, bytes: &[u8]) -> Result<i128, Undecodable> {
        Ok(match (self, bytes) {
            (Self::Signed, [_]) => i128::from(i8::from_le_bytes(fixed(bytes)?)),
            (Self::Signed, [_, _]) => i128::from(i16::from_le_bytes(fixed(bytes)?)),
            (Self::Signed, [_, _, _, _]) => i128::from(i32::from_le_bytes(fixed(bytes)?)),
            (Self::Signed, _) => i128::from(i64::from_le_bytes(fixed(bytes)?)),
            (Self::Unsigned, [byte]) => i128::from(*byte),
            (Self::Unsigned, [_, _]) => i128::from(u16::from_le_bytes(fixed(bytes)?)),
            (Self::Unsigned, [_, _, _, _]) => i128::from(u32::from_le_bytes(fixed(bytes)?)),
            (Self::Unsigned, _) => i128::from(u64::from_le_bytes(fixed(bytes)?)),
            (Self::Bits, _) => {
                if bytes.len() > 8 {
                    return Err(Undecodable);
                }
                bytes.iter().fold(0, |number, byte| number << 8 | i128::from(*byte))
            }
        })
    }
}

/// The unscaled value of decimal digits; `None` when it does not fit the column.
fn decimal(bytes: &[u8], precision: u8, scale: u8) -> Result<Option<i128>, Undecodable> {
    let (is_negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    let mut value: i128 = 0;
    let mut after_point: Option<u8> = None;
    if digits.is_empty() {
        return Err(Undecodable);
    }
    for byte in digits {
        match byte {
            b'.' if after_point.is_none() => after_point = Some(0),
            b'0'..=b'9' => {
                if let Some(places) = &mut after_point {
                    if *places == scale {
                        // A declared scale may be smaller than the column's: zeros may go, nothing else.
                        if *byte != b'0' {
                            return Ok(None);
                        }
                        continue;
                    }
                    *places += 1;
                }
                let digit = i128::from(byte - b'0');
                match value.checked_mul(10).and_then(|value| value.checked_add(digit)) {
                    Some(longer) => value = longer,
                    None => return Ok(None),
                }
            }
            _ => return Err(Undecodable),
        }
    }
    let missing = u32::from(scale - after_point.unwrap_or(0));
    let scaled = 10i128.checked_pow(missing).and_then(|power| value.checked_mul(power));
    let limit = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    let signed = scaled.filter(|scaled| *scaled < limit).map(|scaled| match is_negative {
        true => -scaled,
        false => scaled,
    });
    Ok(signed)
}

/// WKB out of the server's form, which is a reference system and WKB; with one that is not 0, EWKB: the type has bit
/// `0x20000000` and the reference system follows it (PostGIS, "EWKB"). The server writes little-endian numbers always.
fn geometry(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (system, wkb) = bytes.split_first_chunk::<4>()?;
    let ([order @ 1, kind @ ..], rest) = wkb.split_first_chunk::<5>()? else { return None };
    out.clear();
    if u32::from_le_bytes(*system) == 0 {
        out.extend_from_slice(wkb);
        return Some(());
    }
    out.push(*order);
    out.extend((u32::from_le_bytes(*kind) | 0x2000_0000).to_le_bytes());
    out.extend_from_slice(system);
    out.extend_from_slice(rest);
    Some(())
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Undecodable> {
    bytes.try_into().map_err(|_| Undecodable)
}

#[cold]
fn odd_text(bytes: &[u8]) -> Result<Appended, Undecodable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Undecodable)?;
    Ok(Appended::Odd(text.to_owned()))
}

/// Bytes that are no text are told in hexadecimal.
#[cold]
fn odd_bytes(bytes: &[u8]) -> Appended {
    use std::fmt::Write as _;
    let mut text = String::from("0x");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    Appended::Odd(text)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
