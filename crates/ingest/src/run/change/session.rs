//! The tables of one stream: what waits is committed when it is due, and from time to time the place is recorded.
//!
//! Everything here happens on one plain thread, in this order: changes are taken until a batch is due (bytes, or time since its
//! first change), the batch is committed table by table, and so on. Nothing is acknowledged, as the server keeps its log by
//! its own rules: each commit says up to where its table is, and what was committed is what is skipped when the log comes
//! again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ol_chassis::shutdown::Shutdown;
use ol_lake::Lake;
use tokio::runtime::Handle;

use super::followed::Followed;
use super::log::{Log, Plan as _, Writer as _};
use super::place::{self, Place as _, Record};
use super::state::{GAP, forget, no_gap};
use super::{Ended, Pace, Refused, TableEnds, partial};
use crate::error::{Error, Result};
use crate::failpoints;
use crate::inventory::Unit;
use crate::metrics;
use crate::position::Position;

/// Keys that a merge may touch before its batch is cut.
const MOST_TOUCHED_KEYS: u64 = 2_000_000;

/// The tables that a session follows.
pub struct Following<L: Log> {
    /// The lake.
    pub lake: Arc<Lake>,
    /// The unit.
    pub unit: Arc<Unit>,
    /// Runs what the lake does.
    pub runtime: Handle,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// The tables.
    pub tables: Vec<Option<Followed<L>>>,
    /// When batches are due.
    pub pace: Pace,
    /// Set when tables that were copied meanwhile should be followed.
    pub regroup: Arc<AtomicBool>,
    /// When tables that failed for the time being are tried again.
    pub again_at: Option<Instant>,
    /// Whether the session has to end, because the set of tables has changed.
    pub must_regroup: bool,
    /// What became of each table, by index in the unit.
    pub ends: TableEnds,
    /// The greatest place that was recorded.
    pub recorded: Position,
    /// When that was.
    pub recorded_at: Instant,
    /// Bytes that wait to be committed.
    pub bytes: u64,
    /// When the first of what waits came.
    pub first: Option<Instant>,
}

impl<L: Log> Following<L> {
    /// Changes of this size were taken.
    pub fn took(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.first.get_or_insert_with(Instant::now);
    }

    /// Throws away what waits.
    pub fn discard(&mut self) {
        self.tables.iter_mut().flatten().for_each(|followed| followed.writer.discard());
        (self.bytes, self.first) = (0, None);
    }

    /// Whether so many keys of a table have been touched that the batch should be cut.
    pub fn is_crowded(&mut self) -> bool {
        let touched = |it: &mut Followed<L>| it.writer.changes_mut().touched_keys();
        self.tables.iter_mut().flatten().map(touched).max() >= Some(MOST_TOUCHED_KEYS)
    }

    fn is_filling(&self) -> bool {
        self.tables.iter().flatten().any(|it| it.writer.is_dirty())
    }

    /// Between two changes, or transactions, at a place up to which all has been taken: commits and records what is due. How
    /// the session ends, if it does; `is_reached` when it is at its goal.
    ///
    /// # Errors
    /// The lake's.
    pub fn rest(
        &mut self,
        upto: impl FnOnce() -> L::Place,
        is_reached: bool,
    ) -> Result<Option<Ended>> {
        let is_stopping = self.shutdown.is_requested();
        let must_regroup = self.must_regroup
            || self.regroup.load(Ordering::Acquire)
            || self.again_at.is_some_and(|at| at <= Instant::now());
        let is_ending = is_stopping || is_reached || must_regroup;
        let is_due = self.bytes >= self.pace.commit_bytes
            || self.first.is_some_and(|first| first.elapsed() >= self.pace.commit);
        let is_to_record = is_ending || self.recorded_at.elapsed() >= self.pace.record;
        if !is_due && !is_to_record {
            return Ok(None);
        }
        let upto = upto();
        if (is_due || is_ending) && self.is_filling() {
            self.commit(&upto)?;
        }
        if is_to_record && !self.is_filling() {
            self.record(&upto)?;
            self.recorded_at = Instant::now();
        }
        // A table that was left just now wants to be copied.
        let must_regroup = must_regroup || self.must_regroup;
        Ok(is_ending.then_some(match (is_stopping, must_regroup) {
            (true, _) => Ended::Stopped,
            (false, true) => Ended::Regroup,
            (false, false) => Ended::Reached,
        }))
    }

    /// The server has what comes behind the places of all tables, so none lacks anything, whatever stopped it before.
    ///
    /// # Errors
    /// The lake's.
    pub fn lacks_nothing(&mut self) -> Result<()> {
        for index in 0..self.tables.len() {
            let table = self.tables.get(index).and_then(Option::as_ref);
            let table = table.map(|followed| followed.writer.table().properties());
            let gap = table.and_then(|properties| properties.get(GAP));
            if gap.is_some_and(|gap| !gap.is_empty()) {
                self.set(index, &no_gap())?;
            }
        }
        Ok(())
    }

