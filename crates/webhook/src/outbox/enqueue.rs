//! Putting messages into the outbox: once, in order, and only what is new.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::State;
use super::database::{Outbox, transaction};
use super::rows::ROWS_A_STATEMENT;
use crate::error::Result;
use crate::signature::hex;

/// Messages a transaction takes: bounds memory, and how long others wait for the lock.
const MESSAGES_A_TRANSACTION: usize = 500;

/// A message to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The receiver, e.g. `learn`.
    pub target: String,
    /// The kind of payload, e.g. `content_files`.
    pub kind: String,
    /// The set that a complete snapshot is compared with, e.g. `content_files/canvas`.
    pub scope: String,
    /// What must be kept in order.
    pub entity: String,
    /// What a tombstone needs to name it.
    pub identity: String,
    /// The bytes to send.
    pub body: Vec<u8>,
    /// Hex hash of what the body says, without what changes at every send.
    pub content_hash: String,
    /// Whether it says that something is gone.
    pub is_tombstone: bool,
    /// Its place in a batch, if it has one.
    pub place: Option<Place>,
}

/// A place in a batch: `index` from 0; the announcement of the end has `index == total`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The batch.
    pub id: String,
    /// Which part.
    pub index: u32,
    /// How many parts there are.
    pub total: u32,
}

/// What became of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the outbox under this id, and took the place of so many older ones.
    Message {
        /// The message's id, the same at every attempt.
        id: String,
        /// Older messages of its entity that will not be sent.
        superseded: u64,
    },
    /// The entity's latest message says the same, and the receiver refused it for good: it is a dead letter, and
    /// sending it again would change nothing.
    StillDead {
        /// That message.
        id: String,
    },
    /// The entity's latest message says the same.
    Unchanged {
        /// That message.
        id: String,
        /// Whether it has arrived; otherwise it is on its way.
        is_delivered: bool,
    },
}

/// Locks the entities' rows and says what is known of them; rows of (target, entity, scope, identity), no entity twice.
const TOUCH: &str = "INSERT INTO webhook_entity (target, entity, scope, identity, version, present)
    SELECT result.*, 0, 0 FROM (VALUES {rows}) AS result WHERE true
    ON CONFLICT (target, entity) DO UPDATE SET scope = excluded.scope, identity = excluded.identity
    RETURNING target, entity, version, latest_hash, latest_id, delivered_hash";
const STATE: &str = "SELECT state FROM webhook_message WHERE id = $1";
/// A message that is on its way becomes this run's own, and is tried now, unless the receiver asked for patience.
const ADOPT: &str = "UPDATE webhook_message SET origin = $2,
        due_at_ms = CASE WHEN coalesce(not_before_ms, 0) > $3 THEN not_before_ms ELSE $3 END
    WHERE id = $1 AND state IN ('waiting', 'queued', 'leased')";
const SUPERSEDE: &str = "UPDATE webhook_message
    SET state = 'superseded', settled_at_ms = $3, class = NULL, reason = NULL
    WHERE target = $1 AND entity = $2 AND state IN ('queued', 'waiting')
      AND (batch_id IS NULL OR batch_id <> $4)";
/// Rows of what is bound to it, no entity twice.
const INSERT: &str = "INSERT INTO webhook_message
    (id, target, kind, scope, entity, identity, version, is_tombstone, batch_id, batch_index, batch_total,
     body, content_hash, origin, created_at_ms, accepted_at_ms, due_at_ms, state)
    SELECT result.*, result.column15, result.column15,
      CASE WHEN EXISTS (SELECT 1 FROM webhook_message active WHERE active.target = result.column2
           AND active.entity = result.column5 AND active.state IN ('queued', 'leased'))
      THEN 'waiting' ELSE 'queued' END
    FROM (VALUES {rows}) AS result";
/// Rows of (target, entity, version, present, id, hash).
const REMEMBER: &str = "UPDATE webhook_entity
    SET version = result.column3, present = result.column4, latest_id = result.column5, latest_hash = result.column6
    FROM (VALUES {rows}) AS result WHERE target = result.column1 AND entity = result.column2";

/// What is known of an entity: its version, the hash and the id of its latest message, the hash of what arrived.
type Known = (i64, Option<String>, Option<String>, Option<String>);
/// A row of [`TOUCH`].
type Touched = (String, String, i64, Option<String>, Option<String>, Option<String>);

/// The drafts in their order, cut so that no part has an entity twice.
fn runs(drafts: &[Draft]) -> Vec<&[Draft]> {
    let mut runs = Vec::new();
    let (mut begin, mut seen) = (0, BTreeSet::new());
    for (index, draft) in drafts.iter().enumerate() {
        let is_full = index - begin == ROWS_A_STATEMENT;
        if is_full || seen.contains(&(&draft.target, &draft.entity)) {
            runs.extend(drafts.get(begin..index));
            begin = index;
            seen.clear();
        }
        seen.insert((&draft.target, &draft.entity));
    }
    runs.extend(drafts.get(begin..).filter(|rest| !rest.is_empty()));
    runs
}

impl Outbox {
    /// Puts messages into the outbox, in their order for each entity. When this returns they are
    /// durable; on an error, a whole number of transactions of at most 500 messages is.
    ///
    /// With `force`, content that is unchanged is sent all the same, as a new message. `origin` names the run that
    /// answers for the messages; empty for nobody in particular.
    ///
    /// # Errors
    /// The database's.
    pub async fn enqueue(
        &self,
        drafts: &[Draft],
        force: bool,
        origin: &str,
    ) -> Result<Vec<Accepted>> {
        let mut accepted = Vec::with_capacity(drafts.len());
        for part in drafts.chunks(MESSAGES_A_TRANSACTION) {
            accepted.extend(self.enqueue_part(part, force, origin).await?);
        }
        Ok(accepted)
    }

