//! The lake's side: its rows as of a position.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use futures::TryStreamExt as _;
use ol_lake::{Lake, LakeTable};

use super::MOST_KEYS;
use super::tally::{ByKey, Sample, Scope, Survey};
use crate::column::digest::{Digested, Digester};
use crate::column::metadata::{self, Op};
use crate::error::{Definite, Error, Result, Transient};
use crate::position::Position;

/// How the table holds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they are; deleted ones are gone, or marked.
    Rows,
    /// As they came to be.
    Log,
}

/// A table of the lake as it was loaded, to be read as of a position.
pub struct LakeSide {
    lake: Arc<Lake>,
    /// The table.
    pub table: LakeTable,
    /// What is compared.
    pub digester: Digester,
    /// How it holds rows.
    pub form: Form,
    /// The position; `None` for the table as it is.
    pub at: Option<Position>,
}

/// What a row of the lake says of the position that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It was there.
    There,
    /// It was not there any more.
    Gone,
    /// What was there is not known: the key was changed later.
    Later,
}

/// The columns that say what a row stands for.
struct Marks<'a> {
    position: Option<&'a ArrayRef>,
    deleted_at: Option<&'a ArrayRef>,
    op: Option<&'a ArrayRef>,
}

/// The latest row of a key in a log. It is kept for millions of keys.
struct Latest {
    position: Position,
    /// Its hash; [`GONE`] for a deleted one.
    row: u128,
}

/// No row has this hash, but for one in 2¹²⁸.
const GONE: u128 = 0;

impl LakeSide {
    /// A side of the comparison.
    #[must_use]
    pub fn new(
        lake: Arc<Lake>,
        table: LakeTable,
        digester: Digester,
        form: Form,
        at: Option<Position>,
    ) -> Self {
        Self { lake, table, digester, form, at }
    }

    /// Whether a row that is not in the table was never there, or is known to be deleted: deleted rows stay.
    #[must_use]
    pub fn keeps_deleted(&self) -> bool {
        self.form == Form::Log || self.table.schema().column(metadata::DELETED_AT).is_some()
    }

    /// Rows by range.
    ///
    /// # Errors
    /// The lake's; too many keys have moved on; a log cannot be reduced.
    pub async fn survey(&self, ranges: usize) -> Result<Survey> {
        match self.form {
            Form::Rows => self.survey_of_rows(ranges).await,
            Form::Log if self.digester.has_key() => self.survey_of_log(ranges).await,
            Form::Log => self.survey_by_counting(ranges).await,
        }
    }

    async fn survey_of_rows(&self, ranges: usize) -> Result<Survey> {
        let mut survey = Survey::new(ranges, self.digester.names().len());
        self.each(|_, digested, marks| {
            for row in 0..digested.rows.len() {
                match self.standing(marks, row) {
                    Standing::There => survey.add(digested, row),
                    Standing::Gone => {}
                    Standing::Later => {
                        if !marks.is_deleted(row) {
                            survey.rows += 1;
                        }
                        survey.moved.extend(digested.keys.get(row));
                    }
                }
            }
            self.expect_few(survey.moved.len())
        })
        .await?;
        Ok(survey)
    }

    /// As many passes as keep the keys of one in memory.
    async fn survey_of_log(&self, ranges: usize) -> Result<Survey> {
        let mut survey = Survey::new(ranges, self.digester.names().len());
        let records = self.table.current_snapshot().map_or(0, |snapshot| snapshot.records);
        let passes = usize::try_from(records).unwrap_or(usize::MAX).div_ceil(MOST_KEYS).max(1);
        for pass in 0..passes.min(ranges) {
            let chosen = (0..ranges).filter(|range| range % passes.min(ranges) == pass).collect();
            for (key, row) in self.latest(&Scope::Ranges { of: ranges, chosen }).await? {
                survey.put(key, row, 1, u128::wrapping_add);
            }
        }
        Ok(survey)
    }

