//! Values of a cursor that a run saw, each kept until nothing with a lower one can come any more. What has to have
//! happened for that is the source's to say: see the `watermark` of each.

use serde::{Deserialize, Serialize};

/// The most values that are kept. Dropping one is always right: a bound is only found later.
const MOST_PENDING: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Pair<L> {
    pub(in crate::source) value: String,
    live: L,
}

/// The watermarks of a table, as they are kept in its snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks<L> {
    /// The column and its type; watermarks of another are of no use.
    pub column: String,
    /// The bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
    /// Values that are not settled, oldest first, each with what was going on when it was seen.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub(in crate::source) pending: Vec<Pair<L>>,
}

impl<L> Watermarks<L> {
    /// Watermarks of a column of which nothing is known but, perhaps, from where to begin.
    #[must_use]
    pub fn new(column: String, settled: Option<String>) -> Self {
        Self { column, settled, pending: Vec::new() }
    }

    /// Makes the latest value below which nothing can come any more the bound.
    pub fn settle(&mut self, has_ended: impl Fn(&L) -> bool) {
        if let Some(index) = self.pending.iter().rposition(|pair| has_ended(&pair.live)) {
            self.settled = self.pending.drain(..=index).next_back().map(|pair| pair.value);
        }
    }

    /// Adds a value that waits to be settled.
    pub fn push(&mut self, value: String, live: L) {
        self.pending.push(Pair { value, live });
        if self.pending.len() > MOST_PENDING {
            // The oldest is settled first, the newest reach furthest.
            self.pending.remove(1);
        }
    }
}
