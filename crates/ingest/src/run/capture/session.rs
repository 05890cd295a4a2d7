//! One stream from the slot: changes in, commits out, acknowledgements back.
//!
//! Everything here happens on one plain thread, in this order: take changes until a batch is due (bytes, or time since
//! its first change), commit the batch table by table, acknowledge what [`Progress`] allows, go on. Encoders work on
//! threads of their own meanwhile; while the lake is asked to commit, the server goes on sending into the socket's
//! buffers, and is told every few seconds that we live.
//!
//! A table that fails for good leaves: what it lacks is written into it ([`gap`]), and only then does the slot
//! pass it. A failure that concerns all tables (the warehouse is full, the catalog is gone) ends the session, and
//! nothing is acknowledged for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;
use ol_lake::Lake;
use tokio::runtime::Handle;

use super::adopt::adopt;
use super::followed::Followed;
use super::goal::Goal;
use super::state;
use super::watch::Watch;
use super::writer::TableWriter;
use crate::error::{Definite, Doing, Error, Result};
use crate::failpoints;
use crate::inventory::Unit;
use crate::metrics;
use crate::position::Position;
use crate::run::change::live::live_keys;
use crate::run::change::state::gap;
use crate::run::change::{At, Ended, Pace, Refused, Shape, TableEnds};
use crate::source::postgres::error::SourceError;
use crate::source::postgres::replication::message::{Message, RelationMessage};
use crate::source::postgres::replication::stream::{Event, ReplicationStream};
use crate::sync::Progress;

/// How long the server is left without a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// How long one wait for the server takes at most.
const WAIT: Duration = Duration::from_millis(200);
/// Keys that a merge may touch before its batch is cut within a transaction.
const MOST_TOUCHED_KEYS: u64 = 2_000_000;

struct Transaction {
    commit_lsn: u64,
    committed_at_microseconds: i64,
    changes: u32,
}

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
    /// What may be acknowledged.
    pub progress: Progress,
    /// The tables.
    pub tables: Vec<Option<Followed>>,
    /// When batches are due.
    pub pace: Pace,
    /// Where it ends.
    pub goal: Goal,
    /// Set when the session is to end: a copy has ended, or the publication is another.
    pub regroup: Arc<AtomicBool>,
    /// Looks at the slot and asks the catalog.
    pub watch: Watch,
    /// What became of each table, by index in the unit.
    pub ends: TableEnds,
    /// Tables whose failures hold the slot.
    pub held: BTreeMap<usize, u64>,
}

/// What the stream's names mean, and where in it we are.
#[derive(Default)]
struct Reading {
    /// The place in `tables` of a relation; `None` for one that is not followed.
    places: HashMap<u32, Option<usize>>,
    /// What was announced last, by relation: the server says it again after every TRUNCATE, ANALYZE and VACUUM.
    announced: HashMap<u32, RelationMessage>,
    transaction: Option<Transaction>,
    bytes: u64,
    first: Option<Instant>,
    must_regroup: bool,
}

