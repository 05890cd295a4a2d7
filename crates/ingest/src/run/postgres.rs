//! The flow from an application's Postgres to the raw lake, in full: the function is the arrow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use c4model::platform::{ApplicationPostgres, RawLake};
use c4model::{Sink, Source};
use ol_chassis::progress::Unit as Counted;
use ol_lake::{
    Lake, LakeTable, PartitionField, PartitionTransform, SortField, TableDefinition, TableName,
};

use super::{Reporter, RunContext};
use crate::column::batch::RunColumns;
use crate::error::{Definite, Doing, Error, Result, Transient};
use crate::inventory::{self, DateTransform, Table, Unit};
use crate::load::{LoadMode, Loaded, ShrinkGuard, Target, TargetSettings, Totals, contract_digest};
use crate::metrics;
use crate::policy::policy;
use crate::report::TableReport;
use crate::source::postgres::catalog::Catalog;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::full_load::{Loading, TableLoad, TableResult, load_tables};
use crate::source::postgres::incremental::sweep::{self, Sweep};
use crate::source::postgres::incremental::{self, Known, Method, Situation, Step};
use crate::source::postgres::plan::{self, TablePlan};
use crate::source::postgres::rows::BatchLimit;
use crate::source::postgres::session::Session;
use crate::source::postgres::settings::{Settings, SourceAddress};
use crate::source::postgres::snapshot::Keeper;

/// One unit to load.
pub struct UnitJob {
    /// The run it is part of.
    pub context: RunContext,
    /// The unit, with the selected tables only.
    pub unit: Arc<Unit>,
    /// The run's identifier.
    pub run_id: String,
    /// When the run began, in microseconds since 1970-01-01 UTC.
    pub extracted_at_microseconds: i64,
}

/// A table that is in the lake, and what there is to say of it.
pub struct TableDone {
    /// Its columns in the lake: name and type.
    pub columns: Vec<(String, String)>,
    /// What was read.
    pub totals: Totals,
    /// What was committed.
    pub loaded: Loaded,
    /// Whether it was replaced under the guard, and how much had to be left.
    pub keep_ratio: Option<f64>,
}

