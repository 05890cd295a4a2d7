//! A connection with our settings, and a source that is open for reading.

use ol_chassis::secret::SecretUrl;
use ol_chassis::shutdown::Shutdown;

use super::catalog::Catalog;
use super::error::SourceError;
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::wire::Connection;
use crate::error::{Doing, Error, Result};
use crate::source::address::SourceAddress;

/// What every session is set to, so that a value is the same whatever the account, the database or the server says.
///
/// - `time_zone`: a `timestamp` is kept as an instant and shown in this zone.
/// - `sql_mode`: empty, so that quotes and backslashes mean what we mean, and `PAD_CHAR_TO_FULL_LENGTH` pads nothing.
/// - `character_set_results`: text comes as UTF-8, whatever character set a column has.
/// - `sql_select_limit`, `sql_big_selects`: a limit would cut rows off without a word, or refuse to read a large table.
/// - `net_write_timeout`: how long the server waits while we write what it sent; `lock_wait_timeout`: how long we wait for a
///   table, for whoever waits for a lock holds up everybody behind him.
pub const SESSION: &str = "\
SET SESSION time_zone = '+00:00', sql_mode = '', character_set_client = utf8mb4, character_set_connection = utf8mb4, \
character_set_results = utf8mb4, collation_connection = utf8mb4_bin, sql_select_limit = 18446744073709551615, \
sql_big_selects = 1, sql_safe_updates = 0, net_write_timeout = 600, net_read_timeout = 600, wait_timeout = 28800, \
lock_wait_timeout = 30, autocommit = 1, sql_quote_show_create = 1";

/// The server's software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// MariaDB.
    MariaDb,
    /// MySQL and what is built from it.
    MySql,
}

/// A connection with our settings.
pub struct Session {
    /// The connection.
    pub connection: Connection,
    /// The software.
    pub flavor: Flavor,
}

impl Session {
    /// Connects. Blocks.
    ///
    /// # Errors
    /// The server is not reachable, refuses the login, does not encrypt, or is too old.
    pub fn open(settings: &Settings, shutdown: Shutdown) -> Result<Self, SourceError> {
        let mut connection = Connection::open(settings, shutdown)?;
        let version = connection.scalar("SELECT VERSION()")?.unwrap_or_default();
        let (flavor, is_supported) = supported(&version);
        if !is_supported {
            return Err(SourceError::TooOld(version));
        }
        // A snapshot is long by nature; what limits a statement's time has two names.
        let limit = match flavor {
            Flavor::MariaDb => "max_statement_time",
            Flavor::MySql => "max_execution_time",
        };
        connection.execute(&format!("{SESSION}, {limit} = 0"))?;
        connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        Ok(Self { connection, flavor })
    }

    /// Runs a statement that returns no rows.
    ///
    /// # Errors
    /// The server's, or the connection is lost.
    pub fn execute(&mut self, statement: &str) -> Result<(), SourceError> {
        self.connection.execute(statement)
    }

    /// The rows of a small query, as text.
    ///
    /// # Errors
    /// The server's, or the connection is lost.
    pub fn rows(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        self.connection.rows(query)
    }

    /// The first column of the first row of a query.
    ///
    /// # Errors
    /// The server's, or the connection is lost.
    pub fn scalar(&mut self, query: &str) -> Result<Option<String>, SourceError> {
        self.connection.scalar(query)
    }
}

/// The software and whether its version is one we read: MySQL from 5.7, MariaDB from 10.4.
fn supported(version: &str) -> (Flavor, bool) {
    let number = version.split(['-', '+', ' ']).next().unwrap_or_default();
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version_number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version.to_ascii_lowercase().contains("mariadb") {
        (Flavor::MariaDb, version_number >= (10, 4))
    } else {
        (Flavor::MySql, version_number >= (5, 7))
    }
}

/// What every command starts from: one snapshot, and the catalog.
pub struct Source {
    /// Held for as long as the source is read, so that leased credentials are renewed.
    _url: SecretUrl,
    /// How connections are made.
    pub settings: Settings,
    /// What the server calls itself: what it was given when it was made, else its number among others.
    pub server: String,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What there is in the URL's database and in the ones that were asked for.
    pub catalog: Catalog,
}

/// What a source is opened for.
pub struct Opening {
    /// Databases to look at beside the URL's.
    pub databases: Vec<String>,
    /// The most connections.
    pub streams: usize,
    /// The time, in microseconds since 1970-01-01 UTC.
    pub now_microseconds: i64,
    /// The request to stop.
    pub shutdown: Shutdown,
}

impl Source {
    /// Looks the source up, connects, takes the snapshot and reads the catalog.
    ///
    /// # Errors
    /// It is not known where the source is, it cannot be reached, or it refuses.
    pub async fn open(address: &SourceAddress, opening: Opening) -> Result<Self> {
        let (url, settings) = Settings::resolve(address).await?;
        let of_task = settings.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let (settings, stop) = (&of_task, &opening.shutdown);
            let now = opening.now_microseconds;
            let snapshot = Snapshot::open(settings, opening.streams, now, stop);
            let mut snapshot = snapshot.map_err(|error| error.into_error(Doing::Connecting))?;
            let mut databases = opening.databases;
            databases.push(of_task.database.clone());
            databases.sort_unstable();
            databases.dedup();
            let catalog = snapshot.catalog(&databases);
            let mut catalog = catalog.map_err(|error| error.into_error(Doing::Reading))?;
            catalog.database.clone_from(&of_task.database);
            let server = snapshot.first().and_then(identity);
            let server = server.map_err(|error| error.into_error(Doing::Reading))?;
            Ok((snapshot, catalog, server))
        });
        let opened = match opened.await {
            Ok(opened) => opened,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        // The address is a fact of the failure; it shows no password.
        let (snapshot, catalog, server) = opened.map_err(|error: Error| {
            error.with("source", &url).with("variable", address.variable())
        })?;
        Ok(Self { _url: url, settings, server, snapshot, catalog })
    }

    /// Asks over one of the connections of the snapshot.
    ///
    /// # Errors
    /// What `question` returns, or the connection is lost.
    pub async fn ask<T: Send + 'static>(
        &mut self,
        question: impl FnOnce(&mut Session) -> std::result::Result<T, SourceError> + Send + 'static,
    ) -> std::result::Result<T, SourceError> {
        let mut session = self.snapshot.take()?;
        let asked = tokio::task::spawn_blocking(move || {
            let answer = question(&mut session);
            (answer, session)
        });
        match asked.await {
            Ok((answer, session)) => {
                self.snapshot.put(session);
                answer
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// MySQL and MariaDB from 10.11 have an identifier of their own, under different names.
fn identity(session: &mut Session) -> std::result::Result<String, SourceError> {
    let asked = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid')";
    let own = session.rows(asked)?.into_iter().next().and_then(|row| row.into_iter().nth(1));
    match own.flatten() {
        Some(own) => Ok(own),
        None => Ok(format!("id {}", session.scalar("SELECT @@server_id")?.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        assert_eq!(supported("10.11.19-MariaDB-deb12-log"), (Flavor::MariaDb, true));
        assert_eq!(supported("10.3.39-MariaDB"), (Flavor::MariaDb, false));
        assert_eq!(supported("8.0.40"), (Flavor::MySql, true));
        assert_eq!(supported("8.4.3-commercial"), (Flavor::MySql, true));
        assert_eq!(supported("5.6.51-log"), (Flavor::MySql, false));
    }
}
