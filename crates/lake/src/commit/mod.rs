//! Rows and the state they reach enter a table in one snapshot, or not at all.
//!
//! A commit writes manifests, a manifest list and a metadata file, and then asks the catalog to swap the table's
//! metadata file if it is still the one the commit was built on. When it is not, the table is loaded again and the
//! commit is looked for in it (an answer may have been lost), before it is built anew on what is there now. What a
//! lost try has written is deleted, unless the catalog did not say whether it was lost, or the table has it all the same.

mod branch;
mod change;
pub(crate) mod edit;
mod metadata;
pub(crate) mod produce;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use iceberg::spec::{Operation as SnapshotOperation, TableMetadata};
use iceberg::table::Table;
use iceberg::{MetadataLocation, TableUpdate};

use self::edit::{Added, Base, Edit, Removed};
use self::produce::{Label, Staged};
use crate::catalog::{Next, Swapped};
use crate::compact::Rewrite;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::ReplaceGuard;
use crate::lake::Lake;
use crate::merge::{self, Merge};
use crate::schema::evolve::SchemaChange;
use crate::storage;
use crate::table::{COMMIT_ID_KEY, LakeTable, POSITION_KEY, SnapshotInfo, head, state_at};
use crate::write::WrittenFile;

/// Tries of one commit, the first included.
const TRIES: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What a commit does with the rows that are there.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Adds the files to the table.
    Append,
    /// Makes the files the whole table. No files make it empty.
    Overwrite,
    /// Replaces the rows of the keys the merge touches. The files are those of the merge; [`Commit::files`] is empty.
    Merge(Merge),
    /// Replaces files by others with the same rows. Made by [`Lake::compact`] alone.
    Rewrite(Rewrite),
    /// Gathers small manifests; no file of rows is touched. Made by [`Lake::gather_manifests`] alone.
    Gather,
}

/// One change of a table.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Append or overwrite.
    pub operation: Operation,
    /// The files of [`crate::DataWriter::finish`].
    pub files: Vec<WrittenFile>,
    /// State that goes into the summary of the snapshot. Keys start with `ol.`.
    pub state: BTreeMap<String, String>,
    /// When an overwrite is refused.
    pub guard: ReplaceGuard,
    /// An entry of [`LakeTable::state`] that the table must have at the moment of the commit, with its value; `None`
    /// demands that there is no such entry. Otherwise the commit fails as [`ErrorKind::StateMoved`].
    pub expected: Option<(String, Option<String>)>,
    /// The branch the commit goes to; the table itself stays as it is. A branch that does not exist is made and starts
    /// empty. State, guard and what is expected are then those of the branch. See [`crate::Lake::publish_branch`].
    pub branch: Option<String>,
    /// A change of schema to make in the same step.
    pub schema_change: Option<SchemaChange>,
    /// Table properties to set in the same step.
    pub table_properties: BTreeMap<String, String>,
}

impl Commit {
    /// A commit of `files` without state, guard, schema change and properties.
    pub fn new(operation: Operation, files: Vec<WrittenFile>) -> Self {
        Self {
            operation,
            files,
            state: BTreeMap::new(),
            guard: ReplaceGuard::Off,
            expected: None,
            branch: None,
            schema_change: None,
            table_properties: BTreeMap::new(),
        }
    }

    /// The commit of a merge, without state, schema change and properties.
    pub fn merge(merge: Merge) -> Self {
        Self::new(Operation::Merge(merge), Vec::new())
    }

    fn added(&self) -> &[WrittenFile] {
        match &self.operation {
            Operation::Append
            | Operation::Overwrite
            | Operation::Rewrite(_)
            | Operation::Gather => &self.files,
            Operation::Merge(merge) => merge.files(),
        }
    }

    fn rows(&self) -> u64 {
        match &self.operation {
            Operation::Append
            | Operation::Overwrite
            | Operation::Rewrite(_)
            | Operation::Gather => self.files.iter().map(|file| file.rows).sum(),
            Operation::Merge(merge) => merge.rows(),
        }
    }

