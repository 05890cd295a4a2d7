//! For `make bench`: makes a lake of many small tables, in a folder or on an S3 server, and serves the latter.
//!
//! ```text
//!   many_tables folder FOLDER TABLES SNAPSHOTS ROWS   a catalog and a warehouse in FOLDER, which must stay where it is; each
//!                                                     snapshot adds a file of ROWS rows
//!   many_tables s3 FOLDER TABLES SNAPSHOTS ROWS       the same with the warehouse in a bucket
//!   many_tables serve FOLDER                          says where the bucket is served, then, a line of standard input each,
//!                                                     the requests since the last line; ends with its input
//! ```
//!
//! Every table also gets two files that nothing refers to, last changed thirty days ago.
#![expect(clippy::print_stdout, reason = "what it says is for the measuring script")]

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use futures::TryStreamExt as _;
use ol_chassis::clock::{Clock as _, SystemClock};
use ol_chassis::secret::SecretText;
use ol_lake::{
    Commit, Lake, LakeColumn, LakeSchema, LakeSettings, LakeType, Operation, S3Credentials,
    S3Options, TableDefinition, TableName, WriteOptions,
};
use ol_testkit::S3Server;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const NAMESPACE: &str = "ol_warehouse_ci_raw";
const AT_A_TIME: usize = 8;
const ORPHAN_AGE: Duration = Duration::from_secs(30 * 86_400);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [place @ ("folder" | "s3"), folder, tables, snapshots, rows] => {
            let (tables, snapshots, rows) = (tables.parse()?, snapshots.parse()?, rows.parse()?);
            let folder = Path::new(folder);
            match *place {
                "s3" => on_s3(folder, tables, snapshots, rows).await,
                _ => {
                    let warehouse = folder.join("warehouse");
                    let settings =
                        LakeSettings::new(catalog(folder), warehouse.display().to_string());
                    make(settings, "file://", Path::new("/"), tables, snapshots, rows).await
                }
            }
        }
        ["serve", folder] => serve(Path::new(folder)),
        _ => Err("folder|s3 FOLDER TABLES SNAPSHOTS ROWS, or serve FOLDER".into()),
    }
}

fn buckets(folder: &Path) -> PathBuf {
    folder.join("s3")
}

fn serve(folder: &Path) -> Result<()> {
    let server = S3Server::start_in(&buckets(folder));
    let variables: BTreeMap<&str, String> = server.variables().into();
    println!("{}", serde_json::to_string(&variables)?);
    for line in std::io::stdin().lock().lines() {
        line?;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for request in server.take_requests() {
            *counts.entry(request.method).or_default() += 1;
        }
        println!("{}", serde_json::to_string(&counts)?);
    }
    Ok(())
}

fn catalog(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("catalog.db").display())
}

async fn on_s3(folder: &Path, tables: usize, snapshots: usize, rows: i64) -> Result<()> {
    std::fs::create_dir_all(buckets(folder).join(S3Server::BUCKET))?;
    let server = S3Server::start_in(&buckets(folder));
    let settings = LakeSettings {
        s3: S3Options {
            endpoint: Some(server.endpoint()),
            region: Some("us-east-1".to_owned()),
            credentials: S3Credentials::Keys {
                access_key_id: S3Server::ACCESS_KEY_ID.to_owned(),
                secret_access_key: SecretText::new(S3Server::SECRET_ACCESS_KEY),
                session_token: None,
            },
            ..S3Options::default()
        },
        ..LakeSettings::new(catalog(folder), "s3://lake/raw")
    };
    let bucket = server.bucket_folder(S3Server::BUCKET);
    make(settings, "s3://lake/", &bucket, tables, snapshots, rows).await
}

/// Makes the tables. Files whose addresses begin with `scheme` lie in `root` by the rest of it.
async fn make(
    settings: LakeSettings,
    scheme: &str,
    root: &Path,
    tables: usize,
    snapshots: usize,
    rows: i64,
) -> Result<()> {
    let lake = Lake::open(settings).await?;
    lake.ensure_namespace(NAMESPACE).await?;
    let made =
        futures::stream::iter((0..tables).map(Ok)).try_for_each_concurrent(AT_A_TIME, |index| {
            let lake = &lake;
            async move { table(lake, &format!("raw__bench__t{index:05}"), snapshots, rows).await }
        });
    made.await?;
    let names: Vec<TableName> = lake.list(NAMESPACE).await?;
    for name in names {
        orphans(&lake, &name, scheme, root).await?;
    }
    Ok(())
}

async fn table(lake: &Lake, name: &str, snapshots: usize, rows: i64) -> Result<()> {
    let columns = vec![
        LakeColumn::required("id", LakeType::Long),
        LakeColumn::optional("note", LakeType::String),
        LakeColumn::optional("amount", LakeType::Double),
    ];
    let name = TableName::new(NAMESPACE, name);
    let definition = TableDefinition {
        name,
        schema: LakeSchema { columns },
        comment: None,
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        properties: BTreeMap::new(),
    };
    let mut table = lake.create(&definition).await?;
    let options = WriteOptions::default();
    for first in (0..).step_by(usize::try_from(rows)?).take(snapshots) {
        let mut writer = table.writer(&options, "bench")?;
        writer.write(batch(table.arrow_schema(), first, rows)?)?;
        let files = writer.finish()?;
        table = lake.commit(&table, Commit::new(Operation::Append, files)).await?.table;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "any number will do")]
fn batch(schema: arrow_schema::SchemaRef, first: i64, rows: i64) -> Result<RecordBatch> {
    let scattered = |id: i64| id.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed());
    let ids = first..first + rows;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(StringArray::from_iter_values(
            ids.clone().map(|id| format!("{:016x}", scattered(id))),
        )),
        Arc::new(Float64Array::from_iter_values(ids.map(|id| scattered(id) as f64))),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

async fn orphans(lake: &Lake, name: &TableName, scheme: &str, root: &Path) -> Result<()> {
    let table = lake.load(name).await?.ok_or("a table that was made is there")?;
    let key = table.location().strip_prefix(scheme).ok_or("the table is in the warehouse")?;
    for number in 0..2 {
        let path =
            root.join(key.trim_start_matches('/')).join(format!("data/orphan-{number}.parquet"));
        let file = std::fs::File::create(path)?;
        file.set_modified(SystemClock.now() - ORPHAN_AGE)?;
    }
    Ok(())
}
