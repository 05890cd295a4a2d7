//! `cursor` on MySQL: a row that is committed late is not skipped, one that has not changed is not sent twice, and the
//! search is narrowed by the column, in the column's own order.

use ol_testkit::MysqlServer;

use super::followed::{Followed, say};
use crate::common::expect_told;

/// A table whose cursor is a clock, with an index that runs can use.
const CLOCK: &str =
    "CREATE TABLE t (id int PRIMARY KEY, at datetime(6) DEFAULT NOW(6), note text, KEY (at));
     INSERT INTO t (id) VALUES (1), (2), (3);";
/// The same with a number that the server counts up.
const COUNTED: &str =
    "CREATE TABLE t (at bigint unsigned AUTO_INCREMENT PRIMARY KEY, id int, note text);
     INSERT INTO t (id) VALUES (1), (2), (3);";

fn log(deployment: &'static str, script: &str) -> Followed {
    Followed::new(deployment, "incremental_append", script)
}

#[track_caller]
fn expect_all_once(table: &Followed) {
    let of_source = table.sql("SELECT id FROM t ORDER BY id");
    assert_eq!(table.lines("SELECT id FROM lake ORDER BY id"), of_source);
}

/// The one that takes the lower value commits last; runs in between, and one after.
fn overlap(deployment: &'static str, script: &str) {
    let table = log(deployment, script);
    assert_eq!(table.run(), 3);
    assert_eq!(table.run(), 0, "nothing has changed");
    let (mut lower, mut higher) = (table.session(), table.session());
    say(&mut lower, "BEGIN; INSERT INTO t (id) VALUES (100); INSERT INTO t (id) VALUES (101);");
    say(&mut higher, "BEGIN; INSERT INTO t (id) VALUES (102); COMMIT;");
    assert_eq!(table.run(), 1, "the first commit");
    table.sql("INSERT INTO t (id) VALUES (110)");
    assert_eq!(table.run(), 1, "a commit beside");
    say(&mut lower, "COMMIT;");
    assert_eq!(table.run(), 2, "the commit that came late");
    assert_eq!(table.run(), 0);
    expect_all_once(&table);
}

#[test]
fn a_lower_value_that_commits_last_is_not_skipped() {
    overlap("mycursorlate", CLOCK);
    overlap("mycursorlatenumber", COUNTED);
}

#[test]
fn ties_nulls_moments_to_come_and_microseconds_are_kept() {
    let table = log("mycursorties", CLOCK);
    table.run();
    table.sql("INSERT INTO t VALUES (20, '2100-01-01 00:00:00.000001', 'a'), (21, NULL, 'a'), (22, 0, 'a')");
    assert_eq!(table.run(), 2, "the zero date is before every bound");
    table.sql("INSERT INTO t VALUES (23, NULL, 'a'); UPDATE t SET note = 'again' WHERE id = 21;");
    assert_eq!(table.run(), 2, "a value of the future is no watermark");
    table.sql("INSERT INTO t SELECT 26, MAX(at), 'tie' FROM t WHERE at < NOW(6)");
    assert_eq!(table.run(), 1, "a tie with the highest value");
    table.sql("UPDATE t SET note = 'changed' WHERE id = 26");
    assert_eq!(table.run(), 1, "another content under the same value, within the lookback");
    table.sql("DELETE FROM t WHERE id = 26");
    assert_eq!(table.run(), 0);
    table.sql("INSERT INTO t SELECT 26, MAX(at), 'changed' FROM t WHERE at < NOW(6)");
    assert_eq!(table.run(), 0, "one that came back before anybody said that it was gone");
    let micro = "SELECT epoch_us(\"at\") % 1000000 FROM lake WHERE id = 20";
    assert_eq!(table.lines(micro), "1");
}

#[test]
fn a_crowd_that_shares_a_value_is_not_sent_for_ever() {
    // More rows than are kept have the highest value. They are sent again until the lookback has passed.
    let script = "CREATE TABLE t (id int PRIMARY KEY, at datetime(6), KEY (at));
         INSERT INTO t SELECT seq, '2026-01-01' FROM seq_1_to_9000";
    let table = Followed::new("mycursorcrowd", "incremental_update", script)
        .set("OL_INCREMENTAL__LOOKBACK_SECONDS", "0");
    assert_eq!(table.run(), 9000);
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(table.run(), 9000, "the last run is not old enough for the one before it");
    assert_eq!(table.run(), 0);
    table.sql("INSERT INTO t VALUES (20000, '2026-01-02')");
    assert_eq!(table.run(), 1);
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "9001");
}

