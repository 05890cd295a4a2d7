//! One connection that stays open: a psql that is spoken to through its standard input.
//!
//! A test that needs transactions over several calls, or a writer that runs beside what is tested, needs a session of
//! its own, and psql is a client that shares no code with ours. Each script ends with a line of its own that psql prints,
//! so the end of an answer is known; psql ends at the first error, so what fails is never taken for done.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A psql that waits for the next script.
#[derive(Debug)]
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    scripts: u64,
}

/// A script that was not carried out to its end.
#[derive(Debug)]
pub struct Broken {
    /// The rows that came before the failure.
    pub rows: Vec<String>,
    /// What psql said.
    pub told: String,
}

impl Session {
    /// Opens a connection. The first script tells whether that succeeded.
    ///
    /// Values are written as `tests/readers/source.py` has them written, and a commit is answered when it is in the log.
    pub fn open(psql: &Path, url: &str) -> Self {
        let mut child = Command::new(psql)
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-F",
                "\t",
                "-v",
                "ON_ERROR_STOP=1",
                "-v",
                "VERBOSITY=verbose",
            ])
            .args(["-d", url])
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGOPTIONS", OPTIONS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql can be started");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self { child, input, output, scripts: 0 }
    }

    /// Carries out a script, and returns what it printed, a row a line, fields separated by tabs.
    ///
    /// # Errors
    /// [`Broken`] when a statement fails or the connection does; the session is of no use afterwards.
    pub fn run(&mut self, script: &str) -> Result<Vec<String>, Broken> {
        self.scripts += 1;
        let end = format!("end of script {}", self.scripts);
        if let Some(input) = &mut self.input {
            // A psql that has ended is noticed below, with what it said.
            let _ = input
                .write_all(format!("{script}\n;SELECT '{end}';\n").as_bytes())
                .and_then(|()| input.flush());
        }
        let mut rows = Vec::new();
        loop {
            let mut line = String::new();
            match self.output.read_line(&mut line) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Broken { rows, told: self.last_words() }),
            }
            let line = line.trim_end_matches('\n');
            if line == end {
                return Ok(rows);
            }
            rows.push(line.to_owned());
        }
    }

    /// The one value of a query.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn value(&mut self, query: &str) -> Result<String, Broken> {
        Ok(self.run(query)?.pop().unwrap_or_default())
    }

    fn last_words(&mut self) -> String {
        self.input = None;
        let mut told = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut stderr, &mut told);
        }
        let _ = self.child.wait();
        told
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The connection ends with its client, at once, as it would if the client's machine went away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings of the judge's own sessions, and commits that are in the log when they are answered.
const OPTIONS: &str = "-c timezone=UTC -c datestyle=ISO,YMD -c intervalstyle=postgres -c extra_float_digits=1 \
                       -c bytea_output=hex -c standard_conforming_strings=on -c synchronous_commit=on \
                       -c client_min_messages=warning";
