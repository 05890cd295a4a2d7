//! One connection that speaks the client/server protocol of MySQL, for queries and prepared statements.
//!
//! **Why our own, and not `mysql_async`, `mysql` or sqlx.** What a source does is one thing: it reads millions of rows by
//! one prepared statement. (The text protocol rounds a `float` to six digits, so it has to be the binary one.) Libraries
//! make a value, a vector and a row object of each cell and row, and most await each row; here a row is decoded in place,
//! in one read buffer, by the thread that read it, as for Postgres. Of what a library would bring beside that, TLS with its
//! own list of authorities, its own waits, which no request to stop ends, and a pool would each be a second way of doing
//! what the Postgres source does already. sqlx reads no binary log, and hides the kind of a login that it does not know in
//! a text; the log's events of MariaDB need a decoder of our own with any of them, and then come through this very
//! connection as packets. The protocol itself is small, and has not changed since 2004 but by additions that a client asks
//! for.
//!
//! `packet.rs` has the forms that packets are made of, `login.rs` the start, `row.rs` the rows of a prepared statement.
//!
//! Source: MySQL, "Client/Server Protocol" (Developer Documentation); MariaDB, "Clients & Utilities, MariaDB protocol".

mod login;
mod packet;
mod row;

use std::io;
use std::time::Instant;

use ol_chassis::shutdown::Shutdown;

pub(super) use self::packet::Cursor;
pub use self::row::{Row, Values};
use super::error::SourceError;
use super::settings::Settings;
use crate::source::socket::Socket;

/// The payload of a packet that another one follows (`0xffffff`).
const LONGEST_PACKET: usize = 0xff_ffff;

const COMMAND_QUIT: u8 = 0x01;
const COMMAND_QUERY: u8 = 0x03;
const COMMAND_PREPARE: u8 = 0x16;
const COMMAND_EXECUTE: u8 = 0x17;
const COMMAND_CLOSE_STATEMENT: u8 = 0x19;
const COMMAND_BINLOG_DUMP: u8 = 0x12;
const COMMAND_REGISTER_REPLICA: u8 = 0x15;
const COMMAND_BINLOG_DUMP_GTID: u8 = 0x1e;

/// What the server answers when it does not have the log that is asked for (`ER_MASTER_FATAL_ERROR_READING_BINLOG`).
const FATAL_READING_LOG: u16 = 1236;

/// First bytes of answers.
const OK: u8 = 0x00;
const LOCAL_FILE: u8 = 0xfb;
const END: u8 = 0xfe;
const ERROR: u8 = 0xff;

/// A connection after the login, idle between commands.
pub struct Connection {
    socket: Socket,
    /// The number that the next packet must have.
    sequence: u8,
    /// The payload of the last packet, when it came in several.
    joined: Vec<u8>,
    /// Whether it is in the midst of an answer that nobody reads on: then nothing can be asked any more.
    is_spent: bool,
    /// What the server calls its version.
    pub version: String,
}

/// Where the payload of a packet lies.
enum Payload {
    Buffered(std::ops::Range<usize>),
    Joined,
}

impl Connection {
    /// Connects, encrypts as far as `sslmode` asks, and logs in.
    ///
    /// # Errors
    /// The server is not reachable, offers no TLS, refuses the login, or wants a login that is not known.
    pub fn open(settings: &Settings, shutdown: Shutdown) -> Result<Self, SourceError> {
        login::open(settings, shutdown)
    }

    /// Runs a statement that returns no rows.
    ///
    /// # Errors
    /// The server's, or the connection is lost.
    pub fn execute(&mut self, statement: &str) -> Result<(), SourceError> {
        self.rows(statement).map(drop)
    }