    /// The rows of a log without a key: what was deleted takes back an equal row.
    async fn survey_by_counting(&self, ranges: usize) -> Result<Survey> {
        let emptied = self.emptied().await?;
        let mut survey = Survey::new(ranges, self.digester.names().len());
        self.each(|_, digested, marks| {
            for row in 0..digested.rows.len() {
                let position = marks.position(row);
                if self.standing(marks, row) == Standing::Later || position < emptied {
                    continue;
                }
                match marks.letter(row) {
                    letter if letter == Op::Delete.letter() => survey.take_back(digested, row),
                    letter if letter == Op::Truncate.letter() => {}
                    letter if letter == Op::Update.letter() => {
                        return Err(self.unreduced("an update in it does not say the old row"));
                    }
                    _ => survey.add(digested, row),
                }
            }
            Ok(())
        })
        .await?;
        Ok(survey)
    }

    /// Puts the rows of a scope into `by_key`, and which keys have moved on.
    ///
    /// # Errors
    /// The lake's; too many keys have moved on; a log cannot be reduced.
    pub async fn by_key(&self, by_key: &mut ByKey) -> Result<()> {
        if self.form == Form::Log {
            for (key, row) in self.latest(by_key.scope()).await? {
                by_key.lake(key, row);
            }
            return Ok(());
        }
        self.each(|_, digested, marks| {
            for (row, (key, hash)) in digested.keys.iter().zip(&digested.rows).enumerate() {
                if !by_key.scope().holds(*key) {
                    continue;
                }
                match self.standing(marks, row) {
                    Standing::There => by_key.lake(*key, *hash),
                    Standing::Gone => {}
                    Standing::Later => {
                        by_key.moved.insert(*key);
                    }
                }
            }
            self.expect_few(by_key.moved.len())
        })
        .await
    }

    /// Enough of the rows of some keys to name them.
    ///
    /// # Errors
    /// The lake's.
    pub async fn samples(&self, keys: &BTreeSet<u128>) -> Result<HashMap<u128, Sample>> {
        let mut samples: HashMap<u128, (Option<Position>, Sample)> = HashMap::new();
        self.each(|batch, digested, marks| {
            for (row, key) in digested.keys.iter().enumerate() {
                if !keys.contains(key) || self.standing(marks, row) != Standing::There {
                    continue;
                }
                let position = marks.position(row);
                if samples.get(key).is_some_and(|(known, _)| *known > position) {
                    continue;
                }
                let sample = Sample::of(&self.digester, batch, digested, row);
                let sample = sample.map_err(|error| self.defect(error))?;
                samples.insert(*key, (position, sample));
            }
            Ok(())
        })
        .await?;
        Ok(samples.into_iter().map(|(key, (_, sample))| (key, sample)).collect())
    }

    /// The latest rows of a log, by key: the table as it was. What was there before it was emptied is not.
    async fn latest(&self, scope: &Scope) -> Result<Vec<(u128, u128)>> {
        let mut latest: HashMap<u128, Latest> = HashMap::new();
        let mut emptied = None;
        self.each(|batch, digested, marks| {
            let key_columns: Vec<&ArrayRef> =
                self.digester.key().filter_map(|name| batch.column_by_name(name)).collect();
            for (row, (key, hash)) in digested.keys.iter().zip(&digested.rows).enumerate() {
                if self.standing(marks, row) == Standing::Later {
                    continue;
                }
                let position = marks.position(row);
                let letter = marks.letter(row);
                if letter == Op::Truncate.letter() {
                    emptied = emptied.max(position);
                    continue;
                }
                let is_there = letter != Op::Delete.letter();
                if !is_there && key_columns.iter().any(|column| column.is_null(row)) {
                    return Err(self.unreduced("a delete in it does not name the key"));
                }
                if !scope.holds(*key) {
                    continue;
                }
                let position = position.unwrap_or(Position::Lsn(0));
                let is_newer = latest.get(key).is_none_or(|known| known.position < position);
                if is_newer {
                    let row = if is_there { *hash } else { GONE };
                    latest.insert(*key, Latest { position, row });
                }
            }
            Ok(())
        })
        .await?;
        let is_there =
            |it: &Latest| it.row != GONE && emptied.is_none_or(|emptied| emptied < it.position);
        let rows = latest.into_iter().filter(|(_, it)| is_there(it));
        Ok(rows.map(|(key, it)| (key, it.row)).collect())
    }

