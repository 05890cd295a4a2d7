//! The warehouse on S3: the same behaviour as in a folder, and what only a network does.
//!
//! `src/storage/server_tests.rs` has the faults one by one; here they happen to a table.

mod login;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use ol_chassis::secret::SecretText;
use ol_lake::{
    Commit, ErrorKind, Lake, LakeSettings, Operation, S3Credentials, S3Options, WriteOptions,
};
use ol_testkit::{S3Fault, S3Server, S3Then};

use crate::compaction::{five_files, options as compact_options};
use crate::support::{
    NAMESPACE, Place, batch, commit_rows, definition, files_below, identifiers, name, now,
    two_columns, write, write_with,
};

struct OnS3 {
    server: S3Server,
    place: Place,
}

impl OnS3 {
    fn new() -> Self {
        Self { server: S3Server::start(), place: Place::new() }
    }

    fn options(&self) -> S3Options {
        S3Options {
            endpoint: Some(self.server.endpoint()),
            region: Some("us-east-1".to_owned()),
            credentials: S3Credentials::Keys {
                access_key_id: S3Server::ACCESS_KEY_ID.to_owned(),
                secret_access_key: SecretText::new(S3Server::SECRET_ACCESS_KEY),
                session_token: None,
            },
            retries: 2,
            ..S3Options::default()
        }
    }

    async fn open_at(&self, warehouse: &str) -> Lake {
        let (warehouse, s3) = (warehouse.to_owned(), self.options());
        let settings = LakeSettings { warehouse, s3, ..self.place.settings() };
        let lake = Lake::open(settings).await.unwrap();
        lake.ensure_namespace(NAMESPACE).await.unwrap();
        lake
    }

    async fn open(&self) -> Lake {
        self.open_at("s3://lake/raw").await
    }

