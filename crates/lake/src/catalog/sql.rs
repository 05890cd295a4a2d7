//! The SQL catalog on SQLite and Postgres: the two tables of Iceberg's JDBC catalog, which PyIceberg, Spark and Trino
//! read directly.
//!
//! The Apache crate has such a catalog. It is not used for writing: it ignores a failed transaction commit on create,
//! cannot commit a change made outside its own transaction type, and gives no way to set how long SQLite waits for a
//! lock. A test opens our tables with it.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::{Catalog, Entry, Inserted, Next, Swapped};
use crate::error::{Error, ErrorKind, Result};
use crate::settings::{CATALOG_NAME, CatalogAddress};
use crate::table::TableName;

const CREATE_TABLES: &str = "CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL,
    table_namespace VARCHAR(255) NOT NULL,
    table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000),
    previous_metadata_location VARCHAR(1000),
    iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name))";
const CREATE_NAMESPACES: &str = "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL,
    namespace VARCHAR(255) NOT NULL,
    property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000),
    PRIMARY KEY (catalog_name, namespace, property_key))";
/// Fails when a table is missing or has another shape; cheaper than creating, and needs no right to create.
const PROBE: &str = "SELECT 1 FROM iceberg_tables t, iceberg_namespace_properties p
    WHERE t.iceberg_type = '' AND t.metadata_location = '' AND p.property_key = '' LIMIT 1";
const HAS_NAMESPACE: &str = "SELECT namespace FROM iceberg_namespace_properties
    WHERE catalog_name = $1 AND namespace = $2 LIMIT 1";
const NAMESPACES: &str = "SELECT DISTINCT namespace FROM iceberg_namespace_properties
    WHERE catalog_name = $1 ORDER BY namespace";
const ADD_NAMESPACE: &str = "INSERT INTO iceberg_namespace_properties
    (catalog_name, namespace, property_key, property_value) VALUES ($1, $2, 'exists', 'true')
    ON CONFLICT DO NOTHING";
/// Entries of catalogs from before the column existed have a null type and are tables.
const LOCATE: &str = "SELECT metadata_location FROM iceberg_tables
    WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";
const LIST: &str = "SELECT table_name, metadata_location FROM iceberg_tables
    WHERE catalog_name = $1 AND table_namespace = $2
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL) ORDER BY table_name";
const INSERT: &str = "INSERT INTO iceberg_tables
    (catalog_name, table_namespace, table_name, metadata_location, previous_metadata_location, iceberg_type)
    VALUES ($1, $2, $3, $4, NULL, 'TABLE') ON CONFLICT DO NOTHING";
const SWAP: &str = "UPDATE iceberg_tables
    SET metadata_location = $1, previous_metadata_location = $2
    WHERE catalog_name = $3 AND table_namespace = $4 AND table_name = $5 AND metadata_location = $2";
const REMOVE: &str = "DELETE FROM iceberg_tables
    WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3";

/// How long a locked SQLite database is waited for, when the address does not say.
const BUSY_TIMEOUT_SECONDS: u64 = 10;
const CONNECT_TIMEOUT_SECONDS: u64 = 15;
/// Both tables limit names and locations; SQLite does not enforce it, so it is checked here for both.
const NAME_LIMIT: usize = 255;
const LOCATION_LIMIT: usize = 1000;

/// A catalog in a SQL database.
#[derive(Debug)]
pub(crate) struct SqlCatalog {
    pool: Pool,
}

#[derive(Debug)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs the same statement on either database. Both take `$1` for the first parameter.
macro_rules! execute {
    ($self:expr, $statement:expr $(, $parameter:expr)* $(,)?) => {
        match &$self.pool {
            Pool::Sqlite(pool) => sqlx::query($statement)$(.bind($parameter))*
                .execute(pool).await.map(|done| done.rows_affected()),
            Pool::Postgres(pool) => sqlx::query($statement)$(.bind($parameter))*
                .execute(pool).await.map(|done| done.rows_affected()),
        }
    };
}

macro_rules! fetch {
    ($self:expr, $row:ty, $statement:expr $(, $parameter:expr)* $(,)?) => {
        match &$self.pool {
            Pool::Sqlite(pool) => {
                sqlx::query_as::<_, $row>($statement)$(.bind($parameter))*.fetch_all(pool).await
            }
            Pool::Postgres(pool) => {
                sqlx::query_as::<_, $row>($statement)$(.bind($parameter))*.fetch_all(pool).await
            }
        }
    };
}

