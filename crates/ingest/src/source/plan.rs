//! What is decided of a table in the same way whatever its source: its key, how its rows go in, the columns of its lake
//! table, and names that some reader of the lake could not take.

use ol_lake::schema::{LakeColumn, LakeSchema, LakeType};
use ol_lake::{colliding_names, unreadable_name};

use crate::column::{ColumnContract, declared, foreign, metadata};
use crate::error::{Definite, Error};
use crate::inventory::{MetadataColumns, SyncMode, Table};
use crate::load::{LoadMode, Merging};

/// A source column as the lake's table has it.
pub(crate) struct SourceColumn<'a> {
    /// The name, as the source spells it.
    pub(crate) name: &'a str,
    /// The name that the lake may know it by.
    pub(crate) was: Option<&'a str>,
    /// The type contract.
    pub(crate) contract: &'a ColumnContract,
    /// The comment on it.
    pub(crate) comment: Option<&'a str>,
}

/// The columns of a lake table: the source's, then `ours`, then those of another loader.
pub(crate) fn lake_schema<'a>(
    columns: impl Iterator<Item = SourceColumn<'a>>,
    ours: Vec<LakeColumn>,
    set: MetadataColumns,
) -> LakeSchema {
    let of_source = columns.map(|column| LakeColumn {
        name: column.name.to_owned(),
        lake_type: column.contract.lake.clone(),
        // Never required: a value that does not fit is NULL, and NOT NULL can be dropped at the source.
        required: false,
        doc: column.comment.map(str::to_owned),
        was: column.was.map(str::to_owned),
    });
    LakeSchema { columns: of_source.chain(ours).chain(foreign::columns(set)).collect() }
}

/// The lake type that the inventory declares for a column.
///
/// # Errors
/// No column of ours can have it.
pub(crate) fn declared_type(table: &Table, column: &str) -> Result<Option<LakeType>, Error> {
    let Some(text) = table.overrides.columns.get(column) else { return Ok(None) };
    declared::lake_type(text)
        .map(Some)
        .ok_or_else(|| Error::new(Definite::TypeRefused).with("column", column).with("type", text))
}

/// Refuses columns that the inventory names and the table does not have: a mistyped exclusion would let the column it
/// meant leave the server.
pub(crate) fn check_named(table: &Table, has: impl Fn(&str) -> bool) -> Result<(), Error> {
    let overridden = table.overrides.columns.keys().chain(table.overrides.masked_columns.keys());
    match table.excluded_columns.iter().chain(overridden).find(|name| !has(name)) {
        None => Ok(()),
        Some(missing) => Err(Error::new(Definite::InventoryInvalid).with("column", missing).with(
            "reason",
            "excluded_columns or overrides name a column that the table does not have",
        )),
    }
}

/// The columns that identify a row.
///
/// # Errors
/// The inventory names a column that the table does not have.
pub(crate) fn key(
    table: &Table,
    primary_key: &[String],
    has: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Error> {
    if table.primary_key.is_empty() {
        let usable = |name: &String| !table.excluded_columns.contains(name);
        let whole = primary_key.iter().all(usable);
        return Ok(if whole { primary_key.to_vec() } else { Vec::new() });
    }
    match table.primary_key.iter().find(|name| !has(name)) {
        None => Ok(table.primary_key.clone()),
        Some(_) if !table.sync_mode.is_incremental() && !table.sync_mode.needs_primary_key() => {
            Ok(Vec::new())
        }
        Some(missing) => Err(Error::new(Definite::InventoryInvalid)
            .with("column", missing)
            .with("reason", "primary_key names a column that the table does not have")),
    }
}

/// How the rows of a table go into the lake.
pub(crate) fn mode(table: &Table, primary_key: &[String], key: &[String]) -> LoadMode {
    match table.sync_mode {
        SyncMode::FullRefreshOverwrite => LoadMode::Overwrite,
        SyncMode::FullRefreshAppend | SyncMode::IncrementalAppend => LoadMode::Append,
        SyncMode::FullRefreshOverwriteDeduped => replacing(primary_key, key),
        SyncMode::FullRefreshUpdate
        | SyncMode::IncrementalDedupedHistory
        | SyncMode::IncrementalUpdate => merging(key, false),
        SyncMode::FullRefreshSoftDelete | SyncMode::IncrementalSoftDelete => merging(key, true),
    }
}

fn merging(key: &[String], soft: bool) -> LoadMode {
    LoadMode::Merge(Merging { key: key.to_vec(), soft, replaces: false })
}

/// How all rows of a table replace what is there, one a key: simply, where the source sees to it that keys are unique.
pub(crate) fn replacing(primary_key: &[String], key: &[String]) -> LoadMode {
    if !primary_key.is_empty() && primary_key.iter().all(|column| key.contains(column)) {
        return LoadMode::Overwrite;
    }
    LoadMode::Merge(Merging { key: key.to_vec(), soft: false, replaces: true })
}

/// Refuses names that some reader of the lake would confuse: Trino and DuckDB know no letter case, and the
/// names of Iceberg's own metadata columns hide a column of the same name.
///
/// # Errors
/// The names, and the reason.
pub(crate) fn check_names(columns: &[&str], set: MetadataColumns) -> Result<(), Error> {
    let refuse = |columns: String, reason: &str| {
        Err(Error::new(Definite::ColumnNamesCollide)
            .with("columns", columns)
            .with("reason", reason))
    };
    let is_ours = |name: &&&str| name.to_lowercase().starts_with(metadata::PREFIX);
    if let Some(name) = columns.iter().find(is_ours) {
        return refuse((*name).to_owned(), "the prefix _ol_ is that of our own columns");
    }
    let foreign = foreign::columns(set);
    let is_taken = |name: &&&str| foreign.iter().any(|column| column.name == name.to_lowercase());
    if let Some(name) = columns.iter().find(is_taken) {
        return refuse((*name).to_owned(), "metadata_columns asks for a column of this name");
    }
    let collisions = colliding_names(columns.iter().copied());
    if let Some(group) = collisions.first() {
        return refuse(
            group.join(", "),
            "the names differ only in case, which Trino and DuckDB do not see",
        );
    }
    for name in columns {
        if let Some(reason) = unreadable_name(name) {
            return refuse((*name).to_owned(), reason);
        }
    }
    Ok(())
}
