//! Looking into the outbox, a page at a time.

use globset::Glob;
use serde::Serialize;

use super::State;
use super::database::{Outbox, fetch};
use crate::error::{Definite, Error, Result};
use crate::policy::Class;

/// Which messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of an entity that matches this glob.
    pub entity: Option<String>,
    /// Whose last failure was of this class.
    pub class: Option<Class>,
    /// Whose last failure was of this kind.
    pub reason: Option<String>,
    /// Of this batch.
    pub batch: Option<String>,
    /// That this run answers for.
    pub origin: Option<String>,
    /// Accepted at or after this moment, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// After this one, by sequence.
    pub after: Option<i64>,
}

/// A message as a person looks at it; the body is got apart.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Message {
    /// Its place in the order of arrival.
    pub sequence: i64,
    /// The same at every attempt.
    pub id: String,
    /// The receiver.
    pub target: String,
    /// The kind of payload.
    pub kind: String,
    /// What is kept in order.
    pub entity: String,
    /// What names it at the receiver.
    pub identity: String,
    /// Which message of its entity, from 1.
    pub version: i64,
    /// Where it stands.
    pub state: String,
    /// Attempts since it was accepted or replayed.
    pub attempts: i64,
    /// Class of the last failure.
    pub class: Option<String>,
    /// Kind of the last failure.
    pub reason: Option<String>,
    /// Status of the last answer.
    pub status: Option<i64>,
    /// What happened and what to do.
    pub sentence: Option<String>,
    /// The batch it is part of.
    pub batch_id: Option<String>,
    /// Bytes of its body.
    pub body_bytes: i64,
    /// Hash of what the body says.
    pub content_hash: String,
    /// When it was put into the outbox.
    pub created_at_ms: i64,
    /// When it is due.
    pub due_at_ms: i64,
    /// When it was settled.
    pub settled_at_ms: Option<i64>,
}

/// One attempt, as a person looks at it.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Attempt {
    /// From 1, over all replays.
    pub number: i64,
    /// When it began.
    pub started_at_ms: i64,
    /// How long it took.
    pub milliseconds: i64,
    /// Which worker made it.
    pub worker: String,
    /// Class of the failure; absent for a success.
    pub class: Option<String>,
    /// Kind of the failure.
    pub reason: Option<String>,
    /// Status of the answer.
    pub status: Option<i64>,
    /// What happened.
    pub sentence: Option<String>,
    /// Hash of the bytes sent.
    pub body_sha256: String,
    /// The beginning of the answer.
    #[serde(serialize_with = "as_text")]
    pub response: Option<Vec<u8>>,
    /// Whether the answer went on.
    pub response_truncated: i64,
    /// When the next attempt was planned.
    pub next_at_ms: Option<i64>,
}

/// How many messages there are by state.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counts {
    /// By state, all states.
    pub states: std::collections::BTreeMap<&'static str, i64>,
    /// When the oldest message that is not settled was accepted.
    pub oldest_unsettled_at_ms: Option<i64>,
}

impl Counts {
    /// How many are in a state.
    #[must_use]
    pub fn of(&self, state: State) -> i64 {
        self.states.get(state.word()).copied().unwrap_or_default()
    }

    /// How many are not settled.
    #[must_use]
    pub fn unsettled(&self) -> i64 {
        [State::Waiting, State::Queued, State::Leased].map(|state| self.of(state)).iter().sum()
    }
}

fn as_text<S: serde::Serializer>(
    bytes: &Option<Vec<u8>>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    bytes.as_deref().map(String::from_utf8_lossy).serialize(serializer)
}

const COLUMNS: &str = "SELECT sequence, id, target, kind, entity, identity, version, state, attempts, class, reason,
    status, sentence, batch_id, CAST(length(body) AS BIGINT) AS body_bytes, content_hash, created_at_ms, due_at_ms, settled_at_ms
    FROM webhook_message";
const LIST: &str = " WHERE sequence > $1 AND ($2 = '' OR state = $2) AND ($3 = '' OR kind = $3)
    AND ($4 = '' OR class = $4) AND ($5 = '' OR reason = $5) AND ($6 = '' OR batch_id = $6)
    AND accepted_at_ms >= $7 AND ($9 = '' OR origin = $9) ORDER BY sequence LIMIT $8";
/// The same for the few messages in one of the states that have an index of their own.
const LIST_DEAD: &str = " WHERE state = 'dead' AND sequence > $1 AND ($2 = '' OR state = $2)
    AND ($3 = '' OR kind = $3) AND ($4 = '' OR class = $4) AND ($5 = '' OR reason = $5)
    AND ($6 = '' OR batch_id = $6) AND accepted_at_ms >= $7 AND ($9 = '' OR origin = $9)
    ORDER BY sequence LIMIT $8";
/// The same for the messages of one run.
const LIST_OWN: &str = " WHERE origin = $9 AND sequence > $1 AND ($2 = '' OR state = $2)
    AND ($3 = '' OR kind = $3) AND ($4 = '' OR class = $4) AND ($5 = '' OR reason = $5)
    AND ($6 = '' OR batch_id = $6) AND accepted_at_ms >= $7 ORDER BY sequence LIMIT $8";
const ONE: &str = " WHERE id = $1";
const BODY: &str = "SELECT body FROM webhook_message WHERE id = $1";
const ATTEMPTS: &str = "SELECT number, started_at_ms, milliseconds, worker, class, reason, status, sentence,
    body_sha256, response, response_truncated, next_at_ms FROM webhook_attempt WHERE id = $1 ORDER BY number";
const STATES: &str =
    "SELECT state, count(*), min(accepted_at_ms) FROM webhook_message GROUP BY state";
const OWN_STATES: &str = "SELECT state, count(*), min(accepted_at_ms) FROM webhook_message
    WHERE origin = $1 GROUP BY state";
