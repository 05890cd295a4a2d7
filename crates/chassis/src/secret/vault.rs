//! The part of Vault's HTTP interface that reading secrets needs.
//!
//! Key-value engines come in two versions with different paths and shapes; which one a mount is,
//! Vault tells at `sys/internal/ui/mounts/PATH`, and where a policy hides that, both shapes are
//! tried. Requests that meet weather (a sealed or restarting Vault, a lost connection) are repeated
//! a few times, then reported as transient. What Vault refuses is definite, and the advice names
//! the path and the identity a policy must bring together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::DropGuard;

use super::SecretText;
use super::lease::{self, Lease};
use super::login::{Login, read_token};
use crate::clock::{Clock, SystemClock};
use crate::config::Variables;
use crate::error::Error;
use crate::metrics::SECRET_VAULT_REQUESTS_TOTAL;

/// Waits between the tries of one request.
const WAITS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];

/// A connection to Vault and the token it works with. Shared as `Arc`.
#[derive(Debug)]
pub struct Vault {
    http: reqwest::Client,
    address: String,
    namespace: Option<String>,
    login: Login,
    token: Mutex<Option<Token>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
struct Token {
    text: SecretText,
    /// When it ends and how long it lasts in all; `None` when that is somebody else's care.
    life: Option<(Instant, Duration)>,
}

/// A user name and password issued for one connection.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: SecretText,
    pub(super) lease: Option<Arc<DropGuard>>,
}

struct Reply {
    status: u16,
    body: Value,
}

