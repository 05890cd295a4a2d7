//! Sizes: a value of 50 MB, 1,600 columns, no column, no row, and a table of which memory must know nothing.

use std::fmt::Write as _;

use ol_testkit::Unit;
use serde_json::Value;

use crate::common::{Case, entry, text};

#[test]
fn one_large_value_many_columns_no_column_and_no_row() {
    let case = Case::new("shapes");
    let mut script = String::from(
        "CREATE TABLE large (id int PRIMARY KEY, t text, b bytea);
         INSERT INTO large SELECT 1, string_agg(md5(n::text), ''), NULL FROM generate_series(1, 50 * 32768) n;
         INSERT INTO large SELECT 2, NULL, decode(string_agg(md5(n::text), ''), 'hex') FROM generate_series(1, 50 * 65536) n;
         INSERT INTO large VALUES (3, 'x', '\\x00');
         CREATE TABLE empty (id int PRIMARY KEY, t text);
         CREATE TABLE none ();
         CREATE TABLE dropped (x int); INSERT INTO dropped VALUES (1), (2); ALTER TABLE dropped DROP COLUMN x;
         CREATE TABLE wide (c1 int PRIMARY KEY",
    );
    for column in 2..=1_600 {
        write!(script, ", c{column} {}", ["int", "boolean", "smallint", "\"char\""][column % 4])
            .unwrap();
    }
    script.push_str("); INSERT INTO wide (c1, c1600, c1599) VALUES (1, 5, 'x'), (2, NULL, NULL);");
    case.database.psql(&script);
    let (unit, _) = case.discover();
    let done = case.finish(case.command("run")).expect_code(0);
    let document = done.json();
    let comparison = case.compare(&unit, &document);
    comparison.expect_equal();
    let equal = comparison.tables("equal");
    for table in ["public.large", "public.empty", "public.wide"] {
        assert!(equal.iter().any(|name| name == table), "{table} did not land: {document:#}");
    }
    assert_eq!(equal.len() + comparison.tables("refused").len(), 5);
    // The row of 50 MB and what is made of it on its way, several times over, and no more.
    assert!(done.peak_bytes < 1 << 30, "peak memory is {} MiB", done.peak_bytes >> 20);
    eprintln!("50 MB values: peak memory {} MiB in {:.1} s", done.peak_bytes >> 20, done.seconds);
}

#[test]
fn memory_does_not_grow_with_the_table() {
    let case = Case::new("growth");
    let mut peaks = Vec::new();
    for (table, rows) in [("small", 200_000), ("tenfold", 2_000_000)] {
        case.database.psql(&format!(
            "CREATE TABLE {table} (id bigint PRIMARY KEY, note text, at timestamptz, amount numeric(12,3));
             INSERT INTO {table} SELECT n, md5(n::text), '2020-01-01'::timestamptz + n * interval '1 s', n / 7.0
             FROM generate_series(1, {rows}) n;"
        ));
        case.inventory.unit(&Unit::new(case.deployment).table(
            "public",
            table,
            "full_refresh_overwrite",
        ));
        let done = case.finish(case.command("run")).expect_code(0);
        let document = done.json();
        let landed = entry(&document, &case.raw_table(table));
        assert_eq!(text(landed, "outcome"), "done");
        assert_eq!(landed.get("rows").and_then(Value::as_u64), Some(rows));
        eprintln!(
            "{rows} rows: peak memory {} MiB in {:.1} s",
            done.peak_bytes >> 20,
            done.seconds
        );
        assert_eq!(crate::common::rows(&case.state(), &case.raw_table(table)), Some(rows));
        peaks.push(done.peak_bytes);
    }
    assert!(peaks[1] < peaks[0] * 3 / 2 + (32 << 20), "ten times the rows took {peaks:?} bytes");
    assert!(peaks[1] < 512 << 20, "peak memory is {} MiB", peaks[1] >> 20);
}