impl SqlCatalog {
    /// Connects, and creates the catalog's tables when they are missing.
    pub(crate) async fn open(address: &CatalogAddress) -> Result<Self> {
        let pool = match address.expose().split_once(':') {
            Some(("sqlite", rest)) => Pool::Sqlite(open_sqlite(rest).await?),
            Some(("postgres" | "postgresql", _rest)) => {
                Pool::Postgres(open_postgres(address).await?)
            }
            _other => {
                return Err(Error::new(ErrorKind::Settings)
                    .with("catalog", address)
                    .with("reason", "it is neither sqlite:PATH nor postgres://…"));
            }
        };
        let catalog = Self { pool };
        if execute!(catalog, PROBE).is_ok() {
            return Ok(catalog);
        }
        for statement in [CREATE_TABLES, CREATE_NAMESPACES] {
            if let Err(error) = execute!(catalog, statement) {
                // Two processes may create at the same moment; the second has what it wants.
                if execute!(catalog, PROBE).is_err() {
                    return Err(catalog.failed(error, Doing::Reading));
                }
            }
        }
        execute!(catalog, PROBE).map_err(|error| {
            Error::new(ErrorKind::CatalogCorrupt)
                .with("reason", "its tables are not those of an Iceberg SQL catalog")
                .because(error)
        })?;
        Ok(catalog)
    }

    fn failed(&self, error: sqlx::Error, doing: Doing) -> Error {
        let kind = match &self.pool {
            Pool::Sqlite(_) => sqlite_kind(&error, doing),
            Pool::Postgres(_) => postgres_kind(&error, doing),
        };
        Error::new(kind).because(error)
    }
}

async fn open_sqlite(rest: &str) -> Result<SqlitePool> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path == ":memory:" {
        return Err(Error::new(ErrorKind::Settings)
            .with("reason", "a catalog on SQLite needs the path of a file: sqlite:PATH"));
    }
    let mut busy_timeout_seconds = BUSY_TIMEOUT_SECONDS;
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (key.as_ref(), value.parse()) {
            ("busy_timeout_seconds", Ok(seconds)) => busy_timeout_seconds = seconds,
            ("mode", _) => {}
            _other => {
                return Err(Error::new(ErrorKind::Settings)
                    .with("catalog option", key)
                    .with("reason", "only busy_timeout_seconds=N is known"));
            }
        }
    }
    if let Some(folder) = std::path::Path::new(path).parent() {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::new(ErrorKind::CatalogRefused)
                .with("path", path)
                .with("reason", "its folder cannot be created")
                .because(error)
        })?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(busy_timeout_seconds))
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL may lose the last commits of a WAL at power loss, after they were acknowledged to the source.
        .synchronous(SqliteSynchronous::Full);
    // SQLite has one writer; one connection queues our tasks fairly instead of letting them poll the lock.
    SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(busy_timeout_seconds.max(1) * 6))
        .connect_with(options)
        .await
        .map_err(|error| {
            Error::new(sqlite_kind(&error, Doing::Reading)).with("path", path).because(error)
        })
}

async fn open_postgres(address: &CatalogAddress) -> Result<PgPool> {
    // The parser's message may repeat parts of the address, so it is not kept as the cause.
    let options: PgConnectOptions = address.expose().parse().map_err(|_secret: sqlx::Error| {
        Error::new(ErrorKind::Settings)
            .with("catalog", address)
            .with("reason", "it is not postgres://user:password@host:port/database")
    })?;
    let place = format!("{}:{}", options.get_host(), options.get_port());
    PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(CONNECT_TIMEOUT_SECONDS))
        .connect_with(options.application_name("ol-flows"))
        .await
        .map_err(|error| {
            Error::new(postgres_kind(&error, Doing::Reading)).with("server", place).because(error)
        })
}

/// Whether a failure can leave a change behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Reading,
    Writing,
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds of this open enum all mean the same here"
)]
fn sqlite_kind(error: &sqlx::Error, doing: Doing) -> ErrorKind {
    let sqlx::Error::Database(database) = error else {
        return match error {
            sqlx::Error::PoolTimedOut => ErrorKind::CatalogLocked,
            _other if doing == Doing::Writing => ErrorKind::CommitStateUnknown,
            _other => ErrorKind::CatalogUnreachable,
        };
    };
    let code: i32 = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    // The low byte is the primary result code: https://www.sqlite.org/rescode.html
    match code & 0xff {
        5 | 6 => ErrorKind::CatalogLocked,
        13 => ErrorKind::NoSpace,
        3 | 8 | 14 | 23 => ErrorKind::CatalogRefused,
        11 | 26 => ErrorKind::CatalogCorrupt,
        10 if doing == Doing::Writing => ErrorKind::CommitStateUnknown,
        10 => ErrorKind::CatalogUnreachable,
        _other => ErrorKind::CatalogCorrupt,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds of this open enum all mean the same here"
)]
fn postgres_kind(error: &sqlx::Error, doing: Doing) -> ErrorKind {
    let sqlx::Error::Database(database) = error else {
        return match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => ErrorKind::CatalogUnreachable,
            _other if doing == Doing::Writing => ErrorKind::CommitStateUnknown,
            sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => ErrorKind::CatalogRefused,
            _other => ErrorKind::CatalogUnreachable,
        };
    };
    let code = database.code().unwrap_or_default().into_owned();
    match code.as_str() {
        "55P03" | "40001" | "40P01" | "57014" => ErrorKind::CatalogLocked,
        "53100" => ErrorKind::NoSpace,
        // The server went away while it worked; whether it committed first is not known.
        "57P01" | "57P02" if doing == Doing::Writing => ErrorKind::CommitStateUnknown,
        "57P01" | "57P02" | "57P03" => ErrorKind::CatalogUnreachable,
        other if other.starts_with("53") || other.starts_with("08") => {
            ErrorKind::CatalogUnreachable
        }
        "28P01" | "28000" | "3D000" | "42501" | "25006" => ErrorKind::CatalogRefused,
        _other => ErrorKind::CatalogCorrupt,
    }
}

