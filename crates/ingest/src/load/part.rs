//! One part of a table on its way into files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use ol_lake::{DataWriter, WrittenFile};

use super::{LoadMode, Target};
use crate::failpoints;

/// Takes the batches of one part, on the reader's own thread. Dropping it deletes what it wrote.
pub struct PartWriter {
    target: Arc<Target>,
    held: Option<RecordBatch>,
    writer: Option<DataWriter>,
}

impl PartWriter {
    pub(super) fn new(target: Arc<Target>) -> Self {
        Self { target, held: None, writer: None }
    }

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

    /// Takes rows that say of their keys that they are gone: whole rows of a log, else what [`Target`] needs of them.
    ///
    /// # Errors
    /// The lake's.
    pub fn delete(&mut self, batch: RecordBatch) -> Result<(), ol_lake::Error> {
        match &self.target.settings.mode {
            LoadMode::Overwrite | LoadMode::Append => self.write(batch),
            LoadMode::Merge(merging) => self.target.merge(merging, |writer| writer.delete(batch)),
        }
    }

    /// Ends several parts: their files. What they hold back goes into files of its own, together.
    pub(super) fn finish(self, parts: Vec<Self>) -> Result<Vec<WrittenFile>, ol_lake::Error> {
        let (mut files, mut rest) = (Vec::new(), self);
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

    fn put(&mut self, batch: RecordBatch) -> Result<(), ol_lake::Error> {
        if let LoadMode::Merge(merging) = &self.target.settings.mode {
            return self.target.merge(merging, |writer| writer.upsert(batch));
        }
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
