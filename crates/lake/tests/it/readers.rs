//! Judges of what was written: PyIceberg and DuckDB, in a process of their own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ol_lake::LakeTable;
use serde_json::Value;

/// A Python that reads tables; it lives as long as this.
pub(crate) struct Readers {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Readers {
    /// Starts `OL_PYTHON`, or the Python that the set-up script installs.
    #[expect(clippy::disallowed_methods, reason = "where Python is, is not a setting of the crate")]
    pub(crate) fn start() -> Self {
        let home = std::env::var("HOME").unwrap_or_default();
        let python = std::env::var("OL_PYTHON")
            .unwrap_or_else(|_unset| format!("{home}/.cache/ol-flows/venv/bin/python"));
        let mut child = Command::new(python)
            .args(["-c", include_str!("readers.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let questions = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, questions, answers }
    }

    /// What both readers find in the current snapshot: `pyiceberg`, `duckdb`, and `total` from its summary.
    pub(crate) fn read(&mut self, table: &LakeTable) -> Value {
        writeln!(self.questions, "{}", table.metadata_location()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("no answer of the readers: {error}"))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
