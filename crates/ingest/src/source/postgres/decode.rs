//! From the binary form of one value straight into the Arrow builder of its column.
//!
//! One decoder a column, chosen once when the table is planned; the hot path is one `match` a cell and no
//! allocation. A value that the column's lake type cannot hold is not an error: [`Decoder::append`] returns its
//! exact text and appends nothing, and the caller stores NULL beside the text in `_ol_odd` (invariant I5). Bytes
//! that are not what the type's send function writes are an error that stops the table (invariant I6).

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeBinaryBuilder,
    Float32Builder, Float64Builder, Int32Builder, Int64Builder, LargeBinaryBuilder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, new_null_array};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef};

use super::moment;
use super::numeric::Numeric;
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

/// A decoder with its builder.
pub(super) enum Decoder {
    Boolean(BooleanBuilder),
    Int2(Int32Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Int2AsLong(Int64Builder),
    Int4AsLong(Int64Builder),
    Unsigned4(Int64Builder),
    Float4(Float32Builder),
    Float4AsDouble(Float64Builder),
    Float8(Float64Builder),
    Decimal { builder: Decimal128Builder, precision: u8, scale: u8 },
    NumericText { builder: StringBuilder, scratch: String },
    Text(StringBuilder),
    Jsonb(StringBuilder),
    Bytes(LargeBinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder, &'static str),
    List(Box<List>),
    Hashed { builder: StringBuilder, salt: Salt, scratch: String },
    Nulled { data_type: DataType, rows: usize },
}

/// The decoder of an array column.
pub(super) struct List {
    element: Decoder,
    field: FieldRef,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Decoder {
    /// The decoder of values that arrive as `wire` and land as `lake` (the Arrow type of the lake's column).
    ///
    /// `None` when the pair is one that no contract makes.
    pub(super) fn new(wire: &Wire, lake: &DataType) -> Option<Self> {
        Some(match (wire, lake) {
            (Wire::Boolean, DataType::Boolean) => Self::Boolean(BooleanBuilder::new()),
            (Wire::Int2, DataType::Int32) => Self::Int2(Int32Builder::new()),
            (Wire::Int4, DataType::Int32) => Self::Int4(Int32Builder::new()),
            (Wire::Int8, DataType::Int64) => Self::Int8(Int64Builder::new()),
            (Wire::Int2, DataType::Int64) => Self::Int2AsLong(Int64Builder::new()),
            (Wire::Int4, DataType::Int64) => Self::Int4AsLong(Int64Builder::new()),
            (Wire::Unsigned4, DataType::Int64) => Self::Unsigned4(Int64Builder::new()),
            (Wire::Float4, DataType::Float32) => Self::Float4(Float32Builder::new()),
            (Wire::Float4, DataType::Float64) => Self::Float4AsDouble(Float64Builder::new()),
            (Wire::Float8, DataType::Float64) => Self::Float8(Float64Builder::new()),
            (Wire::Numeric, DataType::Decimal128(precision, scale)) => Self::Decimal {
                builder: Decimal128Builder::new().with_data_type(lake.clone()),
                precision: *precision,
                scale: u8::try_from(*scale).ok()?,
            },
            (Wire::Numeric, DataType::Utf8) => {
                Self::NumericText { builder: StringBuilder::new(), scratch: String::new() }
            }
            (Wire::Text, DataType::Utf8) => Self::Text(StringBuilder::new()),
            (Wire::Hashed(Some(salt)), DataType::Utf8) => Self::Hashed {
                builder: StringBuilder::new(),
                salt: salt.clone(),
                scratch: String::new(),
            },
            (Wire::Nulled, lake) => Self::Nulled { data_type: lake.clone(), rows: 0 },
            (Wire::Jsonb, DataType::Utf8) => Self::Jsonb(StringBuilder::new()),
            (Wire::Bytes, DataType::LargeBinary) => Self::Bytes(LargeBinaryBuilder::new()),
            (Wire::Uuid, DataType::FixedSizeBinary(16)) => {
                Self::Uuid(FixedSizeBinaryBuilder::new(16))
            }
            (Wire::Date, DataType::Date32) => Self::Date(Date32Builder::new()),
            (Wire::Time, DataType::Time64(_)) => Self::Time(Time64MicrosecondBuilder::new()),
            (Wire::Timestamp, DataType::Timestamp(_, None)) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new(), "")
            }
            (Wire::Instant, DataType::Timestamp(_, Some(_))) => Self::Timestamp(
                TimestampMicrosecondBuilder::new().with_data_type(lake.clone()),
                "+00",
            ),
            (Wire::List(element), DataType::List(field)) => Self::List(Box::new(List {
                element: Self::new(element, field.data_type())?,
                field: field.clone(),
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
            })),
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
            Self::Boolean(builder) => builder.append_value(u8::from_be_bytes(fixed(bytes)?) != 0),
            Self::Int2(builder) => {
                builder.append_value(i32::from(i16::from_be_bytes(fixed(bytes)?)));
            }
            Self::Int4(builder) => builder.append_value(i32::from_be_bytes(fixed(bytes)?)),
            Self::Int8(builder) => builder.append_value(i64::from_be_bytes(fixed(bytes)?)),
            Self::Int2AsLong(builder) => {
                builder.append_value(i64::from(i16::from_be_bytes(fixed(bytes)?)));
            }
            Self::Int4AsLong(builder) => {
                builder.append_value(i64::from(i32::from_be_bytes(fixed(bytes)?)));
            }
            Self::Unsigned4(builder) => {
                builder.append_value(i64::from(u32::from_be_bytes(fixed(bytes)?)));
            }
            Self::Float4(builder) => builder.append_value(single(bytes)?),
            Self::Float4AsDouble(builder) => builder.append_value(f64::from(single(bytes)?)),
            Self::Float8(builder) => {
                let value = f64::from_be_bytes(fixed(bytes)?);
                builder.append_value(if value.is_nan() { f64::NAN } else { value });
            }
            Self::Decimal { builder, precision, scale } => {
                let numeric = Numeric::parse(bytes).ok_or(Undecodable)?;
                match numeric.decimal(*precision, *scale) {
                    Some(value) => builder.append_value(value),
                    None => return Ok(odd(|out| numeric.text(out))),
                }
            }
            Self::NumericText { builder, scratch } => {
                scratch.clear();
                Numeric::parse(bytes).ok_or(Undecodable)?.text(scratch);
                builder.append_value(&scratch);
            }
            Self::Text(builder) => return Ok(append_text(builder, bytes)),
            Self::Jsonb(builder) => match bytes.split_first() {
                Some((1, text)) => return Ok(append_text(builder, text)),
                _ => return Err(Undecodable),
            },
            Self::Bytes(builder) => builder.append_value(bytes),
            Self::Uuid(builder) => {
                builder.append_value(fixed::<16>(bytes)?).map_err(|_| Undecodable)?;
            }
            Self::Date(builder) => {
                let days = i32::from_be_bytes(fixed(bytes)?);
                match moment::lake_date(days) {
                    Some(day) => builder.append_value(day),
                    None => return Ok(odd(|out| moment::date_text(days, out))),
                }
            }
            Self::Time(builder) => {
                let microseconds = i64::from_be_bytes(fixed(bytes)?);
                match moment::lake_time(microseconds) {
                    Some(value) => builder.append_value(value),
                    None => return Ok(odd(|out| moment::time_text(microseconds, out))),
                }
            }
            Self::Timestamp(builder, offset) => {
                let microseconds = i64::from_be_bytes(fixed(bytes)?);
                match moment::lake_timestamp(microseconds) {
                    Some(value) => builder.append_value(value),
                    None => {
                        return Ok(odd(|out| moment::timestamp_text(microseconds, offset, out)));
                    }
                }
            }
            Self::List(list) => return list.append(bytes),
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
            Self::Boolean(builder) => builder.append_null(),
            Self::Int2(builder) | Self::Int4(builder) => builder.append_null(),
            Self::Int8(builder)
            | Self::Int2AsLong(builder)
            | Self::Int4AsLong(builder)
            | Self::Unsigned4(builder) => builder.append_null(),
            Self::Float4(builder) => builder.append_null(),
            Self::Float4AsDouble(builder) | Self::Float8(builder) => builder.append_null(),
            Self::Decimal { builder, .. } => builder.append_null(),
            Self::NumericText { builder, .. } | Self::Text(builder) | Self::Jsonb(builder) => {
                builder.append_null();
            }
            Self::Bytes(builder) => builder.append_null(),
            Self::Uuid(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder, _) => builder.append_null(),
            Self::List(list) => {
                list.nulls.append_null();
                list.end();
            }
            Self::Hashed { builder, .. } => builder.append_null(),
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
            Self::Boolean(builder) => ArrayBuilder::finish(builder),
            Self::Int2(builder) | Self::Int4(builder) => ArrayBuilder::finish(builder),
            Self::Int8(builder)
            | Self::Int2AsLong(builder)
            | Self::Int4AsLong(builder)
            | Self::Unsigned4(builder) => ArrayBuilder::finish(builder),
            Self::Float4(builder) => ArrayBuilder::finish(builder),
            Self::Float4AsDouble(builder) | Self::Float8(builder) => ArrayBuilder::finish(builder),
            Self::Decimal { builder, .. } => ArrayBuilder::finish(builder),
            Self::NumericText { builder, .. } | Self::Text(builder) | Self::Jsonb(builder) => {
                ArrayBuilder::finish(builder)
            }
            Self::Bytes(builder) => ArrayBuilder::finish(builder),
            Self::Uuid(builder) => ArrayBuilder::finish(builder),
            Self::Date(builder) => ArrayBuilder::finish(builder),
            Self::Time(builder) => ArrayBuilder::finish(builder),
            Self::Timestamp(builder, _) => ArrayBuilder::finish(builder),
            Self::List(list) => list.finish()?,
            Self::Hashed { builder, .. } => ArrayBuilder::finish(builder),
            Self::Nulled { data_type, rows } => new_null_array(data_type, std::mem::take(rows)),
        })
    }
}

impl List {
    /// Appends one array, or returns its text when an element does not fit.
    ///
    /// The form (PostgreSQL source, `array_send`): the number of dimensions, a null flag, the element type; a
    /// length and a lower bound a dimension; then each element as a length and its bytes, −1 for NULL. Arrays of
    /// several dimensions or other bounds do not come here: the SELECT list has them as text (`odd_sql`).
    fn append(&mut self, bytes: &[u8]) -> Result<Appended, Undecodable> {
        let mut reader = bytes;
        let dimensions = take_i32(&mut reader)?;
        let _null_flag = take_i32(&mut reader)?;
        let _element_type = take_i32(&mut reader)?;
        let count = match dimensions {
            0 => 0,
            1 => {
                let count = take_i32(&mut reader)?;
                let _lower_bound = take_i32(&mut reader)?;
                count
            }
            _ => return Err(Undecodable),
        };
        let elements = reader;
        for _ in 0..count {
            match take_value(&mut reader)? {
                None => self.element.append_null(),
                Some(value) => {
                    if let Appended::Odd(_) = self.element.append(value)? {
                        // Elements appended before stay in the child, as the invisible content of the NULL
                        // entry that the caller appends: offsets are contiguous, and NULL hides its range.
                        return Ok(Appended::Odd(array_text(&mut self.element, elements, count)?));
                    }
                }
            }
        }
        if !reader.is_empty() {
            return Err(Undecodable);
        }
        self.nulls.append_non_null();
        self.end();
        Ok(Appended::Stored)
    }

