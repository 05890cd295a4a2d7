//! Takes changes in order and keeps, for every key touched, where its latest row is.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use iceberg::spec::DataFile;
use roaring::RoaringTreemap;

use super::key::{KeyColumns, KeyHash, KeyHasher, KeyMap, KeyRanges, Taken};
use super::patch::{Layer, Pending, Source};
use super::{Inner, Merge, MergeOptions, OnDelete, Orphans, PENDING_BYTES, PENDING_ROWS};
use crate::error::{Error, ErrorKind, Result};
use crate::live::{Live, deletes};
use crate::settings::WriteOptions;
use crate::table::LakeTable;
use crate::write::WrittenFile;
use crate::write::align::align;
use crate::write::encode::{Encoder, Place};

/// Data files, delete files about them with their partition specs, and the rows that are left.
type Ended = (Vec<WrittenFile>, Vec<(DataFile, i32)>, u64);

/// What the index knows of a key, packed into 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latest {
    Row(Place),
    Waiting(usize),
    Deleted,
}

const WAITING: u64 = 1 << 62;
const DELETED: u64 = 1 << 63;
/// A file has fewer rows than 2^40.
const POSITION_BITS: u32 = 40;
const MOST_FILES: u32 = 1 << 22;

impl Latest {
    fn pack(self) -> u64 {
        match self {
            Self::Row(place) => (u64::from(place.file) << POSITION_BITS) | place.position,
            Self::Waiting(slot) => WAITING | slot as u64,
            Self::Deleted => DELETED,
        }
    }

    fn unpack(packed: u64) -> Self {
        if packed == DELETED {
            return Self::Deleted;
        }
        if packed & WAITING != 0 {
            return Self::Waiting(usize::try_from(packed & !WAITING).unwrap_or(usize::MAX));
        }
        Self::Row(Place {
            file: u32::try_from(packed >> POSITION_BITS).unwrap_or(u32::MAX),
            position: packed & ((1 << POSITION_BITS) - 1),
        })
    }
}

/// Writes the changes of one merge. Every method may block; call it from a plain thread.
///
/// Changes count in the order in which they are handed over, within a batch in the order of its rows. Dropping a
/// writer without [`MergeWriter::finish`] deletes what it wrote. After an error the writer must not be used further.
pub struct MergeWriter {
    pub(super) table: LakeTable,
    pub(super) schema: SchemaRef,
    write: WriteOptions,
    prefix: String,
    on_delete: OnDelete,
    sidecar: Option<usize>,
    orphans: Orphans,
    pub(super) columns: KeyColumns,
    pub(super) hasher: KeyHasher,
    ranges: KeyRanges,
    pub(super) index: KeyMap,
    /// Rows of the writer that are not the latest of their key, by number of file.
    superseded: BTreeMap<u32, RoaringTreemap>,
    pub(super) pending: Pending,
    encoder: Option<Encoder>,
    pub(super) live: Option<Arc<Live>>,
    is_truncating: bool,
    pub(super) completed_at: Option<i64>,
}

impl MergeWriter {
    pub(crate) fn start(
        table: &LakeTable,
        write: &WriteOptions,
        options: MergeOptions,
        prefix: &str,
    ) -> Result<Self> {
        let schema = table.arrow_schema();
        let position = |name: &str| {
            schema.index_of(name).map_err(|error| {
                Error::new(ErrorKind::RowsMismatch)
                    .with("column", name)
                    .with("reason", "the table has no such column")
                    .because(error)
            })
        };
        if let OnDelete::Mark { column } = &options.on_delete {
            position(column)?;
        }
        let sidecar = options.sidecar.as_deref().map(position).transpose()?;
        let columns = KeyColumns::new(&schema, &options.key)?;
        Ok(Self {
            hasher: columns.hasher()?,
            ranges: columns.ranges()?,
            columns,
            pending: Pending::new(&schema, sidecar),
            encoder: Some(new_encoder(table, write, prefix)?),
            table: table.clone(),
            schema,
            write: write.clone(),
            prefix: prefix.to_owned(),
            on_delete: options.on_delete,
            sidecar,
            orphans: options.orphans,
            index: KeyMap::default(),
            superseded: BTreeMap::new(),
            live: None,
            is_truncating: false,
            completed_at: None,
        })
    }

