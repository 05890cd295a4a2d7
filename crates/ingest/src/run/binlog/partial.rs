//! What must be the same for all chunks of a table that follows a binary log.
//!
//! Chunks that were read at different moments become one table that is at the place of the first of them. From there on every
//! change is taken again, also those that the later chunks have already: an event has the whole row, so in a merged table the
//! row is at last what the last event says, and a key that moved from a chunk that was read to one that was not is a deletion
//! and an insertion in the log. Up to the place of the last chunk the table shows rows of two moments.

use serde::{Deserialize, Serialize};

use super::plan::{CapturePlan, Form};
use super::state::Place;
use crate::run::change::log::Plan as _;
use crate::run::change::partial;
use crate::source::mysql::binlog::gtid::GtidSet;

/// A copy that is not complete.
pub type Partial = partial::Partial<Terms>;

/// What must be the same for all chunks of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The server.
    source: String,
    /// The transactions before the first chunk.
    gtids: Option<String>,
    form: Form,
    contract: String,
}

impl Terms {
    /// Those of the rows that a plan makes, of which the first were read at `place`.
    #[must_use]
    pub fn of(plan: &CapturePlan, place: &Place) -> Self {
        Self {
            source: place.source.clone(),
            gtids: place.gtids.as_ref().map(ToString::to_string),
            form: plan.form(),
            contract: plan.contract(),
        }
    }
}

/// Where the first chunk of a copy was read; `None` when that cannot be told.
#[must_use]
pub fn since(partial: &Partial) -> Option<Place> {
    let gtids = partial.terms.gtids.as_deref().map(str::parse::<GtidSet>);
    let gtids = gtids.transpose().ok()?;
    Some(Place { position: partial.since, gtids, source: partial.terms.source.clone() })
}
