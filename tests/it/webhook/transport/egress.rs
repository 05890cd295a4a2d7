//! Whom the sender may call at all.

use serde_json::json;

use super::authority::Authority;
use super::loopback::Loopback;
use super::{
    ALLOW_PRIVATE, CA_FILE, LOG_EVERYTHING, PROXY, TlsReceiver, delivered, needs_person, patient,
};
use crate::webhook::common::{Receiver, Sender};

const ONLY_HTTPS: &str = "Only https is allowed";
const PRIVATE: &str = "leads to a private address";
const NO_USER: &str = "A URL with a user name is not called";

/// Addresses that are refused, the environment, and the rule that is named.
const REFUSED: &[(&str, &str, &str)] = &[
    ("http://10.0.0.1", "dev", ONLY_HTTPS),
    ("http://192.168.1.1:8080", "ci", ONLY_HTTPS),
    ("http://169.254.169.254", "dev", ONLY_HTTPS),
    ("http://api.learn.mit.edu", "dev", ONLY_HTTPS),
    ("http://localhost.example.org", "dev", ONLY_HTTPS),
    ("http://127.0.0.1.example.org", "dev", ONLY_HTTPS),
    ("https://10.0.0.1", "dev", PRIVATE),
    ("https://169.254.169.254", "dev", PRIVATE),
    ("https://169.254.169.254/latest", "production", PRIVATE),
    ("https://0xa9fea9fe", "dev", PRIVATE),
    ("https://2852039166", "dev", PRIVATE),
    ("https://169.254.43518", "dev", PRIVATE),
    ("https://[fe80::a9fe:a9fe]", "dev", PRIVATE),
    ("https://[fd00:ec2::254]", "dev", PRIVATE),
    ("https://[::ffff:169.254.169.254]", "dev", PRIVATE),
    ("https://[64:ff9b::169.254.169.254]", "dev", PRIVATE),
    ("https://0.0.0.0", "dev", PRIVATE),
    ("https://127.0.0.1", "production", PRIVATE),
    ("https://127.1", "qa", PRIVATE),
    ("http://127.0.0.1:8765", "production", PRIVATE),
    ("https://[::1]", "production", PRIVATE),
    ("https://[::ffff:127.0.0.1]", "qa", PRIVATE),
    ("https://somebody@api.learn.mit.edu", "production", NO_USER),
    ("https://:a-password@api.learn.mit.edu", "production", NO_USER),
];

/// Every connection of these senders goes to the proxy: if none comes there, none is made.
#[test]
fn an_address_that_the_rules_forbid_is_told_to_a_person_before_a_packet_leaves() {
    let watcher = Loopback::taking();
    for (base_url, environment, rule) in REFUSED {
        let sender = patient(base_url).with("OL_ENV", environment).with(PROXY, &watcher.url());
        let sentence = needs_person(&sender, "egress_refused");
        assert!(sentence.contains(rule), "{base_url}: {sentence}");
        assert!(sentence.contains("[webhook.egress]"), "{base_url}: {sentence}");
    }
    assert_eq!(watcher.heads(), [] as [String; 0]);
    // The proxy does see what is allowed.
    let allowed = patient("http://10.0.0.1")
        .with(PROXY, &watcher.url())
        .with(ALLOW_PRIVATE, "true")
        .with("OL_WEBHOOK__EGRESS__ALLOW_PLAIN_HTTP", "true");
    delivered(&allowed);
    assert!(watcher.heads()[0].starts_with("POST http://10.0.0.1/api/"), "{:?}", watcher.heads());
}

#[test]
fn this_machine_by_name_is_called_in_development_and_elsewhere_only_if_that_is_allowed() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority.issue("localhost"), &[]);
    let sender = |environment: &str| {
        let sender = patient(&receiver.url("localhost")).with("OL_ENV", environment);
        sender.with(CA_FILE, authority.file().to_str().unwrap())
    };
    for environment in ["qa", "production"] {
        let sentence = needs_person(&sender(environment), "egress_refused");
        assert!(sentence.contains("The host localhost leads to a private address"), "{sentence}");
    }
    assert_eq!(receiver.requests().len(), 0);
    delivered(&sender("dev"));
    delivered(&sender("ci"));
    for environment in ["qa", "production"] {
        delivered(&sender(environment).with(ALLOW_PRIVATE, "true"));
    }
    assert_eq!(receiver.requests().len(), 4);
}

/// A name leads nobody past the rules: what is looked up is judged, and nothing is sent where it is refused.
#[test]
fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let watcher = Loopback::taking();
    let base_url = format!("http://localhost:{}", watcher.address.port());
    needs_person(&patient(&base_url).with("OL_ENV", "production"), "egress_refused");
    assert_eq!(watcher.heads(), [] as [String; 0]);
    delivered(&patient(&base_url));
    assert_eq!(watcher.heads().len(), 1);
}

#[test]
fn an_ipv6_address_of_this_machine_is_called_in_development() {
    let taking = |stream, _head: &str| {
        super::loopback::respond(stream, "200 OK", "", "{}");
    };
    let receiver = match Loopback::at("[::1]:0", taking) {
        Ok(receiver) => receiver,
        Err(error) => {
            eprintln!("this machine has no ::1 ({error}); nothing is proven");
            return;
        }
    };
    assert!(receiver.url().starts_with("http://[::1]:"));
    delivered(&patient(&receiver.url()));
    needs_person(&patient(&receiver.url()).with("OL_ENV", "production"), "egress_refused");
    assert_eq!(receiver.heads().len(), 1);
}

#[test]
fn a_password_in_the_address_is_shown_nowhere() {
    const PASSWORD: &str = "a-password-in-an-address";
    let base_url = format!("https://ol:{PASSWORD}@localhost:1/path");
    let sender = Sender::to(&base_url).with("OL_LOG", LOG_EVERYTHING);
    sender.send_lines("content_files", &crate::webhook::common::course(1, 1), &[], 0);
    let replay = ["replay", "--filter", "state=dead", "--deliver"].as_slice();
    for (arguments, code) in
        [(["deliver"].as_slice(), 2), (&["list"], 0), (&["probe"], 2), (replay, 2)]
    {
        let finished = sender.step(arguments.iter().copied()).run().expect_code(code);
        for said in [&finished.stdout, &finished.stderr] {
            assert!(!said.contains(PASSWORD), "{arguments:?} shows it:\n{said}");
        }
    }
}

#[test]
fn a_probe_obeys_the_same_rules() {
    let receiver = Receiver::ours(&[]);
    let sender = patient(&receiver.base_url);
    assert_eq!(sender.run(["probe"], 0)["outcome"], "done");
    let before = receiver.requests().len();
    let refused = sender.with("OL_ENV", "production").run(["probe", "--kind", "ovs_videos"], 2);
    assert_eq!(refused["routes"][0]["result"], json!("egress_refused"));
    assert_eq!(receiver.requests().len(), before);
}
