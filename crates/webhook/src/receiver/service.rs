//! One request: read, decided, counted, journaled, answered.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use ol_chassis::clock::Clock;
use ol_chassis::shutdown::Shutdown;
use tokio::sync::mpsc;

use super::answer::{Answer, AnswerBody, Slow};
use super::counters::{self, Counters, Outcome};
use super::fault::RetryAfter;
use super::journal::Entry;
use super::learn::{self, Asked, Learn, Signature};
use super::request::{self, Content};
use super::weather::{Fate, Weather};
use super::{control, entity, python};
use crate::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// What all connections share.
pub(super) struct Service {
    pub(super) learn: Learn,
    pub(super) weather: Weather,
    pub(super) counters: Counters,
    pub(super) journal: Option<mpsc::Sender<Entry>>,
    pub(super) stop_after_requests: Option<u64>,
    /// Requested once there have been that many.
    pub(super) enough: Shutdown,
    pub(super) clock: Arc<dyn Clock>,
}

/// Why a connection is closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The fault `drop`.
    Dropped,
    /// There have been as many requests as were asked for.
    Enough,
    /// The client did not send its request to the end.
    Incomplete,
}

impl fmt::Display for Silence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Dropped => "The request is dropped by a fault",
            Self::Enough => "The receiver has had as many requests as it was to take",
            Self::Incomplete => "The request ended early",
        })
    }
}

impl std::error::Error for Silence {}

impl Service {
    /// Answers a request, or does not.
    pub(super) async fn respond(
        &self,
        is_local: bool,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Silence> {
        let (head, body) = request.into_parts();
        let Ok(content) = request::read(body).await else {
            counters::add(&self.counters.incomplete);
            return Err(Silence::Incomplete);
        };
        let path = head.uri.path();
        if is_local && path.starts_with(control::PREFIX) {
            let answer =
                control::answer(&head.method, path, &content, &self.weather, &self.counters);
            return Ok(answer.into_response(None));
        }
        self.admit()?;
        let encounter = self.weather.encounter();
        let asked = asked(&head, &content);
        let answer = match encounter.fate {
            None => Some(self.decide(&asked)),
            Some(Fate::Status { code, retry_after }) => Some(self.fault(code, retry_after)),
            Some(Fate::Drop) => None,
        };
        let status = answer.as_ref().map(|answer| answer.status);
        self.take_down(&asked, &head, status, encounter.fate.is_some()).await;
        if let Some(pause) = encounter.delay {
            self.clock.sleep(pause).await;
        }
        let slow = encounter.slow.map(|pause| Slow { pause, clock: Arc::clone(&self.clock) });
        answer.map(|answer| answer.into_response(slow)).ok_or(Silence::Dropped)
    }

    /// What Learn answers, but for the entities that are poisoned.
    pub(super) fn decide(&self, asked: &Asked<'_>) -> Answer {
        self.learn
            .answer(asked, |route, payload| self.weather.rejects(|| entity::names(route, payload)))
    }

    fn admit(&self) -> Result<(), Silence> {
        let count = self.counters.admit(self.stop_after_requests).ok_or(Silence::Enough)?;
        if Some(count) == self.stop_after_requests {
            self.enough.request();
        }
        Ok(())
    }

    fn fault(&self, code: StatusCode, retry_after: Option<RetryAfter>) -> Answer {
        let text = "This answer is a fault that the receiver was told to make";
        let answer = Answer::fixed(code, "text/plain; charset=utf-8", None, text);
        let value = match retry_after {
            None => return answer,
            Some(RetryAfter::Seconds(seconds)) => seconds.to_string(),
            Some(RetryAfter::DateInSeconds(seconds)) => {
                let date = self.clock.now() + std::time::Duration::from_secs(seconds);
                httpdate::fmt_http_date(date)
            }
        };
        match HeaderValue::try_from(value) {
            Ok(value) => answer.with(header::RETRY_AFTER, value),
            Err(_) => answer,
        }
    }

    /// Counts a request and journals it.
    async fn take_down(
        &self,
        asked: &Asked<'_>,
        head: &Parts,
        status: Option<StatusCode>,
        is_faulted: bool,
    ) {
        let outcome = match status {
            _ if is_faulted => Outcome::Faulted,
            Some(StatusCode::OK) if asked.method == Method::POST => Outcome::Accepted,
            _ => Outcome::Refused,
        };
        let webhook_id = text(asked.headers, ID_HEADER);
        let standard = self.standard(asked);
        self.counters.record(outcome, webhook_id, standard);
        tracing::debug!(
            method = asked.method.as_str(),
            status = status.map(|status| status.as_u16()),
            body_bytes = asked.content.length_bytes(),
            outcome = ?outcome,
            "request"
        );
        let Some(journal) = &self.journal else { return };
        let target = head.uri.path_and_query().map_or(asked.path, |target| target.as_str());
        let entry = self.entry(asked, target, status, standard);
        // When the writer has failed, the receiver ends with its error.
        let _ = journal.send(entry).await;
    }

    fn entry(
        &self,
        asked: &Asked<'_>,
        target: &str,
        status: Option<StatusCode>,
        standard: Option<bool>,
    ) -> Entry {
        let body = asked.content.bytes();
        let entity = || {
            let route = self.learn.route(&learn::decoded(asked.path))?;
            let payload = python::json(body?).ok()?;
            entity::names(route, &payload).into_iter().next()
        };
        let holds = |body| self.learn.signature(asked.headers, body) == Signature::Holds;
        Entry {
            at: self.clock.now(),
            method: asked.method.as_str().to_owned(),
            path: target.to_owned(),
            status: status.map(|status| status.as_u16()),
            webhook_id: text(asked.headers, ID_HEADER).map(str::to_owned),
            entity: entity(),
            body_bytes: asked.content.length_bytes(),
            body: body.cloned(),
            signature_valid: body.is_some_and(|body| holds(body)),
            standard_valid: standard,
        }
    }

    /// Whether the standard signature holds; `None` when there is none.
    fn standard(&self, asked: &Asked<'_>) -> Option<bool> {
        asked.headers.get(SIGNATURE_HEADER)?;
        let held = || {
            let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
            let checked = self.learn.keyring.check_standard(
                text(asked.headers, ID_HEADER)?,
                text(asked.headers, TIMESTAMP_HEADER)?,
                text(asked.headers, SIGNATURE_HEADER)?,
                asked.content.bytes()?,
                now.as_secs(),
            );
            checked.ok()
        };
        Some(held().is_some())
    }
}

fn asked<'a>(head: &'a Parts, content: &'a Content) -> Asked<'a> {
    Asked {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query(),
        headers: &head.headers,
        content,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
