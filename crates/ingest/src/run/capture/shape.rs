//! The form of a table as the stream announces it, compared with the form its rows in the lake were made from.
//!
//! The log tells what becomes of rows, not what becomes of columns: ADD COLUMN with a default, RENAME and ALTER TYPE change
//! what every old row shows without a change of any row. So a new form is followed only where the old rows show
//! the same as before: columns that went, columns that came and are NULL in every old row, types that got wider in
//! place. Anything else is a table whose old rows must be read again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::inventory::Table;
use crate::source::postgres::catalog::{Catalog, Relation};
use crate::source::postgres::replication::message::RelationMessage;

/// Property: the columns of the stream that the rows were last made from.
const COLUMNS: &str = "ol.streamed-columns";

/// A column as the stream has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: u32,
    /// The type's modifier.
    pub modifier: i32,
}

/// What a new form means for the old rows.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They show what they showed.
    Follow,
    /// They may show something else.
    Copy(&'static str),
}

/// The columns that the stream announces.
#[must_use]
pub fn columns(message: &RelationMessage) -> Vec<StreamColumn> {
    let columns = message.columns.iter().map(|column| StreamColumn {
        name: column.name.clone(),
        type_oid: column.type_oid,
        modifier: column.modifier,
    });
    columns.collect()
}

/// The columns that the stream would announce of a relation, without those it does not send.
#[must_use]
pub fn columns_of(relation: &Relation, excluded: &[String]) -> Vec<StreamColumn> {
    let sent = relation.columns.iter().filter(|column| !column.generated);
    let sent = sent.filter(|column| !excluded.contains(&column.name));
    let columns = sent.map(|column| StreamColumn {
        name: column.name.clone(),
        type_oid: column.type_oid,
        modifier: column.modifier,
    });
    columns.collect()
}

/// A form under the declared new names that the catalog has by now: a change of name that was announced changes no row.
#[must_use]
pub fn under_new_names(
    mut columns: Vec<StreamColumn>,
    table: &Table,
    catalog: &Catalog,
) -> Vec<StreamColumn> {
    for column in &mut columns {
        if let Some(new) = new_name(&column.name, table, catalog) {
            new.clone_into(&mut column.name);
        }
    }
    columns
}

/// The same for what the stream announces, which may be of before the change.
#[must_use]
pub fn announced_anew(
    message: &RelationMessage,
    table: &Table,
    catalog: &Catalog,
) -> RelationMessage {
    let mut message = message.clone();
    for column in &mut message.columns {
        if let Some(new) = new_name(&column.name, table, catalog) {
            new.clone_into(&mut column.name);
        }
    }
    message
}

/// The declared new name of a column, once the catalog has it and no longer the old one.
fn new_name<'a>(old: &str, table: &'a Table, catalog: &Catalog) -> Option<&'a str> {
    let mut declared = table.overrides.renamed_columns.iter();
    let (new, _) = declared.find(|(_, was)| *was == old)?;
    let mut relations = catalog.relations.iter();
    let relation = relations.find(|it| it.namespace == table.namespace && it.name == table.name)?;
    let has = |name: &str| relation.columns.iter().any(|column| column.name == name);
    (has(new) && !has(old)).then_some(new)
}

/// The property that remembers columns.
#[must_use]
pub fn remembered(columns: &[StreamColumn]) -> BTreeMap<String, String> {
    let text = serde_json::to_string(columns).expect("names and numbers are JSON");
    BTreeMap::from([(COLUMNS.to_owned(), text)])
}

/// The columns that a table remembers.
#[must_use]
pub fn recall(properties: &BTreeMap<String, String>) -> Option<Vec<StreamColumn>> {
    serde_json::from_str(properties.get(COLUMNS)?).ok()
}

/// What the step from one form to the next means.
#[must_use]
pub fn judge(
    before: &[StreamColumn],
    after: &[StreamColumn],
    catalog: &Catalog,
    (namespace, table): (&str, &str),
) -> Verdict {
    let named = |columns: &[StreamColumn], name: &str| {
        columns.iter().find(|column| column.name == name).cloned()
    };
    let gone = before.iter().any(|column| named(after, &column.name).is_none());
    let added = after.iter().filter(|column| named(before, &column.name).is_none());
    let added: Vec<&StreamColumn> = added.collect();
    if gone && !added.is_empty() {
        return Verdict::Copy("columns came while others went, which may be a new name");
    }
    let relation = catalog
        .relations
        .iter()
        .find(|relation| relation.namespace == namespace && relation.name == table);
    for column in added {
        let known = relation
            .and_then(|relation| relation.columns.iter().find(|known| known.name == column.name));
        // A column that is gone again may have had a default while it was there.
        if known.is_none_or(|known| known.has_default || known.identity || known.not_null) {
            return Verdict::Copy("a column came with a value for the rows that were there");
        }
    }
    for column in after {
        let Some(old) = named(before, &column.name) else { continue };
        if old != *column && !is_same_value(&old, column, catalog) {
            return Verdict::Copy("a column changed its type, and so its values");
        }
    }
    Verdict::Follow
}

/// Whether every value of the old type is the same text in the new one, without a rewrite that may have said otherwise:
/// another length of text, and more digits of a number with the same scale.
fn is_same_value(old: &StreamColumn, new: &StreamColumn, catalog: &Catalog) -> bool {
    let name = |column: &StreamColumn| catalog.types.name(column.type_oid);
    let is_text = |name: &str| matches!(name, "varchar" | "text");
    let (before, after) = (name(old), name(new));
    if is_text(&before) && is_text(&after) {
        return new.modifier == -1 || (old.modifier != -1 && new.modifier >= old.modifier);
    }
    let digits = |modifier: i32| ((modifier - 4) >> 16, (modifier - 4) & 0x7ff);
    if before == "numeric" && after == "numeric" && old.modifier >= 4 && new.modifier >= 4 {
        let ((old_digits, old_scale), (new_digits, new_scale)) =
            (digits(old.modifier), digits(new.modifier));
        return old_scale == new_scale && new_digits >= old_digits;
    }
    false
}
