//! Compaction: the same rows in fewer and fuller files, without the deleted ones.
//!
//! A file is worth rewriting when it is small or when a large share of its rows is deleted. Such files of one
//! partition are gathered, in the order in which they came, into groups of about the size of one new file, and each
//! group is rewritten on its own. The new files take the sequence number of the snapshot that was read, not that of the
//! commit, so that equality deletes which another writer commits in between still apply to them.
//!
//! A merge may delete rows of a file while it is rewritten. The commit therefore looks at the base it is built on: a
//! group of which a file is gone, or has lost rows since, is left out, and its new files are deleted. When no group is
//! left, the compaction ends as [`ErrorKind::CommitConflict`].
//!
//! In a table with a sort order, the rows of a group are put in order together, as many as fit 64 MiB.
//!
//! Held in memory are one row group of the file that is read, the deleted positions of that file, and what a
//! [`crate::DataWriter`] holds; it does not grow with the table but for the entries of its manifests.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use futures::StreamExt;
use iceberg::spec::{Operation as SnapshotOperation, Struct};
use iceberg::table::Table;
use roaring::RoaringTreemap;
use tokio::runtime::Handle;

use crate::commit::edit::{Added, Base, Edit, Removed};
use crate::commit::{Commit, Committed, Operation};
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::live::Live;
use crate::settings::WriteOptions;
use crate::table::LakeTable;
use crate::write::WrittenFile;
use crate::write::encode::Encoder;

/// Rows that are put in order together in a table that has one, by their bytes in memory.
const SORTED_BYTES: usize = 64 << 20;

/// What is rewritten, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactOptions {
    /// How the new files are written; their size is its `target_file_bytes`.
    pub write: WriteOptions,
    /// A data file below this size is small.
    pub small_file_bytes: u64,
    /// Small files of one group, at least; fewer are left as they are.
    pub least_files: usize,
    /// A data file of whose rows this share is deleted is rewritten whatever its size, 0 to 1.
    pub delete_share: f64,
    /// Files of about so many bytes are rewritten by one commit; what is left is for the next call, so that little is
    /// lost when a process is killed.
    pub most_bytes: u64,
    /// What the names of the new files begin with.
    pub prefix: String,
}

impl Default for CompactOptions {
    fn default() -> Self {
        let write = WriteOptions::default();
        Self {
            small_file_bytes: write.target_file_bytes / 4 * 3,
            write,
            least_files: 5,
            delete_share: 0.1,
            most_bytes: 4 << 30,
            prefix: "compact".to_owned(),
        }
    }
}

/// A rewrite that is written and not committed.
#[derive(Clone)]
pub struct Rewrite {
    inner: Arc<Inner>,
}

struct Inner {
    groups: Vec<Group>,
    sequence_number: i64,
    /// Groups that cannot be committed any more.
    left_out: Mutex<HashSet<usize>>,
}

struct Group {
    /// Paths of the files that go, and how many of their rows were deleted when they were read.
    before: HashMap<String, u64>,
    after: Vec<WrittenFile>,
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rewrite")
            .field("groups", &self.inner.groups.len())
            .finish_non_exhaustive()
    }
}

impl Lake {
    /// Rewrites small files and files with many deleted rows. Returns `None` when there is nothing worth it.
    ///
    /// The rows of the table and its state stay what they are; the operation of the snapshot is `replace`.
    ///
    /// # Errors
    /// [`ErrorKind::CommitConflict`] when every group was changed by others meanwhile, and those of [`Lake::commit`].
    pub async fn compact(
        &self,
        table: &LakeTable,
        options: &CompactOptions,
    ) -> Result<Option<Committed>> {
        let (inner, runtime, options) =
            (table.inner().clone(), self.runtime().clone(), options.clone());
        let rewritten = tokio::task::spawn_blocking(move || rewrite(&inner, &runtime, &options));
        let rewritten =
            rewritten.await.map_err(|error| Error::new(ErrorKind::Unexpected).because(error))?;
        let rewrite = match rewritten {
            Ok(Some(rewrite)) => rewrite,
            Ok(None) => return Ok(None),
            // Its snapshot has expired while it was read, and files with it.
            Err(error)
                if *error.kind() == ErrorKind::WarehouseUnreadable
                    && self.has_moved(table.inner()).await =>
            {
                return Err(Error::new(ErrorKind::CommitConflict)
                    .with("table", table.name())
                    .because(error));
            }
            Err(error) => return Err(error.with("table", table.name())),
        };
        let commit = Commit::new(Operation::Rewrite(rewrite.clone()), Vec::new());
        let committed = self.commit(table, commit).await;
        let is_unknown = |error: &Error| *error.kind() == ErrorKind::CommitStateUnknown;
        let (kept, dropped) = rewrite.sort_out();
        let count = |files: &[&WrittenFile], of: fn(&WrittenFile) -> u64| {
            files.iter().map(|file| of(file)).sum()
        };
        match committed {
            Ok(mut committed) => {
                self.delete(dropped.iter().map(|file| file.path.clone()).collect()).await;
                committed.files = kept.len() as u64;
                committed.rows = count(&kept, |file| file.rows);
                committed.bytes = count(&kept, |file| file.bytes);
                Ok(Some(committed))
            }
            Err(error) => {
                if !is_unknown(&error) {
                    let all = kept.into_iter().chain(dropped);
                    self.delete(all.map(|file| file.path.clone()).collect()).await;
                }
                Err(error)
            }
        }
    }
}

