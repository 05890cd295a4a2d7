//! What MIT Learn can answer, from a real Django arranged as it is: what the sender makes of each answer, what it tells
//! a person, and that the message arrives under its id once things are mended.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use ol_testkit::{Python, Step};
use serde_json::{Value, json};

use super::common::{Receiver, SECRET, Sender, course, told_no_secret};
use crate::common::{PATIENCE, text};

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

// What is answered to a message.

#[test]
fn what_is_accepted_takes_one_request() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let sent = sender.send_lines("content_files", &course(1, 1), &["--deliver"], 0);
    assert_eq!(sent["outcome"], "done");
    assert_eq!(sent["delivery"]["delivered"], 1);
    let id = text(&sent["messages"][0], "id");
    let [request] = &receiver.requests()[..] else { panic!("more than one request") };
    assert_eq!((&request["status"], &request["path"]), (&json!(200), &json!(CONTENT_FILES)));
    assert_eq!(request["effect"], "ingest_edx_run_archive");
    assert_eq!(request["headers"]["content-type"], "application/json");
    assert_eq!(request["signature_valid"], true);
    assert_eq!(request["standard_valid"], true);
    assert_eq!(request["webhook_id"], id);
    let shown = show(&sender, id);
    assert_eq!(shown["state"], "delivered");
    let [attempt] = shown["attempts_made"].as_array().unwrap().as_slice() else { panic!() };
    assert_eq!(attempt["status"], 200);
    assert!(text(attempt, "response").contains("Webhook received"));
}

#[test]
fn a_wrong_secret_is_told_from_405_and_the_message_arrives_once_it_is_right() {
    let receiver = Receiver::django(&[]);
    let mut sender = Sender::to(&receiver.base_url).with("MIT_LEARN_WEBHOOK_SECRET", "not-it");
    let id = accept(&sender, "content_files", &course(1, 1));
    fails(&sender, &receiver, &id, SECRET_WRONG, &["POST 405", "POST 405", "GET 405"]);
    assert!(receiver.requests().iter().all(|request| request["signature_valid"] == false));
    sender.settings.insert("MIT_LEARN_WEBHOOK_SECRET".to_owned(), SECRET.to_owned());
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_missing_route_is_told_from_405_and_the_message_arrives_at_the_right_address() {
    let receiver = Receiver::django(&[]);
    let mut sender = Sender::to(&format!("{}/learn", receiver.base_url));
    let id = accept(&sender, "ovs_videos", &video("vid_1").to_string());
    fails(&sender, &receiver, &id, ROUTE_MISSING, &["POST 405", "POST 405", "GET 404"]);
    let sentence = show(&sender, &id)["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains(OVS_VIDEOS), "{sentence}");
    sender.base_url.clone_from(&receiver.base_url);
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_missing_route_holds_up_no_other_route() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url)
        .with(ENABLED, "true")
        .with(ONE_AT_A_TIME.0, ONE_AT_A_TIME.1)
        .with("OL_WEBHOOK__BATCH_COUNT", "1");
    let records = lines((1..=2).map(library_course));
    sender.send_lines("learning_resources", &records, &["--source", "oll"], 0);
    sender.send_lines("content_files", &course(1, 1), &[], 0);
    sender.send_lines("ovs_videos", &video("vid_1").to_string(), &[], 0);
    let delivery = sender.run(["deliver"], 2);
    assert_eq!((&delivery["delivered"], &delivery["dead"]), (&json!(2), &json!(1)));
    is_told(&delivery["dead_letters"][0], ROUTE_MISSING);
    let queued = sender.list("queued");
    assert_eq!((queued.len(), &queued[0]["attempts"]), (1, &json!(0)), "the second part");
    assert_eq!(sender.list("waiting").len(), 1, "the marker behind it");
}

#[test]
fn a_payload_of_content_files_that_is_refused_is_told_from_405() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let bodies: [&[u8]; 3] = [
        br#"{"course_id":"course-v1:MITx+1","source":"mitx"}"#,
        br#"{"course_id":true,"source":"mitxonline"}"#,
        br#"[{"course_id":"course-v1:MITx+1","source":"mitxonline"}]"#,
    ];
    for (number, body) in (1..).zip(bodies) {
        let line = course(number, 1);
        let id = accept_body(&sender, "content_files", &line, body);
        fails(&sender, &receiver, &id, PAYLOAD_REFUSED, &["POST 405", "POST 400"]);
        put_body(&sender, &id, line.as_bytes());
        arrives(&sender, &receiver, &id);
    }
}

#[test]
fn a_body_beyond_the_limit_is_told_from_405_and_our_own_check_sends_none() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let mut large = video("vid_1");
    large["description"] = json!("x".repeat(2_621_440));
    let document = sender.send_lines("ovs_videos", &large.to_string(), &["--deliver"], 2);
    assert_eq!((&document["refused"], &document["accepted"]), (&json!(1), &json!(0)));
    let rule = document["refusals"][0]["problems"][0]["rule"].as_str().unwrap();
    assert!(rule.contains("2621440"), "{rule}");
    assert_eq!(receiver.requests().len(), 0);

    let line = course(1, 1);
    let id = accept_body(&sender, "content_files", &line, large.to_string().as_bytes());
    let expected = Failure {
        reason: "payload_too_large",
        told: "The body is larger than the receiver takes",
        ..PAYLOAD_REFUSED
    };
    fails(&sender, &receiver, &id, expected, &["POST 405", "POST 400"]);
    put_body(&sender, &id, line.as_bytes());
    arrives(&sender, &receiver, &id);
}

