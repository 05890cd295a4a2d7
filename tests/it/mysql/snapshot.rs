//! One view for all readers.

use std::sync::atomic::{AtomicBool, Ordering};

use ol_testkit::{Finished, MysqlServer, Software};

use super::MysqlCase;
use crate::common::{PATIENCE, rows};

on_both!(ranges_of_a_table_are_read_at_one_moment_while_it_is_written);

/// Money is moved between the ends of a table that several connections read by ranges: the sum they find is the sum
/// that there always was.
fn ranges_of_a_table_are_read_at_one_moment_while_it_is_written(software: Software) {
    let case = MysqlCase::on(
        MysqlServer::shared_of(software),
        "mysqlranges",
        "CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, filler char(200) NOT NULL DEFAULT '');
         INSERT INTO account (id, balance) SELECT seq, 1000 FROM seq_1_to_40000; ANALYZE TABLE account",
    );
    case.discover();
    let server = case.database.server();
    let name = case.database.name().to_owned();
    let stop = AtomicBool::new(false);
    let sums = std::thread::scope(|scope| {
        scope.spawn(|| {
            let database = server.database(&name);
            let moved: String = (0..200)
                .map(|turn| {
                    let (from, to) = (1 + turn * 7, 40_000 - turn * 11);
                    // MySQL shows one moment to several only when it rests between two transactions.
                    let rest = if turn % 8 == 0 { "DO SLEEP(0.05);" } else { "" };
                    format!(
                        "{rest} BEGIN; UPDATE account SET balance = balance - 1 WHERE id = {from};
                         UPDATE account SET balance = balance + 1 WHERE id = {to}; COMMIT;"
                    )
                })
                .collect();
            while !stop.load(Ordering::Relaxed) {
                database.sql(&moved);
            }
        });
        let (mut sums, mut shared) = (Vec::new(), 0);
        for _ in 0..4 {
            let step = case.command("run").env("OL_INGEST__STREAMS", "4");
            let step = step.env("OL_LOG", "info,ol_ingest=debug");
            let run = case.finish(step.env("OL_INGEST__RANGE_BYTES", "500000")).expect_code(0);
            shared += usize::from(run.stderr.contains("\"readers\":4"));
            sums.extend(case.lines("account", "SELECT sum(balance)::bigint, count(*) FROM lake"));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(shared > 0, "no view was ever shared by four connections");
        sums
    });
    assert_eq!(sums, vec!["40000000\t40000"; 4]);
}

/// A run that stands still for a while at a failpoint; `happened` is what is done meanwhile.
fn run_at(case: &MysqlCase, points: &str, happened: impl FnOnce()) -> Finished {
    let marker = case.lake.folder().join("marker");
    let mut running = case
        .command("run")
        .env("OL_INGEST__STREAMS", "1")
        .env("OL_INGEST__RETRY_SECONDS", "0.1")
        .env("FAILPOINTS", points)
        .env("OL_FAILPOINT_MARKER", &marker)
        .start();
    assert!(running.wait_until(PATIENCE, || marker.exists()), "{}", running.told());
    happened();
    running.wait()
}

#[test]
fn a_table_that_is_altered_before_it_is_read_is_read_under_a_new_snapshot() {
    let case = MysqlCase::new(
        "mysqlagain",
        "CREATE TABLE t (id int PRIMARY KEY, gone int); INSERT INTO t VALUES (1, 1), (2, 2)",
    );
    case.discover();
    let finished = run_at(&case, "read.snapshot-entered=1*sleep(3000)", || {
        case.database.sql("ALTER TABLE t DROP COLUMN gone, ADD COLUMN more int DEFAULT 5");
    });
    let finished = finished.expect_code(0);
    assert!(finished.stderr.contains("a table failed"), "it was read although it was altered");
    assert_eq!(case.lines("t", "SELECT id, more FROM lake ORDER BY id"), ["1\t5", "2\t5"]);
}

#[test]
fn a_run_that_is_killed_leaves_the_old_table_or_the_new_one() {
    use ol_ingest::failpoints;
    let case = MysqlCase::new(
        "mysqlkill",
        "CREATE TABLE t (id int PRIMARY KEY, note char(50)); INSERT INTO t SELECT seq, LEFT(SHA2(seq, 256), 32) FROM seq_1_to_30000",
    );
    let (unit, _) = case.discover();
    case.run(0);
    for (turn, point) in [
        failpoints::SNAPSHOT_ENTERED,
        failpoints::COPY_BEGINS,
        failpoints::FIRST_BATCH_WRITTEN,
        failpoints::TABLE_READ,
        failpoints::FILES_COMPLETE,
        failpoints::COMMITTED,
    ]
    .into_iter()
    .enumerate()
    {
        case.database.sql(&format!("DELETE FROM t WHERE id = {}", turn + 1));
        let step = case.command("run").env("OL_INGEST__BATCH_ROWS", "5000");
        let killed = step.env("OL_FAILPOINT_KILL", format!("{point}:1")).run();
        assert_eq!(killed.code(), -1, "{point} was not reached: {}", killed.stderr);
        let found = rows(&case.state(), &case.raw_table("t")).unwrap();
        let after = 30_000 - turn as u64 - 1;
        assert!([after, after + 1].contains(&found), "{point}: {found} rows");
        let document = case.run(0);
        case.compare(&unit, &document).expect_equal();
    }
}
