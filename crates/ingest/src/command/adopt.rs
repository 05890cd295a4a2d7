//! `ol-ingest adopt`: raw tables of Airbyte or dlt become ours where they stand, or it is said why not.

use ol_chassis::cli::Context;
use ol_chassis::config::Platform;
use ol_lake::{ErrorKind, Lake, LakeSchema, LakeTable, TableName};

use crate::cli::Adopt;
use crate::config::Config;
use crate::error::{Definite, Error, Result};
use crate::inventory::{SourceKind, Table, Unit};
use crate::report::adoption::{AdoptReport, AdoptedTable};
use crate::run::binlog;
use crate::run::capture::CapturePlan;
use crate::run::change::log::Plan as _;
use crate::run::unit::{partition_by, sort_by};
use crate::run::{self, open_lake};
use crate::source::address::SourceAddress;
use crate::source::{mysql, postgres};

/// Adopts the selected tables, or shows what that would change.
pub(super) async fn execute(
    arguments: &Adopt,
    config: &Config,
    context: &Context,
) -> Result<AdoptReport> {
    let inventory = super::select(&arguments.selection)?;
    let platform = Platform::from_environment().await?;
    let lake = open_lake(&platform, config).await?;
    let namespace = platform.raw_namespace();
    let mut tables = Vec::new();
    for unit in &inventory.units {
        let catalog = Catalog::read(unit, context).await;
        for table in &unit.tables {
            let name = TableName::new(namespace.clone(), &table.raw_table);
            let mut adopted = AdoptedTable::new(&table.raw_table, !arguments.dry_run);
            let ended = match &catalog {
                Ok(catalog) => {
                    let job = Job { lake: &lake, unit, table, catalog };
                    job.adopt(&name, arguments.dry_run, &mut adopted).await
                }
                Err(error) => {
                    adopted = adopted.failed(error);
                    Ok(())
                }
            };
            tables.push(match ended {
                Ok(()) => adopted,
                Err(error) => adopted.failed(&error),
            });
        }
    }
    Ok(AdoptReport::new(tables))
}

/// What there is at the source of a unit.
enum Catalog {
    Postgres(postgres::catalog::Catalog),
    Mysql(mysql::catalog::Catalog),
}

impl Catalog {
    async fn read(unit: &Unit, context: &Context) -> Result<Self> {
        let address = SourceAddress::of(&unit.id);
        match unit.source_kind {
            SourceKind::Postgres => {
                Ok(Self::Postgres(postgres::session::Session::open(&address).await?.catalog))
            }
            SourceKind::Mysql => {
                let opening = super::opening(run::mysql_databases(unit), context);
                Ok(Self::Mysql(mysql::session::Source::open(&address, opening).await?.catalog))
            }
            SourceKind::Mongodb | SourceKind::TrackingLogs | SourceKind::EdxorgArchive => {
                Err(Error::new(Definite::ModeUnsupported).with("source_kind", unit.source_kind))
            }
        }
    }

    /// The columns that a table of ours would have in the place of `theirs`.
    fn wanted(&self, unit: &Unit, table: &Table, theirs: &LakeTable) -> Result<LakeSchema> {
        Ok(match self {
            Self::Postgres(catalog) if unit.follows(table) => {
                CapturePlan::of_catalog(unit, table, catalog)?.lake_schema_of(theirs)
            }
            Self::Postgres(catalog) => {
                postgres::plan::plan(unit, table, catalog)?.lake_schema_of(theirs)
            }
            Self::Mysql(catalog) if unit.follows(table) => {
                binlog::plan::CapturePlan::new(unit, table, catalog)?.lake_schema_of(theirs)
            }
            Self::Mysql(catalog) => mysql::plan::plan(unit, table, catalog)?.lake_schema_of(theirs),
        })
    }
}

struct Job<'a> {
    lake: &'a Lake,
    unit: &'a Unit,
    table: &'a Table,
    catalog: &'a Catalog,
}

impl Job<'_> {
    async fn adopt(
        &self,
        name: &TableName,
        dry_run: bool,
        report: &mut AdoptedTable,
    ) -> Result<()> {
        let Some(theirs) = self.lake.load(name).await? else {
            return Err(Error::new(Definite::LakeTableMissing)
                .with("table", name)
                .with("reason", "there is nothing to adopt; the first run makes the table"));
        };
        report.describe(&theirs);
        // A layout that the inventory does not speak of is the table's own affair.
        let (partitions, sort) = (partition_by(self.table), sort_by(self.table));
        if !(partitions.is_empty() && sort.is_empty()) {
            theirs.check_layout(&partitions, &sort)?;
        }
        let wanted = self.catalog.wanted(self.unit, self.table, &theirs)?;
        report.steps = self.lake.adoptable(&theirs).await?;
        let change = match self.lake.evolve(&theirs, &wanted).await {
            Ok(change) => change,
            Err(error) => {
                if *error.kind() == ErrorKind::SchemaConflict {
                    report.overrides = overrides(&theirs, &wanted).into_iter().collect();
                }
                return Err(error.into());
            }
        };
        report.steps.extend(change.steps().iter().cloned());
        if !dry_run {
            self.lake.adopt(&theirs, &change).await?;
        }
        Ok(())
    }
}

/// The declarations that would keep the types of the table, for every column in which it differs from the contract.
fn overrides(theirs: &LakeTable, wanted: &LakeSchema) -> Vec<(String, String)> {
    let differing = wanted.columns.iter().filter_map(|column| {
        let there = theirs.schema().column(&column.name)?;
        let differs = there.lake_type != column.lake_type;
        differs.then(|| (column.name.clone(), there.lake_type.to_string()))
    });
    differing.collect()
}
