#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ObjectChannel, QUEUE_LIMIT_BYTES, Timing};
use crate::channel::Channel as _;
use crate::error::ErrorKind;
use crate::message::{Level, Message};
use crate::object::Retry;
use crate::test_s3::{BUCKET, S3Server};

/// As fast as a test may be.
const QUICK: Timing = Timing {
    interval: Duration::from_millis(50),
    join_timeout: Duration::from_secs(30),
    first_pause: Duration::from_millis(10),
    longest_pause: Duration::from_millis(100),
};

fn channel(server: &S3Server, prefix: Option<&str>, timing: Timing) -> Box<ObjectChannel> {
    let variables: BTreeMap<OsString, OsString> = server.variables().collect();
    let store = crate::object::store(BUCKET, &variables, Retry::ByCaller).unwrap();
    Box::new(ObjectChannel::open(store, BUCKET, prefix, timing).unwrap())
}

fn send(channel: &mut ObjectChannel, number: usize) {
    channel.send(Message::Custom(&json!(number))).unwrap();
}

/// The payloads of all chunks in order; fails when a chunk is missing.
fn payloads(server: &S3Server, prefix: &str) -> Vec<usize> {
    let chunks = server.objects(prefix);
    let numbers: Vec<String> = (1..=chunks.len()).map(|index| format!("{index}.json")).collect();
    let mut expected = numbers.clone();
    expected.sort();
    assert_eq!(chunks.keys().cloned().collect::<Vec<_>>(), expected, "the numbers have a gap");
    let mut payloads = Vec::new();
    for number in numbers {
        let text = chunks.get(&number).unwrap();
        assert!(!text.is_empty() && !text.ends_with('\n'), "{number}: {text:?}");
        for line in text.lines() {
            let message: Value = serde_json::from_str(line).unwrap();
            let payload = message.pointer("/params/payload").unwrap().as_u64().unwrap();
            payloads.push(usize::try_from(payload).unwrap());
        }
    }
    payloads
}

#[test]
fn chunks_are_numbered_from_one_and_hold_every_message_once_in_order() {
    let server = S3Server::start();
    let mut channel = channel(&server, Some("run/x"), QUICK);
    let start = std::time::Instant::now();
    for number in 0..40 {
        send(&mut channel, number);
        std::thread::sleep(Duration::from_millis(10));
    }
    channel.finish().unwrap();
    let elapsed = start.elapsed();
    assert_eq!(payloads(&server, "run/x"), (0..40).collect::<Vec<_>>());
    let chunks = server.objects("run/x").len() as u128;
    let most = 2 + elapsed.as_millis() / QUICK.interval.as_millis();
    assert!((2..=most).contains(&chunks), "{elapsed:?} made {chunks} chunks");
}

#[test]
fn the_first_chunk_goes_at_once_and_the_next_waits_for_the_interval() {
    let server = S3Server::start();
    let timing = Timing { interval: Duration::from_secs(3600), ..QUICK };
    let mut channel = channel(&server, None, timing);
    send(&mut channel, 0);
    server.wait_for_put("");
    send(&mut channel, 1);
    send(&mut channel, 2);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(payloads(&server, ""), [0]);
    channel.finish().unwrap();
    assert_eq!(payloads(&server, ""), [0, 1, 2]);
    assert_eq!(server.objects("").len(), 2);
}

#[test]
fn a_server_that_fails_for_a_while_leaves_no_gap() {
    let server = S3Server::start();
    let mut channel = channel(&server, Some("run/y"), QUICK);
    for number in 0..30 {
        if number % 10 == 3 {
            server.fail_puts(7);
        }
        send(&mut channel, number);
        std::thread::sleep(Duration::from_millis(20));
    }
    server.fail_puts(3);
    send(&mut channel, 30);
    channel.finish().unwrap();
    assert_eq!(payloads(&server, "run/y"), (0..=30).collect::<Vec<_>>());
    assert_eq!(server.failed_puts(), 24, "every fault was met");
}

