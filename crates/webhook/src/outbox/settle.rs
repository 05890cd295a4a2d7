//! Recording what became of messages, and letting the next of each entity go.
//!
//! One transaction takes the results of many attempts: one wait for the disk instead of one a
//! message. The count of attempts is the fencing token: a result counts only if the message is still
//! leased for that very attempt.

use super::database::{Outbox, transaction};
use super::lease::Leased;
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

const DELIVERED: &str = "UPDATE webhook_message SET state = 'delivered', settled_at_ms = $3,
        class = NULL, reason = NULL, sentence = NULL, status = $4, lease_owner = NULL, lease_until_ms = NULL
    WHERE sequence = $1 AND state = 'leased' AND total_attempts = $2 RETURNING version";
const ARRIVED: &str = "UPDATE webhook_entity
    SET delivered_version = $3, delivered_hash = $4, delivered_at_ms = $5
    WHERE target = $1 AND entity = $2 AND delivered_version <= $3";
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
const LOG: &str = "INSERT INTO webhook_attempt
    (id, number, started_at_ms, milliseconds, worker, class, reason, status, sentence, body_sha256,
     response, response_truncated, next_at_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";

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
        transaction!(self, |connection| {
            let mut ours = vec![false; results.len()];
            for index in &order {
                let Some(result) = results.get(*index) else { continue };
                let message = &result.message;
                let (target, entity) = (message.target.as_str(), message.entity.as_str());
                let (sequence, token) = (message.sequence, message.total_attempts);
                let status = result.status.map(i64::from);
                lock_entity!(self, connection, target, entity);
                let is_ours = match &result.outcome {
                    Outcome::Delivered => {
                        let version: Option<i64> = sqlx::query_scalar(DELIVERED)
                            .bind(sequence)
                            .bind(token)
                            .bind(now_ms)
                            .bind(status)
                            .fetch_optional(&mut *connection)
                            .await?;
                        if let Some(version) = version {
                            sqlx::query(ARRIVED)
                                .bind(target)
                                .bind(entity)
                                .bind(version)
                                .bind(&message.content_hash)
                                .bind(now_ms)
                                .execute(&mut *connection)
                                .await?;
                            promote!(connection, target, entity, now_ms);
                        }
                        version.is_some()
                    }
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
                let (error, next_at_ms) = match &result.outcome {
                    Outcome::Delivered => (None, None),
                    Outcome::Retry { due_at_ms, error, .. } => (Some(error), Some(*due_at_ms)),
                    Outcome::Dead { error } => (Some(error), None),
                    Outcome::Returned { .. } => continue,
                };
                let failure = error.map(Error::failure);
                sqlx::query(LOG)
                    .bind(&message.id)
                    .bind(message.total_attempts)
                    .bind(result.started_at_ms)
                    .bind(result.milliseconds)
                    .bind(worker)
                    .bind(failure.map(|failure| policy(failure).class.word()))
                    .bind(failure.map(|failure| failure.word()))
                    .bind(status)
                    .bind(error.map(sentence))
                    .bind(&result.body_sha256)
                    .bind(&result.response)
                    .bind(i64::from(result.response_truncated))
                    .bind(next_at_ms)
                    .execute(&mut *connection)
                    .await?;
            }
            ours
        })
    }
}
