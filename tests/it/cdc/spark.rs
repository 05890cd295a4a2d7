//! Spark, with Iceberg's own Java reader, agrees with the source, `PyIceberg` and `DuckDB` about every form that a merged
//! table takes: rows deleted by position, files written anew, marked rows, columns that came, went and grew, partitions
//! and an order, and what a compaction made of them.

use std::path::Path;

use ol_lake::{CompactOptions, Lake, LakeSettings, TableName};
use ol_testkit::ledger::Landing;
use ol_testkit::{Readers, Unit};
use serde_json::Value;

use super::common::{DONE, Follow, followed, server};
use crate::common::Case;

/// One table a form. Rows of `deleted_rows` fill more than the megabyte below which a file is written anew.
const TABLES: &str = "
    CREATE TABLE deleted_rows (id int PRIMARY KEY, note text);
    INSERT INTO deleted_rows SELECT n, md5(n::text) || md5((-n)::text) FROM generate_series(1, 60000) n;
    CREATE TABLE anew (id int PRIMARY KEY, note text);
    INSERT INTO anew SELECT n, md5(n::text) FROM generate_series(1, 500) n;
    CREATE TABLE evolved (id int PRIMARY KEY, small int, amount numeric(10,2), doomed text, kept text);
    INSERT INTO evolved SELECT n, n, n / 7.0, 'd' || n, 'k' || n FROM generate_series(1, 500) n;
    CREATE TABLE laid_out (id int PRIMARY KEY, day date, at timestamptz, note text);
    INSERT INTO laid_out SELECT n, date '2024-02-27' + n % 4, timestamptz '2024-02-27 22:00:00+00' + n * interval '1 hour',
        md5(n::text) FROM generate_series(1, 500) n;
    CREATE TABLE compacted (id int PRIMARY KEY, note text);
    INSERT INTO compacted SELECT n, md5(n::text) || md5((-n)::text) FROM generate_series(1, 60000) n;
    CREATE TABLE kinds (id bigint PRIMARY KEY, b boolean, r real, d double precision, n38 numeric(38, 9), free numeric,
        day date, at timestamp, atz timestamptz, bytes bytea, u uuid, j jsonb, names text[], numbers int[], i interval);
    INSERT INTO kinds VALUES
        (-9223372036854775808, true, '-0', 'NaN', 99999999999999999999999999999.999999999, 1e-20, '0001-01-01',
         '0001-01-01', '9999-12-31 23:59:59.999999+00', '\\x00ff', '00000000-0000-0000-0000-0000000000ff', '{\"a\": [1]}',
         ARRAY['a,b', NULL, '', 'NULL', 'ü\"🦆'], ARRAY[1, NULL, -2147483648], '1 mon -1 day 00:00:00.5'),
        (1, false, 'Infinity', '-Infinity', NULL, 'NaN', 'infinity', '-infinity', '0044-03-15 00:00:00+00 BC', '', NULL,
         'null', '{}', '{{1,2},{3,4}}', '0'),
        (2, NULL, 1e-45, 5e-324, -0.000000001, 12345678901234567890.5, '1582-10-10', '1582-10-10 12:00:00.000001',
         '1969-12-31 23:59:59.999999+00', repeat('x', 100000)::bytea, gen_random_uuid(), '1e400', NULL, NULL, NULL),
        (3, NULL, 0.1, 0.1, 0.1, 0.1, '2024-02-29', '2024-02-29 01:02:03.4', '2024-03-31 01:30:00+00', 'a', gen_random_uuid(),
         '{}', ARRAY['x'], ARRAY[0], '-3 days');
    CREATE TABLE clocks (id int PRIMARY KEY, clock time);
    INSERT INTO clocks VALUES (1, '23:59:59.999999'), (2, '24:00'), (3, NULL);";

/// What happens to them, a tick after each.
const CHANGES: &[&str] = &[
    "UPDATE deleted_rows SET note = 'u' || id WHERE id % 50 = 3; DELETE FROM deleted_rows WHERE id % 100 = 7;
     UPDATE compacted SET note = 'u' || id WHERE id % 5 = 3; DELETE FROM compacted WHERE id % 10 = 7;
     UPDATE anew SET note = NULL WHERE id % 10 = 3; DELETE FROM anew WHERE id % 10 = 7;
     UPDATE laid_out SET day = day + 1, at = at + interval '1 day' WHERE id % 10 = 3; DELETE FROM laid_out WHERE id % 9 = 0;
     UPDATE clocks SET clock = '00:00' WHERE id = 2;
     UPDATE kinds SET b = NOT b, names = names || 'new'::text, at = '2024-01-01' WHERE id < 3;",
    "ALTER TABLE evolved ADD added text; UPDATE evolved SET added = 'a', small = -small WHERE id % 2 = 0;",
    "ALTER TABLE evolved ALTER small TYPE bigint; ALTER TABLE evolved ALTER amount TYPE numeric(14,2);
     UPDATE evolved SET small = 9223372036854775807, amount = 999999999999.99 WHERE id % 5 = 0;",
    "ALTER TABLE evolved DROP doomed; INSERT INTO evolved (id, kept) VALUES (1000, 'late'); DELETE FROM evolved WHERE id = 1;
     UPDATE deleted_rows SET id = id + 100000 WHERE id % 1000 = 1; INSERT INTO deleted_rows VALUES (7, 'back');
     INSERT INTO laid_out VALUES (1000, NULL, NULL, 'nowhere'); UPDATE laid_out SET note = 'u' WHERE id % 10 = 4;",
];

