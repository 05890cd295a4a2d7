//! One bounded run: every selected table of every selected unit, read once, committed, reported.
//!
//! Units are sources: they are read one after the other unless `ingest.units` says otherwise. Within a unit, tables
//! that fail for a transient reason are tried again under a new snapshot, and only they; what was committed stays.

pub mod binlog;
pub mod capture;
pub mod change;
pub mod change_stream;
mod dagster;
pub mod mongodb;
pub mod mysql;
pub mod postgres;
pub(crate) mod unit;

use std::sync::Arc;
use std::time::SystemTime;

use c4model::platform::{ApplicationPostgres, Forum, OpenEdxMysql, RawLake};
use c4model::{Endpoint, declared};
use futures::StreamExt as _;
use globset::GlobSet;
use ol_chassis::clock::Clock;
use ol_chassis::config::Platform;
use ol_chassis::progress::Progress;
use ol_chassis::shutdown::Shutdown;
use ol_lake::{Lake, LakeSettings};
use ol_pipes::Pipes;

use crate::config::Config;
use crate::error::{Definite, Error};
use crate::inventory::{Inventory, SourceKind, Table, Unit};
use crate::report::{RunReport, TableReport};
use crate::source::address::SourceAddress;

pub use self::binlog::mysql_change_capture;
pub use self::capture::Until;
use self::capture::{CaptureJob, postgres_change_capture};
pub use self::change_stream::mongodb_change_capture;
pub use dagster::Reporter;
pub use mongodb::mongodb_full_load;
pub(crate) use mysql::databases as mysql_databases;
pub use mysql::mysql_full_load;
pub use postgres::postgres_full_load;
pub use unit::{TableDone, UnitJob};

/// What a run needs beside its inventory.
#[derive(Clone)]
pub struct RunContext {
    /// Where things are.
    pub platform: Platform,
    /// The settings.
    pub config: Config,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// Bars on a terminal.
    pub progress: Progress,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Dagster, if it started us.
    pub pipes: Pipes,
    /// Tables that may shrink, by raw table name.
    pub allow_shrink: GlobSet,
    /// Where another loader stopped: a table's name, or its raw table, and a value of its cursor.
    pub from: Vec<(String, String)>,
    /// The replication slot of another loader, to begin where it stopped.
    pub from_slot: Option<String>,
}

