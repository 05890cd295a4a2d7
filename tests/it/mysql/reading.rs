//! How tables are read: modes, declared types, masks, excluded columns, metadata columns, other databases.

use ol_testkit::Unit;
use serde_json::Value;

use super::{MysqlCase, outcome};
use crate::common::{entry, expect_told, rows, text};

#[test]
fn a_table_can_be_added_to_replaced_and_merged() {
    let modes = [
        ("full_refresh_overwrite", "replaced"),
        ("full_refresh_append", "added"),
        ("full_refresh_update", "merged"),
        ("full_refresh_overwrite_deduped", "deduped"),
    ];
    let on_each = |statements: &str| -> String {
        modes.map(|(_, name)| statements.replace("TABLE_NAME", name)).concat()
    };
    let script = "CREATE TABLE TABLE_NAME (id int PRIMARY KEY, note varchar(20)); INSERT INTO TABLE_NAME VALUES (1, 'a'), (2, 'b');";
    let case = MysqlCase::new("mysqlmodes", &on_each(script));
    let mut unit = Unit::mysql(case.deployment);
    for (mode, name) in modes {
        unit = unit.table("public", name, mode).with("primary_key: [id]");
    }
    case.inventory.unit(&unit);
    case.run(0);
    let change =
        "DELETE FROM TABLE_NAME WHERE id = 1; INSERT INTO TABLE_NAME VALUES (3, 'c'), (4, 'd');";
    case.database.sql(&on_each(change));
    case.run(0);
    let state = case.state();
    let found = modes.map(|(_, name)| rows(&state, &case.raw_table(name)));
    assert_eq!(found, [Some(3), Some(5), Some(4), Some(3)]);
    let verified = case.finish(case.command("verify")).expect_code(2).json();
    let of = |name: &str| outcome(&verified, &case.raw_table(name)).to_owned();
    // What is merged keeps the row that is gone at the source; what is added to equals none of the source's states.
    assert_eq!(
        ["replaced", "added", "merged", "deduped"].map(of),
        ["done", "blocked", "blocked", "done"]
    );
}

#[test]
fn status_tells_where_a_table_stands_and_reset_forgets_it() {
    let case = MysqlCase::new(
        "mysqlstatus",
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)",
    );
    case.discover();
    let tell = |command: &str| -> Value {
        case.finish(case.command(command)).expect_code(0).json()["tables"][0].clone()
    };
    assert!(tell("status")["snapshot_id"].is_null());
    case.run(0);
    let before = tell("status");
    assert_eq!(before["rows"], 2);
    let position = text(&before, "position");
    let (file, offset) = position.split_once(':').expect("a place in the binary log");
    assert!(file.parse::<u32>().unwrap() > 0 && offset.parse::<u64>().unwrap() > 0, "{position}");
    assert!(tell("reset")["position"].is_null());
    assert_eq!(case.run(0)["tables"][0]["rows"], 2, "a table that was reset is loaded anew");
}

#[test]
fn declared_types_hold_what_fits_and_keep_the_rest_beside_it() {
    let case = MysqlCase::new(
        "mysqldeclared",
        "CREATE TABLE t (id int PRIMARY KEY, flag tinyint(1), at time(3), big decimal(50,2), f float, b blob, n bigint unsigned);
         INSERT INTO t VALUES (1, 1, '23:59:59.5', 1.25, 0.1, x'00ff', 1), (2, 0, '24:00:00', 9e40, 16777216, '', 18446744073709551615),
             (3, 2, '-00:00:01', NULL, NULL, NULL, NULL)",
    );
    let columns =
        "{flag: boolean, at: time, big: \"decimal(38,2)\", f: string, b: string, n: long}";
    let unit = Unit::mysql(case.deployment)
        .table("public", "t", "full_refresh_overwrite")
        .overriding(&format!("t:\n  columns: {columns}"));
    case.inventory.unit(&unit);
    case.run(0);
    let found =
        case.lines("t", "SELECT id, flag, \"at\", big, f, b, n, _ol_odd FROM lake ORDER BY id");
    let rows: Vec<Vec<&str>> = found.iter().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        rows[0][1..7],
        ["True", "23:59:59.500000", "1.25", "0.10000000149011612", "0x00ff", "1"],
        "{found:?}"
    );
    for (row, odd) in [
        (
            1,
            [
                "'at': '24:00:00.000'",
                "'n': '18446744073709551615'",
                "'big': '90000000000000000000000000000000000000000.00'",
            ],
        ),
        (2, ["'flag': '2'", "'at': '-00:00:01.000'", ""]),
    ] {
        for part in odd {
            assert!(rows[row][7].contains(part), "no {part} in {found:?}");
        }
    }
}

