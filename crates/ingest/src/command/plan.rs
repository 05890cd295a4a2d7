//! `ol-ingest plan`.

use ol_chassis::Exit;
use ol_chassis::cli::Context;

use crate::cli::{Plan, Selection};
use crate::column::ColumnContract;
use crate::error::{Definite, Error};
use crate::inventory::{SourceKind, Table, Unit};
use crate::report::documents::{ColumnPlan, PlanReport, TablePlan};
use crate::run::capture::CapturePlan;
use crate::run::{binlog, change_stream};
use crate::source::address::SourceAddress;
use crate::source::mysql::binlog::foreign_key::{Cascades, Name};
use crate::source::{mongodb, mysql, postgres};
use crate::source_code::Doing;

/// Prints the contract of the selected tables as their sources are now, or of every type.
pub(super) async fn execute(
    arguments: &Plan,
    context: &Context,
    json: bool,
) -> Result<Exit, Error> {
    let Some(inventory) = &arguments.inventory else {
        let document = match arguments.contract.as_deref() {
            Some("mongodb") => mongodb::contract_document::markdown(),
            Some("mysql") => mysql::contract_document::markdown(),
            Some(_) | None => postgres::contract_document::markdown(),
        };
        ol_chassis::cli::print(&document);
        return Ok(Exit::Done);
    };
    let inventory = super::select(&Selection {
        inventory: inventory.clone(),
        units: arguments.units.clone(),
        tables: arguments.tables.clone(),
    })?;
    let mut tables = Vec::new();
    for unit in &inventory.units {
        match of_unit(unit, context).await {
            Ok(planned) => tables.extend(planned),
            Err(error) => {
                tracing::error!(unit = %unit.id, error = %ol_chassis::error::chain(&error), "no plan");
                tables.extend(
                    unit.tables.iter().map(|table| readable(table, Vec::new()).failed(&error)),
                );
            }
        }
    }
    let report = PlanReport::new(tables);
    ol_chassis::cli::print(&if json { report.to_json() } else { report.to_text() });
    Ok(report.exit())
}

/// The contract of each table of a unit.
async fn of_unit(unit: &Unit, context: &Context) -> Result<Vec<TablePlan>, Error> {
    let address = SourceAddress::of(&unit.id);
    match unit.source_kind {
        SourceKind::Postgres => {
            let catalog = postgres::session::Session::open(&address).await?.catalog;
            let tables = unit.tables.iter();
            Ok(tables.map(|table| of_postgres(unit, table, &catalog)).collect())
        }
        SourceKind::Mysql => {
            let opening = super::opening(crate::run::mysql_databases(unit), context);
            let source = mysql::session::Source::open(&address, opening).await?;
            of_mysql_unit(unit, source).await
        }
        SourceKind::Mongodb => {
            let wanted = mongodb::session::Wanted::of(unit);
            let opened = mongodb::session::Source::open(&address, wanted, context.shutdown.clone());
            let catalog = opened.await?.catalog;
            let tables = unit.tables.iter();
            Ok(tables.map(|table| of_mongodb(unit, table, &catalog)).collect())
        }
        SourceKind::TrackingLogs | SourceKind::EdxorgArchive => {
            Err(Error::new(Definite::ModeUnsupported).with("source_kind", unit.source_kind))
        }
    }
}

/// The plans of a unit's tables, with what the server's log will not tell of the followed ones.
async fn of_mysql_unit(
    unit: &Unit,
    mut source: mysql::session::Source,
) -> Result<Vec<TablePlan>, Error> {
    let tables = unit.tables.iter();
    let (mut planned, names): (Vec<TablePlan>, Vec<Option<Name>>) =
        tables.map(|table| of_mysql(unit, table, &source.catalog)).unzip();
    let followed: Vec<Name> = names.iter().flatten().cloned().collect();
    let cascades = source.ask(move |session| Cascades::read(session, &followed)).await;
    let cascades = cascades.map_err(|error| error.into_error(Doing::Reading))?;
    for (table, name) in planned.iter_mut().zip(&names) {
        let above = name.as_ref().map(|name| cascades.above(name)).unwrap_or_default();
        let above: Vec<String> =
            above.iter().map(|(database, table)| format!("{database}.{table}")).collect();
        table.note = (!above.is_empty()).then(|| {
            format!(
                "It is copied again whenever its rows may have gone or changed with rows of {} (foreign keys with CASCADE or \
                 SET), which the server does not log",
                above.join(", ")
            )
        });
    }
    Ok(planned)
}

