//! Delivering what is due: a pipeline from the outbox to the receiver and back.
//!
//! ```text
//!   outbox ── claim (a few ahead) ──▶ buffer ──▶ attempts (bounded, throttled) ──▶ results ── settle ──▶ outbox
//! ```
//!
//! Claiming, sending and recording run at the same time, so that the disk's wait and the network's
//! overlap; results that arrive while a transaction is under way are recorded by the next one, together.
//! Order needs nothing here: the outbox never hands out two messages of one entity at a time.
//!
//! The loop ends when there is nothing it may do within its patience, or never (`--forever`). It holds no
//! state that matters: whatever is lost with the process is in the outbox.

mod gate;
mod host;
mod summary;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ol_chassis::clock::Clock;
use ol_chassis::process::Identity;
use ol_chassis::progress::{Bar, Progress};
use ol_chassis::shutdown::Shutdown;
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument as _;

use crate::attempt::{Attempted, Attempter, Fence, Found};
use crate::config::{Webhook, seconds};
use crate::error::{Definite, Error, Result};
use crate::failpoints;
use crate::metrics;
use crate::outbox::{Leased, Outbox, Outcome, Settlement, State};
use crate::payload::Kind;
use crate::policy::policy;
use crate::schedule::{Next, Schedule};
use crate::target::Learn;
use crate::transport::Transport;
use gate::Gates;
use host::HostState;

pub use summary::{Dead, Delivered, Observer, Silent, Summary};

/// When a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When nothing may be done within this time.
    Idle(Duration),
    /// When it is asked to stop.
    Stopped,
}

/// What a delivery needs.
pub struct Courier {
    /// Where messages are.
    pub outbox: Outbox,
    /// Who gets them.
    pub target: Arc<Learn>,
    /// How requests travel.
    pub transport: Arc<dyn Transport>,
    /// The settings.
    pub settings: Webhook,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// Bars on a terminal.
    pub progress: Progress,
    /// Who hears of each settled message.
    pub observer: Arc<dyn Observer>,
    /// The run whose messages are delivered; empty for all messages.
    pub origin: String,
    /// Numbers from `[0, 1)` for jitter.
    pub chance: Box<dyn FnMut() -> f64 + Send>,
}

/// Numbers from `[0, 1)`, by the operating system.
#[must_use]
pub fn system_chance() -> Box<dyn FnMut() -> f64 + Send> {
    Box::new(|| {
        let bits = u32::try_from(uuid::Uuid::new_v4().as_u128() & 0xffff_ffff).unwrap_or_default();
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    })
}

/// Most bytes of bodies that are claimed ahead.
const AHEAD_BYTES: usize = 32 * 1024 * 1024;
/// How often leases of the dead are looked for, retention is done and gauges are set.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// Tries to record results while the outbox is locked or away, a second apart and doubling.
const RECORD_TRIES: u32 = 6;

/// One attempt that has ended.
struct Finished {
    message: Leased,
    started_at_ms: i64,
    attempted: Attempted,
}

/// A delivery under way.
struct Delivery {
    courier: Courier,
    attempter: Arc<Attempter>,
    schedule: Schedule,
    until: Until,
    identity: Identity,
    host: HostState,
    gates: Gates,
    summary: Summary,
    bar: Bar,
    buffer: VecDeque<(Leased, Fence)>,
    attempts: JoinSet<Finished>,
    results: Vec<Settlement>,
    claiming: Option<JoinHandle<Result<Vec<Leased>>>>,
    settling: Option<JoinHandle<Result<(Vec<Settlement>, Vec<bool>)>>>,
    /// Nothing was due at the last look; the time of the next one.
    dry_until: Option<Instant>,
    largest_body: usize,
    kept_house_at: Option<Instant>,
    asked_gates_at: Option<Instant>,
    /// Since when only other workers can do something for this run.
    waiting_since: Option<Instant>,
}

