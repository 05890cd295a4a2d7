//! When a message is tried again: pure arithmetic, so that days are tested in microseconds.
//!
//! The wait before attempt `n + 1` is
//!
//! ```text
//!   max( jitter(base(n)), min(Retry-After, longest_retry_after) )      base(n): the list, or min(first × factor^(n-1), longest)
//! ```
//!
//! - *Full* jitter draws from `[0, base]`: after an outage the waiting messages come back spread out
//!   over the whole interval instead of as one wave. *Some* draws from `[0.8, 1.2] × base`.
//! - `Retry-After` only lengthens. A receiver that asks for less than our own schedule gets our
//!   schedule; one that asks for a year gets `longest_retry_after`.
//! - A message is given up when the list is at its end or its next attempt would begin after the
//!   overall deadline, counted from the moment it was put into the outbox (or replayed).

use std::time::{Duration, SystemTime};

use serde::Deserialize;

/// How much chance is mixed into a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// None: for tests and for a receiver that wants exact times.
    None,
    /// A fifth in either direction.
    Some,
    /// Anything between now and the whole wait.
    Full,
}

/// The waits between the attempts of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The waits before the second, third, … attempt.
    pub waits: Vec<Duration>,
    /// How much chance is mixed in.
    pub jitter: Jitter,
    /// The longest `Retry-After` that is obeyed.
    pub longest_retry_after: Duration,
    /// How long after it was put into the outbox a message is given up.
    pub deadline: Duration,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt after this wait.
    After(Duration),
    /// None: the list is at its end.
    OutOfAttempts,
    /// None: it would begin after the deadline.
    PastDeadline,
}

impl Schedule {
    /// The waits `first`, `first × factor`, … none longer than `longest`, for `attempts` attempts.
    #[must_use]
    pub fn exponential(
        first: Duration,
        factor: f64,
        longest: Duration,
        attempts: u32,
    ) -> Vec<Duration> {
        let wait = |number: u32| {
            let seconds = first.as_secs_f64() * factor.powf(f64::from(number));
            Duration::try_from_secs_f64(seconds).unwrap_or(longest).min(longest)
        };
        (0..attempts.saturating_sub(1)).map(wait).collect()
    }

    /// What follows the failure of attempt `attempt` (1 is the first), `age` after the message was
    /// put into the outbox. `chance` is drawn from `[0, 1)`.
    #[must_use]
    pub fn next(
        &self,
        attempt: u32,
        age: Duration,
        retry_after: Option<Duration>,
        chance: f64,
    ) -> Next {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(base) = self.waits.get(index) else { return Next::OutOfAttempts };
        let factor = match self.jitter {
            Jitter::None => 1.0,
            Jitter::Some => 0.8 + 0.4 * chance,
            Jitter::Full => chance,
        };
        let asked = retry_after.unwrap_or_default().min(self.longest_retry_after);
        // Beyond what a duration holds is for ever: `Duration::mul_f64` would panic.
        let wait = Duration::try_from_secs_f64(base.as_secs_f64() * factor.clamp(0.0, 2.0))
            .unwrap_or(Duration::MAX)
            .max(asked);
        if age.saturating_add(wait) > self.deadline {
            Next::PastDeadline
        } else {
            Next::After(wait)
        }
    }

