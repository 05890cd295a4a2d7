//! What is answered to a message: what the sender makes of it, what it tells a person, and that the message arrives under its id
//! once things are mended.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    CONTENT_FILES, ENABLED, FIELDS_REFUSED, Failure, JITTER, ONE_AT_A_TIME, OVS_VIDEOS,
    PAYLOAD_REFUSED, RECEIVER_FAILING, ROUTE_MISSING, SECRET_WRONG, WAITS, accept, accept_body,
    arrives, exchanges, fails, failure, faults, is_told, library_course, lines, put_body, show,
    video,
};
use crate::common::{PATIENCE, text};
use crate::webhook::common::{Receiver, SECRET, Sender, course, requests};

#[test]
fn what_is_accepted_takes_one_request() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let sent = sender.send_lines("content_files", &course(1, 1), &["--deliver"], 0);
    assert_eq!(sent["outcome"], "done");
    assert_eq!(sent["delivery"]["delivered"], 1);
    let id = text(&sent["messages"][0], "id");
    let [request] = &receiver.requests()[..] else { panic!("more than one request") };
    assert_eq!((&request["status"], &request["path"]), (&json!(200), &json!(CONTENT_FILES)));
    assert_eq!(request["effect"], "ingest_edx_run_archive");
    assert_eq!(request["headers"]["content-type"], "application/json");
    assert_eq!(request["signature_valid"], true);
    assert_eq!(request["standard_valid"], true);
    assert_eq!(request["webhook_id"], id);
    let shown = show(&sender, id);
    assert_eq!(shown["state"], "delivered");
    let [attempt] = shown["attempts_made"].as_array().unwrap().as_slice() else { panic!() };
    assert_eq!(attempt["status"], 200);
    assert!(text(attempt, "response").contains("Webhook received"));
}

#[test]
fn a_wrong_secret_is_told_from_405_and_the_message_arrives_once_it_is_right() {
    let receiver = Receiver::django(&[]);
    let mut sender = Sender::to(&receiver.base_url).with("MIT_LEARN_WEBHOOK_SECRET", "not-it");
    let id = accept(&sender, "content_files", &course(1, 1));
    fails(&sender, &receiver, &id, SECRET_WRONG, &["POST 405", "POST 405", "GET 405"]);
    assert!(receiver.requests().iter().all(|request| request["signature_valid"] == false));
    sender.settings.insert("MIT_LEARN_WEBHOOK_SECRET".to_owned(), SECRET.to_owned());
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_missing_route_is_told_from_405_and_the_message_arrives_at_the_right_address() {
    let receiver = Receiver::django(&[]);
    let mut sender = Sender::to(&format!("{}/learn", receiver.base_url));
    let id = accept(&sender, "ovs_videos", &video("vid_1").to_string());
    fails(&sender, &receiver, &id, ROUTE_MISSING, &["POST 405", "POST 405", "GET 404"]);
    let sentence = show(&sender, &id)["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains(OVS_VIDEOS), "{sentence}");
    sender.base_url.clone_from(&receiver.base_url);
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_missing_route_holds_up_no_other_route() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url)
        .with(ENABLED, "true")
        .with(ONE_AT_A_TIME.0, ONE_AT_A_TIME.1)
        .with("OL_WEBHOOK__BATCH_COUNT", "1");
    let records = lines((1..=2).map(library_course));
    sender.send_lines("learning_resources", &records, &["--source", "oll"], 0);
    sender.send_lines("content_files", &course(1, 1), &[], 0);
    sender.send_lines("ovs_videos", &video("vid_1").to_string(), &[], 0);
    let delivery = sender.run(["deliver"], 2);
    assert_eq!((&delivery["delivered"], &delivery["dead"]), (&json!(2), &json!(1)));
    is_told(&delivery["dead_letters"][0], ROUTE_MISSING);
    let queued = sender.list("queued");
    assert_eq!((queued.len(), &queued[0]["attempts"]), (1, &json!(0)), "the second part");
    assert_eq!(sender.list("waiting").len(), 1, "the marker behind it");
}

#[test]
fn a_payload_of_content_files_that_is_refused_is_told_from_405() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let bodies: [&[u8]; 3] = [
        br#"{"course_id":"course-v1:MITx+1","source":"mitx"}"#,
        br#"{"course_id":true,"source":"mitxonline"}"#,
        br#"[{"course_id":"course-v1:MITx+1","source":"mitxonline"}]"#,
    ];
    for (number, body) in (1..).zip(bodies) {
        let line = course(number, 1);
        let id = accept_body(&sender, "content_files", &line, body);
        fails(&sender, &receiver, &id, PAYLOAD_REFUSED, &["POST 405", "POST 400"]);
        put_body(&sender, &id, line.as_bytes());
        arrives(&sender, &receiver, &id);
    }
}

