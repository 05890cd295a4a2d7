//! Before a session: what the lake says of the tables of a unit, and what is written down of those that cannot be followed.

use std::sync::Arc;

use ol_lake::{Lake, LakeTable, TableName};

use super::Writing;
use super::followed::Followed;
use super::log::{Log, Plan as _};
use super::partial::Partial;
use super::place::{self, Place as _, Record};
use super::state::{Stamp, forget};
use crate::error::{Error, Result};
use crate::inventory::{Table, Unit};
use crate::position::Position;

/// What a session and its copies begin with.
pub struct Prepared<L: Log> {
    /// What was found out.
    pub found: L::Found,
    /// The tables that are followed.
    pub followed: Vec<Followed<L>>,
    /// The tables to copy.
    pub copies: Vec<Copy<L>>,
    /// Tables that cannot be followed, and why.
    pub failures: Vec<(usize, Error)>,
}

impl<L: Log> Prepared<L> {
    /// Nothing yet.
    #[must_use]
    pub fn new(found: L::Found) -> Self {
        Self { found, followed: Vec::new(), copies: Vec::new(), failures: Vec::new() }
    }

    /// Where the stream begins: at the least place of the tables'.
    #[must_use]
    pub fn begins(&self) -> Option<L::Place> {
        let places = self.followed.iter().map(|followed| &followed.begins);
        places.min_by_key(|place| place.position()).cloned()
    }
}

/// A copy that is not complete.
pub type PartialOf<L> = Partial<<L as Log>::Terms>;

/// A table to copy.
pub struct Copy<L: Log> {
    /// Its index in the unit.
    pub index: usize,
    /// Its plan.
    pub plan: L::Plan,
    /// What its commit carries.
    pub stamp: Stamp,
    /// Its table, if there is one.
    pub table: Option<LakeTable>,
    /// A copy of it that is not complete, and where its first chunk was read.
    pub partial: Option<(PartialOf<L>, L::Place)>,
}

/// What is prepared, of which unit, for whom.
pub struct Preparation<'a, L: Log> {
    /// The lake.
    pub lake: &'a Arc<Lake>,
    /// The namespace of raw tables.
    pub namespace: String,
    /// The unit.
    pub unit: &'a Arc<Unit>,
    /// The tables of it that are to be followed.
    pub tables: &'a [usize],
    /// The run.
    pub run_id: &'a str,
    /// For the writers.
    pub writing: Writing,
    /// The source's log.
    pub log: &'a L,
}

/// A table of the unit, by its index, as the lake has it.
pub type Declared<'a> = (usize, &'a Table, Option<LakeTable>);

impl<'a, L: Log> Preparation<'a, L> {
    /// The tables as the lake has them, and what they recorded for the unit: that counts, whatever became of the table.
    ///
    /// # Errors
    /// The lake's.
    pub async fn look(&self) -> Result<(Vec<Declared<'a>>, Vec<Record<L::Place>>)> {
        let (mut declared, mut records) = (Vec::new(), Vec::new());
        for index in self.tables {
            let Some(table) = self.unit.tables.get(*index) else { continue };
            let name = TableName::new(self.namespace.clone(), &table.raw_table);
            let in_lake = self.lake.load(&name).await?;
            records.extend(in_lake.iter().flat_map(Record::of));
            declared.push((*index, table, in_lake));
        }
        Ok((declared, records))
    }

    /// What the commits of a table carry.
    #[must_use]
    pub fn stamp(&self, table: &Table) -> Stamp {
        Stamp { run_id: self.run_id.to_owned(), mode: table.sync_mode.word() }
    }

    /// Writes down that a table that was followed is not any more.
    ///
    /// # Errors
    /// The lake's.
    pub async fn note(
        &self,
        in_lake: Option<&LakeTable>,
        records: &[Record<L::Place>],
        table: &Table,
        error: &Error,
    ) -> Result<()> {
        let found = in_lake.and_then(|found| Some((found, place::own::<L::Place>(found)?)));
        let Some((found, own)) = found else { return Ok(()) };
        let since = place::begins(&table.raw_table, &own, records);
        let properties = place::left(&table.raw_table, since, &ol_chassis::error::chain(error));
        self.lake.set_properties(found, &properties).await?;
        Ok(())
    }

    /// Forgets where a table is, so that it is copied again for a reason.
    ///
    /// # Errors
    /// The lake's.
    pub async fn copy_again(&self, table: &LakeTable, reason: &str) -> Result<LakeTable> {
        tracing::warn!(table = %table.name().name, reason, "a table is copied again");
        Ok(forget(self.lake, table).await?)
    }

    /// The copy of a table that is not complete, and where its first chunk was read; `None` for one that follows the log.
    #[must_use]
    pub fn partial(&self, in_lake: Option<&LakeTable>) -> Option<(PartialOf<L>, L::Place)> {
        let in_lake = in_lake.filter(|found| place::own::<L::Place>(found).is_none())?;
        let partial = Partial::of(in_lake)?;
        let since = L::since(&partial)?;
        Some((partial, since))
    }

    /// Gives a table that is followed the columns that it needs.
    ///
    /// # Errors
    /// The lake's.
    pub async fn columns(&self, plan: &L::Plan, table: &LakeTable) -> Result<LakeTable> {
        let change = self.lake.evolve(table, &plan.lake_schema_of(table)).await?;
        let table = match change.is_empty() {
            true => table.clone(),
            false => self.lake.commit_schema(table, &change).await?,
        };
        crate::failpoints::hit(crate::failpoints::SCHEMA_CHANGED);
        Ok(table)
    }

    /// A table that is followed from a place on; `own` is that of its last snapshot.
    #[must_use]
    pub fn followed(
        &self,
        (index, writer): (usize, L::Writer),
        own: Position,
        (begins, has): (L::Place, L::Has),
    ) -> Option<Followed<L>> {
        let table = self.unit.tables.get(index)?;
        let (raw_table, stamp) = (table.raw_table.clone(), self.stamp(table));
        Some(Followed { index, raw_table, writer, stamp, position: own, begins, has })
    }
}