impl RunContext {
    /// The value that a table is to begin at, if one was handed over.
    #[must_use]
    pub fn from_of(&self, table: &Table) -> Option<&str> {
        let names = [table.raw_table.clone(), table.qualified_name(), table.name.clone()];
        let found = self.from.iter().find(|(name, _)| names.contains(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Refuses a value for a table that is not selected, or for several.
    fn check_hand_over(&self, inventory: &Inventory) -> Result<(), Error> {
        let tables = || inventory.units.iter().flat_map(|unit| &unit.tables);
        for (name, _) in &self.from {
            let matching = |table: &&Table| {
                [&table.raw_table, &table.name].contains(&name) || table.qualified_name() == *name
            };
            let count = tables().filter(matching).count();
            if count != 1 {
                return Err(Error::new(Definite::Configuration)
                    .with("flag", "--from")
                    .with("table", name)
                    .with("tables", count)
                    .advise(
                        "Name one selected table in --from, by its raw table or as namespace.name.",
                    ));
            }
        }
        Ok(())
    }
}

/// Opens the lake that the environment names, and makes sure of the namespace of raw tables.
///
/// # Errors
/// The lake's.
pub async fn open_lake(platform: &Platform, config: &Config) -> Result<Arc<Lake>, Error> {
    let mut settings = LakeSettings::new(platform.catalog.expose(), platform.warehouse.clone());
    settings.write = config.write_options();
    settings.s3 = config.s3_options();
    let lake = Lake::open(settings).await?;
    lake.ensure_namespace(&platform.raw_namespace()).await?;
    Ok(Arc::new(lake))
}

/// Runs every unit of the inventory. Every table is in the report, whatever happened. Tables that are followed by their
/// changes are followed until `until`; the others are read once.
///
/// # Errors
/// The lake cannot be opened; then nothing was read.
pub async fn run(
    context: &RunContext,
    inventory: Inventory,
    until: Until,
) -> Result<RunReport, Error> {
    context.check_hand_over(&inventory)?;
    let run_id = uuid::Uuid::now_v7().to_string();
    let lake = open_lake(&context.platform, &context.config).await?;
    let units = futures::stream::iter(inventory.units.into_iter().map(|unit| {
        let (lake, run_id) = (Arc::clone(&lake), run_id.clone());
        async move { run_unit(context, unit, lake, run_id, until).await }
    }));
    let tables: Vec<Vec<TableReport>> = units.buffered(context.config.ingest.units).collect().await;
    let report = RunReport::new(run_id, tables.into_iter().flatten().collect());
    crate::failpoints::hit(crate::failpoints::REPORT);
    Ok(report)
}

async fn run_unit(
    context: &RunContext,
    unit: Unit,
    lake: Arc<Lake>,
    run_id: String,
    until: Until,
) -> Vec<TableReport> {
    let fail_all = |unit: &Unit, error: &Error| -> Vec<TableReport> {
        let reports = unit
            .tables
            .iter()
            .map(|table| TableReport::failed(&table.raw_table, table.sync_mode, error))
            .collect::<Vec<_>>();
        let reporter = Reporter::new(context.pipes.clone());
        for report in &reports {
            reporter.failed(report);
            crate::metrics::ended(report);
        }
        reports
    };
    let job = |flow: &'static str, unit: Unit| UnitJob {
        flow,
        context: context.clone(),
        unit: Arc::new(unit),
        run_id: run_id.clone(),
        extracted_at_microseconds: microseconds(context.clock.now()),
    };
    let address = SourceAddress::of(&unit.id);
    let sink = || Endpoint::<RawLake, _>::new(Arc::clone(&lake));
    let runner = dagster::flow_runner(&context.pipes);
    if matches!(unit.source_kind, SourceKind::TrackingLogs | SourceKind::EdxorgArchive) {
        let error = Error::new(Definite::ModeUnsupported).with("source_kind", unit.source_kind);
        return fail_all(&unit, &error);
    }
    let of_table = |(index, table)| unit.follows(table).then_some(index);
    let followed: Vec<usize> = (0..).zip(&unit.tables).filter_map(of_table).collect();
    let mut read = unit.clone();
    read.tables.retain(|table| !unit.follows(table));
    let of_postgres = || {
        Endpoint::<ApplicationPostgres, _>::of_any_deployment(&unit.id.deployment, address.clone())
    };
    let of_mysql =
        || Endpoint::<OpenEdxMysql, _>::of_any_deployment(&unit.id.deployment, address.clone());
    let of_mongodb = || Endpoint::<Forum, _>::new(address.clone());
    let mut reports = Vec::new();
    let mut take = |unit: &Unit, done: Result<Vec<TableReport>, Error>| match done {
        Ok(done) => reports.extend(done),
        Err(error) => {
            tracing::error!(unit = %unit.id, error = %ol_chassis::error::chain(&error), "the unit failed");
            reports.extend(fail_all(unit, &error));
        }
    };
    if !read.tables.is_empty() {
        let done = match unit.source_kind {
            SourceKind::Mysql => {
                let flow = declared!(mysql_full_load);
                runner.run(flow, of_mysql(), sink(), job(flow.id(), read.clone())).await
            }
            SourceKind::Mongodb => {
                let flow = declared!(mongodb_full_load);
                runner.run(flow, of_mongodb(), sink(), job(flow.id(), read.clone())).await
            }
            SourceKind::Postgres | SourceKind::TrackingLogs | SourceKind::EdxorgArchive => {
                let flow = declared!(postgres_full_load);
                runner.run(flow, of_postgres(), sink(), job(flow.id(), read.clone())).await
            }
        };
        take(&read, done);
    }
    if !followed.is_empty() {
        let capture = |flow: &'static str| CaptureJob {
            job: Arc::new(job(flow, unit.clone())),
            tables: followed,
            until,
        };
        let done = match unit.source_kind {
            SourceKind::Mysql => {
                let flow = declared!(mysql_change_capture);
                runner.run(flow, of_mysql(), sink(), capture(flow.id())).await
            }
            SourceKind::Mongodb => {
                let flow = declared!(mongodb_change_capture);
                runner.run(flow, of_mongodb(), sink(), capture(flow.id())).await
            }
            SourceKind::Postgres | SourceKind::TrackingLogs | SourceKind::EdxorgArchive => {
                let flow = declared!(postgres_change_capture);
                runner.run(flow, of_postgres(), sink(), capture(flow.id())).await
            }
        };
        take(&unit, done);
    }
    let place = |raw_table: &str| unit.tables.iter().position(|t| t.raw_table == raw_table);
    reports.sort_by_key(|report| place(&report.raw_table));
    reports
}

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn microseconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_micros()).ok())
        .unwrap_or_default()
}
