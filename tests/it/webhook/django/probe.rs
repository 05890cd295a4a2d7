//! The probe, which tells what is wrong and changes nothing at the receiver.

use serde_json::{Value, json};

use super::{
    CONTENT_FILES, CONTENT_FILES_DELETE, ENABLED, LEARNING_RESOURCES, OVS_VIDEOS, body_of, faults,
};
use crate::common::text;
use crate::webhook::common::{Receiver, SECRET, Sender};

/// The routes of a probe with their results, and the document.
#[track_caller]
fn probed(sender: &Sender, flags: &[&str], code: i32) -> (Vec<(String, String)>, Value) {
    let document = sender.run(["probe"].iter().chain(flags).copied(), code);
    let outcome =
        [(0, "done"), (1, "retry"), (2, "blocked")].into_iter().find(|known| known.0 == code);
    assert_eq!(document["outcome"], outcome.unwrap().1);
    let pair = |route: &Value| (text(route, "route").to_owned(), text(route, "result").to_owned());
    (document["routes"].as_array().unwrap().iter().map(pair).collect(), document)
}

/// The requests so far, of which nothing was enqueued: `POST PATH 400`.
#[track_caller]
fn harmless(receiver: &Receiver) -> Vec<String> {
    let requests = receiver.requests();
    for request in &requests {
        assert!(request["effect"].is_null(), "{request:#}");
        let is_get = request["method"] == "GET";
        let expected: &[u8] = if is_get { b"" } else { b"{" };
        assert_eq!(body_of(request), expected);
        let id = request["webhook_id"].as_str();
        assert_eq!(id.is_some_and(|id| id.starts_with("probe_")), !is_get, "{id:?}");
    }
    let word = |request: &Value| {
        format!("{} {} {}", text(request, "method"), text(request, "path"), request["status"])
    };
    requests.iter().map(word).collect()
}

fn all(result: &str) -> Vec<(String, String)> {
    let routes = [CONTENT_FILES, CONTENT_FILES_DELETE, OVS_VIDEOS];
    routes.iter().map(|route| ((*route).to_owned(), result.to_owned())).collect()
}

#[test]
fn a_probe_of_a_healthy_receiver_is_one_malformed_body_a_route() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let (routes, _) = probed(&sender, &[], 0);
    assert_eq!(routes, all("healthy"));
    let expected =
        [CONTENT_FILES, CONTENT_FILES_DELETE, OVS_VIDEOS].map(|route| format!("POST {route} 400"));
    assert_eq!(harmless(&receiver), expected);
    assert!(receiver.requests().iter().all(|request| request["signature_valid"] == true));

    let (routes, document) = probed(&sender, &["--kind", "ovs_videos/delete"], 0);
    assert_eq!(routes.len(), 1);
    assert_eq!(document["routes"][0]["kinds"], json!(["ovs_videos/delete"]));
    assert_eq!(harmless(&receiver)[3..], [format!("POST {OVS_VIDEOS} 400")]);
}

#[test]
fn a_probe_tells_a_wrong_secret_from_a_missing_route() {
    let receiver = Receiver::django(&[]);
    let wrong = Sender::to(&receiver.base_url).with("MIT_LEARN_WEBHOOK_SECRET", "not-it");
    let (routes, document) = probed(&wrong, &[], 2);
    assert_eq!(routes, all("secret_wrong"));
    assert_eq!(document["routes"][0]["class"], "needs_person");
    assert!(text(&document["routes"][0], "sentence").starts_with("The secret is wrong"));
    let expected: Vec<String> = [CONTENT_FILES, CONTENT_FILES_DELETE, OVS_VIDEOS]
        .iter()
        .flat_map(|route| [format!("POST {route} 405"), format!("GET {route} 405")])
        .collect();
    assert_eq!(harmless(&receiver), expected);

    let elsewhere = Sender::to(&format!("{}/learn/", receiver.base_url));
    let (routes, document) = probed(&elsewhere, &["--kind", "content_files"], 2);
    assert_eq!(routes, [(CONTENT_FILES.to_owned(), "route_missing".to_owned())]);
    assert!(text(&document["routes"][0], "sentence").starts_with("The route is missing"));
    let expected =
        [format!("POST /learn{CONTENT_FILES} 405"), format!("GET /learn{CONTENT_FILES} 404")];
    assert_eq!(harmless(&receiver)[6..], expected);
}

