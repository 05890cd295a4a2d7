//! Where the tables of a unit begin in a log that the server keeps by its own rules.
//!
//! The server keeps no place for us: each table says in the summary of its last snapshot up to where it holds the log. A table
//! in which nothing happens would stay where it was, and one day the server would no longer have the log behind that place. So
//! from time to time the place of all followed tables is *recorded* in a property of one of them, with their names: every
//! change below it of each of these tables is in the lake. A table begins at the greater of its own place and the records that
//! name it; a table that failed, or was not in the unit, is in no record, and begins where it stopped.

use std::collections::BTreeMap;

use ol_lake::LakeTable;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::state::gap;
use crate::position::Position;

/// A place in a log, by all the names that it has.
pub trait Place: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Property: a place that tables have come to.
    const RECORDED: &'static str;
    /// Property: a place that this very table had come to when it failed.
    const RECORDED_SELF: &'static str;

    /// Where it is.
    fn position(&self) -> Position;

    /// What goes with a position in the summary of a snapshot.
    fn claim(&self) -> BTreeMap<String, String>;

    /// The place that the summary of a snapshot tells; `None` for one of a table that was never copied, or was reset, or
    /// follows something else. (A full refresh has a position, too, and follows nothing.)
    fn of_state(state: &BTreeMap<String, String>) -> Option<Self>;
}

/// A place that tables have come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<P> {
    /// The place.
    #[serde(flatten)]
    pub place: P,
    /// Their raw tables.
    pub tables: Vec<String>,
}

impl<P: Place> Record<P> {
    /// The records that a table holds.
    pub fn of(table: &LakeTable) -> impl Iterator<Item = Self> + '_ {
        [P::RECORDED, P::RECORDED_SELF].into_iter().filter_map(|key| {
            let text = table.properties().get(key).filter(|text| !text.is_empty())?;
            serde_json::from_str(text).ok()
        })
    }

    /// The property that holds it.
    #[must_use]
    pub fn remembered(&self) -> BTreeMap<String, String> {
        self.written(P::RECORDED)
    }

    fn written(&self, key: &str) -> BTreeMap<String, String> {
        let text = serde_json::to_string(self).expect("texts are JSON");
        BTreeMap::from([(key.to_owned(), text)])
    }
}

/// The properties of a table that fails at a place, for a reason. What it had come to goes on to count when the others have
/// moved on.
#[must_use]
pub fn left<P: Place>(raw_table: &str, since: P, why: &str) -> BTreeMap<String, String> {
    let mut properties = gap(since.position(), why);
    let record = Record { place: since, tables: vec![raw_table.to_owned()] };
    properties.extend(record.written(P::RECORDED_SELF));
    properties
}

/// The place that a table's own snapshot is at.
#[must_use]
pub fn own<P: Place>(table: &LakeTable) -> Option<P> {
    P::of_state(&table.state())
}

/// Where a table begins: the greater of its own place and the records that name it. Of the same place the record's names are
/// the later ones, as nothing is recorded before it is committed.
#[must_use]
pub fn begins<P: Place>(raw_table: &str, own: &P, records: &[Record<P>]) -> P {
    let of_table = |record: &&Record<P>| record.tables.iter().any(|name| name == raw_table);
    let recorded = records.iter().filter(of_table).map(|record| &record.place);
    let greatest = recorded.max_by_key(|place| place.position());
    greatest.filter(|place| place.position() >= own.position()).unwrap_or(own).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::binlog::state::Place as LogPlace;

    fn place(offset: u64) -> LogPlace {
        let log = crate::position::LogPlace { epoch: 0, file: 1, offset };
        LogPlace { position: Position::Binlog(log), gtids: None, source: "mariadb:1".into() }
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
