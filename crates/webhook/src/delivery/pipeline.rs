//! The pipeline: claims, attempts and records under way at the same time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ol_chassis::process::Identity;
use ol_chassis::progress::Bar;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tracing::Instrument as _;

use super::gate::Gates;
use super::host::HostState;
use super::idle::Asked;
use super::{Courier, Dead, Delivered, Summary, Until};
use crate::attempt::{Attempted, Attempter, Fence};
use crate::config::seconds;
use crate::error::{Definite, Error, Result};
use crate::failpoints;
use crate::metrics;
use crate::outbox::{Leased, Outcome, Settlement, State};
use crate::payload::Kind;
use crate::policy::policy;
use crate::schedule::{Next, Schedule};
use crate::target::Learn;

/// Most bytes of bodies that are claimed ahead.
const AHEAD_BYTES: usize = 32 * 1024 * 1024;
/// Tries to record results while the outbox is locked or away, a second apart and doubling.
const RECORD_TRIES: u32 = 6;
/// The longest pause after the outbox did not answer.
const LONGEST_OUTBOX_PAUSE: Duration = Duration::from_secs(30);
/// Times in a row that the outbox may fail to answer a bounded delivery.
const OUTBOX_TRIES: u32 = 5;

/// One attempt that has ended.
struct Finished {
    message: Leased,
    sent_at: Instant,
    started_at_ms: i64,
    attempted: Attempted,
}

/// Messages that were claimed, and until when they may be sent.
type Claimed = (Vec<Leased>, Fence);
/// Results that were recorded, and of each whether the message was still ours.
type Settled = (Vec<Settlement>, Vec<bool>);

/// A delivery under way.
pub(super) struct Delivery {
    pub(super) courier: Courier,
    pub(super) attempter: Arc<Attempter>,
    pub(super) until: Until,
    pub(super) identity: Identity,
    pub(super) schedule: Schedule,
    pub(super) host: HostState,
    pub(super) gates: Gates,
    /// Claimed and not sent yet.
    pub(super) buffer: VecDeque<(Leased, Fence)>,
    /// To be recorded by the next transaction.
    pub(super) results: Vec<Settlement>,
    /// Nothing was due at the last look; the time of the next one.
    pub(super) dry_until: Option<Instant>,
    pub(super) kept_house_at: Option<Instant>,
    pub(super) forgot_at: Option<Instant>,
    pub(super) asked_at: Option<Instant>,
    /// Since when only other workers can do something for this run.
    pub(super) waiting_since: Option<Instant>,
    pub(super) asking: Option<JoinHandle<Result<Vec<Asked>>>>,
    summary: Summary,
    bar: Bar,
    attempts: JoinSet<Finished>,
    claiming: Option<JoinHandle<Result<Claimed>>>,
    settling: Option<JoinHandle<Result<Settled>>>,
    largest_body: usize,
    outbox_failures: u32,
}

impl Delivery {
    pub(super) fn new(courier: Courier, until: Until) -> Self {
        let now = courier.clock.monotonic();
        let attempter = Attempter::new(
            Arc::clone(&courier.target),
            Arc::clone(&courier.transport),
            Arc::clone(&courier.clock),
            courier.settings.trace_header,
        );
        Self {
            attempter: Arc::new(attempter),
            until,
            identity: Identity::current(),
            schedule: courier.settings.schedule(),
            host: HostState::new(&courier.settings, now),
            gates: Gates::default(),
            buffer: VecDeque::new(),
            results: Vec::new(),
            dry_until: None,
            kept_house_at: None,
            forgot_at: None,
            asked_at: None,
            waiting_since: None,
            asking: None,
            summary: Summary::default(),
            bar: courier.progress.bar("delivering", None, ol_chassis::progress::Unit::Messages),
            attempts: JoinSet::new(),
            claiming: None,
            settling: None,
            largest_body: 0,
            outbox_failures: 0,
            courier,
        }
    }

