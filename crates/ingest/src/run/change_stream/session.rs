//! One change stream: events in, commits out.
//!
//! Everything here happens on one plain thread, in this order: take events until a batch is due (bytes, or time since its
//! first change), commit the batch table by table, go on. Nothing is acknowledged, as the server keeps its log by its own
//! rules: each commit says up to where its table is, and what was committed is what is skipped when the stream comes again.
//!
//! Between any two events there is a place, with a token of its own, also within a transaction: so a batch may end anywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;
use ol_lake::Lake;
use tokio::runtime::Handle;

use super::followed::Followed;
use super::state::{self, Place, Record};
use crate::error::{Definite, Doing, Error, Failure, Result};
use crate::failpoints;
use crate::inventory::Unit;
use crate::metrics;
use crate::position::{ClusterTime, Position};
use crate::run::change::state::{GAP, forget, no_gap};
use crate::run::change::{At, Ended, Pace, Refused, TableEnds, concerns_one_table};
use crate::source::mongodb::change_stream::{ChangeStream, Event, Kind, Token};
use crate::source::mongodb::error::SourceError;

/// How long one wait for the server takes at most.
const WAIT: Duration = Duration::from_millis(200);
/// Keys that a merge may touch before its batch is cut.
const MOST_TOUCHED_KEYS: u64 = 2_000_000;

/// One session.
pub struct Session {
    /// The lake.
    pub lake: Arc<Lake>,
    /// The unit.
    pub unit: Arc<Unit>,
    /// The database that is followed.
    pub database: String,
    /// Runs what the lake does.
    pub runtime: Handle,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// The tables.
    pub tables: Vec<Option<Followed>>,
    /// When batches are due.
    pub pace: Pace,
    /// Where it ends by itself; `None` for never.
    pub goal: Option<ClusterTime>,
    /// What became of each table, by index in the unit.
    pub ends: TableEnds,
    /// Behind which event the stream is.
    pub received: Place,
    /// The greatest place that was recorded.
    pub recorded: Position,
}

/// What waits to be committed, and why the session may have to end.
#[derive(Default)]
struct Reading {
    bytes: u64,
    first: Option<Instant>,
    must_regroup: bool,
}

fn streaming(error: SourceError) -> Error {
    error.into_error(Doing::Streaming)
}

impl Session {
    /// Streams until the goal, a request, or a failure of the whole.
    ///
    /// # Errors
    /// The source's or the lake's, where they concern all tables.
    pub fn run(&mut self, stream: Result<ChangeStream, SourceError>) -> Result<Ended> {
        let mut reading = Reading::default();
        let streamed = match stream.map_err(|error| error.into_error(Doing::StartingStream)) {
            Ok(mut stream) => self.follow(&mut stream, &mut reading),
            Err(error) => Err(error),
        };
        match streamed {
            Err(error) if error.failure() == Failure::from(Definite::ChangesMissed) => {
                self.lost(&error)
            }
            streamed => streamed,
        }
    }

    fn follow(&mut self, stream: &mut ChangeStream, reading: &mut Reading) -> Result<Ended> {
        let mut recorded = Instant::now();
        let mut is_opened = false;
        loop {
            let batch = stream.next(WAIT).map_err(streaming)?;
            if !std::mem::replace(&mut is_opened, true) {
                self.opened()?;
            }
            let mut events = 0;
            for event in batch.events() {
                self.take(reading, &event.map_err(streaming)?)?;
                events += 1;
            }
            if let Some(token) = batch.token {
                self.received = self.received.moved_to(Token::of(token));
            }
            // Behind what ends a stream, another one may be opened.
            reading.must_regroup |= batch.is_last;
            let is_stopping = self.shutdown.is_requested();
            let is_reached = self.goal.is_some_and(|goal| self.is_at(goal, events == 0));
            let is_ending = is_stopping || is_reached || reading.must_regroup;
            let is_due = reading.bytes >= self.pace.commit_bytes
                || reading.first.is_some_and(|first| first.elapsed() >= self.pace.commit);
            let is_filling = self.tables.iter().flatten().any(|it| it.writer.is_dirty());
            if is_filling && (is_due || is_ending) {
                self.commit(reading)?;
            }
            if is_ending || recorded.elapsed() >= self.pace.record {
                let is_filling = self.tables.iter().flatten().any(|it| it.writer.is_dirty());
                if !is_filling {
                    self.record()?;
                    recorded = Instant::now();
                }
            }
            if is_ending {
                return Ok(match (is_stopping, reading.must_regroup) {
                    (true, _) => Ended::Stopped,
                    (false, true) => Ended::Regroup,
                    (false, false) => Ended::Reached,
                });
            }
        }
    }

    /// The server has what comes behind the places of all tables, so none lacks anything, whatever stopped it before.
    fn opened(&mut self) -> Result<()> {
        let none = no_gap();
        for followed in self.tables.iter_mut().flatten() {
            let table = followed.writer.table();
            if table.properties().get(GAP).is_some_and(|gap| !gap.is_empty()) {
                let cleared = self.lake.set_properties(table, &none);
                let table = self.runtime.block_on(cleared)?;
                followed.writer.changes().set_table(table);
            }
        }
        Ok(())
    }

