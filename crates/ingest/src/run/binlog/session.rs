//! One stream of the log: changes in, commits out.
//!
//! Everything here happens on one plain thread, in this order: take changes until a batch is due (bytes, or time since its
//! first change), commit the batch table by table, go on. Nothing is acknowledged, as the server keeps its log by its own
//! rules: each commit says up to where its table is, and what was committed is what is skipped when the log comes again.
//!
//! A transaction is handed over as it comes in, before it is known whether it ends well, because the log has only what was
//! committed. The one exception is a transaction over tables some of which cannot be rolled back: it is there, with ROLLBACK at
//! its end. What was taken of it is thrown away then, and the session begins anew without it.
//!
//! A statement that changes a followed table ends the session at the border behind it, after the place was recorded: the
//! next one asks the catalog, and so reads the rows behind the statement in the form that they have.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ol_chassis::shutdown::Shutdown;
use ol_lake::Lake;
use tokio::runtime::Handle;

use super::followed::Followed;
use super::plan::Form;
use super::state::{self, Place, Record};
use crate::error::{Definite, Doing, Error, Result};
use crate::failpoints;
use crate::inventory::Unit;
use crate::metrics;
use crate::position::{LogPlace, Position};
use crate::run::capture::adopt::live_keys;
use crate::run::capture::session::{Ended, Pace};
use crate::run::change::{At, Refused, Shape, TableEnds, concerns_one_table};
use crate::source::mysql::binlog::charset::Charsets;
use crate::source::mysql::binlog::event::{Body, Change, Event, Rows, payload_events};
use crate::source::mysql::binlog::gtid::{Gtid, GtidSet};
use crate::source::mysql::binlog::image::Image;
use crate::source::mysql::binlog::server::file_number;
use crate::source::mysql::binlog::statement::{Named, Statement, mentions};
use crate::source::mysql::binlog::stream::BinlogStream;
use crate::source::mysql::binlog::table_map::TableMap;
use crate::source::mysql::error::SourceError;

/// How long one wait for the server takes at most.
const WAIT: Duration = Duration::from_millis(200);
/// After so long without a word of a server that says every second that it lives, it is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Keys that a merge may touch before its batch is cut within a transaction.
const MOST_TOUCHED_KEYS: u64 = 2_000_000;

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

/// A transaction that has begun.
struct Transaction {
    begins: LogPlace,
    gtid: Option<Gtid>,
    committed_at_microseconds: i64,
    /// Whether it goes on until its end is said; else the next statement is all of it.
    has_begun: bool,
    is_distributed: bool,
    /// Events with rows so far.
    events: u32,
    /// Changes that were handed over.
    taken: u64,
    /// Whether some of it is committed to the lake.
    is_cut: bool,
}