#[test]
fn what_our_own_check_refuses_is_not_sent() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let mut elsewhere = video("vid_1");
    elsewhere["sources"][0]["src"] = json!("https://elsewhere.example.org/v.m3u8");
    let document = sender.send_lines("ovs_videos", &elsewhere.to_string(), &["--deliver"], 2);
    assert_eq!(document["refusals"][0]["problems"][0]["field"], "sources[0].src");
    let refused = [
        json!({"course_id": "course-v1:MITx+1", "source": "mitx", "content_path": "a.tar.gz"}),
        json!({"course_id": "course-v1:MITx+1", "source": "mitxonline"}),
        json!({"course_id": true, "source": "canvas", "content_path": "a"}),
    ];
    let document = sender.send_lines("content_files", &lines(refused), &["--deliver"], 2);
    assert_eq!((&document["rows"], &document["refused"]), (&json!(3), &json!(3)));
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn a_video_that_is_refused_names_the_fields_and_none_of_their_values() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url)
        .with("OL_WEBHOOK__OVS_MEDIA_HOSTS", r#"[".cloudfront.net", "elsewhere.example.org"]"#);
    let right = video("vid_1").to_string();
    let mut wrong = video("vid_1");
    wrong["cta_link"] = json!("https://elsewhere.example.org/more");
    wrong["sources"][0]["src"] = json!("https://elsewhere.example.org/v.m3u8");
    let id = accept(&sender, "ovs_videos", &wrong.to_string());
    fails(&sender, &receiver, &id, FIELDS_REFUSED, &["POST 400"]);
    let sentence = show(&sender, &id)["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains("cta_link, sources"), "{sentence}");
    assert!(!sentence.contains("elsewhere"), "{sentence}");

    let newer = accept(&sender, "ovs_videos", &right);
    sender.run(["deliver"], 0);
    let replay = sender.run(["replay", "--id", &id, "--deliver"], 2);
    assert_eq!(replay["counts"], json!({"overtaken": 1}));
    assert_eq!(receiver.requests().last().unwrap()["webhook_id"], newer.as_str());

    put_body(&sender, &id, right.as_bytes());
    let replay = sender.run(["replay", "--id", &id, "--force", "--deliver"], 0);
    assert_eq!(replay["delivery"]["delivered"], 1);
    assert_eq!(receiver.requests().last().unwrap()["webhook_id"], id.as_str());
}

#[test]
fn a_loader_that_blows_up_is_weather_and_the_video_arrives_later() {
    let receiver = Receiver::django(&["--fault", "loader-error:vid_1:1"]);
    let sender = Sender::to(&receiver.base_url);
    let id = accept(&sender, "ovs_videos", &video("vid_1").to_string());
    fails(&sender, &receiver, &id, RECEIVER_FAILING, &["POST 500"]);
    arrives(&sender, &receiver, &id);

    faults(&receiver, &["loader-error:vid_2:2"]);
    let sender = sender.with(WAITS, "[0.02, 0.02]");
    let video = video("vid_2").to_string();
    let flags = ["--deliver"];
    let sender = sender.with("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "20");
    let sent = sender.send_lines("ovs_videos", &video, &flags, 0);
    assert_eq!(sent["delivery"]["retried"], json!({"receiver_failing": 2}));
    let requests = receiver.requests();
    let of_second: Vec<&Value> =
        requests.iter().filter(|request| request["video_id"] == "vid_2").collect();
    let statuses: Vec<u64> = of_second.iter().filter_map(|one| one["status"].as_u64()).collect();
    assert_eq!(statuses, [500, 500, 200]);
    let names: BTreeSet<&str> = of_second.iter().map(|one| text(one, "webhook_id")).collect();
    assert_eq!(names.len(), 1, "the same id at every attempt");
}

#[test]
fn a_broker_that_is_down_is_weather() {
    let receiver = Receiver::django(&["--fault", "celery-down"]);
    let sender = Sender::to(&receiver.base_url);
    let id = accept(&sender, "content_files", &course(1, 1));
    fails(&sender, &receiver, &id, RECEIVER_FAILING, &["POST 500"]);
    faults(&receiver, &[]);
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_body_that_is_not_text_makes_the_receiver_fail() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let line = course(1, 1);
    let id = accept_body(&sender, "content_files", &line, b"{\"source\":\"\xff\"}");
    fails(&sender, &receiver, &id, RECEIVER_FAILING, &["POST 500"]);
    put_body(&sender, &id, line.as_bytes());
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_message_that_fails_at_every_attempt_is_given_up_and_can_be_replayed() {
    let receiver = Receiver::django(&["--fault", "status:503:3"]);
    let sender = Sender::to(&receiver.base_url)
        .with(WAITS, "[0.01, 0.01]")
        .with("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "20");
    let id = accept(&sender, "content_files", &course(1, 1));
    let delivery = sender.run(["deliver"], 2);
    assert_eq!(delivery["attempts"], 3);
    let expected = failure(503, "given_up", "permanent", "The message was given up");
    is_told(&delivery["dead_letters"][0], expected);
    assert_eq!(exchanges(&receiver.requests()), ["POST 503"; 3]);
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_receiver_that_asks_for_patience_gets_it_in_seconds_and_by_date() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url).with(WAITS, "[0.01]");
    for (number, form) in (1..).zip(["retry-after", "retry-after-date"]) {
        faults(&receiver, &[&format!("status:429:1:{form}=1")]);
        let id = accept(&sender, "content_files", &course(number, 1));
        let expected =
            failure(429, "throttled", "transient", "The receiver asks for fewer requests");
        fails(&sender, &receiver, &id, expected, &["POST 429"]);
        sender.run(["deliver", "--patience-seconds", "20"], 0);
        let shown = show(&sender, &id);
        let [first, second] = shown["attempts_made"].as_array().unwrap().as_slice() else {
            panic!("{shown:#}");
        };
        let waited =
            second["started_at_ms"].as_i64().unwrap() - first["started_at_ms"].as_i64().unwrap();
        assert!(waited >= 1000, "{form}: {waited} ms");
        assert_eq!(second["status"], 200);
        let named =
            receiver.requests().iter().filter(|one| one["webhook_id"] == id.as_str()).count();
        assert_eq!(named, 2);
    }
}

#[test]
fn what_was_accepted_without_an_answer_is_sent_again_under_its_id_and_signed_anew() {
    let receiver = Receiver::django(&["--fault", "drop:1"]);
    let sender = Sender::to(&receiver.base_url)
        .with(WAITS, "[1.1]")
        .with(JITTER, "none")
        .with("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "20");
    let sent = sender.send_lines("content_files", &course(1, 1), &["--deliver"], 0);
    assert_eq!(sent["delivery"]["retried"], json!({"connection_lost": 1}));
    let requests = receiver.requests();
    let [first, second] = &requests[..] else { panic!("{:?}", exchanges(&requests)) };
    assert_eq!((&first["answered"], &second["answered"]), (&json!(false), &json!(true)));
    for same in ["webhook_id", "body_base64", "effect"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    for anew in ["webhook-timestamp", "webhook-signature"] {
        assert_ne!(first["headers"][anew], second["headers"][anew], "{anew}");
    }
    for request in &requests {
        assert_eq!(
            (&request["signature_valid"], &request["standard_valid"]),
            (&json!(true), &json!(true))
        );
    }
    let shown = show(&sender, text(&sent["messages"][0], "id"));
    let [lost, _] = shown["attempts_made"].as_array().unwrap().as_slice() else { panic!() };
    let expected = Failure {
        status: None,
        reason: "connection_lost",
        class: "transient",
        told: "The connection to the receiver broke",
    };
    is_told(lost, expected);
}

#[test]
fn an_answer_that_is_late_is_not_waited_for() {
    let mut receiver = Receiver::django(&["--fault", "delay:1:1"]);
    let mut sender = Sender::to(&receiver.base_url)
        .with("OL_WEBHOOK__TIMEOUT__READ_SECONDS", "0.3")
        .with("OL_WEBHOOK__TIMEOUT__TOTAL_SECONDS", "0.5");
    let id = accept(&sender, "content_files", &course(1, 1));
    let expected = Failure {
        status: None,
        reason: "timed_out",
        class: "transient",
        told: "The receiver did not answer in time",
    };
    fails(&sender, &receiver, &id, expected, &[]);
    let journal = receiver.journal.clone();
    let is_processed = || super::common::requests(&journal).len() == 1;
    assert!(receiver.running.wait_until(PATIENCE, is_processed));
    sender.settings.remove("OL_WEBHOOK__TIMEOUT__READ_SECONDS");
    sender.settings.remove("OL_WEBHOOK__TIMEOUT__TOTAL_SECONDS");
    arrives(&sender, &receiver, &id);
    assert_eq!(receiver.requests()[0]["webhook_id"], id.as_str(), "it was processed all the same");
}

#[test]
fn a_redirect_is_not_followed() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    for (number, status) in (1..).zip([301, 302, 303, 307, 308]) {
        faults(&receiver, &[&format!("status:{status}:1")]);
        let id = accept(&sender, "content_files", &course(number, 1));
        let expected =
            failure(status, "redirected", "needs_person", "The receiver points to another address");
        fails(&sender, &receiver, &id, expected, &[&format!("POST {status}")]);
        arrives(&sender, &receiver, &id);
    }
    assert!(receiver.requests().iter().all(|request| request["path"] == CONTENT_FILES));
}

#[test]
fn what_stands_before_the_receiver_is_told_by_status() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let refused = "We are refused before the receiver is reached";
    let cases = [
        failure(401, "forbidden", "needs_person", refused),
        failure(403, "forbidden", "needs_person", refused),
        failure(404, "route_missing", "needs_person", "The route is missing"),
        failure(408, "receiver_not_ready", "transient", "The receiver was not ready"),
        failure(410, "route_missing", "needs_person", "The route is missing"),
        failure(
            413,
            "payload_too_large",
            "permanent",
            "The body is larger than the receiver takes",
        ),
        failure(418, "request_refused", "permanent", "The receiver refused the request"),
        failure(425, "receiver_not_ready", "transient", "The receiver was not ready"),
        failure(502, "receiver_failing", "transient", "The receiver fails"),
        failure(504, "receiver_failing", "transient", "The receiver fails"),
    ];
    for (number, expected) in (1..).zip(cases) {
        let status = expected.status.unwrap();
        faults(&receiver, &[&format!("status:{status}:1")]);
        let id = accept(&sender, "content_files", &course(number, 1));
        fails(&sender, &receiver, &id, expected, &[&format!("POST {status}")]);
        arrives(&sender, &receiver, &id);
    }
}

// The kind that MIT Learn has no route for.

#[test]
fn a_kind_that_is_off_says_why_and_asks_nobody() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let arguments =
        ["send", "--kind", "learning_resources", "--source", "oll", "--lines", "-", "--deliver"];
    let step = sender.step(arguments).input(library_course(1).to_string());
    let finished = told_no_secret(step.run()).expect_code(2);
    for words in ["switched off", "MIT Learn has no route", ENABLED] {
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
    assert_eq!(receiver.requests().len(), 0);
}

/// A sender of batches of two records, to a receiver that takes them.
fn batches() -> (Receiver, Sender) {
    let receiver = Receiver::django(&["--with-learning-resources"]);
    let sender =
        Sender::to(&receiver.base_url).with(ENABLED, "true").with("OL_WEBHOOK__BATCH_COUNT", "2");
    (receiver, sender)
}

/// The ids of the records in a request.
fn records(request: &Value) -> Vec<String> {
    let body: Value = serde_json::from_slice(&body_of(request)).unwrap();
    let resources = body["resources"].as_array().into_iter().flatten();
    resources.map(|record| text(record, "readable_id").to_owned()).collect()
}

#[test]
fn a_batch_arrives_in_its_order_with_the_marker_behind_it() {
    let (receiver, sender) = batches();
    let input = lines((1..=5).map(library_course));
    let sent =
        sender.send_lines("learning_resources", &input, &["--source", "oll", "--deliver"], 2);
    assert_eq!(sent["accepted"], 4, "three parts and the marker");
    let requests = receiver.requests();
    assert_eq!(exchanges(&requests), ["POST 200", "POST 200", "POST 200", "POST 400"]);
    let arrived: Vec<Vec<String>> = requests.iter().map(records).collect();
    assert_eq!(
        arrived,
        [vec!["MITx+1", "MITx+2"], vec!["MITx+3", "MITx+4"], vec!["MITx+5"], vec![]]
    );

    // This Django knows no marker; MIT Learn has not even the route.
    let marker: Value = serde_json::from_slice(&body_of(&requests[3])).unwrap();
    let batch = &sender.list("delivered")[0]["batch_id"];
    assert_eq!(
        marker,
        json!({"prune": {"etl_source": "oll", "batch_id": batch, "batch_total": 3}})
    );
    let [letter] = &sender.list("dead")[..] else { panic!("more than the marker is dead") };
    is_told(letter, FIELDS_REFUSED);
    faults(&receiver, &["status:200:1"]);
    let id = text(letter, "id").to_owned();
    let replay = sender.run(["replay", "--id", &id, "--deliver"], 0);
    assert_eq!(replay["delivery"]["delivered"], 1);
    assert_eq!(receiver.requests().last().unwrap()["webhook_id"], id.as_str());

    let again =
        sender.send_lines("learning_resources", &input, &["--source", "oll", "--deliver"], 0);
    assert_eq!((&again["accepted"], &again["unchanged"]), (&json!(0), &json!(5)));
    assert_eq!(receiver.requests().len(), 5);
}

#[test]
fn the_marker_is_not_sent_while_a_part_is_dead() {
    let (receiver, sender) = batches();
    faults(&receiver, &["status:418:1"]);
    let input = lines((1..=5).map(library_course));
    let sent =
        sender.send_lines("learning_resources", &input, &["--source", "oll", "--deliver"], 2);
    assert_eq!(sent["delivery"]["delivered"], 2);
    assert_eq!(exchanges(&receiver.requests()), ["POST 418", "POST 200", "POST 200"]);
    let dead = sender.list("dead");
    let reasons: Vec<&str> = dead.iter().map(|letter| text(letter, "reason")).collect();
    assert_eq!(reasons, ["request_refused", "batch_incomplete"]);

    faults(&receiver, &["status:200:2"]);
    let batch = format!("batch={}", text(&dead[0], "batch_id"));
    sender.run(["replay", "--filter", &batch, "--deliver"], 0);
    let requests = receiver.requests();
    let replayed: Vec<&str> = requests[3..].iter().map(|one| text(one, "webhook_id")).collect();
    assert_eq!(replayed, ids(&dead));
    assert_eq!(sender.list("delivered").len(), 4);
}

// The probe.

/// The routes of a probe with their results, and the document.
#[track_caller]
fn probed(sender: &Sender, flags: &[&str], code: i32) -> (Vec<(String, String)>, Value) {
    let document = sender.run(["probe"].iter().chain(flags).copied(), code);
    let outcome =
        [(0, "done"), (1, "retry"), (2, "blocked")].into_iter().find(|known| known.0 == code);
    assert_eq!(document["outcome"], outcome.unwrap().1);
    let pair = |route: &Value| (text(route, "route").to_owned(), text(route, "result").to_owned());
    (document["routes"].as_array().unwrap().iter().map(pair).collect(), document)
}

/// The requests so far, of which nothing was enqueued: `POST PATH 400`.
#[track_caller]
fn harmless(receiver: &Receiver) -> Vec<String> {
    let requests = receiver.requests();
    for request in &requests {
        assert!(request["effect"].is_null(), "{request:#}");
        let is_get = request["method"] == "GET";
        let expected: &[u8] = if is_get { b"" } else { b"{" };
        assert_eq!(body_of(request), expected);
        let id = request["webhook_id"].as_str();
        assert_eq!(id.is_some_and(|id| id.starts_with("probe_")), !is_get, "{id:?}");
    }
    let word = |request: &Value| {
        format!("{} {} {}", text(request, "method"), text(request, "path"), request["status"])
    };
    requests.iter().map(word).collect()
}

fn all(result: &str) -> Vec<(String, String)> {
    let routes = [CONTENT_FILES, CONTENT_FILES_DELETE, OVS_VIDEOS];
    routes.iter().map(|route| ((*route).to_owned(), result.to_owned())).collect()
}

#[test]
fn a_probe_of_a_healthy_receiver_is_one_malformed_body_a_route() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let (routes, _) = probed(&sender, &[], 0);
    assert_eq!(routes, all("healthy"));
    let expected =
        [CONTENT_FILES, CONTENT_FILES_DELETE, OVS_VIDEOS].map(|route| format!("POST {route} 400"));
    assert_eq!(harmless(&receiver), expected);
    assert!(receiver.requests().iter().all(|request| request["signature_valid"] == true));

    let (routes, document) = probed(&sender, &["--kind", "ovs_videos/delete"], 0);
    assert_eq!(routes.len(), 1);
    assert_eq!(document["routes"][0]["kinds"], json!(["ovs_videos/delete"]));
    assert_eq!(harmless(&receiver)[3..], [format!("POST {OVS_VIDEOS} 400")]);
}

#[test]
fn a_probe_tells_a_wrong_secret_from_a_missing_route() {
    let receiver = Receiver::django(&[]);
    let wrong = Sender::to(&receiver.base_url).with("MIT_LEARN_WEBHOOK_SECRET", "not-it");
    let (routes, document) = probed(&wrong, &[], 2);
    assert_eq!(routes, all("secret_wrong"));
    assert_eq!(document["routes"][0]["class"], "needs_person");
    assert!(text(&document["routes"][0], "sentence").starts_with("The secret is wrong"));
    let expected: Vec<String> = [CONTENT_FILES, CONTENT_FILES_DELETE, OVS_VIDEOS]
        .iter()
        .flat_map(|route| [format!("POST {route} 405"), format!("GET {route} 405")])
        .collect();
    assert_eq!(harmless(&receiver), expected);

    let elsewhere = Sender::to(&format!("{}/learn/", receiver.base_url));
    let (routes, document) = probed(&elsewhere, &["--kind", "content_files"], 2);
    assert_eq!(routes, [(CONTENT_FILES.to_owned(), "route_missing".to_owned())]);
    assert!(text(&document["routes"][0], "sentence").starts_with("The route is missing"));
    let expected =
        [format!("POST /learn{CONTENT_FILES} 405"), format!("GET /learn{CONTENT_FILES} 404")];
    assert_eq!(harmless(&receiver)[6..], expected);
}

#[test]
fn a_probe_names_the_secret_that_the_receiver_knows() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url)
        .with("MIT_LEARN_WEBHOOK_SECRET", "the-next-one")
        .with("MIT_LEARN_WEBHOOK_SECRET_PREVIOUS", SECRET);
    let (routes, document) = probed(&sender, &[], 0);
    assert_eq!(routes, all("healthy"));
    let sentence = text(&document["routes"][0], "sentence");
    assert!(sentence.contains("secret number 2"), "{sentence}");
    let expected = [
        format!("POST {CONTENT_FILES} 405"),
        format!("POST {CONTENT_FILES} 400"),
        format!("POST {CONTENT_FILES_DELETE} 400"),
        format!("POST {OVS_VIDEOS} 400"),
    ];
    assert_eq!(harmless(&receiver), expected);
}

