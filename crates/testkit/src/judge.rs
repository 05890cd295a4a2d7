//! The judge: a process that runs the Python programs of the tests, so that each need not import what all need.
//!
//! `tests/readers/judge.py` says how, and why no request can see anything of another. It is started at the first request and
//! ends with the test binary; requests of several threads run beside each other.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::binary::workspace_root;
use crate::process::Finished;
use crate::python::Python;
use crate::service::Service;

/// How long the judge may take to import what it needs, on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How long a program may run.
const LIMIT: Duration = Duration::from_secs(600);

/// A run of a Python program that is asked of the judge.
#[derive(Debug, Default)]
pub struct Question {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    input: String,
}

impl Question {
    /// A program in a folder under `tests`, which sees nothing on its standard input.
    pub(crate) fn program(folder: &str, name: &str) -> Self {
        Self { program: text(file(folder, name).as_os_str()), ..Self::default() }
    }

    /// The text of a program, as it stands behind `-c`.
    pub(crate) fn script(script: &str) -> Self {
        Self { program: "-c".to_owned(), ..Self::default() }.arg(script)
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(text(argument.as_ref()));
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.to_owned(), text(value.as_ref()));
        self
    }

    /// Gives the program this text on its standard input.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = text.into();
        self
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(self) -> Finished {
        static SHARED: Place = Place(Mutex::new(None));
        self.run_in(&SHARED)
    }

    #[track_caller]
    fn run_in(self, place: &Place) -> Finished {
        let judge = place.judge();
        let started = Instant::now();
        let request = json!({
            "program": self.program, "arguments": self.arguments,
            "environment": self.environment, "input": self.input,
        });
        let line = judge.answer(&request).unwrap_or_else(|failure| {
            if failure.kind() == std::io::ErrorKind::WouldBlock {
                panic!("{} did not end within {LIMIT:?}", self.program);
            }
            panic!(
                "the judge does not answer for {} ({failure}); it said:\n{}",
                self.program,
                judge.service.log_end()
            )
        });
        let answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the judge says no JSON ({error}): {line}"));
        let said = |stream| answer.get(stream).and_then(Value::as_str).unwrap_or_default();
        let number = |name| answer.get(name).and_then(Value::as_u64);
        let status = number("status").and_then(|status| i32::try_from(status).ok());
        Finished {
            status: ExitStatus::from_raw(status.expect("the judge says how a program ended")),
            stdout: said("stdout").to_owned(),
            stderr: said("stderr").to_owned(),
            seconds: started.elapsed().as_secs_f64(),
            peak_bytes: number("peak_bytes").unwrap_or_default(),
        }
    }
}

fn text(argument: &OsStr) -> String {
    argument.to_str().expect("what a program is told is UTF-8").to_owned()
}

/// The process that imports what the programs need and is forked for each of them.
#[derive(Debug)]
struct Judge {
    service: Service,
}

/// Where a judge is kept.
#[derive(Debug)]
struct Place(Mutex<Option<Arc<Judge>>>);

impl Place {
    /// The judge that is kept here. One that has ended is told of, and another is started in its place.
    fn judge(&self) -> Arc<Judge> {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(judge) = kept.as_ref() {
            let Some(code) = judge.service.ended() else { return Arc::clone(judge) };
            eprintln!("the judge ended with {code}; it said:\n{}", judge.service.log_end());
        }
        let judge = Arc::new(Judge::start());
        *kept = Some(Arc::clone(&judge));
        judge
    }
}

impl Judge {
    fn start() -> Self {
        let program = file("readers", "judge.py");
        let service = Service::start("judge", |_, port| {
            let mut command = Command::new(Python::Readers.path());
            command.arg(program).args(["--port", &port.to_string()]);
            // The digests of strings are those of this seed (`digest.py`), and no program leaves bytecode in the checkout.
            command.env("PYTHONHASHSEED", "0").env("PYTHONDONTWRITEBYTECODE", "1");
            command
        });
        service.wait_until_open(START);
        Self { service }
    }

    fn answer(&self, request: &Value) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.service.port()))?;
        connection.set_read_timeout(Some(LIMIT))?;
        connection.write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line)?;
        if line.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }
}

