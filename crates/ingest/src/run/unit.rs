//! What the loads of a unit have in common, whatever its source: tries, the tables of the lake, reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ol_chassis::progress::Unit as Counted;
use ol_lake::schema::evolve::SchemaChange;
use ol_lake::{
    Lake, LakeSchema, LakeTable, PartitionField, PartitionTransform, SortField, TableDefinition,
    TableName,
};

use super::{Reporter, RunContext};
use crate::column::batch::{BatchLimit, RunColumns};
use crate::error::{Error, Result};
use crate::inventory::{self, DateTransform, Table, Unit};
use crate::load::{Loaded, ShrinkGuard, Target, Totals};
use crate::metrics;
use crate::policy::policy;
use crate::report::TableReport;

/// One unit to load.
pub struct UnitJob {
    /// Id of the declared flow that loads it.
    pub flow: &'static str,
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

impl TableDone {
    /// What became of the table of a target.
    pub(super) fn new(target: &Target, totals: Totals, loaded: Loaded, guard: ShrinkGuard) -> Self {
        let columns = target.table().schema().columns.iter();
        let columns = columns.map(|column| (column.name.clone(), column.lake_type.to_string()));
        Self {
            columns: columns.collect(),
            totals,
            loaded,
            keep_ratio: target.replaces().then_some(guard.keep_ratio),
        }
    }
}

/// The tables of a unit that are still to be loaded, try by try, and what became of the others.
pub(super) struct Tries<'a> {
    job: &'a UnitJob,
    reporter: Reporter,
    reports: BTreeMap<usize, TableReport>,
    /// What the next try is about.
    again: Vec<usize>,
    attempt: u32,
}

impl<'a> Tries<'a> {
    pub(super) fn new(job: &'a UnitJob) -> Self {
        let reporter = Reporter::new(job.context.pipes.clone()).of_flow(job.flow);
        let again = (0..job.unit.tables.len()).collect();
        Self { job, reporter, reports: BTreeMap::new(), again, attempt: 0 }
    }

    /// The tables of the next try, after a pause that doubles; `None` when there is nothing to try.
    async fn next(&mut self) -> Option<Vec<usize>> {
        let context = &self.job.context;
        if self.attempt > 0 {
            if self.again.is_empty() || context.shutdown.is_requested() {
                return None;
            }
            let exponent = i32::try_from(self.attempt).unwrap_or(8).min(8) - 1;
            let seconds = context.config.ingest.retry_seconds * 2f64.powi(exponent);
            tokio::select! {
                () = context.clock.sleep(Duration::from_secs_f64(seconds)) => {}
                () = context.shutdown.requested() => {}
            }
        }
        self.attempt += 1;
        Some(std::mem::take(&mut self.again))
    }

    /// Tries until nothing is left to be tried: `attempt` says of each of the tables that it is given what became of it. `moved`
    /// is told the rows and the bytes of each that is in the lake.
    pub(super) async fn run(
        mut self,
        attempt: impl AsyncFn(&[usize]) -> Vec<Attempted>,
        moved: impl Fn(u64, u64),
    ) -> Vec<TableReport> {
        while let Some(pending) = self.next().await {
            for (index, seconds, result) in attempt(&pending).await {
                if let Ok(done) = &result {
                    moved(done.totals.rows, done.loaded.bytes);
                }
                self.take(index, seconds, result);
            }
        }
        self.reports()
    }

    /// What became of a table in this try.
    fn take(&mut self, index: usize, seconds: f64, result: Result<TableDone>) {
        let Some(table) = self.job.unit.tables.get(index) else { return };
        let report = match result {
            Ok(done) => {
                let report = done_report(table, &done, seconds);
                self.reporter.done(&report, &done);
                report
            }
            Err(error) => {
                let (attempt, attempts) = (self.attempt, self.job.context.config.ingest.attempts);
                let retry = policy(error.failure()).retry && attempt < attempts;
                let cause = ol_chassis::error::chain(&error);
                tracing::warn!(table = %table.raw_table, attempt, retry, error = %cause, "a table failed");
                if retry {
                    self.again.push(index);
                }
                let report = TableReport {
                    seconds,
                    ..TableReport::failed(&table.raw_table, table.sync_mode, &error)
                };
                if !retry {
                    self.reporter.failed(&report);
                    self.reporter.guarded(&report, &error);
                }
                report
            }
        };
        self.reports.insert(index, report);
    }

    /// A report a table, in the unit's order.
    fn reports(self) -> Vec<TableReport> {
        self.reports.values().for_each(metrics::ended);
        self.reports.into_values().collect()
    }
}

