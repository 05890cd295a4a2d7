//! A receiver on a free port of the loopback, and a client that sees every byte of its answers.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod fuzz;
mod learn;
mod running;
mod sizes;

use std::sync::Arc;
use std::time::SystemTime;

use ol_chassis::clock::{Clock, SystemClock};
use ol_chassis::secret::SecretText;
use ol_chassis::shutdown::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Receiver, ReceiverSettings, Summary};
use crate::signature::{Keyring, LEGACY_HEADER};

pub(super) const CONTENT_FILES: &str = "/api/v1/webhooks/content_files/";
pub(super) const OVS_VIDEOS: &str = "/api/v1/webhooks/ovs_videos/";
pub(super) const LEARNING_RESOURCES: &str = "/api/v1/webhooks/learning_resources/";
pub(super) const GOOD: &[u8] = br#"{"source":"canvas","content_path":"a","course_id":2198}"#;

pub(super) fn keyring() -> Keyring {
    Keyring::parse([&SecretText::new("supersecret")]).unwrap()
}

pub(super) fn settings() -> ReceiverSettings {
    ReceiverSettings {
        address: "127.0.0.1:0".parse().unwrap(),
        keyring: keyring(),
        faults: Vec::new(),
        journal: None,
        stop_after_requests: None,
        with_learning_resources: false,
        ovs_allowed_hosts: vec![".cloudfront.net".to_owned(), "Video.odl.mit.edu".to_owned()],
        clock: Arc::new(SystemClock),
    }
}

pub(super) fn with_faults(faults: &[&str]) -> ReceiverSettings {
    let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
    ReceiverSettings { faults, ..settings() }
}

/// A receiver that serves.
pub(super) struct Running {
    pub(super) address: std::net::SocketAddr,
    pub(super) shutdown: Shutdown,
    served: JoinHandle<Result<Summary, ol_chassis::Error>>,
}

impl Running {
    pub(super) async fn start(settings: ReceiverSettings) -> Self {
        let receiver = Receiver::bind(settings).await.unwrap();
        let (address, shutdown) = (receiver.address(), Shutdown::new());
        let served = tokio::spawn(receiver.serve(shutdown.clone()));
        Self { address, shutdown, served }
    }

    pub(super) async fn client(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), held: Vec::new() }
    }

    /// The answer to one request on a connection of its own.
    pub(super) async fn ask(&self, request: Request<'_>) -> Option<Reply> {
        let mut client = self.client().await;
        client.send(&request.bytes()).await;
        client.reply(request.method).await
    }

    pub(super) async fn post(&self, path: &str, body: &[u8]) -> Option<Reply> {
        self.ask(Request::post(path, body)).await
    }

    /// What it saw, once it has ended by itself.
    pub(super) async fn ended(self) -> Summary {
        self.served.await.unwrap().unwrap()
    }

    pub(super) async fn stop(self) -> Summary {
        self.shutdown.request();
        self.ended().await
    }
}

/// A request, signed unless its signature says otherwise.
#[derive(Clone)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) body: &'a [u8],
    /// In place of the right one; inner `None` for no header.
    pub(super) signature: Option<Option<&'a [u8]>>,
    pub(super) headers: Vec<(&'a str, String)>,
}

impl<'a> Request<'a> {
    pub(super) fn post(path: &'a str, body: &'a [u8]) -> Self {
        Self { method: "POST", path, body, signature: None, headers: Vec::new() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: learn\r\n", self.method, self.path);
        bytes.push_str(&format!("content-length: {}\r\n", self.body.len()));
        for (name, value) in &self.headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = bytes.into_bytes();
        let right = keyring().legacy(0, self.body).unwrap();
        if let Some(signature) = self.signature.unwrap_or(Some(right.as_bytes())) {
            bytes.extend_from_slice(format!("{LEGACY_HEADER}: ").as_bytes());
            bytes.extend_from_slice(signature);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body);
        bytes
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(super) struct Client {
    pub(super) stream: TcpStream,
    held: Vec<u8>,
}

impl Client {
    /// Sends; a receiver that closes meanwhile is no failure.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next answer; `None` when the connection is closed before it is whole.
    pub(super) async fn reply(&mut self, method: &str) -> Option<Reply> {
        let head = loop {
            if let Some(end) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.held.drain(..end + 4).collect::<Vec<u8>>();
            }
            self.fill().await?;
        };
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        if method != "HEAD" {
            while self.held.len() < length {
                self.fill().await?;
            }
            reply.body = self.held.drain(..length).collect();
        }
        Some(reply)
    }

    pub(super) async fn fill(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.held).await.ok()?;
        (read > 0).then_some(())
    }
}

/// The seconds since the epoch, by the system's clock.
pub(super) fn now_seconds() -> u64 {
    SystemClock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
