//! What must be the same for all chunks of a table that follows a slot.

use serde::{Deserialize, Serialize};

use super::plan::CapturePlan;
use super::shape::{self, StreamColumn};
use super::state::Stamp;
use crate::load::contract_digest;
use crate::run::change::partial;
use crate::sync::Incarnation;

/// A copy that is not complete.
pub type Partial = partial::Partial<Terms>;

/// What must be the same for all chunks of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The slot that the table will follow.
    pub slot: Incarnation,
    /// The server.
    pub source: String,
    /// The entry of the table in the publication.
    pub published: String,
    form: Form,
}

/// The rows: what they are made of and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Form {
    relation: u32,
    contract: String,
    columns: Vec<StreamColumn>,
}

impl Terms {
    /// Those of the rows that a plan makes now.
    #[must_use]
    pub fn of(stamp: &Stamp, plan: &CapturePlan, excluded: &[String]) -> Self {
        let contracts = plan.readings.iter().map(|r| (r.name.as_str(), &r.contract));
        Self {
            slot: stamp.incarnation.clone(),
            source: stamp.source.clone(),
            published: stamp.published.clone(),
            form: Form {
                relation: plan.relation.oid,
                contract: contract_digest(contracts),
                columns: shape::columns_of(&plan.relation, excluded),
            },
        }
    }
}
