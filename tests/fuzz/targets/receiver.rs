//! Requests to the receiver, read to their end. Every one is answered as Learn would, and from its answers the sender
//! finds the true cause.
//!
//! The first line is method and target. With `sign: right` or `sign: wrong` the sender signs the body, by the receiver's
//! secret or by another.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ol_fuzz::error::{Definite, Failure, Transient};
use ol_fuzz::receiver::{Fault, Receiver, Told};
use ol_fuzz::signature::{Keyring, LEGACY_HEADER};
use ol_fuzz::triage::{self, Answer, Probe, Verdict, parse_allow};
use ol_fuzz::{Message, keyring};

fuzz_target!(|bytes: &[u8]| {
    let Some(message) = Message::read(bytes) else { return };
    let (method, target) = message.first.split_once(' ').unwrap_or(("POST", message.first));
    let receiver = Receiver::new(keyring("supersecret").unwrap());
    if Receiver::is_control(target) {
        control(&receiver, method, target, message.body);
        return;
    }
    let Some(told) = receiver.ask(method, target, &message.headers, message.body) else { return };
    answered(&told);
    assert_eq!(receiver.ask(method, target, &message.headers, message.body), Some(told));
    let mut names = message.headers.iter().map(|(name, _)| name);
    if method == "POST" && !names.any(|name| name.eq_ignore_ascii_case(LEGACY_HEADER)) {
        let told = receiver.ask(method, target, &message.headers, message.body).unwrap();
        assert_eq!(told.status, 405, "nothing unsigned is taken");
    }
    match message.header("sign") {
        Some("right") => send(&receiver, "supersecret", target, message.body),
        Some("wrong") => send(&receiver, "another", target, message.body),
        _ => {}
    }
});

fn answered(told: &Told) {
    assert!([200, 301, 400, 404, 405, 500].contains(&told.status), "{told:?}");
    assert!(told.status != 405 || told.allow.is_some(), "{told:?}");
}

fn signed(keyring: &Keyring, body: &[u8]) -> Vec<(String, String)> {
    vec![(LEGACY_HEADER.to_owned(), keyring.legacy(0, body).unwrap())]
}

/// Sends as `ol-webhook` does, asks where it would ask, and holds the verdict against the truth.
fn send(receiver: &Receiver, secret: &str, target: &str, body: &[u8]) {
    let keyring = keyring(secret).unwrap();
    let (is_right, has_route) = (secret == "supersecret", receiver.has_route(target));
    let ask = |method, headers: &[(String, String)], body: &[u8]| {
        let told = receiver.ask(method, target, headers, body).unwrap();
        answered(&told);
        Answer {
            status: told.status,
            allow: told.allow.map(parse_allow),
            body: told.body,
            ..Answer::default()
        }
    };
    match triage::read(&ask("POST", &signed(&keyring, body), body), target, body.len()) {
        Verdict::Delivered => assert!(is_right && has_route),
        Verdict::Failed(error) => {
            assert!(is_right && has_route, "{error}");
            let is_text = std::str::from_utf8(body).is_ok();
            let expected: Failure = if is_text {
                Definite::PayloadRefused.into()
            } else {
                Transient::ReceiverFailing.into()
            };
            assert_eq!(error.failure(), expected);
        }
        Verdict::Ask => {
            let probe = ask("POST", &signed(&keyring, b"{"), b"{");
            match triage::read_probe(&probe, target) {
                Probe::Healthy => assert!(is_right && has_route),
                Probe::Refused => {
                    let get = ask("GET", &[], b"");
                    let found = triage::read_get(&get, target).failure();
                    if found == Definite::SecretWrong.into() {
                        assert!(!is_right && has_route);
                    } else if found == Definite::RouteMissing.into() {
                        assert!(!has_route);
                    } else {
                        assert_eq!((found, get.status), (Transient::TriageInterrupted.into(), 301));
                        assert!(!has_route);
                    }
                }
                Probe::Failed(error) => panic!("{error}"),
            }
        }
    }
}

/// Faults that are taken come back as texts that make the same faults.
fn control(receiver: &Receiver, method: &str, target: &str, body: &[u8]) {
    let ask = |method: &str, target: &str, body: &[u8]| receiver.ask(method, target, &[], body);
    let Some(told) = ask(method, target, body) else { return };
    assert!([200, 400, 404].contains(&told.status), "{told:?}");
    let document: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    let Some(faults) = document.get("faults") else { return };
    for text in faults.as_array().unwrap() {
        let text = text.as_str().unwrap();
        let fault: Fault = text.parse().unwrap();
        assert_eq!(fault.to_string(), text);
    }
    let faults = serde_json::to_vec(faults).unwrap();
    let again = ask("POST", "/__control__/faults", &faults).unwrap();
    assert_eq!((again.status, &again.body), (200, &told.body));
    // Whatever is in force, requests are answered.
    let body = br#"{"source":"canvas","content_path":"a","course_id":2198}"#;
    let headers = signed(&keyring("supersecret").unwrap(), body);
    let told = receiver.ask("POST", "/api/v1/webhooks/content_files/", &headers, body).unwrap();
    assert!([200, 405].contains(&told.status));
}
