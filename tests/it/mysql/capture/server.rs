//! What a server must be for its log to be followed, and what happens when it is another one, or has forgotten.

use std::sync::OnceLock;

use ol_testkit::{Finished, MysqlServer, Software, Stop};

use super::Follow;
use crate::common::expect_told;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1), (2, 2); CREATE TABLE log LIKE t";
const MODES: &[(&str, &str)] = &[("t", "incremental_update"), ("log", "incremental_append")];

/// Has a server forget all files of its log but the last. It keeps those that somebody still reads, and a reader that has gone
/// is noticed with the next heartbeat.
pub(super) fn purge(follow: &Follow) {
    let database = &follow.case.database;
    let started = std::time::Instant::now();
    loop {
        let files = database.sql("SHOW BINARY LOGS");
        if files.lines().count() == 1 {
            return;
        }
        assert!(started.elapsed() < crate::common::PATIENCE, "the log is not purged: {files}");
        let last = files.lines().last().and_then(|line| line.split('\t').next()).unwrap();
        database.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn own_server(software: Software, settings: &[&str]) -> &'static MysqlServer {
    Box::leak(Box::new(MysqlServer::start(software, settings)))
}

on_both!(
    a_log_that_was_purged_is_told_and_a_reset_copies_again,
    a_server_that_restarts_is_followed_on,
    another_server_of_the_group_is_followed_by_transaction_ids,
    an_account_without_the_right_is_told_the_grant,
    an_idle_unit_records_its_place_so_that_the_log_may_go,
);

#[track_caller]
fn expect_refused(follow: &Follow, wanted: &[&str]) -> Finished {
    let finished = follow.tick(2);
    expect_told(&finished, wanted);
    finished
}

#[test]
fn a_server_that_logs_no_whole_rows_is_refused_with_the_cure() {
    for (deployment, settings, wanted) in [
        ("mysqlnolog", &["skip-log-bin"][..], ["writes no binary log", "log_bin"]),
        ("mysqlstmt", &["binlog-format=STATEMENT"], ["does not log rows", "binlog_format = 'ROW'"]),
        ("mysqlmixed", &["binlog-format=MIXED"], ["does not log rows", "binlog_format = 'ROW'"]),
        (
            "mysqlminimal",
            &["binlog-row-image=MINIMAL"],
            ["does not log whole rows", "binlog_row_image = 'FULL'"],
        ),
    ] {
        let follow = Follow::on(own_server(Software::MariaDb, settings), deployment, TABLE, MODES);
        expect_refused(&follow, &wanted);
    }
}

#[test]
fn a_server_that_leaves_the_database_out_of_its_log_is_refused() {
    let server = own_server(Software::MariaDb, &["binlog-ignore-db=mysqlignored_0"]);
    let follow = Follow::on(server, "mysqlignored", TABLE, MODES);
    expect_refused(&follow, &["leaves the database mysqlignored_0 out", "binlog_ignore_db"]);
}

fn an_account_without_the_right_is_told_the_grant(software: Software) {
    let mut follow = Follow::of(software, "mysqlrights", TABLE, MODES);
    let database = &follow.case.database;
    let name = database.name();
    let grants = [
        "",
        "GRANT REPLICATION CLIENT ON *.* TO 'mysqlrights_user'@'%'",
        "GRANT REPLICATION SLAVE ON *.* TO 'mysqlrights_user'@'%'",
    ];
    database.sql(&format!(
        "CREATE USER 'mysqlrights_user'@'%' IDENTIFIED BY 'pw'; GRANT SELECT ON `{name}`.* TO 'mysqlrights_user'@'%'"
    ));
    let url = database.url_as("mysqlrights_user", "pw");
    follow.settings.push((follow.case.source_variable(), url));
    for (number, grant) in grants.iter().enumerate() {
        follow.case.database.sql(grant);
        if number < 2 {
            expect_refused(
                &follow,
                &["may not read the server's log", "GRANT REPLICATION SLAVE, REPLICATION CLIENT"],
            );
        }
    }
    // SELECT and these two are all that is needed.
    follow.tick(0);
}

#[test]
fn two_processes_do_not_follow_one_unit() {
    let follow = Follow::new("mysqltwice", TABLE, MODES);
    follow.tick(0);
    let mut running = follow.stream().start();
    follow.case.database.sql("INSERT INTO log VALUES (1, 1)");
    let arrived = || follow.case.lines("log", "SELECT id FROM lake") == ["1"];
    assert!(running.wait_until(crate::common::PATIENCE, arrived), "{}", running.told());
    expect_told(&follow.tick(1), &["in use"]);
    running.signal("TERM");
    let finished = running.wait();
    assert_eq!(finished.code(), 75, "{}", finished.stderr);
}

fn a_log_that_was_purged_is_told_and_a_reset_copies_again(software: Software) {
    let server = own_server(software, &[]);
    let follow = Follow::on(server, "mysqlpurged", TABLE, MODES);
    follow.tick(0);
    follow.case.database.sql(
        "UPDATE t SET a = 5; INSERT INTO log VALUES (1, 1); FLUSH BINARY LOGS; FLUSH BINARY LOGS",
    );
    purge(&follow);
    let finished = expect_refused(
        &follow,
        &["lacks changes that the source no longer has", "ol-ingest reset"],
    );
    assert!(
        finished.stdout.contains("ChangesMissed") || finished.stdout.contains("no longer has"),
        "{}",
        finished.stdout
    );
    assert!(follow.phase("t").starts_with("blocked since"), "{}", follow.phase("t"));
    follow.case.finish(follow.case.command("reset")).expect_code(0);
    follow.tick(0);
    assert_eq!(follow.case.lines("t", "SELECT id, a FROM lake ORDER BY id"), ["1\t5", "2\t5"]);
    assert_eq!(follow.phase("t"), "streaming");
    // A log that was begun anew is not the one that was followed.
    follow.case.database.server().forget_log();
    expect_refused(&follow, &["not the server that was followed"]);
}

fn a_server_that_restarts_is_followed_on(software: Software) {
    let server = own_server(software, &["innodb-flush-log-at-trx-commit=1", "sync-binlog=1"]);
    let follow = Follow::on(server, "mysqlrestart", TABLE, MODES);
    follow.tick(0);
    let mut running = follow.stream().env("OL_INGEST__ATTEMPTS", "50").start();
    for (number, how) in [Stop::Fast, Stop::Immediate].into_iter().enumerate() {
        follow
            .case
            .database
            .sql(&format!("UPDATE t SET a = {number}; INSERT INTO log VALUES ({number}, 1)"));
        server.restart(how);
        follow.case.database.sql(&format!("UPDATE t SET a = {number} + 10 WHERE id = 2"));
    }
    let arrived = || {
        let log = follow.case.lines("log", "SELECT id FROM lake ORDER BY _ol_position");
        log == ["0", "1"] && follow.case.lines("t", "SELECT a FROM lake ORDER BY id") == ["1", "11"]
    };
    assert!(running.wait_until(crate::common::PATIENCE, arrived), "{}", running.told());
    running.signal("TERM");
    assert_eq!(running.wait().code(), 75);
}

/// A server, and another one that repeats what it commits.
fn pair(software: Software) -> (&'static MysqlServer, &'static MysqlServer) {
    static PAIRS: [OnceLock<(MysqlServer, MysqlServer)>; 2] = [OnceLock::new(), OnceLock::new()];
    let (first, second) = PAIRS[usize::from(software == Software::MySql)].get_or_init(|| {
        let first = MysqlServer::start(software, &["server-id=11"]);
        let second = MysqlServer::start(software, &["server-id=12", "loose-log-slave-updates=ON"]);
        second.repeat(&first);
        (first, second)
    });
    (first, second)
}

fn another_server_of_the_group_is_followed_by_transaction_ids(software: Software) {
    let (first, second) = pair(software);
    let mut follow = Follow::on(first, "mysqlfailover", TABLE, MODES);
    follow.case.database.sql("INSERT INTO log VALUES (1, 1)");
    follow.tick(0);
    follow
        .case
        .database
        .sql("INSERT INTO log VALUES (2, 1); UPDATE t SET a = 7 WHERE id = 1; FLUSH BINARY LOGS");
    follow.tick(0);
    let tagged = if software == Software::MySql { "SET gtid_next = 'AUTOMATIC:tag';" } else { "" };
    let change = "INSERT INTO log VALUES (3, 1); DELETE FROM t WHERE id = 2";
    follow.case.database.sql(&format!("{tagged} {change}"));
    let name = follow.case.database.name().to_owned();
    let other = second.database(&name);
    second.take_over(first);
    follow.settings.push((follow.case.source_variable(), other.url()));
    other.sql("INSERT INTO log VALUES (4, 1); INSERT INTO t VALUES (9, 9)");
    let finished = follow.tick(0);
    assert!(finished.stderr.contains("another server is followed"), "{}", finished.stderr);
    let expect = |log: &[&str]| {
        let query = "SELECT _ol_op, id FROM lake ORDER BY _ol_position";
        assert_eq!(follow.case.lines("log", query), log);
        let at_source = other.sql("SELECT id, a FROM t ORDER BY id");
        assert_eq!(
            follow.case.lines("t", "SELECT id, a FROM lake ORDER BY id").join("\n"),
            at_source
        );
    };
    expect(&["r\t1", "i\t2", "i\t3", "i\t4"]);
    other.sql("INSERT INTO log VALUES (5, 1); UPDATE t SET a = 3");
    follow.tick(0);
    expect(&["r\t1", "i\t2", "i\t3", "i\t4", "i\t5"]);
}

#[test]
fn a_server_that_has_not_come_so_far_is_waited_for() {
    let (first, _) = pair(Software::MariaDb);
    let mut follow = Follow::on(first, "mysqlbehind", TABLE, MODES);
    follow.tick(0);
    let alone = own_server(Software::MariaDb, &["server-id=13"]);
    let name = follow.case.database.name().to_owned();
    let made = format!("CREATE DATABASE `{name}`; USE `{name}`; {TABLE}");
    alone.database("mysql").sql(&made);
    follow.settings.push((follow.case.source_variable(), alone.database(&name).url()));
    let finished = follow.tick(1);
    expect_told(&finished, &["is behind what the lake has"]);
}

#[test]
fn compressed_events_and_rows_without_names_are_read() {
    let server = own_server(
        Software::MariaDb,
        &["log-bin-compress=ON", "log-bin-compress-min-len=10", "binlog-row-metadata=NO_LOG"],
    );
    let follow = Follow::on(server, "mysqlcompressed", TABLE, MODES);
    follow.tick(0);
    follow.case.database.sql(
        "INSERT INTO t SELECT seq, seq FROM seq_10_to_3000; UPDATE t SET a = a + 1; DELETE FROM t WHERE id % 3 = 0;
         INSERT INTO log SELECT * FROM t",
    );
    follow.tick(0);
    let query = "SELECT count(*), sum(a)::bigint FROM lake";
    let at_source = follow.case.database.sql("SELECT count(*), sum(a) FROM t");
    assert_eq!(follow.case.lines("t", query), [at_source.as_str()]);
    assert_eq!(follow.case.lines("log", query), [at_source.as_str()]);
    // Without names a change of columns is not guessed.
    follow.case.database.sql("UPDATE t SET a = 1 WHERE id = 1; ALTER TABLE t ADD COLUMN b int FIRST; UPDATE t SET b = 2 WHERE id = 1");
    let finished = follow.tick(0);
    assert!(finished.stderr.contains("a table is copied again"), "{}", finished.stderr);
    assert_eq!(follow.case.lines("t", "SELECT a, b FROM lake WHERE id = 1"), ["1\t2"]);
}

fn an_idle_unit_records_its_place_so_that_the_log_may_go(software: Software) {
    let server = own_server(software, &[]);
    let follow =
        Follow::on(server, "mysqlidle", &format!("{TABLE}; CREATE TABLE noise (a int)"), MODES);
    follow.tick(0);
    for _ in 0..3 {
        follow.case.database.sql("INSERT INTO noise VALUES (1); FLUSH BINARY LOGS");
        follow.tick(0);
    }
    purge(&follow);
    follow.case.database.sql("UPDATE t SET a = 4");
    follow.tick(0);
    assert_eq!(follow.case.lines("t", "SELECT DISTINCT a FROM lake"), ["4"]);
}
