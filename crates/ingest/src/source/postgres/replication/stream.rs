//! One connection that streams the changes of a database from a replication slot.
//!
//! What the server promises (PostgreSQL documentation, "Logical Decoding" and "Streaming Replication Protocol"): it sends
//! whole transactions, in the order of their commits, each from Begin to Commit without another in between; from
//! the first commit at or after the place we ask for, or after the slot's own place if that is later. Large
//! transactions wait on *its* disk. What we owe it: to say how far we are at least once in `wal_sender_timeout`
//! (60 s by default), or it ends the connection. [`ReplicationStream::next`] never answers on its own: what may be
//! acknowledged is not known here (invariant I3).
//!
//! A connection can die without a word. After half the stall limit in silence the server is asked to answer, and
//! after all of it the stream counts as lost.

use std::time::{Duration, Instant};

use bytes::{BufMut as _, BytesMut};
use ol_chassis::shutdown::Shutdown;

use super::error::SlotError;
use super::message::{Message, MessageError};
use crate::position::Position;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::settings::Settings;
use crate::source::postgres::snapshot::SESSION;
use crate::source::postgres::types::quote;
use crate::source::postgres::wire::{Connection, CopyBoth, WireError};

/// How long the server may take to end a stream that we end, in which it may still send a large transaction.
const END_LIMIT: Duration = Duration::from_secs(30);

/// A connection for replication: first commands, then the stream. Blocks; it belongs to a plain thread.
pub struct ReplicationStream {
    connection: Connection,
    stall_limit: Duration,
    heard: Instant,
    /// The server's clock when it was heard, in microseconds since 2000-01-01.
    server_clock: i64,
    asked: bool,
    written: u64,
    flushed: u64,
    streaming: bool,
}

/// Which server and which history of it this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemIdentity {
    /// The cluster's own number, given at its creation and kept by its copies.
    pub system_identifier: String,
    /// The history: another after a promotion or a restore, in which old positions mean something else.
    pub timeline: u32,
    /// The end of the log that is on the server's disk.
    pub position: u64,
    /// The database.
    pub database: String,
}

impl SystemIdentity {
    /// The server, its history and the database in one word, to be recorded beside positions.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}/{}/{}", self.system_identifier, self.timeline, self.database)
    }

    /// Whether positions that were recorded of `source` mean the same here.
    ///
    /// # Errors
    /// [`SlotError::TimelineChanged`]: another server, the same one after a promotion or a restore, or another database.
    pub fn check(&self, source: &str) -> Result<(), SlotError> {
        let found = self.source();
        if found == source {
            return Ok(());
        }
        Err(SlotError::TimelineChanged { recorded: source.to_owned(), found })
    }
}

/// A slot that has just been created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedSlot {
    /// Commits before it are in the snapshot, commits at or after it are streamed: exactly one of the two.
    pub consistent_point: u64,
    /// The exported snapshot, to be imported before the next command on this connection.
    pub snapshot: String,
}

/// What the stream says.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A change or what surrounds it.
    Message(Message<'a>),
    /// The server is there.
    Keepalive {
        /// The end of its log. Everything of ours before it has been sent, when no transaction is open.
        wal_end: u64,
        /// Whether it ends the connection unless it is answered soon.
        reply_wanted: bool,
    },
    /// Nothing came in the time.
    Idle,
}

impl ReplicationStream {
    /// Connects, and fixes the settings that the text of values depends on, whatever role or database say.
    ///
    /// # Errors
    /// The server is not reachable, refuses the login, or has no sender left. A role without the right to replicate is
    /// refused here; [`Doing::StartingStream`](crate::error::Doing::StartingStream) says what its code means.
    pub fn open(settings: &Settings, shutdown: Shutdown) -> Result<Self, WireError> {
        let mut connection = Connection::open_replication(settings, shutdown)?;
        for statement in SESSION.split(';') {
            connection.execute(statement.trim())?;
        }
        // Creating a slot waits for the transactions that are open, however long they are.
        connection.execute("SET lock_timeout = 0")?;
        Ok(Self {
            connection,
            stall_limit: settings.stall_limit,
            heard: Instant::now(),
            server_clock: 0,
            asked: false,
            written: 0,
            flushed: 0,
            streaming: false,
        })
    }

