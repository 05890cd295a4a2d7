//! COMMIT: what readers decoded becomes one snapshot of one table.
//!
//! A table is read in parts (ranges, by several connections). Nothing of it is visible before all parts are
//! complete, and then all of it is, together with the position and the digest it was read at, in one Iceberg snapshot
//! (invariant I1). A process that dies in between leaves files that no snapshot knows, which `maintain` sweeps.
//!
//! A part holds its first batch back until a second one comes. A small table is therefore never written before
//! its digest is known, and a full refresh of a table whose content is what the lake already has costs one read and
//! nothing else: no file, no snapshot, nothing to expire later. "The same content" means the same digest over the
//! rows' bytes, the same number of rows, and the same contract (so a changed type or a changed decoder loads again).

pub mod chunks;
pub mod gathering;
mod part;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ol_lake::schema::evolve::SchemaChange;
use ol_lake::{
    Commit, Lake, LakeTable, MergeOptions, MergeWriter, OnDelete, Operation, Orphans, ReplaceGuard,
    WrittenFile,
};

pub use self::part::PartWriter;

use crate::column::{ColumnContract, metadata};
use crate::failpoints;
use crate::position::Position;

/// Keys of what is stored in the summary of each snapshot.
pub mod state {
    /// The position, as sortable text.
    pub const POSITION: &str = ol_lake::POSITION_KEY;
    /// The run.
    pub const RUN_ID: &str = "ol.run-id";
    /// The mode, in the inventory's word.
    pub const MODE: &str = "ol.mode";
    /// The digest of the rows read, in hexadecimal.
    pub const CONTENT_DIGEST: &str = "ol.content-digest";
    /// The rows read.
    pub const CONTENT_ROWS: &str = "ol.content-rows";
    /// The digest of the type contract, in hexadecimal.
    pub const CONTRACT: &str = "ol.contract";
}

/// Raised whenever the same bytes of a source would become other values than before.
const DECODER_VERSION: u32 = 1;

/// What has been read of a table, or of a part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows.
    pub rows: u64,
    /// Bytes as they arrived.
    pub bytes: u64,
    /// Values that went to `_ol_odd`.
    pub odd: u64,
    /// The order-free digest of the rows: the sum, modulo 2¹²⁸, of the hash of each.
    pub digest: u128,
}

impl Totals {
    /// The totals of two disjoint parts.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
            odd: self.odd + other.odd,
            digest: self.digest.wrapping_add(other.digest),
        }
    }
}

/// How a table's rows go into the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadMode {
    /// Replace what is there.
    Overwrite,
    /// Add to what is there.
    Append,
    /// Put in the place of the rows with the same key.
    Merge(Merging),
}

/// How rows are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merging {
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// Whether a deleted row stays, marked.
    pub soft: bool,
    /// Whether all rows from before go; then the merge only makes keys unique.
    pub replaces: bool,
}

impl Merging {
    fn options(&self) -> MergeOptions {
        MergeOptions {
            key: self.key.clone(),
            on_delete: match self.soft {
                true => OnDelete::Mark { column: metadata::DELETED_AT.to_owned() },
                false => OnDelete::Remove,
            },
            sidecar: Some(metadata::ODD.to_owned()),
            orphans: Orphans::Refuse,
        }
    }
}

/// The lake's side of a load: the table as it will be, and what it was read from last.
pub struct Target {
    lake: Arc<Lake>,
    base: LakeTable,
    table: LakeTable,
    change: SchemaChange,
    settings: TargetSettings,
    /// The one writer of a merge, which all parts share.
    merge: Mutex<Option<MergeWriter>>,
}

/// How a load is labelled and done.
pub struct TargetSettings {
    /// How the rows go in.
    pub mode: LoadMode,
    /// The inventory's word for it.
    pub mode_word: &'static str,
    /// The digest of the type contract.
    pub contract: String,
    /// The run.
    pub run_id: String,
    /// What makes the table follow a slot from this load on.
    pub claim: Option<Claim>,
    /// Whether the commit is for the very state that the table has now, so that no other run may have moved it.
    pub fenced: bool,
    /// Whether the rows are what changed since that state, so that without any there is nothing to commit.
    pub goes_on: bool,
}

/// What a load commits beside its rows when the table goes on by change capture. Such a load always commits, and
/// only if the table is still where it was.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Entries of the snapshot's summary.
    pub state: BTreeMap<String, String>,
    /// Table properties.
    pub properties: BTreeMap<String, String>,
}

/// What is known of a load once all of it has been read.
#[derive(Debug, Clone, Default)]
pub struct Completion {
    /// What was read.
    pub totals: Totals,
    /// Rows that are no longer at the source.
    pub deletes: u64,
    /// Entries for the summary of the snapshot beside those of every load.
    pub state: BTreeMap<String, String>,
    /// Table properties that change with it.
    pub properties: BTreeMap<String, String>,
    /// Whether the state is worth a snapshot of its own when there is no row.
    pub must_commit: bool,
}

