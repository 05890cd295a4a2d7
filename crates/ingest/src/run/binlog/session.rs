//! One stream of the log: changes in, commits out.
//!
//! Everything here happens on one plain thread, in this order: take changes until a batch is due (bytes, or time since its
//! first change), commit the batch table by table, go on. Nothing is acknowledged, as the server keeps its log by its own
//! rules: each commit says up to where its table is, and what was committed is what is skipped when the log comes again.
//!
//! What comes in is taken in `transaction.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;
use ol_lake::Lake;
use tokio::runtime::Handle;

use super::followed::Followed;
use super::state::{self, Place, Record};
use super::transaction::Reading;
use crate::error::{Doing, Error, Result};
use crate::failpoints;
use crate::inventory::Unit;
use crate::metrics;
use crate::position::{LogPlace, Position};
use crate::run::change::state::forget;
use crate::run::change::{Ended, Pace, Refused, TableEnds, concerns_one_table, partial};
use crate::source::mysql::binlog::charset::Charsets;
use crate::source::mysql::binlog::gtid::GtidSet;
use crate::source::mysql::binlog::stream::BinlogStream;
use crate::source::mysql::error::SourceError;

/// How long one wait for the server takes at most.
const WAIT: Duration = Duration::from_millis(200);
/// After so long without a word of a server that says every second that it lives, it is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Keys that a merge may touch before its batch is cut within a transaction.
pub(super) const MOST_TOUCHED_KEYS: u64 = 2_000_000;

/// One session.
pub struct Session {
    /// The lake.
    pub lake: Arc<Lake>,
    /// The unit.
    pub unit: Arc<Unit>,
    /// Runs what the lake does.
    pub runtime: Handle,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// The tables.
    pub tables: Vec<Option<Followed>>,
    /// The character sets of the tables.
    pub charsets: Charsets,
    /// When batches are due.
    pub pace: Pace,
    /// Where it ends by itself; `None` for never.
    pub goal: Option<LogPlace>,
    /// Set when tables that were copied meanwhile should be followed.
    pub regroup: Arc<AtomicBool>,
    /// When tables that failed for the time being are tried again.
    pub again_at: Option<Instant>,
    /// Transactions that were taken back, by where they begin.
    pub taken_back: BTreeSet<LogPlace>,
    /// What became of each table, by index in the unit.
    pub ends: TableEnds,
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
    /// The greatest place that was recorded.
    pub recorded: LogPlace,
}

pub(super) fn streaming(error: SourceError) -> Error {
    error.into_error(Doing::Streaming)
}

