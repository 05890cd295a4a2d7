//! `ol-ingest compare`: a unit in shadow, held against the tables of another loader.
//!
//! The shadow is a copy in full, whatever the unit's own way of reading is. It makes no slot and no publication at the
//! source, so nothing is left there that nobody would read.

use std::sync::Arc;
use std::time::Instant;

use ol_chassis::cli::Context;
use ol_chassis::config::Platform;
use ol_chassis::progress::Unit as Counted;
use ol_lake::{Lake, LakeTable, TableName};
use ol_pipes::Pipes;

use crate::cli::Compare;
use crate::compare::{Comparison, Pairing, compare};
use crate::config::Config;
use crate::error::{Definite, Error, Result, Transient};
use crate::inventory::{Inventory, MetadataColumns, ReplicationMethod, SyncMode, Table, Unit};
use crate::report::TableReport;
use crate::report::comparison::{CompareReport, TableComparison};
use crate::run::{self, RunContext, Until, open_lake};

/// Loads the selected tables in shadow, unless that is not wanted, and compares each.
pub(super) async fn execute(
    arguments: &Compare,
    config: Config,
    context: Context,
) -> Result<CompareReport> {
    let selected = super::select(&arguments.selection)?;
    let platform = Platform::from_environment().await?;
    let shadow =
        arguments.shadow.clone().unwrap_or_else(|| format!("{}_shadow", arguments.against));
    let real = platform.raw_namespace();
    for (taken, is_written) in [(&arguments.against, true), (&real, !arguments.no_load)] {
        if *taken == shadow && is_written {
            return Err(Error::new(Definite::Configuration)
                .with("flag", "--shadow")
                .with("namespace", taken)
                .advise("Name a namespace of its own: the tables in it are replaced."));
        }
    }
    let platform = platform.with_raw_namespace(&shadow);
    let lake = open_lake(&platform, &config).await?;
    if !lake.has_namespace(&arguments.against).await? {
        return Err(Error::new(Definite::Configuration)
            .with("flag", "--against")
            .with("namespace", &arguments.against)
            .advise("Name the namespace of the other loader's tables, as the catalog has it."));
    }
    let (progress, shutdown) = (context.progress.clone(), context.shutdown.clone());
    let loaded = match arguments.no_load {
        true => Vec::new(),
        false => load(platform, config, context, &selected).await?,
    };
    let mut tables = Vec::new();
    for unit in &selected.units {
        let bar = progress.bar(
            &format!("compare {}", unit.id),
            Some(unit.tables.len() as u64),
            Counted::Tables,
        );
        for table in &unit.tables {
            bar.say(&table.raw_table);
            let started = Instant::now();
            let failed = loaded.iter().find(|report| {
                report.raw_table == table.raw_table && report.exit() != ol_chassis::Exit::Done
            });
            let mut told = match failed {
                Some(report) => TableComparison::not_loaded(report),
                None if shutdown.is_requested() => {
                    TableComparison::failed(&table.raw_table, &Error::new(Transient::Stopped))
                }
                None => {
                    let job =
                        Job { lake: &lake, ours: &shadow, table, arguments, shutdown: &shutdown };
                    job.compare()
                        .await
                        .unwrap_or_else(|error| TableComparison::failed(&table.raw_table, &error))
                }
            };
            told.seconds = started.elapsed().as_secs_f64();
            tables.push(told);
            bar.add(1);
        }
    }
    Ok(CompareReport::new(&shadow, &arguments.against, tables))
}

/// Reads the source into the shadow namespace. Dagster does not hear of it: no asset was made.
async fn load(
    platform: Platform,
    config: Config,
    context: Context,
    selected: &Inventory,
) -> Result<Vec<TableReport>> {
    let run_context = RunContext {
        platform,
        config,
        shutdown: context.shutdown,
        progress: context.progress,
        clock: context.clock,
        pipes: Pipes::silent(),
        allow_shrink: super::globs(&["*".to_owned()])?,
        from: Vec::new(),
        from_slot: None,
    };
    let inventory = Inventory {
        units: selected.units.iter().cloned().map(in_full).collect(),
        skipped: Vec::new(),
    };
    Ok(run::run(&run_context, inventory, Until::CaughtUp).await?.tables)
}

/// A unit whose tables are read in full and replaced.
fn in_full(mut unit: Unit) -> Unit {
    unit.replication_method = ReplicationMethod::Full;
    unit.metadata_columns = MetadataColumns::Native;
    for table in &mut unit.tables {
        table.sync_mode = SyncMode::FullRefreshOverwrite;
    }
    unit
}

struct Job<'a> {
    lake: &'a Arc<Lake>,
    /// The namespace of our tables.
    ours: &'a str,
    table: &'a Table,
    arguments: &'a Compare,
    shutdown: &'a ol_chassis::shutdown::Shutdown,
}

impl Job<'_> {
    async fn compare(&self) -> Result<TableComparison> {
        let ours = self.load(self.ours).await?;
        let theirs = self.load(&self.arguments.against).await?;
        let pairing = Pairing::of(self.table, &ours, &theirs);
        let comparison = Comparison {
            lake: self.lake,
            ours: &ours,
            theirs: &theirs,
            pairing: &pairing,
            named: self.arguments.rows.into(),
            shutdown: self.shutdown,
        };
        let found = compare(&comparison).await?;
        let mut told = TableComparison::of(&self.table.raw_table, &comparison, found);
        if !self.arguments.show_values {
            told.hide_values();
        }
        Ok(told)
    }

    async fn load(&self, namespace: &str) -> Result<LakeTable> {
        let name = TableName::new(namespace, &self.table.raw_table);
        let missing = || Error::new(Definite::LakeTableMissing).with("table", &name);
        self.lake.load(&name).await?.ok_or_else(missing)
    }
}
