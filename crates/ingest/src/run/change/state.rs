//! What a followed table remembers, whatever it follows.

use std::collections::BTreeMap;

use ol_lake::{Commit, Lake, LakeTable, Operation};

use crate::load::state::{MODE, RUN_ID};
use crate::position::Position;

/// Where the rows of the snapshot begin: the position before it.
pub const SPAN_AFTER: &str = "ol.span-after";
/// The server's identity.
pub const SOURCE: &str = "ol.source";
/// Property: the place of the first change that the table may lack; empty for none.
pub const GAP: &str = "ol.gap";
/// Property: why; empty for none.
pub const GAP_REASON: &str = "ol.gap-reason";

/// The property that says from where a table may lack changes.
#[must_use]
pub fn gap(since: Position, why: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(GAP.to_owned(), since.to_string()), (GAP_REASON.to_owned(), why.to_owned())])
}

/// The property that says that a table lacks nothing.
#[must_use]
pub fn no_gap() -> BTreeMap<String, String> {
    BTreeMap::from([(GAP.to_owned(), String::new()), (GAP_REASON.to_owned(), String::new())])
}

/// What is the same in all commits of a table in a run.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The run.
    pub run_id: String,
    /// The inventory's word for the mode.
    pub mode: &'static str,
}

impl Stamp {
    /// The state of a snapshot that reaches a position from `after`; `claim` is what goes with the position.
    #[must_use]
    pub fn state(
        &self,
        position: Position,
        after: Option<Position>,
        claim: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut state = claim;
        state.extend([
            (ol_lake::POSITION_KEY.to_owned(), position.to_string()),
            (RUN_ID.to_owned(), self.run_id.clone()),
            (MODE.to_owned(), self.mode.to_owned()),
        ]);
        if let Some(after) = after {
            state.insert(SPAN_AFTER.to_owned(), after.to_string());
        }
        state
    }
}

/// Forgets where a table is, so that it is copied again.
///
/// # Errors
/// The lake's.
pub async fn forget(lake: &Lake, table: &LakeTable) -> Result<LakeTable, ol_lake::Error> {
    let commit = Commit {
        state: BTreeMap::from([
            (MODE.to_owned(), "reset".to_owned()),
            (ol_lake::POSITION_KEY.to_owned(), String::new()),
        ]),
        table_properties: no_gap(),
        ..Commit::new(Operation::Append, Vec::new())
    };
    Ok(lake.commit(table, commit).await?.table)
}