/// Writes the groups of a snapshot anew. Blocks. On failure what was written is deleted.
fn rewrite(table: &Table, runtime: &Handle, options: &CompactOptions) -> Result<Option<Rewrite>> {
    let Some(snapshot) = table.metadata().current_snapshot() else { return Ok(None) };
    let live = runtime.block_on(Live::of(table, Some(snapshot.snapshot_id())))?;
    let deleted = live.widely_deleted(table, runtime)?;
    let mut groups = Vec::new();
    for files in plan(&live, &deleted, options) {
        match rewrite_group(table, runtime, &live, &deleted, &files, options) {
            Ok(group) => groups.push(group),
            Err(error) => {
                for file in groups.iter().flat_map(|group: &Group| &group.after) {
                    if let Err(error) = runtime.block_on(table.file_io().delete(&file.path)) {
                        tracing::warn!(file = file.path, %error, "an unfinished file could not be deleted");
                    }
                }
                return Err(error);
            }
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let inner = Inner {
        groups,
        sequence_number: snapshot.sequence_number(),
        left_out: Mutex::new(HashSet::new()),
    };
    Ok(Some(Rewrite { inner: Arc::new(inner) }))
}

/// Which files are rewritten together, by index in [`Live::files`].
fn plan(
    live: &Live,
    deleted: &HashMap<String, RoaringTreemap>,
    options: &CompactOptions,
) -> Vec<Vec<usize>> {
    struct Bin {
        files: Vec<usize>,
        bytes: u64,
        is_due: bool,
    }
    let mut partitions: HashMap<(i32, &Struct), usize> = HashMap::new();
    let mut bins: BTreeMap<usize, Vec<Bin>> = BTreeMap::new();
    for (index, file) in live.files.iter().enumerate() {
        let records = file.data_file.record_count();
        let widely = deleted.get(file.data_file.file_path()).map_or(0, RoaringTreemap::len);
        let own: u64 = live.own_deletes(file).map(|delete| delete.data_file.record_count()).sum();
        let gone = (own + widely).min(records);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share of more than 2^53 rows may be off by one row in 2^53"
        )]
        let is_due = gone > 0 && gone as f64 >= records as f64 * options.delete_share;
        let bytes = file.data_file.file_size_in_bytes();
        if !is_due && bytes >= options.small_file_bytes {
            continue;
        }
        let live_bytes =
            u128::from(bytes) * u128::from(records - gone) / u128::from(records.max(1));
        let live_bytes = u64::try_from(live_bytes).unwrap_or(bytes);
        let next = partitions.len();
        let partition =
            *partitions.entry((file.spec_id, file.data_file.partition())).or_insert(next);
        let bins = bins.entry(partition).or_default();
        match bins.last_mut() {
            Some(bin) if bin.bytes + live_bytes <= options.write.target_file_bytes => {
                bin.files.push(index);
                bin.bytes += live_bytes;
                bin.is_due |= is_due;
            }
            _full => bins.push(Bin { files: vec![index], bytes: live_bytes, is_due }),
        }
    }
    let bins = bins.into_values().flatten();
    let worth = bins.filter(|bin| bin.is_due || bin.files.len() >= options.least_files.max(2));
    let mut bytes = 0;
    let within = worth.take_while(|bin| {
        let is_first = bytes == 0;
        bytes += bin.bytes.max(1);
        is_first || bytes <= options.most_bytes
    });
    within.map(|bin| bin.files).collect()
}

