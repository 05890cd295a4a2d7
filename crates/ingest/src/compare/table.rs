//! The comparison of two tables: first hashes of rows, then the values of the rows that differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_cast::display::array_value_to_string;
use ol_chassis::shutdown::Shutdown;
use ol_lake::{Lake, LakeTable};

use super::MOST_DIFFERING;
use super::canonical::rank;
use super::pairing::Pairing;
use super::side::{Seen, Side, Whose};
use super::spill::{Held, Partitions, Standing, partitions};
use crate::error::{Definite, Error, Result, Transient};

/// Two tables to compare.
pub struct Comparison<'a> {
    /// The lake of both.
    pub lake: &'a Arc<Lake>,
    /// Ours.
    pub ours: &'a LakeTable,
    /// Theirs.
    pub theirs: &'a LakeTable,
    /// Their columns.
    pub pairing: &'a Pairing,
    /// Rows that are named of each kind of difference.
    pub named: usize,
    /// The request to stop.
    pub shutdown: &'a Shutdown,
}

/// On which side a row is that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// Only in ours.
    Ours,
    /// Only in theirs.
    Theirs,
    /// In both, with other values.
    Both,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it is.
    pub on: On,
    /// The values of its key, by column; of all columns where a row is its own.
    pub key: BTreeMap<String, Option<String>>,
    /// The columns that differ, by our name: their values in ours and in theirs.
    pub columns: BTreeMap<String, (Option<String>, Option<String>)>,
}

/// What a comparison has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Rows of ours, after deduplication.
    pub ours: u64,
    /// Rows of theirs, after deduplication.
    pub theirs: u64,
    /// Rows with the same key and the same values.
    pub equal: u64,
    /// Rows of ours whose key theirs does not have.
    pub only_ours: u64,
    /// Rows of theirs whose key ours does not have.
    pub only_theirs: u64,
    /// Rows with the same key and other values.
    pub differing: u64,
    /// Of `differing`, those that are newer in ours, by the cursor.
    pub newer_ours: u64,
    /// Of `differing`, those that are newer in theirs, by the cursor.
    pub newer_theirs: u64,
    /// Keys of theirs that have several newest rows with different values.
    pub undecided: u64,
    /// How many of the differing rows were looked at for their values.
    pub looked_at: u64,
    /// How many of these differ in a column, by pair.
    pub columns: Vec<u64>,
    /// Some rows that differ.
    pub rows: Vec<Row>,
}

impl Found {
    /// Whether no row differs.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.only_ours == 0 && self.only_theirs == 0 && self.differing == 0
    }
}

/// The newest row of a key.
struct Newest {
    row: u128,
    standing: Standing,
    order: Vec<u8>,
    /// Whether an equally new row has other values.
    is_undecided: bool,
}

/// A key whose rows differ.
#[derive(Default)]
struct Differing {
    ours: Option<u128>,
    theirs: Option<u128>,
    /// What was seen of our row.
    seen: Option<SeenRow>,
}

struct SeenRow {
    columns: Vec<u64>,
    rank: Option<i64>,
}

/// Compares two tables.
///
/// # Errors
/// The lake's; a log without a key; a temporary file cannot be written; the request to stop.
pub async fn compare(comparison: &Comparison<'_>) -> Result<Found> {
    let pairing = comparison.pairing;
    let ours = Side::new(comparison.lake, comparison.ours, Whose::Ours, pairing);
    let theirs = Side::new(comparison.lake, comparison.theirs, Whose::Theirs, pairing);
    if pairing.key.is_empty() && (ours.is_log() || theirs.is_log()) {
        return Err(Error::new(Definite::ComparisonUnkeyed).with("table", comparison.ours.name()));
    }
    let count = partitions(ours.records().max(theirs.records()));
    let mut our_rows = comparison.gather(&ours, count).await?;
    let mut their_rows = comparison.gather(&theirs, count).await?;
    let mut found = Found { columns: vec![0; pairing.pairs.len()], ..Found::default() };
    let mut differing: HashMap<u128, Differing> = HashMap::new();
    for place in 0..our_rows.count() {
        comparison.check()?;
        if pairing.key.is_empty() {
            count_rows(place, &mut our_rows, &mut their_rows, &mut found, &mut differing)?;
        } else {
            judge_keys(place, &mut our_rows, &mut their_rows, &mut found, &mut differing)?;
        }
    }
    if !differing.is_empty() {
        comparison.look(&ours, &theirs, differing, &mut found).await?;
    }
    Ok(found)
}

fn unwritable(error: std::io::Error) -> Error {
    let full = error.kind() == std::io::ErrorKind::StorageFull;
    let definite = if full { Definite::DiskFull } else { Definite::SettingRefused };
    Error::new(definite).with("folder", std::env::temp_dir().display()).because(error)
}