/// What the log's numbers of tables mean, and what waits.
#[derive(Default)]
struct Reading {
    /// By a table's number: its description as it came, and its place in `tables`, if it is followed.
    maps: HashMap<u64, (Vec<u8>, Option<usize>)>,
    /// By place: what was announced last.
    announced: HashMap<usize, Arc<TableMap>>,
    transaction: Option<Transaction>,
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
            let is_ending = is_stopping || is_reached || reading.must_regroup;
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
                return Ok(match (is_stopping, reading.must_regroup) {
                    (true, _) => Ended::Stopped,
                    (false, true) => Ended::Regroup,
                    (false, false) => Ended::Reached,
                });
            }
        }
    }

    /// The place between the last transaction and the next.
    fn border(&self) -> Place {
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
        }
        Ok(())
    }

    /// The place of an event's end. The head has its lowest 32 bits; a file may be longer, and its events come in order.
    fn end_of(&self, event: &Event<'_>) -> LogPlace {
        let LogPlace { epoch, file, offset } = self.log.received;
        let high = offset & !0xffff_ffff;
        let end = high | u64::from(event.end);
        let end = if end < offset && offset - end > 0x8000_0000 { end + 0x1_0000_0000 } else { end };
        LogPlace { epoch, file, offset: end }
    }

    fn take(&mut self, reading: &mut Reading, event: Event<'_>) -> Result<()> {
        let end = self.end_of(&event);
        let begins =
            LogPlace { offset: end.offset.saturating_sub(u64::from(event.length)), ..end };
        let is_real = event.end != 0;
        match event.body {
            Body::Rotate { file, is_artificial } => {
                let file = file_number(&file).map_err(streaming)?;
                // The server names the file at the beginning, which is the one that is read, and after each of its files.
                if file != self.log.received.file {
                    let offset = if is_artificial { 0 } else { 4 };
                    self.log.received = LogPlace { file, offset, ..self.log.received };
                    reading.maps.clear();
                }
                return Ok(());
            }
            Body::Heartbeat { file } => {
                let file = file_number(&file).map_err(streaming)?;
                let place = LogPlace { file, ..end };
                if reading.transaction.is_none() {
                    self.log.received = self.log.received.max(place);
                }
                return Ok(());
            }
            Body::Gtid { gtid, is_standalone, is_distributed, committed_at_microseconds } => {
                let committed_at_microseconds = committed_at_microseconds
                    .unwrap_or(i64::from(event.timestamp_seconds) * 1_000_000);
                // MySQL's next statement says whether it is all of it; MariaDB's id says it.
                let has_begun = matches!(gtid, Some(Gtid::MariaDb { .. })) && !is_standalone;
                reading.transaction = Some(Transaction {
                    begins,
                    gtid,
                    committed_at_microseconds,
                    has_begun,
                    is_distributed,
                    events: 0,
                    taken: 0,
                    is_cut: false,
                });
                return Ok(());
            }
            Body::Payload(events) => {
                for event in payload_events(&events) {
                    let event = event.map_err(streaming)?;
                    let timestamp = event.timestamp_seconds;
                    self.inner(reading, event.body, timestamp, (begins, end))?;
                }
                return Ok(());
            }
            body => self.inner(reading, body, event.timestamp_seconds, (begins, end))?,
        }
        if reading.transaction.is_none() && is_real {
            self.log.received = self.log.received.max(end);
        }
        Ok(())
    }

    /// What may be within a transaction.
    fn inner(
        &mut self,
        reading: &mut Reading,
        body: Body<'_>,
        timestamp_seconds: u32,
        (begins, end): (LogPlace, LogPlace),
    ) -> Result<()> {
        match body {
            Body::Query { database, statement } => {
                if reading.transaction.is_none() {
                    reading.transaction = Some(Transaction {
                        begins,
                        gtid: None,
                        committed_at_microseconds: i64::from(timestamp_seconds) * 1_000_000,
                        has_begun: false,
                        is_distributed: false,
                        events: 0,
                        taken: 0,
                        is_cut: false,
                    });
                }
                self.statement(reading, &database, &statement, end)
            }
            Body::TableMap(body) => self.describe(reading, body),
            Body::Rows(rows) => self.rows(reading, &rows),
            Body::Commit => self.end(reading, end),
            Body::Incident => Err(Error::new(Definite::ChangesMissed)
                .with("since", Position::Binlog(begins))
                .with("reason", "the server says that its log lacks changes (INCIDENT)")),
            Body::Rotate { .. }
            | Body::Format { .. }
            | Body::Gtid { .. }
            | Body::Heartbeat { .. }
            | Body::Payload(_)
            | Body::Other => Ok(()),
        }
    }

    /// The transaction has come in whole.
    fn end(&mut self, reading: &mut Reading, end: LogPlace) -> Result<()> {
        let transaction = reading.transaction.take();
        self.log.received = self.log.received.max(end);
        if let Some((gtids, gtid)) =
            self.log.gtids.as_mut().zip(transaction.and_then(|transaction| transaction.gtid))
        {
            // What was read of another server's log before may be in it already.
            if gtids.contains(gtid) && matches!(gtid, Gtid::MySql { .. }) {
                return Ok(());
            }
            gtids.add(gtid).map_err(|_| {
                Error::new(Definite::ReplicationUnavailable)
                    .with("reason", "transaction ids do not come in the order of their numbers")
                    .advise(
                        "Set gtid_strict_mode = ON on every server of the group, and reset the tables of the unit.",
                    )
            })?;
        }
        Ok(())
    }

    /// A statement of the log.
    fn statement(
        &mut self,
        reading: &mut Reading,
        database: &str,
        text: &[u8],
        end: LogPlace,
    ) -> Result<()> {
        let statement = Statement::read(text);
        let Some(transaction) = &mut reading.transaction else { return Ok(()) };
        match &statement {
            Statement::Begin => {
                transaction.has_begun = true;
                return Ok(());
            }
            Statement::BeginDistributed => {
                transaction.has_begun = true;
                transaction.is_distributed = true;
                return Ok(());
            }
            Statement::Commit => return self.end(reading, end),
            Statement::RollBack => return self.take_back(reading, end),
            Statement::Nothing
            | Statement::Truncate(_)
            | Statement::Altered { .. }
            | Statement::Remade(_)
            | Statement::DatabaseRemade(_)
            | Statement::Unknown => {}
        }
        // MySQL 8 logs CREATE TABLE … SELECT as one transaction.
        if !transaction.has_begun && mentions(text, "START TRANSACTION") {
            transaction.has_begun = true;
        }
        let is_whole = !transaction.has_begun;
        let at = At {
            position: Position::BinlogChange {
                begins: transaction.begins,
                event: transaction.events,
                row: 0,
            },
            committed_at_microseconds: transaction.committed_at_microseconds,
        };
        transaction.events += 1;
        for place in 0..self.tables.len() {
            let Some(Some(followed)) = self.tables.get(place) else { continue };
            let gtid = reading.transaction.as_ref().and_then(|open| open.gtid);
            if followed.has(at.position, gtid) {
                continue;
            }
            let relation = &followed.writer.plan().relation;
            let is_named = |named: &Named| {
                let of = named.database.as_deref().unwrap_or(database);
                of.eq_ignore_ascii_case(&relation.database)
                    && named.table.eq_ignore_ascii_case(&relation.name)
            };
            match &statement {
                Statement::Truncate(table) if is_named(table) => {
                    self.emptied(reading, place, at)?;
                }
                Statement::Altered { table, dropped } if is_named(table) => {
                    self.altered(reading, place, dropped)?;
                }
                Statement::Remade(tables) if tables.iter().any(is_named) => {
                    let reason = "the table was dropped, made anew or renamed, or rows of it were without a word";
                    self.leave(reading, place, Refused::Copy(reason))?;
                }
                Statement::DatabaseRemade(name) if name.eq_ignore_ascii_case(&relation.database) => {
                    self.leave(reading, place, Refused::Copy("the database was dropped"))?;
                }
                Statement::Unknown if mentions(text, &relation.name) => {
                    let reason = "a statement was logged instead of the rows that it changed";
                    self.leave(reading, place, Refused::Copy(reason))?;
                }
                _ => {}
            }
        }
        if is_whole { self.end(reading, end) } else { Ok(()) }
    }

    /// A table may have other columns from here on: the next session asks for them.
    fn altered(&mut self, reading: &mut Reading, place: usize, dropped: &[String]) -> Result<()> {
        reading.must_regroup = true;
        let Some(Some(followed)) = self.tables.get_mut(place) else { return Ok(()) };
        if dropped.is_empty() {
            return Ok(());
        }
        let form = Form::recall(followed.writer.table().properties());
        let form = form.unwrap_or_else(|| followed.writer.plan().form()).without(dropped);
        let properties = form.remembered();
        let changed = self.lake.set_properties(followed.writer.table(), &properties);
        let table = self.runtime.block_on(changed)?;
        followed.writer.changes().set_table(table);
        Ok(())
    }

    /// A transaction was taken back, after parts of it were handed over.
    fn take_back(&mut self, reading: &mut Reading, end: LogPlace) -> Result<()> {
        let Some(transaction) = &reading.transaction else { return Ok(()) };
        if transaction.taken == 0 {
            return self.end(reading, end);
        }
        if transaction.is_cut {
            return Err(Error::new(Definite::ReplicationUnavailable)
                .with("reason", "a transaction was taken back of which a part is in the lake")
                .advise("Reset the tables of the unit (ol-ingest reset) and run again."));
        }
        self.taken_back.insert(transaction.begins);
        for followed in self.tables.iter_mut().flatten() {
            followed.writer.discard();
        }
        // Where the tables are is where the last commit left them; so nothing is recorded.
        self.log.recorded = self.log.received;
        reading.transaction = None;
        reading.must_regroup = true;
        reading.bytes = 0;
        reading.first = None;
        Ok(())
    }

    /// The log says what the rows that follow are of.
    fn describe(&mut self, reading: &mut Reading, body: &[u8]) -> Result<()> {
        let mut number = [0; 8];
        for (to, from) in number.iter_mut().zip(body.iter().take(6)) {
            *to = *from;
        }
        let number = u64::from_le_bytes(number);
        if reading.maps.get(&number).is_some_and(|(known, _)| known == body) {
            return Ok(());
        }
        let map = TableMap::parse(body).map_err(streaming)?;
        let place = self.tables.iter().position(|followed| {
            followed.as_ref().is_some_and(|followed| {
                let relation = &followed.writer.plan().relation;
                relation.database == map.database && relation.name == map.name
            })
        });
        reading.maps.insert(number, (body.to_vec(), place));
        let Some(place) = place else { return Ok(()) };
        let is_known = reading.announced.get(&place).is_some_and(|known| {
            (&known.columns, known.has_names) == (&map.columns, map.has_names)
        });
        if !is_known {
            reading.announced.insert(place, Arc::new(map));
        }
        Ok(())
    }

    fn rows(&mut self, reading: &mut Reading, rows: &Rows<'_>) -> Result<()> {
        let Some(transaction) = &mut reading.transaction else {
            return Err(Error::new(Definite::ProtocolViolated)
                .with("what", "rows outside of a transaction"));
        };
        let event = transaction.events;
        transaction.events += 1;
        let place = match reading.maps.get(&rows.table) {
            Some((_, Some(place))) => *place,
            Some((_, None)) => return Ok(()),
            None => {
                return Err(Error::new(Definite::ProtocolViolated)
                    .with("what", "rows of a table that was not described"));
            }
        };
        let Transaction { begins, gtid, committed_at_microseconds, is_distributed, .. } =
            *transaction;
        let at = |row: usize| At {
            position: Position::BinlogChange {
                begins,
                event,
                row: u32::try_from(row).unwrap_or(u32::MAX / 2).saturating_mul(2),
            },
            committed_at_microseconds,
        };
        let Some(Some(followed)) = self.tables.get(place) else { return Ok(()) };
        // The last row of an event is before the next event.
        let last = Position::BinlogChange { begins, event, row: u32::MAX };
        if followed.has(last, gtid) || self.taken_back.contains(&begins) {
            return Ok(());
        }
        if is_distributed {
            return self.leave(reading, place, Refused::from(SourceError::Distributed));
        }
        let Some(map) = reading.announced.get(&place).cloned() else { return Ok(()) };
        if !followed.writer.is_of(&map) {
            if followed.writer.is_dirty() {
                // What has come in so far has the old form: it is committed first, within the transaction if need be.
                let upto = self.before(reading, event);
                self.commit(reading, &upto)?;
            }
            if let Err(refused) = self.announce(place, &map) {
                return self.leave(reading, place, refused);
            }
        }
        let columns = &map.columns;
        let is_whole = |present: &&[u8]| is_all(present, rows.columns);
        if columns.len() != rows.columns || !rows.present.iter().all(is_whole) {
            let reason = "an event has not all columns of its rows (binlog_row_image)";
            return self.leave(reading, place, Refused::Copy(reason));
        }
        let images = match Image::split(columns, &rows.body) {
            Ok(images) => images,
            Err(error) => return self.leave(reading, place, Refused::from(error)),
        };
        let step = if rows.change == Change::Update { 2 } else { 1 };
        let mut taken = Ok(());
        for (number, images) in images.chunks(step).enumerate() {
            let at = at(number);
            let Some(Some(followed)) = self.tables.get_mut(place) else { return Ok(()) };
            if followed.has(at.position.second(), gtid) {
                continue;
            }
            let writer = &mut followed.writer;
            taken = match (rows.change, images) {
                (Change::Insert, [new]) => writer.insert(*new, at),
                (Change::Update, [old, new]) => writer.update(*old, *new, at),
                (Change::Delete, [old]) => writer.delete(*old, at),
                _ => Err(Refused::from(SourceError::Protocol("a row before and after an update"))),
            };
            if taken.is_err() {
                break;
            }
            if let Some(transaction) = &mut reading.transaction {
                transaction.taken += 1;
            }
            failpoints::hit(failpoints::CHANGE_TAKEN);
        }
        if let Err(refused) = taken {
            return self.leave(reading, place, refused);
        }
        reading.bytes += rows.body.len() as u64;
        reading.first.get_or_insert_with(Instant::now);
        let touched = self.tables.get_mut(place).and_then(Option::as_mut);
        if touched.is_some_and(|it| it.writer.changes().touched_keys() >= MOST_TOUCHED_KEYS) {
            let upto = self.before(reading, event + 1);
            self.commit(reading, &upto)?;
        }
        Ok(())
    }

    /// The place behind the events of the open transaction that come before the `event`th.
    fn before(&self, reading: &Reading, event: u32) -> Place {
        match (&reading.transaction, event.checked_sub(1)) {
            (Some(open), Some(event)) => Place {
                position: Position::BinlogChange { begins: open.begins, event, row: u32::MAX },
                ..self.border()
            },
            _ => self.border(),
        }
    }

    /// From here on, rows of a table look like this.
    fn announce(&mut self, place: usize, map: &Arc<TableMap>) -> Result<(), Refused> {
        let Some(Some(followed)) = self.tables.get_mut(place) else { return Ok(()) };
        followed.writer.announced(map, &self.charsets)
    }

    /// A table was emptied. Where deleted rows stay, the lake says which these are.
    fn emptied(&mut self, reading: &mut Reading, place: usize, at: At) -> Result<()> {
        let Some(Some(followed)) = self.tables.get(place) else { return Ok(()) };
        let plan = followed.writer.plan();
        let taken = if plan.shape == (Shape::Merge { soft: true }) {
            let key = plan.key.clone();
            if followed.writer.is_dirty() {
                let upto = self.border();
                self.commit(reading, &upto)?;
            }
            let Some(Some(followed)) = self.tables.get_mut(place) else { return Ok(()) };
            let table = followed.writer.table().clone();
            let live = self.runtime.block_on(live_keys(&self.lake, &table, &key))?;
            live.iter().try_for_each(|keys| followed.writer.changes().mark(keys, at))
        } else {
            let Some(Some(followed)) = self.tables.get_mut(place) else { return Ok(()) };
            followed.writer.truncate(at)
        };
        if let Err(refused) = taken {
            return self.leave(reading, place, refused);
        }
        if let Some(transaction) = &mut reading.transaction {
            transaction.taken += 1;
        }
        reading.bytes += 1;
        reading.first.get_or_insert_with(Instant::now);
        failpoints::hit(failpoints::CHANGE_TAKEN);
        Ok(())
    }

    /// Commits what every table has gathered; they all reach `upto`.
    fn commit(&mut self, reading: &mut Reading, upto: &Place) -> Result<()> {
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
    fn leave(&mut self, reading: &mut Reading, place: usize, refused: Refused) -> Result<()> {
        let error = match refused {
            Refused::Failed(error) if !concerns_one_table(error.failure()) => return Err(error),
            Refused::Failed(error) => Some(error),
            Refused::Copy(reason) => {
                tracing::warn!(place, reason, "a table is copied again");
                None
            }
        };
        let Some(mut followed) = self.tables.get_mut(place).and_then(Option::take) else {
            return Ok(());
        };
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
                self.runtime.block_on(state::forget(&self.lake, table))?;
                reading.must_regroup = true;
            }
        }
        Ok(())
    }
}

/// Whether all of so many bits are set.
fn is_all(bits: &[u8], count: usize) -> bool {
    (0..count).all(|place| bits.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1))
}
