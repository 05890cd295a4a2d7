//! `ol-ingest plan`.

use ol_chassis::Exit;

use crate::cli::{Plan, Selection};
use crate::error::{Definite, Error};
use crate::inventory::{SourceKind, Table, Unit};
use crate::report::documents::{ColumnPlan, PlanReport, TablePlan};
use crate::run::capture::CapturePlan;
use crate::source::postgres::catalog::{Catalog, Column};
use crate::source::postgres::session::Session;
use crate::source::postgres::settings::SourceAddress;
use crate::source::postgres::{contract_document, plan};

/// Prints the contract of the selected tables as their sources are now, or of every type.
pub(super) async fn execute(arguments: &Plan, json: bool) -> Result<Exit, Error> {
    let Some(inventory) = &arguments.inventory else {
        ol_chassis::cli::print(&contract_document::markdown());
        return Ok(Exit::Done);
    };
    let inventory = super::select(&Selection {
        inventory: inventory.clone(),
        units: arguments.units.clone(),
        tables: arguments.tables.clone(),
    })?;
    let mut tables = Vec::new();
    for unit in &inventory.units {
        match catalog(unit).await {
            Ok(catalog) => {
                tables.extend(unit.tables.iter().map(|table| plan_table(unit, table, &catalog)));
            }
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

async fn catalog(unit: &Unit) -> Result<Catalog, Error> {
    if unit.source_kind != SourceKind::Postgres {
        return Err(Error::new(Definite::ModeUnsupported).with("source_kind", unit.source_kind));
    }
    Ok(Session::open(&SourceAddress::of(&unit.id)).await?.catalog)
}

fn plan_table(unit: &Unit, table: &Table, catalog: &Catalog) -> TablePlan {
    let planned = if unit.follows(table) {
        CapturePlan::of_catalog(unit, table, catalog)
            .map(|plan| (plan.relation, plan.readings, plan.left_out))
    } else {
        plan::plan(unit, table, catalog).map(|plan| (plan.relation, plan.readings, Vec::new()))
    };
    let (relation, readings, left_out) = match planned {
        Err(error) => return readable(table, Vec::new()).failed(&error),
        Ok(planned) => planned,
    };
    let without = |column: &Column, fidelity: &str, note: Option<String>| ColumnPlan {
        column: column.name.clone(),
        source_type: column.type_text.clone(),
        lake_type: None,
        fidelity: fidelity.to_owned(),
        note,
    };
    let excluded = relation.columns.iter().filter_map(|column| {
        let reason = left_out.iter().find(|(name, _)| *name == column.name);
        match reason {
            Some((_, reason)) => Some(without(column, "refused", Some(reason.clone()))),
            None if table.excluded_columns.contains(&column.name) => {
                Some(without(column, "excluded", None))
            }
            None => None,
        }
    });
    let columns = readings.iter().map(|reading| ColumnPlan {
        column: reading.name.clone(),
        source_type: reading.contract.source.clone(),
        lake_type: Some(reading.contract.lake.to_string()),
        fidelity: reading.contract.fidelity.word().to_owned(),
        note: (!reading.contract.note.is_empty()).then(|| reading.contract.note.to_owned()),
    });
    readable(table, columns.chain(excluded).collect())
}

fn readable(table: &Table, columns: Vec<ColumnPlan>) -> TablePlan {
    TablePlan::readable(&table.raw_table, table.qualified_name(), table.sync_mode, columns)
}
