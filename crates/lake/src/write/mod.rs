//! Data files: from Arrow batches to Parquet files under `data/` of a table, on a thread of their own.
//!
//! [`DataWriter`] is called from plain threads that decode a source. Encoding costs as much as decoding, so it happens
//! on its own thread behind a short queue: the two overlap, and a slow disk slows the source down instead of filling
//! memory. What a writer holds is the queue, one row group in encoded form, and one page a column.

pub(crate) mod align;
pub(crate) mod encode;
pub(crate) mod layout;
pub(crate) mod metrics;
mod properties;
pub(crate) mod sink;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef as ArrowSchemaRef;
use iceberg::io::FileIO;
use iceberg::spec::DataFile;
use iceberg::table::Table;
use tokio::runtime::Handle;

use self::encode::Encoder;
use self::layout::Layout;
use crate::error::{Error, ErrorKind, Result};
use crate::settings::WriteOptions;
use crate::table::LakeTable;

/// A data file that is complete and not yet part of a table.
#[derive(Clone, Debug)]
pub struct WrittenFile {
    /// Its address.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    pub(crate) data_file: DataFile,
    pub(crate) spec_id: i32,
}

/// Writes data files of one table. Every method may block; call it from a plain thread.
///
/// Dropping a writer without [`DataWriter::finish`] deletes what it wrote.
#[derive(Debug)]
pub struct DataWriter {
    schema: ArrowSchemaRef,
    batches: Option<SyncSender<RecordBatch>>,
    encoder: Option<JoinHandle<Result<Vec<WrittenFile>>>>,
    is_aborted: Arc<AtomicBool>,
}

impl DataWriter {
    pub(crate) fn start(table: &LakeTable, options: &WriteOptions, prefix: &str) -> Result<Self> {
        let schema = table.arrow_schema();
        let output = Output::of(table, prefix);
        let layout = Layout::of(table.inner(), table.iceberg_schema(), &schema)?;
        let encoder =
            Encoder::new(Arc::clone(&schema), table.iceberg_schema(), layout, options, output)?;
        let (batches, queue) = sync_channel(options.queued_batches);
        let is_aborted = Arc::new(AtomicBool::new(false));
        let abort = Arc::clone(&is_aborted);
        let encoder = std::thread::Builder::new()
            .name("lake-encoder".to_owned())
            .spawn(move || run(encoder, &queue, &abort))
            .map_err(|error| {
                Error::new(ErrorKind::Unexpected)
                    .with("reason", "no thread can be started")
                    .because(error)
            })?;
        Ok(Self { schema, batches: Some(batches), encoder: Some(encoder), is_aborted })
    }

    /// Hands rows to the encoder; blocks while it is behind.
    ///
    /// Columns are taken by name: their order does not matter, an optional column that is missing is null, and a type
    /// must be exactly that of [`LakeTable::arrow_schema`].
    pub fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let batch = align::align(batch, &self.schema)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let is_taken = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        if is_taken {
            return Ok(());
        }
        // The encoder hung up, so it has failed and says why.
        self.batches = None;
        match self.join() {
            Err(error) => Err(error),
            Ok(_files) => Err(Error::new(ErrorKind::Unexpected)
                .with("reason", "the encoder has ended before the rows did")),
        }
    }

    /// Waits for the encoder and returns the files, in the order of their rows. No rows give no file.
    pub fn finish(mut self) -> Result<Vec<WrittenFile>> {
        self.batches = None;
        self.join()
    }

    /// Stops the encoder and deletes what it wrote.
    pub fn abort(self) {
        drop(self);
    }

    fn join(&mut self) -> Result<Vec<WrittenFile>> {
        let Some(encoder) = self.encoder.take() else {
            return Err(Error::new(ErrorKind::Unexpected)
                .with("reason", "the encoder has already reported its failure"));
        };
        encoder.join().unwrap_or_else(|_panic| {
            Err(Error::new(ErrorKind::Unexpected).with("reason", "the encoder panicked"))
        })
    }
}

impl Drop for DataWriter {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(encoder) = self.encoder.take() {
            self.is_aborted.store(true, Ordering::Release);
            // Its failure, if any, is of no more interest: what it wrote is deleted either way.
            drop(encoder.join());
        }
    }
}

fn run(
    mut encoder: Encoder,
    queue: &Receiver<RecordBatch>,
    is_aborted: &AtomicBool,
) -> Result<Vec<WrittenFile>> {
    let mut encode = || -> Result<()> {
        for batch in queue {
            if is_aborted.load(Ordering::Acquire) {
                break;
            }
            encoder.write(&batch, None)?;
        }
        Ok(())
    };
    let encoded = encode();
    if encoded.is_err() || is_aborted.load(Ordering::Acquire) {
        encoder.discard();
        return encoded.map(|()| Vec::new());
    }
    encoder.finish()
}

/// Where the files of one writer go.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    folder: String,
    prefix: String,
    file_io: FileIO,
    runtime: Handle,
}

impl Output {
    pub(crate) fn of(table: &LakeTable, prefix: &str) -> Self {
        Self::new(table.inner(), table.runtime(), prefix)
    }

    pub(crate) fn new(table: &Table, runtime: &Handle, prefix: &str) -> Self {
        Self {
            folder: format!("{}/data", table.metadata().location()),
            prefix: prefix.to_owned(),
            file_io: table.file_io().clone(),
            runtime: runtime.clone(),
        }
    }

    /// The address of the `index`th file. The identifier keeps two writers of one prefix apart.
    fn address(&self, identifier: uuid::Uuid, index: usize) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let prefix: String = self.prefix.chars().take(100).map(plain).collect();
        format!("{}/{prefix}-{identifier}-{index:05}.parquet", self.folder)
    }
}
