//! What both sides are reduced to: sums for each range, and where these differ, rows by key.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow_array::RecordBatch;
use arrow_cast::display::array_value_to_string;
use arrow_schema::ArrowError;

use super::MOST_SAMPLES;
use crate::column::digest::{Digested, Digester};

/// Rows of one range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// How many.
    pub rows: u64,
    /// The sum of their hashes.
    pub digest: u128,
}

/// One side, range by range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The ranges.
    pub ranges: Vec<Range>,
    /// The sum of each column's hashes.
    pub columns: Vec<u128>,
    /// Rows in all, also those that are in no range.
    pub rows: u64,
    /// Keys that have moved on, by hash; their rows are in no range.
    pub moved: HashSet<u128>,
}

impl Survey {
    /// No rows in so many ranges.
    #[must_use]
    pub fn new(ranges: usize, columns: usize) -> Self {
        Self {
            ranges: vec![Range::default(); ranges.max(1)],
            columns: vec![0; columns],
            rows: 0,
            moved: HashSet::new(),
        }
    }

    /// Counts a row.
    pub fn add(&mut self, digested: &Digested, row: usize) {
        self.count(digested, row, 1, u128::wrapping_add);
    }

    /// Takes back an equal row.
    pub fn take_back(&mut self, digested: &Digested, row: usize) {
        self.count(digested, row, u64::MAX, u128::wrapping_sub);
    }

    fn count(&mut self, found: &Digested, row: usize, one: u64, sum: fn(u128, u128) -> u128) {
        let (Some(key), Some(hash)) = (found.keys.get(row), found.rows.get(row)) else { return };
        self.put(*key, *hash, one, sum);
        for (column, hash) in self.columns.iter_mut().zip(found.values(row)) {
            *column = sum(*column, hash);
        }
    }

    /// Counts a row of which only the hashes are known.
    pub fn put(&mut self, key: u128, row: u128, one: u64, sum: fn(u128, u128) -> u128) {
        self.rows = self.rows.wrapping_add(one);
        let place = range_of(key, self.ranges.len());
        if let Some(range) = self.ranges.get_mut(place) {
            range.rows = range.rows.wrapping_add(one);
            range.digest = sum(range.digest, row);
        }
    }

    /// The ranges in which the sides differ.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<usize> {
        let pairs = self.ranges.iter().zip(&other.ranges).enumerate();
        pairs.filter(|(_, (mine, theirs))| mine != theirs).map(|(place, _)| place).collect()
    }
}

/// The range of a key.
#[must_use]
pub fn range_of(key: u128, ranges: usize) -> usize {
    usize::try_from(key % (ranges.max(1) as u128)).unwrap_or_default()
}

/// Which keys are looked at row by row.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Those in these ranges.
    Ranges {
        /// Of how many.
        of: usize,
        /// Which.
        chosen: BTreeSet<usize>,
    },
    /// These, each with the version that the source had while the lake had none; 0 for none.
    Keys(HashMap<u128, u64>),
}

impl Scope {
    /// Whether a key is one of them.
    #[must_use]
    pub fn holds(&self, key: u128) -> bool {
        match self {
            Self::Ranges { of, chosen } => chosen.contains(&range_of(key, *of)),
            Self::Keys(keys) => keys.contains_key(&key),
        }
    }

    fn version(&self, key: u128) -> u64 {
        match self {
            Self::Ranges { .. } => 0,
            Self::Keys(keys) => keys.get(&key).copied().unwrap_or_default(),
        }
    }
}

/// Enough of a row to name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The values of its key, by column.
    pub key: BTreeMap<String, String>,
    /// The hash of each column's value.
    pub columns: Vec<u128>,
}

impl Sample {
    /// The sample of a row.
    ///
    /// # Errors
    /// A value of the key cannot be shown.
    pub fn of(
        digester: &Digester,
        batch: &RecordBatch,
        digested: &Digested,
        row: usize,
    ) -> Result<Self, ArrowError> {
        let mut key = BTreeMap::new();
        for name in digester.key() {
            if let Some(column) = batch.column_by_name(name) {
                key.insert(name.to_owned(), array_value_to_string(column, row)?);
            }
        }
        Ok(Self { key, columns: digested.values(row).collect() })
    }
}

