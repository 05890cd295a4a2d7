//! Reading only what changed since the last run, by queries: replication methods `xmin` and `cursor`.
//!
//! ```text
//!   state in the table's last snapshot ──┐
//!   moment of this run's snapshot ───────┼── decide ──▶ Step: a condition for COPY, or the whole table
//!   relation, contract, cursor ──────────┘                 │
//!                                                          ▼
//!   ids on the rows read, highest cursor value ────────▶ state after: committed with the rows
//! ```
//!
//! - [`visibility`]: which rows are new. Decided by the server, exactly, from the row's own transaction id.
//! - [`watermark`]: where a run with a cursor has to look; it never decides what is new.
//! - [`probe`]: what is asked of the server around the snapshot.
//! - [`cursor`]: the cursor column in SQL.
//! - [`crate::source::incremental::sweep`]: deleted rows, which no query of changes can show: all keys of the source against all of the lake.
//!
//! The whole table is read again, and the lake follows, when what is known is of no use: no state, another timeline,
//! columns that are read in another way, or columns whose values existing rows have without having been written
//! (`ADD COLUMN … DEFAULT` fills them in the catalog only, so no row gets a new transaction id).
//!
//! Not covered: a commit that the server reported before it was durable (`synchronous_commit = off`), was read here,
//! and was then undone by a crash. Its ids are given out again. Only a full load shows that.

pub mod cursor;
pub mod probe;
pub mod visibility;
pub mod watermark;

use std::collections::{BTreeMap, BTreeSet};

pub use probe::{Identity, Moment};

pub use crate::source::incremental::sweep;

use self::cursor::Cursor;
use self::visibility::{Horizon, Recent};
use self::watermark::Watermarks;
use super::catalog::{Column, Relation};
use super::types::Reading;
use crate::error::{Definite, Error, Transient};
use crate::load::{contract_digest, state as keys};
use crate::position::Position;
use crate::source::incremental::Begun;

/// Keys of what these methods store in the summary of each snapshot, beside those of every load.
pub mod state {
    pub use crate::source::incremental::state::{CURSOR, SEEN, SOURCE, SWEPT_AT};

    /// The snapshot that everything visible in is known of, as `pg_current_snapshot()` prints it.
    pub const SNAPSHOT: &str = "ol.source-snapshot";
    /// Object ids of the table and of what belongs to it.
    pub const PARTS: &str = "ol.source-parts";
    /// The highest number that a column of the table had.
    pub const ATTRIBUTES: &str = "ol.source-attributes";
}

/// How a table stood after the last run that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whose ids these are.
    pub identity: Identity,
    /// The position of that run.
    pub position: Position,
    /// What is known of rows.
    pub horizon: Horizon,
    /// The table and what belonged to it.
    pub parts: BTreeSet<u32>,
    /// The highest column number.
    pub attributes: i16,
    /// How the columns were read.
    pub contract: String,
    /// How the rows were written, in the inventory's word.
    pub mode: String,
    /// The watermarks, with a cursor.
    pub watermarks: Option<Watermarks>,
    /// When keys were last compared, in milliseconds since 1970-01-01 UTC.
    pub swept_at: i64,
}

impl Known {
    /// Reads it; `None` when the table has no such state: it was never loaded, was reset, or is loaded otherwise.
    #[must_use]
    pub fn read(entries: &BTreeMap<String, String>) -> Option<Self> {
        let text = |key: &str| entries.get(key).map(String::as_str);
        Some(Self {
            identity: text(state::SOURCE)?.parse().ok()?,
            position: text(keys::POSITION)?.parse().ok()?,
            horizon: Horizon::parse(text(state::SNAPSHOT)?, text(state::SEEN)?).ok()?,
            parts: text(state::PARTS)?
                .split(',')
                .map(|oid| oid.parse().ok())
                .collect::<Option<_>>()?,
            attributes: text(state::ATTRIBUTES)?.parse().ok()?,
            contract: text(keys::CONTRACT)?.to_owned(),
            mode: text(keys::MODE)?.to_owned(),
            watermarks: match text(state::CURSOR) {
                Some(json) => Some(serde_json::from_str(json).ok()?),
                None => None,
            },
            swept_at: text(state::SWEPT_AT)?.parse().ok()?,
        })
    }
}