fn rewrite_group(
    table: &Table,
    runtime: &Handle,
    live: &Live,
    widely: &HashMap<String, RoaringTreemap>,
    files: &[usize],
    options: &CompactOptions,
) -> Result<Group> {
    let schema = table.current_schema_ref();
    let mut encoder = Encoder::of(table, &schema, runtime, &options.write, &options.prefix)?;
    let mut before = HashMap::new();
    let mut sorted = Sorted::default();
    let mut copy = || -> Result<()> {
        for file in files.iter().filter_map(|index| live.files.get(*index)) {
            let gone = live.deleted(table, runtime, file, widely)?;
            before.insert(file.data_file.file_path().to_owned(), gone.len());
            if !encoder.sorts() {
                encoder.copy(table, runtime, &file.data_file, &gone)?;
                continue;
            }
            let mut batches = encoder.rows(table, runtime, &file.data_file, &gone)?;
            while let Some(batch) = runtime.block_on(batches.next()) {
                if let Some(run) = sorted.take(batch?)? {
                    encoder.write(&run, None)?;
                }
            }
        }
        match sorted.end()? {
            Some(run) => encoder.write(&run, None),
            None => Ok(()),
        }
    };
    if let Err(error) = copy() {
        encoder.discard();
        return Err(error);
    }
    Ok(Group { before, after: encoder.finish()? })
}

/// Batches that are put in order together: small files become one sorted run, and not as many as they were.
#[derive(Default)]
struct Sorted {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Sorted {
    /// Adds rows, and gives out all when they are enough.
    fn take(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        if self.bytes < SORTED_BYTES { Ok(None) } else { self.end() }
    }

    fn end(&mut self) -> Result<Option<RecordBatch>> {
        self.bytes = 0;
        let batches = std::mem::take(&mut self.batches);
        let Some(first) = batches.first() else { return Ok(None) };
        let run = concat_batches(&first.schema(), &batches);
        run.map(Some).map_err(|error| Error::new(ErrorKind::Unexpected).because(error))
    }
}

impl Rewrite {
    /// What it changes on a base: the groups of which nothing was changed since they were read. Blocks.
    pub(crate) fn plan(&self, on: &Base<'_>) -> Result<Edit> {
        let inner = &self.inner;
        let live = on.runtime.block_on(Live::of(on.table, on.head))?;
        let widely = live.widely_deleted(on.table, on.runtime)?;
        let by_path: HashMap<&str, usize> =
            live.files.iter().map(|file| file.data_file.file_path()).zip(0..).collect();
        let mut edit = Edit::new(SnapshotOperation::Replace);
        let mut removed: HashMap<usize, HashSet<String>> = HashMap::new();
        let mut left_out = inner.left_out.lock().map_err(|_poisoned| poisoned())?;
        for (number, group) in inner.groups.iter().enumerate() {
            if left_out.contains(&number) {
                continue;
            }
            let mut going = Vec::new();
            for (path, deleted) in &group.before {
                let Some(file) =
                    by_path.get(path.as_str()).and_then(|index| live.files.get(*index))
                else {
                    break;
                };
                if live.deleted(on.table, on.runtime, file, &widely)?.len() != *deleted {
                    break;
                }
                going.push(file);
                going.extend(live.own_deletes(file));
            }
            let data =
                going.iter().filter(|file| group.before.contains_key(file.data_file.file_path()));
            if data.count() < group.before.len() {
                left_out.insert(number);
                continue;
            }
            for file in going {
                let path = file.data_file.file_path().to_owned();
                removed.entry(file.manifest).or_default().insert(path);
            }
            edit.files.extend(group.after.iter().map(|file| Added {
                sequence_number: Some(inner.sequence_number),
                ..Added::data(file)
            }));
        }
        if removed.is_empty() {
            return Err(Error::new(ErrorKind::CommitConflict)
                .with("reason", "other commits changed every file that was rewritten"));
        }
        edit.removed = Removed::Files(removed);
        edit.manifests = Some(live.manifests);
        Ok(edit)
    }

    /// The new files of the groups that were committed, and of those that were left out.
    fn sort_out(&self) -> (Vec<&WrittenFile>, Vec<&WrittenFile>) {
        let left_out = match self.inner.left_out.lock() {
            Ok(left_out) => left_out.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        };
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for (number, group) in self.inner.groups.iter().enumerate() {
            let to = if left_out.contains(&number) { &mut dropped } else { &mut kept };
            to.extend(&group.after);
        }
        (kept, dropped)
    }

    /// Addresses of all new files.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let files = self.inner.groups.iter().flat_map(|group| &group.after);
        files.map(|file| file.path.clone()).collect()
    }
}

fn poisoned() -> Error {
    Error::new(ErrorKind::Unexpected).with("reason", "a compaction panicked")
}
