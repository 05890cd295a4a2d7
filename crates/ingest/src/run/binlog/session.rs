//! One stream of the log: changes in, commits out.
//!
//! What is due between two transactions is [`Following`]'s affair; what comes in is taken in `transaction.rs`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Binlog;
use super::state::Place;
use super::transaction::Reading;
use crate::error::{Doing, Error, Result};
use crate::position::{LogPlace, Position};
use crate::run::change::session::Following;
use crate::run::change::{Ended, Refused, log};
use crate::source::mysql::binlog::charset::Charsets;
use crate::source::mysql::binlog::foreign_key::Cascades;
use crate::source::mysql::binlog::gtid::GtidSet;
use crate::source::mysql::binlog::stream::BinlogStream;
use crate::source::mysql::error::SourceError;

/// How long one wait for the server takes at most.
const WAIT: Duration = Duration::from_millis(200);
/// After so long without a word of a server that says every second that it lives, it is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Opens the stream.
pub type Open = Box<dyn FnOnce() -> Result<BinlogStream, SourceError> + Send>;

/// One session.
pub struct Session {
    /// The tables.
    pub following: Following<Binlog>,
    /// Opens the stream, once.
    pub open: Option<Open>,
    /// The character sets of the tables.
    pub charsets: Charsets,
    /// What rows take with them without the log telling it.
    pub cascades: Cascades,
    /// Where it ends by itself; `None` for never.
    pub goal: Option<LogPlace>,
    /// Whether a table left that is copied again for what others took with them.
    pub has_cascaded: bool,
    /// Transactions that were taken back, by where they begin.
    pub taken_back: BTreeSet<LogPlace>,
    /// Where the log is read.
    pub log: Log,
}

/// Where in the log a session is.
pub struct Log {
    /// The server.
    pub source: String,
    /// Up to where every transaction has come in whole.
    pub received: LogPlace,
    /// The transactions before that.
    pub gtids: Option<GtidSet>,
}

impl Log {
    fn border(&self) -> Place {
        Place {
            position: Position::Binlog(self.received),
            gtids: self.gtids.clone(),
            source: self.source.clone(),
        }
    }
}

pub(super) fn streaming(error: SourceError) -> Error {
    error.into_error(Doing::Streaming)
}

impl log::Session for Session {
    type Log = Binlog;

    fn run(&mut self) -> Result<Ended> {
        let Some(open) = self.open.take() else { return Ok(Ended::Regroup) };
        let mut stream = open().map_err(|error| error.into_error(Doing::StartingStream))?;
        let mut reading = Reading::default();
        let mut heard = Instant::now();
        loop {
            match stream.next(WAIT).map_err(streaming)? {
                Some(event) => {
                    heard = Instant::now();
                    self.take(&mut reading, event)?;
                }
                None if heard.elapsed() > SILENCE => {
                    return Err(streaming(SourceError::Stalled(SILENCE)));
                }
                None => {}
            }
            if reading.transaction.is_some() {
                continue;
            }
            let is_reached = self.goal.is_some_and(|goal| self.log.received >= goal);
            let log = &self.log;
            if let Some(ended) = self.following.rest(|| log.border(), is_reached)? {
                return Ok(ended);
            }
        }
    }

    fn following(&mut self) -> &mut Following<Binlog> {
        &mut self.following
    }
}

impl Session {
    /// The place between the last transaction and the next.
    pub(super) fn border(&self) -> Place {
        self.log.border()
    }

    /// The place behind the events of the open transaction that come before the `event`th.
    pub(super) fn before(&self, reading: &Reading, event: u32) -> Place {
        match (&reading.transaction, event.checked_sub(1)) {
            (Some(open), Some(event)) => Place {
                position: Position::BinlogChange { begins: open.begins, event, row: u32::MAX },
                ..self.border()
            },
            _ => self.border(),
        }
    }

    /// Commits what every table has gathered; they all reach `upto`, which may be within the open transaction.
    pub(super) fn commit(&mut self, reading: &mut Reading, upto: &Place) -> Result<()> {
        let is_within = matches!(upto.position, Position::BinlogChange { .. });
        if let Some(transaction) = reading.transaction.as_mut().filter(|_| is_within) {
            transaction.is_cut = true;
        }
        self.following.commit(upto)?;
        self.following.first = is_within.then(Instant::now);
        Ok(())
    }

    /// A table stops being followed; the others go on, unless the failure is theirs as well.
    pub(super) fn leave(
        &mut self,
        reading: &Reading,
        place: usize,
        refused: Refused,
    ) -> Result<()> {
        let upto = match &reading.transaction {
            Some(open) => self.before(reading, open.events.saturating_sub(1)),
            None => self.border(),
        };
        self.following.leave(place, refused, &upto)
    }
}
