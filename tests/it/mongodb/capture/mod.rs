//! Changes followed by a change stream, on a server that is a replica set of one member.

mod chunks;
mod kill;
mod modes;
mod server;

use ol_testkit::{Finished, MongoDatabase, MongoServer, Readers, Step, Unit};
use serde_json::Value;

use super::MongoCase;
use crate::common::entry;

/// A unit that follows a database by its change stream.
pub(super) struct Follow {
    pub(super) case: MongoCase,
    pub(super) database: MongoDatabase<'static>,
}

impl Follow {
    /// A new database that commands fill, and a unit over it: the collections, each with its sync mode.
    pub(super) fn new(deployment: &'static str, commands: &str, tables: &[(&str, &str)]) -> Self {
        Self::on(MongoServer::member(), deployment, commands, tables)
    }

    /// The same on another server.
    pub(super) fn on(
        server: &'static MongoServer,
        deployment: &'static str,
        commands: &str,
        tables: &[(&str, &str)],
    ) -> Self {
        let follow = Self::empty(server, deployment, commands);
        follow.case.inventory.unit(&unit(deployment, tables));
        follow
    }

    /// The same without a unit.
    pub(super) fn empty(
        server: &'static MongoServer,
        deployment: &'static str,
        commands: &str,
    ) -> Self {
        let database = server.create_database(deployment);
        database.run(commands);
        Self { case: MongoCase::of(deployment, database.url()), database }
    }

    /// `ol-ingest stream` of the unit.
    pub(super) fn stream(&self) -> Step {
        self.case
            .command("stream")
            .args(["--unit", &format!("{}/openedx_mongodb", self.case.deployment)])
            .env("OL_STREAM__COMMIT_SECONDS", "0.3")
            .env("OL_STREAM__RECORD_SECONDS", "0.5")
            .env("OL_INGEST__RETRY_SECONDS", "0.2")
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

    /// Demands that a table that is merged holds what its collection holds, document by document.
    #[track_caller]
    pub(super) fn expect_equal(&self, table: &str) -> Value {
        let server = format!("mongodb://127.0.0.1:{}", self.database.server().port());
        let of = ["--url", &server, "--database", self.database.name(), "--collection", table];
        Readers::compare_documents(&of, &self.case.lake, &self.case.raw_table(table))
    }

    /// What happened, by the log: letter and key.
    #[track_caller]
    pub(super) fn happened(&self, table: &str) -> Vec<String> {
        self.case.lines(table, "SELECT _ol_op, _id FROM lake ORDER BY _ol_position, _id")
    }

    /// What `status` says of a table.
    pub(super) fn phase(&self, table: &str) -> String {
        let status = self.case.finish(self.case.command("status")).expect_code(0).json();
        entry(&status, &self.case.raw_table(table))["phase"].as_str().unwrap().to_owned()
    }

    /// Has the server's next commands of a kind fail so, by the fault that drivers are tested with.
    pub(super) fn fail(&self, command: &str, times: u32, fault: &str) {
        self.database.admin(
            &format!(
                r#"{{"configureFailPoint": "failCommand", "mode": {{"times": {times}}},
                "data": {{"failCommands": ["{command}"], {fault}}}}}"#
            )
            .replace('\n', " "),
        );
    }
}

/// A unit of these collections, each with its sync mode.
pub(super) fn unit(deployment: &str, tables: &[(&str, &str)]) -> Unit {
    let mut unit = Unit::mongodb(deployment).method("cdc");
    for (table, mode) in tables {
        unit = unit.table("public", table, mode);
        if *mode != "incremental_append" {
            unit = unit.with("primary_key: [_id]");
        }
    }
    unit
}
