//! The changes of one table on their way into one commit: rows of a log, or a merge.
//!
//! Order matters only within a key. A merge's rows and deletes are gathered apart, and each flush hands over the deletes
//! first; so a delete of a key that has a row in the gathered ones forces a flush before it, and nothing else does.
//!
//! What a row is made of is the source's affair ([`Batches`]); which rows a change makes, too.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::Schema;
use ol_lake::{
    Commit, DataWriter, LakeTable, MergeOptions, MergeWriter, OnDelete, Operation, Orphans,
};

use super::{At, Refused, Shape, Tally, Writing, state};
use crate::column::batch::{Assembler, RowColumns, RowMeta, Unknown};
use crate::column::metadata::{self, Op};
use crate::error::{Definite, Error};
use crate::position::Position;

/// Rows that are gathered until they are a batch.
pub trait Batches {
    /// The rows added since the last batch.
    fn rows(&self) -> usize;
    /// The values of them that did not fit.
    fn odd(&self) -> usize;
    /// Whether the batch has reached its limit.
    fn is_full(&self) -> bool;
    /// The rows as a batch, and what is not known of each; begins anew.
    ///
    /// # Errors
    /// The batch could not be put together.
    fn finish(&mut self) -> Result<(RecordBatch, Unknown), Refused>;
}

enum Sink {
    Log(DataWriter),
    Merge(Box<MergeWriter>),
}

/// What is gathered, in the form that the source has at present.
struct Gathered<B> {
    rows: B,
    /// Keys of rows that are gone, in a merge.
    keys: Option<B>,
    /// Hashes of the keys in `rows`.
    held: HashSet<u64>,
}

/// Takes the changes of one table.
pub struct ChangeWriter<B> {
    shape: Shape,
    key: Vec<String>,
    table: LakeTable,
    writing: Writing,
    gathered: Option<Gathered<B>>,
    sink: Option<Sink>,
    pending: Tally,
    /// Whether changes are replayed over rows that may be of later.
    is_replaying: bool,
}

impl<B: Batches> ChangeWriter<B> {
    /// A writer of a table as it is, whose rows are found by `key`.
    #[must_use]
    pub fn new(
        shape: Shape,
        key: Vec<String>,
        table: LakeTable,
        writing: Writing,
        is_replaying: bool,
    ) -> Self {
        let pending = Tally::default();
        Self { shape, key, table, writing, gathered: None, sink: None, pending, is_replaying }
    }

    /// From here on, nothing is replayed.
    pub fn end_replay(&mut self) {
        self.is_replaying = false;
    }

    /// The table as it was last committed.
    #[must_use]
    pub fn table(&self) -> &LakeTable {
        &self.table
    }

    /// The table has moved on.
    pub fn set_table(&mut self, table: LakeTable) {
        self.table = table;
    }

    /// What the writers of the unit share.
    #[must_use]
    pub fn writing(&self) -> &Writing {
        &self.writing
    }

