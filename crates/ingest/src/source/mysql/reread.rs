//! Reads a table again, without writing it: for `verify`.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

use super::catalog::Relation;
use super::error::SourceError;
use super::full_load::{Selection, statement};
use super::rows::RowReader;
use super::session::Session;
use super::types::Reading;
use crate::column::batch::{Assembler, BatchLimit, RunColumns};
use crate::error::{Doing, Error};
use crate::verify::table::{SourceRows, Take};

/// A table to read again.
#[derive(Clone)]
pub struct Reread {
    /// A connection inside the snapshot.
    pub session: Arc<Mutex<Session>>,
    /// The table, as the catalog has it.
    pub relation: Relation,
    /// Its columns.
    pub readings: Vec<Reading>,
    /// The lake table's columns.
    pub schema: SchemaRef,
    /// When a batch is full.
    pub batch: BatchLimit,
}

impl Reread {
    /// Reads every row, decoded as a run decodes it, and hands on batches. Blocks; call it from a plain thread.
    ///
    /// # Errors
    /// The source's, or what `take` returns.
    pub fn read(
        &self,
        mut take: impl FnMut(&RecordBatch) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let names: Vec<String> = self.readings.iter().map(|it| it.name.clone()).collect();
        let run = RunColumns {
            position: String::new(),
            extracted_at_microseconds: 0,
            run_id: String::new(),
        };
        let assembler = Assembler::new(self.schema.clone(), names, run).map_err(unfit)?;
        let mut rows = RowReader::new(&self.readings, assembler, self.batch)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let query = statement(&self.relation, &self.readings, Selection::default());
        session.connection.stream(&query, |row| match rows.row(row)? {
            Some((batch, _)) => take(&batch),
            None => Ok(()),
        })?;
        match rows.finish()?.0 {
            Some((batch, _)) => take(&batch),
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
        self.read(|batch| take(batch, &[]).map_err(unfit))
            .map_err(|error| error.into_error(Doing::Reading))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn unfit(error: ArrowError) -> SourceError {
    SourceError::Batch(error.to_string())
}
