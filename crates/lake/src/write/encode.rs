//! Batches to rolling Parquet files, with memory bounded by encoded bytes.
//!
//! A table with partitions has one open file a partition, at most [`MOST_OPEN_FILES`]; one more ends the file that was
//! written to least recently, so rows scattered over many partitions make many small files and not much memory. All
//! open files together hold at most [`HELD_ROW_GROUPS`] row groups in encoded form: beyond that, the largest one ends.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::SchemaRef as ArrowSchemaRef;
use arrow_select::take::take_record_batch;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{DataFile, SchemaRef, Struct};
use iceberg::table::Table;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::schema::types::SchemaDescriptor;
use roaring::RoaringTreemap;
use tokio::runtime::Handle;

use super::layout::{Layout, PartitionKey};
use super::metrics::{self, Counts};
use super::properties;
use super::sink::Sink;
use super::{Output, WrittenFile};
use crate::error::{Error, ErrorKind, Result};
use crate::live::rows::{RowsFile, Wanted};
use crate::settings::WriteOptions;

/// Rows are handed to Parquet in slices of about this many bytes in memory, and sizes are looked at in between: a
/// batch of few but huge values would else be encoded in one go.
const SLICE_BYTES: usize = 8 << 20;

/// Files that are open at the same time.
const MOST_OPEN_FILES: usize = 16;
/// Row groups held by all open files together, by their size.
const HELD_ROW_GROUPS: u64 = 4;

/// Encodes the rows of one writer.
pub(crate) struct Encoder {
    schema: ArrowSchemaRef,
    table_schema: SchemaRef,
    parquet_schema: SchemaDescriptor,
    layout: Layout,
    options: WriteOptions,
    output: Output,
    identifier: uuid::Uuid,
    /// By number of the file; `None` while it is open.
    files: Vec<Option<WrittenFile>>,
    /// The one written to most recently is last.
    open: Vec<OpenFile>,
}

/// Where a row stands: the number of its file in the writer, and its position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) position: u64,
}

struct OpenFile {
    number: u32,
    partition_key: PartitionKey,
    partition: Struct,
    address: String,
    writer: ArrowWriter<Sink>,
    counts: Counts,
    rows: u64,
}

impl Encoder {
    pub(crate) fn new(
        schema: ArrowSchemaRef,
        table_schema: &SchemaRef,
        layout: Layout,
        options: &WriteOptions,
        output: Output,
    ) -> Result<Self> {
        Ok(Self {
            layout,
            parquet_schema: properties::parquet_schema(&schema, table_schema)?,
            schema,
            table_schema: Arc::clone(table_schema),
            options: options.clone(),
            output,
            identifier: uuid::Uuid::now_v7(),
            files: Vec::new(),
            open: Vec::new(),
        })
    }

    /// An encoder of a table as it will have `schema`.
    pub(crate) fn of(
        table: &Table,
        schema: &SchemaRef,
        runtime: &Handle,
        options: &WriteOptions,
        prefix: &str,
    ) -> Result<Self> {
        let arrow = schema_to_arrow_schema(schema)
            .map_err(|error| Error::from_iceberg(ErrorKind::Unexpected, error))?;
        let arrow = Arc::new(arrow);
        let layout = Layout::of(table, schema, &arrow)?;
        Self::new(arrow, schema, layout, options, Output::new(table, runtime, prefix))
    }

    /// Encodes the rows of a data file except those that are gone.
    pub(crate) fn copy(
        &mut self,
        table: &Table,
        runtime: &Handle,
        file: &DataFile,
        gone: &RoaringTreemap,
    ) -> Result<()> {
        let mut batches = self.rows(table, runtime, file, gone)?;
        while let Some(batch) = runtime.block_on(batches.next()) {
            self.write(&batch?, None)?;
        }
        Ok(())
    }

    /// The rows of a data file except those that are gone, as this encoder takes them.
    pub(crate) fn rows(
        &self,
        table: &Table,
        runtime: &Handle,
        file: &DataFile,
        gone: &RoaringTreemap,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let opened = runtime.block_on(RowsFile::open_live(table.file_io(), file))?;
        runtime.block_on(opened.read(&self.schema, Wanted::Except(gone)))
    }

