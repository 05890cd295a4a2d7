//! From a table of the inventory and the live catalog to how the table is read, or why it is not.

use ol_lake::LakeTable;
use ol_lake::schema::{LakeColumn, LakeSchema};

use super::catalog::{Catalog, Column, Relation, RelationKind, Types};
use super::discover;
use super::incremental::Method;
use super::incremental::cursor::Cursor;
use super::replication::message::RelationMessage;
use super::types::{Reading, Refusal};
use crate::column::mask::Salt;
use crate::column::{foreign, metadata};
use crate::error::{Definite, Error};
use crate::inventory::{MetadataColumns, ReplicationMethod, Table, Unit};
use crate::load::LoadMode;
use crate::source::plan as shared;

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
        |name: &str| relation.columns.iter().find(|column| column.name == name)?.comment.as_deref();
    let of_source = readings.iter().map(|reading| shared::SourceColumn {
        name: &reading.name,
        was: reading.was.as_deref(),
        contract: &reading.contract,
        comment: comment(&reading.name),
    });
    shared::lake_schema(of_source, ours, set)
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
    let has = |name: &str| relation.columns.iter().any(|column| column.name == name);
    let key = shared::key(table, &relation.primary_key, has)?;
    let mode = shared::mode(table, &relation.primary_key, &key);
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
    shared::check_named(table, |name| relation.columns.iter().any(|column| column.name == name))?;
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
        let declared = shared::declared_type(table, &column.name)?;
        let reading = Reading::decide(column, types, declared.as_ref());
        let mut reading = reading.map_err(refused(column))?;
        reading.was = was.cloned();
        readings.push(reading);
    }
    let names: Vec<&str> = readings.iter().map(|reading| reading.name.as_str()).collect();
    shared::check_names(&names, unit.metadata_columns)?;
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
