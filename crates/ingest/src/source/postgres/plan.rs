//! From a table of the inventory and the live catalog to how the table is read, or why it is not.

use ol_lake::schema::{LakeColumn, LakeSchema};
use ol_lake::{colliding_names, unreadable_name};

use super::catalog::{Catalog, Relation};
use super::discover;
use super::types::Reading;
use crate::column::{declared, metadata};
use crate::error::{Definite, Error};
use crate::inventory::{MetadataColumns, SyncMode, Table, Unit};
use crate::load::LoadMode;

/// How one table is read and where it lands.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePlan {
    /// The relation, as the catalog has it.
    pub relation: Relation,
    /// Its columns, without the excluded ones.
    pub readings: Vec<Reading>,
    /// How its rows go into the lake.
    pub mode: LoadMode,
}

impl TablePlan {
    /// The lake table's columns: the source's, then ours.
    #[must_use]
    pub fn lake_schema(&self) -> LakeSchema {
        let comment = |name: &str| {
            self.relation.columns.iter().find(|column| column.name == name)?.comment.clone()
        };
        let mut columns: Vec<LakeColumn> = self
            .readings
            .iter()
            .map(|reading| LakeColumn {
                name: reading.name.clone(),
                lake_type: reading.contract.lake.clone(),
                // Never required: a value that does not fit is NULL, and NOT NULL can be dropped at the source.
                required: false,
                doc: comment(&reading.name),
                was: None,
            })
            .collect();
        columns.extend(metadata::full_refresh());
        LakeSchema { columns }
    }
}

/// Plans one table.
///
/// # Errors
/// The failure that refuses or blocks it, with the table and, where there is one, the column.
pub fn plan(unit: &Unit, table: &Table, catalog: &Catalog) -> Result<TablePlan, Error> {
    decide(unit, table, catalog).map_err(|error| error.with("table", table.qualified_name()))
}

fn decide(unit: &Unit, table: &Table, catalog: &Catalog) -> Result<TablePlan, Error> {
    let mode = mode(unit, table)?;
    let relation = catalog
        .relations
        .iter()
        .find(|relation| relation.namespace == table.namespace && relation.name == table.name)
        .ok_or_else(|| Error::new(Definite::RelationMissing))?;
    if let Some(reason) = discover::refusal(relation.kind) {
        return Err(Error::new(Definite::RelationKindRefused).with("reason", reason));
    }
    if relation.rows_hidden {
        return Err(Error::new(Definite::RowsHidden));
    }
    let named = |name: &String| relation.columns.iter().any(|column| column.name == *name);
    let overridden = table.overrides.columns.keys();
    if let Some(missing) = table.excluded_columns.iter().chain(overridden).find(|name| !named(name))
    {
        // A mistyped exclusion would let the column it meant leave the server.
        return Err(Error::new(Definite::InventoryInvalid).with("column", missing).with(
            "reason",
            "excluded_columns or overrides name a column that the table does not have",
        ));
    }
    let mut readings = Vec::new();
    for column in &relation.columns {
        if table.excluded_columns.contains(&column.name) {
            continue;
        }
        let declared = match table.overrides.columns.get(&column.name) {
            None => None,
            Some(text) => Some(declared::lake_type(text).ok_or_else(|| {
                Error::new(Definite::TypeRefused).with("column", &column.name).with("type", text)
            })?),
        };
        readings.push(Reading::decide(column, &catalog.types, declared.as_ref()).map_err(
            |refusal| {
                Error::new(Definite::TypeRefused)
                    .with("column", &refusal.column)
                    .with("type", &column.type_text)
                    .with("reason", &refusal.reason)
            },
        )?);
    }
    names(&readings)?;
    Ok(TablePlan { relation: relation.clone(), readings, mode })
}

/// What this version carries out, and what it says no to.
fn mode(unit: &Unit, table: &Table) -> Result<LoadMode, Error> {
    let unsupported = |key, value: &dyn std::fmt::Display| {
        Err(Error::new(Definite::ModeUnsupported).with(key, value))
    };
    if unit.metadata_columns != MetadataColumns::Native {
        return unsupported("metadata_columns", &unit.metadata_columns);
    }
    if let Some((column, mask)) = table.overrides.masked_columns.iter().next() {
        return unsupported("masked_columns", &format!("{column}: {mask}"));
    }
    if !table.overrides.partition_by.is_empty() {
        return unsupported("overrides", &"partition_by");
    }
    if !table.overrides.sort_by.is_empty() {
        return unsupported("overrides", &"sort_by");
    }
    match table.sync_mode {
        SyncMode::FullRefreshOverwrite => Ok(LoadMode::Overwrite),
        SyncMode::FullRefreshAppend => Ok(LoadMode::Append),
        SyncMode::FullRefreshOverwriteDeduped
        | SyncMode::FullRefreshUpdate
        | SyncMode::FullRefreshSoftDelete
        | SyncMode::IncrementalAppend
        | SyncMode::IncrementalDedupedHistory
        | SyncMode::IncrementalUpdate
        | SyncMode::IncrementalSoftDelete => unsupported("sync_mode", &table.sync_mode),
    }
}

/// Refuses names that some reader of the lake would confuse: Trino and DuckDB know no letter case, and the
/// names of Iceberg's own metadata columns hide a column of the same name.
fn names(readings: &[Reading]) -> Result<(), Error> {
    let refuse = |columns: String, reason: &str| {
        Err(Error::new(Definite::ColumnNamesCollide)
            .with("columns", columns)
            .with("reason", reason))
    };
    if let Some(reading) =
        readings.iter().find(|reading| reading.name.to_lowercase().starts_with(metadata::PREFIX))
    {
        return refuse(reading.name.clone(), "the prefix _ol_ is that of our own columns");
    }
    let collisions = colliding_names(readings.iter().map(|reading| reading.name.as_str()));
    if let Some(group) = collisions.first() {
        return refuse(
            group.join(", "),
            "the names differ only in case, which Trino and DuckDB do not see",
        );
    }
    for reading in readings {
        if let Some(reason) = unreadable_name(&reading.name) {
            return refuse(reading.name.clone(), reason);
        }
    }
    Ok(())
}
