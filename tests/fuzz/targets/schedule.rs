//! The header `Retry-After`, and the wait that follows from it.
//!
//! The first line is the header; all numbers come from the bytes behind it.

#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use ol_fuzz::schedule::{Jitter, Next, Schedule, parse_retry_after};

/// The last second that an HTTP date can say.
const LAST_SECOND: u64 = 253_402_300_799;

fuzz_target!(|bytes: &[u8]| {
    let (line, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let Ok(text) = std::str::from_utf8(line) else { return };
    let mut numbers = Unstructured::new(rest.get(1..).unwrap_or_default());
    let asked = header(text, &mut numbers);
    let _ = waits(asked, &mut numbers);
    let _ = exponential(&mut numbers);
});

fn header(text: &str, numbers: &mut Unstructured<'_>) -> Option<Duration> {
    let now = numbers.int_in_range(0..=LAST_SECOND).unwrap_or_default();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
    let asked = parse_retry_after(text, now);
    assert_eq!(parse_retry_after(&format!(" {text}\t"), now), asked, "blanks do not count");
    let digits = text.trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let Some(wait) = asked else {
        assert!(!is_number);
        return None;
    };
    assert_eq!(parse_retry_after(&wait.as_secs().to_string(), now), asked, "as seconds");
    if !is_number {
        let date = httpdate::fmt_http_date(now + wait);
        assert_eq!(parse_retry_after(&date, now), asked, "as a date");
    }
    asked
}

/// Any duration, not only what the settings allow.
fn duration(numbers: &mut Unstructured<'_>) -> arbitrary::Result<Duration> {
    let most =
        [0, 10, 86_400, 1_000_000_000, u64::MAX][usize::from(numbers.arbitrary::<u8>()? % 5)];
    let nanoseconds = numbers.int_in_range(0..=999_999_999)?;
    Ok(Duration::new(numbers.int_in_range(0..=most)?, nanoseconds))
}

fn waits(header: Option<Duration>, numbers: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let jitter = *numbers.choose(&[Jitter::None, Jitter::Some, Jitter::Full])?;
    let chance = f64::from(numbers.arbitrary::<u32>()?) / (f64::from(u32::MAX) + 1.0);
    let attempt = numbers.int_in_range(0..=12)?;
    let age = duration(numbers)?;
    let (longest_retry_after, deadline) = (duration(numbers)?, duration(numbers)?);
    let waits = (0..numbers.int_in_range(0..=8)?).map(|_| duration(numbers));
    let waits = waits.collect::<arbitrary::Result<Vec<Duration>>>()?;
    let schedule = Schedule { waits, jitter, longest_retry_after, deadline };
    assert_eq!(usize::try_from(schedule.most_attempts()).unwrap(), schedule.waits.len() + 1);

    let index = usize::try_from(attempt.max(1u32) - 1).unwrap();
    let next = schedule.next(attempt, age, header, chance);
    let Some(base) = schedule.waits.get(index) else {
        assert_eq!(next, Next::OutOfAttempts);
        return Ok(());
    };
    let asked = header.unwrap_or_default().min(longest_retry_after);
    let most = match jitter {
        Jitter::None | Jitter::Full => *base,
        Jitter::Some => base.saturating_add(*base / 5),
    };
    // Waits are computed as floats: 53 of 94 bits.
    let most = most.saturating_add(most / (1 << 31)).saturating_add(Duration::from_nanos(2));
    match next {
        Next::After(wait) => {
            assert!(wait >= asked && wait <= most.max(asked), "{wait:?}");
            assert!(age.saturating_add(wait) <= deadline);
        }
        Next::PastDeadline => assert!(age.saturating_add(most.max(asked)) > deadline),
        Next::OutOfAttempts => panic!("there is a wait for this attempt"),
    }
    // A longer Retry-After never makes a shorter wait.
    let longer = header.unwrap_or_default().saturating_add(Duration::from_secs(7));
    match (next, schedule.next(attempt, age, Some(longer), chance)) {
        (Next::After(before), Next::After(after)) => assert!(after >= before),
        (_, after) => assert_eq!(after, Next::PastDeadline),
    }
    Ok(())
}

fn exponential(numbers: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (first, longest) = (duration(numbers)?, duration(numbers)?);
    let factor: f64 = numbers.arbitrary()?;
    let attempts = numbers.int_in_range(0..=64)?;
    let waits = Schedule::exponential(first, factor, longest, attempts);
    assert_eq!(waits.len(), usize::try_from(attempts.saturating_sub(1)).unwrap());
    assert!(waits.iter().all(|wait| *wait <= longest));
    assert!(factor.is_nan() || factor < 1.0 || waits.is_sorted(), "{waits:?}");
    Ok(())
}
