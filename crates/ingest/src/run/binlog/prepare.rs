//! Before a session: what the server, the catalog and the lake say, and what follows from it.
//!
//! **Epochs.** Files and bytes are of one server. When the server is another one than before (a replica was promoted, a
//! backup restored), or its log was begun anew, what was recorded says nothing about it, but the ids of transactions do. Then
//! a new *epoch* begins: positions of it sort behind all earlier ones, tables that come from an earlier epoch pass over
//! transactions by their ids, and the stream is asked for by ids. Without ids nobody knows what another server has: that is
//! definite.

use std::sync::Arc;

use ol_chassis::shutdown::Shutdown;
use ol_lake::{Lake, LakeTable, TableName};

use super::followed::{Followed, Skip};
use super::partial::{self, Partial};
use super::plan::{CapturePlan, Form};
use super::state::{self, Place, Record};
use super::writer::TableWriter;
use crate::error::{Definite, Doing, Error, Failure, Result, Transient};
use crate::inventory::{Table, Unit};
use crate::position::{LogPlace, Position};
use crate::run::change::state::{Stamp, forget};
use crate::run::change::{Shape, Writing};
use crate::run::mysql_databases;
use crate::source::mysql::binlog::charset::Charsets;
use crate::source::mysql::binlog::server::{Server, gtid_at};
use crate::source::mysql::binlog::stream::From;
use crate::source::mysql::catalog::{self, Catalog};
use crate::source::mysql::error::SourceError;
use crate::source::mysql::plan;
use crate::source::mysql::session::{Flavor, Session};
use crate::source::mysql::settings::Settings;

/// What a session and its copies begin with.
pub struct Prepared {
    /// The server.
    pub server: Server,
    /// Its epoch.
    pub epoch: u16,
    /// The character sets of the tables.
    pub charsets: Charsets,
    /// The tables that are followed.
    pub followed: Vec<Followed>,
    /// The tables to copy.
    pub copies: Vec<Copy>,
    /// Tables that cannot be followed, and why.
    pub failures: Vec<(usize, Error)>,
}

/// A table to copy.
pub struct Copy {
    /// Its index in the unit.
    pub index: usize,
    /// Its plan.
    pub plan: CapturePlan,
    /// What its commit carries.
    pub stamp: Stamp,
    /// Its table, if there is one.
    pub table: Option<LakeTable>,
    /// A copy of it that is not complete, if the log has all that happened since.
    pub partial: Option<(Partial, Place)>,
}

/// What is prepared, of which unit, for whom.
pub struct Preparation<'a> {
    /// The lake.
    pub lake: &'a Arc<Lake>,
    /// The namespace of raw tables.
    pub namespace: String,
    /// The unit.
    pub unit: &'a Arc<Unit>,
    /// The tables of it that are to be followed.
    pub tables: &'a [usize],
    /// The database of the source's URL.
    pub database: String,
    /// The run.
    pub run_id: &'a str,
    /// For the writers.
    pub writing: Writing,
}

/// A table on its way to a decision.
struct Candidate {
    index: usize,
    raw_table: String,
    plan: CapturePlan,
    table: Option<LakeTable>,
    partial: Option<(Partial, Place)>,
}

fn reading(error: SourceError) -> Error {
    error.into_error(Doing::Reading)
}

impl Prepared {
    /// Where the stream begins, and which place that is: the least of the tables'.
    #[must_use]
    pub fn from(&self) -> Option<(From, Place)> {
        let least = self.followed.iter().map(|followed| &followed.begins);
        let least = least.min_by_key(|place| place.position)?;
        let LogPlace { epoch, file, offset } = least.log();
        let from = match (&least.gtids, epoch == self.epoch) {
            (Some(gtids), false) => From::Gtids(gtids.clone()),
            (_, true) | (None, false) => From::Place { file: self.server.file(file), offset },
        };
        Some((from, least.clone()))
    }
}

