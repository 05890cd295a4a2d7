//! What can go wrong while reading MongoDB, before it becomes a failure with advice.
//!
//! What the server's numbers mean is told by its documentation ("Error Codes"). The texts of its errors are not even read:
//! they may quote a value. Each number has a name beside it, which is shown.

use std::io;
use std::time::Duration;

use super::bson::Malformed;
use crate::error::{Definite, Doing, Error, Failure, Transient};
use crate::source::address::SettingsError;
use crate::source::incremental::sweep::Unfit;
use crate::source::socket::SocketError;

/// An error of the source or of the way to the lake.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The connection URL is not usable.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The server refused a command.
    #[error("the server answered with error {code} ({name})")]
    Server {
        /// Its number.
        code: i32,
        /// The name of the number.
        name: String,
    },
    /// The server ended a change stream, and says that it can be gone on with.
    #[error("the server ended the change stream with error {code} ({name})")]
    Resumable {
        /// Its number.
        code: i32,
        /// The name of the number.
        name: String,
    },
    /// The server keeps no log.
    #[error("the server is not a member of a replica set")]
    NotReplicated,
    /// The server says nowhere where a change stream can be gone on with, so it is older than MongoDB 4.0.7.
    #[error("the server gives no resume tokens")]
    NoResumeToken,
    /// The log no longer has the place that is asked for.
    #[error("the server no longer has the changes from {0} on")]
    HistoryLost(String),
    /// The server's answer proves that it does not know the password.
    #[error("the server did not prove that it knows the password")]
    ServerNotProven,
    /// The encrypted connection could not be made.
    #[error("TLS: {0}")]
    Tls(String),
    /// The socket.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// No answer within the time.
    #[error("nothing came within {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// The host's name has no address.
    #[error("the host name has no address")]
    HostUnknown,
    /// No member that was reached is the one that is asked for.
    #[error("no member that can be reached is a {0}")]
    NoMember(&'static str),
    /// The members are those of another replica set.
    #[error("the server belongs to another replica set than {0}")]
    OtherReplicaSet(String),
    /// The server's version is not supported.
    #[error("the server's wire version {0} is not supported")]
    TooOld(i32),
    /// Something that is not understood, by its kind.
    #[error("the server sent something that is not {0}")]
    Protocol(&'static str),
    /// What arrived is not BSON.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A value cannot be stored, and what would be kept beside its column cannot either.
    #[error("column {column} holds a value that cannot be stored")]
    Value {
        /// The column.
        column: String,
    },
    /// The batch could not be put together.
    #[error("the batch does not fit the lake table: {0}")]
    Batch(String),
    /// The request to stop.
    #[error("stopped")]
    Stopped,
    /// The lake.
    #[error(transparent)]
    Lake(#[from] ol_lake::Error),
}

impl From<SocketError> for SourceError {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Io(error) => Self::Io(error),
            SocketError::Stalled(limit) => Self::Stalled(limit),
            SocketError::Stopped => Self::Stopped,
        }
    }
}

impl From<io::Error> for SourceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unfit> for SourceError {
    fn from(error: Unfit) -> Self {
        Self::Batch(error.0)
    }
}

/// "The $changeStream stage is only supported on replica sets".
const NOT_REPLICATED: i32 = 40573;
/// No such command: a server from before it was added.
pub(super) const COMMAND_UNKNOWN: i32 = 59;

impl SourceError {
    /// Whether the connection can be used for another command.
    #[must_use]
    pub fn spares_connection(&self) -> bool {
        matches!(self, Self::Server { code, .. } if !matches!(failure(*code), Some(Failure::Transient(
            Transient::ConnectionLost | Transient::ServerStarting
        ))))
    }