#[test]
fn masked_and_excluded_columns_leave_nothing_behind() {
    const SALT: &str = "a salt that stays the same";
    const SECRET: &str = "somebody.in.particular@example.org";
    let case = MysqlCase::new(
        "mysqlmasked",
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, email varchar(80) CHARACTER SET latin1, born date, raw blob, secret text);
             INSERT INTO t VALUES (1, '{SECRET}', '0000-00-00', '{SECRET}', '{SECRET}'), (2, NULL, NULL, NULL, NULL)"
        ),
    );
    let unit = Unit::mysql(case.deployment)
        .table("public", "t", "full_refresh_overwrite")
        .with("excluded_columns: [secret]")
        .overriding(
            "t:\n  masked_columns: {email: sha256_salted, born: nulled, raw: sha256_salted}",
        );
    case.inventory.unit(&unit);
    let refused = case.finish(case.command("run")).expect_code(3);
    expect_told(&refused, &["OL_MASK_SALT"]);
    let finished = case.finish(case.command("run").env("OL_MASK_SALT", SALT)).expect_code(0);
    assert!(!finished.stdout.contains(SECRET) && !finished.stderr.contains(SECRET));
    let hash = case.database.sql(&format!("SELECT SHA2('{SALT}{SECRET}', 256)"));
    let found = case.lines(
        "t",
        "SELECT email, raw FROM lake WHERE id = 1 AND born IS NULL AND _ol_odd IS NULL",
    );
    assert_eq!(found, [format!("{hash}\t{hash}")]);
    let held = ol_testkit::Step::new("grep").args(["-rlaF", SECRET]).arg(case.lake.folder()).run();
    assert_eq!(held.stdout, "");
    // A change of a nulled value is none.
    case.database.sql("UPDATE t SET born = '2001-01-01'");
    let again = case.finish(case.command("run").env("OL_MASK_SALT", SALT)).expect_code(0).json();
    assert_eq!(entry(&again, &case.raw_table("t"))["files"], 0);
}

#[test]
fn a_unit_can_name_another_database_of_the_server() {
    let case = MysqlCase::new(
        "mysqlother",
        "CREATE TABLE here (id int PRIMARY KEY); INSERT INTO here VALUES (1)",
    );
    let other = case.database.server().create_database("mysqlforum");
    other.sql("CREATE TABLE there (id int PRIMARY KEY); INSERT INTO there VALUES (1), (2)");
    let unit = Unit::mysql(case.deployment)
        .table("public", "here", "full_refresh_overwrite")
        .table(other.name(), "there", "full_refresh_overwrite");
    case.inventory.unit(&unit);
    case.run(0);
    let state = case.state();
    let found = ["here", "there"].map(|name| rows(&state, &case.raw_table(name)));
    assert_eq!(found, [Some(1), Some(2)]);
    let asked =
        ["discover", "--deployment", "x", "--layer", "y_mysql", "--namespace", other.name()];
    let step = case.ingest().args(asked).env("OL_SOURCE_X_Y_MYSQL_URL", case.database.url());
    let drafted = case.finish(step).expect_code(0).stdout;
    assert!(drafted.contains(&format!("namespace: {}", other.name())), "{drafted}");
    assert!(drafted.contains("name: there") && !drafted.contains("name: here"), "{drafted}");
}

#[test]
fn the_metadata_columns_of_other_loaders_are_there() {
    let case = MysqlCase::new(
        "mysqlairbyte",
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)",
    );
    let unit = Unit::mysql(case.deployment).table("public", "t", "full_refresh_overwrite").yaml();
    let unit = unit.replace("metadata_columns: native", "metadata_columns: airbyte");
    case.inventory.write(case.deployment, &unit);
    case.run(0);
    let count = "SELECT count(DISTINCT _airbyte_raw_id), count(_airbyte_extracted_at) FROM lake";
    assert_eq!(case.lines("t", count), ["2\t2"]);
}

#[test]
fn an_incremental_mode_is_refused_and_not_read_as_a_full_one() {
    let case = MysqlCase::new(
        "mysqlincremental",
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)",
    );
    let unit = Unit::mysql(case.deployment)
        .method("full")
        .table("public", "t", "incremental_append")
        .with("cursor_field: id");
    case.inventory.unit(&unit);
    let document = case.run(2);
    let table = entry(&document, &case.raw_table("t"));
    assert_eq!(text(table, "outcome"), "blocked");
    assert!(text(table, "advice").contains("incremental_append"), "{table:#}");
    assert_eq!(rows(&case.state(), &case.raw_table("t")), None);
}
