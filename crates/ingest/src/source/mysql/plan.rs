//! From a table of the inventory and the live catalog to how the table is read, or why it is not.

use ol_lake::LakeTable;
use ol_lake::schema::{LakeColumn, LakeSchema};

use super::catalog::{Catalog, Relation};
use super::discover;
use super::incremental::cursor::Cursor;
use super::types::{Reading, Refusal};
use crate::column::mask::Salt;
use crate::column::{foreign, metadata};
use crate::error::{Definite, Error};
use crate::inventory::{DEFAULT_NAMESPACE, MetadataColumns, ReplicationMethod, Table, Unit};
use crate::load::LoadMode;
use crate::source::plan as shared;

/// How the rows of a table are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// All of them.
    Full,
    /// By a column.
    Cursor(Cursor),
}

/// How one table is read and where it lands.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePlan {
    /// The relation, as the catalog has it.
    pub relation: Relation,
    /// Its columns, without the excluded ones.
    pub readings: Vec<Reading>,
    /// How its rows are found.
    pub method: Method,
    /// How its rows go into the lake.
    pub mode: LoadMode,
    /// The metadata columns of another loader that it has beside ours.
    pub metadata_columns: MetadataColumns,
    /// The columns that identify a row: those of the inventory, or else of the source's primary key.
    pub key: Vec<String>,
}

impl TablePlan {
    /// Gives masked columns their salt, if there are any; without it nothing of the table can be decoded.
    ///
    /// # Errors
    /// There is no salt.
    pub async fn salted(mut self) -> Result<Self, Error> {
        salt(&mut self.readings).await?;
        Ok(self)
    }

    /// The lake table's columns: the source's, then ours.
    #[must_use]
    pub fn lake_schema(&self) -> LakeSchema {
        let ours = match (&self.method, &self.mode) {
            (_, LoadMode::Merge(merging)) => metadata::merge(merging.soft),
            (Method::Full, LoadMode::Overwrite | LoadMode::Append) => metadata::full_refresh(),
            (Method::Cursor(_), LoadMode::Overwrite | LoadMode::Append) => metadata::log(),
        };
        lake_schema(&self.relation, &self.readings, ours, self.metadata_columns)
    }

    /// The same for a table that exists: where another loader gave its own column of time a type, it keeps it.
    #[must_use]
    pub fn lake_schema_of(&self, table: &LakeTable) -> LakeSchema {
        foreign::as_in(self.lake_schema(), table)
    }
}

/// Gives masked columns their salt, if there are any.
///
/// # Errors
/// There is no salt.
pub async fn salt(readings: &mut [Reading]) -> Result<(), Error> {
    if readings.iter().any(Reading::needs_salt) {
        let salt = Salt::load().await?;
        readings.iter_mut().for_each(|reading| reading.salt(&salt));
    }
    Ok(())
}

/// The columns of a lake table: the source's, then ours.
#[must_use]
pub fn lake_schema(
    relation: &Relation,
    readings: &[Reading],
    ours: Vec<LakeColumn>,
    metadata_columns: MetadataColumns,
) -> LakeSchema {
    let columns = &relation.columns;
    let comment =
        |name: &str| columns.iter().find(|column| column.name == name)?.comment.as_deref();
    let of_source = readings.iter().map(|reading| shared::SourceColumn {
        name: &reading.name,
        was: reading.was.as_deref(),
        contract: &reading.contract,
        comment: comment(&reading.name),
    });
    shared::lake_schema(of_source, ours, metadata_columns)
}

/// The database of a table: that of its `namespace`, else the one that the source's URL names.
#[must_use]
pub fn database<'a>(table: &'a Table, of_url: &'a str) -> &'a str {
    if table.namespace == DEFAULT_NAMESPACE { of_url } else { &table.namespace }
}

/// `database.name`, for people.
#[must_use]
pub fn display(table: &Table, of_url: &str) -> String {
    format!("{}.{}", database(table, of_url), table.name)
}

