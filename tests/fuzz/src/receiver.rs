//! The receiver without its sockets: its files, and two ways in.
//!
//! Its parts are private to the module they stand in. Here they stand in this one, so the crate needs no entry point
//! for this.

#[path = "../../../crates/webhook/src/receiver/answer.rs"]
mod answer;
#[path = "../../../crates/webhook/src/receiver/control.rs"]
mod control;
#[path = "../../../crates/webhook/src/receiver/counters.rs"]
mod counters;
#[path = "../../../crates/webhook/src/receiver/entity.rs"]
mod entity;
#[path = "../../../crates/webhook/src/receiver/fault.rs"]
mod fault;
#[path = "../../../crates/webhook/src/receiver/journal.rs"]
mod journal;
#[path = "../../../crates/webhook/src/receiver/learn.rs"]
mod learn;
#[path = "../../../crates/webhook/src/receiver/ovs.rs"]
mod ovs;
#[path = "../../../crates/webhook/src/receiver/python.rs"]
mod python;
#[path = "../../../crates/webhook/src/receiver/request.rs"]
mod request;
#[path = "../../../crates/webhook/src/receiver/service.rs"]
mod service;
#[path = "../../../crates/webhook/src/receiver/validation.rs"]
mod validation;
#[path = "../../../crates/webhook/src/receiver/weather.rs"]
mod weather;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use ol_chassis::clock::Clock;
use ol_chassis::shutdown::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::signature::Keyring;

pub use counters::Summary;
pub use fault::Fault;

/// A clock at which nobody waits.
#[derive(Debug)]
struct Impatient;

#[async_trait::async_trait]
impl Clock for Impatient {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, _: Duration) {}
}

/// A receiver of its own, in calm weather.
pub struct Receiver {
    service: Arc<service::Service>,
}

/// What a request is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The status.
    pub status: u16,
    /// The header `Allow`.
    pub allow: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl Receiver {
    /// One that believes these secrets.
    pub fn new(keyring: Keyring) -> Self {
        let service = service::Service {
            learn: learn::Learn {
                keyring,
                with_learning_resources: true,
                ovs_allowed_hosts: vec![crate::OVS_HOST.to_owned()],
            },
            weather: weather::Weather::new(Vec::new()),
            counters: counters::Counters::default(),
            journal: None,
            stop_after_requests: None,
            enough: Shutdown::new(),
            clock: Arc::new(Impatient),
        };
        Self { service: Arc::new(service) }
    }

    /// The answer to a request. `None` when no HTTP request can be like this. Headers that HTTP cannot carry are left
    /// out.
    pub fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Option<Told> {
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let target: hyper::Uri = target.parse().ok()?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes()))
            {
                map.append(name, value);
            }
        }
        let content = request::Content::Whole(body.to_vec().into());
        let (path, query) = (target.path(), target.query());
        let asked = learn::Asked { method: &method, path, query, headers: &map, content: &content };
        let answer = if path.starts_with(control::PREFIX) {
            let Self { service } = self;
            control::answer(&method, path, &content, &service.weather, &service.counters)
        } else {
            self.service.decide(&asked)
        };
        Some(Told {
            status: answer.status.as_u16(),
            allow: answer.allow,
            body: answer.body.to_vec(),
        })
    }

    /// Whether this is a call of the control route.
    pub fn is_control(target: &str) -> bool {
        let target: Option<hyper::Uri> = target.parse().ok();
        target.is_some_and(|target| target.path().starts_with(control::PREFIX))
    }

    /// Whether its Learn has the route of this path, percent escapes and all.
    pub fn has_route(&self, target: &str) -> bool {
        let target: Option<hyper::Uri> = target.parse().ok();
        target.is_some_and(|target| {
            self.service.learn.route(&learn::decoded(target.path())).is_some()
        })
    }

    /// The bytes that come back when these come in and then no more.
    pub async fn connect(&self, sent: &[u8]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let respond = service_fn(|request| {
            let service = Arc::clone(&self.service);
            async move { service.respond(true, request).await }
        });
        let serve = async move {
            let builder = Builder::new(TokioExecutor::new());
            // Nonsense is an error of the connection, not of the receiver.
            let _ = builder.serve_connection(TokioIo::new(server), respond).await;
        };
        let talk = async move {
            let mut received = Vec::new();
            let (mut reader, mut writer) = tokio::io::split(&mut client);
            let write = async {
                let _ = writer.write_all(sent).await;
                // A client that hangs up is not answered; this one hangs up when there is nothing more to answer.
                for _ in 0..64 {
                    tokio::task::yield_now().await;
                }
                let _ = writer.shutdown().await;
            };
            let read = async {
                let _ = reader.read_to_end(&mut received).await;
            };
            tokio::join!(write, read);
            received
        };
        tokio::join!(serve, talk).1
    }

    /// What it has counted.
    pub fn summary(&self) -> Summary {
        self.service.counters.summary()
    }
}

/// What the receiver's Python would make of a body, and whether it can.
pub fn python_json(body: &[u8]) -> Option<serde_json::Value> {
    python::json(body).ok()
}
