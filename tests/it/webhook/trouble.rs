//! A disk that is full, an outbox that is locked or may not be written, settings that are wrong: a sentence, an exit
//! code, and nothing lost.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use ol_testkit::{Finished, Step, binary};

use super::common::{Receiver, SECRET, Sender, course, told_no_secret};
use crate::common::{PATIENCE, expect_told};

#[track_caller]
fn fails(step: Step, code: i32, words: &[&str]) -> Finished {
    let finished = told_no_secret(step.run()).expect_code(code);
    expect_told(&finished, words);
    finished
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let receiver = Receiver::ours(&[]);
    let mut sender = Sender::to(&receiver.base_url);
    let disk = sender.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted =
        Step::new("/bin/mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&disk).run();
    assert_eq!(mounted.code(), 0, "a small disk can be mounted (run as root): {}", mounted.stderr);
    sender.outbox = format!("sqlite:{}", disk.join("outbox.db").display());
    sender.send_lines("content_files", &course(1, 1), &[], 0);
    let many: String = (2..6_000).map(|number| course(number, 1) + "\n").collect();
    let step = sender.step(["send", "--kind", "content_files", "--lines", "-"]).input(many);
    fails(step, 2, &["the disk is full", "free space"]);
    // Room again: what was accepted is there, and is delivered.
    let grown = Step::new("/bin/mount").args(["-o", "remount,size=64m", "tmpfs"]).arg(&disk).run();
    let delivered = (grown.code() == 0).then(|| sender.run(["deliver"], 0));
    let unmounted = Step::new("/bin/umount").args(["-l"]).arg(&disk).run();
    assert_eq!((grown.code(), unmounted.code()), (0, 0));
    let delivered = delivered.unwrap();
    assert_eq!((&delivered["left"], &delivered["dead"]), (&0.into(), &0.into()));
    assert!(receiver.requests().iter().any(|request| request["entity"] == "course-v1:MITx+1"));
}

#[test]
fn a_locked_outbox_is_waited_for_and_then_told() {
    let receiver = Receiver::ours(&[]);
    let mut sender = Sender::to(&receiver.base_url);
    sender.send_lines("content_files", &course(1, 1), &[], 0);
    let file = sender.folder.path().join("outbox.db");
    // Another program holds the write lock until its input ends.
    let mut holder = Step::new("/usr/bin/env")
        .args(["python3", "-c"])
        .arg(
            "import sqlite3, sys\n\
             connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
             connection.execute('BEGIN IMMEDIATE')\n\
             print('locked', flush=True)\n\
             sys.stdin.read()",
        )
        .arg(&file)
        .open_input()
        .start();
    holder.first_line(PATIENCE);
    sender.outbox = format!("sqlite:{}?busy_timeout_seconds=1", file.display());
    let step = sender.step(["send", "--kind", "content_files", "--lines", "-"]).input(course(2, 1));
    fails(step, 1, &["the outbox is locked", "wait for the other process"]);
    holder.signal("TERM");
    holder.wait();
    sender.send_lines("content_files", &course(2, 1), &["--deliver"], 0);
    sender.run(["deliver"], 0);
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn a_delivery_outlives_a_lock_and_records_what_it_sent() {
    let receiver = Receiver::ours(&["--fault", "delay:1"]);
    let sender = Sender::to(&receiver.base_url);
    sender.send_lines("content_files", &course(1, 1), &[], 0);
    let running = sender.step(["deliver", "--patience-seconds", "30"]).start();
    let file = sender.folder.path().join("outbox.db");
    let mut holder = Step::new("/usr/bin/env")
        .args(["python3", "-c"])
        .arg(
            "import sqlite3, sys, time\n\
             connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n\
             while connection.execute(\"SELECT count(*) FROM webhook_message WHERE state = 'leased'\").fetchone()[0] == 0:\n\
             \x20   time.sleep(0.01)\n\
             connection.execute('BEGIN IMMEDIATE')\n\
             time.sleep(3)\n\
             print('held', flush=True)",
        )
        .arg(&file)
        .start();
    holder.first_line(PATIENCE);
    let document = told_no_secret(running.wait()).expect_code(0).json();
    assert_eq!((&document["delivered"], &document["attempts"]), (&1.into(), &1.into()));
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn an_outbox_that_may_not_be_written_is_told() {
    let receiver = Receiver::ours(&[]);
    let mut sender = Sender::to(&receiver.base_url);
    // Root may write everything, so the file system says no: /proc takes no files.
    sender.outbox = "sqlite:/proc/ol-flows/outbox.db".to_owned();
    fails(sender.step(["list"]), 2, &["the outbox cannot be written", "OL_OUTBOX"]);
    let file = sender.folder.path().join("text");
    std::fs::write(&file, "x".repeat(4096)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    sender.outbox = format!("sqlite:{}", file.display());
    fails(sender.step(["list"]), 2, &["not an outbox", "OL_OUTBOX"]);
    sender.outbox = "postgres://nobody:hunter2@127.0.0.1:1/x".to_owned();
    let finished = fails(sender.step(["list"]), 1, &["the outbox cannot be reached"]);
    assert!(!finished.stderr.contains("hunter2"));
}

#[test]
fn what_is_not_set_or_wrong_is_named() {
    let sender = Sender::to("http://127.0.0.1:1");
    let bare = || {
        Step::new(binary("ol-webhook"))
            .folder(sender.folder.path())
            .env("OL_OUTBOX", &sender.outbox)
    };
    fails(bare().arg("deliver"), 3, &["MIT_LEARN_BASE_URL"]);
    let base = || bare().env("MIT_LEARN_BASE_URL", "http://127.0.0.1:1");
    fails(base().arg("deliver"), 3, &["MIT_LEARN_WEBHOOK_SECRET"]);
    let file = base().env("MIT_LEARN_WEBHOOK_SECRET_FILE", "/nowhere/secret");
    fails(file.arg("probe"), 2, &["/nowhere/secret"]);
    let wrong = bare().env("MIT_LEARN_BASE_URL", "learn").env("MIT_LEARN_WEBHOOK_SECRET", SECRET);
    fails(wrong.arg("probe"), 3, &["MIT_LEARN_BASE_URL", "not a URL"]);
    fails(sender.step(["send", "--kind", "nonsense"]), 3, &["content_files"]);
    let setting = sender.step(["list"]).env("OL_WEBHOOK__DELIVERY__CONCURRENCY", "0");
    fails(setting, 3, &["webhook.delivery.concurrency", "at least 1"]);
    let unknown = sender.step(["list"]).env("OL_WEBHOOK__NO_SUCH_KEY", "1");
    fails(unknown, 3, &["no_such_key"]);
}

#[test]
fn lines_that_cannot_be_read_are_named_and_the_others_are_accepted() {
    let receiver = Receiver::ours(&[]);
    let sender = Sender::to(&receiver.base_url);
    let lines = format!(
        "{}\nnot json\n[1]\n{}\n{}\n",
        course(1, 1),
        r#"{"source":"mitxonline","course_id":"course-v1:MITx+2","content_path":""}"#,
        course(3, 1)
    );
    let document = sender.send_lines("content_files", &lines, &[], 2);
    assert_eq!((&document["accepted"], &document["refused"]), (&2.into(), &3.into()));
    let rows: Vec<u64> = document["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refusal| refusal["row"].as_u64().unwrap())
        .collect();
    assert_eq!(rows, [2, 3, 4]);
    assert_eq!(document["refusals"][2]["problems"][0]["field"], "content_path");
    let step = sender.step(["send", "--kind", "content_files", "--lines", "/nowhere/lines"]);
    fails(step, 2, &["/nowhere/lines"]);
}

#[test]
fn a_stop_gives_back_what_was_not_sent_and_the_next_run_goes_on() {
    let receiver = Receiver::ours(&["--fault", "delay:0.05"]);
    let sender = Sender::to(&receiver.base_url);
    let lines: String = (0..500).map(|number| course(number, 1) + "\n").collect();
    sender.send_lines("content_files", &lines, &[], 0);
    let mut running = sender.step(["deliver"]).start();
    let journal = receiver.journal.clone();
    assert!(running.wait_until(PATIENCE, || super::common::requests(&journal).len() > 20));
    running.signal("TERM");
    let document = told_no_secret(running.wait()).expect_code(75).json();
    assert_eq!(document["stopped"], true);
    let counts = sender.run(["list", "--limit", "1"], 0)["counts"]["states"].clone();
    assert_eq!(counts["leased"], 0, "everything was given back");
    std::thread::sleep(Duration::from_millis(10));
    let sender = sender.with("OL_WEBHOOK__DELIVERY__CONCURRENCY", "32");
    sender.run(["deliver"], 0);
    assert_eq!(receiver.requests().len(), 500, "each once");
}