/// What a load did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The snapshot that holds the rows: a new one, or the one that held them already.
    pub snapshot_id: i64,
    /// Files added.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Whether the lake already had this content, so that nothing was written.
    pub unchanged: bool,
    /// The position of the rows in that snapshot.
    pub position: String,
    /// Rows deleted.
    pub deletes: u64,
}

/// The guard against a replace that shrinks a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShrinkGuard {
    /// The least part of the rows that must be left, 0 to 1.
    pub keep_ratio: f64,
    /// Whether to replace all the same.
    pub allow: bool,
}

/// The fingerprint of how a table is read.
#[must_use]
pub fn contract_digest<'a>(columns: impl Iterator<Item = (&'a str, &'a ColumnContract)>) -> String {
    let mut text = format!("decoder {DECODER_VERSION}\n");
    for (name, contract) in columns {
        text.push_str(&format!(
            "{name:?} {:?} {} {}\n",
            contract.source,
            contract.lake,
            contract.fidelity.word()
        ));
    }
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

impl Target {
    /// A target in `base`, whose schema will be changed by `change` in the commit of the rows.
    ///
    /// # Errors
    /// The changed schema is not one the lake can write.
    pub fn new(
        lake: Arc<Lake>,
        base: LakeTable,
        change: SchemaChange,
        settings: TargetSettings,
    ) -> Result<Self, ol_lake::Error> {
        let table = base.after(&change)?;
        Ok(Self { table, lake, base, change, settings, merge: Mutex::default() })
    }

    /// Whether the load replaces what is there.
    #[must_use]
    pub fn replaces(&self) -> bool {
        match &self.settings.mode {
            LoadMode::Overwrite => true,
            LoadMode::Append => false,
            LoadMode::Merge(merging) => merging.replaces,
        }
    }

    /// The columns that identify a row, when rows are merged.
    #[must_use]
    pub fn merge_key(&self) -> Option<&[String]> {
        match &self.settings.mode {
            LoadMode::Overwrite | LoadMode::Append => None,
            LoadMode::Merge(merging) => Some(&merging.key),
        }
    }

