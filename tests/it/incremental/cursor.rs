//! `cursor`: a row that is committed late is never skipped, one that has not changed is not sent twice, and the search
//! is narrowed by the column.

use ol_testkit::Session;

use super::{Followed, say};
use crate::common::expect_told;

/// A table whose cursor is a clock, with an index that runs can use.
const CLOCK: &str =
    "CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), note text);
     CREATE INDEX ON t (at); INSERT INTO t (id) SELECT generate_series(1, 3);";
/// The same with a sequence.
const SEQUENCE: &str = "CREATE SEQUENCE s; CREATE TABLE t (id int PRIMARY KEY, at bigint DEFAULT nextval('s'), note text);
     CREATE INDEX ON t (at); INSERT INTO t (id) SELECT generate_series(1, 3);";

/// Without a margin, so that only the bound protects.
fn exact(deployment: &'static str, script: &str) -> Followed {
    Followed::new(deployment, "cursor", "incremental_append", script)
        .set("OL_INCREMENTAL__LOOKBACK_SECONDS", "0")
}

/// Two runs with a change each settle the first value.
fn settle(table: &Followed, first: i32) {
    for id in first..first + 3 {
        table.sql(&format!("INSERT INTO t (id) VALUES ({id})"));
        assert_eq!(table.run(), 1);
    }
    let status = table.case.finish(table.command("status")).json();
    let from = &status["tables"][0]["follows"]["searched_from"];
    assert!(from.is_string(), "no value has settled: {status:#}");
}

fn insert(session: &mut Session, id: i32) {
    say(session, &format!("INSERT INTO t (id) VALUES ({id});"));
}

/// The one that takes the lower value commits first or last; a run in between, and one after.
fn overlap(deployment: &'static str, script: &str, lower_commits_first: bool) {
    let table = exact(deployment, script);
    table.run();
    settle(&table, 10);
    let (mut lower, mut higher) = (table.session(), table.session());
    say(&mut lower, "BEGIN;");
    say(&mut higher, "BEGIN;");
    insert(&mut lower, 100);
    say(&mut lower, "SAVEPOINT a;");
    insert(&mut lower, 101);
    insert(&mut higher, 102);
    say(&mut higher, "SAVEPOINT b;");
    insert(&mut higher, 103);
    say(&mut higher, "SAVEPOINT c;");
    insert(&mut higher, 104);
    say(&mut higher, "ROLLBACK TO c;");
    let (first, last) =
        if lower_commits_first { (&mut lower, &mut higher) } else { (&mut higher, &mut lower) };
    say(first, "COMMIT;");
    assert_eq!(table.run(), 2, "the first commit");
    table.sql("INSERT INTO t (id) VALUES (110)");
    assert_eq!(table.run(), 1, "a commit beside");
    say(last, "COMMIT;");
    assert_eq!(table.run(), 2, "the commit that came late");
    table.sql("INSERT INTO t (id) VALUES (111)");
    assert_eq!(table.run(), 1);
    assert_eq!(table.run(), 0);
    assert_eq!(
        table.lines("SELECT id FROM lake ORDER BY id"),
        table.sql("SELECT id FROM t ORDER BY id")
    );
}

#[test]
fn the_lower_value_commits_last() {
    overlap("cursorlate", CLOCK, false);
    overlap("cursorlateseq", SEQUENCE, false);
}

#[test]
fn the_lower_value_commits_first() {
    overlap("cursorearly", CLOCK, true);
    overlap("cursorearlyseq", SEQUENCE, true);
}

#[test]
fn a_transaction_that_took_its_value_long_before_it_wrote_is_not_skipped() {
    // now() is the moment a transaction began; it has no transaction id yet, only a virtual one.
    let table = exact("cursorlongreader", CLOCK);
    table.run();
    settle(&table, 10);
    let mut reader = table.session();
    say(&mut reader, "BEGIN; SELECT now(), count(*) FROM t;");
    for id in 20..26 {
        table.sql(&format!("INSERT INTO t (id) VALUES ({id})"));
        assert_eq!(table.run(), 1);
    }
    say(&mut reader, "INSERT INTO t (id, at) VALUES (200, now()); COMMIT;");
    assert_eq!(table.run(), 1, "the row with the value of long ago");
    assert_eq!(table.run(), 0);
    assert_eq!(
        table.lines("SELECT id FROM lake ORDER BY id"),
        table.sql("SELECT id FROM t ORDER BY id")
    );
}

#[test]
fn a_transaction_that_is_prepared_in_between_is_not_skipped() {
    let server = ol_testkit::PostgresServer::start_with(&["max_prepared_transactions=5"]);
    let server = Box::leak(Box::new(server));
    let table = Followed::on(server, "cursorprepared", "cursor", "incremental_append", CLOCK)
        .set("OL_INCREMENTAL__LOOKBACK_SECONDS", "0");
    table.run();
    settle(&table, 10);
    let mut session = table.session();
    say(&mut session, "BEGIN; INSERT INTO t (id) VALUES (100);");
    table.sql("INSERT INTO t (id) VALUES (20)");
    assert_eq!(table.run(), 1);
    say(&mut session, "PREPARE TRANSACTION 'late';");
    for id in 21..25 {
        table.sql(&format!("INSERT INTO t (id) VALUES ({id})"));
        assert_eq!(table.run(), 1);
    }
    say(&mut session, "COMMIT PREPARED 'late';");
    assert_eq!(table.run(), 1);
    assert_eq!(
        table.lines("SELECT id FROM lake ORDER BY id"),
        table.sql("SELECT id FROM t ORDER BY id")
    );
}

