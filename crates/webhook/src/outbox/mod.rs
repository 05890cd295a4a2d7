//! The outbox: every message that is to be delivered, in a database that outlives every process.
//!
//! ```text
//!   enqueue ─▶ waiting ─▶ queued ─▶ leased ─▶ delivered
//!                 │          │ ▲        │
//!                 │          │ └─ retry ┤
//!                 ▼          ▼          ▼
//!             superseded / dropped     dead ─▶ (replay) ─▶ queued
//! ```
//!
//! **Order of one entity.** At most one message of an entity is *active* (queued or leased): a unique
//! index says so, not a convention. A message that arrives while another is leased waits; when the
//! leased one is settled (delivered, dead, superseded) the next in line becomes queued, in the same
//! transaction. So version 2 cannot be sent before it is known what became of version 1, whatever
//! crashes in between.
//!
//! **Newer supersedes older.** A queued or waiting message is marked superseded when a newer one of
//! its entity arrives; parts of one batch do not supersede each other. Only what a worker holds
//! cannot be taken back.
//!
//! **Unchanged is skipped.** An entity remembers the content hash of the latest message it accepted.
//! A message
//! that is dropped, or dies of something that can be mended without it, takes its hash along: the same content can be sent
//! again. What the receiver refused for good is not sent again by itself: it is said to be dead still, until someone replays
//! or forces it.
//!
//! **Nothing is lost.** A message is accepted when the transaction that holds it is durable (SQLite:
//! WAL with `synchronous = FULL`). A lease that runs out, or whose worker is known to have died, gives
//! the message back: it is sent again with the same id. So every message is delivered at least once,
//! and a receiver can tell duplicates by their id.
//!
//! **Fencing.** A worker that was stopped for longer than its lease must not send: it checks its own
//! monotonic clock right before each request, and what it then says of a message that is no longer
//! its own is ignored. (A process stopped exactly between the check and the write to its socket cannot
//! be fenced from here: Learn has no way to refuse an old version.)
//!
//! **Time.** Due times and leases are milliseconds since 1970 by the clock of the outbox: on Postgres
//! the server's, so that workers on several machines agree; it moves with the monotonic clock of the
//! process, so that a jump of the wall clock neither delays nor repeats anything.

mod clock;
mod database;
mod enqueue;
mod lease;
mod postgres;
mod query;
mod replay;
mod retain;
mod rows;
mod schema;
mod settle;
mod sqlite;

use serde::Serialize;

pub use database::Outbox;
pub use enqueue::{Accepted, Draft, Place};
pub use lease::Leased;
pub use query::{Attempt, Counts, Filter, Message};
pub use replay::Replayed;
pub use settle::{Outcome, Settlement};

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Another message of its entity comes first.
    Waiting,
    /// Will be sent when it is due.
    Queued,
    /// A worker has it.
    Leased,
    /// The receiver took it.
    Delivered,
    /// It will not be sent unless someone says so.
    Dead,
    /// A newer message of its entity came before it was sent.
    Superseded,
    /// Someone took it away.
    Dropped,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Queued,
        Self::Leased,
        Self::Delivered,
        Self::Dead,
        Self::Superseded,
        Self::Dropped,
    ];

    /// The word in the database and in documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Superseded => "superseded",
            Self::Dropped => "dropped",
        }
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = Self::ALL.map(Self::word).join(", ");
        Self::ALL
            .into_iter()
            .find(|state| state.word() == text)
            .ok_or_else(|| format!("it is none of {words}"))
    }
}

#[cfg(test)]
mod tests;
