//! Deleted rows: found by comparing keys, in passes if there are many, and never many at once without a word.

use super::Followed;

const TABLE: &str = "CREATE TABLE t (part text, id int, note text, PRIMARY KEY (part, id));
     INSERT INTO t SELECT 'p' || n % 3, n, md5(n::text) FROM generate_series(1, 1000) n;";
const KEY: &str = "primary_key: [part, id]";
/// The keys that a change log says are there.
const LIVE: &str = "SELECT part, id FROM (SELECT DISTINCT ON (part, id) part, id, _ol_op FROM lake
     ORDER BY part, id, _ol_position DESC) WHERE _ol_op <> 'd' ORDER BY part, id";

fn log(deployment: &'static str) -> Followed {
    Followed::new(deployment, "xmin", "incremental_append", TABLE)
        .with(KEY)
        .set("OL_INCREMENTAL__SWEEP_HOURS", "0")
}

#[test]
fn deletes_become_rows_of_a_log_once() {
    let table = log("sweeplog");
    assert_eq!(table.run(), 1000);
    table.sql("DELETE FROM t WHERE id % 100 = 7; UPDATE t SET id = 5000 WHERE id = 500; UPDATE t SET note = 'u' WHERE id = 1;");
    let done = table.run_with(&[], 0);
    assert_eq!((&done["rows"], &done["deletes"]), (&2.into(), &11.into()), "{done:#}");
    assert_eq!(table.lines(LIVE), table.sql("SELECT part, id FROM t ORDER BY part, id"));
    let deleted = table.lines(
        "SELECT count(*), count(note), count(_ol_committed_at) FROM lake WHERE _ol_op = 'd'",
    );
    assert_eq!(deleted, "11\t0\t0");
    assert_eq!(table.run_with(&[], 0)["deletes"], 0);
    // One that returns is there again, and may go again.
    table.sql("INSERT INTO t SELECT 'p' || n % 3, n, 'back' FROM (VALUES (7), (107)) v(n)");
    assert_eq!(table.run(), 2);
    table.sql("DELETE FROM t WHERE id = 107");
    assert_eq!(table.run_with(&[], 0)["deletes"], 1);
    assert_eq!(table.lines(LIVE), table.sql("SELECT part, id FROM t ORDER BY part, id"));
}

#[test]
fn more_keys_than_fit_are_compared_in_passes() {
    let table = log("sweeppasses").set("OL_INCREMENTAL__SWEEP_KEYS", "150");
    table.run();
    table.sql("DELETE FROM t WHERE id % 10 = 3");
    assert_eq!(table.run_with(&[], 0)["deletes"], 100);
    assert_eq!(table.lines(LIVE), table.sql("SELECT part, id FROM t ORDER BY part, id"));
}

#[test]
fn a_sweep_waits_for_its_time() {
    let table = Followed::new("sweeptime", "xmin", "incremental_append", TABLE).with(KEY);
    table.run();
    table.sql("DELETE FROM t WHERE id = 1");
    assert_eq!(table.run_with(&[], 0)["deletes"], 0, "a day has not passed");
    let table = table.set("OL_INCREMENTAL__SWEEP_HOURS", "0");
    assert_eq!(table.run_with(&[], 0)["deletes"], 1);
}

#[test]
fn mass_removal_needs_a_word() {
    let table = log("sweepguard");
    table.run();
    table.sql("DELETE FROM t WHERE id > 100");
    let refused = table.run_with(&[], 2);
    assert!(refused["advice"].as_str().unwrap().contains("--allow-shrink"), "{refused:#}");
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "1000", "what was there stays");
    assert_eq!(table.run_with(&["--allow-shrink", "*__t"], 0)["deletes"], 900);
    assert_eq!(table.lines(LIVE), table.sql("SELECT part, id FROM t ORDER BY part, id"));
}
