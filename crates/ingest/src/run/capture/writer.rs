//! The changes of one table on their way into one commit: rows of a log, or a merge.
//!
//! Order matters only within a key. A merge's rows and deletes are gathered apart, and each flush hands over the deletes
//! first; so a delete of a key that has a row in the gathered ones forces a flush before it, and nothing else does.
//!
//! A change that does not say a value (unchanged TOAST) takes it from the old row where the log has that. Otherwise a
//! merge takes it from the row of the same key in the lake, and a log refuses: the value would have to be looked for in
//! its history (invariant I4). A change of the key moves the row, so a value that is not said is under the old key; the
//! table is copied again then.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::Schema;
use ol_lake::{
    Commit, DataWriter, LakeTable, MergeOptions, MergeWriter, OnDelete, Operation, Orphans,
    WriteOptions,
};

use super::partial;
use super::plan::{CapturePlan, Shape};
use super::state::{self, Stamp};
use crate::column::batch::{Assembler, RowMeta, RunColumns};
use crate::column::metadata::{self, Op};
use crate::error::{Definite, Doing, Error, Result};
use crate::position::Position;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::replication::message::{Cell, Old, RelationMessage, Tuple};
use crate::source::postgres::replication::rows::{ChangeRows, key_hash};
use crate::source::postgres::rows::{BatchLimit, RowError};

/// What the writers of a unit share.
#[derive(Clone)]
pub struct Writing {
    /// How files are written.
    pub write: WriteOptions,
    /// When a batch goes to its encoder.
    pub limit: BatchLimit,
    /// What is the same in every row of the run.
    pub run: RunColumns,
}

/// Where in the log a change is, and when it was committed.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The place.
    pub position: Position,
    /// Microseconds since 1970-01-01 UTC.
    pub committed_at_microseconds: i64,
}

/// What was committed for a table, in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows written.
    pub rows: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// Files written.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Values that did not fit.
    pub odd: u64,
}

/// Why a change could not be taken.
#[derive(Debug)]
pub enum Refused {
    /// The table cannot go on.
    Failed(Error),
    /// The log does not say what the rows are; a copy would.
    Copy(&'static str),
}

impl From<RowError> for Refused {
    fn from(error: RowError) -> Self {
        Self::Failed(SourceError::Row(error).into_error(Doing::Reading))
    }
}

impl From<ol_lake::Error> for Refused {
    fn from(error: ol_lake::Error) -> Self {
        Self::Failed(error.into())
    }
}

enum Sink {
    Log(DataWriter),
    Merge(Box<MergeWriter>),
}

/// The decoders, for tuples of the form that the stream has announced.
struct Decoders {
    rows: ChangeRows,
    keys: Option<ChangeRows>,
    /// Where the key columns are in a tuple.
    key: Vec<usize>,
    /// Hashes of the keys in `rows`.
    held: HashSet<u64>,
}

/// Takes the changes of one table.
pub struct TableWriter {
    plan: CapturePlan,
    table: LakeTable,
    writing: Writing,
    decoders: Option<Decoders>,
    sink: Option<Sink>,
    pending: Tally,
    /// Where the replay over a copy in chunks ends.
    replayed_until: Option<u64>,
}

impl TableWriter {
    /// A writer of a table as it is.
    #[must_use]
    pub fn new(plan: CapturePlan, table: LakeTable, writing: Writing) -> Self {
        let replayed_until = Some(partial::replayed_until(&table));
        let pending = Tally::default();
        Self { plan, table, writing, decoders: None, sink: None, pending, replayed_until }
    }

    /// Whether a change of the transaction at `lsn` is the first that is not replayed over a copy; what was gathered is to
    /// be committed before it.
    #[must_use]
    pub fn ends_replay(&self, lsn: u64) -> bool {
        self.replayed_until.is_some_and(|until| lsn >= until)
    }

    /// From here on, nothing is replayed.
    pub fn end_replay(&mut self) {
        self.replayed_until = None;
    }

