//! Batches to rolling Parquet files, with memory bounded by encoded bytes.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef as ArrowSchemaRef;
use iceberg::spec::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::schema::types::SchemaDescriptor;

use super::metrics::{self, Counts};
use super::properties;
use super::sink::Sink;
use super::{Output, WrittenFile};
use crate::error::{Error, ErrorKind, Result};
use crate::settings::WriteOptions;

/// Rows are handed to Parquet in slices of about this many bytes in memory, and sizes are looked at in between: a
/// batch of few but huge values would else be encoded in one go.
const SLICE_BYTES: usize = 8 << 20;

/// Encodes the rows of one writer.
pub(crate) struct Encoder {
    schema: ArrowSchemaRef,
    table_schema: SchemaRef,
    parquet_schema: SchemaDescriptor,
    options: WriteOptions,
    output: Output,
    identifier: uuid::Uuid,
    /// By number of the file; `None` while it is open.
    files: Vec<Option<WrittenFile>>,
    open: Option<OpenFile>,
}

/// Where a row stands: the number of its file in the writer, and its position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) position: u64,
}

struct OpenFile {
    number: u32,
    address: String,
    writer: ArrowWriter<Sink>,
    counts: Counts,
    rows: u64,
}

impl Encoder {
    pub(crate) fn new(
        schema: ArrowSchemaRef,
        table_schema: &SchemaRef,
        options: &WriteOptions,
        output: Output,
    ) -> Result<Self> {
        Ok(Self {
            parquet_schema: properties::parquet_schema(&schema, table_schema)?,
            schema,
            table_schema: Arc::clone(table_schema),
            options: options.clone(),
            output,
            identifier: uuid::Uuid::now_v7(),
            files: Vec::new(),
            open: None,
        })
    }

    /// Encodes the rows, and says where each one went.
    pub(crate) fn write(
        &mut self,
        batch: &RecordBatch,
        mut places: Option<&mut Vec<Place>>,
    ) -> Result<()> {
        let rows = batch.num_rows();
        let bytes: usize = batch.columns().iter().map(sliced_bytes).sum();
        let rows_a_slice =
            (rows * SLICE_BYTES).checked_div(bytes).unwrap_or(rows).clamp(1, rows.max(1));
        let mut offset = 0;
        while offset < rows {
            let length = rows_a_slice.min(rows - offset);
            let slice = batch.slice(offset, length);
            let first = self.write_slice(&slice)?;
            if let Some(places) = places.as_deref_mut() {
                let positions = first.position..first.position + length as u64;
                places.extend(positions.map(|position| Place { file: first.file, position }));
            }
            offset += length;
        }
        Ok(())
    }

    /// Encodes rows and says where the first one went.
    fn write_slice(&mut self, batch: &RecordBatch) -> Result<Place> {
        if self.open.is_none() {
            self.open = Some(self.start(batch)?);
            self.files.push(None);
        }
        let file = self.open.as_mut().expect("it was opened right above");
        let first = Place { file: file.number, position: file.rows };
        let is_full =
            file.write(batch, &self.options).map_err(|error| error.with("file", &file.address))?;
        if is_full {
            self.close()?;
        }
        Ok(first)
    }

    fn start(&self, sample: &RecordBatch) -> Result<OpenFile> {
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
        Ok(OpenFile { number, address, writer, counts: Counts::new(&self.table_schema), rows: 0 })
    }

    /// The file of this number, once it is closed.
    pub(crate) fn file(&self, number: u32) -> Option<&WrittenFile> {
        self.files.get(number as usize).and_then(Option::as_ref)
    }

    /// Ends the open file, so that its rows can be read.
    pub(crate) fn close(&mut self) -> Result<()> {
        let Some(mut file) = self.open.take() else {
            return Ok(());
        };
        let footer = file.writer.finish().map_err(Error::from_parquet);
        let closed = footer.and_then(|footer| {
            let bytes = file.writer.bytes_written() as u64;
            file.writer.inner_mut().close().map_err(|error| Error::from_parquet(error.into()))?;
            let data_file = metrics::data_file(
                &self.table_schema,
                &footer,
                &file.counts,
                &file.address,
                file.rows,
                bytes,
            )?;
            Ok(WrittenFile {
                path: file.address.clone(),
                rows: file.rows,
                bytes,
                data_file,
                spec_id: 0,
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
        match self.close() {
            Ok(()) => Ok(self.files.into_iter().flatten().collect()),
            Err(error) => {
                self.discard();
                Err(error)
            }
        }
    }

    /// Deletes everything written so far. What cannot be deleted is left to the sweep of orphans.
    pub(crate) fn discard(mut self) {
        if let Some(file) = self.open.take() {
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
    /// Encodes rows and says whether the file has reached its size.
    fn write(&mut self, batch: &RecordBatch, options: &WriteOptions) -> Result<bool> {
        self.counts.add(batch);
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(Error::from_parquet)?;
        let held = self.writer.memory_size().max(self.writer.in_progress_size()) as u64;
        if held >= options.row_group_bytes
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
