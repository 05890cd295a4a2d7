//! Copies of tables under one snapshot, whose place in the log is known, beside the stream of the others.
//!
//! A copy goes the way of a full load: parallel readers that see the same moment, one commit a table, in which the table also
//! begins to follow the log from that moment on; then the session is begun anew, with the table in it. A large table is copied
//! in chunks ([`crate::load::chunks`]), so that a process that dies has not read for nothing.
//! How the snapshot and its place are taken is told in [`super::moment`].
//!
//! Rows that a copy cannot bring back stay: in a log, the copy is appended behind them, with a deletion for each key that is
//! gone, or, without a key, with a row that says that all was emptied; rows marked as deleted keep their mark, and those that
//! are not in the copy get one.

use std::collections::BTreeMap;
use std::sync::Arc;

use ol_lake::{Lake, LakeTable, TableDefinition, TableName};

use super::moment::{self, Moment};
use super::partial::{Partial, Terms};
use super::plan::CapturePlan;
use super::prepare::{Copy, blocking};
use super::state::Place;
use crate::error::{Definite, Doing, Error, Result};
use crate::load::chunks::{self, Chunks};
use crate::load::{Claim, LoadMode, Merging, ShrinkGuard, Target, TargetSettings, contract_digest};
use crate::run::UnitJob;
use crate::run::change::state::no_gap;
use crate::run::change::{self, Shape, partial as copied};
use crate::run::mysql_databases;
use crate::source::incremental::sweep::{self, Sweep};
use crate::source::mysql::chunks as source_chunks;
use crate::source::mysql::error::SourceError;
use crate::source::mysql::full_load::{Loading, TableLoad, load_tables};
use crate::source::mysql::session::Session;
use crate::source::mysql::settings::Settings;

/// Copies that are under way.
pub type Copying = change::copying::Copying<()>;

/// What copies are made with.
pub struct Copier<'a> {
    /// The lake.
    pub lake: &'a Arc<Lake>,
    /// The run over the unit.
    pub job: &'a Arc<UnitJob>,
    /// The source.
    pub settings: &'a Settings,
    /// The epoch of its log.
    pub epoch: u16,
}

