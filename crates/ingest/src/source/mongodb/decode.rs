//! From a value of a document into the Arrow builder of its column.
//!
//! A value that the column cannot hold is not an error: its exact text, canonical extended JSON, goes to `_ol_odd`, and the
//! column is NULL (invariant I5). A value that JSON cannot say, as a text in it is not UTF-8, goes there as its bytes, in
//! hexadecimal behind `\x`.

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder,
    LargeBinaryBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, new_null_array};
use arrow_schema::{ArrowError, DataType};

use super::bson::{
    Element, Form, Malformed, Value, id_text, microseconds, push_hexadecimal, push_value, text,
};
use super::types::Decoding;
use crate::column::mask::Salt;

/// What became of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// It is in the builder.
    Stored,
    /// It does not fit; this is its text, and nothing was appended.
    Odd(String),
}

/// The greatest whole number up to which a double holds each (2⁵³).
const WHOLE_DOUBLES: i64 = 1 << 53;

/// A column's builder.
pub(super) enum Decoder {
    Key(StringBuilder, String),
    Text(StringBuilder, String),
    Boolean(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Double(Float64Builder),
    Decimal {
        builder: Decimal128Builder,
        precision: u8,
        scale: u8,
    },
    Instant(TimestampMicrosecondBuilder),
    Bytes(LargeBinaryBuilder),
    Hashed {
        builder: StringBuilder,
        /// Different keys have different texts, and so different hashes.
        is_key: bool,
        salt: Salt,
        text: String,
        hash: String,
    },
    Nulled {
        data_type: DataType,
        rows: usize,
    },
    Document(StringBuilder),
}

impl Decoder {
    /// The decoder of values that land as `lake` (the Arrow type of the lake's column); `None` when the pair is one that no
    /// contract makes.
    pub(super) fn new(decoding: &Decoding, lake: &DataType, is_key: bool) -> Option<Self> {
        Some(match (decoding, lake) {
            (Decoding::Key, DataType::Utf8) => Self::Key(StringBuilder::new(), String::new()),
            (Decoding::Document, DataType::Utf8) => Self::Document(StringBuilder::new()),
            (Decoding::Hashed(Some(salt)), DataType::Utf8) => Self::Hashed {
                builder: StringBuilder::new(),
                is_key,
                salt: salt.clone(),
                text: String::new(),
                hash: String::new(),
            },
            (Decoding::Nulled, lake) => Self::Nulled { data_type: lake.clone(), rows: 0 },
            (Decoding::Value, DataType::Utf8) => Self::Text(StringBuilder::new(), String::new()),
            (Decoding::Value, DataType::Boolean) => Self::Boolean(BooleanBuilder::new()),
            (Decoding::Value, DataType::Int32) => Self::Int(Int32Builder::new()),
            (Decoding::Value, DataType::Int64) => Self::Long(Int64Builder::new()),
            (Decoding::Value, DataType::Float64) => Self::Double(Float64Builder::new()),
            (Decoding::Value, DataType::Decimal128(precision, scale)) => Self::Decimal {
                builder: Decimal128Builder::new().with_data_type(lake.clone()),
                precision: *precision,
                scale: u8::try_from(*scale).ok()?,
            },
            (Decoding::Value, DataType::Timestamp(_, Some(_))) => {
                Self::Instant(TimestampMicrosecondBuilder::new().with_data_type(lake.clone()))
            }
            (Decoding::Value, DataType::LargeBinary) => Self::Bytes(LargeBinaryBuilder::new()),
            _ => return None,
        })
    }

    /// Whether this is the column of the whole document, whose text comes by [`Self::append_text`].
    pub(super) fn is_document(&self) -> bool {
        matches!(self, Self::Document(_))
    }

    /// What stands for a hashed value in the document's text; `None` where the value itself may, and where nothing may.
    pub(super) fn hash(&self) -> Option<&str> {
        if let Self::Hashed { hash, .. } = self { Some(hash) } else { None }
    }

    /// Appends one value, or says why it does not fit. BSON's null is NULL.
    ///
    /// # Errors
    /// The value is not BSON, or it is to be hashed and is no text.
    pub(super) fn append(&mut self, element: &Element<'_>) -> Result<Appended, Malformed> {
        if let (Self::Hashed { hash, .. }, Value::Null) = (&mut *self, &element.value) {
            hash.clear();
        }
        if element.value == Value::Null && !matches!(self, Self::Key(..)) {
            self.append_null();
            return Ok(Appended::Stored);
        }
        match self.stored(element)? {
            true => Ok(Appended::Stored),
            false => odd(element).map(Appended::Odd),
        }
    }

