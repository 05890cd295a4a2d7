//! A process for Dagster to launch: sends every kind of message, as `extras` ask for it.
//!
//! The acceptance tests run it through Dagster's own clients. `extras.scenario` is one of
//! `everything` (the default), `materialization`, `failure`, `panic`, `unclosed` and
//! `closed_twice`. Outside Dagster it does the same, sends nothing, and succeeds.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use ol_pipes::{
    AssetKey, Check, ColumnConstraints, ColumnDependency, Exception, Level, Materialization,
    Metadata, Pipes, Severity, Stream, TableColumn, TableSchema,
};
use serde_json::{Map, Value, json};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

type AnyError = Box<dyn std::error::Error>;

#[derive(Debug, thiserror::Error)]
#[error("the table cannot be read")]
struct TableError {
    source: std::io::Error,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = Pipes::open(&arguments).map_err(AnyError::from).and_then(|pipes| run(&pipes));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // An error of the protocol itself has no other way out.
            drop(writeln!(std::io::stderr(), "{error}: {:?}", error.source()));
            ExitCode::from(3)
        }
    }
}

fn run(pipes: &Pipes) -> Result<ExitCode, AnyError> {
    pipes.install_panic_hook();
    tracing_subscriber::registry().with(pipes.layer()).init();
    let scenario = pipes.context().extras.get("scenario").and_then(Value::as_str);
    match scenario.unwrap_or("everything") {
        "everything" => everything(pipes)?,
        "failure" => {
            let source = std::io::Error::other("the server closed the connection");
            let error = TableError { source };
            pipes.close(Some(Exception::from_error(&error).named("TableError")))?;
            return Ok(ExitCode::from(1));
        }
        "panic" => {
            let value = pipes.context().run_id.len() + 1_234_000;
            panic!("a formatted text that holds {value}");
        }
        "materialization" => report_materializations(pipes)?,
        "unclosed" => return Ok(ExitCode::SUCCESS),
        "closed_twice" => {
            report_all(pipes)?;
            pipes.close(None)?;
            pipes.close(Some(Exception::of("not sent")))?;
        }
        unknown => return Err(format!("unknown scenario {unknown}").into()),
    }
    pipes.close(None)?;
    Ok(ExitCode::SUCCESS)
}

fn everything(pipes: &Pipes) -> Result<(), AnyError> {
    report_all(pipes)?;
    for level in [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical] {
        pipes.log(level, &format!("a log message of level {level:?}, naïve 🦀"))?;
    }
    tracing::warn!(rows = 7, "an event of tracing");
    tracing::debug!("an event that is not sent");
    pipes.log(Level::Info, &format!("long {}", "ü".repeat(3_000)))?;
    pipes.log_external_stream(Stream::Stdout, "text of standard output\n", &Map::new())?;
    writeln!(pipes.external_stream(Stream::Stderr), "text of standard error")?;
    let context = pipes.context();
    pipes.report_custom(&json!({
        "includes_stdio": pipes.includes_stdio(),
        "asset_keys": context.asset_keys.iter().map(AssetKey::parts).collect::<Vec<_>>(),
        "code_versions": context.code_version_by_asset_key.values().collect::<Vec<_>>(),
        "partition_key": context.partition_key,
        "partition_key_parts": context.partition_key_parts(),
        "partition_key_range": context
            .partition_key_range
            .as_ref()
            .map(|range| [&range.start, &range.end]),
        "partition_time_window": context
            .partition_time_window
            .as_ref()
            .map(|window| [&window.start, &window.end]),
        "run_id": context.run_id,
        "job_name": context.job_name,
        "retry_number": context.retry_number,
        "extras": context.extras,
    }))?;
    Ok(())
}

fn report_all(pipes: &Pipes) -> Result<(), AnyError> {
    report_materializations(pipes)?;
    for asset_key in &pipes.context().asset_keys {
        for (name, passed, severity) in
            [("row_count", true, Severity::Error), ("vanish_guard", false, Severity::Warn)]
        {
            pipes.report_check(&Check {
                asset_key: asset_key.clone(),
                name: name.to_owned(),
                passed,
                severity,
                metadata: BTreeMap::from([("rows".to_owned(), Metadata::from(7_u64))]),
            })?;
        }
    }
    Ok(())
}

fn report_materializations(pipes: &Pipes) -> Result<(), AnyError> {
    for (index, asset_key) in pipes.context().asset_keys.iter().enumerate() {
        pipes.report_materialization(&Materialization {
            asset_key: asset_key.clone(),
            metadata: every_type()?,
            data_version: Some(format!("version {index}")),
        })?;
    }
    Ok(())
}

/// Metadata of all seventeen types, and the values that need another form.
fn every_type() -> Result<BTreeMap<String, Metadata>, AnyError> {
    let schema = TableSchema {
        columns: vec![
            TableColumn {
                name: "id".to_owned(),
                data_type: "long".to_owned(),
                description: Some("the key".to_owned()),
                tags: BTreeMap::from([("layer".to_owned(), "raw".to_owned())]),
                constraints: ColumnConstraints {
                    nullable: false,
                    unique: true,
                    other: vec!["> 0".to_owned()],
                },
            },
            TableColumn {
                name: "tags".to_owned(),
                data_type: "list<string>".to_owned(),
                ..TableColumn::default()
            },
        ],
    };
    let record =
        Map::from_iter([("id".to_owned(), json!(1)), ("tags".to_owned(), json!(["nested"]))]);
    let dependency = ColumnDependency {
        asset_key: AssetKey::new(["source", "with/slash"])?,
        column_name: "id".to_owned(),
    };
    let lineage = BTreeMap::from([("id".to_owned(), vec![dependency])]);
    let values = [
        ("infer", Metadata::Infer(json!({"a": 1}))),
        ("text", Metadata::from("plain")),
        ("url", Metadata::Url("https://example.org/".to_owned())),
        ("path", Metadata::Path("/lake/file.parquet".to_owned())),
        ("notebook", Metadata::Notebook("/notebook.ipynb".to_owned())),
        ("json", Metadata::Json(json!([{"a": null}]))),
        ("json_scalar", Metadata::Json(json!("scalar"))),
        ("md", Metadata::Markdown("*bold*".to_owned())),
        ("float", Metadata::from(7.0)),
        ("float_nan", Metadata::from(f64::NAN)),
        ("int", Metadata::from(9_007_199_254_740_993_i64)),
        ("int_unsigned", Metadata::from(u64::MAX)),
        ("int_huge", Metadata::Int(i128::MAX)),
        ("bool", Metadata::from(true)),
        ("dagster_run", Metadata::DagsterRun("a-run".to_owned())),
        ("asset", Metadata::Asset(AssetKey::new(["raw", "users"])?)),
        ("asset_slash", Metadata::Asset(AssetKey::new(["raw", "us/ers"])?)),
        ("null", Metadata::Null),
        ("table", Metadata::Table { records: vec![record], schema: schema.clone() }),
        ("table_schema", Metadata::TableSchema(schema)),
        ("table_column_lineage", Metadata::TableColumnLineage(lineage)),
        ("timestamp", Metadata::Timestamp(1_700_000_000.25)),
    ];
    Ok(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
