//! A slot moves although nobody writes the tables that are followed: the source's log must not grow for nothing.

use std::time::Duration;

use ol_testkit::ledger::Landing;

use super::common::{DONE, FEW, followed};
use crate::common::PATIENCE;

/// Writes what nobody follows, about a megabyte of log.
pub(super) const NOISE: &str = "INSERT INTO ledger.noise (junk) SELECT repeat(md5(n::text), 10) FROM generate_series(1, 2000) n";

#[test]
fn a_streams_slot_moves_while_others_write() {
    let (follow, _ledger) = followed("cdcidle", Landing::Log, FEW);
    let mut running = follow.stream().start();
    follow.wait_until_caught_up(&mut running);
    for _ in 0..3 {
        let before = follow.slot("confirmed_flush_lsn");
        follow.case.database.psql(NOISE);
        let end = follow.case.database.psql("SELECT pg_current_wal_lsn()");
        let database = &follow.case.database;
        let moved = format!(
            "SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = '{}'",
            follow.slot_name()
        );
        let reached = running.wait_until(PATIENCE, || {
            std::thread::sleep(Duration::from_millis(200));
            database.psql(&moved) == "t"
        });
        assert!(reached, "the slot stays at {before}, the log ends at {end}: {}", running.told());
    }
    running.signal("KILL");
    running.wait();
    follow.tick(DONE);
    follow.expect_complete("after an idle time");
}

#[test]
fn a_ticks_slot_moves_while_others_write() {
    let (follow, mut ledger) = followed("cdcidletick", Landing::Log, FEW);
    for _ in 0..3 {
        follow.case.database.psql(NOISE);
        let end = follow.case.database.psql("SELECT pg_current_wal_lsn()");
        follow.tick(DONE);
        let moved = format!("confirmed_flush_lsn >= '{end}'");
        assert_eq!(
            follow.slot(&moved),
            "t",
            "the slot stays at {}",
            follow.slot("confirmed_flush_lsn")
        );
    }
    // What it moved past was nothing of ours, so nobody takes it for a slot that somebody else moved.
    ledger.run(5);
    follow.tick(DONE);
    follow.expect_complete("after idle ticks");
}
