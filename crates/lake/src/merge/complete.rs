//! Completes the rows that wait: from nothing, from rows this writer wrote before, and from the table.
//!
//! Rows of a source are read in the order in which they stand there, a batch at a time, and written at once, so what is
//! held is the rows that wait and one batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use futures::StreamExt;
use roaring::RoaringTreemap;

use super::key::{KeyHash, KeyMap};
use super::locate::{Touched, locate};
use super::patch::{Slot, Source};
use super::writer::MergeWriter;
use crate::error::{Error, ErrorKind, Result};
use crate::live::Live;
use crate::live::rows::{RowsFile, Wanted};

/// Rows completed at a time.
const COMPLETED_ROWS: usize = 4096;

impl MergeWriter {
    /// Completes and writes all rows that wait.
    pub(super) fn complete_all(&mut self) -> Result<()> {
        if self.pending.rows() == 0 {
            return Ok(());
        }
        self.complete_known()?;
        self.complete_written()?;
        self.complete_from_table()?;
        self.pending.clear();
        Ok(())
    }

    fn complete(&mut self, earlier: &RecordBatch, pairs: &[(usize, usize)]) -> Result<()> {
        for pairs in pairs.chunks(COMPLETED_ROWS) {
            let rows = self.pending.complete(earlier, pairs)?;
            let slots = pairs.iter().filter_map(|(slot, _row)| self.pending.slot(*slot));
            let hashes: Vec<KeyHash> = slots.map(|slot| slot.key).collect();
            self.put(&rows, &hashes)?;
        }
        Ok(())
    }

    fn complete_known(&mut self) -> Result<()> {
        let of =
            |(index, slot): (usize, &Slot)| (slot.source == Source::Nowhere).then_some((index, 0));
        let pairs: Vec<(usize, usize)> = self.pending.waiting().filter_map(of).collect();
        let nothing = RecordBatch::new_empty(Arc::clone(&self.schema));
        self.complete(&nothing, &pairs)
    }

    /// Rows that change a row this writer wrote before.
    fn complete_written(&mut self) -> Result<()> {
        let mut by_file: BTreeMap<u32, Vec<(u64, usize)>> = BTreeMap::new();
        for (index, slot) in self.pending.waiting() {
            if let Source::Written(place) = slot.source {
                by_file.entry(place.file).or_default().push((place.position, index));
            }
        }
        if by_file.is_empty() {
            return Ok(());
        }
        self.encoder()?.close_all()?;
        let runtime = self.table.runtime().clone();
        for (number, mut slots) in by_file {
            slots.sort_unstable();
            let file = self.encoder()?.file(number).cloned().ok_or_else(|| {
                Error::new(ErrorKind::Unexpected).with("reason", "a written file is not there")
            })?;
            let rows: RoaringTreemap = slots.iter().map(|(position, _slot)| *position).collect();
            let io = self.table.inner().file_io().clone();
            let opened = runtime.block_on(RowsFile::open(&io, &file.path, file.bytes))?;
            let read = opened.read(&self.schema, Wanted::Only(&rows));
            let mut batches = runtime.block_on(read)?;
            let mut slots = slots.into_iter().map(|(_position, slot)| slot);
            while let Some(batch) = runtime.block_on(batches.next()) {
                let batch = batch?;
                let pairs: Vec<(usize, usize)> =
                    slots.by_ref().take(batch.num_rows()).zip(0..).collect();
                self.complete(&batch, &pairs)?;
            }
        }
        Ok(())
    }

    /// Rows that change a row of the table.
    fn complete_from_table(&mut self) -> Result<()> {
        let mut wanted = KeyMap::default();
        for (index, slot) in self.pending.waiting() {
            if slot.source == Source::Table {
                wanted.insert(slot.key, index as u64);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut ranges = self.columns.ranges()?;
        for batch in 0..self.pending.batches() {
            let keys = self.columns.schema().fields().iter().map(|field| {
                let index = self.schema.index_of(field.name()).ok()?;
                self.pending.column(batch, index).cloned()
            });
            if let Some(keys) = keys.collect::<Option<Vec<ArrayRef>>>() {
                ranges.add(&keys)?;
            }
        }
        ranges.settle();
        let live = self.live()?;
        let inner = self.table.inner().clone();
        let runtime = self.table.runtime().clone();
        let columns = self.columns.clone();
        let touched = Touched { columns: &columns, keys: &wanted, ranges: &ranges };
        let found = locate(&inner, &runtime, &live, &touched)?;
        let mut left = wanted.clone();
        for found in found {
            let Some(file) = live.files.get(found.file) else { continue };
            let open = RowsFile::open_live(inner.file_io(), &file.data_file);
            let opened = runtime.block_on(open)?;
            let read = opened.read(&self.schema, Wanted::Only(&found.rows));
            let mut batches = runtime.block_on(read)?;
            while let Some(batch) = runtime.block_on(batches.next()) {
                let batch = batch?;
                let hashes = self.hasher.hash(&self.columns.of(&batch)?)?;
                let mut pairs = Vec::new();
                for (row, hash) in hashes.iter().enumerate() {
                    // A key the table has twice is completed from one of its rows; both go.
                    if let Some(slot) = left.remove(hash) {
                        pairs.push((usize::try_from(slot).unwrap_or(usize::MAX), row));
                    }
                }
                self.complete(&batch, &pairs)?;
            }
        }
        self.completed_at = inner.metadata().current_snapshot_id();
        let is_required = |slot: &u64| {
            let slot = usize::try_from(*slot).ok().and_then(|slot| self.pending.slot(slot));
            slot.is_some_and(|slot| slot.is_required)
        };
        let missing = left.values().filter(|slot| is_required(slot)).count();
        if missing > 0 {
            return Err(Error::new(ErrorKind::PatchWithoutRow)
                .with("table", self.table.name())
                .with("rows", missing));
        }
        // Marks of rows that are not there.
        for hash in left.keys() {
            self.index.remove(hash);
        }
        Ok(())
    }

    /// The live files of the table as it was loaded.
    fn live(&mut self) -> Result<Arc<Live>> {
        if let Some(live) = &self.live {
            return Ok(Arc::clone(live));
        }
        let table = self.table.inner();
        let read = Live::of(table, table.metadata().current_snapshot_id());
        let live = Arc::new(self.table.runtime().block_on(read)?);
        self.live = Some(Arc::clone(&live));
        Ok(live)
    }
}
