//! Giving messages to workers, and taking them back from workers that died.

use std::time::Duration;

use ol_chassis::process::Identity;

use super::clock::whole_milliseconds;
use super::database::{Outbox, Pool, execute, fetch, transaction};
use super::settle::{lock_entity, promote, supersede_or_requeue};
use crate::error::{Definite, Error, Result, Transient};
use crate::policy::sentence;

/// A message in a worker's hands.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Leased {
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
    /// What a tombstone names it by.
    pub identity: String,
    /// The bytes to send.
    pub body: Vec<u8>,
    /// Hash of what the body says.
    pub content_hash: String,
    /// Which attempt this is since it was accepted or replayed, from 1.
    pub attempts: i64,
    /// Which attempt this is over all replays, from 1.
    pub total_attempts: i64,
    /// When it was accepted or replayed.
    pub accepted_at_ms: i64,
    /// The batch, if it is part of one.
    pub batch_id: Option<String>,
    /// Which part.
    pub batch_index: Option<i64>,
    /// Of how many.
    pub batch_total: Option<i64>,
}

/// At most this many kinds can be left out of a claim: there are five.
const KINDS: usize = 5;

const CLAIM_HEAD: &str = "UPDATE webhook_message
    SET state = 'leased', lease_owner = $1, lease_until_ms = $2, attempts = attempts + 1,
        total_attempts = total_attempts + 1
    WHERE sequence IN (SELECT sequence FROM webhook_message
        WHERE target = $3 AND state = 'queued' AND due_at_ms <= $4
          AND kind NOT IN ($6, $7, $8, $9, $10) AND ($11 = '' OR origin = $11)
        ORDER BY due_at_ms, sequence LIMIT $5";
const CLAIM_TAIL: &str = ")
    RETURNING sequence, id, target, kind, entity, identity, body, content_hash, attempts, total_attempts,
        accepted_at_ms, batch_id, batch_index, batch_total";
const OWNERS: &str = "SELECT DISTINCT lease_owner FROM webhook_message WHERE state = 'leased'";
const LOST: &str = "SELECT id, target, entity, sequence, total_attempts, content_hash, attempts
    FROM webhook_message WHERE state = 'leased' AND (lease_owner = $1 OR ($2 = 1 AND lease_until_ms < $3
      AND lease_owner <> $4)) ORDER BY target, entity LIMIT 500";
const GIVE_UP: &str =
    "UPDATE webhook_message SET state = 'dead', settled_at_ms = $2, class = 'permanent',
    reason = $3, sentence = $4 WHERE sequence = $1 AND state = 'queued'";
const LOG_LOST: &str = "INSERT INTO webhook_attempt
    (id, number, started_at_ms, milliseconds, worker, class, reason, sentence, body_sha256, response_truncated)
    VALUES ($1, $2, $3, 0, $4, 'transient', $5, $6, $7, 0) ON CONFLICT DO NOTHING";
/// A waiting message without an active one before it: cannot happen, and must not stay if it does.
const STRANDED: &str = "UPDATE webhook_message SET state = 'queued'
    WHERE sequence IN (SELECT min(line.sequence) FROM webhook_message line WHERE line.state = 'waiting'
      AND NOT EXISTS (SELECT 1 FROM webhook_message active WHERE active.target = line.target
        AND active.entity = line.entity AND active.state IN ('queued', 'leased'))
      GROUP BY line.target, line.entity)";
const NEXT_DUE: &str = "SELECT min(due_at_ms), count(*) FROM (SELECT due_at_ms FROM webhook_message
    WHERE target = $1 AND state = 'queued' AND kind NOT IN ($2, $3, $4, $5, $6) AND ($7 = '' OR origin = $7)
    ORDER BY due_at_ms LIMIT 1) AS next";

impl Outbox {
    pub(super) fn has_row_locks(&self) -> bool {
        matches!(self.pool, Pool::Postgres(_))
    }

