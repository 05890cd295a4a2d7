//! Another loader has followed a database and stopped: its tables are gone on with from where its slot is, without a copy.

use ol_testkit::Unit;

use super::common::{DEFINITE, DONE, Follow, lake_answer, own_server};
use crate::common::entry;

const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE log (id int PRIMARY KEY, n int);
    INSERT INTO t SELECT n, 0 FROM generate_series(1, 100) n;
    INSERT INTO log SELECT n, 0 FROM generate_series(1, 100) n;";
const PUBLICATION: &str = "CREATE PUBLICATION ol_cdchandover_app_postgres FOR TABLE t, log WITH (publish_via_partition_root = true)";
const THEIR_SLOT: &str = "SELECT pg_create_logical_replication_slot('airbyte_slot', 'pgoutput')";

/// The unit as the loader before had it, full refreshes here, and as it is followed.
fn unit(method: &str, modes: [&str; 2]) -> Unit {
    Unit::new("cdchandover")
        .method(method)
        .table("public", "t", modes[0])
        .with("primary_key: [id]")
        .table("public", "log", modes[1])
        .with("primary_key: [id]")
}

#[test]
fn a_slot_of_another_loader_is_gone_on_from() {
    // A new slot begins no later, as far as catalogs go, than any other of the server does.
    let database = own_server(&[]).create_database("cdchandover");
    database.psql(TABLES);
    let full = ["full_refresh_overwrite", "full_refresh_overwrite"];
    let follow = Follow::unit("cdchandover", database, &unit("full", full));
    let database = &follow.case.database;
    // What the other loader has brought: all rows up to where its slot is.
    follow.case.run(DONE);
    let followed = unit("cdc", ["incremental_update", "incremental_append"]);
    follow.case.inventory.unit(&followed);
    let take_over = || follow.until_caught_up().args(["--from-slot", "airbyte_slot"]);
    let refused = |wanted: &[&str]| {
        let finished = follow.case.finish(take_over()).expect_code(DEFINITE);
        crate::common::expect_told(&finished, wanted);
    };
    refused(&["airbyte_slot"]);
    database.psql(THEIR_SLOT);
    refused(&["must exist before the hand-over", "CREATE PUBLICATION"]);
    database.psql(PUBLICATION);
    refused(&["younger than what the slot has to send"]);
    database.psql("SELECT pg_drop_replication_slot('airbyte_slot')");
    database.psql(THEIR_SLOT);
    database.psql("UPDATE t SET n = 1 WHERE id <= 10; UPDATE log SET n = 1 WHERE id <= 10; DELETE FROM t WHERE id = 50;");
    let finished = follow.case.finish(take_over()).expect_code(DONE);
    let document = finished.json();
    let rows = |table: &str| entry(&document, &follow.case.raw_table(table))["rows"].as_u64();
    assert_eq!((rows("t"), rows("log")), (Some(10), Some(10)), "nothing was copied");
    database.psql("UPDATE t SET n = 2 WHERE id <= 5; INSERT INTO t VALUES (200, 7); UPDATE log SET n = 2 WHERE id = 1");
    // Taken over again, it goes on as it would have anyway.
    let document = follow.case.finish(take_over()).expect_code(DONE).json();
    follow.case.compare(&follow.unit, &document);
    let truth = database.psql("SELECT count(*) || ' ' || sum(id) || ' ' || sum(n) FROM t");
    let ours =
        lake_answer(&follow, "t", "SELECT count(*) || ' ' || sum(id) || ' ' || sum(n) FROM lake");
    assert_eq!(ours, truth);
    let logged = lake_answer(&follow, "log", "SELECT count(*) FROM lake WHERE _ol_op = 'u'");
    assert_eq!(logged, "11");
    database.psql("SELECT pg_drop_replication_slot('airbyte_slot')");
}
