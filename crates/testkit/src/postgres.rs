//! A private Postgres server: made in a temporary folder, stopped and removed when the test binary ends.
//!
//! A small shell process stands between us and the server. It waits for the end of its standard input, which the kernel
//! closes however this process ends (a panic, an abort, SIGKILL), and then stops the server and removes the folder.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::process::Step;
use crate::session::Session;

/// The superuser of the server.
const USER: &str = "ol_super";

/// Durability is given up for speed: no test here asks the *server* to survive a crash.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=logical",
    "max_replication_slots=100",
    "max_wal_senders=100",
    "shared_buffers=128MB",
    "max_connections=200",
    "max_wal_size=1GB",
    "checkpoint_timeout=1h",
    "listen_addresses=127.0.0.1",
];

/// Waits for the end of its input, then stops the server and removes its folder. A line of input names a signal with
/// which the server is stopped, and started again after the next line.
const KEEPER: &str = r#"
start() { "$@" >>"$OL_FOLDER/server.log" 2>&1 & server=$!; }
start "$@"
while read -r signal; do
  kill "-$signal" "$server"
  wait "$server"
  echo stopped
  read -r go && start "$@"
done
kill -QUIT "$server"
wait "$server"
rm -rf "$OL_FOLDER"
"#;

/// A running server.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    port: u16,
    password: String,
    programs: PathBuf,
    databases: AtomicU32,
    // Dropped (its standard input closed) last of all.
    keeper: Mutex<Child>,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are ended and what is committed is written.
    Fast,
    /// At once, as in a crash; the server recovers from its log when it starts.
    Immediate,
}

impl PostgresServer {
    /// The server of this test binary, started at the first call.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// Starts a server of one's own, for a test that changes or stops it.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further settings (`wal_level=replica`), which win over ours.
    pub fn start_with(settings: &[&str]) -> Self {
        let programs = programs_folder();
        let folder = temporary_folder();
        let password = format!("pw-{}", uuid::Uuid::new_v4().simple());
        let password_file = folder.join("password");
        std::fs::write(&password_file, &password).expect("the password file can be written");
        let server_user = server_user();
        let data = folder.join("data");
        let made = as_server_user(server_user.as_deref(), &programs.join("initdb"))
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", USER, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .arg(format!("--pwfile={}", password_file.display()))
            .folder(&folder)
            .run();
        assert!(made.status.success(), "initdb failed: {}{}", made.stdout, made.stderr);
        Self::run(folder, password, programs, settings)
    }

    /// A copy of this server that follows it, with the slots of neither.
    pub fn standby(&self) -> Self {
        let folder = temporary_folder();
        let copied = as_server_user(server_user().as_deref(), &self.programs.join("pg_basebackup"))
            .args([
                "--write-recovery-conf",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--no-sync",
            ])
            .arg("--pgdata")
            .arg(folder.join("data"))
            .arg("--dbname")
            .arg(Database { server: self, name: "postgres".into() }.url())
            .folder(&folder)
            .run();
        assert!(copied.status.success(), "pg_basebackup failed: {}", copied.stderr);
        Self::run(folder, self.password.clone(), self.programs.clone(), &[])
    }

    /// Makes a standby a server of its own, on the next timeline.
    pub fn promote(&self) {
        let database = Database { server: self, name: "postgres".into() };
        assert_eq!(database.psql("SELECT pg_promote(true, 60)"), "t", "the standby stays one");
    }

    fn run(folder: PathBuf, password: String, programs: PathBuf, settings: &[&str]) -> Self {
        let port = free_port();
        let mut server = server_command(server_user().as_deref(), &programs.join("postgres"));
        server.push("-D".into());
        server.push(folder.join("data").display().to_string());
        server.extend(["-p".into(), port.to_string(), "-k".into(), folder.display().to_string()]);
        for setting in SETTINGS.iter().chain(settings) {
            server.extend(["-c".into(), (*setting).into()]);
        }
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .args(&server)
            .env("OL_FOLDER", &folder)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0) // a Ctrl-C at the terminal is ours; the keeper acts when we are gone
            .spawn()
            .expect("a shell can be started");
        let server = Self {
            folder,
            port,
            password,
            programs,
            databases: AtomicU32::new(0),
            keeper: Mutex::new(keeper),
        };
        server.wait_until_ready();
        server
    }

    /// Stops the server and waits until it has ended.
    pub fn stop(&self, how: Stop) {
        let signal = match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        };
        let mut keeper = self.keeper.lock().expect("the keeper's holders do not panic");
        tell(&mut keeper, signal);
        let answer = keeper.stdout.as_mut().expect("the keeper's output is a pipe");
        let mut line = [0; 8];
        answer.read_exact(&mut line).expect("the keeper answers");
        assert_eq!(&line, b"stopped\n");
    }

    /// Starts the server that [`stop`](Self::stop) stopped, and waits until it can be reached.
    pub fn start_again(&self) {
        tell(&mut self.keeper.lock().expect("the keeper's holders do not panic"), "go");
        self.wait_until_ready();
    }

    /// Stops the server and starts it again on the same port.
    pub fn restart(&self, how: Stop) {
        self.stop(how);
        self.start_again();
    }

    fn wait_until_ready(&self) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            let answer = Step::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p"])
                .arg(self.port.to_string())
                .run();
            if answer.status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        panic!("the private Postgres server did not start:\n{log}");
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The superuser's password. No output of our binaries may ever hold it.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The client program of the server's own version.
    pub fn psql_program(&self) -> PathBuf {
        self.programs.join("psql")
    }

    /// An empty UTF-8 database; a number is added to its name, so that two tests cannot meet.
    pub fn create_database(&self, name: &str) -> Database<'_> {
        self.create_from("template0", "UTF8", name)
    }

    /// The same in another encoding of the server's (`LATIN1`, `SQL_ASCII`, …).
    pub fn create_database_in(&self, name: &str, encoding: &str) -> Database<'_> {
        self.create_from("template0", encoding, name)
    }

    /// A copy of a database, to which nobody may be connected.
    pub fn create_copy(&self, original: &Database<'_>, name: &str) -> Database<'_> {
        self.create_from(&original.name, "UTF8", name)
    }

    fn create_from(&self, template: &str, encoding: &str, name: &str) -> Database<'_> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}_{number}");
        // A locale belongs to one encoding; only the plain one fits all.
        let locale = if encoding == "UTF8" { "C.UTF-8" } else { "C" };
        Database { server: self, name: "postgres".into() }.psql(&format!(
            "CREATE DATABASE {name} TEMPLATE {template} ENCODING '{encoding}' LOCALE '{locale}'"
        ));
        Database { server: self, name }
    }
}

