//! Kills at every step, broken connections and two runs at once, of a table that is followed by a cursor: nothing is lost,
//! and nothing is doubled.

use std::thread;
use std::time::Duration;

use ol_testkit::{MysqlServer, Software};

use super::followed::Followed;
use crate::common::PATIENCE;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, at datetime(6) DEFAULT NOW(6), note varchar(40), KEY (at));
     INSERT INTO t (id, note, at) SELECT seq, LEFT(SHA2(seq, 256), 32), NOW(6) - INTERVAL seq HOUR FROM seq_1_to_2000;";
/// A log holds each version of a row once.
const TWICE: &str =
    "SELECT id, note, _ol_op FROM lake GROUP BY id, note, _ol_op HAVING count(*) > 1";
/// The latest state that a log tells of.
const LATEST: &str = "SELECT id, note FROM (SELECT DISTINCT ON (id) id, note, _ol_op FROM lake
     ORDER BY id, _ol_position DESC) WHERE _ol_op <> 'd' ORDER BY id";

fn table(software: Software, deployment: &'static str, sync_mode: &'static str) -> Followed {
    let database = MysqlServer::shared_of(software).create_database(deployment);
    // A short lookback, so that what is found again fits what is kept of it.
    Followed::of(deployment, sync_mode, database, TABLE)
        .set("OL_INCREMENTAL__SWEEP_HOURS", "0")
        .set("OL_INCREMENTAL__LOOKBACK_SECONDS", "1")
}

#[track_caller]
fn expect_exact(table: &Followed, when: &str) {
    let latest = if table.sync_mode == "incremental_append" {
        assert_eq!(table.lines(TWICE), "", "{when}: versions were written twice");
        table.lines(LATEST)
    } else {
        table.lines("SELECT id, note FROM lake ORDER BY id")
    };
    assert_eq!(latest, table.sql("SELECT id, note FROM t ORDER BY id"), "{when}");
}

fn change(table: &Followed, round: usize) {
    table.sql(&format!(
        "UPDATE t SET note = 'round {round}', at = NOW(6) WHERE id % 20 = {round} % 10; DELETE FROM t WHERE id % 97 = {round};
         INSERT INTO t (id, note) SELECT 10000 * ({round} + 1) + seq, 'new' FROM seq_1_to_20;"
    ));
}

on_both!(a_kill_at_any_step_loses_and_doubles_nothing_in_a_log);

fn kills(software: Software, deployment: &'static str, sync_mode: &'static str) {
    let table = table(software, deployment, sync_mode);
    table.run();
    let marker = table.case.lake.folder().join("reached");
    let points = ol_ingest::failpoints::INCREMENTAL.iter().chain(ol_ingest::failpoints::ALL);
    for (round, point) in points.enumerate() {
        if *point == ol_ingest::failpoints::FIRST_BATCH_WRITTEN {
            // A change of this size is one batch.
            continue;
        }
        change(&table, round);
        let _ = std::fs::remove_file(&marker);
        let mut running = table
            .command("run")
            .env("FAILPOINTS", format!("{point}=pause"))
            .env("OL_FAILPOINT_MARKER", &marker)
            .start();
        assert!(running.wait_until(PATIENCE, || marker.exists()), "the run never came to {point}");
        thread::sleep(Duration::from_millis(50));
        running.signal("KILL");
        assert_eq!(running.wait().code(), -1, "the run at {point} ended by itself");
        table.run();
        expect_exact(&table, point);
    }
}

fn a_kill_at_any_step_loses_and_doubles_nothing_in_a_log(software: Software) {
    kills(software, "myfollowedkill", "incremental_append");
}

#[test]
fn a_kill_at_any_step_loses_and_doubles_nothing_in_a_merged_table() {
    kills(Software::MariaDb, "mymergedkill", "incremental_update");
}

fn races(deployment: &'static str, sync_mode: &'static str) {
    let table = table(Software::MariaDb, deployment, sync_mode);
    // The first load, too, is made once.
    for round in 0..4 {
        let running: Vec<_> = (0..3).map(|_| table.command("run").start()).collect();
        let codes: Vec<_> = running.into_iter().map(|one| one.wait().code()).collect();
        assert!(codes.contains(&0), "none of three runs completed: {codes:?}");
        assert!(codes.iter().all(|code| [0, 1].contains(code)), "a race is weather: {codes:?}");
        table.run();
        expect_exact(&table, &format!("round {round}"));
        change(&table, round);
    }
}

#[test]
fn two_runs_at_once_double_nothing_in_a_log() {
    races("myfollowedrace", "incremental_append");
}

#[test]
fn two_runs_at_once_double_nothing_in_a_merged_table() {
    races("mymergedrace", "incremental_update");
}
