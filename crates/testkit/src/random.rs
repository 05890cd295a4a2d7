//! Pseudo-random numbers that a seed repeats.

use crate::shared::number_setting;

/// A generator (SplitMix64) whose seed is its first state.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The seed of `OL_SEED`, or one of this moment; it is printed, so that a failure can be repeated.
    pub fn seeded(what: &str) -> Self {
        let seed = number_setting("OL_SEED").unwrap_or_else(|| {
            let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
            now.as_secs() ^ (u64::from(now.subsec_nanos()) << 20)
        });
        eprintln!("{what}: OL_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[0, end)`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// A number in `[first, last]`.
    pub fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// Whether something of which `one_in` happens once happens now.
    pub fn happens(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let place = self.below(from.len() as u64);
        usize::try_from(place).ok().and_then(|place| from.get(place)).expect("there is a choice")
    }
}
