//! The changes of one table of a binary log on their way into one commit.
//!
//! The log has every row whole, before and after. An update that gives a row another key is two changes: the old row goes, a
//! new one comes. Without a key every column is part of it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use ol_lake::LakeTable;

use super::plan::CapturePlan;
use crate::column::batch::{Assembler, RowMeta, Unknown};
use crate::column::metadata::Op;
use crate::error::{Definite, Doing, Error};
use crate::run::change::log::Writer;
use crate::run::change::writer::{Batches, ChangeWriter};
use crate::run::change::{At, Refused, Shape, Writing};
use crate::source::mysql::binlog::charset::Charsets;
use crate::source::mysql::binlog::image::Image;
use crate::source::mysql::binlog::rows::{BinlogRows, Form, Misfit};
use crate::source::mysql::binlog::table_map::TableMap;
use crate::source::mysql::error::SourceError;

impl From<SourceError> for Refused {
    fn from(error: SourceError) -> Self {
        Self::Failed(error.into_error(Doing::Streaming))
    }
}

impl Batches for BinlogRows {
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

/// Takes the changes of one table.
pub struct TableWriter {
    plan: CapturePlan,
    changes: ChangeWriter<BinlogRows>,
    form: Option<Form>,
    /// How the log last described the rows.
    map: Option<Arc<TableMap>>,
}

impl TableWriter {
    /// A writer of a table as it is.
    #[must_use]
    pub fn new(plan: CapturePlan, table: LakeTable, writing: Writing) -> Self {
        let key = plan.key.clone();
        let changes = ChangeWriter::new(plan.shape, key, table, writing, false);
        Self { plan, changes, form: None, map: None }
    }

    /// Whether rows of this description can be taken as they come.
    #[must_use]
    pub fn is_of(&self, map: &Arc<TableMap>) -> bool {
        self.map.as_ref().is_some_and(|known| Arc::ptr_eq(known, map))
    }

    /// The log has said what rows look like. There must be nothing to commit.
    ///
    /// # Errors
    /// The rows are not those of the catalog's table, or a column is not read from a log.
    pub fn announced(&mut self, map: &Arc<TableMap>, charsets: &Charsets) -> Result<(), Refused> {
        let CapturePlan { relation, readings, key, .. } = &self.plan;
        let misfit = |misfit: Misfit| match misfit {
            Misfit::OtherForm(reason) => Refused::Copy(reason),
            Misfit::Unread { reading, what } => {
                let column = readings.get(reading).map_or("", |reading| reading.name.as_str());
                Refused::Failed(
                    Error::new(Definite::TypeRefused)
                        .with("table", relation.display())
                        .with("column", column)
                        .with("reason", format!("{what} is not read from the log"))
                        .advise(
                            "Exclude the column, or read the table with replication_method cursor or full.",
                        ),
                )
            }
        };
        let form = Form::take(map, relation, readings, key).map_err(misfit)?;
        let Writing { limit, run, .. } = self.changes.writing().clone();
        let schema = self.table().arrow_schema();
        let names = readings.iter().map(|reading| reading.name.clone()).collect();
        let assembler = Assembler::new(schema.clone(), names, run.clone())
            .map_err(|error| SourceError::Batch(error.to_string()))?;
        let rows = BinlogRows::new(map, relation, readings, assembler, charsets, limit)?;
        let mut rows = rows.map_err(misfit)?;
        let mut keys = None;
        if matches!(self.plan.shape, Shape::Merge { .. }) {
            rows = rows.found_by(key);
            let of_keys =
                BinlogRows::keys(map, relation, readings, key, (&schema, run), charsets, limit)?;
            keys = Some(of_keys.map_err(misfit)?);
        }
        self.changes.set_form(key.clone(), rows, keys);
        self.form = Some(form);
        self.map = Some(Arc::clone(map));
        Ok(())
    }

    /// A row was inserted.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn insert(&mut self, new: Image<'_>, at: At) -> Result<(), Refused> {
        self.row(new, None, Op::Insert, at)
    }

    /// A row was updated.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn update(&mut self, old: Image<'_>, new: Image<'_>, at: At) -> Result<(), Refused> {
        let second = At { position: at.position.second(), ..at };
        let is_moved = match &self.form {
            Some(form) => !form.has_key() || form.key_hash(old)? != form.key_hash(new)?,
            None => false,
        };
        match (self.plan.shape, is_moved) {
            (Shape::Log, false) => self.row(new, Some(old), Op::Update, at),
            (Shape::Log, true) => {
                self.row(old, None, Op::Delete, at)?;
                self.row(new, Some(old), Op::Insert, second)
            }
            (Shape::Merge { .. }, false) => self.row(new, Some(old), Op::Update, second),
            (Shape::Merge { .. }, true) => {
                self.gone(old, at)?;
                self.row(new, Some(old), Op::Update, second)
            }
        }
    }

    /// A row was deleted.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn delete(&mut self, old: Image<'_>, at: At) -> Result<(), Refused> {
        match self.plan.shape {
            Shape::Log => self.row(old, None, Op::Delete, at),
            Shape::Merge { .. } => self.gone(old, at),
        }
    }

    /// A row; `old` is the one before it, of which it may have changes only.
    fn row(
        &mut self,
        row: Image<'_>,
        old: Option<Image<'_>>,
        op: Op,
        at: At,
    ) -> Result<(), Refused> {
        let hash = match (&self.form, self.plan.shape) {
            (Some(form), Shape::Merge { .. }) => form.key_hash(row)?,
            (Some(_), Shape::Log) | (None, _) => 0,
        };
        let push = |rows: &mut BinlogRows, own: RowMeta<'_>| Ok(rows.push(row, old, own)?);
        self.changes.row(op, at, || hash, push)
    }

    /// The row of a key went, in a merge.
    fn gone(&mut self, old: Image<'_>, at: At) -> Result<(), Refused> {
        let hash = self.form.as_ref().map(|form| form.key_hash(old)).transpose()?;
        let push = |keys: &mut BinlogRows, own: RowMeta<'_>| Ok(keys.push(old, None, own)?);
        self.changes.gone(at, hash.unwrap_or_default(), push)
    }
}

impl Writer for TableWriter {
    type Plan = CapturePlan;
    type Rows = BinlogRows;

    fn plan(&self) -> &CapturePlan {
        &self.plan
    }

    fn changes(&self) -> &ChangeWriter<BinlogRows> {
        &self.changes
    }

    fn changes_mut(&mut self) -> &mut ChangeWriter<BinlogRows> {
        &mut self.changes
    }

    fn forget_form(&mut self) {
        self.form = None;
        self.map = None;
    }
}