impl Session {
    /// Streams until the goal, a request, or a failure of the whole.
    ///
    /// # Errors
    /// The source's or the lake's, where they concern all tables.
    pub fn run(&mut self, mut stream: BinlogStream) -> Result<Ended> {
        let mut reading = Reading::default();
        let mut recorded = Instant::now();
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
            let is_stopping = self.shutdown.is_requested();
            let is_reached = self.goal.is_some_and(|goal| self.log.received >= goal);
            let must_regroup = reading.must_regroup
                || self.regroup.load(Ordering::Acquire)
                || self.again_at.is_some_and(|at| at <= Instant::now());
            let is_ending = is_stopping || is_reached || must_regroup;
            let is_due = reading.bytes >= self.pace.commit_bytes
                || reading.first.is_some_and(|first| first.elapsed() >= self.pace.commit);
            let is_filling = self.tables.iter().flatten().any(|it| it.writer.is_dirty());
            if is_filling && (is_due || is_ending) {
                let upto = self.border();
                self.commit(&mut reading, &upto)?;
            }
            if is_ending || recorded.elapsed() >= self.pace.record {
                let is_filling = self.tables.iter().flatten().any(|it| it.writer.is_dirty());
                if !is_filling {
                    self.record()?;
                    recorded = Instant::now();
                }
            }
            if is_ending {
                return Ok(match (is_stopping, must_regroup) {
                    (true, _) => Ended::Stopped,
                    (false, true) => Ended::Regroup,
                    (false, false) => Ended::Reached,
                });
            }
        }
    }

    /// The place between the last transaction and the next.
    pub(super) fn border(&self) -> Place {
        Place {
            position: Position::Binlog(self.log.received),
            gtids: self.log.gtids.clone(),
            source: self.log.source.clone(),
        }
    }

    /// Writes into one table where the unit is, so that the tables in which nothing happens need not begin where they were.
    fn record(&mut self) -> Result<()> {
        let place = self.border();
        let is_behind = self.tables.iter().flatten().any(|it| it.begins.position < place.position);
        if self.log.received <= self.log.recorded || !is_behind {
            return Ok(());
        }
        let tables = self.tables.iter().flatten().map(|it| it.raw_table.clone()).collect();
        let record = Record { place: place.clone(), tables };
        let Some(followed) = self.tables.iter_mut().flatten().next() else { return Ok(()) };
        let properties = record.remembered();
        let recorded = self.lake.set_properties(followed.writer.table(), &properties);
        let table = self.runtime.block_on(recorded)?;
        failpoints::hit(failpoints::RECORDED);
        followed.writer.changes().set_table(table);
        self.log.recorded = self.log.received;
        for followed in self.tables.iter_mut().flatten() {
            followed.begins = place.clone();
            let until = partial::replayed_until(followed.writer.table());
            if until.is_some_and(|until| until <= place.position) {
                let properties = partial::replayed();
                let replayed = self.lake.set_properties(followed.writer.table(), &properties);
                let table = self.runtime.block_on(replayed)?;
                followed.writer.changes().set_table(table);
            }
        }
        Ok(())
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

    /// Commits what every table has gathered; they all reach `upto`.
    pub(super) fn commit(&mut self, reading: &mut Reading, upto: &Place) -> Result<()> {
        failpoints::hit(failpoints::BATCH_DUE);
        let is_within = matches!(upto.position, Position::BinlogChange { .. });
        reading.bytes = 0;
        reading.first = is_within.then(Instant::now);
        if let Some(transaction) = reading.transaction.as_mut().filter(|_| is_within) {
            transaction.is_cut = true;
        }
        for place in 0..self.tables.len() {
            let Some(Some(followed)) = self.tables.get_mut(place) else { continue };
            match followed.commit(&self.runtime, &self.lake, upto) {
                Ok(None) => {}
                Ok(Some((tally, snapshot_id))) => {
                    let end = self.ends.entry(followed.index).or_default();
                    end.tally = end.tally + tally;
                    end.snapshot_id = Some(snapshot_id);
                    end.position = Some(upto.position);
                    metrics::changes(&self.unit.id.to_string(), tally.rows, tally.deletes);
                    failpoints::hit(failpoints::TABLE_COMMITTED);
                }
                Err(refused) => self.leave(reading, place, refused)?,
            }
        }
        failpoints::hit(failpoints::BATCH_COMMITTED);
        Ok(())
    }

    /// A table stops being followed; the others go on, unless the failure is theirs as well.
    pub(super) fn leave(
        &mut self,
        reading: &mut Reading,
        place: usize,
        refused: Refused,
    ) -> Result<()> {
        let error = match refused {
            Refused::Failed(error) if !concerns_one_table(error.failure()) => return Err(error),
            Refused::Failed(error) => Some(error),
            Refused::Copy(reason) => {
                tracing::warn!(place, reason, "a table is copied again");
                None
            }
        };
        let upto = match &reading.transaction {
            Some(open) => self.before(reading, open.events.saturating_sub(1)),
            None => self.border(),
        };
        let Some(mut followed) = self.tables.get_mut(place).and_then(Option::take) else {
            return Ok(());
        };
        // A history has what came before, whatever the rows are read again for.
        if error.is_none() && followed.writer.is_dirty() {
            match followed.commit(&self.runtime, &self.lake, &upto) {
                Ok(Some((tally, _))) => {
                    let end = self.ends.entry(followed.index).or_default();
                    end.tally = end.tally + tally;
                }
                Ok(None) => {}
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::Copy(reason)) => tracing::debug!(reason, "a copy is wanted already"),
            }
        }
        followed.writer.discard();
        let table = followed.writer.table();
        match error {
            Some(error) => {
                let name = followed.writer.plan().relation.display();
                let error = error.with("table", &name);
                let cause = ol_chassis::error::chain(&error);
                let properties = state::left(&followed.raw_table, followed.begins, &cause);
                self.runtime.block_on(self.lake.set_properties(table, &properties))?;
                failpoints::hit(failpoints::GAP_RECORDED);
                tracing::error!(table = name, error = %cause, "a table is no longer followed");
                self.ends.entry(followed.index).or_default().failure = Some(error);
            }
            None => {
                self.runtime.block_on(forget(&self.lake, table))?;
                reading.must_regroup = true;
            }
        }
        Ok(())
    }
}
