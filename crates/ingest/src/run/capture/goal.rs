//! Where a session ends by itself.

use std::time::Duration;

/// Where the session is to end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// When everything is durable that had been committed when the session was prepared.
    ///
    /// A commit is answered before its record is on the disk where `synchronous_commit` is off, and only what is on
    /// the disk is sent. The server's writer brings such a record there within three times `wal_writer_delay`; other
    /// records at the end of the log may stay in memory for as long as nobody commits. So the place of what was inserted is
    /// waited for, but no longer than that.
    Reach {
        /// The end of the log as it was written.
        written: u64,
        /// The end of the log as it was inserted.
        inserted: u64,
        /// How long the writer may take.
        patience: Duration,
    },
    /// Never.
    Endless,
}

impl Goal {
    /// Whether it is reached, at a position and so long after the beginning.
    #[must_use]
    pub fn is_reached(self, position: u64, elapsed: Duration) -> bool {
        match self {
            Self::Endless => false,
            Self::Reach { written, inserted, patience } => {
                position >= inserted || (position >= written && elapsed >= patience)
            }
        }
    }
}
