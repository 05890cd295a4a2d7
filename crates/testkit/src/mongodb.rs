//! Private servers that speak MongoDB's protocol: two that hold documents, and one that says what it is told to say.
//!
//! MongoDB's own server comes from no package registry that may be used, so neither is it. The first is mongo-java-server: it
//! stores, sorts and hands out documents in batches, and knows neither logins nor replica sets; what stands beside it in
//! `tests/servers/mongodb` makes it a replica set of one member, with a log and change streams. The second is FerretDB over
//! SQLite: it knows logins and TLS, and no log. The third, `tests/mongodb/stand_in.py`, holds constructed documents and gives
//! the answers that no server gives when it is asked to. What none can show is named in `docs/mongodb.md`.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::install::{install, java};
use crate::judge::{Question, file};
use crate::process::Step;
use crate::python::Python;
use crate::service::Service;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);

/// Who may do everything on a server with logins.
const OWNER: &str = "owner:open-sesame@";

/// A running server that holds documents.
#[derive(Debug)]
pub struct MongoServer {
    databases: AtomicU32,
    service: Service,
    /// What stands before the host in its owner's addresses.
    owner: &'static str,
    /// What stands behind them.
    options: &'static str,
}

impl MongoServer {
    /// The server of this test binary, started at the first call.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<MongoServer> = OnceLock::new();
        SERVER.get_or_init(|| Self::start(None))
    }

    /// The one that is a replica set of one member, so that its changes can be followed; started at the first call.
    pub fn member() -> &'static Self {
        static SERVER: OnceLock<MongoServer> = OnceLock::new();
        SERVER.get_or_init(|| Self::start(Some("rs")))
    }

    /// Another such server, of one test, whose log may be forgotten and whose commands may fail. It lives as long as the test binary.
    pub fn start_leaked_member() -> &'static Self {
        Box::leak(Box::new(Self::start(Some("rs"))))
    }

    fn start(replica_set: Option<&str>) -> Self {
        let cache = install(&["mongodb"]);
        let home = cache.join("mongodb");
        let service = Service::start("mongodb", |folder, port| {
            let mut command = Command::new(java(&cache));
            command
                .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
                .args(["-XX:-UsePerfData", "-Duser.timezone=UTC", "-Dfile.encoding=UTF-8"])
                .arg(format!("-Djava.io.tmpdir={}", folder.display()))
                .arg("-cp")
                .arg(format!("{0}/classes:{0}/lib/*", home.display()))
                .args(["Main", &port.to_string()])
                .args(replica_set);
            command
        });
        service.wait_until_open(START);
        Self { databases: AtomicU32::new(0), service, owner: "", options: "" }
    }

    /// A FerretDB of one test; the files of a certificate and its key make it speak TLS alone.
    pub fn start_ferretdb(tls: Option<(&str, &str)>) -> Self {
        let cache = install(&["ferretdb"]);
        let (name, password) = OWNER.trim_end_matches('@').split_once(':').unwrap_or((OWNER, ""));
        let service = Service::start("ferretdb", |folder, port| {
            let mut command = Command::new(cache.join("ferretdb/bin/ferretdb"));
            command
                .args([
                    "--handler=sqlite",
                    "--debug-addr=-",
                    "--telemetry=disable",
                    "--log-level=warn",
                ])
                .arg(format!("--sqlite-url=file:{}/", folder.display()))
                .arg(format!("--state-dir={}", folder.display()))
                .args(["--test-enable-new-auth", "--setup-database=admin"])
                .args([format!("--setup-username={name}"), format!("--setup-password={password}")]);
            let address = format!("127.0.0.1:{port}");
            match tls {
                None => command.arg(format!("--listen-addr={address}")),
                Some((certificate, key)) => command
                    .args(["--listen-addr=".to_owned(), format!("--listen-tls={address}")])
                    .arg(format!("--listen-tls-cert-file={certificate}"))
                    .arg(format!("--listen-tls-key-file={key}")),
            };
            command
        });
        service.wait_until_open(START);
        let options = if tls.is_some() {
            "?authSource=admin&tls=true&tlsInsecure=true"
        } else {
            "?authSource=admin"
        };
        Self { databases: AtomicU32::new(0), service, owner: OWNER, options }
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.service.port()
    }

    /// A database of this name with a number behind it, so that two tests cannot meet.
    pub fn create_database(&self, name: &str) -> MongoDatabase<'_> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        MongoDatabase { server: self, name: format!("{name}_{number}") }
    }
}

/// One database of a server.
#[derive(Debug)]
pub struct MongoDatabase<'a> {
    server: &'a MongoServer,
    name: String,
}

impl MongoDatabase<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server it belongs to.
    pub fn server(&self) -> &MongoServer {
        self.server
    }

    /// The address.
    pub fn url(&self) -> String {
        self.url_through(self.server.port())
    }

    /// The address through another port of this machine.
    pub fn url_through(&self, port: u16) -> String {
        let MongoServer { owner, options, .. } = self.server;
        format!("mongodb://{owner}127.0.0.1:{port}/{}{options}", self.name)
    }

    /// The address of somebody else, who is said before the host, with other options.
    pub fn url_of(&self, login: &str, options: &str) -> String {
        format!("mongodb://{login}127.0.0.1:{}/{}{options}", self.server.port(), self.name)
    }

    /// Runs commands, one in extended JSON a line, by `PyMongo`; the answers, a line each. Panics when one is refused.
    #[track_caller]
    pub fn run(&self, commands: &str) -> String {
        self.commands(&self.name, commands)
    }

    /// The same with commands of the whole server.
    #[track_caller]
    pub fn admin(&self, commands: &str) -> String {
        self.commands("admin", commands)
    }

    #[track_caller]
    fn commands(&self, database: &str, commands: &str) -> String {
        let client = Question::program("mongodb", "client.py").args(["--url", &self.server_url()]);
        client.args(["--database", database]).input(commands).run().expect_code(0).stdout
    }

    /// A Python program of `tests/mongodb` that is told where the server is, in a process of its own, which may be killed.
    pub fn program(&self, name: &str) -> Step {
        Step::new(Python::Readers.path())
            .arg(file("mongodb", name))
            .env("PYTHONPATH", file("readers", ""))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["--url", &self.server_url()])
    }

    /// The address of the server, without the database.
    pub fn server_url(&self) -> String {
        let MongoServer { owner, options, .. } = self.server;
        format!("mongodb://{owner}127.0.0.1:{}/{options}", self.server.port())
    }
}

/// A running server that says what it is told to say.
#[derive(Debug)]
pub struct MongoStandIn {
    service: Service,
}

impl MongoStandIn {
    /// Starts `tests/mongodb/stand_in.py` with these arguments; its head tells of them.
    pub fn start(arguments: &[&str]) -> Self {
        let service = Service::start("mongodb-stand-in", |_, port| {
            let mut command = Command::new(Python::Readers.path());
            command.arg(file("mongodb", "stand_in.py"));
            command.args(["--port", &port.to_string()]).args(arguments);
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            command
        });
        service.wait_until_open(START);
        Self { service }
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.service.port()
    }

    /// The address of its only database.
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/zoo", self.port())
    }
}