impl Courier {
    /// Delivers until the end that `until` names.
    ///
    /// # Errors
    /// The outbox's. What was sent and not recorded will be sent again, with the same id.
    pub async fn run(self, until: Until) -> Result<Summary> {
        let now = self.clock.monotonic();
        let delivery = Delivery {
            attempter: Arc::new(Attempter::new(
                Arc::clone(&self.target),
                Arc::clone(&self.transport),
                Arc::clone(&self.clock),
                self.settings.trace_header,
            )),
            schedule: self.settings.schedule(),
            until,
            identity: Identity::current(),
            host: HostState::new(&self.settings, now),
            gates: Gates::default(),
            summary: Summary::default(),
            bar: self.progress.bar("delivering", None, ol_chassis::progress::Unit::Messages),
            buffer: VecDeque::new(),
            attempts: JoinSet::new(),
            results: Vec::new(),
            claiming: None,
            settling: None,
            dry_until: None,
            largest_body: 0,
            kept_house_at: None,
            asked_gates_at: None,
            waiting_since: None,
            courier: self,
        };
        delivery.run().await
    }
}

impl Delivery {
    async fn run(mut self) -> Result<Summary> {
        let clock = Arc::clone(&self.courier.clock);
        let shutdown = self.courier.shutdown.clone();
        loop {
            self.keep_house().await?;
            let stopping = shutdown.is_requested();
            if stopping {
                self.return_buffer();
            } else {
                self.start_attempts();
                self.start_claim();
            }
            self.start_settling();
            let is_quiet = self.attempts.is_empty() && self.claiming.is_none() && self.settling.is_none();
            if is_quiet && stopping {
                break;
            }
            let mut wake = HOUSEKEEPING;
            if is_quiet {
                match self.idle().await? {
                    Some(wait) => wake = wake.min(wait),
                    None => break,
                }
            } else if !self.buffer.is_empty() {
                wake = wake.min(self.host.wait(clock.monotonic()).unwrap_or(HOUSEKEEPING));
            }
            tokio::select! {
                Some(done) = self.attempts.join_next() => self.finish(done)?,
                claimed = wait_for(&mut self.claiming) => self.claimed(claimed)?,
                settled = wait_for(&mut self.settling) => self.settled(settled)?,
                () = clock.sleep(wake) => {}
                () = shutdown.requested(), if !stopping => {}
            }
        }
        self.bar.finish();
        self.summary.stopped = shutdown.is_requested();
        self.summary.blocked = self.gates.reasons();
        let outbox = &self.courier.outbox;
        let all = outbox.counts("").await?;
        metrics::outbox(&all, outbox.now_ms());
        let own = match self.courier.origin.as_str() {
            "" => all,
            origin => outbox.counts(origin).await?,
        };
        self.summary.left = u64::try_from(own.unsettled()).unwrap_or_default();
        Ok(self.summary)
    }

    fn lease(&self) -> Duration {
        seconds(self.courier.settings.delivery.lease_seconds)
    }

    /// Sends what is in the buffer, as far as the host lets us.
    fn start_attempts(&mut self) {
        let room = self.courier.settings.delivery.concurrency.saturating_sub(self.attempts.len());
        let now = self.courier.clock.monotonic();
        let wanted = room.min(self.buffer.len());
        for _ in 0..self.host.allows(now, wanted) {
            let Some((message, fence)) = self.buffer.pop_front() else { break };
            self.host.sent(now);
            let attempter = Arc::clone(&self.attempter);
            let started_at_ms = self.courier.outbox.now_ms();
            let span = tracing::info_span!(
                "attempt",
                id = message.id,
                kind = message.kind,
                entity = message.entity,
                number = message.total_attempts,
            );
            let attempt = async move {
                let attempted = attempter.attempt(&message, fence).await;
                Finished { message, started_at_ms, attempted }
            };
            self.attempts.spawn(attempt.instrument(span));
        }
    }

    /// How many messages are claimed ahead: enough to keep the attempts busy, no more than are sent in a
    /// few seconds or fit into memory.
    fn ahead(&self) -> usize {
        let delivery = &self.courier.settings.delivery;
        let mut ahead = (delivery.concurrency * 8).max(32);
        if delivery.rate_per_second > 0.0 {
            let in_five_seconds = seconds(delivery.rate_per_second * 5.0).as_secs();
            ahead = ahead.min(usize::try_from(in_five_seconds).unwrap_or(ahead));
        }
        let fits = AHEAD_BYTES / self.largest_body.max(1);
        ahead.min(fits).max(delivery.concurrency)
    }

