//! One connection that speaks the Postgres frontend/backend protocol 3.0, for COPY.
//!
//! Everything else (the catalog, the exported snapshot) goes through sqlx. COPY does not, for two reasons.
//! A full load is nothing but COPY, and the server sends one `CopyData` message per row: a library that wraps
//! each message in its own buffer and hands it through a channel or an async stream costs more per row than
//! decoding it. Here rows are decoded in place, in one read buffer, by the thread that read them. And change
//! capture needs `CopyBoth`, which sqlx does not have.
//!
//! `source/socket.rs` is the socket, which blocks, and `transport.rs` how it is encrypted; `login.rs` the start-up, `copy_both.rs` the stream of change capture.
//!
//! Source: PostgreSQL documentation, "Frontend/Backend Protocol" (message flow and formats).

mod copy_both;
mod error;
mod login;
mod transport;

use std::time::Instant;

use bytes::BytesMut;
use ol_chassis::shutdown::Shutdown;
use postgres_protocol::message::frontend;

use super::settings::Settings;
use crate::source::socket::Socket;
pub use copy_both::CopyBoth;
use error::parse_error;
pub use error::{ServerError, WireError};
use transport::connect;

/// A connection after start-up, idle between queries.
pub struct Connection {
    socket: Socket,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Queries,
    Replication,
}

/// One backend message: its tag and where its body lies in the buffer.
struct Frame {
    tag: u8,
    body: std::ops::Range<usize>,
}

impl Connection {
    /// Connects, authenticates and waits until the server is ready.
    ///
    /// # Errors
    /// Any [`WireError`]; a refused password is a [`WireError::Server`] of class 28.
    pub fn open(settings: &Settings, shutdown: Shutdown) -> Result<Self, WireError> {
        Self::start(settings, shutdown, Purpose::Queries)
    }

    /// The same for replication commands about the database, beside which SQL is possible, too
    /// (PostgreSQL documentation, "Streaming Replication Protocol").
    ///
    /// # Errors
    /// Those of [`Connection::open`]; the role may not replicate, or the server has no sender left.
    pub fn open_replication(settings: &Settings, shutdown: Shutdown) -> Result<Self, WireError> {
        Self::start(settings, shutdown, Purpose::Replication)
    }

    fn start(settings: &Settings, shutdown: Shutdown, purpose: Purpose) -> Result<Self, WireError> {
        let socket = Socket::new(connect(settings)?, shutdown, settings.stall_limit)?;
        let mut connection = Self { socket };
        let mut message = BytesMut::new();
        let mut parameters = vec![
            ("user", settings.user.as_str()),
            ("database", settings.database.as_str()),
            ("application_name", settings.application_name.as_str()),
            ("client_encoding", "UTF8"),
        ];
        if purpose == Purpose::Replication {
            parameters.push(("replication", "database"));
        }
        frontend::startup_message(parameters, &mut message)?;
        connection.send(&message)?;
        connection.authenticate(settings)?;
        connection.until_ready()?;
        Ok(connection)
    }

    /// Runs statements whose rows, if any, are of no interest.
    ///
    /// # Errors
    /// The first error the server answers with.
    pub fn execute(&mut self, sql: &str) -> Result<(), WireError> {
        self.send_query(sql)?;
        self.until_ready()
    }

    /// Runs a query and returns the first column of its first row, as text.
    ///
    /// # Errors
    /// The first error the server answers with.
    pub fn scalar(&mut self, sql: &str) -> Result<Option<String>, WireError> {
        Ok(self.first_row(sql)?.and_then(|row| row.into_iter().next()).flatten())
    }

    /// Runs a query or a replication command and returns its first row, as text; `None` where there is none.
    ///
    /// # Errors
    /// The first error the server answers with.
    pub fn first_row(&mut self, sql: &str) -> Result<Option<Vec<Option<String>>>, WireError> {
        self.send_query(sql)?;
        let mut first = None;
        loop {
            let frame = self.next_frame()?;
            let body = self.socket.bytes(frame.body);
            match frame.tag {
                b'D' if first.is_none() => {
                    let row = data_row(body)
                        .ok_or_else(|| WireError::Protocol("half a row of a query".into()))?;
                    first = Some(row);
                }
                b'Z' => return Ok(first),
                b'E' => {
                    let error = parse_error(body);
                    return Err(self.refused(error));
                }
                b'D' | b'T' | b'C' | b'N' | b'S' => {}
                tag => return Err(unexpected(tag, "a query")),
            }
        }
    }

