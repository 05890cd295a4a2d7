//! What can be wrong with a slot, a publication or a table, before a change is read.

use crate::error::{Definite, Error, Transient};

/// A fact about the source that stands in the way of change capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The server or the role cannot replicate at all.
    #[error("Change capture is not possible: {reason}")]
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// A table cannot be followed, though the server can.
    #[error("The table {table} cannot be followed: {reason}")]
    TableUnavailable {
        /// `schema.name`.
        table: String,
        /// Why.
        reason: String,
    },
    /// There is no such slot.
    #[error("There is no replication slot {slot}")]
    Missing {
        /// The slot.
        slot: String,
    },
    /// The server has removed log that the slot needed.
    #[error("The replication slot {slot} is lost: {reason}")]
    Lost {
        /// The slot.
        slot: String,
        /// What the server says of it.
        reason: String,
    },
    /// The slot is of another kind or of another database: somebody else's.
    #[error("The replication slot {slot} is not ours: {reason}")]
    Foreign {
        /// The slot.
        slot: String,
        /// What differs.
        reason: String,
    },
    /// The slot has been acknowledged further than we ever did.
    #[error("The replication slot {slot} was moved")]
    Moved {
        /// The slot.
        slot: String,
        /// Where it is.
        confirmed: u64,
        /// The furthest place we have.
        recorded: u64,
    },
    /// The server has another history than the one the recorded positions are of.
    #[error("The server's history is not the one that was followed")]
    TimelineChanged {
        /// As recorded.
        recorded: String,
        /// As it is.
        found: String,
    },
    /// The slot holds back more log than is allowed.
    #[error("The replication slot {slot} is too far behind")]
    TooFarBehind {
        /// The slot.
        slot: String,
        /// Log that the server keeps for it, in bytes.
        retained: u64,
        /// What is allowed, in bytes.
        limit: u64,
    },
    /// Another process streams from the slot.
    #[error("The replication slot {slot} is in use")]
    InUse {
        /// The slot.
        slot: String,
        /// The server process that does.
        process: Option<i32>,
    },
    /// The publication is not there, or does not publish what is needed.
    #[error("The publication {publication} is missing or incomplete: {reason}")]
    Publication {
        /// The publication.
        publication: String,
        /// What is missing.
        reason: String,
        /// The SQL that would cure it.
        statement: String,
    },
    /// The log would not say which row was updated or deleted.
    #[error("The replica identity of {table} does not name its rows: {reason}")]
    ReplicaIdentity {
        /// `schema.name`, and the partition where it is one.
        table: String,
        /// What it is.
        reason: String,
    },
}

impl SlotError {
    /// The failure it amounts to.
    #[must_use]
    pub fn into_error(self) -> Error {
        let error = match &self {
            Self::Unavailable { reason } => {
                Error::new(Definite::ReplicationUnavailable).with("reason", reason)
            }
            Self::TableUnavailable { table, reason } => {
                Error::new(Definite::ReplicationUnavailable)
                    .with("table", table)
                    .with("reason", reason)
            }
            Self::Missing { slot } => Error::new(Definite::SlotMissing).with("slot", slot),
            Self::Lost { slot, reason } => {
                Error::new(Definite::SlotLost).with("slot", slot).with("reason", reason)
            }
            Self::Foreign { slot, reason } => {
                Error::new(Definite::SlotMoved).with("slot", slot).with("reason", reason)
            }
            Self::Moved { slot, confirmed, recorded } => Error::new(Definite::SlotMoved)
                .with("slot", slot)
                .with("confirmed", format!("{confirmed:016X}"))
                .with("recorded", format!("{recorded:016X}")),
            Self::TimelineChanged { recorded, found } => Error::new(Definite::TimelineChanged)
                .with("recorded", recorded)
                .with("found", found),
            Self::TooFarBehind { slot, retained, limit } => Error::new(Definite::SlotTooFarBehind)
                .with("slot", slot)
                .with("retained_bytes", retained)
                .with("cap_bytes", limit),
            Self::InUse { slot, process } => {
                let error = Error::new(Transient::SlotInUse).with("slot", slot);
                match process {
                    Some(process) => error.with("server_process", process),
                    None => error,
                }
            }
            Self::Publication { publication, reason, statement } => {
                Error::new(Definite::PublicationMissing)
                    .with("publication", publication)
                    .with("reason", reason)
                    .with("statement", statement)
            }
            Self::ReplicaIdentity { table, reason } => {
                Error::new(Definite::ReplicaIdentityInsufficient)
                    .with("table", table)
                    .with("reason", reason)
            }
        };
        error.because(self)
    }
}