    /// Appends one value; false when it does not fit, and nothing was appended.
    fn stored(&mut self, element: &Element<'_>) -> Result<bool, Malformed> {
        let value = &element.value;
        match (self, value) {
            (Self::Key(builder, scratch), value) => {
                scratch.clear();
                match id_text(value, scratch) {
                    Ok(()) => builder.append_value(&scratch),
                    Err(Malformed::NotUtf8) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            (Self::Text(builder, scratch), value) => {
                scratch.clear();
                match text(value, scratch) {
                    Ok(()) => builder.append_value(&scratch),
                    Err(Malformed::NotUtf8) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            (Self::Boolean(builder), Value::Boolean(value)) => builder.append_value(*value),
            (Self::Int(builder), value) => match whole(value).map(i32::try_from) {
                Some(Ok(value)) => builder.append_value(value),
                Some(Err(_)) | None => return Ok(false),
            },
            (Self::Long(builder), value) => match whole(value) {
                Some(value) => builder.append_value(value),
                None => return Ok(false),
            },
            (Self::Double(builder), value) => match double(value) {
                Some(value) => builder.append_value(value),
                None => return Ok(false),
            },
            (Self::Decimal { builder, precision, scale }, value) => {
                match decimal(value, *precision, *scale) {
                    Some(value) => builder.append_value(value),
                    None => return Ok(false),
                }
            }
            (Self::Instant(builder), Value::Date(value)) => match microseconds(*value) {
                Some(value) => builder.append_value(value),
                None => return Ok(false),
            },
            (Self::Bytes(builder), Value::Binary { bytes, .. }) => builder.append_value(bytes),
            (Self::Hashed { builder, is_key, salt, text: scratch, hash }, value) => {
                scratch.clear();
                match is_key {
                    true => id_text(value, scratch)?,
                    false => text(value, scratch)?,
                }
                hash.clear();
                salt.mask(scratch.as_bytes(), hash);
                builder.append_value(&hash);
            }
            (Self::Nulled { rows, .. }, _) => *rows += 1,
            (Self::Boolean(_) | Self::Instant(_) | Self::Bytes(_) | Self::Document(_), _) => {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Appends the text of the whole document.
    pub(super) fn append_text(&mut self, text: &str) {
        if let Self::Document(builder) = self {
            builder.append_value(text);
        }
    }

    /// Appends NULL.
    pub(super) fn append_null(&mut self) {
        match self {
            Self::Key(builder, _) | Self::Text(builder, _) | Self::Document(builder) => {
                builder.append_null();
            }
            Self::Hashed { builder, .. } => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Long(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Decimal { builder, .. } => builder.append_null(),
            Self::Instant(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
            Self::Nulled { rows, .. } => *rows += 1,
        }
    }

    /// Takes what was appended as an array, and begins anew.
    ///
    /// # Errors
    /// Arrow's, when the values are not what the column's type allows; never for values that `append` took.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Key(builder, _) | Self::Text(builder, _) | Self::Document(builder) => {
                ArrayBuilder::finish(builder)
            }
            Self::Hashed { builder, .. } => ArrayBuilder::finish(builder),
            Self::Boolean(builder) => ArrayBuilder::finish(builder),
            Self::Int(builder) => ArrayBuilder::finish(builder),
            Self::Long(builder) => ArrayBuilder::finish(builder),
            Self::Double(builder) => ArrayBuilder::finish(builder),
            Self::Decimal { builder, .. } => ArrayBuilder::finish(builder),
            Self::Instant(builder) => ArrayBuilder::finish(builder),
            Self::Bytes(builder) => ArrayBuilder::finish(builder),
            Self::Nulled { data_type, rows } => new_null_array(data_type, std::mem::take(rows)),
        })
    }
}

/// The exact text of a value that its column cannot hold.
fn odd(element: &Element<'_>) -> Result<String, Malformed> {
    let mut out = String::new();
    match push_value(&element.value, Form::Canonical, &mut out) {
        Ok(()) => Ok(out),
        Err(Malformed::NotUtf8) => Ok(hexadecimal(element.raw)),
        Err(error) => Err(error),
    }
}

/// Bytes in hexadecimal behind `\x`.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = "\\x".to_owned();
    push_hexadecimal(bytes, &mut out);
    out
}

/// The whole number that a value is, whatever its width; a double is one if it has no fraction and no other double is so
/// near to it, and is not minus zero.
fn whole(value: &Value<'_>) -> Option<i64> {
    if let Value::Int32(value) = value {
        return Some(i64::from(*value));
    }
    if let Value::Int64(value) = value {
        return Some(*value);
    }
    let Value::Double(value) = value else { return None };
    let is_whole = value.fract() == 0.0 && !(*value == 0.0 && value.is_sign_negative());
    let value = format!("{value:.0}").parse::<i64>().ok().filter(|_| is_whole)?;
    (-WHOLE_DOUBLES..=WHOLE_DOUBLES).contains(&value).then_some(value)
}

/// The double that is a number; a whole number only if it is exactly one.
fn double(value: &Value<'_>) -> Option<f64> {
    if let Value::Double(value) = value {
        return Some(*value);
    }
    let value = whole(value).filter(|it| (-WHOLE_DOUBLES..=WHOLE_DOUBLES).contains(it))?;
    #[expect(clippy::cast_precision_loss, reason = "the range holds none that is lost")]
    Some(value as f64)
}

/// The unscaled decimal that a number exactly is.
fn decimal(value: &Value<'_>, precision: u8, scale: u8) -> Option<i128> {
    if let Value::Decimal128(value) = value {
        return value.unscaled(precision, scale);
    }
    let whole = i128::from(whole(value).filter(|_| !matches!(value, Value::Double(_)))?);
    let unscaled = whole.checked_mul(10i128.checked_pow(u32::from(scale))?)?;
    (unscaled.unsigned_abs() < 10u128.checked_pow(u32::from(precision))?).then_some(unscaled)
}
