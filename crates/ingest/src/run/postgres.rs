//! The flow from an application's Postgres to the raw lake, in full: the function is the arrow.

use std::sync::Arc;

use c4model::platform::{ApplicationPostgres, RawLake};
use c4model::{Sink, Source};
use ol_lake::{Lake, LakeTable};

use super::unit::{Attempted, Loads, TableDone, Tries, UnitJob, WantedTable, unopened};
use crate::error::{Definite, Doing, Error, Result, Transient};
use crate::inventory::Table;
use crate::load::{LoadMode, Target, TargetSettings, contract_digest};
use crate::report::TableReport;
use crate::source::incremental::{due_sweep, load_mode};
use crate::source::postgres::catalog::Catalog;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::full_load::{Loading, TableLoad, TableResult, load_tables};
use crate::source::postgres::incremental::{self, Known, Method, Situation, Step};
use crate::source::postgres::plan::{self, TablePlan};
use crate::source::postgres::session::Session;
use crate::source::postgres::settings::{Settings, SourceAddress};
use crate::source::postgres::snapshot::Keeper;

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
    let attempt =
        async |pending: &[usize]| job.attempt(source.endpoint(), sink.endpoint(), pending).await;
    Ok(Tries::new(&job).run(attempt, |rows, bytes| sink.moved(rows, bytes)).await)
}

impl UnitJob {
    /// Reads the tables of `pending` once, under one snapshot.
    async fn attempt(
        &self,
        source: &SourceAddress,
        lake: &Arc<Lake>,
        pending: &[usize],
    ) -> Vec<Attempted> {
        let mut session = tokio::select! {
            opened = Session::open(source) => match opened {
                Ok(session) => session,
                Err(error) => return unopened(self, pending, &error),
            },
            () = self.context.shutdown.requested() => {
                return unopened(self, pending, &Error::new(Transient::Stopped));
            }
        };
        let mut attempted: Vec<Attempted> = Vec::new();
        let mut ready = Vec::new();
        for index in pending {
            let Some(table) = self.unit.tables.get(*index) else { continue };
            match self.prepare(lake, table, &session.catalog, &mut session.keeper).await {
                Ok(load) => {
                    let rows = load.relation.row_estimate;
                    ready.push((*index, table.raw_table.clone(), rows, load));
                }
                Err(error) => attempted.push((*index, 0.0, Err(error))),
            }
        }
        let loads = Loads::of(ready);
        let loading = Arc::new(self.loading(session.settings.clone(), loads.labels.clone()));
        load_tables(&session.keeper, loading, Arc::clone(&loads.loads), |result| {
            let Some((index, load)) = loads.get(result.index) else { return };
            attempted.push((index, result.seconds, self.outcome(index, load, result)));
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
        Ok(TableDone::new(&load.target, result.totals, loaded, load.guard))
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
        let wanted = WantedTable {
            schema: plan.lake_schema(),
            comment: plan.relation.comment.clone(),
            source_table: plan.relation.display(),
            primary_key: &plan.relation.primary_key,
        };
        let (base, change) =
            self.lake_table(lake, table, wanted, |table| plan.lake_schema_of(table)).await?;
        let contract =
            contract_digest(plan.readings.iter().map(|r| (r.name.as_str(), &r.contract)));
        let step = self.step(table, &plan, &base, keeper).await?;
        let begun = step.as_ref().map(Step::begun);
        let mode = load_mode(&plan.mode, &plan.relation.primary_key, &plan.key, &base, begun);
        let (settings, now) =
            (&self.context.config.incremental, self.extracted_at_microseconds / 1000);
        let sweep = due_sweep(settings, &plan.key, &mode, &base, begun, now);
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
        let guard = self.guard(table);
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

    /// What the loads of the unit share.
    pub(super) fn loading(
        &self,
        settings: Settings,
        labels: Vec<(String, Option<f64>)>,
    ) -> Loading {
        let context = &self.context;
        Loading {
            settings,
            streams: context.config.streams(),
            range_bytes: context.config.ingest.range_bytes,
            batch: self.batch_limit(),
            run: self.run_columns(),
            shutdown: context.shutdown.clone(),
            progress: self.progress(labels),
        }
    }
}
