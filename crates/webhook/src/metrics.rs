//! The metrics of `ol-webhook`, served while it runs with `--metrics-address`. METRICS.md says what each
//! answers.

use std::time::Duration;

use ol_chassis::metrics::is_well_named;

use crate::outbox::{Counts, State};

/// Attempts, by `kind` and `class` (`delivered`, `transient`, `permanent`, `needs_person`).
pub const ATTEMPT_REQUESTS_TOTAL: &str = "webhook_attempt_requests_total";
/// Seconds an attempt took, questions included.
pub const ATTEMPT_SECONDS: &str = "webhook_attempt_duration_seconds";
/// Messages that were settled, by `kind` and `state` (`delivered`, `dead`).
pub const SETTLED_EVENTS_TOTAL: &str = "webhook_settled_message_events_total";
/// Seconds from the outbox to the receiver.
pub const DELIVERY_SECONDS: &str = "webhook_delivery_latency_seconds";
/// Messages put into the outbox, by `kind` and `result` (`accepted`, `unchanged`, `refused`).
pub const ENQUEUED_EVENTS_TOTAL: &str = "webhook_enqueued_message_events_total";
/// Messages in the outbox, by `state`.
pub const OUTBOX_EVENTS: &str = "webhook_outbox_message_events";
/// Age of the oldest message that is not settled.
pub const OLDEST_SECONDS: &str = "webhook_outbox_oldest_seconds";
/// 1 while the circuit breaker holds requests back.
pub const BREAKER_RATIO: &str = "webhook_breaker_open_ratio";
/// 1 while a route or the receiver needs a person, by `route` (`*` for all).
pub const GATE_RATIO: &str = "webhook_gate_closed_ratio";
/// Leases that were taken back from workers that died.
pub const RECOVERED_EVENTS_TOTAL: &str = "webhook_recovered_lease_events_total";

/// Every name, for the test that compares them with METRICS.md.
pub const ALL: &[&str] = &[
    ATTEMPT_REQUESTS_TOTAL,
    ATTEMPT_SECONDS,
    SETTLED_EVENTS_TOTAL,
    DELIVERY_SECONDS,
    ENQUEUED_EVENTS_TOTAL,
    OUTBOX_EVENTS,
    OLDEST_SECONDS,
    BREAKER_RATIO,
    GATE_RATIO,
    RECOVERED_EVENTS_TOTAL,
];

const _: () = {
    assert!(is_well_named(ATTEMPT_REQUESTS_TOTAL) && is_well_named(ATTEMPT_SECONDS));
    assert!(is_well_named(SETTLED_EVENTS_TOTAL) && is_well_named(DELIVERY_SECONDS));
    assert!(is_well_named(ENQUEUED_EVENTS_TOTAL) && is_well_named(OUTBOX_EVENTS));
    assert!(is_well_named(OLDEST_SECONDS) && is_well_named(BREAKER_RATIO));
    assert!(is_well_named(GATE_RATIO) && is_well_named(RECOVERED_EVENTS_TOTAL));
};

/// Shows every series at 0 from the start: one that is born with its first event is not seen to grow.
pub(crate) fn show_zero() {
    for kind in crate::payload::Kind::ALL.map(crate::payload::Kind::word) {
        for class in ["delivered", "transient", "permanent", "needs_person"] {
            metrics::counter!(ATTEMPT_REQUESTS_TOTAL, "kind" => kind, "class" => class)
                .increment(0);
        }
        for state in [State::Delivered, State::Dead] {
            metrics::counter!(SETTLED_EVENTS_TOTAL, "kind" => kind, "state" => state.word())
                .increment(0);
        }
    }
    metrics::counter!(RECOVERED_EVENTS_TOTAL).increment(0);
    breaker(false);
    gate("*", false);
}

/// An attempt ended.
pub(crate) fn attempted(kind: &str, class: &'static str, took: Duration) {
    metrics::counter!(ATTEMPT_REQUESTS_TOTAL, "kind" => kind.to_owned(), "class" => class)
        .increment(1);
    metrics::histogram!(ATTEMPT_SECONDS).record(took.as_secs_f64());
}

/// A message was delivered or died.
pub(crate) fn settled(kind: &str, state: State, age: Duration) {
    metrics::counter!(SETTLED_EVENTS_TOTAL, "kind" => kind.to_owned(), "state" => state.word())
        .increment(1);
    if state == State::Delivered {
        metrics::histogram!(DELIVERY_SECONDS).record(age.as_secs_f64());
    }
}

/// Messages were offered to the outbox.
pub(crate) fn enqueued(kind: &str, result: &'static str, count: u64) {
    metrics::counter!(ENQUEUED_EVENTS_TOTAL, "kind" => kind.to_owned(), "result" => result)
        .increment(count);
}

/// What the outbox holds.
pub(crate) fn outbox(counts: &Counts, now_ms: i64) {
    for (state, count) in &counts.states {
        metrics::gauge!(OUTBOX_EVENTS, "state" => *state).set(float(*count));
    }
    let age_ms = counts.oldest_unsettled_at_ms.map_or(0, |oldest| now_ms.saturating_sub(oldest));
    metrics::gauge!(OLDEST_SECONDS).set(float(age_ms) / 1000.0);
}

/// Whether the breaker holds requests back.
pub(crate) fn breaker(is_open: bool) {
    metrics::gauge!(BREAKER_RATIO).set(if is_open { 1.0 } else { 0.0 });
}

/// Whether a route is closed.
pub(crate) fn gate(route: &str, is_closed: bool) {
    metrics::gauge!(GATE_RATIO, "route" => route.to_owned()).set(if is_closed { 1.0 } else { 0.0 });
}

/// Leases were taken back.
pub(crate) fn recovered(count: u64) {
    metrics::counter!(RECOVERED_EVENTS_TOTAL).increment(count);
}

/// Counts and milliseconds are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds are far below 2^52")]
fn float(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::ALL;

    fn deployed(path: &str) -> String {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
        std::fs::read_to_string(root.join(path)).unwrap()
    }

    /// The metrics of this crate that a text names, without what Prometheus adds to a histogram's name.
    fn named(text: &str) -> Vec<&str> {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        text.split(|letter| !is_name(letter))
            .filter(|word| word.starts_with("webhook_"))
            .map(|word| {
                let ends = ["_bucket", "_count", "_sum"];
                ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
            })
            .collect()
    }

    #[test]
    fn alerts_and_dashboard_ask_for_metrics_that_exist_and_alerts_name_runbooks() {
        let (alerts, dashboard) =
            (deployed("alerts/webhook.yml"), deployed("grafana/webhook.json"));
        for name in named(&alerts).into_iter().chain(named(&dashboard)) {
            assert!(ALL.contains(&name), "{name} is no metric of ours");
        }
        for metric in ALL {
            assert!(named(&dashboard).contains(metric), "the dashboard does not show {metric}");
        }
        let runbooks: Vec<&str> =
            alerts.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).collect();
        assert_eq!(runbooks.len(), alerts.matches("- alert:").count());
        for runbook in runbooks {
            let path = runbook.trim_matches('"').strip_prefix("deploy/").unwrap();
            assert!(deployed(path).contains("## What to do"), "{runbook}");
        }
    }

    #[test]
    fn every_metric_is_explained_and_none_is_stale() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/METRICS.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut explained: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        explained.sort_unstable();
        let mut known = ALL.to_vec();
        known.sort_unstable();
        assert_eq!(explained, known);
    }
}