/// Plans one table.
///
/// # Errors
/// The failure that refuses or blocks it, with the table and, where there is one, the column.
pub fn plan(unit: &Unit, table: &Table, catalog: &Catalog) -> Result<TablePlan, Error> {
    let planned = decide(unit, table, catalog);
    planned.map_err(|error| error.with("table", display(table, &catalog.database)))
}

/// The relation of a table, as the catalog has it, and how its columns are read.
///
/// # Errors
/// The failure that refuses or blocks it.
pub fn read(
    unit: &Unit,
    table: &Table,
    catalog: &Catalog,
) -> Result<(Relation, Vec<Reading>), Error> {
    let relation = relation(table, catalog)?;
    shared::check_named(table, |name| relation.has(name))?;
    Ok((relation.clone(), readings(unit, table, relation)?))
}

fn relation<'a>(table: &Table, catalog: &'a Catalog) -> Result<&'a Relation, Error> {
    let relation = catalog
        .find(database(table, &catalog.database), &table.name)
        .ok_or_else(|| Error::new(Definite::RelationMissing))?;
    match discover::refusal(&relation.kind) {
        Some(reason) => Err(Error::new(Definite::RelationKindRefused).with("reason", reason)),
        None => Ok(relation),
    }
}

fn decide(unit: &Unit, table: &Table, catalog: &Catalog) -> Result<TablePlan, Error> {
    let relation = relation(table, catalog)?;
    shared::check_named(table, |name| relation.has(name))?;
    let key = shared::key(table, &relation.primary_key, |name| relation.has(name))?;
    let mode = shared::mode(table, &relation.primary_key, &key);
    let method = method(unit, table, relation)?;
    let readings = readings(unit, table, relation)?;
    let metadata_columns = unit.metadata_columns;
    Ok(TablePlan { relation: relation.clone(), readings, method, mode, metadata_columns, key })
}

/// How the columns of a relation are read, without those that the inventory excludes.
fn readings(unit: &Unit, table: &Table, relation: &Relation) -> Result<Vec<Reading>, Error> {
    let mut readings = Vec::new();
    for column in &relation.columns {
        if table.excluded_columns.contains(&column.name) {
            continue;
        }
        let refused = |refusal: Refusal| {
            Error::new(Definite::TypeRefused)
                .with("column", &refusal.column)
                .with("type", &column.type_text)
                .with("reason", &refusal.reason)
        };
        let reading = match table.overrides.masked_columns.get(&column.name) {
            Some(mask) => Reading::masked(column, *mask),
            None => {
                let declared = shared::declared_type(table, &column.name)?;
                Reading::decide(column, declared.as_ref())
            }
        };
        let mut reading = reading.map_err(refused)?;
        reading.was = table.overrides.renamed_columns.get(&column.name).cloned();
        readings.push(reading);
    }
    let names: Vec<&str> = readings.iter().map(|reading| reading.name.as_str()).collect();
    shared::check_names(&names, unit.metadata_columns)?;
    Ok(readings)
}

/// How the rows of a table are found.
fn method(unit: &Unit, table: &Table, relation: &Relation) -> Result<Method, Error> {
    if !table.sync_mode.is_incremental() {
        return Ok(Method::Full);
    }
    if unit.replication_method != ReplicationMethod::Cursor {
        return Err(Error::new(Definite::ModeUnsupported)
            .with("sync_mode", table.sync_mode)
            .with("replication_method", unit.replication_method)
            .with("source_kind", unit.source_kind));
    }
    Cursor::find(table, relation).map(Method::Cursor).map_err(|reason| {
        let column = table.cursor_field.as_deref().unwrap_or("none");
        Error::new(Definite::CursorUnusable).with("column", column).with("reason", reason).advise(
            "Name another column as cursor_field, best an indexed time that every change sets; or set a full refresh as \
             sync_mode.",
        )
    })
}
