//! Which reader sees which form of a table: `PyIceberg`, `DuckDB`, Spark, Trino and `DataFusion`, as `ol-webhook` embeds it over
//! our own reader, see the same rows, also when Trino has written between two commits of ours.
//!
//! What was seen is a document, `tests/contracts/readers.md`: a reader that comes, goes or refuses is a changed line.

mod document;
mod outlived;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use futures::StreamExt as _;
use ol_lake::{CompactOptions, LakeSettings, TableName};
use ol_testkit::{
    Database, Lake, PostgresServer, Readers, TrinoCatalog, TrinoServer, Unit, workspace_root,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::common::{Case, entry, text};
use document::Stage;
use tables::{ROWS_OF_SOURCE, TABLES, Table};

/// All readers, in the order of the document's columns.
const READERS: [&str; 5] = ["pyiceberg", "duckdb", "spark", "trino", "datafusion"];

/// The deployment, and the name of Trino's catalog.
const DEPLOYMENT: &str = "matrix";

/// The server of the source and of the lake's catalog: its log holds nothing of other tests.
fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start)
}

#[test]
fn every_reader_sees_the_same_rows_in_every_form_of_a_table() {
    let mut matrix = Matrix::new();
    let of_source = matrix.written_by_us();
    let mut stages = vec![matrix.stage("After our commits", &of_source)];
    matrix.expect_forms(0);
    matrix.written_by_trino();
    stages.push(matrix.stage("After Trino's writes", &[]));
    matrix.expect_forms(1);
    matrix.written_by_us_again();
    stages.push(matrix.stage("After our next commits", ROWS_OF_SOURCE));
    matrix.expect_forms(2);
    let seen = document::markdown(&stages);
    let path = workspace_root().join("tests/contracts/readers.md");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept != seen {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers.md");
        std::fs::write(&place, &seen).unwrap();
        panic!(
            "what the readers see has changed; if that is meant: cp {} tests/contracts/readers.md\n{seen}",
            place.display()
        );
    }
}

/// A source, the lake that follows it, and Trino on the same lake.
struct Matrix {
    case: Case,
    unit: PathBuf,
    trino: &'static TrinoServer,
}

impl Matrix {
    fn new() -> Self {
        let mut case = Case::of(DEPLOYMENT, server().create_database(DEPLOYMENT));
        let catalog = server().create_database("catalog");
        case.lake = Lake::with_catalog(&catalog.url());
        for table in TABLES {
            case.database.psql(table.made);
        }
        let trino = TrinoServer::shared();
        add_to(trino, DEPLOYMENT, &catalog, &case.lake);
        Self { case, unit: PathBuf::new(), trino }
    }