#[test]
fn a_probe_of_learning_resources_says_whether_there_is_the_route() {
    let without = Receiver::django(&[]);
    let sender = Sender::to(&without.base_url).with(ENABLED, "true");
    let (routes, _) = probed(&sender, &[], 2);
    let missing = (LEARNING_RESOURCES.to_owned(), "route_missing".to_owned());
    let healthy = ("healthy".to_owned(), 3);
    assert!(routes.contains(&missing), "{routes:?}");
    assert_eq!(routes.iter().filter(|(_, result)| *result == healthy.0).count(), healthy.1);

    let with = Receiver::django(&["--with-learning-resources"]);
    let sender = Sender::to(&with.base_url);
    let (routes, _) = probed(&sender, &["--kind", "learning_resources"], 0);
    assert_eq!(routes, [(LEARNING_RESOURCES.to_owned(), "healthy".to_owned())]);
    assert_eq!(harmless(&with), [format!("POST {LEARNING_RESOURCES} 400")]);
}

#[test]
fn a_probe_tells_weather_and_gateways() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url)
        .with("OL_WEBHOOK__TIMEOUT__READ_SECONDS", "0.5")
        .with("OL_WEBHOOK__TIMEOUT__TOTAL_SECONDS", "0.5");
    for (fault, result, code) in [
        ("status:500:1", "receiver_failing", 1),
        ("status:503:1:retry-after=1", "receiver_failing", 1),
        ("status:429:1", "throttled", 1),
        ("status:200:1", "triage_interrupted", 1),
        ("drop:1", "connection_lost", 1),
        ("delay:1:1", "timed_out", 1),
        ("status:302:1", "redirected", 2),
        ("status:403:1", "forbidden", 2),
        ("status:404:1", "route_missing", 2),
    ] {
        faults(&receiver, &[fault]);
        let (routes, document) = probed(&sender, &["--kind", "content_files"], code);
        assert_eq!(routes[0].1, result, "{fault}");
        let sentence = text(&document["routes"][0], "sentence");
        assert!(sentence.contains("(runbook: webhook-"), "{sentence}");
    }
    let asked = harmless(&receiver);
    assert!(
        asked.iter().all(|request| request.starts_with(&format!("POST {CONTENT_FILES} "))),
        "{asked:?}"
    );

    let address = receiver.base_url.clone();
    drop(receiver);
    let (routes, _) = probed(&Sender::to(&address), &[], 1);
    assert_eq!(routes, all("host_unreachable"));
}

