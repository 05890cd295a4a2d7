//! How a table is followed: which of its columns, into what kind of lake table, found by which key; and what of its form is
//! remembered, to tell by which changes of it the old rows show something else.
//!
//! The log tells what becomes of rows, not what becomes of columns: ADD COLUMN with a default, RENAME and MODIFY change what
//! every old row shows without a change of any row. So a new form is followed only where the old rows show the same as
//! before: columns that went, columns that came and are NULL in every old row, types that got wider in place. Anything else
//! is a table whose old rows must be read again.

use std::collections::BTreeMap;

use ol_lake::schema::LakeSchema;
use serde::{Deserialize, Serialize};

use crate::column::metadata;
use crate::error::{Definite, Error, Result};
use crate::inventory::{MetadataColumns, Table, Unit};
use crate::load::contract_digest;
use crate::run::change::{Shape, log};
use crate::source::mysql::catalog::{Catalog, Column, Relation};
use crate::source::mysql::plan;
use crate::source::mysql::types::Reading;

/// Property: the columns that the rows of a followed table were last made from.
const COLUMNS: &str = "ol.logged-columns";

/// How one table is followed.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturePlan {
    /// The relation, as the catalog has it.
    pub relation: Relation,
    /// The columns that are followed.
    pub readings: Vec<Reading>,
    /// What the lake table looks like.
    pub shape: Shape,
    /// The metadata columns of another loader that it has beside ours.
    pub metadata_columns: MetadataColumns,
    /// The columns that identify a row; empty for a log of a table without a key.
    pub key: Vec<String>,
}

impl CapturePlan {
    /// The plan of a table as the catalog describes it.
    ///
    /// # Errors
    /// The failure that refuses or blocks the table.
    pub fn new(unit: &Unit, table: &Table, catalog: &Catalog) -> Result<Self> {
        let planned = Shape::of(table).and_then(|shape| {
            let (relation, readings) = plan::read(unit, table, catalog)?;
            let key = match table.primary_key.is_empty() {
                true => relation.primary_key.clone(),
                false => table.primary_key.clone(),
            };
            let is_read = |name: &&String| readings.iter().any(|reading| reading.name == **name);
            let unread = key.iter().find(|name| !is_read(name));
            let key = match (unread, shape) {
                (None, Shape::Merge { .. }) if key.is_empty() => {
                    return Err(Error::new(Definite::InventoryInvalid).with(
                        "reason",
                        "rows are merged by a key, and neither the inventory nor the table has one",
                    ));
                }
                (None, _) => key,
                (Some(_), Shape::Log) => Vec::new(),
                (Some(missing), Shape::Merge { .. }) => {
                    return Err(Error::new(Definite::InventoryInvalid)
                        .with("column", missing)
                        .with("reason", "the primary key names a column that is not followed"));
                }
            };
            let metadata_columns = unit.metadata_columns;
            Ok(Self { relation, readings, shape, metadata_columns, key })
        });
        let display = || plan::display(table, &catalog.database);
        planned.map_err(|error| error.with("table", display()).with("unit", &unit.id))
    }

    /// Gives masked columns their salt, if there are any.
    ///
    /// # Errors
    /// There is no salt.
    pub async fn salted(mut self) -> Result<Self> {
        plan::salt(&mut self.readings).await?;
        Ok(self)
    }

    /// The form of the table, as it is remembered.
    #[must_use]
    pub fn form(&self) -> Form {
        let is_read = |column: &&Column| self.readings.iter().any(|it| it.name == column.name);
        let columns = self.relation.columns.iter().filter(is_read).map(|column| Remembered {
            name: column.name.clone(),
            type_text: column.type_text.clone(),
            character_set: column.character_set.clone(),
            nullable: column.nullable,
        });
        Form { columns: columns.collect(), dropped: Vec::new() }
    }
}

impl log::Plan for CapturePlan {
    fn display(&self) -> String {
        self.relation.display()
    }

    fn comment(&self) -> Option<String> {
        self.relation.comment.clone()
    }

