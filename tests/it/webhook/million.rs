//! A million queued messages: start, list and deliver take bounded memory and do not read them all.

use ol_testkit::{Python, Step};

use super::common::{Receiver, Sender, told_no_secret};

/// Memory that a command may take, whatever the outbox holds.
const BOUND_BYTES: u64 = 96 << 20;

#[test]
fn a_million_messages_are_started_on_listed_and_delivered_in_bounded_memory() {
    let receiver = Receiver::ours(&["--requests", "4000"]);
    let sender = Sender::to(&receiver.base_url).with("OL_WEBHOOK__DELIVERY__CONCURRENCY", "16");
    // The schema is made by the program, the rows by SQLite itself.
    sender.run(["list"], 0);
    let file = sender.folder.path().join("outbox.db");
    let made = Step::new(Python::Readers.path())
        .arg("-c")
        .arg(
            "import sqlite3, sys\n\
             connection = sqlite3.connect(sys.argv[1])\n\
             connection.execute('PRAGMA synchronous = OFF')\n\
             connection.execute('''INSERT INTO webhook_message (id, target, kind, scope, entity, identity, version,\n\
               is_tombstone, body, content_hash, state, created_at_ms, accepted_at_ms, due_at_ms)\n\
               WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)\n\
               SELECT 'msg_' || i, 'learn', 'content_files', 'content_files/mitxonline', 'content_files/mitxonline/c' || i,\n\
                 'c' || i, 1, 0, CAST('{\"course_id\":\"c' || i || '\",\"course_readable_id\":\"c' || i ||\n\
                 '\",\"content_path\":\"mitxonline/openedx/raw_data/course_xml/c' || i || '/x.xml.tar.gz\",\"source\":\"mitxonline\"}' AS BLOB),\n\
                 'h' || i, 'queued', strftime('%s') * 1000, strftime('%s') * 1000, 1000 FROM n''')\n\
             connection.commit()",
        )
        .arg(&file)
        .run();
    assert_eq!(made.code(), 0, "{}", made.stderr);
    let listed = told_no_secret(sender.step(["list", "--limit", "5"]).run()).expect_code(0);
    assert_eq!(listed.json()["counts"]["states"]["queued"], 1_000_000);
    let dead = told_no_secret(sender.step(["list", "--state", "dead"]).run()).expect_code(0);
    assert_eq!(dead.json()["messages"].as_array().map(Vec::len), Some(0));
    // The receiver stops after 4,000 requests; the delivery finds it gone and ends.
    let delivered =
        told_no_secret(sender.step(["deliver"]).env("OL_WEBHOOK__BREAKER__THRESHOLD", "1").run())
            .expect_code(1);
    let document = delivered.json();
    assert!(document["delivered"].as_u64().unwrap() >= 3_900, "{document:#}");
    for (what, finished) in
        [("list", &listed), ("list --state dead", &dead), ("deliver", &delivered)]
    {
        eprintln!(
            "{what}: {:.2} s, {:.1} MiB",
            finished.seconds,
            finished.peak_bytes as f64 / 1_048_576.0
        );
        assert!(finished.peak_bytes < BOUND_BYTES, "{what} took {} bytes", finished.peak_bytes);
    }
}