impl Preparation<'_> {
    /// Asks everybody, decides, and makes what is missing.
    ///
    /// # Errors
    /// Whatever concerns the unit as a whole.
    pub async fn prepare(&self, control: Session) -> Result<(Session, Prepared)> {
        let mut databases = mysql_databases(self.unit);
        databases.push(self.database.clone());
        databases.sort_unstable();
        databases.dedup();
        let (mut control, (server, mut catalog)) = blocking(control, move |control| {
            let server = Server::ask(control, &databases)?;
            Ok((server, catalog::read(control, &databases)?))
        })
        .await
        .map_err(|error| reading(error).with("unit", &self.unit.id))?;
        catalog.database.clone_from(&self.database);
        let (mut failures, mut candidates, mut records) = (Vec::new(), Vec::new(), Vec::new());
        for index in self.tables {
            let Some(table) = self.unit.tables.get(*index) else { continue };
            let name = TableName::new(self.namespace.clone(), &table.raw_table);
            let found = self.lake.load(&name).await?;
            // What a table recorded for the unit counts, whatever became of the table.
            records.extend(found.iter().flat_map(Record::of));
            match self.candidate(*index, table, &catalog, found.clone()).await {
                Ok(candidate) => candidates.push(candidate),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let (back, error) = self.why(control, table, error).await?;
                    control = back;
                    self.note(found.as_ref(), &records, table, &error).await?;
                    failures.push((*index, error));
                }
            }
        }
        let sets: Vec<String> = candidates
            .iter()
            .flat_map(|it| &it.plan.relation.columns)
            .filter_map(|column| column.character_set.clone())
            .collect();
        let latest = candidates
            .iter()
            .filter_map(|it| Some((it, it.table.as_ref().and_then(state::own)?)))
            .map(|(it, own)| state::begins(&it.raw_table, &own, &records))
            .max_by_key(|place| place.position);
        let (control, (server, charsets, epoch, candidates)) = blocking(control, move |control| {
            let mut charsets = Charsets::default();
            charsets.learn(control, sets.iter().map(String::as_str))?;
            let is_same = match &latest {
                Some(latest) => is_at(control, &server, latest)?,
                None => true,
            };
            let epoch = latest.map_or(Ok(0), |latest| epoch(&server, &latest, is_same));
            let mut candidates = candidates;
            for candidate in &mut candidates {
                // Chunks of a log that is not this one, or has gone on without them, are of no use.
                let Some((_, since)) = &candidate.partial else { continue };
                let is_here = epoch.as_ref().is_ok_and(|epoch| since.log().epoch == *epoch)
                    && since.log().file >= server.first_file
                    && is_at(control, &server, since)?;
                candidate.partial.take_if(|_| !is_here);
            }
            Ok((server, charsets, epoch, candidates))
        })
        .await
        .map_err(reading)?;
        let epoch = epoch.map_err(|error| error.with("unit", &self.unit.id))?;
        let mut prepared = Prepared {
            server,
            epoch,
            charsets,
            followed: Vec::new(),
            copies: Vec::new(),
            failures,
        };
        for it in candidates {
            self.decide(it, &records, &mut prepared).await?;
        }
        Ok((control, prepared))
    }

    /// Looks at one table.
    async fn candidate(
        &self,
        index: usize,
        table: &Table,
        catalog: &Catalog,
        found: Option<LakeTable>,
    ) -> Result<Candidate> {
        let plan = CapturePlan::new(self.unit, table, catalog)?.salted().await?;
        let outdated = found.as_ref().and_then(|found| {
            state::own(found)?;
            let remembered = Form::recall(found.properties())?;
            // A log has what happened, and what was true then.
            let is_merge = matches!(plan.shape, Shape::Merge { .. });
            is_merge.then(|| remembered.outdated_by(&plan.form(), &plan.relation)).flatten()
        });
        let found = match (found, outdated) {
            (Some(found), Some(reason)) => {
                tracing::warn!(table = %table.raw_table, reason, "a table is copied again");
                Some(forget(self.lake, &found).await?)
            }
            (found, _) => found,
        };
        let partial = found.as_ref().filter(|found| state::own(found).is_none());
        let partial = partial.and_then(Partial::of);
        let partial = partial.and_then(|it| partial::since(&it).map(|since| (it, since)));
        Ok(Candidate { index, raw_table: table.raw_table.clone(), plan, table: found, partial })
    }

    /// Why a table cannot be followed: one that the catalog does not show is missing, or hidden from the account.
    async fn why(&self, control: Session, table: &Table, error: Error) -> Result<(Session, Error)> {
        if error.failure() != Failure::Definite(Definite::RelationMissing) {
            return Ok((control, error));
        }
        let (database, name) =
            (plan::database(table, &self.database).to_owned(), table.name.clone());
        let asked = blocking(control, move |control| Catalog::missing(control, &database, &name));
        let (control, failure) = asked.await.map_err(reading)?;
        let display = plan::display(table, &self.database);
        Ok((control, Error::new(failure).with("table", display).with("unit", &self.unit.id)))
    }

    /// Writes down that a table that was followed is not any more.
    async fn note(
        &self,
        found: Option<&LakeTable>,
        records: &[Record],
        table: &Table,
        error: &Error,
    ) -> Result<()> {
        let Some((found, own)) = found.and_then(|found| Some((found, state::own(found)?))) else {
            return Ok(());
        };
        let since = state::begins(&table.raw_table, &own, records);
        let properties = state::left(&table.raw_table, since, &ol_chassis::error::chain(error));
        self.lake.set_properties(found, &properties).await?;
        Ok(())
    }

    /// Whether a table is copied or followed, and from where.
    async fn decide(
        &self,
        it: Candidate,
        records: &[Record],
        prepared: &mut Prepared,
    ) -> Result<()> {
        let mode = self.unit.tables.get(it.index).map_or("", |table| table.sync_mode.word());
        let stamp = Stamp { run_id: self.run_id.to_owned(), mode };
        let own = it.table.as_ref().and_then(state::own);
        let (Some(own), Some(table)) = (own, &it.table) else {
            let Candidate { index, plan, table, partial, .. } = it;
            prepared.copies.push(Copy { index, plan, stamp, table, partial });
            return Ok(());
        };
        let begins = state::begins(&it.raw_table, &own, records);
        let display = it.plan.relation.display();
        let place = begins.log();
        let is_cut = matches!(begins.position, Position::BinlogChange { .. });
        let failure = if place.epoch == prepared.epoch {
            let is_purged = place.file < prepared.server.first_file;
            is_purged.then(|| reading(SourceError::Purged(begins.position.to_string())))
        } else {
            // Rows of half a transaction are in the log, and where the half ends is not told by another server.
            (is_cut && it.plan.shape == Shape::Log).then(|| {
                Error::new(Definite::TimelineChanged)
                    .with("recorded", &begins.source)
                    .with("found", &prepared.server.identity)
            })
        };
        if let Some(error) = failure {
            let error = error.with("table", display);
            let cause = ol_chassis::error::chain(&error);
            let properties = state::left(&it.raw_table, begins, &cause);
            self.lake.set_properties(table, &properties).await?;
            prepared.failures.push((it.index, error));
            return Ok(());
        }
        let skip = match (&begins.gtids, place.epoch == prepared.epoch) {
            (Some(gtids), false) => Skip::Within(gtids.clone()),
            (_, true) | (None, false) => Skip::UpTo(begins.position),
        };
        let change = self.lake.evolve(table, &it.plan.lake_schema_of(table)).await?;
        let table = match change.is_empty() {
            true => table.clone(),
            false => self.lake.commit_schema(table, &change).await?,
        };
        crate::failpoints::hit(crate::failpoints::SCHEMA_CHANGED);
        let form = it.plan.form();
        let known = Form::recall(table.properties());
        let now = known.as_ref().map_or_else(|| form.clone(), |known| known.followed_by(&form));
        let table = match known == Some(now.clone()) {
            true => table,
            false => self.lake.set_properties(&table, &now.remembered()).await?,
        };
        prepared.followed.push(Followed {
            index: it.index,
            raw_table: it.raw_table,
            writer: TableWriter::new(it.plan, table, self.writing.clone()),
            stamp,
            position: own.position,
            begins,
            skip,
        });
        Ok(())
    }
}

