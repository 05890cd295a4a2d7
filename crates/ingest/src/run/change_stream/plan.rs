//! How a collection is followed: which of its fields, into what kind of lake table. Documents are found by `_id`, because that
//! is all that an event says of one that is gone.
//!
//! **Columns are those of the copy.** A field that a later sample shows may be in documents whose rows are in the lake already,
//! without a column for it; a new column would be NULL in them, and say that they lack it (invariant I4). So it stays in the
//! document's text, unless the lake has no row yet. What the inventory declares becomes a column: the collection is copied
//! again for it.

use ol_lake::LakeTable;
use ol_lake::schema::LakeSchema;

use super::state::Place;
use crate::column::metadata;
use crate::error::{Definite, Error, Result};
use crate::inventory::{Table, Unit};
use crate::load::{chunks, contract_digest};
use crate::run::change::{Shape, log, place};
use crate::source::mongodb::catalog::Catalog;
use crate::source::mongodb::plan::{self, CollectionPlan};
use crate::source::mongodb::types::{DOCUMENT, KEY, Reading};

/// How one collection is followed.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturePlan {
    /// How its documents are read.
    pub read: CollectionPlan,
    /// What the lake table looks like.
    pub shape: Shape,
    /// Whether the rows in the lake lack a column that the inventory asks for.
    pub is_outdated: bool,
}

impl CapturePlan {
    /// The plan of a table. `in_lake` is the table in the lake, if there is one: its columns stay what they are.
    ///
    /// # Errors
    /// The failure that refuses or blocks the table.
    pub fn new(
        unit: &Unit,
        table: &Table,
        catalog: &Catalog,
        in_lake: Option<&LakeTable>,
    ) -> Result<Self> {
        let planned = Shape::of(table).and_then(|shape| {
            let refused = |reason: &str| {
                Err(Error::new(Definite::InventoryInvalid)
                    .with("column", KEY)
                    .with("reason", reason.to_owned()))
            };
            if plan::database(table, &catalog.database) != catalog.database {
                return refused(
                    "a change stream is of one database: that of the source's URL, and so without a namespace",
                );
            }
            if table.excluded_columns.iter().any(|name| name == KEY) {
                return refused("changes are told by _id, which excluded_columns leaves out");
            }
            let is_key = table.primary_key.is_empty() || table.primary_key == [KEY];
            if !is_key && shape != Shape::Log {
                return refused("changes are merged by _id, and primary_key names something else");
            }
            let mut read = plan::read(unit, table, catalog, in_lake)?;
            let is_outdated =
                in_lake.is_some_and(|lake| fix_columns(&mut read, table, lake)) && shape != Shape::Log;
            Ok(Self { read, shape, is_outdated })
        });
        planned.map_err(|error| {
            error.with("table", plan::display(table, &catalog.database)).with("unit", &unit.id)
        })
    }

    /// The columns that documents are found by.
    #[must_use]
    pub fn key() -> Vec<String> {
        vec![KEY.to_owned()]
    }

    /// Gives masked columns their salt, if there are any.
    ///
    /// # Errors
    /// There is no salt.
    pub async fn salted(self) -> Result<Self> {
        Ok(Self { read: self.read.salted().await?, ..self })
    }
}

impl log::Plan for CapturePlan {
    fn display(&self) -> String {
        self.read.collection.display()
    }

    fn comment(&self) -> Option<String> {
        None
    }

    fn row_estimate(&self) -> Option<f64> {
        self.read.collection.row_estimate.map(|rows| rows as f64)
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn key(&self) -> Vec<String> {
        Self::key()
    }

    fn lake_schema(&self) -> LakeSchema {
        self.read.lake_schema(match self.shape {
            Shape::Log => metadata::log(),
            Shape::Merge { soft } => metadata::merge(soft),
        })
    }

    fn contract(&self) -> String {
        contract_digest(self.read.readings.iter().map(|it| (it.name.as_str(), &it.contract)))
    }
}

/// Takes the columns from the plan that the rows of a followed table do not have, but for those that the inventory declares;
/// whether there are such.
fn fix_columns(read: &mut CollectionPlan, table: &Table, in_lake: &LakeTable) -> bool {
    let has_rows = in_lake.current_snapshot().is_some_and(|snapshot| snapshot.records > 0);
    let is_followed = place::own::<Place>(in_lake).is_some();
    // The chunks of a copy have the columns of the first.
    if !(is_followed && has_rows) && (is_followed || chunks::gathered(in_lake).is_empty()) {
        return false;
    }
    let is_there = |name: &str| in_lake.schema().column(name).is_some();
    let is_new = |it: &Reading| !is_there(&it.name) && !it.was.as_deref().is_some_and(is_there);
    let is_asked = |name: &str| name == DOCUMENT || table.overrides.columns.contains_key(name);
    let (mut is_outdated, mut later) = (false, Vec::new());
    read.readings.retain(|reading| {
        if !is_new(reading) || is_asked(&reading.name) {
            is_outdated |= is_new(reading);
            return true;
        }
        later.push(reading.name.clone());
        false
    });
    let reason =
        "it came after the copy: declare its type under overrides, columns, or reset the table";
    read.left_out.extend(later.into_iter().map(|name| (name, reason.to_owned())));
    is_outdated
}
