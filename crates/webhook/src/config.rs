//! The settings of `ol-webhook`; `config.default.toml` is their manual.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::breaker::BreakerSettings;
use crate::schedule::{Jitter, Schedule};

/// All settings of this binary.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The one section.
    pub webhook: Webhook,
}

/// What the manual says under `[webhook]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Which signatures a request carries.
    pub signature: SignatureForm,
    /// Whether the kind `learning_resources` may be sent.
    pub learning_resources_enabled: bool,
    /// Hosts of OVS media.
    pub ovs_media_hosts: Vec<String>,
    /// Keys whose values `show` does not print.
    pub redacted_fields: Vec<String>,
    /// The largest part that a complete snapshot may delete.
    pub vanish_ratio: f64,
    /// Most resources a message.
    pub batch_count: usize,
    /// Most bytes of a message of resources.
    pub batch_bytes: usize,
    /// Whether requests carry the trace context.
    pub trace_header: bool,
    /// How messages leave.
    pub delivery: Delivery,
    /// How long a request may take.
    pub timeout: Timeouts,
    /// When a message is tried again.
    pub schedule: ScheduleSettings,
    /// When requests to a host stop.
    pub breaker: BreakerConfig,
    /// Whom we may call.
    pub egress: Egress,
    /// Whom we believe, and who we are.
    pub tls: Tls,
    /// How long the outbox remembers.
    pub outbox: Retention,
}

/// Which signatures a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureForm {
    /// `X-MITLearn-Signature` alone.
    Legacy,
    /// That and the headers of Standard Webhooks.
    Standard,
}

/// How messages leave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Requests under way at the same time, to one host.
    pub concurrency: usize,
    /// Requests a second to one host; 0 is not bounded.
    pub rate_per_second: f64,
    /// Requests that may go at once after a pause.
    pub burst: u32,
    /// How long a bounded delivery waits for what is not due yet.
    pub patience_seconds: f64,
    /// How often the outbox is looked at.
    pub poll_seconds: f64,
    /// How often a closed gate is tried.
    pub gate_seconds: f64,
    /// How long a worker may keep a message.
    pub lease_seconds: f64,
}

/// How long a request may take, in seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// To connect.
    pub connect_seconds: f64,
    /// Between two pieces of an answer.
    pub read_seconds: f64,
    /// As a whole.
    pub total_seconds: f64,
}

/// When a message is tried again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// The waits, if they are listed.
    pub waits_seconds: Vec<f64>,
    /// The first wait otherwise.
    pub first_seconds: f64,
    /// By how much waits grow.
    pub factor: f64,
    /// The longest wait.
    pub longest_seconds: f64,
    /// How many attempts.
    pub attempts: u32,
    /// How much chance.
    pub jitter: Jitter,
    /// The longest `Retry-After` that is obeyed.
    pub longest_retry_after_seconds: f64,
    /// When a message is given up.
    pub deadline_seconds: f64,
}

/// When requests to a host stop.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerConfig {
    /// Transient failures in a row.
    pub threshold: u32,
    /// For how long at first.
    pub first_open_seconds: f64,
    /// For how long at most.
    pub longest_open_seconds: f64,
}

/// Whom we may call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Hosts beside the base URL's.
    pub allowed_hosts: Vec<String>,
    /// Whether names may lead to private addresses.
    pub allow_private: bool,
    /// Whether a base URL may be http beyond this machine.
    pub allow_plain_http: bool,
    /// An HTTP proxy, or nothing.
    pub proxy: String,
}

/// Whom we believe, and who we are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// More certificate authorities.
    pub ca_file: String,
    /// Our certificate and key.
    pub client_certificate_file: String,
}

/// How long the outbox remembers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days that settled messages stay.
    pub settled_days: f64,
    /// Days that dead letters stay.
    pub dead_days: f64,
    /// Bytes of an answer that are kept.
    pub response_bytes: usize,
}

impl Config {
    /// The defaults, the file at `path` and the variables, in that order.
    ///
    /// # Errors
    /// A key that does not exist, a value of the wrong type, or one out of its range.
    pub fn load(path: Option<&Path>) -> Result<Self, ol_chassis::Error> {
        let config: Self = ol_chassis::config::load(include_str!("../config.default.toml"), path)?;
        config.webhook.check()?;
        Ok(config)
    }
}

