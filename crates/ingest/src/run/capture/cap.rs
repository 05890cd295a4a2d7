//! How much of its log a source may keep for a unit's slot, and what follows from too much.
//!
//! A slot makes the server keep its log until we have acknowledged it, and what fills then is the disk of somebody else's
//! primary. Only two things make the server let go of log: that we take it, and that the slot is dropped. Stopping
//! does neither. So, when there is too much:
//!
//! - a stream that takes changes goes on, and warns: whatever else it did would be worse;
//! - tables that failed no longer hold the slot (they must be copied again after their repair);
//! - no copy begins, because the slot stands still for as long as a copy takes;
//! - where no table can be followed, the unit fails and says how much is kept and how to be rid of it.
//!
//! The slot is never dropped by us at the cap. What protects the server's disk also while nobody streams is its own
//! `max_slot_wal_keep_size`, beyond which it gives the slot up; the cap is nine tenths of that, so that the next thing that
//! happens to the slot is said before it happens. Without that limit, and without a setting, there is no cap.

/// What of the server's own limit the cap is.
const TENTHS_OF_LIMIT: u64 = 9;

/// The most log that a source may keep for a slot, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap(Option<u64>);

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Less than half of the cap.
    Light,
    /// At least half of it.
    Heavy,
    /// More than it.
    TooMuch,
}

impl Cap {
    /// The cap that is set (0 for none), or that follows from the server's limit.
    #[must_use]
    pub fn new(set_bytes: u64, limit_bytes: Option<u64>) -> Self {
        let of_limit = limit_bytes.map(|limit| limit / 10 * TENTHS_OF_LIMIT);
        Self(if set_bytes > 0 { Some(set_bytes) } else { of_limit })
    }

    /// The bytes; `None` where there is no cap.
    #[must_use]
    pub fn bytes(self) -> Option<u64> {
        self.0
    }

    /// How much that is.
    #[must_use]
    pub fn weigh(self, retained_bytes: u64) -> Weight {
        match self.0 {
            Some(cap) if retained_bytes > cap => Weight::TooMuch,
            Some(cap) if retained_bytes >= cap / 2 => Weight::Heavy,
            Some(_) | None => Weight::Light,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_counts_then_the_servers_limit_then_nothing() {
        assert_eq!(Cap::new(0, None).bytes(), None);
        assert_eq!(Cap::new(0, Some(1000)).bytes(), Some(900));
        assert_eq!(Cap::new(5000, Some(1000)).bytes(), Some(5000));
    }

    #[test]
    fn half_of_the_cap_is_heavy_and_more_than_it_too_much() {
        let cap = Cap::new(100, None);
        let weights = [49, 50, 100, 101].map(|bytes| cap.weigh(bytes));
        assert_eq!(weights, [Weight::Light, Weight::Heavy, Weight::Heavy, Weight::TooMuch]);
        assert_eq!(Cap::new(0, None).weigh(u64::MAX), Weight::Light);
    }
}
