//! The catalog on a private Postgres, and the Apache catalog crate as a second reader of ours.

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use futures::TryStreamExt;
use iceberg::io::LocalFsStorageFactory;
use iceberg::{Catalog, CatalogBuilder, TableIdent};
use iceberg_catalog_sql::SqlCatalogBuilder;
use ol_lake::{CATALOG_NAME, ErrorKind, Lake, LakeSettings, Operation};

use crate::support::{NAMESPACE, Place, commit_rows, definition, identifiers, name, two_columns};

struct Postgres {
    bin: PathBuf,
    data: PathBuf,
    port: u16,
}

impl Postgres {
    /// A server of our own, or `None` on a machine without Postgres.
    fn start(folder: &Path) -> Option<Self> {
        let mut versions: Vec<_> =
            std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|e| e.path()).collect();
        versions.sort();
        let bin = versions.pop()?.join("bin");
        if !bin.join("initdb").exists() {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { bin, data: folder.join("postgres"), port };
        std::fs::create_dir(&server.data).unwrap();
        std::fs::write(folder.join("password"), "hunter2").unwrap();
        // The server refuses to run as root, so it gets a folder and a user of its own.
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres").arg(&server.data));
        }
        let password = folder.join("password");
        std::fs::set_permissions(&password, PermissionsExt::from_mode(0o644)).unwrap();
        server.command(
            "initdb",
            &[
                "-U",
                "ada",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "--pwfile",
                password.to_str().unwrap(),
            ],
        );
        let options =
            format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''");
        let log = server.data.join("log");
        server.command("pg_ctl", &["start", "-w", "-l", log.to_str().unwrap(), "-o", &options]);
        Some(server)
    }

    fn command(&self, program: &str, arguments: &[&str]) {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        run(command.arg("-D").arg(&self.data).args(arguments).current_dir("/"));
    }

    fn url(&self, password: &str) -> String {
        format!("postgres://ada:{password}@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.data.join("postmaster.pid").exists() {
            self.command("pg_ctl", &["stop", "-m", "immediate"]);
        }
    }
}

fn is_root() -> bool {
    Path::new("/proc/self").metadata().is_ok_and(|metadata| {
        use std::os::unix::fs::MetadataExt;
        metadata.uid() == 0
    })
}

fn run(command: &mut Command) {
    // Output goes nowhere: a server that inherits a pipe keeps it open.
    let status = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}");
}

async fn concurrent_appends(settings: LakeSettings) -> Vec<i64> {
    let lake = Lake::open(settings.clone()).await.unwrap();
    lake.ensure_namespace(NAMESPACE).await.unwrap();
    lake.ensure_namespace(NAMESPACE).await.unwrap();
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let (table, settings) = (table.clone(), settings.clone());
            tokio::spawn(async move {
                let lake = Lake::open(settings).await.unwrap();
                commit_rows(&lake, &table, Operation::Append, task * 10..task * 10 + 10).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    identifiers(&lake, &name("t")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_on_postgres_takes_concurrent_appends() {
    let place = Place::new();
    let Some(server) = Postgres::start(place.folder.path()) else {
        eprintln!("no Postgres on this machine: the catalog on SQLite is tested alone");
        return;
    };
    let warehouse = place.path("warehouse").display().to_string();
    let settings = LakeSettings::new(server.url("hunter2"), warehouse.clone());
    assert_eq!(concurrent_appends(settings.clone()).await, (0..40).collect::<Vec<_>>());

    let error = Lake::open(LakeSettings::new(server.url("wrong!"), warehouse)).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CatalogRefused, "{error:?}");
    assert!(!error.is_transient());
    assert!(!format!("{error:?}").contains("wrong!"));

    // A server that goes away under an open lake.
    let lake = Lake::open(settings).await.unwrap();
    drop(server);
    let error = lake.load(&name("t")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CatalogUnreachable, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apache_catalog_reads_what_we_wrote() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    commit_rows(&lake, &table, Operation::Append, 0..10).await;
    let apache = SqlCatalogBuilder::default()
        .with_storage_factory(Arc::new(LocalFsStorageFactory))
        .load(
            CATALOG_NAME,
            HashMap::from([
                ("uri".to_owned(), format!("sqlite://{}", place.path("catalog.db").display())),
                ("warehouse".to_owned(), place.path("warehouse").display().to_string()),
                ("sql_bind_style".to_owned(), "QMark".to_owned()),
            ]),
        )
        .await
        .unwrap();
    let loaded =
        apache.load_table(&TableIdent::from_strs([NAMESPACE, "t"]).unwrap()).await.unwrap();
    let rows: Vec<arrow_array::RecordBatch> =
        loaded.scan().build().unwrap().to_arrow().await.unwrap().try_collect().await.unwrap();
    assert_eq!(rows.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>(), 10);
}
