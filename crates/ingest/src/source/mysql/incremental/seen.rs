//! Rows that the next run will find again although it has them: what is kept of them, and how they are told.
//!
//! A run finds all rows at or above its bound. Those of them that the run before found, too, and that have not changed
//! since, are not sent again. So each run leaves behind what it found at or above the bound of the next: of each row a
//! hash of its bytes as they arrived, or, where the cursor is the primary key, its number.
//!
//! **No change is lost for it.** What is left behind by the run of snapshot *S* is the rows of *S* alone, not those of runs
//! before. A row that is left out now is in *S* with the same bytes, so the lake's latest row of it is this one already:
//! it was sent by the run of *S* or known to it in the same way. One that was deleted and came back is not in *S* and is
//! sent; one that was changed and changed back between two runs is as it was. Two different rows have one hash of 64
//! bits with a probability below n·2⁻⁶⁴ for each row that is found.
//!
//! **When there are too many** ([`MOST_HASHES`], [`MOST_RANGES`]) nothing is kept, and the rows are sent again: a merge
//! is not the worse for it, and a change log has a row twice, as it was, under a later position.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_64;

use crate::column::mask::Salt;

/// The most rows of which a hash is kept.
pub const MOST_HASHES: usize = 8192;
/// The most ranges of numbers that are kept.
pub const MOST_RANGES: usize = 4096;
/// The most numbers that are held while ranges are made of them.
const MOST_NUMBERS: usize = 4_000_000;

/// What is kept of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::source::mysql) enum Trace {
    /// The hash of its bytes.
    Hash(u64),
    /// Its number.
    Number(i128),
}

/// Known rows, as the last run left them behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Hashes, and of how many rows each is.
    hashes: HashMap<u64, u32>,
    /// Ranges of numbers, both ends in them, in order.
    ranges: Vec<(i128, i128)>,
}

impl Seen {
    /// Reads what [`Found::text`] wrote; `None` when it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut seen = Self::default();
        if let Some(ranges) = text.strip_prefix('#') {
            for range in ranges.split(',').filter(|range| !range.is_empty()) {
                let (from, upto) = range.split_once("..").unwrap_or((range, range));
                seen.ranges.push((from.parse().ok()?, upto.parse().ok()?));
            }
            return Some(seen);
        }
        for hash in text.split(',').filter(|hash| !hash.is_empty()) {
            *seen.hashes.entry(u64::from_str_radix(hash, 16).ok()?).or_default() += 1;
        }
        Some(seen)
    }

    /// Whether a row is known. Of two rows with one hash each is asked for once.
    pub(in crate::source::mysql) fn take(&mut self, trace: Trace) -> bool {
        match trace {
            Trace::Hash(hash) => match self.hashes.get_mut(&hash) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    true
                }
                Some(_) | None => false,
            },
            Trace::Number(number) => {
                let after = self.ranges.partition_point(|(from, _)| *from <= number);
                let last = after.checked_sub(1).and_then(|index| self.ranges.get(index));
                last.is_some_and(|(_, upto)| number <= *upto)
            }
        }
    }
}

/// Rows that a run found and the next one will find again.
#[derive(Debug, Clone, Default)]
pub struct Found {
    hashes: Vec<u64>,
    numbers: Vec<i128>,
    is_too_much: bool,
}

impl Found {
    pub(in crate::source::mysql) fn add(&mut self, trace: Trace) {
        if self.is_too_much {
            return;
        }
        match trace {
            Trace::Hash(hash) => self.hashes.push(hash),
            Trace::Number(number) => self.numbers.push(number),
        }
        self.check();
    }

    /// Takes in what was found by another part of the run.
    pub fn merge(&mut self, other: Self) {
        self.is_too_much |= other.is_too_much;
        self.hashes.extend(other.hashes);
        self.numbers.extend(other.numbers);
        self.check();
    }

    fn check(&mut self) {
        if self.hashes.len() > MOST_HASHES || self.numbers.len() > MOST_NUMBERS {
            self.is_too_much = true;
        }
        if self.is_too_much {
            (self.hashes, self.numbers) = (Vec::new(), Vec::new());
        }
    }

