//! Extended JSON, version 2: canonical, which keeps every type, and relaxed, in which common numbers and dates are plain
//! ("MongoDB Extended JSON (v2)", table "Conversion table").
//!
//! Of three things the text says less than the bytes: the payload of a decimal or double that is not a number, the second
//! length in old binary data, and which of two documents it was when one has the names that stand for a type (`$oid`).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Document, Malformed, Value, date};

/// Documents in documents; a server allows 100.
const DEEPEST: usize = 256;

/// How much a text says of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Everything.
    Canonical,
    /// Not the width of numbers, nor whether a number was a double.
    Relaxed,
}

/// Appends a value.
pub(crate) fn push_value(value: &Value<'_>, form: Form, out: &mut String) -> Result<(), Malformed> {
    push_at(value, form, 0, out)
}

/// Appends a text in quotes.
///
/// # Errors
/// It is not UTF-8.
pub(crate) fn push_text(bytes: &[u8], out: &mut String) -> Result<(), Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?;
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => put(out, format_args!("\\u{:04x}", u32::from(character))),
            other => out.push(other),
        }
    }
    out.push('"');
    Ok(())
}

/// Appends what cannot fail: a string takes everything.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(text);
}

fn push_nested(
    document: Document<'_>,
    form: Form,
    depth: usize,
    out: &mut String,
) -> Result<(), Malformed> {
    out.push('{');
    for (index, element) in document.elements().enumerate() {
        let element = element?;
        if index > 0 {
            out.push(',');
        }
        push_text(element.name, out)?;
        out.push(':');
        push_at(&element.value, form, depth + 1, out)?;
    }
    out.push('}');
    Ok(())
}

fn push_array(
    array: Document<'_>,
    form: Form,
    depth: usize,
    out: &mut String,
) -> Result<(), Malformed> {
    out.push('[');
    for (index, element) in array.elements().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_at(&element?.value, form, depth + 1, out)?;
    }
    out.push(']');
    Ok(())
}

fn push_at(value: &Value<'_>, form: Form, depth: usize, out: &mut String) -> Result<(), Malformed> {
    if depth > DEEPEST {
        return Err(Malformed::TooDeep);
    }
    let is_relaxed = form == Form::Relaxed;
    match *value {
        Value::Double(number) if is_relaxed && number.is_finite() => push_double(number, out),
        Value::Double(number) => {
            out.push_str("{\"$numberDouble\":\"");
            push_double(number, out);
            out.push_str("\"}");
        }
        Value::String(text) => push_text(text, out)?,
        Value::Document(document) => push_nested(document, form, depth, out)?,
        Value::Array(array) => push_array(array, form, depth, out)?,
        Value::Binary { subtype, bytes } => {
            out.push_str("{\"$binary\":{\"base64\":\"");
            STANDARD.encode_string(bytes, out);
            put(out, format_args!("\",\"subType\":\"{subtype:02x}\"}}}}"));
        }
        Value::Undefined => out.push_str("{\"$undefined\":true}"),
        Value::ObjectId(id) => push_object_id(id, out),
        Value::Boolean(value) => out.push_str(if value { "true" } else { "false" }),
        Value::Date(milliseconds) => {
            let mut iso = String::new();
            // The relaxed form is for the years that every parser knows.
            if is_relaxed && milliseconds >= 0 && date::push_iso(milliseconds, &mut iso) {
                put(out, format_args!("{{\"$date\":\"{iso}\"}}"));
            } else {
                put(out, format_args!("{{\"$date\":{{\"$numberLong\":\"{milliseconds}\"}}}}"));
            }
        }
        Value::Null => out.push_str("null"),
        Value::Regex { pattern, options } => {
            out.push_str("{\"$regularExpression\":{\"pattern\":");
            push_text(pattern, out)?;
            out.push_str(",\"options\":");
            push_text(options, out)?;
            out.push_str("}}");
        }
        Value::DbPointer { namespace, id } => {
            out.push_str("{\"$dbPointer\":{\"$ref\":");
            push_text(namespace, out)?;
            out.push_str(",\"$id\":");
            push_object_id(id, out);
            out.push_str("}}");
        }
        Value::Code(code) => push_named("$code", code, out)?,
        Value::Symbol(text) => push_named("$symbol", text, out)?,
        Value::CodeWithScope { code, scope } => {
            out.push_str("{\"$code\":");
            push_text(code, out)?;
            out.push_str(",\"$scope\":");
            push_nested(scope, form, depth + 1, out)?;
            out.push('}');
        }
        Value::Int32(number) if is_relaxed => put(out, format_args!("{number}")),
        Value::Int32(number) => put(out, format_args!("{{\"$numberInt\":\"{number}\"}}")),
        Value::Int64(number) if is_relaxed => put(out, format_args!("{number}")),
        Value::Int64(number) => put(out, format_args!("{{\"$numberLong\":\"{number}\"}}")),
        Value::Timestamp { seconds, ordinal } => {
            put(out, format_args!("{{\"$timestamp\":{{\"t\":{seconds},\"i\":{ordinal}}}}}"));
        }
        Value::Decimal128(number) => put(out, format_args!("{{\"$numberDecimal\":\"{number}\"}}")),
        Value::MinKey => out.push_str("{\"$minKey\":1}"),
        Value::MaxKey => out.push_str("{\"$maxKey\":1}"),
    }
    Ok(())
}

