//! One table before a session: what the catalog, the inventory and the lake say of it.

use ol_lake::{LakeTable, TableName};

use super::plan::CapturePlan;
use super::prepare::{Preparation, read};
use super::shape;
use super::state;
use crate::error::Result;
use crate::inventory::Table;
use crate::run::change::Shape;
use crate::source::postgres::catalog::{Catalog, Relation};
use crate::source::postgres::replication::publication::{PublicationFacts, Wanted};
use crate::source::postgres::replication::slot::Control;

/// A table on its way to a decision.
pub(super) struct Candidate {
    pub(super) index: usize,
    pub(super) plan: CapturePlan,
    pub(super) wanted: Wanted,
    pub(super) table: Option<LakeTable>,
}

impl Candidate {
    /// Whether its lake table holds what a copy of the source cannot bring back.
    pub(super) fn keeps_history(&self) -> bool {
        let is_held = self.table.as_ref().is_some_and(|table| {
            table.state().get(ol_lake::POSITION_KEY).is_some_and(|position| !position.is_empty())
        });
        is_held && self.plan.shape != Shape::Merge { soft: false }
    }
}

impl Preparation<'_> {
    /// Looks at one table.
    ///
    /// # Errors
    /// The table cannot be followed; or the source's or the lake's.
    pub(super) async fn candidate(
        &self,
        control: &mut Control,
        index: usize,
        table: &Table,
        catalog: &Catalog,
    ) -> Result<Candidate> {
        let plan = CapturePlan::of_catalog(self.unit, table, catalog)?;
        for (column, reason) in &plan.left_out {
            tracing::warn!(table = %table.raw_table, column, reason, "a column is not followed");
        }
        let wanted = plan.wanted(table);
        control.check_tables(std::slice::from_ref(&wanted)).await.map_err(read)?;
        let name = TableName::new(self.namespace.clone(), &table.raw_table);
        let lake_table = self.lake.load(&name).await?;
        let lake_table = match lake_table {
            Some(found) if is_outdated(&found, &plan, table, catalog) => {
                tracing::warn!(table = %table.raw_table, "its columns changed what old rows show: it is copied again");
                Some(super::forget(self.lake, &found).await?)
            }
            found => found,
        };
        Ok(Candidate { index, plan, wanted, table: lake_table })
    }
}

/// The entry of a relation in the publication, as it is remembered.
pub(super) fn entry_of(publication: Option<&PublicationFacts>, relation: &Relation) -> String {
    let mut tables = publication.iter().flat_map(|facts| &facts.tables);
    let found = tables.find(|it| it.namespace == relation.namespace && it.name == relation.name);
    state::entry_text(found.and_then(|it| it.entry))
}

/// Whether the catalog has columns by which old rows show something else than in the lake: nobody would send these.
fn is_outdated(table: &LakeTable, plan: &CapturePlan, declared: &Table, catalog: &Catalog) -> bool {
    let Some(remembered) = shape::recall(table.properties()) else { return false };
    let remembered = shape::under_new_names(remembered, declared, catalog);
    let is_followed = table.state().get(ol_lake::POSITION_KEY).is_some_and(|it| !it.is_empty());
    let relation = &plan.relation;
    let name = (relation.namespace.as_str(), relation.name.as_str());
    let now = shape::columns_of(relation, &declared.excluded_columns);
    plan.shape == Shape::Merge { soft: false }
        && is_followed
        && shape::judge(&remembered, &now, catalog, name) != shape::Verdict::Follow
}