#[test]
fn the_search_is_narrowed_to_what_the_column_says() {
    // What the bound leaves out is not looked at: a back-dated row is the documented limit, and shows the bound.
    let table = log("mycursornarrow", CLOCK).set("OL_INCREMENTAL__LOOKBACK_SECONDS", "60");
    table.run();
    table.sql("INSERT INTO t VALUES (50, '1999-12-31 00:00:00', NULL)");
    assert_eq!(table.run(), 0);
    let table = table.set("OL_INCREMENTAL__LOOKBACK_SECONDS", "3000000000");
    assert_eq!(table.run(), 1, "a longer lookback finds it, and sends nothing else again");
    assert_eq!(table.run(), 0);
}

#[test]
fn a_log_of_counted_rows_has_each_once_however_many_there_are() {
    let table = log("mycursorcounted", COUNTED);
    table.sql("INSERT INTO t (id) SELECT seq + 10 FROM seq_1_to_5000");
    assert_eq!(table.run(), 5003);
    table.sql(
        "INSERT INTO t (id) SELECT seq + 6000 FROM seq_1_to_4000; DELETE FROM t WHERE at % 17 = 3",
    );
    let added = table.sql("SELECT COUNT(*) FROM t WHERE id > 6000").parse::<u64>().unwrap();
    assert_eq!(table.run(), added);
    assert_eq!(table.run(), 0, "no row is in the overlap twice");
    assert_eq!(table.lines("SELECT count(*), count(DISTINCT id) FROM lake").split('\t').count(), 2);
    assert_eq!(table.lines("SELECT id FROM lake GROUP BY id HAVING count(*) > 1"), "");
}

