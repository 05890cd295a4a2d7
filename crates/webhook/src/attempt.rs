//! One attempt to deliver one message, questions included.
//!
//! The id is the message's own and never changes; timestamp and signatures are made for this very
//! request. When an answer can only be understood by asking (see [`crate::triage`]), the questions are
//! asked here, each time anew: what a route answered a minute ago says nothing of a secret that was
//! changed since, and a message would die of it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use ol_chassis::clock::Clock;
use sha2::{Digest as _, Sha256};

use crate::error::{Definite, Error, Result, Transient};
use crate::failpoints;
use crate::outbox::Leased;
use crate::payload::Kind;
use crate::policy::policy;
use crate::signature::hex;
use crate::target::{Learn, Secrets};
use crate::transport::Transport;
use crate::triage::{self, Answer, Probe, Verdict};

/// Times that changed secrets are tried before the route itself is asked.
const MOST_ROUNDS: usize = 3;
/// The body of a probe: JSON that cannot be parsed.
const MALFORMED: &[u8] = b"{";

/// What an attempt came to.
#[derive(Debug)]
pub struct Attempted {
    /// Delivered, or why not; `None` when it was not sent because the lease was too old.
    pub result: Option<Result<()>>,
    /// The answer to the message itself, if there was one.
    pub answer: Option<Answer>,
    /// Hex SHA-256 of the bytes that were sent.
    pub body_sha256: String,
    /// How long it took.
    pub took: Duration,
}

/// When a message may no longer be sent, because another worker may have it by now.
#[derive(Debug, Clone, Copy)]
pub struct Fence {
    /// When the message was claimed, by the monotonic clock.
    pub claimed_at: Instant,
    /// For how long.
    pub lease: Duration,
    /// How long one request may take.
    pub request: Duration,
}

impl Fence {
    /// Whether a request that begins now ends within the lease.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.claimed_at) + self.request <= self.lease
    }
}

/// Makes attempts.
pub struct Attempter {
    target: Arc<Learn>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    trace_header: bool,
}

impl Attempter {
    /// Attempts at this target.
    #[must_use]
    pub fn new(
        target: Arc<Learn>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        trace_header: bool,
    ) -> Self {
        Self { target, transport, clock, trace_header }
    }

    /// Sends the message once.
    pub async fn attempt(&self, message: &Leased, fence: Fence) -> Attempted {
        let started = self.clock.monotonic();
        let body = Bytes::copy_from_slice(&message.body);
        let body_sha256 = hex(&Sha256::digest(&body));
        let mut answer = None;
        let result = if fence.holds(started) {
            Some(self.deliver(message, body, fence, &mut answer).await)
        } else {
            None
        };
        let took = self.clock.monotonic().saturating_duration_since(started);
        Attempted { result, answer, body_sha256, took }
    }

    async fn deliver(
        &self,
        message: &Leased,
        body: Bytes,
        fence: Fence,
        kept: &mut Option<Answer>,
    ) -> Result<()> {
        let kind: Kind = message
            .kind
            .parse()
            .map_err(|_unknown| Error::new(Definite::Defect).with("kind", &message.kind))?;
        let route = kind.route();
        let secrets = self.target.secrets();
        match self.post(route, &message.id, &body, (&secrets, secrets.working()), kept).await? {
            Verdict::Delivered => Ok(()),
            Verdict::Failed(error) => Err(error),
            Verdict::Ask => {
                let found = self.ask(route, &secrets).await?;
                match found {
                    Found::Healthy => Err(triage::payload_refused(body.len())),
                    Found::Failed(error) => Err(error),
                    // Another of our secrets is right: the message itself was never looked at.
                    Found::Secret(secrets, other) => {
                        if !fence.holds(self.clock.monotonic()) {
                            return Err(Error::new(Transient::TriageInterrupted));
                        }
                        match self.post(route, &message.id, &body, (&secrets, other), kept).await? {
                            Verdict::Delivered => Ok(()),
                            Verdict::Failed(error) => Err(error),
                            Verdict::Ask => Err(triage::payload_refused(body.len())),
                        }
                    }
                }
            }
        }
    }

    async fn post(
        &self,
        route: &str,
        id: &str,
        body: &Bytes,
        secret: (&Secrets, usize),
        kept: &mut Option<Answer>,
    ) -> Result<Verdict> {
        let mut request = self.target.post(route, id, body.clone(), secret, self.now_seconds());
        if self.trace_header
            && let Some(context) = ol_chassis::telemetry::traceparent()
        {
            request.headers.push(("traceparent", context));
        }
        failpoints::hit(failpoints::SIGNED);
        let answer = self.transport.send(request).await?;
        failpoints::hit(failpoints::ANSWERED);
        let verdict = triage::read(&answer, route, body.len());
        *kept = Some(answer);
        Ok(verdict)
    }

    /// Finds out what is wrong with a route, or that nothing is, without doing any harm there. `tried` are the secrets
    /// that a refused request was signed with.
    ///
    /// # Errors
    /// Why a question got no answer.
    pub async fn ask(&self, route: &'static str, tried: &Secrets) -> Result<Found> {
        // The secrets may change while we ask, and others may notice it first.
        for _ in 0..MOST_ROUNDS {
            let secrets = self.target.secrets();
            let first = secrets.working();
            let others = (0..secrets.count()).filter(|other| *other != first);
            for candidate in std::iter::once(first).chain(others) {
                match self.probe(route, (&secrets, candidate)).await? {
                    Probe::Healthy => {
                        self.target.works(&secrets, candidate);
                        let is_tried = secrets.is_same(tried) && candidate == tried.working();
                        return Ok(if is_tried {
                            Found::Healthy
                        } else {
                            Found::Secret(secrets, candidate)
                        });
                    }
                    Probe::Refused => {}
                    Probe::Failed(error) => return Ok(Found::Failed(error)),
                }
            }
            match self.target.refresh(&secrets).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if policy(error.failure()).retry => return Err(error),
                // Whatever is wrong with the place of the secret, none that we have is right.
                Err(error) => {
                    let wrong = Error::new(Definite::SecretWrong).with("route", route);
                    return Ok(Found::Failed(wrong.because(error)));
                }
            }
        }
        let answer = self.transport.send(self.target.get(route)).await?;
        Ok(Found::Failed(triage::read_get(&answer, route)))
    }

    async fn probe(&self, route: &str, secret: (&Secrets, usize)) -> Result<Probe> {
        let id = format!("probe_{}", uuid::Uuid::new_v4().simple());
        let body = Bytes::from_static(MALFORMED);
        let request = self.target.post(route, &id, body, secret, self.now_seconds());
        Ok(triage::read_probe(&self.transport.send(request).await?, route))
    }

    fn now_seconds(&self) -> u64 {
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs()
    }
}

/// What the questions found out.
#[derive(Debug)]
pub enum Found {
    /// Secret and route are right.
    Healthy,
    /// The secret at this place is right, and it is another than the one signed with.
    Secret(Secrets, usize),
    /// This is wrong.
    Failed(Error),
}
