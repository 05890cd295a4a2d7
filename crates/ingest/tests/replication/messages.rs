//! Every kind of message, as a server sends it.

use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;
use ol_ingest::source::postgres::error::SourceError;
use ol_ingest::source::postgres::replication::message::Message;
use ol_ingest::source::postgres::replication::stream::{Event, ReplicationStream};
use ol_ingest::source::postgres::wire::WireError;

use crate::common::{Follower, PATIENCE, cells, database, settings, slot};

#[test]
fn inserts_updates_and_deletes_with_each_replica_identity() {
    let database = database("identity");
    database.psql(
        "CREATE TABLE d (id int PRIMARY KEY, note text); \
         CREATE TABLE f (id int PRIMARY KEY, note text); ALTER TABLE f REPLICA IDENTITY FULL; \
         CREATE TABLE x (id int PRIMARY KEY, code text NOT NULL UNIQUE, note text); \
         ALTER TABLE x REPLICA IDENTITY USING INDEX x_code_key; \
         CREATE TABLE n (id int PRIMARY KEY, note text); ALTER TABLE n REPLICA IDENTITY NOTHING; \
         CREATE PUBLICATION p FOR TABLE d, f, x; CREATE PUBLICATION i FOR TABLE n WITH (publish = 'insert, truncate')",
    );
    let mut follower = Follower::new(&database, "p");
    database.psql(
        "BEGIN; INSERT INTO d VALUES (1, NULL); UPDATE d SET note = 'a' WHERE id = 1; UPDATE d SET id = 2; DELETE FROM d; \
         COMMIT",
    );
    assert_eq!(
        follower.transaction(),
        [
            "= d DEFAULT (id* note)",
            "+ d 1|NULL",
            "~ d 1|a",
            "~ d key(1|NULL) → 2|a",
            "- d key(2|NULL)"
        ]
    );
    database.psql(
        "BEGIN; INSERT INTO f VALUES (1, 'a'); UPDATE f SET note = NULL; UPDATE f SET id = 2; DELETE FROM f; COMMIT",
    );
    assert_eq!(
        follower.transaction(),
        [
            "= f FULL (id* note*)",
            "+ f 1|a",
            "~ f full(1|a) → 1|NULL",
            "~ f full(1|NULL) → 2|NULL",
            "- f full(2|NULL)"
        ]
    );
    database.psql(
        "BEGIN; INSERT INTO x VALUES (1, 'c', 'n'); UPDATE x SET id = 2; UPDATE x SET code = 'e'; DELETE FROM x; COMMIT",
    );
    assert_eq!(
        follower.transaction(),
        [
            "= x USING INDEX (id code* note)",
            "+ x 1|c|n",
            "~ x 2|c|n",
            "~ x key(NULL|c|NULL) → 2|e|n",
            "- x key(NULL|e|NULL)"
        ]
    );
    follower.stream.finish().unwrap();
    let mut inserts = Follower::again(&database, "i", 0);
    database.psql("INSERT INTO n VALUES (1, 'a'); UPDATE n SET note = 'b'; TRUNCATE n");
    assert_eq!(inserts.transaction(), ["= n NOTHING (id note)", "+ n 1|a"]);
    assert_eq!(
        inserts.transaction(),
        ["= n NOTHING (id note)", "0 n cascade=false restart=false"],
        "the update between is not published"
    );
}

#[test]
fn a_truncate_names_all_its_tables_and_ddl_is_followed_by_a_new_relation() {
    let database = database("truncate");
    database.psql(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id serial PRIMARY KEY, a int REFERENCES a); \
         CREATE PUBLICATION p FOR TABLE a, b",
    );
    let mut follower = Follower::new(&database, "p");
    database.psql("INSERT INTO a VALUES (1); TRUNCATE a CASCADE; TRUNCATE a, b RESTART IDENTITY");
    assert_eq!(follower.transaction(), ["= a DEFAULT (id*)", "+ a 1"]);
    let cascade = follower.transaction();
    assert_eq!(cascade.last().unwrap(), "0 a b cascade=true restart=false");
    assert_eq!(follower.transaction().last().unwrap(), "0 a b cascade=false restart=true");
    database.psql(
        "ALTER TABLE a ADD COLUMN note text DEFAULT 'x'; INSERT INTO a VALUES (2); \
         ALTER TABLE a DROP COLUMN note; ALTER TABLE a RENAME TO c; INSERT INTO c VALUES (3)",
    );
    assert_eq!(follower.transaction(), ["= a DEFAULT (id* note)", "+ a 2|x"]);
    assert_eq!(follower.transaction(), ["= c DEFAULT (id*)", "+ c 3"]);
    database.psql(
        "BEGIN; INSERT INTO c VALUES (4); ALTER TABLE c ALTER id TYPE bigint; INSERT INTO c VALUES (5); COMMIT",
    );
    assert_eq!(
        follower.transaction(),
        ["= c DEFAULT (id*)", "+ c 4", "= c DEFAULT (id*)", "+ c 5"],
        "within a transaction, too"
    );
}

