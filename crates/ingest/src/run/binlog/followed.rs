//! What a table that follows a binary log has of it already.

use crate::position::Position;
use crate::source::mysql::binlog::gtid::{Gtid, GtidSet};

/// What a table has already.
#[derive(Debug, Clone, PartialEq)]
pub enum Skip {
    /// Everything up to a place of the log that is followed.
    UpTo(Position),
    /// These transactions, which had other places in the log of another server.
    Within(GtidSet),
}

impl From<Position> for Skip {
    fn from(position: Position) -> Self {
        Self::UpTo(position)
    }
}

impl Skip {
    /// Whether a change is among it.
    #[must_use]
    pub fn has(&self, position: Position, gtid: Option<Gtid>) -> bool {
        match self {
            Self::UpTo(place) => position <= *place,
            Self::Within(gtids) => gtid.is_some_and(|gtid| gtids.contains(gtid)),
        }
    }
}
