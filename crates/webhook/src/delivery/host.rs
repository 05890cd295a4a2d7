//! What is known of the receiver's host: whether it is well, and how fast it may be asked.

use std::time::{Duration, Instant};

use crate::breaker::Breaker;
use crate::config::Webhook;
use crate::metrics;
use crate::throttle::Throttle;

/// Breaker, token bucket and the pause that the host asked for.
#[derive(Debug)]
pub(super) struct HostState {
    breaker: Breaker,
    throttle: Throttle,
    paused_until: Option<Instant>,
    longest_pause: Duration,
}

impl HostState {
    pub(super) fn new(settings: &Webhook, now: Instant) -> Self {
        Self {
            breaker: Breaker::new(settings.breaker()),
            throttle: Throttle::new(
                settings.delivery.rate_per_second,
                settings.delivery.burst,
                now,
            ),
            paused_until: None,
            longest_pause: settings.schedule().longest_retry_after,
        }
    }

    /// How many requests may be sent now, of the `wanted` ones.
    pub(super) fn allows(&mut self, now: Instant, wanted: usize) -> usize {
        if self.paused_until.is_some_and(|until| until > now) {
            return 0;
        }
        let allowed = self.breaker.allows(now, wanted);
        self.throttle.allows(now, allowed)
    }

    /// A request is sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.breaker.sent(now);
        self.throttle.took(1);
    }

    /// The host answered as a host that is well.
    pub(super) fn succeeded(&mut self) {
        self.breaker.succeeded();
        metrics::breaker(false);
    }

    /// The host did not.
    pub(super) fn failed(&mut self, now: Instant, sent_at: Instant) {
        if self.breaker.failed(now, sent_at) {
            metrics::breaker(true);
            let seconds = self.wait(now).unwrap_or_default().as_secs_f64();
            tracing::warn!(seconds, "the receiver is not well; requests are held back");
        }
    }

    /// What was to be sent was not.
    pub(super) fn withdrawn(&mut self, now: Instant) {
        self.breaker.withdrawn(now);
    }

    /// The host asked for a pause: nobody sends to it meanwhile.
    pub(super) fn pause(&mut self, now: Instant, wait: Duration) {
        let until = now + wait.min(self.longest_pause);
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
    }

    /// How long nothing may be sent; `None` when something may, or a probe is under way.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let until = [self.paused_until, self.breaker.opens_at(now)].into_iter().flatten().max();
        let held = until.map(|until| until.saturating_duration_since(now)).unwrap_or_default();
        let wait = held.max(self.throttle.wait());
        (wait > Duration::ZERO).then_some(wait)
    }
}
