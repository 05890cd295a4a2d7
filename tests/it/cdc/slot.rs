//! A slot that is gone, is another, was moved or was given up: never a gap without a word. What is in the lake stays, and
//! a person is told.

use ol_testkit::ledger::{Landing, Ledger};

use super::common::{DEFINITE, DONE, FEW, Follow, followed, new_ledger, own_server};

/// After something befell the slot: every later run is refused, and the lake is what it was.
#[track_caller]
fn expect_refused(follow: &Follow, wanted: &[&str]) {
    let before = follow.case.state();
    for _ in 0..2 {
        let finished = follow.expect_blocked(wanted);
        super::common::expect_no_defect(&finished);
    }
    let finished = follow.case.finish(follow.stream()).expect_code(DEFINITE);
    crate::common::expect_told(&finished, wanted);
    let after = follow.case.state();
    assert_eq!(before["tables"], after["tables"], "a refused run changed the lake");
    follow.expect_right_in_itself("after the refusals");
}

/// A slot that this test makes under the name of the unit's.
fn recreate(follow: &Follow) {
    follow.case.database.psql(&format!(
        "SELECT pg_create_logical_replication_slot('{}', 'pgoutput')",
        follow.slot_name()
    ));
}

fn started(deployment: &'static str) -> (Follow, Ledger) {
    let (follow, mut ledger) = followed(deployment, Landing::Log, FEW);
    ledger.run(10);
    follow.tick(DONE);
    (follow, ledger)
}

#[test]
fn a_slot_that_was_dropped_is_not_made_anew_in_silence() {
    let (follow, mut ledger) = started("cdcslotdropped");
    follow.drop_slot();
    ledger.run(5);
    expect_refused(&follow, &["slot", &follow.slot_name()]);
    assert_eq!(follow.slot("slot_name"), "", "a run that is refused made a slot");
}

#[test]
fn a_slot_that_was_recreated_is_noticed() {
    let (follow, mut ledger) = started("cdcslotrecreated");
    follow.drop_slot();
    ledger.run(5);
    recreate(&follow);
    ledger.run(5);
    expect_refused(&follow, &["slot", &follow.slot_name()]);
}

#[test]
fn a_slot_that_was_recreated_at_once_is_noticed_or_misses_nothing() {
    let (follow, mut ledger) = started("cdcslotatonce");
    follow.drop_slot();
    recreate(&follow);
    ledger.run(5);
    let finished = follow.case.finish(follow.until_caught_up());
    match finished.code() {
        DONE => follow.expect_complete("with a slot that lost nothing"),
        code => assert_eq!(code, DEFINITE, "{}{}", finished.stdout, finished.stderr),
    }
}

#[test]
fn a_slot_that_somebody_advanced_is_noticed() {
    let (follow, mut ledger) = started("cdcslotadvanced");
    ledger.run(5);
    follow.case.database.psql(&format!(
        "SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())",
        follow.slot_name()
    ));
    ledger.run(5);
    expect_refused(&follow, &["slot", &follow.slot_name()]);
}

#[test]
fn a_slot_of_another_plugin_is_not_taken() {
    let (follow, mut ledger) = started("cdcslotforeign");
    follow.drop_slot();
    follow.case.database.psql(&format!(
        "SELECT pg_create_logical_replication_slot('{}', 'test_decoding')",
        follow.slot_name()
    ));
    ledger.run(5);
    expect_refused(&follow, &["slot", &follow.slot_name()]);
}

#[test]
fn a_slot_that_the_server_gave_up_is_lost() {
    let server =
        own_server(&["max_slot_wal_keep_size=1MB", "max_wal_size=32MB", "min_wal_size=32MB"]);
    let (database, mut ledger) = new_ledger(server, "cdcslotlost", "slot given up");
    let follow = Follow::ledger("cdcslotlost", database, Landing::Log, FEW).judged_by(&[&ledger]);
    follow.tick(DONE);
    ledger.run(5);
    for _ in 0..8 {
        follow.case.database.psql(
            "INSERT INTO ledger.noise (junk) SELECT repeat(md5(n::text), 30) FROM generate_series(1, 20000) n;
             SELECT pg_switch_wal(); CHECKPOINT;",
        );
    }
    assert_eq!(follow.slot("wal_status"), "lost", "the server still keeps the log");
    expect_refused(&follow, &["slot", &follow.slot_name(), "max_slot_wal_keep_size"]);
}
