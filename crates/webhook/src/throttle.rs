//! The token bucket of a host: a bound on requests a second that the receiver's owner agreed to.
//!
//! The bucket holds up to `burst` tokens and gains `rate` of them a second; a request takes one. In
//! any interval of `t` seconds at most `burst + rate × t` requests are sent. Pure: time is an
//! argument, a monotonic one.

use std::time::{Duration, Instant};

/// The bucket of one host.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// Tokens a second; `None` when requests are not bounded.
    rate: Option<f64>,
    burst: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Throttle {
    /// A full bucket; a `rate` of 0 bounds nothing.
    #[must_use]
    pub fn new(rate: f64, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Self { rate: (rate > 0.0).then_some(rate), burst, tokens: burst, filled_at: now }
    }

    /// How many requests may be sent now, of the `wanted` ones.
    #[must_use]
    pub fn allows(&mut self, now: Instant, wanted: usize) -> usize {
        let Some(rate) = self.rate else { return wanted };
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(self.burst);
        self.filled_at = now;
        let mut allowed = 0;
        let mut left = self.tokens;
        while allowed < wanted && left >= 1.0 {
            left -= 1.0;
            allowed += 1;
        }
        allowed
    }

    /// Requests were sent.
    pub fn took(&mut self, count: usize) {
        for _ in 0..count {
            self.tokens -= 1.0;
        }
    }

    /// How long until there is a token; zero when there is one.
    #[must_use]
    pub fn wait(&self) -> Duration {
        match self.rate {
            Some(rate) if self.tokens < 1.0 => {
                Duration::try_from_secs_f64((1.0 - self.tokens) / rate).unwrap_or(Duration::MAX)
            }
            Some(_) | None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut throttle = Throttle::new(2.0, 4, start);
        assert_eq!(throttle.allows(start, 10), 4);
        throttle.took(4);
        assert_eq!(throttle.allows(start, 10), 0);
        assert_eq!(throttle.wait(), Duration::from_millis(500));
        assert_eq!(throttle.allows(start + Duration::from_millis(1500), 10), 3);
        throttle.took(3);
        assert_eq!(
            throttle.allows(start + Duration::from_secs(3600), 10),
            4,
            "no more than the burst"
        );
    }

    #[test]
    fn no_rate_bounds_nothing() {
        let start = Instant::now();
        let mut throttle = Throttle::new(0.0, 1, start);
        throttle.took(100);
        assert_eq!((throttle.allows(start, 7), throttle.wait()), (7, Duration::ZERO));
    }

    #[test]
    fn over_any_interval_no_more_than_burst_and_rate() {
        let start = Instant::now();
        let mut throttle = Throttle::new(10.0, 5, start);
        let mut sent = 0;
        for step in 0..10_000u64 {
            let allowed = throttle.allows(start + Duration::from_millis(step), 3);
            throttle.took(allowed);
            sent += allowed;
        }
        assert!((100..=105).contains(&sent), "{sent}");
    }
}
