//! One form for two columns that hold the same thing in different types.
//!
//! [`Form::of`] says which form two Arrow types have in common, and [`Form::texts`] writes a column in it. Within a form,
//! two values are equal exactly if their texts are.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "Arrow has types that no column of the lake has; the last arm is about all of them"
)]

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::temporal_conversions::MICROSECONDS_IN_DAY;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_cast::parse::{Parser, string_to_datetime};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// In which form two columns are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they are: both have one type.
    Same,
    /// Text, of which what is JSON is compared as JSON.
    Text,
    /// True or false.
    Boolean,
    /// Exact numbers.
    Number,
    /// IEEE 754, 64 bits.
    Double,
    /// IEEE 754, 32 bits.
    Single,
    /// Instants, in microseconds; what has no zone is taken for UTC.
    Instant,
    /// Days.
    Day,
    /// Times of day, in microseconds.
    Clock,
    /// 16 bytes.
    Uuid,
    /// Bytes; a text of them is hexadecimal behind `\x`, or base64.
    Bytes,
    /// JSON: the order of keys and the spelling of numbers aside.
    Json,
    /// The types have nothing in common; compared as they are shown.
    Shown,
}

/// What a type holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Exact,
    Single,
    Double,
    Date,
    Clock,
    Instant,
    Text,
    Uuid,
    Bytes,
    Nested,
    Other,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int32 | DataType::Int64 | DataType::Decimal128(..) => Self::Exact,
            DataType::Float32 => Self::Single,
            DataType::Float64 => Self::Double,
            DataType::Date32 => Self::Date,
            DataType::Time64(_) => Self::Clock,
            DataType::Timestamp(..) => Self::Instant,
            DataType::Utf8 | DataType::LargeUtf8 => Self::Text,
            DataType::FixedSizeBinary(16) => Self::Uuid,
            DataType::FixedSizeBinary(_) | DataType::Binary | DataType::LargeBinary => Self::Bytes,
            DataType::List(_)
            | DataType::LargeList(_)
            | DataType::Struct(_)
            | DataType::Map(..) => Self::Nested,
            _ => Self::Other,
        }
    }
}

impl Form {
    /// The form that values of two types have in common.
    #[must_use]
    pub fn of(ours: &DataType, theirs: &DataType) -> Self {
        let (one, other) = (Kind::of(ours), Kind::of(theirs));
        let form = |kind: Kind| match kind {
            Kind::Boolean => Self::Boolean,
            Kind::Exact => Self::Number,
            Kind::Single => Self::Single,
            Kind::Double => Self::Double,
            Kind::Date => Self::Day,
            Kind::Clock => Self::Clock,
            Kind::Instant => Self::Instant,
            Kind::Text => Self::Text,
            Kind::Uuid => Self::Uuid,
            Kind::Bytes => Self::Bytes,
            Kind::Nested => Self::Json,
            Kind::Other => Self::Shown,
        };
        match (one, other) {
            (Kind::Text, other) => form(other),
            (one, Kind::Text) => form(one),
            (Kind::Nested, Kind::Nested) => Self::Json,
            _ if ours == theirs => Self::Same,
            (one, other) if one == other => form(one),
            (Kind::Single, Kind::Double | Kind::Exact)
            | (Kind::Double | Kind::Exact, Kind::Single) => Self::Single,
            (Kind::Double, Kind::Exact) | (Kind::Exact, Kind::Double) => Self::Double,
            (Kind::Date, Kind::Instant) | (Kind::Instant, Kind::Date) => Self::Instant,
            (Kind::Uuid, Kind::Bytes) | (Kind::Bytes, Kind::Uuid) => Self::Bytes,
            _ => Self::Shown,
        }
    }