/// The newest message of an entity is of this batch, and none of the batch is dead or dropped.
const LATEST_BATCH: &str = "SELECT count(*) FROM webhook_entity
    JOIN webhook_message ON webhook_message.id = webhook_entity.latest_id
    WHERE webhook_entity.target = $1 AND webhook_entity.entity = $2 AND webhook_message.batch_id = $3
      AND NOT EXISTS (SELECT 1 FROM webhook_message broken
        WHERE broken.batch_id = $3 AND broken.state IN ('dead', 'dropped'))";
const PRESENT: &str = "SELECT entity, identity FROM webhook_entity
    WHERE target = $1 AND scope = $2 AND present = 1 AND entity > $3 ORDER BY entity LIMIT $4";

/// Rows a page of the database has when a filter is applied here.
const PAGE: i64 = 1000;

impl Outbox {
    /// Up to `limit` messages, in the order of their arrival.
    ///
    /// # Errors
    /// The database's; [`Definite::Configuration`] for a glob that is none.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Message>> {
        let glob = match &filter.entity {
            Some(pattern) => Some(
                Glob::new(pattern)
                    .map_err(|error| {
                        Error::new(Definite::Configuration).with("pattern", pattern).because(error)
                    })?
                    .compile_matcher(),
            ),
            None => None,
        };
        let mut found = Vec::new();
        let mut after = filter.after.unwrap_or(0);
        loop {
            let page = match &glob {
                Some(_) => PAGE,
                None => i64::try_from(limit.saturating_sub(found.len())).unwrap_or(PAGE).min(PAGE),
            };
            if page == 0 {
                return Ok(found);
            }
            let rows = self.page(filter, after, page).await?;
            let is_last = rows.len() < usize::try_from(page).unwrap_or(usize::MAX);
            for row in rows {
                after = row.sequence;
                if glob.as_ref().is_none_or(|glob| glob.is_match(&row.entity)) {
                    found.push(row);
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    async fn page(&self, filter: &Filter, after: i64, limit: i64) -> Result<Vec<Message>> {
        let tail = match (&filter.origin, filter.state) {
            (Some(_), _) => LIST_OWN,
            (None, Some(State::Dead)) => LIST_DEAD,
            (None, _) => LIST,
        };
        let statement = format!("{COLUMNS}{tail}");
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        fetch!(
            self,
            Message,
            &statement,
            after,
            filter.state.map(State::word).unwrap_or_default(),
            text(&filter.kind),
            filter.class.map(Class::word).unwrap_or_default(),
            text(&filter.reason),
            text(&filter.batch),
            filter.since_ms.unwrap_or(0),
            limit,
            text(&filter.origin)
        )
        .map_err(|error| self.failed(error))
    }

    /// One message.
    ///
    /// # Errors
    /// The database's; [`Definite::MessageMissing`].
    pub async fn message(&self, id: &str) -> Result<Message> {
        let statement = format!("{COLUMNS}{ONE}");
        let rows = fetch!(self, Message, &statement, id).map_err(|error| self.failed(error))?;
        rows.into_iter().next().ok_or_else(|| Error::new(Definite::MessageMissing).with("id", id))
    }

    /// The bytes of a message.
    ///
    /// # Errors
    /// The database's; [`Definite::MessageMissing`].
    pub async fn body(&self, id: &str) -> Result<Vec<u8>> {
        let rows = fetch!(self, (Vec<u8>,), BODY, id).map_err(|error| self.failed(error))?;
        let found = rows.into_iter().next().map(|(body,)| body);
        found.ok_or_else(|| Error::new(Definite::MessageMissing).with("id", id))
    }

    /// The attempts of a message, the first one first.
    ///
    /// # Errors
    /// The database's.
    pub async fn attempts(&self, id: &str) -> Result<Vec<Attempt>> {
        fetch!(self, Attempt, ATTEMPTS, id).map_err(|error| self.failed(error))
    }

    /// How many messages there are; of one run, if `origin` names one.
    ///
    /// # Errors
    /// The database's.
    pub async fn counts(&self, origin: &str) -> Result<Counts> {
        let rows = if origin.is_empty() {
            fetch!(self, (String, i64, Option<i64>), STATES)
        } else {
            fetch!(self, (String, i64, Option<i64>), OWN_STATES, origin)
        };
        let rows = rows.map_err(|error| self.failed(error))?;
        let mut counts = Counts::default();
        for state in State::ALL {
            let row = rows.iter().find(|(word, ..)| word == state.word());
            counts.states.insert(state.word(), row.map_or(0, |(_, count, _)| *count));
            if matches!(state, State::Waiting | State::Queued | State::Leased) {
                let oldest = row.and_then(|(.., oldest)| *oldest);
                let known = counts.oldest_unsettled_at_ms;
                counts.oldest_unsettled_at_ms = known.into_iter().chain(oldest).min();
            }
        }
        Ok(counts)
    }

    /// Whether the newest messages of an entity are this very batch, and it is on its way or has arrived.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_latest_batch(&self, target: &str, entity: &str, batch: &str) -> Result<bool> {
        let rows = fetch!(self, (i64,), LATEST_BATCH, target, entity, batch)
            .map_err(|error| self.failed(error))?;
        Ok(rows.first().is_some_and(|(count,)| *count > 0))
    }

    /// Entities of a scope whose latest message did not say that they are gone, as (entity,
    /// identity), a page of up to `limit` after `after`.
    ///
    /// # Errors
    /// The database's.
    pub async fn present(
        &self,
        target: &str,
        scope: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<(String, String)>> {
        fetch!(self, (String, String), PRESENT, target, scope, after, limit)
            .map_err(|error| self.failed(error))
    }
}