impl Comparison<'_> {
    fn check(&self) -> Result<()> {
        if self.shutdown.is_requested() {
            return Err(Error::new(Transient::Stopped));
        }
        Ok(())
    }

    /// The hashes of a side.
    async fn gather(&self, side: &Side<'_>, count: usize) -> Result<Partitions> {
        let mut partitions = Partitions::new(count);
        // A table that was emptied has no row from before; what is kept of one is dropped when it is judged.
        let mut emptied: Option<Vec<u8>> = None;
        side.each(|seen| {
            self.check()?;
            for (row, (key, hash)) in seen.keys.iter().zip(&seen.rows).enumerate() {
                let order = seen.order(row);
                match seen.standing(row) {
                    Some(standing) => partitions
                        .push(&Held { key: *key, row: *hash, standing, order })
                        .map_err(unwritable)?,
                    None => emptied = emptied.take().max(Some(order)),
                }
            }
            Ok(())
        })
        .await?;
        partitions.emptied(emptied);
        Ok(partitions)
    }

    /// Reads both tables once more for the values of rows that differ.
    async fn look(
        &self,
        ours: &Side<'_>,
        theirs: &Side<'_>,
        mut differing: HashMap<u128, Differing>,
        found: &mut Found,
    ) -> Result<()> {
        let mut rows: HashMap<u128, Row> = HashMap::new();
        let mut named = Named { most: self.named, ..Named::default() };
        let cursor = self.pairing.cursor;
        let rank_of = |seen: &Seen<'_>, row| {
            cursor.and_then(|place| seen.values.get(place)).and_then(|column| rank(column, row))
        };
        ours.each(|seen| {
            self.check()?;
            for (row, (key, hash)) in seen.keys.iter().zip(&seen.rows).enumerate() {
                let Some(known) = differing.get_mut(key) else { continue };
                if known.ours != Some(*hash) || known.seen.is_some() {
                    continue;
                }
                let on = if known.theirs.is_some() { On::Both } else { On::Ours };
                if named.takes(on) {
                    rows.insert(*key, self.row(on, seen, row)?);
                }
                known.seen = Some(SeenRow {
                    columns: seen.columns.iter().map(|column| short(column, row)).collect(),
                    rank: rank_of(seen, row),
                });
                found.looked_at += 1;
            }
            Ok(())
        })
        .await?;
        let mut done: BTreeSet<u128> = BTreeSet::new();
        theirs
            .each(|seen| {
                self.check()?;
                for (row, (key, hash)) in seen.keys.iter().zip(&seen.rows).enumerate() {
                    let Some(known) = differing.get(key) else { continue };
                    if known.theirs != Some(*hash) || !done.insert(*key) {
                        continue;
                    }
                    let Some(mine) = &known.seen else {
                        found.looked_at += 1;
                        if named.takes(On::Theirs) {
                            rows.insert(*key, self.row(On::Theirs, seen, row)?);
                        }
                        continue;
                    };
                    for (place, column) in seen.columns.iter().enumerate() {
                        if mine.columns.get(place) != Some(&short(column, row)) {
                            self.differs(place, rows.get_mut(key), seen, row, found)?;
                        } else if let Some(shown) = rows.get_mut(key) {
                            shown.columns.remove(self.name(place));
                        }
                    }
                    match (mine.rank, rank_of(seen, row)) {
                        (Some(mine), Some(other)) if mine > other => found.newer_ours += 1,
                        (Some(mine), Some(other)) if mine < other => found.newer_theirs += 1,
                        _ => {}
                    }
                }
                Ok(())
            })
            .await?;
        found.rows = rows.into_values().collect();
        found.rows.sort_by(|one, other| (one.on, &one.key).cmp(&(other.on, &other.key)));
        Ok(())
    }

    fn name(&self, place: usize) -> &str {
        self.pairing.pairs.get(place).map_or("", |pair| &pair.ours)
    }

    fn differs(
        &self,
        place: usize,
        shown: Option<&mut Row>,
        seen: &Seen<'_>,
        row: usize,
        found: &mut Found,
    ) -> Result<()> {
        if let Some(count) = found.columns.get_mut(place) {
            *count += 1;
        }
        if let Some(values) = shown.and_then(|shown| shown.columns.get_mut(self.name(place))) {
            values.1 = self.shown(seen, place, row)?;
        }
        Ok(())
    }

    /// A row to be named; of one that is in both, the values of ours.
    fn row(&self, on: On, seen: &Seen<'_>, row: usize) -> Result<Row> {
        let places = || 0..self.pairing.pairs.len();
        let key: Vec<usize> = match self.pairing.key.is_empty() {
            true => places().collect(),
            false => self.pairing.key.clone(),
        };
        let mut named = Row { on, key: BTreeMap::new(), columns: BTreeMap::new() };
        for place in key {
            named.key.insert(self.name(place).to_owned(), self.shown(seen, place, row)?);
        }
        if on == On::Both {
            for place in places() {
                let value = self.shown(seen, place, row)?;
                named.columns.insert(self.name(place).to_owned(), (value, None));
            }
        }
        Ok(named)
    }

    fn shown(&self, seen: &Seen<'_>, place: usize, row: usize) -> Result<Option<String>> {
        let Some(column) = seen.values.get(place).filter(|column| column.is_valid(row)) else {
            return Ok(None);
        };
        array_value_to_string(column, row).map(Some).map_err(|error| {
            Error::new(Definite::Defect).with("table", self.ours.name()).because(error)
        })
    }
}

