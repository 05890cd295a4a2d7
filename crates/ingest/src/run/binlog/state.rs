//! A place in a binary log, as a table that follows it remembers it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::position::{LogPlace, Position};
use crate::run::change::place;
use crate::run::change::state::SOURCE;
use crate::source::mysql::binlog::gtid::GtidSet;

/// The transactions before the snapshot's position; of a position within a transaction those before it.
const GTIDS: &str = "ol.gtids";

/// A place in a log, by all the names that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where it is.
    pub position: Position,
    /// The transactions before it.
    #[serde(with = "gtids")]
    pub gtids: Option<GtidSet>,
    /// The server whose files it is about.
    pub source: String,
}

/// A place that tables have come to.
pub type Record = place::Record<Place>;

impl Place {
    /// Its file and byte.
    #[must_use]
    pub fn log(&self) -> LogPlace {
        self.position.log_place().unwrap_or_default()
    }
}

impl place::Place for Place {
    const RECORDED: &'static str = "ol.recorded-log";
    const RECORDED_SELF: &'static str = "ol.recorded-self";

    fn position(&self) -> Position {
        self.position
    }

    fn claim(&self) -> BTreeMap<String, String> {
        let mut state = BTreeMap::from([(SOURCE.to_owned(), self.source.clone())]);
        if let Some(gtids) = &self.gtids {
            state.insert(GTIDS.to_owned(), gtids.to_string());
        }
        state
    }

    fn of_state(state: &BTreeMap<String, String>) -> Option<Self> {
        let position: Position = state.get(ol_lake::POSITION_KEY)?.parse().ok()?;
        position.log_place()?;
        let gtids = match state.get(GTIDS) {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        Some(Self { position, gtids, source: state.get(SOURCE)?.clone() })
    }
}

/// Ids of transactions as text.
mod gtids {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::GtidSet;

    #[expect(clippy::ref_option, reason = "it is passed so")]
    pub(super) fn serialize<S: Serializer>(
        gtids: &Option<GtidSet>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        gtids.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<GtidSet>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
