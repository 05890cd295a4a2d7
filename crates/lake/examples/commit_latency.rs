//! For `make bench`: how long a commit takes, catalog by catalog, into a warehouse in a folder.
//!
//! ```text
//!   commit_latency COMMITS     one JSON object: catalog → milliseconds of each commit
//! ```
//!
//! A commit is what a small batch costs beside its rows: one data file of ten rows, its manifest, manifest list and
//! metadata, and the catalog's answer. The servers are those of the tests, on this machine, so no network is in it.
#![expect(clippy::print_stdout, reason = "what it says is for the measuring script")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use ol_chassis::secret::SecretText;
use ol_lake::{
    Commit, Lake, LakeColumn, LakeSchema, LakeSettings, LakeType, Operation, S3Credentials,
    TableDefinition, TableName, WriteOptions,
};
use ol_testkit::{GlueServer, PostgresServer, RestCatalogServer};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const NAMESPACE: &str = "ol_warehouse_ci_raw";

fn main() -> Result<()> {
    let commits: usize = std::env::args().nth(1).ok_or("COMMITS is missing")?.parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name).display().to_string();
    let settings = |name: &str, catalog: String| LakeSettings::new(catalog, place(name));

    let server = PostgresServer::start();
    let database = server.create_database("commitlatency");
    let of_rest = server.create_database("commitlatencyrest");
    let rest = RestCatalogServer::start(&of_rest, &format!("file://{}", place("rest")), &[], None);
    let glue = GlueServer::start();
    let mut of_glue = settings("glue", format!("glue:?endpoint={}", glue.url()));
    of_glue.s3.region = Some(GlueServer::REGION.to_owned());
    of_glue.s3.credentials = S3Credentials::Keys {
        access_key_id: "bench".to_owned(),
        secret_access_key: SecretText::new("bench"),
        session_token: None,
    };
    let lakes = [
        ("sqlite", settings("sqlite", format!("sqlite:{}", place("catalog.db")))),
        ("postgres", settings("postgres", database.url())),
        ("rest", settings("rest", format!("rest+{}", rest.url()))),
        ("glue", of_glue),
    ];
    let mut told = BTreeMap::new();
    for (name, settings) in lakes {
        told.insert(name, runtime.block_on(measure(settings, commits))?);
    }
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}

/// Milliseconds of each commit, after one that is not counted.
async fn measure(settings: LakeSettings, commits: usize) -> Result<Vec<f64>> {
    let lake = Lake::open(settings).await?;
    lake.ensure_namespace(NAMESPACE).await?;
    let definition = TableDefinition {
        name: TableName::new(NAMESPACE, "t"),
        schema: LakeSchema { columns: vec![LakeColumn::required("id", LakeType::Long)] },
        comment: None,
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        properties: BTreeMap::new(),
    };
    let mut table = lake.create(&definition).await?;
    let options = WriteOptions::default();
    let mut milliseconds = Vec::with_capacity(commits);
    for commit in 0..=commits {
        let mut writer = table.writer(&options, "bench")?;
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
        writer.write(RecordBatch::try_new(table.arrow_schema(), vec![ids])?)?;
        let files = writer.finish()?;
        let began = Instant::now();
        table = lake.commit(&table, Commit::new(Operation::Append, files)).await?.table;
        if commit > 0 {
            milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(milliseconds)
}