#[test]
fn what_is_rolled_back_is_not_streamed_and_the_order_is_that_of_commits() {
    let database = database("order");
    database.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    let mut follower = Follower::new(&database, "p");
    database.psql(
        "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s; INSERT INTO t VALUES (3); \
         COMMIT; BEGIN; INSERT INTO t VALUES (4); ROLLBACK; INSERT INTO t VALUES (5)",
    );
    assert_eq!(follower.transaction(), ["= t DEFAULT (id*)", "+ t 1", "+ t 3"]);
    assert_eq!(follower.transaction(), ["+ t 5"]);
}

#[test]
fn a_value_out_of_line_that_an_update_does_not_touch_is_unchanged_unless_the_old_row_is_full() {
    let database = database("toast");
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, n int, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL; \
         CREATE PUBLICATION p FOR TABLE t",
    );
    let mut follower = Follower::new(&database, "p");
    database.psql("INSERT INTO t VALUES (1, 1, repeat('x', 10000)); UPDATE t SET n = 2");
    assert_eq!(follower.transaction(), ["= t DEFAULT (id* n big)", "+ t 1|1|10000 bytes"]);
    assert_eq!(follower.transaction(), ["~ t 1|2|unchanged"]);
    database.psql("ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET n = 3");
    let mut completed = Vec::new();
    follower.until_commit(|message, _| {
        if let Message::Update { old, new, .. } = message {
            completed.push(cells(new.completed_by(*old)));
        }
    });
    if completed.is_empty() {
        // The transaction of the DDL has no changes, but a server may send it.
        follower.until_commit(|message, _| {
            if let Message::Update { old, new, .. } = message {
                completed.push(cells(new.completed_by(*old)));
            }
        });
    }
    assert_eq!(completed, ["1|3|10000 bytes"]);
}

#[test]
fn partitions_come_under_the_name_of_their_root() {
    let database = database("partitions");
    database.psql(
        "CREATE TABLE root (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); \
         CREATE TABLE y0 PARTITION OF root FOR VALUES FROM ('2000-01-01') TO ('2001-01-01'); \
         CREATE TABLE y1 (note text, day date NOT NULL, id int NOT NULL, PRIMARY KEY (id, day)); \
         ALTER TABLE root ATTACH PARTITION y1 FOR VALUES FROM ('2001-01-01') TO ('2002-01-01'); \
         CREATE PUBLICATION p FOR TABLE root WITH (publish_via_partition_root = true)",
    );
    let mut follower = Follower::new(&database, "p");
    database.psql(
        "BEGIN; INSERT INTO root VALUES (1, '2000-05-05', 'a'), (2, '2001-05-05', 'b'); \
         UPDATE root SET day = '2001-06-06' WHERE id = 1; DELETE FROM root WHERE id = 2; COMMIT; TRUNCATE root",
    );
    // The server tells of the partitions, too, but nothing comes under their names.
    let mut lines = follower.transaction();
    lines.retain(|line| !line.starts_with("= y"));
    lines.dedup();
    assert_eq!(
        lines,
        [
            "= root DEFAULT (id* day* note)",
            "+ root 1|2000-05-05|a",
            "= root DEFAULT (id* day* note)",
            "+ root 2|2001-05-05|b",
            "- root key(1|2000-05-05|NULL)",
            "+ root 1|2001-06-06|a",
            "- root key(2|2001-05-05|NULL)"
        ]
    );
    assert_eq!(follower.transaction().last().unwrap(), "0 root cascade=false restart=false");
    // What a server does not say under the name of the root: that one partition was emptied, or taken away.
    database.psql(
        "INSERT INTO root VALUES (3, '2000-01-01', 'a'), (4, '2001-01-01', 'b'); TRUNCATE y0; \
         ALTER TABLE root DETACH PARTITION y1; INSERT INTO root VALUES (5, '2000-01-01', 'c')",
    );
    let mut lines = Vec::new();
    for _ in 0..2 {
        lines.extend(follower.transaction());
    }
    lines.retain(|line| !line.starts_with('='));
    assert_eq!(
        lines,
        ["+ root 3|2000-01-01|a", "+ root 4|2001-01-01|b", "+ root 5|2000-01-01|c"],
        "a limit of the source"
    );
}

