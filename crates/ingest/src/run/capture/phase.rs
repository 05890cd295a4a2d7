//! Where a followed table stands, as the lake tells it.

use std::fmt;

use ol_lake::LakeTable;

use super::state;
use crate::load::chunks;
use crate::position::Position;
use crate::run::change::{partial, state as change};

/// The phases of a followed table, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of it is in the lake, or it was forgotten: the next run copies it.
    Planned,
    /// Some chunks of a copy are in the lake.
    Copying {
        /// How many.
        gathered: usize,
        /// Of how many.
        chunks: usize,
    },
    /// Changes are replayed over chunks that were read at different moments.
    CatchingUp,
    /// It is followed.
    Streaming,
    /// It stopped.
    Blocked {
        /// The first change it may lack.
        since: String,
        /// Why.
        why: String,
    },
}

impl Phase {
    /// The phase of a table; `None` for one that is not in the lake.
    #[must_use]
    pub fn of(table: Option<&LakeTable>) -> Self {
        let Some(table) = table else { return Self::Planned };
        let property = |key: &str| table.properties().get(key).filter(|text| !text.is_empty());
        if let Some(since) = property(change::GAP) {
            let why = property(change::GAP_REASON).cloned().unwrap_or_default();
            return Self::Blocked { since: since.clone(), why };
        }
        let known = table.state();
        let position = known.get(ol_lake::POSITION_KEY);
        let position = position.and_then(|text| text.parse::<Position>().ok());
        let until = partial::replayed_until(table);
        match (position, partial::chunks(table)) {
            (None, Some(chunks)) => {
                Self::Copying { gathered: chunks::gathered(table).len(), chunks }
            }
            (None, None) => Self::Planned,
            (Some(position), _) => {
                let follows = match (position.log_place(), position.cluster_time()) {
                    (Some(_), _) => super::super::binlog::follows(table),
                    (None, Some(_)) => super::super::change_stream::follows(table),
                    (None, None) => known.contains_key(state::SLOT),
                };
                match (follows, until) {
                    (false, _) => Self::Planned,
                    (true, Some(until)) if position < until => Self::CatchingUp,
                    (true, _) => Self::Streaming,
                }
            }
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned => f.write_str("planned"),
            Self::Copying { gathered, chunks } => {
                write!(f, "copying ({gathered} of {chunks} chunks)")
            }
            Self::CatchingUp => f.write_str("catching-up"),
            Self::Streaming => f.write_str("streaming"),
            Self::Blocked { since, why } if why.is_empty() => write!(f, "blocked since {since}"),
            Self::Blocked { since, why } => write!(f, "blocked since {since}: {why}"),
        }
    }
}
