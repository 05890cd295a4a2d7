//! One consistent view of the server for all readers, without a lock over all tables.
//!
//! `START TRANSACTION WITH CONSISTENT SNAPSHOT` fixes what one connection sees; no statement of either server hands that
//! view to another connection. But MariaDB says of such a transaction where in the binary log it was taken
//! (`Binlog_snapshot_file`, `Binlog_snapshot_position`). It takes the view and the place together, under the lock under
//! which transactions are committed in the order of the log (MariaDB, "START TRANSACTION", and `LOCK_commit_ordered` in
//! `sql/log.cc`). So two transactions with one place see the same commits, and **several connections share a view when
//! their places are equal**. They begin one after the other, and all again, a few times, until their places are equal; if
//! they never are, those read that share the most common one. On a server without a log, and on MySQL, which tells no
//! place, one connection reads alone: slower, and as right.
//!
//! No privilege is needed for any of this but SELECT, and no lock is taken: `FLUSH TABLES WITH READ LOCK` would stop all
//! writers for as long as the longest running statement.
//!
//! Not covered: commits that the log does not have. They are those of a session with `sql_log_bin = 0`, and those that a
//! replica without `log_slave_updates` applies; such a replica is read by one connection. Tables of engines without
//! transactions (MyISAM, MEMORY, Aria) are read as they are when they are read, which `discover` notes.
//!
//! A table whose definition changes after the snapshot answers with an error (1412), not with other rows, and the table is
//! read again under a new snapshot.

use ol_chassis::shutdown::Shutdown;

use super::catalog::{self, Catalog};
use super::error::SourceError;
use super::session::{Flavor, Session};
use super::settings::Settings;
use crate::position::{LogPlace, Position};

/// How often connections that see different moments begin again.
const ATTEMPTS: u32 = 5;

/// Connections that see the same, and where that is in the log.
pub struct Snapshot {
    readers: Vec<Session>,
    /// The place of the snapshot in the log; a time on our clock where there is none.
    pub position: Position,
}

impl Snapshot {
    /// Connects, at most `streams` times, and takes a snapshot. `now` is the time, in microseconds since 1970.
    ///
    /// # Errors
    /// The server is not reachable or refuses. That there are not connections enough for all is no error: the snapshot has
    /// one at least.
    pub fn open(
        settings: &Settings,
        streams: usize,
        now_microseconds: i64,
        shutdown: &Shutdown,
    ) -> Result<Self, SourceError> {
        let mut first = Session::open(settings, shutdown.clone())?;
        let shares = can_share(&mut first)?;
        let mut readers = vec![first];
        while shares && readers.len() < streams {
            match Session::open(settings, shutdown.clone()) {
                Ok(connection) => readers.push(connection),
                Err(SourceError::Stopped) => return Err(SourceError::Stopped),
                Err(error) => {
                    tracing::info!(%error, readers = readers.len(), "fewer readers than wanted");
                    break;
                }
            }
        }
        let mut places = Vec::new();
        for _ in 0..ATTEMPTS {
            places.clear();
            for reader in &mut readers {
                places.push(begin(reader)?);
            }
            if places.iter().all(|place| Some(place) == places.first()) {
                break;
            }
        }
        let place = most_common(&places);
        let mut sharing = Vec::new();
        for (reader, its) in readers.into_iter().zip(places) {
            // Those whose place is not known see what nobody knows: one reads alone.
            if its == place && (place.is_some() || sharing.is_empty()) {
                sharing.push(reader);
            } else {
                drop(reader);
            }
        }
        tracing::debug!(readers = sharing.len(), "a snapshot is taken");
        let position = match place {
            Some((file, offset)) => Position::Binlog(LogPlace { epoch: 0, file, offset }),
            None => Position::Moment(u64::try_from(now_microseconds).unwrap_or_default()),
        };
        Ok(Self { readers: sharing, position })
    }

    /// What the server has in `databases`, as far as we may see it.
    ///
    /// # Errors
    /// The server's.
    pub fn catalog(&mut self, databases: &[String]) -> Result<Catalog, SourceError> {
        catalog::read(self.first()?, databases)
    }

    /// One of the connections.
    pub(crate) fn first(&mut self) -> Result<&mut Session, SourceError> {
        self.readers.first_mut().ok_or(SourceError::Protocol("a snapshot"))
    }

    /// Takes one of the connections, which is to be put back.
    pub(super) fn take(&mut self) -> Result<Session, SourceError> {
        self.readers.pop().ok_or(SourceError::Protocol("a snapshot"))
    }

    /// Puts a connection back.
    pub(super) fn put(&mut self, session: Session) {
        self.readers.push(session);
    }

    /// How many connections there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// The connections.
    #[must_use]
    pub fn into_readers(self) -> Vec<Session> {
        self.readers
    }
}

/// The file and the byte of a place in the log.
type Place = (u32, u64);

/// The place that most connections share.
fn most_common(places: &[Option<Place>]) -> Option<Place> {
    let count = |place: &Option<Place>| places.iter().filter(|other| *other == place).count();
    places.iter().max_by_key(|place| count(place)).copied().flatten()
}

/// Whether the server tells the place of a snapshot, and the log has all that is committed.
fn can_share(connection: &mut Session) -> Result<bool, SourceError> {
    if connection.flavor != Flavor::MariaDb {
        return Ok(false);
    }
    let whole = "SELECT @@log_bin AND (@@log_slave_updates OR @@gtid_slave_pos = '')";
    Ok(connection.scalar(whole)?.as_deref() == Some("1"))
}

/// Begins a transaction with a view of its own, and tells its place: the number of the log file and the byte in it.
fn begin(connection: &mut Session) -> Result<Option<Place>, SourceError> {
    connection.execute("ROLLBACK")?;
    connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
    if connection.flavor != Flavor::MariaDb {
        return Ok(None);
    }
    let status = "SELECT (SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = \
                  'BINLOG_SNAPSHOT_FILE'), (SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE \
                  VARIABLE_NAME = 'BINLOG_SNAPSHOT_POSITION')";
    let rows = connection.rows(status)?;
    let value = |column| rows.first().and_then(|row| row.get(column).cloned().flatten());
    Ok(value(0).zip(value(1)).and_then(|(file, offset)| {
        // `name.000042`; the server counts on to more digits when six are not enough.
        let number = file.rsplit_once('.')?.1.parse().ok()?;
        Some((number, offset.parse().ok()?))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_group_reads() {
        let (a, b) = (Some((1, 4)), Some((1, 9)));
        assert_eq!(most_common(&[a, b, b]), b);
        assert_eq!(most_common(&[None]), None);
        assert_eq!(most_common(&[]), None);
    }
}