#[test]
fn closing_gives_up_after_its_time_and_says_why() {
    let server = S3Server::start();
    let timing = Timing { join_timeout: Duration::from_secs(2), ..QUICK };
    let mut channel = channel(&server, Some("run/z"), timing);
    send(&mut channel, 0);
    server.wait_for_put("run/z");
    server.fail_all_puts();
    send(&mut channel, 1);
    let error = channel.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeliveryTimeout);
    assert!(error.is_transient());
    let cause = std::error::Error::source(&error).expect("the last failure of the upload");
    assert!(cause.to_string().contains("run/z/2.json"), "{cause}");
    assert_eq!(payloads(&server, "run/z"), [0]);
}

#[test]
fn a_refusal_for_good_is_definite_and_told_to_the_sender() {
    let server = S3Server::start();
    let mut variables: BTreeMap<OsString, OsString> = server.variables().collect();
    variables.insert("AWS_SECRET_ACCESS_KEY".into(), "another".into());
    let store = crate::object::store(BUCKET, &variables, Retry::ByCaller).unwrap();
    let mut channel = Box::new(ObjectChannel::open(store, BUCKET, None, QUICK).unwrap());
    send(&mut channel, 0);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let error = loop {
        if let Err(error) = channel.send(Message::Custom(&json!(1))) {
            break error;
        }
        assert!(std::time::Instant::now() < deadline, "the refusal was never told");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Delivery, false));
    assert!(!format!("{error:?}").contains("another"), "the secret is in the error");
    assert!(channel.finish().is_err());
    assert!(server.objects("").is_empty());
}

#[test]
fn free_text_beyond_the_limit_is_dropped_and_counted_before_closed() {
    let server = S3Server::start();
    server.fail_all_puts();
    let mut channel = channel(&server, None, QUICK);
    channel.send(Message::Opened).unwrap();
    let text = "x".repeat(QUEUE_LIMIT_BYTES / 4);
    for _ in 0..6 {
        channel.send(Message::Log { level: Level::Info, text: &text }).unwrap();
    }
    channel.send(Message::Closed { exception: None }).unwrap();
    server.heal();
    channel.finish().unwrap();
    let chunks = server.objects("");
    let lines: Vec<&str> = (1..=chunks.len())
        .flat_map(|index| chunks.get(&format!("{index}.json")).unwrap().lines())
        .collect();
    let closing: Vec<&&str> = lines.iter().rev().take(2).collect();
    assert!(closing.first().unwrap().contains(r#""closed""#));
    assert!(closing.get(1).unwrap().contains("log messages were dropped"));
}

#[test]
fn a_whole_session_goes_over_s3() {
    let server = S3Server::start();
    server.put("context.json", br#"{"run_id": "over s3", "retry_number": 0, "extras": {}}"#);
    let arguments = [
        crate::bootstrap::CONTEXT_ARGUMENT.to_owned(),
        crate::test_s3::encode(&json!({"bucket": BUCKET, "key": "context.json"})),
        crate::bootstrap::MESSAGES_ARGUMENT.to_owned(),
        crate::test_s3::encode(&json!({"bucket": BUCKET, "key_prefix": "messages"})),
    ];
    let pipes = crate::Pipes::open_with(server.variables(), &arguments).unwrap();
    assert_eq!(pipes.context().run_id, "over s3");
    pipes.log(Level::Info, "hello").unwrap();
    pipes.close(None).unwrap();
    pipes.close(None).unwrap();
    let chunks = server.objects("messages");
    let text = Vec::from_iter(chunks.values().map(String::as_str)).join("\n");
    let methods: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|message| message.get("method").unwrap().to_string())
        .collect();
    assert_eq!(methods, [r#""opened""#, r#""log""#, r#""closed""#]);
}

#[test]
fn a_context_that_is_not_there_is_definite() {
    let server = S3Server::start();
    let variables: BTreeMap<OsString, OsString> = server.variables().collect();
    let error = crate::object::fetch(BUCKET, "nothing.json", &variables).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::ContextUnreadable, false));
    assert!(Arc::new(error).to_string().contains("nothing.json"));
}
