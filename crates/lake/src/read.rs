//! Rows back out of a table, for verification.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{FieldRef, Schema, SchemaRef};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use iceberg::arrow::ArrowFileReader;
use iceberg::io::{FileIO, FileMetadata};
use iceberg::scan::FileScanTask;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::async_reader::AsyncFileReader;

use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::table::{LakeTable, SnapshotInfo};

/// Rows of a table in batches, in no particular order of files.
pub type RowStream = BoxStream<'static, Result<RecordBatch>>;

/// Rows a batch has at most.
const MOST_BATCH_ROWS: u64 = 8192;
/// Encoded bytes a batch should have; decoded it may be several times as large.
const BATCH_BYTES: u64 = 2 << 20;

impl Lake {
    /// Reads the current snapshot of the table as it was loaded: the given columns in the given order, or all.
    ///
    /// One file is read at a time and one row group of it is held, so memory does not grow with the table. A column
    /// that was added after a file was written is null there.
    ///
    /// Columns are read by identifier: the Apache scan looks names up in the schema of the snapshot, which is older
    /// than the table's after a change of schema alone, and takes `pos` or `file_path` for columns of its own. It
    /// also cannot make nulls of every type, so a column is only asked of files that have it.
    pub async fn scan(&self, table: &LakeTable, columns: Option<&[&str]>) -> Result<RowStream> {
        let wanted = wanted_schema(table, columns)?;
        let identifiers = wanted.fields().iter().map(field_id).collect::<Vec<_>>();
        let name = table.name().clone();
        let fails = move |error| {
            Error::from_iceberg(ErrorKind::WarehouseUnreadable, error).with("table", &name)
        };
        let Some(snapshot) = table.current_snapshot() else {
            return Ok(futures::stream::empty().boxed());
        };
        let planned = table.inner().scan().select_empty().build().map_err(&fails)?;
        let tasks = Box::pin(planned.plan_files()).await.map_err(&fails)?;
        let schema = Arc::clone(table.iceberg_schema());
        let file_io = self.file_io().clone();
        let tasks = tasks.and_then(move |mut task| {
            let (schema, file_io) = (Arc::clone(&schema), file_io.clone());
            let identifiers = identifiers.clone();
            async move {
                let present = columns_of(&file_io, &task).await?;
                let is_known = |id: &i32| schema.as_struct().field_by_id(*id).is_some();
                let mut asked: Vec<i32> = identifiers
                    .iter()
                    .filter_map(|identifier| *identifier)
                    .filter(|identifier| present.contains(identifier))
                    .collect();
                // In any other order the reader gives the values of one column the name of another.
                asked.sort_unstable();
                // With no column at all the reader would not count the rows; one is read and dropped.
                task.project_field_ids = match asked.is_empty() {
                    false => asked,
                    true => present.iter().copied().find(is_known).into_iter().collect(),
                };
                task.schema = schema;
                Ok(task)
            }
        });
        let reader = table
            .inner()
            .reader_builder()
            .with_data_file_concurrency_limit(1)
            .with_batch_size(batch_rows(&snapshot))
            .build();
        let rows = reader.read(tasks.boxed()).map_err(&fails)?.stream();
        let rows = rows.map(move |batch| arrange(&batch.map_err(&fails)?, &wanted));
        Ok(rows.boxed())
    }
}

/// The fields to read, in the order asked for.
fn wanted_schema(table: &LakeTable, columns: Option<&[&str]>) -> Result<SchemaRef> {
    let schema = table.arrow_schema();
    let Some(columns) = columns else {
        return Ok(schema);
    };
    let fields = columns.iter().map(|column| {
        let field = schema.fields().iter().find(|field| field.name() == column);
        field.cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound).with("table", table.name()).with("column", column)
        })
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

fn field_id(field: &FieldRef) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY).and_then(|text| text.parse().ok())
}

/// Identifiers of the columns a data file has.
async fn columns_of(file_io: &FileIO, task: &FileScanTask) -> iceberg::Result<Vec<i32>> {
    let file = file_io.new_input(&task.data_file_path)?.reader().await?;
    let size = FileMetadata { size: task.file_size_in_bytes };
    let footer = ArrowFileReader::new(size, file).get_metadata(None).await.map_err(|error| {
        iceberg::Error::new(iceberg::ErrorKind::DataInvalid, "The footer of a data file is damaged")
            .with_source(error)
    })?;
    let root = footer.file_metadata().schema_descr().root_schema().get_fields().iter();
    Ok(root
        .map(|field| field.get_basic_info())
        .filter(|info| info.has_id())
        .map(|info| info.id())
        .collect())
}

/// The columns of `wanted` by identifier; one the file lacks is null.
fn arrange(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    let given = batch.schema();
    let columns = wanted.fields().iter().map(|field| {
        let index = given.fields().iter().position(|found| field_id(found) == field_id(field));
        match index {
            Some(index) => Arc::clone(batch.column(index)),
            None => new_null_array(field.data_type(), batch.num_rows()),
        }
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns.collect(), &options).map_err(
        |error| {
            Error::new(ErrorKind::WarehouseUnreadable)
                .with("reason", "a data file does not fit the schema of the table")
                .because(error)
        },
    )
}

/// Few rows a batch when rows are large.
fn batch_rows(snapshot: &SnapshotInfo) -> usize {
    let row_bytes = snapshot.bytes.checked_div(snapshot.records).unwrap_or(0).max(1);
    let rows = (BATCH_BYTES / row_bytes).clamp(1, MOST_BATCH_ROWS);
    usize::try_from(rows).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_rows_are_read_one_by_one() {
        let mut snapshot = SnapshotInfo {
            snapshot_id: 1,
            sequence_number: 1,
            timestamp_ms: 0,
            operation: "append".to_owned(),
            records: 10,
            files: 1,
            bytes: 500 << 20,
            state: std::collections::BTreeMap::new(),
        };
        assert_eq!(batch_rows(&snapshot), 1);
        snapshot.records = 50_000_000;
        assert_eq!(batch_rows(&snapshot), 8192);
        snapshot.records = 0;
        assert_eq!(batch_rows(&snapshot), 8192);
    }
}
