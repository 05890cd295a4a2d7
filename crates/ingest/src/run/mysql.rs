//! The flow from an Open edX deployment's MySQL to the raw lake, in full: the function is the arrow.

use std::collections::BTreeSet;
use std::sync::Arc;

use c4model::platform::{OpenEdxMysql, RawLake};
use c4model::{Sink, Source};
use ol_lake::Lake;

use super::unit::{Attempted, TableDone, Tries, UnitJob, WantedTable};
use crate::error::{Definite, Doing, Error, Failure, Result};
use crate::inventory::{DEFAULT_NAMESPACE, Table, Unit};
use crate::load::{LoadMode, Target, TargetSettings, contract_digest};
use crate::report::TableReport;
use crate::source::address::SourceAddress;
use crate::source::mysql::catalog::Catalog;
use crate::source::mysql::error::SourceError;
use crate::source::mysql::full_load::{Loading, TableLoad, TableResult, load_tables};
use crate::source::mysql::plan;
use crate::source::mysql::session::{Opening, Source as Opened};

c4model::flow! { mysql_full_load {
    moves: "Table rows",
    tech: "prepared SELECT",
    tech_onward: "Parquet, Iceberg",
    idempotent: "replaces the table in one snapshot",
    kind: Scheduled,
    by: Through,
    owner: "data platform",
    cadence: "by Dagster",
    retry: "3 tries, backoff",
    timeout: "600 s without a byte",
} }
/// Loads the tables of a unit. Every table is in the answer; a failure of one does not stop the others.
///
/// # Errors
/// None: what concerns the unit as a whole is in the report of each of its tables.
pub async fn mysql_full_load(
    source: Source<OpenEdxMysql, SourceAddress>,
    sink: Sink<RawLake, Arc<Lake>>,
    job: UnitJob,
) -> Result<Vec<TableReport>> {
    let mut tries = Tries::new(&job);
    while let Some(pending) = tries.next().await {
        let attempted = attempt(&job, source.endpoint(), sink.endpoint(), &pending).await;
        for (index, seconds, result) in attempted {
            if let Ok(done) = &result {
                sink.moved(done.totals.rows, done.loaded.bytes);
            }
            tries.take(index, seconds, result);
        }
    }
    Ok(tries.reports())
}

/// The databases that a unit's tables name.
pub(crate) fn databases(unit: &Unit) -> Vec<String> {
    let named = unit.tables.iter().map(|table| table.namespace.clone());
    let named: BTreeSet<String> = named.filter(|name| name != DEFAULT_NAMESPACE).collect();
    named.into_iter().collect()
}

