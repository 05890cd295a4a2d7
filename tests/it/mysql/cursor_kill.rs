//! Kills at every step and runs at once, of a table that is followed by a cursor: nothing is lost,
//! and nothing is doubled.

use std::path::Path;

use ol_testkit::{MysqlServer, Software, Step};

use super::followed::Followed;
use crate::incremental::ordeal::{Subject, kills, races};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, at datetime(6) DEFAULT NOW(6), note varchar(40), KEY (at));
     INSERT INTO t (id, note, at) SELECT seq, LEFT(SHA2(seq, 256), 32), NOW(6) - INTERVAL seq HOUR FROM seq_1_to_2000;";
fn table(software: Software, deployment: &'static str, sync_mode: &'static str) -> Followed {
    let database = MysqlServer::shared_of(software).create_database(deployment);
    // A short lookback, so that what is found again fits what is kept of it.
    Followed::of(deployment, sync_mode, database, TABLE)
        .set("OL_INCREMENTAL__SWEEP_HOURS", "0")
        .set("OL_INCREMENTAL__LOOKBACK_SECONDS", "1")
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
            "UPDATE t SET note = 'round {round}', at = NOW(6) WHERE id % 20 = {round} % 10; DELETE FROM t WHERE id % 97 = {round};
             INSERT INTO t (id, note) SELECT 10000 * ({round} + 1) + seq, 'new' FROM seq_1_to_20;"
        ));
    }
}

on_both!(a_kill_at_any_step_loses_and_doubles_nothing_in_a_log);

fn a_kill_at_any_step_loses_and_doubles_nothing_in_a_log(software: Software) {
    kills(&table(software, "myfollowedkill", "incremental_append"));
}

#[test]
fn a_kill_at_any_step_loses_and_doubles_nothing_in_a_merged_table() {
    kills(&table(Software::MariaDb, "mymergedkill", "incremental_update"));
}

#[test]
fn two_runs_at_once_double_nothing_in_a_log() {
    races(&table(Software::MariaDb, "myfollowedrace", "incremental_append"));
}

#[test]
fn two_runs_at_once_double_nothing_in_a_merged_table() {
    races(&table(Software::MariaDb, "mymergedrace", "incremental_update"));
}
