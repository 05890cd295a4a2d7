//! What comes in: events of the log, transaction by transaction, to the writers of their tables.
//!
//! A transaction is handed over as it comes in, before it is known whether it ends well, because the log has only what was
//! committed. The one exception is a transaction over tables some of which cannot be rolled back: it is there, with ROLLBACK at
//! its end. What was taken of it is thrown away then, and the session begins anew without it.
//!
//! A statement that changes a followed table ends the session at the border behind it, after the place was recorded: the
//! next one asks the catalog, and so reads the rows behind the statement in the form that they have.

use std::collections::HashMap;
use std::sync::Arc;

use super::cascade::Parent;
use super::plan::Form;
use super::session::{Session, streaming};
use crate::error::{Definite, Error, Result};
use crate::failpoints;
use crate::position::{LogPlace, Position};
use crate::run::change::live::live_keys;
use crate::run::change::log::Writer as _;
use crate::run::change::{At, Refused, Shape};
use crate::source::mysql::binlog::event::{Body, Change, Event, Rows, payload_events};
use crate::source::mysql::binlog::gtid::Gtid;
use crate::source::mysql::binlog::image::Image;
use crate::source::mysql::binlog::server::file_number;
use crate::source::mysql::binlog::statement::{Effect, Statement, mentions};
use crate::source::mysql::binlog::table_map::TableMap;
use crate::source::mysql::error::SourceError;

/// A transaction that has begun.
pub(super) struct Transaction {
    pub(super) begins: LogPlace,
    pub(super) gtid: Option<Gtid>,
    pub(super) committed_at_microseconds: i64,
    /// Whether it goes on until its end is said; else the next statement is all of it.
    pub(super) has_begun: bool,
    pub(super) is_distributed: bool,
    /// Events with rows so far.
    pub(super) events: u32,
    /// Changes that were handed over.
    pub(super) taken: u64,
    /// Whether some of it is committed to the lake.
    pub(super) is_cut: bool,
}

/// A table that the log has described.
pub(super) struct Described {
    /// The description as it came.
    body: Vec<u8>,
    /// Its place in `tables`, if it is followed.
    place: Option<usize>,
    /// If its rows take others with them.
    parent: Option<Arc<Parent>>,
}

/// What the log's numbers of tables mean, and what waits.
#[derive(Default)]
pub(super) struct Reading {
    /// By a table's number.
    pub(super) maps: HashMap<u64, Described>,
    /// By place: what was announced last.
    pub(super) announced: HashMap<usize, Arc<TableMap>>,
    pub(super) transaction: Option<Transaction>,
}

impl Session {
    /// The place of an event's end. The head has its lowest 32 bits; a file may be longer, and its events come in order.
    fn end_of(&self, event: &Event<'_>) -> LogPlace {
        let LogPlace { epoch, file, offset } = self.log.received;
        let high = offset & !0xffff_ffff;
        let end = high | u64::from(event.end);
        let end =
            if end < offset && offset - end > 0x8000_0000 { end + 0x1_0000_0000 } else { end };
        LogPlace { epoch, file, offset: end }
    }

    pub(super) fn take(&mut self, reading: &mut Reading, event: Event<'_>) -> Result<()> {
        let end = self.end_of(&event);
        let begins = LogPlace { offset: end.offset.saturating_sub(u64::from(event.length)), ..end };
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
            body @ (Body::Format { .. }
            | Body::Query { .. }
            | Body::TableMap(_)
            | Body::Rows(_)
            | Body::Commit
            | Body::Incident
            | Body::Other) => {
                self.inner(reading, body, event.timestamp_seconds, (begins, end))?;
            }
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
        let gtid = transaction.gtid;
        self.rekeyed(reading, (&statement, text, database), (at.position, gtid))?;
        for place in 0..self.following.tables.len() {
            let Some(Some(followed)) = self.following.tables.get(place) else { continue };
            if followed.has.has(at.position, gtid) {
                continue;
            }
            let relation = &followed.writer.plan().relation;
            match statement.on(text, database, (&relation.database, &relation.name)) {
                Effect::None => {}
                Effect::Emptied => self.emptied(reading, place, at)?,
                Effect::Altered(dropped) => self.altered(place, dropped)?,
                Effect::Other(reason) => self.leave(reading, place, Refused::Copy(reason))?,
            }
        }
        if is_whole { self.end(reading, end) } else { Ok(()) }
    }