    pub(super) async fn run(mut self) -> Result<Summary> {
        metrics::show_zero();
        let ended = self.work().await;
        if ended.is_err() {
            self.drain().await;
        }
        self.bar.finish();
        ended?;
        self.summary.stopped = self.courier.shutdown.is_requested();
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

    async fn work(&mut self) -> Result<()> {
        let clock = Arc::clone(&self.courier.clock);
        let shutdown = self.courier.shutdown.clone();
        loop {
            let stopping = shutdown.is_requested();
            if let Err(error) = self.keep_house().await {
                self.tolerate(error)?;
            }
            if stopping {
                self.return_buffer(|_| true);
            } else {
                self.start_asking();
                self.start_attempts();
                self.start_claim();
            }
            self.start_settling();
            let is_quiet =
                self.attempts.is_empty() && self.claiming.is_none() && self.settling.is_none();
            if is_quiet && stopping {
                return Ok(());
            }
            let mut wake = super::idle::HOUSEKEEPING;
            if is_quiet {
                match self.idle().await {
                    Ok(Some(wait)) => wake = wake.min(wait),
                    Ok(None) => return Ok(()),
                    Err(error) => wake = self.tolerate(error)?,
                }
            } else if !self.buffer.is_empty() {
                wake = wake.min(self.host.wait(clock.monotonic()).unwrap_or(wake));
            } else if let Some(until) = self.dry_until {
                // A slow answer does not keep messages that came meanwhile.
                let wait = until.saturating_duration_since(clock.monotonic());
                wake = if wait.is_zero() { wake } else { wake.min(wait) };
            }
            tokio::select! {
                Some(done) = self.attempts.join_next() => self.finish(done)?,
                claimed = wait_for(&mut self.claiming) => self.claimed(claimed)?,
                settled = wait_for(&mut self.settling) => self.settled(settled)?,
                asked = wait_for(&mut self.asking) => self.asked(asked?),
                () = clock.sleep(wake) => {}
                () = shutdown.requested(), if !stopping => {}
            }
        }
    }

    /// An outbox that does not answer is waited for; a bounded delivery gives up at last.
    fn tolerate(&mut self, error: Error) -> Result<Duration> {
        let is_weather = policy(error.failure()).retry;
        let is_over = self.outbox_failures >= OUTBOX_TRIES && self.until != Until::Stopped;
        if !is_weather || is_over {
            return Err(error);
        }
        let pause = Duration::from_secs(1 << self.outbox_failures.min(5)).min(LONGEST_OUTBOX_PAUSE);
        self.outbox_failures += 1;
        self.dry_until = Some(self.courier.clock.monotonic() + pause);
        let seconds = pause.as_secs();
        tracing::warn!(error = %ol_chassis::error::chain(&error), seconds, "the outbox does not answer; waiting");
        Ok(pause)
    }

    /// What was sent is recorded, if the outbox lets us; what was not is given back.
    async fn drain(&mut self) {
        while let Some(done) = self.attempts.join_next().await {
            if let Err(error) = self.finish(done) {
                tracing::error!(%error, "an attempt ended without a result");
            }
        }
        self.return_buffer(|_| true);
        if let Some(settling) = self.settling.take() {
            let _ = settling.await;
        }
        let results = std::mem::take(&mut self.results);
        if let Err(error) = self.courier.outbox.settle(&results, &self.identity.to_string()).await {
            let unrecorded = results.len();
            tracing::error!(%error, unrecorded, "results are not recorded; they will be sent again");
        }
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
                Finished { message, sent_at: now, started_at_ms, attempted }
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
        let stands_still = self.attempts.is_empty() && !self.buffer.is_empty();
        if self.claiming.is_some() || is_dry || held || stands_still {
            return;
        }
        let ahead = self.ahead();
        let limit = ahead.saturating_sub(self.buffer.len());
        if limit == 0 || self.buffer.len() > ahead / 2 {
            return;
        }
        let limit = self.host.allows(now, limit).max(1).min(limit);
        let (outbox, identity, lease) =
            (self.courier.outbox.clone(), self.identity.clone(), self.lease());
        let (closed, origin) = (self.gates.closed_kinds(), self.courier.origin.clone());
        // From before the claim: the lease in the outbox cannot begin earlier than this.
        let fence = Fence {
            claimed_at: now,
            lease,
            request: seconds(self.courier.settings.timeout.total_seconds),
        };
        self.claiming = Some(tokio::spawn(async move {
            let claimed =
                outbox.claim(Learn::NAME, &identity, lease, limit, &closed, &origin).await?;
            Ok((claimed, fence))
        }));
    }

    fn claimed(&mut self, claimed: Result<Claimed>) -> Result<()> {
        let (claimed, fence) = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return self.tolerate(error).map(|_| ()),
        };
        self.outbox_failures = 0;
        failpoints::hit(failpoints::CLAIMED);
        if claimed.is_empty() {
            // Looked at again when something is recorded, or after the poll.
            let now = self.courier.clock.monotonic();
            self.dry_until = Some(now + seconds(self.courier.settings.delivery.poll_seconds));
        } else {
            self.waiting_since = None;
        }
        for message in claimed {
            self.largest_body = self.largest_body.max(message.body.len());
            self.buffer.push_back((message, fence));
        }
        self.return_closed();
        Ok(())
    }