    /// Deletes what was written for a load that will not be committed. Blocks.
    pub fn abandon(&self, parts: Vec<PartWriter>) {
        drop(parts);
        drop(self.merge.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The lake.
    #[must_use]
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// The table as it is.
    #[must_use]
    pub fn base(&self) -> &LakeTable {
        &self.base
    }

    /// The table as it will be.
    #[must_use]
    pub fn table(&self) -> &LakeTable {
        &self.table
    }

    /// Begins a part.
    #[must_use]
    pub fn part(self: &Arc<Self>) -> PartWriter {
        PartWriter::new(Arc::clone(self))
    }

    /// Commits all parts of the table in one snapshot, or finds that the lake has this content already.
    ///
    /// # Errors
    /// The lake's: a file could not be written, the guard refuses, the commit failed.
    pub async fn complete(
        self: Arc<Self>,
        parts: Vec<PartWriter>,
        completion: Completion,
        position: Position,
        guard: ShrinkGuard,
    ) -> Result<Loaded, ol_lake::Error> {
        if let Some(loaded) = self.unchanged(&completion) {
            // Dropping a writer deletes what it wrote, which waits for its thread.
            run_blocking(move || {
                self.abandon(parts);
                Ok(())
            })
            .await?;
            return Ok(loaded);
        }
        let target = Arc::clone(&self);
        let (operation, files) = run_blocking(move || target.finish(parts)).await?;
        failpoints::hit(failpoints::FILES_COMPLETE);
        let written = match &operation {
            Operation::Merge(merge) => merge.files(),
            Operation::Append
            | Operation::Overwrite
            | Operation::Rewrite(_)
            | Operation::Gather => &files,
        };
        let (count, bytes) = (written.len() as u64, written.iter().map(|file| file.bytes).sum());
        let threshold =
            ReplaceGuard::Threshold { keep_ratio: guard.keep_ratio, allow: guard.allow };
        if let Operation::Merge(merge) = &operation
            && merge.is_truncating()
        {
            let before = self.base.current_snapshot().map_or(0, |snapshot| snapshot.records);
            threshold.check(before, merge.rows())?;
        }
        let commit = Commit {
            branch: None,
            operation,
            files,
            state: self.state(&completion, position),
            guard: match self.settings.mode {
                LoadMode::Overwrite => threshold,
                LoadMode::Append | LoadMode::Merge(_) => ReplaceGuard::Off,
            },
            expected: self.expected(),
            schema_change: Some(self.change.clone()),
            table_properties: {
                let claimed = self.settings.claim.iter().flat_map(|it| it.properties.clone());
                claimed.chain(completion.properties).collect()
            },
        };
        let committed = self.lake.commit(&self.base, commit).await?;
        failpoints::hit(failpoints::COMMITTED);
        Ok(Loaded {
            snapshot_id: committed.snapshot_id,
            files: count,
            bytes,
            unchanged: false,
            position: position.to_string(),
            deletes: completion.deletes,
        })
    }

    fn finish(
        self: &Arc<Self>,
        parts: Vec<PartWriter>,
    ) -> Result<(Operation, Vec<WrittenFile>), ol_lake::Error> {
        let files = self.part().finish(parts)?;
        let operation = match &self.settings.mode {
            LoadMode::Overwrite => Operation::Overwrite,
            LoadMode::Append => Operation::Append,
            LoadMode::Merge(merging) => {
                let begun = self.merge.lock().unwrap_or_else(PoisonError::into_inner).take();
                let writer = match begun {
                    Some(writer) => writer,
                    None => self.merge_writer(merging)?,
                };
                Operation::Merge(writer.finish()?)
            }
        };
        Ok((operation, files))
    }

    fn merge_writer(&self, merging: &Merging) -> Result<MergeWriter, ol_lake::Error> {
        let (write, prefix) = (self.lake.write_options(), &self.settings.run_id);
        let mut writer = self.table.merge_writer(write, merging.options(), prefix)?;
        if merging.replaces {
            writer.truncate()?;
        }
        Ok(writer)
    }

    /// Hands rows to the merge, one part after the other.
    fn merge(
        &self,
        merging: &Merging,
        work: impl FnOnce(&mut MergeWriter) -> Result<(), ol_lake::Error>,
    ) -> Result<(), ol_lake::Error> {
        let mut writer = self.merge.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            *writer = Some(self.merge_writer(merging)?);
        }
        writer.as_mut().map_or(Ok(()), work)
    }

    /// What the table must still be at for the commit.
    fn expected(&self) -> Option<(String, Option<String>)> {
        let key = match (&self.settings.claim, self.settings.fenced) {
            (Some(_), _) => state::POSITION,
            (None, true) => state::RUN_ID,
            (None, false) => return None,
        };
        Some((key.to_owned(), self.base.state().get(key).cloned()))
    }

    fn state(&self, completion: &Completion, position: Position) -> BTreeMap<String, String> {
        let totals = completion.totals;
        let claimed = self.settings.claim.iter().flat_map(|claim| claim.state.clone());
        let mut state = BTreeMap::from([
            (state::POSITION.to_owned(), position.to_string()),
            (state::RUN_ID.to_owned(), self.settings.run_id.clone()),
            (state::MODE.to_owned(), self.settings.mode_word.to_owned()),
            (state::CONTENT_DIGEST.to_owned(), format!("{:032x}", totals.digest)),
            (state::CONTENT_ROWS.to_owned(), totals.rows.to_string()),
            (state::CONTRACT.to_owned(), self.settings.contract.clone()),
        ]);
        state.extend(completion.state.clone());
        state.extend(claimed);
        state
    }

    /// The current snapshot, if the table already has all there is to commit.
    fn unchanged(&self, completion: &Completion) -> Option<Loaded> {
        if self.settings.claim.is_some() || !self.change.is_empty() {
            return None;
        }
        let snapshot = self.base.current_snapshot()?;
        let already = |position: Option<&String>| Loaded {
            snapshot_id: snapshot.snapshot_id,
            files: 0,
            bytes: 0,
            unchanged: true,
            position: position.cloned().unwrap_or_default(),
            deletes: 0,
        };
        if self.settings.goes_on {
            // What the rows would be added to stays as it is, and so does the state to go on from.
            let nothing = completion.totals.rows == 0 && completion.deletes == 0;
            return (nothing && !completion.must_commit)
                .then(|| already(self.base.state().get(state::POSITION)));
        }
        // A load that begins anew has a state to leave, whatever the rows.
        if self.settings.mode == LoadMode::Append || self.settings.fenced {
            return None;
        }
        let merges = matches!(self.settings.mode, LoadMode::Merge(_));
        let totals = completion.totals;
        let is =
            |key: &str, value: &str| snapshot.state.get(key).is_some_and(|known| known == value);
        let same = is(state::MODE, self.settings.mode_word)
            && is(state::CONTRACT, &self.settings.contract)
            && is(state::CONTENT_ROWS, &totals.rows.to_string())
            && is(state::CONTENT_DIGEST, &format!("{:032x}", totals.digest))
            // Nobody has added rows to it or compacted some away since.
            && (merges || snapshot.records == totals.rows)
            && completion.deletes == 0;
        same.then(|| already(snapshot.state.get(state::POSITION)))
    }
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ol_lake::Error> + Send + 'static,
) -> Result<T, ol_lake::Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
