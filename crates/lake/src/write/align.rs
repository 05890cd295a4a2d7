//! Rows as they are handed over, to rows with exactly the schema of the table.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::SchemaRef;

use crate::error::{Error, ErrorKind, Result};

/// `batch` with the columns of `schema`, taken by name.
pub(crate) fn align(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if Arc::ptr_eq(batch.schema_ref(), schema) || batch.schema_ref() == schema {
        return Ok(batch);
    }
    let given = batch.schema();
    if let Some(unknown) =
        given.fields().iter().find(|field| schema.field_with_name(field.name()).is_err())
    {
        return Err(Error::new(ErrorKind::RowsMismatch)
            .with("column", unknown.name())
            .with("reason", "the table has no such column"));
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| -> Result<ArrayRef> {
            let Some(column) = batch.column_by_name(field.name()) else {
                if field.is_nullable() {
                    return Ok(new_null_array(field.data_type(), batch.num_rows()));
                }
                return Err(Error::new(ErrorKind::RowsMismatch)
                    .with("column", field.name())
                    .with("reason", "the rows lack a required column"));
            };
            if column.data_type() != field.data_type() {
                return Err(Error::new(ErrorKind::RowsMismatch)
                    .with("column", field.name())
                    .with("type of the rows", column.data_type())
                    .with("type of the table", field.data_type()));
            }
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(Error::new(ErrorKind::RowsMismatch)
                    .with("column", field.name())
                    .with("reason", "a required column holds nulls"));
            }
            Ok(Arc::clone(column))
        })
        .collect::<Result<Vec<_>>>()?;
    // The row count is stated, as a table may have no columns.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::new(ErrorKind::RowsMismatch).because(error))
}
