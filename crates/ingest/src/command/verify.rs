//! `ol-ingest verify`: source against lake.
//!
//! Both sides are reduced to a row count and a digest a column. The source is read under one snapshot with the same
//! decoders as a run; that they decode rightly is proven elsewhere, by independent readers. What is compared here is
//! that what was read is what the lake holds: nothing lost, doubled or altered.

use std::sync::Arc;

use arrow_array::{Array as _, BooleanArray, RecordBatch};
use arrow_schema::ArrowError;
use arrow_select::filter::filter_record_batch;
use futures::TryStreamExt as _;
use ol_chassis::cli::Context;
use ol_chassis::config::Platform;
use ol_chassis::progress::Unit as Counted;
use ol_lake::{Lake, LakeTable, TableName};

use crate::cli::Selection;
use crate::column::digest::TableDigest;
use crate::column::metadata;
use crate::config::Config;
use crate::error::{Definite, Doing, Error, Transient};
use crate::inventory::{SourceKind, SyncMode, Table, Unit};
use crate::report::documents::{TableVerification, VerifyReport};
use crate::run::open_lake;
use crate::source::postgres::rows::BatchLimit;
use crate::source::postgres::session::Session;
use crate::source::postgres::settings::SourceAddress;
use crate::source::postgres::{plan, reread};

/// Compares every selected table.
pub(super) async fn execute(
    selection: &Selection,
    config: &Config,
    context: &Context,
) -> Result<VerifyReport, Error> {
    let inventory = super::select(selection)?;
    let platform = Platform::from_environment().await?;
    let lake = open_lake(&platform, config).await?;
    let mut tables = Vec::new();
    for unit in &inventory.units {
        let bar = context.progress.bar(
            &unit.id.to_string(),
            Some(unit.tables.len() as u64),
            Counted::Tables,
        );
        match Side::open(unit, config, context).await {
            Ok(side) => {
                for table in &unit.tables {
                    bar.say(&table.raw_table);
                    let name = TableName::new(platform.raw_namespace(), &table.raw_table);
                    let compared = side.compare(&lake, &name, unit, table).await;
                    tables.push(compared.unwrap_or_else(|error| {
                        let error = error.with("table", table.qualified_name());
                        tracing::warn!(error = %ol_chassis::error::chain(&error), "a table was not verified");
                        TableVerification::failed(&table.raw_table, &error)
                    }));
                    bar.add(1);
                }
            }
            Err(error) => {
                tracing::error!(unit = %unit.id, error = %ol_chassis::error::chain(&error), "nothing verified");
                tables.extend(
                    unit.tables
                        .iter()
                        .map(|table| TableVerification::failed(&table.raw_table, &error)),
                );
            }
        }
    }
    Ok(VerifyReport::new(tables))
}

/// The source's side of the comparison.
struct Side {
    session: Session,
    batch: BatchLimit,
    context: Context,
}

impl Side {
    async fn open(unit: &Unit, config: &Config, context: &Context) -> Result<Self, Error> {
        if unit.source_kind != SourceKind::Postgres {
            return Err(Error::new(Definite::ModeUnsupported).with("source_kind", unit.source_kind));
        }
        let session = Session::open(&SourceAddress::of(&unit.id)).await?;
        let batch = BatchLimit { rows: config.ingest.batch_rows, bytes: config.ingest.batch_bytes };
        Ok(Self { session, batch, context: context.clone() })
    }

    async fn compare(
        &self,
        lake: &Arc<Lake>,
        name: &TableName,
        unit: &Unit,
        table: &Table,
    ) -> Result<TableVerification, Error> {
        if self.context.shutdown.is_requested() {
            return Err(Error::new(Transient::Stopped));
        }
        if matches!(table.sync_mode, SyncMode::FullRefreshAppend | SyncMode::IncrementalAppend) {
            return Err(Error::new(Definite::ModeUnsupported)
                .with("sync_mode", table.sync_mode)
                .with("reason", "an appended table holds every past state, so it equals none"));
        }
        let plan = plan::plan(unit, table, &self.session.catalog)?.salted().await?;
        let missing = || Error::new(Definite::LakeTableMissing).with("raw_table", &table.raw_table);
        let lake_table = lake.load(name).await?.ok_or_else(missing)?;
        let change = lake.evolve(&lake_table, &plan.lake_schema_of(&lake_table)).await?;
        if let Some(step) = change.steps().first() {
            return Err(Error::new(Definite::VerificationFailed).with("missing", step));
        }
        let names: Vec<String> = plan.readings.iter().map(|reading| reading.name.clone()).collect();
        let held = of_lake(lake, &lake_table, &names).await?;
        let (settings, schema, batch) =
            (self.session.settings.clone(), lake_table.arrow_schema(), self.batch);
        let (snapshot, shutdown) =
            (self.session.keeper.snapshot.clone(), self.context.shutdown.clone());
        let reading = tokio::task::spawn_blocking(move || {
            reread::digest(&settings, &snapshot, &plan, schema, batch, shutdown)
        });
        let source = match reading.await {
            Ok(result) => result.map_err(|error| error.into_error(Doing::Reading))?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let differing = source.differing(&held);
        if source.rows == held.rows && differing.is_empty() {
            let columns = source.columns.len() as u64;
            return Ok(TableVerification::agrees(&table.raw_table, source.rows, columns));
        }
        let error = Error::new(Definite::VerificationFailed)
            .with("table", table.qualified_name())
            .with("source_rows", source.rows)
            .with("lake_rows", held.rows);
        Ok(TableVerification {
            source_rows: Some(source.rows),
            lake_rows: Some(held.rows),
            columns_compared: source.columns.len() as u64,
            columns_differing: differing,
            ..TableVerification::failed(&table.raw_table, &error)
        })
    }
}

async fn of_lake(lake: &Lake, table: &LakeTable, names: &[String]) -> Result<TableDigest, Error> {
    let mut digest = TableDigest::new(names);
    let mut columns: Vec<&str> = names.iter().map(String::as_str).collect();
    columns.push(metadata::ODD);
    if table.schema().column(metadata::DELETED_AT).is_some() {
        columns.push(metadata::DELETED_AT);
    }
    let mut batches = lake.scan(table, Some(&columns)).await?;
    while let Some(batch) = batches.try_next().await? {
        present(&batch).and_then(|batch| digest.add(&batch)).map_err(|error| {
            Error::new(Definite::Defect).with("table", table.name()).because(error)
        })?;
    }
    Ok(digest)
}

/// The rows that are not marked as deleted.
fn present(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    match batch.column_by_name(metadata::DELETED_AT) {
        None => Ok(batch.clone()),
        Some(mark) => {
            let there = BooleanArray::from_iter((0..mark.len()).map(|row| Some(mark.is_null(row))));
            filter_record_batch(batch, &there)
        }
    }
}