// The bodies.

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

/// What CPython writes for each of these documents, in base64, their keys in the order in which they stand.
fn dumped(documents: &[&str]) -> Vec<String> {
    const PROGRAM: &str = "
import base64, json, sys
for line in sys.stdin:
    body = json.dumps(json.loads(line), separators=(',', ':')).encode()
    print(base64.b64encode(body).decode())
";
    let step = Step::new(Python::Receivers.path()).args(["-c", PROGRAM]);
    let done = step.input(documents.join("\n")).run().expect_code(0);
    done.stdout.lines().map(str::to_owned).collect()
}

const MITXONLINE: &str = r#"{"course_id": "course-v1:MITx+6.00x+1T2026", "course_readable_id": "course-v1:MITx+6.00x+1T2026", "content_path": "mitxonline/openedx/raw_data/course_xml/course-v1:MITx+6.00x+1T2026/5d41.xml.tar.gz", "source": "mitxonline"}"#;
const XPRO: &str = r#"{"course_id": "course-v1:xPRO+SysEngx+R1", "course_readable_id": "course-v1:xPRO+SysEngx+R1", "content_path": "xpro/openedx/raw_data/course_xml/course-v1:xPRO+SysEngx+R1/aa.xml.tar.gz", "source": "xpro"}"#;
const EDXORG: &str = r#"{"course_id": "MITx-6.00x-1T2026", "course_readable_id": "MITx-6.00x-1T2026", "content_path": "/edxorg/raw_data/course_xml/prod/MITx-6.00x-1T2026/bb.xml.tar.gz", "source": "mit_edx"}"#;
const CANVAS: &str = r#"{"course_id": 2198, "course_name": "Société générale 😀", "course_code": "15.S20", "content_path": "canvas/course_content/2198/cc.imscc", "metadata_path": "canvas/course_content/2198/cc.metadata.json", "source": "canvas", "time": 1787000000.0}"#;
const CANVAS_WITH_ID: &str = r#"{"course_id": 34025, "course_name": null, "course_code": "6.100L", "content_path": "canvas/course_content/34025/dd.imscc", "metadata_path": "canvas/course_content/34025/dd.metadata.json", "source": "canvas", "time": 1787000000.123457, "course_readable_id": "SIS 6.100L/é"}"#;
const DELETE: &str = r#"{"course_id": "course-v1:MITx+6.00x", "source": "mitxonline"}"#;
const CANVAS_DELETE: &str = r#"{"course_id": 2198, "source": "canvas"}"#;
const VIDEO_DELETE: &str = r#"{"video_id": "vid_abc123", "delete": true}"#;
const VIDEO: &str = r#"{"key": "vid_abc123", "created_at": "2026-04-28T17:35:42.065326Z", "title": "Poincaré’s 予想 — лекция 1 🎓", "description": "one\n\"two\"\t\\ \u007f\u0001 </p>", "status": "Complete", "is_public": true, "is_private": false, "youtube_id": null, "duration": 5400.0, "sources": [{"src": "https://du3yhovcx8dht.cloudfront.net/transcoded/k/video__index.m3u8", "label": "HLS", "type": "application/x-mpegURL"}], "videothumbnail_set": [{"id": 1, "cloudfront_url": "https://du3yhovcx8dht.cloudfront.net/thumbnails/k.jpg", "bucket_name": "odl-thumbnails"}], "videosubtitle_set": [{"language": "en", "language_name": "English", "s3_object_key": "subtitles/k_en.vtt", "filename": "Ünïcode.vtt"}], "collection": {"key": "a1b2c3", "title": "18.S191 Été", "description": null, "for_shorts": false}, "cta_link": "", "view_count": 123456789012345678901234567890, "rating": 1e-07, "weights": [1E22, 0.1, -0.0, 1e16, 123456789.125]}"#;

