//! What MIT Learn can answer, from a real Django arranged as it is: what the sender makes of each answer, what it tells
//! a person, and that the message arrives under its id once things are mended.

mod answers;
mod bodies;
mod order;
mod probe;
mod resources;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use ol_testkit::{Python, Step};
use serde_json::{Value, json};

use super::common::{Receiver, Sender};
use crate::common::text;

const CONTENT_FILES: &str = "/api/v1/webhooks/content_files/";
const CONTENT_FILES_DELETE: &str = "/api/v1/webhooks/content_files/delete/";
const OVS_VIDEOS: &str = "/api/v1/webhooks/ovs_videos/";
const LEARNING_RESOURCES: &str = "/api/v1/webhooks/learning_resources/";
const ENABLED: &str = "OL_WEBHOOK__LEARNING_RESOURCES_ENABLED";
const WAITS: &str = "OL_WEBHOOK__SCHEDULE__WAITS_SECONDS";
const JITTER: &str = "OL_WEBHOOK__SCHEDULE__JITTER";
const ONE_AT_A_TIME: (&str, &str) = ("OL_WEBHOOK__DELIVERY__CONCURRENCY", "1");

/// How an attempt fails: for machines in words, for a person in a sentence.
#[derive(Debug, Clone, Copy)]
struct Failure {
    status: Option<u16>,
    reason: &'static str,
    class: &'static str,
    told: &'static str,
}

const fn failure(
    status: u16,
    reason: &'static str,
    class: &'static str,
    told: &'static str,
) -> Failure {
    Failure { status: Some(status), reason, class, told }
}

const SECRET_WRONG: Failure = failure(405, "secret_wrong", "needs_person", "The secret is wrong");
const ROUTE_MISSING: Failure =
    failure(405, "route_missing", "needs_person", "The route is missing");
const PAYLOAD_REFUSED: Failure =
    failure(405, "payload_refused", "permanent", "The receiver refused the payload");
const FIELDS_REFUSED: Failure = Failure { status: Some(400), ..PAYLOAD_REFUSED };
const RECEIVER_FAILING: Failure =
    failure(500, "receiver_failing", "transient", "The receiver fails");

/// Adds faults to a receiver, or takes all away when there is none to add.
#[track_caller]
pub(super) fn faults(receiver: &Receiver, specifications: &[&str]) {
    let change = json!({"clear": specifications.is_empty(), "add": specifications}).to_string();
    let host = receiver.base_url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    let length = change.len();
    write!(
        connection,
        "POST /__control__/fault HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{change}"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Puts one message into the outbox and returns its id.
#[track_caller]
fn accept(sender: &Sender, kind: &str, line: &str) -> String {
    let document = sender.send_lines(kind, line, &[], 0);
    assert_eq!((&document["rows"], &document["accepted"]), (&json!(1), &json!(1)), "{document:#}");
    document["messages"][0]["id"].as_str().unwrap().to_owned()
}

/// The same with a body that our own checks would not let out.
#[track_caller]
fn accept_body(sender: &Sender, kind: &str, line: &str, body: &[u8]) -> String {
    let id = accept(sender, kind, line);
    put_body(sender, &id, body);
    id
}

/// Changes the body of a message behind the sender's back.
#[track_caller]
fn put_body(sender: &Sender, id: &str, body: &[u8]) {
    const PROGRAM: &str = "
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as outbox:
    change = 'UPDATE webhook_message SET body = ? WHERE id = ?'
    assert outbox.execute(change, (sys.stdin.buffer.read(), sys.argv[2])).rowcount == 1
";
    let path = sender.outbox.strip_prefix("sqlite:").unwrap();
    let step = Step::new(Python::Receivers.path()).args(["-c", PROGRAM, path, id]);
    step.input(body).run().expect_code(0);
}

/// What was asked and answered: `POST 200`.
fn exchanges(requests: &[Value]) -> Vec<String> {
    let exchange = |request: &Value| format!("{} {}", text(request, "method"), request["status"]);
    requests.iter().map(exchange).collect()
}

fn ids(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| text(message, "id")).collect()
}

#[track_caller]
fn show(sender: &Sender, id: &str) -> Value {
    sender.run(["show", id], 0)
}

/// Delivers the one message of the outbox, which fails at its first attempt, by `asked`; everybody who asks is told so.
#[track_caller]
fn fails(sender: &Sender, receiver: &Receiver, id: &str, expected: Failure, asked: &[&str]) {
    let before = receiver.requests().len();
    let is_weather = expected.class == "transient";
    let (code, outcome, state) =
        if is_weather { (1, "retry", "queued") } else { (2, "blocked", "dead") };
    let delivery = sender.run(["deliver"], code);
    assert_eq!(delivery["outcome"], outcome, "{delivery:#}");
    assert_eq!(
        (&delivery["attempts"], &delivery["delivered"]),
        (&json!(1), &json!(0)),
        "{delivery:#}"
    );
    assert_eq!(exchanges(&receiver.requests()[before..]), asked);

    let is_closed = expected.class == "needs_person";
    assert_eq!(delivery["blocked"].as_array().unwrap().len(), usize::from(is_closed));
    if is_weather {
        assert_eq!(delivery["retried"], json!({expected.reason: 1}));
        assert_eq!(delivery["left"], 1);
    } else {
        let [letter] = delivery["dead_letters"].as_array().unwrap().as_slice() else {
            panic!("{delivery:#}");
        };
        assert_eq!(letter["id"], id);
        is_told(letter, expected);
    }

    let listed = sender.list(state);
    let message = listed.iter().find(|message| message["id"] == id).unwrap();
    assert_eq!(message["attempts"], 1);
    is_told(message, expected);

    let shown = show(sender, id);
    assert_eq!(shown["state"], state);
    let [attempt] = shown["attempts_made"].as_array().unwrap().as_slice() else {
        panic!("{shown:#}");
    };
    assert_eq!(attempt["number"], 1);
    assert_eq!(attempt["next_at_ms"].is_null(), !is_weather);
    is_told(attempt, expected);
    if let Some(request) = receiver.requests().get(before) {
        assert_eq!(attempt["body_sha256"], request["body_sha256"]);
    }
}

/// Demands the words and the one sentence of a failure.
#[track_caller]
fn is_told(told: &Value, expected: Failure) {
    assert_eq!(told["status"], json!(expected.status), "{told:#}");
    assert_eq!(told["class"], expected.class, "{told:#}");
    assert_eq!(told["reason"], expected.reason, "{told:#}");
    let sentence = text(told, "sentence");
    assert!(sentence.starts_with(expected.told), "{sentence}");
    assert!(sentence.contains(" (runbook: webhook-") && !sentence.contains('\n'), "{sentence}");
    assert!(!sentence.contains('{'), "a fact is missing: {sentence}");
}

/// Replays a message, which arrives: under its id, with both signatures, and the failure is history.
#[track_caller]
fn arrives(sender: &Sender, receiver: &Receiver, id: &str) {
    let attempts_before = show(sender, id)["attempts_made"].as_array().unwrap().len();
    let before = receiver.requests().len();
    let replay = sender.run(["replay", "--id", id, "--deliver"], 0);
    assert_eq!(replay["counts"], json!({"queued": 1}), "{replay:#}");
    assert_eq!(replay["delivery"]["delivered"], 1, "{replay:#}");
    let requests = receiver.requests();
    let [request] = &requests[before..] else { panic!("{:?}", exchanges(&requests[before..])) };
    assert_eq!(request["status"], 200);
    assert_eq!(request["webhook_id"], id);
    assert_eq!(request["standard_valid"], true);
    let shown = show(sender, id);
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("delivered"), &Value::Null));
    let attempts = shown["attempts_made"].as_array().unwrap();
    assert_eq!(attempts.len(), attempts_before + 1);
    let last = attempts.last().unwrap();
    assert_eq!((&last["status"], &last["reason"]), (&json!(200), &Value::Null));
    assert!(!ids(&sender.list("dead")).contains(&id));
}