    /// Takes up to `limit` messages that are due, oldest due first, for `lease`. `closed` are kinds
    /// that are not to be taken; a name in `origin` leaves out the messages that other runs answer for.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(
        &self,
        target: &str,
        owner: &Identity,
        lease: Duration,
        limit: usize,
        closed: &[&str],
        origin: &str,
    ) -> Result<Vec<Leased>> {
        let now_ms = self.now_ms();
        let until_ms = now_ms.saturating_add(whole_milliseconds(lease));
        // Workers take different rows instead of waiting for each other.
        let skip = if self.has_row_locks() { " FOR UPDATE SKIP LOCKED" } else { "" };
        let statement = format!("{CLAIM_HEAD}{skip}{CLAIM_TAIL}");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let owner = owner.to_string();
        let closed = slots(closed);
        let mut taken: Vec<Leased> = transaction!(self, |connection| {
            let mut query = sqlx::query_as::<_, Leased>(&statement)
                .bind(&owner)
                .bind(until_ms)
                .bind(target)
                .bind(now_ms)
                .bind(limit);
            for kind in closed {
                query = query.bind(kind);
            }
            query = query.bind(origin);
            query.fetch_all(&mut *connection).await?
        })?;
        taken.sort_unstable_by_key(|message| message.sequence);
        Ok(taken)
    }

    /// When the next queued message is due, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_due_ms(
        &self,
        target: &str,
        closed: &[&str],
        origin: &str,
    ) -> Result<Option<i64>> {
        let [a, b, c, d, e] = slots(closed);
        let rows = fetch!(self, (Option<i64>, i64), NEXT_DUE, target, a, b, c, d, e, origin)
            .map_err(|error| self.failed(error))?;
        Ok(rows.first().and_then(|(due, _)| *due))
    }

    /// Takes back what workers hold that are known to have ended, and what was held for longer than
    /// its lease; says how many. The attempt is logged as lost: whether it arrived is not known. A message that was
    /// lost with its `most_attempts`th worker is given up: it may be what kills them.
    ///
    /// # Errors
    /// The database's.
    pub async fn recover(&self, owner: &Identity, most_attempts: u32) -> Result<u64> {
        let owners = fetch!(self, (Option<String>,), OWNERS).map_err(|error| self.failed(error))?;
        let ended: Vec<String> = owners
            .into_iter()
            .filter_map(|(name,)| name)
            .filter(|name| Identity::parse(name).is_some_and(|identity| identity.has_ended()))
            .collect();
        let mut recovered = 0;
        for name in &ended {
            recovered += self.take_back(name, false, owner, most_attempts).await?;
        }
        recovered += self.take_back("", true, owner, most_attempts).await?;
        execute!(self, STRANDED).map_err(|error| self.failed(error))?;
        Ok(recovered)
    }

    async fn take_back(
        &self,
        of: &str,
        expired: bool,
        owner: &Identity,
        most_attempts: u32,
    ) -> Result<u64> {
        let owner = owner.to_string();
        let reason = Transient::WorkerLost;
        let mut recovered = 0;
        loop {
            let now_ms = self.now_ms();
            let (count, looked_at) = transaction!(self, |connection| {
                let lost: Vec<(String, String, String, i64, i64, String, i64)> =
                    sqlx::query_as(LOST)
                        .bind(of)
                        .bind(i64::from(expired))
                        .bind(now_ms)
                        .bind(&owner)
                        .fetch_all(&mut *connection)
                        .await?;
                let mut count = 0u64;
                for (id, target, entity, sequence, number, hash, attempts) in &lost {
                    lock_entity!(self, connection, target, entity);
                    let was_lost = supersede_or_requeue!(
                        connection, target, entity, *sequence, *number, now_ms, now_ms
                    );
                    if !was_lost {
                        continue;
                    }
                    count += 1;
                    if *attempts >= i64::from(most_attempts) {
                        let error = Error::new(Definite::GivenUp)
                            .with("attempts", attempts)
                            .with("last", reason.headline());
                        sqlx::query(GIVE_UP)
                            .bind(*sequence)
                            .bind(now_ms)
                            .bind(error.failure().word())
                            .bind(sentence(&error))
                            .execute(&mut *connection)
                            .await?;
                        promote!(connection, target, entity, now_ms);
                    }
                    sqlx::query(LOG_LOST)
                        .bind(id)
                        .bind(*number)
                        .bind(now_ms)
                        .bind(if of.is_empty() { "expired lease" } else { of })
                        .bind(reason.word())
                        .bind(reason.headline())
                        .bind(hash)
                        .execute(&mut *connection)
                        .await?;
                }
                (count, lost.len())
            })?;
            recovered += count;
            if looked_at < 500 {
                return Ok(recovered);
            }
        }
    }
}

fn slots<'k>(closed: &[&'k str]) -> [&'k str; KINDS] {
    let mut slots = [""; KINDS];
    for (slot, kind) in slots.iter_mut().zip(closed) {
        *slot = kind;
    }
    slots
}
