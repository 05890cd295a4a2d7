//! One table of a MySQL source that is followed by a cursor.

use ol_testkit::{MysqlDatabase, MysqlServer, Session, Step, Unit};
use serde_json::Value;

use super::MysqlCase;
use crate::common::entry;

/// The table `t` of a source, and its raw table.
pub(crate) struct Followed {
    pub(crate) case: MysqlCase,
    pub(crate) sync_mode: &'static str,
    method: &'static str,
    /// Lines of the table in the unit file.
    lines: String,
    /// What the unit says of the table beside.
    overrides: &'static str,
    /// Variables of every run.
    variables: Vec<(&'static str, String)>,
}

impl Followed {
    /// A table `t` with the key `id` and the cursor `at`, made by a script.
    pub(crate) fn new(deployment: &'static str, sync_mode: &'static str, script: &str) -> Self {
        let database = MysqlServer::shared().create_database(deployment);
        Self::of(deployment, sync_mode, database, script)
    }

    /// The same in a database of one's own.
    pub(crate) fn of(
        deployment: &'static str,
        sync_mode: &'static str,
        database: MysqlDatabase<'static>,
        script: &str,
    ) -> Self {
        database.sql(script);
        let followed = Self {
            case: MysqlCase::of(deployment, database),
            sync_mode,
            method: "cursor",
            lines: "primary_key: [id]\ncursor_field: at".to_owned(),
            overrides: "",
            variables: vec![("OL_INGEST__RETRY_SECONDS", "0.1".to_owned())],
        };
        followed.write_unit();
        followed
    }

    /// With other lines for the table in the unit file.
    pub(crate) fn with(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.lines);
        self.write_unit();
        self
    }

    /// With another replication method.
    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self.write_unit();
        self
    }

    /// With overrides, as `t: {…}`.
    pub(crate) fn overridden(mut self, overrides: &'static str) -> Self {
        self.overrides = overrides;
        self.write_unit();
        self
    }

    /// With a variable in the environment of every run.
    pub(crate) fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// The same table in another sync mode.
    pub(crate) fn in_mode(mut self, sync_mode: &'static str) -> Self {
        self.sync_mode = sync_mode;
        self.write_unit();
        self
    }

    fn write_unit(&self) {
        let unit = Unit::mysql(self.case.deployment)
            .method(self.method)
            .table("public", "t", self.sync_mode)
            .with(&self.lines);
        self.case.inventory.unit(&match self.overrides {
            "" => unit,
            overrides => unit.overriding(overrides),
        });
    }

    /// The unit file.
    pub(crate) fn unit(&self) -> std::path::PathBuf {
        self.case.inventory.path().join(format!("units/{}.yml", self.case.deployment))
    }

    pub(crate) fn sql(&self, script: &str) -> String {
        self.case.database.sql(script)
    }

    pub(crate) fn session(&self) -> Session {
        self.case.database.session()
    }

    pub(crate) fn command(&self, command: &str) -> Step {
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

    /// What `status` says of the value that the next run begins before.
    #[track_caller]
    pub(crate) fn searched_from(&self) -> Option<String> {
        let status = self.case.finish(self.command("status")).expect_code(0).json();
        status["tables"][0]["follows"]["searched_from"].as_str().map(str::to_owned)
    }

    pub(crate) fn raw_table(&self) -> String {
        self.case.raw_table("t")
    }

    /// The lake's answer in the form of the client's: rows as lines, fields separated by tabs.
    #[track_caller]
    pub(crate) fn lines(&self, query: &str) -> String {
        self.case.lines("t", query).join("\n")
    }
}

/// Runs a script in a session that must take it.
#[track_caller]
pub(crate) fn say(session: &mut Session, script: &str) {
    if let Err(broken) = session.run(script) {
        panic!("the session refused {script}: {}", broken.told);
    }
}