fn check_length(what: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.is_empty() || text.chars().count() > limit || text.contains('\0') {
        return Err(Error::new(ErrorKind::SchemaInvalid)
            .with(what, text)
            .with("reason", format!("a catalog stores 1 to {limit} characters")));
    }
    Ok(())
}

#[async_trait]
impl Catalog for SqlCatalog {
    async fn ensure_namespace(&self, namespace: &str, _location: &str) -> Result<()> {
        check_length("namespace", namespace, NAME_LIMIT)?;
        if self.has_namespace(namespace).await? {
            return Ok(());
        }
        execute!(self, ADD_NAMESPACE, CATALOG_NAME, namespace)
            .map_err(|error| self.failed(error, Doing::Writing).with("namespace", namespace))?;
        Ok(())
    }

    async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        let rows = fetch!(self, (String,), HAS_NAMESPACE, CATALOG_NAME, namespace);
        let rows =
            rows.map_err(|error| self.failed(error, Doing::Reading).with("namespace", namespace))?;
        Ok(!rows.is_empty())
    }

    async fn namespaces(&self) -> Result<Vec<String>> {
        let rows = fetch!(self, (String,), NAMESPACES, CATALOG_NAME)
            .map_err(|error| self.failed(error, Doing::Reading))?;
        Ok(rows.into_iter().map(|(namespace,)| namespace).collect())
    }

    async fn load(&self, name: &TableName) -> Result<Option<Entry>> {
        let rows =
            fetch!(self, (Option<String>,), LOCATE, CATALOG_NAME, &name.namespace, &name.name)
                .map_err(|error| self.failed(error, Doing::Reading).with("table", name))?;
        match rows.into_iter().next() {
            None => Ok(None),
            Some((Some(location),)) => Ok(Some(Entry::at(location))),
            Some((None,)) => Err(Error::new(ErrorKind::CatalogCorrupt)
                .with("table", name)
                .with("reason", "its entry names no metadata file")),
        }
    }

    async fn list(&self, namespace: &str) -> Result<Vec<(TableName, Option<String>)>> {
        let rows = fetch!(self, (String, Option<String>), LIST, CATALOG_NAME, namespace);
        let rows =
            rows.map_err(|error| self.failed(error, Doing::Reading).with("namespace", namespace))?;
        Ok(rows
            .into_iter()
            .map(|(name, location)| (TableName::new(namespace, name), location))
            .collect())
    }

    async fn insert(&self, new: Next<'_>) -> Result<Inserted> {
        let Next { name, location, .. } = new;
        check_length("namespace", &name.namespace, NAME_LIMIT)?;
        check_length("table", &name.name, NAME_LIMIT)?;
        check_length("location", location, LOCATION_LIMIT)?;
        let inserted = execute!(self, INSERT, CATALOG_NAME, &name.namespace, &name.name, location)
            .map_err(|error| self.failed(error, Doing::Writing).with("table", name))?;
        Ok(if inserted == 1 { Inserted::Done(None) } else { Inserted::Exists })
    }

    async fn swap(&self, next: Next<'_>) -> Result<Swapped> {
        let Next { name, base, location, .. } = next;
        let Some(base) = base else { return Ok(Swapped::Lost) };
        check_length("location", location, LOCATION_LIMIT)?;
        let swapped =
            execute!(self, SWAP, location, base, CATALOG_NAME, &name.namespace, &name.name)
                .map_err(|error| self.failed(error, Doing::Writing).with("table", name))?;
        Ok(if swapped == 1 { Swapped::Done(None) } else { Swapped::Lost })
    }

    async fn remove(&self, name: &TableName) -> Result<bool> {
        let removed = execute!(self, REMOVE, CATALOG_NAME, &name.namespace, &name.name)
            .map_err(|error| self.failed(error, Doing::Writing).with("table", name))?;
        Ok(removed == 1)
    }
}
