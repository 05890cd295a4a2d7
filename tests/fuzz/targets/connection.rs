//! The bytes of a connection to the receiver: HTTP/1, HTTP/2 or nonsense. It ends, and the next request is served.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ol_fuzz::keyring;
use ol_fuzz::receiver::Receiver;
use ol_fuzz::signature::LEGACY_HEADER;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap();
}

fuzz_target!(|bytes: &[u8]| {
    RUNTIME.with(|runtime| runtime.block_on(talk(bytes)));
});

async fn talk(bytes: &[u8]) {
    let keyring = keyring("supersecret").unwrap();
    let body = br#"{"source":"canvas","content_path":"a","course_id":2198}"#;
    let signature = keyring.legacy(0, body).unwrap();
    let receiver = Receiver::new(keyring);
    let received = receiver.connect(bytes).await;
    let is_http = received.is_empty() || received.starts_with(b"HTTP/1.");
    assert!(is_http || bytes.starts_with(b"PRI * HTTP/2.0"), "{received:?}");
    let before = receiver.summary();
    assert_eq!(before.requests, before.accepted + before.refused + before.faulted);

    let mut requests = format!(
        "DELETE /__control__/faults HTTP/1.1\r\n\r\n\
         POST /api/v1/webhooks/content_files/ HTTP/1.1\r\n{LEGACY_HEADER}: {signature}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    requests.extend_from_slice(body);
    let served = String::from_utf8(receiver.connect(&requests).await).unwrap();
    assert_eq!(served.matches("HTTP/1.1 200 OK").count(), 2, "{served}");
    assert_eq!(receiver.summary().accepted, before.accepted + 1);
}