/// How many rows of each kind are named already.
#[derive(Default)]
struct Named {
    most: usize,
    of: BTreeMap<On, usize>,
}

impl Named {
    fn takes(&mut self, on: On) -> bool {
        let count = self.of.entry(on).or_default();
        *count += 1;
        *count <= self.most
    }
}

/// Enough of a hash to tell two values of one row and column apart.
#[expect(clippy::cast_possible_truncation, reason = "half of the bits are kept")]
fn short(column: &[u128], row: usize) -> u64 {
    column.get(row).copied().unwrap_or_default() as u64
}

fn newest(partitions: &mut Partitions, place: usize) -> Result<HashMap<u128, Newest>> {
    let mut newest: HashMap<u128, Newest> = HashMap::new();
    let taken = partitions.take(place, |held| {
        let fresh = |held: Held| Newest {
            row: held.row,
            standing: held.standing,
            order: held.order,
            is_undecided: false,
        };
        match newest.get_mut(&held.key) {
            None => {
                newest.insert(held.key, fresh(held));
            }
            Some(known) if held.order > known.order => *known = fresh(held),
            Some(known) if held.order == known.order => {
                let differs = (held.row, held.standing) != (known.row, known.standing);
                // Which of two is taken does not depend on the order of files.
                if differs && held.row > known.row {
                    *known = fresh(held);
                }
                known.is_undecided |= differs;
            }
            Some(_) => {}
        }
    });
    taken.map_err(unwritable)?;
    newest.retain(|_, it| it.standing == Standing::There);
    Ok(newest)
}

/// Holds the rows of a partition against each other, key by key.
fn judge_keys(
    place: usize,
    ours: &mut Partitions,
    theirs: &mut Partitions,
    found: &mut Found,
    differing: &mut HashMap<u128, Differing>,
) -> Result<()> {
    let ours = newest(ours, place)?;
    let mut theirs = newest(theirs, place)?;
    found.ours += ours.len() as u64;
    found.theirs += theirs.len() as u64;
    found.undecided += theirs.values().filter(|it| it.is_undecided).count() as u64;
    let mut note = |key, ours, theirs| {
        if differing.len() < MOST_DIFFERING {
            differing.insert(key, Differing { ours, theirs, seen: None });
        }
    };
    for (key, mine) in ours {
        match theirs.remove(&key) {
            Some(other) if other.row == mine.row => found.equal += 1,
            Some(other) => {
                found.differing += 1;
                note(key, Some(mine.row), Some(other.row));
            }
            None => {
                found.only_ours += 1;
                note(key, Some(mine.row), None);
            }
        }
    }
    for (key, other) in theirs {
        found.only_theirs += 1;
        note(key, None, Some(other.row));
    }
    Ok(())
}

/// Counts the rows of a partition where a row is its own.
fn count_rows(
    place: usize,
    ours: &mut Partitions,
    theirs: &mut Partitions,
    found: &mut Found,
    differing: &mut HashMap<u128, Differing>,
) -> Result<()> {
    let mut counts: HashMap<u128, (u64, u64)> = HashMap::new();
    for (side, is_ours) in [(ours, true), (theirs, false)] {
        let taken = side.take(place, |held| {
            if held.standing == Standing::There {
                let (mine, other) = counts.entry(held.row).or_default();
                *(if is_ours { mine } else { other }) += 1;
            }
        });
        taken.map_err(unwritable)?;
    }
    for (row, (mine, other)) in counts {
        found.ours += mine;
        found.theirs += other;
        found.equal += mine.min(other);
        found.only_ours += mine.saturating_sub(other);
        found.only_theirs += other.saturating_sub(mine);
        if mine != other && differing.len() < MOST_DIFFERING {
            let of = |is_more: bool| is_more.then_some(row);
            let (ours, theirs) = (of(mine > other), of(other > mine));
            differing.insert(row, Differing { ours, theirs, seen: None });
        }
    }
    Ok(())
}