    /// The failure it amounts to, for what was being done.
    #[must_use]
    pub fn into_error(self, doing: Doing) -> Error {
        match self {
            Self::Lake(error) => error.into(),
            Self::Settings(_) => Error::new(Definite::Configuration).because(self),
            Self::Server { code, .. }
                if matches!(doing, Doing::StartingStream | Doing::Streaming)
                    && let Some((reason, cure)) = no_stream(code) =>
            {
                Error::new(Definite::ReplicationUnavailable)
                    .with("error_code", code)
                    .with("reason", reason)
                    .advise(cure)
                    .because(self)
            }
            Self::Server { code, .. } => {
                let failure = failure(code).unwrap_or_else(|| Definite::SourceRefused.into());
                let error = Error::new(failure).with("error_code", code).because(self);
                match failure {
                    Failure::Definite(Definite::PermissionDenied) => error.advise(
                        "Give the account of the source's URL the role read on the database. A URL without user:password@ \
                         reads a server that asks for no login, and no other.",
                    ),
                    Failure::Definite(Definite::AuthenticationFailed) => error.advise(
                        "Check the user and password of the source's URL, and which database keeps the account: the one at \
                         the URL's end is asked unless authSource names another (often authSource=admin).",
                    ),
                    Failure::Definite(_) | Failure::Transient(_) => error,
                }
            }
            Self::Resumable { code, .. } => {
                let failure = failure(code).filter(|it| matches!(it, Failure::Transient(_)));
                Error::new(failure.unwrap_or_else(|| Transient::ConnectionLost.into()))
                    .with("error_code", code)
                    .because(self)
            }
            Self::NotReplicated => {
                let error = Error::new(Definite::ReplicationUnavailable);
                match no_stream(NOT_REPLICATED) {
                    Some((reason, cure)) => error.with("reason", reason).advise(cure),
                    None => error,
                }
            }
            Self::NoResumeToken => {
                Error::new(Definite::ServerTooOld).with("oldest", "MongoDB 4.0.7").because(self)
            }
            Self::HistoryLost(ref since) => {
                Error::new(Definite::ChangesMissed).with("since", since).advise(
                    "Reset the table (ol-ingest reset) and run again: it is copied anew. Let the server keep its log for \
                     longer than the longest pause (replSetResizeOplog with minRetentionHours, or a larger oplog).",
                )
            }
            Self::ServerNotProven => Error::new(Definite::AuthenticationFailed)
                .advise("Check that the host in the source's URL is the server that is meant.")
                .because(self),
            Self::Tls(_) => Error::new(Definite::TlsFailed).because(self),
            Self::OtherReplicaSet(name) => Error::new(Definite::Configuration)
                .with("replica_set", name)
                .advise("Correct replicaSet or the hosts in the source's URL."),
            Self::Io(_) if doing == Doing::Connecting => {
                Error::new(Transient::HostUnreachable).because(self)
            }
            Self::Stalled(_) | Self::NoMember(_) if doing == Doing::Connecting => {
                Error::new(Transient::HostUnreachable).because(self)
            }
            Self::Io(_) | Self::Stalled(_) | Self::NoMember(_) => {
                Error::new(Transient::ConnectionLost).because(self)
            }
            Self::HostUnknown => Error::new(Transient::HostUnknown).because(self),
            Self::TooOld(version) => Error::new(Definite::ServerTooOld)
                .with("wire_version", version)
                .with("oldest", "MongoDB 3.6"),
            Self::Protocol(_) | Self::Malformed(_) => {
                Error::new(Definite::ProtocolViolated).because(self)
            }
            Self::Value { ref column } => {
                Error::new(Definite::ValueUndecodable).with("column", column).because(self)
            }
            Self::Batch(_) => Error::new(Definite::Defect).because(self),
            Self::Stopped => Error::new(Transient::Stopped),
        }
    }
}

