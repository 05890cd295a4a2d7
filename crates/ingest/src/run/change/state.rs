//! What a followed table remembers, whatever it follows.

use std::collections::BTreeMap;

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
