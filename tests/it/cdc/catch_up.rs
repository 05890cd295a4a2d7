//! A first copy, then what changed since, at each tick: in a log and merged, deletes and truncates included.

use std::time::{Duration, Instant};

use ol_testkit::ledger::Landing;
use ol_testkit::number_setting;

use super::common::{DONE, Follow, folder_of, followed, new_ledger, server};
use crate::common::text;

/// Rows of the one large transaction; `OL_BULK_ROWS=200000` for the long test.
fn bulk_rows() -> u64 {
    number_setting("OL_BULK_ROWS").unwrap_or(20_000)
}

#[test]
fn a_log_has_every_change_once_and_in_order() {
    let (follow, mut ledger) = followed("cdclog", Landing::Log, &[]);
    follow.expect_complete("after the copy");
    ledger.run(150);
    follow.tick(DONE);
    follow.expect_complete("after 150 transactions");
    ledger.bulk(bulk_rows());
    ledger.run(20);
    follow.tick(DONE);
    follow.expect_complete("after a large transaction");
    eprintln!("{} transactions, {} changes", ledger.committed(), ledger.changes());
}

#[test]
fn merged_tables_are_the_sources_and_deleted_rows_are_marked() {
    let (follow, mut ledger) = followed("cdcmerged", Landing::Mixed, &[]);
    follow.expect_complete("after the copy");
    ledger.run(150);
    follow.tick(DONE);
    follow.expect_complete("after 150 transactions");
    ledger.bulk(bulk_rows());
    ledger.run(20);
    follow.tick(DONE);
    follow.expect_complete("after a large transaction");
}

#[test]
fn tables_merged_otherwise_are_right_too() {
    // The other half of the tables in each of the two modes.
    let (database, mut ledger) = new_ledger(server(), "cdctwo", "two units over one database");
    let again = database.on(server());
    let merged = Follow::ledger("cdctwoa", database, Landing::Merged, &[]).judged_by(&[&ledger]);
    let upheaved = ["buffer", "buffer_too", "shape"];
    let soft =
        Follow::ledger("cdctwob", again, Landing::SoftDeleted, &upheaved).judged_by(&[&ledger]);
    for _ in 0..3 {
        ledger.run(40);
        merged.tick(DONE);
        ledger.run(10);
        soft.tick(DONE);
    }
    merged.tick(DONE);
    merged.expect_complete("all merged");
    soft.expect_complete("all soft deleted");
}

#[test]
fn ticks_while_two_writers_write_miss_nothing() {
    let (follow, ledger) = followed("cdcticks", Landing::Log, &[]);
    let other = ledger.another(&follow.case.database, folder_of(&ledger), 1);
    let follow = follow.judged_by(&[&ledger, &other]);
    let (one, two) =
        (ledger.start(Duration::from_millis(2)), other.start(Duration::from_millis(2)));
    for tick in 0..6 {
        let before = one.committed();
        let started = Instant::now();
        let document = follow.tick(DONE).json();
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "tick {tick} goes after a writer that never rests"
        );
        eprintln!(
            "tick {tick}: {:.1} s, {} transactions meanwhile, run {}",
            started.elapsed().as_secs_f64(),
            one.committed() - before,
            text(&document, "run_id")
        );
    }
    let (ledger, other) = (one.stop(), two.stop());
    follow.expect_right_so_far("while the writers wrote");
    follow.tick(DONE);
    follow.expect_complete("when they had stopped");
    eprintln!("{} transactions", ledger.committed() + other.committed());
}

#[test]
fn run_of_the_unit_is_a_tick() {
    let (database, mut ledger) = new_ledger(server(), "cdcrun", "run");
    let follow = Follow::ledger("cdcrun", database, Landing::Log, &[]).judged_by(&[&ledger]);
    follow.case.run(DONE);
    ledger.run(30);
    follow.case.run(DONE);
    follow.expect_complete("after run");
}

/// A tick brings in what was committed before it began, also what is not on the server's disk yet.
#[test]
fn a_commit_that_was_answered_early_is_caught_up_with() {
    let (follow, _ledger) = followed("cdcasync", Landing::Merged, super::common::FEW);
    for number in 1..=5 {
        follow.case.database.psql(&format!(
            "SET synchronous_commit = off; INSERT INTO ledger.moving VALUES (-{number}, 'early', -1)"
        ));
        follow.tick(DONE);
        let state = follow.case.state();
        let rows = crate::common::rows(&state, &follow.case.raw_table("moving")).unwrap();
        let at_source = follow.case.database.psql("SELECT count(*) FROM ledger.moving");
        assert_eq!(rows.to_string(), at_source, "tick {number}");
    }
}
