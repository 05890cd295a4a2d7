//! Whom the sender believes, and as whom it shows itself.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use super::authority::Authority;
use super::loopback::listen;
use super::{CA_FILE, CLIENT_FILE, TlsReceiver, delivered, needs_person, patient, put, weather};
use crate::webhook::common::{Sender, told_no_secret};

fn believing(authority: &Path, base_url: &str) -> Sender {
    patient(base_url).with(CA_FILE, authority.to_str().unwrap())
}

#[test]
fn a_receiver_whose_authority_is_named_gets_the_message_by_name_and_by_address() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority.issue("localhost"), &[]);
    for host in ["localhost", "127.0.0.1"] {
        delivered(&believing(&authority.file(), &receiver.url(host)));
    }
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(
            (&request["tls"], &request["signature_valid"]),
            (&json!("TLSv1.3"), &json!(true))
        );
    }
}

#[test]
fn without_its_authority_a_receiver_is_not_believed_until_a_person_names_it_and_replays() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority.issue("localhost"), &[]);
    let sender = patient(&receiver.url("localhost"));
    let sentence = needs_person(&sender, "tls_untrusted");
    assert!(sentence.contains("webhook.tls.ca_file"), "{sentence}");
    assert_eq!(
        receiver.requests(),
        [] as [Value; 0],
        "nothing was sent to one that is not believed"
    );
    let id = sender.list("dead")[0]["id"].clone();
    let sender = sender.with(CA_FILE, authority.file().to_str().unwrap());
    let replayed = ["replay", "--filter", "class=needs_person", "--deliver"];
    sender.run(replayed, 0);
    sender.run(["deliver"], 0);
    let mut ids: Vec<_> = receiver.requests().iter().map(|one| one["webhook_id"].clone()).collect();
    assert!(ids.contains(&id), "the dead letter came under its id");
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_certificate_that_is_expired_of_another_name_or_of_another_authority_is_not_believed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for certificate in [
        authority.issue_expired("localhost"),
        authority.issue("elsewhere"),
        authority.issue("client"),
        stranger.issue("localhost"),
    ] {
        let receiver = TlsReceiver::start(&certificate, &[]);
        let sender = believing(&authority.file(), &receiver.url("localhost"));
        needs_person(&sender, "tls_untrusted");
        assert_eq!(receiver.requests(), [] as [Value; 0]);
    }
}

#[test]
fn a_connection_that_breaks_in_the_handshake_is_weather() {
    // What was not read when a connection is closed makes the kernel reset it.
    let resets = listen("127.0.0.1:0", |stream| {
        stream.peek(&mut [0]).unwrap();
    });
    let closes = listen("127.0.0.1:0", |mut stream| {
        assert!(stream.read(&mut vec![0; 65_536]).unwrap() > 0);
    });
    for address in [resets.unwrap(), closes.unwrap()] {
        weather(&patient(&format!("https://{address}")), "host_unreachable");
    }
}

#[test]
fn a_receiver_that_wants_to_know_us_is_shown_our_certificate() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let flags = ["--client-authority", &ours.file().display().to_string()].map(str::to_owned);
    let certificate = theirs.issue("localhost");
    let client = ours.issue("client");
    for version in ["1.2", "1.3"] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--tls", version]).collect();
        let receiver = TlsReceiver::start(&certificate, &flags);
        let sender = || believing(&theirs.file(), &receiver.url("localhost"));
        needs_person(&sender(), "tls_untrusted");
        let stranger = theirs.issue("client");
        needs_person(&sender().with(CLIENT_FILE, stranger.to_str().unwrap()), "tls_untrusted");
        assert_eq!(receiver.requests(), [] as [Value; 0]);
        delivered(&sender().with(CLIENT_FILE, client.to_str().unwrap()));
        let requests = receiver.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0]["client"], "client-of-test");
        assert_eq!(requests[0]["tls"], format!("TLSv{version}"));
    }
}

#[test]
fn http_2_is_spoken_to_a_receiver_that_can_and_one_connection_carries_what_is_under_way() {
    let authority = Authority::new();
    let certificate = authority.issue("localhost");
    let receiver = TlsReceiver::start(&certificate, &["--http2"]);
    let sender = believing(&authority.file(), &receiver.url("localhost"))
        .with("OL_WEBHOOK__DELIVERY__CONCURRENCY", "8");
    put(&sender, 200);
    assert_eq!(sender.run(["deliver"], 0)["delivered"], 200);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 200);
    let last = requests.last().unwrap();
    for (place, request) in requests.iter().enumerate() {
        assert_eq!(request["http_version"], "2");
        assert_eq!(request["signature_valid"], true);
        // Before the first handshake tells that it is HTTP/2, each of eight requests may open a connection.
        assert!(place < 100 || request["client_port"] == last["client_port"], "{request:#}");
    }
    // The same sender, where only HTTP/1.1 is known.
    let receiver = TlsReceiver::start(&certificate, &[]);
    delivered(&believing(&authority.file(), &receiver.url("localhost")));
    assert_eq!(receiver.requests()[0]["http_version"], "1.1");
}

#[test]
fn a_certificate_file_that_cannot_be_used_ends_the_run_before_a_message_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let authority = std::fs::read_to_string(Authority::new().file()).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (key, setting, path, code) in [
        (CA_FILE, "webhook.tls.ca_file", write("empty.pem", ""), 3),
        (CA_FILE, "webhook.tls", write("broken.pem", broken), 3),
        (CA_FILE, "missing.pem", "missing.pem".to_owned(), 2),
        (CLIENT_FILE, "webhook.tls.client_certificate_file", write("keyless.pem", &authority), 3),
        (CLIENT_FILE, "missing.pem", "missing.pem".to_owned(), 2),
    ] {
        let sender = patient("https://localhost:1").with(key, &path);
        put(&sender, 1);
        let said = told_no_secret(sender.step(["deliver"]).run()).expect_code(code).stderr;
        assert!(said.contains(setting), "{path} as {key}: {said}");
        assert_eq!(sender.list("queued")[0]["attempts"], 0, "{path} as {key}");
    }
}
