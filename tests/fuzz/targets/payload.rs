//! A line of JSON, as `ol-webhook send` reads it from standard input.
//!
//! A first line that is a bare word is the source of `--source`.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ol_fuzz::payload::python::{encode, rewrite};
use ol_fuzz::payload::{
    BuildOptions, ChunkLimit, Kind, MAXIMUM_BODY_BYTES, Payload, Problem, Severity, Value, build,
    build_batch, identity, parse, tombstone,
};
use ol_fuzz::receiver::{Receiver, python_json};
use ol_fuzz::signature::LEGACY_HEADER;
use ol_fuzz::{OVS_HOST, keyring};

thread_local! {
    static RECEIVER: RefCell<Receiver> =
        RefCell::new(Receiver::new(keyring("supersecret").unwrap()));
}

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
    let options = BuildOptions {
        source: source.map(str::to_owned),
        now_seconds: 1_700_000_000.25,
        ovs_allowed_hosts: vec![OVS_HOST.to_owned()],
    };
    for kind in Kind::ALL {
        match build(kind, value.clone(), &options) {
            Ok(payload) => built(kind, &payload, &options),
            Err(problems) => refused(&problems),
        }
    }
    if let Some(items) = value.as_array().or_else(|| value.get("resources")?.as_array()) {
        let first = items.first().and_then(|item| item.get("etl_source")?.as_str());
        batch(source.or(first).unwrap_or("oll"), items.to_vec());
    }
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

fn built(kind: Kind, payload: &Payload, options: &BuildOptions) {
    assert_eq!((payload.kind, payload.is_tombstone), (kind, kind.is_tombstone()));
    assert_eq!(payload.scope, identity::scope(kind, &payload.source));
    assert!(payload.entity.starts_with(&payload.scope));
    assert!(payload.body.len() <= MAXIMUM_BODY_BYTES);
    assert!(payload.content_hash.len() == 64);
    assert!(payload.warnings.iter().all(|problem| problem.severity == Severity::Warning));
    one_line_each(&payload.warnings);
    let body = parse(&payload.body).expect("a body is JSON");
    assert_eq!(rewrite(&payload.body).unwrap(), payload.body);

    // What was built is built again from itself.
    let again = build(kind, body, options).expect("a body is a payload");
    assert_eq!(again.body, payload.body);
    assert_eq!(again.content_hash, payload.content_hash);

    match tombstone(&payload.scope, &payload.identity) {
        Ok(gone) => {
            assert!(gone.is_tombstone && kind != Kind::LearningResources);
            assert_eq!(gone.entity, payload.entity);
            assert!(!payload.is_tombstone || gone.body == payload.body);
        }
        Err(problems) => {
            assert!(!payload.is_tombstone);
            refused(&problems);
        }
    }
    let told = RECEIVER.with_borrow(|receiver| {
        let signature = keyring("supersecret").unwrap().legacy(0, &payload.body).unwrap();
        let headers = [(LEGACY_HEADER.to_owned(), signature)];
        receiver.ask("POST", kind.route(), &headers, &payload.body).unwrap()
    });
    assert_eq!(told.status, 200, "{kind}: {}", String::from_utf8_lossy(&told.body));
}

fn refused(problems: &[Problem]) {
    assert!(problems.iter().any(|problem| problem.severity == Severity::Refusal));
    one_line_each(problems);
}

fn one_line_each(problems: &[Problem]) {
    for problem in problems {
        assert!(problem.field.chars().count() <= 101, "{problem}");
        assert!(!problem.to_string().chars().any(char::is_control), "{problem}");
    }
}

/// Nothing is lost between parts, and each is within its limit.
fn batch(source: &str, items: Vec<Value>) {
    let limit = ChunkLimit { count: 2, bytes: 2048 };
    let count = items.len();
    match build_batch(source, items, limit) {
        Ok(batch) => {
            let mut sent = 0;
            for part in &batch.parts {
                assert!(part.body.len() <= limit.bytes);
                let body = parse(&part.body).unwrap();
                let resources = body.get("resources").unwrap().as_array().unwrap().len();
                assert!((1..=limit.count).contains(&resources));
                sent += resources;
            }
            assert_eq!(sent, count);
            one_line_each(&batch.warnings);
        }
        Err(problems) => refused(&problems),
    }
}
