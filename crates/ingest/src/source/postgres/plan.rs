//! From a table of the inventory and the live catalog to how the table is read, or why it is not.

use ol_lake::schema::{LakeColumn, LakeSchema};
use ol_lake::{LakeTable, colliding_names, unreadable_name};

use super::catalog::{Catalog, Column, Relation, RelationKind, Types};
use super::discover;
use super::incremental::Method;
use super::incremental::cursor::Cursor;
use super::replication::message::RelationMessage;
use super::types::{Reading, Refusal};
use crate::column::mask::Salt;
use crate::column::{declared, foreign, metadata};
use crate::error::{Definite, Error};
use crate::inventory::{MetadataColumns, ReplicationMethod, SyncMode, Table, Unit};
use crate::load::{LoadMode, Merging};

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
            (Method::Xmin | Method::Cursor(_), LoadMode::Overwrite | LoadMode::Append) => {
                metadata::log()
            }
        };
        lake_schema(&self.relation, &self.readings, ours, self.metadata_columns)
    }

    /// The same for a table that exists: where another loader gave its own column of time a type, it keeps it.
    #[must_use]
    pub fn lake_schema_of(&self, table: &LakeTable) -> LakeSchema {
        foreign::as_in(self.lake_schema(), table)
    }
}

/// The columns of a lake table: the source's, then `ours`, then those of another loader.
#[must_use]
pub fn lake_schema(
    relation: &Relation,
    readings: &[Reading],
    ours: Vec<LakeColumn>,
    set: MetadataColumns,
) -> LakeSchema {
    let comment =
        |name: &str| relation.columns.iter().find(|column| column.name == name)?.comment.clone();
    let of_source = readings.iter().map(|reading| LakeColumn {
        name: reading.name.clone(),
        lake_type: reading.contract.lake.clone(),
        // Never required: a value that does not fit is NULL, and NOT NULL can be dropped at the source.
        required: false,
        doc: comment(&reading.name),
        was: reading.was.clone(),
    });
    LakeSchema { columns: of_source.chain(ours).chain(foreign::columns(set)).collect() }
}

/// Gives masked columns their salt, if there are any; without it nothing of them can be decoded.
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

/// Plans one table.
///
/// # Errors
/// The failure that refuses or blocks it, with the table and, where there is one, the column.
pub fn plan(unit: &Unit, table: &Table, catalog: &Catalog) -> Result<TablePlan, Error> {
    decide(unit, table, catalog).map_err(|error| error.with("table", table.qualified_name()))
}

fn decide(unit: &Unit, table: &Table, catalog: &Catalog) -> Result<TablePlan, Error> {
    let (relation, readings) = read(unit, table, catalog)?;
    let method = method(unit, table, &relation, catalog)?;
    let key = key(table, &relation)?;
    let mode = mode(table, &relation, &key)?;
    let metadata_columns = unit.metadata_columns;
    Ok(TablePlan { relation, readings, method, mode, metadata_columns, key })
}

/// The relation of a table and how its columns are read, whatever becomes of them.
///
/// # Errors
/// The failure that refuses or blocks the table.
pub fn read(
    unit: &Unit,
    table: &Table,
    catalog: &Catalog,
) -> Result<(Relation, Vec<Reading>), Error> {
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
    let overridden = table.overrides.columns.keys().chain(table.overrides.masked_columns.keys());
    if let Some(missing) = table.excluded_columns.iter().chain(overridden).find(|name| !named(name))
    {
        // A mistyped exclusion would let the column it meant leave the server.
        return Err(Error::new(Definite::InventoryInvalid).with("column", missing).with(
            "reason",
            "excluded_columns or overrides name a column that the table does not have",
        ));
    }
    Ok((relation.clone(), readings(unit, table, relation, &catalog.types)?))
}

/// How the columns of a relation are read, without those that the inventory excludes.
///
/// # Errors
/// A column cannot be read faithfully, or readers of the lake would confuse names.
pub fn readings(
    unit: &Unit,
    table: &Table,
    relation: &Relation,
    types: &Types,
) -> Result<Vec<Reading>, Error> {
    let refused = |column: &Column| {
        let type_text = column.type_text.clone();
        move |refusal: Refusal| {
            Error::new(Definite::TypeRefused)
                .with("column", &refusal.column)
                .with("type", &type_text)
                .with("reason", &refusal.reason)
        }
    };
    let mut readings = Vec::new();
    for column in &relation.columns {
        if table.excluded_columns.contains(&column.name) {
            continue;
        }
        let was = table.overrides.renamed_columns.get(&column.name);
        if let Some(mask) = table.overrides.masked_columns.get(&column.name) {
            let mut reading = Reading::masked(column, types, *mask).map_err(refused(column))?;
            reading.was = was.cloned();
            readings.push(reading);
            continue;
        }
        let declared = match table.overrides.columns.get(&column.name) {
            None => None,
            Some(text) => Some(declared::lake_type(text).ok_or_else(|| {
                Error::new(Definite::TypeRefused).with("column", &column.name).with("type", text)
            })?),
        };
        let reading = Reading::decide(column, types, declared.as_ref());
        let mut reading = reading.map_err(refused(column))?;
        reading.was = was.cloned();
        readings.push(reading);
    }
    names(&readings, unit.metadata_columns)?;
    Ok(readings)
}

