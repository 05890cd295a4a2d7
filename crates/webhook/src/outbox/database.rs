//! Opening an outbox, and running the same statements on either database.

use std::sync::Arc;

use ol_chassis::clock::Clock;
use ol_chassis::secret::SecretUrl;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use super::clock::OutboxClock;
use super::{postgres, schema, sqlite};
use crate::error::{Definite, Error, Failure, Result, Transient};

/// An open outbox. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Outbox {
    pub(super) pool: Pool,
    clock: OutboxClock,
    /// Which outbox this is, for ever: part of every message's id.
    pub(super) instance: String,
    /// Calls of the database that are under way, for a simulation that must not let time pass meanwhile.
    #[cfg(test)]
    under_way: Arc<std::sync::atomic::AtomicUsize>,
}

/// A call of the database is under way as long as this lives.
pub(super) struct Call {
    #[cfg(test)]
    under_way: Arc<std::sync::atomic::AtomicUsize>,
}

#[cfg(test)]
impl Drop for Call {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[derive(Debug, Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Tries of a transaction that lost against another one.
pub(super) const TRIES: u32 = 8;

/// Runs `$body` inside a transaction on either database; a transaction that lost against another
/// (a deadlock) is run again, so the body must not change anything outside it.
macro_rules! transaction {
    ($outbox:expr, |$connection:ident| $body:block) => {{
        let _call = $outbox.call();
        let mut tries = 0;
        loop {
            tries += 1;
            let result: std::result::Result<_, sqlx::Error> = match &$outbox.pool {
                $crate::outbox::database::Pool::Sqlite(pool) => {
                    async {
                        let mut $connection = pool.begin_with("BEGIN IMMEDIATE").await?;
                        let value = $body;
                        $connection.commit().await?;
                        Ok(value)
                    }
                    .await
                }
                $crate::outbox::database::Pool::Postgres(pool) => {
                    async {
                        let mut $connection = pool.begin().await?;
                        let value = $body;
                        $connection.commit().await?;
                        Ok(value)
                    }
                    .await
                }
            };
            match result {
                Err(error)
                    if tries < $crate::outbox::database::TRIES
                        && $crate::outbox::database::lost(&error) => {}
                Err(error) => break Err($outbox.failed(error)),
                Ok(value) => break Ok(value),
            }
        }
    }};
}

/// Runs one statement on either database.
macro_rules! execute {
    ($outbox:expr, $statement:expr $(, $parameter:expr)* $(,)?) => {{
        let _call = $outbox.call();
        match &$outbox.pool {
            $crate::outbox::database::Pool::Sqlite(pool) => sqlx::query($statement)$(.bind($parameter))*
                .execute(pool).await.map(|done| done.rows_affected()),
            $crate::outbox::database::Pool::Postgres(pool) => sqlx::query($statement)$(.bind($parameter))*
                .execute(pool).await.map(|done| done.rows_affected()),
        }
    }};
}

/// Reads rows of one statement on either database.
macro_rules! fetch {
    ($outbox:expr, $row:ty, $statement:expr $(, $parameter:expr)* $(,)?) => {{
        let _call = $outbox.call();
        match &$outbox.pool {
            $crate::outbox::database::Pool::Sqlite(pool) =>
                sqlx::query_as::<_, $row>($statement)$(.bind($parameter))*.fetch_all(pool).await,
            $crate::outbox::database::Pool::Postgres(pool) =>
                sqlx::query_as::<_, $row>($statement)$(.bind($parameter))*.fetch_all(pool).await,
        }
    }};
}

pub(super) use {execute, fetch, transaction};

/// True for a transaction that another one made fail, which may be run again at once.
pub(super) fn lost(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

impl Outbox {
    /// Opens the outbox at `sqlite:PATH` or `postgres://…`, making its tables when they are missing.
    ///
    /// # Errors
    /// [`Definite::Configuration`] for another address; what the database says otherwise.
    pub async fn open(address: &SecretUrl, clock: Arc<dyn Clock>) -> Result<Self> {
        let pool = match address.expose().split_once(':') {
            Some(("sqlite", rest)) => Pool::Sqlite(sqlite::open(rest, clock.as_ref()).await?),
            Some(("postgres" | "postgresql", _rest)) => {
                Pool::Postgres(postgres::open(address).await?)
            }
            _other => {
                return Err(Error::new(Definite::Configuration)
                    .with("variable", "OL_OUTBOX")
                    .with("outbox", address)
                    .with("reason", "it is none of sqlite:PATH and postgres://…"));
            }
        };
        let mut outbox = Self {
            pool,
            clock: OutboxClock::of_machine(Arc::clone(&clock)),
            instance: String::new(),
            #[cfg(test)]
            under_way: Arc::default(),
        };
        outbox.prepare().await.map_err(|error| error.with("outbox", address))?;
        if let Some(server_ms) = outbox.server_time().await? {
            outbox.clock = OutboxClock::anchored(clock, server_ms);
        }
        Ok(outbox)
    }

    /// Says that a call of the database is under way.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "a simulation counts calls"))]
    pub(super) fn call(&self) -> Call {
        #[cfg(test)]
        self.under_way.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Call {
            #[cfg(test)]
            under_way: Arc::clone(&self.under_way),
        }
    }

    /// Whether a call of the database is under way.
    #[cfg(test)]
    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.load(std::sync::atomic::Ordering::SeqCst) > 0
    }

    /// Milliseconds since 1970 by the clock of the outbox.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Makes the tables if need be, and learns which outbox this is.
    async fn prepare(&mut self) -> Result<()> {
        const PROBE: &str =
            "SELECT name, value FROM webhook_meta WHERE name IN ('version', 'instance')";
        let known = fetch!(self, (String, String), PROBE);
        let rows = match known {
            Ok(rows) if rows.len() == 2 => rows,
            Ok(_) | Err(sqlx::Error::Database(_)) => {
                self.create().await?;
                fetch!(self, (String, String), PROBE).map_err(|error| self.failed(error))?
            }
            Err(error) => return Err(self.failed(error)),
        };
        let value = |name: &str| {
            rows.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let version = value("version").and_then(|text| text.parse::<i64>().ok());
        if version != Some(schema::VERSION) {
            return Err(Error::new(Definite::OutboxForeign)
                .with("version", version.unwrap_or_default())
                .with("known_version", schema::VERSION));
        }
        self.instance = value("instance").unwrap_or_default();
        Ok(())
    }

    async fn create(&self) -> Result<()> {
        let statements = match &self.pool {
            Pool::Sqlite(_) => schema::sqlite(),
            Pool::Postgres(_) => schema::postgres(),
        };
        let instance = uuid::Uuid::new_v4().simple().to_string();
        let version = schema::VERSION.to_string();
        // Two processes may create at the same moment: the lock makes the second wait and find all there.
        let is_postgres = matches!(self.pool, Pool::Postgres(_));
        transaction!(self, |connection| {
            if is_postgres {
                sqlx::query("SELECT pg_advisory_xact_lock(7734213)")
                    .execute(&mut *connection)
                    .await?;
            }
            for statement in &statements {
                sqlx::query(statement).execute(&mut *connection).await?;
            }
            for (name, value) in [("version", &version), ("instance", &instance)] {
                sqlx::query(
                    "INSERT INTO webhook_meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                )
                .bind(name)
                .bind(value)
                .execute(&mut *connection)
                .await?;
            }
        })
    }

    /// The time of the database's server, where it has one of its own.
    async fn server_time(&self) -> Result<Option<i64>> {
        const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        match &self.pool {
            Pool::Sqlite(_) => Ok(None),
            Pool::Postgres(pool) => {
                let now: i64 = sqlx::query_scalar(NOW)
                    .fetch_one(pool)
                    .await
                    .map_err(|error| self.failed(error))?;
                Ok(Some(now))
            }
        }
    }

    /// The error of this crate for one of the database's.
    pub(super) fn failed(&self, error: sqlx::Error) -> Error {
        let failure: Failure = match &self.pool {
            Pool::Sqlite(_) => sqlite::failure(&error),
            Pool::Postgres(_) if matches!(error, sqlx::Error::PoolTimedOut) => {
                Transient::OutboxUnreachable.into()
            }
            Pool::Postgres(_) => postgres::failure(&error),
        };
        Error::new(failure).because(error)
    }
}