    /// Whether rows are put in order.
    pub(crate) fn sorts(&self) -> bool {
        self.layout.sorts()
    }

    /// Encodes the rows; `places` then says where each one went, in the order of the batch.
    pub(crate) fn write(
        &mut self,
        batch: &RecordBatch,
        mut places: Option<&mut Vec<Place>>,
    ) -> Result<()> {
        if let Some(places) = places.as_deref_mut() {
            places.clear();
            places.resize(batch.num_rows(), Place { file: 0, position: 0 });
        }
        for part in self.layout.arrange(batch)? {
            let rows = part.rows.map(UInt32Array::from);
            let arranged = match &rows {
                None => batch.clone(),
                Some(rows) => take_record_batch(batch, rows)
                    .map_err(|error| Error::new(ErrorKind::Unexpected).because(error))?,
            };
            let mut number = 0;
            self.write_part(&part.key, &part.partition, &arranged, &mut |place| {
                let row = match &rows {
                    None => number,
                    Some(rows) => rows.values().get(number).map_or(number, |row| *row as usize),
                };
                number += 1;
                if let Some(to) = places.as_deref_mut().and_then(|places| places.get_mut(row)) {
                    *to = place;
                }
            })?;
        }
        Ok(())
    }

    /// Encodes rows of one partition in slices, and tells the place of each.
    fn write_part(
        &mut self,
        key: &PartitionKey,
        partition: &Struct,
        batch: &RecordBatch,
        placed: &mut dyn FnMut(Place),
    ) -> Result<()> {
        let rows = batch.num_rows();
        let bytes: usize = batch.columns().iter().map(sliced_bytes).sum();
        let rows_a_slice =
            (rows * SLICE_BYTES).checked_div(bytes).unwrap_or(rows).clamp(1, rows.max(1));
        let mut offset = 0;
        while offset < rows {
            let length = rows_a_slice.min(rows - offset);
            let slice = batch.slice(offset, length);
            let first = self.write_slice(key, partition, &slice)?;
            let positions = first.position..first.position + length as u64;
            positions.for_each(|position| placed(Place { file: first.file, position }));
            offset += length;
        }
        Ok(())
    }

    /// Encodes rows of one partition and says where the first one went.
    fn write_slice(
        &mut self,
        key: &PartitionKey,
        partition: &Struct,
        batch: &RecordBatch,
    ) -> Result<Place> {
        let mut file = match self.open.iter().position(|file| file.partition_key == *key) {
            Some(index) => self.open.remove(index),
            None => {
                if self.open.len() >= MOST_OPEN_FILES {
                    let oldest = self.open.remove(0);
                    self.close(oldest)?;
                }
                let file = self.start(batch, key, partition)?;
                self.files.push(None);
                file
            }
        };
        let first = Place { file: file.number, position: file.rows };
        let written = file.write(batch, &self.options);
        let address = file.address.clone();
        self.open.push(file);
        let is_full = written.map_err(|error| error.with("file", &address))?;
        if is_full && let Some(file) = self.open.pop() {
            self.close(file)?;
        }
        self.bound_memory()?;
        Ok(first)
    }

    /// Ends the largest row group when all open files together hold too much.
    fn bound_memory(&mut self) -> Result<()> {
        let held: u64 = self.open.iter().map(OpenFile::held).sum();
        if self.open.len() > 1
            && held >= self.options.row_group_bytes.saturating_mul(HELD_ROW_GROUPS)
            && let Some(largest) = self.open.iter_mut().max_by_key(|file| file.held())
        {
            largest.writer.flush().map_err(Error::from_parquet)?;
        }
        Ok(())
    }

