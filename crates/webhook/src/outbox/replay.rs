//! Sending again, and taking away, by a person's word.
//!
//! A replay keeps the message's id: to the receiver it is one more attempt. A message that was
//! overtaken (a newer one of its entity was accepted since) is not replayed, as that would put old
//! content over new; `force` does it all the same.

use serde::Serialize;

use super::State;
use super::database::{Outbox, transaction};
use super::settle::{FORGET, lock_entity, promote};
use crate::error::Result;

/// What became of a message that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replayed {
    /// It will be sent.
    Queued,
    /// It will not be sent: a newer message of its entity exists.
    Overtaken,
    /// It is on its way anyway.
    Unsettled,
    /// It was taken away.
    Dropped,
    /// A worker has it just now.
    Leased,
    /// There is no such message.
    Missing,
}

const FIND: &str =
    "SELECT target, entity, state, version, content_hash FROM webhook_message WHERE id = $1";
const NEWEST: &str = "SELECT max(version) FROM webhook_message
    WHERE target = $1 AND entity = $2 AND state <> 'dropped' AND (batch_id IS NULL OR batch_id <> (
        SELECT coalesce(batch_id, '') FROM webhook_message WHERE id = $3))";
const REQUEUE: &str = "UPDATE webhook_message SET attempts = 0, origin = $3, not_before_ms = NULL, accepted_at_ms = $2, due_at_ms = $2,
        settled_at_ms = NULL, lease_owner = NULL, lease_until_ms = NULL,
        state = CASE WHEN EXISTS (SELECT 1 FROM webhook_message active
            WHERE active.target = webhook_message.target AND active.entity = webhook_message.entity
              AND active.state IN ('queued', 'leased')) THEN 'waiting' ELSE 'queued' END
    WHERE id = $1 AND state NOT IN ('waiting', 'queued', 'leased')";
/// A message that is queued is due now.
const HURRY: &str = "UPDATE webhook_message SET due_at_ms = $2, origin = $3
    WHERE id = $1 AND state = 'queued'";
const REMEMBER: &str = "UPDATE webhook_entity SET latest_hash = $4
    WHERE target = $1 AND entity = $2 AND latest_id = $3";
const DROP: &str = "UPDATE webhook_message SET state = 'dropped', settled_at_ms = $2, sentence = $3
    WHERE id = $1 AND state IN ('waiting', 'queued', 'dead')";

type Found = Option<(String, String, String, i64, String)>;

impl Outbox {
    /// Puts a settled message back into the queue, under its id, and makes a queued one due; `origin` is the run that answers for it.
    ///
    /// # Errors
    /// The database's.
    pub async fn replay(&self, id: &str, force: bool, origin: &str) -> Result<Replayed> {
        let now_ms = self.now_ms();
        transaction!(self, |connection| {
            let found: Found =
                sqlx::query_as(FIND).bind(id).fetch_optional(&mut *connection).await?;
            match found {
                None => Replayed::Missing,
                Some((target, entity, state, version, hash)) => {
                    lock_entity!(self, connection, &target, &entity);
                    let newest: Option<i64> = sqlx::query_scalar(NEWEST)
                        .bind(&target)
                        .bind(&entity)
                        .bind(id)
                        .fetch_one(&mut *connection)
                        .await?;
                    let unsettled = [State::Waiting, State::Leased];
                    if state == State::Queued.word() {
                        sqlx::query(HURRY)
                            .bind(id)
                            .bind(now_ms)
                            .bind(origin)
                            .execute(&mut *connection)
                            .await?;
                        Replayed::Queued
                    } else if unsettled.iter().any(|known| known.word() == state) {
                        Replayed::Unsettled
                    } else if newest.is_some_and(|newest| newest > version) && !force {
                        Replayed::Overtaken
                    } else {
                        let changed = sqlx::query(REQUEUE)
                            .bind(id)
                            .bind(now_ms)
                            .bind(origin)
                            .execute(&mut *connection)
                            .await?
                            .rows_affected();
                        sqlx::query(REMEMBER)
                            .bind(&target)
                            .bind(&entity)
                            .bind(id)
                            .bind(&hash)
                            .execute(&mut *connection)
                            .await?;
                        if changed == 0 { Replayed::Unsettled } else { Replayed::Queued }
                    }
                }
            }
        })
    }

    /// Takes a message out of the queue or the dead letters, with the reason.
    ///
    /// # Errors
    /// The database's.
    pub async fn drop_message(&self, id: &str, reason: &str) -> Result<Replayed> {
        let now_ms = self.now_ms();
        transaction!(self, |connection| {
            let found: Found =
                sqlx::query_as(FIND).bind(id).fetch_optional(&mut *connection).await?;
            match found {
                None => Replayed::Missing,
                Some((target, entity, ..)) => {
                    lock_entity!(self, connection, &target, &entity);
                    let changed = sqlx::query(DROP)
                        .bind(id)
                        .bind(now_ms)
                        .bind(reason)
                        .execute(&mut *connection)
                        .await?
                        .rows_affected();
                    if changed == 0 {
                        Replayed::Leased
                    } else {
                        sqlx::query(FORGET)
                            .bind(&target)
                            .bind(&entity)
                            .bind(id)
                            .execute(&mut *connection)
                            .await?;
                        promote!(connection, &target, &entity, now_ms);
                        Replayed::Dropped
                    }
                }
            }
        })
    }
}
