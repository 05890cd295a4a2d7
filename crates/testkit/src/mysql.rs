//! A private MariaDB server: made in a temporary folder, ended and removed with the test binary.
//!
//! Its binary log is as change capture needs it: row by row, whole rows, with the names and types of columns, and with
//! global transaction ids.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::postgres::Stop;
use crate::process::Step;
use crate::service::Service;
use crate::session::Session;

/// An account that may do anything.
const USER: &str = "ol_super";

/// Durability is given up for speed: no test here asks the *server* to survive a crash.
const SETTINGS: &[&str] = &[
    "log-bin=binlog",
    "server-id=1",
    "binlog-format=ROW",
    "binlog-row-image=FULL",
    "binlog-row-metadata=FULL",
    "gtid-strict-mode=ON",
    "sync-binlog=0",
    "innodb-flush-log-at-trx-commit=0",
    "innodb-buffer-pool-size=128M",
    "bind-address=127.0.0.1",
    "skip-name-resolve",
    "max-connections=200",
    "max-allowed-packet=64M",
    "character-set-server=utf8mb4",
];

/// A running server.
#[derive(Debug)]
pub struct MysqlServer {
    password: String,
    databases: AtomicU32,
    service: Service,
}

impl MysqlServer {
    /// The server of this test binary, started at the first call.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<MysqlServer> = OnceLock::new();
        SERVER.get_or_init(|| Self::start_with(&[]))
    }

    /// Starts a server of one's own with further settings (`default-time-zone=+05:30`), which win over ours.
    pub fn start_with(settings: &[&str]) -> Self {
        let password = format!("pw-{}", uuid::Uuid::new_v4().simple());
        let account = format!(
            "CREATE USER '{USER}'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        );
        let service = Service::start("mariadb", |folder, port| {
            std::fs::write(folder.join("init.sql"), &account).expect("a script can be written");
            make(folder);
            server(folder, port, settings)
        });
        let server = Self { password, databases: AtomicU32::new(0), service };
        server.wait_until_ready();
        server
    }

    /// Stops the server and starts it again.
    pub fn restart(&self, how: Stop) {
        self.service.restart(match how {
            Stop::Fast => "TERM",
            Stop::Immediate => "KILL",
        });
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        self.service.wait_until(Duration::from_secs(60), || {
            self.client().args(["--execute", "SELECT 1"]).run().status.success()
        });
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.service.port()
    }

    /// The account that may do anything.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// Its password. No output of our binaries may ever hold it.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The client program, logged in.
    fn client(&self) -> Step {
        Step::new("mariadb")
            .args(["--no-defaults", "--default-character-set=utf8mb4", "--binary-mode"])
            .args(["--batch", "--skip-column-names", "--raw"])
            .args(["--host=127.0.0.1", "--user", USER, "--port"])
            .arg(self.port().to_string())
            .env("MYSQL_PWD", &self.password)
    }

    /// An empty utf8mb4 database; a number is added to its name, so that two tests cannot meet.
    pub fn create_database(&self, name: &str) -> MysqlDatabase<'_> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}_{number}");
        let database = self.database(&name);
        let made = format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4");
        self.client().args(["--execute", &made]).run().expect_code(0);
        database
    }

    /// A database that a script makes, or that every server has.
    pub fn database(&self, name: &str) -> MysqlDatabase<'_> {
        MysqlDatabase { server: self, name: name.to_owned() }
    }
}

/// One database of a server.
#[derive(Debug)]
pub struct MysqlDatabase<'a> {
    server: &'a MysqlServer,
    name: String,
}

impl MysqlDatabase<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server it belongs to.
    pub fn server(&self) -> &MysqlServer {
        self.server
    }

    /// The address with the account that may do anything.
    pub fn url(&self) -> String {
        self.url_as(USER, &self.server.password)
    }

    /// The address for another account.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("mysql://{user}:{password}@127.0.0.1:{}/{}", self.server.port(), self.name)
    }

    /// The address through another port of this machine.
    pub fn url_through(&self, port: u16) -> String {
        format!("mysql://{USER}:{}@127.0.0.1:{port}/{}", self.server.password, self.name)
    }

    /// Runs SQL and returns what it printed, one row a line, fields separated by tabs; panics when it fails.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        let step = self.server.client().args(["--database", &self.name]).input(sql);
        step.run().expect_code(0).stdout.trim_end_matches('\n').to_owned()
    }

    /// Runs SQL that may fail; what it printed, or what the client complained of.
    ///
    /// # Errors
    /// A statement failed, or the server is not there.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        let finished = self.server.client().args(["--database", &self.name]).input(sql).run();
        match finished.status.success() {
            true => Ok(finished.stdout.trim_end_matches('\n').to_owned()),
            false => Err(finished.stderr),
        }
    }

    /// A connection that stays open.
    pub fn session(&self) -> Session {
        let mut command = Command::new("mariadb");
        command
            .args(["--no-defaults", "--default-character-set=utf8mb4", "--binary-mode"])
            .args(["--batch", "--skip-column-names", "--raw", "--unbuffered"])
            .args(["--host=127.0.0.1", "--user", USER, "--port"])
            .arg(self.server.port().to_string())
            .args(["--database", &self.name])
            .env("MYSQL_PWD", &self.server.password);
        Session::of(command)
    }

    /// Runs an SQL file, which may name databases of its own.
    #[track_caller]
    pub fn file(&self, script: &Path) {
        let text = std::fs::read(script).expect("the script can be read");
        self.server.client().input(text).run().expect_code(0);
    }
}

/// Makes the system tables. A server that starts removes every temporary table of its folder for them, also those of another
/// server, so each has a folder of its own.
fn make(folder: &Path) {
    let made = Step::new("mariadb-install-db")
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .arg(format!("--datadir={}", folder.join("data").display()))
        .env("TMPDIR", folder)
        .run();
    assert!(
        made.status.success(),
        "mariadb-install-db failed (deploy/scripts/install.sh base brings MariaDB): {}{}",
        made.stdout,
        made.stderr
    );
}

fn server(folder: &Path, port: u16, settings: &[&str]) -> Command {
    let mut command = Command::new("/usr/sbin/mariadbd");
    command.arg("--no-defaults").arg(format!("--datadir={}", folder.join("data").display()));
    command.arg(format!("--socket={}", folder.join("mariadb.sock").display()));
    command.arg(format!("--init-file={}", folder.join("init.sql").display()));
    command.arg(format!("--tmpdir={}", folder.display()));
    command.arg(format!("--port={port}"));
    // As root it starts only when it is told to be root; for others the setting would be a warning.
    if Step::new("id").arg("-u").run().stdout.trim() == "0" {
        command.arg("--user=root");
    }
    for setting in SETTINGS.iter().chain(settings) {
        command.arg(format!("--{setting}"));
    }
    command
}