impl Copier<'_> {
    /// Takes a snapshot, and begins to copy the tables under it.
    ///
    /// # Errors
    /// There is no snapshot. A lake table that cannot take the columns is in `failures`; the others are begun all the same.
    pub async fn begin(
        &self,
        control: Session,
        copies: Vec<Copy>,
        failures: &mut Vec<(usize, Error)>,
    ) -> Result<(Session, Copying)> {
        let job = self.job;
        let (settings, shutdown) = (self.settings.clone(), job.context.shutdown.clone());
        let (streams, now) = (job.context.config.streams(), job.extracted_at_microseconds);
        let mut databases = mysql_databases(&job.unit);
        databases.push(settings.database.clone());
        let epoch = self.epoch;
        let chunk_bytes = job.context.config.stream.chunk_bytes;
        let (control, (moment, copies)) = blocking(control, move |control| {
            let tables: Vec<String> =
                copies.iter().map(|copy| copy.plan.relation.quoted()).collect();
            let wanted = moment::Wanted {
                settings: &settings,
                streams,
                now,
                epoch,
                tables: &tables,
                databases: &databases,
            };
            let mut moment = moment::take(control, &wanted, &shutdown)?;
            let cut = |copy: Copy| {
                let cut = begun(&copy, &mut moment, chunk_bytes);
                // A table of which the bounds cannot be had is read in one piece, and then says why itself.
                (copy, cut.unwrap_or_default())
            };
            let copies: Vec<(Copy, Option<Partial>)> = copies.into_iter().map(cut).collect();
            Ok((moment, copies))
        })
        .await
        .map_err(|error| error.into_error(Doing::Reading))?;
        let (mut loads, mut indexes, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let mut tables = BTreeMap::new();
        for (copy, anew) in copies {
            let index = copy.index;
            let label = job.unit.tables.get(index).map(|table| table.raw_table.clone());
            let estimate = copy.plan.relation.row_estimate.map(|rows| rows as f64);
            let display = copy.plan.relation.display();
            match self.load(copy, anew, &moment).await {
                Ok(load) => {
                    loads.push(load);
                    indexes.push(index);
                    labels.push((label.unwrap_or_default(), estimate));
                    tables.insert(index, ());
                }
                Err(error) => failures.push((index, error.with("table", display))),
            }
        }
        let loading = Arc::new(Loading {
            range_bytes: job.context.config.ingest.range_bytes,
            batch: job.batch_limit(),
            run: job.run_columns(),
            shutdown: job.context.shutdown.clone(),
            progress: job.progress(labels),
        });
        let loads = Arc::new(loads);
        let snapshot = moment.snapshot;
        let copying = Copying::begin(tables, |mut ending| async move {
            load_tables(snapshot, loading, Arc::clone(&loads), |result| {
                let both = indexes.get(result.index).zip(loads.get(result.index));
                let Some((index, load)) = both else { return };
                let named = |error: SourceError| {
                    error.into_error(Doing::Reading).with("table", load.relation.display())
                };
                let totals = result.totals;
                ending.say(*index, result.result.map_err(named).map(|loaded| (totals, loaded)));
            })
            .await;
        });
        Ok((control, copying))
    }

    /// What is to be read of a table, and how its rows go in.
    async fn load(&self, copy: Copy, anew: Option<Partial>, moment: &Moment) -> Result<TableLoad> {
        let Copy { index, plan, stamp, table, partial } = copy;
        if plan.shape == Shape::Log && !moment.is_exact {
            return Err(Error::new(Definite::ReplicationUnavailable)
                .with("reason", "the server does not say at which place of its log a copy was taken, and it never rests")
                .advise(
                    "GRANT RELOAD ON *.* TO the account of the source's URL: a copy then begins under a lock of an instant.",
                ));
        }
        let table = match table {
            Some(table) => table,
            None => self.create(index, &plan).await?,
        };
        let change = self.lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
        let has_rows = table.current_snapshot().is_some_and(|snapshot| snapshot.records > 0);
        let (mode, kind) = match plan.shape {
            Shape::Log if has_rows => (LoadMode::Append, Some(sweep::Kind::Log)),
            Shape::Merge { soft: true } if has_rows => {
                let merging = Merging { key: plan.key.clone(), soft: true, replaces: false };
                (LoadMode::Merge(merging), Some(sweep::Kind::Marked))
            }
            Shape::Log | Shape::Merge { .. } => (LoadMode::Overwrite, None),
        };
        let sweep = kind.filter(|_| !plan.key.is_empty()).map(|kind| Sweep {
            key: plan.key.clone(),
            kind,
            most_keys: self.job.context.config.incremental.sweep_keys,
        });
        let begins_anew = kind == Some(sweep::Kind::Log) && plan.key.is_empty();
        // What was gathered is gone on with if its rows are those that would be made now.
        let fits = |(partial, since): &(Partial, Place)| partial.terms == Terms::of(&plan, since);
        let known = partial.filter(fits);
        let (partial, since) = match (&mode, known, anew) {
            (LoadMode::Overwrite, Some((partial, since)), _) => (Some(partial), since),
            (LoadMode::Overwrite, None, Some(anew)) => (Some(anew), moment.place.clone()),
            _ => (None, moment.place.clone()),
        };
        let table = match &partial {
            Some(partial) if Partial::of(&table).as_ref() == Some(partial) => table,
            _ => chunks::forget(self.lake, &table).await?,
        };
        let (table, change, chunks) = match partial {
            None => (table, change, None),
            Some(partial) => {
                let table = self.lake.commit_schema(&table, &change).await?;
                let table = self.lake.set_properties(&table, &partial.remembered()).await?;
                let change = self.lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
                let conditions = source_chunks::conditions(&partial.cut);
                let chunks = Chunks::of(&table, conditions, partial.since);
                (table, change, Some(chunks))
            }
        };
        let mut properties = plan.form().remembered();
        properties.extend(no_gap());
        properties.extend(copied::complete(since.position, moment.place.position));
        let claim = Claim { state: since.claim(), properties };
        let contract =
            contract_digest(plan.readings.iter().map(|r| (r.name.as_str(), &r.contract)));
        let settings = TargetSettings {
            mode,
            mode_word: stamp.mode,
            contract,
            run_id: stamp.run_id,
            claim: Some(claim),
            fenced: false,
            goes_on: false,
        };
        let target = Target::new(Arc::clone(self.lake), table, change, settings)?;
        Ok(TableLoad {
            relation: plan.relation,
            readings: plan.readings,
            target: Arc::new(target),
            guard: ShrinkGuard { keep_ratio: 0.0, allow: true },
            step: None,
            order: None,
            sweep,
            begins_anew,
            chunks,
        })
    }

    async fn create(&self, index: usize, plan: &CapturePlan) -> Result<LakeTable> {
        let Some(declared) = self.job.unit.tables.get(index) else {
            return Err(Error::new(Definite::Defect).with("reason", "a table without a unit"));
        };
        let namespace = self.job.context.platform.raw_namespace();
        let definition = TableDefinition {
            name: TableName::new(namespace, &declared.raw_table),
            schema: plan.lake_schema(),
            comment: plan.relation.comment.clone(),
            properties: [
                ("ol.source-table".to_owned(), plan.relation.display()),
                ("ol.primary-key".to_owned(), serde_json::json!(plan.key).to_string()),
            ]
            .into(),
            partition_by: crate::run::unit::partition_by(declared),
            sort_by: crate::run::unit::sort_by(declared),
        };
        Ok(self.lake.create(&definition).await?)
    }
}

/// The chunks of a copy that begins, where the table can be copied so.
fn begun(
    copy: &Copy,
    moment: &mut Moment,
    chunk_bytes: u64,
) -> Result<Option<Partial>, SourceError> {
    let Copy { plan, .. } = copy;
    // In a merged table the chunks must be those of the key that rows are merged by: a row that moves is deleted by it.
    let is_key = plan.shape == Shape::Log || plan.key == plan.relation.primary_key;
    let pieces = if is_key { plan.relation.bytes / chunk_bytes.max(1) } else { 0 };
    let cut = source_chunks::cut(moment.snapshot.first()?, &plan.relation, pieces)?;
    let terms = Terms::of(plan, &moment.place);
    Ok(cut.map(|cut| Partial { terms, since: moment.place.position, cut }))
}
