//! A snapshot for copies, and its place in the log.
//!
//! MariaDB says where in the log a snapshot was taken. MySQL does not, so there the place is found by the first of these that
//! can be had:
//!
//! 1. where transactions have ids, a look at the end of the log before and after the transactions of the readers begin, with
//!    a wait in between until what was in the log by the first look is committed ([`settle`]). So nothing before the place is
//!    missing in the snapshot, ever; and when the two looks are the same, nothing behind it is in the snapshot either: the
//!    place is exact, and nobody was locked out;
//! 2. `FLUSH TABLES WITH READ LOCK`, which waits for commits that are under way, and is held for as long as it takes to begin the
//!    transactions, where the account may lock (RELOAD) and no statement is in the way for longer than a second;
//! 3. on a server that never rests, the first of the two looks: what happened between them is in the rows already and comes again,
//!    which changes nothing in a table that is merged by its key, as each change has the whole row. A change log would tell it
//!    twice: there the copy is refused;
//! 4. where transactions have no ids, `LOCK TABLES … READ` of the tables that are copied, which waits for the transactions that
//!    have written to them to end, their commit included, and is let go as soon as the readers have begun;
//! 5. else there is no place that can be proven, and no copy: a transaction that is in the log and not yet in the engine would be
//!    before the place and not in the rows, which nobody would ever notice.

use ol_chassis::shutdown::Shutdown;

use super::state::Place;
use crate::position::{LogPlace, Position};
use crate::source::mysql::binlog::server::{Server, gtid_at, settle};
use crate::source::mysql::error::SourceError;
use crate::source::mysql::session::{Flavor, Session};
use crate::source::mysql::settings::Settings;
use crate::source::mysql::snapshot::{Readers, Snapshot};

/// A snapshot, and where it is in the log.
pub(super) struct Moment {
    pub(super) snapshot: Snapshot,
    pub(super) place: Place,
    /// Whether nothing was committed between the place and the snapshot.
    pub(super) is_exact: bool,
}

/// What is to be copied, and how.
pub(super) struct Wanted<'a> {
    pub(super) settings: &'a Settings,
    /// The most connections.
    pub(super) streams: usize,
    /// The time, in microseconds since 1970.
    pub(super) now: i64,
    /// The epoch of the log.
    pub(super) epoch: u16,
    /// The tables, quoted.
    pub(super) tables: &'a [String],
    /// The databases that the log must have.
    pub(super) databases: &'a [String],
}

/// How often the end of the log is looked at.
const ATTEMPTS: u32 = 5;
/// The server's number for a lock that is not to be had in time.
const LOCK_TIMEOUT: u16 = 1205;

/// Takes a snapshot and its place.
pub(super) fn take(
    control: &mut Session,
    wanted: &Wanted<'_>,
    shutdown: &Shutdown,
) -> Result<Moment, SourceError> {
    if control.flavor == Flavor::MariaDb {
        let snapshot = Snapshot::open(wanted.settings, wanted.streams, wanted.now, shutdown)?;
        if let Position::Binlog(LogPlace { file, offset, .. }) = snapshot.position {
            return told(control, wanted, snapshot, (file, offset));
        }
    }
    let readers = Readers::connect(wanted.settings, wanted.streams, shutdown)?;
    // Whoever waits for a lock holds up all that come behind him: so not for long.
    control.execute("SET SESSION lock_wait_timeout = 1")?;
    let taken = asked(control, wanted, readers)?;
    control.execute("UNLOCK TABLES")?;
    control.execute("SET SESSION lock_wait_timeout = 30")?;
    Ok(taken)
}

/// The place that the server has told.
fn told(
    control: &mut Session,
    wanted: &Wanted<'_>,
    mut snapshot: Snapshot,
    (file, offset): (u32, u64),
) -> Result<Moment, SourceError> {
    let server = Server::ask(control, wanted.databases)?;
    let gtids = gtid_at(control, &server.file(file), offset)?;
    let position = Position::Binlog(LogPlace { epoch: wanted.epoch, file, offset });
    snapshot.position = position;
    let place = Place { position, gtids, source: server.identity };
    Ok(Moment { snapshot, place, is_exact: true })
}

/// A place that is asked for. Locks that were taken are the caller's to let go, or end with the connection.
fn asked(
    control: &mut Session,
    wanted: &Wanted<'_>,
    mut readers: Readers,
) -> Result<Moment, SourceError> {
    let mut before = end(control, wanted)?;
    let has_ids = before.gtids.is_some();
    for _ in 0..if has_ids { ATTEMPTS } else { 0 } {
        begin_settled(control, &mut readers)?;
        let after = end(control, wanted)?;
        if after == before {
            return Ok(exact(readers, before));
        }
        before = after;
    }
    let is_locked = refused(control.execute("FLUSH TABLES WITH READ LOCK"))?.is_none();
    if has_ids && !is_locked {
        begin_settled(control, &mut readers)?;
        let snapshot = readers.alone(before.position);
        return Ok(Moment { snapshot, place: before, is_exact: false });
    }
    if !is_locked {
        lock_tables(control, wanted.tables)?;
    }
    let place = end(control, wanted)?;
    readers.begin()?;
    Ok(exact(readers, place))
}

/// Begins when what was in the log before is committed.
fn begin_settled(control: &mut Session, readers: &mut Readers) -> Result<(), SourceError> {
    if !settle(control)? {
        return Err(SourceError::Unsettled);
    }
    readers.begin()
}

fn exact(readers: Readers, place: Place) -> Moment {
    Moment { snapshot: readers.sharing(place.position), place, is_exact: true }
}

/// Locks the tables against writers.
fn lock_tables(control: &mut Session, tables: &[String]) -> Result<(), SourceError> {
    let each: Vec<String> = tables.iter().map(|table| format!("{table} READ")).collect();
    match refused(control.execute(&format!("LOCK TABLES {}", each.join(", "))))? {
        None => Ok(()),
        Some(LOCK_TIMEOUT) => Err(SourceError::Unsettled),
        Some(_) => Err(SourceError::Log {
            reason: "it cannot be known where in the log a copy would begin".to_owned(),
            cure: "GRANT LOCK TABLES on the database (or RELOAD) to the account of the source's URL, or let the server give \
                   transactions ids (gtid_mode = ON).",
        }),
    }
}

/// The number that the server refuses a statement with, if it does.
fn refused(executed: Result<(), SourceError>) -> Result<Option<u16>, SourceError> {
    match executed {
        Ok(()) => Ok(None),
        Err(SourceError::Server { code, .. }) => Ok(Some(code)),
        Err(error) => Err(error),
    }
}

fn end(control: &mut Session, wanted: &Wanted<'_>) -> Result<Place, SourceError> {
    let server = Server::ask(control, wanted.databases)?;
    let (file, offset) = server.end;
    let position = Position::Binlog(LogPlace { epoch: wanted.epoch, file, offset });
    Ok(Place { position, gtids: server.gtids, source: server.identity })
}
