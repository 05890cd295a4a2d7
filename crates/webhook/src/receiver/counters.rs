//! What has happened so far, counted without locks but for the ids of accepted messages.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// What a receiver saw from its start to its end.
///
/// `requests` is `accepted + refused + faulted`. Calls of the control route are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Connections that were made, with those refused.
    pub connections: u64,
    /// Connections that a fault closed at once.
    pub connections_refused: u64,
    /// Requests that were read to their end.
    pub requests: u64,
    /// Messages that Learn would have taken: POSTs that were answered 200.
    pub accepted: u64,
    /// Requests that Learn would not have taken.
    pub refused: u64,
    /// Requests that a fault answered or dropped.
    pub faulted: u64,
    /// Messages accepted under a `webhook-id` that had been accepted before.
    pub duplicates: u64,
    /// Requests with a standard signature that does not hold. Learn does not look at it.
    pub standard_failures: u64,
    /// Requests that the client did not send to their end.
    pub incomplete: u64,
}

/// The counters of a running receiver.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    requests: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    faulted: AtomicU64,
    duplicates: AtomicU64,
    standard_failures: AtomicU64,
    pub(super) incomplete: AtomicU64,
    /// Hashes of the ids: 64 bits tell ten million ids apart but once in 300,000 runs.
    accepted_ids: Mutex<HashSet<u64>>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Refused,
    Faulted,
}

impl Counters {
    /// Takes in one request more, unless there have been `limit`; answers how many there are then.
    pub(super) fn admit(&self, limit: Option<u64>) -> Option<u64> {
        let Some(limit) = limit else {
            return Some(self.requests.fetch_add(1, Ordering::Relaxed) + 1);
        };
        let within = |count| (count < limit).then_some(count + 1);
        let before = self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within);
        before.ok().map(|before| before + 1)
    }

    /// Counts what became of a request that was admitted.
    pub(super) fn record(
        &self,
        outcome: Outcome,
        webhook_id: Option<&str>,
        standard: Option<bool>,
    ) {
        match outcome {
            Outcome::Accepted => add(&self.accepted),
            Outcome::Refused => add(&self.refused),
            Outcome::Faulted => add(&self.faulted),
        }
        if standard == Some(false) {
            add(&self.standard_failures);
        }
        if let (Outcome::Accepted, Some(id)) = (outcome, webhook_id) {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            let mut ids = self.accepted_ids.lock().unwrap_or_else(PoisonError::into_inner);
            if !ids.insert(hasher.finish()) {
                add(&self.duplicates);
            }
        }
    }

    /// The counts of this moment.
    pub(super) fn summary(&self) -> Summary {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            connections: read(&self.connections),
            connections_refused: read(&self.connections_refused),
            requests: read(&self.requests),
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            faulted: read(&self.faulted),
            duplicates: read(&self.duplicates),
            standard_failures: read(&self.standard_failures),
            incomplete: read(&self.incomplete),
        }
    }
}

/// Counts one more.
pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
