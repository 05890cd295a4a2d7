//! What can go wrong while reading MySQL, before it becomes a failure with advice.
//!
//! What the server's numbers mean is told by its documentation ("Server Error Message Reference" of MySQL, "Error Codes"
//! of MariaDB). The texts of its errors are never looked at, and never shown in advice: they may quote a value.

use std::io;
use std::time::Duration;

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
    /// The server refused.
    #[error("the server answered with error {code} ({state}): {message}")]
    Server {
        /// Its number.
        code: u16,
        /// The SQLSTATE.
        state: String,
        /// Its text, for the log.
        message: String,
    },
    /// The server wants a login that is not known.
    #[error("the account uses the authentication plugin {0}")]
    Plugin(String),
    /// The server wants the password itself, and others could read it.
    #[error("the login {0} sends the password itself, and the connection is not encrypted")]
    PasswordInClear(String),
    /// The server does not encrypt.
    #[error("the server offers no TLS")]
    NoTls,
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
    /// The server's version is not supported.
    #[error("the server's version {0} is not supported")]
    TooOld(String),
    /// Something that is not understood, by its kind.
    #[error("the server sent something that is not {0}")]
    Protocol(&'static str),
    /// A value is not what its column's type says.
    #[error("column {column} holds a value that is not of its type")]
    Value {
        /// The column.
        column: String,
    },
    /// Part of a transaction of which another transaction is the end.
    #[error("the log has part of a distributed transaction (XA)")]
    Distributed,
    /// The server does not write what is needed into its log, or does not let us read it.
    #[error("{reason}")]
    Log {
        /// What is wrong.
        reason: String,
        /// What to do about it.
        cure: &'static str,
    },
    /// The log no longer has the place that is asked for.
    #[error("the server no longer has the log from {0} on")]
    Purged(String),
    /// The server cannot read its log from the place that is asked for, or not for us. Its text says why, and its number
    /// (1236) is one for all reasons.
    #[error("the server cannot send its log: {0}")]
    LogRefused(String),
    /// A place in the log could not be had, as transactions did not end in time.
    #[error("transactions that are in the log, or have written to the tables, did not end in time")]
    Unsettled,
    /// The batch could not be put together.
    #[error("the batch does not fit the lake table: {0}")]
    Batch(String),
    /// The table was changed after it was planned or after the snapshot was taken.
    #[error("the table was changed after the snapshot was taken")]
    Changed,
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

impl SourceError {
    /// Whether the connection can be used for another statement.
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
            Self::Server { code, .. } => {
                let failure = failure(code).unwrap_or_else(|| Definite::SourceRefused.into());
                Error::new(failure).with("error_code", code).because(self)
            }
            Self::Plugin(ref name) => {
                let advice = format!(
                    "Have the account use caching_sha2_password (MySQL) or mysql_native_password (MariaDB) instead of \
                     {name}: ALTER USER … IDENTIFIED BY '…'."
                );
                let error = Error::new(Definite::AuthenticationFailed).with("plugin", name);
                error.advise(advice).because(self)
            }
            Self::PasswordInClear(ref name) => Error::new(Definite::AuthenticationFailed)
                .with("plugin", name)
                .advise("Let the server encrypt and say sslmode=require in the source's URL.")
                .because(self),
            Self::NoTls => Error::new(Definite::TlsFailed)
                .with("reason", "the server offers no TLS")
                .advise(
                    "Give the server a certificate (ssl_cert, ssl_key); only where the network is trusted, say \
                     sslmode=disable in the source's URL.",
                ),
            Self::Tls(_) => Error::new(Definite::TlsFailed).because(self),
            Self::Io(ref error) => {
                let failure: Failure = match (error.kind(), doing) {
                    (_, Doing::Connecting) => Transient::HostUnreachable.into(),
                    (
                        _,
                        Doing::JoiningSnapshot
                        | Doing::CreatingSlot
                        | Doing::StartingStream
                        | Doing::Streaming
                        | Doing::Reading,
                    ) => Transient::ConnectionLost.into(),
                };
                Error::new(failure).because(self)
            }
            Self::Stalled(_) if doing == Doing::Connecting => {
                Error::new(Transient::HostUnreachable).because(self)
            }
            Self::Stalled(_) => Error::new(Transient::ConnectionLost).because(self),
            Self::HostUnknown => Error::new(Transient::HostUnknown).because(self),
            Self::TooOld(version) => Error::new(Definite::ServerTooOld)
                .with("version", version)
                .with("oldest", "MySQL 5.7, MariaDB 10.4"),
            Self::Protocol(_) => Error::new(Definite::ProtocolViolated).because(self),
            Self::Value { ref column } => {
                Error::new(Definite::ValueUndecodable).with("column", column).because(self)
            }
            Self::Distributed => Error::new(Definite::ChangesMissed)
                .with("reason", "the log has part of a distributed transaction (XA), whose end is elsewhere in it")
                .advise(
                    "Keep XA transactions off the followed tables; when those that were prepared are committed, reset the \
                     table (ol-ingest reset) and run again: it is copied anew.",
                ),
            Self::Log { ref reason, cure } => {
                Error::new(Definite::ReplicationUnavailable).with("reason", reason).advise(cure)
            }
            Self::Purged(ref since) => {
                Error::new(Definite::ChangesMissed).with("since", since).advise(
                    "Reset the table (ol-ingest reset) and run again: it is copied anew. Let the server keep its log \
                     for longer than the longest pause (binlog_expire_logs_seconds, expire_logs_days; on RDS \
                     mysql.rds_set_configuration('binlog retention hours', …)).",
                )
            }
            Self::LogRefused(_) => Error::new(Definite::ReplicationUnavailable)
                .with("reason", "the server cannot send its log from where the tables are")
                .advise(
                    "The log that is needed was purged, or the server is not the one that was followed: see the server's words \
                     in the log of this run. If the log is gone, reset the tables of the unit (ol-ingest reset) and run again.",
                )
                .because(self),
            Self::Unsettled => Error::new(Transient::LockTimeout).because(self),
            Self::Batch(_) => Error::new(Definite::Defect).because(self),
            Self::Changed => Error::new(Transient::SnapshotLost).because(self),
            Self::Stopped => Error::new(Transient::Stopped),
        }
    }
}

