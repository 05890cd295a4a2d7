//! Merged tables and deleted rows of a MySQL source that is followed by a cursor.

use super::followed::Followed;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, at datetime(6) DEFAULT NOW(6), note text, day date, KEY (at));
     INSERT INTO t (id, note) SELECT seq, LEFT(SHA2(seq, 256), 32) FROM seq_1_to_500;";

const CHANGES: &[&str] = &[
    "UPDATE t SET note = 'u', at = NOW(6) WHERE id % 10 = 3",
    "INSERT INTO t (id, note, day) VALUES (1000, 'i', '0000-00-00'), (1001, 'i', '2020-01-01')",
    "DELETE FROM t WHERE id % 50 = 7",
    "UPDATE t SET id = id + 5000, at = NOW(6) WHERE id IN (11, 12)",
    "INSERT INTO t (id, note) VALUES (7, 'back'); DELETE FROM t WHERE id = 1000; UPDATE t SET note = NULL, at = NOW(6) WHERE id = 13",
    "ALTER TABLE t ADD extra int DEFAULT 5; UPDATE t SET extra = id, at = NOW(6) WHERE id < 5",
];

fn merged(deployment: &'static str, sync_mode: &'static str) -> Followed {
    Followed::new(deployment, sync_mode, TABLE).set("OL_INCREMENTAL__SWEEP_HOURS", "0")
}

/// Every change is followed; both readers and our own verification see what the source has.
fn follows(deployment: &'static str, sync_mode: &'static str) {
    let table = merged(deployment, sync_mode);
    assert_eq!(table.run(), 500);
    for change in CHANGES {
        table.sql(&format!("SET sql_mode = ''; {change}"));
        let done = table.run_with(&[], 0);
        let document = serde_json::json!({"tables": [done]});
        table.case.compare(&table.unit(), &document).expect_equal();
        table.case.finish(table.command("verify")).expect_code(0);
    }
    table.run();
    assert_eq!(table.run(), 0);
}

#[test]
fn an_update_has_the_latest_row_of_each_key() {
    follows("mymergeupdate", "incremental_update");
}

#[test]
fn a_deduplicated_history_has_the_latest_row_of_each_key() {
    follows("mymergehistory", "incremental_deduped_history");
}

/// The rows that are not marked.
const PRESENT: &str =
    "SELECT id, coalesce(note, 'NULL') FROM lake WHERE _ol_deleted_at IS NULL ORDER BY id";
const OF_SOURCE: &str = "SELECT id, COALESCE(note, 'NULL') FROM t ORDER BY id";

fn marks(table: &Followed) {
    table.run();
    let mut deleted = 0;
    for (change, count) in CHANGES.iter().zip([0, 0, 10, 2, 1, 0]) {
        table.sql(&format!("SET sql_mode = ''; {change}"));
        let done = table.run_with(&[], 0);
        assert_eq!(done["deletes"], count, "{change}: {done:#}");
        deleted += count;
        assert_eq!(table.lines(PRESENT), table.sql(OF_SOURCE));
        table.case.finish(table.command("verify")).expect_code(0);
    }
    // One of them came back.
    let marked =
        table.lines("SELECT count(*), count(note) FROM lake WHERE _ol_deleted_at IS NOT NULL");
    assert_eq!(marked, format!("{0}\t{0}", deleted - 1), "a marked row keeps what it had");
}

#[test]
fn a_soft_delete_marks_what_is_gone() {
    marks(&merged("mysoft", "incremental_soft_delete"));
}

#[test]
fn a_soft_delete_of_full_refreshes_marks_what_is_gone() {
    marks(&merged("mysoftfull", "full_refresh_soft_delete").method("full"));
}

const PARTS: &str = "CREATE TABLE t (part varchar(10) COLLATE utf8mb4_bin, id int, at datetime(6) DEFAULT NOW(6), note text,
     PRIMARY KEY (part, id)); INSERT INTO t (part, id) SELECT CONCAT('p', seq % 3), seq FROM seq_1_to_1000;";
/// The keys that a change log says are there.
const LIVE: &str = "SELECT part, id FROM (SELECT DISTINCT ON (part, id) part, id, _ol_op FROM lake
     ORDER BY part, id, _ol_position DESC) WHERE _ol_op <> 'd' ORDER BY part, id";
const KEYS: &str = "SELECT part, id FROM t ORDER BY part, id";

fn log(deployment: &'static str) -> Followed {
    Followed::new(deployment, "incremental_append", PARTS)
        .with("primary_key: [part, id]\ncursor_field: at")
        .set("OL_INCREMENTAL__SWEEP_HOURS", "0")
}

#[test]
fn deletes_become_rows_of_a_log_once() {
    let table = log("mysweeplog");
    assert_eq!(table.run(), 1000);
    table.sql(
        "DELETE FROM t WHERE id % 100 = 7; UPDATE t SET id = 5000, at = NOW(6) WHERE id = 500;
         UPDATE t SET note = 'u', at = NOW(6) WHERE id = 1;",
    );
    let done = table.run_with(&[], 0);
    assert_eq!((&done["rows"], &done["deletes"]), (&2.into(), &11.into()), "{done:#}");
    assert_eq!(table.lines(LIVE), table.sql(KEYS));
    assert_eq!(table.run_with(&[], 0)["deletes"], 0);
    table.sql("INSERT INTO t (part, id, note) VALUES ('p1', 7, 'back'), ('p2', 107, 'back')");
    assert_eq!(table.run(), 2);
    table.sql("DELETE FROM t WHERE id = 107");
    assert_eq!(table.run_with(&[], 0)["deletes"], 1);
    assert_eq!(table.lines(LIVE), table.sql(KEYS));
}

#[test]
fn more_keys_than_fit_are_compared_in_passes() {
    let table = log("mysweeppasses").set("OL_INCREMENTAL__SWEEP_KEYS", "150");
    table.run();
    table.sql("DELETE FROM t WHERE id % 10 = 3");
    assert_eq!(table.run_with(&[], 0)["deletes"], 100);
    assert_eq!(table.lines(LIVE), table.sql(KEYS));
}

#[test]
fn a_sweep_waits_for_its_time_and_mass_removal_needs_a_word() {
    let table =
        merged("mysweeptime", "incremental_update").set("OL_INCREMENTAL__SWEEP_HOURS", "24");
    table.run();
    table.sql("DELETE FROM t WHERE id > 100");
    assert_eq!(table.run_with(&[], 0)["deletes"], 0, "a day has not passed");
    let table = table.set("OL_INCREMENTAL__SWEEP_HOURS", "0");
    let refused = table.run_with(&[], 2);
    assert!(refused["advice"].as_str().unwrap().contains("--allow-shrink"), "{refused:#}");
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "500");
    assert_eq!(table.run_with(&["--allow-shrink", "*__t"], 0)["deletes"], 400);
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "100");
}

#[test]
fn a_reset_table_is_loaded_anew_and_follows_again() {
    let table = merged("mymergereset", "incremental_update");
    table.run();
    assert!(table.searched_from().is_some());
    table.sql("DELETE FROM t WHERE id = 9");
    table.case.finish(table.command("reset")).expect_code(0);
    assert_eq!(table.searched_from(), None);
    assert_eq!(table.run(), 499);
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "499");
    table.sql("UPDATE t SET note = 'u', at = NOW(6) WHERE id = 1");
    assert_eq!(table.run(), 1);
    table.case.finish(table.command("verify")).expect_code(0);
}
