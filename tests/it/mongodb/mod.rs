//! The MongoDB source: what lands, what is refused, what is told. Documents are held by mongo-java-server; what it cannot
//! hold or say comes from a stand-in (`tests/mongodb/stand_in.py`).

mod bad_input;
mod capture;
mod interruption;
mod reading;
mod zoo;

use std::path::PathBuf;

use ol_testkit::{Finished, Inventory, Lake, MongoDatabase, MongoServer, Readers, Step, binary};
use serde_json::Value;

use crate::common::text;

/// A deployment whose source, lake and inventory belong to one test.
pub(crate) struct MongoCase {
    pub(crate) url: String,
    pub(crate) lake: Lake,
    pub(crate) inventory: Inventory,
    pub(crate) deployment: &'static str,
}

impl MongoCase {
    /// A database that commands fill, and a case of it.
    pub(crate) fn new(deployment: &'static str, commands: &str) -> (Self, MongoDatabase<'static>) {
        let database = MongoServer::shared().create_database(deployment);
        database.run(commands);
        (Self::of(deployment, database.url()), database)
    }

    /// A source at this address, and an empty lake.
    pub(crate) fn of(deployment: &'static str, url: String) -> Self {
        Self { url, lake: Lake::new(), inventory: Inventory::new(), deployment }
    }

    /// The variable that names the source.
    pub(crate) fn source_variable(&self) -> String {
        format!("OL_SOURCE_{}_OPENEDX_MONGODB_URL", self.deployment.to_uppercase())
    }

    /// `ol-ingest` with this case's lake and source, without arguments.
    pub(crate) fn ingest(&self) -> Step {
        self.lake.apply(Step::new(binary("ol-ingest"))).env(&self.source_variable(), &self.url)
    }

    /// `ol-ingest COMMAND --inventory … --output json`.
    pub(crate) fn command(&self, command: &str) -> Step {
        self.ingest().args([command, "--output", "json", "--inventory"]).arg(self.inventory.path())
    }

    /// Runs a command of ours and demands that it shows no secret.
    #[track_caller]
    pub(crate) fn finish(&self, step: Step) -> Finished {
        let finished = step.run();
        for said in [&finished.stdout, &finished.stderr] {
            assert!(!said.contains("open-sesame"), "a secret is shown: {said}");
        }
        finished
    }

    /// Writes the unit that `discover` drafts, and returns its path and text.
    #[track_caller]
    pub(crate) fn discover(&self) -> (PathBuf, String) {
        let asked = ["discover", "--deployment", self.deployment, "--layer", "openedx_mongodb"];
        let drafted = self.finish(self.ingest().args(asked)).expect_code(0);
        (self.inventory.write(self.deployment, &drafted.stdout), drafted.stdout)
    }

    /// `run`, which must end with this exit code; its document.
    #[track_caller]
    pub(crate) fn run(&self, code: i32) -> Value {
        self.finish(self.command("run")).expect_code(code).json()
    }

    /// Rows of a query over the lake's table, called `lake` in it, fields separated by tabs; both readers must agree.
    #[track_caller]
    pub(crate) fn lines(&self, table: &str, query: &str) -> Vec<String> {
        let line = |row: Vec<Option<String>>| {
            let fields = row.into_iter().map(|field| field.unwrap_or_else(|| "NULL".to_owned()));
            fields.collect::<Vec<_>>().join("\t")
        };
        let rows = Readers::rows(&self.lake, &self.raw_table(table), query);
        rows.into_iter().map(line).collect()
    }

    /// What both readers see in the lake.
    pub(crate) fn state(&self) -> Value {
        Readers::state(&self.lake)
    }

    /// The raw table of a collection with a plain name.
    pub(crate) fn raw_table(&self, table: &str) -> String {
        format!("raw__{}__openedx__mongodb__{table}", self.deployment)
    }
}

/// The outcome of a raw table in the document of `run`.
#[track_caller]
pub(crate) fn outcome<'a>(document: &'a Value, raw_table: &str) -> &'a str {
    text(crate::common::entry(document, raw_table), "outcome")
}