/// Whether a place that was remembered is one of this server's log.
fn is_at(control: &mut Session, server: &Server, place: &Place) -> Result<bool, SourceError> {
    let LogPlace { file, offset, .. } = place.log();
    if place.source != server.identity || (file, offset) > server.end {
        return Ok(false);
    }
    // Of a file that was purged nothing can be asked.
    match (&place.gtids, control.flavor) {
        (Some(gtids), Flavor::MariaDb) if file >= server.first_file => {
            Ok(gtid_at(control, &server.file(file), offset)?.as_ref() == Some(gtids))
        }
        _ => Ok(true),
    }
}

/// The epoch in which a server is followed whose tables have come to a place.
fn epoch(server: &Server, latest: &Place, is_same: bool) -> Result<u16> {
    if is_same {
        return Ok(latest.log().epoch);
    }
    let other = |kind: Definite| {
        Error::new(kind).with("recorded", &latest.source).with("found", &server.identity)
    };
    match (&latest.gtids, &server.gtids) {
        (Some(reached), Some(has)) if has.covers(reached) => {
            tracing::warn!(was = latest.source, is = server.identity, "another server is followed");
            Ok(latest.log().epoch.saturating_add(1))
        }
        // The log of the very server was begun anew: what is missing will not come.
        (Some(_), Some(_)) if latest.source == server.identity => {
            Err(other(Definite::TimelineChanged))
        }
        (Some(reached), Some(has)) => {
            Err(Error::new(Transient::SourceBehind).with("reached", reached).with("is_at", has))
        }
        (_, None) | (None, _) => Err(other(Definite::TimelineChanged)),
    }
}