    /// What is kept, as text; nothing when there is too much.
    #[must_use]
    pub fn text(&self) -> String {
        if self.numbers.is_empty() {
            let hashes = self.hashes.iter().map(|hash| format!("{hash:x}"));
            return hashes.collect::<Vec<_>>().join(",");
        }
        let numbers: BTreeSet<i128> = self.numbers.iter().copied().collect();
        let mut ranges: Vec<(i128, i128)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, upto)) if *upto + 1 == number => *upto = number,
                _ => ranges.push((number, number)),
            }
        }
        if ranges.len() > MOST_RANGES {
            return String::new();
        }
        let mut text = String::new();
        for (from, upto) in ranges {
            text.push(if text.is_empty() { '#' } else { ',' });
            let written = match from == upto {
                true => write!(text, "{from}"),
                false => write!(text, "{from}..{upto}"),
            };
            written.expect("writing to a string does not fail");
        }
        text
    }
}

/// Tells known rows from others while they are read.
pub(in crate::source::mysql) struct Overlap {
    /// What is known.
    pub(in crate::source::mysql) known: Seen,
    /// What the next run will find again.
    pub(in crate::source::mysql) found: Found,
    /// Whether rows are known by their number.
    pub(in crate::source::mysql) by_number: bool,
    /// Whether that number has no sign.
    pub(in crate::source::mysql) unsigned: bool,
    /// With a masked column the hash is salted, too, so that nobody can try values.
    pub(in crate::source::mysql) salt: Option<Salt>,
    pub(in crate::source::mysql) scratch: String,
}

impl Overlap {
    /// Whether a row is known, and remembers it for the next run: `bytes` are those of its values, `mark` what it says of
    /// itself.
    pub(in crate::source::mysql) fn knows(&mut self, bytes: &[u8], mark: Option<&[u8]>) -> bool {
        let (trace, is_found) = match mark {
            None => return false,
            Some(number) if self.by_number => {
                (Trace::Number(number_of(number, self.unsigned)), true)
            }
            Some(flag) => (Trace::Hash(self.hash(bytes)), flag.iter().any(|byte| *byte != 0)),
        };
        if is_found {
            self.found.add(trace);
        }
        self.known.take(trace)
    }

    fn hash(&mut self, bytes: &[u8]) -> u64 {
        match &self.salt {
            None => xxh3_64(bytes),
            Some(salt) => {
                self.scratch.clear();
                salt.mask(bytes, &mut self.scratch);
                xxh3_64(self.scratch.as_bytes())
            }
        }
    }
}

/// A little-endian number of 1 to 8 bytes.
fn number_of(bytes: &[u8], unsigned: bool) -> i128 {
    let magnitude = bytes.iter().rev().fold(0i128, |number, byte| number << 8 | i128::from(*byte));
    let bits = 8 * bytes.len();
    let is_negative = !unsigned && bits > 0 && magnitude >> (bits - 1) & 1 == 1;
    if is_negative { magnitude - (1i128 << bits) } else { magnitude }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hash_is_known_as_often_as_it_was_found() {
        let mut found = Found::default();
        [7, 9, 7].into_iter().for_each(|hash| found.add(Trace::Hash(hash)));
        let mut seen = Seen::parse(&found.text()).unwrap();
        let asked = [7, 7, 7, 9, 8].map(|hash| seen.take(Trace::Hash(hash)));
        assert_eq!(asked, [true, true, false, true, false]);
        assert_eq!(Seen::parse("x"), None);
    }

    #[test]
    fn too_much_is_nothing() {
        let mut found = Found::default();
        (0..=MOST_HASHES as u64).for_each(|hash| found.add(Trace::Hash(hash)));
        assert_eq!(found.text(), "");
        let mut other = Found::default();
        other.add(Trace::Hash(1));
        other.merge(found);
        other.add(Trace::Hash(2));
        assert_eq!(other.text(), "");
        let mut odd = Found::default();
        (0..=MOST_RANGES as i128).for_each(|number| odd.add(Trace::Number(2 * number)));
        assert_eq!(odd.text(), "");
    }

    #[test]
    fn numbers_have_their_sign() {
        assert_eq!(number_of(&[255], false), -1);
        assert_eq!(number_of(&[255], true), 255);
        assert_eq!(number_of(&i64::MIN.to_le_bytes(), false), i128::from(i64::MIN));
        assert_eq!(number_of(&u64::MAX.to_le_bytes(), true), i128::from(u64::MAX));
    }

    proptest! {
        #[test]
        fn exactly_the_numbers_that_were_found_are_known(
            numbers in prop::collection::btree_set(-60i128..60, 1..80), asked in -70i128..70
        ) {
            let mut found = Found::default();
            numbers.iter().for_each(|number| found.add(Trace::Number(*number)));
            let mut seen = Seen::parse(&found.text()).unwrap();
            prop_assert_eq!(seen.take(Trace::Number(asked)), numbers.contains(&asked));
        }
    }
}