#[test]
fn every_usable_type_follows_and_the_others_are_refused_with_advice() {
    let types = [
        ("tinyint", "2", "3"),
        ("int", "-2", "3"),
        ("bigint", "9007199254740993", "9007199254740994"),
        ("bigint unsigned", "18446744073709551614", "18446744073709551615"),
        ("decimal(65,30)", "1.000000000000000000000000000001", "1.000000000000000000000000000002"),
        ("date", "'2020-02-28'", "'2020-02-29'"),
        ("datetime", "'2020-02-28 00:00:00'", "'2020-02-28 00:00:01'"),
        ("datetime(6)", "'2020-02-28 00:00:00.000001'", "'2020-02-28 00:00:00.000002'"),
        ("timestamp(3)", "'2020-02-28 00:00:00.001'", "'2020-02-28 00:00:00.002'"),
        ("char(20)", "'01H'", "'01J'"),
        ("varchar(40) COLLATE utf8mb4_bin", "'01H \\\\ it''s'", "'01J'"),
        ("varchar(40) COLLATE utf8mb4_unicode_ci", "'ä'", "'Ö'"),
        ("varchar(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "'ä'", "'Ö'"),
    ];
    for (index, (name, first, second)) in types.into_iter().enumerate() {
        let deployment: &'static str = format!("mycursortype{index}").leak();
        let script = format!(
            "CREATE TABLE t (id int PRIMARY KEY, at {name}); INSERT INTO t VALUES (1, {first});"
        );
        let table = log(deployment, &script);
        assert_eq!(table.run(), 1, "{name}");
        for id in 2..5 {
            table.sql(&format!("INSERT INTO t VALUES ({id}, {second})"));
            assert_eq!(table.run(), 1, "{name}");
        }
        assert_eq!(table.run(), 0, "{name}");
        let from =
            table.searched_from().unwrap_or_default().replace('\\', "\\\\").replace('\'', "''");
        let is_one = format!("SELECT COUNT(*) > 0 FROM t WHERE at = '{from}'");
        assert_eq!(table.sql(&is_one), "1", "{name}: {from} is no value of the column");
        expect_all_once(&table);
    }
    for (name, why) in [
        ("json", "longtext"),
        ("double", "double"),
        ("enum('a','b')", "enum"),
        ("varbinary(20)", "varbinary"),
        ("time", "time"),
        ("varchar(20) CHARACTER SET sjis", "sjis"),
    ] {
        let deployment: &'static str = format!("mycursorrefused{}", name.len()).leak();
        let table = log(deployment, &format!("CREATE TABLE t (id int PRIMARY KEY, at {name})"));
        let finished = table.case.finish(table.command("run"));
        if name == "json" {
            // MariaDB's json is a longtext with a check, and follows as one.
            finished.expect_code(0);
            continue;
        }
        let refused = finished.expect_code(2);
        expect_told(&refused, &["cursor", why, "cursor_field"]);
        assert!(!refused.stdout.contains("xmin"), "advice that is of no use here");
    }
    let table = log("mycursormissing", "CREATE TABLE t (id int PRIMARY KEY)");
    expect_told(&table.case.finish(table.command("run")).expect_code(2), &["no such column"]);
}

#[test]
fn values_that_differ_only_in_case_are_in_the_order_of_their_collation() {
    // By bytes 'b' is behind 'C', by the collation before it.
    let table = log(
        "mycursorcase",
        "CREATE TABLE t (id int PRIMARY KEY, at varchar(20) COLLATE utf8mb4_general_ci); INSERT INTO t VALUES (1, 'b');",
    );
    table.run();
    table.sql("INSERT INTO t VALUES (2, 'C')");
    assert_eq!(table.run(), 1);
    table.sql("INSERT INTO t VALUES (3, 'B'), (4, 'd')");
    assert_eq!(table.run(), 2, "a tie in another case, and a higher value");
    assert_eq!(table.run(), 0);
    expect_all_once(&table);
}

#[test]
fn the_zone_of_the_server_changes_no_bound() {
    let server = Box::leak(Box::new(MysqlServer::start_with(&["default-time-zone=+05:30"])));
    let table = Followed::of(
        "mycursorzone",
        "incremental_append",
        server.create_database("zone"),
        "CREATE TABLE t (id int PRIMARY KEY, at timestamp(6) NULL); INSERT INTO t VALUES (1, NOW(6));",
    )
    .set("OL_INCREMENTAL__LOOKBACK_SECONDS", "60");
    assert_eq!(table.run(), 1);
    table.sql(
        "INSERT INTO t VALUES (2, NOW(6) - INTERVAL 30 SECOND), (3, NOW(6) - INTERVAL 2 HOUR)",
    );
    assert_eq!(table.run(), 1, "half a minute is within the lookback, two hours are not");
    let seconds = table.sql("SELECT UNIX_TIMESTAMP(at) * 1000000 DIV 1 FROM t WHERE id = 2");
    assert_eq!(table.lines("SELECT epoch_us(\"at\") FROM lake WHERE id = 2"), seconds);
    let from = table.searched_from().unwrap();
    let utc = table.sql("SELECT CONVERT_TZ(at, '+05:30', '+00:00') FROM t WHERE id = 1");
    assert_eq!(from, utc);
}

#[test]
fn masked_columns_follow_and_their_values_are_nowhere() {
    let salt = "a salt of more than sixteen bytes";
    let table = log(
        "mycursormask",
        "CREATE TABLE t (id int PRIMARY KEY, at datetime(6) DEFAULT NOW(6), email varchar(100));
         INSERT INTO t (id, email) VALUES (1, 'one@example.org'), (2, NULL)",
    )
    .overridden("t: {masked_columns: {email: sha256_salted}}")
    .set("OL_MASK_SALT", salt);
    assert_eq!(table.run(), 2);
    assert_eq!(table.run(), 0);
    table.sql("UPDATE t SET email = 'two@example.org', at = NOW(6) WHERE id = 2");
    assert_eq!(table.run(), 1);
    assert_eq!(table.run(), 0);
    assert_eq!(table.lines("SELECT max(length(email)) FROM lake"), "64");
}

#[test]
fn many_rows_without_a_value_are_refused_in_a_log_and_merged_elsewhere() {
    let script = "CREATE TABLE t (id int PRIMARY KEY, at datetime(6), KEY (at));
         INSERT INTO t SELECT seq, NULL FROM seq_1_to_8193";
    let refused = log("mycursornull", script).run_with(&[], 2);
    let advice = refused["advice"].as_str().unwrap();
    assert!(advice.contains("incremental_update"), "{advice}");
    let merged = Followed::new("mycursornullmerge", "incremental_update", script);
    assert_eq!(merged.run(), 8193);
    merged.sql("UPDATE t SET at = NOW(6) WHERE id < 10; INSERT INTO t VALUES (20000, NULL)");
    merged.run();
    assert_eq!(
        merged.lines("SELECT id FROM lake ORDER BY id"),
        merged.sql("SELECT id FROM t ORDER BY id")
    );
}

#[test]
fn a_changed_contract_or_mode_or_cursor_reads_all_rows_again() {
    let table = log("mycursorcontract", CLOCK);
    table.run();
    table.sql("ALTER TABLE t ADD extra int DEFAULT 5");
    assert_eq!(table.run(), 3, "the rows have the default without having been written");
    assert_eq!(table.run(), 0);
    assert_eq!(table.lines("SELECT count(*) FROM lake WHERE extra = 5"), "3");
    let merged = table.in_mode("incremental_update");
    assert_eq!(merged.run(), 3);
    assert_eq!(
        merged.lines("SELECT count(*) FROM lake"),
        "3",
        "a log becomes a table with each key once"
    );
    let merged = merged.with("primary_key: [id]\ncursor_field: extra");
    assert_eq!(merged.run(), 3, "another cursor");
    merged.sql("UPDATE t SET extra = 6 WHERE id = 2");
    assert_eq!(merged.run(), 1);
}

#[test]
fn another_server_is_refused_until_a_person_has_looked() {
    let table = Followed::new("mycursorother", "incremental_update", CLOCK);
    table.run();
    let server = Box::leak(Box::new(MysqlServer::start_with(&["server-id=7"])));
    let other = server.database(table.case.database.name());
    server.database("mysql").sql(&format!("CREATE DATABASE `{}`", other.name()));
    other.sql(CLOCK);
    let run = |command: &str, code: i32| {
        let step = table.command(command).env(&table.case.source_variable(), other.url());
        table.case.finish(step).expect_code(code)
    };
    expect_told(&run("run", 2), &["is not the one", "reset"]);
    run("reset", 0);
    run("run", 0);
    assert_eq!(table.lines("SELECT count(*) FROM lake"), "3");
}

#[test]
fn rows_from_a_value_on_are_read_and_then_what_changes() {
    let script = "CREATE TABLE t (id int PRIMARY KEY, at datetime(6), note text);
         INSERT INTO t SELECT seq, '2026-01-01' + INTERVAL seq HOUR, 'old' FROM seq_1_to_100;
         INSERT INTO t VALUES (200, NULL, 'without a value');";
    let table = log("myhandover", script).set("OL_INCREMENTAL__LOOKBACK_SECONDS", "3600");
    let done = table.run_with(&["--from", "t=2026-01-04T18:00:00Z"], 0);
    assert_eq!(done["rows"], 13, "rows 89 to 100, and the one without a value: {done:#}");
    table.sql("UPDATE t SET note = 'new', at = NOW(6) WHERE id = 5; INSERT INTO t VALUES (101, NOW(6), 'new');");
    assert_eq!(table.run(), 2);
    assert_eq!(table.run(), 0);
    let refused = table.run_with(&["--from", "t=2026-01-04"], 3);
    assert!(refused["advice"].as_str().unwrap().contains("reset"), "{refused:#}");
    let table = log("myhandoverwrong", script);
    for wrong in ["yesterday evening", "2026-02-31", "2026-01-04T18:00:00+05:00"] {
        let refused = table.run_with(&["--from", &format!("t={wrong}")], 3);
        assert!(refused["advice"].as_str().unwrap().contains("--from"), "{refused:#}");
    }
    let full = table.method("full").in_mode("full_refresh_overwrite");
    let refused = full.run_with(&["--from", "t=2026-01-04"], 3);
    assert!(refused["advice"].as_str().unwrap().contains("cursor"), "{refused:#}");
}

#[test]
fn transaction_numbers_are_not_to_be_had() {
    let table = log("mycursorxmin", CLOCK).method("xmin");
    let refused = table.case.finish(table.command("run")).expect_code(3);
    expect_told(&refused, &["replication_method", "mysql", "cursor_field"]);
}
