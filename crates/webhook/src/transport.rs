//! One HTTP request to the receiver, and what went wrong if there is no answer.
//!
//! Behind a trait, so that days of bad network are simulated in milliseconds; [`HttpTransport`] is the
//! one that ships: HTTP/1.1 and 2, rustls, no redirects, no cookies, no compression (Django ignores
//! `Content-Encoding`), bounded in time and in what it reads of an answer.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use ol_chassis::clock::Clock;
use reqwest::{Client, Identity, Method, Proxy, redirect};
use url::Url;

use crate::config::{Webhook, seconds};
use crate::egress::{Refused, Rules, Unknown, VettedResolver};
use crate::error::{Definite, Error, Result, Transient};
use crate::schedule::parse_retry_after;
use crate::triage::{Answer, parse_allow};

/// Bytes of an answer that are read before the connection is given up rather than reused.
const DRAIN_BYTES: usize = 256 * 1024;

/// What is sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// POST, or GET when the route itself is asked about.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers besides those of the transport, lower-case names.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes that were signed.
    pub body: Bytes,
}

/// Sends requests.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends one request and reads the answer.
    ///
    /// # Errors
    /// Why there is no answer: [`Definite::EgressRefused`], [`Definite::TlsUntrusted`] and the
    /// transient kinds of the network.
    async fn send(&self, request: Request) -> Result<Answer>;
}

/// Requests over the network.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: Client,
    rules: Arc<Rules>,
    response_bytes: usize,
    clock: Arc<dyn Clock>,
}

impl HttpTransport {
    /// A client by the settings, that calls nobody but whom the rules allow.
    ///
    /// # Errors
    /// Configuration: a certificate, key or proxy that cannot be used.
    pub fn new(settings: &Webhook, rules: Rules, clock: Arc<dyn Clock>) -> Result<Self> {
        let rules = Arc::new(rules);
        let timeout = &settings.timeout;
        let mut builder = Client::builder()
            .use_rustls_tls()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("ol-webhook/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(seconds(timeout.connect_seconds))
            .read_timeout(seconds(timeout.read_seconds))
            .timeout(seconds(timeout.total_seconds))
            .tcp_nodelay(true)
            .pool_max_idle_per_host(settings.delivery.concurrency)
            .dns_resolver(Arc::new(VettedResolver::new(Arc::clone(&rules))));
        let unusable = |key: &'static str| {
            move |source: reqwest::Error| {
                Error::new(Definite::Configuration).with("key", key).because(source)
            }
        };
        if !settings.tls.ca_file.is_empty() {
            let pem = ol_chassis::fs::read(settings.tls.ca_file.as_ref())?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(unusable("webhook.tls.ca_file"))?;
            if certificates.is_empty() {
                return Err(Error::new(Definite::Configuration)
                    .with("key", "webhook.tls.ca_file")
                    .with("reason", "there is no certificate in it"));
            }
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        if !settings.tls.client_certificate_file.is_empty() {
            let pem = ol_chassis::fs::read(settings.tls.client_certificate_file.as_ref())?;
            let identity = Identity::from_pem(&pem)
                .map_err(unusable("webhook.tls.client_certificate_file"))?;
            builder = builder.identity(identity);
        }
        if !settings.egress.proxy.is_empty() {
            let proxy = proxy(&settings.egress.proxy)?;
            builder = builder.proxy(Proxy::all(proxy).map_err(unusable("webhook.egress.proxy"))?);
        }
        let client = builder.build().map_err(unusable("webhook.tls"))?;
        Ok(Self { client, rules, response_bytes: settings.outbox.response_bytes, clock })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Answer> {
        self.rules
            .check(&request.url)
            .map_err(|refused| Error::new(Definite::EgressRefused).with("rule", refused))?;
        let mut builder = self
            .client
            .request(request.method, request.url)
            .header("accept", "application/json")
            .body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let response = builder.send().await.map_err(failure)?;
        read(response, self.response_bytes, self.clock.now()).await
    }
}

/// The address of a proxy. What the client does not know it would pass over in silence, and call the receiver itself.
fn proxy(address: &str) -> Result<Url> {
    let is_known = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    Url::parse(address).ok().filter(is_known).ok_or_else(|| {
        Error::new(Definite::Configuration)
            .with("key", "webhook.egress.proxy")
            .with("reason", "it is not http://HOST:PORT")
    })
}

async fn read(
    mut response: reqwest::Response,
    keep_bytes: usize,
    now: SystemTime,
) -> Result<Answer> {
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    // The receiver's own clock, where it tells it, so that a date is counted by one clock.
    let sent_at =
        header("date").and_then(|date| httpdate::parse_http_date(&date).ok()).unwrap_or(now);
    let mut answer = Answer {
        status: response.status().as_u16(),
        allow: header("allow").as_deref().map(parse_allow),
        retry_after: header("retry-after").and_then(|text| parse_retry_after(&text, sent_at)),
        ..Answer::default()
    };
    let mut read_bytes = 0usize;
    // An answer whose status has arrived counts, whatever becomes of its body.
    while let Ok(Some(chunk)) = response.chunk().await {
        read_bytes = read_bytes.saturating_add(chunk.len());
        let room = keep_bytes.saturating_sub(answer.body.len());
        answer.is_truncated |= chunk.len() > room;
        answer.body.extend(chunk.iter().take(room));
        if read_bytes > DRAIN_BYTES {
            break;
        }
    }
    Ok(answer)
}

/// Why there is no answer, told by types along the chain of causes and never by texts.
fn failure(error: reqwest::Error) -> Error {
    if let Some(refused) = find::<Refused>(&error) {
        return Error::new(Definite::EgressRefused).with("rule", refused);
    }
    let kind: crate::error::Failure = if find::<Unknown>(&error).is_some() {
        Transient::HostUnknown.into()
    } else if find::<rustls::Error>(&error).is_some_and(is_distrust) {
        Definite::TlsUntrusted.into()
    } else if error.is_timeout() {
        Transient::TimedOut.into()
    } else if error.is_connect() {
        Transient::HostUnreachable.into()
    } else if error.is_builder() {
        Definite::Defect.into()
    } else {
        Transient::ConnectionLost.into()
    };
    // The URL is no secret, but the kind and the cause say all there is.
    Error::new(kind).because(error.without_url())
}

/// The first error of a type along the chain. An `io::Error` hides what it holds, and holds others of its kind: it
/// names as its source what comes after that.
fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = held.map(|held| held as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// Whether one side does not believe the other, which time does not mend.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds of this open enum are weather")]
fn is_distrust(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => true,
        rustls::Error::AlertReceived(alert) => matches!(
            alert,
            Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::CertificateRequired
                | Alert::ProtocolVersion
                | Alert::HandshakeFailure
        ),
        _other => false,
    }
}
