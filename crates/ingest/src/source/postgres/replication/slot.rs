//! The server and the slot: facts, what they allow, and the acts.
//!
//! A slot makes the server keep its log until we have acknowledged it, for as long as it takes: a slot that nobody
//! reads fills the disk of somebody else's primary. So every look at a slot says how much it holds back, a limit on
//! that is a failure before the disk is one, and dropping a slot is one statement.
//!
//! Catalogs are read as JSON, because `pg_replication_slots` grew columns with versions 13, 14, 16 and 17, and a
//! column that is not there is then just not known.

use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::error::SlotError;
use crate::position::Position;
use crate::source::postgres::catalog::{self, Catalog};
use crate::source::postgres::error::SourceError;
use crate::source::postgres::settings::Settings;
use crate::source::postgres::snapshot;

/// The first version whose replicas decode their log.
const STANDBY_DECODING_VERSION: i32 = 160_000;

/// A connection for questions about replication, and for the few acts.
pub struct Control {
    pub(super) connection: PgConnection,
    /// `server_version_num`.
    pub version: i32,
}

/// What the server and the role allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// `server_version_num`.
    pub version: i32,
    /// What is logged: `logical` is needed.
    pub wal_level: String,
    /// Whether it is a replica.
    pub in_recovery: bool,
    /// How much log a slot may hold back before the server gives it up, in bytes; `None` for any amount.
    pub max_slot_wal_keep_bytes: Option<u64>,
    /// Whether the role may use replication connections.
    pub may_replicate: bool,
    /// Slots that can still be made.
    pub free_slots: i64,
    /// The end of the log that is written.
    pub position: u64,
    /// The end of the log with what is in memory only.
    pub inserted: u64,
    /// How often the server's writer brings answered commits to the disk.
    pub wal_writer_delay: Duration,
}

/// A slot, as the server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotFacts {
    /// Its name.
    pub name: String,
    /// The output plugin; `None` for a physical slot.
    pub plugin: Option<String>,
    /// The database; `None` for a physical slot.
    pub database: Option<String>,
    /// The server process that streams from it.
    pub active_pid: Option<i32>,
    /// The oldest log that it may need.
    pub restart_lsn: Option<u64>,
    /// What was acknowledged: the next stream begins here or later.
    pub confirmed_flush_lsn: Option<u64>,
    /// `reserved`, `extended`, `unreserved` or `lost` (from version 13).
    pub wal_status: Option<String>,
    /// How much more log can be written before the slot is in danger, in bytes.
    pub safe_wal_size: Option<i64>,
    /// Why the server gave the slot up (from version 17; a conflict from 16).
    pub invalidation: Option<String>,
    /// The log that the server keeps for it, in bytes.
    pub retained_bytes: u64,
}

