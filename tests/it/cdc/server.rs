//! A server or a role that does not allow change capture, and a server that is not the one that was followed.

use ol_testkit::ledger::Landing;

use super::common::{DEFINITE, DONE, FEW, Follow, new_ledger, outcome, own_server, server};
use crate::common::expect_told;

#[test]
fn a_server_without_logical_log_is_named() {
    let server = own_server(&["wal_level=replica"]);
    let (database, ledger) = new_ledger(server, "cdcreplica", "wal_level replica");
    let follow = Follow::ledger("cdcreplica", database, Landing::Log, FEW).judged_by(&[&ledger]);
    follow.expect_blocked(&["wal_level", "logical"]);
    assert_eq!(follow.slot("slot_name"), "");
}

#[test]
fn a_server_without_a_free_slot_is_named() {
    let server = own_server(&["max_replication_slots=1"]);
    let (database, ledger) = new_ledger(server, "cdcnoslot", "no free slot");
    database.psql("SELECT pg_create_physical_replication_slot('taken')");
    let follow = Follow::ledger("cdcnoslot", database, Landing::Log, FEW).judged_by(&[&ledger]);
    follow.expect_blocked(&["slot"]);
}

#[test]
fn a_role_without_rights_is_told_which() {
    let (database, mut ledger) = new_ledger(server(), "cdcnoright", "roles");
    database.psql(
        "CREATE ROLE reader_cdc LOGIN PASSWORD 'open-sesame';
         GRANT USAGE ON SCHEMA ledger TO reader_cdc; GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO reader_cdc;",
    );
    let mut follow =
        Follow::ledger("cdcnoright", database, Landing::Log, FEW).judged_by(&[&ledger]);
    let url = follow.case.database.url_as("reader_cdc", "open-sesame");
    follow.settings.push((follow.case.source_variable(), url));
    let finished = follow.expect_blocked(&["REPLICATION"]);
    assert!(!crate::common::told(&finished).contains("open-sesame"), "the password is shown");
    // With the right to replicate, what is missing is a publication that only an owner can make.
    follow.case.database.psql("ALTER ROLE reader_cdc REPLICATION");
    let finished = follow.expect_blocked(&["publication"]);
    expect_told(&finished, &["CREATE PUBLICATION"]);
    // The owner makes it, and the role needs nothing more.
    follow.case.database.psql(&format!(
        "CREATE PUBLICATION \"{}\" FOR TABLE ledger.accounts, ledger.entries, ledger.composite, ledger.moving, ledger.buffer
             WITH (publish_via_partition_root = true)",
        follow.slot_name()
    ));
    follow.tick(DONE);
    ledger.run(10);
    follow.tick(DONE);
    follow.expect_complete("as a role that may only read");
    // A right that is taken away blocks nothing that is streamed, or blocks by name; it is never a gap.
    follow.case.database.psql("REVOKE SELECT ON ledger.moving FROM reader_cdc");
    ledger.run(10);
    let finished = follow.case.finish(follow.until_caught_up());
    let document = finished.json();
    match outcome(&document, &follow, "moving") {
        ("done", _) => follow.expect_complete("without the right to select"),
        (became, advice) => {
            assert_eq!((became, finished.code()), ("blocked", DEFINITE), "{document:#}");
            assert!(advice.contains("GRANT SELECT"), "{advice}");
            assert_eq!(outcome(&document, &follow, "accounts").0, "done", "{document:#}");
        }
    }
}

#[test]
fn a_promoted_standby_is_not_taken_for_the_server_that_was_followed() {
    let primary = own_server(&[]);
    let (database, mut ledger) = new_ledger(primary, "cdcpromoted", "promotion");
    let mut follow =
        Follow::ledger("cdcpromoted", database, Landing::Log, FEW).judged_by(&[&ledger]);
    follow.tick(DONE);
    ledger.run(10);
    follow.tick(DONE);
    let standby: &'static ol_testkit::PostgresServer = Box::leak(Box::new(primary.standby()));
    ledger.run(5);
    standby.promote();
    let there = follow.case.database.on(standby);
    follow.settings.push((follow.case.source_variable(), there.url()));
    let before = follow.case.state();
    // Without a slot, and with one that somebody made under its name.
    follow.expect_blocked(&["promotion"]);
    there.psql(&format!(
        "SELECT pg_create_logical_replication_slot('{}', 'pgoutput')",
        follow.slot_name()
    ));
    there.psql("UPDATE ledger.accounts SET balance = balance + 1 WHERE id = 1");
    follow.expect_blocked(&["promotion"]);
    assert_eq!(before["tables"], follow.case.state()["tables"], "a refused run changed the lake");
    // The server that was followed is followed on.
    follow.settings.pop();
    follow.tick(DONE);
    follow.expect_complete("on the old server");
}

#[test]
fn a_replica_is_refused_or_followed_but_never_half() {
    let primary = own_server(&[]);
    let (database, mut ledger) = new_ledger(primary, "cdcstandby", "replica");
    let mut follow =
        Follow::ledger("cdcstandby", database, Landing::Log, FEW).judged_by(&[&ledger]);
    let standby: &'static ol_testkit::PostgresServer = Box::leak(Box::new(primary.standby()));
    ledger.run(5);
    let url = follow.case.database.on(standby).url();
    follow.settings.push((follow.case.source_variable(), url));
    let finished = follow.case.finish(follow.until_caught_up());
    // Replicas decode their log from version 16 on.
    if finished.code() != DONE {
        expect_told(&finished.expect_code(DEFINITE), &["replica"]);
    }
}
