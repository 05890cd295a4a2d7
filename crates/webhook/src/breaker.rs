//! The circuit breaker of a host: when it is down, one probe at a time asks whether it is back.
//!
//! ```text
//!             threshold transient failures in a row
//!   Closed ───────────────────────────────────────▶ Open(until) ── until has come ──▶ HalfOpen
//!      ▲                                               ▲                                 │
//!      └────────────── the probe succeeded ────────────┼──── the probe failed: twice as long,
//!                                                      └──── up to the longest ──────────┘
//! ```
//!
//! Without it a dead receiver is asked once for every message that is due, each waiting out a
//! timeout; with it the messages stay in the outbox, untouched and uncounted, and the receiver comes
//! back to a single request instead of a wave. Only transient failures count: a payload that is
//! refused says that the host is well.
//!
//! Pure: time is an argument, a monotonic one.

use std::time::{Duration, Instant};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerSettings {
    /// Transient failures in a row that open it.
    pub threshold: u32,
    /// How long it stays open the first time.
    pub first_open: Duration,
    /// How long it stays open at most.
    pub longest_open: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        lasted: Duration,
    },
    /// One request is under way, since then.
    HalfOpen {
        lasted: Duration,
        since: Instant,
    },
}

/// The breaker of one host.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 } }
    }

    /// How many requests may be sent now, of the `wanted` ones.
    #[must_use]
    pub fn allows(&self, now: Instant, wanted: usize) -> usize {
        match self.state {
            State::Closed { .. } => wanted,
            State::Open { until, .. } if until <= now => wanted.min(1),
            State::Open { .. } | State::HalfOpen { .. } => 0,
        }
    }

    /// A request is about to be sent; an open breaker whose time has come is half open from now on.
    pub fn sent(&mut self, now: Instant) {
        if let State::Open { until, lasted } = self.state
            && until <= now
        {
            self.state = State::HalfOpen { lasted, since: now };
        }
    }

    /// A request was answered, whatever the answer said of the message.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// A request sent at `sent_at` failed in a way that says the host is not well. True when this opened the breaker.
    pub fn failed(&mut self, now: Instant, sent_at: Instant) -> bool {
        let open = |lasted| State::Open { until: now + lasted, lasted };
        match self.state {
            State::Closed { failures } if failures + 1 < self.settings.threshold => {
                self.state = State::Closed { failures: failures + 1 };
                false
            }
            State::Closed { .. } => {
                self.state = open(self.settings.first_open);
                true
            }
            // One that was sent before it opened says nothing new.
            State::HalfOpen { since, .. } if sent_at < since => false,
            State::HalfOpen { lasted, .. } => {
                self.state = open((lasted * 2).min(self.settings.longest_open));
                true
            }
            // Requests that were under way when it opened.
            State::Open { .. } => false,
        }
    }

    /// The probe ended without telling anything (it was never sent).
    pub fn withdrawn(&mut self, now: Instant) {
        if let State::HalfOpen { lasted, .. } = self.state {
            self.state = State::Open { until: now, lasted };
        }
    }

    /// When a closed door may be tried again; `None` while requests flow or a probe is under way.
    #[must_use]
    pub fn opens_at(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } if until > now => Some(until),
            State::Open { .. } | State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Whether requests are held back.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings {
        threshold: 3,
        first_open: Duration::from_secs(10),
        longest_open: Duration::from_secs(30),
    };

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut breaker = Breaker::new(SETTINGS);
        assert!(!breaker.failed(at(0), at(0)) && !breaker.failed(at(0), at(0)));
        breaker.succeeded();
        assert!(!breaker.failed(at(1), at(1)) && !breaker.failed(at(1), at(1)));
        assert!(breaker.failed(at(1), at(1)), "the third in a row");
        assert_eq!((breaker.allows(at(10), 8), breaker.opens_at(at(10))), (0, Some(at(11))));
        assert_eq!(breaker.allows(at(11), 8), 1);
        breaker.sent(at(11));
        assert!(!breaker.failed(at(11), at(0)), "a late answer is no probe");
        assert_eq!(breaker.allows(at(11), 8), 0, "while the probe is under way");
        assert!(breaker.failed(at(12), at(12)));
        assert_eq!(breaker.opens_at(at(12)), Some(at(32)), "twice as long");
        breaker.sent(at(32));
        assert!(breaker.failed(at(32), at(32)));
        assert_eq!(breaker.opens_at(at(32)), Some(at(62)), "but no longer than the longest");
        breaker.sent(at(62));
        breaker.succeeded();
        assert_eq!(breaker.allows(at(62), 8), 8);
    }

    #[test]
    fn late_failures_do_not_prolong_it_and_a_withdrawn_probe_is_no_answer() {
        let start = Instant::now();
        let mut breaker = Breaker::new(SETTINGS);
        let opened = (0..3).filter(|_| breaker.failed(start, start)).count();
        assert_eq!(opened, 1);
        let until = breaker.opens_at(start);
        assert!(!breaker.failed(start + Duration::from_secs(5), start + Duration::from_secs(5)));
        assert_eq!(breaker.opens_at(start), until);
        let later = start + Duration::from_secs(10);
        breaker.sent(later);
        breaker.withdrawn(later);
        assert_eq!(breaker.allows(later, 2), 1);
    }
}
