//! Through an HTTP proxy.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::authority::Authority;
use super::loopback::{Loopback, header, join, respond};
use super::{
    CA_FILE, LOG_EVERYTHING, PROXY, TlsReceiver, delivered, needs_person, patient, put, weather,
};
use crate::webhook::common::{Receiver, told_no_secret};

/// A proxy for targets on this machine: tunnels for `CONNECT`, passes on what names its target.
fn proxy() -> Loopback {
    Loopback::relaying(|mut client, head| {
        let (method, rest) = head.split_once(' ').unwrap();
        let target = rest.trim_start_matches("http://").split(['/', ' ']).next().unwrap();
        let (host, port) = target.rsplit_once(':').unwrap();
        assert!(["localhost", "127.0.0.1"].contains(&host), "a test calls nobody else: {target}");
        let mut server = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        match method {
            "CONNECT" => client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n"),
            _ => server.write_all(head.as_bytes()),
        }
        .unwrap();
        join(&client, &server);
    })
}

#[test]
fn requests_in_the_clear_go_through_the_proxy_whose_password_is_shown_nowhere() {
    const PASSWORD: &str = "the-password-of-the-proxy";
    let (receiver, proxy) = (Receiver::ours(&[]), proxy());
    let address = format!("http://ol:{PASSWORD}@{}", proxy.address);
    let sender = patient(&receiver.base_url).with(PROXY, &address).with("OL_LOG", LOG_EVERYTHING);
    put(&sender, 1);
    let finished = told_no_secret(sender.step(["deliver"]).run()).expect_code(0);
    for said in [&finished.stdout, &finished.stderr] {
        assert!(!said.contains(PASSWORD), "the password of the proxy stands in:\n{said}");
    }
    let requests = receiver.requests();
    assert_eq!((requests.len(), &requests[0]["signature_valid"]), (1, &json!(true)));
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1);
    let line = format!("POST {}/api/v1/webhooks/content_files/ ", receiver.base_url);
    assert!(heads[0].starts_with(&line), "{}", heads[0]);
    // base64 of ol:the-password-of-the-proxy
    let expected = "Basic b2w6dGhlLXBhc3N3b3JkLW9mLXRoZS1wcm94eQ==";
    assert_eq!(header(&heads[0], "proxy-authorization"), Some(expected));
}

#[test]
fn an_encrypted_request_goes_through_a_tunnel_to_whom_the_sender_itself_believes() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority.issue("localhost"), &[]);
    let proxy = proxy();
    let sender = || patient(&receiver.url("localhost")).with(PROXY, &proxy.url());
    needs_person(&sender(), "tls_untrusted");
    assert_eq!(receiver.requests(), [] as [Value; 0]);
    delivered(&sender().with(CA_FILE, authority.file().to_str().unwrap()));
    assert_eq!(receiver.requests().len(), 1);
    for head in proxy.heads() {
        assert!(head.starts_with(&format!("CONNECT localhost:{} ", receiver.port)), "{head}");
        assert!(!head.to_lowercase().contains("x-mitlearn-signature"), "{head}");
    }
}

/// The rules are about the receiver: a proxy is where the settings say, and that is usually a private address. The
/// receiver's own name is the proxy's to look up.
#[test]
fn a_proxy_may_have_a_private_address_by_number_and_by_name() {
    let refusing = Loopback::relaying(|client, _head| {
        respond(client, "503 Service Unavailable", "", "");
    });
    for host in ["127.0.0.1", "localhost"] {
        let proxy = format!("http://{host}:{}", refusing.address.port());
        let sender = patient("https://localhost:1").with(PROXY, &proxy);
        weather(&sender.with("OL_ENV", "production"), "host_unreachable");
        let head = refusing.heads().pop().unwrap();
        assert!(head.starts_with("CONNECT localhost:1 "), "{head}");
    }
    assert_eq!(refusing.heads().len(), 2);
}

#[test]
fn a_proxy_that_is_away_is_weather() {
    let receiver = Receiver::ours(&[]);
    let sender = patient(&receiver.base_url).with(PROXY, "http://127.0.0.1:1");
    weather(&sender, "host_unreachable");
    assert_eq!(receiver.requests(), [] as [Value; 0], "nobody goes past the proxy");
}

#[test]
fn the_variables_of_other_programs_name_no_proxy() {
    let (receiver, watcher) = (Receiver::ours(&[]), Loopback::taking());
    let mut sender = patient(&receiver.base_url);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        sender = sender.with(name, &watcher.url());
    }
    delivered(&sender);
    assert_eq!((receiver.requests().len(), watcher.heads().len()), (1, 0));
}

#[test]
fn a_proxy_that_cannot_be_understood_ends_the_run_before_a_message_is_touched() {
    let receiver = Receiver::ours(&[]);
    for proxy in ["socks5://127.0.0.1:1", "127.0.0.1:3128", "http://", "file:///dev/null"] {
        let sender = patient(&receiver.base_url).with(PROXY, proxy);
        put(&sender, 1);
        let said = told_no_secret(sender.step(["deliver"]).run()).expect_code(3).stderr;
        assert!(said.contains("webhook.egress.proxy"), "{proxy}: {said}");
        assert_eq!(sender.list("queued")[0]["attempts"], 0);
    }
    assert_eq!(receiver.requests(), [] as [Value; 0], "nobody goes past the proxy");
}