    /// Full rows, of which a later one of one key replaces the earlier one, also within a batch.
    ///
    /// Columns are taken by name as in [`crate::DataWriter::write`].
    ///
    /// # Errors
    /// [`ErrorKind::RowsMismatch`] when the rows do not have the schema of the table or a key is null.
    pub fn upsert(&mut self, rows: RecordBatch) -> Result<()> {
        let rows = align(rows, &self.schema)?;
        let keys = self.columns.of(&rows)?;
        let mut hashes = self.hasher.hash(&keys)?;
        let rows = match latest_of_each(&hashes) {
            None => rows,
            Some(is_latest) => {
                let mut latest = is_latest.iter().copied();
                hashes.retain(|_hash| latest.next().unwrap_or(true));
                filter_record_batch(&rows, &BooleanArray::from(is_latest))
                    .map_err(|error| Error::new(ErrorKind::Unexpected).because(error))?
            }
        };
        self.ranges.add(&self.columns.of(&rows)?)?;
        self.put(&rows, &hashes)
    }

    /// Rows in which some columns are unknown and keep the value that the row of the same key has, in the table or
    /// written before by this writer. `kept` lists them for each row, by index in [`LakeTable::arrow_schema`]; what the
    /// rows hold there does not matter. The sidecar's entries of these columns are kept, too.
    ///
    /// # Errors
    /// [`ErrorKind::PatchWithoutRow`] when there is no such row, under [`Orphans::Refuse`]; it may come from a later call.
    /// [`ErrorKind::RowsMismatch`] as in [`MergeWriter::upsert`], or when a column of the key is to be kept.
    pub fn patch(&mut self, rows: RecordBatch, kept: Vec<Box<[usize]>>) -> Result<()> {
        if kept.len() != rows.num_rows() {
            return Err(Error::new(ErrorKind::RowsMismatch)
                .with("rows", rows.num_rows())
                .with("lists of kept columns", kept.len()));
        }
        let keys = self.columns.of(&rows)?;
        let hashes = self.hasher.hash(&keys)?;
        let mut columns = self.given(&rows)?;
        for (index, column) in columns.iter_mut().enumerate() {
            let field = self.schema.field(index);
            if column.is_some() || kept.iter().all(|kept| kept.contains(&index)) {
                continue;
            }
            if !field.is_nullable() {
                return Err(Error::new(ErrorKind::RowsMismatch)
                    .with("column", field.name())
                    .with("reason", "the rows lack a required column"));
            }
            *column = Some(new_null_array(field.data_type(), rows.num_rows()));
        }
        let mut last: Arc<[usize]> = Arc::new([]);
        let mut layers = Vec::with_capacity(kept.len());
        for mut kept in kept {
            kept.sort_unstable();
            let is_key = |index: &usize| {
                let field = self.schema.fields().get(*index);
                field.is_none_or(|field| self.columns.schema().index_of(field.name()).is_ok())
            };
            if let Some(index) = kept.iter().find(|index| is_key(index)) {
                return Err(Error::new(ErrorKind::RowsMismatch).with("column number", index).with(
                    "reason",
                    "a column of the key, or one that is not there, is to be kept",
                ));
            }
            let kept: Vec<usize> =
                kept.iter().copied().filter(|index| self.sidecar != Some(*index)).collect();
            if *last != *kept {
                last = kept.into();
            }
            layers.push(Arc::clone(&last));
        }
        self.wait(columns, &keys, &hashes, &layers, self.orphans == Orphans::Refuse)
    }

    /// Takes rows away, or marks them, by their keys. A key that has no row is passed over.
    ///
    /// For [`OnDelete::Mark`] the batch also has the column of the mark, and whatever else is to be set on the row.
    ///
    /// # Errors
    /// [`ErrorKind::RowsMismatch`] when a column of the key is missing or null, or the mark is missing.
    pub fn delete(&mut self, keys: RecordBatch) -> Result<()> {
        let columns = self.columns.of(&keys)?;
        let hashes = self.hasher.hash(&columns)?;
        if let OnDelete::Mark { column } = &self.on_delete {
            let given = self.given(&keys)?;
            if keys.column_by_name(column).is_none() {
                return Err(Error::new(ErrorKind::RowsMismatch)
                    .with("column", column)
                    .with("reason", "a delete lacks the column of the mark"));
            }
            let kept: Arc<[usize]> = (0..self.schema.fields().len())
                .filter(|index| given.get(*index).is_none_or(Option::is_none))
                .collect();
            let layers = vec![kept; hashes.len()];
            return self.wait(given, &columns, &hashes, &layers, false);
        }
        self.ranges.add(&columns)?;
        for hash in hashes {
            let before = if self.is_truncating {
                self.index.remove(&hash)
            } else {
                self.index.insert(hash, Latest::Deleted.pack())
            };
            self.supersede(before);
        }
        Ok(())
    }

