//! A URL that may hold a password.
//!
//! Redaction works on the text, not on a parsed URL: MongoDB lists several hosts in one authority
//! and SQLite has none, and both must be shown safely. Whatever cannot be told apart from a
//! password is refused or left out of the display.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, Serializer};
use tokio_util::sync::DropGuard;

use super::SecretText;
use crate::error::Error;

/// Query parameters whose values are shown; every other parameter is left out.
const SAFE_PARAMETERS: [&str; 9] = [
    "application_name",
    "authsource",
    "charset",
    "connect_timeout",
    "replicaset",
    "ssl-mode",
    "sslmode",
    "target_session_attrs",
    "tls",
];

/// A URL with its credentials, shown as `scheme://user:***@host:port/database?sslmode=require`.
///
/// Clones share the lease of credentials that Vault issued; it is renewed until the last one is
/// dropped.
#[derive(Clone)]
pub struct SecretUrl {
    text: SecretText,
    /// Exactly what may be shown.
    shown: Arc<str>,
    /// Stops the renewal when the last clone goes.
    lease: Option<Arc<DropGuard>>,
}

impl SecretUrl {
    /// Takes a URL; `scheme:rest` without an authority (`sqlite:PATH`, `glue:`) is one too.
    ///
    /// # Errors
    /// Configuration, without quoting the text: no scheme, a port that is not a number, or a `/`,
    /// `?`, `#` or `@` in the user name or password that should have been percent-encoded.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let shown = redact(text.trim())?;
        Ok(Self { text: SecretText::new(text.trim()), shown: shown.into(), lease: None })
    }

    /// The whole URL with its credentials. Hand it to the driver and to nothing that prints.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// What stands before the first colon, in lower case: `postgres`, `mysql`, `file`.
    pub fn scheme(&self) -> String {
        scheme_of(self.expose()).map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default()
    }

    /// This URL with other credentials, percent-encoded as needed.
    pub(super) fn with_credentials(
        &self,
        user: &str,
        password: &SecretText,
        lease: Option<Arc<DropGuard>>,
    ) -> Result<Self, Error> {
        let misfit = || {
            Error::configuration("Database credentials need a URL with a host to go into")
                .with("url", self)
                .advise("Write vault-db:MOUNT/creds/ROLE#postgres://HOST:5432/DATABASE")
        };
        let (scheme, rest) = scheme_of(self.expose()).ok_or_else(misfit)?;
        let rest = rest.strip_prefix("//").ok_or_else(misfit)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host_at =
            rest.get(..end).and_then(|authority| authority.rfind('@')).map_or(0, |at| at + 1);
        let host = rest.get(host_at..).unwrap_or_default();
        let mut carrier = ::url::Url::parse("postgres://host").map_err(|_| misfit())?;
        carrier.set_username(user).map_err(|()| misfit())?;
        carrier.set_password(Some(password.expose())).map_err(|()| misfit())?;
        let (user, password) = (carrier.username(), carrier.password().unwrap_or_default());
        let mut url = Self::parse(&format!("{scheme}://{user}:{password}@{host}"))?;
        url.lease = lease;
        Ok(url)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leased = if self.lease.is_some() { ", leased" } else { "" };
        write!(formatter, "SecretUrl({}{leased})", self.shown)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut letters = scheme.chars();
    let valid = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    valid.then_some((scheme, rest))
}

fn redact(text: &str) -> Result<String, Error> {
    let (scheme, rest) = scheme_of(text).ok_or_else(|| {
        Error::configuration("The URL has no scheme")
            .advise("Begin it with the kind of system, such as postgres://, mysql:// or sqlite:")
    })?;
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (rest, tail) = rest.split_at(end);
    let query = tail.strip_prefix('?').unwrap_or_default();
    let query = shown_query(query.split_once('#').map_or(query, |(query, _)| query));
    let Some(rest) = rest.strip_prefix("//") else {
        return Ok(format!("{scheme}:{rest}{query}"));
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let is_storage = matches!(scheme, "file" | "s3");
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, authority),
    };
    let ambiguous = path.contains('@')
        || user.is_some_and(|user| user.contains('@'))
        || (user.is_none() && tail.contains('@'));
    if !is_storage && (ambiguous || !hosts.split(',').all(has_numeric_port)) {
        return Err(Error::configuration("The URL's user name, password or port cannot be told apart")
            .with("scheme", scheme)
            .advise(
                "Percent-encode / ? # @ and : in the user name and password (@ is %40), and write the port as a number",
            ));
    }
    let user = match user.map(|user| user.split_once(':')) {
        None => String::new(),
        Some(Some((name, _))) => format!("{name}:***@"),
        // Over HTTP a lone user name is usually a token.
        Some(None) if scheme.contains("http") => "***@".to_owned(),
        Some(None) => format!("{}@", user.unwrap_or_default()),
    };
    Ok(format!("{scheme}://{user}{hosts}{path}{query}"))
}

