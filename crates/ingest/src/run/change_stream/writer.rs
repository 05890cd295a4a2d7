//! The changes of one collection on their way into one commit.
//!
//! A change of which the server could not look the document up, as it was gone by then, is a row of the key alone in a log. A
//! merge passes it over: what it changed is gone, and the event that says so comes later in the same stream.

use arrow_array::RecordBatch;
use ol_lake::LakeTable;

use super::plan::CapturePlan;
use crate::column::batch::{RowMeta, Unknown};
use crate::column::metadata::Op;
use crate::error::Doing;
use crate::run::change::log::Writer;
use crate::run::change::writer::{Batches, ChangeWriter};
use crate::run::change::{At, Refused, Shape, Writing};
use crate::source::mongodb::bson::{Document, Element};
use crate::source::mongodb::change_stream::Change;
use crate::source::mongodb::change_stream::rows::{ChangeRows, key_hash};
use crate::source::mongodb::error::SourceError;

impl From<SourceError> for Refused {
    fn from(error: SourceError) -> Self {
        Self::Failed(error.into_error(Doing::Streaming))
    }
}

impl Batches for ChangeRows {
    fn rows(&self) -> usize {
        Self::rows(self)
    }

    fn odd(&self) -> usize {
        Self::odd(self)
    }

    fn is_full(&self) -> bool {
        Self::is_full(self)
    }

    fn finish(&mut self) -> Result<(RecordBatch, Unknown), Refused> {
        Ok(Self::finish(self)?)
    }
}

/// Takes the changes of one collection.
pub struct TableWriter {
    plan: CapturePlan,
    changes: ChangeWriter<ChangeRows>,
    has_form: bool,
}

impl TableWriter {
    /// A writer of a table as it is.
    #[must_use]
    pub fn new(plan: CapturePlan, table: LakeTable, writing: Writing) -> Self {
        let changes = ChangeWriter::new(plan.shape, CapturePlan::key(), table, writing, false);
        Self { plan, changes, has_form: false }
    }

    /// Takes what happened to a document.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn take(
        &mut self,
        change: Change,
        key: &Element<'_>,
        document: Option<Document<'_>>,
        at: At,
    ) -> Result<(), Refused> {
        self.form()?;
        let op = match change {
            Change::Insert => Op::Insert,
            Change::Update => Op::Update,
            Change::Delete => Op::Delete,
        };
        match (self.plan.shape, document.filter(|_| change != Change::Delete)) {
            (Shape::Log, None) => {
                let push = |rows: &mut ChangeRows, own: RowMeta<'_>| Ok(rows.push_key(key, own)?);
                self.changes.row(op, at, || 0, push)
            }
            (Shape::Log, Some(document)) => {
                let push = |rows: &mut ChangeRows, own: RowMeta<'_>| Ok(rows.push(document, own)?);
                self.changes.row(op, at, || 0, push)
            }
            (Shape::Merge { .. }, None) if change != Change::Delete => Ok(()),
            (Shape::Merge { .. }, None) => {
                let push = |keys: &mut ChangeRows, own: RowMeta<'_>| Ok(keys.push_key(key, own)?);
                self.changes.gone(at, key_hash(key)?, push)
            }
            (Shape::Merge { .. }, Some(document)) => {
                let hash = key_hash(key)?;
                let push = |rows: &mut ChangeRows, own: RowMeta<'_>| Ok(rows.push(document, own)?);
                self.changes.row(op, at, || hash, push)
            }
        }
    }

    /// Makes what rows are gathered by, once.
    fn form(&mut self) -> Result<(), Refused> {
        if self.has_form {
            return Ok(());
        }
        let Writing { limit, run, .. } = self.changes.writing().clone();
        let (schema, read) = (self.changes.table().arrow_schema(), &self.plan.read);
        let rows = ChangeRows::new(read, &schema, run.clone(), limit)?;
        let keys = match self.plan.shape {
            Shape::Log => None,
            Shape::Merge { .. } => Some(ChangeRows::keys(read, &schema, run, limit)?),
        };
        self.changes.set_form(CapturePlan::key(), rows, keys);
        self.has_form = true;
        Ok(())
    }
}

impl Writer for TableWriter {
    type Plan = CapturePlan;
    type Rows = ChangeRows;

    fn plan(&self) -> &CapturePlan {
        &self.plan
    }

    fn changes(&self) -> &ChangeWriter<ChangeRows> {
        &self.changes
    }

    fn changes_mut(&mut self) -> &mut ChangeWriter<ChangeRows> {
        &mut self.changes
    }

    fn forget_form(&mut self) {
        self.has_form = false;
    }
}