#[test]
fn ties_nulls_and_microseconds_are_kept() {
    let table = exact("cursorties", CLOCK);
    table.run();
    settle(&table, 10);
    table.sql(
        "INSERT INTO t VALUES (20, '2100-01-01 00:00:00.000001+00'), (21, NULL), (22, 'infinity')",
    );
    assert_eq!(table.run(), 3);
    table.sql("INSERT INTO t VALUES (23, NULL), (24, now()), (25, now()); UPDATE t SET note = 'again' WHERE id = 21;");
    assert_eq!(table.run(), 4, "a value of the future or without end is no watermark");
    table.sql("INSERT INTO t SELECT 26, max(at) FROM t WHERE at < now()");
    assert_eq!(table.run(), 1, "a tie with the highest value");
    assert_eq!(table.run(), 0);
    let micro = "SELECT epoch_us(\"at\") % 1000000 FROM lake WHERE id = 20";
    assert_eq!(table.lines(micro), "1");
}

#[test]
fn the_search_is_narrowed_to_what_the_column_says() {
    // What the bound leaves out is not looked at: a back-dated row is the documented limit, and shows the bound.
    let table = exact("cursornarrow", CLOCK);
    table.run();
    settle(&table, 10);
    table.sql("INSERT INTO t VALUES (50, '1999-12-31 00:00:00+00')");
    assert_eq!(table.run(), 0);
    // The lookback reaches it, and sends nothing else again.
    let table = table.set("OL_INCREMENTAL__LOOKBACK_SECONDS", "3000000000");
    assert_eq!(table.run(), 1);
    assert_eq!(table.lines("SELECT count(*) FROM lake GROUP BY id HAVING count(*) > 1"), "");
}

#[test]
fn every_usable_type_follows_and_the_others_are_refused_with_advice() {
    let types = [
        ("smallint", "2", "3"),
        ("integer", "2", "3"),
        ("bigint", "9007199254740993", "9007199254740994"),
        ("numeric", "1.0000000000000000000001", "1.0000000000000000000002"),
        ("date", "'2020-02-28'", "'2020-02-29'"),
        ("timestamp", "'2020-02-28 00:00:00.000001'", "'2020-02-28 00:00:00.000002'"),
        ("timestamptz", "'2020-02-28 00:00:00.000001+05'", "'2020-02-28 00:00:00.000002+05'"),
        ("text", "'01H \\ it''s'", "'01J'"),
        ("varchar(40)", "'01H'", "'01J'"),
        (
            "uuid",
            "'018f0000-0000-7000-8000-000000000000'",
            "'018f0000-0000-7000-8000-000000000001'",
        ),
        ("positive", "2", "3"),
    ];
    for (index, (name, first, second)) in types.into_iter().enumerate() {
        let deployment: &'static str = format!("cursortype{index}").leak();
        let table = exact(
            deployment,
            &format!(
                "CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);
                 CREATE TABLE t (id int PRIMARY KEY, at {name}); INSERT INTO t VALUES (1, {first});"
            ),
        );
        assert_eq!(table.run(), 1, "{name}");
        for (id, sent) in [(2, 1), (3, 1), (4, 1)] {
            table.sql(&format!("INSERT INTO t VALUES ({id}, {second})"));
            assert_eq!(table.run(), sent, "{name}");
        }
        assert_eq!(table.run(), 0, "{name}");
        let status = table.case.finish(table.command("status")).json();
        let from = status["tables"][0]["follows"]["searched_from"].as_str().unwrap().to_owned();
        let kind = if name == "positive" { "bigint" } else { name };
        let quoted = from.replace('\'', "''");
        assert_eq!(
            table.sql(&format!("SELECT E'{}'::{kind} = {second}", quoted.replace('\\', "\\\\"))),
            "t",
            "{name}"
        );
    }
    for (name, why) in
        [("jsonb", "jsonb"), ("boolean", "boolean"), ("double precision", "double precision")]
    {
        let deployment: &'static str = format!("cursorrefused{}", name.len()).leak();
        let table = exact(deployment, &format!("CREATE TABLE t (id int PRIMARY KEY, at {name})"));
        let refused = table.case.finish(table.command("run")).expect_code(2);
        expect_told(&refused, &["cursor", why, "xmin"]);
    }
    let table = exact("cursormissing", "CREATE TABLE t (id int PRIMARY KEY)");
    let refused = table.case.finish(table.command("run")).expect_code(2);
    expect_told(&refused, &["no such column", "xmin"]);
}
