//! Private servers of MariaDB and MySQL: made in a temporary folder, ended and removed with the test binary.
//!
//! Their binary logs are as change capture needs them: row by row, whole rows, with the names and types of columns, and with
//! global transaction ids.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::install::install;
use crate::postgres::Stop;
use crate::process::{Finished, Step};
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
    "sync-binlog=0",
    "innodb-flush-log-at-trx-commit=0",
    "innodb-buffer-pool-size=128M",
    "bind-address=127.0.0.1",
    "skip-name-resolve",
    "max-connections=200",
    "max-allowed-packet=64M",
    "character-set-server=utf8mb4",
];

/// What each has besides.
const OF_MARIADB: &[&str] = &["gtid-strict-mode=ON"];
const OF_MYSQL: &[&str] = &[
    "gtid-mode=ON",
    "enforce-gtid-consistency=ON",
    "mysqlx=OFF",
    "secure-file-priv=",
    "innodb-redo-log-capacity=64M",
    "cte-max-recursion-depth=1000000",
];

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// MariaDB, as Debian's release has it.
    MariaDb,
    /// MySQL, as `deploy/scripts/install.sh mysql` brings it.
    MySql,
}

/// A running server.
#[derive(Debug)]
pub struct MysqlServer {
    software: Software,
    password: String,
    databases: AtomicU32,
    service: Service,
}

impl MysqlServer {
    /// The MariaDB of this test binary, started at the first call.
    pub fn shared() -> &'static Self {
        Self::shared_of(Software::MariaDb)
    }

    /// The server of this test binary, started at the first call.
    pub fn shared_of(software: Software) -> &'static Self {
        static MARIADB: OnceLock<MysqlServer> = OnceLock::new();
        static MYSQL: OnceLock<MysqlServer> = OnceLock::new();
        let server = match software {
            Software::MariaDb => &MARIADB,
            Software::MySql => &MYSQL,
        };
        server.get_or_init(|| Self::start(software, &[]))
    }

    /// Starts a MariaDB of one's own with further settings (`default-time-zone=+05:30`), which win over ours.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start(Software::MariaDb, settings)
    }

    /// Starts a server of one's own with further settings, which win over ours.
    pub fn start(software: Software, settings: &[&str]) -> Self {
        let password = format!("pw-{}", uuid::Uuid::new_v4().simple());
        let account = format!(
            "CREATE USER '{USER}'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        );
        let name = match software {
            Software::MariaDb => "mariadb",
            Software::MySql => "mysql",
        };
        let service = Service::start(name, |folder, port| {
            std::fs::write(folder.join("init.sql"), &account).expect("a script can be written");
            let mut server = software.server(folder);
            server.arg(format!("--socket={}", folder.join("server.sock").display()));
            server.arg(format!("--init-file={}", folder.join("init.sql").display()));
            server.arg(format!("--port={port}"));
            for setting in SETTINGS.iter().chain(software.settings()).chain(settings) {
                server.arg(format!("--{setting}"));
            }
            server
        });
        let server = Self { software, password, databases: AtomicU32::new(0), service };
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

    /// Whose it is.
    pub fn software(&self) -> Software {
        self.software
    }

    /// The client program, logged in.
    fn client(&self) -> Step {
        Step::new("mariadb").args(self.login()).env("MYSQL_PWD", &self.password)
    }

    fn login(&self) -> Vec<String> {
        // A new account of MySQL hands its password over, which is done over an encrypted connection only; a MariaDB offers none.
        let always = ["--no-defaults", "--ssl", "--default-character-set=utf8mb4", "--binary-mode"];
        let shown = ["--batch", "--skip-column-names", "--raw", "--host=127.0.0.1"];
        let of_this = [format!("--port={}", self.port()), format!("--user={USER}")];
        always.into_iter().chain(shown).map(str::to_owned).chain(of_this).collect()
    }

    /// Has the server forget its log and the ids of all transactions.
    pub fn forget_log(&self) {
        self.database("mysql").sql(match self.software {
            Software::MariaDb => "RESET MASTER",
            Software::MySql => "RESET BINARY LOGS AND GTIDS",
        });
    }

    /// What it has committed, by the ids of transactions.
    fn committed(&self) -> String {
        self.database("mysql").sql(match self.software {
            Software::MariaDb => "SELECT @@gtid_binlog_pos",
            Software::MySql => "SELECT REPLACE(@@GLOBAL.gtid_executed, '\n', '')",
        })
    }

    /// Repeats from here on what another server commits, of which it has nothing but the account of the tests.
    pub fn repeat(&self, other: &Self) {
        let account = "CREATE USER 'repeat'@'%' IDENTIFIED BY 'pw'; GRANT REPLICATION SLAVE ON *.* TO 'repeat'@'%'";
        other.database("mysql").sql(account);
        self.forget_log();
        let (port, place) = (other.port(), other.committed());
        self.database("mysql").sql(&match self.software {
            Software::MariaDb => format!(
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'repeat', MASTER_PASSWORD = 'pw', \
                 MASTER_USE_GTID = slave_pos; SET GLOBAL gtid_slave_pos = '{place}'; START SLAVE"
            ),
            Software::MySql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'repeat', \
                 SOURCE_PASSWORD = 'pw', SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1; SET GLOBAL gtid_purged = '{place}'; START REPLICA"
            ),
        });
    }

    /// Comes to where the other server is, and repeats it no more.
    #[track_caller]
    pub fn take_over(&self, other: &Self) {
        let (system, place) = (self.database("mysql"), other.committed());
        let (wait, stop) = match self.software {
            Software::MariaDb => (format!("SELECT MASTER_GTID_WAIT('{place}', 60)"), "STOP SLAVE"),
            Software::MySql => {
                (format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{place}', 60)"), "STOP REPLICA")
            }
        };
        assert_eq!(system.sql(&wait), "0", "the replica does not come to {place}");
        system.sql(stop);
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
        self.run(sql).expect_code(0).stdout.trim_end_matches('\n').to_owned()
    }

    fn run(&self, sql: &str) -> Finished {
        let sql = self.server.software.spoken(sql);
        self.server.client().args(["--database", &self.name]).input(sql).run()
    }

    /// Runs SQL that may fail; what it printed, or what the client complained of.
    ///
    /// # Errors
    /// A statement failed, or the server is not there.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        let finished = self.run(sql);
        match finished.status.success() {
            true => Ok(finished.stdout.trim_end_matches('\n').to_owned()),
            false => Err(finished.stderr),
        }
    }

    /// A connection that stays open.
    pub fn session(&self) -> Session {
        let mut command = Command::new("mariadb");
        command
            .args(self.server.login())
            .args(["--unbuffered", "--database", &self.name])
            .env("MYSQL_PWD", &self.server.password);
        Session::of(command)
    }

    /// Runs an SQL script, which may name databases of its own.
    #[track_caller]
    pub fn script(&self, text: &str) {
        self.server.client().input(text).run().expect_code(0);
    }
}