/// Why a server opens no change stream, or not this one, and what helps; `None` for a number that says nothing of it.
fn no_stream(code: i32) -> Option<(&'static str, &'static str)> {
    Some(match code {
        NOT_REPLICATED => (
            "the server is not a member of a replica set, and so keeps no log of its changes",
            "Make the server a replica set (one member is enough: replication.replSetName, then rs.initiate()), or read the \
             unit with replication_method: full.",
        ),
        // Unauthorized.
        13 => (
            "the account may not open a change stream",
            "Give the account of the source's URL the role read on the database: it has the actions find and changeStream.",
        ),
        // InvalidResumeToken.
        260 => (
            "the server does not take the place that the tables have come to",
            "The server is not the one that was followed, or its version is another: check the source's URL; else reset \
             the tables of the unit (ol-ingest reset) and run again.",
        ),
        // BSONObjectTooLarge.
        10334 => (
            "a change is larger than the 16 MB that a server sends as one",
            "Exclude large fields of the collection (excluded_columns), so that they do not leave the server.",
        ),
        _ => return None,
    })
}

/// Whether a number of the server says that it no longer has what comes behind a place (CappedPositionLost,
/// ChangeStreamFatalError, ChangeStreamHistoryLost).
#[must_use]
pub(super) fn is_history_lost(code: i32) -> bool {
    matches!(code, 136 | 280 | 286)
}

/// The kind of failure that a number of the server stands for; `None` for one that says nothing of whose turn it is.
fn failure(code: i32) -> Option<Failure> {
    Some(match code {
        // UserNotFound, AuthenticationFailed, MechanismUnavailable, and what Atlas answers.
        11 | 18 | 334 | 8000 => Definite::AuthenticationFailed.into(),
        // Unauthorized.
        13 => Definite::PermissionDenied.into(),
        // NamespaceNotFound; CommandNotSupportedOnView.
        26 => Definite::RelationMissing.into(),
        166 => Definite::RelationKindRefused.into(),
        // HostUnreachable, HostNotFound, NetworkTimeout, SocketException.
        6 | 7 | 89 | 9001 => Transient::ConnectionLost.into(),
        // ShutdownInProgress, PrimarySteppedDown, NotYetInitialized, ReadConcernMajorityNotAvailableYet, NotWritablePrimary,
        // InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
        // Beside them, of a change stream: FailedToSatisfyReadPreference, RetryChangeStream, and chunks that moved
        // (StaleShardVersion, StaleEpoch, StaleConfig).
        63 | 91 | 94 | 133 | 134 | 150 | 189 | 234 | 10107 | 11600 | 11602 | 13388 | 13435
        | 13436 => Transient::ServerStarting.into(),
        // CursorNotFound, QueryPlanKilled (the collection was dropped or renamed), CursorKilled.
        43 | 175 | 237 => Transient::SnapshotLost.into(),
        // MaxTimeMSExpired, ExceededTimeLimit, Interrupted.
        50 | 262 | 11601 => Transient::StatementTimeout.into(),
        // LockTimeout, LockBusy.
        24 | 46 => Transient::LockTimeout.into(),
        // ExceededMemoryLimit, QueryExceededMemoryLimitNoDiskUseAllowed, OutOfDiskSpace.
        146 | 292 | 14031 => Transient::SourceExhausted.into(),
        // TooManyFilesOpen, ConnectionPoolExpired and the like of proxies before a server.
        264 | 317 => Transient::TooManyConnections.into(),
        // UnrecoverableRollbackError, DataCorruptionDetected.
        186 | 397 => Definite::SourceDamaged.into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_whose_turn_it_is() {
        for (code, expected) in [
            (18, Failure::from(Definite::AuthenticationFailed)),
            (13, Definite::PermissionDenied.into()),
            (26, Definite::RelationMissing.into()),
            (43, Transient::SnapshotLost.into()),
            (189, Transient::ServerStarting.into()),
            (9999, Definite::SourceRefused.into()),
        ] {
            let error = SourceError::Server { code, name: "Name".into() };
            assert_eq!(error.into_error(Doing::Reading).failure(), expected, "{code}");
        }
    }
}