    /// Takes everything away: the rows of the table, and all changes handed over so far.
    ///
    /// # Errors
    /// None but the failure to start a new file; what cannot be deleted is left to the sweep of orphans.
    pub fn truncate(&mut self) -> Result<()> {
        if let Some(encoder) = self.encoder.take() {
            encoder.discard();
        }
        self.encoder = Some(new_encoder(&self.table, &self.write, &self.prefix)?);
        self.index = KeyMap::default();
        self.ranges = self.columns.ranges()?;
        self.superseded.clear();
        self.pending.clear();
        self.is_truncating = true;
        self.completed_at = None;
        Ok(())
    }

    /// Keys touched so far; after a truncate, since then. What is held grows with it.
    pub fn touched_keys(&self) -> u64 {
        self.index.len() as u64
    }

    /// Ends the files written so far. Nothing is visible before the commit.
    ///
    /// # Errors
    /// [`ErrorKind::PatchWithoutRow`] for rows of [`MergeWriter::patch`], and failures of the warehouse.
    pub fn finish(mut self) -> Result<Merge> {
        self.complete_all()?;
        let (files, deletes, rows) = self.end_files()?;
        self.ranges.settle();
        Ok(Merge {
            inner: Arc::new(Inner {
                files,
                deletes,
                rows,
                columns: self.columns.clone(),
                keys: std::mem::take(&mut self.index),
                ranges: std::mem::replace(&mut self.ranges, self.columns.ranges()?),
                is_truncating: self.is_truncating,
                completed_at: self.completed_at,
                write: self.write.clone(),
                prefix: self.prefix.clone(),
            }),
        })
    }

