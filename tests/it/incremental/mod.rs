//! Tables that are followed by queries: no change is lost, none is sent twice, deletes are found.

mod cursor;
mod hand_over;
mod history;
mod merged;
pub(crate) mod ordeal;
mod race;
mod sweep;
mod xmin;

use ol_testkit::{PostgresServer, Readers, Session, Unit};
use serde_json::Value;

use crate::common::{Case, entry};

/// One table of a source and its raw table.
pub(crate) struct Followed {
    pub(crate) case: Case,
    method: &'static str,
    sync_mode: &'static str,
    /// Lines of the table in the unit file.
    lines: String,
    /// The block `overrides` of the table and what follows it.
    overrides: String,
    metadata_columns: &'static str,
    /// Variables of every run.
    variables: Vec<(&'static str, String)>,
}

/// The raw table's rows as both readers see them, each a list of texts.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

impl Followed {
    /// A table `t`, made by a script, that is followed by a method.
    pub(crate) fn new(
        deployment: &'static str,
        method: &'static str,
        sync_mode: &'static str,
        script: &str,
    ) -> Self {
        Self::on(PostgresServer::shared(), deployment, method, sync_mode, script)
    }

    /// The same on a server of one's own.
    pub(crate) fn on(
        server: &'static PostgresServer,
        deployment: &'static str,
        method: &'static str,
        sync_mode: &'static str,
        script: &str,
    ) -> Self {
        let case = Case::of(deployment, server.create_database(deployment));
        case.database.psql(script);
        let mut followed = Self {
            case,
            method,
            sync_mode,
            lines: "primary_key: [id]".to_owned(),
            overrides: String::new(),
            metadata_columns: "native",
            variables: vec![("OL_INGEST__RETRY_SECONDS", "0.1".to_owned())],
        };
        if method == "cursor" {
            followed.lines.push_str("\ncursor_field: at");
        }
        followed.write_unit();
        followed
    }

    /// With other lines for the table in the unit file.
    pub(crate) fn with(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.lines);
        self.write_unit();
        self
    }

    /// With a variable in the environment of every run.
    pub(crate) fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// With metadata columns of another loader.
    pub(crate) fn metadata(mut self, words: &'static str) -> Self {
        self.metadata_columns = words;
        self.write_unit();
        self
    }

    /// With overrides of the table, as YAML in braces.
    pub(crate) fn overridden(mut self, braces: &str) -> Self {
        self.overrides = format!("\n  overrides:\n    t: {braces}");
        self.write_unit();
        self
    }

    fn write_unit(&self) {
        let yaml = Unit::new(self.case.deployment)
            .table("public", "t", self.sync_mode)
            .with(&self.lines)
            .yaml()
            .replace("replication_method: full", &format!("replication_method: {}", self.method))
            .replace(
                "metadata_columns: native",
                &format!("metadata_columns: {}{}", self.metadata_columns, self.overrides),
            );
        self.case.inventory.write(self.case.deployment, &yaml);
    }

    /// The unit file.
    pub(crate) fn unit(&self) -> std::path::PathBuf {
        self.case.inventory.path().join(format!("units/{}.yml", self.case.deployment))
    }

    pub(crate) fn sql(&self, script: &str) -> String {
        self.case.database.psql(script)
    }

    pub(crate) fn session(&self) -> Session {
        self.case.database.session()
    }

    pub(crate) fn command(&self, command: &str) -> ol_testkit::Step {
        let step = self.case.command(command);
        self.variables.iter().fold(step, |step, (name, value)| step.env(name, value))
    }

    /// A run with further arguments, which must end with this code; the table's part of its document.
    #[track_caller]
    pub(crate) fn run_with(&self, arguments: &[&str], code: i32) -> Value {
        let finished = self.case.finish(self.command("run").args(arguments)).expect_code(code);
        entry(&finished.json(), &self.raw_table()).clone()
    }

    /// A run that must succeed; how many rows it wrote.
    #[track_caller]
    pub(crate) fn run(&self) -> u64 {
        self.run_with(&[], 0)["rows"].as_u64().unwrap()
    }

    pub(crate) fn raw_table(&self) -> String {
        self.case.raw_table("t")
    }

    /// The answer of both readers to a query over the table `lake`.
    #[track_caller]
    pub(crate) fn lake(&self, query: &str) -> Rows {
        Readers::rows(&self.case.lake, &self.raw_table(), query)
    }

    /// The lake's answer in the form of psql's: rows as lines, fields separated by tabs, NULL as nothing.
    #[track_caller]
    pub(crate) fn lines(&self, query: &str) -> String {
        let rows = self.lake(query).into_iter();
        let line = |row: Vec<Option<String>>| {
            row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("\t")
        };
        rows.map(line).collect::<Vec<_>>().join("\n")
    }

    /// The ids of the log in the order of the runs that wrote them.
    #[track_caller]
    pub(crate) fn ids(&self) -> String {
        let rows = self.lake("SELECT id FROM lake ORDER BY _ol_extracted_at, _ol_position, id");
        rows.into_iter().map(|row| row[0].clone().unwrap()).collect::<Vec<_>>().join(" ")
    }
}

/// Runs a script in a session that must take it.
#[track_caller]
pub(crate) fn say(session: &mut Session, script: &str) {
    if let Err(broken) = session.run(script) {
        panic!("the session refused {script}: {}", broken.told);
    }
}