    /// The words of a report.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Same => "the same type",
            Self::Text => "text, JSON as JSON",
            Self::Boolean => "booleans",
            Self::Number => "exact numbers",
            Self::Double => "doubles",
            Self::Single => "floats of 32 bits",
            Self::Instant => "instants",
            Self::Day => "days",
            Self::Clock => "times of day",
            Self::Uuid => "uuids",
            Self::Bytes => "bytes",
            Self::Json => "JSON",
            Self::Shown => "what is shown: the types have nothing in common",
        }
    }

    /// A column in this form.
    ///
    /// # Errors
    /// Arrow's: a value cannot be shown.
    pub fn texts(self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        if self == Self::Same {
            return Ok(Arc::clone(column));
        }
        if self == Self::Text && !may_hold_json(column) {
            return Ok(Arc::clone(column));
        }
        let texts = (0..column.len()).map(|row| self.value(column, row));
        Ok(Arc::new(texts.collect::<Result<StringArray, _>>()?))
    }

    fn value(self, column: &ArrayRef, row: usize) -> Result<Option<String>, ArrowError> {
        if column.is_null(row) {
            return Ok(None);
        }
        if let Some(text) = text_at(column, row) {
            return Ok(Some(self.read(text)));
        }
        let shown = || array_value_to_string(column, row);
        Ok(Some(match (self, column.data_type()) {
            (Self::Number, _) => number(&shown()?).unwrap_or_default(),
            (Self::Double, DataType::Float64) => {
                double(column.as_primitive::<Float64Type>().value(row))
            }
            (Self::Double, _) => self.read(&shown()?),
            (Self::Single, DataType::Float32) => {
                single(column.as_primitive::<Float32Type>().value(row))
            }
            #[expect(clippy::cast_possible_truncation, reason = "it is what the other side did")]
            (Self::Single, DataType::Float64) => {
                single(column.as_primitive::<Float64Type>().value(row) as f32)
            }
            (Self::Single, _) => self.read(&shown()?),
            (Self::Instant, DataType::Timestamp(TimeUnit::Microsecond, _)) => {
                column.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
            }
            (Self::Instant, DataType::Date32) => {
                let days = i64::from(column.as_primitive::<Date32Type>().value(row));
                days.saturating_mul(MICROSECONDS_IN_DAY).to_string()
            }
            (Self::Day, DataType::Date32) => {
                column.as_primitive::<Date32Type>().value(row).to_string()
            }
            (Self::Clock, DataType::Time64(TimeUnit::Microsecond)) => {
                column.as_primitive::<Time64MicrosecondType>().value(row).to_string()
            }
            (Self::Bytes | Self::Uuid, _) => hexadecimal(bytes_at(column, row).unwrap_or_default()),
            (Self::Json, _) => written(&json(column, row)?),
            _ => shown()?,
        }))
    }

    /// A text in this form; what cannot be read stays as it is, marked.
    pub fn read(self, text: &str) -> String {
        let read = match self {
            Self::Same | Self::Shown => Some(text.to_owned()),
            Self::Text => match parse_json(text) {
                // No loader writes such a text of its own: Postgres does not hold the character.
                Some(json) => Some(format!("\0{json}")),
                None => Some(text.to_owned()),
            },
            Self::Boolean => boolean(text),
            Self::Number => number(text),
            Self::Double => text.trim().parse().ok().map(double),
            Self::Single => text.trim().parse().ok().map(single),
            Self::Instant => instant(text).map(|microseconds| microseconds.to_string()),
            Self::Day => Date32Type::parse(text).map(|days| days.to_string()),
            Self::Clock => {
                Time64MicrosecondType::parse(text).map(|microseconds| microseconds.to_string())
            }
            Self::Uuid => uuid::Uuid::parse_str(text).ok().map(|uuid| hexadecimal(uuid.as_bytes())),
            Self::Bytes => bytes(text).map(|bytes| hexadecimal(&bytes)),
            Self::Json => serde_json::from_str(text).ok().map(|json| written(&json)),
        };
        read.unwrap_or_else(|| unread(text))
    }
}

/// A text that is no value of its form.
#[must_use]
pub fn unread(text: &str) -> String {
    format!("unread {text}")
}

