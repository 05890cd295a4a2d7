//! The clock of an outbox: see the header of [`super`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ol_chassis::clock::Clock;

/// Milliseconds since 1970, moved by a monotonic clock.
#[derive(Debug, Clone)]
pub(super) struct OutboxClock {
    clock: Arc<dyn Clock>,
    anchor_ms: i64,
    anchored_at: Instant,
}

impl OutboxClock {
    /// Anchored at the wall clock of this machine.
    pub(super) fn of_machine(clock: Arc<dyn Clock>) -> Self {
        let anchor_ms = milliseconds(clock.now());
        Self::anchored(clock, anchor_ms)
    }

    /// Anchored at what a database server says.
    pub(super) fn anchored(clock: Arc<dyn Clock>, anchor_ms: i64) -> Self {
        let anchored_at = clock.monotonic();
        Self { clock, anchor_ms, anchored_at }
    }

    pub(super) fn now_ms(&self) -> i64 {
        let elapsed = self.clock.monotonic().saturating_duration_since(self.anchored_at);
        self.anchor_ms.saturating_add(whole_milliseconds(elapsed))
    }
}

/// A moment in milliseconds since 1970; before that, 0.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    whole_milliseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// A duration in milliseconds, rounded down.
pub(crate) fn whole_milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