/// Tables of a unit that are ready to be read.
pub(crate) struct Loads<T> {
    /// How each is read.
    pub(crate) loads: Arc<Vec<T>>,
    /// Their indexes in the unit.
    pub(crate) indexes: Vec<usize>,
    /// For people: the raw table, and about how many rows there are.
    pub(crate) labels: Vec<(String, Option<f64>)>,
}

impl<T> Loads<T> {
    /// Those of a list: index in the unit, raw table, about how many rows there are, how it is read.
    pub(crate) fn of(ready: Vec<(usize, String, Option<f64>, T)>) -> Self {
        let (mut loads, mut indexes, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for (index, raw_table, rows, load) in ready {
            loads.push(load);
            indexes.push(index);
            labels.push((raw_table, rows));
        }
        Self { loads: Arc::new(loads), indexes, labels }
    }

    /// A table by its place in the list: its index in the unit, and how it is read.
    pub(crate) fn get(&self, place: usize) -> Option<(usize, &T)> {
        self.indexes.get(place).copied().zip(self.loads.get(place))
    }
}

/// No table could be looked at.
pub(super) fn unopened(job: &UnitJob, pending: &[usize], error: &Error) -> Vec<Attempted> {
    let unit = &job.unit.id;
    tracing::warn!(unit = %unit, error = %ol_chassis::error::chain(error), "the source could not be opened");
    pending.iter().map(|index| (*index, 0.0, Err(error.again().with("unit", unit)))).collect()
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
pub(super) type Attempted = (usize, f64, Result<TableDone>);

/// The lake's table that a source's table needs.
pub(super) struct WantedTable<'a> {
    /// Its columns, where there is no table yet.
    pub(super) schema: LakeSchema,
    /// The comment at the source.
    pub(super) comment: Option<String>,
    /// The source's table, for people.
    pub(super) source_table: String,
    /// The source's primary key.
    pub(super) primary_key: &'a [String],
}

impl UnitJob {
    /// The table of the lake, which is made if it is not there, and how its columns have to change to those that
    /// `schema_of` says of it.
    pub(super) async fn lake_table(
        &self,
        lake: &Lake,
        table: &Table,
        wanted: WantedTable<'_>,
        schema_of: impl FnOnce(&LakeTable) -> LakeSchema,
    ) -> Result<(LakeTable, SchemaChange)> {
        let name = TableName::new(self.context.platform.raw_namespace(), &table.raw_table);
        let base = match lake.load(&name).await? {
            Some(base) => base,
            None => {
                let primary_key = serde_json::json!(wanted.primary_key).to_string();
                let definition = TableDefinition {
                    name,
                    schema: wanted.schema,
                    comment: wanted.comment,
                    partition_by: partition_by(table),
                    sort_by: sort_by(table),
                    properties: BTreeMap::from([
                        ("ol.source-table".to_owned(), wanted.source_table),
                        ("ol.primary-key".to_owned(), primary_key),
                    ]),
                };
                lake.create(&definition).await?
            }
        };
        let change = lake.evolve(&base, &schema_of(&base)).await?;
        for step in change.steps() {
            tracing::info!(table = %table.raw_table, step, "the table's schema changes");
        }
        Ok((base, change))
    }

    /// The guard against a replace that shrinks a table.
    pub(super) fn guard(&self, table: &Table) -> ShrinkGuard {
        ShrinkGuard {
            keep_ratio: self.context.config.replace.keep_ratio,
            allow: self.context.allow_shrink.is_match(&table.raw_table),
        }
    }

    /// When a batch is full.
    pub(super) fn batch_limit(&self) -> BatchLimit {
        let ingest = &self.context.config.ingest;
        BatchLimit { rows: ingest.batch_rows, bytes: ingest.batch_bytes }
    }

    /// The columns that are the same in every row; the position is the snapshot's to say.
    pub(super) fn run_columns(&self) -> RunColumns {
        RunColumns {
            position: String::new(),
            extracted_at_microseconds: self.extracted_at_microseconds,
            run_id: self.run_id.clone(),
        }
    }

    /// Told of what is read, by the index of a table; `labels` are the tables' names and estimates of their rows.
    pub(super) fn progress(
        &self,
        labels: Vec<(String, Option<f64>)>,
    ) -> Arc<dyn Fn(usize, Totals) + Send + Sync> {
        let estimate = |rows: f64| format!("{rows:.0}").parse().ok();
        let total = labels.iter().map(|(_, rows)| *rows).sum::<Option<f64>>().and_then(estimate);
        let unit = self.unit.id.to_string();
        let bar = self.context.progress.bar(&unit, total, Counted::Rows);
        Arc::new(move |table, totals| {
            bar.add(totals.rows);
            metrics::read(&unit, totals);
            if let Some((name, _)) = labels.get(table) {
                bar.say(name);
            }
        })
    }
}