    fn bytes(&self) -> u64 {
        self.added().iter().map(|file| file.bytes).sum()
    }

    /// Addresses of what was written before the commit.
    fn addresses(&self) -> Vec<String> {
        match &self.operation {
            Operation::Append | Operation::Overwrite | Operation::Gather => {
                self.files.iter().map(|file| file.path.clone()).collect()
            }
            Operation::Merge(merge) => merge.addresses(),
            Operation::Rewrite(rewrite) => rewrite.addresses(),
        }
    }
}

/// A commit that is durable.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The table after it.
    pub table: LakeTable,
    /// The snapshot it made.
    pub snapshot_id: i64,
    /// Rows it added.
    pub rows: u64,
    /// Files it added.
    pub files: u64,
    /// Bytes it added.
    pub bytes: u64,
}

/// How one try ended.
enum Outcome {
    Done(Table),
    Lost,
    Unknown(Error),
}

impl Lake {
    /// Commits the files and the state in one snapshot.
    ///
    /// An append that meets another commit is built anew on top of it. An overwrite is, too, unless the other commit
    /// has reached a later [`POSITION_KEY`] than this one: then it fails as [`ErrorKind::StaleOverwrite`].
    ///
    /// After a definite error the files are not part of the table and can be deleted by [`Lake::discard`]. After
    /// [`ErrorKind::CommitStateUnknown`] they must stay.
    pub async fn commit(&self, table: &LakeTable, commit: Commit) -> Result<Committed> {
        if matches!(commit.operation, Operation::Merge(_)) && !commit.files.is_empty() {
            return Err(
                Error::new(ErrorKind::Unexpected).with("reason", "a merge brings its own files")
            );
        }
        let commit_id = uuid::Uuid::now_v7().to_string();
        let outcome = Box::pin(self.try_to_commit(table, &commit, &commit_id)).await;
        let committed = outcome.map_err(|error| error.with("table", table.name()))?;
        let snapshot_id = find_commit(&committed, &commit_id).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected).with("reason", "the commit is not in its own table")
        })?;
        Ok(Committed {
            table: self.wrap(committed, table.name())?,
            snapshot_id,
            rows: commit.rows(),
            files: commit.added().len() as u64,
            bytes: commit.bytes(),
        })
    }

    /// Deletes files that will not be committed. What cannot be deleted is left to the sweep of orphans.
    pub async fn discard(&self, files: &[WrittenFile]) {
        self.delete(files.iter().map(|file| file.path.clone()).collect()).await;
    }

    async fn try_to_commit(
        &self,
        table: &LakeTable,
        commit: &Commit,
        commit_id: &str,
    ) -> Result<Table> {
        let mut base = table.inner().clone();
        let mut pause = FIRST_PAUSE;
        let mut unknown = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.clock().sleep(jittered(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                base = match self.load_inner(table.name()).await {
                    Ok(Some(loaded)) => loaded,
                    Ok(None) => {
                        return Err(Error::new(ErrorKind::NotFound)
                            .with("reason", "the table was dropped during the commit"));
                    }
                    // While an answer is missing, a catalog that is away is one more reason to look again.
                    Err(error) if unknown.is_some() && error.is_transient() => continue,
                    Err(error) => return Err(error),
                };
                if find_commit(&base, commit_id).is_some() {
                    return Ok(base);
                }
                check_retry(table, &base, commit)?;
            }
            let head = head(base.metadata(), commit.branch.as_deref());
            check_expected(&state_at(base.metadata(), head), commit.expected.as_ref())?;
            if matches!(commit.operation, Operation::Overwrite) {
                let before = head.and_then(|head| base.metadata().snapshot_by_id(head));
                let before = before.map(SnapshotInfo::of);
                commit.guard.check(before.map_or(0, |snapshot| snapshot.records), commit.rows())?;
            }
            produce::check(&base, commit)?;
            let label = Label { commit_id, attempt, now: self.clock().now() };
            let staged = match self.stage(&base, commit, &label).await {
                // Its snapshot has expired, and files with it; the next try is built on what is there now.
                Err(error)
                    if *error.kind() == ErrorKind::WarehouseUnreadable
                        && self.has_moved(&base).await =>
                {
                    tracing::info!(table = %table.name(), attempt, "files of the base are gone");
                    continue;
                }
                staged => staged?,
            };
            fail::fail_point!("lake.commit.staged");
            if attempt == 0 {
                storage::make_durable(commit.addresses()).await?;
            }
            match self.publish(&base, staged).await {
                Ok(Outcome::Done(committed)) => return Ok(committed),
                Ok(Outcome::Lost) => {
                    tracing::info!(table = %table.name(), attempt, "another commit came first");
                }
                Ok(Outcome::Unknown(error)) => {
                    tracing::warn!(table = %table.name(), attempt, %error, "the catalog did not answer");
                    unknown = Some(error);
                }
                Err(error) if unknown.is_some() && error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
        Err(match unknown {
            Some(error) => error,
            None => Error::new(ErrorKind::CommitConflict).with("tries", TRIES),
        })
    }

    async fn stage(&self, base: &Table, commit: &Commit, label: &Label<'_>) -> Result<Staged> {
        let (edit, written) = self.edit(base, commit).await?;
        produce::stage(base, commit, edit, written, label).await
    }

    /// Whether somebody has committed to the table since it was loaded.
    pub(crate) async fn has_moved(&self, base: &Table) -> bool {
        match self.load_inner(&Self::name_of(base)).await {
            Ok(Some(now)) => now.metadata_location() != base.metadata_location(),
            Ok(None) | Err(_) => false,
        }
    }

    /// What the commit changes in the live files of `base`, and the files written to find out.
    async fn edit(&self, base: &Table, commit: &Commit) -> Result<(Edit, Vec<String>)> {
        let mut edit = Edit::new(SnapshotOperation::Append);
        edit.files.extend(commit.files.iter().map(Added::data));
        match &commit.operation {
            Operation::Append => return Ok((edit, Vec::new())),
            Operation::Overwrite => {
                edit.operation = SnapshotOperation::Overwrite;
                edit.removed = Removed::All;
                return Ok((edit, Vec::new()));
            }
            Operation::Gather => {
                edit.operation = SnapshotOperation::Replace;
                edit.gathers = true;
                return Ok((edit, Vec::new()));
            }
            Operation::Merge(_) | Operation::Rewrite(_) => {}
        }
        let (table, runtime, commit) = (base.clone(), self.runtime().clone(), commit.clone());
        let planned = tokio::task::spawn_blocking(move || {
            let head = head(table.metadata(), commit.branch.as_deref());
            let schema = match &commit.schema_change {
                Some(change) => Arc::clone(change.schema()),
                None => table.current_schema_ref(),
            };
            let mut written = Vec::new();
            let base = Base { table: &table, head, schema: &schema, runtime: &runtime };
            let edit = match &commit.operation {
                Operation::Append | Operation::Overwrite | Operation::Gather => Ok(edit),
                Operation::Merge(merge) => merge::plan::plan(&base, merge, &mut written),
                Operation::Rewrite(rewrite) => rewrite.plan(&base),
            };
            (edit, written)
        });
        let (edit, written) =
            planned.await.map_err(|error| Error::new(ErrorKind::Unexpected).because(error))?;
        match edit {
            Ok(edit) => Ok((edit, written)),
            Err(error) => {
                self.delete(written).await;
                Err(error)
            }
        }
    }

    /// Deletes the files of a merge that will not be committed.
    pub async fn discard_merge(&self, merge: &Merge) {
        self.delete(merge.addresses()).await;
    }

    /// Writes the metadata file of `staged` and asks the catalog to make it the current one.
    async fn publish(&self, base: &Table, mut staged: Staged) -> Result<Outcome> {
        let outcome = self.swap(base, &mut staged).await;
        match &outcome {
            Ok(Outcome::Done(_) | Outcome::Unknown(_)) => {}
            // Whoever repeats a request on the way, a gateway say, gets a conflict with the first, which was carried out.
            Ok(Outcome::Lost) if self.may_be_in(base, &staged).await => {}
            Ok(Outcome::Lost) | Err(_) => self.delete(staged.written).await,
        }
        if let Ok(Outcome::Done(committed)) = &outcome {
            self.forget_old_metadata(base, committed).await;
        }
        outcome
    }

    /// Whether the table has what was staged, or nobody can say.
    async fn may_be_in(&self, base: &Table, staged: &Staged) -> bool {
        let Ok(found) = self.load_inner(&Self::name_of(base)).await else { return true };
        let Some(found) = found else { return false };
        let metadata = found.metadata();
        let has_snapshot = staged.updates.iter().any(|update| {
            matches!(update, TableUpdate::AddSnapshot { snapshot }
                if metadata.snapshot_by_id(snapshot.snapshot_id()).is_some())
        });
        let is_ours = |location: &str| staged.written.iter().any(|written| written == location);
        let mut past = metadata.metadata_log().iter();
        has_snapshot
            || found.metadata_location().is_some_and(is_ours)
            || past.any(|entry| is_ours(&entry.metadata_file))
    }

    async fn swap(&self, base: &Table, staged: &mut Staged) -> Result<Outcome> {
        for requirement in &staged.requirements {
            if requirement.check(Some(base.metadata())).is_err() {
                return Ok(Outcome::Lost);
            }
        }
        let invalid = |error| Error::from_iceberg(ErrorKind::Unexpected, error);
        let current = base.metadata_location_result().map_err(invalid)?.to_owned();
        let mut builder = base.metadata().clone().into_builder(Some(current.clone()));
        for update in &staged.updates {
            builder = update.clone().apply(builder).map_err(invalid)?;
        }
        let metadata = builder.build().map_err(invalid)?.metadata;
        let following = next_location(&current, base.metadata())?.with_new_metadata(&metadata);
        let location = following.to_string();
        if !self.catalog().writes_metadata() {
            staged.written.push(location.clone());
            metadata
                .write_to(base.file_io(), &following)
                .await
                .map_err(|error| Error::from_iceberg(ErrorKind::WarehouseUnwritable, error))?;
        }
        storage::make_durable(staged.written.clone()).await?;
        let name = Self::name_of(base);
        // Built before the swap: once the catalog has taken it, nothing may fail any more.
        let committed = self.build(&name, metadata, location.clone())?;
        let next = Next {
            name: &name,
            base: Some(&current),
            location: &location,
            metadata: committed.metadata(),
            requirements: &staged.requirements,
            updates: &staged.updates,
        };
        fail::fail_point!("lake.commit.before_swap");
        let swapped = self.catalog().swap(next).await;
        fail::fail_point!("lake.commit.after_swap");
        match swapped {
            Ok(Swapped::Done(None)) => Ok(Outcome::Done(committed)),
            Ok(Swapped::Done(Some(entry))) => match self.open_entry(&name, entry).await {
                Ok(committed) => Ok(Outcome::Done(committed)),
                Err(error) => Ok(Outcome::Unknown(error)),
            },
            Ok(Swapped::Lost) => Ok(Outcome::Lost),
            Err(error) if *error.kind() == ErrorKind::CommitStateUnknown => {
                Ok(Outcome::Unknown(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes metadata files that fell out of the table's log, when the table says so, as other writers do.
    async fn forget_old_metadata(&self, base: &Table, committed: &Table) {
        let properties = committed.metadata().properties();
        let wants = properties.get("write.metadata.delete-after-commit.enabled");
        // A catalog that writes these files deletes them, too.
        if self.catalog().writes_metadata() || wants.is_none_or(|value| value != "true") {
            return;
        }
        let kept = committed.metadata().metadata_log();
        let gone = base.metadata().metadata_log().iter().filter(|old| !kept.contains(old));
        self.delete(gone.map(|old| old.metadata_file.clone()).collect()).await;
    }

    pub(crate) async fn delete(&self, addresses: Vec<String>) {
        if let Err(error) = self.storage().delete_many(&addresses).await {
            let files = addresses.len();
            tracing::warn!(files, %error, "files that are not needed could not be deleted");
        }
    }
}

/// Whether the table is where the commit expects it; asked of every base the commit is built on.
fn check_expected(
    state: &BTreeMap<String, String>,
    expected: Option<&(String, Option<String>)>,
) -> Result<()> {
    let Some((key, expected)) = expected else { return Ok(()) };
    let found = state.get(key);
    if found == expected.as_ref() {
        return Ok(());
    }
    let told = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
    Err(Error::new(ErrorKind::StateMoved)
        .with("key", key)
        .with("expected", told(expected.as_ref()))
        .with("found", told(found)))
}

/// Whether a commit that lost may be built anew on `base`.
fn check_retry(table: &LakeTable, base: &Table, commit: &Commit) -> Result<()> {
    if table.inner().metadata().uuid() != base.metadata().uuid() {
        return Err(Error::new(ErrorKind::CommitConflict)
            .with("reason", "the table was dropped and created again during the commit"));
    }
    let change = commit.schema_change.as_ref().map(SchemaChange::requirements).unwrap_or_default();
    if change.iter().any(|requirement| requirement.check(Some(base.metadata())).is_err()) {
        return Err(Error::new(ErrorKind::CommitConflict)
            .with("reason", "another commit changed the schema at the same time"));
    }
    // A merge says by `expected` what it may follow.
    if !matches!(commit.operation, Operation::Overwrite) {
        return Ok(());
    }
    let theirs = head(base.metadata(), commit.branch.as_deref());
    let theirs = theirs.and_then(|id| base.metadata().snapshot_by_id(id)).map(SnapshotInfo::of);
    let theirs = theirs.and_then(|snapshot| snapshot.state.get(POSITION_KEY).cloned());
    match (theirs, commit.state.get(POSITION_KEY)) {
        (Some(theirs), Some(ours)) if theirs > *ours => Err(Error::new(ErrorKind::StaleOverwrite)
            .with("position of the table", theirs)
            .with("position of the commit", ours)),
        // Without a position of our own nothing shows that ours are the later rows.
        (Some(theirs), None) => Err(Error::new(ErrorKind::StaleOverwrite)
            .with("position of the table", theirs)
            .with("position of the commit", "none")),
        _not_later => Ok(()),
    }
}

/// The snapshot of a commit, wherever it stands in the history.
fn find_commit(table: &Table, commit_id: &str) -> Option<i64> {
    table
        .metadata()
        .snapshots()
        .find(|snapshot| {
            snapshot.summary().additional_properties.get(COMMIT_ID_KEY).map(String::as_str)
                == Some(commit_id)
        })
        .map(|snapshot| snapshot.snapshot_id())
}

/// Another writer may have named its metadata file in its own way; numbering then starts after its log.
pub(crate) fn next_location(current: &str, base: &TableMetadata) -> Result<MetadataLocation> {
    if let Ok(location) = MetadataLocation::from_str(current) {
        return Ok(location.with_next_version());
    }
    let location = format!(
        "{}/metadata/{:05}-{}.metadata.json",
        base.location(),
        base.metadata_log().len(),
        uuid::Uuid::new_v4()
    );
    MetadataLocation::from_str(&location)
        .map(|location| location.with_next_version())
        .map_err(|error| Error::from_iceberg(ErrorKind::Unexpected, error))
}

/// Half to all of a pause, so that two commits that met do not meet again.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() % 1000;
    let share = u32::try_from(random).unwrap_or(0);
    pause / 2 + pause * share / 2000
}