    fn start(
        &self,
        sample: &RecordBatch,
        partition_key: &PartitionKey,
        partition: &Struct,
    ) -> Result<OpenFile> {
        let number = u32::try_from(self.files.len()).map_err(|error| {
            Error::new(ErrorKind::Unexpected).with("reason", "too many files").because(error)
        })?;
        let address = self.output.address(self.identifier, self.files.len());
        let fails = |error| Error::from_iceberg(ErrorKind::WarehouseUnwritable, error);
        let file = self.output.file_io.new_output(&address).map_err(fails)?;
        let file = self.output.runtime.block_on(file.writer()).map_err(fails)?;
        let sink = Sink::new(file, self.output.runtime.clone());
        let options = ArrowWriterOptions::new()
            .with_properties(properties::choose(sample, &self.parquet_schema, &self.options)?)
            .with_parquet_schema(self.parquet_schema.clone())
            // Readers take types from the table's schema; for 1,600 columns the copy is larger than the data.
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(sink, Arc::clone(&self.schema), options)
            .map_err(Error::from_parquet)?;
        Ok(OpenFile {
            number,
            partition_key: partition_key.clone(),
            partition: partition.clone(),
            address,
            writer,
            counts: Counts::new(&self.table_schema),
            rows: 0,
        })
    }

    /// The file of this number, once it is closed.
    pub(crate) fn file(&self, number: u32) -> Option<&WrittenFile> {
        self.files.get(number as usize).and_then(Option::as_ref)
    }

    /// Ends the open files, so that their rows can be read.
    pub(crate) fn close_all(&mut self) -> Result<()> {
        while let Some(file) = self.open.pop() {
            self.close(file)?;
        }
        Ok(())
    }

    fn close(&mut self, mut file: OpenFile) -> Result<()> {
        let footer = file.writer.finish().map_err(Error::from_parquet);
        let closed = footer.and_then(|footer| {
            let bytes = file.writer.bytes_written() as u64;
            file.writer.inner_mut().close().map_err(|error| Error::from_parquet(error.into()))?;
            let data_file = metrics::data_file(
                &self.table_schema,
                &footer,
                &file.counts,
                &metrics::Entry {
                    address: &file.address,
                    rows: file.rows,
                    bytes,
                    spec_id: self.layout.spec_id,
                    partition: &file.partition,
                },
            )?;
            Ok(WrittenFile {
                path: file.address.clone(),
                rows: file.rows,
                bytes,
                data_file,
                spec_id: self.layout.spec_id,
            })
        });
        match closed {
            Ok(written) => {
                fail::fail_point!("lake.write.file_closed");
                if let Some(slot) = self.files.get_mut(file.number as usize) {
                    *slot = Some(written);
                }
                Ok(())
            }
            Err(error) => {
                self.delete(&file.address);
                Err(error.with("file", file.address))
            }
        }
    }

    /// Ends the last file and gives out all of them.
    pub(crate) fn finish(mut self) -> Result<Vec<WrittenFile>> {
        match self.close_all() {
            Ok(()) => Ok(self.files.into_iter().flatten().collect()),
            Err(error) => {
                self.discard();
                Err(error)
            }
        }
    }

    /// Deletes everything written so far. What cannot be deleted is left to the sweep of orphans.
    pub(crate) fn discard(mut self) {
        for file in std::mem::take(&mut self.open) {
            let address = file.address;
            drop(file.writer);
            self.delete(&address);
        }
        for file in self.files.iter().flatten() {
            self.delete(&file.path);
        }
    }

    fn delete(&self, address: &str) {
        if let Err(error) = self.output.runtime.block_on(self.output.file_io.delete(address)) {
            tracing::warn!(file = address, %error, "an unfinished data file could not be deleted");
        }
    }
}

impl OpenFile {
    /// Bytes of the open row group.
    fn held(&self) -> u64 {
        self.writer.memory_size().max(self.writer.in_progress_size()) as u64
    }

    /// Encodes rows and says whether the file has reached its size.
    fn write(&mut self, batch: &RecordBatch, options: &WriteOptions) -> Result<bool> {
        self.counts.add(batch);
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(Error::from_parquet)?;
        if self.held() >= options.row_group_bytes
            || self.writer.in_progress_rows() >= options.row_group_rows
        {
            self.writer.flush().map_err(Error::from_parquet)?;
        }
        let bytes = self.writer.bytes_written() as u64 + self.writer.in_progress_size() as u64;
        Ok(bytes >= options.target_file_bytes)
    }
}

/// Bytes of the rows of an array that may be a slice of larger buffers.
fn sliced_bytes(array: &Arc<dyn Array>) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}