impl Session {
    /// Streams until the goal, a request, or a failure of the whole.
    ///
    /// # Errors
    /// The source's or the lake's, where they concern all tables.
    pub fn run(&mut self, mut stream: ReplicationStream) -> Result<Ended> {
        let mut reading = Reading::default();
        let begun = Instant::now();
        let mut spoken = Instant::now();
        let mut recorded = Instant::now();
        loop {
            match stream.next(WAIT).map_err(|error| error.into_error(Doing::Streaming))? {
                Event::Message(message) => self.take(&mut reading, &message)?,
                Event::Keepalive { wal_end, reply_wanted } => {
                    if reading.transaction.is_none() {
                        self.progress.received(wal_end);
                    }
                    if reply_wanted {
                        self.acknowledge(&mut stream, &mut spoken)?;
                    }
                }
                Event::Idle => {}
            }
            if reading.transaction.is_some() {
                if spoken.elapsed() >= SIGN_OF_LIFE {
                    self.acknowledge(&mut stream, &mut spoken)?;
                }
                continue;
            }
            self.look()?;
            let is_stopping = self.shutdown.is_requested();
            let is_reached = self.goal.is_reached(self.progress.position(), begun.elapsed());
            let must_regroup = reading.must_regroup || self.regroup.load(Ordering::Acquire);
            let is_ending = is_stopping || is_reached || must_regroup;
            let is_due = reading.bytes >= self.pace.commit_bytes
                || reading.first.is_some_and(|first| first.elapsed() >= self.pace.commit);
            if self.progress.is_filling() && (is_due || is_ending) {
                let upto = Position::Lsn(self.progress.position());
                self.commit(&mut reading, upto)?;
                self.acknowledge(&mut stream, &mut spoken)?;
                // Under a steady writer there is always a next transaction: whoever is to end does it here.
                if !is_ending {
                    continue;
                }
            }
            if is_ending || recorded.elapsed() >= self.pace.record {
                self.record()?;
                recorded = Instant::now();
                self.acknowledge(&mut stream, &mut spoken)?;
            }
            if is_ending {
                stream
                    .finish()
                    .map_err(|error| SourceError::from(error).into_error(Doing::Streaming))?;
                return Ok(match (is_stopping, must_regroup) {
                    (true, _) => Ended::Stopped,
                    (false, true) => Ended::Regroup,
                    (false, false) => Ended::Reached,
                });
            }
            if spoken.elapsed() >= SIGN_OF_LIFE {
                self.acknowledge(&mut stream, &mut spoken)?;
            }
        }
    }

    /// Tells the server how far we are.
    fn acknowledge(&mut self, stream: &mut ReplicationStream, spoken: &mut Instant) -> Result<()> {
        let flushed = self.progress.acknowledge();
        failpoints::hit(failpoints::BEFORE_ACKNOWLEDGE);
        let told = stream.acknowledge(self.progress.position(), flushed);
        told.map_err(|error| SourceError::from(error).into_error(Doing::Streaming))?;
        failpoints::hit(failpoints::ACKNOWLEDGED);
        *spoken = Instant::now();
        Ok(())
    }

    /// Writes into one table where the unit is, so that it may be acknowledged.
    fn record(&mut self) -> Result<()> {
        let Some(lsn) = self.progress.to_record() else { return Ok(()) };
        let Some(followed) = self.tables.iter_mut().flatten().next() else { return Ok(()) };
        let properties = state::recorded(&followed.stamp.incarnation, lsn);
        let table = self
            .runtime
            .block_on(self.lake.set_properties(followed.writer.table(), &properties))?;
        failpoints::hit(failpoints::RECORDED);
        followed.writer.set_table(table);
        self.progress.recorded(lsn);
        Ok(())
    }

    /// Looks at slot and publication from time to time; lets failed tables go when they hold too much of the source's
    /// log, and ends the session when the publication is another.
    fn look(&mut self) -> Result<()> {
        if !self.watch.is_due() {
            return Ok(());
        }
        let sight = self.runtime.block_on(self.watch.look())?;
        if sight.is_altered {
            self.regroup.store(true, Ordering::Release);
        }
        if sight.must_release {
            for (index, _) in std::mem::take(&mut self.held) {
                tracing::warn!(table = index, "a failed table no longer holds the slot");
                self.progress.release(index);
            }
        }
        Ok(())
    }

    fn take(&mut self, reading: &mut Reading, message: &Message<'_>) -> Result<()> {
        match message {
            Message::Begin { commit_lsn, committed_at_microseconds, .. } => {
                reading.transaction = Some(Transaction {
                    commit_lsn: *commit_lsn,
                    committed_at_microseconds: *committed_at_microseconds,
                    changes: 0,
                });
                Ok(())
            }
            Message::Commit { end_lsn, .. } => {
                reading.transaction = None;
                self.progress.received(*end_lsn);
                Ok(())
            }
            Message::Relation(relation) => self.announce(reading, relation),
            Message::Type { .. } | Message::Origin { .. } | Message::Logical { .. } => Ok(()),
            Message::Insert { relation, new } => {
                self.change(reading, *relation, new.bytes(), |writer, at| writer.insert(*new, at))
            }
            Message::Update { relation, old, new } => {
                self.change(reading, *relation, new.bytes(), |writer, at| {
                    writer.update(*old, *new, at)
                })
            }
            Message::Delete { relation, old } => {
                self.change(reading, *relation, old.tuple().bytes(), |writer, at| {
                    writer.delete(*old, at)
                })
            }
            Message::Truncate { relations, .. } => {
                for relation in relations {
                    self.emptied(reading, *relation)?;
                }
                Ok(())
            }
        }
    }

