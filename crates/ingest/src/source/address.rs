//! Where a source is: its place in the inventory, the variable that says its URL, and what URLs have in common.

use std::path::PathBuf;

use ol_chassis::secret::SecretUrl;

use crate::error::{Definite, Error};
use crate::inventory::{SourceKind, UnitId};

/// What `sslmode` asks for, strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never encrypt.
    Disable,
    /// Encrypt if the server can.
    Prefer,
    /// Encrypt or fail.
    Require,
    /// Encrypt, and check that the certificate comes from a known authority.
    VerifyCa,
    /// Encrypt, and check authority and host name.
    VerifyFull,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host name or address, and a port.
    Tcp {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// The path of the socket itself.
    Unix(PathBuf),
}

/// What is wrong with a connection URL; never the URL itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The connection URL is not usable: {0}")]
pub struct SettingsError(pub(super) String);

/// A source by its place in the inventory: where it is, and with which password, is looked up at each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAddress {
    /// The deployment, e.g. `mitxonline`.
    pub deployment: String,
    /// The layer, e.g. `app_postgres`.
    pub layer: String,
}

impl SourceAddress {
    /// The source of a unit.
    #[must_use]
    pub fn of(unit: &UnitId) -> Self {
        Self { deployment: unit.deployment.clone(), layer: unit.layer.clone() }
    }

    /// The variable that says where it is.
    #[must_use]
    pub fn variable(&self) -> String {
        ol_chassis::config::source_variable(&self.deployment, &self.layer)
    }

    /// The kind of source that the scheme of its URL names.
    ///
    /// # Errors
    /// No variable says where the source is, Vault does not answer, or the scheme is none of a database we read.
    pub async fn kind(&self) -> Result<SourceKind, Error> {
        let url = ol_chassis::config::source_url(&self.deployment, &self.layer).await?;
        match url.expose().split_once(':').map_or("", |(scheme, _)| scheme) {
            "postgres" | "postgresql" => Ok(SourceKind::Postgres),
            "mysql" | "mariadb" => Ok(SourceKind::Mysql),
            "mongodb" | "mongodb+srv" => Ok(SourceKind::Mongodb),
            _ => {
                let variable = self.variable();
                let advice = format!(
                    "Begin the URL in {variable} with postgres://, mysql:// or mongodb://."
                );
                Err(Error::new(Definite::Configuration).with("variable", variable).advise(advice))
            }
        }
    }

    /// Looks the source up: in `OL_SOURCE_<DEPLOYMENT>_<LAYER>_URL`, a file, or Vault, and reads it with `parse`.
    ///
    /// Keep the URL for as long as the connection is used: credentials that Vault leased are renewed with it.
    ///
    /// # Errors
    /// No variable says where the source is, Vault does not answer, or the URL is not usable.
    pub(super) async fn resolve_with<S>(
        &self,
        parse: impl FnOnce(&SecretUrl) -> Result<S, SettingsError>,
    ) -> Result<(SecretUrl, S), Error> {
        let url = ol_chassis::config::source_url(&self.deployment, &self.layer).await?;
        let settings = parse(&url).map_err(|error| {
            let variable = self.variable();
            Error::new(Definite::Configuration)
                .advise(format!("Correct {variable}: {}", error.0))
                .with("variable", variable)
                .because(error)
        })?;
        Ok((url, settings))
    }
}

/// A percent-decoded part of a URL.
pub(super) fn decode(text: &str) -> String {
    // The query parser of `url` is the only percent-decoder it exports, and it turns `+` into a blank.
    let escaped = text.replace('+', "%2B");
    url::form_urlencoded::parse(escaped.as_bytes())
        .map(|(key, _)| key.into_owned())
        .next()
        .unwrap_or_default()
}

/// A parameter that is a number.
pub(super) fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, SettingsError> {
    value.parse().map_err(|_| SettingsError(format!("parameter {key} is not a number")))
}

/// The value of `sslmode`.
pub(super) fn tls_mode(value: &str) -> Result<TlsMode, SettingsError> {
    match value {
        "disable" => Ok(TlsMode::Disable),
        "allow" | "prefer" => Ok(TlsMode::Prefer),
        "require" => Ok(TlsMode::Require),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" => Ok(TlsMode::VerifyFull),
        other => Err(SettingsError(format!(
            "sslmode {other} is not known (known: disable, prefer, require, verify-ca, verify-full)"
        ))),
    }
}

/// Whether the server is on this machine, so that nothing of the connection crosses a network.
pub(super) fn is_local(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp { host, .. } => {
            host == "localhost"
                || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}