    /// Where the table was last emptied.
    async fn emptied(&self) -> Result<Option<Position>> {
        let mut emptied = None;
        let columns = [metadata::OP, metadata::POSITION];
        let mut batches = self.lake.scan(&self.table, Some(&columns)).await?;
        while let Some(batch) = batches.try_next().await? {
            let marks = Marks::of(&batch, true);
            for row in 0..batch.num_rows() {
                let is_later = self.standing(&marks, row) == Standing::Later;
                if marks.letter(row) == Op::Truncate.letter() && !is_later {
                    emptied = emptied.max(marks.position(row));
                }
            }
        }
        Ok(emptied)
    }

    /// Reads the table.
    async fn each(
        &self,
        mut take: impl FnMut(&RecordBatch, &Digested, &Marks<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut columns: Vec<&str> = self.digester.names().iter().map(String::as_str).collect();
        for name in [metadata::POSITION, metadata::DELETED_AT, metadata::OP] {
            if self.table.schema().column(name).is_some() {
                columns.push(name);
            }
        }
        let mut batches = self.lake.scan(&self.table, Some(&columns)).await?;
        while let Some(batch) = batches.try_next().await? {
            let digested = self.digester.digest(&batch).map_err(|error| self.defect(error))?;
            take(&batch, &digested, &Marks::of(&batch, self.form == Form::Log))?;
        }
        Ok(())
    }

    fn standing(&self, marks: &Marks<'_>, row: usize) -> Standing {
        let is_later = self.at.zip(marks.position(row)).is_some_and(|(at, position)| position > at);
        match (is_later, marks.is_deleted(row)) {
            (true, _) => Standing::Later,
            (false, true) => Standing::Gone,
            (false, false) => Standing::There,
        }
    }

    fn expect_few(&self, moved: usize) -> Result<()> {
        if moved <= MOST_KEYS {
            return Ok(());
        }
        Err(Error::new(Transient::RowsMoving).with("table", self.table.name()).with("rows", moved))
    }

    fn unreduced(&self, reason: &str) -> Error {
        Error::new(Definite::ModeUnsupported)
            .with("table", self.table.name())
            .with("reason", format!("the log cannot be reduced to the table it tells of: {reason}"))
    }

    fn defect(&self, error: ArrowError) -> Error {
        Error::new(Definite::Defect).with("table", self.table.name()).because(error)
    }
}

impl<'a> Marks<'a> {
    fn of(batch: &'a RecordBatch, is_log: bool) -> Self {
        Self {
            position: batch.column_by_name(metadata::POSITION),
            deleted_at: batch.column_by_name(metadata::DELETED_AT),
            op: batch.column_by_name(metadata::OP).filter(|_| is_log),
        }
    }

    /// The position of a row; rows that another loader wrote have none, and are older than any.
    fn position(&self, row: usize) -> Option<Position> {
        let texts = self.position?.as_string_opt::<i32>()?;
        if texts.is_null(row) { None } else { texts.value(row).parse().ok() }
    }

    fn is_deleted(&self, row: usize) -> bool {
        self.deleted_at.is_some_and(|instants| !instants.is_null(row))
    }

    fn letter(&self, row: usize) -> &'a str {
        let letters = self.op.and_then(|op| op.as_string_opt::<i32>());
        letters.filter(|letters| !letters.is_null(row)).map_or("", |letters| letters.value(row))
    }
}