/// A Python program in a folder under `tests`.
pub(crate) fn file(folder: &str, name: &str) -> PathBuf {
    workspace_root().join("tests").join(folder).join(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::process::Step;

    fn script(script: &str) -> Question {
        Question::script(script)
    }

    #[test]
    fn a_request_sees_nothing_of_another() {
        let marks = "import os, sys, lake, duckdb\n\
                     print(hasattr(lake, 'seen'), os.environ.get('SEEN'), os.getcwd() == '/', 'seen' in globals())\n\
                     print(duckdb.sql('SELECT count(*) FROM duckdb_tables()').fetchone()[0])\n\
                     lake.seen = seen = os.environ['SEEN'] = 'yes'; os.chdir('/')\n\
                     duckdb.sql('CREATE TABLE seen (n int)')";
        for _ in 0..2 {
            let finished = script(marks).run().expect_code(0);
            assert_eq!(finished.stdout, "False None False False\n0\n", "{}", finished.stderr);
        }
    }

    /// The same output, errors and code as from the interpreter, for every way in which a program ends.
    #[test]
    fn a_program_ends_as_the_interpreter_ends_it() {
        let input = "é\nü\n";
        for text in [
            "import sys; print(sys.argv, sys.stdin.read())",
            "print('said'); raise KeyError('né')",
            "import sys; sys.exit(3)",
            "import sys; sys.exit(-1)",
            "import sys; sys.exit('a sentence')",
            "import sys; sys.exit(None)",
            "import atexit; atexit.register(print, 'at the end')",
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "no program",
        ] {
            let ours = script(text).arg("b").input(input).run();
            let theirs =
                Step::new(Python::Readers.path()).args(["-c", text, "b"]).input(input).run();
            assert_eq!(ours.status, theirs.status, "{text}");
            assert_eq!((ours.stdout, ours.stderr), (theirs.stdout, theirs.stderr), "{text}");
        }
        for arguments in [&["--catalog", "sqlite:/nowhere", "--namespace", "n"][..], &[]] {
            let ours = Question::program("readers", "state.py").args(arguments).run();
            let theirs = Step::new(Python::Readers.path())
                .arg(file("readers", "state.py"))
                .args(arguments)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .run();
            assert!(ours.code() > 0, "{}", ours.stdout);
            assert_eq!((ours.status, ours.stderr), (theirs.status, theirs.stderr));
        }
    }

    #[test]
    fn requests_run_beside_each_other() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        // Each waits for the other.
        let meets = |mine: &Path, other: &Path| {
            let waits = "import pathlib, sys, time\npathlib.Path(sys.argv[1]).touch()\n\
                         while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)";
            script(waits).arg(mine).arg(other).run().expect_code(0)
        };
        std::thread::scope(|scope| {
            scope.spawn(|| meets(&here, &there));
            meets(&there, &here);
        });
    }

    /// A request fails whose judge is killed, nothing that it ran is left, and the next one has a judge again.
    #[test]
    fn a_judge_that_dies_is_told_and_followed_by_another() {
        let place = Place(Mutex::new(None));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let id = folder.path().join("id");
        let kills = "import os, signal, sys, time\nopen(sys.argv[1], 'w').write(str(os.getpid()))\n\
                     os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)";
        let question = script(kills).arg(&id);
        let killed = std::panic::catch_unwind(|| question.run_in(&place));
        let told = killed.expect_err("its judge is killed");
        let told = told.downcast::<String>().expect("a panic says a sentence");
        assert!(told.contains("the judge does not answer for -c"), "{told}");
        let id = std::fs::read_to_string(&id).expect("the program has told its id");
        let started = Instant::now();
        while is_alive(&id) {
            assert!(started.elapsed() < START, "what the judge ran goes on without it");
            std::thread::sleep(Duration::from_millis(10));
        }
        let judge = place.0.lock().expect("nobody panics while holding it").clone();
        let judge = judge.expect("there was a judge");
        while judge.service.ended().is_none() {
            assert!(started.elapsed() < START, "the judge goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(script("print('again')").run_in(&place).expect_code(0).stdout, "again\n");
    }

    fn is_alive(process: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    }
}