    fn end(&mut self) {
        let end = i32::try_from(self.element.len())
            .expect("a batch is flushed long before its lists hold two thousand million elements");
        self.offsets.push(end);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let array = ListArray::try_new(
            self.field.clone(),
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            self.element.finish()?,
            self.nulls.finish(),
        )?;
        Ok(Arc::new(array))
    }
}

impl Decoder {
    fn len(&self) -> usize {
        match self {
            Self::Boolean(builder) => builder.len(),
            Self::Int2(builder) | Self::Int4(builder) => builder.len(),
            Self::Int8(builder)
            | Self::Int2AsLong(builder)
            | Self::Int4AsLong(builder)
            | Self::Unsigned4(builder) => builder.len(),
            Self::Float4(builder) => builder.len(),
            Self::Float4AsDouble(builder) | Self::Float8(builder) => builder.len(),
            Self::Decimal { builder, .. } => builder.len(),
            Self::NumericText { builder, .. } | Self::Text(builder) | Self::Jsonb(builder) => {
                builder.len()
            }
            Self::Bytes(builder) => builder.len(),
            Self::Uuid(builder) => builder.len(),
            Self::Date(builder) => builder.len(),
            Self::Time(builder) => builder.len(),
            Self::Timestamp(builder, _) => builder.len(),
            Self::List(list) => list.nulls.len(),
            Self::Hashed { builder, .. } => builder.len(),
            Self::Nulled { rows, .. } => *rows,
        }
    }

