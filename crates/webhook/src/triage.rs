//! What an answer means. Pure: answers in, a verdict or a question out.
//!
//! MIT Learn sends every client error of a POST through Django's error handlers to a view that takes
//! GET only, so that five different mistakes come back as the same `405`:
//!
//! | what is wrong | status | `Allow` |
//! |---|---|---|
//! | the secret | 405 | GET and OPTIONS |
//! | the route, or its trailing slash | 405 | GET and OPTIONS |
//! | the payload of content_files | 405 | GET and OPTIONS |
//! | the body is larger than 2,621,440 bytes | 405 | GET and OPTIONS |
//! | the method, on a real route | 405 | POST |
//!
//! An `Allow` without POST therefore says only *which handler answered*. Two harmless requests tell
//! the rest: a **signed, malformed body** (`{`) reaches JSON parsing, after signature and route, and
//! before anything is enqueued; and a **GET** of the route needs no signature.
//!
//! | signed `{` | GET | verdict |
//! |---|---|---|
//! | 400 | – | secret and route are right: the payload was refused (or is too large) |
//! | 405 | 404 | the route is missing |
//! | 405 | 405 with `Allow: POST` | the secret is wrong |
//!
//! `Allow` is a set: its order differs from process to process of the receiver. HEAD cannot stand in
//! for GET (it is 405 on a missing route), and the URL must be exact (a route without its slash
//! answers GET with 301).

use std::time::Duration;

use crate::error::{Definite, Error, Transient};

/// The largest body that MIT Learn takes, in bytes: Django's `DATA_UPLOAD_MAX_MEMORY_SIZE`.
pub const LARGEST_BODY_BYTES: usize = 2_621_440;

/// An answer, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The methods of the header `Allow`, in upper case; absent when there is no such header.
    pub allow: Option<Vec<String>>,
    /// How long it asks us to wait.
    pub retry_after: Option<Duration>,
    /// The beginning of its body.
    pub body: Vec<u8>,
    /// Whether the body went on.
    pub is_truncated: bool,
}

impl Answer {
    /// Whether the answer names POST among the methods that are allowed.
    #[must_use]
    pub fn allows_post(&self) -> bool {
        self.allow.as_ref().is_some_and(|methods| methods.iter().any(|method| method == "POST"))
    }
}

/// The methods of an `Allow` header.
#[must_use]
pub fn parse_allow(text: &str) -> Vec<String> {
    text.split(',')
        .map(|method| method.trim().to_ascii_uppercase())
        .filter(|method| !method.is_empty())
        .collect()
}

/// What an answer to a message says.
#[derive(Debug)]
pub enum Verdict {
    /// The receiver took it.
    Delivered,
    /// It did not, for this reason.
    Failed(Error),
    /// It did not, and only questions can tell why.
    Ask,
}

/// Reads the answer to a message of `body_bytes`, sent to `route`.
#[must_use]
pub fn read(answer: &Answer, route: &str, body_bytes: usize) -> Verdict {
    let status = answer.status;
    let failed = |error: Error| Verdict::Failed(error.with("status", status));
    match status {
        200..=299 => Verdict::Delivered,
        300..=399 => failed(Error::new(Definite::Redirected).with("route", route)),
        400 | 422 => failed(refused(answer)),
        401 | 403 | 407 => failed(Error::new(Definite::Forbidden).with("route", route)),
        404 | 410 => failed(Error::new(Definite::RouteMissing).with("route", route)),
        // Without an Allow, which a gateway may strip, nothing is known: it is asked.
        405 if !answer.allows_post() => Verdict::Ask,
        408 | 425 => failed(Error::new(Transient::ReceiverNotReady)),
        413 => failed(Error::new(Definite::PayloadTooLarge).with("body_bytes", body_bytes)),
        429 => failed(Error::new(Transient::Throttled)),
        500..=599 => failed(Error::new(Transient::ReceiverFailing)),
        _other => failed(Error::new(Definite::RequestRefused).with("route", route)),
    }
}

/// What the answer to the signed, malformed body says.
#[derive(Debug)]
pub enum Probe {
    /// Secret and route are right.
    Healthy,
    /// The same 405 as before: secret or route.
    Refused,
    /// Something else: weather, a gateway, another address.
    Failed(Error),
}

/// Reads the answer to the signed, malformed body.
#[must_use]
pub fn read_probe(answer: &Answer, route: &str) -> Probe {
    if answer.status == 400 {
        return Probe::Healthy;
    }
    match read(answer, route, 1) {
        Verdict::Ask => Probe::Refused,
        Verdict::Failed(error) => Probe::Failed(error),
        // Malformed JSON that is taken: this is not the receiver we know.
        Verdict::Delivered => Probe::Failed(Error::new(Transient::TriageInterrupted)),
    }
}

/// What the answer to a GET of the route says, when the probe was refused: the verdict.
#[must_use]
pub fn read_get(answer: &Answer, route: &str) -> Error {
    match answer.status {
        404 => Error::new(Definite::RouteMissing).with("route", route),
        405 if answer.allows_post() => Error::new(Definite::SecretWrong).with("route", route),
        status => Error::new(Transient::TriageInterrupted).with("get_status", status),
    }
}

