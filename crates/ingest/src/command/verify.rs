//! `ol-ingest verify`: source against lake. What may be said, and why, is told by [`crate::verify`].
//!
//! A unit is looked at in rounds: the first compares all tables under one snapshot, each further one looks again, under
//! a new snapshot, at the rows that were not settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ol_chassis::cli::Context;
use ol_chassis::config::Platform;
use ol_chassis::progress::{Bar, Unit as Counted};
use ol_lake::schema::LakeSchema;
use ol_lake::{Lake, LakeTable, TableName};

use crate::cli::Verify;
use crate::config::Config;
use crate::error::{Definite, Error, Failure, Transient};
use crate::inventory::{SourceKind, SyncMode, Table, Unit};
use crate::report::verification::{TableVerification, VerifyReport};
use crate::run::capture::{CapturePlan, Shape};
use crate::run::open_lake;
use crate::source::postgres::catalog::Relation;
use crate::source::postgres::plan;
use crate::source::postgres::reread::Reread;
use crate::source::postgres::rows::BatchLimit;
use crate::source::postgres::types::Reading;
use crate::verify::lake::{Form, LakeSide};
use crate::verify::moment::Moment;
use crate::verify::table::{Finding, Look, digester};

/// Compares every selected table.
pub(super) async fn execute(
    arguments: &Verify,
    config: &Config,
    context: &Context,
) -> Result<VerifyReport, Error> {
    let inventory = super::select(&arguments.selection)?;
    let platform = Platform::from_environment().await?;
    let lake = open_lake(&platform, config).await?;
    let mut tables = Vec::new();
    for unit in &inventory.units {
        let bar = context.progress.bar(
            &unit.id.to_string(),
            Some(unit.tables.len() as u64),
            Counted::Tables,
        );
        let batch = BatchLimit { rows: config.ingest.batch_rows, bytes: config.ingest.batch_bytes };
        let namespace = platform.raw_namespace();
        let of_unit = OfUnit { unit, lake: &lake, namespace, arguments, batch, context };
        tables.extend(of_unit.verify(&bar).await);
    }
    Ok(VerifyReport::new(tables))
}

/// The tables of one unit.
struct OfUnit<'a> {
    unit: &'a Unit,
    lake: &'a Arc<Lake>,
    namespace: String,
    arguments: &'a Verify,
    batch: BatchLimit,
    context: &'a Context,
}

/// What is known of a table so far.
type Known = Option<Result<Finding, Error>>;

/// What of a table is compared, and how.
struct Subject {
    relation: Relation,
    readings: Vec<Reading>,
    key: Vec<String>,
    form: Form,
    schema: LakeSchema,
}

