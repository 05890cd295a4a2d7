//! What can go wrong on the wire, and how the server says it.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::source::socket::{ConnectError, SocketError};
use crate::source::tls::TlsError;

/// What can go wrong on the wire. `error.rs` maps it to a failure.
#[derive(Debug)]
pub enum WireError {
    /// The socket failed.
    Io(io::Error),
    /// The host's name has no address.
    HostUnknown(io::Error),
    /// TLS was required and is not to be had, or the certificate was refused.
    Tls(String),
    /// The server answered with an error.
    Server(ServerError),
    /// The server asks for a kind of authentication that we do not speak.
    Authentication(&'static str),
    /// The server sent something that we do not understand; nothing is skipped (invariant I6).
    Protocol(String),
    /// Nothing arrived for longer than the limit.
    Stalled(Duration),
    /// The process was asked to stop.
    Stopped,
}

/// The fields of an `ErrorResponse` that we use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The five-character SQLSTATE.
    pub code: String,
    /// The primary message. It may hold a value of a cell when the class is 22 or 23.
    pub message: String,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("The connection to the server failed"),
            Self::HostUnknown(_) => f.write_str("The host name has no address"),
            Self::Tls(reason) => write!(f, "TLS with the server failed: {reason}"),
            Self::Server(error) => write!(f, "The server answered: {error}"),
            Self::Authentication(method) => {
                write!(f, "The server asks for {method} authentication, which is not supported")
            }
            Self::Protocol(what) => write!(f, "The server sent an unexpected message: {what}"),
            Self::Stalled(limit) => {
                write!(f, "The server sent nothing for {} seconds", limit.as_secs())
            }
            Self::Stopped => f.write_str("Stopped by request"),
        }
    }
}

impl fmt::Display for ServerError {
    /// The code, and the message where its class cannot quote a cell (classes 22 and 23 can).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.get(..2) {
            Some("22" | "23") => write!(f, "SQLSTATE {}", self.code),
            _ => write!(f, "{} (SQLSTATE {})", self.message, self.code),
        }
    }
}

impl std::error::Error for WireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::HostUnknown(error) => Some(error),
            Self::Tls(_)
            | Self::Server(_)
            | Self::Authentication(_)
            | Self::Protocol(_)
            | Self::Stalled(_)
            | Self::Stopped => None,
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<SocketError> for WireError {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Io(error) => Self::Io(error),
            SocketError::Stalled(limit) => Self::Stalled(limit),
            SocketError::Stopped => Self::Stopped,
        }
    }
}

impl From<ConnectError> for WireError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::HostUnknown(error) => Self::HostUnknown(error),
            ConnectError::Io(error) => Self::Io(error),
        }
    }
}

impl From<TlsError> for WireError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.0)
    }
}

/// Reads the fields of an `ErrorResponse`: a type byte and a zero-terminated text each, ended by a zero byte.
pub(super) fn parse_error(body: &[u8]) -> ServerError {
    let mut error = ServerError { code: String::new(), message: String::new() };
    for field in body.split(|byte| *byte == 0) {
        if let Some((kind, text)) = field.split_first() {
            let text = String::from_utf8_lossy(text).into_owned();
            match kind {
                b'C' => error.code = text,
                b'M' => error.message = text,
                _ => {}
            }
        }
    }
    error
}
