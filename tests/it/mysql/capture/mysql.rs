//! What the log of MySQL has and that of MariaDB has not: changes of parts of a JSON value, transactions that are compressed
//! whole, ids with tags, no ids at all; and the place of a copy, which MySQL does not tell.

use std::thread;
use std::time::Duration;

use ol_testkit::{MysqlServer, Software};

use super::Follow;
use crate::common::expect_told;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1), (2, 2); CREATE TABLE log LIKE t";
const MODES: &[(&str, &str)] = &[("t", "incremental_update"), ("log", "incremental_append")];
/// The server then knows transactions by their places alone.
const NO_IDS: &[&str] = &["gtid-mode=OFF", "enforce-gtid-consistency=OFF"];

fn server(settings: &[&str]) -> &'static MysqlServer {
    Box::leak(Box::new(MysqlServer::start(Software::MySql, settings)))
}

#[test]
fn parts_of_json_values_are_put_where_they_belong() {
    let server = server(&["binlog-row-value-options=PARTIAL_JSON"]);
    let script = r#"
        CREATE TABLE t (id int PRIMARY KEY, j json, other json, note varchar(20));
        INSERT INTO t VALUES (1, '{"a": [1, 2, {"b": "c"}], "k": "v", "n": null}', '[]', 'x'), (2, '[1, [2, [3]]]', '{}', 'y'),
            (3, CONCAT('{"long": "', REPEAT('é', 40000), '", "z": 1}'), NULL, NULL), (4, NULL, NULL, NULL)"#;
    let follow = Follow::on(server, "mysqlpartial", script, &[("t", "incremental_update")]);
    follow.tick(0);
    for change in [
        r#"UPDATE t SET j = JSON_SET(j, '$.a[2].b', JSON_OBJECT('deep', 1.50)), other = JSON_ARRAY_APPEND(other, '$', id) WHERE id = 1"#,
        r#"UPDATE t SET j = JSON_REMOVE(j, '$.a[0]', '$.n') WHERE id = 1"#,
        r#"UPDATE t SET j = JSON_SET(j, '$.new', 'value', '$.k', TRUE), note = 'z' WHERE id = 1"#,
        r#"UPDATE t SET j = JSON_REPLACE(j, '$[1][1][0]', CAST('2024-02-29' AS date)) WHERE id = 2"#,
        r#"UPDATE t SET j = JSON_ARRAY_INSERT(j, '$[0]', x'00ff') WHERE id = 2"#,
        r#"UPDATE t SET j = JSON_SET(j, '$.z', 2) WHERE id = 3"#,
        r#"UPDATE t SET j = JSON_SET(j, '$.z', NULL), id = 30 WHERE id = 3"#,
        r#"UPDATE t SET j = JSON_SET(COALESCE(j, '{}'), '$."a key"', id), other = JSON_SET(COALESCE(other, '[]'), '$[9]', id)"#,
        r#"UPDATE t SET j = NULL WHERE id = 1; UPDATE t SET j = '[1]' WHERE id = 1; UPDATE t SET j = JSON_SET(j, '$[0]', 2)"#,
    ] {
        follow.case.database.sql(change);
        follow.expect_equal();
    }
}

#[test]
fn compressed_transactions_and_rows_without_names_are_read() {
    let server = server(&["binlog-transaction-compression=ON", "binlog-row-metadata=MINIMAL"]);
    let follow = Follow::on(server, "mysqlpayload", TABLE, MODES);
    follow.tick(0);
    follow.case.database.sql(
        "BEGIN; INSERT INTO t SELECT seq, seq FROM seq_10_to_3000; UPDATE t SET a = a + 1; COMMIT; DELETE FROM t WHERE id % 3 = 0;
         INSERT INTO log SELECT * FROM t",
    );
    follow.tick(0);
    let at_source = follow.case.database.sql("SELECT count(*), sum(a) FROM t");
    for table in ["t", "log"] {
        let query = "SELECT count(*), sum(a)::bigint FROM lake";
        assert_eq!(follow.case.lines(table, query), [at_source.as_str()]);
    }
    // Without names a change of columns is not guessed.
    follow.case.database.sql("UPDATE t SET a = 1 WHERE id = 1; ALTER TABLE t ADD COLUMN b int FIRST; UPDATE t SET b = 2 WHERE id = 1");
    let finished = follow.tick(0);
    assert!(finished.stderr.contains("a table is copied again"), "{}", finished.stderr);
    assert_eq!(follow.case.lines("t", "SELECT a, b FROM lake WHERE id = 1"), ["1\t2"]);
}

