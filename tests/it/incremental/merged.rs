//! Merged tables: one row a key, the latest; deleted rows are removed or marked; a verification agrees.

use super::Followed;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), note text, day date);
     CREATE INDEX ON t (at); INSERT INTO t (id, note) SELECT n, md5(n::text) FROM generate_series(1, 500) n;";

fn merged(deployment: &'static str, method: &'static str, sync_mode: &'static str) -> Followed {
    Followed::new(deployment, method, sync_mode, TABLE)
        .with("primary_key: [id]\ncursor_field: at")
        .set("OL_INCREMENTAL__SWEEP_HOURS", "0")
}

const CHANGES: &[&str] = &[
    "UPDATE t SET note = 'u', at = clock_timestamp() WHERE id % 10 = 3",
    "INSERT INTO t (id, note, day) VALUES (1000, 'i', 'infinity'), (1001, 'i', '2020-01-01')",
    "DELETE FROM t WHERE id % 50 = 7",
    "UPDATE t SET id = id + 5000, at = clock_timestamp() WHERE id IN (11, 12)",
    "INSERT INTO t (id, note) VALUES (7, 'back'); DELETE FROM t WHERE id = 1000; UPDATE t SET note = NULL, at = clock_timestamp() WHERE id = 13",
    "ALTER TABLE t ADD extra int DEFAULT 5; UPDATE t SET extra = id, at = clock_timestamp() WHERE id < 5",
];

/// Every change is followed; both readers and our own verification see what the source has.
fn follows(deployment: &'static str, method: &'static str, sync_mode: &'static str) {
    let table = merged(deployment, method, sync_mode);
    assert_eq!(table.run(), 500);
    for change in CHANGES {
        table.sql(change);
        let done = table.run_with(&[], 0);
        let document = serde_json::json!({"tables": [done]});
        table.case.compare(&table.unit(), &document).expect_equal();
        table.case.finish(table.command("verify")).expect_code(0);
    }
    assert_eq!(table.run(), 0);
    let columns = table.case.state()["tables"][table.raw_table()]["columns"].clone();
    assert!(!columns.as_array().unwrap().iter().any(|name| name == "_ol_op"), "{columns}");
}

#[test]
fn an_update_by_transaction_ids_has_the_latest_row_of_each_key() {
    follows("mergexmin", "xmin", "incremental_update");
}

#[test]
fn an_update_by_a_cursor_has_the_latest_row_of_each_key() {
    follows("mergecursor", "cursor", "incremental_deduped_history");
}

/// The rows that are not marked, as psql prints them.
const PRESENT: &str = "SELECT id, note FROM lake WHERE _ol_deleted_at IS NULL ORDER BY id";

fn marks(deployment: &'static str, method: &'static str, sync_mode: &'static str) {
    let table = merged(deployment, method, sync_mode);
    table.run();
    let mut deleted = 0;
    for (change, count) in CHANGES.iter().zip([0, 0, 10, 2, 1, 0]) {
        table.sql(change);
        let done = table.run_with(&[], 0);
        assert_eq!(done["deletes"], count, "{change}: {done:#}");
        deleted += count;
        assert_eq!(table.lines(PRESENT), table.sql("SELECT id, note FROM t ORDER BY id"));
        table.case.finish(table.command("verify")).expect_code(0);
    }
    // One of them came back.
    let marked =
        table.lines("SELECT count(*), count(note) FROM lake WHERE _ol_deleted_at IS NOT NULL");
    assert_eq!(marked, format!("{0}\t{0}", deleted - 1), "a marked row keeps what it had");
    let order = "SELECT bool_and(_ol_deleted_at = _ol_extracted_at) FROM lake WHERE _ol_deleted_at IS NOT NULL";
    assert_eq!(table.lines(order), "True");
}

#[test]
fn a_soft_delete_by_transaction_ids_marks_what_is_gone() {
    marks("softxmin", "xmin", "incremental_soft_delete");
}

#[test]
fn a_soft_delete_of_full_refreshes_marks_what_is_gone() {
    marks("softfull", "full", "full_refresh_soft_delete");
}

