//! Before a session: what the catalog and the lake say, and what follows from it.

use std::sync::Arc;

use ol_lake::{Lake, LakeTable, TableName};

use super::followed::Followed;
use super::plan::CapturePlan;
use super::state::{self, Place, Record};
use super::writer::TableWriter;
use crate::error::{Definite, Error, Result};
use crate::inventory::{Table, Unit};
use crate::run::change::Writing;
use crate::run::change::state::{Stamp, forget};
use crate::source::mongodb::catalog::Catalog;

/// What a session and its copies begin with.
#[derive(Default)]
pub struct Prepared {
    /// The tables that are followed.
    pub followed: Vec<Followed>,
    /// The tables to copy.
    pub copies: Vec<Copy>,
    /// Tables that cannot be followed, and why.
    pub failures: Vec<(usize, Error)>,
}

impl Prepared {
    /// Where the stream begins: at the least place of the tables'.
    #[must_use]
    pub fn from(&self) -> Option<Place> {
        let places = self.followed.iter().map(|followed| &followed.begins);
        places.min_by_key(|place| place.position).cloned()
    }
}

/// A table to copy.
pub struct Copy {
    /// Its index in the unit.
    pub index: usize,
    /// Its plan.
    pub plan: CapturePlan,
    /// What its commit carries.
    pub stamp: Stamp,
    /// Its table, if there is one.
    pub table: Option<LakeTable>,
}

/// What is prepared, of which unit, for whom.
pub struct Preparation<'a> {
    /// The lake.
    pub lake: &'a Arc<Lake>,
    /// The namespace of raw tables.
    pub namespace: String,
    /// The unit.
    pub unit: &'a Arc<Unit>,
    /// The tables of it that are to be followed.
    pub tables: &'a [usize],
    /// The collections.
    pub catalog: &'a Catalog,
    /// The replica set.
    pub source: &'a str,
    /// The run.
    pub run_id: &'a str,
    /// For the writers.
    pub writing: Writing,
}

impl Preparation<'_> {
    /// Looks at every table, decides, and gives those that are followed the columns that they need.
    ///
    /// # Errors
    /// Whatever concerns the unit as a whole.
    pub async fn prepare(&self) -> Result<Prepared> {
        let (mut found, mut records) = (Vec::new(), Vec::new());
        for index in self.tables {
            let Some(table) = self.unit.tables.get(*index) else { continue };
            let name = TableName::new(self.namespace.clone(), &table.raw_table);
            let in_lake = self.lake.load(&name).await?;
            // What a table recorded for the unit counts, whatever became of the table.
            records.extend(in_lake.iter().flat_map(Record::of));
            found.push((*index, table, in_lake));
        }
        let mut prepared = Prepared::default();
        for (index, table, in_lake) in found {
            let decided = self.decide(index, table, in_lake.clone(), &records, &mut prepared).await;
            let Err(error) = decided else { continue };
            if error.is_transient() {
                return Err(error);
            }
            self.note(in_lake.as_ref(), &records, table, &error).await?;
            prepared.failures.push((index, error));
        }
        Ok(prepared)
    }

    /// Whether a table is copied or followed, and from where.
    async fn decide(
        &self,
        index: usize,
        table: &Table,
        in_lake: Option<LakeTable>,
        records: &[Record],
        prepared: &mut Prepared,
    ) -> Result<()> {
        let plan = CapturePlan::new(self.unit, table, self.catalog, in_lake.as_ref())?;
        let plan = plan.salted().await?;
        for (field, reason) in &plan.read.left_out {
            tracing::info!(table = %table.raw_table, field, reason, "a field has no column");
        }
        let stamp = Stamp { run_id: self.run_id.to_owned(), mode: table.sync_mode.word() };
        let in_lake = match in_lake {
            Some(in_lake) if plan.is_outdated => {
                let reason = "the inventory asks for a column that its rows do not have";
                tracing::warn!(table = %table.raw_table, reason, "a table is copied again");
                Some(forget(self.lake, &in_lake).await?)
            }
            in_lake => in_lake,
        };
        let own = in_lake.as_ref().and_then(state::own);
        let (Some(own), Some(lake_table)) = (own, in_lake.clone()) else {
            prepared.copies.push(Copy { index, plan, stamp, table: in_lake });
            return Ok(());
        };
        let begins = state::begins(&table.raw_table, &own, records);
        if begins.source != self.source {
            return Err(Error::new(Definite::TimelineChanged)
                .with("recorded", &begins.source)
                .with("found", self.source)
                .with("table", plan.read.collection.display()));
        }
        let change = self.lake.evolve(&lake_table, &plan.lake_schema_of(&lake_table)).await?;
        let lake_table = match change.is_empty() {
            true => lake_table,
            false => self.lake.commit_schema(&lake_table, &change).await?,
        };
        crate::failpoints::hit(crate::failpoints::SCHEMA_CHANGED);
        prepared.followed.push(Followed {
            index,
            raw_table: table.raw_table.clone(),
            writer: TableWriter::new(plan, lake_table, self.writing.clone()),
            stamp,
            position: own.position,
            begins,
        });
        Ok(())
    }

    /// Writes down that a table that was followed is not any more.
    async fn note(
        &self,
        in_lake: Option<&LakeTable>,
        records: &[Record],
        table: &Table,
        error: &Error,
    ) -> Result<()> {
        let found = in_lake.and_then(|found| Some((found, state::own(found)?)));
        let Some((found, own)) = found else { return Ok(()) };
        let since = state::begins(&table.raw_table, &own, records);
        let properties = state::left(&table.raw_table, since, &ol_chassis::error::chain(error));
        self.lake.set_properties(found, &properties).await?;
        Ok(())
    }
}