/// True for `host`, `host:5432`, `[::1]` and `[::1]:5432`.
fn has_numeric_port(host: &str) -> bool {
    let port = match host.rsplit_once(']') {
        Some((_, after)) => {
            after.strip_prefix(':').or(if after.is_empty() { None } else { Some("?") })
        }
        None => host.split_once(':').map(|(_, port)| port),
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn shown_query(query: &str) -> String {
    let safe: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            pair.split_once('=').is_some_and(|(key, _)| {
                SAFE_PARAMETERS.contains(&key.to_ascii_lowercase().as_str())
            })
        })
        .collect();
    if safe.is_empty() { String::new() } else { format!("?{}", safe.join("&")) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn the_display_tells_the_place_and_not_the_password() {
        let cases = [
            ("postgres://app:hunter2@db:5432/x", "postgres://app:***@db:5432/x"),
            ("postgres://app@db/x", "postgres://app@db/x"),
            ("postgres://db/x?sslmode=require&password=hunter2", "postgres://db/x?sslmode=require"),
            ("postgres://a:b%40hunter2@[::1]:5432/x#hunter2", "postgres://a:***@[::1]:5432/x"),
            (
                "mongodb://u:hunter2@a:1,b:2/x?replicaSet=r",
                "mongodb://u:***@a:1,b:2/x?replicaSet=r",
            ),
            ("sqlite:.ol/catalog.db", "sqlite:.ol/catalog.db"),
            ("glue:", "glue:"),
            ("file:///data/a@b", "file:///data/a@b"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("rest+https://u:hunter2@catalog/api", "rest+https://u:***@catalog/api"),
            ("https://hunter2@catalog/api", "https://***@catalog/api"),
        ];
        for (text, shown) in cases {
            let url = SecretUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.expose(), text);
            assert_eq!(serde_json::to_string(&url).unwrap(), format!("\"{shown}\""));
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_cannot_be_told_apart_from_a_password_is_refused_unquoted() {
        for text in [
            "hunter2",
            "postgres://u:hun/ter2@h/d",
            "postgres://u:hun?ter2@h/d",
            "postgres://u:hun#ter2@h/d",
            "postgres://u:ter2@hun@h/d",
            "postgres://u:1@hunter2/ter2@h/d",
            "postgres://h:ter2/d",
            "postgres://u:5432?ter2@h/d",
        ] {
            let error = SecretUrl::parse(text).unwrap_err();
            assert!(error.advice().is_some());
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("ter2") && !shown.contains("hun"), "{shown}");
        }
    }

    #[test]
    fn credentials_go_in_encoded_and_replace_what_was_there() {
        let url = SecretUrl::parse("postgres://old:pw@db:5432/x?sslmode=require").unwrap();
        let url = url.with_credentials("v-role-1", &SecretText::new("p@ss/w:rd#?"), None).unwrap();
        assert_eq!(url.to_string(), "postgres://v-role-1:***@db:5432/x?sslmode=require");
        let parsed = ::url::Url::parse(url.expose()).unwrap();
        assert_eq!(parsed.password(), Some("p%40ss%2Fw%3Ard%23%3F"));
        assert_eq!(parsed.host_str(), Some("db"));
        let sqlite = SecretUrl::parse("sqlite:x").unwrap();
        assert!(sqlite.with_credentials("a", &SecretText::new("b"), None).is_err());
    }
}