    /// A table may have other columns from here on: the next session asks for them.
    fn altered(&mut self, place: usize, dropped: &[String]) -> Result<()> {
        self.following.must_regroup = true;
        let Some(Some(followed)) = self.following.tables.get_mut(place) else { return Ok(()) };
        if dropped.is_empty() {
            return Ok(());
        }
        let form = Form::recall(followed.writer.table().properties());
        let form = form.unwrap_or_else(|| followed.writer.plan().form()).without(dropped);
        let properties = form.remembered();
        let changed = self.following.lake.set_properties(followed.writer.table(), &properties);
        let table = self.following.runtime.block_on(changed)?;
        followed.writer.changes_mut().set_table(table);
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
        self.following.discard();
        // Where the tables are is where the last commit left them; so nothing is recorded.
        self.following.recorded = Position::Binlog(self.log.received);
        self.following.must_regroup = true;
        reading.transaction = None;
        Ok(())
    }

    /// The log says what the rows that follow are of.
    fn describe(&mut self, reading: &mut Reading, body: &[u8]) -> Result<()> {
        let (number, database, name) = TableMap::named(body).map_err(streaming)?;
        if reading.maps.get(&number).is_some_and(|known| known.body == body) {
            return Ok(());
        }
        let place = self.following.tables.iter().position(|followed| {
            followed.as_ref().is_some_and(|followed| {
                let relation = &followed.writer.plan().relation;
                relation.database == database && relation.name == name
            })
        });
        let parent = Parent::of(&self.cascades, &(database, name), body);
        reading.maps.insert(number, Described { body: body.to_vec(), place, parent });
        let Some(place) = place else { return Ok(()) };
        let map = match TableMap::parse(body) {
            Ok(map) => map,
            // A type that is not known is a matter of its table.
            Err(error) => {
                let refused = Error::new(Definite::TypeRefused).because(error);
                return self.leave(reading, place, Refused::Failed(refused));
            }
        };
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
        let Some(Described { place, parent, .. }) = reading.maps.get(&rows.table) else {
            return Err(Error::new(Definite::ProtocolViolated)
                .with("what", "rows of a table that was not described"));
        };
        let (place, parent) = (*place, parent.clone());
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
        // The last row of an event is before the next event.
        let last = Position::BinlogChange { begins, event, row: u32::MAX };
        if let Some(parent) = parent.filter(|_| !self.taken_back.contains(&begins)) {
            self.cascade(reading, &parent, rows, (last, gtid))?;
        }
        let Some(place) = place else { return Ok(()) };
        let Some(Some(followed)) = self.following.tables.get(place) else { return Ok(()) };
        if followed.has.has(last, gtid) || self.taken_back.contains(&begins) {
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
        let images = match Image::split(columns, &rows.body, rows.is_partial) {
            Ok(images) => images,
            Err(error) => return self.leave(reading, place, Refused::from(error)),
        };
        let step = if rows.change == Change::Update { 2 } else { 1 };
        let mut taken = Ok(());
        for (number, images) in images.chunks(step).enumerate() {
            let at = at(number);
            let Some(Some(followed)) = self.following.tables.get_mut(place) else { return Ok(()) };
            if followed.has.has(at.position.second(), gtid) {
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
        self.following.took(rows.body.len());
        if self.following.is_crowded() {
            let upto = self.before(reading, event + 1);
            self.commit(reading, &upto)?;
        }
        Ok(())
    }

    /// From here on, rows of a table look like this.
    fn announce(&mut self, place: usize, map: &Arc<TableMap>) -> Result<(), Refused> {
        let Some(Some(followed)) = self.following.tables.get_mut(place) else { return Ok(()) };
        followed.writer.announced(map, &self.charsets)
    }

    /// A table was emptied. Where deleted rows stay, the lake says which these are.
    fn emptied(&mut self, reading: &mut Reading, place: usize, at: At) -> Result<()> {
        let Some(Some(followed)) = self.following.tables.get(place) else { return Ok(()) };
        let plan = followed.writer.plan();
        let taken = if plan.shape == (Shape::Merge { soft: true }) {
            let key = plan.key.clone();
            if followed.writer.is_dirty() {
                let upto = self.border();
                self.commit(reading, &upto)?;
            }
            let Some(Some(followed)) = self.following.tables.get_mut(place) else { return Ok(()) };
            let table = followed.writer.table().clone();
            let live =
                self.following.runtime.block_on(live_keys(&self.following.lake, &table, &key))?;
            live.iter().try_for_each(|keys| followed.writer.changes_mut().mark(keys, at))
        } else {
            let Some(Some(followed)) = self.following.tables.get_mut(place) else { return Ok(()) };
            followed.writer.changes_mut().truncate(at)
        };
        if let Err(refused) = taken {
            return self.leave(reading, place, refused);
        }
        if let Some(transaction) = &mut reading.transaction {
            transaction.taken += 1;
        }
        self.following.took(1);
        failpoints::hit(failpoints::CHANGE_TAKEN);
        Ok(())
    }
}

/// Whether all of so many bits are set.
pub(super) fn is_all(bits: &[u8], count: usize) -> bool {
    (0..count).all(|place| bits.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1))
}
