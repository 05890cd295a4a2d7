//! The network between sender and receiver, with real servers on loopback: whom the sender believes and calls, how long
//! it waits, how much it reads, and what of its secrets it shows.
//!
//! Nothing but this machine is ever called. Where a test names an address beyond it, every connection of the sender
//! would go to a proxy of the test, and none comes.

mod authority;
mod bounds;
mod egress;
mod loopback;
mod proxy;
mod secrecy;
mod tls;

use std::path::Path;
use std::time::Duration;

use ol_testkit::{Python, Running, Step, workspace_root};
use serde_json::{Value, json};

use super::common::{SECRET, Sender, course, requests};

const CA_FILE: &str = "OL_WEBHOOK__TLS__CA_FILE";
const CLIENT_FILE: &str = "OL_WEBHOOK__TLS__CLIENT_CERTIFICATE_FILE";
const PROXY: &str = "OL_WEBHOOK__EGRESS__PROXY";
/// Everything that we and the libraries have to say; a bare `trace` would keep the libraries quiet.
const LOG_EVERYTHING: &str = "trace,ol_webhook=trace";
const ALLOW_PRIVATE: &str = "OL_WEBHOOK__EGRESS__ALLOW_PRIVATE";

/// A sender that makes one request at a time and tries again in an hour.
fn patient(base_url: &str) -> Sender {
    Sender::to(base_url)
        .with("OL_WEBHOOK__DELIVERY__CONCURRENCY", "1")
        .with("OL_WEBHOOK__SCHEDULE__WAITS_SECONDS", "[3600.0]")
        .with("OL_WEBHOOK__SCHEDULE__JITTER", "none")
}

/// Puts messages of different courses into the outbox.
#[track_caller]
fn put(sender: &Sender, count: u64) {
    let lines: Vec<String> = (1..=count).map(|number| course(number, 1)).collect();
    sender.send_lines("content_files", &lines.join("\n"), &[], 0);
}

/// The last attempt to deliver a message.
#[track_caller]
fn attempt(sender: &Sender, message: &Value) -> Value {
    let shown = sender.run(["show", message["id"].as_str().unwrap()], 0);
    shown["attempts_made"].as_array().unwrap().last().unwrap().clone()
}

/// Demands that one message is delivered; its attempt.
#[track_caller]
fn delivered(sender: &Sender) -> Value {
    put(sender, 1);
    let document = sender.run(["deliver"], 0);
    assert_eq!((&document["delivered"], &document["attempts"]), (&json!(1), &json!(1)));
    attempt(sender, &sender.list("delivered")[0])
}

/// Demands that one message fails as the weather does, by exit code 1, and waits for its next attempt; its attempt.
#[track_caller]
fn weather(sender: &Sender, reason: &str) -> Value {
    put(sender, 1);
    let document = sender.run(["deliver"], 1);
    assert_eq!(document["retried"], json!({reason: 1}), "{document:#}");
    assert_eq!((&document["dead"], &document["left"]), (&json!(0), &json!(1)));
    let queued = sender.list("queued");
    assert_eq!((&queued[0]["class"], &queued[0]["reason"]), (&json!("transient"), &json!(reason)));
    attempt(sender, &queued[0])
}

/// Demands that of three messages one is a dead letter that needs a person, by exit code 2, and the others stay
/// untouched; what a person is told.
#[track_caller]
fn needs_person(sender: &Sender, reason: &str) -> String {
    put(sender, 3);
    let document = sender.run(["deliver"], 2);
    assert_eq!(document["outcome"], "blocked");
    assert_eq!((&document["dead"], &document["left"]), (&json!(1), &json!(2)), "{document:#}");
    let dead = &document["dead_letters"][0];
    assert_eq!((&dead["class"], &dead["reason"]), (&json!("needs_person"), &json!(reason)));
    let sentence = dead["sentence"].as_str().unwrap();
    assert_eq!(document["blocked"], json!([sentence]));
    assert_eq!(sender.list("dead").len(), 1);
    let untouched = sender.list("queued");
    assert_eq!(untouched.len(), 2);
    for message in untouched {
        assert_eq!((&message["attempts"], &message["reason"]), (&json!(0), &Value::Null));
    }
    sentence.to_owned()
}

/// `tests/receivers/tls_receiver.py` under way, which speaks TLS with a certificate of an authority.
struct TlsReceiver {
    port: u64,
    folder: tempfile::TempDir,
    _running: Running,
}

impl TlsReceiver {
    fn start(certificate: &Path, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut running = Step::new(Python::Receivers.path())
            .arg(workspace_root().join("tests/receivers/tls_receiver.py"))
            .args(["--secret", SECRET, "--journal"])
            .arg(folder.path().join("journal.jsonl"))
            .arg("--certificate")
            .arg(certificate)
            .args(flags)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .open_input()
            .limit(Duration::from_secs(3600))
            .start();
        let line: Value =
            serde_json::from_str(&running.first_line(Duration::from_secs(60))).unwrap();
        Self { port: line["port"].as_u64().unwrap(), folder, _running: running }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    fn requests(&self) -> Vec<Value> {
        requests(&self.folder.path().join("journal.jsonl"))
    }
}

/// Demands that it took at least this long, and not much longer on two busy cores.
#[track_caller]
fn took_about(attempt: &Value, seconds: f64) {
    let took = attempt["milliseconds"].as_f64().unwrap() / 1000.0;
    assert!(took >= seconds * 0.9 && took < seconds + 3.0, "{took} s instead of {seconds} s");
}
