//! One connection that speaks the Postgres frontend/backend protocol 3.0, for COPY.
//!
//! Everything else (the catalog, the exported snapshot) goes through sqlx. COPY does not, for two reasons.
//! A full load is nothing but COPY, and the server sends one `CopyData` message per row: a library that wraps
//! each message in its own buffer and hands it through a channel or an async stream costs more per row than
//! decoding it. Here rows are decoded in place, in one read buffer, by the thread that read them. And change
//! capture needs `CopyBoth`, which sqlx does not have.
//!
//! The connection is blocking on purpose: a reader owns its thread, and the only other thing it ever waits for
//! is room in the encoder's queue, which is the back-pressure we want. Reads time out every half second, so that a
//! request to stop is seen within that time.
//!
//! `transport.rs` is the socket, `login.rs` the start-up, `copy_both.rs` the stream of change capture.
//!
//! Source: PostgreSQL documentation, "Frontend/Backend Protocol" (message flow and formats).

mod copy_both;
mod error;
mod login;
mod transport;

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ol_chassis::shutdown::Shutdown;
use postgres_protocol::message::frontend;

use super::settings::Settings;
pub use copy_both::CopyBoth;
use error::parse_error;
pub use error::{ServerError, WireError};
use transport::{POLL, Stream, connect};

/// The size of the read buffer, in bytes; it grows for one larger message and shrinks again.
const READ_BUFFER_BYTES: usize = 512 * 1024;

/// A connection after start-up, idle between queries.
pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// `None` once the connection is only being wound up.
    shutdown: Option<Shutdown>,
    stall_limit: Duration,
    /// How long the socket waits at present.
    patience: Duration,
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
        let mut connection = Self {
            stream: connect(settings)?,
            buffer: vec![0; READ_BUFFER_BYTES],
            start: 0,
            end: 0,
            shutdown: Some(shutdown),
            stall_limit: settings.stall_limit,
            patience: POLL,
        };
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
            let body = self.buffer.get(frame.body).unwrap_or_default();
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
            let body = self.buffer.get(frame.body).unwrap_or_default();
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
        self.stream.write_all(message)?;
        self.stream.flush()?;
        Ok(())
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
                    let error = parse_error(self.buffer.get(frame.body).unwrap_or_default());
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
            self.fill(None)?;
        }
    }

    /// The same, if it is there before the deadline.
    fn next_frame_before(&mut self, deadline: Instant) -> Result<Option<Frame>, WireError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(Some(frame));
            }
            if !self.fill(Some(deadline))? {
                return Ok(None);
            }
        }
    }

    /// The next message, if all of it has arrived; else there is room for it.
    fn buffered_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let available = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((head, _)) = available.split_first_chunk::<5>() else {
            self.make_room(5);
            return Ok(None);
        };
        let [tag, length @ ..] = *head;
        let length = usize::try_from(i32::from_be_bytes(length))
            .ok()
            .filter(|length| *length >= 4)
            .ok_or_else(|| WireError::Protocol("a message of a negative length".into()))?;
        if available.len() > length {
            let body = self.start + 5..self.start + 1 + length;
            self.start = body.end;
            return Ok(Some(Frame { tag, body }));
        }
        self.make_room(1 + length);
        Ok(None)
    }

    /// Moves what is unread to the front, and makes the buffer large enough for a message of `needed` bytes.
    fn make_room(&mut self, needed: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if needed > self.buffer.len() {
            self.buffer.resize(needed, 0);
        } else if self.buffer.len() > READ_BUFFER_BYTES
            && self.end < READ_BUFFER_BYTES
            && needed < READ_BUFFER_BYTES
        {
            self.buffer.truncate(READ_BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
    }

    /// Reads some bytes; false when none came before the deadline. Without one, silence for longer than the stall
    /// limit is an error.
    fn fill(&mut self, deadline: Option<Instant>) -> Result<bool, WireError> {
        let mut waiting_since: Option<Instant> = None;
        loop {
            if self.shutdown.as_ref().is_some_and(Shutdown::is_requested) {
                return Err(WireError::Stopped);
            }
            self.be_patient_until(deadline)?;
            match self.stream.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => {
                    return Err(WireError::Io(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    )));
                }
                Ok(count) => {
                    self.end += count;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    let since = *waiting_since.get_or_insert_with(Instant::now);
                    match deadline {
                        Some(deadline) if Instant::now() >= deadline => return Ok(false),
                        Some(_) => {}
                        None if since.elapsed() >= self.stall_limit => {
                            return Err(WireError::Stalled(self.stall_limit));
                        }
                        None => {}
                    }
                }
                Err(error) => return Err(WireError::Io(error)),
            }
        }
    }

    /// Lets the next read wait no longer than to the deadline; the socket is told only when that changes.
    fn be_patient_until(&mut self, deadline: Option<Instant>) -> Result<(), WireError> {
        /// The socket takes no zero.
        const LEAST: Duration = Duration::from_millis(1);
        let left = deadline.map_or(POLL, |deadline| {
            deadline.saturating_duration_since(Instant::now()).clamp(LEAST, POLL)
        });
        if left != self.patience {
            self.stream.set_read_timeout(left)?;
            self.patience = left;
        }
        Ok(())
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
