//! Values as text of a column: what a person would write, where the type of the value is not of interest.

use super::json::{self, Form, push_double, push_hexadecimal, push_value};
use super::{Malformed, Value, date};

/// Appends a value as text: strings as they are, object ids as 24 digits, numbers as digits, dates of the years 1 to 9999
/// in ISO 8601 and UTC, everything else in relaxed extended JSON.
///
/// # Errors
/// A text is not UTF-8, or the value is not BSON.
pub(crate) fn text(value: &Value<'_>, out: &mut String) -> Result<(), Malformed> {
    match value {
        Value::String(bytes) | Value::Symbol(bytes) => {
            out.push_str(std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?);
        }
        Value::ObjectId(id) => push_hexadecimal(*id, out),
        Value::Double(number) => push_double(*number, out),
        Value::Decimal128(number) => out.push_str(&number.to_string()),
        Value::Date(milliseconds) if date::push_iso(*milliseconds, out) => {}
        Value::Date(_)
        | Value::Document(_)
        | Value::Array(_)
        | Value::Binary { .. }
        | Value::Undefined
        | Value::Boolean(_)
        | Value::Null
        | Value::Regex { .. }
        | Value::DbPointer { .. }
        | Value::Code(_)
        | Value::CodeWithScope { .. }
        | Value::Int32(_)
        | Value::Timestamp { .. }
        | Value::Int64(_)
        | Value::MinKey
        | Value::MaxKey => push_value(value, Form::Relaxed, out)?,
    }
    Ok(())
}

/// Appends a key as text, such that different keys are different texts: an object id is 24 lower-case hexadecimal digits, a
/// string is itself, and every other value is canonical extended JSON. A string that could be mistaken for one of the
/// others is in quotes, as JSON.
///
/// # Errors
/// A text is not UTF-8, or the value is not BSON.
pub(crate) fn id_text(value: &Value<'_>, out: &mut String) -> Result<(), Malformed> {
    if let Value::ObjectId(id) = value {
        push_hexadecimal(*id, out);
        return Ok(());
    }
    let Value::String(bytes) = value else { return push_value(value, Form::Canonical, out) };
    if is_ambiguous(bytes) {
        return json::push_text(bytes, out);
    }
    out.push_str(std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?);
    Ok(())
}

/// Whether a string looks like an object id, or like what JSON begins with.
fn is_ambiguous(text: &[u8]) -> bool {
    let is_object_id =
        text.len() == 24 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_object_id
        || matches!(text.first(), Some(b'{' | b'[' | b'"'))
        || matches!(text, b"true" | b"false" | b"null")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn id(value: &Value<'_>) -> String {
        let mut out = String::new();
        id_text(value, &mut out).unwrap();
        out
    }

    #[test]
    fn different_keys_are_different_texts() {
        let hexadecimal = "0123456789abcdef01234567";
        let object_id = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67];
        let keys = [
            (Value::ObjectId(&object_id), hexadecimal),
            (Value::String(hexadecimal.as_bytes()), "\"0123456789abcdef01234567\""),
            (Value::String(b"7"), "7"),
            (Value::Int32(7), "{\"$numberInt\":\"7\"}"),
            (Value::Int64(7), "{\"$numberLong\":\"7\"}"),
            (Value::String(b"{\"$numberInt\":\"7\"}"), "\"{\\\"$numberInt\\\":\\\"7\\\"}\""),
            (Value::Boolean(true), "true"),
            (Value::String(b"true"), "\"true\""),
            (Value::String(b"\"true\""), "\"\\\"true\\\"\""),
        ];
        for (key, expected) in keys {
            assert_eq!(id(&key), expected);
        }
    }

    #[test]
    fn values_as_a_person_writes_them() {
        for (value, expected) in [
            (Value::Date(0), "1970-01-01T00:00:00.000Z"),
            (Value::Date(i64::MAX), "{\"$date\":{\"$numberLong\":\"9223372036854775807\"}}"),
            (Value::Int64(-5), "-5"),
            (Value::Double(f64::INFINITY), "Infinity"),
            (Value::String(b"{"), "{"),
            (Value::Null, "null"),
        ] {
            let mut out = String::new();
            text(&value, &mut out).unwrap();
            assert_eq!(out, expected);
        }
    }
}
