//! What a table that follows a change stream remembers, and where a unit's tables begin.
//!
//! The server keeps no place for us: each table says in the summary of its last snapshot up to where it holds the stream, as a
//! position that sorts and as the resume token behind it. A table in which nothing happens would stay where it was, and one
//! day the server's log would no longer have that place. So from time to time the place of all followed tables is *recorded*
//! in a property of one of them, with their names, as for a binary log (`run/binlog/state.rs`).

use std::collections::BTreeMap;

use ol_lake::LakeTable;
use serde::{Deserialize, Serialize};

use crate::position::{ClusterTime, Position};
use crate::run::change::state::{SOURCE, Stamp, gap};
use crate::source::mongodb::change_stream::Token;

/// The resume token behind the snapshot's position, as the hexadecimal digits of its BSON.
const TOKEN: &str = "ol.resume-token";
/// Property: a place that tables have come to.
const RECORDED: &str = "ol.recorded-stream";
/// Property: a place that this very table had come to when it failed.
const RECORDED_SELF: &str = "ol.recorded-stream-self";

/// A place in a change stream, by all the names that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub position: Position,
    /// Behind what the stream goes on.
    pub token: Token,
    /// The replica set.
    pub source: String,
}

impl Place {
    /// The place of a token that came without an event. All changes before its time are before it, and none of that time that
    /// comes in an event is: so that of a token which tells no time is the beginning of all times.
    #[must_use]
    pub fn of_token(token: Token, source: String) -> Self {
        let time = token.time().unwrap_or_default();
        Self { position: Position::Cluster { time, changes: 0 }, token, source }
    }

    /// The time of the cluster, and how many changes of it are before the place.
    #[must_use]
    pub fn time(&self) -> (ClusterTime, u32) {
        match self.position {
            Position::Cluster { time, changes } => (time, changes),
            Position::Lsn(_)
            | Position::Change { .. }
            | Position::Binlog(_)
            | Position::BinlogChange { .. }
            | Position::Moment(_) => Default::default(),
        }
    }

    /// The place behind a change of this time that comes next.
    #[must_use]
    pub fn followed_by(&self, time: ClusterTime, token: Token) -> Self {
        let changes = match self.time() {
            (now, changes) if now == time => changes + 1,
            _ => 1,
        };
        Self { position: Position::Cluster { time, changes }, token, source: self.source.clone() }
    }

    /// The place of a token that came at the end of a batch whose events are all before it.
    #[must_use]
    pub fn moved_to(&self, token: Token) -> Self {
        let position = match token.time() {
            Some(time) if time > self.time().0 => Position::Cluster { time, changes: 0 },
            _ => self.position,
        };
        Self { position, token, source: self.source.clone() }
    }

    /// The state of a snapshot that reaches this place from `after`.
    #[must_use]
    pub fn state(&self, stamp: &Stamp, after: Option<Position>) -> BTreeMap<String, String> {
        stamp.state(self.position, after, self.claim())
    }

    /// What goes with a position.
    #[must_use]
    pub fn claim(&self) -> BTreeMap<String, String> {
        [(SOURCE.to_owned(), self.source.clone()), (TOKEN.to_owned(), self.token.text())].into()
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
    token: String,
    source: String,
    tables: Vec<String>,
}

impl Record {
    /// The records that a table holds.
    pub fn of(table: &LakeTable) -> impl Iterator<Item = Self> + '_ {
        [RECORDED, RECORDED_SELF].into_iter().filter_map(|key| {
            let text = table.properties().get(key).filter(|text| !text.is_empty())?;
            let written: Written = serde_json::from_str(text).ok()?;
            let place = place(&written.position, &written.token, &written.source)?;
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
            token: self.place.token.text(),
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

fn place(position: &str, token: &str, source: &str) -> Option<Place> {
    let position: Position = position.parse().ok()?;
    position.cluster_time()?;
    Some(Place { position, token: Token::parse(token)?, source: source.to_owned() })
}

/// The place that a table's own snapshot is at; `None` when it was never copied, or was reset, or follows something else.
#[must_use]
pub fn own(table: &LakeTable) -> Option<Place> {
    let state = table.state();
    place(state.get(ol_lake::POSITION_KEY)?, state.get(TOKEN)?, state.get(SOURCE)?)
}

/// Where a table begins: the greater of its own place and the records that name it. Of the same place the record's token is the
/// later one, as nothing is recorded before it is committed.
#[must_use]
pub fn begins(raw_table: &str, own: &Place, records: &[Record]) -> Place {
    let of_table = |record: &&Record| record.tables.iter().any(|name| name == raw_table);
    let recorded = records.iter().filter(of_table).map(|record| &record.place);
    let greatest = recorded.max_by_key(|place| place.position);
    greatest.filter(|place| place.position >= own.position).unwrap_or(own).clone()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::source::mongodb::bson::{Builder, Document};

    fn token(seconds: u32) -> Token {
        let bytes = Builder::new().string("_data", &format!("82{seconds:08X}000000012B")).build();
        Token::of(Document::new(&bytes).unwrap())
    }

    fn time(seconds: u32) -> ClusterTime {
        ClusterTime { seconds, increment: 1 }
    }

    #[test]
    fn places_grow_as_the_stream_goes_on() {
        let begin = Place::of_token(token(5), "rs".into());
        let first = begin.followed_by(time(5), token(5));
        let second = first.followed_by(time(5), token(5));
        let resting = second.moved_to(token(5));
        let later = resting.moved_to(token(9));
        let next = later.followed_by(time(9), token(9));
        let positions = [&begin, &first, &second, &later, &next].map(|place| place.position);
        assert!(positions.is_sorted_by(|before, after| before < after), "{positions:?}");
        assert_eq!(resting.position, second.position);
        assert_eq!(next.time(), (time(9), 1));
    }

    #[test]
    fn a_record_counts_for_the_tables_that_it_names() {
        let place = |seconds| Place::of_token(token(seconds), "rs".into());
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