    /// The most attempts a message gets.
    #[must_use]
    pub fn most_attempts(&self) -> u32 {
        u32::try_from(self.waits.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// The value of a `Retry-After` header: seconds, or an HTTP date (RFC 9110, section 10.2.3), counted
/// from `now`, which is the answer's own `Date` where it has one, so that clocks need not agree.
/// `None` for anything else; a date in the past is no wait.
#[must_use]
pub fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long time, not a mistake.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn schedule(jitter: Jitter) -> Schedule {
        Schedule {
            waits: [5, 300, 1800, 7200].map(seconds).to_vec(),
            jitter,
            longest_retry_after: seconds(3600),
            deadline: seconds(86_400),
        }
    }

    #[test]
    fn the_list_is_followed_to_its_end() {
        let schedule = schedule(Jitter::None);
        let next = |attempt| schedule.next(attempt, Duration::ZERO, None, 0.5);
        assert_eq!(
            [1, 2, 3, 4].map(next),
            [5, 300, 1800, 7200].map(|wait| Next::After(seconds(wait)))
        );
        assert_eq!(next(5), Next::OutOfAttempts);
        assert_eq!(schedule.most_attempts(), 5);
    }

    #[test]
    fn retry_after_lengthens_within_its_limit_and_never_shortens() {
        let schedule = schedule(Jitter::Full);
        let next = |asked| schedule.next(2, Duration::ZERO, Some(seconds(asked)), 0.5);
        assert_eq!(next(1), Next::After(seconds(150)));
        assert_eq!(next(200), Next::After(seconds(200)));
        assert_eq!(next(1_000_000), Next::After(seconds(3600)));
    }

    #[test]
    fn nothing_is_tried_after_the_deadline() {
        let schedule = schedule(Jitter::None);
        assert_eq!(schedule.next(1, seconds(86_395), None, 0.0), Next::After(seconds(5)));
        assert_eq!(schedule.next(1, seconds(86_396), None, 0.0), Next::PastDeadline);
    }

    #[test]
    fn a_wait_that_no_duration_holds_is_past_every_deadline_but_the_last() {
        for jitter in [Jitter::None, Jitter::Some] {
            let schedule = Schedule { waits: vec![Duration::MAX], ..schedule(jitter) };
            assert_eq!(schedule.next(1, Duration::ZERO, None, 0.75), Next::PastDeadline);
            let schedule = Schedule { deadline: Duration::MAX, ..schedule };
            assert_eq!(schedule.next(1, Duration::ZERO, None, 0.75), Next::After(Duration::MAX));
        }
    }

    #[test]
    fn exponential_waits_grow_to_their_limit() {
        let waits = Schedule::exponential(seconds(2), 3.0, seconds(60), 6);
        assert_eq!(waits, [2, 6, 18, 54, 60].map(seconds));
        assert!(
            Schedule::exponential(seconds(2), 1e300, seconds(60), 3) == [seconds(2), seconds(60)]
        );
    }

    #[test]
    fn both_forms_of_retry_after() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 10:00:00 GMT").unwrap();
        let parse = |text| parse_retry_after(text, now);
        assert_eq!(parse("120"), Some(seconds(120)));
        assert_eq!(parse(" 0 "), Some(Duration::ZERO));
        assert_eq!(parse("Tue, 24 Nov 2026 10:01:30 GMT"), Some(seconds(90)));
        assert_eq!(parse("Tuesday, 24-Nov-26 10:01:30 GMT"), Some(seconds(90)));
        assert_eq!(parse("Tue Nov 24 10:01:30 2026"), Some(seconds(90)));
        assert_eq!(parse("Tue, 24 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("99999999999999999999999"), Some(seconds(u64::MAX)));
        for text in ["", "-1", "1.5", "soon", "+3"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(text in ".{0,60}", offset in 0u64..4_000_000_000) {
            let _ = parse_retry_after(&text, SystemTime::UNIX_EPOCH + seconds(offset));
        }

        #[test]
        fn a_wait_is_within_its_bounds(
            attempt in 0u32..10, age in 0u64..100_000, asked in prop::option::of(any::<u64>()),
            chance in 0.0f64..1.0,
        ) {
            let schedule = schedule(Jitter::Full);
            match schedule.next(attempt, seconds(age), asked.map(seconds), chance) {
                Next::After(wait) => {
                    prop_assert!(wait <= seconds(7200).max(schedule.longest_retry_after));
                    prop_assert!(seconds(age) + wait <= schedule.deadline);
                    let asked = seconds(asked.unwrap_or(0)).min(schedule.longest_retry_after);
                    prop_assert!(wait >= asked);
                }
                Next::OutOfAttempts => prop_assert!(attempt >= 5),
                Next::PastDeadline => prop_assert!(age > 86_400 - 7200),
            }
        }
    }
}
