//! `xmin`: rows of transactions that were running at the moment of a snapshot come with the next run, once.

use ol_testkit::PostgresServer;

use super::{Followed, say};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');";

#[test]
fn only_what_changed_is_sent_and_a_run_without_changes_writes_nothing() {
    let table = Followed::new("xminplain", "xmin", "incremental_append", TABLE);
    assert_eq!(table.run(), 3);
    let snapshot = table.run_with(&[], 0)["snapshot_id"].clone();
    table.sql("UPDATE t SET note = 'B' WHERE id = 2; INSERT INTO t VALUES (4, 'd'); DELETE FROM t WHERE id = 3;");
    let done = table.run_with(&[], 0);
    assert_eq!(done["rows"], 2);
    assert_ne!(done["snapshot_id"], snapshot);
    let unchanged = table.run_with(&[], 0);
    assert_eq!((&unchanged["rows"], &unchanged["snapshot_id"]), (&0.into(), &done["snapshot_id"]));
    assert_eq!(table.ids(), "1 2 3 2 4");
    let ops = table.lines("SELECT DISTINCT _ol_op, _ol_committed_at IS NULL FROM lake");
    assert_eq!(ops, "r\tTrue");
    let latest =
        table.lines("SELECT note FROM lake WHERE id = 2 ORDER BY _ol_position DESC LIMIT 1");
    assert_eq!(latest, "B");
}

/// Rows of a transaction that runs at the moment of the snapshot, most of them in savepoints; beside it another commits.
fn in_flight(deployment: &'static str, savepoints: u32) {
    let table = Followed::new(deployment, "xmin", "incremental_append", TABLE);
    let mut running = table.session();
    say(&mut running, "BEGIN; INSERT INTO t VALUES (100, 'top');");
    for number in 1..=savepoints {
        say(
            &mut running,
            &format!(
                "SAVEPOINT kept; INSERT INTO t VALUES ({}, 'kept'); RELEASE kept;
                 SAVEPOINT undone; INSERT INTO t VALUES ({}, 'undone'); ROLLBACK TO undone;",
                100 + number,
                1_000 + number
            ),
        );
    }
    say(&mut running, "SAVEPOINT open; INSERT INTO t VALUES (99, 'in an open savepoint');");
    table.sql("INSERT INTO t VALUES (4, 'beside')");
    // The server's own test takes a running subtransaction for a visible one; ours must not.
    let wrong = running
        .value(
            "SELECT pg_visible_in_snapshot((SELECT max(xmin::text::int8) FROM t)::text::xid8, \
             (pg_current_xact_id()::text || ':' || pg_snapshot_xmax(pg_current_snapshot())::text || ':' || \
              pg_current_xact_id()::text)::pg_snapshot)",
        )
        .unwrap();
    assert_eq!(wrong, "t", "the premise of this test does not hold on this server");
    assert_eq!(table.run(), 4);
    assert_eq!(table.run(), 0);
    table.sql("INSERT INTO t VALUES (5, 'beside')");
    assert_eq!(
        table.run(),
        1,
        "what another transaction commits is sent once while one is running"
    );
    say(&mut running, "COMMIT;");
    table.sql("INSERT INTO t VALUES (6, 'after')");
    assert_eq!(table.run(), u64::from(savepoints) + 3);
    assert_eq!(table.run(), 0);
    let twice = table.lines("SELECT id FROM lake GROUP BY id HAVING count(*) > 1");
    assert_eq!(twice, "", "rows were sent twice");
    let ids = "SELECT id FROM lake ORDER BY id";
    assert_eq!(table.lines(ids), table.sql("SELECT id FROM t ORDER BY id"));
}

#[test]
fn savepoints_in_flight_at_the_moment_of_a_snapshot_are_not_lost() {
    in_flight("xminsavepoints", 3);
}

#[test]
fn more_savepoints_than_a_server_process_remembers_are_not_lost() {
    // A process publishes at most 64 ids of subtransactions.
    in_flight("xminoverflow", 150);
}

#[test]
fn a_prepared_transaction_is_sent_when_it_commits() {
    let server = Box::leak(Box::new(PostgresServer::start_with(&["max_prepared_transactions=5"])));
    let table = Followed::on(server, "xminprepared", "xmin", "incremental_append", TABLE);
    table.sql("BEGIN; INSERT INTO t VALUES (10, 'prepared'); PREPARE TRANSACTION 'one';");
    assert_eq!(table.run(), 3);
    table.sql("INSERT INTO t VALUES (4, 'beside')");
    assert_eq!(table.run(), 1);
    table.sql("COMMIT PREPARED 'one'");
    assert_eq!(table.run(), 1);
    assert_eq!(table.ids(), "1 2 3 4 10");
}

#[test]
fn row_locks_and_rolled_back_changes_are_no_changes() {
    let table = Followed::new("xminlocks", "xmin", "incremental_append", TABLE);
    table.run();
    let mut one = table.session();
    let mut other = table.session();
    say(&mut one, "BEGIN; SELECT * FROM t FOR SHARE;");
    say(&mut other, "BEGIN; SELECT * FROM t FOR KEY SHARE;");
    assert_eq!(table.run(), 0);
    say(&mut one, "COMMIT;");
    say(&mut other, "COMMIT;");
    table.sql("BEGIN; UPDATE t SET note = 'never'; ROLLBACK;");
    assert_eq!(table.run(), 0);
}

#[test]
fn a_column_with_a_default_is_read_for_all_rows_and_one_without_is_not() {
    let table = Followed::new("xminadded", "xmin", "incremental_append", TABLE);
    table.run();
    table.sql("ALTER TABLE t ADD empty text");
    assert_eq!(table.run(), 0, "existing rows have nothing in it");
    table.sql("ALTER TABLE t ADD filled int DEFAULT 7; INSERT INTO t VALUES (4, 'd', NULL, 8);");
    assert_eq!(table.run(), 4, "existing rows have a value without having been written");
    assert_eq!(table.run(), 0);
    let latest = "SELECT DISTINCT ON (id) id, filled FROM lake ORDER BY id, _ol_position DESC";
    assert_eq!(table.lines(latest), table.sql("SELECT id, filled FROM t ORDER BY id"));
}

#[test]
fn a_partition_that_joins_with_old_rows_is_read_whole() {
    let table = Followed::new(
        "xminparts",
        "xmin",
        "incremental_append",
        "CREATE TABLE t (id int, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
         CREATE TABLE t2 (LIKE t INCLUDING ALL); INSERT INTO t2 VALUES (11, 'waiting');
         INSERT INTO t VALUES (1, 'a');",
    );
    assert_eq!(table.run(), 1);
    table.sql("ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (10) TO (20); INSERT INTO t VALUES (2, 'b');");
    assert_eq!(table.run(), 2);
    assert_eq!(table.run(), 0);
    assert_eq!(table.ids(), "1 2 11");
}

#[test]
fn a_table_that_takes_the_name_of_another_is_read_whole() {
    let table = Followed::new("xminswapped", "xmin", "incremental_append", TABLE);
    table.sql("CREATE TABLE other (id int PRIMARY KEY, note text); INSERT INTO other VALUES (7, 'older than the run');");
    table.run();
    table.sql("ALTER TABLE t RENAME TO gone; ALTER TABLE other RENAME TO t;");
    assert_eq!(table.run(), 1);
    assert_eq!(table.ids(), "1 2 3 7");
}
