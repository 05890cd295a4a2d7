//! One connection that stays open: a psql, or MariaDB's client, that is spoken to through its standard input.
//!
//! A test that needs transactions over several calls, or a writer that runs beside what is tested, needs a session of
//! its own, and these are clients that share no code with ours. Each script ends with a line of its own that the client
//! prints, so the end of an answer is known; it ends at the first error, so what fails is never taken for done.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

/// How many bytes of psql's complaints are kept.
const KEPT_COMPLAINTS: usize = 16_384;

/// A client that waits for the next script.
#[derive(Debug)]
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Reads what the client complains of, so that it never waits for a reader; the last of it.
    complaints: Option<JoinHandle<String>>,
    scripts: u64,
}

/// A script that was not carried out to its end.
#[derive(Debug)]
pub struct Broken {
    /// The rows that came before the failure.
    pub rows: Vec<String>,
    /// What the client said.
    pub told: String,
}

impl Session {
    /// Opens a connection. The first script tells whether that succeeded.
    ///
    /// Values are written as `tests/readers/source.py` has them written, and a commit is answered when it is in the log.
    pub fn open(psql: &Path, url: &str) -> Self {
        let mut command = Command::new(psql);
        command
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
            .env("PGOPTIONS", OPTIONS);
        Self::of(command)
    }

    /// A client that takes scripts on its standard input and prints each answer at once.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client can be started");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut stderr = child.stderr.take().expect("stderr is a pipe");
        let complaints = thread::spawn(move || {
            let (mut last, mut part) = (Vec::new(), [0; 8_192]);
            while let Ok(count @ 1..) = stderr.read(&mut part) {
                last.extend_from_slice(part.get(..count).unwrap_or_default());
                let old = last.len().saturating_sub(KEPT_COMPLAINTS);
                last.drain(..old);
            }
            String::from_utf8_lossy(&last).into_owned()
        });
        Self { child, input, output, complaints: Some(complaints), scripts: 0 }
    }

    /// Carries out a script, and returns what it printed, a row a line, fields separated by tabs.
    ///
    /// # Errors
    /// [`Broken`] when a statement fails or the connection does; the session is of no use afterwards.
    pub fn run(&mut self, script: &str) -> Result<Vec<String>, Broken> {
        self.scripts += 1;
        let end = format!("end of script {}", self.scripts);
        if let Some(input) = &mut self.input {
            // A client that has ended is noticed below, with what it said.
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
        let _ = self.child.wait();
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        complaints.unwrap_or_default()
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
