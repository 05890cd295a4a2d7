//! The MySQL source, on private servers of MariaDB and of MySQL: what lands, what is refused, what is told.

/// Has each of these tests run on a MariaDB and on a MySQL.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod mariadb {
            $(#[test]
            fn $test() {
                super::$test(ol_testkit::Software::MariaDb);
            })*
        }
        mod mysql {
            $(#[test]
            fn $test() {
                super::$test(ol_testkit::Software::MySql);
            })*
        }
    };
}

mod adopt;
mod bad_input;
mod capture;
mod cursor;
mod cursor_kill;
mod cursor_merged;
mod followed;
mod reading;
mod snapshot;
mod zoo;

pub(crate) use self::bad_input::certificate;

use std::path::{Path, PathBuf};

use ol_testkit::{
    Comparison, Finished, Inventory, Lake, MysqlDatabase, MysqlServer, Readers, Step, binary,
};
use serde_json::Value;

use crate::common::text;

/// A deployment whose source, lake and inventory belong to one test.
pub(crate) struct MysqlCase {
    pub(crate) database: MysqlDatabase<'static>,
    pub(crate) lake: Lake,
    pub(crate) inventory: Inventory,
    pub(crate) deployment: &'static str,
}

impl MysqlCase {
    /// A database that a script fills, and an empty lake.
    pub(crate) fn new(deployment: &'static str, script: &str) -> Self {
        Self::on(MysqlServer::shared(), deployment, script)
    }

    /// The same on another server.
    pub(crate) fn on(server: &'static MysqlServer, deployment: &'static str, script: &str) -> Self {
        let database = server.create_database(deployment);
        database.sql(script);
        Self::of(deployment, database)
    }

    /// A filled database and an empty lake.
    pub(crate) fn of(deployment: &'static str, database: MysqlDatabase<'static>) -> Self {
        Self { database, lake: Lake::new(), inventory: Inventory::new(), deployment }
    }

    /// The variable that names the source.
    pub(crate) fn source_variable(&self) -> String {
        format!("OL_SOURCE_{}_OPENEDX_MYSQL_URL", self.deployment.to_uppercase())
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
        let finished = step.run();
        for said in [&finished.stdout, &finished.stderr] {
            let password = self.database.server().password();
            assert!(!said.contains(password), "the password of the source is shown");
        }
        finished
    }

    /// Writes the unit that `discover` drafts, and returns its path and text.
    #[track_caller]
    pub(crate) fn discover(&self) -> (PathBuf, String) {
        let asked = ["discover", "--deployment", self.deployment, "--layer", "openedx_mysql"];
        let drafted = self.finish(self.ingest().args(asked)).expect_code(0);
        (self.inventory.write(self.deployment, &drafted.stdout), drafted.stdout)
    }

    /// `run`, which must end with this exit code; its document.
    #[track_caller]
    pub(crate) fn run(&self, code: i32) -> Value {
        self.finish(self.command("run")).expect_code(code).json()
    }

    /// The comparison of source and lake for the tables of a unit.
    pub(crate) fn compare(&self, unit: &Path, report: &Value) -> Comparison {
        Readers::compare(&self.database.url(), &self.lake, unit, Some(report))
    }

    /// Rows of a query over the lake's table, called `lake` in it, fields separated by tabs; both readers must agree.
    #[track_caller]
    pub(crate) fn lines(&self, table: &str, query: &str) -> Vec<String> {
        let step = Readers::program("rows.py")
            .args(["--catalog", self.lake.catalog(), "--namespace", self.lake.namespace()])
            .args(["--table", &self.raw_table(table), "--query", query]);
        step.run().expect_code(0).json().as_array().unwrap().iter().map(joined).collect()
    }

    /// The same of several tables at once, each with its query; `None` for a table that is not in the lake.
    #[track_caller]
    pub(crate) fn lines_of_each(&self, asked: &[(&str, &str)]) -> Vec<Option<Vec<String>>> {
        let mut step = Readers::program("rows.py").args([
            "--each",
            "--catalog",
            self.lake.catalog(),
            "--namespace",
            self.lake.namespace(),
        ]);
        for (table, query) in asked {
            step = step.args(["--table", &self.raw_table(table), "--query", query]);
        }
        let answers = step.run().expect_code(0).json();
        let of_table = |rows: &Value| rows.as_array().map(|rows| rows.iter().map(joined).collect());
        answers.as_array().unwrap().iter().map(of_table).collect()
    }

    /// What both readers see in the lake.
    pub(crate) fn state(&self) -> Value {
        Readers::state(&self.lake)
    }

    /// The raw table of a table with a plain name.
    pub(crate) fn raw_table(&self, table: &str) -> String {
        format!("raw__{}__openedx__mysql__{table}", self.deployment)
    }
}

/// The fields of a row, separated by tabs.
fn joined(row: &Value) -> String {
    let field = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    row.as_array().unwrap().iter().map(field).collect::<Vec<_>>().join("\t")
}

/// The outcome of a raw table in the document of `run`.
#[track_caller]
pub(crate) fn outcome<'a>(document: &'a Value, raw_table: &str) -> &'a str {
    text(crate::common::entry(document, raw_table), "outcome")
}
