//! `run --from TABLE=VALUE`: a table goes on where another loader stopped, without being loaded.

use super::Followed;
use crate::common::expect_told;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, note text);
     INSERT INTO t SELECT n, '2026-01-01 00:00:00+00'::timestamptz + n * interval '1 hour', 'old' FROM generate_series(1, 100) n;
     INSERT INTO t VALUES (200, NULL, 'without a value');";

fn table(deployment: &'static str) -> Followed {
    Followed::new(deployment, "cursor", "incremental_append", TABLE)
        .set("OL_INCREMENTAL__LOOKBACK_SECONDS", "3600")
}

#[test]
fn rows_from_the_value_on_are_read_and_then_what_changes() {
    let table = table("handover");
    // The value of row 90, as another loader wrote it; with an hour of lookback row 89 comes, too.
    let done = table.run_with(&["--from", "public.t=2026-01-04T18:00:00Z"], 0);
    assert_eq!(done["rows"], 13, "rows 89 to 100, and the one without a value: {done:#}");
    table.sql("UPDATE t SET note = 'new', at = now() WHERE id = 5; INSERT INTO t VALUES (101, now(), 'new');");
    assert_eq!(table.run(), 2);
    assert_eq!(table.run(), 0);
    assert_eq!(table.lines("SELECT min(id), count(*) FROM lake WHERE note = 'old'"), "89\t12");
}

#[test]
fn a_table_that_has_a_position_refuses_another_beginning() {
    let table = table("handovertwice");
    table.run();
    let refused = table.run_with(&["--from", "t=2026-01-04"], 3);
    assert!(refused["advice"].as_str().unwrap().contains("reset"), "{refused:#}");
}

#[test]
fn what_is_no_value_no_table_or_no_cursor_is_refused() {
    let table = table("handoverwrong");
    table.run_with(&["--from", "t=yesterday evening"], 2);
    let refused =
        table.case.finish(table.command("run").args(["--from", "public.u=1"])).expect_code(3);
    expect_told(&refused, &["--from", "public.u"]);
    table.case.finish(table.command("run").args(["--from", "public.t"])).expect_code(3);
    let xmin = Followed::new("handoverxmin", "xmin", "incremental_append", TABLE);
    let refused = xmin.run_with(&["--from", "t=2026-01-04"], 3);
    assert!(refused["advice"].as_str().unwrap().contains("cursor"), "{refused:#}");
}
