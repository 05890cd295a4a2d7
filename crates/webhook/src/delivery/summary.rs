//! What a delivery came to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::error::Error;
use crate::outbox::{Attempt, Message, Settlement};
use crate::policy::{Class, policy, sentence};

/// Dead letters that a summary names; the others are counted.
const NAMED: usize = 100;

/// A message that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// The message's id.
    pub id: String,
    /// The kind of payload.
    pub kind: String,
    /// What is kept in order.
    pub entity: String,
    /// What names it at the receiver.
    pub identity: String,
    /// Attempts since it was accepted or replayed.
    pub attempts: i64,
    /// Hash of what the body says.
    pub content_hash: String,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Status of the answer.
    pub status: Option<u16>,
    /// The beginning of the answer, which is the receiver's word of success.
    pub response: String,
    /// From the outbox to the receiver.
    pub age: Duration,
}

impl Delivered {
    /// A message that arrived before, or by another worker, as the outbox remembers it.
    #[must_use]
    pub fn stored(message: &Message, attempts: &[Attempt]) -> Self {
        let last = attempts.last();
        let response = last.and_then(|attempt| attempt.response.as_deref()).unwrap_or_default();
        let age_ms = message.settled_at_ms.unwrap_or_default() - message.created_at_ms;
        Self {
            id: message.id.clone(),
            kind: message.kind.clone(),
            entity: message.entity.clone(),
            identity: message.identity.clone(),
            attempts: message.attempts,
            content_hash: message.content_hash.clone(),
            body_bytes: usize::try_from(message.body_bytes).unwrap_or_default(),
            status: message.status.and_then(|status| u16::try_from(status).ok()),
            response: String::from_utf8_lossy(response).chars().take(1_000).collect(),
            age: Duration::from_millis(age_ms.try_into().unwrap_or_default()),
        }
    }

    pub(super) fn of(result: &Settlement, age: Duration) -> Self {
        let message = &result.message;
        Self {
            id: message.id.clone(),
            kind: message.kind.clone(),
            entity: message.entity.clone(),
            identity: message.identity.clone(),
            attempts: message.attempts,
            content_hash: message.content_hash.clone(),
            body_bytes: message.body.len(),
            status: result.status,
            response: String::from_utf8_lossy(&result.response).chars().take(1_000).collect(),
            age,
        }
    }
}

/// A message that will not be tried again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dead {
    /// The message's id.
    pub id: String,
    /// The kind of payload.
    pub kind: String,
    /// What is kept in order.
    pub entity: String,
    /// Attempts since it was accepted or replayed.
    pub attempts: i64,
    /// Whose turn it is.
    pub class: Class,
    /// The kind of failure.
    pub reason: String,
    /// Status of the answer.
    pub status: Option<u16>,
    /// What happened and what to do.
    pub sentence: String,
}

impl Dead {
    pub(super) fn of(result: &Settlement, error: &Error) -> Self {
        Self {
            id: result.message.id.clone(),
            kind: result.message.kind.clone(),
            entity: result.message.entity.clone(),
            attempts: result.message.attempts,
            class: policy(error.failure()).class,
            reason: error.failure().word(),
            status: result.status,
            sentence: sentence(error),
        }
    }
}

/// Is told of every message that is settled, once it is recorded.
pub trait Observer: Send + Sync {
    /// It arrived.
    fn delivered(&self, delivered: &Delivered);
    /// It died.
    fn died(&self, dead: &Dead);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn delivered(&self, _delivered: &Delivered) {}
    fn died(&self, _dead: &Dead) {}
}

/// What a delivery came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Messages that arrived.
    pub delivered: u64,
    /// Attempts that were made.
    pub attempts: u64,
    /// Messages that died.
    pub dead: u64,
    /// The first hundred of them.
    pub dead_letters: Vec<Dead>,
    /// Failed attempts that are tried again, by kind of failure.
    pub retried: BTreeMap<String, u64>,
    /// Results that did not count, because the lease had run out.
    pub fenced: u64,
    /// Messages of the outbox that are not settled.
    pub left: u64,
    /// What must be mended before more can be sent, in sentences.
    pub blocked: Vec<String>,
    /// Whether it was asked to stop.
    pub stopped: bool,
}

impl Summary {
    pub(super) fn died(&mut self, dead: Dead) {
        self.dead += 1;
        if self.dead_letters.len() < NAMED {
            self.dead_letters.push(dead);
        }
    }

    pub(super) fn failed(&mut self, error: &Error) {
        *self.retried.entry(error.failure().word()).or_default() += 1;
    }
}
