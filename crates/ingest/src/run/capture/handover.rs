//! Beginning where another loader stopped, without copying a row.
//!
//! A loader that follows changes has told its slot up to where its rows are durable. Our slot is made as a copy of that one
//! (`pg_copy_logical_replication_slot`, PostgreSQL documentation, "Replication Management Functions"), so that it begins
//! at the very same place, and each table of the unit that is in the lake is marked as holding everything before it. What the
//! other loader had written beyond that place is sent again: a merged table takes it twice without harm, a log has
//! it twice.
//!
//! The server decodes changes with the catalogs of their time, the publication included, so the publication must be
//! older than the place of the slot. `xmin` says so: rows of a catalog that are older than the slot's `catalog_xmin` are
//! seen by everything that is decoded from it.
//!
//! It may be done again after a crash: what is followed already stays as it is, and our slot must be where theirs is.

use ol_lake::{Commit, Lake, LakeTable, Operation};

use super::candidate::{Candidate, entry_of};
use super::plan::CapturePlan;
use super::prepare::{Preparation, read};
use super::shape;
use super::state::{self, Stamp};
use crate::error::{Definite, Error, Result};
use crate::position::Position;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::replication::error::SlotError;
use crate::source::postgres::replication::publication::{PublicationFacts, Wanted, default_name};
use crate::source::postgres::replication::slot::Control;
use crate::source::postgres::replication::stream::SystemIdentity;
use crate::sync::Incarnation;

impl Preparation<'_> {
    /// Goes on where another loader stopped, with all tables that are in the lake and not followed yet.
    pub(super) async fn take_over(
        &self,
        control: &mut Control,
        theirs: &str,
        identity: &SystemIdentity,
        publication: Option<&PublicationFacts>,
        candidates: &mut [Candidate],
    ) -> Result<()> {
        let name = default_name(&self.unit.id);
        let is_new = |it: &Candidate| {
            let table = it.table.as_ref();
            table.is_some_and(|table| {
                let position = table.state().get(ol_lake::POSITION_KEY).cloned();
                table.current_snapshot().is_some()
                    && table
                        .state()
                        .get(state::SLOT)
                        .is_none_or(|_| position.is_none_or(|it| it.is_empty()))
            })
        };
        if !candidates.iter().any(is_new) {
            return Ok(());
        }
        let wanted: Vec<Wanted> = candidates.iter().map(|it| it.wanted.clone()).collect();
        let began = copy_slot(control, theirs, &name, &identity.database, publication, &wanted);
        let began = began.await.map_err(|error| read(error).with("unit", &self.unit.id))?;
        for it in candidates.iter_mut().filter(|it| is_new(it)) {
            let Some(table) = it.table.take() else { continue };
            let excluded = self.unit.tables.get(it.index).map(|it| it.excluded_columns.clone());
            let incarnation = Incarnation { slot: name.clone(), began };
            let entry = entry_of(publication, &it.plan.relation);
            let stamp = self.stamp(it.index, incarnation, identity.source(), entry);
            let excluded = excluded.unwrap_or_default();
            let claimed = claim(self.lake, &table, &it.plan, &stamp, &excluded).await;
            it.table =
                Some(claimed.map_err(|error| error.with("table", it.plan.relation.display()))?);
        }
        Ok(())
    }
}

/// Makes our slot begin where another is, and returns the place.
///
/// # Errors
/// One of the two slots, or the publication, does not allow it; or the server's.
async fn copy_slot(
    control: &mut Control,
    theirs: &str,
    ours: &str,
    database: &str,
    publication: Option<&PublicationFacts>,
    wanted: &[Wanted],
) -> Result<u64, SourceError> {
    let missing = || SlotError::Missing { slot: theirs.to_owned() };
    let facts = control.slot(theirs).await?.ok_or_else(missing)?;
    facts.check(database)?;
    let incomplete = |reason: &str| SlotError::Publication {
        publication: ours.to_owned(),
        reason: reason.to_owned(),
        statement: format!("{}; then let the other loader sync once more", made(ours, wanted)),
    };
    let publication =
        publication.ok_or_else(|| incomplete("it must exist before the hand-over"))?;
    publication.check(wanted, control.version)?;
    if !control.is_published_before(ours, theirs).await? {
        return Err(incomplete("it is younger than what the slot has to send").into());
    }
    let place = facts.confirmed_flush_lsn.unwrap_or_default();
    match control.slot(ours).await? {
        None => control.copy_slot(theirs, ours).await,
        Some(known) if known.confirmed_flush_lsn == Some(place) => Ok(place),
        Some(known) => Err(SlotError::Moved {
            slot: ours.to_owned(),
            confirmed: known.confirmed_flush_lsn.unwrap_or_default(),
            recorded: place,
        }
        .into()),
    }
}

/// The statement that makes the publication.
fn made(name: &str, wanted: &[Wanted]) -> String {
    use crate::source::postgres::types::quote;
    let table = |it: &Wanted| format!("{}.{}", quote(&it.namespace), quote(&it.name));
    let tables: Vec<String> = wanted.iter().map(table).collect();
    let tables = tables.join(", ");
    format!(
        "CREATE PUBLICATION {} FOR TABLE {tables} WITH (publish_via_partition_root = true)",
        quote(name)
    )
}

/// Marks a table as holding everything before the place of the slot.
///
/// # Errors
/// The lake's: it cannot take the columns, or it has moved on.
async fn claim(
    lake: &Lake,
    table: &LakeTable,
    plan: &CapturePlan,
    stamp: &Stamp,
    excluded: &[String],
) -> Result<LakeTable> {
    let present = |name: &&String| table.schema().column(name).is_some();
    if let Some(missing) = plan.key.iter().find(|name| !present(name)) {
        return Err(Error::new(Definite::SchemaConflict)
            .with("table", table.name())
            .with("column", missing)
            .with("reason", "the table that is to be taken over lacks a column of the key"));
    }
    let change = lake.evolve(table, &plan.lake_schema_of(table)).await?;
    let mut commit = Commit::new(Operation::Append, Vec::new());
    commit.state = stamp.state(None, Position::Lsn(stamp.incarnation.began));
    commit.expected =
        Some((ol_lake::POSITION_KEY.to_owned(), table.state().get(ol_lake::POSITION_KEY).cloned()));
    commit.schema_change = Some(change);
    commit.table_properties = shape::remembered(&shape::columns_of(&plan.relation, excluded));
    commit.table_properties.extend(crate::run::change::state::no_gap());
    commit.table_properties.extend(crate::run::change::partial::forgotten());
    let committed = lake.commit(table, commit).await?;
    tracing::info!(table = %table.name(), "the table goes on where another loader stopped");
    Ok(committed.table)
}