/// Appends the shortest text that reads back as the same number.
pub(super) fn push_double(number: f64, out: &mut String) {
    if number.is_nan() {
        out.push_str("NaN");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        put(out, format_args!("{number:?}"));
    }
}

fn push_object_id(id: &[u8; 12], out: &mut String) {
    out.push_str("{\"$oid\":\"");
    push_hexadecimal(id, out);
    out.push_str("\"}");
}

/// Appends two digits a byte.
pub(crate) fn push_hexadecimal(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        put(out, format_args!("{byte:02x}"));
    }
}

/// The bytes that an even number of digits stands for.
pub(crate) fn parse_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .bytes()
        .map(|digit| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).filter_map(<[u8]>::first_chunk).map(|[a, b]| a << 4 | b).collect())
}

fn push_named(name: &str, text: &[u8], out: &mut String) -> Result<(), Malformed> {
    put(out, format_args!("{{\"{name}\":"));
    push_text(text, out)?;
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::super::Builder;
    use super::*;

    fn canonical(value: &Value<'_>) -> String {
        let mut text = String::new();
        push_value(value, Form::Canonical, &mut text).unwrap();
        text
    }

    fn relaxed(value: &Value<'_>) -> String {
        let mut text = String::new();
        push_value(value, Form::Relaxed, &mut text).unwrap();
        text
    }

    #[test]
    fn common_values_are_plain_in_the_relaxed_form_alone() {
        for (value, exact, plain) in [
            (Value::Int32(-1), r#"{"$numberInt":"-1"}"#, "-1"),
            (
                Value::Int64(i64::MAX),
                r#"{"$numberLong":"9223372036854775807"}"#,
                "9223372036854775807",
            ),
            (Value::Double(-0.0), r#"{"$numberDouble":"-0.0"}"#, "-0.0"),
            (Value::Double(1e300), r#"{"$numberDouble":"1e300"}"#, "1e300"),
            (
                Value::Date(1),
                r#"{"$date":{"$numberLong":"1"}}"#,
                r#"{"$date":"1970-01-01T00:00:00.001Z"}"#,
            ),
        ] {
            assert_eq!((canonical(&value).as_str(), relaxed(&value).as_str()), (exact, plain));
        }
        for value in
            [Value::Double(f64::NAN), Value::Date(-1), Value::Date(i64::MAX), Value::MinKey]
        {
            assert_eq!(canonical(&value), relaxed(&value));
        }
    }

    #[test]
    fn names_and_texts_are_escaped() {
        let bytes = Builder::new().string("a\"\u{1}", "\u{2028}\\\n").build();
        let mut text = String::new();
        let document = Value::Document(Document::new(&bytes).unwrap());
        push_value(&document, Form::Canonical, &mut text).unwrap();
        assert_eq!(text, "{\"a\\\"\\u0001\":\"\u{2028}\\\\\\n\"}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["a\"\u{1}"], "\u{2028}\\\n");
        assert_eq!(push_text(&[0xff], &mut text), Err(Malformed::NotUtf8));
    }

    #[test]
    fn what_is_nested_without_end_is_refused() {
        let nested = (0..300).fold(Builder::new(), |inner, _| Builder::new().document("a", inner));
        let bytes = nested.build();
        let document = Value::Document(Document::new(&bytes).unwrap());
        let read = push_value(&document, Form::Canonical, &mut String::new());
        assert_eq!(read, Err(Malformed::TooDeep));
    }
}
