//! The server sends its log: a connection that asks for it, and gives event by event.
//!
//! The server counts whoever asks for its log as a replica, by a number that no other replica may have: a second one with the
//! same number ends the first. It is told that we know the ids of transactions and checksums, and to say every second that
//! it lives, with the place that it has come to.
//!
//! Source: MySQL Source Code Documentation, "COM_BINLOG_DUMP", "COM_BINLOG_DUMP_GTID", "COM_REGISTER_SLAVE"; MariaDB,
//! "Setting up a replication connection" (`@slave_connect_state`, `@mariadb_slave_capability`).

use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;

use super::super::error::SourceError;
use super::super::session::{Flavor, Session};
use super::super::settings::Settings;
use super::event::{Body, Event};
use super::gtid::GtidSet;
use super::server::rights;

/// How often the server says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// MariaDB: ids of transactions are understood (`MARIA_SLAVE_CAPABILITY_GTID`).
const CAPABILITY: u8 = 4;

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// At a place of this server's log.
    Place {
        /// The file.
        file: String,
        /// The byte.
        offset: u64,
    },
    /// Behind these transactions, wherever they are.
    Gtids(GtidSet),
}

/// A log as it comes.
pub struct BinlogStream {
    session: Session,
    has_checksum: bool,
}

impl BinlogStream {
    /// Connects, and asks for the log. `replica` is the number that we have among the server's replicas.
    ///
    /// # Errors
    /// The server is not reachable, refuses, or no longer has the log from there on ([`SourceError::LogRefused`]).
    pub fn open(
        settings: &Settings,
        from: &From,
        replica: u32,
        has_checksum: bool,
        shutdown: Shutdown,
    ) -> Result<Self, SourceError> {
        let mut session = Session::open(settings, shutdown)?;
        let checksum = if has_checksum { "CRC32" } else { "NONE" };
        let beat = HEARTBEAT.as_nanos();
        session.execute(&format!(
            "SET @master_binlog_checksum = '{checksum}', @source_binlog_checksum = '{checksum}', \
             @master_heartbeat_period = {beat}, @source_heartbeat_period = {beat}"
        ))?;
        if session.flavor == Flavor::MariaDb {
            session.execute(&format!("SET @mariadb_slave_capability = {CAPABILITY}"))?;
        }
        session.connection.register(replica).map_err(rights)?;
        match from {
            From::Place { file, offset } => {
                // Four bytes are all that the protocol has for it, and no transaction begins beyond them.
                let offset = u32::try_from(*offset)
                    .map_err(|_| SourceError::Protocol("a place in the log below 4 GiB"))?;
                session.connection.dump(file, offset, replica)?;
            }
            From::Gtids(set @ GtidSet::MySql(_)) => {
                session.connection.dump_gtid(&set.encoded(), replica)?;
            }
            From::Gtids(set @ GtidSet::MariaDb(domains)) => {
                let text = if domains.is_empty() { String::new() } else { set.to_string() };
                session.execute(&format!("SET @slave_connect_state = '{text}'"))?;
                session.connection.dump("", 4, replica)?;
            }
        }
        Ok(Self { session, has_checksum })
    }

    /// The next event; `None` when none came within `patience`.
    ///
    /// # Errors
    /// The connection broke, the server ended the stream, or an event is not understood.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Event<'_>>, SourceError> {
        let Some(bytes) = self.session.connection.next_event(Instant::now() + patience)? else {
            return Ok(None);
        };
        let event = Event::parse(bytes, self.has_checksum)?;
        if let Body::Format { has_checksum } = event.body {
            self.has_checksum = has_checksum;
        }
        Ok(Some(event))
    }
}