/// The tables, merged; one of them in partitions and in order, one with a time of day as a text, since Iceberg for Spark has
/// no type for it.
fn unit(deployment: &str) -> String {
    let names = ["deleted_rows", "anew", "evolved", "laid_out", "compacted", "kinds", "clocks"];
    let unit = names.iter().fold(Unit::new(deployment).method("cdc"), |unit, name| {
        unit.table("public", name, "incremental_update").with("primary_key: [id]")
    });
    unit.yaml().replace(
        "metadata_columns: native",
        "metadata_columns: native\n  overrides:\n    laid_out:\n      \
         partition_by: [day, 'month(at)', 'bucket(3, id)']\n      sort_by: [note]\n    clocks:\n      \
         columns: {clock: string}",
    )
}

#[test]
fn spark_agrees_about_every_form_of_a_merged_table() {
    let database = server().create_database("sparkmerged");
    database.psql(TABLES);
    let follow = Follow::written("sparkmerged", database, &unit("sparkmerged"));
    follow.tick(DONE);
    for change in CHANGES {
        follow.case.database.psql(change);
        follow.tick(DONE);
    }
    compact(&follow.case, "compacted");
    // Something more on top of what the compaction made.
    follow.case.database.psql("UPDATE compacted SET note = 'last' WHERE id % 1000 = 9");
    let document = follow.tick(DONE).json();
    expect_forms(&follow.case);
    expect_all_equal(&follow.case, &follow.unit, &document, 7);
}

/// Each table really has the form it is here for.
#[track_caller]
fn expect_forms(case: &Case) {
    let state = case.state();
    let summary = |table: &str, key: &str| {
        let raw_table = case.raw_table(table);
        let value = state.pointer(&format!("/tables/{raw_table}/summary/{key}"));
        value.and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    for table in ["deleted_rows", "compacted"] {
        assert!(summary(table, "total-position-deletes") > 0, "{table}: {state:#}");
    }
    assert_eq!(summary("anew", "total-position-deletes"), 0, "{state:#}");
    assert!(summary("laid_out", "total-data-files") > 10, "{state:#}");
    let compacted = state.pointer(&format!("/tables/{}/snapshots", case.raw_table("compacted")));
    assert_eq!(compacted.and_then(Value::as_u64), Some(4), "{state:#}");
}

/// Source, `PyIceberg`, `DuckDB` and Spark see the same rows.
#[track_caller]
fn expect_all_equal(case: &Case, unit: &Path, document: &Value, tables: usize) {
    let comparison =
        Readers::compare_in_all(&case.database.url(), &case.lake, unit, Some(document));
    comparison.expect_equal();
    assert_eq!(comparison.tables("equal").len(), tables, "{:#}", comparison.document);
    eprintln!("{}", comparison.document["seconds"]);
}

/// What a service would do at night: no program of ours compacts yet, so the lake is asked itself.
fn compact(case: &Case, table: &str) {
    let name = TableName::new(case.lake.namespace(), case.raw_table(table));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let compacted = runtime.block_on(async {
        let warehouse = case.lake.warehouse().display().to_string();
        let lake = Lake::open(LakeSettings::new(case.lake.catalog(), warehouse)).await.unwrap();
        let table = lake.load(&name).await.unwrap().unwrap();
        lake.compact(&table, &CompactOptions { least_files: 1, ..CompactOptions::default() }).await
    });
    assert!(compacted.unwrap().is_some(), "there was nothing to compact");
}

/// The ledger's tables of every shape, held against the writer's journal.
#[test]
fn spark_agrees_about_the_ledgers_merged_tables() {
    let (follow, mut ledger) = followed("sparkledger", Landing::Mixed, &[]);
    for _ in 0..3 {
        ledger.run(40);
        follow.tick(DONE);
    }
    ledger.bulk(5_000);
    ledger.run(20);
    follow.tick(DONE);
    follow.expect_complete_in_all("after 180 transactions and a large one");
}
