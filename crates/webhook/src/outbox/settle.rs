//! Recording what became of messages, and letting the next of each entity go.
//!
//! One transaction takes the results of many attempts: one wait for the disk instead of one a
//! message. What nearly all of them came to, "delivered", and the log of all take one statement for many. The
//! count of attempts is the fencing token: a result counts only if the message is still leased for that very attempt.

use std::collections::{BTreeMap, BTreeSet};

use super::database::{Outbox, transaction};
use super::lease::Leased;
use super::rows::ROWS_A_STATEMENT;
use crate::error::{Definite, Error, Result};
use crate::policy::{Class, policy, sentence};

/// What an attempt came to, for the outbox.
#[derive(Debug)]
pub enum Outcome {
    /// The receiver took the message.
    Delivered,
    /// It is tried again at this time.
    Retry {
        /// Milliseconds since 1970.
        due_at_ms: i64,
        /// Before which the receiver does not want to hear of it.
        not_before_ms: Option<i64>,
        /// What failed.
        error: Error,
    },
    /// It is not tried again.
    Dead {
        /// What failed.
        error: Error,
    },
    /// It was not sent; the attempt does not count.
    Returned {
        /// When it is due again.
        due_at_ms: i64,
    },
}

/// The result of one attempt.
#[derive(Debug)]
pub struct Settlement {
    /// The message as it was claimed.
    pub message: Leased,
    /// What it came to.
    pub outcome: Outcome,
    /// When the attempt began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// How long it took, in milliseconds.
    pub milliseconds: i64,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The beginning of the answer's body.
    pub response: Vec<u8>,
    /// Whether the answer went on.
    pub response_truncated: bool,
    /// Hex SHA-256 of the bytes that were sent.
    pub body_sha256: String,
}

/// Makes the next waiting message of an entity the queued one. The announcement of a batch's end is
/// not sent while a part of the batch is dead.
macro_rules! promote {
    ($connection:ident, $target:expr, $entity:expr, $now_ms:expr) => {{
        const PROMOTE: &str = "UPDATE webhook_message SET state = 'queued',
                due_at_ms = CASE WHEN due_at_ms > $3 THEN due_at_ms ELSE $3 END
            WHERE sequence = (SELECT min(sequence) FROM webhook_message
                WHERE target = $1 AND entity = $2 AND state = 'waiting')
            AND NOT EXISTS (SELECT 1 FROM webhook_message active WHERE active.target = $1
                AND active.entity = $2 AND active.state IN ('queued', 'leased'))
            RETURNING sequence, batch_id, batch_index, batch_total";
        const IS_BROKEN: &str = "SELECT count(*) FROM webhook_message
            WHERE batch_id = $1 AND state IN ('dead', 'dropped') AND batch_index < batch_total";
        const BREAK: &str = "UPDATE webhook_message SET state = 'dead', settled_at_ms = $2,
            class = 'permanent', reason = $3, sentence = $4 WHERE sequence = $1";
        loop {
            let next: Option<(i64, Option<String>, Option<i64>, Option<i64>)> =
                sqlx::query_as(PROMOTE)
                    .bind($target)
                    .bind($entity)
                    .bind($now_ms)
                    .fetch_optional(&mut *$connection)
                    .await?;
            let Some((sequence, Some(batch), Some(index), Some(total))) = next else { break };
            if index < total {
                break;
            }
            let broken: i64 =
                sqlx::query_scalar(IS_BROKEN).bind(&batch).fetch_one(&mut *$connection).await?;
            if broken == 0 {
                break;
            }
            let error = $crate::error::Error::new($crate::error::Definite::BatchIncomplete)
                .with("dead_parts", broken);
            sqlx::query(BREAK)
                .bind(sequence)
                .bind($now_ms)
                .bind(error.failure().word())
                .bind($crate::policy::sentence(&error))
                .execute(&mut *$connection)
                .await?;
        }
    }};
}