    /// The plan it follows.
    #[must_use]
    pub fn plan(&self) -> &CapturePlan {
        &self.plan
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

    /// The stream has announced what tuples look like. There must be nothing to commit.
    ///
    /// # Errors
    /// A column cannot be decoded, or the log does not name the rows of a merge.
    pub fn announced(
        &mut self,
        message: &RelationMessage,
        plan: CapturePlan,
        table: LakeTable,
    ) -> Result<(), Refused> {
        debug_assert!(!self.is_dirty(), "changes of another form wait to be committed");
        self.plan = plan;
        self.table = table;
        let place = |name: &String| message.columns.iter().position(|column| column.name == *name);
        if matches!(self.plan.shape, Shape::Merge { .. }) {
            let named = |name: &&String| {
                message.columns.iter().any(|column| column.key && column.name == **name)
            };
            if let Some(missing) = self.plan.key.iter().find(|name| !named(name)) {
                return Err(Refused::Failed(
                    Error::new(Definite::ReplicaIdentityInsufficient)
                        .with("table", self.plan.relation.display())
                        .with("reason", format!("the key column {missing} is not part of it")),
                ));
            }
        }
        let Writing { limit, run, .. } = self.writing.clone();
        let schema = self.table.arrow_schema();
        let readings = &self.plan.readings;
        let names = readings.iter().map(|reading| reading.name.clone()).collect();
        let assembler = Assembler::new(schema.clone(), names, run.clone())
            .map_err(|error| RowError::Batch(error.to_string()))?;
        let mut rows = ChangeRows::new(readings, assembler, message, limit)?;
        let keys = match self.plan.shape {
            Shape::Log => None,
            Shape::Merge { .. } => {
                rows = rows.found_by(&self.plan.key);
                Some(ChangeRows::keys(readings, &self.plan.key, &schema, run, message, limit)?)
            }
        };
        let key = self.plan.key.iter().filter_map(place).collect();
        self.decoders = Some(Decoders { rows, keys, key, held: HashSet::new() });
        Ok(())
    }

    /// A row was inserted.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn insert(&mut self, new: Tuple<'_>, at: At) -> Result<(), Refused> {
        self.row(new, None, Op::Insert, at)
    }

    /// A row was updated.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn update(&mut self, old: Option<Old<'_>>, new: Tuple<'_>, at: At) -> Result<(), Refused> {
        let moved = old.is_some_and(|old| self.is_moved(old, new));
        let unknown = || new.completed_by(old).any(|cell| cell == Cell::Unchanged);
        match self.plan.shape {
            Shape::Log => {
                if unknown() {
                    let table = self.plan.relation.display();
                    return Err(Refused::Failed(
                        Error::new(Definite::ToastUnknown).with("table", table),
                    ));
                }
                if !moved {
                    return self.row(new, old, Op::Update, at);
                }
                if let Some(old) = old {
                    self.row(old.tuple(), None, Op::Delete, at)?;
                }
                self.row(new, old, Op::Insert, At { position: at.position.second(), ..at })
            }
            Shape::Merge { .. } => {
                if moved && unknown() {
                    return Err(Refused::Copy("a row with an unlogged value got another key"));
                }
                if let Some(old) = old.filter(|_| moved) {
                    self.gone(old, at)?;
                }
                self.row(new, old, Op::Update, At { position: at.position.second(), ..at })
            }
        }
    }