/// Reads the tables of `pending` once, under one snapshot.
async fn attempt(
    job: &UnitJob,
    address: &SourceAddress,
    lake: &Arc<Lake>,
    pending: &[usize],
) -> Vec<Attempted> {
    let (context, id) = (&job.context, &job.unit.id);
    let opening = Opening {
        databases: databases(&job.unit),
        streams: context.config.streams(),
        now_microseconds: job.extracted_at_microseconds,
        shutdown: context.shutdown.clone(),
    };
    let mut source = match Opened::open(address, opening).await {
        Ok(source) => source,
        Err(error) => {
            tracing::warn!(unit = %id, error = %ol_chassis::error::chain(&error), "no snapshot");
            let each = || error.again().with("unit", id);
            return pending.iter().map(|index| (*index, 0.0, Err(each()))).collect();
        }
    };
    let mut attempted: Vec<Attempted> = Vec::new();
    let (mut loads, mut indexes, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for index in pending {
        let Some(table) = job.unit.tables.get(*index) else { continue };
        let prepared = match prepare(job, lake, table, &source.catalog).await {
            Err(error) if error.failure() == Failure::Definite(Definite::RelationMissing) => {
                let asked = plan::database(table, &source.settings.database).to_owned();
                let (missing, back) = why_missing(source, asked, table.name.clone()).await;
                source = back;
                Err(missing.with("table", plan::display(table, &source.settings.database)))
            }
            prepared => prepared,
        };
        match prepared {
            Ok(load) => {
                let rows = load.relation.row_estimate.map(|rows| rows as f64);
                labels.push((table.raw_table.clone(), rows));
                loads.push(load);
                indexes.push(*index);
            }
            Err(error) => attempted.push((*index, 0.0, Err(error))),
        }
    }
    let loads = Arc::new(loads);
    let loading = Arc::new(Loading {
        range_bytes: context.config.ingest.range_bytes,
        batch: job.batch_limit(),
        run: job.run_columns(),
        shutdown: context.shutdown.clone(),
        progress: job.progress(labels),
    });
    load_tables(source.snapshot, loading, Arc::clone(&loads), |result| {
        let (Some(index), Some(load)) = (indexes.get(result.index), loads.get(result.index)) else {
            return;
        };
        attempted.push((*index, result.seconds, outcome(load, result)));
    })
    .await;
    attempted
}

fn outcome(load: &TableLoad, result: TableResult) -> Result<TableDone> {
    let named = |error: SourceError| {
        error.into_error(Doing::Reading).with("table", load.relation.display())
    };
    let loaded = result.result.map_err(named)?;
    Ok(TableDone::new(&load.target, result.totals, loaded, load.guard))
}

/// Plans a table, and makes its lake table exist with the columns it needs.
async fn prepare(
    job: &UnitJob,
    lake: &Arc<Lake>,
    table: &Table,
    catalog: &Catalog,
) -> Result<TableLoad> {
    if job.context.from_of(table).is_some() {
        return Err(Error::new(Definite::Configuration).with("flag", "--from").advise(
            "Only a table of a unit with replication_method cursor can begin at a value: remove it from --from.",
        ));
    }
    let plan = plan::plan(&job.unit, table, catalog)?.salted().await?;
    let display = plan.relation.display();
    target(job, lake, table, plan).await.map_err(|error| error.with("table", display))
}

async fn target(
    job: &UnitJob,
    lake: &Arc<Lake>,
    table: &Table,
    plan: plan::TablePlan,
) -> Result<TableLoad> {
    let wanted = WantedTable {
        schema: plan.lake_schema(),
        comment: plan.relation.comment.clone(),
        source_table: plan.relation.display(),
        primary_key: &plan.relation.primary_key,
    };
    let (base, change) =
        job.lake_table(lake, table, wanted, |table| plan.lake_schema_of(table)).await?;
    let order = match &plan.mode {
        LoadMode::Merge(merging) if merging.replaces => table.cursor_field.clone(),
        LoadMode::Overwrite | LoadMode::Append | LoadMode::Merge(_) => None,
    };
    let settings = TargetSettings {
        mode: plan.mode.clone(),
        mode_word: table.sync_mode.word(),
        contract: contract_digest(plan.readings.iter().map(|r| (r.name.as_str(), &r.contract))),
        run_id: job.run_id.clone(),
        claim: None,
        fenced: false,
        goes_on: false,
    };
    let target = Target::new(Arc::clone(lake), base, change, settings)?;
    Ok(TableLoad {
        relation: plan.relation,
        readings: plan.readings,
        target: Arc::new(target),
        guard: job.guard(table),
        order,
    })
}

/// Whether a table that the catalog does not show is missing, or hidden from the account; the source is handed back.
async fn why_missing(source: Opened, database: String, name: String) -> (Error, Opened) {
    let asked = tokio::task::spawn_blocking(move || {
        let mut source = source;
        let found = source.snapshot.first().and_then(|it| Catalog::missing(it, &database, &name));
        (found, source)
    });
    match asked.await {
        Ok((Ok(failure), source)) => (Error::new(failure), source),
        Ok((Err(error), source)) => (error.into_error(Doing::Reading), source),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