    /// The text of one element, as the server prints it inside an array. Only types that have values that do
    /// not fit need one; for the others no array ever comes here.
    fn element_text(&mut self, bytes: &[u8], out: &mut String) -> Result<(), Undecodable> {
        match self {
            Self::Decimal { .. } | Self::NumericText { .. } => {
                Numeric::parse(bytes).ok_or(Undecodable)?.text(out);
            }
            Self::Date(_) => moment::date_text(i32::from_be_bytes(fixed(bytes)?), out),
            Self::Time(_) => moment::time_text(i64::from_be_bytes(fixed(bytes)?), out),
            Self::Timestamp(_, offset) => {
                moment::timestamp_text(i64::from_be_bytes(fixed(bytes)?), offset, out);
            }
            Self::Text(_) => match std::str::from_utf8(bytes) {
                Ok(text) => out.push_str(text),
                Err(_) => hexadecimal(bytes, out),
            },
            Self::Boolean(_)
            | Self::Int2(_)
            | Self::Int4(_)
            | Self::Int8(_)
            | Self::Int2AsLong(_)
            | Self::Int4AsLong(_)
            | Self::Unsigned4(_)
            | Self::Float4(_)
            | Self::Float4AsDouble(_)
            | Self::Float8(_)
            | Self::Jsonb(_)
            | Self::Bytes(_)
            | Self::Uuid(_)
            | Self::Hashed { .. }
            | Self::Nulled { .. }
            | Self::List(_) => return Err(Undecodable),
        }
        Ok(())
    }
}

/// A one-dimensional array as the server prints it: elements with anything special in them are quoted
/// (PostgreSQL documentation, "Array Input and Output Syntax").
fn array_text(
    element: &mut Decoder,
    mut elements: &[u8],
    count: i32,
) -> Result<String, Undecodable> {
    let mut out = String::from("{");
    let mut text = String::new();
    for index in 0..count {
        if index > 0 {
            out.push(',');
        }
        let Some(value) = take_value(&mut elements)? else {
            out.push_str("NULL");
            continue;
        };
        text.clear();
        element.element_text(value, &mut text)?;
        let special = |character: char| {
            matches!(
                character,
                '{' | '}' | ',' | '"' | '\\' | ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c'
            )
        };
        if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special) {
            out.push('"');
            for character in text.chars() {
                if matches!(character, '"' | '\\') {
                    out.push('\\');
                }
                out.push(character);
            }
            out.push('"');
        } else {
            out.push_str(&text);
        }
    }
    out.push('}');
    Ok(out)
}

