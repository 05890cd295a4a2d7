//! Which place in the log may be acknowledged, while changes are taken, written and committed side by side.
//!
//! Changes go into the batch that is being *filled*; a sealed batch is *in flight* until every table of it is
//! committed, while the next is filled. What is acknowledged is the least of
//! - the commit record of the first change in either batch (acknowledging `c` keeps the transaction at `c`: the server
//!   skips those whose commit record begins before),
//! - the places that tables hold (being copied, or failed),
//! - what was received, when there is none of these,
//!
//! and never more than what is recorded in the lake.

use std::collections::BTreeMap;

/// The progress of one stream. All places are commit records or bytes between transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    received: u64,
    acknowledged: u64,
    recorded: u64,
    filling: Option<u64>,
    in_flight: Option<u64>,
    holds: BTreeMap<usize, u64>,
}

impl Progress {
    /// A stream that begins at `confirmed`, of tables that have recorded `recorded`.
    #[must_use]
    pub fn new(confirmed: u64, recorded: u64) -> Self {
        Self {
            received: confirmed,
            acknowledged: confirmed,
            recorded,
            filling: None,
            in_flight: None,
            holds: BTreeMap::new(),
        }
    }

    /// A change of the transaction at commit record `lsn` was taken.
    pub fn taken(&mut self, lsn: u64) {
        self.filling.get_or_insert(lsn);
    }

    /// Every transaction that was committed before `lsn` has come in whole.
    pub fn received(&mut self, lsn: u64) {
        self.received = self.received.max(lsn);
    }

    /// Up to where everything has come in.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.received
    }

    /// Whether there is a change that no batch in flight has.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    /// Whether a batch is on its way.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Sends the batch off, between two transactions. There must be none in flight.
    pub fn seal(&mut self) {
        debug_assert!(self.in_flight.is_none(), "one batch at a time is in flight");
        self.in_flight = self.filling.take();
    }

    /// Sends the batch off within the transaction at `lsn`, which therefore stays unacknowledged.
    pub fn seal_within(&mut self, lsn: u64) {
        self.seal();
        self.filling = Some(lsn);
    }

    /// The batch in flight has ended; some table of it now records `upto`, unless it is `None`.
    pub fn committed(&mut self, upto: Option<u64>) {
        self.in_flight = None;
        if let Some(upto) = upto {
            self.recorded = self.recorded.max(upto);
        }
    }

    /// A table needs everything from `lsn` on.
    pub fn hold(&mut self, table: usize, lsn: u64) {
        let held = self.holds.entry(table).or_insert(lsn);
        *held = lsn.min(*held);
    }

    /// A table needs nothing any more.
    pub fn release(&mut self, table: usize) {
        self.holds.remove(&table);
    }

    /// What could be acknowledged, were it recorded.
    #[must_use]
    pub fn durable(&self) -> u64 {
        let pending = self.holds.values().copied().chain(self.filling).chain(self.in_flight);
        pending.fold(self.received, u64::min)
    }

    /// The place to record in the lake, if more could be acknowledged after it.
    #[must_use]
    pub fn to_record(&self) -> Option<u64> {
        Some(self.durable()).filter(|durable| *durable > self.recorded)
    }

    /// A place was recorded in the lake.
    pub fn recorded(&mut self, lsn: u64) {
        self.recorded = self.recorded.max(lsn);
    }

    /// The place to acknowledge now. It never goes back.
    pub fn acknowledge(&mut self) -> u64 {
        let possible = self.durable().min(self.recorded);
        self.acknowledged = self.acknowledged.max(possible);
        self.acknowledged
    }

    /// Whether everything up to `target` has come in and is durable.
    #[must_use]
    pub fn has_reached(&self, target: u64) -> bool {
        self.received >= target && self.filling.is_none() && self.in_flight.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_above_an_undurable_change_is_acknowledged() {
        let mut progress = Progress::new(10, 10);
        progress.taken(20);
        progress.received(25);
        progress.received(30);
        assert_eq!((progress.durable(), progress.acknowledge()), (20, 10));
        progress.seal();
        progress.taken(40);
        progress.received(45);
        assert_eq!(progress.durable(), 20);
        progress.committed(Some(30));
        assert_eq!((progress.durable(), progress.acknowledge()), (40, 30));
        assert!(!progress.has_reached(45));
        progress.seal();
        progress.committed(Some(45));
        assert_eq!(progress.acknowledge(), 45);
        assert!(progress.has_reached(45));
    }

    #[test]
    fn an_idle_source_is_acknowledged_once_recorded() {
        let mut progress = Progress::new(10, 10);
        progress.received(50);
        assert_eq!((progress.acknowledge(), progress.to_record()), (10, Some(50)));
        progress.recorded(50);
        assert_eq!((progress.acknowledge(), progress.to_record()), (50, None));
    }

    #[test]
    fn a_batch_within_a_transaction_leaves_it_unacknowledged() {
        let mut progress = Progress::new(10, 10);
        progress.taken(20);
        progress.seal_within(20);
        progress.committed(None);
        progress.received(15);
        assert_eq!((progress.durable(), progress.acknowledge()), (15, 10));
        progress.received(29);
        assert_eq!(progress.durable(), 20);
        progress.seal();
        progress.committed(Some(29));
        assert_eq!(progress.acknowledge(), 29);
    }

    #[test]
    fn a_table_that_is_copied_holds_the_rest_of_the_log() {
        let mut progress = Progress::new(10, 90);
        progress.hold(3, 40);
        progress.hold(3, 60);
        progress.received(80);
        assert_eq!(progress.acknowledge(), 40);
        progress.release(3);
        assert_eq!(progress.acknowledge(), 80);
    }
}
