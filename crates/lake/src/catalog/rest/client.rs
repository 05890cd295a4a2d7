//! Requests to a catalog server: token, prefix, retries, and what a status means.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ol_chassis::clock::Clock;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::address::Address;
use super::body::{Configuration, Failure, TokenAnswer};
use crate::error::{Error, ErrorKind, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A commit of a table with much history takes a server a while.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Tries of a request that a server may answer another time.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// A token is renewed so long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);
/// The life of a token whose answer does not say, as the protocol's own clients take it.
const TOKEN_LIFE_SECONDS: u64 = 3600;
/// Characters of a server's message that are shown.
const SHOWN: usize = 500;

/// Whether a request may leave a change behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Reading,
    Writing,
}

pub(super) struct Client {
    http: reqwest::Client,
    address: Address,
    /// The base of paths that are about namespaces and tables.
    prefix: String,
    token: Mutex<Option<Token>>,
    clock: Arc<dyn Clock>,
}

struct Token {
    text: String,
    renewed_at: Instant,
}

/// What a server has answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: bytes::Bytes,
    server: String,
    doing: Doing,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("server", &self.address.server)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(super) async fn open(address: Address, clock: Arc<dyn Clock>) -> Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ol-flows/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::new(ErrorKind::Settings).because(error.without_url()))?;
        let prefix = format!("{}/v1", address.base);
        let mut client = Self { http, address, prefix, token: Mutex::new(None), clock };
        let warehouse = client.address.warehouse.clone();
        let query: Vec<(&str, &str)> =
            warehouse.iter().map(|name| ("warehouse", name.as_str())).collect();
        let answer = client.ask(Method::GET, "config", &query, None::<&()>, Doing::Reading).await?;
        let configuration: Configuration = match answer.status {
            // Servers from before the endpoint have nothing to say.
            StatusCode::NOT_FOUND if warehouse.is_none() => Configuration::default(),
            _other => answer.ok()?.parse()?,
        };
        if let Some(base) = configuration.get("uri") {
            client.address.base = base.trim_end_matches('/').to_owned();
        }
        client.prefix = match configuration.get("prefix") {
            Some(prefix) => format!("{}/v1/{}", client.address.base, prefix.trim_matches('/')),
            None => format!("{}/v1", client.address.base),
        };
        Ok(client)
    }

    pub(super) fn server(&self) -> &str {
        &self.address.server
    }

    /// Sends a request, and sends it again where that can do no harm: while the server has not taken it (no connection,
    /// 429, a token that has ended), and where it only reads, after any failure that may pass.
    pub(super) async fn ask<T: Serialize + Sync + ?Sized>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&T>,
        doing: Doing,
    ) -> Result<Answer> {
        let mut pause = FIRST_PAUSE;
        let mut is_renewed = false;
        let mut attempt = 1;
        loop {
            let token = self.token().await?;
            let mut request =
                self.http.request(method.clone(), format!("{}/{path}", self.prefix)).query(query);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            if self.address.wants_credentials {
                request = request.header("X-Iceberg-Access-Delegation", "vended-credentials");
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let sent = match request.send().await {
                Ok(response) => self.read(response, doing).await,
                Err(error) => Err(error),
            };
            let wait = match sent {
                // 419 is the protocol's own number for a token that has ended.
                Ok((answer, _wait))
                    if matches!(answer.status.as_u16(), 401 | 419)
                        && self.address.client.is_some()
                        && !is_renewed =>
                {
                    is_renewed = true;
                    *self.token.lock().await = None;
                    continue;
                }
                Ok((answer, wait)) if attempt < TRIES && answer.may_pass() => {
                    wait.unwrap_or(pause).min(LONGEST_PAUSE)
                }
                Ok((answer, _wait)) => return Ok(answer),
                Err(error)
                    if attempt < TRIES && (doing == Doing::Reading || error.is_connect()) =>
                {
                    pause
                }
                Err(error) => return Err(self.failed(error, doing)),
            };
            tracing::debug!(server = self.server(), path, attempt, "the catalog is asked again");
            self.clock.sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    /// The whole answer, and how long the server wants to be left alone.
    async fn read(
        &self,
        response: reqwest::Response,
        doing: Doing,
    ) -> reqwest::Result<(Answer, Option<Duration>)> {
        let status = response.status();
        let wait = response.headers().get(reqwest::header::RETRY_AFTER);
        let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.bytes().await?;
        let server = self.address.server.clone();
        Ok((Answer { status, body, server, doing }, wait.map(Duration::from_secs)))
    }

    fn failed(&self, error: reqwest::Error, doing: Doing) -> Error {
        let kind = if doing == Doing::Reading || error.is_connect() {
            ErrorKind::CatalogUnreachable
        } else {
            ErrorKind::CommitStateUnknown
        };
        // The address may carry a table's name, which the caller adds itself.
        Error::new(kind).with("server", self.server()).because(error.without_url())
    }

    /// The token to send, fetched when there is none or it is about to end.
    async fn token(&self) -> Result<Option<String>> {
        let Some(client) = &self.address.client else { return Ok(None) };
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.renewed_at) {
            return Ok(Some(token.text.clone()));
        }
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client.id.as_str()),
            ("client_secret", client.secret.as_str()),
            ("scope", client.scope.as_str()),
        ];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self
            .http
            .post(client.token_url.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let response = request.send().await.map_err(|error| self.failed(error, Doing::Reading))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.failed(error, Doing::Reading))?;
        // The answer may repeat what was sent, so nothing of it is shown.
        let refused = |kind| {
            Error::new(kind)
                .with("server", client.token_url.host_str().unwrap_or_default())
                .with("status", status.as_u16())
                .with("reason", "no token was given for the client")
        };
        if !status.is_success() {
            let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(refused(if is_passing {
                ErrorKind::CatalogUnreachable
            } else {
                ErrorKind::CatalogRefused
            }));
        }
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_secret| refused(ErrorKind::CatalogRefused))?;
        let life = Duration::from_secs(answer.expires_in.unwrap_or(TOKEN_LIFE_SECONDS));
        // A short life is used to half of it.
        let used = life.checked_sub(TOKEN_MARGIN).unwrap_or_default().max(life / 2);
        let token = Token { text: answer.access_token, renewed_at: Instant::now() + used };
        let text = token.text.clone();
        *held = Some(token);
        Ok(Some(text))
    }
}