/// The rows of one key, the lake's less the source's.
#[derive(Debug, Clone, Copy, Default)]
struct Rows {
    difference: u128,
    lake: u32,
    source: u32,
    version: u64,
}

/// Rows by key, of both sides: first all of the lake's, then all of the source's.
#[derive(Debug)]
pub struct ByKey {
    scope: Scope,
    rows: HashMap<u128, Rows>,
    /// Keys that the lake has in a later form.
    pub moved: HashSet<u128>,
    seen: HashSet<u128>,
    samples: HashMap<u128, Sample>,
    /// Whether the source's rows are of later than the place.
    is_moving: bool,
}

/// The version of a row that the source does not have.
const ABSENT: u64 = 1;

/// On which side a differing key has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Only at the source.
    Source,
    /// Only in the lake.
    Lake,
    /// On both, and they differ.
    Both,
}

impl Side {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Lake => "lake",
            Self::Both => "both",
        }
    }
}

/// What a look by key has found.
#[derive(Debug, Default)]
pub struct Found {
    /// Keys that differ, whatever happens.
    pub differing: BTreeMap<u128, Side>,
    /// Keys to look at again, as in [`Scope::Keys`].
    pub unsettled: HashMap<u128, u64>,
    /// The source's rows of differing keys, as far as they are kept.
    pub samples: HashMap<u128, Sample>,
}

impl ByKey {
    /// Nothing yet of the keys in a scope.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            rows: HashMap::new(),
            moved: HashSet::new(),
            seen: HashSet::new(),
            samples: HashMap::new(),
            is_moving: false,
        }
    }

    /// The same where the source's rows are of later than the place: its row, or that it has none, is a version, and a key
    /// differs when it did before and has the same version still.
    #[must_use]
    pub fn moving(scope: Scope) -> Self {
        Self { is_moving: true, ..Self::new(scope) }
    }

    /// Which keys it is about.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How many keys are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() + self.moved.len()
    }

    /// Whether none are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lake has a row.
    pub fn lake(&mut self, key: u128, row: u128) {
        let rows = self.rows.entry(key).or_default();
        rows.difference = rows.difference.wrapping_add(row);
        rows.lake = rows.lake.saturating_add(1);
    }

    /// The source has these rows, each of a version; those of other scopes are passed over.
    ///
    /// # Errors
    /// A value of a key cannot be shown.
    pub fn source(
        &mut self,
        digester: &Digester,
        batch: &RecordBatch,
        versions: &[u64],
    ) -> Result<(), ArrowError> {
        let digested = digester.digest(batch)?;
        for (row, (key, hash)) in digested.keys.iter().zip(&digested.rows).enumerate() {
            if !self.scope.holds(*key) {
                continue;
            }
            if self.moved.contains(key) {
                self.seen.insert(*key);
                continue;
            }
            let rows = self.rows.entry(*key).or_default();
            rows.difference = rows.difference.wrapping_sub(*hash);
            rows.source = rows.source.saturating_add(1);
            rows.version = match self.is_moving {
                true => u64::try_from(*hash >> 64).unwrap_or_default() | 2,
                false => versions.get(row).copied().unwrap_or_default(),
            };
            if rows.difference != 0 && self.samples.len() < MOST_SAMPLES {
                self.samples.insert(*key, Sample::of(digester, batch, &digested, row)?);
            }
        }
        Ok(())
    }

    /// What is left. With `is_final` a row that the lake lacks is lost; else it may have been deleted since.
    #[must_use]
    pub fn found(self, is_final: bool) -> Found {
        let mut found = Found::default();
        for (key, rows) in &self.rows {
            let side = match (rows.source, rows.lake) {
                (source, lake) if source == lake && rows.difference == 0 => continue,
                (_, 0) => Side::Source,
                (0, _) => Side::Lake,
                _ => Side::Both,
            };
            let version = match rows.source == 0 && self.is_moving {
                true => ABSENT,
                false => rows.version,
            };
            let is_same_version = version != 0 && version == self.scope.version(*key);
            let may_settle = self.is_moving || (side == Side::Source && !is_final);
            if may_settle && !is_same_version {
                found.unsettled.insert(*key, version);
            } else {
                found.differing.insert(*key, side);
            }
        }
        found.unsettled.extend(self.seen.into_iter().map(|key| (key, 0)));
        found.samples = self.samples;
        found.samples.retain(|key, _| found.differing.contains_key(key));
        found
    }
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
