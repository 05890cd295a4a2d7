//! Before a session: what the server, the catalog and the lake say, and what follows from it.
//!
//! **Epochs.** Files and bytes are of one server. When the server is another one than before (a replica was promoted, a
//! backup restored), or its log was begun anew, what was recorded says nothing about it, but the ids of transactions do. Then
//! a new *epoch* begins: positions of it sort behind all earlier ones, tables that come from an earlier epoch pass over
//! transactions by their ids, and the stream is asked for by ids. Without ids nobody knows what another server has: that is
//! definite.

use ol_chassis::shutdown::Shutdown;
use ol_lake::LakeTable;

use super::Binlog;
use super::followed::Skip;
use super::partial::Partial;
use super::plan::{CapturePlan, Form};
use super::state::{Place, Record};
use super::writer::TableWriter;
use crate::error::{Definite, Doing, Error, Failure, Result, Transient};
use crate::inventory::{Table, Unit};
use crate::position::{LogPlace, Position};
use crate::run::change::{Shape, place, prepare};
use crate::run::mysql_databases;
use crate::source::mysql::binlog::charset::Charsets;
use crate::source::mysql::binlog::foreign_key::Cascades;
use crate::source::mysql::binlog::server::{Server, gtid_at};
use crate::source::mysql::binlog::stream::From;
use crate::source::mysql::catalog::{self, Catalog};
use crate::source::mysql::error::SourceError;
use crate::source::mysql::plan;
use crate::source::mysql::session::{Flavor, Session};
use crate::source::mysql::settings::Settings;

/// What is found out before a session.
pub struct Found {
    /// The server.
    pub server: Server,
    /// Its epoch.
    pub epoch: u16,
    /// The character sets of the tables.
    pub charsets: Charsets,
    /// What rows take with them without the log telling it.
    pub cascades: Cascades,
}

/// What a session and its copies begin with.
pub type Prepared = prepare::Prepared<Binlog>;
/// A table to copy.
pub type Copy = prepare::Copy<Binlog>;
/// What is prepared, of which unit, for whom.
pub type Preparation<'a> = prepare::Preparation<'a, Binlog>;

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

impl Found {
    /// How the stream is asked for that begins at a place.
    #[must_use]
    pub fn from(&self, begins: &Place) -> From {
        let LogPlace { epoch, file, offset } = begins.log();
        match (&begins.gtids, epoch == self.epoch) {
            (Some(gtids), false) => From::Gtids(gtids.clone()),
            (_, true) | (None, false) => From::Place { file: self.server.file(file), offset },
        }
    }
}