    /// Which server this is.
    ///
    /// # Errors
    /// The connection is broken, or the answer is not understood.
    pub fn identify(&mut self) -> Result<SystemIdentity, WireError> {
        let row = self.connection.first_row("IDENTIFY_SYSTEM")?;
        let field = |index: usize| row.as_ref()?.get(index)?.clone();
        let identity = || {
            Some(SystemIdentity {
                system_identifier: field(0)?,
                timeline: field(1)?.parse().ok()?,
                position: lsn(&field(2)?)?,
                database: field(3)?,
            })
        };
        identity().ok_or_else(|| WireError::Protocol("an answer to IDENTIFY_SYSTEM".into()))
    }

    /// Creates a logical slot and exports the snapshot at its consistent point. Waits for every transaction that is
    /// open at the server.
    ///
    /// The snapshot is the only one that fits the slot: what a transaction begun before or after it sees is not where
    /// the stream begins. It can be imported until the next command on this connection.
    ///
    /// # Errors
    /// There is such a slot, no slot is free, the server does not log enough for it, or the role has no right.
    pub fn create_slot(&mut self, slot: &str) -> Result<CreatedSlot, WireError> {
        self.create(slot, "")
    }

    /// The same for a slot that goes with this connection: only its snapshot is of use.
    ///
    /// # Errors
    /// Those of [`ReplicationStream::create_slot`].
    pub fn create_temporary_slot(&mut self, slot: &str) -> Result<CreatedSlot, WireError> {
        self.create(slot, "TEMPORARY ")
    }

    fn create(&mut self, slot: &str, kind: &str) -> Result<CreatedSlot, WireError> {
        let command = format!(
            "CREATE_REPLICATION_SLOT {} {kind}LOGICAL pgoutput EXPORT_SNAPSHOT",
            quote(slot)
        );
        let row = self.connection.first_row(&command)?;
        let field = |index: usize| row.as_ref()?.get(index)?.clone();
        let created =
            || Some(CreatedSlot { consistent_point: lsn(&field(1)?)?, snapshot: field(2)? });
        created().ok_or_else(|| WireError::Protocol("an answer to CREATE_REPLICATION_SLOT".into()))
    }

    /// Begins to stream what the publication publishes, from the first commit at or after `from` (0 for the slot's
    /// own place).
    ///
    /// # Errors
    /// There is no such slot, it is in use, or it is lost. A publication that is missing is not seen here, but only at
    /// the first change (and from version 18 on not even there).
    pub fn start(&mut self, slot: &str, publication: &str, from: u64) -> Result<(), WireError> {
        let publications = quote(publication).replace('\'', "''");
        self.connection.begin_copy_both(&format!(
            "START_REPLICATION SLOT {} LOGICAL {:X}/{:X} (proto_version '1', publication_names '{publications}')",
            quote(slot),
            from >> 32,
            from & u64::from(u32::MAX),
        ))?;
        self.streaming = true;
        self.heard = Instant::now();
        Ok(())
    }

    /// The next event, waiting for it no longer than `wait`. What it borrows stays until the next call.
    ///
    /// # Errors
    /// The server's error, a message that is not understood, the end of the connection, silence for longer than the
    /// stall limit, or a request to stop.
    pub fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError> {
        if !self.asked && self.heard.elapsed() > self.stall_limit / 2 {
            self.report(true)?;
            self.asked = true;
        }
        match self.connection.receive(wait)? {
            CopyBoth::Nothing if self.heard.elapsed() > self.stall_limit => {
                Err(WireError::Stalled(self.stall_limit).into())
            }
            CopyBoth::Nothing => Ok(Event::Idle),
            CopyBoth::Data(body) => {
                self.heard = Instant::now();
                self.asked = false;
                let arrived = Arrived::read(body)?;
                self.server_clock = arrived.server_clock;
                Ok(arrived.event)
            }
        }
    }

