//! The control route, by which a test or the demo poisons and heals a running receiver.
//!
//! | request | effect |
//! |---|---|
//! | `GET /__control__/faults` | the faults in force, with the counts that are left |
//! | `POST /__control__/faults` | a JSON list of texts replaces them |
//! | `DELETE /__control__/faults` | removes them |
//! | `GET /__control__/summary` | the counts so far |
//!
//! Only callers on the same machine reach it; to others it is a path that Learn does not know.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use super::counters::Counters;
use super::fault::Fault;
use super::request::Content;
use super::weather::Weather;

/// Every path of the control route begins so.
pub(super) const PREFIX: &str = "/__control__/";

/// Obeys a call.
pub(super) fn answer(
    method: &Method,
    path: &str,
    content: &Content,
    weather: &Weather,
    counters: &Counters,
) -> Answer {
    match (path.strip_prefix(PREFIX), method.as_str()) {
        (Some("summary"), "GET") => Answer::json(StatusCode::OK, None, &json!(counters.summary())),
        (Some("faults"), "GET") => in_force(weather),
        (Some("faults"), "DELETE") => {
            weather.replace(Vec::new());
            in_force(weather)
        }
        (Some("faults"), "POST") => match parse(content) {
            Ok(faults) => {
                weather.replace(faults);
                in_force(weather)
            }
            Err(reason) => refuse(StatusCode::BAD_REQUEST, &reason),
        },
        _ => refuse(
            StatusCode::NOT_FOUND,
            "The control route takes GET, POST and DELETE of faults, and GET of summary",
        ),
    }
}

fn in_force(weather: &Weather) -> Answer {
    Answer::json(StatusCode::OK, None, &json!({"faults": weather.texts()}))
}

fn refuse(status: StatusCode, reason: &str) -> Answer {
    Answer::json(status, None, &json!({"error": reason}))
}

fn parse(content: &Content) -> Result<Vec<Fault>, String> {
    const EXPECTED: &str = "The body must be a JSON list of faults, such as [\"status:503:3\"]";
    let body = content.bytes().ok_or(EXPECTED)?;
    let texts: Vec<Value> = serde_json::from_slice(body).map_err(|_| EXPECTED)?;
    let parse = |text: &Value| {
        let fault: Result<Fault, _> = text.as_str().ok_or(EXPECTED)?.parse();
        fault.map_err(|error| error.to_string())
    };
    texts.iter().map(parse).collect()
}