    /// The columns of a batch by their place in the table; one it lacks is absent.
    fn given(&self, rows: &RecordBatch) -> Result<Vec<Option<ArrayRef>>> {
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.schema.fields().len()];
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            let refuse = |reason: &str| {
                Error::new(ErrorKind::RowsMismatch)
                    .with("column", field.name())
                    .with("reason", reason)
            };
            let index = self.schema.index_of(field.name());
            let index =
                index.map_err(|error| refuse("the table has no such column").because(error))?;
            if column.data_type() != self.schema.field(index).data_type() {
                return Err(refuse("the rows have another type than the table")
                    .with("type of the rows", column.data_type())
                    .with("type of the table", self.schema.field(index).data_type()));
            }
            if let Some(place) = columns.get_mut(index) {
                *place = Some(Arc::clone(column));
            }
        }
        Ok(columns)
    }

    /// Writes full rows, each of another key.
    pub(super) fn put(&mut self, rows: &RecordBatch, hashes: &[KeyHash]) -> Result<()> {
        let mut places = Vec::with_capacity(hashes.len());
        self.encoder()?.write(rows, Some(&mut places))?;
        if places.iter().any(|place| place.file >= MOST_FILES) {
            return Err(
                Error::new(ErrorKind::Unexpected).with("reason", "a merge has too many files")
            );
        }
        for (hash, place) in hashes.iter().zip(places) {
            let before = self.index.insert(*hash, Latest::Row(place).pack());
            self.supersede(before);
        }
        Ok(())
    }

    pub(super) fn encoder(&mut self) -> Result<&mut Encoder> {
        self.encoder.as_mut().ok_or_else(|| {
            Error::new(ErrorKind::Unexpected).with("reason", "the writer failed before")
        })
    }

    /// What was the latest of a key is not any more.
    fn supersede(&mut self, before: Option<u64>) {
        match before.map(Latest::unpack) {
            Some(Latest::Row(place)) => {
                self.superseded.entry(place.file).or_default().insert(place.position);
            }
            Some(Latest::Waiting(slot)) => self.pending.give_up(slot),
            Some(Latest::Deleted) | None => {}
        }
    }

    /// Lets partly known rows wait.
    fn wait(
        &mut self,
        columns: Vec<Option<ArrayRef>>,
        keys: &[ArrayRef],
        hashes: &[KeyHash],
        kept: &[Arc<[usize]>],
        is_required: bool,
    ) -> Result<()> {
        self.ranges.add(keys)?;
        let batch = self.pending.add_batch(columns);
        for (row, (hash, kept)) in hashes.iter().zip(kept).enumerate() {
            let layer = Layer { batch, row, kept: Arc::clone(kept) };
            let latest = self.index.get(hash).copied().map(Latest::unpack);
            let source = match latest {
                Some(Latest::Waiting(slot)) => {
                    self.pending.cover(slot, is_required, layer);
                    continue;
                }
                Some(Latest::Row(place)) => Source::Written(place),
                _none if layer.kept.is_empty() => Source::Nowhere,
                None if !self.is_truncating => Source::Table,
                Some(Latest::Deleted) | None if is_required => {
                    return Err(Error::new(ErrorKind::PatchWithoutRow)
                        .with("reason", "the row was deleted before by the same commit"));
                }
                Some(Latest::Deleted) | None => continue,
            };
            let slot = self.pending.add(*hash, source, is_required, layer);
            let before = self.index.insert(*hash, Latest::Waiting(slot).pack());
            self.supersede(before);
        }
        if self.pending.bytes() >= PENDING_BYTES || self.pending.rows() >= PENDING_ROWS {
            self.complete_all()?;
        }
        Ok(())
    }

    /// Ends the files, drops those of which nothing is left, and writes delete files about the rest.
    fn end_files(&mut self) -> Result<Ended> {
        let Some(encoder) = self.encoder.take() else { return Ok((Vec::new(), Vec::new(), 0)) };
        let (mut files, mut deletes, mut rows) = (Vec::new(), Vec::new(), 0);
        let io = self.table.inner().file_io().clone();
        let runtime = self.table.runtime().clone();
        let forget = |address: &str| {
            if let Err(error) = runtime.block_on(io.delete(address)) {
                tracing::warn!(file = address, %error, "a file that is not needed could not be deleted");
            }
        };
        let mut failed = None;
        for (number, file) in (0_u32..).zip(encoder.finish()?) {
            let superseded = self.superseded.remove(&number).unwrap_or_default();
            if failed.is_some() || superseded.len() == file.rows {
                forget(&file.path);
                continue;
            }
            rows += file.rows - superseded.len();
            if !superseded.is_empty() {
                let about = deletes::About {
                    path: &file.path,
                    spec_id: file.spec_id,
                    partition: file.data_file.partition(),
                };
                let address = deletes::address(&file.path);
                match deletes::write(&io, &runtime, &address, &about, &superseded) {
                    Ok(delete) => deletes.push((delete, file.spec_id)),
                    Err(error) => failed = Some(error),
                }
            }
            files.push(file);
        }
        match failed {
            None => Ok((files, deletes, rows)),
            Some(error) => {
                files.iter().for_each(|file| forget(&file.path));
                deletes.iter().for_each(|(file, _spec)| forget(file.file_path()));
                Err(error)
            }
        }
    }
}

impl Drop for MergeWriter {
    fn drop(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            encoder.discard();
        }
    }
}

impl fmt::Debug for MergeWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MergeWriter")
            .field("table", &self.table)
            .field("touched_keys", &self.index.len())
            .finish_non_exhaustive()
    }
}

fn new_encoder(table: &LakeTable, write: &WriteOptions, prefix: &str) -> Result<Encoder> {
    Encoder::of(table.inner(), table.iceberg_schema(), table.runtime(), write, prefix)
}

/// Which rows are the last of their key; `None` when all are.
fn latest_of_each(hashes: &[KeyHash]) -> Option<Vec<bool>> {
    let mut seen: HashSet<KeyHash, BuildHasherDefault<Taken>> = HashSet::default();
    seen.reserve(hashes.len());
    let mut is_latest: Vec<bool> = hashes.iter().rev().map(|hash| seen.insert(*hash)).collect();
    if seen.len() == hashes.len() {
        return None;
    }
    is_latest.reverse();
    Some(is_latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_index_knows_survives_packing() {
        for latest in [
            Latest::Row(Place { file: 0, position: 0 }),
            Latest::Row(Place { file: (1 << 22) - 1, position: (1 << 40) - 1 }),
            Latest::Waiting(0),
            Latest::Waiting(1 << 40),
            Latest::Deleted,
        ] {
            assert_eq!(Latest::unpack(latest.pack()), latest);
        }
    }
}