    /// Tells the server that everything before `written` has arrived, and that nothing before `flushed` is needed
    /// again. Neither ever goes back.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn acknowledge(&mut self, written: u64, flushed: u64) -> Result<(), WireError> {
        self.flushed = self.flushed.max(flushed);
        self.written = self.written.max(written).max(self.flushed);
        self.report(false)
    }

    /// Ends the stream; when it returns, the slot is free for the next to come.
    ///
    /// # Errors
    /// The connection broke, or the server did not end the stream in half a minute: then the slot becomes free when
    /// the server has noticed that we are gone.
    pub fn finish(mut self) -> Result<(), WireError> {
        if self.streaming { self.connection.end_copy_both(END_LIMIT) } else { Ok(()) }
    }

    /// A standby status update.
    fn report(&mut self, answer_wanted: bool) -> Result<(), WireError> {
        // The server's own clock, as far as we know it: it only shows this to people.
        let since = i64::try_from(self.heard.elapsed().as_micros()).unwrap_or(i64::MAX);
        let now = self.server_clock.saturating_add(since);
        let mut body = BytesMut::with_capacity(34);
        body.put_u8(b'r');
        for position in [self.written, self.flushed, self.flushed] {
            body.put_u64(position);
        }
        body.put_i64(now);
        body.put_u8(u8::from(answer_wanted));
        self.connection.send_copy_data(&body)
    }
}

fn lsn(text: &str) -> Option<u64> {
    text.parse::<Position>().ok().map(Position::lsn)
}

/// What is in a `CopyData` of the stream: a piece of the log, or a keepalive.
#[derive(Debug, PartialEq, Eq)]
struct Arrived<'a> {
    server_clock: i64,
    event: Event<'a>,
}

impl<'a> Arrived<'a> {
    fn read(body: &'a [u8]) -> Result<Self, MessageError> {
        match body.split_first() {
            Some((b'w', rest)) => {
                // Its start, the end of the log (positions are in the messages themselves), the clock.
                let (head, message) = rest
                    .split_first_chunk::<24>()
                    .ok_or(MessageError("half a piece of the log"))?;
                let [.., c0, c1, c2, c3, c4, c5, c6, c7] = *head;
                let server_clock = i64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
                Ok(Self { server_clock, event: Event::Message(Message::decode(message)?) })
            }
            Some((b'k', rest)) => {
                let short = MessageError("a keepalive of another length");
                let (wal_end, rest) = rest.split_first_chunk::<8>().ok_or(short)?;
                let (clock, flag) = rest.split_first_chunk::<8>().ok_or(short)?;
                let reply_wanted = match flag {
                    [0] => false,
                    [1] => true,
                    [_] => return Err(MessageError("a keepalive with an unknown flag")),
                    _ => return Err(short),
                };
                let wal_end = u64::from_be_bytes(*wal_end);
                let event = Event::Keepalive { wal_end, reply_wanted };
                Ok(Self { server_clock: i64::from_be_bytes(*clock), event })
            }
            _ => Err(MessageError("data that is neither log nor keepalive")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn keepalives_say_where_the_log_ends() {
        let mut body = vec![b'k'];
        body.extend(0x0123_4567_89AB_CDEF_u64.to_be_bytes());
        body.extend(7i64.to_be_bytes());
        body.push(1);
        let event = Event::Keepalive { wal_end: 0x0123_4567_89AB_CDEF, reply_wanted: true };
        assert_eq!(Arrived::read(&body).unwrap(), Arrived { server_clock: 7, event });
        for length in 0..body.len() {
            assert!(Arrived::read(&body[..length]).is_err(), "{length} bytes");
        }
        *body.last_mut().unwrap() = 2;
        assert!(Arrived::read(&body).is_err());
    }

    #[test]
    fn other_data_is_an_error() {
        assert!(Arrived::read(b"x").is_err());
        assert!(Arrived::read(&[b'w'; 10]).is_err());
        assert!(Arrived::read(&[b'w'; 30]).is_err(), "no message has the tag w");
    }
}
