//! The judges: `tests/readers`, Python programs that read the lake with `PyIceberg`, `DuckDB` and, where a test asks for
//! it, Spark.

use std::path::Path;

use crate::judge::Question;
use crate::lake::Lake;
use crate::process::Finished;
use crate::python::Python;

/// What the comparison of a source with the lake found.
#[derive(Debug)]
pub struct Comparison {
    /// Findings by source table, as `tests/readers/digest.py` prints them.
    pub document: serde_json::Value,
    /// How the program ended.
    pub finished: Finished,
}

impl Comparison {
    /// The source tables with this outcome (`equal`, `refused`, `different`, `missing`, `failed`).
    pub fn tables(&self, outcome: &str) -> Vec<String> {
        self.document
            .get("tables")
            .and_then(|tables| tables.as_array())
            .into_iter()
            .flatten()
            .filter(|table| table.get("outcome").is_some_and(|found| found == outcome))
            .filter_map(|table| {
                table.get("source").and_then(|name| name.as_str()).map(str::to_owned)
            })
            .collect()
    }

    /// The rows that were counted in a source table; `None` where it was not compared.
    pub fn rows(&self, table: &str) -> Option<u64> {
        self.finding(table)?.pointer("/rows/source")?.as_u64()
    }

    /// Why a source table was refused or could not be compared.
    pub fn reason(&self, table: &str) -> Option<&str> {
        self.finding(table)?.get("reason")?.as_str()
    }

    fn finding(&self, table: &str) -> Option<&serde_json::Value> {
        let tables = self.document.get("tables")?.as_array()?;
        tables.iter().find(|found| found.get("source").is_some_and(|name| name == table))
    }

    /// Demands that every table is equal in all readers, or refused with a reason.
    #[track_caller]
    pub fn expect_equal(&self) -> &Self {
        if self.finished.code() != 0 {
            let mut told = Vec::new();
            for table in self
                .document
                .get("tables")
                .and_then(|tables| tables.as_array())
                .into_iter()
                .flatten()
            {
                if !table.get("outcome").is_some_and(|found| found == "equal" || found == "refused")
                {
                    let mut shown = table.clone();
                    if let Some(fields) = shown.as_object_mut() {
                        fields.remove("columns");
                    }
                    told.push(shown.to_string());
                }
            }
            panic!("source and lake differ:\n{}\n{}", told.join("\n"), self.finished.stderr);
        }
        self
    }
}

/// The Python programs, which the judge runs (`tests/readers/judge.py`).
#[derive(Debug)]
pub struct Readers;

impl Readers {
    /// The readers that need no server.
    pub const ALL: &'static [&'static str] = &["pyiceberg", "duckdb", "spark"];

    /// Compares a collection with its table in the lake, document by document (`tests/mongodb/compare.py`): the answer of
    /// the program, which must find them equal. `of` names the collection (`--url`, `--database`, `--collection`), or the zoo.
    #[track_caller]
    pub fn compare_documents(of: &[&str], lake: &Lake, raw_table: &str) -> serde_json::Value {
        let question = Question::program("mongodb", "compare.py")
            .args(of)
            .args(["--catalog", lake.catalog(), "--namespace", lake.namespace()])
            .args(["--table", raw_table]);
        question.run().expect_code(0).json()
    }

    /// A Python program of `tests/readers` that takes `--reader`, with all readers.
    pub fn program_of_all(name: &str) -> Question {
        let question = Self::program_with_spark(name);
        Self::ALL.iter().fold(question, |question, reader| question.args(["--reader", reader]))
    }

    /// The same, for a test that names the readers.
    pub fn program_with_spark(name: &str) -> Question {
        Self::program(name).env("OL_SPARK_PYTHON", Python::Spark.path())
    }

    /// A Python program of `tests/readers`.
    pub fn program(name: &str) -> Question {
        Question::program("readers", name)
    }

    /// A Python program that works on the lake as another engine would.
    pub fn script(script: &str) -> Question {
        Question::script(script)
    }

    /// The answer to a query over a raw table, called `lake` in it, on which both readers must agree: rows of texts, `None` for
    /// NULL.
    #[track_caller]
    pub fn rows(lake: &Lake, raw_table: &str, query: &str) -> Vec<Vec<Option<String>>> {
        let question = Self::program("rows.py")
            .args(["--catalog", lake.catalog(), "--namespace", lake.namespace()])
            .args(["--table", raw_table, "--query", query]);
        let rows = question.run().expect_code(0).json();
        serde_json::from_value(rows).expect("rows are lists of texts")
    }

    /// Compares a source with a lake: rows and an order-free digest of every column, at the source and in both readers.
    ///
    /// `report` is the document `ol-ingest run` printed; it tells which tables were refused.
    pub fn compare(
        source: &str,
        lake: &Lake,
        unit: &Path,
        report: Option<&serde_json::Value>,
    ) -> Comparison {
        Self::compare_tables(source, lake, unit, report, &[])
    }

    /// The same for the tables that match one of the globs.
    pub fn compare_tables(
        source: &str,
        lake: &Lake,
        unit: &Path,
        report: Option<&serde_json::Value>,
        globs: &[&str],
    ) -> Comparison {
        Self::judge(Self::program("digest.py"), source, lake, unit, report, globs)
    }

    /// The same for the tables of a unit in all readers, Spark included.
    pub fn compare_in_all(
        source: &str,
        lake: &Lake,
        unit: &Path,
        report: Option<&serde_json::Value>,
    ) -> Comparison {
        Self::judge(Self::program_of_all("digest.py"), source, lake, unit, report, &[])
    }

    fn judge(
        question: Question,
        source: &str,
        lake: &Lake,
        unit: &Path,
        report: Option<&serde_json::Value>,
        globs: &[&str],
    ) -> Comparison {
        let mut question = question
            .args(["--output", "json", "--source", source, "--catalog", lake.catalog()])
            .args(["--namespace", lake.namespace(), "--unit"])
            .arg(unit);
        if let Some(report) = report {
            let path = lake.folder().join("report.json");
            std::fs::write(&path, report.to_string()).expect("a report can be written");
            question = question.arg("--report").arg(path);
        }
        for glob in globs {
            question = question.args(["--table", glob]);
        }
        let finished = question.run();
        let document = finished.json();
        Comparison { document, finished }
    }

    /// Opens every table of the lake with both readers: rows, snapshots, and files that nothing needs.
    pub fn state(lake: &Lake) -> serde_json::Value {
        Self::program("state.py")
            .args(["--catalog", lake.catalog(), "--namespace", lake.namespace(), "--warehouse"])
            .arg(lake.warehouse())
            .run()
            .expect_code(0)
            .json()
    }
}
