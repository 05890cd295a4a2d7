//! From a table of the inventory and the live collection to how it is read, or why it is not.

use std::collections::BTreeSet;

use ol_lake::LakeTable;
use ol_lake::schema::{LakeColumn, LakeSchema, LakeType};
use ol_lake::{colliding_names, unreadable_name};

use super::catalog::{Catalog, Collection, Field};
use super::discover;
use super::error::SourceError;
use super::types::{DOCUMENT, Decoding, KEY, Reading, Refusal};
use crate::column::mask::Salt;
use crate::column::{foreign, metadata};
use crate::error::{Definite, Doing, Error};
use crate::inventory::{DEFAULT_NAMESPACE, MetadataColumns, Table, Unit};
use crate::load::LoadMode;
use crate::source::plan as shared;

/// The most columns that samples make of a collection: where names are data, there are as many as values.
const MOST_COLUMNS: usize = 500;

/// A field that has no column, and why.
pub type LeftOut = (String, String);

/// How the documents of one collection are read.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionPlan {
    /// The collection, as it was found.
    pub collection: Collection,
    /// Its columns, without the excluded ones.
    pub readings: Vec<Reading>,
    /// Fields without a column, and why.
    pub left_out: Vec<LeftOut>,
    /// Fields of which nothing is read.
    pub excluded: Vec<String>,
    /// The metadata columns of another loader that it has beside ours.
    pub metadata_columns: MetadataColumns,
}

/// How one collection is read in full and where it lands.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePlan {
    /// How it is read.
    pub read: CollectionPlan,
    /// How its rows go into the lake.
    pub mode: LoadMode,
    /// The columns that identify a row: those of the inventory, or else `_id`.
    pub key: Vec<String>,
}

impl TablePlan {
    /// The lake table's columns: the fields, the document, then ours.
    #[must_use]
    pub fn lake_schema(&self) -> LakeSchema {
        self.read.lake_schema(match &self.mode {
            LoadMode::Merge(merging) => metadata::merge(merging.soft),
            LoadMode::Overwrite | LoadMode::Append => metadata::full_refresh(),
        })
    }

    /// The same for a table that exists: where another loader gave its own column of time a type, it keeps it.
    #[must_use]
    pub fn lake_schema_of(&self, table: &LakeTable) -> LakeSchema {
        foreign::as_in(self.lake_schema(), table)
    }
}

impl CollectionPlan {
    /// Gives masked columns their salt, if there are any; without it nothing of the table can be decoded.
    ///
    /// # Errors
    /// There is no salt.
    pub async fn salted(mut self) -> Result<Self, Error> {
        if self.readings.iter().any(Reading::needs_salt) {
            let salt = Salt::load().await?;
            self.readings.iter_mut().for_each(|reading| reading.salt(&salt));
        }
        Ok(self)
    }

    /// The lake table's columns: the fields, the document, then `ours`.
    #[must_use]
    pub fn lake_schema(&self, ours: Vec<LakeColumn>) -> LakeSchema {
        let columns = self.readings.iter().map(|reading| shared::SourceColumn {
            name: &reading.name,
            was: reading.was.as_deref(),
            contract: &reading.contract,
            comment: (reading.name == DOCUMENT).then_some(reading.contract.note),
        });
        shared::lake_schema(columns, ours, self.metadata_columns)
    }

    /// The fields of which nothing is to leave the server, in the order of their names.
    #[must_use]
    pub fn hidden(&self) -> BTreeSet<&str> {
        let nulled = self.readings.iter().filter(|it| it.decoding == Decoding::Nulled);
        nulled.map(|it| it.name.as_str()).chain(self.excluded.iter().map(String::as_str)).collect()
    }
}

/// The database of a table: that of its `namespace`, else the one that the connection string names.
#[must_use]
pub fn database<'a>(table: &'a Table, of_url: &'a str) -> &'a str {
    if table.namespace == DEFAULT_NAMESPACE { of_url } else { &table.namespace }
}

/// `database.name`, for people.
#[must_use]
pub fn display(table: &Table, of_url: &str) -> String {
    format!("{}.{}", database(table, of_url), table.name)
}

