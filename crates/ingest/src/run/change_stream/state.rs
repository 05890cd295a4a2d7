//! A place in a change stream, as a table that follows it remembers it: a position that sorts, and the resume token behind it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::position::{ClusterTime, Position};
use crate::run::change::place;
use crate::run::change::state::SOURCE;
use crate::source::mongodb::change_stream::Token;

/// The resume token behind the snapshot's position, as the hexadecimal digits of its BSON.
const TOKEN: &str = "ol.resume-token";

/// A place that tables have come to.
pub type Record = place::Record<Place>;

/// A place in a change stream, by all the names that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl place::Place for Place {
    const RECORDED: &'static str = "ol.recorded-stream";
    const RECORDED_SELF: &'static str = "ol.recorded-stream-self";

    fn position(&self) -> Position {
        self.position
    }

    fn claim(&self) -> BTreeMap<String, String> {
        [(SOURCE.to_owned(), self.source.clone()), (TOKEN.to_owned(), self.token.text())].into()
    }

    fn of_state(state: &BTreeMap<String, String>) -> Option<Self> {
        let position: Position = state.get(ol_lake::POSITION_KEY)?.parse().ok()?;
        position.cluster_time()?;
        let (token, source) = (Token::parse(state.get(TOKEN)?)?, state.get(SOURCE)?.clone());
        Some(Self { position, token, source })
    }
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
}