/// Where an instant, a day or an integer stands among its like; `None` for other types.
#[must_use]
pub fn rank(column: &ArrayRef, row: usize) -> Option<i64> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Date32 => Some(
            i64::from(column.as_primitive::<Date32Type>().value(row))
                .saturating_mul(MICROSECONDS_IN_DAY),
        ),
        DataType::Int32 => {
            Some(i64::from(column.as_primitive::<arrow_array::types::Int32Type>().value(row)))
        }
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(row)),
        _ => text_at(column, row).and_then(instant),
    }
}

fn text_at(column: &ArrayRef, row: usize) -> Option<&str> {
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(row)),
        _ => None,
    }
}

fn bytes_at(column: &ArrayRef, row: usize) -> Option<&[u8]> {
    match column.data_type() {
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(column.as_binary::<i64>().value(row)),
        DataType::FixedSizeBinary(_) => Some(column.as_fixed_size_binary().value(row)),
        _ => None,
    }
}

fn may_hold_json(column: &ArrayRef) -> bool {
    (0..column.len())
        .any(|row| !column.is_null(row) && text_at(column, row).is_some_and(starts_like_json))
}

fn starts_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

fn parse_json(text: &str) -> Option<String> {
    let json: Option<Value> =
        starts_like_json(text).then(|| serde_json::from_str(text).ok()).flatten();
    json.map(|json| written(&json))
}

/// Keys in order, numbers in one spelling.
fn written(json: &Value) -> String {
    match json {
        Value::Number(spelled) => {
            let spelled = spelled.to_string();
            number(&spelled).unwrap_or(spelled)
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(written).collect();
            format!("[{}]", elements.join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), written(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => json.to_string(),
    }
}

/// A value of any type as JSON.
fn json(column: &ArrayRef, row: usize) -> Result<Value, ArrowError> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let list = |elements: ArrayRef| {
        (0..elements.len()).map(|place| json(&elements, place)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match column.data_type() {
        DataType::List(_) => Value::Array(list(column.as_list::<i32>().value(row))?),
        DataType::LargeList(_) => Value::Array(list(column.as_list::<i64>().value(row))?),
        DataType::Struct(fields) => {
            let values = column.as_struct().columns().iter().zip(fields);
            let fields = values.map(|(value, field)| Ok((field.name().clone(), json(value, row)?)));
            Value::Object(fields.collect::<Result<Map<_, _>, ArrowError>>()?)
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let fields = (0..entries.len())
                .map(|place| Ok((array_value_to_string(keys, place)?, json(values, place)?)));
            Value::Object(fields.collect::<Result<Map<_, _>, ArrowError>>()?)
        }
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..) => {
            let shown = array_value_to_string(column, row)?;
            serde_json::from_str(&shown).unwrap_or(Value::String(shown))
        }
        _ => Value::String(array_value_to_string(column, row)?),
    })
}

fn boolean(text: &str) -> Option<String> {
    match text {
        "true" | "t" | "1" => Some("true".to_owned()),
        "false" | "f" | "0" => Some("false".to_owned()),
        _ => None,
    }
}

/// A number as its digits without leading and trailing zeros, and the power of ten of the last of them.
fn number(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let power = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    let significant = significant.trim_start_matches('0');
    Some(match significant {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}e{power}"),
    })
}

fn double(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { value.to_string() }
}

fn single(value: f32) -> String {
    if value == 0.0 { "0".to_owned() } else { value.to_string() }
}

fn instant(text: &str) -> Option<i64> {
    // Arrow takes no offset without minutes, which Postgres writes.
    let padded = match text.len().checked_sub(3).map(|cut| text.split_at_checked(cut)) {
        Some(Some((_, offset)))
            if text.len() > 10
                && offset.starts_with(['+', '-'])
                && offset.bytes().skip(1).all(|digit| digit.is_ascii_digit())
                && text.contains(':') =>
        {
            format!("{text}:00")
        }
        _ => text.to_owned(),
    };
    let utc: arrow_array::timezone::Tz = "+00:00".parse().ok()?;
    Some(string_to_datetime(&utc, &padded).ok()?.timestamp_micros())
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => {
            let pairs = digits.as_bytes().chunks(2);
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            (digits.len() % 2 == 0).then(|| pairs.map(byte).collect()).flatten()
        }
        None => STANDARD.decode(text).ok(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
