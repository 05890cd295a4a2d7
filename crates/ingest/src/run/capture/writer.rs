//! The changes of one Postgres table on their way into one commit.
//!
//! A change that does not say a value (unchanged TOAST) takes it from the old row where the log has that. Otherwise a
//! merge takes it from the row of the same key in the lake, and a log refuses: the value would have to be looked for in
//! its history (invariant I4). A change of the key moves the row, so a value that is not said is under the old key; the
//! table is copied again then.

use arrow_array::RecordBatch;
use ol_lake::{Commit, LakeTable};

use super::plan::CapturePlan;
use super::state::Stamp;
use crate::column::batch::{Assembler, RowMeta, Unknown};
use crate::column::metadata::Op;
use crate::error::{Definite, Doing, Error};
use crate::position::Position;
use crate::run::change::partial;
use crate::run::change::writer::{Batches, ChangeWriter};
use crate::run::change::{At, Refused, Shape, Tally, Writing};
use crate::source::postgres::error::SourceError;
use crate::source::postgres::replication::message::{Cell, Old, RelationMessage, Tuple};
use crate::source::postgres::replication::rows::{ChangeRows, key_hash};
use crate::source::postgres::rows::RowError;

impl From<RowError> for Refused {
    fn from(error: RowError) -> Self {
        Self::Failed(SourceError::Row(error).into_error(Doing::Reading))
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

/// Takes the changes of one table.
pub struct TableWriter {
    plan: CapturePlan,
    changes: ChangeWriter<ChangeRows>,
    /// Where the key columns are in a tuple; `None` before the stream has announced one.
    key: Option<Vec<usize>>,
    /// Where the replay over a copy in chunks ends.
    replayed_until: Option<u64>,
}

impl TableWriter {
    /// A writer of a table as it is.
    #[must_use]
    pub fn new(plan: CapturePlan, table: LakeTable, writing: Writing) -> Self {
        let replayed_until = partial::replayed_until(&table).map(Position::lsn);
        let is_replaying = replayed_until.is_some();
        let changes = ChangeWriter::new(plan.shape, plan.key.clone(), table, writing, is_replaying);
        Self { plan, changes, key: None, replayed_until }
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
        self.changes.end_replay();
    }

    /// The plan it follows.
    #[must_use]
    pub fn plan(&self) -> &CapturePlan {
        &self.plan
    }

    /// The table as it was last committed.
    #[must_use]
    pub fn table(&self) -> &LakeTable {
        self.changes.table()
    }

    /// The table has moved on.
    pub fn set_table(&mut self, table: LakeTable) {
        self.changes.set_table(table);
    }

    /// Whether there is anything to commit.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.changes.is_dirty()
    }

    /// Keys that the merge has touched; each costs memory.
    #[must_use]
    pub fn touched_keys(&self) -> u64 {
        self.changes.touched_keys()
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
        self.plan = plan;
        self.changes.set_table(table);
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
        let Writing { limit, run, .. } = self.changes.writing().clone();
        let schema = self.table().arrow_schema();
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
        self.key = Some(self.plan.key.iter().filter_map(place).collect());
        self.changes.set_form(self.plan.key.clone(), rows, keys);
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
        self.changes.truncate(at)
    }

    /// Marks rows that are in the lake as deleted: a batch of their keys.
    ///
    /// # Errors
    /// The lake's.
    pub fn mark(&mut self, keys: &RecordBatch, at: At) -> Result<(), Refused> {
        self.changes.mark(keys, at)
    }

    fn row(&mut self, new: Tuple<'_>, old: Option<Old<'_>>, op: Op, at: At) -> Result<(), Refused> {
        let key = self.key.as_deref().unwrap_or_default();
        let push = |rows: &mut ChangeRows, own: RowMeta<'_>| {
            rows.push(new.completed_by(old), own).map_err(Refused::from)
        };
        self.changes.row(op, at, || key_hash(key, new), push)
    }

    /// The row of a key went, in a merge.
    fn gone(&mut self, old: Old<'_>, at: At) -> Result<(), Refused> {
        let hash = key_hash(self.key.as_deref().unwrap_or_default(), old.tuple());
        let push = |keys: &mut ChangeRows, own: RowMeta<'_>| {
            keys.push(old.tuple().cells(), own).map_err(Refused::from)
        };
        self.changes.gone(at, hash, push)
    }

    /// Whether an update gave the row another identity. Without a key every column is part of it.
    fn is_moved(&self, old: Old<'_>, new: Tuple<'_>) -> bool {
        let Some(key) = &self.key else { return false };
        match old {
            // The log has the old key only when it changed.
            Old::Key(_) => true,
            Old::Full(_) if key.is_empty() => true,
            Old::Full(old) => key_hash(key, old) != key_hash(key, new),
        }
    }

    /// Throws away what is not committed.
    pub fn discard(&mut self) {
        self.changes.discard();
        self.key = None;
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
        self.changes.seal(|| stamp.state(Some(after), upto), after)
    }
}