/// The plan of a table, and its name at the source if it is followed and can be read.
fn of_mysql(
    unit: &Unit,
    table: &Table,
    catalog: &mysql::catalog::Catalog,
) -> (TablePlan, Option<Name>) {
    let source_table = mysql::plan::display(table, &catalog.database);
    let named = |columns| TablePlan { source_table, ..readable(table, columns) };
    let follows = unit.follows(table);
    let planned = match follows {
        true => binlog::CapturePlan::new(unit, table, catalog).map(|it| (it.relation, it.readings)),
        false => mysql::plan::plan(unit, table, catalog).map(|it| (it.relation, it.readings)),
    };
    let (relation, readings) = match planned {
        Err(error) => return (named(Vec::new()).failed(&error), None),
        Ok(planned) => planned,
    };
    let excluded =
        relation.columns.iter().filter(|column| table.excluded_columns.contains(&column.name));
    let excluded =
        excluded.map(|column| without(&column.name, &column.type_text, "excluded", None));
    let columns = readings.iter().map(|reading| with(&reading.name, &reading.contract));
    (named(columns.chain(excluded).collect()), follows.then(|| relation.full_name()))
}

/// The plan of a collection. It does not look at the lake, so it shows what a new table would be.
fn of_mongodb(unit: &Unit, table: &Table, catalog: &mongodb::catalog::Catalog) -> TablePlan {
    let source_table = mongodb::plan::display(table, &catalog.database);
    let named = |columns| TablePlan { source_table, ..readable(table, columns) };
    let planned = match unit.follows(table) {
        true => change_stream::CapturePlan::new(unit, table, catalog, None).map(|plan| plan.read),
        false => mongodb::plan::plan(unit, table, catalog, None).map(|plan| plan.read),
    };
    let plan = match planned {
        Err(error) => return named(Vec::new()).failed(&error),
        Ok(plan) => plan,
    };
    let types = |name: &str| mongodb::types::source(plan.collection.field(name));
    let excluded = plan.excluded.iter().map(|name| without(name, &types(name), "excluded", None));
    let left_out = plan.left_out.iter().map(|(name, reason)| {
        let note = format!("in {} alone: {reason}", mongodb::types::DOCUMENT);
        without(name, &types(name), "document", Some(note))
    });
    let columns = plan.readings.iter().map(|reading| with(&reading.name, &reading.contract));
    named(columns.chain(left_out).chain(excluded).collect())
}

/// A column that lands.
fn with(name: &str, contract: &ColumnContract) -> ColumnPlan {
    ColumnPlan {
        column: name.to_owned(),
        source_type: contract.source.clone(),
        lake_type: Some(contract.lake.to_string()),
        fidelity: contract.fidelity.word().to_owned(),
        note: (!contract.note.is_empty()).then(|| contract.note.to_owned()),
    }
}

/// A column that does not.
fn without(name: &str, type_text: &str, fidelity: &str, note: Option<String>) -> ColumnPlan {
    ColumnPlan {
        column: name.to_owned(),
        source_type: type_text.to_owned(),
        lake_type: None,
        fidelity: fidelity.to_owned(),
        note,
    }
}

fn of_postgres(unit: &Unit, table: &Table, catalog: &postgres::catalog::Catalog) -> TablePlan {
    let planned = if unit.follows(table) {
        CapturePlan::of_catalog(unit, table, catalog)
            .map(|plan| (plan.relation, plan.readings, plan.left_out))
    } else {
        let planned = postgres::plan::plan(unit, table, catalog);
        planned.map(|plan| (plan.relation, plan.readings, Vec::new()))
    };
    let (relation, readings, left_out) = match planned {
        Err(error) => return readable(table, Vec::new()).failed(&error),
        Ok(planned) => planned,
    };
    let excluded = relation.columns.iter().filter_map(|column| {
        let reason = left_out.iter().find(|(name, _)| *name == column.name);
        let (name, type_text) = (&column.name, &column.type_text);
        match reason {
            Some((_, reason)) => Some(without(name, type_text, "refused", Some(reason.clone()))),
            None if table.excluded_columns.contains(name) => {
                Some(without(name, type_text, "excluded", None))
            }
            None => None,
        }
    });
    let columns = readings.iter().map(|reading| with(&reading.name, &reading.contract));
    readable(table, columns.chain(excluded).collect())
}

fn readable(table: &Table, columns: Vec<ColumnPlan>) -> TablePlan {
    TablePlan::readable(&table.raw_table, table.qualified_name(), table.sync_mode, columns)
}