#[test]
fn every_body_is_what_python_writes_and_both_signatures_hold() {
    let receiver = Receiver::django(&[
        "--resource",
        "mitxonline=course-v1:MITx+6.00x",
        "--resource",
        "canvas=2198-15.S20",
    ]);
    let sender = Sender::to(&receiver.base_url);
    let cases = [
        ("content_files", MITXONLINE, "ingest_edx_run_archive"),
        ("content_files", XPRO, "ingest_edx_run_archive"),
        ("content_files", EDXORG, "ingest_edx_run_archive"),
        ("content_files", CANVAS, "ingest_canvas_course"),
        ("content_files", CANVAS_WITH_ID, "ingest_canvas_course"),
        ("content_files/delete", DELETE, "deleted"),
        ("content_files/delete", CANVAS_DELETE, "deleted"),
        ("ovs_videos", VIDEO, "stored"),
        ("ovs_videos/delete", VIDEO_DELETE, "deleted"),
    ];
    for (kind, line, _) in cases {
        sender.send_lines(kind, line, &["--deliver"], 0);
    }
    let expected = dumped(&cases.map(|(_, line, _)| line));
    let requests = receiver.requests();
    assert_eq!((requests.len(), expected.len()), (cases.len(), cases.len()));
    for (request, (body, (kind, _, effect))) in requests.iter().zip(expected.iter().zip(cases)) {
        let shown = |base64: &str| String::from_utf8_lossy(&decoded(base64)).into_owned();
        let sent = text(request, "body_base64");
        assert_eq!(sent, body, "{kind}:\n{}\n{}", shown(sent), shown(body));
        assert_eq!(request["signature_valid"], true, "{kind}");
        assert_eq!(request["standard_valid"], true, "{kind}: {}", request["standard_refusal"]);
        assert_eq!(
            (&request["status"], &request["effect"]),
            (&json!(200), &json!(effect)),
            "{kind}"
        );
    }
}

