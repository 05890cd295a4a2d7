//! Bytes exactly as CPython writes them: `json.dumps(value, separators=(",", ":")).encode()`.
//!
//! The signature covers the bytes, so the receiver would take any serialisation. Equal bytes are what a cutover is
//! checked by: for a while both senders run, and their bodies are compared.

use std::fmt::Write as _;

use super::json::Value;
use super::parser::{ParseError, parse};

/// The document that CPython writes for this value. All of it is ASCII.
///
/// A value that breaks the promises of its variant (see [`Value::broken_promise`]) is written all the same: a float
/// that is not finite as `null`, so that the document stays JSON, and an integer as the text it holds.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write_value(&mut out, value);
    out.into_bytes()
}

/// Reads a document and writes it again: what `json.dumps(json.loads(document), separators=(",", ":"))` gives.
///
/// # Errors
/// [`ParseError`] when the reader refuses the document; it refuses a little more than CPython does.
pub fn rewrite(document: &[u8]) -> Result<Vec<u8>, ParseError> {
    parse(document).map(|value| encode(&value))
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Integer(digits) => out.push_str(digits),
        Value::Float(number) => write_float(out, *number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(pairs) => {
            out.push('{');
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_value(out, value);
            }
            out.push('}');
        }
    }
}

/// Python's `ensure_ascii`: printable ASCII but `"` and `\` as it is, five short escapes, the rest as UTF-16 code
/// units in lower-case hexadecimal. U+007F is not printable and is escaped; `/` is left alone.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("writing to a string does not fail");
                }
            }
        }
    }
    out.push('"');
}

/// Python's `repr` of a float: the shortest digits that read back as the same number, with an exponent from 1e16
/// upwards and below 1e-4.
fn write_float(out: &mut String, number: f64) {
    if !number.is_finite() {
        out.push_str("null");
        return;
    }
    let scientific = shortest(number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if number.is_sign_negative() {
        out.push('-');
    }
    let magnitude = usize::try_from(exponent.unsigned_abs()).unwrap_or_default();
    if !(-4..16).contains(&exponent) {
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{first}{point}{rest}e{sign}{magnitude:02}")
            .expect("writing to a string does not fail");
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', magnitude - 1));
        out.push_str(first);
        out.push_str(rest);
    } else {
        out.push_str(first);
        // The point stands `magnitude` digits further right than in the scientific form.
        match rest.split_at_checked(magnitude) {
            Some((whole, fraction)) if !fraction.is_empty() => {
                out.push_str(whole);
                out.push('.');
                out.push_str(fraction);
            }
            _ => {
                out.push_str(rest);
                out.extend(std::iter::repeat_n('0', magnitude.saturating_sub(rest.len())));
                out.push_str(".0");
            }
        }
    }
}

/// The shortest digits that read back as this number: one digit, perhaps a point and more, `e`, the exponent.
///
/// Rust and Python agree on how many digits it takes. Where two texts of that length are equally near, Python's ends
/// in the even digit and Rust's may not: 811937579393639.25 is `….2` there and `….3` here. Rust's rounding to a given
/// number of digits takes the even one, so its text is taken when it reads back. Next to a power of two, where
/// floats below lie closer than those above, the nearest text may read back as the float below.
fn shortest(magnitude: f64) -> String {
    let shortest = format!("{magnitude:e}");
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let decimals = mantissa.len().saturating_sub(2);
    let nearest = format!("{magnitude:.decimals$e}");
    let reads_back = nearest.parse::<f64>().is_ok_and(|read| read.to_bits() == magnitude.to_bits());
    if reads_back { nearest } else { shortest }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    fn rewritten(document: &str) -> String {
        String::from_utf8(rewrite(document.as_bytes()).unwrap()).unwrap()
    }

    /// The three documents of the contract, section 1.1, with their lengths.
    #[test]
    fn reference_bodies() {
        let bodies = [
            (
                r#"{"source":"canvas","content_path":"canvas/course_content/123/abc.imscc","course_id":123}"#,
                88,
            ),
            (r#"{"video_id":"vid_abc123","delete":true}"#, 39),
            (r#"{"resources":[{"readable_id":"a","title":"Caf\u00e9"}]}"#, 55),
        ];
        for (body, length) in bodies {
            assert_eq!(rewritten(body), body);
            assert_eq!(body.len(), length, "{body}");
        }
        assert_eq!(rewritten("{\"title\" : \"Café\"}"), r#"{"title":"Caf\u00e9"}"#);
    }

    #[test]
    fn floats_are_written_as_repr_writes_them() {
        for (written, expected) in [
            ("1500000000.0", "1500000000.0"),
            ("1e22", "1e+22"),
            ("1e-7", "1e-07"),
            ("1e16", "1e+16"),
            ("9999999999999998.0", "9999999999999998.0"),
            ("123456789012345680.0", "1.2345678901234568e+17"),
            ("0.0001", "0.0001"),
            ("0.00012345", "0.00012345"),
            ("0.00001", "1e-05"),
            ("0.1", "0.1"),
            ("5.28", "5.28"),
            ("0.0", "0.0"),
            ("-0.0", "-0.0"),
            ("-2.5e-300", "-2.5e-300"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            // Two texts are equally near: the even digit.
            ("811937579393639.25", "811937579393639.2"),
            ("811937579393639.75", "811937579393639.8"),
            ("2116273580765243.25", "2116273580765243.2"),
            // The nearest text of this length is below the power of two and does not read back.
            ("5.684341886080801486968994140625e-14", "5.684341886080802e-14"),
            ("9.5367431640625e-07", "9.5367431640625e-07"),
            ("100e0", "100.0"),
            ("1756000000.123456", "1756000000.123456"),
            ("0.1000000000000000055511151231257827", "0.1"),
        ] {
            assert_eq!(rewritten(written), expected, "{written}");
        }
    }

    #[test]
    fn texts_are_written_in_ascii() {
        let value = Value::from("\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}~\u{7f}\u{80}é\u{2028}\u{ffff}😀");
        let expected =
            r#""\"\\/\b\f\n\r\t\u0000\u001f~\u007f\u0080\u00e9\u2028\uffff\ud83d\ude00""#;
        assert_eq!(encode(&value), expected.as_bytes());
    }

    #[test]
    fn a_number_that_json_cannot_say_is_null() {
        assert_eq!(encode(&Value::Float(f64::NAN)), b"null");
        assert_eq!(encode(&Value::Float(f64::NEG_INFINITY)), b"null");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            "-?[1-9][0-9]{0,60}|0".prop_map(Value::Integer),
            any::<u64>().prop_filter_map("finite", |bits| Value::float(f64::from_bits(bits))),
            any::<f64>().prop_filter_map("finite", Value::float),
            any::<String>().prop_map(Value::String),
            "[\u{0}-\u{ff}\u{1f600}-\u{1f64f}]{0,12}".prop_map(Value::String),
        ];
        leaf.prop_recursive(6, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec((any::<String>(), inner), 0..6).prop_map(Value::object),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in values()) {
            let document = encode(&value);
            prop_assert!(document.is_ascii());
            let read = parse(&document).unwrap();
            prop_assert_eq!(&read, &value);
            // Equality does not see the sign of a zero; the bytes do.
            prop_assert_eq!(encode(&read), document);
        }

        #[test]
        fn any_bytes_are_a_document_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(document) = rewrite(&bytes) {
                prop_assert_eq!(rewrite(&document).unwrap(), document);
            }
        }
    }
}
