//! Before a session: what the sample and the lake say, and what follows from it.

use ol_lake::LakeTable;

use super::ReplicaSet;
use super::plan::CapturePlan;
use super::state::{Place, Record};
use super::writer::TableWriter;
use crate::error::{Definite, Error, Result};
use crate::inventory::Table;
use crate::position::ClusterTime;
use crate::run::change::{place, prepare};
use crate::source::mongodb::catalog::Catalog;
use crate::source::mongodb::session::Session;

/// What is found out before a session.
pub struct Found {
    /// The replica set.
    pub source: String,
    /// The time that the cluster had come to.
    pub now: ClusterTime,
    /// A connection, until copies take it.
    pub session: Option<Session>,
}

/// What a session and its copies begin with.
pub type Prepared = prepare::Prepared<ReplicaSet>;
/// A table to copy.
pub type Copy = prepare::Copy<ReplicaSet>;
/// What is prepared, of which unit, for whom.
pub type Preparation<'a> = prepare::Preparation<'a, ReplicaSet>;

impl Preparation<'_> {
    /// Looks at every table, decides, and gives those that are followed the columns that they need.
    ///
    /// # Errors
    /// Whatever concerns the unit as a whole.
    pub async fn prepare(&self, found: Found, catalog: &Catalog) -> Result<Prepared> {
        let mut prepared = Prepared::new(found);
        let (declared, records) = self.look().await?;
        for (index, table, in_lake) in declared {
            let declared = (index, table, in_lake.clone());
            let Err(error) = self.decide(declared, catalog, &records, &mut prepared).await else {
                continue;
            };
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
        (index, table, in_lake): (usize, &Table, Option<LakeTable>),
        catalog: &Catalog,
        records: &[Record],
        prepared: &mut Prepared,
    ) -> Result<()> {
        let plan = CapturePlan::new(self.unit, table, catalog, in_lake.as_ref())?.salted().await?;
        for (field, reason) in &plan.read.left_out {
            tracing::info!(table = %table.raw_table, field, reason, "a field has no column");
        }
        let in_lake = match in_lake {
            Some(in_lake) if plan.is_outdated && place::own::<Place>(&in_lake).is_some() => {
                let reason = "the inventory asks for a column that its rows do not have";
                Some(self.copy_again(&in_lake, reason).await?)
            }
            in_lake => in_lake,
        };
        let own = in_lake.as_ref().and_then(place::own::<Place>);
        let (Some(own), Some(lake_table)) = (own, &in_lake) else {
            let partial = self.partial(in_lake.as_ref());
            // Chunks of another log are of no use.
            let partial = partial.filter(|(_, since)| since.source == prepared.found.source);
            let stamp = self.stamp(table);
            prepared.copies.push(Copy { index, plan, stamp, table: in_lake, partial });
            return Ok(());
        };
        let begins = place::begins(&table.raw_table, &own, records);
        if begins.source != prepared.found.source {
            return Err(Error::new(Definite::TimelineChanged)
                .with("recorded", &begins.source)
                .with("found", &prepared.found.source)
                .with("table", plan.read.collection.display()));
        }
        let lake_table = self.columns(&plan, lake_table).await?;
        let has = begins.position;
        let writer = TableWriter::new(plan, lake_table, self.writing.clone());
        prepared.followed.extend(self.followed((index, writer), own.position, (begins, has)));
        Ok(())
    }
}
