//! A server of the tests: a process with a folder and a port of its own, which never outlives the test binary.
//!
//! A small shell process stands between us and the server, as it does for Postgres: it waits for the end of its standard
//! input, which the kernel closes however this process ends, and then kills the server and removes the folder.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::postgres::free_port;
use crate::process::Step;

/// Runs the server until the input ends or the server does; `ended` tells of the latter. A server that ends while there is a
/// file `again` is started again.
const KEEPER: &str = r#"
( while :; do
    "$@" >>"$OL_FOLDER/server.log" 2>&1 & echo $! >"$OL_FOLDER/id"; wait $!; code=$?
    [ -e "$OL_FOLDER/again" ] || break
    rm -f "$OL_FOLDER/again"
  done; echo $code >"$OL_FOLDER/ended" ) &
keeper=$!
while read -r _; do :; done
while [ ! -s "$OL_FOLDER/id" ]; do sleep 0.01; done
rm -f "$OL_FOLDER/again"
kill -KILL "$(cat "$OL_FOLDER/id")" 2>/dev/null
wait "$keeper"
rm -rf "$OL_FOLDER"
"#;

/// A server under way.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    folder: PathBuf,
    port: u16,
    keeper: Child,
}

impl Service {
    /// Starts the command that `command` makes for a folder and a free port of this machine.
    pub(crate) fn start(name: &'static str, command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("ol-{name}-"))
            .tempdir()
            .expect("a temporary folder can be made")
            .keep();
        let port = free_port();
        let server = command(&folder, port);
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(server.get_program()).args(server.get_args());
        for (variable, value) in server.get_envs() {
            match value {
                Some(value) => keeper.env(variable, value),
                None => keeper.env_remove(variable),
            };
        }
        let keeper = keeper
            .env("OL_FOLDER", &folder)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // a Ctrl-C at the terminal is ours; the keeper acts when we are gone
            .spawn()
            .expect("a shell can be started");
        Self { name, folder, port, keeper }
    }

    /// The port it was told to listen on, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until `is_ready` says so; panics with what the server said when it ends or takes longer.
    pub(crate) fn wait_until(&self, limit: Duration, mut is_ready: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_ready() {
            let code = self.ended();
            assert!(code.is_none(), "{} ended with {code:?}:\n{}", self.name, self.log_end());
            assert!(
                started.elapsed() < limit,
                "{} was not ready within {limit:?}:\n{}",
                self.name,
                self.log_end()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The exit code of a server that has ended by itself; `None` while it runs.
    pub(crate) fn ended(&self) -> Option<String> {
        let code = std::fs::read_to_string(self.folder.join("ended")).ok()?;
        Some(code.trim().to_owned()).filter(|code| !code.is_empty())
    }

    /// Ends the server by a signal and has it started again; whoever asked waits until it is ready.
    pub(crate) fn restart(&self, signal: &str) {
        let id = std::fs::read_to_string(self.folder.join("id")).expect("the server has an id");
        std::fs::write(self.folder.join("again"), "").expect("the folder takes a file");
        Step::new("kill").args(["-s", signal, id.trim()]).run().expect_code(0);
        let started = Instant::now();
        while self.folder.join("again").exists() {
            assert!(started.elapsed() < Duration::from_secs(60), "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until somebody listens on its port.
    pub(crate) fn wait_until_open(&self, limit: Duration) {
        self.wait_until(limit, || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// The last lines of what it said.
    pub(crate) fn log_end(&self) -> String {
        let log = std::fs::read(self.folder.join("server.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(60)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Its server is killed, so that the end is near; nobody could act on a failure here.
        let _ = self.keeper.wait();
    }
}
