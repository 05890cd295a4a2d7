//! What can go wrong while reading Postgres, before it becomes a failure with advice.

use std::io;
use std::time::Duration;

use super::replication::error::SlotError;
use super::replication::message::MessageError;
use super::rows::RowError;
use super::settings::SettingsError;
use super::wire::WireError;
use crate::error::{Definite, Doing, Error, Failure, Transient};
use crate::source::incremental::sweep::Unfit;

/// An error of the source or of the way to the lake.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The connection URL is not usable.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The wire.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A catalog query.
    #[error("A catalog query failed")]
    Catalog(#[from] sqlx::Error),
    /// The stream could not be decoded.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The slot, the publication or a table does not allow it.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The change stream could not be understood.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] ol_lake::Error),
    /// The host's name has no address.
    #[error("The host name has no address")]
    HostUnknown,
    /// No connection within the time.
    #[error("No connection within {} seconds", .0.as_secs())]
    ConnectTimeout(Duration),
    /// The server's version is not supported.
    #[error("The server's version {0} is older than 12")]
    TooOld(i32),
    /// The server said something that is not understood.
    #[error("The server answered with something that is not {0}")]
    Protocol(String),
    /// The table was rewritten or emptied between the snapshot and the read.
    #[error("The table was truncated or rewritten after the snapshot was taken")]
    Rewritten,
}

impl From<Unfit> for SourceError {
    fn from(error: Unfit) -> Self {
        Self::Row(RowError::Batch(error.0))
    }
}

impl SourceError {
    /// The failure it amounts to, for what was being done.
    #[must_use]
    pub fn into_error(self, doing: Doing) -> Error {
        match self {
            Self::Lake(error) => error.into(),
            Self::Slot(error) => error.into_error(),
            Self::Settings(_) => Error::new(Definite::Configuration).because(self),
            Self::Wire(WireError::Server(ref server)) => {
                Error::from_sqlstate(&server.code, doing).because(self)
            }
            Self::Wire(WireError::Stopped) => Error::new(Transient::Stopped),
            Self::Wire(WireError::Io(ref error)) => {
                Error::new(connection(error, doing)).because(self)
            }
            Self::Wire(WireError::HostUnknown(_)) | Self::HostUnknown => {
                Error::new(Transient::HostUnknown).because(self)
            }
            Self::Wire(WireError::Tls(_)) => Error::new(Definite::TlsFailed).because(self),
            Self::Wire(WireError::Authentication(_)) => {
                Error::new(Definite::AuthenticationFailed).because(self)
            }
            Self::Wire(WireError::Protocol(_)) | Self::Protocol(_) => {
                Error::new(Definite::ProtocolViolated).because(self)
            }
            Self::Wire(WireError::Stalled(_)) => {
                Error::new(Transient::ConnectionLost).because(self)
            }
            Self::Catalog(error) => catalog(error, doing),
            Self::Row(RowError::Unknown { ref column }) => {
                Error::new(Definite::ToastUnknown).with("column", column).because(self)
            }
            Self::Row(RowError::Value { ref column } | RowError::OddKey { ref column }) => {
                Error::new(Definite::ValueUndecodable).with("column", column).because(self)
            }
            Self::Row(RowError::Form(_)) | Self::Message(_) => {
                Error::new(Definite::ProtocolViolated).because(self)
            }
            Self::Row(RowError::Batch(_)) => Error::new(Definite::Defect).because(self),
            Self::ConnectTimeout(_) => Error::new(Transient::HostUnreachable).because(self),
            Self::TooOld(version) => Error::new(Definite::ServerTooOld)
                .with("version", version / 10_000)
                .with("oldest", super::snapshot::MINIMUM_VERSION / 10_000),
            Self::Rewritten => Error::new(Transient::SnapshotLost).because(self),
        }
    }
}

/// What a socket error means: before there is a session the host is not there, afterwards it is lost.
fn connection(error: &io::Error, doing: Doing) -> Failure {
    match (error.kind(), doing) {
        (io::ErrorKind::PermissionDenied, _) => Definite::AuthenticationFailed.into(),
        (_, Doing::Connecting) => Transient::HostUnreachable.into(),
        (
            _,
            Doing::JoiningSnapshot
            | Doing::CreatingSlot
            | Doing::StartingStream
            | Doing::Streaming
            | Doing::Reading,
        ) => Transient::ConnectionLost.into(),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "sqlx's error is open: what is not named is a lost connection"
)]
fn catalog(error: sqlx::Error, doing: Doing) -> Error {
    let failure = match &error {
        sqlx::Error::Database(answer) => match answer.code() {
            Some(code) => {
                return Error::from_sqlstate(&code, doing).because(SourceError::Catalog(error));
            }
            None => Definite::SourceRefused.into(),
        },
        sqlx::Error::Io(error) => connection(error, doing),
        sqlx::Error::Tls(_) => Definite::TlsFailed.into(),
        sqlx::Error::Configuration(_) => Definite::Configuration.into(),
        sqlx::Error::Protocol(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::TypeNotFound { .. } => Definite::ProtocolViolated.into(),
        _ => Failure::from(Transient::ConnectionLost),
    };
    Error::new(failure).because(SourceError::Catalog(error))
}