#[test]
fn an_update_of_full_refreshes_keeps_what_is_gone_and_notices_that_nothing_changed() {
    let table = merged("updatefull", "full", "full_refresh_update");
    assert_eq!(table.run(), 500);
    assert_eq!(table.run(), 0);
    table.sql("DELETE FROM t WHERE id > 400; UPDATE t SET note = 'u' WHERE id = 1;");
    assert_eq!(table.run(), 400);
    assert_eq!(table.lines("SELECT count(*), count(DISTINCT id) FROM lake"), "500\t500");
    assert_eq!(table.lines("SELECT note FROM lake WHERE id = 1"), "u");
}

#[test]
fn a_deduplicated_refresh_keeps_the_row_with_the_highest_cursor() {
    let table = Followed::new(
        "deduped",
        "full",
        "full_refresh_overwrite_deduped",
        "CREATE TABLE t (id int, at int, note text);
         INSERT INTO t SELECT n % 100, 10000 - n, 'v' || n FROM generate_series(1, 1000) n;",
    )
    .with("primary_key: [id]\ncursor_field: at");
    table.run();
    let latest = "SELECT DISTINCT ON (id) id, at, note FROM t ORDER BY id, at DESC";
    assert_eq!(table.lines("SELECT id, \"at\", note FROM lake ORDER BY id"), table.sql(latest));
    table.sql("DELETE FROM t WHERE id < 10; INSERT INTO t VALUES (50, 20000, 'new')");
    table.run();
    assert_eq!(table.lines("SELECT id, \"at\", note FROM lake ORDER BY id"), table.sql(latest));
    table.sql("DELETE FROM t WHERE id < 80");
    let refused = table.run_with(&[], 2);
    assert!(refused["advice"].as_str().unwrap().contains("--allow-shrink"), "{refused:#}");
}

#[test]
fn a_log_that_becomes_a_merged_table_holds_each_key_once() {
    let log = merged("modechange", "xmin", "incremental_append");
    log.run();
    log.sql("UPDATE t SET note = 'u' WHERE id < 20");
    assert_eq!(log.run(), 19);
    let soft = Followed { sync_mode: "incremental_soft_delete", ..log };
    soft.write_unit();
    assert_eq!(soft.run(), 500);
    assert_eq!(soft.lines(PRESENT), soft.sql("SELECT id, note FROM t ORDER BY id"));
    let log = Followed { sync_mode: "incremental_append", ..soft };
    log.write_unit();
    assert_eq!(log.run(), 500);
    log.sql("UPDATE t SET note = 'w' WHERE id = 3");
    assert_eq!(log.run(), 1);
}

#[test]
fn a_key_that_its_column_cannot_hold_stops_the_table() {
    let table = Followed::new(
        "oddkey",
        "xmin",
        "incremental_update",
        "CREATE TABLE t (id date, note text); INSERT INTO t VALUES ('2020-01-01', 'a'), ('infinity', 'b');",
    );
    let refused = table.run_with(&[], 2);
    assert!(refused["advice"].as_str().unwrap().contains("declare it as string"), "{refused:#}");
}

#[test]
fn mass_removal_from_a_merged_table_needs_a_word() {
    let table = merged("mergeguard", "xmin", "incremental_update");
    table.run();
    table.sql("DELETE FROM t WHERE id > 100");
    let refused = table.run_with(&[], 2);
    assert!(refused["advice"].as_str().unwrap().contains("--allow-shrink"), "{refused:#}");
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "500");
    assert_eq!(table.run_with(&["--allow-shrink", "*__t"], 0)["deletes"], 400);
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "100");
}

#[test]
fn a_reset_table_is_loaded_anew_and_follows_again() {
    let table = merged("mergereset", "xmin", "incremental_update");
    table.run();
    table.sql("DELETE FROM t WHERE id = 9");
    table.case.finish(table.command("reset")).expect_code(0);
    let status = table.case.finish(table.command("status")).expect_code(0).json();
    assert!(status["tables"][0]["position"].is_null(), "{status:#}");
    assert_eq!(table.run(), 499);
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "499");
    table.sql("UPDATE t SET note = 'u' WHERE id = 1");
    assert_eq!(table.run(), 1);
    table.case.finish(table.command("verify")).expect_code(0);
}