impl Software {
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::MariaDb => OF_MARIADB,
            Self::MySql => OF_MYSQL,
        }
    }

    /// Statements of the tests in the server's own words: MySQL has no tables of numbers like MariaDB's `seq_1_to_500`.
    fn spoken(self, sql: &str) -> String {
        let mut pieces = sql.split(" seq_");
        let mut spoken = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let name = piece.split(|it: char| it != '_' && !it.is_ascii_alphanumeric()).next();
            let name = name.unwrap_or_default();
            match (self, name.split_once("_to_")) {
                (Self::MySql, Some((first, last))) => {
                    let (last, step) = last.split_once("_step_").unwrap_or((last, "1"));
                    spoken.push_str(&format!(
                        " (WITH RECURSIVE numbers AS (SELECT {first} AS seq UNION ALL SELECT seq + {step} FROM numbers WHERE seq + {step} <= {last}) \
                         SELECT seq FROM numbers) AS seq_{first}{}",
                        &piece[name.len()..]
                    ));
                }
                _ => spoken.push_str(&format!(" seq_{piece}")),
            }
        }
        spoken
    }

    /// Makes the system tables in a folder; the command that starts a server on them.
    fn server(self, folder: &Path) -> Command {
        let data = format!("--datadir={}", folder.join("data").display());
        // As root it starts only when it is told to be root; for others the setting would be a warning.
        let is_root = Step::new("id").arg("-u").run().stdout.trim() == "0";
        let account = is_root.then_some("--user=root");
        let mut command = match self {
            Self::MariaDb => {
                let made = Step::new("mariadb-install-db")
                    .args(["--no-defaults", "--auth-root-authentication-method=normal"])
                    .args(["--skip-test-db", &data])
                    .env("TMPDIR", folder);
                expect_made(&made.run(), "base");
                let mut command = Command::new("/usr/sbin/mariadbd");
                // A server that starts removes every temporary table of its folder for them, also those of another server.
                command.arg("--no-defaults").arg(format!("--tmpdir={}", folder.display()));
                command
            }
            Self::MySql => {
                let program = install(&["mysql"]).join("mysql/bin/mysqld");
                let made = Step::new(&program)
                    .args(["--no-defaults", "--initialize-insecure", &data])
                    .args(account);
                expect_made(&made.run(), "mysql");
                let mut command = Command::new(program);
                command.arg("--no-defaults");
                command.arg(format!("--pid-file={}", folder.join("server.pid").display()));
                command
            }
        };
        command.arg(data).args(account);
        command
    }
}

#[track_caller]
fn expect_made(made: &Finished, part: &str) {
    assert!(
        made.status.success(),
        "no server could be made (deploy/scripts/install.sh {part} brings it): {}{}",
        made.stdout,
        made.stderr
    );
}
