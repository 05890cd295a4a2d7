//! Changes of a table's metadata alone: no rows are added, and none go.

use std::collections::BTreeMap;

use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use super::produce::{self, Staged};
use super::{Commit, Committed, FIRST_PAUSE, LONGEST_PAUSE, Operation, Outcome, TRIES, jittered};
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::live;
use crate::schema::evolve::SchemaChange;
use crate::table::LakeTable;

impl Lake {
    /// Commits a change of schema alone, without a snapshot. An empty change returns the table as it is.
    pub async fn commit_schema(
        &self,
        table: &LakeTable,
        change: &SchemaChange,
    ) -> Result<LakeTable> {
        if change.is_empty() {
            return Ok(table.clone());
        }
        let staged = Staged {
            updates: change.updates(),
            requirements: change.requirements(),
            written: Vec::new(),
        };
        match Box::pin(self.publish(table.inner(), staged)).await? {
            Outcome::Done(changed) => self.wrap(changed, table.name()),
            Outcome::Unknown(error) => Err(error.with("table", table.name())),
            Outcome::Lost => Err(Error::new(ErrorKind::CommitConflict).with("table", table.name())),
        }
    }

    /// Sets table properties alone, without a snapshot. What they say is about the table as it is found at that
    /// moment, whoever else commits.
    pub async fn set_properties(
        &self,
        table: &LakeTable,
        properties: &BTreeMap<String, String>,
    ) -> Result<LakeTable> {
        // Setting a property twice is setting it once, so a lost answer needs no look.
        let set = |base: &Table| {
            let updates = properties.iter().map(|(key, value)| (key.clone(), value.clone()));
            Ok(Some(Staged {
                updates: vec![TableUpdate::SetProperties { updates: updates.collect() }],
                requirements: vec![TableRequirement::UuidMatch { uuid: base.metadata().uuid() }],
                written: Vec::new(),
            }))
        };
        Box::pin(self.change_metadata(table, set))
            .await
            .map_err(|error| error.with("table", table.name()))
    }

    /// Writes the small manifests of the table anew as few, when there are at least `least` of them: every reader opens
    /// all manifests. Rows, files and state stay what they are. Returns `None` when there are fewer.
    ///
    /// # Errors
    /// Those of [`Lake::commit`].
    pub async fn gather_manifests(
        &self,
        table: &LakeTable,
        least: usize,
    ) -> Result<Option<Committed>> {
        let head = table.inner().metadata().current_snapshot_id();
        let manifests = live::manifests(table.inner(), head).await?;
        if manifests.iter().filter(|manifest| produce::is_small(manifest)).count() < least.max(2) {
            return Ok(None);
        }
        self.commit(table, Commit::new(Operation::Gather, Vec::new())).await.map(Some)
    }

    /// Makes a change of metadata alone, such as of references, on whatever is there. `None` says that nothing is left to do.
    pub(crate) async fn change_metadata(
        &self,
        table: &LakeTable,
        mut change: impl FnMut(&Table) -> Result<Option<Staged>> + Send,
    ) -> Result<LakeTable> {
        let mut base = table.inner().clone();
        let mut pause = FIRST_PAUSE;
        let mut unknown = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.clock().sleep(jittered(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                base = match self.load_inner(table.name()).await {
                    Ok(Some(loaded)) => loaded,
                    Ok(None) => return Err(Error::new(ErrorKind::NotFound)),
                    Err(error) if unknown.is_some() && error.is_transient() => continue,
                    Err(error) => return Err(error),
                };
            }
            let Some(staged) = change(&base)? else { return self.wrap(base, table.name()) };
            match self.publish(&base, staged).await {
                Ok(Outcome::Done(changed)) => return self.wrap(changed, table.name()),
                Ok(Outcome::Lost) => {
                    tracing::info!(table = %table.name(), attempt, "another commit came first");
                }
                Ok(Outcome::Unknown(error)) => unknown = Some(error),
                Err(error) if unknown.is_some() && error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
        Err(match unknown {
            Some(error) => error,
            None => Error::new(ErrorKind::CommitConflict).with("tries", TRIES),
        })
    }
}
