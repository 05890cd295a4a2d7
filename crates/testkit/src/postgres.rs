//! A private Postgres server: made in a temporary folder, stopped and removed when the test binary ends.
//!
//! A small shell process stands between us and the server. It waits for the end of its standard input, which the kernel
//! closes however this process ends (a panic, an abort, SIGKILL), and then stops the server and removes the folder.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::process::Step;

/// The superuser of the server.
const USER: &str = "ol_super";

/// Durability is given up for speed: no test here asks the *server* to survive a crash.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=logical",
    "max_replication_slots=64",
    "max_wal_senders=64",
    "shared_buffers=128MB",
    "max_connections=200",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "listen_addresses=127.0.0.1",
];

/// Waits for the end of its input, then stops the server and removes its folder.
const KEEPER: &str = r#"
"$@" >>"$OL_FOLDER/server.log" 2>&1 &
server=$!
cat >/dev/null
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
    _keeper: Child,
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

    /// The same with settings of its own (`name=value`), which win over the usual ones.
    pub fn start_with(settings: &[&str]) -> Self {
        let programs = programs_folder();
        let folder = tempfile::Builder::new()
            .prefix("ol-pg-")
            .tempdir()
            .expect("a temporary folder can be made")
            .keep();
        let password = format!("pw-{}", uuid::Uuid::new_v4().simple());
        let password_file = folder.join("password");
        std::fs::write(&password_file, &password).expect("the password file can be written");
        let server_user = server_user();
        if let Some(user) = &server_user {
            let done = Step::new("chown").args(["-R", user]).arg(&folder).run();
            assert!(done.status.success(), "the server's folder needs an owner: {}", done.stderr);
        }
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
        let port = free_port();
        let mut server = server_command(server_user.as_deref(), &programs.join("postgres"));
        server.push("-D".into());
        server.push(data.display().to_string());
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
            .stdout(Stdio::null())
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
            _keeper: keeper,
        };
        server.wait_until_ready();
        server
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

    /// The superuser's password. No output of our binaries may ever hold it.
    pub fn password(&self) -> &str {
        &self.password
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
        let mut step = Step::new(self.server.programs.join("psql"))
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

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}
