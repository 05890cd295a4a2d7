//! Time as an argument.
//!
//! Retries, leases and schedules take a [`Clock`], so that a test owns time: it moves an hour in a
//! microsecond and never waits for the wall. [`SystemClock`] is the only place of the workspace
//! that asks the operating system.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::sync::watch;

/// Where time comes from. Shared as `Arc<dyn Clock>`.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// The time of day, for what people and other systems read. May jump.
    fn now(&self) -> SystemTime;

    /// A time that never goes back, for measuring and for deadlines.
    fn monotonic(&self) -> Instant;

    /// Returns once `duration` has passed. Dropping the future cancels the wait.
    async fn sleep(&self, duration: Duration);
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock everything else takes")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock everything else takes")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A moment in UTC to the microsecond, as RFC 3339 writes it; what was before 1970 is its first moment.
#[must_use]
pub fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days are counted from 0000-03-01, so that a leap day ends its year, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        era * 400 + year,
        second / 3_600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros()
    )
}

/// A clock that moves only when told to.
///
/// It starts at the instant given, and [`TestClock::advance`] wakes every sleeper whose time has
/// come.
#[derive(Debug)]
pub struct TestClock {
    started_at: SystemTime,
    origin: Instant,
    elapsed: watch::Sender<Duration>,
    impatient: bool,
}

impl TestClock {
    /// A clock that reads `started_at` until it is advanced.
    pub fn new(started_at: SystemTime) -> Self {
        let (elapsed, _) = watch::channel(Duration::ZERO);
        Self { started_at, origin: Instant::now(), elapsed, impatient: false }
    }

    /// A clock on which every sleep advances time by its duration and returns at once.
    pub fn impatient(started_at: SystemTime) -> Self {
        Self { impatient: true, ..Self::new(started_at) }
    }

    /// Moves time forward and wakes the sleepers whose time has come.
    pub fn advance(&self, duration: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += duration);
    }

    /// How much time has passed since the start.
    pub fn elapsed(&self) -> Duration {
        *self.elapsed.borrow()
    }

    /// Waits until at least `count` sleeps are pending, so that an advance cannot come too early.
    pub async fn sleeping(&self, count: usize) {
        while self.elapsed.receiver_count() < count {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        self.started_at + self.elapsed()
    }

    fn monotonic(&self) -> Instant {
        self.origin + self.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        if self.impatient {
            self.advance(duration);
            return;
        }
        let mut elapsed = self.elapsed.subscribe();
        let deadline = *elapsed.borrow() + duration;
        // The sender is a field of `self`, so the channel cannot close while this waits.
        let _ = elapsed.wait_for(|elapsed| *elapsed >= deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_deadlines_and_not_before() {
        let clock = Arc::new(TestClock::new(SystemTime::UNIX_EPOCH));
        let sleeper = |seconds| {
            let clock = Arc::clone(&clock);
            tokio::spawn(async move { clock.sleep(Duration::from_secs(seconds)).await })
        };
        let (short, long) = (sleeper(10), sleeper(3600));
        clock.sleeping(2).await;
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!short.is_finished());
        clock.advance(Duration::from_secs(1));
        short.await.expect("the short sleep ends at its deadline");
        assert!(!long.is_finished());
        clock.advance(Duration::from_secs(3590));
        long.await.expect("the long sleep ends at its deadline");
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(3600));
    }

    #[tokio::test]
    async fn an_impatient_clock_counts_the_time_it_did_not_wait() {
        let clock = TestClock::impatient(SystemTime::UNIX_EPOCH);
        let before = clock.monotonic();
        clock.sleep(Duration::from_secs(86_400)).await;
        assert_eq!(clock.monotonic() - before, Duration::from_secs(86_400));
    }

    #[tokio::test]
    async fn the_system_clock_waits_for_real() {
        let clock = SystemClock;
        let before = clock.monotonic();
        clock.sleep(Duration::from_millis(20)).await;
        assert!(clock.monotonic() - before >= Duration::from_millis(20));
        assert!(clock.now() > SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000007Z"),
            (951_782_399, "2000-02-28T23:59:59.000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000007Z"),
            (951_868_800, "2000-03-01T00:00:00.000007Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000007Z"),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(rfc3339(at + Duration::from_micros(7)), text);
        }
    }
}
