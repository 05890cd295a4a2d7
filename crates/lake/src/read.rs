//! Rows back out of a table, for verification.

use arrow_array::RecordBatch;
use futures::stream::{BoxStream, StreamExt};

use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::table::LakeTable;

/// Rows of a table in batches, in no particular order of files.
pub type RowStream = BoxStream<'static, Result<RecordBatch>>;

/// Rows a batch has at most; a batch of wide rows is what a scan holds in memory.
const BATCH_ROWS: usize = 4096;

impl Lake {
    /// Reads the current snapshot of the table as it was loaded: the given columns in the given order, or all.
    ///
    /// One file is read at a time and one row group of it is held, so memory does not grow with the table. A column
    /// that was added after a file was written is null there.
    pub async fn scan(&self, table: &LakeTable, columns: Option<&[&str]>) -> Result<RowStream> {
        let fails = |error| {
            Error::from_iceberg(ErrorKind::WarehouseUnreadable, error).with("table", table.name())
        };
        // The scan would take the schema of the snapshot, which is older after a change of schema alone.
        let names: Vec<String> = match columns {
            Some(columns) => columns.iter().map(|column| (*column).to_owned()).collect(),
            None => table.schema().columns.iter().map(|column| column.name.clone()).collect(),
        };
        if let Some(unknown) = names.iter().find(|name| table.schema().column(name).is_none()) {
            return Err(Error::new(ErrorKind::NotFound)
                .with("table", table.name())
                .with("column", unknown));
        }
        if table.inner().metadata().current_snapshot().is_none() {
            return Ok(futures::stream::empty().boxed());
        }
        let scan = table
            .inner()
            .scan()
            .select(names)
            .with_batch_size(Some(BATCH_ROWS))
            .with_data_file_concurrency_limit(1)
            .build()
            .map_err(fails)?;
        let rows = Box::pin(scan.to_arrow()).await.map_err(fails)?;
        let name = table.name().clone();
        Ok(rows
            .map(move |batch| {
                batch.map_err(|error| {
                    Error::from_iceberg(ErrorKind::WarehouseUnreadable, error).with("table", &name)
                })
            })
            .boxed())
    }
}
