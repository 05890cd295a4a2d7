//! Reads a table again, without writing it: for `verify`.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use ol_chassis::shutdown::Shutdown;

use super::catalog::Relation;
use super::error::SourceError;
use super::rows::{BatchLimit, RowError, RowReader};
use super::settings::Settings;
use super::snapshot::{Reader, Selection, selected_statement};
use super::types::Reading;
use crate::column::batch::{Assembler, RunColumns};
use crate::error::{Doing, Error};
use crate::verify::table::{SourceRows, Take};

/// The transaction that made a row as it is: another one for every version of the row.
const VERSION: &str = "xmin::pg_catalog.text::pg_catalog.int8";

/// A table to read again.
#[derive(Clone)]
pub struct Reread {
    /// How to connect.
    pub settings: Settings,
    /// The snapshot to read under.
    pub snapshot: String,
    /// The table, as the snapshot's catalog has it.
    pub relation: Relation,
    /// Its columns.
    pub readings: Vec<Reading>,
    /// The lake table's columns.
    pub schema: SchemaRef,
    /// When a batch is full.
    pub batch: BatchLimit,
    /// Whether each row's version is asked for; only tables have them.
    pub versions: bool,
    /// The request to stop.
    pub shutdown: Shutdown,
}

impl Reread {
    /// Reads every row, decoded as a run decodes it, and hands on batches with the version of each row (none where
    /// they are not asked for). Blocks; call it from a plain thread.
    ///
    /// # Errors
    /// The source's, or what `take` returns.
    pub fn read(
        &self,
        mut take: impl FnMut(&RecordBatch, &[u64]) -> Result<(), ArrowError>,
    ) -> Result<(), SourceError> {
        let batch = |error: ArrowError| SourceError::Row(RowError::Batch(error.to_string()));
        let names: Vec<String> = self.readings.iter().map(|it| it.name.clone()).collect();
        let run = RunColumns {
            position: String::new(),
            extracted_at_microseconds: 0,
            run_id: String::new(),
        };
        let assembler = Assembler::new(self.schema.clone(), names, run).map_err(batch)?;
        let mut rows = RowReader::new(&self.readings, assembler, self.batch)?;
        if self.versions {
            rows = rows.marked_each();
        }
        let mut reader = Reader::open(&self.settings, &self.snapshot, self.shutdown.clone())?;
        if !reader.hold(&self.relation)? {
            return Err(SourceError::Rewritten);
        }
        let mark = self.versions.then_some(VERSION);
        let selection = Selection { mark, ..Selection::ALL };
        let statement = selected_statement(&self.relation, &self.readings, selection);
        let mut taken = |rows: &RecordBatch, versions: &[u64]| take(rows, versions).map_err(batch);
        reader.copy_out(&statement, |body| {
            rows.consume_each(body, |batch, versions| taken(&batch, &versions))
        })?;
        match rows.finish_each()? {
            Some((batch, versions)) => taken(&batch, &versions),
            None => Ok(()),
        }
    }
}

impl SourceRows for Reread {
    fn table(&self) -> String {
        self.relation.display()
    }

    fn names(&self) -> Vec<String> {
        self.readings.iter().map(|reading| reading.name.clone()).collect()
    }

    fn read_rows(&self, take: &mut Take<'_>) -> Result<(), Error> {
        self.read(take).map_err(|error| error.into_error(Doing::Reading))
    }
}
