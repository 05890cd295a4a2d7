//! The panic hook; alone in its process, as a hook is the process's.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::io::Write as _;

use base64::Engine as _;
use ol_pipes::{CONTEXT_VARIABLE, MESSAGES_VARIABLE, Pipes};
use serde_json::{Value, json};

fn encode(value: &Value) -> OsString {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(value.to_string().as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap()).into()
}

/// What `closed` says after the panic.
fn exception_after(panic: fn()) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    let variables = vec![
        (CONTEXT_VARIABLE.into(), encode(&json!({"data": {"run_id": "r"}}))),
        (MESSAGES_VARIABLE.into(), encode(&json!({ "path": path }))),
    ];
    let pipes = Pipes::open_with(variables, &[]).unwrap();
    pipes.install_panic_hook();
    let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(panic).unwrap();
    thread.join().unwrap_err();
    pipes.close(None).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), 2, "opened and one closed: {text}");
    let closed: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    closed["params"]["exception"].clone()
}

#[test]
fn a_panic_is_reported_by_its_place_and_its_text_only_when_that_is_a_literal() {
    let exception = exception_after(|| panic!("the disk is full"));
    let message = exception["message"].as_str().unwrap();
    assert!(message.starts_with("Panic at crates/pipes/tests/panic.rs:"), "{message}");
    assert!(message.ends_with(" on thread worker: the disk is full"), "{message}");
    assert_eq!(exception["name"], "Panic");
    assert!(exception["stack"][0].as_str().unwrap().contains("panic.rs:"));

    let exception = exception_after(|| {
        let value = std::env::args().count() + 41_000_000;
        panic!("a row holds {value}");
    });
    let message = exception["message"].as_str().unwrap();
    assert!(message.ends_with(" on thread worker"), "{message}");
    assert!(!exception.to_string().contains("4100000"), "{exception}");
}