    fn row_estimate(&self) -> Option<f64> {
        self.relation.row_estimate.map(|rows| rows as f64)
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn key(&self) -> Vec<String> {
        self.key.clone()
    }

    fn lake_schema(&self) -> LakeSchema {
        let ours = match self.shape {
            Shape::Log => metadata::log(),
            Shape::Merge { soft } => metadata::merge(soft),
        };
        plan::lake_schema(&self.relation, &self.readings, ours, self.metadata_columns)
    }

    fn contract(&self) -> String {
        contract_digest(self.readings.iter().map(|it| (it.name.as_str(), &it.contract)))
    }

    fn properties(&self) -> BTreeMap<String, String> {
        self.form().remembered()
    }
}

/// The form of a table that its rows in the lake were last made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    columns: Vec<Remembered>,
    /// Columns that the log said are gone. One of these names that is there all the same is another column.
    #[serde(default)]
    dropped: Vec<String>,
}

/// A column, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    name: String,
    type_text: String,
    character_set: Option<String>,
    nullable: bool,
}

impl Form {
    /// The form that a table remembers.
    #[must_use]
    pub fn recall(properties: &BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(properties.get(COLUMNS)?).ok()
    }

    /// The property that remembers it.
    #[must_use]
    pub fn remembered(&self) -> BTreeMap<String, String> {
        let text = serde_json::to_string(self).expect("names are JSON");
        BTreeMap::from([(COLUMNS.to_owned(), text)])
    }

    /// The form after the log has said that columns went.
    #[must_use]
    pub fn without(mut self, dropped: &[String]) -> Self {
        let new = dropped.iter().filter(|name| !self.dropped.contains(name));
        let new: Vec<String> = new.cloned().collect();
        self.dropped.extend(new);
        self
    }

    /// The form of after, with what is known to be gone before it.
    #[must_use]
    pub fn followed_by(&self, after: &Self) -> Self {
        let mut dropped = self.dropped.clone();
        let is_gone = |name: &&String| !after.columns.iter().any(|column| column.name == **name);
        let gone = self.columns.iter().map(|column| &column.name).filter(is_gone);
        dropped.extend(gone.filter(|name| !self.dropped.contains(name)).cloned());
        Self { columns: after.columns.clone(), dropped }
    }

    /// Why the old rows may show something else in the form of after; `None` if they show the same.
    #[must_use]
    pub fn outdated_by(&self, after: &Self, relation: &Relation) -> Option<&'static str> {
        let find = |form: &Self, name: &str| {
            form.columns.iter().find(|column| column.name == name).cloned()
        };
        if after.columns.iter().any(|column| self.dropped.contains(&column.name)) {
            return Some("a column was dropped, and there is one of its name");
        }
        let gone = self.columns.iter().any(|column| find(after, &column.name).is_none());
        let mut added = after.columns.iter().filter(|it| find(self, &it.name).is_none()).peekable();
        if gone && added.peek().is_some() {
            return Some("columns came while others went, which may be a new name");
        }
        for column in added {
            let known = relation.columns.iter().find(|known| known.name == column.name);
            if known.is_none_or(|known| !known.is_null_when_added()) {
                return Some("a column came with a value for the rows that were there");
            }
        }
        let is_other =
            |now: &&Remembered| find(self, &now.name).is_some_and(|was| !is_same_value(&was, now));
        after.columns.iter().find(is_other).map(|_| "a column changed its type, and so its values")
    }
}

