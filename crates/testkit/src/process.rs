//! Child processes with an end: every one has a time limit, and what it used is known.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a child is looked at; its peak memory is the kernel's own high-water mark, so little is missed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A command to be run to its end.
#[derive(Debug)]
pub struct Step {
    command: Command,
    limit: Duration,
    input: Option<Vec<u8>>,
}

impl Step {
    /// A command that may take ten minutes and sees nothing on its standard input.
    pub fn new(program: impl AsRef<Path>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null());
        Self { command, limit: Duration::from_secs(600), input: None }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<std::ffi::OsStr>>(
        mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs in this folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives the child these bytes on its standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Keeps the child's standard input open, without a byte, for as long as the child is waited for.
    #[must_use]
    pub fn open_input(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    /// Replaces the time limit.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts the command without waiting for it.
    pub fn start(mut self) -> Running {
        let shown = format!("{:?}", self.command.get_program());
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{shown} could not be started: {error}"));
        if let Some(bytes) = self.input {
            let mut input = child.stdin.take().expect("stdin is a pipe");
            // A child that does not read to the end is no failure of the test.
            thread::spawn(move || input.write_all(&bytes));
        }
        let stdout = drained(child.stdout.take().expect("stdout is a pipe"));
        let stderr = drained(child.stderr.take().expect("stderr is a pipe"));
        Running {
            child,
            shown,
            stdout: Some(stdout),
            stderr: Some(stderr),
            started: Instant::now(),
            limit: self.limit,
            peak_bytes: 0,
        }
    }

    /// Runs the command to its end.
    pub fn run(self) -> Finished {
        self.start().wait()
    }
}

/// A child under way; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    shown: String,
    stdout: Option<Drained>,
    stderr: Option<Drained>,
    started: Instant,
    limit: Duration,
    peak_bytes: u64,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written on standard output so far.
    pub fn said(&self) -> String {
        self.stdout.as_ref().map(Drained::so_far).unwrap_or_default()
    }

    /// What it has written on standard error so far.
    pub fn told(&self) -> String {
        self.stderr.as_ref().map(Drained::so_far).unwrap_or_default()
    }

    /// Whether it runs.
    pub fn lives(&mut self) -> bool {
        self.look().is_none()
    }

    /// Waits for a whole first line on standard output.
    #[track_caller]
    pub fn first_line(&mut self, limit: Duration) -> String {
        let started = Instant::now();
        loop {
            if let Some((line, _)) = self.said().split_once('\n') {
                return line.to_owned();
            }
            let ended = self.look().is_some();
            assert!(
                !ended && started.elapsed() < limit,
                "{} did not write a line; it said: {}{}",
                self.shown,
                self.said(),
                self.told()
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Sends a signal by name (`KILL`, `TERM`, …).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "SIG{name} could not be sent to {}",
            self.shown
        );
    }

    /// Waits until `happened` says so, or the child ends, or `limit` has passed; tells whether it happened.
    pub fn wait_until(&mut self, limit: Duration, mut happened: impl FnMut() -> bool) -> bool {
        let started = Instant::now();
        while started.elapsed() < limit {
            if happened() {
                return true;
            }
            if self.look().is_some() {
                return happened();
            }
            thread::sleep(LOOK_EVERY);
        }
        false
    }

    /// Waits until the child has said what it does on SIGTERM; before that, the signal just ends it.
    #[track_caller]
    pub fn wait_until_it_minds_sigterm(&mut self) {
        /// The bit of SIGTERM in a mask of signals (`man 5 proc`, SigCgt).
        const SIGTERM: u64 = 1 << 14;
        let status = format!("/proc/{}/status", self.id());
        let minds = || {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.is_some_and(|mask| mask & SIGTERM != 0)
        };
        let minded = self.wait_until(Duration::from_secs(60), minds);
        assert!(minded, "{} takes no notice of SIGTERM; it said: {}", self.shown, self.told());
    }

    /// Waits until the child has used no processor time for `quiet`, as one that stands still does; tells whether it
    /// came to that before `limit` had passed or the child had ended.
    pub fn wait_until_quiet(&mut self, limit: Duration, quiet: Duration) -> bool {
        let process = self.id();
        let (mut used, mut since) = (None, Instant::now());
        self.wait_until(limit, || {
            let now = processor_ticks(process);
            if now != used {
                (used, since) = (now, Instant::now());
            }
            now.is_some() && since.elapsed() > quiet
        })
    }

    /// Waits for the end; a child that outlives its limit is killed, and the test has failed.
    pub fn wait(mut self) -> Finished {
        let status = loop {
            if let Some(status) = self.look() {
                break status;
            }
            if self.started.elapsed() > self.limit {
                self.child.kill().expect("our own child can be killed");
                let told = self.stderr.take().map(text).unwrap_or_default();
                panic!("{} did not end within {:?}; it said:\n{told}", self.shown, self.limit);
            }
            thread::sleep(LOOK_EVERY);
        };
        Finished {
            status,
            stdout: self.stdout.take().map(text).unwrap_or_default(),
            stderr: self.stderr.take().map(text).unwrap_or_default(),
            seconds: self.started.elapsed().as_secs_f64(),
            peak_bytes: self.peak_bytes,
        }
    }

    fn look(&mut self) -> Option<ExitStatus> {
        self.peak_bytes = self.peak_bytes.max(high_water_bytes(self.child.id()).unwrap_or(0));
        self.child.try_wait().expect("our own child can be waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command that has ended left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote on standard output.
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
    /// Wall time.
    pub seconds: f64,
    /// The most resident memory it had, by the kernel's count.
    pub peak_bytes: u64,
}

impl Finished {
    /// The exit code; -1 when a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Demands an exit code, and shows what was said when it is another.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            code,
            "the exit code ({})\n--- standard output\n{}\n--- standard error\n{}",
            self.status,
            end_of(&self.stdout),
            end_of(&self.stderr)
        );
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "standard output is not one JSON document ({error}):\n{}\n{}",
                end_of(&self.stdout),
                end_of(&self.stderr)
            )
        })
    }
}

/// The last part of what a command said: enough to see why it failed.
fn end_of(said: &str) -> &str {
    let mut start = said.len().saturating_sub(6_000);
    while !said.is_char_boundary(start) {
        start += 1;
    }
    said.get(start..).unwrap_or(said)
}

/// What is read from a pipe by a thread of its own.
#[derive(Debug)]
struct Drained {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Drained {
    fn so_far(&self) -> String {
        let bytes = self.bytes.lock().expect("a reader of a pipe does not panic");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn drained(mut pipe: impl Read + Send + 'static) -> Drained {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bytes);
    let thread = thread::spawn(move || {
        let mut part = [0; 65_536];
        // A child that is killed while it writes leaves what it had written.
        while let Ok(count @ 1..) = pipe.read(&mut part) {
            let mut kept = kept.lock().expect("nobody panics while looking");
            kept.extend_from_slice(part.get(..count).unwrap_or_default());
        }
    });
    Drained { bytes, thread }
}

fn text(drained: Drained) -> String {
    drained.thread.join().expect("a reader of a pipe does not panic");
    let bytes = drained.bytes.lock().expect("a reader of a pipe does not panic");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `VmHWM` of a process: the most resident memory it has had.
fn high_water_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Processor time of a process, user and system, in clock ticks; `None` when it has ended.
fn processor_ticks(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold anything; what follows it starts with the third field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok());
    Some(ticks(11)? + ticks(12)?)
}
