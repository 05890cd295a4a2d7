//! Which columns of two tables are compared, in which form; which are not, and why.

use std::collections::BTreeMap;

use ol_lake::LakeTable;
use serde::Serialize;

use super::canonical::Form;
use crate::column::{foreign, metadata};
use crate::inventory::Table;

/// What Airbyte's sources add to the columns of a table.
const CHANGE_PREFIX: &str = "_ab_cdc_";
/// What dlt and Airbyte begin their own columns with, whatever their version.
const FOREIGN_PREFIXES: [&str; 3] = ["_airbyte_", "_dlt_", CHANGE_PREFIX];

/// Two columns that should hold the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name in our table.
    pub ours: String,
    /// The name in theirs.
    pub theirs: String,
    /// How they are compared.
    pub form: Form,
}

/// A column that is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Aside {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: &'static str,
}

/// The columns of two tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairing {
    /// What is compared, in the order of our table.
    pub pairs: Vec<Pair>,
    /// Places in `pairs` of the key's columns; empty when a row is its own.
    pub key: Vec<usize>,
    /// The place in `pairs` of the column that says which of two rows is newer.
    pub cursor: Option<usize>,
    /// Columns that only our table has.
    pub only_ours: Vec<String>,
    /// Columns that only theirs has.
    pub only_theirs: Vec<String>,
    /// Columns that are left out on purpose.
    pub aside: Vec<Aside>,
}

/// Whether a column says how a row was loaded, rather than what it is.
fn is_metadata(name: &str) -> bool {
    name.starts_with(metadata::PREFIX)
        || foreign::Foreign::named(name).is_some()
        || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

impl Pairing {
    /// Pairs columns of one name; where there is none, of one name but for the case of letters.
    #[must_use]
    pub fn of(table: &Table, ours: &LakeTable, theirs: &LakeTable) -> Self {
        let names = |side: &LakeTable| -> Vec<String> {
            let names = side.schema().columns.iter().map(|column| column.name.clone());
            names.filter(|name| !is_metadata(name)).collect()
        };
        let mut left: Vec<String> = names(theirs);
        let mut pairing = Self::default();
        let mut counterpart = BTreeMap::new();
        for name in names(ours) {
            let found = left
                .iter()
                .position(|known| *known == name)
                .or_else(|| left.iter().position(|known| known.eq_ignore_ascii_case(&name)));
            match found {
                Some(place) => {
                    counterpart.insert(name, left.remove(place));
                }
                None => pairing.only_ours.push(name),
            }
        }
        let type_of = |side: &LakeTable, name: &str| {
            let schema = side.arrow_schema();
            schema.field_with_name(name).ok().map(|field| field.data_type().clone())
        };
        for name in names(ours) {
            let Some(other) = counterpart.remove(&name) else { continue };
            if table.overrides.masked_columns.contains_key(&name) {
                let reason = "the inventory masks it";
                pairing.aside.push(Aside { name, reason });
                continue;
            }
            let (Some(one), Some(two)) = (type_of(ours, &name), type_of(theirs, &other)) else {
                continue;
            };
            pairing.pairs.push(Pair { form: Form::of(&one, &two), ours: name, theirs: other });
        }
        for name in left {
            if table.excluded_columns.iter().any(|excluded| excluded.eq_ignore_ascii_case(&name)) {
                let reason = "the inventory excludes it";
                pairing.aside.push(Aside { name, reason });
            } else {
                pairing.only_theirs.push(name);
            }
        }
        let place = |name: &String| pairing.pairs.iter().position(|pair| pair.ours == *name);
        let key: Option<Vec<usize>> = table.primary_key.iter().map(place).collect();
        let cursor = table.cursor_field.as_ref().and_then(place);
        pairing.key = key.unwrap_or_default();
        pairing.cursor = cursor;
        pairing
    }

    /// Whether both tables have the same columns, but for those left out on purpose.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.only_ours.is_empty() && self.only_theirs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loaders_add_is_told_from_what_the_source_has() {
        for name in ["_ol_position", "_airbyte_raw_id", "_airbyte_data", "_dlt_id", "_ab_cdc_lsn"] {
            assert!(is_metadata(name), "{name}");
        }
        for name in ["id", "_id", "_state", "airbyte_raw_id", "ab_cdc_lsn"] {
            assert!(!is_metadata(name), "{name}");
        }
    }
}