#[test]
fn ids_with_tags_are_ids() {
    let follow = Follow::of(Software::MySql, "mysqltags", TABLE, MODES);
    let tagged = |tag: &str, statements: &str| {
        let before = format!("SET gtid_next = 'AUTOMATIC:{tag}'; {statements}");
        follow.case.database.sql(&before);
    };
    tagged("first", "INSERT INTO log VALUES (1, 1)");
    follow.tick(0);
    tagged("first", "INSERT INTO log VALUES (2, 1); UPDATE t SET a = 9 WHERE id = 1");
    tagged("Second_1", "INSERT INTO log VALUES (3, 1); FLUSH BINARY LOGS");
    follow.case.database.sql("INSERT INTO log VALUES (4, 1)");
    follow.tick(0);
    tagged("first", "INSERT INTO log VALUES (5, 1)");
    follow.tick(0);
    let log = follow.case.lines("log", "SELECT _ol_op, id FROM lake ORDER BY _ol_position");
    assert_eq!(log, ["r\t1", "i\t2", "i\t3", "i\t4", "i\t5"]);
    assert_eq!(follow.case.lines("t", "SELECT a FROM lake ORDER BY id"), ["9", "2"]);
}

#[test]
fn parts_of_a_distributed_transaction_are_refused_by_name() {
    let follow = Follow::of(Software::MySql, "mysqlxa", TABLE, MODES);
    follow.tick(0);
    let parts = "XA START 'one'; INSERT INTO log VALUES (1, 1); XA END 'one'; XA PREPARE 'one'; XA COMMIT 'one'";
    follow.case.database.sql(parts);
    follow.case.database.sql("UPDATE t SET a = 7");
    expect_told(&follow.tick(2), &["distributed transaction (XA)", "ol-ingest reset"]);
    // The other table goes on.
    assert_eq!(follow.case.lines("t", "SELECT DISTINCT a FROM lake"), ["7"]);
    let reset = follow.case.command("reset").args(["--table", &follow.case.raw_table("log")]);
    follow.case.finish(reset).expect_code(0);
    follow.tick(0);
    assert_eq!(follow.case.lines("log", "SELECT id FROM lake"), ["1"]);
}

/// An account that may follow the log, and what else a statement grants.
fn limited(follow: &mut Follow, grant: &str) {
    let database = &follow.case.database;
    let (name, user) = (database.name(), "limited");
    database.sql(&format!(
        "CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY 'pw'; GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{user}'@'%';
         GRANT SELECT{grant} ON `{name}`.* TO '{user}'@'%'"
    ));
    let url = database.url_as(user, "pw");
    follow.settings.push((follow.case.source_variable(), url));
}

#[test]
fn without_ids_the_place_of_a_copy_is_proven_by_a_lock_or_not_at_all() {
    let server = server(NO_IDS);
    let mut follow = Follow::on(server, "mysqlnoids", TABLE, MODES);
    limited(&mut follow, "");
    expect_told(&follow.tick(2), &["where in the log a copy would begin", "GRANT LOCK TABLES"]);
    limited(&mut follow, ", LOCK TABLES");
    follow.tick(0);
    follow.case.database.sql("UPDATE t SET a = 5; INSERT INTO log VALUES (1, 1); FLUSH BINARY LOGS; DELETE FROM t WHERE id = 2");
    follow.tick(0);
    assert_eq!(follow.case.lines("t", "SELECT id, a FROM lake"), ["1\t5"]);
    assert_eq!(follow.case.lines("log", "SELECT _ol_op, id FROM lake"), ["i\t1"]);
}

/// A transaction that is in the log, where the log's end is behind it, and not yet in the engine, where no copy sees it: it waits for
/// a replica to answer, and none does. It must not be lost between the two.
#[track_caller]
fn expect_no_loss(deployment: &'static str, settings: &[&str], grant: Option<&str>) {
    let server = server(settings);
    let mut follow = Follow::on(server, deployment, TABLE, MODES);
    if let Some(grant) = grant {
        limited(&mut follow, grant);
    }
    server.database("mysql").sql(
        "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'; SET GLOBAL rpl_semi_sync_source_timeout = 4000;
         SET GLOBAL rpl_semi_sync_source_enabled = ON",
    );
    let writer = server.database(follow.case.database.name());
    let waiting = thread::spawn(move || {
        writer.sql(
            "BEGIN; UPDATE t SET a = 100 WHERE id = 1; INSERT INTO log VALUES (100, 1); COMMIT",
        )
    });
    let in_log =
        "SELECT COUNT(*) FROM performance_schema.processlist WHERE STATE LIKE '%semi-sync ACK%'";
    let started = std::time::Instant::now();
    while server.database("mysql").sql(in_log) != "1" {
        assert!(started.elapsed() < Duration::from_secs(3), "the transaction does not wait");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(follow.case.database.sql("SELECT COUNT(*) FROM log"), "0");
    let step = follow.until_caught_up().env("OL_INGEST__ATTEMPTS", "20");
    follow.case.finish(step).expect_code(0);
    waiting.join().unwrap();
    assert_eq!(follow.case.lines("t", "SELECT a FROM lake ORDER BY id"), ["100", "2"]);
    assert_eq!(follow.case.lines("log", "SELECT id FROM lake"), ["100"]);
}

#[test]
fn a_transaction_between_the_log_and_the_engine_is_waited_for() {
    expect_no_loss("mysqlbetween", &[], Some(""));
}

#[test]
fn a_lock_waits_for_a_transaction_between_the_log_and_the_engine() {
    expect_no_loss("mysqlbetweenlock", NO_IDS, None);
    expect_no_loss("mysqlbetweentables", NO_IDS, Some(", LOCK TABLES"));
}