    fn change(
        &mut self,
        reading: &mut Reading,
        relation: u32,
        bytes: usize,
        take: impl FnOnce(&mut TableWriter, At) -> Result<(), Refused>,
    ) -> Result<()> {
        let Some(transaction) = &mut reading.transaction else {
            return Err(Error::new(Definite::ProtocolViolated)
                .with("what", "a change outside of a transaction"));
        };
        let lsn = transaction.commit_lsn;
        // Two places a change: an update that moves a row is two rows.
        let ordinal = transaction.changes.saturating_mul(2);
        transaction.changes = transaction.changes.saturating_add(1);
        let at = At {
            position: Position::Change { lsn, ordinal },
            committed_at_microseconds: transaction.committed_at_microseconds,
        };
        let place = match reading.places.get(&relation) {
            Some(Some(place)) => *place,
            Some(None) => return Ok(()),
            None => {
                return Err(Error::new(Definite::ProtocolViolated)
                    .with("what", "a change of a relation that was not announced"));
            }
        };
        let Some(Some(followed)) = self.tables.get_mut(place) else { return Ok(()) };
        if at.position <= followed.position {
            return Ok(());
        }
        if followed.writer.ends_replay(lsn) {
            let is_dirty = followed.writer.is_dirty();
            followed.writer.end_replay();
            if is_dirty {
                let upto = match ordinal.checked_sub(1) {
                    Some(ordinal) => Position::Change { lsn, ordinal },
                    None => Position::Lsn(self.progress.position()),
                };
                self.commit(reading, upto)?;
            }
        }
        let Some(Some(followed)) = self.tables.get_mut(place) else { return Ok(()) };
        match take(&mut followed.writer, at) {
            Ok(()) => {
                self.progress.taken(lsn);
                reading.bytes += bytes as u64 + 64;
                reading.first.get_or_insert_with(Instant::now);
                let touched = followed.writer.touched_keys();
                failpoints::hit(failpoints::CHANGE_TAKEN);
                if touched >= MOST_TOUCHED_KEYS {
                    self.commit(reading, Position::Change { lsn, ordinal: ordinal + 1 })?;
                }
                Ok(())
            }
            Err(refused) => self.leave(place, lsn, refused, reading),
        }
    }

    /// A table was emptied. Where deleted rows stay, the lake says which these are.
    fn emptied(&mut self, reading: &mut Reading, relation: u32) -> Result<()> {
        let place = reading.places.get(&relation).copied().flatten();
        let followed = place.and_then(|place| self.tables.get(place)?.as_ref());
        let is_marked =
            followed.is_some_and(|it| it.writer.plan().shape == Shape::Merge { soft: true });
        if !is_marked {
            return self.change(reading, relation, 0, TableWriter::truncate);
        }
        if followed.is_some_and(|followed| followed.writer.is_dirty()) {
            let upto = self.before_next(reading);
            self.commit(reading, upto)?;
        }
        let followed = place.and_then(|place| self.tables.get(place)?.as_ref());
        let Some(table) = followed.map(|followed| followed.writer.table().clone()) else {
            return Ok(());
        };
        let key = followed.map(|followed| followed.writer.plan().key.clone()).unwrap_or_default();
        let live = self.runtime.block_on(live_keys(&self.lake, &table, &key))?;
        self.change(reading, relation, 0, |writer, at| {
            live.iter().try_for_each(|keys| writer.mark(keys, at))
        })
    }

    /// The place behind the last change that was taken, or between the last transactions.
    fn before_next(&self, reading: &Reading) -> Position {
        match &reading.transaction {
            Some(open) if open.changes > 0 => Position::Change {
                lsn: open.commit_lsn,
                ordinal: (open.changes - 1).saturating_mul(2) + 1,
            },
            Some(_) | None => Position::Lsn(self.progress.position()),
        }
    }

