//! What befalls a table that is followed by its rows, on whatever server it is: kills at every step, and runs beside each other.
//! Nothing is lost, and nothing is doubled.

use std::path::Path;
use std::thread;
use std::time::Duration;

use ol_ingest::failpoints;
use ol_testkit::Step;

use crate::common::PATIENCE;

/// A log holds each version of a row once.
const TWICE: &str =
    "SELECT id, note, _ol_op FROM lake GROUP BY id, note, _ol_op HAVING count(*) > 1";
/// The latest state that a log tells of.
const LATEST: &str = "SELECT id, note FROM (SELECT DISTINCT ON (id) id, note, _ol_op FROM lake
     ORDER BY id, _ol_position DESC) WHERE _ol_op <> 'd' ORDER BY id";

/// A table `t` with the columns `id` and `note`, and its copy.
pub(crate) trait Subject {
    /// Whether the copy is a log.
    fn is_log(&self) -> bool;

    /// A folder of the test.
    fn folder(&self) -> &Path;

    /// A run.
    fn step(&self) -> Step;

    /// Runs, and completes.
    fn complete(&self);

    /// Rows of a query of the source.
    fn at_source(&self, query: &str) -> String;

    /// Rows of a query of the lake, told the same way.
    fn in_lake(&self, query: &str) -> String;

    /// Changes some rows, deletes some and adds some, others in every round.
    fn change(&self, round: usize);
}

#[track_caller]
fn expect_exact(table: &impl Subject, when: &str) {
    let latest = if table.is_log() {
        assert_eq!(table.in_lake(TWICE), "", "{when}: versions were written twice");
        table.in_lake(LATEST)
    } else {
        table.in_lake("SELECT id, note FROM lake ORDER BY id")
    };
    assert_eq!(latest, table.at_source("SELECT id, note FROM t ORDER BY id"), "{when}");
}

/// Kills a run at every point that one comes by.
pub(crate) fn kills(table: &impl Subject) {
    table.complete();
    let marker = table.folder().join("reached");
    // A change of this size is one batch.
    let comes_by = |point: &&&str| **point != failpoints::FIRST_BATCH_WRITTEN;
    let points = failpoints::INCREMENTAL.iter().chain(failpoints::ALL).filter(comes_by);
    for (round, point) in points.enumerate() {
        table.change(round);
        let _ = std::fs::remove_file(&marker);
        let pausing = table.step().env("FAILPOINTS", format!("{point}=pause"));
        let mut running = pausing.env("OL_FAILPOINT_MARKER", &marker).start();
        assert!(running.wait_until(PATIENCE, || marker.exists()), "the run never came to {point}");
        thread::sleep(Duration::from_millis(50));
        running.signal("KILL");
        assert_eq!(running.wait().code(), -1, "the run at {point} ended by itself");
        table.complete();
        expect_exact(table, point);
    }
}

/// Runs three at once, again and again.
pub(crate) fn races(table: &impl Subject) {
    // The first load, too, is made once.
    for round in 0..4 {
        let running: Vec<_> = (0..3).map(|_| table.step().start()).collect();
        let codes: Vec<_> = running.into_iter().map(|one| one.wait().code()).collect();
        assert!(codes.contains(&0), "none of three runs completed: {codes:?}");
        assert!(codes.iter().all(|code| [0, 1].contains(code)), "a race is weather: {codes:?}");
        table.complete();
        expect_exact(table, &format!("round {round}"));
        table.change(round);
    }
}
