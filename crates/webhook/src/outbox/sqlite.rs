//! An outbox in a file: nothing to install, one machine.

use std::path::Path;
use std::time::Duration;

use ol_chassis::clock::Clock;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::error::{Definite, Error, Failure, Result, Transient};

/// How long a locked database is waited for, when the address does not say.
const BUSY_TIMEOUT_SECONDS: u64 = 10;
/// How soon a database that could not be opened is opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(20);

/// Opens `PATH[?busy_timeout_seconds=N]`, making the file and its folder when they are missing.
pub(super) async fn open(rest: &str, clock: &dyn Clock) -> Result<SqlitePool> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    let settings = |reason: &str| {
        Error::new(Definite::Configuration).with("variable", "OL_OUTBOX").with("reason", reason)
    };
    if path.is_empty() || path == ":memory:" {
        return Err(settings("an outbox on SQLite needs the path of a file: sqlite:PATH"));
    }
    let mut busy_timeout_seconds = BUSY_TIMEOUT_SECONDS;
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (key.as_ref(), value.parse()) {
            ("busy_timeout_seconds", Ok(seconds)) => busy_timeout_seconds = seconds,
            _other => return Err(settings("only busy_timeout_seconds=N may follow the path")),
        }
    }
    if let Some(folder) = Path::new(path).parent() {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::new(Definite::OutboxUnwritable).with("path", folder.display()).because(error)
        })?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(busy_timeout_seconds))
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL may lose the last commits of a WAL at power loss: messages that were accepted.
        .synchronous(SqliteSynchronous::Full);
    // SQLite has one writer; one connection queues our tasks fairly instead of letting them poll the lock.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(busy_timeout_seconds.max(1) * 6));
    let give_up_at = clock.monotonic() + Duration::from_secs(busy_timeout_seconds);
    loop {
        let error = match pool.clone().connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            Err(error) => error,
        };
        let failure = failure(&error);
        // Of processes that make a new file a write-ahead log at one time, SQLite tells some at once that it is
        // locked: the busy timeout does not hold where two wait for each other's lock
        // (https://www.sqlite.org/c3ref/busy_handler.html).
        let is_locked = failure == Transient::OutboxLocked.into();
        if !is_locked || clock.monotonic() >= give_up_at {
            return Err(Error::new(failure).with("path", path).because(error));
        }
        clock.sleep(OPEN_AGAIN).await;
    }
}

/// What a failure of SQLite means.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds of this open enum all mean the same here"
)]
pub(super) fn failure(error: &sqlx::Error) -> Failure {
    let sqlx::Error::Database(database) = error else {
        return match error {
            sqlx::Error::PoolTimedOut => Transient::OutboxLocked.into(),
            _other => Definite::OutboxForeign.into(),
        };
    };
    let code: i32 = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    // The low byte is the primary result code: https://www.sqlite.org/rescode.html
    match code & 0xff {
        5 | 6 => Transient::OutboxLocked.into(),
        13 => Definite::DiskFull.into(),
        // PERM, READONLY, CANTOPEN, AUTH, and IOERR: the file system says no.
        3 | 8 | 10 | 14 | 23 => Definite::OutboxUnwritable.into(),
        _other => Definite::OutboxForeign.into(),
    }
}