impl Answer {
    /// Whether another try may be answered otherwise, and can do no harm.
    fn may_pass(&self) -> bool {
        let is_unavailable =
            self.doing == Doing::Reading && matches!(self.status.as_u16(), 500 | 502 | 503 | 504);
        self.status == StatusCode::TOO_MANY_REQUESTS || is_unavailable
    }

    /// The answer, if the server has done what it was asked.
    pub(super) fn ok(&self) -> Result<&Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let kind = match self.status.as_u16() {
            429 => ErrorKind::CatalogUnreachable,
            404 => ErrorKind::NotFound,
            500..=599 if self.doing == Doing::Writing => ErrorKind::CommitStateUnknown,
            500..=599 => ErrorKind::CatalogUnreachable,
            _other => ErrorKind::CatalogRefused,
        };
        let mut error =
            Error::new(kind).with("server", &self.server).with("status", self.status.as_u16());
        if let Ok(Failure { error: told }) = serde_json::from_slice(&self.body) {
            if !told.kind.is_empty() {
                error = error.with("type", told.kind);
            }
            error = error.with("reason", told.message.chars().take(SHOWN).collect::<String>());
        }
        Err(error)
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::new(ErrorKind::CatalogCorrupt)
                .with("server", &self.server)
                .with("reason", "its answer cannot be understood")
                .because(error)
        })
    }
}

/// A part of a path, with everything escaped that is not plain (RFC 3986, section 2.3).
pub(super) fn escaped(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                spelled.push(char::from(byte));
            }
            other => spelled.push_str(&format!("%{other:02X}")),
        }
    }
    spelled
}
