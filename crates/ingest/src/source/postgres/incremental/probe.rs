//! What is asked of the server around the snapshot: who it is, and which transactions live.

use std::fmt;
use std::str::FromStr;

use sqlx::PgConnection;

use super::visibility::SourceSnapshot;
use super::watermark::{Around, Live};
use crate::source::postgres::error::SourceError;

/// Which history of which database ids and positions belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's identifier, given when it was initialized.
    pub system: String,
    /// The timeline: every promotion begins one.
    pub timeline: u32,
    /// The database.
    pub database: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.system, self.timeline, self.database)
    }
}

/// The text is not an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text does not identify a source")]
pub struct IdentityError;

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let mut fields = text.splitn(3, '/');
        let (Some(system), Some(timeline), Some(database)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return Err(IdentityError);
        };
        let timeline = timeline.parse().map_err(|_| IdentityError)?;
        Ok(Self { system: system.to_owned(), timeline, database: database.to_owned() })
    }
}

/// What the snapshot is, and what was going on around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Whose snapshot it is.
    pub identity: Identity,
    /// The transactions around it.
    pub around: Around,
}

/// Asked before the transaction of the snapshot begins.
pub struct Before {
    identity: Identity,
    live: Live,
    in_recovery: bool,
}

/// On a primary the name of the current log file begins with the timeline. In recovery the control file knows it, as
/// of the last restart point.
const IDENTITY: &str = "
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), pg_catalog.pg_is_in_recovery(),
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN
           (SELECT GREATEST(c.timeline_id, r.min_recovery_end_timeline)::text
            FROM pg_catalog.pg_control_checkpoint() c, pg_catalog.pg_control_recovery() r)
       ELSE (SELECT ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)
                    ::int4::text) END,
       pg_catalog.current_database()::text";

/// Virtual ids of transactions that may write to this database. Whoever waits for one holds no exclusive lock on it.
const VIRTUAL_IDS: &str = "
SELECT l.virtualxid::text FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND coalesce(a.datname = pg_catalog.current_database(), true)
  AND a.backend_type IS DISTINCT FROM 'autovacuum worker'";

const PREPARED: &str = "
SELECT transaction::text FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()";

/// Asks before the snapshot is taken. No transaction may be open: what is read must be of this moment.
///
/// # Errors
/// The server's.
pub async fn before(connection: &mut PgConnection) -> Result<Before, SourceError> {
    let (system, in_recovery, timeline, database): (String, bool, String, String) =
        sqlx::query_as(IDENTITY).fetch_one(&mut *connection).await?;
    let timeline = timeline.parse().map_err(|_| SourceError::Protocol("a timeline".into()))?;
    let virtual_ids = sqlx::query_scalar(VIRTUAL_IDS).fetch_all(&mut *connection).await?;
    let prepared = prepared(connection).await?;
    // Prepared ids have 32 bits; the snapshot, which is taken later, says of which round they are.
    let live = Live { virtual_ids, ids: prepared };
    Ok(Before { identity: Identity { system, timeline, database }, live, in_recovery })
}

/// Asks within the transaction of the snapshot, after it was taken.
///
/// # Errors
/// The server's.
pub async fn after(
    connection: &mut PgConnection,
    version: i32,
    before: Before,
) -> Result<Moment, SourceError> {
    let current = if version >= 130_000 {
        "SELECT pg_catalog.pg_current_snapshot()::text"
    } else {
        "SELECT pg_catalog.txid_current_snapshot()::text"
    };
    let snapshot: String = sqlx::query_scalar(current).fetch_one(&mut *connection).await?;
    let snapshot: SourceSnapshot =
        snapshot.parse().map_err(|_| SourceError::Protocol("a snapshot".into()))?;
    let virtual_ids = sqlx::query_scalar(VIRTUAL_IDS).fetch_all(&mut *connection).await?;
    let mut ids: Vec<u64> =
        prepared(connection).await?.into_iter().map(|id| widened(id, &snapshot)).collect();
    ids.extend(snapshot.running.iter().copied());
    ids.sort_unstable();
    ids.dedup();
    let before_ids = before.live.ids.into_iter().map(|id| widened(id, &snapshot)).collect();
    let around = Around {
        before: Live { ids: before_ids, ..before.live },
        snapshot,
        after: Live { virtual_ids, ids },
        in_recovery: before.in_recovery,
    };
    Ok(Moment { identity: before.identity, around })
}

async fn prepared(connection: &mut PgConnection) -> Result<Vec<u64>, SourceError> {
    let ids: Vec<String> = sqlx::query_scalar(PREPARED).fetch_all(connection).await?;
    ids.iter()
        .map(|id| id.parse().map_err(|_| SourceError::Protocol("a transaction id".into())))
        .collect()
}

/// A 32-bit id of a transaction that runs around a snapshot, in 64 bits: the nearest to its `xmax`, as running
/// transactions are less than 2³¹ apart.
fn widened(id: u64, snapshot: &SourceSnapshot) -> u64 {
    const ROUND: u64 = 1 << 32;
    let same_round = (snapshot.xmax & !(ROUND - 1)) | (id & (ROUND - 1));
    match same_round.abs_diff(snapshot.xmax) > ROUND / 2 {
        true if same_round > snapshot.xmax => same_round.saturating_sub(ROUND),
        true => same_round + ROUND,
        false => same_round,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_widened_across_the_wrap() {
        let snapshot = |xmax| SourceSnapshot { xmin: 3, xmax, running: Vec::new() };
        let round = 1u64 << 32;
        assert_eq!(widened(900, &snapshot(1000)), 900);
        assert_eq!(widened(1100, &snapshot(1000)), 1100);
        assert_eq!(widened(round - 5, &snapshot(round + 10)), round - 5);
        assert_eq!(widened(7, &snapshot(round - 10)), round + 7);
        assert_eq!(widened(7, &snapshot(3 * round + 10)), 3 * round + 7);
    }

    #[test]
    fn an_identity_reads_back() {
        let identity = Identity { system: "7".into(), timeline: 3, database: "a/b".into() };
        assert_eq!(identity.to_string().parse(), Ok(identity));
        assert_eq!("7/x/b".parse::<Identity>(), Err(IdentityError));
        assert_eq!("7/1".parse::<Identity>(), Err(IdentityError));
    }
}
