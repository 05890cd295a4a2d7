//! The rows of a table that keeps deleted ones, without those.

use arrow_array::{Array as _, BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use futures::TryStreamExt as _;
use ol_lake::{Lake, LakeTable};

use crate::column::metadata;
use crate::error::{Definite, Error, Result};

/// The keys of the rows that are not marked as deleted.
///
/// # Errors
/// The lake's.
pub async fn live_keys(lake: &Lake, table: &LakeTable, key: &[String]) -> Result<Vec<RecordBatch>> {
    let mut columns: Vec<&str> = key.iter().map(String::as_str).collect();
    columns.push(metadata::DELETED_AT);
    let mut live = Vec::new();
    let mut batches = lake.scan(table, Some(&columns)).await?;
    while let Some(batch) = batches.try_next().await? {
        let Some(deleted) = batch.column_by_name(metadata::DELETED_AT) else { continue };
        let is_live: BooleanArray =
            (0..batch.num_rows()).map(|row| Some(deleted.is_null(row))).collect();
        let kept = filter_record_batch(&batch, &is_live).map_err(|error| {
            Error::new(Definite::Defect).with("table", table.name()).because(error)
        })?;
        live.push(kept);
    }
    Ok(live)
}