c4model::flow! { postgres_full_load {
    moves: "Table rows",
    tech: "COPY BINARY",
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
pub async fn postgres_full_load(
    source: Source<ApplicationPostgres, SourceAddress>,
    sink: Sink<RawLake, Arc<Lake>>,
    job: UnitJob,
) -> Result<Vec<TableReport>> {
    let reporter = Reporter::new(job.context.pipes.clone());
    let mut reports: BTreeMap<usize, TableReport> = BTreeMap::new();
    let mut pending: Vec<usize> = (0..job.unit.tables.len()).collect();
    let attempts = job.context.config.ingest.attempts;
    for attempt in 1..=attempts {
        let mut again = Vec::new();
        for (index, seconds, result) in
            job.attempt(source.endpoint(), sink.endpoint(), &pending).await
        {
            let Some(table) = job.unit.tables.get(index) else { continue };
            let report = match result {
                Ok(done) => {
                    sink.moved(done.totals.rows, done.loaded.bytes);
                    let report = done_report(table, &done, seconds);
                    reporter.done(&report, &done);
                    report
                }
                Err(error) => {
                    let retry = policy(error.failure()).retry && attempt < attempts;
                    let cause = ol_chassis::error::chain(&error);
                    tracing::warn!(table = %table.raw_table, attempt, retry, error = %cause, "a table failed");
                    if retry {
                        again.push(index);
                    }
                    let report = TableReport {
                        seconds,
                        ..TableReport::failed(&table.raw_table, table.sync_mode, &error)
                    };
                    if !retry {
                        reporter.failed(&report);
                        reporter.guarded(&report, &error);
                    }
                    report
                }
            };
            reports.insert(index, report);
        }
        if again.is_empty() || job.context.shutdown.is_requested() {
            break;
        }
        pending = again;
        let factor = 2f64.powi(i32::try_from(attempt).unwrap_or(8).min(8) - 1);
        let pause = Duration::from_secs_f64(job.context.config.ingest.retry_seconds * factor);
        tokio::select! {
            () = job.context.clock.sleep(pause) => {}
            () = job.context.shutdown.requested() => {}
        }
    }
    reports.values().for_each(metrics::ended);
    Ok(reports.into_values().collect())
}

/// How the rows of this run go in: as planned, but all rows of a merged table replace what is there, which costs less
/// than looking for each. Rows that are marked as deleted would be lost by that, so there they are merged.
fn mode(plan: &TablePlan, base: &LakeTable, step: Option<&Step>) -> LoadMode {
    let has_rows = base.current_snapshot().is_some_and(|snapshot| snapshot.records > 0);
    match (&plan.mode, step) {
        (LoadMode::Merge(merging), Some(step))
            if step.condition.is_none() && (step.is_other_mode || !(merging.soft && has_rows)) =>
        {
            plan::replacing(&plan.relation, &plan.key)
        }
        (mode, _) => mode.clone(),
    }
}

/// How the inventory divides a table; it counts when the table is made.
pub(crate) fn partition_by(table: &Table) -> Vec<PartitionField> {
    use inventory::PartitionTransform as Asked;
    let transform = |asked| match asked {
        Asked::Identity => PartitionTransform::Identity,
        Asked::Date(DateTransform::Year) => PartitionTransform::Year,
        Asked::Date(DateTransform::Month) => PartitionTransform::Month,
        Asked::Date(DateTransform::Day) => PartitionTransform::Day,
        Asked::Date(DateTransform::Hour) => PartitionTransform::Hour,
        Asked::Bucket(buckets) => PartitionTransform::Bucket(buckets),
        Asked::Truncate(width) => PartitionTransform::Truncate(width),
    };
    let terms = table.overrides.partition_by.iter();
    terms
        .map(|term| PartitionField {
            transform: transform(term.transform),
            column: term.column.clone(),
        })
        .collect()
}

/// How the inventory sorts the rows of a table.
pub(crate) fn sort_by(table: &Table) -> Vec<SortField> {
    let terms = table.overrides.sort_by.iter();
    terms
        .map(|term| SortField { column: term.column.clone(), descending: term.descending })
        .collect()
}

fn done_report(table: &Table, done: &TableDone, seconds: f64) -> TableReport {
    TableReport {
        rows: if done.loaded.unchanged { 0 } else { done.totals.rows },
        deletes: done.loaded.deletes,
        bytes: done.loaded.bytes,
        files: done.loaded.files,
        snapshot_id: Some(done.loaded.snapshot_id),
        position: Some(done.loaded.position.clone()),
        seconds,
        advice: done.loaded.unchanged.then(|| match done.totals.rows {
            0 => "Unchanged: nothing is new at the source".to_owned(),
            rows => format!("Unchanged: the lake already holds these {rows} rows"),
        }),
        ..TableReport::done(&table.raw_table, table.sync_mode)
    }
}

/// What became of a table in one attempt, with the seconds it took.
type Attempted = (usize, f64, Result<TableDone>);

impl UnitJob {
    /// Reads the tables of `pending` once, under one snapshot.
    async fn attempt(
        &self,
        source: &SourceAddress,
        lake: &Arc<Lake>,
        pending: &[usize],
    ) -> Vec<Attempted> {
        let id = &self.unit.id;
        let all = |error: &Error| {
            let each = || error.again().with("unit", id);
            pending.iter().map(|index| (*index, 0.0, Err(each()))).collect()
        };
        let mut session = tokio::select! {
            opened = Session::open(source) => match opened {
                Ok(session) => session,
                Err(error) => {
                    tracing::warn!(unit = %id, error = %ol_chassis::error::chain(&error), "no snapshot");
                    return all(&error);
                }
            },
            () = self.context.shutdown.requested() => return all(&Error::new(Transient::Stopped)),
        };
        let mut attempted: Vec<Attempted> = Vec::new();
        let mut loads = Vec::new();
        let mut indexes = Vec::new();
        let mut labels = Vec::new();
        for index in pending {
            let Some(table) = self.unit.tables.get(*index) else { continue };
            match self.prepare(lake, table, &session.catalog, &mut session.keeper).await {
                Ok(load) => {
                    labels.push((table.raw_table.clone(), load.relation.row_estimate));
                    loads.push(load);
                    indexes.push(*index);
                }
                Err(error) => attempted.push((*index, 0.0, Err(error))),
            }
        }
        let loads = Arc::new(loads);
        let loading = Arc::new(self.loading(session.settings.clone(), labels));
        load_tables(&session.keeper, loading, Arc::clone(&loads), |result| {
            let (Some(index), Some(load)) = (indexes.get(result.index), loads.get(result.index))
            else {
                return;
            };
            attempted.push((*index, result.seconds, self.outcome(*index, load, result)));
        })
        .await;
        if let Err(error) = session.keeper.close().await {
            tracing::debug!(%error, "the snapshot's connection was lost after the last read");
        }
        attempted
    }

    fn outcome(&self, index: usize, load: &TableLoad, result: TableResult) -> Result<TableDone> {
        let name = self.unit.tables.get(index).map(Table::qualified_name).unwrap_or_default();
        let loaded =
            result.result.map_err(|e| e.into_error(Doing::Reading).with("table", &name))?;
        let schema = load.target.table().schema();
        Ok(TableDone {
            columns: schema
                .columns
                .iter()
                .map(|column| (column.name.clone(), column.lake_type.to_string()))
                .collect(),
            totals: result.totals,
            loaded,
            keep_ratio: load.target.replaces().then_some(load.guard.keep_ratio),
        })
    }

    /// Plans a table, and makes its lake table exist with the columns it needs.
    async fn prepare(
        &self,
        lake: &Arc<Lake>,
        table: &Table,
        catalog: &Catalog,
        keeper: &mut Keeper,
    ) -> Result<TableLoad> {
        let plan = plan::plan(&self.unit, table, catalog)?.salted().await?;
        self.target(lake, table, plan, keeper)
            .await
            .map_err(|error| error.with("table", table.qualified_name()))
    }

    async fn target(
        &self,
        lake: &Arc<Lake>,
        table: &Table,
        plan: TablePlan,
        keeper: &mut Keeper,
    ) -> Result<TableLoad> {
        let name = TableName::new(self.context.platform.raw_namespace(), &table.raw_table);
        let schema = plan.lake_schema();
        let base = match lake.load(&name).await? {
            Some(base) => base,
            None => {
                let definition = TableDefinition {
                    name,
                    schema: schema.clone(),
                    comment: plan.relation.comment.clone(),
                    partition_by: partition_by(table),
                    sort_by: sort_by(table),
                    properties: BTreeMap::from([
                        ("ol.source-table".to_owned(), plan.relation.display()),
                        (
                            "ol.primary-key".to_owned(),
                            serde_json::json!(plan.relation.primary_key).to_string(),
                        ),
                    ]),
                };
                lake.create(&definition).await?
            }
        };
        let change = lake.evolve(&base, &plan.lake_schema_of(&base)).await?;
        for step in change.steps() {
            tracing::info!(table = %table.raw_table, step, "the table's schema changes");
        }
        let contract =
            contract_digest(plan.readings.iter().map(|r| (r.name.as_str(), &r.contract)));
        let step = self.step(table, &plan, &base, keeper).await?;
        let mode = mode(&plan, &base, step.as_ref());
        let sweep = self.sweep(&plan, &mode, &base, step.as_ref());
        let order = match &mode {
            LoadMode::Merge(merging) if merging.replaces => table.cursor_field.clone(),
            LoadMode::Overwrite | LoadMode::Append | LoadMode::Merge(_) => None,
        };
        let settings = TargetSettings {
            mode,
            mode_word: table.sync_mode.word(),
            contract,
            run_id: self.run_id.clone(),
            claim: None,
            fenced: step.is_some(),
            goes_on: step.as_ref().is_some_and(|step| step.goes_on()),
        };
        let target = Target::new(Arc::clone(lake), base, change, settings)?;
        let guard = ShrinkGuard {
            keep_ratio: self.context.config.replace.keep_ratio,
            allow: self.context.allow_shrink.is_match(&table.raw_table),
        };
        Ok(TableLoad {
            relation: plan.relation,
            readings: plan.readings,
            target: Arc::new(target),
            guard,
            step,
            order,
            sweep,
            begins_anew: false,
            chunks: None,
        })
    }

    /// What is new since the table's state, for a table that is followed by queries.
    async fn step(
        &self,
        table: &Table,
        plan: &TablePlan,
        base: &LakeTable,
        keeper: &mut Keeper,
    ) -> Result<Option<Step>> {
        let from = self.context.from_of(table);
        let cursor = match &plan.method {
            Method::Cursor(cursor) => Some(cursor),
            Method::Full | Method::Xmin => None,
        };
        if from.is_some() && cursor.is_none() {
            return Err(Error::new(Definite::Configuration).with("flag", "--from").advise(
                "Only a table of a unit with replication_method cursor can begin at a value: remove it from --from.",
            ));
        }
        if plan.method == Method::Full {
            return Ok(None);
        }
        let reading = |error: SourceError| error.into_error(Doing::Reading);
        let from = match from.zip(cursor) {
            None => None,
            Some((value, cursor)) => {
                Some(keeper.value(&cursor.check_sql(value)).await.map_err(|error| {
                    let error = reading(error);
                    match error.is_transient() {
                        true => error,
                        false => error.advise("Give --from a value of the cursor's type."),
                    }
                })?)
            }
        };
        let parts = keeper.parts(&plan.relation).await.map_err(reading)?;
        let moment = keeper.moment.as_ref().ok_or_else(|| Error::new(Definite::Defect))?;
        let now = Situation {
            moment,
            position: keeper.position,
            relation: &plan.relation,
            parts,
            readings: &plan.readings,
            mode: table.sync_mode.word(),
            cursor,
            lookback_seconds: self.context.config.incremental.lookback_seconds,
            from,
            version: keeper.version,
        };
        let step = incremental::decide(Known::read(&base.state()), &now)?;
        if let Some(reason) = step.again {
            tracing::warn!(table = %table.raw_table, reason, "all rows are read again");
        }
        Ok(Some(step))
    }

    /// The comparison of keys, when it is time to.
    fn sweep(
        &self,
        plan: &TablePlan,
        mode: &LoadMode,
        base: &LakeTable,
        step: Option<&Step>,
    ) -> Option<Sweep> {
        let kind = match mode {
            LoadMode::Append if step.is_some() => sweep::Kind::Log,
            LoadMode::Merge(merging) if merging.soft => sweep::Kind::Marked,
            LoadMode::Merge(merging) if step.is_some() && !merging.replaces => sweep::Kind::Merged,
            LoadMode::Overwrite | LoadMode::Append | LoadMode::Merge(_) => return None,
        };
        let now = self.extracted_at_microseconds / 1000;
        let hours = i64::try_from(self.context.config.incremental.sweep_hours).unwrap_or(i64::MAX);
        // All rows that are read anew say what is gone, too, as far as the state is concerned.
        let is_due = step
            .filter(|step| step.goes_on())
            .and_then(|step| step.swept_at)
            .is_none_or(|last| now.saturating_sub(last) >= hours.saturating_mul(3_600_000));
        let has_rows = base.current_snapshot().is_some_and(|snapshot| snapshot.records > 0);
        (is_due && has_rows && !plan.key.is_empty()).then(|| Sweep {
            key: plan.key.clone(),
            kind,
            most_keys: self.context.config.incremental.sweep_keys,
        })
    }

    /// What the loads of the unit share.
    pub(super) fn loading(
        &self,
        settings: Settings,
        labels: Vec<(String, Option<f64>)>,
    ) -> Loading {
        let context = &self.context;
        let estimate = |rows: f64| format!("{rows:.0}").parse().ok();
        let total = labels.iter().map(|(_, rows)| *rows).sum::<Option<f64>>().and_then(estimate);
        let unit = self.unit.id.to_string();
        let bar = context.progress.bar(&unit, total, Counted::Rows);
        Loading {
            settings,
            streams: context.config.streams(),
            range_bytes: context.config.ingest.range_bytes,
            batch: BatchLimit {
                rows: context.config.ingest.batch_rows,
                bytes: context.config.ingest.batch_bytes,
            },
            run: RunColumns {
                position: String::new(),
                extracted_at_microseconds: self.extracted_at_microseconds,
                run_id: self.run_id.clone(),
            },
            shutdown: context.shutdown.clone(),
            progress: Arc::new(move |table, totals| {
                bar.add(totals.rows);
                metrics::read(&unit, totals);
                if let Some((name, _)) = labels.get(table) {
                    bar.say(name);
                }
            }),
        }
    }
}