impl Webhook {
    fn check(&self) -> Result<(), ol_chassis::Error> {
        let refuse = |key: &str, rule: &str| {
            Err(ol_chassis::Error::configuration(format!("A setting {rule}"))
                .with("key", format!("webhook.{key}"))
                .advise("Correct the setting; config.default.toml describes each"))
        };
        if !(0.0..=1.0).contains(&self.vanish_ratio) {
            return refuse("vanish_ratio", "must be from 0 to 1");
        }
        for (key, value) in [
            ("delivery.concurrency", self.delivery.concurrency),
            ("delivery.burst", self.delivery.burst as usize),
            ("breaker.threshold", self.breaker.threshold as usize),
            ("schedule.attempts", self.schedule.attempts as usize),
            ("batch_count", self.batch_count),
            ("batch_bytes", self.batch_bytes),
        ] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        let not_negative = [
            ("delivery.rate_per_second", self.delivery.rate_per_second),
            ("delivery.patience_seconds", self.delivery.patience_seconds),
            ("schedule.first_seconds", self.schedule.first_seconds),
            ("schedule.factor", self.schedule.factor),
            ("schedule.longest_seconds", self.schedule.longest_seconds),
            ("schedule.longest_retry_after_seconds", self.schedule.longest_retry_after_seconds),
            ("schedule.deadline_seconds", self.schedule.deadline_seconds),
            ("breaker.first_open_seconds", self.breaker.first_open_seconds),
            ("breaker.longest_open_seconds", self.breaker.longest_open_seconds),
            ("outbox.settled_days", self.outbox.settled_days),
            ("outbox.dead_days", self.outbox.dead_days),
        ];
        let waits =
            self.schedule.waits_seconds.iter().map(|wait| ("schedule.waits_seconds", *wait));
        for (key, value) in not_negative.into_iter().chain(waits) {
            if !(0.0..=1e9).contains(&value) {
                return refuse(key, "must be from 0 to 1,000,000,000");
            }
        }
        for (key, value) in [
            ("timeout.connect_seconds", self.timeout.connect_seconds),
            ("timeout.read_seconds", self.timeout.read_seconds),
            ("timeout.total_seconds", self.timeout.total_seconds),
            ("delivery.poll_seconds", self.delivery.poll_seconds),
            ("delivery.gate_seconds", self.delivery.gate_seconds),
        ] {
            if !(0.001..=86_400.0).contains(&value) {
                return refuse(key, "must be from 0.001 to 86,400");
            }
        }
        // An attempt is at most a request, its repetition with another secret and three questions.
        if self.delivery.lease_seconds < 5.0 * self.timeout.total_seconds {
            return refuse(
                "delivery.lease_seconds",
                "must be at least five times timeout.total_seconds",
            );
        }
        Ok(())
    }

    /// The waits between attempts.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        let settings = &self.schedule;
        let waits = if settings.waits_seconds.is_empty() {
            Schedule::exponential(
                seconds(settings.first_seconds),
                settings.factor,
                seconds(settings.longest_seconds),
                settings.attempts,
            )
        } else {
            settings.waits_seconds.iter().copied().map(seconds).collect()
        };
        Schedule {
            waits,
            jitter: settings.jitter,
            longest_retry_after: seconds(settings.longest_retry_after_seconds),
            deadline: seconds(settings.deadline_seconds),
        }
    }

    /// When the circuit breaker opens.
    #[must_use]
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            threshold: self.breaker.threshold,
            first_open: seconds(self.breaker.first_open_seconds),
            longest_open: seconds(self.breaker.longest_open_seconds),
        }
    }
}

/// Seconds as a duration; the settings' ranges leave nothing that does not fit.
#[must_use]
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_manual_is_complete_and_valid() {
        let config = Config::load(None).unwrap().webhook;
        assert_eq!(config.schedule().most_attempts(), 10);
        assert_eq!(config.signature, SignatureForm::Standard);
        let mut other = config.clone();
        other.schedule.waits_seconds.clear();
        assert_eq!(other.schedule().most_attempts(), 10);
        other.delivery.lease_seconds = 1.0;
        assert!(other.check().unwrap_err().to_string().contains("webhook.delivery.lease_seconds"));
    }
}
