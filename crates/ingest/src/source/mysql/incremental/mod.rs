//! Reading only what changed since the last run, by queries: replication method `cursor`.
//!
//! ```text
//!   state in the table's last snapshot ──┐
//!   moment of this run's snapshot ───────┼── decide ──▶ Step: a condition for SELECT, or the whole table
//!   contract, cursor, its highest value ─┘                 │
//!                                                          ▼
//!   traces of the rows read ───────────────────────────▶ state after: committed with the rows
//! ```
//!
//! - [`cursor`]: the cursor column in SQL.
//! - [`seen`]: which of the rows that are found again are known.
//! - [`crate::source::incremental::sweep`]: deleted rows, which no query of changes can show.
//!
//! # That a row which is committed late is not skipped
//!
//! A transaction takes its cursor value, another takes a higher one and commits, a run sees that one, and then the first
//! commits: its value is already passed. No row of MySQL says which transaction wrote it, and an account that may only
//! read is not told which transactions run. So a run begins at a *bound* which lies before its last highest value, finds
//! rows that it has, and leaves those out by [`seen`].
//!
//! **Assumptions.** A transaction takes its cursor values while it lives, and values taken later are not smaller than
//! values taken before (a clock or a sequence). In particular an update changes the cursor. And what this source has
//! beside: from the moment a value is taken until its row can be seen here, on a replica, too, less than *L* passes
//! (`incremental.lookback_seconds`).
//!
//! **Proof.** Let *S* be the snapshot of the last run, *S′* that of this one, and take a row version with value *c* that is
//! visible in *S′* and not in *S*. It was taken after *S − L*.
//! - *Any cursor*: let *wₖ* be the highest value visible in the snapshot *Sₖ* of an earlier run with `Sₖ ≤ S − L`
//!   ("settled"). All values visible in *Sₖ* were taken before `Sₖ ≤ S − L`, that is before *c*, so `c ≥ wₖ`. Of dates and times
//!   *k* is chosen so that a whole tick of the clock lies between: then `c > wₖ`, and rows that share the value *wₖ*, be they
//!   ever so many, are not found again.
//! - *A cursor of dates or times* has a second bound, which is there from the first run on: with *w* the highest value
//!   visible in *S* that is not in its future, `w ≤ S`, and `c ≥ S − L ≥ w − L`.
//! - *Any other* begins at the value of the oldest run until one is settled. What then is not covered are transactions that
//!   were open at the first load and lie below its highest value; of integers the bound is a thousand lower, for such.
//!
//! **Not covered**: a value older than the bound when its row is committed (back-dated, copied from elsewhere, random), a
//! transaction longer than *L*, a row that is updated without its cursor, tables of engines without transactions that are
//! written while they are read. `verify` shows what is missing, and `reset` has it loaded.
//!
//! A bound may fall when the rows with the highest values are deleted; then rows are sent again.

pub mod cursor;
pub mod seen;

use std::collections::BTreeMap;

use self::cursor::Cursor;
use self::seen::{Found, Overlap, Seen};
use super::types::Reading;
use crate::column::mask::Salt;
use crate::error::{Definite, Error, Transient};
use crate::load::state as keys;
use crate::position::Position;
use crate::source::incremental::{Begun, state, watermark};

/// The watermarks of a table: values, each with the time of its snapshot in milliseconds since 1970-01-01 UTC.
pub type Watermarks = watermark::Watermarks<i64>;

/// How a table stood after the last run that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whose rows these are.
    pub source: String,
    /// The position of that run.
    pub position: Position,
    /// How the columns were read.
    pub contract: String,
    /// How the rows were written, in the inventory's word.
    pub mode: String,
    /// The watermarks.
    pub watermarks: Watermarks,
    /// When keys were last compared, in milliseconds since 1970-01-01 UTC.
    pub swept_at: i64,
    tells_time: bool,
    seen: Seen,
}

