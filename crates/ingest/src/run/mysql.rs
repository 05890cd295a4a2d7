//! The flow from an Open edX deployment's MySQL to the raw lake, in full or by what is new behind a cursor: the function is
//! the arrow.

use std::collections::BTreeSet;
use std::sync::Arc;

use c4model::platform::{OpenEdxMysql, RawLake};
use c4model::{Sink, Source};
use ol_lake::{Lake, LakeTable};

use super::unit::{Attempted, Loads, TableDone, Tries, UnitJob, WantedTable, unopened};
use crate::error::{Definite, Doing, Error, Failure, Result};
use crate::inventory::{DEFAULT_NAMESPACE, Table, Unit};
use crate::load::{LoadMode, Target, TargetSettings, contract_digest};
use crate::report::TableReport;
use crate::source::address::SourceAddress;
use crate::source::incremental::{due_sweep, load_mode};
use crate::source::mysql::catalog::{Catalog, Column};
use crate::source::mysql::error::SourceError;
use crate::source::mysql::full_load::{Loading, TableLoad, TableResult, load_tables};
use crate::source::mysql::incremental::cursor::Cursor;
use crate::source::mysql::incremental::seen::MOST_HASHES;
use crate::source::mysql::incremental::{self, Known, Situation, Step};
use crate::source::mysql::plan::{self, Method, TablePlan};
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
    let attempt =
        async |pending: &[usize]| attempt(&job, source.endpoint(), sink.endpoint(), pending).await;
    Ok(Tries::new(&job).run(attempt, |rows, bytes| sink.moved(rows, bytes)).await)
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
    let context = &job.context;
    let opening = Opening {
        databases: databases(&job.unit),
        streams: context.config.streams(),
        now_microseconds: job.extracted_at_microseconds,
        shutdown: context.shutdown.clone(),
    };
    let mut source = match Opened::open(address, opening).await {
        Ok(source) => source,
        Err(error) => return unopened(job, pending, &error),
    };
    let mut attempted: Vec<Attempted> = Vec::new();
    let mut ready = Vec::new();
    for index in pending {
        let Some(table) = job.unit.tables.get(*index) else { continue };
        match prepare(job, lake, table, &mut source).await {
            Ok(load) => {
                let rows = load.relation.row_estimate.map(|rows| rows as f64);
                ready.push((*index, table.raw_table.clone(), rows, load));
            }
            Err(error) => attempted.push((*index, 0.0, Err(error))),
        }
    }
    let loads = Loads::of(ready);
    let loading = Arc::new(Loading {
        range_bytes: context.config.ingest.range_bytes,
        batch: job.batch_limit(),
        run: job.run_columns(),
        shutdown: context.shutdown.clone(),
        progress: job.progress(loads.labels.clone()),
    });
    load_tables(source.snapshot, loading, Arc::clone(&loads.loads), |result| {
        let Some((index, load)) = loads.get(result.index) else { return };
        attempted.push((index, result.seconds, outcome(load, result)));
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
    source: &mut Opened,
) -> Result<TableLoad> {
    let display = plan::display(table, &source.settings.database);
    let planned = match plan::plan(&job.unit, table, &source.catalog) {
        Err(error) if error.failure() == Failure::Definite(Definite::RelationMissing) => {
            let asked = plan::database(table, &source.settings.database).to_owned();
            let name = table.name.clone();
            let missing = source.ask(move |it| Catalog::missing(it, &asked, &name)).await;
            Err(missing.map_or_else(|error| error.into_error(Doing::Reading), Error::new))
        }
        Err(error) => return Err(error),
        Ok(plan) => plan.salted().await,
    };
    let prepared = match planned {
        Ok(plan) => target(job, lake, table, plan, source).await,
        Err(error) => Err(error),
    };
    prepared.map_err(|error| error.with("table", display))
}

async fn target(
    job: &UnitJob,
    lake: &Arc<Lake>,
    table: &Table,
    plan: TablePlan,
    source: &mut Opened,
) -> Result<TableLoad> {
    let wanted = WantedTable {
        schema: plan.lake_schema(),
        comment: plan.relation.comment.clone(),
        source_table: plan.relation.display(),
        primary_key: &plan.relation.primary_key,
    };
    let (base, change) =
        job.lake_table(lake, table, wanted, |table| plan.lake_schema_of(table)).await?;
    let contract = contract_digest(plan.readings.iter().map(|r| (r.name.as_str(), &r.contract)));
    let step = step(job, table, &plan, &base, &contract, source).await?;
    let begun = step.as_ref().map(Step::begun);
    let mode = load_mode(&plan.mode, &plan.relation.primary_key, &plan.key, &base, begun);
    let (settings, now) = (&job.context.config.incremental, job.extracted_at_microseconds / 1000);
    let sweep = due_sweep(settings, &plan.key, &mode, &base, begun, now);
    let order = match &mode {
        LoadMode::Merge(merging) if merging.replaces => table.cursor_field.clone(),
        LoadMode::Overwrite | LoadMode::Append | LoadMode::Merge(_) => None,
    };
    let settings = TargetSettings {
        mode,
        mode_word: table.sync_mode.word(),
        contract,
        run_id: job.run_id.clone(),
        claim: None,
        fenced: step.is_some(),
        goes_on: begun.is_some_and(|begun| begun.goes_on),
    };
    let target = Target::new(Arc::clone(lake), base, change, settings)?;
    Ok(TableLoad {
        relation: plan.relation,
        readings: plan.readings,
        target: Arc::new(target),
        guard: job.guard(table),
        step,
        order,
        sweep,
        begins_anew: false,
        chunks: None,
    })
}

/// What is new since the table's state, for a table that is followed by a cursor.
async fn step(
    job: &UnitJob,
    table: &Table,
    plan: &TablePlan,
    base: &LakeTable,
    contract: &str,
    source: &mut Opened,
) -> Result<Option<Step>> {
    let from = job.context.from_of(table);
    let Method::Cursor(cursor) = &plan.method else {
        return match from {
            None => Ok(None),
            Some(_) => Err(Error::new(Definite::Configuration).with("flag", "--from").advise(
                "Only a table of a unit with replication_method cursor can begin at a value: remove it from --from.",
            )),
        };
    };
    let reading = |error: SourceError| error.into_error(Doing::Reading);
    let is_log = plan.mode == LoadMode::Append;
    let from = match from {
        None => None,
        Some(text) => Some(handed_over(cursor, text, source).await?),
    };
    if is_log {
        let query = cursor.valueless_sql(&plan.relation, MOST_HASHES + 1);
        let rows = source.ask(move |session| session.scalar(&query)).await.map_err(reading)?;
        if rows.and_then(|rows| rows.parse().ok()).is_some_and(|rows: usize| rows > MOST_HASHES) {
            return Err(Error::new(Definite::CursorUnusable)
                .with("column", &cursor.column)
                .with("reason", format!("more than {MOST_HASHES} rows have no value in it"))
                .advise(
                    "Every run would add those rows to the log again: name a column that is never null as cursor_field, \
                     or set sync_mode to incremental_update.",
                ));
        }
    }
    let query = cursor.highest_sql(&plan.relation);
    let highest = source.ask(move |session| session.scalar(&query)).await.map_err(reading)?;
    let identity = format!("{}/{}", source.server, plan.relation.database);
    let column = plan.relation.columns.iter().find(|column| column.name == cursor.column);
    let now = Situation {
        source: &identity,
        position: source.snapshot.position,
        now: job.extracted_at_microseconds / 1000,
        readings: &plan.readings,
        contract,
        mode: table.sync_mode.word(),
        is_log,
        cursor,
        unsigned: column.is_some_and(Column::unsigned),
        highest,
        lookback_seconds: job.context.config.incremental.lookback_seconds,
        from,
    };
    let step = incremental::decide(Known::read(&base.state(), base.properties()), &now)?;
    if let Some(reason) = step.again {
        tracing::warn!(table = %table.raw_table, reason, "all rows are read again");
    }
    Ok(Some(step))
}

/// The value that another loader stopped at, as the server prints it.
async fn handed_over(cursor: &Cursor, text: &str, source: &mut Opened) -> Result<String> {
    let refused = |wanted: &str| {
        let advice = format!("Give --from a value of the column {}: {wanted}.", cursor.column);
        Error::new(Definite::Configuration).with("flag", "--from").advise(advice)
    };
    let query = cursor.value_sql(text).map_err(refused)?;
    let value = source.ask(move |session| session.scalar(&query)).await;
    let value = value.map_err(|error| error.into_error(Doing::Reading))?;
    value.ok_or_else(|| refused("a day of the calendar"))
}