#[test]
fn flags_make_the_same_bodies_as_objects() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let object: Value = serde_json::from_str(MITXONLINE).unwrap();
    let (id, path) = (text(&object, "course_id"), text(&object, "content_path"));
    let by_flags: [&[&str]; 4] = [
        &[
            "--kind",
            "content_files",
            "--source",
            "mitxonline",
            "--course-id",
            id,
            "--content-path",
            path,
        ],
        &["--kind", "content_files", "--source", "canvas", "--payload", CANVAS],
        &[
            "--kind",
            "content_files/delete",
            "--source",
            "mitxonline",
            "--course-id",
            "course-v1:MITx+6.00x",
        ],
        &["--kind", "ovs_videos/delete", "--video-id", "vid_abc123"],
    ];
    for flags in by_flags {
        sender.run(["send", "--deliver"].iter().chain(flags).copied(), 0);
    }
    let sent: Vec<String> =
        receiver.requests().iter().map(|one| text(one, "body_base64").to_owned()).collect();
    assert_eq!(sent, dumped(&[MITXONLINE, CANVAS, DELETE, VIDEO_DELETE]));
}

#[test]
fn the_legacy_form_is_the_one_header_alone() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url).with("OL_WEBHOOK__SIGNATURE", "legacy");
    sender.send_lines("ovs_videos", VIDEO, &["--deliver"], 0);
    let [request] = &receiver.requests()[..] else { panic!("more than one request") };
    assert_eq!((&request["status"], &request["signature_valid"]), (&json!(200), &json!(true)));
    assert!(request["standard_valid"].is_null() && request["webhook_id"].is_null());
}

