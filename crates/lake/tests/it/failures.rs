//! Bad luck and bad input: the kind of the error, and what is still there afterwards.

use std::error::Error as _;
use std::process::Command;

use ol_lake::{Commit, ErrorKind, Lake, LakeSettings, Operation, WriteOptions};

use crate::support::{
    NAMESPACE, Place, batch, commit_rows, definition, identifiers, name, two_columns, write,
    write_with,
};

async fn open_error(catalog: &str, warehouse: &str) -> ol_lake::Error {
    Lake::open(LakeSettings::new(catalog, warehouse)).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_are_named() {
    for (catalog, warehouse) in [
        ("mongodb://x", "w"),
        ("catalog.db", "w"),
        ("sqlite:", "w"),
        ("sqlite:x.db?cache=shared", "w"),
        ("sqlite:x.db", "gs://bucket/prefix"),
        ("postgres://user:hunter2@host:notaport/x", "w"),
    ] {
        let error = open_error(catalog, warehouse).await;
        assert_eq!(error.kind(), &ErrorKind::Settings, "{catalog}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_server_that_is_away_is_transient_and_keeps_its_secret() {
    let error = open_error("postgres://ada:hunter2@127.0.0.1:1/lake", "w").await;
    assert_eq!(error.kind(), &ErrorKind::CatalogUnreachable, "{error}");
    assert!(error.is_transient());
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_catalog_is_transient_and_says_so() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let settings = LakeSettings::new(
        format!("sqlite:{}?busy_timeout_seconds=0", place.path("catalog.db").display()),
        place.path("warehouse").display().to_string(),
    );
    let impatient = Lake::open(settings).await.unwrap();
    let files = write(&table, vec![batch(&table, 0..3)]).await;
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(place.path("catalog.db"));
    other = other.busy_timeout(std::time::Duration::from_secs(5));
    let mut holder = sqlx::ConnectOptions::connect(&other).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let commit = Commit::new(Operation::Append, files);
    let error = impatient.commit(&table, commit.clone()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CatalogLocked, "{error}");
    assert!(error.is_transient());
    assert!(error.to_string().starts_with("The catalog is locked by another process"), "{error}");
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    impatient.commit(&table, commit).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_none_is_definite() {
    let place = Place::new();
    let warehouse = place.path("w").display().to_string();
    let garbage = place.path("garbage.db");
    std::fs::write(&garbage, "this is not a database, and it is long enough to look".repeat(50))
        .unwrap();
    let error = open_error(&format!("sqlite:{}", garbage.display()), &warehouse).await;
    assert_eq!(error.kind(), &ErrorKind::CatalogCorrupt, "{error}");

    let other = place.path("other.db");
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(&other).create_if_missing(true);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("CREATE TABLE iceberg_tables (id INT)").execute(&mut connection).await.unwrap();
    let error = open_error(&format!("sqlite:{}", other.display()), &warehouse).await;
    assert_eq!(error.kind(), &ErrorKind::CatalogCorrupt, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_lost_or_damaged_is_definite_and_names_the_file() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let path = table.metadata_location().trim_start_matches("file://").to_owned();
    std::fs::write(&path, b"{}").unwrap();
    let damaged = lake.load(&name("t")).await.unwrap_err();
    assert_eq!(damaged.kind(), &ErrorKind::CatalogCorrupt, "{damaged}");
    std::fs::remove_file(&path).unwrap();
    let lost = lake.load(&name("t")).await.unwrap_err();
    assert!(!lost.is_transient());
    assert!(lost.to_string().contains(&path), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_cannot_be_written_is_definite() {
    let place = Place::new();
    std::fs::write(place.path("warehouse"), b"a file where the folder should be").unwrap();
    let lake = place.open().await;
    let error = lake.create(&definition("t", two_columns())).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::WarehouseUnwritable, "{error}");
    assert!(!error.is_transient());
    assert_eq!(lake.list(NAMESPACE).await.unwrap(), Vec::new());
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    assert!(causes.any(|cause| cause.to_string().contains("warehouse")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_the_catalog_cannot_store_are_refused() {
    let place = Place::new();
    let lake = place.open().await;
    let long = "x".repeat(256);
    assert!(lake.ensure_namespace("").await.is_err());
    assert!(lake.ensure_namespace(&long).await.is_err());
    let error = lake.create(&definition(&long, two_columns())).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::SchemaInvalid, "{error}");
    let mut elsewhere = definition("t", two_columns());
    elsewhere.name.namespace = "nowhere".to_owned();
    let error = lake.create(&elsewhere).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NotFound, "{error}");
}

/// A file system of a few megabytes; unmounted when dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(folder: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&folder)
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

/// `/dev/full` answers every write with "no space", so without the right to mount a link to it fills the disk of one
/// file; the mount fills the disk of all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_definite_and_leaves_the_table_as_it_was() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(place.path("warehouse")) else {
        assert_no_space_without_mount();
        return;
    };
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let options = WriteOptions { row_group_bytes: 64 << 10, ..WriteOptions::default() };
    let batches = (0..400_i64).map(|index| {
        let ids: Vec<i64> = (0..1000)
            .map(|row| (index * 1000 + row).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64))
            .collect();
        batch(&table, ids)
    });
    let error = write_with(&table, options, batches.collect()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NoSpace, "{error:?}");
    assert!(!error.is_transient());
    // The writer has deleted its half file, so there is room again.
    assert_eq!(identifiers(&lake, &name("t")).await, (0..10).collect::<Vec<_>>());
    commit_rows(&lake, &table, Operation::Append, 10..20).await;
    assert_eq!(identifiers(&lake, &name("t")).await, (0..20).collect::<Vec<_>>());
}

fn assert_no_space_without_mount() {
    use std::io::Write;
    let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let error = full.write_all(b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
