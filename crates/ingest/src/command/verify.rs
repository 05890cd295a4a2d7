//! `ol-ingest verify`: source against lake. What may be said, and why, is told by [`crate::verify`].
//!
//! A unit is looked at in rounds: the first compares all tables under one snapshot, each further one looks again, under
//! a new snapshot, at the rows that were not settled.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ol_chassis::cli::Context;
use ol_chassis::config::Platform;
use ol_chassis::progress::{Bar, Unit as Counted};
use ol_lake::schema::LakeSchema;
use ol_lake::{Lake, LakeTable, TableName};

use crate::cli::Verify;
use crate::column::batch::RunColumns;
use crate::config::Config;
use crate::error::{Definite, Doing, Error, Failure, Transient};
use crate::inventory::{SourceKind, SyncMode, Table, Unit};
use crate::position::{LogPlace, Position};
use crate::report::verification::{TableVerification, VerifyReport};
use crate::run::binlog;
use crate::run::binlog::state::Record;
use crate::run::capture::CapturePlan;
use crate::run::change::log::Plan as _;
use crate::run::change::{Shape, place};
use crate::run::change_stream::{self, CapturePlan as CollectionCapture};
use crate::run::open_lake;
use crate::source::address::SourceAddress;
use crate::source::mongodb::session::Session;
use crate::source::postgres::catalog::Relation;
use crate::source::postgres::plan;
use crate::source::postgres::reread::Reread;
use crate::source::postgres::rows::BatchLimit;
use crate::source::postgres::types::Reading;
use crate::source::{mongodb, mysql};
use crate::verify::lake::{Form, LakeSide};
use crate::verify::moment::{Moment, PERIOD};
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
        match self.unit.source_kind {
            SourceKind::Postgres => {}
            SourceKind::Mysql => return self.round_of_mysql(known, bar).await,
            SourceKind::Mongodb => return self.round_of_mongodb(known, bar).await,
            SourceKind::TrackingLogs | SourceKind::EdxorgArchive => {
                let error = Error::new(Definite::ModeUnsupported);
                return Err(error.with("source_kind", self.unit.source_kind));
            }
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
        self.check_schema(&lake_table, &subject.schema).await?;
        let at = moment.place.filter(|_| is_followed).map(Position::Lsn);
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
        let look = Look { lake, source, is_reached, is_moving: false, ranges };
        match before {
            None => look.first().await,
            Some(finding) => look.again(finding).await,
        }
    }

    /// Looks once at the tables of a MySQL source, all under one snapshot.
    async fn round_of_mysql(&self, known: &mut [Known], bar: Option<&Bar>) -> Result<(), Error> {
        let opening = super::opening(crate::run::mysql_databases(self.unit), self.context);
        let address = SourceAddress::of(&self.unit.id);
        let source = mysql::session::Source::open(&address, opening).await?;
        let catalog = source.catalog;
        let place = source.snapshot.position;
        let mut readers = source.snapshot.into_readers();
        let session = readers.pop().ok_or_else(|| Error::new(Definite::Defect))?;
        let session = Arc::new(Mutex::new(session));
        let deadline = Instant::now() + Duration::from_secs(self.arguments.wait);
        for (table, known) in self.unit.tables.iter().zip(known).filter(|(_, it)| is_open(it)) {
            if let Some(bar) = bar {
                bar.say(&table.raw_table);
            }
            let looked = self.look_at_mysql(&catalog, (&session, place), table, deadline).await;
            let name = mysql::plan::display(table, &catalog.database);
            *known = Some(looked.map_err(|error| error.with("table", name)));
            if let Some(bar) = bar {
                bar.add(1);
            }
        }
        Ok(())
    }

    async fn look_at_mysql(
        &self,
        catalog: &mysql::catalog::Catalog,
        (session, place): (&Arc<Mutex<mysql::session::Session>>, Position),
        table: &Table,
        deadline: Instant,
    ) -> Result<Finding, Error> {
        if self.context.shutdown.is_requested() {
            return Err(Error::new(Transient::Stopped));
        }
        let (relation, readings, key, form, lake_table, at, is_reached) =
            if self.unit.follows(table) {
                let plan = binlog::CapturePlan::new(self.unit, table, catalog)?.salted().await?;
                let (lake_table, at, is_reached) = self.reached(table, place, deadline).await?;
                self.check_schema(&lake_table, &plan.lake_schema_of(&lake_table)).await?;
                let form = if plan.shape == Shape::Log { Form::Log } else { Form::Rows };
                (plan.relation, plan.readings, plan.key, form, lake_table, at, is_reached)
            } else {
                check_mode(table)?;
                let lake_table = self.load(table).await?;
                let plan = mysql::plan::plan(self.unit, table, catalog)?.salted().await?;
                self.check_schema(&lake_table, &plan.lake_schema_of(&lake_table)).await?;
                let key = key(table, &plan.relation.primary_key);
                (plan.relation, plan.readings, key, Form::Rows, lake_table, None, true)
            };
        let source = mysql::reread::Reread {
            session: Arc::clone(session),
            relation,
            readings,
            schema: lake_table.arrow_schema(),
            batch: self.batch,
        };
        let digester = digester(&source, &key);
        let lake = LakeSide::new(Arc::clone(self.lake), lake_table, digester, form, at);
        let ranges = usize::try_from(self.arguments.ranges).unwrap_or(1);
        Look { lake, source, is_reached, is_moving: false, ranges }.first().await
    }

    /// Waits until a table that follows a binary log has come to a place of it, but not beyond `deadline`: the table, the place
    /// in its own epoch, and whether it has come there.
    async fn reached(
        &self,
        table: &Table,
        place: Position,
        deadline: Instant,
    ) -> Result<(LakeTable, Option<Position>, bool), Error> {
        loop {
            let mut records = Vec::new();
            for other in &self.unit.tables {
                let name = TableName::new(self.namespace.clone(), &other.raw_table);
                records.extend(self.lake.load(&name).await?.iter().flat_map(Record::of));
            }
            let found = self.load(table).await?;
            let Some(own) = place::own::<binlog::state::Place>(&found) else {
                return Ok((found, None, false));
            };
            let is_at = place::begins(&table.raw_table, &own, &records);
            let at = place
                .log_place()
                .map(|place| Position::Binlog(LogPlace { epoch: is_at.log().epoch, ..place }));
            let Some(at) = at else { return Ok((found, None, true)) };
            if is_at.position >= at || Instant::now() >= deadline {
                return Ok((found, Some(at), is_at.position >= at));
            }
            if self.context.shutdown.is_requested() {
                return Err(Error::new(Transient::Stopped));
            }
            self.context.clock.sleep(PERIOD).await;
        }
    }

    /// Looks at the collections of a MongoDB source, each as it is when it is read.
    async fn round_of_mongodb(&self, known: &mut [Known], bar: Option<&Bar>) -> Result<(), Error> {
        let address = SourceAddress::of(&self.unit.id);
        let wanted = mongodb::session::Wanted::of(self.unit);
        let shutdown = self.context.shutdown.clone();
        let source = mongodb::session::Source::open(&address, wanted, shutdown).await?;
        let asked = change_stream::blocking(source.session, Session::operation_time);
        let (session, time) = asked.await.map_err(|error| error.into_error(Doing::Reading))?;
        // Everything of this time and before.
        let place = time.map(|time| Position::Cluster { time, changes: u32::MAX });
        let session = Arc::new(Mutex::new(session));
        let deadline = Instant::now() + Duration::from_secs(self.arguments.wait);
        for (table, known) in self.unit.tables.iter().zip(known).filter(|(_, it)| is_open(it)) {
            if let Some(bar) = bar {
                bar.say(&table.raw_table);
            }
            let before = match known.take() {
                Some(Ok(finding)) => Some(finding),
                Some(Err(_)) | None => None,
            };
            let of_table = (table, before);
            let looked =
                self.look_at_mongodb(&source.catalog, (&session, place), of_table, deadline).await;
            let name = mongodb::plan::display(table, &source.catalog.database);
            *known = Some(looked.map_err(|error| error.with("table", name)));
            if let Some(bar) = bar {
                bar.add(1);
            }
        }
        Ok(())
    }

    async fn look_at_mongodb(
        &self,
        catalog: &mongodb::catalog::Catalog,
        (session, place): (&Arc<Mutex<Session>>, Option<Position>),
        (table, before): (&Table, Option<Finding>),
        deadline: Instant,
    ) -> Result<Finding, Error> {
        if self.context.shutdown.is_requested() {
            return Err(Error::new(Transient::Stopped));
        }
        let is_moving = self.unit.follows(table);
        let (plan, schema, form, key, lake_table, is_reached) = if is_moving {
            let (lake_table, is_reached) = self.reached_by_stream(table, place, deadline).await?;
            let plan = CollectionCapture::new(self.unit, table, catalog, Some(&lake_table))?;
            let plan = plan.salted().await?;
            let schema = plan.lake_schema_of(&lake_table);
            let form = if plan.shape == Shape::Log { Form::Log } else { Form::Rows };
            (plan.read, schema, form, CollectionCapture::key(), lake_table, is_reached)
        } else {
            check_mode(table)?;
            let lake_table = self.load(table).await?;
            let plan = mongodb::plan::plan(self.unit, table, catalog, Some(&lake_table))?;
            let schema = plan.lake_schema_of(&lake_table);
            let key = key(table, &[mongodb::types::KEY.to_owned()]);
            (plan.read.salted().await?, schema, Form::Rows, key, lake_table, true)
        };
        self.check_schema(&lake_table, &schema).await?;
        let request = mongodb::read::Request {
            schema: lake_table.arrow_schema(),
            batch: self.batch,
            run: RunColumns::default(),
            order: None,
            is_narrow: false,
            plan,
        };
        let source = mongodb::reread::Reread { session: Arc::clone(session), request };
        let digester = digester(&source, &key);
        let at = place.filter(|_| is_moving);
        let lake = LakeSide::new(Arc::clone(self.lake), lake_table, digester, form, at);
        let ranges = usize::try_from(self.arguments.ranges).unwrap_or(1);
        let look = Look { lake, source, is_reached, is_moving, ranges };
        match before {
            None => look.first().await,
            Some(finding) => look.again(finding).await,
        }
    }

    /// Waits until a table that follows a change stream has come to a place of it, but not beyond `deadline`: the table, and
    /// whether it has come there.
    async fn reached_by_stream(
        &self,
        table: &Table,
        place: Option<Position>,
        deadline: Instant,
    ) -> Result<(LakeTable, bool), Error> {
        loop {
            let mut records = Vec::new();
            for other in &self.unit.tables {
                let name = TableName::new(self.namespace.clone(), &other.raw_table);
                let found = self.lake.load(&name).await?;
                records.extend(found.iter().flat_map(change_stream::state::Record::of));
            }
            let found = self.load(table).await?;
            let Some(own) = place::own::<change_stream::state::Place>(&found) else {
                return Ok((found, false));
            };
            let is_at = place::begins(&table.raw_table, &own, &records);
            // A token behind the last change of a time has that time, and no more is to come of it.
            let is_reached =
                place.and_then(Position::cluster_time) <= is_at.position.cluster_time();
            if is_reached || Instant::now() >= deadline {
                return Ok((found, is_reached));
            }
            if self.context.shutdown.is_requested() {
                return Err(Error::new(Transient::Stopped));
            }
            self.context.clock.sleep(PERIOD).await;
        }
    }

    /// Demands that the lake's table has the columns of the contract.
    async fn check_schema(&self, table: &LakeTable, schema: &LakeSchema) -> Result<(), Error> {
        let change = self.lake.evolve(table, schema).await?;
        match change.steps().first() {
            Some(step) => Err(Error::new(Definite::VerificationFailed).with("missing", step)),
            None => Ok(()),
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
        check_mode(table)?;
        let plan = plan::plan(self.unit, table, &moment.catalog)?.salted().await?;
        let key = key(table, &plan.relation.primary_key);
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

/// Refuses modes whose tables hold more than the source does.
fn check_mode(table: &Table) -> Result<(), Error> {
    if matches!(table.sync_mode, SyncMode::FullRefreshAppend | SyncMode::IncrementalAppend) {
        return Err(Error::new(Definite::ModeUnsupported)
            .with("sync_mode", table.sync_mode)
            .with("reason", "an appended table holds every past state, so it equals none"));
    }
    Ok(())
}

/// The columns by which rows are told apart: those of the inventory, else of the source's primary key.
fn key(table: &Table, primary_key: &[String]) -> Vec<String> {
    let own = &table.primary_key;
    if own.is_empty() { primary_key.to_vec() } else { own.clone() }
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