// Order and repetition.

#[test]
fn what_is_unchanged_is_not_sent_and_what_is_newer_takes_its_place() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let send = |version: u64, flags: &[&str]| {
        sender.send_lines("content_files", &course(1, version), flags, 0)
    };
    send(1, &["--deliver"]);
    let again = send(1, &["--deliver"]);
    assert_eq!((&again["accepted"], &again["unchanged"]), (&json!(0), &json!(1)));
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(send(1, &["--force", "--deliver"])["accepted"], 1);
    assert_eq!(receiver.requests().len(), 2);

    send(2, &[]);
    let newer = send(3, &[]);
    assert_eq!(newer["superseded"], 1);
    sender.run(["deliver"], 0);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[2]["webhook_id"], newer["messages"][0]["id"]);
    assert_eq!(sender.list("superseded").len(), 1);

    send(2, &["--deliver"]);
    let names: BTreeSet<String> =
        receiver.requests().iter().map(|one| text(one, "webhook_id").to_owned()).collect();
    assert_eq!(names.len(), 4, "content that comes back is a message of its own");
}

#[test]
fn a_delete_waits_for_the_upsert_that_is_under_way() {
    let mut receiver = Receiver::django(&["--resource", "canvas=2198-15.S20"]);
    let sender = Sender::to(&receiver.base_url).with("OL_WEBHOOK__DELIVERY__POLL_SECONDS", "0.05");
    let mut forever = sender.step(["deliver", "--forever"]).start();
    receiver.running.signal("STOP");
    for (count, (kind, line)) in (1..).zip([("ovs_videos", VIDEO), ("content_files", CANVAS)]) {
        accept(&sender, kind, line);
        let are_taken = forever.wait_until(PATIENCE, || sender.list("leased").len() == count);
        assert!(are_taken, "an answer that is late holds up nothing but its own entity");
    }
    accept(&sender, "ovs_videos/delete", VIDEO_DELETE);
    accept(&sender, "content_files/delete", CANVAS_DELETE);
    assert_eq!(sender.list("waiting").len(), 2);
    receiver.running.signal("CONT");
    let journal = receiver.journal.clone();
    let are_there = || super::common::requests(&journal).len() == 4;
    assert!(receiver.running.wait_until(PATIENCE, are_there));
    forever.signal("TERM");
    let delivery = told_no_secret(forever.wait()).expect_code(75).json();
    assert_eq!((&delivery["delivered"], &delivery["dead"]), (&json!(4), &json!(0)));
    let effects = |field: &str, value: Value| -> Vec<String> {
        let requests = receiver.requests();
        let of_it = requests.iter().filter(|request| request[field] == value);
        of_it.map(|request| text(request, "effect").to_owned()).collect()
    };
    assert_eq!(effects("video_id", json!("vid_abc123")), ["stored", "deleted"]);
    assert_eq!(effects("course_id", json!(2198)), ["ingest_canvas_course", "deleted"]);
}

