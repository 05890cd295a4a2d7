//! Kills at the steps that only these tables have, and two runs at once: nothing is lost, nothing is doubled.

use std::path::Path;

use ol_testkit::Step;

use super::Followed;
use super::ordeal::{Subject, kills, races};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, note text);
     INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 2000) n;";
fn table(deployment: &'static str, sync_mode: &'static str) -> Followed {
    Followed::new(deployment, "xmin", sync_mode, TABLE).set("OL_INCREMENTAL__SWEEP_HOURS", "0")
}

impl Subject for Followed {
    fn is_log(&self) -> bool {
        self.sync_mode == "incremental_append"
    }

    fn folder(&self) -> &Path {
        self.case.lake.folder()
    }

    fn step(&self) -> Step {
        self.command("run")
    }

    fn complete(&self) {
        self.run();
    }

    fn at_source(&self, query: &str) -> String {
        self.sql(query)
    }

    fn in_lake(&self, query: &str) -> String {
        self.lines(query)
    }

    fn change(&self, round: usize) {
        self.sql(&format!(
            "UPDATE t SET note = 'round {round}' WHERE id % 10 = {round} % 10; DELETE FROM t WHERE id % 97 = {round};
             INSERT INTO t SELECT 10000 * ({round} + 1) + n, 'new' FROM generate_series(1, 20) n;"
        ));
    }
}

#[test]
fn a_kill_at_any_step_loses_and_doubles_nothing_in_a_log() {
    kills(&table("followedkill", "incremental_append"));
}

#[test]
fn a_kill_at_any_step_loses_and_doubles_nothing_in_a_merged_table() {
    kills(&table("mergedkill", "incremental_update"));
}

#[test]
fn two_runs_at_once_double_nothing_in_a_log() {
    races(&table("followedrace", "incremental_append"));
}

#[test]
fn two_runs_at_once_double_nothing_in_a_merged_table() {
    races(&table("mergedrace", "incremental_update"));
}
