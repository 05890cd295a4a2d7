//! Changes followed by the binary log, on a private MariaDB, and where the two differ on a MySQL, too.

mod cascade;
mod chunks;
mod kill;
mod ledger;
mod mysql;
mod server;
mod shapes;
mod tables;
mod zoo;

use std::path::PathBuf;

use ol_testkit::{Finished, MysqlDatabase, MysqlServer, Software, Step, Unit};
use serde_json::Value;

use super::MysqlCase;
use crate::common::entry;

/// A unit that follows a database by its log.
pub(super) struct Follow {
    pub(super) case: MysqlCase,
    pub(super) unit: PathBuf,
    /// What a test sets for every run.
    pub(super) settings: Vec<(String, String)>,
}

impl Follow {
    /// A new database that a script fills, and a unit over it: the tables, each with its sync mode; rows that are merged are so by
    /// `id`.
    pub(super) fn new(deployment: &'static str, script: &str, tables: &[(&str, &str)]) -> Self {
        Self::of(Software::MariaDb, deployment, script, tables)
    }

    /// The same on the server of a software.
    pub(super) fn of(
        software: Software,
        deployment: &'static str,
        script: &str,
        tables: &[(&str, &str)],
    ) -> Self {
        Self::on(MysqlServer::shared_of(software), deployment, script, tables)
    }

    /// The same on another server.
    pub(super) fn on(
        server: &'static MysqlServer,
        deployment: &'static str,
        script: &str,
        tables: &[(&str, &str)],
    ) -> Self {
        let database = server.create_database(deployment);
        database.sql(script);
        Self::over(deployment, database, tables)
    }

    /// A unit over a database as it is.
    pub(super) fn over(
        deployment: &'static str,
        database: MysqlDatabase<'static>,
        tables: &[(&str, &str)],
    ) -> Self {
        let case = MysqlCase::of(deployment, database);
        let mut unit = Unit::mysql(deployment).method("cdc");
        for (table, mode) in tables {
            unit = unit.table("public", table, mode);
            if *mode != "incremental_append" {
                unit = unit.with("primary_key: [id]");
            }
        }
        let unit = case.inventory.unit(&unit);
        Self { case, unit, settings: Vec::new() }
    }

    /// `ol-ingest stream` of the unit.
    pub(super) fn stream(&self) -> Step {
        let mut step = self
            .case
            .command("stream")
            .args(["--unit", &format!("{}/openedx_mysql", self.case.deployment)])
            .env("OL_STREAM__COMMIT_SECONDS", "0.3")
            .env("OL_STREAM__RECORD_SECONDS", "0.5")
            .env("OL_INGEST__RETRY_SECONDS", "0.2");
        for (name, value) in &self.settings {
            step = step.env(name, value);
        }
        step
    }

    /// The same until it has caught up.
    pub(super) fn until_caught_up(&self) -> Step {
        self.stream().arg("--until-caught-up")
    }

    /// Catches up, which must end with this exit code.
    #[track_caller]
    pub(super) fn tick(&self, code: i32) -> Finished {
        self.case.finish(self.until_caught_up()).expect_code(code)
    }

    /// Catches up, and demands that the tables hold what the source holds.
    #[track_caller]
    pub(super) fn expect_equal(&self) -> Value {
        let document = self.tick(0).json();
        self.case.compare(&self.unit, &document).expect_equal();
        document
    }

    /// What `status` says of a table.
    pub(super) fn phase(&self, table: &str) -> String {
        let status = self.case.finish(self.case.command("status")).expect_code(0).json();
        entry(&status, &self.case.raw_table(table))["phase"].as_str().unwrap().to_owned()
    }
}
