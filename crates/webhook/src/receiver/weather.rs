//! The faults in force, and which of them a request meets.
//!
//! Faults stand in a list. A request meets the first one that decides its fate (`status`, `drop`),
//! and besides it the first `delay` and the first `slow`; each that it meets has happened once. So
//! `delay:1` and `status:503:2` together are two late 503s and late acceptances afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;

use super::fault::{Fault, Kind, RetryAfter};

/// What one request meets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Encounter {
    pub(super) fate: Option<Fate>,
    pub(super) delay: Option<Duration>,
    pub(super) slow: Option<Duration>,
}

/// An end that is not Learn's answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Status { code: StatusCode, retry_after: Option<RetryAfter> },
    Drop,
}

/// The faults in force.
pub(super) struct Weather {
    faults: Mutex<Vec<Fault>>,
    /// True when there are none, so that a fast receiver takes no lock.
    is_calm: AtomicBool,
}

impl Weather {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self { is_calm: AtomicBool::new(faults.is_empty()), faults: Mutex::new(faults) }
    }

    /// Puts these faults in the place of those in force.
    pub(super) fn replace(&self, faults: Vec<Fault>) {
        let mut held = self.lock();
        self.is_calm.store(faults.is_empty(), Ordering::Release);
        *held = faults;
    }

    /// The faults in force as texts, with the counts that are left.
    pub(super) fn texts(&self) -> Vec<String> {
        self.lock().iter().map(Fault::to_string).collect()
    }

    /// True when a connection that was just made must be closed.
    pub(super) fn refuses_connection(&self) -> bool {
        self.take(|kind| matches!(kind, Kind::Refuse).then_some(())).is_some()
    }

    /// What the next request meets.
    pub(super) fn encounter(&self) -> Encounter {
        if self.is_calm() {
            return Encounter::default();
        }
        Encounter {
            fate: self.take(|kind| match kind {
                Kind::Status { code, retry_after } => {
                    Some(Fate::Status { code: *code, retry_after: *retry_after })
                }
                Kind::Drop => Some(Fate::Drop),
                Kind::Delay { .. } | Kind::Refuse | Kind::Slow { .. } | Kind::Reject { .. } => None,
            }),
            delay: self
                .take(|kind| if let Kind::Delay { pause } = kind { Some(*pause) } else { None }),
            slow: self
                .take(|kind| if let Kind::Slow { pause } = kind { Some(*pause) } else { None }),
        }
    }

    /// True when an entity of one of these names is poisoned.
    pub(super) fn rejects(&self, names: impl FnOnce() -> Vec<String>) -> bool {
        if self.is_calm() {
            return false;
        }
        let names = names();
        let is_poisoned = |fault: &Fault| {
            matches!(&fault.kind, Kind::Reject { entity }
                if names.iter().any(|name| entity.is_match(name)))
        };
        self.lock().iter().any(is_poisoned)
    }

    /// Lets the first fault that `choose` chooses happen once.
    fn take<T>(&self, choose: impl Fn(&Kind) -> Option<T>) -> Option<T> {
        if self.is_calm() {
            return None;
        }
        let mut faults = self.lock();
        let (position, chosen) = faults
            .iter()
            .enumerate()
            .find_map(|(position, fault)| Some((position, choose(&fault.kind)?)))?;
        let is_spent = faults.get_mut(position).is_some_and(|fault| {
            fault.remaining = fault.remaining.map(|remaining| remaining.saturating_sub(1));
            fault.remaining == Some(0)
        });
        if is_spent {
            faults.remove(position);
            self.is_calm.store(faults.is_empty(), Ordering::Release);
        }
        Some(chosen)
    }

    fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        // Nothing under the lock can panic half-way through a change.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
