//! The tables of an outbox. Both databases take `$1` for the first parameter and share every
//! statement but these.
//!
//! Columns ending in `_ms` are milliseconds since 1970-01-01 UTC; truth values are 0 and 1.

/// Version of the tables; a change of them raises it and says how to get there.
pub(super) const VERSION: i64 = 1;

/// Statements that make the tables, in order. `{key}` and `{bytes}` differ by database.
const STATEMENTS: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS webhook_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    // One row a message. `version` counts the messages of an entity; `origin` is the run that answers for it;
    // `not_before_ms` is what the receiver asked for by Retry-After.
    "CREATE TABLE IF NOT EXISTS webhook_message (
        sequence {key},
        id TEXT NOT NULL UNIQUE,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        scope TEXT NOT NULL,
        entity TEXT NOT NULL,
        identity TEXT NOT NULL,
        version BIGINT NOT NULL,
        is_tombstone BIGINT NOT NULL,
        batch_id TEXT,
        batch_index BIGINT,
        batch_total BIGINT,
        body {bytes} NOT NULL,
        content_hash TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts BIGINT NOT NULL DEFAULT 0,
        total_attempts BIGINT NOT NULL DEFAULT 0,
        created_at_ms BIGINT NOT NULL,
        accepted_at_ms BIGINT NOT NULL,
        due_at_ms BIGINT NOT NULL,
        settled_at_ms BIGINT,
        origin TEXT NOT NULL DEFAULT '',
        not_before_ms BIGINT,
        lease_owner TEXT,
        lease_until_ms BIGINT,
        class TEXT,
        reason TEXT,
        status BIGINT,
        sentence TEXT)",
    // What is known of an entity. `latest` is the newest message accepted, `delivered` the newest
    // that arrived.
    "CREATE TABLE IF NOT EXISTS webhook_entity (
        target TEXT NOT NULL,
        entity TEXT NOT NULL,
        scope TEXT NOT NULL,
        identity TEXT NOT NULL,
        version BIGINT NOT NULL,
        present BIGINT NOT NULL,
        latest_id TEXT,
        latest_hash TEXT,
        delivered_version BIGINT NOT NULL DEFAULT 0,
        delivered_hash TEXT,
        delivered_at_ms BIGINT,
        PRIMARY KEY (target, entity))",
    // One row an attempt; `number` counts the attempts of a message over all its replays.
    "CREATE TABLE IF NOT EXISTS webhook_attempt (
        id TEXT NOT NULL,
        number BIGINT NOT NULL,
        started_at_ms BIGINT NOT NULL,
        milliseconds BIGINT NOT NULL,
        worker TEXT NOT NULL,
        class TEXT,
        reason TEXT,
        status BIGINT,
        sentence TEXT,
        body_sha256 TEXT NOT NULL,
        response {bytes},
        response_truncated BIGINT NOT NULL,
        next_at_ms BIGINT,
        PRIMARY KEY (id, number))",
    // The invariant of order: at most one active message an entity.
    "CREATE UNIQUE INDEX IF NOT EXISTS webhook_message_active ON webhook_message (target, entity)
        WHERE state IN ('queued', 'leased')",
    "CREATE INDEX IF NOT EXISTS webhook_message_due ON webhook_message (target, due_at_ms, sequence)
        WHERE state = 'queued'",
    "CREATE INDEX IF NOT EXISTS webhook_message_line ON webhook_message (target, entity, sequence)
        WHERE state = 'waiting'",
    "CREATE INDEX IF NOT EXISTS webhook_message_origin ON webhook_message (origin, state, due_at_ms)
        WHERE origin <> ''",
    "CREATE INDEX IF NOT EXISTS webhook_message_leased ON webhook_message (lease_until_ms)
        WHERE state = 'leased'",
    "CREATE INDEX IF NOT EXISTS webhook_message_dead ON webhook_message (sequence)
        WHERE state = 'dead'",
    "CREATE INDEX IF NOT EXISTS webhook_message_settled ON webhook_message (settled_at_ms)
        WHERE settled_at_ms IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS webhook_message_batch ON webhook_message (batch_id)
        WHERE batch_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS webhook_entity_scope ON webhook_entity (target, scope, entity)
        WHERE present = 1",
];

/// The statements for SQLite.
pub(super) fn sqlite() -> Vec<String> {
    statements("INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB")
}

/// The statements for Postgres.
pub(super) fn postgres() -> Vec<String> {
    statements("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BYTEA")
}

fn statements(key: &str, bytes: &str) -> Vec<String> {
    let fill = |text: &&str| text.replace("{key}", key).replace("{bytes}", bytes);
    STATEMENTS.iter().map(fill).collect()
}