impl Vault {
    /// The Vault of `VAULT_ADDR` (with `VAULT_NAMESPACE`, `VAULT_CACERT`), logged in to when first
    /// needed: by `VAULT_TOKEN`, by a token file (`VAULT_TOKEN_FILE`, `~/.vault-token`), or as the
    /// Kubernetes role `DAGSTER_VAULT_ROLE` or `VAULT_ROLE` at the auth mount `VAULT_K8S_MOUNT`
    /// (default `k8s-data`) with the pod's service account.
    ///
    /// # Errors
    /// Configuration, naming the variable that is missing or wrong.
    pub fn from_variables(
        variables: &Variables,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let address = variables.get("VAULT_ADDR")?.ok_or_else(|| {
            Error::configuration("A secret is in Vault, and nothing says where Vault is")
                .with("variable", "VAULT_ADDR")
                .advise("Set VAULT_ADDR, such as https://vault.example.org")
        })?;
        let address = address.trim_end_matches('/').to_owned();
        let parsed = url::Url::parse(&address).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
        });
        let Some(parsed) = parsed else {
            return Err(Error::configuration("VAULT_ADDR is not an http or https address").advise(
                "Set VAULT_ADDR to scheme, host and port, such as https://vault.example.org",
            ));
        };
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            // A standby redirects to the leader; the token must not follow to an unencrypted one.
            .redirect(reqwest::redirect::Policy::custom(move |attempt| {
                let downgrade = parsed.scheme() == "https" && attempt.url().scheme() != "https";
                if downgrade || attempt.previous().len() > 2 {
                    attempt.stop()
                } else {
                    attempt.follow()
                }
            }));
        if let Some(path) = variables.get("VAULT_CACERT")? {
            let bytes = crate::fs::read(path.as_ref())
                .map_err(|error| error.with("variable", "VAULT_CACERT"))?;
            let certificate = reqwest::Certificate::from_pem(&bytes).map_err(|source| {
                Error::configuration("VAULT_CACERT is not a PEM certificate")
                    .with("path", path)
                    .caused_by(source)
            })?;
            http = http.add_root_certificate(certificate);
        }
        let http = http.build().map_err(|source| {
            Error::configuration("Cannot prepare TLS for Vault").caused_by(source)
        })?;
        let namespace = variables.get("VAULT_NAMESPACE")?.map(str::to_owned);
        let login = Login::from_variables(variables)?;
        Ok(Arc::new(Self { http, address, namespace, login, token: Mutex::new(None), clock }))
    }

    /// The Vault of this process's variables, connected to once.
    pub(super) async fn shared() -> Result<Arc<Self>, Error> {
        static SHARED: OnceCell<Arc<Vault>> = OnceCell::const_new();
        let connect =
            || async { Self::from_variables(&Variables::process(), Arc::new(SystemClock)) };
        SHARED.get_or_try_init(connect).await.cloned()
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// A field of the key-value secret at `path`, which begins with the mount.
    pub(super) async fn read_field(&self, path: &str, field: &str) -> Result<SecretText, Error> {
        let data = self.read_key_value(path).await?;
        let value = find(&data, field).ok_or_else(|| {
            Error::configuration("The secret in Vault has no such field")
                .with("path", path)
                .with("field", field)
                .advise(format!("Look at the field names with `vault kv get {path}`"))
        })?;
        match value {
            Value::String(text) if !text.is_empty() => Ok(SecretText::new(text.as_str())),
            Value::Number(number) => Ok(SecretText::new(number.to_string())),
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => {
                Err(Error::configuration("The field of the secret in Vault is empty or not text")
                    .with("path", path)
                    .with("field", field)
                    .advise("Store text there, or name a field inside it with a dot"))
            }
        }
    }

    async fn read_key_value(&self, path: &str) -> Result<Value, Error> {
        let told = self.call(Method::GET, &format!("sys/internal/ui/mounts/{path}"), None).await?;
        let mount = told.body.pointer("/data/path").and_then(Value::as_str);
        if let (200, Some(mount)) = (told.status, mount) {
            let kind = told.body.pointer("/data/type").and_then(Value::as_str).unwrap_or("kv");
            if !matches!(kind, "kv" | "generic") {
                return Err(Error::configuration("The mount in Vault holds no key-value secrets")
                    .with("path", path)
                    .with("engine", kind)
                    .advise("Write vault-db:MOUNT/creds/ROLE#URL for a database engine"));
            }
            let version = told.body.pointer("/data/options/version").and_then(Value::as_str);
            let rest = path.strip_prefix(mount).unwrap_or_default();
            return if version == Some("2") {
                let reply = self.call(Method::GET, &format!("{mount}data/{rest}"), None).await?;
                self.second_version(path, reply)
            } else {
                let reply = self.call(Method::GET, path, None).await?;
                self.first_version(path, reply)
            };
        }
        let (mount, rest) = path.split_once('/').unwrap_or((path, ""));
        let second = self.call(Method::GET, &format!("{mount}/data/{rest}"), None).await?;
        if second.status == 200 {
            return self.second_version(path, second);
        }
        let first = self.call(Method::GET, path, None).await?;
        let refused = second.status == 403 && first.status != 200;
        if refused { Err(self.failure(path, &second)) } else { self.first_version(path, first) }
    }

    fn first_version(&self, path: &str, mut reply: Reply) -> Result<Value, Error> {
        match reply.body.get_mut("data") {
            Some(data) if reply.status == 200 => Ok(data.take()),
            _ => Err(self.failure(path, &reply)),
        }
    }

    fn second_version(&self, path: &str, mut reply: Reply) -> Result<Value, Error> {
        match reply.body.pointer_mut("/data/data") {
            Some(data) if reply.status == 200 && data.is_object() => Ok(data.take()),
            _ => Err(self.failure(path, &reply)),
        }
    }

    /// Issues database credentials at `MOUNT/creds/ROLE` (or `MOUNT/static-creds/ROLE`) and keeps
    /// their lease renewed.
    pub(super) async fn issue_credentials(
        self: &Arc<Self>,
        path: &str,
    ) -> Result<Credentials, Error> {
        let reply = self.call(Method::GET, path, None).await?;
        if reply.status != 200 {
            return Err(self.failure(path, &reply));
        }
        let text = |pointer: &str| reply.body.pointer(pointer).and_then(Value::as_str);
        let (Some(user), Some(password)) = (text("/data/username"), text("/data/password")) else {
            return Err(Error::configuration(
                "The path in Vault does not issue database credentials",
            )
            .with("path", path)
            .advise("Name the role of a database engine: vault-db:MOUNT/creds/ROLE#URL"));
        };
        let duration = seconds(&reply.body, "/lease_duration");
        let renewable = reply.body.pointer("/renewable").and_then(Value::as_bool) == Some(true);
        let lease = text("/lease_id").filter(|id| !id.is_empty() && renewable).map(|id| {
            let lease = Lease { id: id.to_owned(), duration, path: path.to_owned() };
            lease::keep(self, lease)
        });
        Ok(Credentials { user: user.to_owned(), password: SecretText::new(password), lease })
    }

    /// Asks for the lease's full time again; returns what was granted.
    pub(super) async fn renew_lease(&self, lease: &Lease) -> Result<Duration, Error> {
        let body = json!({"lease_id": lease.id, "increment": lease.duration.as_secs()});
        let reply = self.call(Method::PUT, "sys/leases/renew", Some(&body)).await?;
        if reply.status == 200 {
            Ok(seconds(&reply.body, "/lease_duration"))
        } else {
            Err(self.failure(&lease.path, &reply))
        }
    }

    /// How long the token lasts, when that is our care. The credentials it obtained end with it.
    pub(super) async fn token_left(&self) -> Option<Duration> {
        let token = self.token.lock().await;
        let (ends_at, _) = token.as_ref()?.life?;
        Some(ends_at.saturating_duration_since(self.clock.monotonic()))
    }

    /// A request with the token; when Vault refuses it and a new login may help, once more with a
    /// new token.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, Error> {
        let (token, is_fresh) = self.token(false).await?;
        let reply = self.send(method.clone(), path, body, Some(&token)).await?;
        if reply.status != 403 || is_fresh || !self.login.can_repeat() {
            return Ok(reply);
        }
        // A live token that lacks a right must stay: the credentials it obtained end with it.
        let about = self.send(Method::GET, "auth/token/lookup-self", None, Some(&token)).await?;
        if about.status == 200 {
            return Ok(reply);
        }
        let (again, _) = self.token(true).await?;
        if again.expose() == token.expose() {
            return Ok(reply);
        }
        self.send(method, path, body, Some(&again)).await
    }

    /// The token to use, and whether it was obtained just now.
    async fn token(&self, anew: bool) -> Result<(SecretText, bool), Error> {
        let mut held = self.token.lock().await;
        let now = self.clock.monotonic();
        if let Some(token) = held.as_ref().filter(|_| !anew) {
            match token.life {
                None => return Ok((token.text.clone(), false)),
                Some((ends_at, whole)) => {
                    let left = ends_at.saturating_duration_since(now);
                    if left > whole.mul_f64(0.4) {
                        return Ok((token.text.clone(), false));
                    }
                    if !left.is_zero()
                        && let Some(life) = self.renew_token(&token.text).await
                    {
                        let renewed = Token { text: token.text.clone(), life: Some(life) };
                        let text = renewed.text.clone();
                        *held = Some(renewed);
                        return Ok((text, false));
                    }
                }
            }
        }
        let token = self.log_in().await?;
        let text = token.text.clone();
        *held = Some(token);
        Ok((text, true))
    }

    /// A longer life for the token; `None` when Vault grants none, which a new login cures.
    async fn renew_token(&self, token: &SecretText) -> Option<(Instant, Duration)> {
        let asked_at = self.clock.monotonic();
        let reply =
            self.send(Method::POST, "auth/token/renew-self", Some(&json!({})), Some(token)).await;
        let reply = reply.ok().filter(|reply| reply.status == 200)?;
        let whole = seconds(&reply.body, "/auth/lease_duration");
        (whole > Duration::from_secs(5)).then(|| (asked_at + whole, whole))
    }

    async fn log_in(&self) -> Result<Token, Error> {
        let (mount, role, path) = match &self.login {
            Login::Token(text) => return Ok(Token { text: text.clone(), life: None }),
            Login::TokenFile(path) => return Ok(Token { text: read_token(path)?, life: None }),
            Login::Kubernetes { mount, role, service_account_token } => {
                (mount, role, service_account_token)
            }
        };
        let account = read_token(path)?;
        let body = json!({"role": role, "jwt": account.expose()});
        let asked_at = self.clock.monotonic();
        let reply =
            self.send(Method::POST, &format!("auth/{mount}/login"), Some(&body), None).await?;
        let text = reply.body.pointer("/auth/client_token").and_then(Value::as_str);
        let Some(text) = text.filter(|_| reply.status == 200) else {
            return Err(Error::definite("Vault refuses the pod's login")
                .with("role", role)
                .with("auth_mount", mount)
                .with("status", reply.status)
                .advise(format!(
                    "Ask the keepers of Vault to bind the role {role} of auth/{mount} to this pod's service account and namespace"
                )));
        };
        let whole = seconds(&reply.body, "/auth/lease_duration");
        let life = (!whole.is_zero()).then(|| (asked_at + whole, whole));
        Ok(Token { text: SecretText::new(text), life })
    }

    /// One request, repeated through weather. Any other status is the caller's to judge.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: Option<&SecretText>,
    ) -> Result<Reply, Error> {
        let mut waits = WAITS.iter();
        loop {
            let outcome = self.send_once(method.clone(), path, body, token).await;
            let label = match &outcome {
                Ok(reply) if reply.status < 400 => "ok",
                Ok(_) => "refused",
                Err(_) => "unavailable",
            };
            metrics::counter!(SECRET_VAULT_REQUESTS_TOTAL, "outcome" => label).increment(1);
            match (outcome, waits.next()) {
                (Err(error), Some(wait)) if error.is_transient() => {
                    tracing::debug!(path, %error, wait_seconds = wait.as_secs_f64(), "asking Vault again");
                    self.clock.sleep(*wait).await;
                }
                (outcome, _) => return outcome,
            }
        }
    }

    async fn send_once(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: Option<&SecretText>,
    ) -> Result<Reply, Error> {
        let mut request = self
            .http
            .request(method, format!("{}/v1/{path}", self.address))
            .header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(token) = token {
            let mut value =
                reqwest::header::HeaderValue::from_str(token.expose()).map_err(|_| {
                    Error::configuration("The Vault token holds characters that no token has")
                        .with("login", self.login.who())
                        .advise("Log in to Vault again")
                })?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |source: reqwest::Error| {
            Error::transient("Cannot reach Vault")
                .with("VAULT_ADDR", &self.address)
                .caused_by(source.without_url())
                .advise(
                    "Try again; if it lasts, check VAULT_ADDR and the network from here to Vault",
                )
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if matches!(status, 412 | 429 | 472 | 473 | 500..=599) {
            let sealed = "Try again; if it lasts, tell the keepers of Vault: it is sealed, overloaded or in maintenance";
            return Err(Error::transient("Vault cannot answer now")
                .with("VAULT_ADDR", &self.address)
                .with("path", path)
                .with("status", status)
                .advise(sealed));
        }
        // An empty or foreign body has none of the fields asked for, and is then refused by what
        // asked.
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Reply { status, body })
    }

    fn failure(&self, path: &str, reply: &Reply) -> Error {
        let who = self.login.who();
        let error = |message| {
            Error::definite(message)
                .with("path", path)
                .with("status", reply.status)
                .with("login", &who)
        };
        match reply.status {
            401 | 403 => error("Vault refuses access to the secret").advise(format!(
                "Ask the keepers of Vault for a policy that lets {who} read {path}, or log in again if the token has ended"
            )),
            404 | 200 => Error::configuration("Vault has no secret at the path")
                .with("path", path)
                .with("status", reply.status)
                .advise("Correct the mount and path, or ask whoever owns the secret whether it was deleted"),
            _ => error("Vault does not accept the request").advise(
                "Check the mount, path and role; the keepers of Vault see the reason in its audit log",
            ),
        }
    }
}

fn seconds(body: &Value, pointer: &str) -> Duration {
    Duration::from_secs(body.pointer(pointer).and_then(Value::as_u64).unwrap_or_default())
}

/// A field by its name, or by names joined with dots through nested objects.
fn find<'v>(data: &'v Value, field: &str) -> Option<&'v Value> {
    if let Some(value) = data.get(field) {
        return Some(value);
    }
    field
        .match_indices('.')
        .filter_map(|(dot, _)| Some((field.get(..dot)?, field.get(dot + 1..)?)))
        .find_map(|(first, rest)| find(data.get(first)?, rest))
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