    /// Whether all that had happened by a time has come in. Of the very time more may come in the next batch, unless none came in
    /// this one; nor does a token that tells no time say more.
    fn is_at(&self, goal: ClusterTime, is_empty: bool) -> bool {
        let (time, _) = self.received.time();
        time > goal || (is_empty && (time == goal || self.received.token.time().is_none()))
    }

    fn take(&mut self, reading: &mut Reading, event: &Event<'_>) -> Result<()> {
        let next = self.received.followed_by(event.time, Token::of(event.token));
        let at = At {
            position: next.position,
            committed_at_microseconds: event.committed_at_microseconds,
        };
        for place in 0..self.tables.len() {
            let Some(Some(followed)) = self.tables.get_mut(place) else { continue };
            if at.position <= followed.begins.position {
                continue;
            }
            let name = &followed.writer.plan().read.collection.name;
            let is_of_it = *name == event.collection;
            let refused = match &event.kind {
                Kind::Document { change, key, document } if is_of_it => {
                    let taken = followed.writer.take(*change, key, *document, at);
                    let size = document.map_or(key.raw.len(), |document| document.bytes().len());
                    reading.bytes += size as u64;
                    reading.first.get_or_insert_with(Instant::now);
                    failpoints::hit(failpoints::CHANGE_TAKEN);
                    taken.err()
                }
                Kind::Dropped if is_of_it => Some(Refused::Copy("the collection was dropped")),
                Kind::Renamed { .. } if is_of_it => {
                    Some(Refused::Copy("the collection was renamed"))
                }
                Kind::Renamed { database, name: to }
                    if *database == self.database && to == name =>
                {
                    Some(Refused::Copy("another collection has got the name"))
                }
                Kind::DatabaseDropped => Some(Refused::Copy("the database was dropped")),
                Kind::Document { .. }
                | Kind::Dropped
                | Kind::Renamed { .. }
                | Kind::Invalidated
                | Kind::Nothing => None,
            };
            if let Some(refused) = refused {
                self.leave(reading, place, refused)?;
            }
        }
        self.received = next;
        let touched = |it: &mut Followed| it.writer.changes().touched_keys();
        if self.tables.iter_mut().flatten().map(touched).max() >= Some(MOST_TOUCHED_KEYS) {
            self.commit(reading)?;
        }
        Ok(())
    }

    /// Writes into one table where the unit is, so that the tables in which nothing happens need not begin where they were.
    fn record(&mut self) -> Result<()> {
        let place = self.received.clone();
        let is_behind = self.tables.iter().flatten().any(|it| it.begins.position < place.position);
        if place.position <= self.recorded || !is_behind {
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
        self.recorded = place.position;
        for followed in self.tables.iter_mut().flatten() {
            followed.begins = place.clone();
        }
        Ok(())
    }

    /// Commits what every table has gathered; they all reach what was received.
    fn commit(&mut self, reading: &mut Reading) -> Result<()> {
        failpoints::hit(failpoints::BATCH_DUE);
        reading.bytes = 0;
        reading.first = None;
        let upto = self.received.clone();
        for place in 0..self.tables.len() {
            let Some(Some(followed)) = self.tables.get_mut(place) else { continue };
            match followed.commit(&self.runtime, &self.lake, &upto) {
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
    fn leave(&mut self, reading: &mut Reading, place: usize, refused: Refused) -> Result<()> {
        let error = match refused {
            Refused::Failed(error) if !concerns_one_table(error.failure()) => return Err(error),
            Refused::Failed(error) => Some(error),
            Refused::Copy(reason) => {
                tracing::warn!(place, reason, "a table is copied again");
                None
            }
        };
        let upto = self.received.clone();
        let Some(mut followed) = self.tables.get_mut(place).and_then(Option::take) else {
            return Ok(());
        };
        // A history has what came before, whatever the documents are read again for.
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
        match error {
            Some(error) => self.failed(followed, error)?,
            None => {
                self.runtime.block_on(forget(&self.lake, followed.writer.table()))?;
                reading.must_regroup = true;
            }
        }
        Ok(())
    }

    /// Writes down that a table is no longer followed, and why.
    fn failed(&mut self, followed: Followed, error: Error) -> Result<()> {
        let name = followed.writer.plan().read.collection.display();
        let error = error.with("table", &name);
        let cause = ol_chassis::error::chain(&error);
        let properties = state::left(&followed.raw_table, followed.begins, &cause);
        self.runtime.block_on(self.lake.set_properties(followed.writer.table(), &properties))?;
        failpoints::hit(failpoints::GAP_RECORDED);
        tracing::error!(table = name, error = %cause, "a table is no longer followed");
        self.ends.entry(followed.index).or_default().failure = Some(error);
        Ok(())
    }

    /// The server has forgotten what comes behind the place at which the stream was opened, or behind what was received: the
    /// tables that are not beyond that lack it. The others are prepared anew.
    fn lost(&mut self, error: &Error) -> Result<Ended> {
        let upto = self.received.position;
        for place in 0..self.tables.len() {
            let is_lost = |it: &mut Followed| it.begins.position <= upto;
            let Some(mut followed) =
                self.tables.get_mut(place).and_then(|table| table.take_if(is_lost))
            else {
                continue;
            };
            followed.writer.discard();
            self.failed(followed, error.again())?;
        }
        Ok(Ended::Regroup)
    }
}