    /// The rows of a small query, as text.
    ///
    /// # Errors
    /// The server's, or the connection is lost.
    pub fn rows(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        self.command(COMMAND_QUERY, query.as_bytes())?;
        let Some(columns) = self.result_head()? else { return Ok(Vec::new()) };
        for _ in 0..columns {
            self.receive()?;
        }
        let mut rows = Vec::new();
        loop {
            let payload = self.receive()?;
            let body = self.payload(&payload);
            if is_end(body) {
                return Ok(rows);
            }
            if body.first() == Some(&ERROR) {
                return Err(packet::error(body));
            }
            let mut cursor = Cursor::new(body);
            let mut row = Vec::with_capacity(usize::try_from(columns).unwrap_or(0));
            for _ in 0..columns {
                let value = cursor.nullable_bytes()?;
                row.push(value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
            }
            rows.push(row);
        }
    }

    /// The first column of the first row of a query; `None` for NULL or no row.
    ///
    /// # Errors
    /// The server's, or the connection is lost.
    pub fn scalar(&mut self, query: &str) -> Result<Option<String>, SourceError> {
        Ok(self.rows(query)?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Runs a query as a prepared statement and hands on row by row, each where it lies.
    ///
    /// # Errors
    /// The server's, a broken connection, or what `take` returns; after the latter the connection is in the midst of an
    /// answer and must be dropped.
    pub fn stream<X: From<SourceError>>(
        &mut self,
        query: &str,
        mut take: impl FnMut(Row<'_>) -> Result<(), X>,
    ) -> Result<(), X> {
        let statement = self.prepare(query)?;
        let mut execution = statement.to_le_bytes().to_vec();
        // No cursor, one iteration: rows come as fast as we take them.
        execution.extend([0, 1, 0, 0, 0]);
        self.command(COMMAND_EXECUTE, &execution)?;
        let columns = self.result_head()?.ok_or(SourceError::Protocol("a set of rows"))?;
        self.is_spent = true;
        let mut types = Vec::new();
        for _ in 0..columns {
            let payload = self.receive()?;
            types.push(row::column_type(self.payload(&payload))?);
        }
        loop {
            let payload = self.receive()?;
            let body = self.payload(&payload);
            match body.first() {
                Some(&OK) => take(Row::new(&types, body))?,
                Some(&ERROR) => {
                    let refused = packet::error(body);
                    self.is_spent = false;
                    return Err(refused.into());
                }
                _ if is_end(body) => break,
                _ => return Err(SourceError::Protocol("a row").into()),
            }
        }
        self.is_spent = false;
        self.command(COMMAND_CLOSE_STATEMENT, &statement.to_le_bytes())?;
        Ok(())
    }

    /// Says which number we have among the server's replicas.
    ///
    /// # Errors
    /// The server's, or the connection is lost.
    pub fn register(&mut self, replica: u32) -> Result<(), SourceError> {
        let mut arguments = replica.to_le_bytes().to_vec();
        // No host, no user, no password, no port; no rank, and the server fills in its own id.
        arguments.extend([0; 3 + 2 + 4 + 4]);
        self.command(COMMAND_REGISTER_REPLICA, &arguments)?;
        let payload = self.receive()?;
        let body = self.payload(&payload);
        match body.first() {
            Some(&OK) => Ok(()),
            Some(&ERROR) => Err(packet::error(body)),
            _ => Err(SourceError::Protocol("an answer to a replica")),
        }
    }

    /// Asks for the log from a place on; [`Self::next_event`] gives it.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn dump(&mut self, file: &str, offset: u32, replica: u32) -> Result<(), SourceError> {
        let mut arguments = offset.to_le_bytes().to_vec();
        arguments.extend([0; 2]);
        arguments.extend(replica.to_le_bytes());
        arguments.extend_from_slice(file.as_bytes());
        self.command(COMMAND_BINLOG_DUMP, &arguments)
    }

    /// Asks for what is not in a set of transactions of MySQL.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn dump_gtid(&mut self, set: &[u8], replica: u32) -> Result<(), SourceError> {
        /// `BINLOG_THROUGH_GTID`
        const THROUGH_GTID: u16 = 4;
        let mut arguments = THROUGH_GTID.to_le_bytes().to_vec();
        arguments.extend(replica.to_le_bytes());
        // No file, from its first event on.
        arguments.extend(0u32.to_le_bytes());
        arguments.extend(4u64.to_le_bytes());
        let length = u32::try_from(set.len()).map_err(|_| SourceError::Protocol("a set"))?;
        arguments.extend(length.to_le_bytes());
        arguments.extend_from_slice(set);
        self.command(COMMAND_BINLOG_DUMP_GTID, &arguments)
    }

    /// The next event of the log, where it lies; `None` when none came before the deadline.
    ///
    /// # Errors
    /// The server's; it no longer has the log ([`SourceError::LogRefused`]); the connection is lost.
    pub fn next_event(&mut self, deadline: Instant) -> Result<Option<&[u8]>, SourceError> {
        if self.socket.available().is_empty() {
            self.socket.make_room(4);
            if !self.socket.fill(Some(deadline))? {
                return Ok(None);
            }
        }
        let payload = self.receive()?;
        let body = self.payload(&payload);
        match body.split_first() {
            Some((&OK, event)) => Ok(Some(event)),
            Some((&ERROR, _)) => {
                let error = packet::error(body);
                if let SourceError::Server { code: FATAL_READING_LOG, message, .. } = error {
                    return Err(SourceError::LogRefused(message));
                }
                Err(error)
            }
            // A server that shuts down ends its streams, each with a word of its own.
            Some((&END, _)) => Err(SourceError::Io(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server ended the stream of its log",
            ))),
            _ => Err(SourceError::Protocol("an event of the log")),
        }
    }

    /// Prepares a statement without parameters: its number.
    fn prepare(&mut self, query: &str) -> Result<u32, SourceError> {
        self.command(COMMAND_PREPARE, query.as_bytes())?;
        let payload = self.receive()?;
        let body = self.payload(&payload);
        if body.first() == Some(&ERROR) {
            return Err(packet::error(body));
        }
        let mut cursor = Cursor::new(body);
        if cursor.byte()? != OK {
            return Err(SourceError::Protocol("an answer to a statement"));
        }
        let statement = cursor.number(4)?;
        let columns = cursor.number(2)?;
        let parameters = cursor.number(2)?;
        for _ in 0..columns + parameters {
            self.receive()?;
        }
        u32::try_from(statement).map_err(|_| SourceError::Protocol("a statement's number"))
    }

    /// What a query is answered with first: how many columns its rows have; `None` when it has none.
    fn result_head(&mut self) -> Result<Option<u64>, SourceError> {
        let payload = self.receive()?;
        let body = self.payload(&payload);
        match body.first() {
            Some(&OK) => Ok(None),
            Some(&ERROR) => Err(packet::error(body)),
            // The server asks for a file of ours; there is none it may have.
            Some(&LOCAL_FILE) | None => Err(SourceError::Protocol("an answer to a query")),
            Some(_) => Cursor::new(body).length().map(Some),
        }
    }

    /// Sends a command.
    fn command(&mut self, command: u8, arguments: &[u8]) -> Result<(), SourceError> {
        if self.is_spent {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        self.sequence = 0;
        let mut body = Vec::with_capacity(arguments.len() + 1);
        body.push(command);
        body.extend_from_slice(arguments);
        self.send(&body)
    }

    /// Sends a packet.
    fn send(&mut self, body: &[u8]) -> Result<(), SourceError> {
        if body.len() >= LONGEST_PACKET {
            return Err(SourceError::Batch("a statement of ours is too long".into()));
        }
        let [low, middle, high, ..] = body.len().to_le_bytes();
        let mut message = Vec::with_capacity(body.len() + 4);
        message.extend([low, middle, high, self.sequence]);
        message.extend_from_slice(body);
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&message).map_err(SourceError::Io)
    }

    /// Receives a packet whole; its payload stays where it is until the next one.
    fn receive(&mut self) -> Result<Payload, SourceError> {
        let first = self.receive_part()?;
        if first.len() < LONGEST_PACKET {
            return Ok(Payload::Buffered(first));
        }
        self.joined.clear();
        let mut part = first;
        loop {
            self.joined.extend_from_slice(self.socket.bytes(part.clone()));
            if part.len() < LONGEST_PACKET {
                return Ok(Payload::Joined);
            }
            part = self.receive_part()?;
        }
    }

    fn receive_part(&mut self) -> Result<std::ops::Range<usize>, SourceError> {
        loop {
            let available = self.socket.available();
            if let Some(([low, middle, high, sequence], rest)) = available.split_first_chunk::<4>()
            {
                if *sequence != self.sequence {
                    return Err(SourceError::Protocol("the packet that was to come"));
                }
                let length = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
                if rest.len() >= length {
                    self.sequence = self.sequence.wrapping_add(1);
                    let whole = self.socket.take(4 + length);
                    return Ok(whole.start + 4..whole.end);
                }
                self.socket.make_room(4 + length);
            } else {
                self.socket.make_room(4);
            }
            self.socket.fill(None)?;
        }
    }

    fn payload(&self, payload: &Payload) -> &[u8] {
        match payload {
            Payload::Buffered(range) => self.socket.bytes(range.clone()),
            Payload::Joined => &self.joined,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // So that the server's log does not show a lost client. It may be gone already.
        let _ignored = self.command(COMMAND_QUIT, &[]);
    }
}

/// Whether a packet ends the rows: an OK packet under another first byte, which a long value of a row has, too.
fn is_end(body: &[u8]) -> bool {
    body.first() == Some(&END) && body.len() < LONGEST_PACKET
}
