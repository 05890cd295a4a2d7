//! Branches: rows that are gathered over several commits, or several runs, before anybody sees them.
//!
//! Commits with [`Commit::branch`](crate::Commit::branch) go to the branch; publishing it makes its newest snapshot
//! that of the table in one step of the catalog. Files of a branch belong to the table, so no sweep takes them.

use std::collections::{BTreeMap, HashSet};

use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use super::check_expected;
use super::produce::Staged;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::ReplaceGuard;
use crate::lake::Lake;
use crate::table::{LakeTable, SnapshotInfo, ancestors, references, state_at, state_tag};

impl Lake {
    /// Makes the newest snapshot of the branch that of the table, sets `properties`, and removes the branch.
    ///
    /// `expected` is about the state of the table before, as in [`Commit::expected`](crate::Commit::expected), and
    /// `guard` about the rows of the table before and those of the branch. What others committed to the table since the
    /// branch was made is not looked at: the branch is the whole table.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without such a branch, [`ErrorKind::StateMoved`], [`ErrorKind::ReplaceShrinks`], and
    /// those of [`Lake::commit`].
    pub async fn publish_branch(
        &self,
        table: &LakeTable,
        branch: &str,
        expected: Option<(String, Option<String>)>,
        guard: ReplaceGuard,
        properties: &BTreeMap<String, String>,
    ) -> Result<LakeTable> {
        let mut published = None;
        let publish = |base: &Table| -> Result<Option<Staged>> {
            let metadata = base.metadata();
            let Some(snapshot) = metadata.snapshot_for_ref(branch) else {
                // The answer to an earlier try may have been lost.
                if published.is_some() && published == metadata.current_snapshot_id() {
                    return Ok(None);
                }
                return Err(Error::new(ErrorKind::NotFound).with("branch", branch));
            };
            let current = metadata.current_snapshot();
            let state = state_at(metadata, metadata.current_snapshot_id());
            check_expected(&state, expected.as_ref())?;
            let before = current.map_or(0, |snapshot| SnapshotInfo::of(snapshot).records);
            guard.check(before, SnapshotInfo::of(snapshot).records)?;
            published = Some(snapshot.snapshot_id());
            let retention = SnapshotRetention::branch(None, None, None);
            let tag = SnapshotInfo::of(snapshot).has_position();
            let tag = tag.then(|| state_tag(snapshot.snapshot_id()));
            let updates = properties.clone().into_iter().collect();
            Ok(Some(Staged {
                updates: [
                    TableUpdate::SetProperties { updates },
                    TableUpdate::SetSnapshotRef {
                        ref_name: MAIN_BRANCH.to_owned(),
                        reference: SnapshotReference::new(snapshot.snapshot_id(), retention),
                    },
                    TableUpdate::RemoveSnapshotRef { ref_name: branch.to_owned() },
                ]
                .into_iter()
                .chain(tag)
                .collect(),
                requirements: vec![
                    TableRequirement::UuidMatch { uuid: metadata.uuid() },
                    is_at(MAIN_BRANCH, metadata.current_snapshot_id()),
                    is_at(branch, Some(snapshot.snapshot_id())),
                ],
                written: Vec::new(),
            }))
        };
        Box::pin(self.change_metadata(table, publish))
            .await
            .map_err(|error| error.with("table", table.name()))
    }

    /// Removes a branch and the snapshots that only it has; their files become orphans. Nothing happens without it.
    ///
    /// # Errors
    /// Those of [`Lake::commit`].
    pub async fn drop_branch(&self, table: &LakeTable, branch: &str) -> Result<LakeTable> {
        let remove = |base: &Table| -> Result<Option<Staged>> {
            let metadata = base.metadata();
            if branch == MAIN_BRANCH {
                return Err(Error::new(ErrorKind::Unexpected)
                    .with("reason", "the table itself is not dropped as a branch"));
            }
            let Some(snapshot) = metadata.snapshot_for_ref(branch) else { return Ok(None) };
            let reached = |from: i64| -> HashSet<i64> {
                ancestors(metadata, from).map(|it| it.snapshot_id()).collect()
            };
            let mut gone = reached(snapshot.snapshot_id());
            // Snapshots of the table stay, whether or not they still are its ancestors.
            for kept in metadata.history() {
                gone.remove(&kept.snapshot_id);
            }
            for (_name, kept) in
                references(metadata)?.iter().filter(|(name, _kept)| *name != branch)
            {
                gone = gone.difference(&reached(kept.snapshot_id)).copied().collect();
            }
            Ok(Some(Staged {
                updates: vec![
                    TableUpdate::RemoveSnapshotRef { ref_name: branch.to_owned() },
                    TableUpdate::RemoveSnapshots { snapshot_ids: gone.into_iter().collect() },
                ],
                requirements: vec![
                    TableRequirement::UuidMatch { uuid: metadata.uuid() },
                    is_at(branch, Some(snapshot.snapshot_id())),
                ],
                written: Vec::new(),
            }))
        };
        Box::pin(self.change_metadata(table, remove))
            .await
            .map_err(|error| error.with("table", table.name()))
    }
}

fn is_at(name: &str, snapshot_id: Option<i64>) -> TableRequirement {
    TableRequirement::RefSnapshotIdMatch { r#ref: name.to_owned(), snapshot_id }
}