    fn start_claim(&mut self) {
        let now = self.courier.clock.monotonic();
        let is_dry = self.dry_until.is_some_and(|until| until > now);
        // A host that is down is asked by one message: the others stay where everybody can see them.
        let held = self.host.wait(now).is_some() && self.buffer.is_empty();
        if self.claiming.is_some() || is_dry || held || self.attempts.is_empty() && !self.buffer.is_empty() {
            return;
        }
        let ahead = self.ahead();
        let limit = ahead.saturating_sub(self.buffer.len());
        if limit == 0 || self.buffer.len() > ahead / 2 {
            return;
        }
        let limit = self.host.allows(now, limit.max(1)).max(1).min(limit);
        let (outbox, identity, lease) =
            (self.courier.outbox.clone(), self.identity.clone(), self.lease());
        let (closed, origin) = (self.gates.closed_kinds(), self.courier.origin.clone());
        self.claiming = Some(tokio::spawn(async move {
            outbox.claim(Learn::NAME, &identity, lease, limit, &closed, &origin).await
        }));
    }

    fn claimed(&mut self, claimed: Result<Vec<Leased>>) -> Result<()> {
        let now = self.courier.clock.monotonic();
        let claimed = claimed?;
        failpoints::hit(failpoints::CLAIMED);
        if !claimed.is_empty() {
            self.waiting_since = None;
        }
        if claimed.is_empty() {
            // Looked at again when something is recorded, or after the poll.
            self.dry_until = Some(now + seconds(self.courier.settings.delivery.poll_seconds));
        }
        let fence = Fence {
            claimed_at: now,
            lease: self.lease(),
            request: seconds(self.courier.settings.timeout.total_seconds),
        };
        for message in claimed {
            self.largest_body = self.largest_body.max(message.body.len());
            self.buffer.push_back((message, fence));
        }
        Ok(())
    }

    /// Decides what an attempt means; the result is recorded by the next transaction.
    fn finish(&mut self, done: std::result::Result<Finished, tokio::task::JoinError>) -> Result<()> {
        let Finished { message, started_at_ms, attempted } = done.map_err(|panic| {
            Error::new(Definite::Defect).with("what", "an attempt panicked").because(panic)
        })?;
        let now = self.courier.clock.monotonic();
        let now_ms = self.courier.outbox.now_ms();
        let retry_after = attempted.answer.as_ref().and_then(|answer| answer.retry_after);
        let outcome = match attempted.result {
            None => {
                self.host.withdrawn(now);
                Outcome::Returned { due_at_ms: now_ms }
            }
            Some(Ok(())) => {
                self.host.succeeded();
                Outcome::Delivered
            }
            Some(Err(error)) => {
                let policy = policy(error.failure());
                if policy.counts_against_host {
                    self.host.failed(now);
                } else if attempted.answer.is_some() {
                    self.host.succeeded();
                } else {
                    self.host.withdrawn(now);
                }
                if let (true, Some(wait)) = (policy.retry, retry_after) {
                    self.host.pause(now, wait);
                }
                if let Ok(kind) = message.kind.parse::<Kind>() {
                    self.gates.close(kind, &error);
                }
                self.after_failure(&message, error, retry_after, now_ms)
            }
        };
        self.log(&message, &outcome, attempted.took);
        let answer = attempted.answer.unwrap_or_default();
        self.results.push(Settlement {
            message,
            outcome,
            started_at_ms,
            milliseconds: i64::try_from(attempted.took.as_millis()).unwrap_or(i64::MAX),
            status: (answer.status != 0).then_some(answer.status),
            response: answer.body,
            response_truncated: answer.is_truncated,
            body_sha256: attempted.body_sha256,
        });
        Ok(())
    }

    fn after_failure(
        &mut self,
        message: &Leased,
        error: Error,
        retry_after: Option<Duration>,
        now_ms: i64,
    ) -> Outcome {
        if !policy(error.failure()).retry {
            return Outcome::Dead { error };
        }
        let age = Duration::from_millis(
            now_ms.saturating_sub(message.accepted_at_ms).try_into().unwrap_or_default(),
        );
        let attempt = u32::try_from(message.attempts).unwrap_or(u32::MAX);
        match self.schedule.next(attempt, age, retry_after, (self.courier.chance)()) {
            Next::After(wait) => {
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let asked = retry_after.map(|asked| asked.min(self.schedule.longest_retry_after));
                let not_before_ms = asked.map(|asked| {
                    now_ms.saturating_add(i64::try_from(asked.as_millis()).unwrap_or(i64::MAX))
                });
                Outcome::Retry { due_at_ms: now_ms.saturating_add(wait_ms), not_before_ms, error }
            }
            next @ (Next::OutOfAttempts | Next::PastDeadline) => {
                let why = if next == Next::OutOfAttempts { "attempts" } else { "deadline" };
                Outcome::Dead {
                    error: Error::new(Definite::GivenUp)
                        .with("over", why)
                        .with("attempts", attempt)
                        .with("last", error.failure().headline()),
                }
            }
        }
    }