impl Known {
    /// Reads it from the state and the properties of a table; `None` when the table has no such state: it was never loaded,
    /// was reset, or is loaded otherwise.
    #[must_use]
    pub fn read(
        entries: &BTreeMap<String, String>,
        properties: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let text = |key: &str| entries.get(key).map(String::as_str);
        let watermarks: Watermarks = serde_json::from_str(text(state::CURSOR)?).ok()?;
        Some(Self {
            tells_time: Cursor::is_time(&watermarks.column),
            watermarks,
            source: text(state::SOURCE)?.to_owned(),
            position: text(keys::POSITION)?.parse().ok()?,
            contract: text(keys::CONTRACT)?.to_owned(),
            mode: text(keys::MODE)?.to_owned(),
            swept_at: text(state::SWEPT_AT)?.parse().ok()?,
            // A table that was set back to an earlier snapshot has rows of that one, and what a later run found.
            seen: properties
                .get(state::SEEN)
                .and_then(|text| text.split_once(' '))
                .filter(|(run, _)| text(keys::RUN_ID) == Some(run))
                .and_then(|(_, found)| Seen::parse(found))
                .unwrap_or_default(),
        })
    }

    /// The value that the next run begins at: of a cursor that is a time, less the lookback.
    #[must_use]
    pub fn bound(&self) -> Option<&str> {
        let marks = &self.watermarks;
        let told = oldest(marks);
        latest(marks).filter(|_| self.tells_time).or(told)
    }
}

fn oldest(marks: &Watermarks) -> Option<&str> {
    let pending = || marks.pending.first().map(|pair| pair.value.as_str());
    marks.settled.as_deref().or_else(pending)
}

fn latest(marks: &Watermarks) -> Option<&str> {
    let pending = marks.pending.last().map(|pair| pair.value.as_str());
    pending.or(marks.settled.as_deref())
}

/// The condition of the rows that a run finds; `None` for all.
fn found(marks: &Watermarks, now: &Situation<'_>) -> Option<String> {
    let (cursor, lookback) = (now.cursor, now.lookback_seconds);
    match cursor.tick_seconds() {
        Some(_) => {
            let settled = marks.settled.as_deref().filter(|_| !marks.pending.is_empty());
            latest(marks).map(|latest| cursor.from_bound(latest, lookback, settled))
        }
        None => oldest(marks).map(|oldest| cursor.from_bound(oldest, lookback, None)),
    }
}

/// What [`decide`] looks at.
pub struct Situation<'a> {
    /// Whose rows these are: the server, if it tells who it is, and the database.
    pub source: &'a str,
    /// The position of this run's snapshot.
    pub position: Position,
    /// Its time, in milliseconds since 1970-01-01 UTC.
    pub now: i64,
    /// How the columns are read.
    pub readings: &'a [Reading],
    /// The digest of that.
    pub contract: &'a str,
    /// How the rows are written, in the inventory's word.
    pub mode: &'static str,
    /// Whether each row is added to a log.
    pub is_log: bool,
    /// The column.
    pub cursor: &'a Cursor,
    /// Whether its numbers have no sign.
    pub unsigned: bool,
    /// The highest value in the snapshot that may become a watermark.
    pub highest: Option<String>,
    /// How long it may take from a value until its row is seen, in seconds.
    pub lookback_seconds: u64,
    /// The value that another loader stopped at, as the server prints it.
    pub from: Option<String>,
}

/// One run over one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The condition of the rows to read, as SQL; `None` for all.
    pub condition: Option<String>,
    /// The expression by which a row says whether the next run finds it again.
    pub mark: String,
    /// Why all rows are read although rows of this table are known; for the log.
    pub again: Option<&'static str>,
    source: String,
    begun: Begun,
    /// The watermarks after this run.
    watermarks: Watermarks,
    known: Seen,
    by_number: bool,
    unsigned: bool,
    salt: Option<Salt>,
}

/// Decides what to read, given how the table stood.
///
/// # Errors
/// The source is another one than the state is of, or has not come as far; a position was handed over to a table that
/// has one.
pub fn decide(known: Option<Known>, now: &Situation<'_>) -> Result<Step, Error> {
    if let Some(known) = &known {
        same_source(known, now)?;
        if now.from.is_some() {
            return Err(Error::new(Definite::Configuration).with("flag", "--from").advise(
                "The table has a position of its own by now: run without --from, or reset the table first.",
            ));
        }
    }
    let again = known.as_ref().and_then(|known| useless(known, now));
    let swept_at = known.as_ref().map(|known| known.swept_at);
    let is_other_mode = known.as_ref().is_some_and(|known| known.mode != now.mode);
    let usable = known.filter(|_| again.is_none());
    let goes_on = usable.is_some();
    let new = |settled: Option<&String>| Watermarks::new(now.cursor.label(), settled.cloned());
    let (before, known) = match usable {
        Some(known) => (known.watermarks, known.seen),
        None => (new(now.from.as_ref()), Seen::default()),
    };
    let condition = found(&before, now);
    // What was handed over is a bound by the word of whoever hands it over, and no time that rows can be behind.
    let is_word = !goes_on && now.cursor.tick_seconds().is_some();
    let watermarks = advanced(if is_word { new(None) } else { before }, now);
    let by_number = now.is_log && now.cursor.is_key();
    Ok(Step {
        mark: now.cursor.mark(found(&watermarks, now).as_deref(), by_number),
        again,
        source: now.source.to_owned(),
        // What is known is left out, so rows that are added to it never replace it.
        begun: Begun {
            is_whole: condition.is_none() && !goes_on,
            goes_on,
            is_other_mode,
            swept_at,
        },
        condition,
        watermarks,
        known,
        by_number,
        unsigned: now.unsigned,
        salt: now.readings.iter().find_map(Reading::salted).cloned(),
    })
}

