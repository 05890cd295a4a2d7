//! Starting, stopping, and what is told about it: the summary and the journal.

use std::path::Path;

use ol_chassis::ErrorKind;
use serde_json::Value;

use super::*;
use crate::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// The lines of a journal.
pub(super) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A request with a standard signature beside the legacy one.
fn standard<'a>(id: &str, body: &'a [u8], signed: &[u8]) -> Request<'a> {
    let now = now_seconds();
    let mut request = Request::post(CONTENT_FILES, body);
    request.headers = vec![
        (ID_HEADER, id.to_owned()),
        (TIMESTAMP_HEADER, now.to_string()),
        (SIGNATURE_HEADER, keyring().standard(id, now, signed)),
    ];
    request
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let receiver = Receiver::bind(settings()).await.unwrap();
    let address = receiver.address();
    let error = Receiver::bind(ReceiverSettings { address, ..settings() }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        error.to_string(),
        format!("Cannot listen: the address is in use (address: {address})")
    );
    assert!(error.advice().unwrap().contains("port 0"));
}

#[tokio::test]
async fn a_journal_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Some(folder.path().to_owned());
    let error = Receiver::bind(ReceiverSettings { journal, ..settings() }).await.unwrap_err();
    assert!(error.to_string().starts_with("Cannot open the journal (path: "));
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_ends_the_receiver() {
    let journal = Some("/dev/full".into());
    let receiver = Running::start(ReceiverSettings { journal, ..settings() }).await;
    let _ = receiver.post(CONTENT_FILES, GOOD).await;
    let error = receiver.served.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "Cannot write the journal (path: /dev/full)");
}

#[tokio::test]
async fn the_journal_says_what_came_and_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    std::fs::write(&path, "{\"sequence\":0}\n").unwrap();
    let journal = Some(path.clone());
    let receiver = Running::start(ReceiverSettings { journal, ..settings() }).await;
    receiver.ask(standard("msg_1", GOOD, GOOD)).await.unwrap();
    receiver.ask(standard("msg_1", GOOD, b"other")).await.unwrap();
    receiver.post("/nope?a=b", b"\xff").await.unwrap();
    let request =
        Request { signature: Some(None), ..Request::post(OVS_VIDEOS, b"{\"key\":\"k\"}") };
    receiver.ask(request).await.unwrap();
    let long = vec![b' '; 2_621_441];
    receiver.post(CONTENT_FILES, &long).await.unwrap();
    let summary = receiver.stop().await;
    assert_eq!((summary.accepted, summary.refused), (2, 3));
    assert_eq!((summary.duplicates, summary.standard_failures), (1, 1));

    let lines = lines(&path);
    let pick = |name: &str| lines.iter().skip(1).map(|line| &line[name]).collect::<Vec<_>>();
    assert_eq!(pick("sequence"), [1, 2, 3, 4, 5]);
    assert_eq!(pick("status"), [200, 200, 405, 405, 405]);
    let none = &Value::Null;
    assert_eq!(pick("webhook_id"), [&"msg_1".into(), &"msg_1".into(), none, none, none]);
    assert_eq!(pick("entity"), [&"2198".into(), &"2198".into(), none, &"k".into(), none]);
    assert_eq!(pick("signature_valid"), [true, true, true, false, false]);
    assert_eq!(pick("standard_valid"), [&true.into(), &false.into(), none, none, none]);
    assert_eq!(pick("body_bytes"), [55, 55, 1, 11, 2_621_441]);
    let (good, key) = (std::str::from_utf8(GOOD).unwrap(), "{\"key\":\"k\"}");
    assert_eq!(pick("body"), [&good.into(), &good.into(), none, &key.into(), none]);
    assert_eq!(lines[3]["path"], "/nope?a=b");
    assert_eq!(
        lines[3]["body_sha256"],
        "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89"
    );
    assert!(lines[5]["body_sha256"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_by_itself_after_exactly_as_many_requests_all_of_them_answered() {
    let stop_after_requests = Some(100);
    let receiver = Running::start(ReceiverSettings { stop_after_requests, ..settings() }).await;
    let request = Request::post(CONTENT_FILES, GOOD).bytes();
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(receiver.client().await);
    }
    let mut senders = tokio::task::JoinSet::new();
    for mut client in clients {
        let request = request.clone();
        senders.spawn(async move {
            let mut answered = 0;
            loop {
                client.send(&request).await;
                match client.reply("POST").await {
                    Some(reply) => answered += u64::from(reply.status == 200),
                    None => return answered,
                }
            }
        });
    }
    let answered: u64 = senders.join_all().await.into_iter().sum();
    let summary = receiver.ended().await;
    assert_eq!((summary.requests, summary.accepted, answered), (100, 100, 100));
}

#[tokio::test]
async fn a_stop_waits_for_the_answer_at_hand_and_closes_idle_connections() {
    let receiver = Running::start(with_faults(&["delay:0.2:1"])).await;
    let (mut idle, mut busy) = (receiver.client().await, receiver.client().await);
    let request = Request::post(CONTENT_FILES, GOOD).bytes();
    busy.send(&request).await;
    while receiver.ask(summary()).await.unwrap().json()["requests"] == 0 {}
    receiver.shutdown.request();
    assert_eq!(busy.reply("POST").await.unwrap().status, 200);
    assert!(idle.fill().await.is_none());
    assert_eq!(receiver.ended().await.accepted, 1);
}

fn summary() -> Request<'static> {
    Request { method: "GET", ..Request::post("/__control__/summary", b"") }
}

#[tokio::test]
async fn cleartext_http2_is_understood_and_a_drop_resets_its_stream() {
    let receiver = Running::start(with_faults(&["drop:1"])).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let post = || {
        client
            .post(format!("http://{}{CONTENT_FILES}", receiver.address))
            .header(LEGACY_HEADER, keyring().legacy(0, GOOD).unwrap())
            .body(GOOD)
            .send()
    };
    assert!(post().await.is_err());
    let reply = post().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.version()), (200, reqwest::Version::HTTP_2));
    drop((reply, client));
    let summary = receiver.stop().await;
    assert_eq!((summary.requests, summary.faulted, summary.accepted), (2, 1, 1));
}