/// Opens the connection for questions, and takes the unit's lock, so that two processes do not follow the same.
///
/// # Errors
/// Somebody else has it, or the source's.
pub async fn open_control(settings: &Settings, unit: &Unit, shutdown: Shutdown) -> Result<Session> {
    let settings = settings.clone();
    let name = lock_name(unit);
    let opened = tokio::task::spawn_blocking(move || {
        let mut control = Session::open(&settings, shutdown)?;
        // The connection is idle for as long as the stream runs.
        control.execute("SET SESSION wait_timeout = 2147483")?;
        let asked = format!("SELECT GET_LOCK({}, 0)", catalog::literal(&name));
        let is_ours = control.scalar(&asked)?.as_deref() == Some("1");
        Ok::<_, SourceError>(is_ours.then_some(control))
    });
    let opened = match opened.await {
        Ok(opened) => opened.map_err(|error| error.into_error(Doing::Connecting))?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    opened.ok_or_else(|| Error::new(Transient::SlotInUse).with("unit", &unit.id))
}

/// The name of the unit's lock, which may have 64 characters.
fn lock_name(unit: &Unit) -> String {
    format!("ol_{:016x}", xxhash_rust::xxh3::xxh3_64(unit.id.to_string().as_bytes()))
}

/// The number that we have among the server's replicas: one a unit, far above those that people give.
#[must_use]
pub fn replica_id(unit: &Unit) -> u32 {
    let hash = xxhash_rust::xxh3::xxh3_64(unit.id.to_string().as_bytes());
    2_000_000_000 + u32::try_from(hash % 2_000_000_000).unwrap_or_default()
}

/// Asks something of a connection, which blocks.
pub async fn blocking<T: Send + 'static>(
    session: Session,
    work: impl FnOnce(&mut Session) -> Result<T, SourceError> + Send + 'static,
) -> Result<(Session, T), SourceError> {
    let task = tokio::task::spawn_blocking(move || {
        let mut session = session;
        let done = work(&mut session)?;
        Ok((session, done))
    });
    match task.await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