/// The verdict when secret and route are right and the payload was refused all the same.
#[must_use]
pub fn payload_refused(body_bytes: usize) -> Error {
    if body_bytes > LARGEST_BODY_BYTES {
        return Error::new(Definite::PayloadTooLarge).with("body_bytes", body_bytes);
    }
    Error::new(Definite::PayloadRefused).advise(
        "MIT Learn does not say which field; check source, course_id, course_readable_id and \
         content_path against what its serializer takes.",
    )
}

/// The fields that a 400 names: the keys of its JSON object, never what they hold.
fn refused(answer: &Answer) -> Error {
    let error = Error::new(Definite::PayloadRefused);
    let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(&answer.body) else {
        return error;
    };
    let fields: Vec<String> = object
        .keys()
        .filter(|key| !matches!(key.as_str(), "error_type" | "detail" | "status"))
        .take(20)
        .map(|key| key.chars().filter(|letter| !letter.is_control()).take(60).collect())
        .collect();
    if fields.is_empty() { error } else { error.with("fields", fields.join(", ")) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;
    use crate::error::Failure;

    fn answer(status: u16, allow: Option<&str>, body: &str) -> Answer {
        Answer {
            status,
            allow: allow.map(parse_allow),
            body: body.as_bytes().to_vec(),
            ..Answer::default()
        }
    }

    fn failure(answer: &Answer) -> Failure {
        match read(answer, "/r/", 10) {
            Verdict::Failed(error) => error.failure(),
            other @ (Verdict::Delivered | Verdict::Ask) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_status_has_a_verdict() {
        assert!(matches!(read(&answer(200, None, "<html>"), "/r/", 1), Verdict::Delivered));
        let ask = answer(405, Some("OPTIONS, GET"), "");
        assert!(matches!(read(&ask, "/r/", 1), Verdict::Ask));
        let cases: &[(u16, Option<&str>, Failure)] = &[
            (301, None, Definite::Redirected.into()),
            (400, Some("POST"), Definite::PayloadRefused.into()),
            (401, None, Definite::Forbidden.into()),
            (403, None, Definite::Forbidden.into()),
            (404, None, Definite::RouteMissing.into()),
            (405, Some("POST"), Definite::RequestRefused.into()),
            (408, None, Transient::ReceiverNotReady.into()),
            (410, None, Definite::RouteMissing.into()),
            (413, None, Definite::PayloadTooLarge.into()),
            (418, None, Definite::RequestRefused.into()),
            (425, None, Transient::ReceiverNotReady.into()),
            (429, None, Transient::Throttled.into()),
            (500, None, Transient::ReceiverFailing.into()),
            (503, None, Transient::ReceiverFailing.into()),
        ];
        for (status, allow, expected) in cases {
            assert_eq!(failure(&answer(*status, *allow, "")), *expected, "{status} {allow:?}");
        }
    }

    #[test]
    fn two_questions_tell_the_cases_of_405_apart() {
        let handler = || answer(405, Some("GET, OPTIONS"), "");
        let healthy = answer(400, Some("POST, OPTIONS"), "Invalid JSON format");
        assert!(matches!(read_probe(&healthy, "/r/"), Probe::Healthy));
        assert!(matches!(read_probe(&handler(), "/r/"), Probe::Refused));
        assert!(matches!(read_probe(&answer(405, None, ""), "/r/"), Probe::Refused));
        let failure = |status| match read_probe(&answer(status, None, ""), "/r/") {
            Probe::Failed(error) => error.failure(),
            other @ (Probe::Healthy | Probe::Refused) => panic!("{other:?}"),
        };
        assert_eq!(failure(502), Transient::ReceiverFailing.into());
        assert_eq!(failure(301), Definite::Redirected.into());
        assert_eq!(failure(403), Definite::Forbidden.into());
        assert_eq!(failure(200), Transient::TriageInterrupted.into());
        let get = |status, allow| read_get(&answer(status, allow, ""), "/r/").failure();
        assert_eq!(get(404, Some("GET, OPTIONS")), Definite::RouteMissing.into());
        assert_eq!(get(405, Some("POST")), Definite::SecretWrong.into());
        assert_eq!(get(200, None), Transient::TriageInterrupted.into());
        assert_eq!(payload_refused(10).failure(), Definite::PayloadRefused.into());
        assert_eq!(
            payload_refused(LARGEST_BODY_BYTES + 1).failure(),
            Definite::PayloadTooLarge.into()
        );
    }

    #[test]
    fn refused_fields_are_named_and_their_values_are_not() {
        let body = r#"{"key":["secret value"],"sources":["x"],"error_type":"ValidationError"}"#;
        let Verdict::Failed(error) = read(&answer(400, Some("POST, OPTIONS"), body), "/r/", 1)
        else {
            panic!("a 400 is a failure");
        };
        assert_eq!(error.fact("fields"), Some("key, sources"));
        assert!(!error.to_string().contains("secret value"));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(
            status in any::<u16>(), allow in prop::option::of(".{0,40}"), body in any::<Vec<u8>>(),
        ) {
            let answer = Answer { status, allow: allow.as_deref().map(parse_allow), body, ..Answer::default() };
            let _ = (read(&answer, "/r/", 0), read_probe(&answer, "/r/"), read_get(&answer, "/r/"));
        }
    }
}
