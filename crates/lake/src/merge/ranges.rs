//! Which values of a key column were touched, in bounded memory, to tell which files and row groups cannot hold them.
//!
//! Values are kept in the encoding of `arrow-row`, whose bytes sort like the values. When there are too many, the
//! neighbours with the smallest gaps between them become one range, so the answer stays right and only gets coarser.

use std::sync::Arc;

/// Ranges kept at most, once they are sorted.
const MOST_RANGES: usize = 4096;
/// Longer values are shortened, the upper end upwards.
const LONGEST_BYTES: usize = 64;

/// A range with both ends.
type Range = (Arc<[u8]>, Arc<[u8]>);

/// Values touched in one column, as ranges with both ends included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    ranges: Vec<Range>,
}

impl Ranges {
    /// Adds one value.
    pub(crate) fn add(&mut self, value: &[u8]) {
        if value.len() <= LONGEST_BYTES {
            let value: Arc<[u8]> = value.into();
            self.ranges.push((Arc::clone(&value), value));
        } else {
            let start: Vec<u8> = value.iter().take(LONGEST_BYTES).copied().collect();
            self.ranges.push((start.as_slice().into(), above(start).into()));
        }
        if self.ranges.len() >= MOST_RANGES * 8 {
            self.settle();
        }
    }

    /// Sorts, joins what overlaps, and joins the nearest neighbours until few enough are left.
    pub(crate) fn settle(&mut self) {
        self.ranges.sort_unstable();
        let mut joined: Vec<Range> = Vec::new();
        for (lower, upper) in self.ranges.drain(..) {
            match joined.last_mut() {
                Some(last) if lower <= last.1 => {
                    if upper > last.1 {
                        last.1 = upper;
                    }
                }
                _apart => joined.push((lower, upper)),
            }
        }
        if joined.len() > MOST_RANGES {
            joined = coarser(joined);
        }
        self.ranges = joined;
    }

    /// Whether a touched value may lie between the two, both included. Call [`Ranges::settle`] first.
    pub(crate) fn meets(&self, lower: &[u8], upper: &[u8]) -> bool {
        let first = self.ranges.partition_point(|range| range.1.as_ref() < lower);
        self.ranges.get(first).is_some_and(|range| range.0.as_ref() <= upper)
    }
}

/// The shortest bytes that sort after everything that starts with `start`.
fn above(mut start: Vec<u8>) -> Vec<u8> {
    while let Some(last) = start.last_mut() {
        if let Some(more) = last.checked_add(1) {
            *last = more;
            return start;
        }
        start.pop();
    }
    vec![u8::MAX; LONGEST_BYTES * 2]
}

/// Keeps the largest gaps between sorted ranges and joins the others.
fn coarser(ranges: Vec<Range>) -> Vec<Range> {
    let mut gaps: Vec<(u128, usize)> = ranges
        .windows(2)
        .zip(1..)
        .filter_map(|(pair, index)| match pair {
            [before, after] => Some((leading(&after.0).saturating_sub(leading(&before.1)), index)),
            _shorter => None,
        })
        .collect();
    gaps.select_nth_unstable_by(MOST_RANGES - 1, |first, second| second.cmp(first));
    gaps.truncate(MOST_RANGES - 1);
    let mut starts: Vec<usize> = gaps.into_iter().map(|(_gap, index)| index).collect();
    starts.sort_unstable();
    let mut starts = starts.into_iter().peekable();
    let mut joined: Vec<Range> = Vec::with_capacity(MOST_RANGES);
    for (index, (lower, upper)) in ranges.into_iter().enumerate() {
        let is_start = starts.next_if_eq(&index).is_some();
        match joined.last_mut() {
            Some(last) if !is_start => last.1 = upper,
            _start => joined.push((lower, upper)),
        }
    }
    joined
}

/// The first 16 bytes as a number that sorts like them.
fn leading(bytes: &[u8]) -> u128 {
    let mut leading = [0; 16];
    for (to, from) in leading.iter_mut().zip(bytes) {
        *to = *from;
    }
    u128::from_be_bytes(leading)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Ranges {
        let mut ranges = Ranges::default();
        for value in values {
            ranges.add(&value.to_be_bytes());
        }
        ranges.settle();
        ranges
    }

    fn meets(ranges: &Ranges, lower: u64, upper: u64) -> bool {
        ranges.meets(&lower.to_be_bytes(), &upper.to_be_bytes())
    }

    #[test]
    fn few_values_are_told_exactly() {
        let ranges = of([5, 900, 70]);
        assert!(meets(&ranges, 5, 5) && meets(&ranges, 0, 100) && meets(&ranges, 900, 1000));
        assert!(!meets(&ranges, 6, 69) && !meets(&ranges, 0, 4) && !meets(&ranges, 901, 1 << 40));
        assert!(!meets(&of([]), 0, u64::MAX));
    }

    #[test]
    fn many_values_keep_every_value_and_the_largest_gaps() {
        let values = || (0..100_000_u64).map(|n| n * 3 + if n < 50_000 { 0 } else { 1 << 30 });
        let ranges = of(values());
        assert!(ranges.ranges.len() <= MOST_RANGES);
        assert!(values().all(|value| meets(&ranges, value, value)));
        assert!(!meets(&ranges, 200_000, 1 << 29), "the large gap is kept");
    }

    #[test]
    fn long_values_are_shortened_outwards() {
        let mut ranges = Ranges::default();
        let long = vec![b'x'; 200];
        ranges.add(&long);
        ranges.settle();
        assert!(ranges.meets(&long, &long));
        assert!(!ranges.meets(b"y", b"z") && !ranges.meets(b"a", b"w"));
        assert_eq!(above(vec![1, u8::MAX]), vec![2]);
    }
}