/// Plans one table. `in_lake` is the table in the lake, if there is one: its columns stay what they are.
///
/// # Errors
/// The failure that refuses or blocks it, with the table and, where there is one, the column.
pub fn plan(
    unit: &Unit,
    table: &Table,
    catalog: &Catalog,
    in_lake: Option<&LakeTable>,
) -> Result<TablePlan, Error> {
    let planned = decide(unit, table, catalog, in_lake);
    planned.map_err(|error| error.with("table", display(table, &catalog.database)))
}

fn decide(
    unit: &Unit,
    table: &Table,
    catalog: &Catalog,
    in_lake: Option<&LakeTable>,
) -> Result<TablePlan, Error> {
    let unsupported = || {
        Error::new(Definite::ModeUnsupported)
            .with("sync_mode", table.sync_mode)
            .with("replication_method", unit.replication_method)
            .with("source_kind", unit.source_kind)
            .advise(
                "A MongoDB is read in full (full_refresh_overwrite, full_refresh_append, full_refresh_update, \
                 full_refresh_overwrite_deduped, full_refresh_soft_delete), or followed: replication_method: cdc, and one of incremental_append, \
                 incremental_update, incremental_deduped_history, incremental_soft_delete.",
            )
    };
    let read = read(unit, table, catalog, in_lake)?;
    if table.sync_mode.is_incremental() {
        return Err(unsupported());
    }
    let has = |name: &str| read.readings.iter().any(|reading| reading.name == name);
    let primary_key = [KEY.to_owned()];
    let key = shared::key(table, &primary_key, has)?;
    let mode = shared::mode(table, &primary_key, &key);
    Ok(TablePlan { read, mode, key })
}

/// Plans how a collection is read, whatever is made of its documents.
///
/// # Errors
/// The failure that refuses or blocks it.
pub fn read(
    unit: &Unit,
    table: &Table,
    catalog: &Catalog,
    in_lake: Option<&LakeTable>,
) -> Result<CollectionPlan, Error> {
    let collection = catalog
        .find(database(table, &catalog.database), &table.name)
        .ok_or_else(|| Error::new(Definite::RelationMissing))?;
    if let Some(reason) = discover::refusal(&collection.kind) {
        return Err(Error::new(Definite::RelationKindRefused).with("reason", reason));
    }
    if let Some((code, name)) = collection.refusal.clone() {
        return Err(SourceError::Server { code, name }.into_error(Doing::Reading));
    }
    let known = Known::of(table, collection, in_lake, unit.metadata_columns);
    known.check_named(table)?;
    let (readings, left_out) = readings(unit, table, &known)?;
    Ok(CollectionPlan {
        collection: collection.clone(),
        readings,
        left_out,
        excluded: table.excluded_columns.clone(),
        metadata_columns: unit.metadata_columns,
    })
}

/// What is known of the fields of a collection: by its sample, by the table in the lake, by the inventory.
struct Known<'a> {
    collection: &'a Collection,
    in_lake: Vec<(&'a str, &'a LakeType)>,
    declared: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn of(
        table: &'a Table,
        collection: &'a Collection,
        in_lake: Option<&'a LakeTable>,
        set: MetadataColumns,
    ) -> Self {
        let foreign = foreign::columns(set);
        let renamed = &table.overrides.renamed_columns;
        let is_field = |name: &str| {
            !name.starts_with(metadata::PREFIX)
                && !foreign.iter().any(|column| column.name == name)
                && !renamed.values().any(|was| was == name)
        };
        let columns = in_lake.into_iter().flat_map(|table| &table.schema().columns);
        Self {
            collection,
            in_lake: columns
                .filter(|column| is_field(&column.name))
                .map(|column| (column.name.as_str(), &column.lake_type))
                .collect(),
            declared: table.overrides.columns.keys().map(String::as_str).collect(),
        }
    }

    fn lake_type(&self, name: &str) -> Option<&LakeType> {
        self.in_lake.iter().find(|(known, _)| *known == name).map(|(_, lake)| *lake)
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.collection.field(name)
    }

    /// The names of columns, in order: the key, those of the sample that ever hold something, of the lake, of the inventory.
    fn names(&self) -> Vec<&str> {
        let holds = |field: &&Field| field.types.keys().any(|word| *word != "null");
        let seen = self.collection.fields.iter().filter(holds).map(|field| field.name.as_str());
        let in_lake = self.in_lake.iter().map(|(name, _)| *name);
        let mut names = vec![KEY];
        for name in in_lake.chain(self.declared.iter().copied()).chain(seen) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Refuses to exclude or to mask a field that nothing is known of: a mistyped name would let the field that was meant
    /// leave the server. A field that is too rare for the sample can be declared.
    fn check_named(&self, table: &Table) -> Result<(), Error> {
        let is_known = |name: &str| {
            self.collection.sampled == 0
                || matches!(name, KEY | DOCUMENT)
                || self.field(name).is_some()
                || self.lake_type(name).is_some()
                || self.declared.contains(&name)
        };
        let masked = table.overrides.masked_columns.keys();
        match table.excluded_columns.iter().chain(masked).find(|name| !is_known(name)) {
            None => Ok(()),
            Some(missing) => Err(Error::new(Definite::InventoryInvalid)
                .with("column", missing)
                .with(
                    "reason",
                    "excluded_columns or masked_columns name a field that no sampled document has",
                )
                .advise(
                    "Correct the name; if the field is only rare, say its type under overrides, columns, too.",
                )),
        }
    }
}

