//! Order and repetition: what is newer takes the place of what waits, deletes wait, a snapshot deletes what vanished.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::bodies::{CANVAS, CANVAS_DELETE, VIDEO, VIDEO_DELETE};
use super::{CONTENT_FILES_DELETE, accept};
use crate::common::{PATIENCE, text};
use crate::webhook::common::{Receiver, Sender, course, requests, told_no_secret};

#[test]
fn what_is_unchanged_is_not_sent_and_what_is_newer_takes_its_place() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let send = |version: u64, flags: &[&str]| {
        sender.send_lines("content_files", &course(1, version), flags, 0)
    };
    send(1, &["--deliver"]);
    let again = send(1, &["--deliver"]);
    assert_eq!((&again["accepted"], &again["unchanged"]), (&json!(0), &json!(1)));
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(send(1, &["--force", "--deliver"])["accepted"], 1);
    assert_eq!(receiver.requests().len(), 2);

    send(2, &[]);
    let newer = send(3, &[]);
    assert_eq!(newer["superseded"], 1);
    sender.run(["deliver"], 0);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[2]["webhook_id"], newer["messages"][0]["id"]);
    assert_eq!(sender.list("superseded").len(), 1);

    send(2, &["--deliver"]);
    let names: BTreeSet<String> =
        receiver.requests().iter().map(|one| text(one, "webhook_id").to_owned()).collect();
    assert_eq!(names.len(), 4, "content that comes back is a message of its own");
}

#[test]
fn a_delete_waits_for_the_upsert_that_is_under_way() {
    let mut receiver = Receiver::django(&["--resource", "canvas=2198-15.S20"]);
    let sender = Sender::to(&receiver.base_url).with("OL_WEBHOOK__DELIVERY__POLL_SECONDS", "0.05");
    let mut forever = sender.step(["deliver", "--forever"]).start();
    receiver.running.signal("STOP");
    for (count, (kind, line)) in (1..).zip([("ovs_videos", VIDEO), ("content_files", CANVAS)]) {
        accept(&sender, kind, line);
        let are_taken = forever.wait_until(PATIENCE, || sender.list("leased").len() == count);
        assert!(are_taken, "an answer that is late holds up nothing but its own entity");
    }
    accept(&sender, "ovs_videos/delete", VIDEO_DELETE);
    accept(&sender, "content_files/delete", CANVAS_DELETE);
    assert_eq!(sender.list("waiting").len(), 2);
    receiver.running.signal("CONT");
    let journal = receiver.journal.clone();
    let are_there = || requests(&journal).len() == 4;
    assert!(receiver.running.wait_until(PATIENCE, are_there));
    forever.signal("TERM");
    let delivery = told_no_secret(forever.wait()).expect_code(75).json();
    assert_eq!((&delivery["delivered"], &delivery["dead"]), (&json!(4), &json!(0)));
    let effects = |field: &str, value: Value| -> Vec<String> {
        let requests = receiver.requests();
        let of_it = requests.iter().filter(|request| request[field] == value);
        of_it.map(|request| text(request, "effect").to_owned()).collect()
    };
    assert_eq!(effects("video_id", json!("vid_abc123")), ["stored", "deleted"]);
    assert_eq!(effects("course_id", json!(2198)), ["ingest_canvas_course", "deleted"]);
}

#[test]
fn a_complete_snapshot_deletes_what_vanished_unless_it_is_too_much() {
    let resources: Vec<String> =
        (100..120).map(|number| format!("mitxonline=course-v1:MITx+{number}")).collect();
    let flags: Vec<&str> =
        resources.iter().flat_map(|resource| ["--resource", resource.as_str()]).collect();
    let receiver = Receiver::django(&flags);
    let sender = Sender::to(&receiver.base_url);
    let snapshot = |until: u64, more: &[&str], code: i32| {
        let lines = (100..until).map(|number| course(number, 1)).collect::<Vec<_>>().join("\n");
        let flags = ["--source", "mitxonline", "--complete", "--deliver"];
        let flags: Vec<&str> = flags.iter().chain(more).copied().collect();
        sender.send_lines("content_files", &lines, &flags, code)
    };
    let deleted = || -> Vec<String> {
        let requests = receiver.requests();
        let deletes = requests.iter().filter(|request| request["path"] == CONTENT_FILES_DELETE);
        let mut ids: Vec<String> = deletes
            .map(|request| {
                assert_eq!(request["effect"], "deleted", "{request:#}");
                assert_eq!(request["standard_valid"], true);
                text(request, "course_id").to_owned()
            })
            .collect();
        ids.sort_unstable();
        ids
    };
    let courses = |from: u64, until: u64| -> Vec<String> {
        (from..until).map(|number| format!("course-v1:MITx+{number}")).collect()
    };

    assert_eq!(snapshot(120, &[], 0)["accepted"], 20);
    assert_eq!(snapshot(118, &[], 0)["tombstones"], 2);
    assert_eq!(deleted(), courses(118, 120));

    for (until, vanished) in [(109, 9), (100, 18)] {
        let guarded = snapshot(until, &[], 2);
        let sentence = text(&guarded, "guarded");
        assert!(sentence.starts_with("Too much has vanished"), "{sentence}");
        for fact in [format!("vanished: {vanished}"), "known: 18".to_owned()] {
            assert!(sentence.contains(&fact), "{sentence}");
        }
        assert!(sentence.contains("--allow-vanish"), "{sentence}");
        assert_eq!((&guarded["tombstones"], &guarded["outcome"]), (&json!(0), &json!("blocked")));
    }
    let refused = format!("{}\n{}\n", course(100, 1), json!({"source": "mitxonline"}));
    let flags = ["--source", "mitxonline", "--complete", "--allow-vanish"];
    let guarded = sender.send_lines("content_files", &refused, &flags, 2);
    assert!(text(&guarded, "guarded").contains("rows were refused"), "{guarded:#}");
    assert_eq!(receiver.requests().len(), 22);

    assert_eq!(snapshot(109, &["--allow-vanish"], 0)["tombstones"], 9);
    assert_eq!(deleted(), courses(109, 120));
    assert_eq!(snapshot(109, &[], 0)["accepted"], 0);
    assert_eq!(receiver.requests().len(), 31);
}