    async fn enqueue_part(
        &self,
        drafts: &[Draft],
        force: bool,
        origin: &str,
    ) -> Result<Vec<Accepted>> {
        let now_ms = self.now_ms();
        // Entities are locked in one order everywhere, or two processes would lock each other out.
        let entities: BTreeSet<(&str, &str)> =
            drafts.iter().map(|draft| (draft.target.as_str(), draft.entity.as_str())).collect();
        let locks_first = entities.len() > 1 && self.has_row_locks();
        transaction!(self, |connection| {
            if locks_first {
                for (target, entity) in &entities {
                    sqlx::query(
                        "SELECT 1 FROM webhook_entity WHERE target = $1 AND entity = $2 FOR UPDATE",
                    )
                    .bind(*target)
                    .bind(*entity)
                    .execute(&mut *connection)
                    .await?;
                }
            }
            let mut accepted = Vec::with_capacity(drafts.len());
            for run in runs(drafts) {
                let statement = self.for_rows(TOUCH, run.len(), 4);
                let mut query = sqlx::query_as(&statement).persistent(false);
                for draft in run {
                    query = query
                        .bind(&draft.target)
                        .bind(&draft.entity)
                        .bind(&draft.scope)
                        .bind(&draft.identity);
                }
                let touched: Vec<Touched> = query.fetch_all(&mut *connection).await?;
                let mut known: BTreeMap<(String, String), Known> = touched
                    .into_iter()
                    .map(|(target, entity, version, hash, latest, arrived)| {
                        ((target, entity), (version, hash, latest, arrived))
                    })
                    .collect();
                let mut new: Vec<(&Draft, i64, String)> = Vec::new();
                for draft in run {
                    let entity = (draft.target.clone(), draft.entity.clone());
                    let (version, hash, latest, arrived) =
                        known.remove(&entity).ok_or(sqlx::Error::RowNotFound)?;
                    let is_same = hash.as_deref() == Some(draft.content_hash.as_str());
                    if let (false, true, Some(id)) = (force, is_same, latest) {
                        let state: Option<String> = sqlx::query_scalar(STATE)
                            .bind(&id)
                            .fetch_optional(&mut *connection)
                            .await?;
                        if state.as_deref() == Some(State::Dead.word()) {
                            accepted.push(Accepted::StillDead { id });
                            continue;
                        }
                        let mut is_delivered = arrived == hash;
                        if !origin.is_empty() && state.as_deref() != Some(State::Delivered.word()) {
                            let adopted = sqlx::query(ADOPT)
                                .bind(&id)
                                .bind(origin)
                                .bind(now_ms)
                                .execute(&mut *connection)
                                .await?;
                            is_delivered &= adopted.rows_affected() == 0;
                        }
                        accepted.push(Accepted::Unchanged { id, is_delivered });
                        continue;
                    }
                    let version = version + 1;
                    let id = self.message_id(draft, version);
                    let batch = draft.place.as_ref().map(|place| place.id.as_str());
                    let superseded = if version == 1 {
                        0
                    } else {
                        sqlx::query(SUPERSEDE)
                            .bind(&draft.target)
                            .bind(&draft.entity)
                            .bind(now_ms)
                            .bind(batch.unwrap_or_default())
                            .execute(&mut *connection)
                            .await?
                            .rows_affected()
                    };
                    accepted.push(Accepted::Message { id: id.clone(), superseded });
                    new.push((draft, version, id));
                }
                if new.is_empty() {
                    continue;
                }
                let statement = self.for_rows(INSERT, new.len(), 15);
                let mut query = sqlx::query(&statement).persistent(false);
                for (draft, version, id) in &new {
                    let place = draft.place.as_ref();
                    query = query
                        .bind(id)
                        .bind(&draft.target)
                        .bind(&draft.kind)
                        .bind(&draft.scope)
                        .bind(&draft.entity)
                        .bind(&draft.identity)
                        .bind(*version)
                        .bind(i64::from(draft.is_tombstone))
                        .bind(place.map(|place| place.id.as_str()))
                        .bind(place.map(|place| i64::from(place.index)))
                        .bind(place.map(|place| i64::from(place.total)))
                        .bind(&draft.body)
                        .bind(&draft.content_hash)
                        .bind(origin)
                        .bind(now_ms);
                }
                query.execute(&mut *connection).await?;
                let statement = self.for_rows(REMEMBER, new.len(), 6);
                let mut query = sqlx::query(&statement).persistent(false);
                for (draft, version, id) in &new {
                    query = query
                        .bind(&draft.target)
                        .bind(&draft.entity)
                        .bind(*version)
                        .bind(i64::from(!draft.is_tombstone))
                        .bind(id)
                        .bind(&draft.content_hash);
                }
                query.execute(&mut *connection).await?;
            }
            accepted
        })
    }

    /// The id of a message: the same for the same message, another for every other one.
    ///
    /// It hashes what the message is (target, kind, entity, content) and which one it is (the
    /// entity's version in this very outbox): content that comes back after it had changed is a new
    /// message, and a receiver that drops known ids must not drop it.
    fn message_id(&self, draft: &Draft, version: i64) -> String {
        let mut hash = Sha256::new();
        for part in [&self.instance, &draft.target, &draft.kind, &draft.entity, &draft.content_hash]
        {
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(version.to_le_bytes());
        let digest = hash.finalize();
        format!("msg_{}", hex(digest.get(..16).unwrap_or(&digest)))
    }
}
