//! What is done when nothing is under way, and now and then: waiting, looking after leases, asking closed routes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Until;
use super::pipeline::Delivery;
use crate::attempt::Found;
use crate::config::seconds;
use crate::error::{Error, Result};
use crate::metrics;
use crate::target::Learn;

/// How often leases of the dead are looked for and gauges are set.
pub(super) const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// How often what was settled long ago is forgotten.
const FORGETTING: Duration = Duration::from_secs(3600);
/// The shortest wait: what is due "now" may be due in a fraction of a millisecond.
const MOMENT: Duration = Duration::from_millis(1);

/// What a closed route answered: `None` when it is open again.
pub(super) type Asked = (&'static str, Option<Error>);

impl Delivery {
    /// Nothing is under way: how long to wait for the next thing to do, or `None` to end.
    pub(super) async fn idle(&mut self) -> Result<Option<Duration>> {
        let poll = seconds(self.courier.settings.delivery.poll_seconds);
        let now = self.courier.clock.monotonic();
        let closed = self.gates.closed_kinds();
        let origin = self.courier.origin.clone();
        let due = self.courier.outbox.next_due_ms(Learn::NAME, &closed, &origin).await?;
        let until_due = due.map(|due_ms| {
            let wait_ms = due_ms.saturating_sub(self.courier.outbox.now_ms());
            Duration::from_millis(wait_ms.try_into().unwrap_or_default())
        });
        let held = self.host.wait(now).unwrap_or_default();
        let next =
            if self.buffer.is_empty() { until_due.map(|wait| wait.max(held)) } else { Some(held) };
        self.dry_until = None;
        match (self.until, next) {
            (Until::Idle(patience), None) => self.await_others(now, patience, poll).await,
            (Until::Idle(patience), Some(wait)) if wait > patience => {
                self.return_buffer(|_| true);
                Ok((!self.results.is_empty()).then_some(Duration::ZERO))
            }
            (Until::Idle(_), Some(wait)) => Ok(Some(wait.max(MOMENT))),
            (Until::Stopped, next) => {
                // A host that is down for long holds no messages: other workers, and people, can see them.
                if held > HOUSEKEEPING {
                    self.return_buffer(|_| true);
                }
                Ok(Some(next.unwrap_or(poll).min(poll).max(MOMENT)))
            }
        }
    }

    /// Messages of this run may be in the hands of other workers, or behind such: they are waited for, within the
    /// patience.
    async fn await_others(
        &mut self,
        now: Instant,
        patience: Duration,
        poll: Duration,
    ) -> Result<Option<Duration>> {
        if self.courier.origin.is_empty() || !self.gates.is_empty() {
            return Ok(None);
        }
        if self.courier.outbox.counts(&self.courier.origin).await?.unsettled() == 0 {
            return Ok(None);
        }
        let since = *self.waiting_since.get_or_insert(now);
        let is_over = now.saturating_duration_since(since) >= patience;
        Ok((!is_over).then(|| poll.min(patience).max(MOMENT)))
    }

    /// Asks closed routes, now and then and without doing any harm there, whether they were mended.
    pub(super) fn start_asking(&mut self) {
        let now = self.courier.clock.monotonic();
        if self.gates.is_empty() {
            self.asked_at = None;
            return;
        }
        let wait = seconds(self.courier.settings.delivery.gate_seconds);
        let since = *self.asked_at.get_or_insert(now);
        let is_early = now.saturating_duration_since(since) < wait;
        if self.until != Until::Stopped || self.asking.is_some() || is_early {
            return;
        }
        self.asked_at = Some(now);
        let routes = self.gates.routes_to_ask();
        let (attempter, target) = (Arc::clone(&self.attempter), Arc::clone(&self.courier.target));
        self.asking = Some(tokio::spawn(async move {
            let mut asked = Vec::new();
            for route in routes {
                let found = attempter.ask(route, &target.secrets()).await;
                let error = match found {
                    Ok(Found::Healthy | Found::Secret(..)) => None,
                    Ok(Found::Failed(error)) | Err(error) => Some(error),
                };
                asked.push((route, error));
            }
            Ok(asked)
        }));
    }

    pub(super) fn asked(&mut self, asked: Vec<Asked>) {
        for (route, error) in asked {
            match error {
                None => {
                    self.gates.open(route);
                    self.dry_until = None;
                }
                Some(error) => tracing::warn!(route, %error, "still closed"),
            }
        }
    }

    /// Leases of the dead, retention, gauges.
    pub(super) async fn keep_house(&mut self) -> Result<()> {
        let now = self.courier.clock.monotonic();
        let is_early = |at: Option<Instant>, wait| {
            at.is_some_and(|at| now.saturating_duration_since(at) < wait)
        };
        if is_early(self.kept_house_at, HOUSEKEEPING) {
            return Ok(());
        }
        let (keeps, forgets) = (self.kept_house_at, !is_early(self.forgot_at, FORGETTING));
        self.kept_house_at = Some(now);
        let outbox = &self.courier.outbox;
        let most = self.schedule.most_attempts();
        let recovered = outbox.recover(&self.identity, most).await?;
        if recovered > 0 {
            tracing::warn!(
                recovered,
                "workers had died with messages in their hands; they are sent again"
            );
            metrics::recovered(recovered);
            self.dry_until = None;
        }
        // Counting reads the whole table: a short run does it once, at its end.
        if keeps.is_some() {
            metrics::outbox(&outbox.counts("").await?, outbox.now_ms());
        }
        if forgets {
            self.forgot_at = Some(now);
            let before = |days: f64| {
                let age = i64::try_from(seconds(days * 86_400.0).as_millis()).unwrap_or(i64::MAX);
                outbox.now_ms().saturating_sub(age)
            };
            let retention = &self.courier.settings.outbox;
            let (settled, dead) = (before(retention.settled_days), before(retention.dead_days));
            let gone = outbox.forget(settled, dead).await?;
            if gone > 0 {
                tracing::info!(gone, "messages settled long ago are forgotten");
            }
        }
        Ok(())
    }
}
