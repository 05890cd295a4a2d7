//! The kind that MIT Learn has no route for yet: off, without asking anybody; or batches in their order with the marker behind.

use serde_json::{Value, json};

use super::{
    ENABLED, FIELDS_REFUSED, body_of, exchanges, faults, ids, is_told, library_course, lines,
};
use crate::common::text;
use crate::webhook::common::{Receiver, Sender, told_no_secret};

#[test]
fn a_kind_that_is_off_says_why_and_asks_nobody() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let arguments =
        ["send", "--kind", "learning_resources", "--source", "oll", "--lines", "-", "--deliver"];
    let step = sender.step(arguments).input(library_course(1).to_string());
    let finished = told_no_secret(step.run()).expect_code(2);
    for words in ["switched off", "MIT Learn has no route", ENABLED] {
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
    assert_eq!(receiver.requests().len(), 0);
}

/// A sender of batches of two records, to a receiver that takes them.
fn batches() -> (Receiver, Sender) {
    let receiver = Receiver::django(&["--with-learning-resources"]);
    let sender =
        Sender::to(&receiver.base_url).with(ENABLED, "true").with("OL_WEBHOOK__BATCH_COUNT", "2");
    (receiver, sender)
}

/// The ids of the records in a request.
fn records(request: &Value) -> Vec<String> {
    let body: Value = serde_json::from_slice(&body_of(request)).unwrap();
    let resources = body["resources"].as_array().into_iter().flatten();
    resources.map(|record| text(record, "readable_id").to_owned()).collect()
}

#[test]
fn a_batch_arrives_in_its_order_with_the_marker_behind_it() {
    let (receiver, sender) = batches();
    let input = lines((1..=5).map(library_course));
    let sent =
        sender.send_lines("learning_resources", &input, &["--source", "oll", "--deliver"], 2);
    assert_eq!(sent["accepted"], 4, "three parts and the marker");
    let requests = receiver.requests();
    assert_eq!(exchanges(&requests), ["POST 200", "POST 200", "POST 200", "POST 400"]);
    let arrived: Vec<Vec<String>> = requests.iter().map(records).collect();
    assert_eq!(
        arrived,
        [vec!["MITx+1", "MITx+2"], vec!["MITx+3", "MITx+4"], vec!["MITx+5"], vec![]]
    );

    // This Django knows no marker; MIT Learn has not even the route.
    let marker: Value = serde_json::from_slice(&body_of(&requests[3])).unwrap();
    let batch = &sender.list("delivered")[0]["batch_id"];
    assert_eq!(
        marker,
        json!({"prune": {"etl_source": "oll", "batch_id": batch, "batch_total": 3}})
    );
    let [letter] = &sender.list("dead")[..] else { panic!("more than the marker is dead") };
    is_told(letter, FIELDS_REFUSED);
    faults(&receiver, &["status:200:1"]);
    let id = text(letter, "id").to_owned();
    let replay = sender.run(["replay", "--id", &id, "--deliver"], 0);
    assert_eq!(replay["delivery"]["delivered"], 1);
    assert_eq!(receiver.requests().last().unwrap()["webhook_id"], id.as_str());

    let again =
        sender.send_lines("learning_resources", &input, &["--source", "oll", "--deliver"], 0);
    assert_eq!((&again["accepted"], &again["unchanged"]), (&json!(0), &json!(5)));
    assert_eq!(receiver.requests().len(), 5);
}

#[test]
fn the_marker_is_not_sent_while_a_part_is_dead() {
    let (receiver, sender) = batches();
    faults(&receiver, &["status:418:1"]);
    let input = lines((1..=5).map(library_course));
    let sent =
        sender.send_lines("learning_resources", &input, &["--source", "oll", "--deliver"], 2);
    assert_eq!(sent["delivery"]["delivered"], 2);
    assert_eq!(exchanges(&receiver.requests()), ["POST 418", "POST 200", "POST 200"]);
    let dead = sender.list("dead");
    let reasons: Vec<&str> = dead.iter().map(|letter| text(letter, "reason")).collect();
    assert_eq!(reasons, ["request_refused", "batch_incomplete"]);

    faults(&receiver, &["status:200:2"]);
    let batch = format!("batch={}", text(&dead[0], "batch_id"));
    sender.run(["replay", "--filter", &batch, "--deliver"], 0);
    let requests = receiver.requests();
    let replayed: Vec<&str> = requests[3..].iter().map(|one| text(one, "webhook_id")).collect();
    assert_eq!(replayed, ids(&dead));
    assert_eq!(sender.list("delivered").len(), 4);
}