const SERVER: &str = "
SELECT pg_catalog.current_setting('wal_level') AS wal_level, pg_catalog.pg_is_in_recovery() AS in_recovery,
       (SELECT s.setting::int8 FROM pg_catalog.pg_settings s WHERE s.name = 'max_slot_wal_keep_size') AS keep_megabytes,
       EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = session_user AND (r.rolreplication OR r.rolsuper))
           OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = 'rds_replication'
                      AND pg_catalog.pg_has_role(session_user, r.oid, 'member')) AS may_replicate,
       pg_catalog.current_setting('max_replication_slots')::int8
           - (SELECT count(*) FROM pg_catalog.pg_replication_slots) AS free_slots,
       (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
             ELSE pg_catalog.pg_current_wal_lsn() END)::text AS position,
       (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
             ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text AS inserted,
       (SELECT s.setting::int8 FROM pg_catalog.pg_settings s WHERE s.name = 'wal_writer_delay') AS delay_milliseconds";

const SLOT: &str = "
SELECT pg_catalog.to_jsonb(s)::text AS facts,
       coalesce(pg_catalog.pg_wal_lsn_diff(
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn), 0)::int8 AS retained
FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1";

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// The server is not reachable, refuses the login, or is too old.
    pub async fn open(settings: &Settings) -> Result<Self, SourceError> {
        let (connection, version) = snapshot::connect(settings).await?;
        Ok(Self { connection, version })
    }

    /// What the server and the role allow.
    ///
    /// # Errors
    /// The server's.
    pub async fn server(&mut self) -> Result<ServerFacts, SourceError> {
        let row = sqlx::query(SERVER).fetch_one(&mut self.connection).await?;
        let megabytes: Option<i64> = row.try_get("keep_megabytes")?;
        let position: String = row.try_get("position")?;
        let inserted: String = row.try_get("inserted")?;
        let delay: i64 = row.try_get("delay_milliseconds")?;
        let place =
            |text: &str| lsn(text).ok_or_else(|| SourceError::Protocol("a position".into()));
        Ok(ServerFacts {
            version: self.version,
            wal_level: row.try_get("wal_level")?,
            in_recovery: row.try_get("in_recovery")?,
            max_slot_wal_keep_bytes: megabytes
                .and_then(|megabytes| u64::try_from(megabytes).ok())
                .map(|megabytes| megabytes.saturating_mul(1 << 20)),
            may_replicate: row.try_get("may_replicate")?,
            free_slots: row.try_get("free_slots")?,
            position: place(&position)?,
            inserted: place(&inserted)?,
            wal_writer_delay: Duration::from_millis(u64::try_from(delay).unwrap_or(200)),
        })
    }

    /// A slot, if there is one of this name.
    ///
    /// # Errors
    /// The server's.
    pub async fn slot(&mut self, name: &str) -> Result<Option<SlotFacts>, SourceError> {
        let row = sqlx::query(SLOT).bind(name).fetch_optional(&mut self.connection).await?;
        let Some(row) = row else { return Ok(None) };
        let facts: Value = serde_json::from_str(row.try_get("facts")?)
            .map_err(|_| SourceError::Protocol("the facts of a slot".into()))?;
        let retained: i64 = row.try_get("retained")?;
        Ok(Some(SlotFacts::read(name, &facts, u64::try_from(retained).unwrap_or_default())))
    }

    /// Drops a slot; false when there was none.
    ///
    /// # Errors
    /// It is in use, or the role may not.
    pub async fn drop_slot(&mut self, name: &str) -> Result<bool, SourceError> {
        let dropped = sqlx::query(
            "SELECT pg_catalog.pg_drop_replication_slot(s.slot_name) FROM pg_catalog.pg_replication_slots s \
             WHERE s.slot_name = $1",
        )
        .bind(name)
        .fetch_all(&mut self.connection)
        .await;
        match dropped {
            Ok(rows) => Ok(!rows.is_empty()),
            Err(sqlx::Error::Database(answer)) if answer.code().as_deref() == Some("55006") => {
                let process = self.slot(name).await?.and_then(|facts| facts.active_pid);
                Err(SlotError::InUse { slot: name.to_owned(), process }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a slot that begins where another is; the place.
    ///
    /// # Errors
    /// The server's: a slot of the name exists, none is free, or the log of the other was removed.
    pub async fn copy_slot(&mut self, from: &str, to: &str) -> Result<u64, SourceError> {
        let place: String = sqlx::query_scalar(
            "SELECT c.lsn::text FROM pg_catalog.pg_copy_logical_replication_slot($1, $2, false, 'pgoutput') c",
        )
        .bind(from)
        .bind(to)
        .fetch_one(&mut self.connection)
        .await?;
        lsn(&place).ok_or_else(|| SourceError::Protocol("a position".into()))
    }

    /// Whether everything that is decoded from a slot sees a publication as it is now.
    ///
    /// # Errors
    /// The server's.
    pub async fn is_published_before(
        &mut self,
        publication: &str,
        slot: &str,
    ) -> Result<bool, SourceError> {
        Ok(sqlx::query_scalar(
            "SELECT coalesce(bool_and(pg_catalog.age(x.xmin) > pg_catalog.age(s.catalog_xmin)), false)
             FROM (SELECT p.xmin FROM pg_catalog.pg_publication p WHERE p.pubname = $1
                   UNION ALL SELECT r.xmin FROM pg_catalog.pg_publication_rel r
                   JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1) x,
                  pg_catalog.pg_replication_slots s WHERE s.slot_name = $2",
        )
        .bind(publication)
        .bind(slot)
        .fetch_one(&mut self.connection)
        .await?)
    }

    /// The catalog as it is now.
    ///
    /// # Errors
    /// The server's.
    pub async fn catalog(&mut self) -> Result<Catalog, SourceError> {
        Ok(catalog::read(&mut self.connection).await?)
    }

    /// Takes a lock of this name for as long as the connection lives; false when another session has it.
    ///
    /// # Errors
    /// The server's.
    pub async fn try_lock(&mut self, name: &str) -> Result<bool, SourceError> {
        let key = i64::from_be_bytes(xxhash_rust::xxh3::xxh3_64(name.as_bytes()).to_be_bytes());
        Ok(sqlx::query_scalar("SELECT pg_catalog.pg_try_advisory_lock($1)")
            .bind(key)
            .fetch_one(&mut self.connection)
            .await?)
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// It was lost.
    pub async fn close(self) -> Result<(), SourceError> {
        Ok(self.connection.close().await?)
    }
}

impl ServerFacts {
    /// Whether changes can be streamed from this server by this role; with `new_slot`, from a slot yet to be made.
    ///
    /// # Errors
    /// [`SlotError::Unavailable`], with what is missing.
    pub fn check(&self, new_slot: bool) -> Result<(), SlotError> {
        let refuse = |reason: String| Err(SlotError::Unavailable { reason });
        if self.wal_level != "logical" {
            return refuse(format!("wal_level is {}, not logical", self.wal_level));
        }
        if self.in_recovery && self.version < STANDBY_DECODING_VERSION {
            return refuse(
                "the server is a replica, and replicas before version 16 do not decode".into(),
            );
        }
        if !self.may_replicate {
            return refuse("the role has no right to replicate".into());
        }
        if new_slot && self.free_slots < 1 {
            return refuse("all replication slots (max_replication_slots) are in use".into());
        }
        Ok(())
    }
}

impl SlotFacts {
    fn read(name: &str, facts: &Value, retained_bytes: u64) -> Self {
        let text = |key: &str| facts.get(key)?.as_str().map(str::to_owned);
        let invalidation = text("invalidation_reason").or_else(|| {
            let conflicting = facts.get("conflicting").and_then(Value::as_bool) == Some(true);
            conflicting.then(|| "conflict with recovery".to_owned())
        });
        Self {
            name: name.to_owned(),
            plugin: text("plugin"),
            database: text("database"),
            active_pid: facts
                .get("active_pid")
                .and_then(Value::as_i64)
                .and_then(|process| i32::try_from(process).ok()),
            restart_lsn: text("restart_lsn").as_deref().and_then(lsn),
            confirmed_flush_lsn: text("confirmed_flush_lsn").as_deref().and_then(lsn),
            wal_status: text("wal_status"),
            safe_wal_size: facts.get("safe_wal_size").and_then(Value::as_i64),
            invalidation,
            retained_bytes,
        }
    }

    /// Whether the slot can be streamed from: ours by kind and database, not lost, and nobody else at it.
    ///
    /// # Errors
    /// [`SlotError::Foreign`], [`SlotError::Lost`] or [`SlotError::InUse`].
    pub fn check(&self, database: &str) -> Result<(), SlotError> {
        let slot = || self.name.clone();
        if self.plugin.as_deref() != Some("pgoutput") {
            let plugin = self.plugin.as_deref().unwrap_or("none (a physical slot)");
            let reason = format!("its plugin is {plugin}, not pgoutput");
            return Err(SlotError::Foreign { slot: slot(), reason });
        }
        if self.database.as_deref() != Some(database) {
            let other = self.database.as_deref().unwrap_or("none");
            let reason = format!("its database is {other}, not {database}");
            return Err(SlotError::Foreign { slot: slot(), reason });
        }
        if let Some(reason) = self.lost() {
            return Err(SlotError::Lost { slot: slot(), reason });
        }
        if self.active_pid.is_some() {
            return Err(SlotError::InUse { slot: slot(), process: self.active_pid });
        }
        Ok(())
    }

    /// Why nothing can be streamed from the slot ever again, if so.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        let is_removed = self.wal_status.as_deref() == Some("lost") || self.restart_lsn.is_none();
        let removed = || is_removed.then(|| "the server has removed log that it needs".to_owned());
        self.invalidation.clone().or_else(removed)
    }

    /// Whether the slot is where we left it. We acknowledge only what is durable (invariant I3), so it can be behind
    /// what the tables have, never ahead of it; ahead means that changes went to somebody else, or to nobody.
    ///
    /// # Errors
    /// [`SlotError::Moved`].
    pub fn check_not_moved(&self, recorded: u64) -> Result<(), SlotError> {
        match self.confirmed_flush_lsn {
            Some(confirmed) if confirmed > recorded => {
                Err(SlotError::Moved { slot: self.name.clone(), confirmed, recorded })
            }
            _ => Ok(()),
        }
    }

    /// Whether the server keeps no more log for the slot than `limit` bytes.
    ///
    /// # Errors
    /// [`SlotError::TooFarBehind`].
    pub fn check_retained(&self, limit: u64) -> Result<(), SlotError> {
        if self.retained_bytes <= limit {
            return Ok(());
        }
        let (slot, retained) = (self.name.clone(), self.retained_bytes);
        Err(SlotError::TooFarBehind { slot, retained, limit })
    }
}

fn lsn(text: &str) -> Option<u64> {
    text.parse::<Position>().ok().map(Position::lsn)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slot(change: impl FnOnce(&mut Value)) -> SlotFacts {
        let mut facts = json!({
            "plugin": "pgoutput", "database": "app", "active_pid": null, "restart_lsn": "0/10",
            "confirmed_flush_lsn": "1/20", "wal_status": "reserved", "safe_wal_size": null,
        });
        change(&mut facts);
        SlotFacts::read("s", &facts, 7)
    }

    fn set(key: &str, value: Value) -> SlotFacts {
        slot(|facts| {
            facts.as_object_mut().expect("made as one").insert(key.to_owned(), value);
        })
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        assert_eq!(slot(|_| ()).check("app"), Ok(()));
        let found = |facts: SlotFacts| facts.check("app").expect_err("something is wrong");
        let foreign = [
            set("plugin", json!("wal2json")),
            set("plugin", Value::Null),
            set("database", json!("b")),
        ];
        for facts in foreign {
            assert!(matches!(found(facts), SlotError::Foreign { .. }));
        }
        let lost = [
            set("wal_status", json!("lost")),
            set("restart_lsn", Value::Null),
            set("invalidation_reason", json!("idle_timeout")),
            set("conflicting", json!(true)),
        ];
        for facts in lost {
            assert!(matches!(found(facts), SlotError::Lost { .. }));
        }
        let used = found(set("active_pid", json!(42)));
        assert_eq!(used, SlotError::InUse { slot: "s".into(), process: Some(42) });
    }

    #[test]
    fn a_slot_ahead_of_everything_was_moved_and_one_behind_was_not() {
        let facts = slot(|_| ());
        assert_eq!(facts.check_not_moved(0x1_0000_0020), Ok(()));
        assert!(facts.check_not_moved(0x1_0000_001F).is_err());
        assert_eq!(facts.check_retained(7), Ok(()));
        assert!(facts.check_retained(6).is_err());
    }

    #[test]
    fn a_server_that_cannot_is_told_what_is_missing() {
        let able = ServerFacts {
            version: 150_000,
            wal_level: "logical".into(),
            in_recovery: false,
            max_slot_wal_keep_bytes: None,
            may_replicate: true,
            free_slots: 0,
            position: 0,
            inserted: 0,
            wal_writer_delay: Duration::from_millis(200),
        };
        assert_eq!(able.check(false), Ok(()));
        assert!(able.check(true).is_err(), "no slot is free");
        let unable = [
            ServerFacts { wal_level: "replica".into(), ..able.clone() },
            ServerFacts { in_recovery: true, ..able.clone() },
            ServerFacts { may_replicate: false, ..able.clone() },
        ];
        for facts in unable {
            assert!(facts.check(false).is_err(), "{facts:?}");
        }
        let replica = ServerFacts { in_recovery: true, version: 160_000, ..able };
        assert_eq!(replica.check(false), Ok(()));
    }
}