/// The watermarks after a run: what is old enough is settled, and what this run saw is added.
fn advanced(mut marks: Watermarks, now: &Situation<'_>) -> Watermarks {
    let seconds = now.lookback_seconds.saturating_add(now.cursor.tick_seconds().unwrap_or(0));
    let lookback = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
    marks.settle(|at| now.now.saturating_sub(*at) >= lookback);
    if let Some(value) = &now.highest {
        marks.push(value.clone(), now.now);
    }
    marks
}

fn same_source(known: &Known, now: &Situation<'_>) -> Result<(), Error> {
    if known.source != now.source {
        return Err(Error::new(Definite::SourceReplaced)
            .with("was", &known.source)
            .with("is", now.source));
    }
    if is_same_kind(known.position, now.position) && now.position < known.position {
        return Err(Error::new(Transient::SourceBehind)
            .with("reached", known.position)
            .with("is_at", now.position));
    }
    Ok(())
}

/// Why what is known cannot be built on; `None` when it can.
fn useless(known: &Known, now: &Situation<'_>) -> Option<&'static str> {
    if known.mode != now.mode {
        return Some("the table was written in another sync mode");
    }
    if known.watermarks.column != now.cursor.label() {
        return Some("the cursor is another column, or of another type");
    }
    if !is_same_kind(known.position, now.position) {
        return Some("the server tells its place in another way: its log was turned on or off");
    }
    // A column that was added has its default in every row, and no row says that it was written for that.
    (known.contract != now.contract).then_some("columns are read in another way than before")
}

fn is_same_kind(one: Position, other: Position) -> bool {
    one.log_place().is_some() == other.log_place().is_some()
}

impl Step {
    /// What it means for how the rows are written.
    #[must_use]
    pub fn begun(&self) -> Begun {
        self.begun
    }

    /// What tells known rows from others while they are read.
    pub(super) fn overlap(&self) -> Overlap {
        Overlap {
            known: self.known.clone(),
            found: Found::default(),
            by_number: self.by_number,
            unsigned: self.unsigned,
            salt: self.salt.clone(),
            scratch: String::new(),
        }
    }

    /// The entries of the snapshot that the rows go into. `swept_at` is when keys were last compared, this run included.
    #[must_use]
    pub fn state_after(&self, swept_at: i64) -> BTreeMap<String, String> {
        let json = serde_json::to_string(&self.watermarks).expect("texts and numbers are JSON");
        BTreeMap::from([
            (state::SOURCE.to_owned(), self.source.clone()),
            (state::CURSOR.to_owned(), json),
            (state::SWEPT_AT.to_owned(), swept_at.to_string()),
        ])
    }

    /// The table properties that go with them. There is one of each for a table, and not for each snapshot, as this may be
    /// long.
    #[must_use]
    pub fn properties_after(&self, found: &Found, run_id: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(state::SEEN.to_owned(), format!("{run_id} {}", found.text()))])
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::inventory::{SyncMode, Table, TableOverrides};
    use crate::position::LogPlace;
    use crate::source::mysql::catalog::{Column, Relation, RelationKind};

    fn cursor(type_name: &str) -> Cursor {
        let column = Column { name: "at".into(), type_name: type_name.into(), ..Column::default() };
        let relation = Relation {
            database: "d".into(),
            name: "t".into(),
            kind: RelationKind::Table,
            engine: None,
            row_estimate: None,
            bytes: 0,
            comment: None,
            columns: vec![column],
            primary_key: Vec::new(),
        };
        let table = Table {
            name: "t".into(),
            namespace: "d".into(),
            raw_table: "raw__t".into(),
            sync_mode: SyncMode::IncrementalAppend,
            cursor_field: Some("at".into()),
            primary_key: Vec::new(),
            excluded_columns: Vec::new(),
            modeled: false,
            renamed_from: None,
            overrides: TableOverrides::default(),
        };
        Cursor::find(&table, &relation).unwrap()
    }

    fn place(file: u32, offset: u64) -> Position {
        Position::Binlog(LogPlace { epoch: 0, file, offset })
    }

    fn situation<'a>(cursor: &'a Cursor, now: i64, highest: &str) -> Situation<'a> {
        Situation {
            source: "s/d",
            position: place(1, now.unsigned_abs()),
            now,
            readings: &[],
            contract: "c",
            mode: "incremental_append",
            is_log: true,
            cursor,
            unsigned: false,
            highest: Some(highest.to_owned()),
            lookback_seconds: 10,
            from: None,
        }
    }

    /// The state that a run leaves behind.
    fn after(known: Option<Known>, now: &Situation<'_>) -> Option<Known> {
        let step = decide(known, now).unwrap();
        let mut entries = step.state_after(now.now);
        entries.insert(keys::POSITION.to_owned(), now.position.to_string());
        entries.insert(keys::CONTRACT.to_owned(), now.contract.to_owned());
        entries.insert(keys::MODE.to_owned(), now.mode.to_owned());
        Known::read(&entries, &step.properties_after(&Found::default(), "run"))
    }

    #[test]
    fn a_number_becomes_the_bound_when_a_run_is_old_enough() {
        let cursor = cursor("decimal");
        let mut known = None;
        for (now, highest, bound) in [
            (0, "1", "1"),
            (4_000, "2", "1"),
            (9_000, "3", "1"),
            (14_000, "4", "2"),
            (60_000, "5", "4"),
        ] {
            known = after(known, &situation(&cursor, now, highest));
            assert_eq!(known.as_ref().unwrap().bound(), Some(bound), "at {now}");
        }
    }

    #[test]
    fn a_time_is_a_bound_at_once_and_is_passed_when_a_run_is_old_enough() {
        let cursor = cursor("datetime");
        let at = |now: i64| situation(&cursor, now, "2020-01-02 00:00:00.000000");
        let first = after(None, &situation(&cursor, 0, "2020-01-01 00:00:00.000000"));
        let step = decide(first.clone(), &at(1)).unwrap();
        let condition = step.condition.unwrap();
        assert!(condition.contains("'2020-01-01 00:00:00.000000'"), "{condition}");
        assert!(!condition.contains(" > "), "{condition}");
        assert!(step.mark.contains("'2020-01-02 00:00:00.000000'"), "{}", step.mark);
        let late = decide(after(first, &at(12_000)), &at(13_000)).unwrap().condition.unwrap();
        assert!(late.contains("`at` > CAST('2020-01-01 00:00:00.000000'"), "{late}");
    }

    #[test]
    fn what_is_of_another_source_or_time_is_refused_and_what_is_of_no_use_read_again() {
        let cursor = cursor("int");
        let known = || after(None, &situation(&cursor, 1_000, "7"));
        let now = |change: fn(&mut Situation<'_>)| {
            let mut now = situation(&cursor, 2_000, "8");
            change(&mut now);
            decide(known(), &now)
        };
        let failure = |result: Result<Step, Error>| result.unwrap_err().failure();
        let replaced = failure(now(|now| now.source = "other/d"));
        assert_eq!(replaced, Definite::SourceReplaced.into());
        let behind = failure(now(|now| now.position = place(0, 9)));
        assert_eq!(behind, Transient::SourceBehind.into());
        let twice = failure(now(|now| now.from = Some("3".into())));
        assert_eq!(twice, Definite::Configuration.into());
        for (change, reason) in [
            ((|now| now.mode = "incremental_update") as fn(&mut Situation<'_>), "sync mode"),
            (|now| now.contract = "another", "another way"),
            (|now| now.position = Position::Moment(9), "log was turned"),
        ] {
            let step = now(change).unwrap();
            assert!(step.again.unwrap().contains(reason), "{reason}");
            assert!(step.condition.is_none() && !step.begun().goes_on);
        }
        assert!(now(|_| ()).unwrap().again.is_none());
    }
}
