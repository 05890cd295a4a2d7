//! Position delete files of format version 2: which rows of which data files are gone.
//!
//! One file of ours is about one data file and says so in its manifest entry, so that a merge finds it without
//! opening it, takes its rows over into the next one, and drops it together with the data file. A data file therefore
//! never has more than one delete file of ours, however many merges go over it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use iceberg::io::FileIO;
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Struct};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use roaring::RoaringTreemap;
use tokio::runtime::Handle;

use super::rows::{RowsFile, Wanted};
use crate::error::{Error, ErrorKind, Result};
use crate::write::sink::Sink;

/// Identifiers the specification reserves for the columns of such a file.
const PATH_FIELD: i32 = 2_147_483_546;
const POSITION_FIELD: i32 = 2_147_483_545;
/// Rows encoded at a time.
const BATCH_ROWS: usize = 65_536;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, data_type, identifier: i32| {
        let metadata =
            HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), identifier.to_string())]);
        Field::new(name, data_type, false).with_metadata(metadata)
    };
    Arc::new(Schema::new(vec![
        field("file_path", DataType::Utf8, PATH_FIELD),
        field("pos", DataType::Int64, POSITION_FIELD),
    ]))
});

/// Calls `each` with the path and the position of every row the file deletes. Blocks.
pub(crate) fn read(
    file_io: &FileIO,
    runtime: &Handle,
    delete: &DataFile,
    each: &mut dyn FnMut(&str, u64),
) -> Result<()> {
    let file = runtime.block_on(RowsFile::open_live(file_io, delete))?;
    let nothing = RoaringTreemap::new();
    let mut batches = runtime.block_on(file.read(&SCHEMA, Wanted::Except(&nothing)))?;
    while let Some(batch) = runtime.block_on(batches.next()) {
        let batch = batch?;
        let paths = batch.column(0).as_string::<i32>();
        let positions = batch.column(1).as_primitive::<Int64Type>();
        for (path, position) in paths.iter().zip(positions) {
            if let (Some(path), Some(position)) = (path, position)
                && let Ok(position) = u64::try_from(position)
            {
                each(path, position);
            }
        }
    }
    Ok(())
}

/// The data file whose rows a new delete file is about.
pub(crate) struct About<'a> {
    pub(crate) path: &'a str,
    pub(crate) spec_id: i32,
    pub(crate) partition: &'a Struct,
}

/// Writes a delete file about one data file, and returns its entry. Blocks. On failure the file is deleted.
pub(crate) fn write(
    file_io: &FileIO,
    runtime: &Handle,
    address: &str,
    about: &About<'_>,
    rows: &RoaringTreemap,
) -> Result<DataFile> {
    let written = encode(file_io, runtime, address, about.path, rows).and_then(|bytes| {
        let path = HashMap::from([(PATH_FIELD, Datum::string(about.path))]);
        DataFileBuilder::default()
            .content(DataContentType::PositionDeletes)
            .file_path(address.to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(about.partition.clone())
            .partition_spec_id(about.spec_id)
            .record_count(rows.len())
            .file_size_in_bytes(bytes)
            .lower_bounds(path.clone())
            .upper_bounds(path)
            .referenced_data_file(Some(about.path.to_owned()))
            .build()
            .map_err(|error| Error::new(ErrorKind::Unexpected).because(error))
    });
    written.map_err(|error| {
        if let Err(error) = runtime.block_on(file_io.delete(address)) {
            tracing::warn!(file = address, %error, "an unfinished delete file could not be deleted");
        }
        error.with("file", address)
    })
}

fn encode(
    file_io: &FileIO,
    runtime: &Handle,
    address: &str,
    path: &str,
    rows: &RoaringTreemap,
) -> Result<u64> {
    let fails = |error| Error::from_iceberg(ErrorKind::WarehouseUnwritable, error);
    let file = file_io.new_output(address).map_err(fails)?;
    let sink = Sink::new(runtime.block_on(file.writer()).map_err(fails)?, runtime.clone());
    let position = ColumnPath::from("pos");
    let properties = WriterProperties::builder()
        .set_created_by(concat!("ol-lake ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        // The whole path stays in the statistics: readers match delete files to data files by them.
        .set_statistics_truncate_length(None)
        .set_column_dictionary_enabled(position.clone(), false)
        .set_column_encoding(position, Encoding::DELTA_BINARY_PACKED)
        .build();
    let options =
        ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(sink, Arc::clone(&SCHEMA), options)
        .map_err(Error::from_parquet)?;
    let mut positions = rows.iter().map(|position| i64::try_from(position).unwrap_or(i64::MAX));
    loop {
        let chunk = Int64Array::from_iter_values(positions.by_ref().take(BATCH_ROWS));
        if chunk.is_empty() {
            break;
        }
        let paths = StringArray::from_iter_values(std::iter::repeat_n(path, chunk.len()));
        let columns: Vec<ArrayRef> = vec![Arc::new(paths), Arc::new(chunk)];
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns)
            .map_err(|error| Error::new(ErrorKind::Unexpected).because(error))?;
        writer.write(&batch).map_err(Error::from_parquet)?;
    }
    writer.finish().map_err(Error::from_parquet)?;
    let bytes = writer.bytes_written() as u64;
    writer.inner_mut().close().map_err(|error| Error::from_parquet(error.into()))?;
    Ok(bytes)
}

/// Where a delete file about a data file of ours goes: beside it.
pub(crate) fn address(data_file: &str) -> String {
    let stem = data_file.strip_suffix(".parquet").unwrap_or(data_file);
    format!("{stem}-deletes-{}.parquet", uuid::Uuid::now_v7())
}
