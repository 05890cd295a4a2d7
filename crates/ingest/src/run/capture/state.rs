//! What a followed table remembers: in the summaries of its snapshots what belongs to rows, in its properties what
//! is about the unit.

use std::collections::BTreeMap;

use ol_lake::{Commit, Lake, LakeTable, Operation};

use super::partial::Partial;
use crate::position::Position;
use crate::run::change::state::{GAP, SOURCE, SPAN_AFTER, no_gap};
use crate::source::postgres::replication::publication::PublicationFacts;
use crate::sync::{Incarnation, TableState};

/// The slot's incarnation.
pub const SLOT: &str = "ol.slot";
/// The entry of the table in the publication; another one means that it was out of it in between.
pub const PUBLISHED: &str = "ol.publication-entry";
/// Property: the greatest place that was recorded for the unit.
pub const RECORDED: &str = "ol.recorded";
/// Property: the slot's incarnation at that time.
pub const RECORDED_SLOT: &str = "ol.recorded-slot";
/// What one table remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// For [`crate::sync::assess`].
    pub state: TableState,
    /// The server it was read from.
    pub source: Option<String>,
}

/// What a table of the lake remembers, beside what the publication says of it now.
#[must_use]
pub fn memory(
    table: Option<&LakeTable>,
    publication: Option<&PublicationFacts>,
    namespace: &str,
    name: &str,
) -> Memory {
    let state = table.map(LakeTable::state).unwrap_or_default();
    let property = |key: &str| table.and_then(|table| table.properties().get(key));
    let published = publication.and_then(|facts| {
        let tables = &mut facts.tables.iter();
        tables.find(|table| table.namespace == namespace && table.name == name)
    });
    let entry = published.map(|table| entry_text(table.entry));
    let position = state.get(ol_lake::POSITION_KEY).and_then(|text| text.parse().ok());
    let copy = table.filter(|_| position.is_none()).and_then(Partial::of);
    let whole = publication.is_some_and(PublicationFacts::is_whole);
    let published_as = match &copy {
        Some(copy) => whole.then_some(copy.terms.published.as_str()),
        None => state.get(PUBLISHED).map(String::as_str),
    };
    Memory {
        state: TableState {
            position,
            incarnation: state.get(SLOT).and_then(|text| text.parse().ok()),
            recorded: property(RECORDED_SLOT)
                .and_then(|text| text.parse().ok())
                .zip(property(RECORDED).and_then(|text| lsn(text))),
            gap: property(GAP).and_then(|text| lsn(text)),
            is_published: entry.is_some() && entry.as_deref() == published_as,
            copy: copy.as_ref().map(|copy| (copy.terms.slot.clone(), copy.since.lsn())),
        },
        source: state.get(SOURCE).cloned(),
    }
}

/// An entry of the publication, as it is remembered.
#[must_use]
pub fn entry_text(entry: Option<u32>) -> String {
    entry.map_or_else(|| "all".to_owned(), |oid| oid.to_string())
}

fn lsn(text: &str) -> Option<u64> {
    text.parse::<Position>().ok().map(Position::lsn)
}

/// What the rows of a table are committed with.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The slot.
    pub incarnation: Incarnation,
    /// The server.
    pub source: String,
    /// The run.
    pub run_id: String,
    /// The inventory's word for the mode.
    pub mode: &'static str,
    /// The entry in the publication.
    pub published: String,
}

impl Stamp {
    /// The state of a snapshot that reaches `upto` from `after`.
    #[must_use]
    pub fn state(&self, after: Option<Position>, upto: Position) -> BTreeMap<String, String> {
        let mut state = BTreeMap::from([
            (ol_lake::POSITION_KEY.to_owned(), upto.to_string()),
            (SLOT.to_owned(), self.incarnation.to_string()),
            (SOURCE.to_owned(), self.source.clone()),
            (PUBLISHED.to_owned(), self.published.clone()),
            (crate::load::state::RUN_ID.to_owned(), self.run_id.clone()),
            (crate::load::state::MODE.to_owned(), self.mode.to_owned()),
        ]);
        if let Some(after) = after {
            state.insert(SPAN_AFTER.to_owned(), after.to_string());
        }
        state
    }
}

/// The properties that record a place for the unit.
#[must_use]
pub fn recorded(slot: &Incarnation, lsn: u64) -> BTreeMap<String, String> {
    BTreeMap::from([
        (RECORDED.to_owned(), Position::Lsn(lsn).to_string()),
        (RECORDED_SLOT.to_owned(), slot.to_string()),
    ])
}

/// Forgets where a table is, so that it is copied again. What it recorded for the unit stays.
///
/// # Errors
/// The lake's.
pub async fn forget(lake: &Lake, table: &LakeTable) -> Result<LakeTable, ol_lake::Error> {
    let mut properties = no_gap();
    properties.extend(crate::run::change::partial::forgotten());
    let known = memory(Some(table), None, "", "").state;
    let own = known.incarnation.zip(known.position.map(Position::lsn));
    if let Some((slot, lsn)) = own.max(known.recorded) {
        properties.extend(recorded(&slot, lsn));
    }
    let commit = Commit {
        state: BTreeMap::from([
            (crate::load::state::MODE.to_owned(), "reset".to_owned()),
            (ol_lake::POSITION_KEY.to_owned(), String::new()),
        ]),
        table_properties: properties,
        ..Commit::new(Operation::Append, Vec::new())
    };
    Ok(lake.commit(table, commit).await?.table)
}