/// What a table is read by, decided from the inventory and the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// All of it.
    Full,
    /// By transaction ids.
    Xmin,
    /// By a column.
    Cursor(Cursor),
}

/// What [`decide`] looks at.
pub struct Situation<'a> {
    /// This run's snapshot.
    pub moment: &'a Moment,
    /// Its position.
    pub position: Position,
    /// The table.
    pub relation: &'a Relation,
    /// The table and what belongs to it.
    pub parts: BTreeSet<u32>,
    /// How its columns are read.
    pub readings: &'a [Reading],
    /// How its rows are written, in the inventory's word.
    pub mode: &'static str,
    /// The column to narrow by, if any.
    pub cursor: Option<&'a Cursor>,
    /// Seconds to look back from a bound that is a moment.
    pub lookback_seconds: u64,
    /// The value that another loader stopped at, as the server prints it.
    pub from: Option<String>,
    /// `server_version_num`.
    pub version: i32,
}

/// One run over one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The condition of the rows to read, as SQL; `None` for all.
    pub condition: Option<String>,
    /// The expression that marks recent ids: see [`Recent`].
    pub mark: String,
    /// The query of the highest cursor value, with a cursor.
    pub highest: Option<String>,
    /// Why all rows are read although rows of this table are known; for the log.
    pub again: Option<&'static str>,
    /// Whether the rows that are there were written in another mode, so that nothing may stay of them.
    pub is_other_mode: bool,
    /// When keys were last compared.
    pub swept_at: Option<i64>,
    moment: Moment,
    previous: Option<Horizon>,
    watermarks: Option<Watermarks>,
    parts: BTreeSet<u32>,
    attributes: i16,
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
    let label = now.cursor.map(Cursor::label);
    let again = known.as_ref().and_then(|known| useless(known, now));
    let swept_at = known.as_ref().map(|known| known.swept_at);
    let is_other_mode = known.as_ref().is_some_and(|known| known.mode != now.mode);
    let usable = known.filter(|_| again.is_none());
    let watermarks = label.map(|label| {
        let kept = usable.as_ref().and_then(|known| known.watermarks.clone());
        kept.filter(|kept| kept.column == label)
            .unwrap_or_else(|| Watermarks::new(label, now.from.clone()))
    });
    let around = &now.moment.around;
    let narrowed = now.cursor.zip(watermarks.as_ref()).and_then(|(cursor, marks)| {
        // What was handed over is a bound by the word of whoever hands it over.
        let bound = marks.bound(around).or(now.from.as_deref())?;
        Some(cursor.from_bound(bound, now.lookback_seconds))
    });
    let condition = match &usable {
        None => narrowed.filter(|_| now.from.is_some()),
        Some(known) => Some(new_rows(known, now, narrowed)),
    };
    Ok(Step {
        condition,
        mark: Recent::expression(&around.snapshot),
        highest: now.cursor.map(|cursor| cursor.highest_sql(now.relation, now.version)),
        again,
        is_other_mode,
        swept_at,
        moment: now.moment.clone(),
        previous: usable.map(|known| known.horizon),
        watermarks,
        parts: now.parts.clone(),
        attributes: now.relation.columns.iter().map(|column| column.number).max().unwrap_or(0),
    })
}

fn new_rows(known: &Known, now: &Situation<'_>, narrowed: Option<String>) -> String {
    let new = known.horizon.new_rows(&now.moment.around.snapshot);
    let new = match narrowed {
        Some(narrowed) => format!("{narrowed} AND {new}"),
        None => new,
    };
    let joined: Vec<String> = now.parts.difference(&known.parts).map(u32::to_string).collect();
    if joined.is_empty() {
        new
    } else {
        format!("(tableoid IN ({}) OR ({new}))", joined.join(", "))
    }
}

