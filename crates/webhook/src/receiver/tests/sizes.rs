//! Bodies at the limits of Django, of nginx and of what is read at all.

use super::super::request::{DJANGO_LIMIT_BYTES, NGINX_LIMIT_BYTES};
use super::*;

/// A payload that Learn takes, of so many bytes.
fn payload(bytes: u64) -> Vec<u8> {
    let mut payload = GOOD.to_vec();
    payload.resize(usize::try_from(bytes).unwrap(), b' ');
    payload
}

#[tokio::test]
async fn a_body_is_refused_as_django_does_then_as_nginx_does() {
    let receiver = Running::start(settings()).await;
    for (bytes, status, allow, close) in [
        (DJANGO_LIMIT_BYTES, 200, Some("POST, OPTIONS"), None),
        (DJANGO_LIMIT_BYTES + 1, 405, Some("GET, OPTIONS"), None),
        (NGINX_LIMIT_BYTES, 405, Some("GET, OPTIONS"), None),
        (NGINX_LIMIT_BYTES + 1, 413, None, Some("close")),
    ] {
        let reply = receiver.post(CONTENT_FILES, &payload(bytes)).await.unwrap();
        assert_eq!((reply.status, reply.header("allow")), (status, allow), "{bytes}");
        assert_eq!(reply.header("connection"), close, "{bytes}");
    }
    let summary = receiver.stop().await;
    assert_eq!((summary.accepted, summary.refused, summary.incomplete), (1, 3, 0));
}

#[tokio::test]
async fn a_body_without_end_is_not_read_for_ever() {
    let receiver = Running::start(settings()).await;
    let mut client = receiver.client().await;
    let head = "POST / HTTP/1.1\r\nhost: learn\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(head.as_bytes()).await;
    let mut chunk = b"100000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10_0000, b' ');
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..33 {
        client.send(&chunk).await;
    }
    assert_eq!(client.reply("POST").await.unwrap().status, 413);
    assert!(client.fill().await.is_none(), "the connection is closed");
}

#[tokio::test]
async fn a_body_in_pieces_is_whole() {
    let receiver = Running::start(settings()).await;
    let mut client = receiver.client().await;
    let signature = keyring().legacy(0, GOOD).unwrap();
    let head = format!(
        "POST {CONTENT_FILES} HTTP/1.1\r\nhost: learn\r\n{LEGACY_HEADER}: {signature}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    client.send(head.as_bytes()).await;
    for byte in GOOD {
        client.send(b"1\r\n").await;
        client.send(&[*byte]).await;
        client.send(b"\r\n").await;
    }
    client.send(b"0\r\n\r\n").await;
    assert_eq!(client.reply("POST").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_half_way_is_counted_as_such() {
    let receiver = Running::start(settings()).await;
    let mut client = receiver.client().await;
    let request = Request::post(CONTENT_FILES, GOOD).bytes();
    client.send(request.get(..request.len() - 3).unwrap()).await;
    client.stream.shutdown().await.unwrap();
    assert!(client.fill().await.is_none());
    let summary = receiver.stop().await;
    assert_eq!((summary.requests, summary.incomplete), (0, 1));
}