    /// The first copy and what follows it, a run after each round of changes; the raw tables that must equal the source.
    fn written_by_us(&mut self) -> Vec<&'static str> {
        self.declare(|table| table.declared);
        self.case.run(0);
        let rounds = TABLES.iter().map(|table| table.changes.len()).max().unwrap_or(0);
        for round in 0..rounds {
            self.declare(|table| table.later.unwrap_or(table.declared));
            for table in TABLES {
                if let Some(change) = table.changes.get(round) {
                    self.case.database.psql(change);
                }
            }
            self.case.run(0);
        }
        self.compact("compacted");
        TABLES.iter().filter(|table| table.is_source).map(|table| table.name).collect()
    }

    /// What Trino does to each table.
    fn written_by_trino(&self) {
        for table in TABLES {
            for statement in table.by_trino {
                self.trino.query(&self.of(table, statement));
            }
        }
    }

    /// A statement of Trino with the raw table and its metadata tables in their places.
    fn of(&self, table: &Table, statement: &str) -> String {
        let raw_table = self.case.raw_table(table.name);
        let place = |suffix: &str| {
            format!("{DEPLOYMENT}.{}.\"{raw_table}{suffix}\"", self.case.lake.namespace())
        };
        statement
            .replace("{}", &place(""))
            .replace("{files}", &place("$files"))
            .replace("{partitions}", &place("$partitions"))
            .replace("{snapshots}", &place("$snapshots"))
            .replace("{history}", &place("$metadata_log_entries"))
    }

    /// Each table has the form it is here for, as Trino finds it.
    #[track_caller]
    fn expect_forms(&self, stage: usize) {
        for table in TABLES {
            let form = table.forms[stage];
            if !form.is_empty() {
                let answer = self.trino.query(&self.of(table, &format!("SELECT {form}")));
                assert_eq!(answer.rows, [json!([true])], "{}: {form}", table.name);
            }
        }
    }

    /// One run more, which goes on where ours had ended: nothing that is followed is copied again.
    fn written_by_us_again(&self) {
        for table in TABLES {
            self.case.database.psql(table.at_last);
        }
        let document = self.case.run(0);
        for table in TABLES.iter().filter(|table| table.sync_mode.starts_with("incremental")) {
            let rows = entry(&document, &self.case.raw_table(table.name))["rows"].as_u64();
            assert!(rows < Some(500), "{}: {document:#}", table.name);
        }
    }

    /// The unit file with what is declared of the tables.
    fn declare(&mut self, declared: impl Fn(&Table) -> &'static str) {
        let unit = TABLES.iter().fold(Unit::new(DEPLOYMENT).method("cdc"), |unit, table| {
            unit.table("public", table.name, table.sync_mode).with("primary_key: [id]")
        });
        let declared = TABLES.iter().filter(|table| !declared(table).is_empty()).fold(
            String::new(),
            |lines, table| {
                let indented = declared(table).replace('\n', "\n  ");
                format!("{lines}{}:\n  {indented}\n", table.name)
            },
        );
        self.unit = self.case.inventory.write(DEPLOYMENT, &unit.overriding(&declared).yaml());
    }

    /// What all readers see, who must agree; the tables of `of_source` also with the source.
    #[track_caller]
    fn stage(&self, name: &'static str, of_source: &[&str]) -> Stage {
        if !of_source.is_empty() {
            let source = self.case.database.url();
            Readers::compare_tables(&source, &self.case.lake, &self.unit, None, of_source)
                .expect_equal();
        }
        let folder = self.case.lake.folder().join("datafusion");
        std::fs::create_dir_all(&folder).unwrap();
        for table in TABLES {
            self.write_by_datafusion(&self.case.raw_table(table.name), &folder);
        }
        let program = Readers::program_with_spark("matrix.py")
            .args(["--catalog", self.case.lake.catalog()])
            .args(["--namespace", self.case.lake.namespace(), "--datafusion"])
            .arg(folder)
            .env("OL_TRINO", format!("{}/{DEPLOYMENT}", self.trino.url()));
        let program = READERS.iter().fold(program, |step, reader| step.args(["--reader", reader]));
        let stage = Stage { name, seen: program.run().expect_code(0).json() };
        for table in TABLES {
            self.expect_agreement(&stage, table);
        }
        stage
    }

    /// Who reads a table sees the same rows, and only those refuse it who are known to.
    #[track_caller]
    fn expect_agreement(&self, stage: &Stage, table: &Table) {
        let seen = &stage.seen["tables"][self.case.raw_table(table.name)];
        let truth = &seen["pyiceberg"];
        assert!(truth["rows"].as_u64() > Some(0), "{}: {}: {seen:#}", stage.name, table.name);
        for reader in READERS {
            let of_reader = &seen[reader];
            if let Some((_, wanted)) = table.refused_by.iter().find(|(name, _)| *name == reader) {
                assert!(text(of_reader, "refused").contains(wanted), "{of_reader}");
            } else {
                assert_eq!(of_reader, truth, "{}: {}: {reader}: {seen:#}", stage.name, table.name);
            }
        }
    }

    /// What `DataFusion` sees, as a file that the judge opens.
    fn write_by_datafusion(&self, raw_table: &str, folder: &Path) {
        let namespace = self.case.lake.namespace();
        self.with_lake(raw_table, async |lake, table| {
            let query = format!("SELECT * FROM \"{raw_table}\"");
            let rows = ol_webhook::input::lake::query_rows(Arc::new(lake), namespace, &query);
            let mut rows = rows.await.unwrap();
            let file = std::fs::File::create(folder.join(format!("{raw_table}.parquet"))).unwrap();
            let mut writer = ArrowWriter::try_new(file, table.arrow_schema(), None).unwrap();
            while let Some(batch) = rows.next().await {
                writer.write(&batch.unwrap()).unwrap();
            }
            writer.close().unwrap();
        });
    }

    /// What a service does at night, asked of the lake itself.
    fn compact(&self, table: &str) {
        self.with_lake(&self.case.raw_table(table), async |lake, table| {
            let options = CompactOptions { least_files: 1, ..CompactOptions::default() };
            let compacted = lake.compact(&table, &options).await.unwrap();
            assert!(compacted.is_some(), "there was nothing to compact");
        });
    }

    fn with_lake(&self, raw_table: &str, act: impl AsyncFnOnce(ol_lake::Lake, ol_lake::LakeTable)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let warehouse = self.case.lake.warehouse().display().to_string();
            let settings = LakeSettings::new(self.case.lake.catalog(), warehouse);
            let lake = ol_lake::Lake::open(settings).await.unwrap();
            let name = TableName::new(self.case.lake.namespace(), raw_table);
            let table = lake.load(&name).await.unwrap().unwrap();
            act(lake, table).await;
        });
    }
}

/// Tells Trino of a lake, all of whose past it may forget.
fn add_to(trino: &TrinoServer, name: &str, catalog: &Database<'_>, lake: &Lake) {
    trino.add(
        &TrinoCatalog::of_postgres(name, catalog, lake.warehouse())
            // An expiry of everything but the present is refused otherwise.
            .with("iceberg.expire-snapshots.min-retention", "0s")
            .with("iceberg.remove-orphan-files.min-retention", "0s"),
    );
}

/// A cell of what was seen: rows, or why there are none.
fn rows_of(seen: &Value) -> Result<u64, &str> {
    seen["rows"].as_u64().ok_or_else(|| text(seen, "refused"))
}