    /// Writes into one table where the unit is, so that the tables in which nothing happens need not begin where they were.
    fn record(&mut self, place: &L::Place) -> Result<()> {
        let position = place.position();
        let is_behind = self.tables.iter().flatten().any(|it| it.begins.position() < position);
        if position <= self.recorded || !is_behind {
            return Ok(());
        }
        let tables = self.tables.iter().flatten().map(|it| it.raw_table.clone()).collect();
        let record = Record { place: place.clone(), tables };
        self.set(0, &record.remembered())?;
        failpoints::hit(failpoints::RECORDED);
        self.recorded = position;
        for index in 0..self.tables.len() {
            let Some(Some(followed)) = self.tables.get_mut(index) else { continue };
            followed.begins = place.clone();
            let until = partial::replayed_until(followed.writer.table());
            if until.is_some_and(|until| until <= position) {
                self.set(index, &partial::replayed())?;
            }
        }
        Ok(())
    }

    /// Sets properties of the first table that is followed from a place in the list on.
    fn set(&mut self, from: usize, properties: &BTreeMap<String, String>) -> Result<()> {
        let Some(followed) = self.tables.iter_mut().skip(from).flatten().next() else {
            return Ok(());
        };
        let table =
            self.runtime.block_on(self.lake.set_properties(followed.writer.table(), properties))?;
        followed.writer.changes_mut().set_table(table);
        Ok(())
    }

    /// Commits what every table has gathered; they all reach `upto`.
    ///
    /// # Errors
    /// The lake's.
    pub fn commit(&mut self, upto: &L::Place) -> Result<()> {
        failpoints::hit(failpoints::BATCH_DUE);
        (self.bytes, self.first) = (0, None);
        for place in 0..self.tables.len() {
            let Some(Some(followed)) = self.tables.get_mut(place) else { continue };
            match followed.commit(&self.runtime, &self.lake, upto) {
                Ok(None) => {}
                Ok(Some((tally, snapshot_id))) => {
                    let end = self.ends.entry(followed.index).or_default();
                    end.tally = end.tally + tally;
                    end.snapshot_id = Some(snapshot_id);
                    end.position = Some(upto.position());
                    metrics::changes(&self.unit.id.to_string(), tally.rows, tally.deletes);
                    failpoints::hit(failpoints::TABLE_COMMITTED);
                }
                Err(refused) => self.leave(place, refused, upto)?,
            }
        }
        failpoints::hit(failpoints::BATCH_COMMITTED);
        Ok(())
    }

    /// A table stops being followed; the others go on, unless the failure is theirs as well. It has everything up to `upto`.
    ///
    /// # Errors
    /// The failure, if it is of all; the lake's.
    pub fn leave(&mut self, place: usize, refused: Refused, upto: &L::Place) -> Result<()> {
        let error = refused.of_one_table(place)?;
        let Some(mut followed) = self.tables.get_mut(place).and_then(Option::take) else {
            return Ok(());
        };
        // A history has what came before, whatever the rows are read again for.
        if error.is_none() && followed.writer.is_dirty() {
            match followed.commit(&self.runtime, &self.lake, upto) {
                Ok(Some((tally, _))) => {
                    let end = self.ends.entry(followed.index).or_default();
                    end.tally = end.tally + tally;
                }
                Ok(None) => {}
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::Copy(reason)) => tracing::debug!(reason, "a copy is wanted already"),
            }
        }
        match error {
            Some(error) => self.fail(followed, error),
            None => {
                followed.writer.discard();
                self.runtime.block_on(forget(&self.lake, followed.writer.table()))?;
                self.must_regroup = true;
                Ok(())
            }
        }
    }

    /// Writes down that a table is no longer followed, and why.
    ///
    /// # Errors
    /// The lake's.
    pub fn fail(&mut self, mut followed: Followed<L>, error: Error) -> Result<()> {
        followed.writer.discard();
        let name = followed.writer.plan().display();
        let error = error.with("table", &name);
        let cause = ol_chassis::error::chain(&error);
        let properties = place::left(&followed.raw_table, followed.begins, &cause);
        self.runtime.block_on(self.lake.set_properties(followed.writer.table(), &properties))?;
        failpoints::hit(failpoints::GAP_RECORDED);
        tracing::error!(table = name, error = %cause, "a table is no longer followed");
        self.ends.entry(followed.index).or_default().failure = Some(error);
        Ok(())
    }
}
