//! A table of another loader beside a MySQL source: compared, and taken over where it stands.

use serde_json::json;

use super::MysqlCase;
use crate::adopt::{COLUMNS, ROWS, airbyte};
use crate::common::{entry, expect_told, rows, text};

/// The columns of the source, as another loader has them.
const SAME: &str = "NestedField(4, 'id', LongType(), required=False),
    NestedField(5, 'note', StringType(), required=False),
    NestedField(7, 'born', TimestampType(), required=False),";
const SAME_ROWS: &str =
    "[{'id': n, 'note': f'note {n}', 'born': datetime.datetime(2026, 1, 1)} for n in range(1, 11)]";

fn prepared(deployment: &'static str, columns: &str, rows: &str) -> MysqlCase {
    let case = MysqlCase::new(
        deployment,
        "CREATE TABLE t (id bigint PRIMARY KEY, note varchar(20), born datetime(6));
         INSERT INTO t SELECT seq, CONCAT('note ', seq), '2026-01-01' FROM seq_1_to_10",
    );
    // The catalog must be there before another engine can use it.
    case.finish(case.ingest().args(["maintain", "--namespace", case.lake.namespace()]))
        .expect_code(0);
    case.discover();
    airbyte(&case.lake, &case.raw_table("t"), columns, rows, "");
    case
}

#[test]
fn a_shadow_is_held_against_the_tables_of_another_loader() {
    let case = prepared("mysqlcompare", SAME, SAME_ROWS);
    let compare = |code: i32| {
        let step = case.command("compare").args(["--against", case.lake.namespace()]);
        case.finish(step).expect_code(code).json()
    };
    let same = compare(0);
    let table = entry(&same, &case.raw_table("t"));
    assert_eq!(text(table, "outcome"), "done", "{table:#}");
    case.database
        .sql("UPDATE t SET note = 'another' WHERE id = 3; INSERT INTO t VALUES (11, 'new', NULL)");
    let differs = compare(2);
    let table = entry(&differs, &case.raw_table("t"));
    assert_eq!(text(table, "outcome"), "blocked", "{table:#}");
    assert!(!differs.to_string().contains("another"), "a value is shown that nobody asked for");
}

#[test]
fn a_table_of_airbyte_becomes_ours_where_it_stands() {
    let case = prepared("mysqladopt", COLUMNS, ROWS);
    let adopt = |arguments: &[&str], code: i32| {
        case.finish(case.command("adopt").args(arguments)).expect_code(code)
    };
    let shown = adopt(&["--dry-run"], 0).json();
    let table = entry(&shown, &case.raw_table("t"));
    assert_eq!((text(table, "written_by"), &table["adopted"]), ("airbyte", &json!(false)));
    assert!(table["steps"].to_string().contains("Add column born"), "{table:#}");
    let done = adopt(&[], 0).json();
    assert_eq!(entry(&done, &case.raw_table("t"))["adopted"], json!(true));
    assert_eq!(rows(&case.state(), &case.raw_table("t")), Some(10), "its rows are there");
    case.database.sql("INSERT INTO t VALUES (11, 'new', NULL)");
    case.run(0);
    assert_eq!(case.lines("t", "SELECT count(*), count(born) FROM lake"), ["11\t10"]);
    case.database.sql("DROP TABLE t");
    expect_told(&adopt(&[], 2), &["does not exist"]);
}