/// The raw object of a video as the public interface of OVS gives it.
fn video(key: &str) -> Value {
    json!({
        "key": key,
        "created_at": "2026-04-28T17:35:42.065326Z",
        "title": "Poincaré’s 予想 — лекция 1 🎓",
        "description": "Line one\nline \"two\"\t\\ \u{7f} \u{1} </script>",
        "status": "Complete",
        "is_public": true,
        "is_private": false,
        "is_logged_in_only": false,
        "youtube_id": null,
        "multiangle": false,
        "duration": 5400.0,
        "cta_link": null,
        "sources": [
            {"src": format!("https://du3yhovcx8dht.cloudfront.net/transcoded/{key}/video__index.m3u8"),
             "label": "HLS", "type": "application/x-mpegURL"},
        ],
        "videothumbnail_set": [
            {"id": 1, "cloudfront_url": format!("https://du3yhovcx8dht.cloudfront.net/thumbnails/{key}.jpg"),
             "s3_object_key": format!("thumbnails/{key}.jpg"), "bucket_name": "odl-video-service-thumbnails"},
        ],
        "videosubtitle_set": [
            {"id": 7, "language": "en", "language_name": "English", "s3_object_key": format!("subtitles/{key}_en.vtt"),
             "filename": "Ünïcode.vtt"},
        ],
        "collection": {"key": "a1b2c3", "title": "18.S191 Été", "description": null, "for_shorts": false},
        "view_count": 12_345_678_901_234_567_890_u64,
        "rating": 1e-7,
    })
}

/// A record of the Open Learning Library as the loaders of MIT Learn want it.
fn library_course(number: u64) -> Value {
    json!({
        "readable_id": format!("MITx+{number}"), "title": format!("Course {number} é"), "url": null,
        "description": null, "image": null, "topics": [{"name": "Physics"}], "published": true, "etl_source": "oll",
        "offered_by": {"code": "mitx"}, "platform": "oll", "resource_type": "course",
        "runs": [{"run_id": format!("MITx+{number}+1T2026"), "start_date": null}], "duration": "4 weeks",
    })
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values.into_iter().fold(String::new(), |mut text, value| {
        writeln!(text, "{value}").unwrap();
        text
    })
}

/// The bytes of a request's body.
fn body_of(request: &Value) -> Vec<u8> {
    decoded(text(request, "body_base64"))
}

fn decoded(base64: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u8> = base64
        .bytes()
        .filter_map(|letter| DIGITS.iter().position(|digit| *digit == letter))
        .map(|position| u8::try_from(position).unwrap())
        .collect();
    let bytes = |group: &[u8]| {
        let bits = group.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(*digit));
        let bits = bits << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(bytes).collect()
}