/// There is one NaN, whatever its sign and payload: `Infinity - Infinity` makes a negative one at the server, which
/// prints and compares it like any other.
fn single(bytes: &[u8]) -> Result<f32, Undecodable> {
    let value = f32::from_be_bytes(fixed(bytes)?);
    Ok(if value.is_nan() { f32::NAN } else { value })
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Undecodable> {
    bytes.try_into().map_err(|_| Undecodable)
}

fn take_i32(reader: &mut &[u8]) -> Result<i32, Undecodable> {
    let (head, rest) = reader.split_first_chunk::<4>().ok_or(Undecodable)?;
    *reader = rest;
    Ok(i32::from_be_bytes(*head))
}

/// A length and that many bytes; `None` for the length −1.
#[inline]
pub(super) fn take_value<'a>(reader: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Undecodable> {
    let length = take_i32(reader)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| Undecodable)?;
    let (value, rest) = reader.split_at_checked(length).ok_or(Undecodable)?;
    *reader = rest;
    Ok(Some(value))
}

/// Text is UTF-8, unless the database's encoding is SQL_ASCII, which checks nothing; then the bytes, in
/// hexadecimal, are what can be said exactly.
#[inline]
fn append_text(builder: &mut StringBuilder, bytes: &[u8]) -> Appended {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            builder.append_value(text);
            Appended::Stored
        }
        Err(_) => odd(|out| hexadecimal(bytes, out)),
    }
}

fn hexadecimal(bytes: &[u8], out: &mut String) {
    use std::fmt::Write as _;
    out.push_str("\\x");
    for byte in bytes {
        write!(out, "{byte:02x}").expect("writing to a string does not fail");
    }
}

#[cold]
fn odd(render: impl FnOnce(&mut String)) -> Appended {
    let mut text = String::new();
    render(&mut text);
    Appended::Odd(text)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
