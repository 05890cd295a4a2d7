//! A copy that is not complete: what a table remembers of it, and whether it can be gone on with.

use std::collections::BTreeMap;

use ol_lake::LakeTable;
use serde::{Deserialize, Serialize};

use super::plan::CapturePlan;
use super::shape::{self, StreamColumn};
use super::state::Stamp;
use crate::load::contract_digest;
use crate::position::Position;
use crate::source::postgres::chunks::Cut;
use crate::sync::Incarnation;

/// Property: the copy that is not complete; empty for none.
pub const COPY: &str = "ol.copy";
/// Property: where the last chunk was read; up to there, changes are replayed over rows that may be of later.
const COPIED_UNTIL: &str = "ol.copied-until";

/// A copy in chunks that has begun. Its chunks are on [`crate::load::chunks::BRANCH`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// The slot that the table will follow.
    pub slot: Incarnation,
    /// The server.
    pub source: String,
    /// The entry of the table in the publication.
    pub published: String,
    /// Where the first chunk was read: the table needs every change since.
    pub since: u64,
    /// The rows: what they are made of and how.
    pub form: Form,
    /// Where the table is cut.
    pub cut: Cut,
}

/// What must be the same for all chunks of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    relation: u32,
    contract: String,
    columns: Vec<StreamColumn>,
}

/// How it is written down.
#[derive(Serialize, Deserialize)]
struct Record {
    slot: String,
    source: String,
    published: String,
    since: String,
    form: Form,
    column: String,
    bounds: Vec<String>,
}

impl Form {
    /// The form of the rows that a plan makes.
    #[must_use]
    pub fn of(plan: &CapturePlan, excluded: &[String]) -> Self {
        let contracts = plan.readings.iter().map(|r| (r.name.as_str(), &r.contract));
        Self {
            relation: plan.relation.oid,
            contract: contract_digest(contracts),
            columns: shape::columns_of(&plan.relation, excluded),
        }
    }
}

impl Partial {
    /// A copy that begins.
    #[must_use]
    pub fn new(stamp: &Stamp, since: u64, form: Form, cut: Cut) -> Self {
        Self {
            slot: stamp.incarnation.clone(),
            source: stamp.source.clone(),
            published: stamp.published.clone(),
            since,
            form,
            cut,
        }
    }

    /// The copy that a table remembers.
    #[must_use]
    pub fn of(table: &LakeTable) -> Option<Self> {
        let text = table.properties().get(COPY).filter(|text| !text.is_empty())?;
        let record: Record = serde_json::from_str(text).ok()?;
        Some(Self {
            slot: record.slot.parse().ok()?,
            source: record.source,
            published: record.published,
            since: record.since.parse::<Position>().ok()?.lsn(),
            form: record.form,
            cut: Cut { column: record.column, bounds: record.bounds },
        })
    }

    /// Whether what was gathered is part of the copy that is to be made now.
    #[must_use]
    pub fn fits(&self, stamp: &Stamp, form: &Form) -> bool {
        self.slot == stamp.incarnation
            && self.source == stamp.source
            && self.published == stamp.published
            && self.form == *form
    }

    /// The property that remembers it.
    #[must_use]
    pub fn remembered(&self) -> BTreeMap<String, String> {
        let record = Record {
            slot: self.slot.to_string(),
            source: self.source.clone(),
            published: self.published.clone(),
            since: Position::Lsn(self.since).to_string(),
            form: self.form.clone(),
            column: self.cut.column.clone(),
            bounds: self.cut.bounds.clone(),
        };
        let text = serde_json::to_string(&record).expect("names and numbers are JSON");
        BTreeMap::from([(COPY.to_owned(), text)])
    }
}

/// The properties of a table whose copy is complete: its last snapshot was taken at `until`.
#[must_use]
pub fn complete(until: u64) -> BTreeMap<String, String> {
    BTreeMap::from([
        (COPY.to_owned(), String::new()),
        (COPIED_UNTIL.to_owned(), Position::Lsn(until).to_string()),
    ])
}

/// Up to where changes are replayed.
#[must_use]
pub fn replayed_until(table: &LakeTable) -> u64 {
    let until = table.properties().get(COPIED_UNTIL);
    until.and_then(|text| text.parse().ok()).map_or(0, Position::lsn)
}