/// Gives a leased message back to the queue, or lets a newer one of its entity take its place.
/// `$token` is the attempt it is leased for; true when it still was.
macro_rules! supersede_or_requeue {
    ($connection:ident, $target:expr, $entity:expr, $sequence:expr, $token:expr, $due_at_ms:expr,
     $now_ms:expr) => {{
        const NEWER: &str = "EXISTS (SELECT 1 FROM webhook_message newer
            WHERE newer.target = webhook_message.target AND newer.entity = webhook_message.entity
              AND newer.state = 'waiting' AND newer.sequence > webhook_message.sequence
              AND (newer.batch_id IS NULL OR webhook_message.batch_id IS NULL
                OR newer.batch_id <> webhook_message.batch_id))";
        let statement = format!(
            "UPDATE webhook_message SET state = CASE WHEN {NEWER} THEN 'superseded' ELSE 'queued' END,
                settled_at_ms = CASE WHEN {NEWER} THEN $4 ELSE NULL END, due_at_ms = $3,
                lease_owner = NULL, lease_until_ms = NULL
            WHERE sequence = $1 AND state = 'leased' AND total_attempts = $2 RETURNING state"
        );
        let state: Option<String> = sqlx::query_scalar(&statement)
            .bind($sequence)
            .bind($token)
            .bind($due_at_ms)
            .bind($now_ms)
            .fetch_optional(&mut *$connection)
            .await?;
        if state.as_deref() == Some("superseded") {
            promote!($connection, $target, $entity, $now_ms);
        }
        state.is_some()
    }};
}

/// Holds the entity's row, so that nobody puts a message behind ours while we look for the next one.
macro_rules! lock_entity {
    ($outbox:expr, $connection:ident, $target:expr, $entity:expr) => {
        if $outbox.has_row_locks() {
            sqlx::query(
                "SELECT 1 FROM webhook_entity WHERE target = $1 AND entity = $2 FOR UPDATE",
            )
            .bind($target)
            .bind($entity)
            .execute(&mut *$connection)
            .await?;
        }
    };
}

pub(super) use {lock_entity, promote, supersede_or_requeue};

/// Rows of (sequence, attempt, status).
const DELIVERED: &str = "UPDATE webhook_message SET state = 'delivered', settled_at_ms = $1,
        class = NULL, reason = NULL, sentence = NULL, status = result.column3, lease_owner = NULL, lease_until_ms = NULL
    FROM (VALUES {rows}) AS result
    WHERE sequence = result.column1 AND state = 'leased' AND total_attempts = result.column2
    RETURNING sequence, total_attempts, version";
/// Rows of (target, entity, version, hash).
const ARRIVED: &str = "UPDATE webhook_entity
    SET delivered_version = result.column3, delivered_hash = result.column4, delivered_at_ms = $1
    FROM (VALUES {rows}) AS result
    WHERE target = result.column1 AND entity = result.column2 AND delivered_version <= result.column3";
/// Which of these rows of (target, entity) somebody waits behind.
const LINES: &str = "SELECT DISTINCT line.target, line.entity FROM (VALUES {rows}) AS result
    JOIN webhook_message line ON line.target = result.column1 AND line.entity = result.column2
    WHERE line.state = 'waiting'";

/// Records what was delivered, puts (sequence, attempt) of what was still ours into `$taken`, and lets the next of each
/// entity go.
macro_rules! deliver {
    ($outbox:expr, $connection:ident, $results:expr, $now_ms:expr, $taken:ident) => {{
        let statement = $outbox.for_rows(DELIVERED, $results.len(), 3);
        let mut query = sqlx::query_as(&statement).persistent(false).bind($now_ms);
        for result in $results {
            query = query
                .bind(result.message.sequence)
                .bind(result.message.total_attempts)
                .bind(result.status.map(i64::from));
        }
        let rows: Vec<(i64, i64, i64)> = query.fetch_all(&mut *$connection).await?;
        let versions: BTreeMap<(i64, i64), i64> = rows
            .into_iter()
            .map(|(sequence, attempt, version)| ((sequence, attempt), version))
            .collect();
        let version = |message: &Leased| versions.get(&(message.sequence, message.total_attempts));
        let arrived: Vec<(&Leased, i64)> = $results
            .iter()
            .filter_map(|result| Some((&result.message, *version(&result.message)?)))
            .collect();
        if !arrived.is_empty() {
            let statement = $outbox.for_rows(ARRIVED, arrived.len(), 4);
            let mut query = sqlx::query(&statement).persistent(false).bind($now_ms);
            for (message, version) in &arrived {
                query = query
                    .bind(&message.target)
                    .bind(&message.entity)
                    .bind(*version)
                    .bind(&message.content_hash);
            }
            query.execute(&mut *$connection).await?;
            let statement = $outbox.for_rows(LINES, arrived.len(), 2);
            let mut query = sqlx::query_as(&statement).persistent(false);
            for (message, _) in &arrived {
                query = query.bind(&message.target).bind(&message.entity);
            }
            let lines: Vec<(String, String)> = query.fetch_all(&mut *$connection).await?;
            for (target, entity) in &lines {
                promote!($connection, target, entity, $now_ms);
            }
        }
        $taken.extend(versions.into_keys());
    }};
}

