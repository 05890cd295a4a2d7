//! What must be the same for all chunks of a collection that is followed.
//!
//! Chunks that were read at different times become one table that is at the place of the first of them. From there on every
//! change is taken again, also those that the later chunks have already. A chunk is an answer of the server like any other, of
//! a time not before the place, and the proof of the room holds for each document by itself: so what the table comes to is the
//! source's state. In a log, the rows of a later chunk have the place at which that chunk was read, and changes that it has
//! already have lesser ones: the latest row of a key is right. Up to the place of the last chunk a merged table shows documents
//! of several times.

use serde::{Deserialize, Serialize};

use super::plan::CapturePlan;
use super::state::Place;
use crate::column::ColumnContract;
use crate::load::contract_digest;
use crate::run::change::partial;
use crate::source::mongodb::change_stream::Token;
use crate::source::mongodb::types::Reading;

/// A copy that is not complete.
pub type Partial = partial::Partial<Terms>;

/// What must be the same for all chunks of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The replica set.
    source: String,
    /// Behind what the changes since the first chunk come.
    token: Token,
    /// Fields of which nothing is in the documents' text.
    excluded: Vec<String>,
    contract: String,
}

impl Terms {
    /// Those of the rows that a plan makes, of which the first were read at `place`.
    #[must_use]
    pub fn of(plan: &CapturePlan, place: &Place) -> Self {
        let (source, token) = (place.source.clone(), place.token.clone());
        // What types a sample shows is another thing each time, and decides nothing of a column that is there.
        let unsaid = |it: &Reading| ColumnContract { source: String::new(), ..it.contract.clone() };
        let columns = plan.read.readings.iter().map(|it| (it.name.as_str(), unsaid(it)));
        let columns: Vec<(&str, ColumnContract)> = columns.collect();
        let contract = contract_digest(columns.iter().map(|(name, contract)| (*name, contract)));
        Self { source, token, excluded: plan.read.excluded.clone(), contract }
    }
}

/// Where the first chunk of a copy was read.
#[must_use]
pub fn since(partial: &Partial) -> Place {
    let Terms { source, token, .. } = partial.terms.clone();
    Place { position: partial.since, token, source }
}
