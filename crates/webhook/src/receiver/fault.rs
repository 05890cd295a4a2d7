//! A fault: what goes wrong, and how many times, as a text.
//!
//! | text | what happens |
//! |---|---|
//! | `status:503:3` | three requests are answered 503 |
//! | `status:429:2:retry-after=1` | with the header `Retry-After: 1` |
//! | `status:429:1:retry-after-date=5` | with a `Retry-After` that is the date in 5 seconds |
//! | `drop:2` | two requests are read and not answered, their connections closed |
//! | `delay:0.5:10` | ten answers are half a second late |
//! | `refuse:5` | five connections are closed as soon as they are made |
//! | `slow:0.2:3` | three answers come byte by byte, one every 0.2 seconds |
//! | `reject:course-v1:MITx*` | payloads of these entities fail validation, as at Learn |
//!
//! The count may be left out: then the fault lasts until it is removed. `reject` has no count,
//! because the names of courses contain colons.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use hyper::StatusCode;
use ol_chassis::Error;

/// The longest pause that a fault may ask for, in seconds: a day.
const LONGEST_SECONDS: f64 = 86_400.0;

/// Something that goes wrong on demand.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) kind: Kind,
    /// How many times it will still happen; `None` until it is removed.
    pub(super) remaining: Option<u64>,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Status { code: StatusCode, retry_after: Option<RetryAfter> },
    Drop,
    Delay { pause: Duration },
    Refuse,
    Slow { pause: Duration },
    Reject { entity: GlobMatcher },
}

/// The header `Retry-After`, in either of its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    Seconds(u64),
    /// The date so many seconds from now.
    DateInSeconds(u64),
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let refuse = |reason: &str| {
            Error::configuration(format!("Not a fault: {reason}")).with("fault", text).advise(
                "Write status:CODE[:COUNT][:retry-after=SECONDS], drop[:COUNT], \
                 delay:SECONDS[:COUNT], refuse[:COUNT], slow:SECONDS[:COUNT] or \
                 reject:ENTITY_GLOB",
            )
        };
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        if name == "reject" {
            if rest.is_empty() {
                return Err(refuse("it names no entity"));
            }
            let glob = Glob::new(rest).map_err(|source| {
                refuse("the pattern of its entity is not a glob").caused_by(source)
            })?;
            return Ok(Self {
                kind: Kind::Reject { entity: glob.compile_matcher() },
                remaining: None,
            });
        }
        let mut parts = rest.split(':').filter(|part| !part.is_empty()).peekable();
        let kind = match name {
            "drop" => Kind::Drop,
            "refuse" => Kind::Refuse,
            "delay" | "slow" => {
                let pause = parts
                    .next()
                    .and_then(parse_pause)
                    .ok_or_else(|| refuse("it needs a number of seconds, at most a day"))?;
                if name == "slow" { Kind::Slow { pause } } else { Kind::Delay { pause } }
            }
            "status" => {
                let code = parts
                    .next()
                    .and_then(|code| code.parse::<StatusCode>().ok())
                    .filter(|code| (200..=599).contains(&code.as_u16()))
                    .ok_or_else(|| refuse("its status is not a number from 200 to 599"))?;
                Kind::Status { code, retry_after: None }
            }
            _ => return Err(refuse("there is none of this name")),
        };
        let mut fault = Self { kind, remaining: None };
        if let Some(count) = parts.next_if(|part| !part.contains('=')) {
            let count = count.parse().ok().filter(|count| *count > 0);
            fault.remaining =
                Some(count.ok_or_else(|| refuse("its count is not a number from 1"))?);
        }
        if let (Kind::Status { retry_after, .. }, Some(option)) = (&mut fault.kind, parts.peek()) {
            let parsed = parse_retry_after(option);
            *retry_after = Some(parsed.ok_or_else(|| refuse("its option is not known"))?);
            parts.next();
        }
        if parts.next().is_some() {
            return Err(refuse("there is more text than it has parts"));
        }
        Ok(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Status { code, .. } => write!(formatter, "status:{}", code.as_u16())?,
            Kind::Drop => write!(formatter, "drop")?,
            Kind::Delay { pause } => write!(formatter, "delay:{}", pause.as_secs_f64())?,
            Kind::Refuse => write!(formatter, "refuse")?,
            Kind::Slow { pause } => write!(formatter, "slow:{}", pause.as_secs_f64())?,
            Kind::Reject { entity } => write!(formatter, "reject:{}", entity.glob())?,
        }
        if let Some(remaining) = self.remaining {
            write!(formatter, ":{remaining}")?;
        }
        match &self.kind {
            Kind::Status { retry_after: Some(RetryAfter::Seconds(seconds)), .. } => {
                write!(formatter, ":retry-after={seconds}")
            }
            Kind::Status { retry_after: Some(RetryAfter::DateInSeconds(seconds)), .. } => {
                write!(formatter, ":retry-after-date={seconds}")
            }
            Kind::Status { retry_after: None, .. }
            | Kind::Drop
            | Kind::Delay { .. }
            | Kind::Refuse
            | Kind::Slow { .. }
            | Kind::Reject { .. } => Ok(()),
        }
    }
}

fn parse_pause(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    let pause = Duration::try_from_secs_f64(seconds).ok()?;
    (seconds <= LONGEST_SECONDS).then_some(pause)
}

fn parse_retry_after(text: &str) -> Option<RetryAfter> {
    let (name, seconds) = text.split_once('=')?;
    let within = |seconds: &u64| *seconds <= 10 * 366 * 86_400;
    let seconds = seconds.parse().ok().filter(within)?;
    match name {
        "retry-after" => Some(RetryAfter::Seconds(seconds)),
        "retry-after-date" => Some(RetryAfter::DateInSeconds(seconds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fault_reads_back_as_it_was_written() {
        for text in [
            "status:503",
            "status:503:3",
            "status:429:2:retry-after=1",
            "status:429:1:retry-after-date=5",
            "status:429:retry-after=1",
            "drop",
            "drop:2",
            "delay:0.5:10",
            "delay:2",
            "refuse:5",
            "slow:0.2:3",
            "reject:course-v1:MITx*:3",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_fault_is_refused_with_the_forms_that_are() {
        for text in [
            "",
            "burn",
            "status",
            "status:99",
            "status:600",
            "status:503:0",
            "status:503:-1",
            "status:503:1:retry-after=x",
            "status:503:1:retry-after=1:2",
            "status:503:1:later=1",
            "drop:x",
            "drop:1:2",
            "delay",
            "delay:-1",
            "delay:inf",
            "delay:nan",
            "delay:86401",
            "drop:retry-after=1",
            "reject",
            "reject:",
            "reject:[",
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            assert_eq!(error.kind(), ol_chassis::ErrorKind::Configuration, "{text}");
            assert!(error.advice().unwrap().contains("status:CODE"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_what_it_takes_reads_back(
            text in "(status|drop|delay|slow|refuse|reject)?(:[0-9.a-z=*-]{0,8}){0,4}|.{0,40}"
        ) {
            if let Ok(fault) = text.parse::<Fault>() {
                let written = fault.to_string();
                prop_assert_eq!(written.parse::<Fault>().unwrap().to_string(), written);
            }
        }
    }
}
