//! One consistent view of the server for all readers, without a lock over all tables.
//!
//! `START TRANSACTION WITH CONSISTENT SNAPSHOT` fixes what one connection sees; no statement of either server hands that
//! view to another connection. But MariaDB says of such a transaction where in the binary log it was taken
//! (`Binlog_snapshot_file`, `Binlog_snapshot_position`). It takes the view and the place together, under the lock under
//! which transactions are committed in the order of the log (MariaDB, "START TRANSACTION", and `LOCK_commit_ordered` in
//! `sql/log.cc`). So two transactions with one place see the same commits, and **several connections share a view when
//! their places are equal**. They begin one after the other, and all again, a few times, until their places are equal; if
//! they never are, those read that share the most common one.
//!
//! **MySQL tells no place**, but where its log ends. A transaction is first written to the log, which moves the end, and then
//! committed in the engine, which is when others see it. So two views are one if the end is the same before the first and
//! after the last of them, and if, in between the first look at the end and the first view, everything that was in the log
//! by then has been committed ([`server::settle`], which needs the ids of transactions). Without the second condition a
//! transaction that waits between the log and the engine, for a slow disk or a replica's answer, would be in some views only.
//! On a server that never rests, on one without a log or ids, and for an account that may not ask for the end of the log, one
//! connection reads alone: slower, and as right.
//!
//! No lock is taken for any of this: `FLUSH TABLES WITH READ LOCK` would stop all writers for as long as the longest running
//! statement.
//!
//! Not covered: commits that the log does not have. They are those of a session with `sql_log_bin = 0`, and those that a
//! replica without `log_slave_updates` applies; such a replica is read by one connection. Tables of engines without
//! transactions (MyISAM, MEMORY, Aria) are read as they are when they are read, which `discover` notes.
//!
//! A table whose definition changes after the snapshot answers with an error (1412), not with other rows, and the table is
//! read again under a new snapshot.

use ol_chassis::shutdown::Shutdown;

use super::binlog::server;
use super::catalog::{self, Catalog};
use super::error::SourceError;
use super::session::{Flavor, Session};
use super::settings::Settings;
use crate::position::{LogPlace, Position};

/// How often connections that see different moments begin again.
const ATTEMPTS: u32 = 5;

/// Connections that have no view yet.
pub struct Readers(Vec<Session>);

/// Connections that see the same, and where that is in the log.
pub struct Snapshot {
    readers: Vec<Session>,
    /// The place of the snapshot in the log; a time on our clock where there is none.
    pub position: Position,
}

impl Readers {
    /// Connects, at most `streams` times. That there are not connections enough for all is no error: there is one at least.
    ///
    /// # Errors
    /// The server is not reachable or refuses.
    pub fn connect(
        settings: &Settings,
        streams: usize,
        shutdown: &Shutdown,
    ) -> Result<Self, SourceError> {
        let mut readers = Self(vec![Session::open(settings, shutdown.clone())?]);
        readers.connect_more(settings, streams, shutdown)?;
        Ok(readers)
    }

    fn connect_more(
        &mut self,
        settings: &Settings,
        streams: usize,
        shutdown: &Shutdown,
    ) -> Result<(), SourceError> {
        while self.0.len() < streams {
            match Session::open(settings, shutdown.clone()) {
                Ok(connection) => self.0.push(connection),
                Err(SourceError::Stopped) => return Err(SourceError::Stopped),
                Err(error) => {
                    tracing::info!(%error, readers = self.0.len(), "fewer readers than wanted");
                    break;
                }
            }
        }
        Ok(())
    }

    /// Has each begin a transaction with a view of its own, or begin it again.
    ///
    /// # Errors
    /// The server's.
    pub fn begin(&mut self) -> Result<(), SourceError> {
        self.0.iter_mut().try_for_each(|reader| {
            reader.execute("ROLLBACK")?;
            reader.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        })
    }

    /// Their common view, which is at this place.
    #[must_use]
    pub fn sharing(self, position: Position) -> Snapshot {
        Snapshot { readers: self.0, position }
    }

