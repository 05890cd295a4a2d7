//! What the acceptance tests share: a case with its own database, lake and inventory, and the demand that nothing
//! `ol-ingest` says shows a password.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use ol_testkit::Random;
use ol_testkit::{
    Comparison, Database, Finished, Inventory, Lake, PostgresServer, Readers, Step, binary,
};
use serde_json::Value;

/// A deployment whose source, lake and inventory belong to one test.
pub(crate) struct Case {
    pub(crate) database: Database<'static>,
    pub(crate) lake: Lake,
    pub(crate) inventory: Inventory,
    pub(crate) deployment: &'static str,
}

impl Case {
    /// An empty database and an empty lake.
    pub(crate) fn new(deployment: &'static str) -> Self {
        Self::of(deployment, PostgresServer::shared().create_database(deployment))
    }

    /// A filled database and an empty lake.
    pub(crate) fn of(deployment: &'static str, database: Database<'static>) -> Self {
        Self { database, lake: Lake::new(), inventory: Inventory::new(), deployment }
    }

    /// The variable that names the source.
    pub(crate) fn source_variable(&self) -> String {
        format!("OL_SOURCE_{}_APP_POSTGRES_URL", self.deployment.to_uppercase())
    }

    /// `ol-ingest` with this case's lake and source, without arguments.
    pub(crate) fn ingest(&self) -> Step {
        self.lake
            .apply(Step::new(binary("ol-ingest")))
            .env(&self.source_variable(), self.database.url())
    }

    /// `ol-ingest COMMAND --inventory … --output json`.
    pub(crate) fn command(&self, command: &str) -> Step {
        self.ingest().args([command, "--output", "json", "--inventory"]).arg(self.inventory.path())
    }

    /// Runs a command of ours and demands that it shows no secret.
    #[track_caller]
    pub(crate) fn finish(&self, step: Step) -> Finished {
        self.told_no_secret(step.run())
    }

    /// Demands that what a command said shows no secret.
    #[track_caller]
    pub(crate) fn told_no_secret(&self, finished: Finished) -> Finished {
        for (stream, said) in [("output", &finished.stdout), ("error", &finished.stderr)] {
            assert!(
                !said.contains(self.database.server().password()),
                "the password of the source stands in standard {stream}"
            );
        }
        finished
    }

    /// Writes the unit that `discover` drafts, and returns its path and text.
    #[track_caller]
    pub(crate) fn discover(&self) -> (PathBuf, String) {
        let step = self.ingest().args([
            "discover",
            "--deployment",
            self.deployment,
            "--layer",
            "app_postgres",
        ]);
        let drafted = self.finish(step).expect_code(0);
        (self.inventory.write(self.deployment, &drafted.stdout), drafted.stdout)
    }

    /// `run`, which must end with this exit code; its document.
    #[track_caller]
    pub(crate) fn run(&self, code: i32) -> Value {
        let document = self.finish(self.command("run")).expect_code(code).json();
        let outcome = match code {
            0 => "done",
            2 => "blocked",
            _ => "retry",
        };
        assert_eq!(text(&document, "outcome"), outcome, "{document:#}");
        document
    }

    /// `run` over tables some of which may be refused: exit code 2 when one is, else 0; its document.
    #[track_caller]
    pub(crate) fn run_with_refusals(&self) -> Value {
        let finished = self.finish(self.command("run"));
        let document = finished.json();
        let mut outcomes: Vec<_> =
            document["tables"].as_array().unwrap().iter().map(|t| text(t, "outcome")).collect();
        outcomes.sort_unstable();
        outcomes.dedup();
        let code = if outcomes.contains(&"refused") { 2 } else { 0 };
        assert!(
            outcomes.iter().all(|outcome| ["done", "refused"].contains(outcome)),
            "{document:#}"
        );
        finished.expect_code(code);
        document
    }

    /// The comparison of source and lake for the tables of a unit.
    pub(crate) fn compare(&self, unit: &Path, report: &Value) -> Comparison {
        Readers::compare(&self.database.url(), &self.lake, unit, Some(report))
    }

    /// What both readers see in the lake.
    pub(crate) fn state(&self) -> Value {
        Readers::state(&self.lake)
    }

    /// The raw table of a table in schema public with a plain name.
    pub(crate) fn raw_table(&self, table: &str) -> String {
        format!("raw__{}__app__postgres__{table}", self.deployment)
    }
}

/// A text of a JSON object; panics where there is none.
#[track_caller]
pub(crate) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no text {key} in {object:#}"))
}

/// The entry of a raw table in the document of `run`.
#[track_caller]
pub(crate) fn entry<'a>(document: &'a Value, raw_table: &str) -> &'a Value {
    document
        .get("tables")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|table| table.get("raw_table").is_some_and(|name| name == raw_table))
        .unwrap_or_else(|| panic!("no entry for {raw_table} in {document:#}"))
}

/// Rows of a raw table, on which both readers must agree; `None` where the lake has no such table.
#[track_caller]
pub(crate) fn rows(state: &Value, raw_table: &str) -> Option<u64> {
    let rows = state.pointer(&format!("/tables/{raw_table}/rows"))?;
    let of = |reader: &str| rows.get(reader).and_then(Value::as_u64);
    assert_eq!(of("pyiceberg"), of("duckdb"), "the readers disagree about {raw_table}");
    of("pyiceberg")
}

/// The names of the files of the warehouse that no table needs.
pub(crate) fn unreachable(state: &Value) -> Vec<String> {
    state
        .get("unreachable")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|path| path.as_str().map(str::to_owned))
        .collect()
}

/// The sentences that tell a person what to do: what stands on standard error and every table's advice.
pub(crate) fn told(finished: &Finished) -> String {
    format!("{}\n{}", finished.stdout, finished.stderr)
}

/// Demands that a person is told each of these, in any case of letters.
#[track_caller]
pub(crate) fn expect_told(finished: &Finished, wanted: &[&str]) {
    let said = told(finished).to_lowercase();
    for words in wanted {
        assert!(said.contains(&words.to_lowercase()), "nothing says \"{words}\" in:\n{said}");
    }
}

/// Long enough for anything a test waits for on two busy cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
