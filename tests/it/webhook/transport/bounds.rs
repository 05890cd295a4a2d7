//! How long the sender waits, where it does not go, and how much it reads.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ol_testkit::{Python, Step};
use serde_json::{Value, json};

use super::loopback::{CHUNKED, Loopback, listen, respond};
use super::{delivered, needs_person, patient, put, took_about, weather};
use crate::webhook::common::Sender;

const CONNECT: &str = "OL_WEBHOOK__TIMEOUT__CONNECT_SECONDS";
const READ: &str = "OL_WEBHOOK__TIMEOUT__READ_SECONDS";
const TOTAL: &str = "OL_WEBHOOK__TIMEOUT__TOTAL_SECONDS";

/// Listens and takes nobody, with so many waiting that the next is neither let in nor refused.
const FULL: &str = "
import socket
listener = socket.create_server(('127.0.0.1', 0), backlog=0)
waiting = []
try:
    while True:
        waiting.append(socket.create_connection(listener.getsockname(), timeout=0.5))
except TimeoutError:
    print(listener.getsockname()[1], flush=True)
input()
";

/// Writes a piece again and again, with a pause before each, until the client has gone.
fn trickle(mut stream: TcpStream, piece: &[u8], pause: Duration) {
    while stream.write_all(piece).is_ok() {
        thread::sleep(pause);
    }
}

/// Waits until the client goes.
fn hold(stream: TcpStream) {
    let _ = std::io::copy(&mut &stream, &mut std::io::sink());
}

#[test]
fn who_does_not_take_a_connection_is_given_the_time_to_connect() {
    let mut full = Step::new(Python::Receivers.path()).args(["-c", FULL]).open_input().start();
    let port = full.first_line(Duration::from_secs(60));
    let sender = patient(&format!("http://127.0.0.1:{port}")).with(CONNECT, "1");
    took_about(&weather(&sender, "timed_out"), 1.0);
    // Takes the connection and never answers the greeting of TLS.
    let silent = listen("127.0.0.1:0", hold).unwrap();
    let sender = patient(&format!("https://{silent}")).with(CONNECT, "1");
    took_about(&weather(&sender, "timed_out"), 1.0);
}

#[test]
fn who_takes_a_request_and_says_nothing_is_given_the_time_to_read() {
    let mute = Loopback::answering(|stream, _head| hold(stream));
    took_about(&weather(&patient(&mute.url()).with(READ, "1"), "timed_out"), 1.0);
    assert_eq!(mute.heads().len(), 1);
}

#[test]
fn who_always_says_a_little_more_is_given_the_whole_time_and_no_more() {
    let endless_head = Loopback::answering(|mut stream, _head| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ");
        trickle(stream, b"a", Duration::from_millis(50));
    });
    took_about(&weather(&patient(&endless_head.url()).with(TOTAL, "1"), "timed_out"), 1.0);
    // Once the status has come the message has arrived: the rest of the answer is not worth another request.
    let endless_body = Loopback::answering(|mut stream, _head| {
        let _ = stream.write_all(CHUNKED.as_bytes());
        trickle(stream, b"1\r\na\r\n", Duration::from_millis(50));
    });
    let attempt = delivered(&patient(&endless_body.url()).with(TOTAL, "1"));
    took_about(&attempt, 1.0);
    assert!(attempt["response"].as_str().unwrap().starts_with("aaa"), "{attempt:#}");
    let stops = Loopback::answering(|mut stream, _head| {
        let _ = stream.write_all(CHUNKED.as_bytes());
        hold(stream);
    });
    took_about(&delivered(&patient(&stops.url()).with(READ, "1")), 1.0);
    assert_eq!(stops.heads().len(), 1, "nothing is sent twice");
}

#[test]
fn a_body_without_end_is_left_and_costs_no_memory() {
    let written = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&written);
    let flood = Loopback::answering(move |mut stream, _head| {
        let _ = stream.write_all(CHUNKED.as_bytes());
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(65_536));
        while stream.write_all(chunk.as_bytes()).is_ok() {
            count.fetch_add(65_536, Ordering::Relaxed);
        }
    });
    let sender = patient(&flood.url());
    put(&sender, 20);
    let finished = sender.step(["deliver"]).run().expect_code(0);
    assert_eq!(finished.json()["delivered"], 20);
    // What the kernel has room for on both sides may be written and is never read.
    let each = written.load(Ordering::Relaxed) / 20;
    assert!(each < 20_000_000, "{each} bytes were taken from a body without end");
    assert!(finished.seconds < 10.0 && finished.peak_bytes < 400_000_000, "{finished:?}");
}

#[test]
fn headers_without_end_are_weather_and_cost_no_memory() {
    let flood = Loopback::answering(|mut stream, _head| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        trickle(stream, format!("x-much: {}\r\n", "a".repeat(4_000)).as_bytes(), Duration::ZERO);
    });
    let attempt = weather(&patient(&flood.url()), "connection_lost");
    assert!(attempt["milliseconds"].as_i64().unwrap() < 5_000, "{attempt:#}");
}

#[test]
fn the_first_twenty_thousand_bytes_of_an_answer_are_kept_and_the_rest_is_marked() {
    let kept = |status: &'static str, bytes: usize, demand: fn(&Sender) -> Value| {
        let server = Loopback::answering(move |stream, _head| {
            respond(stream, status, "", &"ü".repeat(bytes / 2));
        });
        let attempt = demand(&patient(&server.url()));
        let response = attempt["response"].as_str().unwrap();
        assert_eq!(response, "ü".repeat(bytes.min(20_000) / 2));
        attempt["response_truncated"].clone()
    };
    assert_eq!(kept("200 OK", 20_000, delivered), 0);
    assert_eq!(kept("200 OK", 20_002, delivered), 1);
    assert_eq!(kept("200 OK", 1_000_000, delivered), 1);
    let failing = |sender: &Sender| weather(sender, "receiver_failing");
    assert_eq!(kept("503 Service Unavailable", 100_000, failing), 1);
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = Loopback::taking();
    let target = elsewhere.url();
    for status in ["300", "301", "302", "303", "304", "305", "307", "308"] {
        let target = target.clone();
        let server = Loopback::answering(move |stream, _head| {
            let headers = format!("location: {target}/api/v1/webhooks/content_files/\r\n");
            respond(stream, &format!("{status} Elsewhere"), &headers, "");
        });
        let sentence = needs_person(&patient(&server.url()), "redirected");
        assert!(sentence.contains("MIT_LEARN_BASE_URL"), "{sentence}");
        assert_eq!(server.heads().len(), 1, "{status}");
    }
    assert_eq!(elsewhere.heads(), [] as [String; 0]);
}

#[test]
fn a_receiver_that_takes_no_connection_or_breaks_it_is_weather() {
    weather(&patient("http://127.0.0.1:1"), "host_unreachable");
    let breaks = Loopback::answering(|stream, _head| drop(stream));
    let attempt = weather(&patient(&breaks.url()), "connection_lost");
    assert_eq!((&attempt["status"], breaks.heads().len()), (&json!(null), 1));
    let babbles = Loopback::answering(|mut stream, _head| {
        let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n\r\n");
    });
    weather(&patient(&babbles.url()), "connection_lost");
}
