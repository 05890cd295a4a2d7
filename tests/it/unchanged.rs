//! A run over tables that did not change commits nothing and says so; an appending table grows by each reading.

use ol_testkit::Unit;
use serde_json::Value;

use crate::common::{Case, entry, rows, text};

fn snapshot(case: &Case, table: &str) -> (Value, Value) {
    let state = case.state();
    let pointer = format!("/tables/{}", case.raw_table(table));
    let of = |key: &str| state.pointer(&format!("{pointer}/{key}")).cloned().unwrap();
    (of("snapshot_id"), of("snapshots"))
}

#[test]
fn an_unchanged_table_gets_no_snapshot_and_a_changed_one_does() {
    let case = Case::new("unchanged");
    case.database.psql(
        "CREATE TABLE still (id int PRIMARY KEY, note text); INSERT INTO still VALUES (1, 'a'), (2, NULL);
         CREATE TABLE empty (id int PRIMARY KEY);
         CREATE TABLE moving (id int PRIMARY KEY, note text); INSERT INTO moving VALUES (1, 'a');",
    );
    let (unit, _) = case.discover();
    case.run(0);
    let before: Vec<_> = ["still", "empty", "moving"].map(|table| snapshot(&case, table)).into();
    case.database.psql("UPDATE moving SET note = 'b'");
    let document = case.run(0);
    let after: Vec<_> = ["still", "empty", "moving"].map(|table| snapshot(&case, table)).into();
    assert_eq!(before[..2], after[..2], "an unchanged table got a snapshot: {document:#}");
    assert_ne!(before[2], after[2], "a changed table got none");
    for table in ["still", "empty"] {
        let table = entry(&document, &case.raw_table(table));
        assert_eq!(text(table, "outcome"), "done");
        assert!(
            table.to_string().contains("unchanged"),
            "nothing says that it is unchanged: {table}"
        );
        assert_eq!(table.get("files"), Some(&0.into()), "{table}");
    }
    case.compare(&unit, &document).expect_equal();
}

#[test]
fn an_appending_table_grows_by_each_reading() {
    let case = Case::new("appending");
    case.database.psql("CREATE TABLE log (id int PRIMARY KEY, note text); INSERT INTO log VALUES (1, 'a'), (2, 'b');");
    case.inventory.unit(&Unit::new(case.deployment).table("public", "log", "full_refresh_append"));
    case.run(0);
    assert_eq!(rows(&case.state(), &case.raw_table("log")), Some(2));
    case.database.psql("INSERT INTO log VALUES (3, 'c')");
    let document = case.run(0);
    assert_eq!(rows(&case.state(), &case.raw_table("log")), Some(5), "{document:#}");
    let table = entry(&document, &case.raw_table("log"));
    assert_eq!(text(table, "mode"), "full_refresh_append");
    assert_eq!(table.get("rows"), Some(&3.into()));
}