#[test]
fn a_body_beyond_the_limit_is_told_from_405_and_our_own_check_sends_none() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let mut large = video("vid_1");
    large["description"] = json!("x".repeat(2_621_440));
    let document = sender.send_lines("ovs_videos", &large.to_string(), &["--deliver"], 2);
    assert_eq!((&document["refused"], &document["accepted"]), (&json!(1), &json!(0)));
    let rule = document["refusals"][0]["problems"][0]["rule"].as_str().unwrap();
    assert!(rule.contains("2621440"), "{rule}");
    assert_eq!(receiver.requests().len(), 0);

    let line = course(1, 1);
    let id = accept_body(&sender, "content_files", &line, large.to_string().as_bytes());
    let expected = Failure {
        reason: "payload_too_large",
        told: "The body is larger than the receiver takes",
        ..PAYLOAD_REFUSED
    };
    fails(&sender, &receiver, &id, expected, &["POST 405", "POST 400"]);
    put_body(&sender, &id, line.as_bytes());
    arrives(&sender, &receiver, &id);
}

#[test]
fn what_our_own_check_refuses_is_not_sent() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let mut elsewhere = video("vid_1");
    elsewhere["sources"][0]["src"] = json!("https://elsewhere.example.org/v.m3u8");
    let document = sender.send_lines("ovs_videos", &elsewhere.to_string(), &["--deliver"], 2);
    assert_eq!(document["refusals"][0]["problems"][0]["field"], "sources[0].src");
    let refused = [
        json!({"course_id": "course-v1:MITx+1", "source": "mitx", "content_path": "a.tar.gz"}),
        json!({"course_id": "course-v1:MITx+1", "source": "mitxonline"}),
        json!({"course_id": true, "source": "canvas", "content_path": "a"}),
    ];
    let document = sender.send_lines("content_files", &lines(refused), &["--deliver"], 2);
    assert_eq!((&document["rows"], &document["refused"]), (&json!(3), &json!(3)));
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn a_video_that_is_refused_names_the_fields_and_none_of_their_values() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url)
        .with("OL_WEBHOOK__OVS_MEDIA_HOSTS", r#"[".cloudfront.net", "elsewhere.example.org"]"#);
    let right = video("vid_1").to_string();
    let mut wrong = video("vid_1");
    wrong["cta_link"] = json!("https://elsewhere.example.org/more");
    wrong["sources"][0]["src"] = json!("https://elsewhere.example.org/v.m3u8");
    let id = accept(&sender, "ovs_videos", &wrong.to_string());
    fails(&sender, &receiver, &id, FIELDS_REFUSED, &["POST 400"]);
    let sentence = show(&sender, &id)["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains("cta_link, sources"), "{sentence}");
    assert!(!sentence.contains("elsewhere"), "{sentence}");

    let newer = accept(&sender, "ovs_videos", &right);
    sender.run(["deliver"], 0);
    let replay = sender.run(["replay", "--id", &id, "--deliver"], 2);
    assert_eq!(replay["counts"], json!({"overtaken": 1}));
    assert_eq!(receiver.requests().last().unwrap()["webhook_id"], newer.as_str());

    put_body(&sender, &id, right.as_bytes());
    let replay = sender.run(["replay", "--id", &id, "--force", "--deliver"], 0);
    assert_eq!(replay["delivery"]["delivered"], 1);
    assert_eq!(receiver.requests().last().unwrap()["webhook_id"], id.as_str());
}

#[test]
fn a_loader_that_blows_up_is_weather_and_the_video_arrives_later() {
    let receiver = Receiver::django(&["--fault", "loader-error:vid_1:1"]);
    let sender = Sender::to(&receiver.base_url);
    let id = accept(&sender, "ovs_videos", &video("vid_1").to_string());
    fails(&sender, &receiver, &id, RECEIVER_FAILING, &["POST 500"]);
    arrives(&sender, &receiver, &id);

    faults(&receiver, &["loader-error:vid_2:2"]);
    let sender = sender.with(WAITS, "[0.02, 0.02]");
    let video = video("vid_2").to_string();
    let flags = ["--deliver"];
    let sender = sender.with("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "20");
    let sent = sender.send_lines("ovs_videos", &video, &flags, 0);
    assert_eq!(sent["delivery"]["retried"], json!({"receiver_failing": 2}));
    let requests = receiver.requests();
    let of_second: Vec<&Value> =
        requests.iter().filter(|request| request["video_id"] == "vid_2").collect();
    let statuses: Vec<u64> = of_second.iter().filter_map(|one| one["status"].as_u64()).collect();
    assert_eq!(statuses, [500, 500, 200]);
    let names: BTreeSet<&str> = of_second.iter().map(|one| text(one, "webhook_id")).collect();
    assert_eq!(names.len(), 1, "the same id at every attempt");
}

#[test]
fn a_broker_that_is_down_is_weather() {
    let receiver = Receiver::django(&["--fault", "celery-down"]);
    let sender = Sender::to(&receiver.base_url);
    let id = accept(&sender, "content_files", &course(1, 1));
    fails(&sender, &receiver, &id, RECEIVER_FAILING, &["POST 500"]);
    faults(&receiver, &[]);
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_body_that_is_not_text_makes_the_receiver_fail() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let line = course(1, 1);
    let id = accept_body(&sender, "content_files", &line, b"{\"source\":\"\xff\"}");
    fails(&sender, &receiver, &id, RECEIVER_FAILING, &["POST 500"]);
    put_body(&sender, &id, line.as_bytes());
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_message_that_fails_at_every_attempt_is_given_up_and_can_be_replayed() {
    let receiver = Receiver::django(&["--fault", "status:503:3"]);
    let sender = Sender::to(&receiver.base_url)
        .with(WAITS, "[0.01, 0.01]")
        .with("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "20");
    let id = accept(&sender, "content_files", &course(1, 1));
    let delivery = sender.run(["deliver"], 2);
    assert_eq!(delivery["attempts"], 3);
    let expected = failure(503, "given_up", "permanent", "The message was given up");
    is_told(&delivery["dead_letters"][0], expected);
    assert_eq!(exchanges(&receiver.requests()), ["POST 503"; 3]);
    arrives(&sender, &receiver, &id);
}

#[test]
fn a_receiver_that_asks_for_patience_gets_it_in_seconds_and_by_date() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url).with(WAITS, "[0.01]");
    for (number, form) in (1..).zip(["retry-after", "retry-after-date"]) {
        faults(&receiver, &[&format!("status:429:1:{form}=1")]);
        let id = accept(&sender, "content_files", &course(number, 1));
        let expected =
            failure(429, "throttled", "transient", "The receiver asks for fewer requests");
        fails(&sender, &receiver, &id, expected, &["POST 429"]);
        sender.run(["deliver", "--patience-seconds", "20"], 0);
        let shown = show(&sender, &id);
        let [first, second] = shown["attempts_made"].as_array().unwrap().as_slice() else {
            panic!("{shown:#}");
        };
        let waited =
            second["started_at_ms"].as_i64().unwrap() - first["started_at_ms"].as_i64().unwrap();
        assert!(waited >= 1000, "{form}: {waited} ms");
        assert_eq!(second["status"], 200);
        let named =
            receiver.requests().iter().filter(|one| one["webhook_id"] == id.as_str()).count();
        assert_eq!(named, 2);
    }
}

#[test]
fn what_was_accepted_without_an_answer_is_sent_again_under_its_id_and_signed_anew() {
    let receiver = Receiver::django(&["--fault", "drop:1"]);
    let sender = Sender::to(&receiver.base_url)
        .with(WAITS, "[1.1]")
        .with(JITTER, "none")
        .with("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "20");
    let sent = sender.send_lines("content_files", &course(1, 1), &["--deliver"], 0);
    assert_eq!(sent["delivery"]["retried"], json!({"connection_lost": 1}));
    let requests = receiver.requests();
    let [first, second] = &requests[..] else { panic!("{:?}", exchanges(&requests)) };
    assert_eq!((&first["answered"], &second["answered"]), (&json!(false), &json!(true)));
    for same in ["webhook_id", "body_base64", "effect"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    for anew in ["webhook-timestamp", "webhook-signature"] {
        assert_ne!(first["headers"][anew], second["headers"][anew], "{anew}");
    }
    for request in &requests {
        assert_eq!(
            (&request["signature_valid"], &request["standard_valid"]),
            (&json!(true), &json!(true))
        );
    }
    let shown = show(&sender, text(&sent["messages"][0], "id"));
    let [lost, _] = shown["attempts_made"].as_array().unwrap().as_slice() else { panic!() };
    let expected = Failure {
        status: None,
        reason: "connection_lost",
        class: "transient",
        told: "The connection to the receiver broke",
    };
    is_told(lost, expected);
}

#[test]
fn an_answer_that_is_late_is_not_waited_for() {
    let mut receiver = Receiver::django(&["--fault", "delay:1:1"]);
    let mut sender = Sender::to(&receiver.base_url)
        .with("OL_WEBHOOK__TIMEOUT__READ_SECONDS", "0.3")
        .with("OL_WEBHOOK__TIMEOUT__TOTAL_SECONDS", "0.5");
    let id = accept(&sender, "content_files", &course(1, 1));
    let expected = Failure {
        status: None,
        reason: "timed_out",
        class: "transient",
        told: "The receiver did not answer in time",
    };
    fails(&sender, &receiver, &id, expected, &[]);
    let journal = receiver.journal.clone();
    let is_processed = || requests(&journal).len() == 1;
    assert!(receiver.running.wait_until(PATIENCE, is_processed));
    sender.settings.remove("OL_WEBHOOK__TIMEOUT__READ_SECONDS");
    sender.settings.remove("OL_WEBHOOK__TIMEOUT__TOTAL_SECONDS");
    arrives(&sender, &receiver, &id);
    assert_eq!(receiver.requests()[0]["webhook_id"], id.as_str(), "it was processed all the same");
}

#[test]
fn a_redirect_is_not_followed() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    for (number, status) in (1..).zip([301, 302, 303, 307, 308]) {
        faults(&receiver, &[&format!("status:{status}:1")]);
        let id = accept(&sender, "content_files", &course(number, 1));
        let expected =
            failure(status, "redirected", "needs_person", "The receiver points to another address");
        fails(&sender, &receiver, &id, expected, &[&format!("POST {status}")]);
        arrives(&sender, &receiver, &id);
    }
    assert!(receiver.requests().iter().all(|request| request["path"] == CONTENT_FILES));
}

#[test]
fn what_stands_before_the_receiver_is_told_by_status() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let refused = "We are refused before the receiver is reached";
    let cases = [
        failure(401, "forbidden", "needs_person", refused),
        failure(403, "forbidden", "needs_person", refused),
        failure(404, "route_missing", "needs_person", "The route is missing"),
        failure(408, "receiver_not_ready", "transient", "The receiver was not ready"),
        failure(410, "route_missing", "needs_person", "The route is missing"),
        failure(
            413,
            "payload_too_large",
            "permanent",
            "The body is larger than the receiver takes",
        ),
        failure(418, "request_refused", "permanent", "The receiver refused the request"),
        failure(425, "receiver_not_ready", "transient", "The receiver was not ready"),
        failure(502, "receiver_failing", "transient", "The receiver fails"),
        failure(504, "receiver_failing", "transient", "The receiver fails"),
    ];
    for (number, expected) in (1..).zip(cases) {
        let status = expected.status.unwrap();
        faults(&receiver, &[&format!("status:{status}:1")]);
        let id = accept(&sender, "content_files", &course(number, 1));
        fails(&sender, &receiver, &id, expected, &[&format!("POST {status}")]);
        arrives(&sender, &receiver, &id);
    }
}