/// Logs attempts.
macro_rules! log {
    ($outbox:expr, $connection:ident, $results:expr, $worker:expr) => {{
        let statement = $outbox.for_rows(LOG, $results.len(), 12);
        let mut query = sqlx::query(&statement).persistent(false).bind($worker);
        for result in $results {
            let (error, next_at_ms) = match &result.outcome {
                Outcome::Delivered | Outcome::Returned { .. } => (None, None),
                Outcome::Retry { due_at_ms, error, .. } => (Some(error), Some(*due_at_ms)),
                Outcome::Dead { error } => (Some(error), None),
            };
            let failure = error.map(Error::failure);
            query = query
                .bind(&result.message.id)
                .bind(result.message.total_attempts)
                .bind(result.started_at_ms)
                .bind(result.milliseconds)
                .bind(failure.map(|failure| policy(failure).class.word()))
                .bind(failure.map(|failure| failure.word()))
                .bind(result.status.map(i64::from))
                .bind(error.map(sentence))
                .bind(&result.body_sha256)
                .bind(&result.response)
                .bind(i64::from(result.response_truncated))
                .bind(next_at_ms);
        }
        query.execute(&mut *$connection).await?;
    }};
}

const DEAD: &str = "UPDATE webhook_message SET state = 'dead', settled_at_ms = $3, status = $4,
        class = $5, reason = $6, sentence = $7, lease_owner = NULL, lease_until_ms = NULL
    WHERE sequence = $1 AND state = 'leased' AND total_attempts = $2 RETURNING version";
const NOTE: &str = "UPDATE webhook_message
    SET class = $2, reason = $3, sentence = $4, status = $5, not_before_ms = $6
    WHERE sequence = $1";
/// The count over all replays stays: it is the fencing token and must not come twice.
const UNCOUNT: &str = "UPDATE webhook_message SET attempts = attempts - 1
    WHERE sequence = $1 AND total_attempts = $2 AND state IN ('queued', 'superseded')";
/// Whether this worker recorded this attempt before, in a transaction whose answer was lost.
const IS_RECORDED: &str =
    "SELECT count(*) FROM webhook_attempt WHERE id = $1 AND number = $2 AND worker = $3";
/// The same content may be sent again: it did not arrive.
pub(super) const FORGET: &str = "UPDATE webhook_entity SET latest_hash = NULL
    WHERE target = $1 AND entity = $2 AND latest_id = $3";
/// Rows of what `log!` binds.
const LOG: &str = "INSERT INTO webhook_attempt
    (worker, id, number, started_at_ms, milliseconds, class, reason, status, sentence, body_sha256,
     response, response_truncated, next_at_ms)
    SELECT $1, result.* FROM (VALUES {rows}) AS result WHERE true ON CONFLICT DO NOTHING";

/// Whether the receiver refused what the message says, so that the same content would be refused again. Whatever else
/// a message died of may be mended without its content changing.
fn is_refusal(error: &Error) -> bool {
    let failure = error.failure();
    policy(failure).class == Class::Permanent && failure != Definite::GivenUp.into()
}

