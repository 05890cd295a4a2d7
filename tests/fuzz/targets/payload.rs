//! A line of JSON, as `ol-webhook send` reads it from standard input.
//!
//! A first line that is a bare word is the source of `--source`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ol_fuzz::payload::python::encode;
use ol_fuzz::payload::{Value, parse};
use ol_fuzz::payloads::build_all;
use ol_fuzz::receiver::python_json;

fuzz_target!(|bytes: &[u8]| {
    let (source, document) = configured(bytes);
    let python = python_json(document);
    let value = match parse(document) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.offset_bytes <= document.len() && error.line >= 1);
            // We refuse no JSON that others read, but for depth.
            let strict: Option<serde_json::Value> = serde_json::from_slice(document).ok();
            assert!(strict.is_none() || error.reason.starts_with("Nested"), "{error}");
            return;
        }
    };
    written_and_read_again(&value, document);
    if !has_giant(&value) {
        assert!(is_same(&value, &python.expect("what we take the receiver can read")));
    }
    build_all(&value, source);
});

fn configured(bytes: &[u8]) -> (Option<&str>, &[u8]) {
    let split = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (line, rest) = bytes.split_at(split);
    let is_word = line.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    match std::str::from_utf8(line) {
        Ok(word) if is_word && !word.is_empty() => (Some(word), &rest[1..]),
        _ => (None, bytes),
    }
}

fn written_and_read_again(value: &Value, document: &[u8]) {
    assert_eq!(value.broken_promise(), None);
    let written = encode(value);
    assert!(written.is_ascii());
    assert!(written.len() <= 6 * document.len() + 2, "bounded by what was read");
    let read = parse(&written).expect("what is written can be read");
    assert_eq!(&read, value);
    // Equality does not see the sign of a zero; the bytes do.
    assert_eq!(encode(&read), written);
    if matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_)) {
        for cut in (0..written.len()).step_by(written.len() / 16 + 1) {
            assert!(parse(&written[..cut]).is_err(), "cut at {cut}");
        }
    }
}

/// Whether it holds an integer that is too long for the receiver's stand-in of Python, though not for Python.
fn has_giant(value: &Value) -> bool {
    match value {
        Value::Integer(digits) => digits.len() > 300,
        Value::Array(items) => items.iter().any(has_giant),
        Value::Object(pairs) => pairs.iter().any(|(_, value)| has_giant(value)),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::String(_) => false,
    }
}

fn is_same(ours: &Value, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Theirs;
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => true,
        (Value::Bool(one), Theirs::Bool(other)) => one == other,
        (Value::Integer(digits), Theirs::Number(number)) if number.is_f64() => {
            digits.parse().ok() == number.as_f64()
        }
        (Value::Integer(digits), Theirs::Number(number)) => *digits == number.to_string(),
        (Value::Float(one), Theirs::Number(number)) => {
            number.as_f64().is_some_and(|other| one.to_bits() == other.to_bits())
        }
        (Value::String(one), Theirs::String(other)) => one == other,
        (Value::Array(ones), Theirs::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(ones), Theirs::Object(others)) => {
            let mut pairs = ones.iter().zip(others);
            ones.len() == others.len()
                && pairs.all(|((a, one), (b, other))| a == b && is_same(one, other))
        }
        _ => false,
    }
}