    /// Runs `COPY … TO STDOUT` and hands the body of every `CopyData` message to `consume`, in order.
    ///
    /// Returns when the server is ready again. When `consume` fails, the rest is not read and the connection
    /// must be dropped, which cancels the query.
    ///
    /// # Errors
    /// The server's error, a broken connection, or what `consume` returns.
    pub fn copy_out<F, X>(&mut self, sql: &str, mut consume: F) -> Result<(), X>
    where
        F: FnMut(&[u8]) -> Result<(), X>,
        X: From<WireError>,
    {
        self.send_query(sql)?;
        let mut complete = false;
        loop {
            let frame = self.next_frame()?;
            let body = self.socket.bytes(frame.body);
            match frame.tag {
                b'd' => consume(body)?,
                b'c' => complete = true,
                b'H' | b'C' | b'N' | b'S' => {}
                b'E' => {
                    let error = parse_error(body);
                    return Err(self.refused(error).into());
                }
                b'Z' if complete => return Ok(()),
                tag => return Err(unexpected(tag, "COPY").into()),
            }
        }
    }

    /// What the server answered, once the connection is idle again, or gone: a fatal error ends it.
    fn refused(&mut self, error: ServerError) -> WireError {
        match self.until_ready() {
            Err(failed @ (WireError::Stopped | WireError::Stalled(_) | WireError::Protocol(_))) => {
                failed
            }
            Ok(())
            | Err(
                WireError::Io(_)
                | WireError::Server(_)
                | WireError::HostUnknown(_)
                | WireError::Tls(_)
                | WireError::Authentication(_),
            ) => WireError::Server(error),
        }
    }

    fn send_query(&mut self, sql: &str) -> Result<(), WireError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message)?;
        self.send(&message)
    }

    fn send(&mut self, message: &[u8]) -> Result<(), WireError> {
        Ok(self.socket.send(message)?)
    }

    /// Reads to `ReadyForQuery`; returns the first error on the way.
    fn until_ready(&mut self) -> Result<(), WireError> {
        let mut failed = None;
        loop {
            let frame = match (self.next_frame(), &failed) {
                // A fatal error ends the connection; what the server said is the reason, not the end.
                (Err(WireError::Io(_)), Some(_)) => None,
                (frame, _) => Some(frame?),
            };
            let Some(frame) = frame else {
                return failed.map_or(Ok(()), |error| Err(WireError::Server(error)));
            };
            match frame.tag {
                b'Z' => return failed.map_or(Ok(()), |error| Err(WireError::Server(error))),
                b'E' => {
                    let error = parse_error(self.socket.bytes(frame.body));
                    failed.get_or_insert(error);
                }
                // Row descriptions, rows, completion, notices, parameters, key data, empty query, COPY data.
                b'T' | b'D' | b'C' | b'N' | b'S' | b'K' | b'I' | b'd' | b'c' | b'H' => {}
                tag => return Err(unexpected(tag, "a query")),
            }
        }
    }

    /// The next whole message; its body stays in the buffer until the next call.
    fn next_frame(&mut self) -> Result<Frame, WireError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(frame);
            }
            self.socket.fill(None)?;
        }
    }

    /// The same, if it is there before the deadline.
    fn next_frame_before(&mut self, deadline: Instant) -> Result<Option<Frame>, WireError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(Some(frame));
            }
            if !self.socket.fill(Some(deadline))? {
                return Ok(None);
            }
        }
    }

    /// The next message, if all of it has arrived; else there is room for it.
    fn buffered_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let available = self.socket.available();
        let Some((head, _)) = available.split_first_chunk::<5>() else {
            self.socket.make_room(5);
            return Ok(None);
        };
        let [tag, length @ ..] = *head;
        let length = usize::try_from(i32::from_be_bytes(length))
            .ok()
            .filter(|length| *length >= 4)
            .ok_or_else(|| WireError::Protocol("a message of a negative length".into()))?;
        if available.len() > length {
            let whole = self.socket.take(1 + length);
            return Ok(Some(Frame { tag, body: whole.start + 5..whole.end }));
        }
        self.socket.make_room(1 + length);
        Ok(None)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Terminate, so that the server's log does not show a lost client. It may be gone already.
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        let _ignored = self.send(&message);
    }
}

fn unexpected(tag: u8, during: &str) -> WireError {
    WireError::Protocol(format!("tag {:?} during {during}", char::from(tag)))
}

/// The columns of a `DataRow`: their count, then a length and the bytes of each.
fn data_row(body: &[u8]) -> Option<Vec<Option<String>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        row.push(match i32::from_be_bytes(*length) {
            -1 => None,
            length => {
                let (value, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                rest = after;
                Some(String::from_utf8_lossy(value).into_owned())
            }
        });
    }
    rest.is_empty().then_some(row)
}
