//! An answer: decided as a value, then sent whole or byte by byte.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use ol_chassis::clock::Clock;

/// The type of Django's plain answers.
pub(super) const HTML: &str = "text/html; charset=utf-8";
/// The type of Django REST framework's answers.
pub(super) const JSON: &str = "application/json";

/// What a request is told. Costs no allocation when its body is static.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    /// The methods of the header `Allow`, which tells a sender where its 405 comes from.
    pub(super) allow: Option<&'static str>,
    /// One header more.
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Answer {
    /// An answer with a body that is part of the program.
    pub(super) fn fixed(
        status: StatusCode,
        content_type: &'static str,
        allow: Option<&'static str>,
        body: &'static str,
    ) -> Self {
        let body = Bytes::from_static(body.as_bytes());
        Self { status, content_type, allow, header: None, body }
    }

    /// An answer with a JSON value.
    pub(super) fn json(
        status: StatusCode,
        allow: Option<&'static str>,
        value: &serde_json::Value,
    ) -> Self {
        Self {
            status,
            content_type: JSON,
            allow,
            header: None,
            body: Bytes::from(value.to_string()),
        }
    }

    /// The same answer with one header more.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// As hyper sends it; with `slow`, a byte at a time.
    pub(super) fn into_response(self, slow: Option<Slow>) -> Response<AnswerBody> {
        let body = match slow {
            Some(slow) => AnswerBody::Slow { bytes: self.body, slow, pause: None },
            None => AnswerBody::Whole(self.body),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}

/// How slowly a body is sent.
#[derive(Clone, Debug)]
pub(super) struct Slow {
    pub(super) pause: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

/// The body of an answer.
pub(super) enum AnswerBody {
    /// Sent at once; empty once it is.
    Whole(Bytes),
    /// Sent a byte at a time, with a pause before each.
    Slow { bytes: Bytes, slow: Slow, pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>> },
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AnswerBody({} bytes left)", self.rest().len())
    }
}

impl AnswerBody {
    fn rest(&self) -> &Bytes {
        match self {
            Self::Whole(bytes) | Self::Slow { bytes, .. } => bytes,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.rest().is_empty() {
            return Poll::Ready(None);
        }
        let data = match this {
            Self::Whole(bytes) => std::mem::take(bytes),
            Self::Slow { bytes, slow, pause } => {
                let waiting = pause.get_or_insert_with(|| {
                    let slow = slow.clone();
                    Box::pin(async move { slow.clock.sleep(slow.pause).await })
                });
                ready!(waiting.as_mut().poll(context));
                *pause = None;
                bytes.split_to(1)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest().len()).unwrap_or(u64::MAX))
    }
}