/// The kind of failure that a number of the server stands for; `None` for one that says nothing of whose turn it is.
fn failure(code: u16) -> Option<Failure> {
    Some(match code {
        // Connections: too many of them in all, of the account, in an hour.
        1040 | 1203 | 1226 => Transient::TooManyConnections.into(),
        // The handshake, the account, its password, its host, a locked or expired one, what it must use.
        1043 | 1045 | 1129 | 1130 | 1251 | 1275 | 1524 | 1698 | 1820 | 1862 | 3118 | 3955
        | 4151 => Definite::AuthenticationFailed.into(),
        // TLS is required of the account, or of everybody.
        3159 => Definite::TlsFailed.into(),
        // The database: none of it, or none for us.
        1049 => Definite::DatabaseMissing.into(),
        1044 | 1142 | 1143 | 1227 | 1370 => Definite::PermissionDenied.into(),
        // The table; a column of it; its definition since the snapshot.
        1051 | 1109 | 1146 => Definite::RelationMissing.into(),
        1054 | 1412 => Transient::SnapshotLost.into(),
        // Shutting down, starting.
        1053 | 1077 | 1079 | 1158..=1161 | 3169 => Transient::ServerStarting.into(),
        1152 | 1184 | 1927 | 4031 => Transient::ConnectionLost.into(),
        // Killed by somebody, or by a limit of time (MariaDB; MySQL).
        1317 | 1969 | 3024 => Transient::StatementTimeout.into(),
        1205 | 1213 | 1099 | 1684 => Transient::LockTimeout.into(),
        // Memory, disk, threads, files.
        1021 | 1028 | 1037 | 1038 | 1041 | 1114 | 1135 => Transient::SourceExhausted.into(),
        // Files of the server: crashed, corrupt, unreadable.
        1030 | 1033..=1035 | 1194 | 1195 | 1712 | 1877 => Definite::SourceDamaged.into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> SourceError {
        SourceError::Server { code, state: "42000".into(), message: "secret value 42".into() }
    }

    #[test]
    fn numbers_say_whose_turn_it_is_and_texts_are_not_told() {
        for (code, expected) in [
            (1045, Failure::from(Definite::AuthenticationFailed)),
            (1142, Definite::PermissionDenied.into()),
            (1146, Definite::RelationMissing.into()),
            (1412, Transient::SnapshotLost.into()),
            (1969, Transient::StatementTimeout.into()),
            (9999, Definite::SourceRefused.into()),
        ] {
            let error = server(code).into_error(Doing::Reading);
            assert_eq!(error.failure(), expected, "{code}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_plugin_that_is_not_known_is_named_with_its_cure() {
        let error = SourceError::Plugin("pam".into()).into_error(Doing::Connecting);
        let advice = crate::policy::advice(&error);
        assert!(advice.contains("pam") && advice.contains("caching_sha2_password"), "{advice}");
    }

    #[test]
    fn a_refused_statement_spares_the_connection() {
        assert!(server(1142).spares_connection());
        assert!(!server(1053).spares_connection());
        assert!(!SourceError::Stopped.spares_connection());
    }
}