#[test]
fn names_and_values_of_any_kind_arrive_as_they_are() {
    let database = database("names");
    database.psql(
        "CREATE SCHEMA \"a'b\"; CREATE TYPE \"a'b\".mood AS ENUM ('ö', ''); \
         CREATE TABLE \"a'b\".\"t \"\"x\" (\"i d\" int PRIMARY KEY, m \"a'b\".mood); \
         CREATE PUBLICATION \"p'\"\"q\" FOR TABLE \"a'b\".\"t \"\"x\"",
    );
    let mut follower = Follower::new(&database, "p'\"q");
    database.psql("INSERT INTO \"a'b\".\"t \"\"x\" VALUES (1, 'ö')");
    assert_eq!(follower.transaction(), ["type mood", "= t \"x DEFAULT (i d* m)", "+ t \"x 1|ö"]);
    assert_eq!(follower.relations.values().next().unwrap().namespace, "a'b");
}

#[test]
fn a_quiet_publication_still_says_where_the_log_ends() {
    let database = database("quiet");
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int); CREATE PUBLICATION p FOR TABLE t",
    );
    let mut follower = Follower::new(&database, "p");
    let begun = Instant::now();
    database.psql("INSERT INTO other SELECT generate_series(1, 1000)");
    let target =
        database.psql("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").parse::<u64>().unwrap();
    let mut idle = 0;
    let reached = loop {
        assert!(begun.elapsed() < PATIENCE, "the stream never said where the log ends");
        match follower.stream.next(Duration::from_millis(200)).unwrap() {
            Event::Keepalive { wal_end, .. } if wal_end >= target => break wal_end,
            Event::Keepalive { .. } | Event::Message(_) => {}
            Event::Idle => idle += 1,
        }
    };
    follower.stream.acknowledge(reached, reached).unwrap();
    follower.stream.finish().unwrap();
    let confirmed = database.psql(&format!(
        "SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots WHERE slot_name = '{}'",
        slot(&database)
    ));
    assert_eq!(confirmed.parse::<u64>().unwrap(), reached, "after {idle} idle waits");
}

#[test]
fn a_server_that_asks_for_an_answer_gets_one_and_one_that_gets_none_ends_the_stream() {
    let database = database("timeout");
    database.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    database.psql(&format!("ALTER DATABASE {} SET wal_sender_timeout = '2s'", database.name()));
    let mut follower = Follower::new(&database, "p");
    let begun = Instant::now();
    let mut asked = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        if let Event::Keepalive { wal_end, reply_wanted: true } =
            follower.stream.next(Duration::from_millis(100)).unwrap()
        {
            asked += 1;
            follower.stream.acknowledge(wal_end, 0).unwrap();
        }
    }
    assert!(asked >= 2, "asked {asked} times in five seconds");
    let lost = follower.error();
    assert!(matches!(lost, SourceError::Wire(WireError::Io(_) | WireError::Server(_))), "{lost}");
}

#[test]
fn waiting_takes_no_longer_than_asked_and_a_request_to_stop_ends_it() {
    let database = database("stop");
    database.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t");
    let shutdown = Shutdown::new();
    let mut stream = ReplicationStream::open(&settings(&database), shutdown.clone()).unwrap();
    let name = slot(&database);
    stream.create_slot(&name).unwrap();
    stream.start(&name, "p", 0).unwrap();
    let begun = Instant::now();
    while !matches!(stream.next(Duration::from_millis(50)).unwrap(), Event::Idle) {}
    assert!(begun.elapsed() < Duration::from_secs(2));
    shutdown.request();
    let stopped = stream.next(PATIENCE);
    assert!(matches!(stopped, Err(SourceError::Wire(WireError::Stopped))));
    // What is durable can still be said, and the slot is left in good order.
    stream.acknowledge(1, 1).unwrap();
    stream.finish().unwrap();
    let active = database
        .psql(&format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{name}'"));
    assert_eq!(active, "f");
}
