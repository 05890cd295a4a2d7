//! Every fault, and the control route.

use std::time::{Duration, Instant};

use ol_chassis::clock::TestClock;

use super::*;

/// A clock on which a pause takes no time.
fn impatient() -> Arc<TestClock> {
    Arc::new(TestClock::impatient(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)))
}

#[tokio::test]
async fn a_status_is_answered_as_often_as_asked_with_its_retry_after() {
    let faults = [
        "status:503:2",
        "status:429:1:retry-after=7",
        "status:429:1:retry-after-date=60",
        "status:204:1",
    ];
    let clock = impatient();
    let receiver = Running::start(ReceiverSettings { clock, ..with_faults(&faults) }).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let reply = receiver.post(CONTENT_FILES, GOOD).await.unwrap();
        seen.push((reply.status, reply.header("retry-after").map(str::to_owned)));
    }
    let date = Some("Sun, 06 Nov 1994 08:50:37 GMT".to_owned());
    let plain = |status| (status, None);
    let limited = (429, Some("7".to_owned()));
    let expected = vec![plain(503), plain(503), limited, (429, date), plain(204), plain(200)];
    assert_eq!(seen, expected);
    let summary = receiver.stop().await;
    assert_eq!((summary.requests, summary.accepted, summary.faulted), (6, 1, 5));
}

#[tokio::test]
async fn a_dropped_request_is_read_and_journaled_and_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.jsonl");
    let faults = with_faults(&["drop:2"]);
    let receiver =
        Running::start(ReceiverSettings { journal: Some(journal.clone()), ..faults }).await;
    assert!(receiver.post(CONTENT_FILES, GOOD).await.is_none());
    assert!(receiver.post(CONTENT_FILES, GOOD).await.is_none());
    assert_eq!(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status, 200);
    let summary = receiver.stop().await;
    assert_eq!((summary.faulted, summary.accepted), (2, 1));
    let lines = running::lines(&journal);
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64()).collect();
    assert_eq!(statuses, [None, None, Some(200)]);
    assert!(lines.iter().all(|line| line["entity"] == "2198" && line["signature_valid"] == true));
}

#[tokio::test]
async fn a_refused_connection_is_closed_at_once() {
    let receiver = Running::start(with_faults(&["refuse:2"])).await;
    for _ in 0..2 {
        assert!(receiver.post(CONTENT_FILES, GOOD).await.is_none());
    }
    assert_eq!(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status, 200);
    let summary = receiver.stop().await;
    assert_eq!((summary.connections, summary.connections_refused, summary.requests), (3, 2, 1));
}

#[tokio::test]
async fn a_delay_and_a_status_are_met_together() {
    let clock = impatient();
    let faults = with_faults(&["delay:0.5:3", "status:503:1"]);
    let receiver =
        Running::start(ReceiverSettings { clock: Arc::clone(&clock) as _, ..faults }).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status);
    }
    assert_eq!(statuses, [503, 200, 200, 200]);
    assert_eq!(clock.elapsed(), Duration::from_millis(1500));
}

#[tokio::test]
async fn a_slow_answer_comes_byte_by_byte() {
    let receiver = Running::start(with_faults(&["slow:0.002:1"])).await;
    let started = Instant::now();
    let reply = receiver.post(CONTENT_FILES, GOOD).await.unwrap();
    assert_eq!(reply.text(), r#"{"status":"success","message":"Webhook received"}"#);
    assert!(started.elapsed() >= Duration::from_millis(2 * 49));
    let clock = impatient();
    let faults = with_faults(&["slow:1:1"]);
    let receiver =
        Running::start(ReceiverSettings { clock: Arc::clone(&clock) as _, ..faults }).await;
    assert_eq!(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status, 200);
    assert_eq!(clock.elapsed(), Duration::from_secs(49));
}

#[tokio::test]
async fn a_poisoned_entity_fails_validation_as_learn_would_have_it() {
    let faults = with_faults(&["reject:2198", "reject:course-v1:MITx*", "reject:vid_*"]);
    let receiver =
        Running::start(ReceiverSettings { with_learning_resources: true, ..faults }).await;
    for (path, body, status, allow) in [
        (CONTENT_FILES, r#"{"source":"canvas","course_id":2198}"#, 405, "GET, OPTIONS"),
        (CONTENT_FILES, r#"{"source":"canvas","course_id":"21980"}"#, 200, "POST, OPTIONS"),
        (
            CONTENT_FILES,
            r#"{"source":"oll","course_readable_id":"course-v1:MITx/6.00","course_id":"x"}"#,
            405,
            "GET, OPTIONS",
        ),
        (OVS_VIDEOS, r#"{"key":"vid_1"}"#, 400, "POST, OPTIONS"),
        (OVS_VIDEOS, r#"{"video_id":"vid_1","delete":true}"#, 400, "POST, OPTIONS"),
        (OVS_VIDEOS, r#"{"key":"film_1"}"#, 200, "POST, OPTIONS"),
        (
            LEARNING_RESOURCES,
            r#"{"resources":[{"readable_id":"vid_7","etl_source":"a","resource_type":"b"}]}"#,
            400,
            "POST, OPTIONS",
        ),
    ] {
        let reply = receiver.post(path, body.as_bytes()).await.unwrap();
        assert_eq!((reply.status, reply.header("allow")), (status, Some(allow)), "{body}");
        if status == 400 {
            assert_eq!(reply.json()["error_type"], "ValidationError", "{body}");
        }
    }
    let summary = receiver.stop().await;
    assert_eq!((summary.accepted, summary.refused, summary.faulted), (2, 5, 0));
}

#[tokio::test]
async fn the_control_route_poisons_and_heals() {
    const FAULTS: &str = "/__control__/faults";
    let receiver = Running::start(with_faults(&["status:500"])).await;
    let control = |method, path, body| Request { method, ..Request::post(path, body) };
    assert_eq!(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status, 500);

    let list = br#"["status:503:2","reject:a*"]"#;
    let reply = receiver.ask(control("POST", FAULTS, list)).await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, r#"{"faults":["status:503:2","reject:a*"]}"#));
    assert_eq!(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status, 503);
    let reply = receiver.ask(control("GET", FAULTS, b"")).await.unwrap();
    assert_eq!(reply.text(), r#"{"faults":["status:503:1","reject:a*"]}"#);

    for bad in [&b"{}"[..], b"[1]", b"", b"[\"burn\"]", b"\xff"] {
        let reply = receiver.ask(control("POST", FAULTS, bad)).await.unwrap();
        assert_eq!(reply.status, 400);
        assert!(reply.json()["error"].is_string());
    }
    let reply = receiver.ask(control("GET", "/__control__/other", b"")).await.unwrap();
    assert_eq!(reply.status, 404);
    let reply = receiver.ask(control("DELETE", FAULTS, b"")).await.unwrap();
    assert_eq!(reply.text(), r#"{"faults":[]}"#);
    assert_eq!(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status, 200);

    let reply = receiver.ask(control("GET", "/__control__/summary", b"")).await.unwrap();
    let summary = receiver.stop().await;
    assert_eq!(reply.json()["requests"], 3);
    assert_eq!((summary.requests, summary.accepted, summary.faulted), (3, 1, 2));
}
