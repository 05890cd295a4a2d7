//! What a table that follows a binary log remembers, and where a unit's tables begin.
//!
//! The server keeps no place for us: each table says in the summary of its last snapshot up to where it holds the log. A table
//! in which nothing happens would stay where it was, and one day the server would have purged the log behind that place. So
//! from time to time the place of all followed tables is *recorded* in a property of one of them, with their names: every
//! change below it of each of these tables is in the lake. A table begins at the greater of its own place and the records that
//! name it; a table that failed, or was not in the unit, is in no record, and begins where it stopped.

use std::collections::BTreeMap;

use ol_lake::LakeTable;
use serde::{Deserialize, Serialize};

use crate::position::{LogPlace, Position};
use crate::run::change::state::{SOURCE, Stamp, gap};
use crate::source::mysql::binlog::gtid::GtidSet;

/// The transactions before the snapshot's position; of a position within a transaction those before it.
const GTIDS: &str = "ol.gtids";
/// Property: a place that tables have come to.
const RECORDED: &str = "ol.recorded-log";
/// Property: a place that this very table had come to when it failed.
const RECORDED_SELF: &str = "ol.recorded-self";
/// A place in a log, by all the names that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub position: Position,
    /// The transactions before it.
    pub gtids: Option<GtidSet>,
    /// The server whose files it is about.
    pub source: String,
}

impl Place {
    /// Its file and byte.
    #[must_use]
    pub fn log(&self) -> LogPlace {
        self.position.log_place().unwrap_or_default()
    }

    /// The state of a snapshot that reaches this place from `after`.
    #[must_use]
    pub fn state(&self, stamp: &Stamp, after: Option<Position>) -> BTreeMap<String, String> {
        stamp.state(self.position, after, self.claim())
    }

    /// What goes with a position.
    #[must_use]
    pub fn claim(&self) -> BTreeMap<String, String> {
        let mut state = BTreeMap::from([(SOURCE.to_owned(), self.source.clone())]);
        if let Some(gtids) = &self.gtids {
            state.insert(GTIDS.to_owned(), gtids.to_string());
        }
        state
    }
}

/// A place that tables have come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The place.
    pub place: Place,
    /// Their raw tables.
    pub tables: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    position: String,
    gtids: Option<String>,
    source: String,
    tables: Vec<String>,
}

impl Record {
    /// The records that a table holds.
    pub fn of(table: &LakeTable) -> impl Iterator<Item = Self> + '_ {
        [RECORDED, RECORDED_SELF].into_iter().filter_map(|key| {
            let text = table.properties().get(key).filter(|text| !text.is_empty())?;
            let written: Written = serde_json::from_str(text).ok()?;
            let gtids = match written.gtids {
                Some(text) => Some(text.parse().ok()?),
                None => None,
            };
            let position = written.position.parse().ok()?;
            let place = Place { position, gtids, source: written.source };
            Some(Self { place, tables: written.tables })
        })
    }

    /// The property that holds it.
    #[must_use]
    pub fn remembered(&self) -> BTreeMap<String, String> {
        self.written(RECORDED)
    }

    fn written(&self, key: &str) -> BTreeMap<String, String> {
        let written = Written {
            position: self.place.position.to_string(),
            gtids: self.place.gtids.as_ref().map(ToString::to_string),
            source: self.place.source.clone(),
            tables: self.tables.clone(),
        };
        let text = serde_json::to_string(&written).expect("texts are JSON");
        BTreeMap::from([(key.to_owned(), text)])
    }
}

/// The properties of a table that fails at a place, for a reason. What it had come to goes on to count when the others have
/// moved on.
#[must_use]
pub fn left(raw_table: &str, since: Place, why: &str) -> BTreeMap<String, String> {
    let mut properties = gap(since.position, why);
    let record = Record { place: since, tables: vec![raw_table.to_owned()] };
    properties.extend(record.written(RECORDED_SELF));
    properties
}

/// The place that a table's own snapshot is at; `None` when it was never copied, or was reset, or follows something else.
#[must_use]
pub fn own(table: &LakeTable) -> Option<Place> {
    let state = table.state();
    let position: Position = state.get(ol_lake::POSITION_KEY)?.parse().ok()?;
    position.log_place()?;
    let gtids = match state.get(GTIDS) {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    // A full refresh has a position, too, and follows nothing.
    Some(Place { position, gtids, source: state.get(SOURCE)?.clone() })
}

/// Where a table begins: the greater of its own place and the records that name it.
#[must_use]
pub fn begins(raw_table: &str, own: &Place, records: &[Record]) -> Place {
    let of_table = |record: &&Record| record.tables.iter().any(|name| name == raw_table);
    let recorded = records.iter().filter(of_table).map(|record| &record.place);
    let greatest = recorded.max_by_key(|place| place.position);
    greatest.filter(|place| place.position > own.position).unwrap_or(own).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64) -> Place {
        let position = Position::Binlog(LogPlace { epoch: 0, file: 1, offset });
        Place { position, gtids: None, source: "mariadb:1".into() }
    }

    #[test]
    fn a_record_counts_for_the_tables_that_it_names() {
        let records = [
            Record { place: place(50), tables: vec!["a".into(), "b".into()] },
            Record { place: place(70), tables: vec!["a".into()] },
        ];
        assert_eq!(begins("a", &place(10), &records), place(70));
        assert_eq!(begins("b", &place(10), &records), place(50));
        assert_eq!(begins("c", &place(10), &records), place(10));
        assert_eq!(begins("a", &place(90), &records), place(90));
    }
}