/// Whether every value of a column is the same in the other form of it: another display, a longer text, more digits before
/// the point, a wider whole number, further labels behind the old ones.
fn is_same_value(was: &Remembered, now: &Remembered) -> bool {
    if was.character_set != now.character_set || (was.nullable && !now.nullable) {
        return false;
    }
    if was.type_text == now.type_text {
        return true;
    }
    let parts = |text: &str| -> Option<(String, String, String)> {
        let (name, rest) = text.split_once('(')?;
        let (inner, behind) = rest.rsplit_once(')')?;
        Some((name.to_owned(), inner.to_owned(), behind.to_owned()))
    };
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let wide = |text: &str| {
        let name = text.split(['(', ' ']).next().unwrap_or_default();
        let width = ["tinyint", "smallint", "mediumint", "int", "bigint"]
            .iter()
            .position(|it| *it == name)?;
        Some((
            width,
            text.contains("unsigned"),
            text.contains("zerofill"),
            text.starts_with("tinyint(1)"),
        ))
    };
    if let (Some(before), Some(after)) = (wide(&was.type_text), wide(&now.type_text)) {
        return before.0 <= after.0
            && (before.1, before.2) == (after.1, after.2)
            && before.3 == after.3;
    }
    let (Some(before), Some(after)) = (parts(&was.type_text), parts(&now.type_text)) else {
        return false;
    };
    if before.0 != after.0 || before.2 != after.2 {
        return false;
    }
    match before.0.as_str() {
        "varchar" | "varbinary" => number(&before.1) <= number(&after.1),
        "enum" | "set" => after.1.starts_with(&format!("{},", before.1)),
        "decimal" => {
            let digits = |text: &str| {
                let (precision, scale) = text.split_once(',').unwrap_or((text, "0"));
                Some((number(precision)?, number(scale)?))
            };
            matches!((digits(&before.1), digits(&after.1)), (Some(was), Some(now)) if was.1 == now.1 && was.0 <= now.0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_text: &str, nullable: bool) -> Remembered {
        let (name, type_text) = (name.to_owned(), type_text.to_owned());
        Remembered { name, type_text, character_set: None, nullable }
    }

    fn form(columns: &[Remembered]) -> Form {
        Form { columns: columns.to_vec(), dropped: Vec::new() }
    }

    fn relation(columns: &[(&str, bool)]) -> Relation {
        let column = |(name, has_default): &(&str, bool)| Column {
            name: (*name).to_owned(),
            nullable: true,
            has_default: *has_default,
            ..Column::default()
        };
        Relation {
            database: "d".into(),
            name: "t".into(),
            kind: crate::source::mysql::catalog::RelationKind::Table,
            engine: None,
            row_estimate: None,
            bytes: 0,
            comment: None,
            columns: columns.iter().map(column).collect(),
            primary_key: Vec::new(),
        }
    }

    #[test]
    fn wider_types_are_the_same_values() {
        for (was, now, same) in [
            ("int(11)", "bigint(20)", true),
            ("bigint(20)", "int(11)", false),
            ("int(11)", "int(10) unsigned", false),
            ("int", "int(11)", true),
            ("tinyint(1)", "int(11)", false),
            ("varchar(10)", "varchar(200)", true),
            ("varchar(20)", "varchar(10)", false),
            ("varchar(20)", "text", false),
            ("decimal(5,2)", "decimal(9,2)", true),
            ("decimal(5,2)", "decimal(9,3)", false),
            ("enum('a','b')", "enum('a','b','c')", true),
            ("enum('a','b')", "enum('b','a')", false),
            ("datetime", "datetime(6)", false),
        ] {
            assert_eq!(
                is_same_value(&column("a", was, true), &column("a", now, true)),
                same,
                "{was} {now}"
            );
        }
        assert!(!is_same_value(&column("a", "int", true), &column("a", "int", false)));
    }

    #[test]
    fn columns_that_come_and_go_are_judged() {
        let (a, b) = (column("a", "int", true), column("b", "int", true));
        let both = relation(&[("a", false), ("b", false)]);
        let one = form(std::slice::from_ref(&a));
        assert_eq!(one.outdated_by(&form(&[a.clone(), b.clone()]), &both), None);
        let default = relation(&[("a", false), ("b", true)]);
        assert!(one.outdated_by(&form(&[a.clone(), b.clone()]), &default).is_some());
        assert!(one.outdated_by(&form(std::slice::from_ref(&b)), &both).is_some());
        let two = form(&[a.clone(), b.clone()]);
        assert_eq!(two.outdated_by(&one, &both), None);
        let later = two.followed_by(&one);
        assert!(later.outdated_by(&two, &both).is_some(), "a column that came back");
        assert!(two.clone().without(&["b".into()]).outdated_by(&two, &both).is_some());
    }
}
