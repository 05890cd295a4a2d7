//! The flow from a forum's MongoDB to the raw lake, in full: the function is the arrow.

use std::sync::Arc;

use c4model::platform::{Forum, RawLake};
use c4model::{Sink, Source};
use ol_lake::{Lake, TableName};

use super::unit::{Attempted, Loads, TableDone, Tries, UnitJob, WantedTable, unopened};
use crate::column::batch::RunColumns;
use crate::error::{Definite, Doing, Error, Result};
use crate::inventory::Table;
use crate::load::{LoadMode, Target, TargetSettings, contract_digest};
use crate::position::Position;
use crate::report::TableReport;
use crate::source::address::SourceAddress;
use crate::source::incremental::due_sweep;
use crate::source::mongodb::catalog::Catalog;
use crate::source::mongodb::error::SourceError;
use crate::source::mongodb::full_load::{Loading, TableLoad, TableResult, load_tables};
use crate::source::mongodb::plan::{self, TablePlan};
use crate::source::mongodb::read::Request;
use crate::source::mongodb::session::{Source as Opened, Wanted};
use crate::source::mongodb::types::KEY;

c4model::flow! { mongodb_full_load {
    moves: "Documents",
    tech: "MongoDB find",
    tech_onward: "Parquet, Iceberg",
    idempotent: "replaces the table in one snapshot",
    kind: Scheduled,
    by: Through,
    owner: "data platform",
    cadence: "by Dagster",
    retry: "3 tries, backoff",
    timeout: "600 s without a byte",
} }
/// Loads the collections of a unit. Every table is in the answer; a failure of one does not stop the others.
///
/// # Errors
/// None: what concerns the unit as a whole is in the report of each of its tables.
pub async fn mongodb_full_load(
    source: Source<Forum, SourceAddress>,
    sink: Sink<RawLake, Arc<Lake>>,
    job: UnitJob,
) -> Result<Vec<TableReport>> {
    let attempt =
        async |pending: &[usize]| attempt(&job, source.endpoint(), sink.endpoint(), pending).await;
    Ok(Tries::new(&job).run(attempt, |rows, bytes| sink.moved(rows, bytes)).await)
}

/// Reads the collections of `pending` once.
async fn attempt(
    job: &UnitJob,
    address: &SourceAddress,
    lake: &Arc<Lake>,
    pending: &[usize],
) -> Vec<Attempted> {
    let context = &job.context;
    let opened = Opened::open(address, Wanted::of(&job.unit), context.shutdown.clone()).await;
    let source = match opened {
        Ok(source) => source,
        Err(error) => return unopened(job, pending, &error),
    };
    let mut attempted: Vec<Attempted> = Vec::new();
    let mut ready = Vec::new();
    for index in pending {
        let Some(table) = job.unit.tables.get(*index) else { continue };
        match prepare(job, lake, table, &source.catalog).await {
            Ok(load) => {
                let rows = load.request.plan.collection.row_estimate.map(|rows| rows as f64);
                ready.push((*index, table.raw_table.clone(), rows, load));
            }
            Err(error) => attempted.push((*index, 0.0, Err(error))),
        }
    }
    let loads = Loads::of(ready);
    let loading = Arc::new(Loading {
        settings: source.settings,
        streams: context.config.streams(),
        position: position(job),
        after: None,
        shutdown: context.shutdown.clone(),
        progress: job.progress(loads.labels.clone()),
    });
    load_tables(source.session, loading, Arc::clone(&loads.loads), |result| {
        let Some((index, load)) = loads.get(result.index) else { return };
        attempted.push((index, result.seconds, outcome(load, result)));
    })
    .await;
    attempted
}

/// Where a copy is placed: no part of the log is that of a copy which takes its time, so it is when it began.
fn position(job: &UnitJob) -> Position {
    Position::Moment(u64::try_from(job.extracted_at_microseconds).unwrap_or_default())
}

fn outcome(load: &TableLoad, result: TableResult) -> Result<TableDone> {
    let named = |error: SourceError| {
        error.into_error(Doing::Reading).with("table", load.request.plan.collection.display())
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
    let name = TableName::new(job.context.platform.raw_namespace(), &table.raw_table);
    let in_lake = lake.load(&name).await?;
    let plan = plan::plan(&job.unit, table, catalog, in_lake.as_ref())?;
    let read = plan.read.salted().await?;
    let plan = TablePlan { read, ..plan };
    for (field, reason) in &plan.read.left_out {
        tracing::info!(table = %table.raw_table, field, reason, "a field has no column");
    }
    let display = plan.read.collection.display();
    target(job, lake, table, plan).await.map_err(|error| error.with("table", display))
}

async fn target(
    job: &UnitJob,
    lake: &Arc<Lake>,
    table: &Table,
    plan: TablePlan,
) -> Result<TableLoad> {
    let primary_key = [KEY.to_owned()];
    let wanted = WantedTable {
        schema: plan.lake_schema(),
        comment: None,
        source_table: plan.read.collection.display(),
        primary_key: &primary_key,
    };
    let (base, change) =
        job.lake_table(lake, table, wanted, |table| plan.lake_schema_of(table)).await?;
    let order = match &plan.mode {
        LoadMode::Merge(merging) if merging.replaces => table.cursor_field.clone(),
        LoadMode::Overwrite | LoadMode::Append | LoadMode::Merge(_) => None,
    };
    let (incremental, now) =
        (&job.context.config.incremental, job.extracted_at_microseconds / 1000);
    let sweep = due_sweep(incremental, &plan.key, &plan.mode, &base, None, now);
    let settings = TargetSettings {
        mode: plan.mode.clone(),
        mode_word: table.sync_mode.word(),
        contract: contract_digest(
            plan.read.readings.iter().map(|r| (r.name.as_str(), &r.contract)),
        ),
        run_id: job.run_id.clone(),
        claim: None,
        fenced: false,
        goes_on: false,
    };
    let target = Arc::new(Target::new(Arc::clone(lake), base, change, settings)?);
    let request = Request {
        plan: plan.read,
        schema: target.table().arrow_schema(),
        batch: job.batch_limit(),
        run: RunColumns { position: position(job).to_string(), ..job.run_columns() },
        order,
        is_narrow: false,
    };
    Ok(TableLoad { request, target, guard: job.guard(table), sweep, chunks: None })
}