#[test]
fn a_probe_names_the_secret_that_the_receiver_knows() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url)
        .with("MIT_LEARN_WEBHOOK_SECRET", "the-next-one")
        .with("MIT_LEARN_WEBHOOK_SECRET_PREVIOUS", SECRET);
    let (routes, document) = probed(&sender, &[], 0);
    assert_eq!(routes, all("healthy"));
    let sentence = text(&document["routes"][0], "sentence");
    assert!(sentence.contains("secret number 2"), "{sentence}");
    let expected = [
        format!("POST {CONTENT_FILES} 405"),
        format!("POST {CONTENT_FILES} 400"),
        format!("POST {CONTENT_FILES_DELETE} 400"),
        format!("POST {OVS_VIDEOS} 400"),
    ];
    assert_eq!(harmless(&receiver), expected);
}

#[test]
fn a_probe_of_learning_resources_says_whether_there_is_the_route() {
    let without = Receiver::django(&[]);
    let sender = Sender::to(&without.base_url).with(ENABLED, "true");
    let (routes, _) = probed(&sender, &[], 2);
    let missing = (LEARNING_RESOURCES.to_owned(), "route_missing".to_owned());
    let healthy = ("healthy".to_owned(), 3);
    assert!(routes.contains(&missing), "{routes:?}");
    assert_eq!(routes.iter().filter(|(_, result)| *result == healthy.0).count(), healthy.1);

    let with = Receiver::django(&["--with-learning-resources"]);
    let sender = Sender::to(&with.base_url);
    let (routes, _) = probed(&sender, &["--kind", "learning_resources"], 0);
    assert_eq!(routes, [(LEARNING_RESOURCES.to_owned(), "healthy".to_owned())]);
    assert_eq!(harmless(&with), [format!("POST {LEARNING_RESOURCES} 400")]);
}

#[test]
fn a_probe_tells_weather_and_gateways() {
    let receiver = Receiver::django(&[]);
    let patient = Sender::to(&receiver.base_url);
    let hurried = Sender::to(&receiver.base_url)
        .with("OL_WEBHOOK__TIMEOUT__READ_SECONDS", "0.5")
        .with("OL_WEBHOOK__TIMEOUT__TOTAL_SECONDS", "0.5");
    for (fault, result, code) in [
        ("status:500:1", "receiver_failing", 1),
        ("status:503:1:retry-after=1", "receiver_failing", 1),
        ("status:429:1", "throttled", 1),
        ("status:200:1", "triage_interrupted", 1),
        ("drop:1", "connection_lost", 1),
        ("delay:1:1", "timed_out", 1),
        ("status:302:1", "redirected", 2),
        ("status:403:1", "forbidden", 2),
        ("status:404:1", "route_missing", 2),
    ] {
        faults(&receiver, &[fault]);
        let sender = if result == "timed_out" { &hurried } else { &patient };
        let (routes, document) = probed(sender, &["--kind", "content_files"], code);
        assert_eq!(routes[0].1, result, "{fault}");
        let sentence = text(&document["routes"][0], "sentence");
        assert!(sentence.contains("(runbook: webhook-"), "{sentence}");
    }
    let asked = harmless(&receiver);
    assert!(
        asked.iter().all(|request| request.starts_with(&format!("POST {CONTENT_FILES} "))),
        "{asked:?}"
    );

    let address = receiver.base_url.clone();
    drop(receiver);
    let (routes, _) = probed(&Sender::to(&address), &[], 1);
    assert_eq!(routes, all("host_unreachable"));
}