/// How the fields of a collection are read, and which have no column.
fn readings(
    unit: &Unit,
    table: &Table,
    known: &Known<'_>,
) -> Result<(Vec<Reading>, Vec<LeftOut>), Error> {
    let is_read = |name: &&str| !table.excluded_columns.iter().any(|excluded| excluded == name);
    let names: Vec<&str> = known.names().into_iter().filter(is_read).collect();
    let (names, left_out) = columns(&names, known, unit.metadata_columns);
    let refused = |refusal: Refusal| {
        Error::new(Definite::TypeRefused)
            .with("column", &refusal.column)
            .with("reason", &refusal.reason)
    };
    let mut readings = Vec::new();
    for name in names {
        let (seen, lake) = (known.field(name), known.lake_type(name));
        let mut reading = match table.overrides.masked_columns.get(name) {
            Some(mask) => Reading::masked(name, seen, *mask, lake),
            None => {
                let declared = shared::declared_type(table, name)?;
                Reading::decide(name, seen, declared.as_ref(), lake).map_err(refused)?
            }
        };
        reading.was = table.overrides.renamed_columns.get(name).cloned();
        readings.push(reading);
    }
    let names: Vec<&str> = readings.iter().map(|reading| reading.name.as_str()).collect();
    shared::check_names(&names, unit.metadata_columns)?;
    if is_read(&DOCUMENT) {
        readings.push(Reading::document());
    }
    Ok((readings, left_out))
}

/// The names that become columns, and the fields that stay in the document alone. What is in the lake or declared is a
/// column in any case; of what only the sample shows, whatever some reader of the lake could not take is none.
fn columns<'a>(
    names: &[&'a str],
    known: &Known<'_>,
    set: MetadataColumns,
) -> (Vec<&'a str>, Vec<LeftOut>) {
    let foreign = foreign::columns(set);
    let colliding = colliding_names(names.iter().copied());
    let is_fixed = |name: &str| {
        name == KEY || known.lake_type(name).is_some() || known.declared.contains(&name)
    };
    let reason = |name: &str| -> Option<String> {
        let lower = name.to_lowercase();
        if lower.starts_with(metadata::PREFIX) {
            return Some("the prefix _ol_ is that of our own columns".to_owned());
        }
        if foreign.iter().any(|column| column.name == lower) {
            return Some("metadata_columns asks for a column of this name".to_owned());
        }
        if colliding.iter().any(|group| group.contains(&name)) {
            return Some("its name differs from another one only in case".to_owned());
        }
        unreadable_name(name).map(str::to_owned)
    };
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for name in names {
        if is_fixed(name) {
            kept.push(*name);
            continue;
        }
        let full = (kept.len() >= MOST_COLUMNS).then(|| {
            format!("there are more than {MOST_COLUMNS} fields; declare those that matter")
        });
        match reason(name).or(full) {
            None => kept.push(*name),
            Some(reason) => left_out.push(((*name).to_owned(), reason)),
        }
    }
    (kept, left_out)
}