fn same_source(known: &Known, now: &Situation<'_>) -> Result<(), Error> {
    let (was, is) = (&known.identity, &now.moment.identity);
    if (&was.system, &was.database) != (&is.system, &is.database) {
        return Err(Error::new(Definite::SourceReplaced).with("was", was).with("is", is));
    }
    if was.timeline == is.timeline && now.position < known.position {
        return Err(Error::new(Transient::SourceBehind)
            .with("reached", known.position)
            .with("is_at", now.position));
    }
    Ok(())
}

/// Why what is known cannot be built on; `None` when it can.
fn useless(known: &Known, now: &Situation<'_>) -> Option<&'static str> {
    if known.identity.timeline != now.moment.identity.timeline {
        return Some("the source is on another timeline since a promotion");
    }
    if known.mode != now.mode {
        return Some("the table was written in another sync mode");
    }
    let columns = &now.relation.columns;
    let column = |name: &str| columns.iter().find(|column| column.name == name);
    let is_new = |column: &Column| column.number > known.attributes;
    let filled = columns.iter().any(|column| is_new(column) && column.has_missing_value);
    if filled && now.readings.iter().any(|r| column(&r.name).is_some_and(is_new)) {
        return Some("a column was added whose default the existing rows have");
    }
    let old = now.readings.iter().filter(|r| column(&r.name).is_none_or(|column| !is_new(column)));
    let contract = contract_digest(old.map(|r| (r.name.as_str(), &r.contract)));
    (contract != known.contract).then_some("columns are read in another way than before")
}

impl Step {
    /// What it means for how the rows are written.
    #[must_use]
    pub fn begun(&self) -> Begun {
        Begun {
            is_whole: self.condition.is_none(),
            goes_on: self.goes_on(),
            is_other_mode: self.is_other_mode,
            swept_at: self.swept_at,
        }
    }

    /// Whether the rows are added to what is known, so that without any there is nothing new.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.previous.is_some()
    }

    /// The entries of the snapshot that the rows go into.
    ///
    /// `recent` are the marked ids of the rows read, `highest` the answer to [`Step::highest`], and `swept_at` when
    /// keys were last compared, this run included.
    #[must_use]
    pub fn state_after(
        &self,
        recent: &Recent,
        highest: Option<String>,
        swept_at: i64,
    ) -> BTreeMap<String, String> {
        let around = &self.moment.around;
        let horizon = Horizon::after(self.previous.as_ref(), around.snapshot.clone(), recent);
        let parts: Vec<String> = self.parts.iter().map(u32::to_string).collect();
        let mut entries = BTreeMap::from([
            (state::SOURCE.to_owned(), self.moment.identity.to_string()),
            (state::SNAPSHOT.to_owned(), horizon.snapshot.to_string()),
            (state::SEEN.to_owned(), horizon.seen_text()),
            (state::PARTS.to_owned(), parts.join(",")),
            (state::ATTRIBUTES.to_owned(), self.attributes.to_string()),
            (state::SWEPT_AT.to_owned(), swept_at.to_string()),
        ]);
        if let Some(marks) = self.advanced(highest) {
            let json = serde_json::to_string(&marks).expect("texts and numbers are JSON");
            entries.insert(state::CURSOR.to_owned(), json);
        }
        entries
    }

    /// Whether a commit without rows is worth its while: it gives the next run a bound where there was none.
    #[must_use]
    pub fn gains_bound(&self) -> bool {
        let settled = |marks: &Watermarks| marks.settled.is_some();
        self.watermarks.as_ref().is_some_and(|marks| !settled(marks))
            && self.advanced(None).is_some_and(|marks| settled(&marks))
    }

    fn advanced(&self, highest: Option<String>) -> Option<Watermarks> {
        let mut marks = self.watermarks.clone()?;
        marks.advance(&self.moment.around, highest);
        Some(marks)
    }
}
