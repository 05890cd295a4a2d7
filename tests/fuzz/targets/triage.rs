//! Answers: what each means, and that nothing of a body but names of fields is repeated.
//!
//! The first line is the status, the header `allow` counts, the rest is the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ol_fuzz::Message;
use ol_fuzz::error::{Definite, Error, Failure, Transient};
use ol_fuzz::triage::{Answer, Probe, Verdict, parse_allow, read, read_get, read_probe};

const ROUTE: &str = "/api/v1/webhooks/content_files/";

fuzz_target!(|bytes: &[u8]| {
    let Some(message) = Message::read(bytes) else { return };
    let allow = message.header("allow").map(parse_allow);
    if let Some(methods) = &allow {
        assert_eq!(&parse_allow(&methods.join(" , ")), methods, "read, written, read");
        let is_method = |method: &String| !method.is_empty() && !method.contains([',', ' ']);
        assert!(methods.iter().all(|method| is_method(method) || method.contains(' ')));
        assert!(!methods.iter().any(|method| method.bytes().any(|byte| byte.is_ascii_lowercase())));
    }
    let status = message.first.parse().unwrap_or(400);
    let answer = Answer { status, allow, body: message.body.to_vec(), ..Answer::default() };
    let told = tell(&answer);

    // `Allow` is a set, and a verdict depends on the names of a body's fields alone.
    let mut other = answer.clone();
    if let Some(methods) = &mut other.allow {
        methods.reverse();
        methods.extend_from_within(..);
    }
    if let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_slice(&other.body) {
        fields.values_mut().for_each(|value| *value = serde_json::json!(["a value"]));
        other.body = serde_json::to_vec(&fields).unwrap();
    }
    assert_eq!(tell(&other), told);
});

/// All that the three readers say.
fn tell(answer: &Answer) -> [String; 3] {
    let verdict = match read(answer, ROUTE, 10) {
        Verdict::Delivered => {
            assert!((200..=299).contains(&answer.status));
            "delivered".to_owned()
        }
        Verdict::Ask => {
            assert!(answer.status == 405 && !answer.allows_post());
            "ask".to_owned()
        }
        Verdict::Failed(error) => {
            assert!(!(200..=299).contains(&answer.status));
            assert!(answer.status != 405 || answer.allows_post());
            let is_weather = matches!(answer.status, 408 | 425 | 429 | 500..=599);
            assert_eq!(matches!(error.failure(), Failure::Transient(_)), is_weather);
            assert_eq!(error.fact("status"), Some(answer.status.to_string().as_str()));
            printed(&error)
        }
    };
    let probe = match read_probe(answer, ROUTE) {
        Probe::Healthy => {
            assert_eq!(answer.status, 400);
            "healthy".to_owned()
        }
        Probe::Refused => {
            assert_eq!(verdict, "ask");
            "refused".to_owned()
        }
        Probe::Failed(error) => printed(&error),
    };
    let get = read_get(answer, ROUTE);
    let expected: Failure = match answer.status {
        404 => Definite::RouteMissing.into(),
        405 if answer.allows_post() => Definite::SecretWrong.into(),
        _ => Transient::TriageInterrupted.into(),
    };
    assert_eq!(get.failure(), expected);
    [verdict, probe, printed(&get)]
}

fn printed(error: &Error) -> String {
    assert_eq!(Failure::from_word(&error.failure().word()), Some(error.failure()));
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    // Twenty names of sixty characters.
    assert!(text.len() <= 200 + 20 * (60 * 4 + 2), "{} bytes", text.len());
    text
}