    fn log(&mut self, message: &Leased, outcome: &Outcome, took: Duration) {
        let (id, kind, number) = (&message.id, &message.kind, message.total_attempts);
        let class = match outcome {
            Outcome::Delivered => {
                tracing::debug!(id, kind, number, "delivered");
                "delivered"
            }
            Outcome::Retry { error, .. } => {
                let cause = ol_chassis::error::chain(error);
                tracing::warn!(id, kind, number, error = %cause, "an attempt failed; it is tried again");
                policy(error.failure()).class.word()
            }
            Outcome::Dead { error } => {
                let cause = ol_chassis::error::chain(error);
                tracing::error!(id, kind, number, error = %cause, "a message is dead");
                policy(error.failure()).class.word()
            }
            Outcome::Returned { .. } => return,
        };
        self.summary.attempts += 1;
        metrics::attempted(kind, class, took);
    }

    fn start_settling(&mut self) {
        if self.settling.is_some() || self.results.is_empty() {
            return;
        }
        let results = std::mem::take(&mut self.results);
        let outbox = self.courier.outbox.clone();
        let worker = self.identity.to_string();
        let clock = Arc::clone(&self.courier.clock);
        failpoints::hit(failpoints::RECORDING);
        self.settling = Some(tokio::spawn(async move {
            let mut wait = Duration::from_secs(1);
            let mut tries = 1;
            loop {
                match outbox.settle(&results, &worker).await {
                    Ok(ours) => return Ok((results, ours)),
                    Err(error) if tries < RECORD_TRIES && policy(error.failure()).retry => {
                        tracing::warn!(error = %ol_chassis::error::chain(&error), "results are not recorded yet");
                        clock.sleep(wait).await;
                        wait *= 2;
                        tries += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        }));
    }

    fn settled(&mut self, settled: Result<(Vec<Settlement>, Vec<bool>)>) -> Result<()> {
        let (results, ours) = settled?;
        failpoints::hit(failpoints::RECORDED);
        let now_ms = self.courier.outbox.now_ms();
        // What was recorded may have let others go.
        self.dry_until = None;
        for (result, is_ours) in results.iter().zip(ours) {
            if !is_ours {
                tracing::warn!(id = result.message.id, "the lease had run out; the result does not count");
                self.summary.fenced += 1;
                continue;
            }
            let age_ms = now_ms.saturating_sub(result.message.accepted_at_ms);
            let age = Duration::from_millis(age_ms.try_into().unwrap_or_default());
            match &result.outcome {
                Outcome::Delivered => {
                    self.summary.delivered += 1;
                    self.bar.add(1);
                    metrics::settled(&result.message.kind, State::Delivered, age);
                    self.courier.observer.delivered(&Delivered::of(result, age));
                }
                Outcome::Dead { error } => {
                    metrics::settled(&result.message.kind, State::Dead, age);
                    let dead = Dead::of(result, error);
                    self.courier.observer.died(&dead);
                    self.summary.died(dead);
                }
                Outcome::Retry { error, .. } => self.summary.failed(error),
                Outcome::Returned { .. } => {}
            }
        }
        Ok(())
    }

    /// Gives back what was claimed and not sent.
    fn return_buffer(&mut self) {
        let due_at_ms = self.courier.outbox.now_ms();
        for (message, _) in std::mem::take(&mut self.buffer) {
            self.results.push(Settlement {
                message,
                outcome: Outcome::Returned { due_at_ms },
                started_at_ms: due_at_ms,
                milliseconds: 0,
                status: None,
                response: Vec::new(),
                response_truncated: false,
                body_sha256: String::new(),
            });
        }
    }

    /// Nothing is under way: how long to wait for the next thing to do, or `None` to end.
    async fn idle(&mut self) -> Result<Option<Duration>> {
        let delivery = &self.courier.settings.delivery;
        let (poll, gate_wait) = (seconds(delivery.poll_seconds), seconds(delivery.gate_seconds));
        let now = self.courier.clock.monotonic();
        if !self.gates.is_empty() && self.until == Until::Stopped {
            let is_time = self.asked_gates_at.is_none_or(|at| now.saturating_duration_since(at) >= gate_wait);
            if self.asked_gates_at.is_none() {
                self.asked_gates_at = Some(now);
            } else if is_time {
                self.asked_gates_at = Some(now);
                self.ask_gates().await;
            }
        }
        let closed = self.gates.closed_kinds();
        let origin = self.courier.origin.clone();
        let due = self.courier.outbox.next_due_ms(Learn::NAME, &closed, &origin).await?;
        let until_due = due.map(|due_ms| {
            let wait_ms = due_ms.saturating_sub(self.courier.outbox.now_ms());
            Duration::from_millis(wait_ms.try_into().unwrap_or_default())
        });
        let held = self.host.wait(now).unwrap_or_default();
        let next = if self.buffer.is_empty() {
            until_due.map(|wait| wait.max(held))
        } else {
            Some(held)
        };
        match (self.until, next) {
            (Until::Idle(patience), None) => self.await_others(now, patience, poll).await,
            (Until::Idle(patience), Some(wait)) if wait > patience => {
                self.return_buffer();
                if self.results.is_empty() { Ok(None) } else { Ok(Some(Duration::ZERO)) }
            }
            (Until::Idle(_), Some(wait)) => {
                self.dry_until = None;
                Ok(Some(wait.max(Duration::from_millis(1))))
            }
            (Until::Stopped, next) => {
                // A host that is down for long holds no messages: other workers, and people, can see them.
                if held > HOUSEKEEPING {
                    self.return_buffer();
                }
                self.dry_until = None;
                Ok(Some(next.unwrap_or(poll).min(poll).max(Duration::from_millis(1))))
            }
        }
    }

    /// Messages of this run may be in the hands of other workers, or behind such: they are waited for, within the
    /// patience.
    async fn await_others(&mut self, now: Instant, patience: Duration, poll: Duration) -> Result<Option<Duration>> {
        if self.courier.origin.is_empty() || !self.gates.is_empty() {
            return Ok(None);
        }
        if self.courier.outbox.counts(&self.courier.origin).await?.unsettled() == 0 {
            return Ok(None);
        }
        let since = *self.waiting_since.get_or_insert(now);
        self.dry_until = None;
        let is_over = now.saturating_duration_since(since) >= patience;
        Ok((!is_over).then(|| poll.min(patience).max(Duration::from_millis(1))))
    }

    /// Asks closed routes, without doing any harm there, whether they were mended.
    async fn ask_gates(&mut self) {
        for route in self.gates.routes_to_ask() {
            let position = self.courier.target.working_secret();
            match self.attempter.ask(route, position).await {
                Ok(Found::Healthy | Found::Secret(_)) => self.gates.open(route),
                Ok(Found::Failed(error)) | Err(error) => {
                    tracing::warn!(route, %error, "still closed");
                }
            }
        }
    }

    /// Leases of the dead, retention, gauges.
    async fn keep_house(&mut self) -> Result<()> {
        let now = self.courier.clock.monotonic();
        if self.kept_house_at.is_some_and(|at| now.saturating_duration_since(at) < HOUSEKEEPING) {
            return Ok(());
        }
        let is_first = self.kept_house_at.is_none();
        self.kept_house_at = Some(now);
        let outbox = &self.courier.outbox;
        let recovered = outbox.recover(&self.identity).await?;
        if recovered > 0 {
            tracing::warn!(recovered, "workers had died with messages in their hands; they are sent again");
            metrics::recovered(recovered);
            self.dry_until = None;
        }
        metrics::outbox(&outbox.counts("").await?, outbox.now_ms());
        if is_first {
            let days = |days: f64| {
                outbox.now_ms().saturating_sub(
                    i64::try_from(seconds(days * 86_400.0).as_millis()).unwrap_or(i64::MAX),
                )
            };
            let retention = &self.courier.settings.outbox;
            let gone = outbox.forget(days(retention.settled_days), days(retention.dead_days)).await?;
            if gone > 0 {
                tracing::info!(gone, "messages settled long ago are forgotten");
            }
        }
        Ok(())
    }
}

/// What a task under way comes to; never, when there is none.
async fn wait_for<T>(task: &mut Option<JoinHandle<Result<T>>>) -> Result<T> {
    let Some(handle) = task.as_mut() else { return std::future::pending().await };
    let joined = handle.await;
    *task = None;
    joined.map_err(|panic| {
        Error::new(Definite::Defect).with("what", "a task of the outbox panicked").because(panic)
    })?
}