impl Outbox {
    /// Records the results of attempts by `worker`. Says of each whether the message was still ours.
    ///
    /// # Errors
    /// The database's; then nothing of it is recorded.
    pub async fn settle(&self, results: &[Settlement], worker: &str) -> Result<Vec<bool>> {
        let now_ms = self.now_ms();
        // Entities are locked in one order everywhere.
        let mut order: Vec<usize> = (0..results.len()).collect();
        let key = |index: &usize| {
            results.get(*index).map(|result| (&result.message.target, &result.message.entity))
        };
        order.sort_by(|a, b| key(a).cmp(&key(b)));
        let of = |is_wanted: fn(&Outcome) -> bool| -> Vec<&Settlement> {
            let ordered = order.iter().filter_map(|index| results.get(*index));
            ordered.filter(|result| is_wanted(&result.outcome)).collect()
        };
        let delivered = of(|outcome| matches!(outcome, Outcome::Delivered));
        let logged = of(|outcome| !matches!(outcome, Outcome::Returned { .. }));
        transaction!(self, |connection| {
            let mut ours = vec![false; results.len()];
            for index in &order {
                let Some(Settlement { message, .. }) = results.get(*index) else { continue };
                lock_entity!(self, connection, &message.target, &message.entity);
            }
            let mut taken = BTreeSet::new();
            for part in delivered.chunks(ROWS_A_STATEMENT) {
                deliver!(self, connection, part, now_ms, taken);
            }
            for index in &order {
                let Some(result) = results.get(*index) else { continue };
                let message = &result.message;
                let (target, entity) = (message.target.as_str(), message.entity.as_str());
                let (sequence, token) = (message.sequence, message.total_attempts);
                let status = result.status.map(i64::from);
                let is_ours = match &result.outcome {
                    Outcome::Delivered => taken.contains(&(sequence, token)),
                    Outcome::Dead { error } => {
                        let version: Option<i64> = sqlx::query_scalar(DEAD)
                            .bind(sequence)
                            .bind(token)
                            .bind(now_ms)
                            .bind(status)
                            .bind(policy(error.failure()).class.word())
                            .bind(error.failure().word())
                            .bind(sentence(error))
                            .fetch_optional(&mut *connection)
                            .await?;
                        if version.is_some() && !is_refusal(error) {
                            sqlx::query(FORGET)
                                .bind(target)
                                .bind(entity)
                                .bind(&message.id)
                                .execute(&mut *connection)
                                .await?;
                        }
                        if version.is_some() {
                            promote!(connection, target, entity, now_ms);
                        }
                        version.is_some()
                    }
                    Outcome::Retry { due_at_ms, not_before_ms, error } => {
                        let is_ours = supersede_or_requeue!(
                            connection, target, entity, sequence, token, *due_at_ms, now_ms
                        );
                        if is_ours {
                            sqlx::query(NOTE)
                                .bind(sequence)
                                .bind(policy(error.failure()).class.word())
                                .bind(error.failure().word())
                                .bind(sentence(error))
                                .bind(status)
                                .bind(*not_before_ms)
                                .execute(&mut *connection)
                                .await?;
                        }
                        is_ours
                    }
                    Outcome::Returned { due_at_ms } => {
                        let is_ours = supersede_or_requeue!(
                            connection, target, entity, sequence, token, *due_at_ms, now_ms
                        );
                        if is_ours {
                            sqlx::query(UNCOUNT)
                                .bind(sequence)
                                .bind(token)
                                .execute(&mut *connection)
                                .await?;
                        }
                        is_ours
                    }
                };
                let is_ours = is_ours || {
                    let recorded: i64 = sqlx::query_scalar(IS_RECORDED)
                        .bind(&message.id)
                        .bind(token)
                        .bind(worker)
                        .fetch_one(&mut *connection)
                        .await?;
                    recorded > 0
                };
                if let Some(flag) = ours.get_mut(*index) {
                    *flag = is_ours;
                }
            }
            for part in logged.chunks(ROWS_A_STATEMENT) {
                log!(self, connection, part, worker);
            }
            ours
        })
    }
}