impl Preparation<'_> {
    /// Asks everybody, decides, and makes what is missing; `of_url` is the database of the source's URL.
    ///
    /// # Errors
    /// Whatever concerns the unit as a whole.
    pub async fn prepare(&self, control: Session, of_url: &str) -> Result<(Session, Prepared)> {
        let mut databases = mysql_databases(self.unit);
        databases.push(of_url.to_owned());
        databases.sort_unstable();
        databases.dedup();
        let (mut control, (server, mut catalog)) = blocking(control, move |control| {
            let server = Server::ask(control, &databases)?;
            Ok((server, catalog::read(control, &databases)?))
        })
        .await
        .map_err(|error| reading(error).with("unit", &self.unit.id))?;
        of_url.clone_into(&mut catalog.database);
        let (mut failures, mut candidates) = (Vec::new(), Vec::new());
        let (declared, records) = self.look().await?;
        for (index, table, in_lake) in declared {
            match self.candidate(index, table, &catalog, in_lake.clone()).await {
                Ok(candidate) => candidates.push(candidate),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let (back, error) = self.why(control, of_url, table, error).await?;
                    control = back;
                    self.note(in_lake.as_ref(), &records, table, &error).await?;
                    failures.push((index, error));
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
            .filter_map(|it| Some((it, it.table.as_ref().and_then(place::own::<Place>)?)))
            .map(|(it, own)| place::begins(&it.raw_table, &own, &records))
            .max_by_key(|place| place.position);
        let (control, (found, candidates)) = blocking(control, move |control| {
            let mut charsets = Charsets::default();
            charsets.learn(control, sets.iter().map(String::as_str))?;
            let names: Vec<_> = candidates.iter().map(|it| it.plan.relation.full_name()).collect();
            let cascades = Cascades::read(control, &names)?;
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
            let found = |epoch| Found { server, epoch, charsets, cascades };
            Ok((epoch.map(found), candidates))
        })
        .await
        .map_err(reading)?;
        let found = found.map_err(|error| error.with("unit", &self.unit.id))?;
        let mut prepared = Prepared::new(found);
        prepared.failures = failures;
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
            place::own::<Place>(found)?;
            let remembered = Form::recall(found.properties())?;
            // A log has what happened, and what was true then.
            let is_merge = matches!(plan.shape, Shape::Merge { .. });
            is_merge.then(|| remembered.outdated_by(&plan.form(), &plan.relation)).flatten()
        });
        let found = match (found, outdated) {
            (Some(found), Some(reason)) => Some(self.copy_again(&found, reason).await?),
            (found, _) => found,
        };
        let partial = self.partial(found.as_ref());
        Ok(Candidate { index, raw_table: table.raw_table.clone(), plan, table: found, partial })
    }

    /// Why a table cannot be followed: one that the catalog does not show is missing, or hidden from the account.
    async fn why(
        &self,
        control: Session,
        of_url: &str,
        table: &Table,
        error: Error,
    ) -> Result<(Session, Error)> {
        if error.failure() != Failure::Definite(Definite::RelationMissing) {
            return Ok((control, error));
        }
        let (database, name) = (plan::database(table, of_url).to_owned(), table.name.clone());
        let asked = blocking(control, move |control| Catalog::missing(control, &database, &name));
        let (control, failure) = asked.await.map_err(reading)?;
        let display = plan::display(table, of_url);
        Ok((control, Error::new(failure).with("table", display).with("unit", &self.unit.id)))
    }

    /// Whether a table is copied or followed, and from where.
    async fn decide(
        &self,
        it: Candidate,
        records: &[Record],
        prepared: &mut Prepared,
    ) -> Result<()> {
        let own = it.table.as_ref().and_then(place::own::<Place>);
        let (Some(own), Some(table)) = (own, &it.table) else {
            let Candidate { index, plan, table, partial, .. } = it;
            let Some(stamp) = self.unit.tables.get(index).map(|table| self.stamp(table)) else {
                return Ok(());
            };
            prepared.copies.push(Copy { index, plan, stamp, table, partial });
            return Ok(());
        };
        let begins = place::begins(&it.raw_table, &own, records);
        let display = it.plan.relation.display();
        let (place_of_server, found) = (begins.log(), &prepared.found);
        let is_cut = matches!(begins.position, Position::BinlogChange { .. });
        let failure = if place_of_server.epoch == found.epoch {
            let is_purged = place_of_server.file < found.server.first_file;
            is_purged.then(|| reading(SourceError::Purged(begins.position.to_string())))
        } else {
            // Rows of half a transaction are in the log, and where the half ends is not told by another server.
            (is_cut && it.plan.shape == Shape::Log).then(|| {
                Error::new(Definite::TimelineChanged)
                    .with("recorded", &begins.source)
                    .with("found", &found.server.identity)
            })
        };
        if let Some(error) = failure {
            let error = error.with("table", display);
            let cause = ol_chassis::error::chain(&error);
            let properties = place::left(&it.raw_table, begins, &cause);
            self.lake.set_properties(table, &properties).await?;
            prepared.failures.push((it.index, error));
            return Ok(());
        }
        let skip = match (&begins.gtids, place_of_server.epoch == found.epoch) {
            (Some(gtids), false) => Skip::Within(gtids.clone()),
            (_, true) | (None, false) => Skip::UpTo(begins.position),
        };
        let table = self.columns(&it.plan, table).await?;
        let form = it.plan.form();
        let known = Form::recall(table.properties());
        let now = known.as_ref().map_or_else(|| form.clone(), |known| known.followed_by(&form));
        let table = match known == Some(now.clone()) {
            true => table,
            false => self.lake.set_properties(&table, &now.remembered()).await?,
        };
        let writer = TableWriter::new(it.plan, table, self.writing.clone());
        let followed = self.followed((it.index, writer), own.position, (begins, skip));
        prepared.followed.extend(followed);
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
