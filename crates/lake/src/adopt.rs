//! Tables of other writers, taken over as they stand: what is in the way, and the one commit that makes them ours.
//!
//! No file of rows is rewritten. Columns and the format version are metadata; data files keep their names and places, and
//! what other engines know of the table's history stays.

use std::collections::BTreeMap;

use iceberg::spec::FormatVersion;
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use crate::commit::produce::Staged;
use crate::commit::{Commit, Operation};
use crate::error::{Error, ErrorKind, Result};
use crate::lake::{DEFAULT_PROPERTIES, Lake};
use crate::live::Live;
use crate::schema::evolve::SchemaChange;
use crate::table::LakeTable;

impl Lake {
    /// What taking the table over changes beside its columns, one sentence a step.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaConflict`] with the reason when the table cannot be written as it is: equality deletes, files
    /// that are not Parquet, a format version this crate does not write.
    pub async fn adoptable(&self, table: &LakeTable) -> Result<Vec<String>> {
        let metadata = table.inner().metadata();
        let mut steps = Vec::new();
        match metadata.format_version() {
            FormatVersion::V1 => {
                steps.push("Raise the format version from 1 to 2".to_owned());
                steps.push("Write the manifests anew".to_owned());
            }
            FormatVersion::V2 => {}
            FormatVersion::V3 => {
                return Err(Error::new(ErrorKind::SchemaConflict)
                    .with("table", table.name())
                    .with("format version", 3)
                    .with("reason", "only tables of format version 2 are written"));
            }
        }
        // Reads every manifest; what cannot be taken into account is refused there.
        Live::of(table.inner(), metadata.current_snapshot_id())
            .await
            .map_err(|error| error.with("table", table.name()))?;
        steps.extend(missing(table).keys().map(|key| format!("Set property {key}")));
        Ok(steps)
    }

    /// Takes the table over: columns, format version and missing properties in one step. The manifests of a table of the
    /// first format are written anew in a second one.
    ///
    /// # Errors
    /// Those of [`Lake::adoptable`], and [`ErrorKind::CommitConflict`] when another commit changes the columns meanwhile.
    pub async fn adopt(&self, table: &LakeTable, change: &SchemaChange) -> Result<LakeTable> {
        self.adoptable(table).await?;
        let properties = missing(table);
        let adopt = |base: &Table| -> Result<Option<Staged>> {
            let mut updates = Vec::new();
            if base.metadata().format_version() == FormatVersion::V1 {
                updates
                    .push(TableUpdate::UpgradeFormatVersion { format_version: FormatVersion::V2 });
            }
            let mut requirements =
                vec![TableRequirement::UuidMatch { uuid: base.metadata().uuid() }];
            // A try whose answer was lost has made them.
            let is_made = change.is_made(base.metadata());
            if !is_made {
                updates.extend(change.updates());
                requirements.extend(change.requirements());
            }
            let set = |(key, _value): &(&String, &String)| {
                !base.metadata().properties().contains_key(*key)
            };
            let unset: Vec<_> = properties.iter().filter(set).collect();
            if !unset.is_empty() {
                let updated = unset.into_iter().map(|(key, value)| (key.clone(), value.clone()));
                updates.push(TableUpdate::SetProperties { updates: updated.collect() });
            }
            if updates.is_empty() {
                return Ok(None);
            }
            Ok(Some(Staged { updates, requirements, written: Vec::new() }))
        };
        let adopted = Box::pin(self.change_metadata(table, adopt))
            .await
            .map_err(|error| error.with("table", table.name()))?;
        let was_first = table.inner().metadata().format_version() == FormatVersion::V1;
        if !was_first || adopted.current_snapshot().is_none() {
            return Ok(adopted);
        }
        // DuckDB does not read a list of manifests of the first format in a table of the second.
        let gathered = Commit::new(Operation::Gather, Vec::new());
        Ok(self.commit(&adopted, gathered).await?.table)
    }
}

/// Properties that our tables have and this one says nothing about.
fn missing(table: &LakeTable) -> BTreeMap<String, String> {
    let known = table.properties();
    let ours = DEFAULT_PROPERTIES.iter().filter(|(key, _value)| !known.contains_key(*key));
    ours.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