impl OfUnit<'_> {
    async fn verify(&self, bar: &Bar) -> Vec<TableVerification> {
        let mut known: Vec<Known> = self.unit.tables.iter().map(|_| None).collect();
        for round in 1..=self.arguments.rounds {
            if let Err(error) = self.round(&mut known, (round == 1).then_some(bar)).await {
                tracing::error!(unit = %self.unit.id, error = %ol_chassis::error::chain(&error), "not verified");
                for known in known.iter_mut().filter(|known| is_open(known)) {
                    *known = Some(Err(error.again()));
                }
            }
            if !known.iter().any(is_open) {
                break;
            }
        }
        let tables = self.unit.tables.iter().zip(known);
        tables.map(|(table, known)| self.report(table, known)).collect()
    }

    /// Looks at the tables that are not settled, all at one moment.
    async fn round(&self, known: &mut [Known], bar: Option<&Bar>) -> Result<(), Error> {
        if self.unit.source_kind != SourceKind::Postgres {
            return Err(
                Error::new(Definite::ModeUnsupported).with("source_kind", self.unit.source_kind)
            );
        }
        let open = self.unit.tables.iter().zip(&*known).filter(|(_, known)| is_open(known));
        let is_followed = open.map(|(table, _)| table).any(|table| self.unit.follows(table));
        let mut moment = Moment::take(self.unit, is_followed, self.context).await?;
        let deadline = Instant::now() + Duration::from_secs(self.arguments.wait);
        for (table, known) in self.unit.tables.iter().zip(known) {
            if !is_open(known) {
                continue;
            }
            if let Some(bar) = bar {
                bar.say(&table.raw_table);
            }
            let before = match known.take() {
                Some(Ok(finding)) => Some(finding),
                Some(Err(_)) | None => None,
            };
            let looked = self.look(&mut moment, table, before, deadline).await;
            *known = Some(looked.map_err(|error| error.with("table", table.qualified_name())));
            if let Some(bar) = bar {
                bar.add(1);
            }
        }
        moment.close().await;
        Ok(())
    }

    async fn look(
        &self,
        moment: &mut Moment,
        table: &Table,
        before: Option<Finding>,
        deadline: Instant,
    ) -> Result<Finding, Error> {
        let shutdown = &self.context.shutdown;
        if shutdown.is_requested() {
            return Err(Error::new(Transient::Stopped));
        }
        let is_followed = self.unit.follows(table);
        let load = async || self.load(table).await;
        let (lake_table, is_reached) = if is_followed {
            let relation = (table.namespace.as_str(), table.name.as_str());
            moment.reached(relation, load, deadline).await?
        } else {
            (load().await?, true)
        };
        let subject = self.subject(moment, table, &lake_table).await?;
        let change = self.lake.evolve(&lake_table, &subject.schema).await?;
        if let Some(step) = change.steps().first() {
            return Err(Error::new(Definite::VerificationFailed).with("missing", step));
        }
        let at = moment.place.filter(|_| is_followed);
        let source = Reread {
            settings: moment.settings.clone(),
            snapshot: moment.keeper.snapshot.clone(),
            relation: subject.relation,
            readings: subject.readings,
            schema: lake_table.arrow_schema(),
            batch: self.batch,
            versions: at.is_some(),
            shutdown: shutdown.clone(),
        };
        let digester = digester(&source, &subject.key);
        let lake = LakeSide::new(Arc::clone(self.lake), lake_table, digester, subject.form, at);
        let ranges = usize::try_from(self.arguments.ranges).unwrap_or(1);
        let look = Look { lake, source, is_reached, ranges };
        match before {
            None => look.first().await,
            Some(finding) => look.again(finding).await,
        }
    }

    async fn load(&self, table: &Table) -> Result<LakeTable, Error> {
        let name = TableName::new(self.namespace.clone(), &table.raw_table);
        let missing = || Error::new(Definite::LakeTableMissing).with("raw_table", &table.raw_table);
        self.lake.load(&name).await?.ok_or_else(missing)
    }

    async fn subject(
        &self,
        moment: &mut Moment,
        table: &Table,
        lake_table: &LakeTable,
    ) -> Result<Subject, Error> {
        if self.unit.follows(table) {
            let plan = CapturePlan::of_catalog(self.unit, table, &moment.catalog)?.salted().await?;
            let form = if plan.shape == Shape::Log { Form::Log } else { Form::Rows };
            let schema = plan.lake_schema_of(lake_table);
            let (relation, readings, mut key) = (plan.relation, plan.readings, plan.key);
            if form == Form::Log {
                key = moment.log_key(&relation, key).await?;
            }
            return Ok(Subject { relation, readings, key, form, schema });
        }
        if matches!(table.sync_mode, SyncMode::FullRefreshAppend | SyncMode::IncrementalAppend) {
            return Err(Error::new(Definite::ModeUnsupported)
                .with("sync_mode", table.sync_mode)
                .with("reason", "an appended table holds every past state, so it equals none"));
        }
        let plan = plan::plan(self.unit, table, &moment.catalog)?.salted().await?;
        let key = match table.primary_key.is_empty() {
            true => plan.relation.primary_key.clone(),
            false => table.primary_key.clone(),
        };
        let schema = plan.lake_schema_of(lake_table);
        let (relation, readings) = (plan.relation, plan.readings);
        Ok(Subject { relation, readings, key, form: Form::Rows, schema })
    }

    fn report(&self, table: &Table, known: Known) -> TableVerification {
        let failed = |error: &Error| {
            let cause = ol_chassis::error::chain(error);
            tracing::warn!(table = %table.raw_table, error = %cause, "a table was not verified");
            TableVerification::failed(&table.raw_table, error)
        };
        let finding = match known {
            Some(Ok(finding)) => finding,
            Some(Err(error)) => return failed(&error),
            None => return failed(&Error::new(Transient::Stopped)),
        };
        let judged = match finding.failure() {
            Some(error) => failed(&error.with("table", table.qualified_name())),
            None => TableVerification::agrees(&table.raw_table, 0, 0),
        };
        TableVerification {
            source_rows: Some(finding.source_rows),
            lake_rows: Some(finding.lake_rows),
            columns_compared: finding.columns_compared,
            columns_differing: finding.columns_differing,
            position: finding.position.map(|position| position.to_string()),
            ranges_compared: finding.ranges_compared,
            ranges_differing: finding.ranges_differing,
            rows_moved_on: finding.unsettled.len() as u64,
            differing_keys: finding.keys,
            ..judged
        }
    }
}

/// Whether there is something left to look at.
fn is_open(known: &Known) -> bool {
    match known {
        None => true,
        Some(Ok(finding)) => !finding.differs && !finding.unsettled.is_empty(),
        // The table was emptied or rewritten under the snapshot: the next one shows it as it is now.
        Some(Err(error)) => error.failure() == Failure::Transient(Transient::SnapshotLost),
    }
}