    /// A relation looks like this from here on.
    fn announce(&mut self, reading: &mut Reading, message: &RelationMessage) -> Result<()> {
        if reading.announced.get(&message.oid) == Some(message) {
            return Ok(());
        }
        reading.announced.insert(message.oid, message.clone());
        let place = self.tables.iter().position(|followed| {
            followed.as_ref().is_some_and(|followed| {
                let relation = &followed.writer.plan().relation;
                relation.namespace == message.namespace && relation.name == message.name
            })
        });
        reading.places.insert(message.oid, place);
        let Some(place) = place else { return Ok(()) };
        let is_dirty = self
            .tables
            .get(place)
            .and_then(Option::as_ref)
            .is_some_and(|followed| followed.writer.is_dirty());
        if is_dirty {
            // What has come in so far has the old form: it is committed first, within the transaction if need be.
            let upto = self.before_next(reading);
            self.commit(reading, upto)?;
        }
        let lsn = reading.transaction.as_ref().map_or(self.progress.position(), |t| t.commit_lsn);
        let Some(Some(followed)) = self.tables.get_mut(place) else { return Ok(()) };
        let announced =
            adopt(&self.runtime, &self.lake, &self.unit, &mut self.watch, followed, message);
        match announced {
            Ok(()) => Ok(()),
            Err(refused) => self.leave(place, lsn, refused, reading),
        }
    }

    /// Commits what every table has gathered; they all reach `upto`.
    fn commit(&mut self, reading: &mut Reading, upto: Position) -> Result<()> {
        failpoints::hit(failpoints::BATCH_DUE);
        match upto {
            Position::Change { lsn, .. } => self.progress.seal_within(lsn),
            Position::Lsn(_)
            | Position::Binlog(_)
            | Position::BinlogChange { .. }
            | Position::Cluster { .. }
            | Position::Moment(_) => self.progress.seal(),
        }
        reading.bytes = 0;
        reading.first = matches!(upto, Position::Change { .. }).then(Instant::now);
        let mut is_recorded = false;
        for place in 0..self.tables.len() {
            let Some(Some(followed)) = self.tables.get_mut(place) else { continue };
            let since = self.progress.durable();
            match followed.commit(&self.runtime, &self.lake, upto) {
                Ok(None) => {}
                Ok(Some((tally, snapshot_id))) => {
                    is_recorded = true;
                    let end = self.ends.entry(followed.index).or_default();
                    end.tally = end.tally + tally;
                    end.snapshot_id = Some(snapshot_id);
                    end.position = Some(upto);
                    metrics::changes(&self.unit.id.to_string(), tally.rows, tally.deletes);
                    failpoints::hit(failpoints::TABLE_COMMITTED);
                }
                Err(refused) => self.leave(place, since, refused, reading)?,
            }
        }
        let reached = match upto {
            Position::Lsn(lsn) => is_recorded.then_some(lsn),
            Position::Change { .. }
            | Position::Binlog(_)
            | Position::BinlogChange { .. }
            | Position::Cluster { .. }
            | Position::Moment(_) => None,
        };
        self.progress.committed(reached);
        failpoints::hit(failpoints::BATCH_COMMITTED);
        Ok(())
    }

    /// A table stops being followed; the others go on, unless the failure is theirs as well.
    fn leave(
        &mut self,
        place: usize,
        since: u64,
        refused: Refused,
        reading: &mut Reading,
    ) -> Result<()> {
        let error = refused.of_one_table(place)?;
        let Some(mut followed) = self.tables.get_mut(place).and_then(Option::take) else {
            return Ok(());
        };
        followed.writer.discard();
        let table = followed.writer.table();
        match error {
            Some(error) => {
                let since = since.min(self.progress.durable());
                let cause = ol_chassis::error::chain(&error);
                let properties = gap(Position::Lsn(since), &cause);
                self.runtime.block_on(self.lake.set_properties(table, &properties))?;
                failpoints::hit(failpoints::GAP_RECORDED);
                let name = followed.writer.plan().relation.display();
                tracing::error!(table = name, error = %cause, "a table is no longer followed");
                self.progress.hold(followed.index, since);
                self.held.insert(followed.index, since);
                self.ends.entry(followed.index).or_default().failure = Some(error);
            }
            None => {
                self.runtime.block_on(state::forget(&self.lake, table))?;
                reading.must_regroup = true;
            }
        }
        Ok(())
    }
}