    /// Whether there is anything to commit.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.sink.is_some() || self.pending != Tally::default()
    }

    /// Keys that the merge has touched; each costs memory.
    #[must_use]
    pub fn touched_keys(&self) -> u64 {
        match &self.sink {
            Some(Sink::Merge(writer)) => writer.touched_keys(),
            Some(Sink::Log(_)) | None => 0,
        }
    }

    /// From here on, rows are gathered by these. There must be nothing to commit.
    pub fn set_form(&mut self, key: Vec<String>, rows: B, keys: Option<B>) {
        debug_assert!(!self.is_dirty(), "changes of another form wait to be committed");
        self.key = key;
        self.gathered = Some(Gathered { rows, keys, held: HashSet::new() });
    }

    /// The table was emptied.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn truncate(&mut self, at: At) -> Result<(), Refused> {
        match self.shape {
            Shape::Log => {
                if self.gathered.is_some() {
                    self.flush()?;
                }
                self.pending.deletes += 1;
                // A row of which only our own columns say anything.
                let defect = |error| Error::new(Definite::Defect).because(error);
                let (schema, run) = (self.table.arrow_schema(), self.writing.run.clone());
                let mut assembler = Assembler::new(schema, Vec::new(), run).map_err(defect)?;
                let text = at.position.to_string();
                let mut own = RowColumns::default();
                own.push(meta(Op::Truncate, &text, at));
                let row = assembler.assemble_changes(Vec::new(), &[], &mut own).map_err(defect)?;
                match self.sink()? {
                    Sink::Log(writer) => Ok(writer.write(row)?),
                    Sink::Merge(_) => Ok(()),
                }
            }
            // The session marks the rows one by one, as only the lake knows them.
            Shape::Merge { soft: true } => Ok(()),
            Shape::Merge { soft: false } => {
                if self.gathered.is_some() {
                    self.flush()?;
                }
                self.pending.deletes += 1;
                match self.sink()? {
                    Sink::Merge(writer) => Ok(writer.truncate()?),
                    Sink::Log(_) => Ok(()),
                }
            }
        }
    }

    /// Marks rows that are in the lake as deleted: a batch of their keys.
    ///
    /// # Errors
    /// The lake's.
    pub fn mark(&mut self, keys: &RecordBatch, at: At) -> Result<(), Refused> {
        let rows = keys.num_rows();
        let text = |value: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows)))
        };
        let instant = |microseconds: i64| -> ArrayRef {
            let instants = TimestampMicrosecondArray::from_value(microseconds, rows);
            Arc::new(instants.with_timezone("+00:00"))
        };
        let run = &self.writing.run;
        let ours = [
            (metadata::POSITION, text(&at.position.to_string())),
            (metadata::COMMITTED_AT, instant(at.committed_at_microseconds)),
            (metadata::DELETED_AT, instant(at.committed_at_microseconds)),
            (metadata::EXTRACTED_AT, instant(run.extracted_at_microseconds)),
            (metadata::RUN_ID, text(&run.run_id)),
        ];
        let schema = self.table.arrow_schema();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in keys.schema().fields().iter().zip(keys.columns()) {
            if self.key.contains(field.name()) {
                fields.push(Arc::clone(field));
                columns.push(Arc::clone(column));
            }
        }
        for (name, column) in ours {
            if let Some((_, field)) = schema.column_with_name(name) {
                fields.push(Arc::new(field.clone()));
                columns.push(column);
            }
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map_err(|error| Error::new(Definite::Defect).because(error))?;
        self.pending.deletes += rows as u64;
        match self.sink()? {
            Sink::Merge(writer) => Ok(writer.delete(batch)?),
            Sink::Log(_) => Ok(()),
        }
    }

    /// A row, or, in a log, a row that is gone. `hash` tells its key from others; `push` adds it to the gathered ones.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn row(
        &mut self,
        op: Op,
        at: At,
        hash: impl FnOnce() -> u64,
        push: impl FnOnce(&mut B, RowMeta<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let is_merge = matches!(self.shape, Shape::Merge { .. });
        let text = at.position.to_string();
        let gathered = self.gathered()?;
        if is_merge {
            gathered.held.insert(hash());
        }
        push(&mut gathered.rows, meta(op, &text, at))?;
        let is_full = gathered.rows.is_full();
        match op {
            Op::Delete => self.pending.deletes += 1,
            Op::Read | Op::Insert | Op::Update | Op::Truncate => self.pending.rows += 1,
        }
        if is_full { self.flush() } else { Ok(()) }
    }

    /// The row of a key went, in a merge.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn gone(
        &mut self,
        at: At,
        hash: u64,
        push: impl FnOnce(&mut B, RowMeta<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if self.gathered()?.held.contains(&hash) {
            self.flush()?;
        }
        let text = at.position.to_string();
        let mut is_full = false;
        if let Some(keys) = &mut self.gathered()?.keys {
            push(keys, meta(Op::Delete, &text, at))?;
            is_full = keys.is_full();
        }
        self.pending.deletes += 1;
        if is_full { self.flush() } else { Ok(()) }
    }

    fn gathered(&mut self) -> Result<&mut Gathered<B>, Refused> {
        self.gathered.as_mut().ok_or_else(|| {
            Refused::Failed(
                Error::new(Definite::ProtocolViolated)
                    .with("what", "a change of a table that was not announced"),
            )
        })
    }

    fn sink(&mut self) -> Result<&mut Sink, Refused> {
        if self.sink.is_none() {
            let Writing { write, run, .. } = &self.writing;
            self.sink = Some(match self.shape {
                Shape::Log => Sink::Log(self.table.writer(write, &run.run_id)?),
                Shape::Merge { soft } => {
                    let options = MergeOptions {
                        key: self.key.clone(),
                        on_delete: match soft {
                            false => OnDelete::Remove,
                            true => OnDelete::Mark { column: metadata::DELETED_AT.to_owned() },
                        },
                        sidecar: Some(metadata::ODD.to_owned()),
                        orphans: match self.is_replaying {
                            true => Orphans::Drop,
                            false => Orphans::Refuse,
                        },
                    };
                    Sink::Merge(Box::new(self.table.merge_writer(write, options, &run.run_id)?))
                }
            });
        }
        Ok(self.sink.as_mut().expect("it was made right above"))
    }

    /// Hands what was gathered to the encoder.
    fn flush(&mut self) -> Result<(), Refused> {
        let gathered = self.gathered()?;
        let odd = gathered.rows.odd() as u64;
        let keys = match &mut gathered.keys {
            Some(keys) if keys.rows() > 0 => Some(keys.finish()?.0),
            Some(_) | None => None,
        };
        let rows = (gathered.rows.rows() > 0).then(|| gathered.rows.finish()).transpose()?;
        gathered.held.clear();
        self.pending.odd += odd;
        if keys.is_none() && rows.is_none() {
            return Ok(());
        }
        match self.sink()? {
            Sink::Log(writer) => {
                if let Some((batch, _)) = rows {
                    writer.write(batch)?;
                }
            }
            Sink::Merge(writer) => {
                if let Some(keys) = keys {
                    writer.delete(keys)?;
                }
                match rows {
                    Some((batch, kept)) if kept.iter().any(|columns| !columns.is_empty()) => {
                        writer.patch(batch, kept)?;
                    }
                    Some((batch, _)) => writer.upsert(batch)?,
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Throws away what is not committed.
    pub fn discard(&mut self) {
        self.sink = None;
        self.gathered = None;
        self.pending = Tally::default();
    }

    /// What is to be committed, if anything, with `state` in its summary; the table must still be at `after`.
    ///
    /// # Errors
    /// The files cannot be completed.
    pub fn seal(
        &mut self,
        state: impl FnOnce() -> BTreeMap<String, String>,
        after: Position,
    ) -> Result<Option<(Commit, Tally)>, Refused> {
        if !self.is_dirty() {
            return Ok(None);
        }
        if self.gathered.is_some() {
            self.flush()?;
        }
        let operation = match self.sink.take() {
            Some(Sink::Log(writer)) => Some((Operation::Append, writer.finish()?)),
            Some(Sink::Merge(writer)) => Some((Operation::Merge(writer.finish()?), Vec::new())),
            None => None,
        };
        let tally = std::mem::take(&mut self.pending);
        Ok(operation.map(|(operation, files)| {
            let mut commit = Commit::new(operation, files);
            commit.state = state();
            commit.expected = Some((ol_lake::POSITION_KEY.to_owned(), Some(after.to_string())));
            if self.table.properties().get(state::GAP).is_some_and(|gap| !gap.is_empty()) {
                commit.table_properties = state::no_gap();
            }
            (commit, tally)
        }))
    }
}

fn meta(op: Op, position: &str, at: At) -> RowMeta<'_> {
    RowMeta {
        op: Some(op),
        position,
        committed_at_microseconds: Some(at.committed_at_microseconds),
    }
}