    /// A row was deleted.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn delete(&mut self, old: Old<'_>, at: At) -> Result<(), Refused> {
        match self.plan.shape {
            Shape::Log => self.row(old.tuple(), None, Op::Delete, at),
            Shape::Merge { .. } => self.gone(old, at),
        }
    }

    /// The table was emptied.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn truncate(&mut self, at: At) -> Result<(), Refused> {
        let text = at.position.to_string();
        let own = RowMeta {
            op: Some(Op::Truncate),
            position: &text,
            committed_at_microseconds: Some(at.committed_at_microseconds),
        };
        match self.plan.shape {
            Shape::Log => {
                self.decoders()?.rows.push_event(own);
                self.pending.deletes += 1;
                Ok(())
            }
            // The session marks the rows one by one, as only the lake knows them.
            Shape::Merge { soft: true } => Ok(()),
            Shape::Merge { soft: false } => {
                self.flush()?;
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
            if self.plan.key.contains(field.name()) {
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
            .map_err(|error| RowError::Batch(error.to_string()))?;
        self.pending.deletes += rows as u64;
        match self.sink()? {
            Sink::Merge(writer) => Ok(writer.delete(batch)?),
            Sink::Log(_) => Ok(()),
        }
    }

    fn row(&mut self, new: Tuple<'_>, old: Option<Old<'_>>, op: Op, at: At) -> Result<(), Refused> {
        let is_merge = matches!(self.plan.shape, Shape::Merge { .. });
        let text = at.position.to_string();
        let own = RowMeta {
            op: Some(op),
            position: &text,
            committed_at_microseconds: Some(at.committed_at_microseconds),
        };
        let decoders = self.decoders()?;
        if is_merge {
            decoders.held.insert(key_hash(&decoders.key, new));
        }
        decoders.rows.push(new.completed_by(old), own)?;
        let is_full = decoders.rows.is_full();
        match op {
            Op::Delete => self.pending.deletes += 1,
            Op::Read | Op::Insert | Op::Update | Op::Truncate => self.pending.rows += 1,
        }
        if is_full { self.flush() } else { Ok(()) }
    }

    /// The row of a key went, in a merge.
    fn gone(&mut self, old: Old<'_>, at: At) -> Result<(), Refused> {
        let decoders = self.decoders()?;
        if decoders.held.contains(&key_hash(&decoders.key, old.tuple())) {
            self.flush()?;
        }
        let text = at.position.to_string();
        let own = RowMeta {
            op: Some(Op::Delete),
            position: &text,
            committed_at_microseconds: Some(at.committed_at_microseconds),
        };
        let decoders = self.decoders()?;
        let mut is_full = false;
        if let Some(keys) = &mut decoders.keys {
            keys.push(old.tuple().cells(), own)?;
            is_full = keys.is_full();
        }
        self.pending.deletes += 1;
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Whether an update gave the row another identity. Without a key every column is part of it.
    fn is_moved(&self, old: Old<'_>, new: Tuple<'_>) -> bool {
        let Some(decoders) = &self.decoders else { return false };
        match old {
            // The log has the old key only when it changed.
            Old::Key(_) => true,
            Old::Full(_) if decoders.key.is_empty() => true,
            Old::Full(old) => key_hash(&decoders.key, old) != key_hash(&decoders.key, new),
        }
    }

    fn decoders(&mut self) -> Result<&mut Decoders, Refused> {
        self.decoders.as_mut().ok_or_else(|| {
            Refused::from(RowError::Form("a change of a table that was not announced"))
        })
    }

    fn sink(&mut self) -> Result<&mut Sink, Refused> {
        if self.sink.is_none() {
            let Writing { write, run, .. } = &self.writing;
            self.sink = Some(match self.plan.shape {
                Shape::Log => Sink::Log(self.table.writer(write, &run.run_id)?),
                Shape::Merge { soft } => {
                    let options = MergeOptions {
                        key: self.plan.key.clone(),
                        on_delete: match soft {
                            false => OnDelete::Remove,
                            true => OnDelete::Mark { column: metadata::DELETED_AT.to_owned() },
                        },
                        sidecar: Some(metadata::ODD.to_owned()),
                        orphans: match self.replayed_until {
                            Some(_) => Orphans::Drop,
                            None => Orphans::Refuse,
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
        let decoders = self.decoders()?;
        let odd = decoders.rows.odd() as u64;
        let keys = match &mut decoders.keys {
            Some(keys) if keys.rows() > 0 => Some(keys.finish()?.0),
            Some(_) | None => None,
        };
        let rows = (decoders.rows.rows() > 0).then(|| decoders.rows.finish()).transpose()?;
        decoders.held.clear();
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
        self.decoders = None;
        self.pending = Tally::default();
    }

    /// What is to be committed, if anything, to reach `upto` from `after`.
    ///
    /// # Errors
    /// The files cannot be completed.
    pub fn seal(
        &mut self,
        stamp: &Stamp,
        after: Position,
        upto: Position,
    ) -> Result<Option<(Commit, Tally)>, Refused> {
        if !self.is_dirty() {
            return Ok(None);
        }
        self.flush()?;
        let operation = match self.sink.take() {
            Some(Sink::Log(writer)) => {
                let mut commit = Commit::new(Operation::Append, writer.finish()?);
                commit.state = stamp.state(Some(after), upto);
                Some(commit)
            }
            Some(Sink::Merge(writer)) => {
                let mut commit = Commit::new(Operation::Merge(writer.finish()?), Vec::new());
                commit.state = stamp.state(Some(after), upto);
                Some(commit)
            }
            None => None,
        };
        let tally = std::mem::take(&mut self.pending);
        Ok(operation.map(|mut commit| {
            commit.expected = Some((ol_lake::POSITION_KEY.to_owned(), Some(after.to_string())));
            if self.table.properties().get(state::GAP).is_some_and(|gap| !gap.is_empty()) {
                commit.table_properties = state::no_gap();
            }
            (commit, tally)
        }))
    }
}