#[test]
fn a_complete_snapshot_deletes_what_vanished_unless_it_is_too_much() {
    let resources: Vec<String> =
        (100..120).map(|number| format!("mitxonline=course-v1:MITx+{number}")).collect();
    let flags: Vec<&str> =
        resources.iter().flat_map(|resource| ["--resource", resource.as_str()]).collect();
    let receiver = Receiver::django(&flags);
    let sender = Sender::to(&receiver.base_url);
    let snapshot = |until: u64, more: &[&str], code: i32| {
        let lines = (100..until).map(|number| course(number, 1)).collect::<Vec<_>>().join("\n");
        let flags = ["--source", "mitxonline", "--complete", "--deliver"];
        let flags: Vec<&str> = flags.iter().chain(more).copied().collect();
        sender.send_lines("content_files", &lines, &flags, code)
    };
    let deleted = || -> Vec<String> {
        let requests = receiver.requests();
        let deletes = requests.iter().filter(|request| request["path"] == CONTENT_FILES_DELETE);
        let mut ids: Vec<String> = deletes
            .map(|request| {
                assert_eq!(request["effect"], "deleted", "{request:#}");
                assert_eq!(request["standard_valid"], true);
                text(request, "course_id").to_owned()
            })
            .collect();
        ids.sort_unstable();
        ids
    };
    let courses = |from: u64, until: u64| -> Vec<String> {
        (from..until).map(|number| format!("course-v1:MITx+{number}")).collect()
    };

    assert_eq!(snapshot(120, &[], 0)["accepted"], 20);
    assert_eq!(snapshot(118, &[], 0)["tombstones"], 2);
    assert_eq!(deleted(), courses(118, 120));

    for (until, vanished) in [(109, 9), (100, 18)] {
        let guarded = snapshot(until, &[], 2);
        let sentence = text(&guarded, "guarded");
        assert!(sentence.starts_with("Too much has vanished"), "{sentence}");
        for fact in [format!("vanished: {vanished}"), "known: 18".to_owned()] {
            assert!(sentence.contains(&fact), "{sentence}");
        }
        assert!(sentence.contains("--allow-vanish"), "{sentence}");
        assert_eq!((&guarded["tombstones"], &guarded["outcome"]), (&json!(0), &json!("blocked")));
    }
    let refused = format!("{}\n{}\n", course(100, 1), json!({"source": "mitxonline"}));
    let flags = ["--source", "mitxonline", "--complete", "--allow-vanish"];
    let guarded = sender.send_lines("content_files", &refused, &flags, 2);
    assert!(text(&guarded, "guarded").contains("rows were refused"), "{guarded:#}");
    assert_eq!(receiver.requests().len(), 22);

    assert_eq!(snapshot(109, &["--allow-vanish"], 0)["tombstones"], 9);
    assert_eq!(deleted(), courses(109, 120));
    assert_eq!(snapshot(109, &[], 0)["accepted"], 0);
    assert_eq!(receiver.requests().len(), 31);
}