    /// Decides what an attempt means; the result is recorded by the next transaction.
    fn finish(&mut self, done: std::result::Result<Finished, JoinError>) -> Result<()> {
        let Finished { message, sent_at, started_at_ms, attempted } = done.map_err(|panic| {
            Error::new(Definite::Defect).with("what", "an attempt panicked").because(panic)
        })?;
        let now = self.courier.clock.monotonic();
        let now_ms = self.courier.outbox.now_ms();
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
                let asked = attempted.answer.as_ref().and_then(|answer| answer.retry_after);
                if policy.counts_against_host {
                    self.host.failed(now, sent_at);
                } else if attempted.answer.is_some() {
                    self.host.succeeded();
                } else {
                    self.host.withdrawn(now);
                }
                if let (true, Some(wait)) = (policy.retry, asked) {
                    self.host.pause(now, wait);
                }
                if let Ok(kind) = message.kind.parse::<Kind>() {
                    self.gates.close(kind, &error);
                    self.return_closed();
                }
                self.after_failure(&message, error, asked, now_ms)
            }
        };
        self.log(&message, &outcome, attempted.took);
        let answer = attempted.answer.unwrap_or_default();
        if matches!(outcome, Outcome::Delivered)
            && serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_err()
        {
            tracing::warn!(
                id = message.id,
                status = answer.status,
                "delivered, and the answer is not JSON"
            );
        }
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
        let age_ms = now_ms.saturating_sub(message.accepted_at_ms);
        let age = Duration::from_millis(age_ms.try_into().unwrap_or_default());
        let attempt = u32::try_from(message.attempts).unwrap_or(u32::MAX);
        let after = |wait: Duration| {
            now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
        };
        match self.schedule.next(attempt, age, retry_after, (self.courier.chance)()) {
            Next::After(wait) => {
                let asked = retry_after.map(|asked| asked.min(self.schedule.longest_retry_after));
                Outcome::Retry { due_at_ms: after(wait), not_before_ms: asked.map(after), error }
            }
            next @ (Next::OutOfAttempts | Next::PastDeadline) => {
                let over = if next == Next::OutOfAttempts { "attempts" } else { "deadline" };
                let given_up = Error::new(Definite::GivenUp)
                    .with("over", over)
                    .with("attempts", attempt)
                    .with("last", error.failure().headline());
                Outcome::Dead { error: given_up.because(error) }
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

    fn settled(&mut self, settled: Result<Settled>) -> Result<()> {
        let (results, ours) = settled?;
        failpoints::hit(failpoints::RECORDED);
        let now_ms = self.courier.outbox.now_ms();
        // What was recorded may have let others go.
        self.dry_until = None;
        for (result, is_ours) in results.iter().zip(ours) {
            if !is_ours {
                tracing::warn!(
                    id = result.message.id,
                    "the lease had run out; the result does not count"
                );
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

    /// Gives back what was claimed for a route that is closed.
    pub(super) fn return_closed(&mut self) {
        let closed = self.gates.closed_kinds();
        if !closed.is_empty() {
            self.return_buffer(|message| closed.contains(&message.kind.as_str()));
        }
    }

    /// Gives back what was claimed and not sent, as far as `is_returned` says.
    pub(super) fn return_buffer(&mut self, is_returned: impl Fn(&Leased) -> bool) {
        let due_at_ms = self.courier.outbox.now_ms();
        for (message, fence) in std::mem::take(&mut self.buffer) {
            if !is_returned(&message) {
                self.buffer.push_back((message, fence));
                continue;
            }
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
