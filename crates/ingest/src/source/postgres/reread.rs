//! Reads a table again, without writing it: for `verify`.

use arrow_schema::SchemaRef;
use ol_chassis::shutdown::Shutdown;

use super::error::SourceError;
use super::plan::TablePlan;
use super::rows::{BatchLimit, RowError, RowReader};
use super::settings::Settings;
use super::snapshot::{BlockRange, Reader, copy_statement};
use crate::column::batch::{Assembler, RunColumns};
use crate::column::digest::TableDigest;

/// The digest of what the source holds now, decoded as a run decodes it. Blocks; call it from a plain thread.
///
/// # Errors
/// The source's.
pub fn digest(
    settings: &Settings,
    snapshot: &str,
    plan: &TablePlan,
    schema: SchemaRef,
    batch: BatchLimit,
    shutdown: Shutdown,
) -> Result<TableDigest, SourceError> {
    let names: Vec<String> = plan.readings.iter().map(|reading| reading.name.clone()).collect();
    let run =
        RunColumns { position: String::new(), extracted_at_microseconds: 0, run_id: String::new() };
    let mut digest = TableDigest::new(&names);
    let assembler =
        Assembler::new(schema, names, run).map_err(|error| RowError::Batch(error.to_string()))?;
    let mut rows = RowReader::new(&plan.readings, assembler, batch)?;
    let mut reader = Reader::open(settings, snapshot, shutdown)?;
    if !reader.hold(&plan.relation)? {
        return Err(SourceError::Rewritten);
    }
    let mut add = |batch: &arrow_array::RecordBatch| {
        digest.add(batch).map_err(|error| SourceError::Row(RowError::Batch(error.to_string())))
    };
    let statement = copy_statement(&plan.relation, &plan.readings, BlockRange::ALL);
    reader.copy_out(&statement, |body| rows.consume(body, |batch, _| add(&batch)))?;
    if let Some((batch, _)) = rows.finish()?.0 {
        add(&batch)?;
    }
    Ok(digest)
}