/// One database of a server.
#[derive(Debug)]
pub struct Database<'a> {
    server: &'a PostgresServer,
    name: String,
}

impl Database<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server it belongs to.
    pub fn server(&self) -> &PostgresServer {
        self.server
    }

    /// The address with the superuser and the password.
    pub fn url(&self) -> String {
        self.url_as(USER, &self.server.password)
    }

    /// The address with the superuser, through another port of this machine.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{port}/{}", self.server.password, self.name)
    }

    /// A connection that stays open.
    pub fn session(&self) -> Session {
        Session::open(&self.server.psql_program(), &self.url())
    }

    /// This database on another server, such as a standby of this one.
    pub fn on<'b>(&self, server: &'b PostgresServer) -> Database<'b> {
        Database { server, name: self.name.clone() }
    }

    /// The address for another role.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{}", self.server.port, self.name)
    }

    /// Runs SQL and returns what it printed, one row a line, fields separated by tabs; panics when it fails.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        let script = self.server.folder.join(format!("{}.sql", uuid::Uuid::new_v4().simple()));
        std::fs::write(&script, sql).expect("a script can be written");
        let printed = self.file(&script, &[]);
        std::fs::remove_file(&script).expect("our own script can be removed");
        printed
    }

    /// Runs an SQL file with psql variables.
    #[track_caller]
    pub fn file(&self, script: &Path, variables: &[(&str, &str)]) -> String {
        let mut step = Step::new(self.server.psql_program())
            .args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.url());
        for (name, value) in variables {
            step = step.arg("-v").arg(format!("{name}={value}"));
        }
        let done = step.arg("-f").arg(script).env("PGCLIENTENCODING", "UTF8").run();
        assert!(done.status.success(), "psql failed: {}", done.stderr);
        done.stdout.trim_end_matches('\n').to_owned()
    }

    /// Restores a dump in the custom format, without its owners.
    #[track_caller]
    pub fn restore(&self, dump: &Path) {
        let done = Step::new(self.server.programs.join("pg_restore"))
            .args(["--no-owner", "--exit-on-error", "-d"])
            .arg(self.url())
            .arg(dump)
            .run();
        assert!(done.status.success(), "pg_restore failed: {}", done.stderr);
    }
}

/// A line to the keeper.
fn tell(keeper: &mut Child, line: &str) {
    let input = keeper.stdin.as_mut().expect("the keeper's input is a pipe");
    writeln!(input, "{line}").expect("the keeper reads its input");
}

/// An empty folder that the server's account owns; whoever makes it removes it.
fn temporary_folder() -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("ol-pg-")
        .tempdir()
        .expect("a temporary folder can be made")
        .keep();
    if let Some(user) = server_user() {
        let done = Step::new("chown").arg(user).arg(&folder).run();
        assert!(done.status.success(), "the server's folder needs an owner: {}", done.stderr);
    }
    folder
}

/// Where the server's programs are: beside the first `initdb` of the path, or in Debian's folder of the newest version.
fn programs_folder() -> PathBuf {
    let of_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let of_debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let mut debian: Vec<_> = of_debian.collect();
    debian.sort();
    debian.reverse();
    debian
        .into_iter()
        .chain(of_path)
        .find(|folder| folder.join("initdb").exists() && folder.join("psql").exists())
        .expect("Postgres is needed: apt-get install postgresql")
}

/// Postgres refuses to run as root: the account it runs under then. `None` when we are not root.
fn server_user() -> Option<String> {
    let is_root = Step::new("id").arg("-u").run().stdout.trim() == "0";
    is_root.then(|| {
        ["postgres", "nobody"]
            .into_iter()
            .find(|user| Step::new("id").args(["-u", *user]).run().status.success())
            .expect("the account nobody exists on every Debian")
            .to_owned()
    })
}

fn server_command(user: Option<&str>, program: &Path) -> Vec<String> {
    let mut command: Vec<String> = match user {
        Some(user) => {
            ["setpriv", "--reuid", user, "--regid", group_of(user).as_str(), "--clear-groups", "--"]
                .map(str::to_owned)
                .into()
        }
        None => Vec::new(),
    };
    command.push(program.display().to_string());
    command
}

fn as_server_user(user: Option<&str>, program: &Path) -> Step {
    let command = server_command(user, program);
    let (first, rest) = command.split_first().expect("a command has a program");
    Step::new(first).args(rest)
}

fn group_of(user: &str) -> String {
    Step::new("id").args(["-g", user]).run().stdout.trim().to_owned()
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}