    /// The files of all objects of the first bucket.
    fn objects(&self) -> BTreeSet<std::path::PathBuf> {
        files_below(&self.server.bucket_folder(S3Server::BUCKET)).into_iter().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_on_s3_is_made_filled_replaced_and_swept() {
    let s3 = OnS3::new();
    let lake = s3.open_at("s3a://lake/raw warehouse/ünï+/").await;
    let table = lake.create(&definition("Ünï \"t\"/🦆", two_columns())).await.unwrap();
    let name = table.name().clone();
    assert!(table.location().starts_with("s3://lake/raw warehouse/ünï+/"), "{}", table.location());
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let table = commit_rows(&lake, &table, Operation::Append, 10..20).await.table;
    assert_eq!(identifiers(&lake, &name).await, (0..20).collect::<Vec<_>>());
    let table = commit_rows(&lake, &table, Operation::Overwrite, 20..30).await.table;
    assert_eq!(identifiers(&lake, &name).await, (20..30).collect::<Vec<_>>());
    let inside = s3.objects();

    write(&table, vec![batch(&table, 90..99)]).await;
    let dropped = lake.create(&definition("dropped", two_columns())).await.unwrap();
    lake.commit(&dropped, Commit::new(Operation::Append, Vec::new())).await.unwrap();
    lake.drop_table(dropped.name()).await.unwrap();
    let now = now() + Duration::from_secs(3600);
    let young = lake.orphans(&name, Duration::from_secs(7200), now).await.unwrap();
    assert_eq!(young, Vec::new());
    let orphans = lake.orphans(&name, Duration::from_secs(60), now).await.unwrap();
    assert_eq!(orphans.len(), 1, "{orphans:?}");
    assert!(orphans[0].path.starts_with(table.location()), "{orphans:?}");
    let tables = lake
        .sweep(NAMESPACE, Duration::from_secs(60), now)
        .await
        .unwrap()
        .without_table()
        .await
        .unwrap();
    assert_eq!(tables.len(), 3, "{tables:?}");
    let bytes = lake.delete_orphans(&orphans).await.unwrap();
    assert_eq!(bytes, orphans[0].bytes);
    lake.delete_orphans(&tables).await.unwrap();
    lake.delete_orphans(&tables).await.unwrap();
    assert_eq!(s3.objects(), inside);
    assert_eq!(identifiers(&lake, &name).await, (20..30).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_and_compaction_work_and_pyiceberg_reads_them() {
    let s3 = OnS3::new();
    let lake = s3.open().await;
    let table = five_files(&lake).await;
    let wanted: Vec<i64> = (0..50).filter(|id| ![3, 14, 15].contains(id)).collect();
    assert_eq!(identifiers(&lake, &name("t")).await, wanted);
    assert_eq!(read_by_pyiceberg(&s3, table.metadata_location()), wanted);
    let compacted = lake.compact(&table, &compact_options()).await.unwrap().unwrap();
    assert_eq!((compacted.files, compacted.rows), (1, 47));
    assert_eq!(identifiers(&lake, &name("t")).await, wanted);
    assert_eq!(read_by_pyiceberg(&s3, compacted.table.metadata_location()), wanted);
}

/// The identifiers that `PyIceberg` finds. `DuckDB` reads S3 by an extension that is not on every machine.
#[expect(clippy::disallowed_methods, reason = "where Python is, is not a setting of the crate")]
fn read_by_pyiceberg(s3: &OnS3, metadata: &str) -> Vec<i64> {
    const PROGRAM: &str = "
import sys
from pyiceberg.table import StaticTable
metadata, endpoint, key, secret = sys.argv[1:]
table = StaticTable.from_metadata(metadata, {
    'py-io-impl': 'pyiceberg.io.pyarrow.PyArrowFileIO', 's3.endpoint': endpoint, 's3.region': 'us-east-1',
    's3.access-key-id': key, 's3.secret-access-key': secret})
print(sorted(table.scan().to_arrow().column('id').to_pylist()))
";
    let home = std::env::var("HOME").unwrap_or_default();
    let python = std::env::var("OL_PYTHON")
        .unwrap_or_else(|_unset| format!("{home}/.cache/ol-flows/venv/bin/python"));
    let output = Command::new(python)
        .args(["-c", PROGRAM, metadata, &s3.server.endpoint()])
        .args([S3Server::ACCESS_KEY_ID, S3Server::SECRET_ACCESS_KEY])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_catalog_holds_tables_of_a_folder_and_of_two_buckets() {
    let s3 = OnS3::new();
    s3.server.create_bucket("second");
    let folder = s3.place.path("warehouse").display().to_string();
    for (table, warehouse) in [("a", "s3://lake"), ("b", "s3://second/x"), ("c", folder.as_str())] {
        let lake = s3.open_at(warehouse).await;
        let table = lake.create(&definition(table, two_columns())).await.unwrap();
        commit_rows(&lake, &table, Operation::Append, 0..10).await;
    }
    // Whatever the warehouse of a process, it reads, writes and sweeps each table where that is.
    for warehouse in ["s3://lake", "s3://second/x", folder.as_str()] {
        let lake = s3.open_at(warehouse).await;
        for table in ["a", "b", "c"] {
            let loaded = lake.load(&name(table)).await.unwrap().unwrap();
            commit_rows(&lake, &loaded, Operation::Overwrite, 0..20).await;
            assert_eq!(identifiers(&lake, &name(table)).await.len(), 20, "{table} by {warehouse}");
            let later = now() + Duration::from_secs(10);
            let orphans = lake.orphans(&name(table), Duration::ZERO, later).await.unwrap();
            assert_eq!(orphans, Vec::new(), "{table} by {warehouse}");
        }
        let later = now() + Duration::from_secs(10);
        let orphans = lake
            .sweep(NAMESPACE, Duration::ZERO, later)
            .await
            .unwrap()
            .without_table()
            .await
            .unwrap();
        assert_eq!(orphans, Vec::new(), "{warehouse}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_hadoop_wrote_is_the_same_file() {
    let s3 = OnS3::new();
    let lake = s3.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let file = s3.place.path("catalog.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut catalog = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE iceberg_tables SET metadata_location = $1")
        .bind(table.metadata_location().replace("s3://", "s3a://"))
        .execute(&mut catalog)
        .await
        .unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, (0..10).collect::<Vec<_>>());
    let later = now() + Duration::from_secs(10);
    assert_eq!(lake.orphans(&name("t"), Duration::ZERO, later).await.unwrap(), Vec::new());
    let tables =
        lake.sweep(NAMESPACE, Duration::ZERO, later).await.unwrap().without_table().await.unwrap();
    assert_eq!(tables, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_survives_lost_answers_and_is_made_once() {
    let s3 = OnS3::new();
    let lake = s3.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let lose = |holds| s3.server.fail(S3Fault::first("PUT", holds, S3Then::DropAnswer));
    for holds in [".parquet", "-m0.avro", "/snap-", ".metadata.json"] {
        lose(holds);
    }
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let lost = |request: &ol_testkit::S3Request| request.header("if-none-match").is_some();
    let puts = s3.server.take_requests().iter().filter(|request| lost(request)).count();
    assert_eq!(puts, 1 + 2 * 4, "one of the table, and each of the four files twice");
    assert_eq!(identifiers(&lake, &name("t")).await, (0..10).collect::<Vec<_>>());
    assert_eq!(table.current_snapshot().unwrap().records, 10);
    let later = now() + Duration::from_secs(10);
    assert_eq!(lake.orphans(&name("t"), Duration::ZERO, later).await.unwrap(), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_fails_leaves_the_table_as_it_was() {
    let s3 = OnS3::new();
    let lake = s3.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let before = s3.objects();
    for (then, wanted) in [
        (S3Then::answer(503, "SlowDown"), ErrorKind::WarehouseUnreachable),
        (S3Then::Cut, ErrorKind::WarehouseUnreachable),
        (S3Then::answer(403, "AccessDenied"), ErrorKind::WarehouseRefused),
        (S3Then::answer(400, "KMS.DisabledException"), ErrorKind::EncryptionKeyRefused),
        (S3Then::answer(400, "ExpiredToken"), ErrorKind::WarehouseLoginExpired),
    ] {
        for holds in ["-m0.avro", "/snap-", ".metadata.json"] {
            let files = write(&table, vec![batch(&table, 10..20)]).await;
            s3.server.fail(S3Fault::each("PUT", holds, then.clone()));
            let commit = Commit::new(Operation::Append, files.clone());
            let error = lake.commit(&table, commit).await.unwrap_err();
            s3.server.heal();
            assert_eq!(error.kind(), &wanted, "{holds}: {error:?}");
            lake.discard(&files).await;
            assert_eq!(s3.objects(), before, "{holds}");
        }
        // The same for a data file, and for reading.
        s3.server.fail(S3Fault::each("PUT", ".parquet", then.clone()));
        let rows = vec![batch(&table, 10..20)];
        let error = write_with(&table, WriteOptions::default(), rows).await.unwrap_err();
        assert_eq!(error.kind(), &wanted, "{error:?}");
        s3.server.fail(S3Fault::each("GET", ".metadata.json", then));
        let error = lake.load(&name("t")).await.unwrap_err();
        assert_eq!(error.kind(), &wanted, "{error:?}");
        assert!(!format!("{error:?}").contains(S3Server::SECRET_ACCESS_KEY));
        s3.server.heal();
    }
    assert_eq!(identifiers(&lake, &name("t")).await, (0..10).collect::<Vec<_>>());
    assert_eq!(s3.objects(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_named_at_the_first_table() {
    let s3 = OnS3::new();
    let lake = s3.open_at("s3://nowhere/raw").await;
    let error = lake.create(&definition("t", two_columns())).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::WarehouseMissing, "{error:?}");
    assert!(!error.is_transient());
    let settings = LakeSettings {
        s3: S3Options { part_bytes: 1 << 20, ..s3.options() },
        ..s3.place.settings()
    };
    assert_eq!(Lake::open(settings).await.unwrap_err().kind(), &ErrorKind::Settings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_file_of_many_parts_comes_back() {
    let s3 = OnS3::new();
    let settings = LakeSettings {
        warehouse: "s3://lake/raw".to_owned(),
        s3: S3Options { part_bytes: 5 << 20, ..s3.options() },
        ..s3.place.settings()
    };
    let lake = Lake::open(settings).await.unwrap();
    lake.ensure_namespace(NAMESPACE).await.unwrap();
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    // Numbers that no encoding makes small.
    let scattered = |row: i64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed());
    let rows = 3_000_000;
    let batches = (0..rows / 100_000)
        .map(|part| batch(&table, (part * 100_000..(part + 1) * 100_000).map(scattered)))
        .collect();
    let files = write(&table, batches).await;
    let parts = s3.server.take_requests();
    let parts = parts.iter().filter(|request| request.target.contains("partNumber=")).count();
    assert!(files.len() == 1 && parts > 3, "{} files, {parts} parts", files.len());
    lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap();
    let mut wanted: Vec<i64> = (0..rows).map(scattered).collect();
    wanted.sort_unstable();
    assert!(identifiers(&lake, &name("t")).await == wanted);
}
