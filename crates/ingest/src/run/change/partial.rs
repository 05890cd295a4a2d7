//! A copy in chunks that is not complete: what a table remembers of it. Its chunks are on [`crate::load::chunks::BRANCH`].

use std::collections::BTreeMap;

use ol_lake::LakeTable;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::load::chunks::Cut;
use crate::position::Position;

/// Property: the copy that is not complete; empty for none.
const COPY: &str = "ol.copy";
/// Property: where the last chunk was read, if that is behind the first; up to there, changes are replayed over rows that may
/// be of later.
const COPIED_UNTIL: &str = "ol.copied-until";

/// A copy that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial<Terms> {
    /// What must be the same for all chunks.
    #[serde(flatten)]
    pub terms: Terms,
    /// Where the first chunk was read: the table needs every change since.
    pub since: Position,
    /// Where the table is cut.
    #[serde(flatten)]
    pub cut: Cut,
}

impl<Terms: Serialize + DeserializeOwned> Partial<Terms> {
    /// The copy that a table remembers.
    #[must_use]
    pub fn of(table: &LakeTable) -> Option<Self> {
        let text = table.properties().get(COPY).filter(|text| !text.is_empty())?;
        serde_json::from_str(text).ok()
    }

    /// The property that remembers it.
    #[must_use]
    pub fn remembered(&self) -> BTreeMap<String, String> {
        let text = serde_json::to_string(self).expect("names and numbers are JSON");
        BTreeMap::from([(COPY.to_owned(), text)])
    }
}

/// The chunks of the copy that a table remembers, whatever source it is of.
#[must_use]
pub fn chunks(table: &LakeTable) -> Option<usize> {
    Partial::<serde_json::Map<String, serde_json::Value>>::of(table)
        .map(|partial| partial.cut.chunks())
}

/// The property of a table that has no copy which is not complete.
#[must_use]
pub fn forgotten() -> BTreeMap<String, String> {
    BTreeMap::from([(COPY.to_owned(), String::new())])
}

/// The properties of a table whose copy is complete: its first snapshot was taken at `since`, its last at `until`.
#[must_use]
pub fn complete(since: Position, until: Position) -> BTreeMap<String, String> {
    let until = if since == until { String::new() } else { until.to_string() };
    let mut properties = forgotten();
    properties.insert(COPIED_UNTIL.to_owned(), until);
    properties
}

/// The property of a table that is of one moment again.
#[must_use]
pub fn replayed() -> BTreeMap<String, String> {
    BTreeMap::from([(COPIED_UNTIL.to_owned(), String::new())])
}

/// Up to where changes are replayed, if they are.
#[must_use]
pub fn replayed_until(table: &LakeTable) -> Option<Position> {
    table.properties().get(COPIED_UNTIL).and_then(|text| text.parse().ok())
}