    /// The view of the first of them, which is not before this place.
    #[must_use]
    pub fn alone(mut self, position: Position) -> Snapshot {
        self.0.truncate(1);
        self.sharing(position)
    }

    /// Takes a snapshot of which the server tells the place.
    fn told(mut self, now: Position) -> Result<Snapshot, SourceError> {
        let mut places = Vec::new();
        for _ in 0..ATTEMPTS {
            self.begin()?;
            places.clear();
            for reader in &mut self.0 {
                places.push(place(reader)?);
            }
            if places.iter().all(|place| Some(place) == places.first()) {
                break;
            }
        }
        let place = most_common(&places);
        let mut sharing = Vec::new();
        for (reader, its) in self.0.into_iter().zip(places) {
            // Those whose place is not known see what nobody knows: one reads alone.
            if its == place && (place.is_some() || sharing.is_empty()) {
                sharing.push(reader);
            } else {
                drop(reader);
            }
        }
        let at = |(file, offset)| Position::Binlog(LogPlace { epoch: 0, file, offset });
        Ok(Snapshot { readers: sharing, position: place.map_or(now, at) })
    }

    /// Takes a snapshot between two looks at the end of the log. Its place is the time all the same, as it is for one reader alone:
    /// a table that follows a cursor can only be told whether the server went back by places of one kind.
    fn asked(mut self, now: Position) -> Result<Snapshot, SourceError> {
        for _ in 0..ATTEMPTS {
            let before = self.end()?;
            if !server::settle(self.first()?)? {
                break;
            }
            self.begin()?;
            if self.end()? == before {
                return Ok(self.sharing(now));
            }
        }
        self.begin()?;
        Ok(self.alone(now))
    }

    fn end(&mut self) -> Result<Place, SourceError> {
        let (file, offset, _) = server::end(self.first()?, &[])?;
        Ok((server::file_number(&file)?, offset))
    }

    fn first(&mut self) -> Result<&mut Session, SourceError> {
        self.0.first_mut().ok_or(SourceError::Protocol("a snapshot"))
    }
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
        let now = Position::Moment(u64::try_from(now_microseconds).unwrap_or_default());
        let mut readers = Readers::connect(settings, 1, shutdown)?;
        let first = readers.first()?;
        let (is_shared, flavor) = (can_share(first)?, first.flavor);
        if is_shared {
            readers.connect_more(settings, streams, shutdown)?;
        }
        let snapshot = match (is_shared, flavor) {
            (true, Flavor::MySql) => readers.asked(now)?,
            (true, Flavor::MariaDb) => readers.told(now)?,
            (false, _) => {
                readers.begin()?;
                readers.alone(now)
            }
        };
        tracing::debug!(readers = snapshot.readers(), "a snapshot is taken");
        Ok(snapshot)
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

/// Whether the place of a view can be known, and the log has all that is committed.
fn can_share(connection: &mut Session) -> Result<bool, SourceError> {
    let whole = match connection.flavor {
        Flavor::MariaDb => "SELECT @@log_bin AND (@@log_slave_updates OR @@gtid_slave_pos = '')",
        Flavor::MySql => "SELECT @@log_bin AND @@log_replica_updates AND @@gtid_mode = 'ON'",
    };
    match connection.scalar(whole) {
        Ok(whole) if whole.as_deref() == Some("1") => {}
        // Before MySQL 8.0.26 the setting has another name ("Unknown system variable").
        Ok(_) | Err(SourceError::Server { code: 1193, .. }) => return Ok(false),
        Err(error) => return Err(error),
    }
    match connection.flavor {
        Flavor::MariaDb => Ok(true),
        Flavor::MySql => match server::end(connection, &[]) {
            Ok(_) => Ok(true),
            Err(SourceError::Log { .. }) => Ok(false),
            Err(error) => Err(error),
        },
    }
}

/// The place of a view: the number of the log file and the byte in it.
fn place(connection: &mut Session) -> Result<Option<Place>, SourceError> {
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
