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

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use ol_lake::schema::evolve::SchemaChange;
use ol_lake::{Commit, DataWriter, Lake, LakeTable, Operation, ReplaceGuard, WrittenFile};

use crate::column::ColumnContract;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// Replace what is there.
    Overwrite,
    /// Add to what is there.
    Append,
}

/// The lake's side of a load: the table as it will be, and what it was read from last.
pub struct Target {
    lake: Arc<Lake>,
    base: LakeTable,
    table: LakeTable,
    change: SchemaChange,
    settings: TargetSettings,
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
        Ok(Self { table: base.after(&change)?, lake, base, change, settings })
    }

    /// Whether the load replaces what is there.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.settings.mode == LoadMode::Overwrite
    }

    /// The table as it will be.
    #[must_use]
    pub fn table(&self) -> &LakeTable {
        &self.table
    }

    /// Begins a part.
    #[must_use]
    pub fn part(self: &Arc<Self>) -> PartWriter {
        PartWriter { target: Arc::clone(self), held: None, writer: None }
    }

    /// Commits all parts of the table in one snapshot, or finds that the lake has this content already.
    ///
    /// # Errors
    /// The lake's: a file could not be written, the guard refuses, the commit failed.
    pub async fn complete(
        self: Arc<Self>,
        parts: Vec<PartWriter>,
        totals: Totals,
        position: Position,
        guard: ShrinkGuard,
    ) -> Result<Loaded, ol_lake::Error> {
        if let Some(loaded) = self.unchanged(totals) {
            // Dropping a writer deletes what it wrote, which waits for its thread.
            run_blocking(move || {
                drop(parts);
                Ok(())
            })
            .await?;
            return Ok(loaded);
        }
        let target = Arc::clone(&self);
        let files = run_blocking(move || target.finish(parts)).await?;
        failpoints::hit(failpoints::FILES_COMPLETE);
        let (count, bytes) = (files.len() as u64, files.iter().map(|file| file.bytes).sum());
        let commit = Commit {
            operation: match self.settings.mode {
                LoadMode::Overwrite => Operation::Overwrite,
                LoadMode::Append => Operation::Append,
            },
            files,
            state: self.state(totals, position),
            guard: match self.settings.mode {
                LoadMode::Overwrite => {
                    ReplaceGuard::Threshold { keep_ratio: guard.keep_ratio, allow: guard.allow }
                }
                LoadMode::Append => ReplaceGuard::Off,
            },
            expected: None,
            branch: None,
            schema_change: Some(self.change.clone()),
            table_properties: BTreeMap::new(),
        };
        let committed = self.lake.commit(&self.base, commit).await?;
        failpoints::hit(failpoints::COMMITTED);
        Ok(Loaded {
            snapshot_id: committed.snapshot_id,
            files: count,
            bytes,
            unchanged: false,
            position: position.to_string(),
        })
    }

    fn finish(
        self: &Arc<Self>,
        parts: Vec<PartWriter>,
    ) -> Result<Vec<WrittenFile>, ol_lake::Error> {
        let mut files = Vec::new();
        let mut rest = self.part();
        for mut part in parts {
            if let Some(batch) = part.held.take() {
                rest.put(batch)?;
            }
            if let Some(writer) = part.writer.take() {
                files.extend(writer.finish()?);
            }
        }
        if let Some(writer) = rest.writer.take() {
            files.extend(writer.finish()?);
        }
        Ok(files)
    }

    fn state(&self, totals: Totals, position: Position) -> BTreeMap<String, String> {
        BTreeMap::from([
            (state::POSITION.to_owned(), position.to_string()),
            (state::RUN_ID.to_owned(), self.settings.run_id.clone()),
            (state::MODE.to_owned(), self.settings.mode_word.to_owned()),
            (state::CONTENT_DIGEST.to_owned(), format!("{:032x}", totals.digest)),
            (state::CONTENT_ROWS.to_owned(), totals.rows.to_string()),
            (state::CONTRACT.to_owned(), self.settings.contract.clone()),
        ])
    }

    /// The current snapshot, if it came from a replace by the very same content.
    fn unchanged(&self, totals: Totals) -> Option<Loaded> {
        if self.settings.mode == LoadMode::Append || !self.change.is_empty() {
            return None;
        }
        let snapshot = self.base.current_snapshot()?;
        let is =
            |key: &str, value: &str| snapshot.state.get(key).is_some_and(|known| known == value);
        let same = is(state::MODE, self.settings.mode_word)
            && is(state::CONTRACT, &self.settings.contract)
            && is(state::CONTENT_ROWS, &totals.rows.to_string())
            && is(state::CONTENT_DIGEST, &format!("{:032x}", totals.digest))
            // Nobody has added rows to it or compacted some away since.
            && snapshot.records == totals.rows;
        same.then(|| Loaded {
            snapshot_id: snapshot.snapshot_id,
            files: 0,
            bytes: 0,
            unchanged: true,
            position: snapshot.state.get(state::POSITION).cloned().unwrap_or_default(),
        })
    }
}

/// Takes the batches of one part, on the reader's own thread. Dropping it deletes what it wrote.
pub struct PartWriter {
    target: Arc<Target>,
    held: Option<RecordBatch>,
    writer: Option<DataWriter>,
}

impl PartWriter {
    /// Takes a batch; blocks while the encoder is behind.
    ///
    /// # Errors
    /// The lake's.
    pub fn write(&mut self, batch: RecordBatch) -> Result<(), ol_lake::Error> {
        if self.writer.is_none() && self.held.is_none() {
            self.held = Some(batch);
            return Ok(());
        }
        if let Some(held) = self.held.take() {
            self.put(held)?;
            failpoints::hit(failpoints::FIRST_BATCH_WRITTEN);
        }
        self.put(batch)
    }

    fn put(&mut self, batch: RecordBatch) -> Result<(), ol_lake::Error> {
        if self.writer.is_none() {
            let target = &self.target;
            self.writer =
                Some(target.table.writer(target.lake.write_options(), &target.settings.run_id)?);
        }
        match &mut self.writer {
            Some(writer) => writer.write(batch),
            None => Ok(()),
        }
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
