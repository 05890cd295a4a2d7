//! Rows of a data file by their positions, under the schema the table has now.
//!
//! Columns are taken by identifier, as names may have changed; one the file lacks is null, and one that was widened
//! since is cast. One row group of the columns asked for is held in encoded form, and one batch of rows.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{FieldRef, SchemaRef};
use futures::stream::{BoxStream, StreamExt};
use iceberg::arrow::ArrowFileReader;
use iceberg::io::{FileIO, FileMetadata};
use iceberg::spec::DataFile;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::{PARQUET_FIELD_ID_META_KEY, ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::file::metadata::ParquetMetaData;
use roaring::RoaringTreemap;

use crate::error::{Error, ErrorKind, Result};

/// Encoded bytes a batch should have; decoded it may be several times as large.
const BATCH_BYTES: u64 = 2 << 20;
const MOST_BATCH_ROWS: u64 = 65_536;

/// A data file that is open for reading.
pub(crate) struct RowsFile {
    file_io: FileIO,
    path: String,
    bytes: u64,
    rows: u64,
    metadata: ArrowReaderMetadata,
}

/// Which rows are read, in order of their positions.
pub(crate) enum Wanted<'a> {
    /// These.
    Only(&'a RoaringTreemap),
    /// All but these.
    Except(&'a RoaringTreemap),
    /// All of these row groups.
    RowGroups(Vec<usize>),
}

impl RowsFile {
    /// Opens the file and reads its footer.
    pub(crate) async fn open(file_io: &FileIO, path: &str, bytes: u64) -> Result<Self> {
        let mut reader = reader(file_io, path, bytes).await?;
        // What another writer says of its Arrow types must not get between the table's schema and the file's.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load_async(&mut reader, options)
            .await
            .map_err(|error| Error::from_parquet(error).with("file", path))?;
        let rows = metadata.metadata().file_metadata().num_rows();
        Ok(Self {
            file_io: file_io.clone(),
            path: path.to_owned(),
            bytes,
            rows: u64::try_from(rows).unwrap_or(0),
            metadata,
        })
    }

    /// [`RowsFile::open`] of a live file.
    pub(crate) async fn open_live(file_io: &FileIO, file: &DataFile) -> Result<Self> {
        Self::open(file_io, file.file_path(), file.file_size_in_bytes()).await
    }

    /// The footer.
    pub(crate) fn footer(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// Whether the file has a column of this identifier.
    pub(crate) fn has(&self, identifier: i32) -> bool {
        self.metadata.schema().fields().iter().any(|field| field_id(field) == Some(identifier))
    }

    /// The first position of each row group, and the number of rows last.
    pub(crate) fn starts(&self) -> Vec<u64> {
        let mut starts = vec![0];
        let mut next = 0;
        for row_group in self.footer().row_groups() {
            next += u64::try_from(row_group.num_rows()).unwrap_or(0);
            starts.push(next);
        }
        starts
    }

    /// Reads rows with the columns of `schema`, whose fields carry identifiers.
    pub(crate) async fn read(
        &self,
        schema: &SchemaRef,
        wanted: Wanted<'_>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let fields = self.metadata.schema().fields();
        let known =
            |field: &FieldRef| schema.fields().iter().any(|f| field_id(f) == field_id(field));
        let roots: Vec<usize> = (0..fields.len())
            .filter(|index| {
                fields.get(*index).is_some_and(|field| field_id(field).is_some() && known(field))
            })
            .collect();
        let mask = ProjectionMask::roots(self.footer().file_metadata().schema_descr(), roots);
        let reader = reader(&self.file_io, &self.path, self.bytes).await?;
        let row_bytes = self.bytes.checked_div(self.rows).unwrap_or(0).max(1);
        // Of a few columns, more rows fit.
        let row_bytes = row_bytes * schema.fields().len() as u64 / fields.len().max(1) as u64;
        let batch_rows = (BATCH_BYTES / row_bytes.max(1)).clamp(1, MOST_BATCH_ROWS);
        let mut builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.metadata.clone())
                .with_projection(mask)
                .with_batch_size(usize::try_from(batch_rows).unwrap_or(1));
        builder = match wanted {
            Wanted::Only(rows) => builder.with_row_selection(self.selection(rows)),
            Wanted::Except(rows) if rows.is_empty() => builder,
            Wanted::Except(rows) => {
                let mut left = RoaringTreemap::new();
                left.insert_range(0..self.rows);
                left -= rows;
                builder.with_row_selection(self.selection(&left))
            }
            Wanted::RowGroups(groups) => builder.with_row_groups(groups),
        };
        let failed = |path: &str, error| Error::from_parquet(error).with("file", path);
        let stream = builder.build().map_err(|error| failed(&self.path, error))?;
        let (schema, path) = (Arc::clone(schema), self.path.clone());
        Ok(stream
            .map(move |batch| {
                let batch = batch.map_err(|error| failed(&path, error))?;
                arrange(&batch, &schema).map_err(|error| error.with("file", &path))
            })
            .boxed())
    }

    fn selection(&self, rows: &RoaringTreemap) -> RowSelection {
        let limit = usize::try_from(self.rows).unwrap_or(usize::MAX);
        let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
        for position in rows {
            let Ok(position) = usize::try_from(position) else { break };
            if position >= limit {
                break;
            }
            match ranges.last_mut() {
                Some(last) if last.end == position => last.end += 1,
                _gap => ranges.push(position..position + 1),
            }
        }
        RowSelection::from_consecutive_ranges(ranges.into_iter(), limit)
    }
}

async fn reader(file_io: &FileIO, path: &str, bytes: u64) -> Result<ArrowFileReader> {
    let fails =
        |error| Error::from_iceberg(ErrorKind::WarehouseUnreadable, error).with("file", path);
    let file = file_io.new_input(path).map_err(fails)?.reader().await.map_err(fails)?;
    Ok(ArrowFileReader::new(FileMetadata { size: bytes }, file))
}

/// The identifier a field carries.
pub(crate) fn field_id(field: &FieldRef) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY).and_then(|text| text.parse().ok())
}

fn arrange(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let given = batch.schema();
    let invalid = |error| {
        Error::new(ErrorKind::WarehouseUnreadable)
            .with("reason", "a data file does not fit the schema of the table")
            .because(error)
    };
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let columns = schema.fields().iter().map(|field| {
        let found = given.fields().iter().position(|other| field_id(other) == field_id(field));
        let Some(column) = found.and_then(|index| batch.columns().get(index)) else {
            return Ok(new_null_array(field.data_type(), batch.num_rows()));
        };
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast_with_options(column, field.data_type(), &options).map_err(invalid)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(invalid)
}