/// The relation as the stream describes it. A column that the catalog has in the same form keeps what only the catalog
/// says of it; of any other, only name and type are known.
#[must_use]
pub fn relation_of_stream(table: &Table, catalog: &Catalog, message: &RelationMessage) -> Relation {
    let known = catalog
        .relations
        .iter()
        .find(|relation| relation.namespace == table.namespace && relation.name == table.name);
    let columns = message.columns.iter().map(|streamed| {
        let same = known.into_iter().flat_map(|relation| &relation.columns).find(|column| {
            column.name == streamed.name
                && column.type_oid == streamed.type_oid
                && column.modifier == streamed.modifier
        });
        same.cloned().unwrap_or_else(|| Column {
            name: streamed.name.clone(),
            number: 0,
            has_missing_value: false,
            type_oid: streamed.type_oid,
            modifier: streamed.modifier,
            dimensions: 0,
            type_text: catalog.types.name(streamed.type_oid),
            not_null: false,
            identity: false,
            has_default: false,
            generated: false,
            comment: None,
        })
    });
    let columns: Vec<Column> = columns.collect();
    let primary_key = known.map(|relation| relation.primary_key.clone()).unwrap_or_default();
    Relation {
        oid: message.oid,
        namespace: message.namespace.clone(),
        name: message.name.clone(),
        kind: known.map_or(RelationKind::Table, |relation| relation.kind),
        partition_of: None,
        has_children: known.is_some_and(|relation| relation.has_children),
        is_heap: true,
        rows_hidden: false,
        row_estimate: None,
        bytes: 0,
        comment: known.and_then(|relation| relation.comment.clone()),
        columns,
        primary_key,
    }
}

/// The columns that identify a row.
fn key(table: &Table, relation: &Relation) -> Result<Vec<String>, Error> {
    if table.primary_key.is_empty() {
        let usable = |name: &String| !table.excluded_columns.contains(name);
        let whole = relation.primary_key.iter().all(usable);
        return Ok(if whole { relation.primary_key.clone() } else { Vec::new() });
    }
    let exists = |name: &&String| relation.columns.iter().any(|column| column.name == **name);
    match table.primary_key.iter().find(|name| !exists(name)) {
        None => Ok(table.primary_key.clone()),
        Some(_) if !table.sync_mode.is_incremental() && !table.sync_mode.needs_primary_key() => {
            Ok(Vec::new())
        }
        Some(missing) => Err(Error::new(Definite::InventoryInvalid)
            .with("column", missing)
            .with("reason", "primary_key names a column that the table does not have")),
    }
}

/// How the rows of a table are found.
fn method(
    unit: &Unit,
    table: &Table,
    relation: &Relation,
    catalog: &Catalog,
) -> Result<Method, Error> {
    if !table.sync_mode.is_incremental() {
        return Ok(Method::Full);
    }
    match unit.replication_method {
        ReplicationMethod::Xmin if !relation.is_heap && relation.kind == RelationKind::Table => {
            Err(Error::new(Definite::ModeUnsupported)
                .with("replication_method", unit.replication_method)
                .with("reason", "only tables of the heap access method have transaction ids"))
        }
        ReplicationMethod::Xmin => Ok(Method::Xmin),
        ReplicationMethod::Cursor => {
            let cursor = Cursor::find(table, relation, &catalog.types);
            cursor.map(Method::Cursor).map_err(|reason| {
                let column = table.cursor_field.as_deref().unwrap_or("none");
                Error::new(Definite::CursorUnusable).with("column", column).with("reason", reason)
            })
        }
        ReplicationMethod::Full | ReplicationMethod::Cdc => {
            Err(Error::new(Definite::ModeUnsupported)
                .with("sync_mode", table.sync_mode)
                .with("replication_method", unit.replication_method))
        }
    }
}

/// What this version carries out, and what it says no to.
fn mode(table: &Table, relation: &Relation, key: &[String]) -> Result<LoadMode, Error> {
    match table.sync_mode {
        SyncMode::FullRefreshOverwrite => Ok(LoadMode::Overwrite),
        SyncMode::FullRefreshAppend | SyncMode::IncrementalAppend => Ok(LoadMode::Append),
        SyncMode::FullRefreshOverwriteDeduped => Ok(replacing(relation, key)),
        SyncMode::FullRefreshUpdate
        | SyncMode::IncrementalDedupedHistory
        | SyncMode::IncrementalUpdate => Ok(merging(key, false)),
        SyncMode::FullRefreshSoftDelete | SyncMode::IncrementalSoftDelete => Ok(merging(key, true)),
    }
}

fn merging(key: &[String], soft: bool) -> LoadMode {
    LoadMode::Merge(Merging { key: key.to_vec(), soft, replaces: false })
}

/// How all rows of a table replace what is there, one a key: simply, where the source sees to it that keys are unique.
#[must_use]
pub fn replacing(relation: &Relation, key: &[String]) -> LoadMode {
    let primary = &relation.primary_key;
    if !primary.is_empty() && primary.iter().all(|column| key.contains(column)) {
        return LoadMode::Overwrite;
    }
    LoadMode::Merge(Merging { key: key.to_vec(), soft: false, replaces: true })
}

/// Refuses names that some reader of the lake would confuse: Trino and DuckDB know no letter case, and the
/// names of Iceberg's own metadata columns hide a column of the same name.
fn names(readings: &[Reading], set: MetadataColumns) -> Result<(), Error> {
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
    let foreign = foreign::columns(set);
    let is_taken = |reading: &&Reading| {
        foreign.iter().any(|column| column.name == reading.name.to_lowercase())
    };
    if let Some(reading) = readings.iter().find(is_taken) {
        return refuse(reading.name.clone(), "metadata_columns asks for a column of this name");
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
