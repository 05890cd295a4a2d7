//! Where a MySQL or MariaDB is and how to talk to it, from a `mysql://` URL.
//!
//! The parameters have the names and the meaning that they have in the URL of a Postgres: `sslmode` defaults to `require`
//! for any host that is not this machine, so that a password and personal data never cross a network in the clear unless
//! the URL says `sslmode=disable`. The URL names the database whose tables have no `namespace` in the inventory.

use std::path::PathBuf;
use std::time::Duration;

use ol_chassis::secret::{SecretText, SecretUrl};
use url::Url;

use crate::error::Error;
use crate::source::address::{
    Address, SettingsError, SourceAddress, TlsMode, decode, is_local, number, tls_mode,
};

/// A parsed connection URL. The password stays a secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server listens.
    pub address: Address,
    /// The account to log in as.
    pub user: String,
    /// Its password, if the URL has one.
    pub password: Option<SecretText>,
    /// The database.
    pub database: String,
    /// How much TLS to ask for.
    pub tls: TlsMode,
    /// The certificates to trust instead of the operating system's.
    pub root_certificate: Option<PathBuf>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a query may stay silent before the connection counts as lost.
    pub stall_limit: Duration,
}

impl Settings {
    /// Looks up where the source is: see [`SourceAddress`].
    ///
    /// # Errors
    /// No variable says where the source is, Vault does not answer, or the URL is not usable.
    pub async fn resolve(address: &SourceAddress) -> Result<(SecretUrl, Self), Error> {
        address.resolve_with(Self::parse).await
    }

    /// Parses a `mysql://` or `mariadb://` URL.
    ///
    /// # Errors
    /// The URL has another scheme, no user, no database, or an unknown or malformed parameter.
    pub fn parse(url: &SecretUrl) -> Result<Self, SettingsError> {
        let url = Url::parse(url.expose())
            .map_err(|error| SettingsError(format!("it is not a URL ({error})")))?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(SettingsError(format!(
                "its scheme is {}, and a MySQL source needs mysql://",
                url.scheme()
            )));
        }
        let host = decode(url.host_str().unwrap_or_default());
        let mut address = Address::Tcp {
            host: if host.is_empty() { "localhost".to_owned() } else { host },
            port: url.port().unwrap_or(3306),
        };
        if let Address::Tcp { host, .. } = &mut address {
            *host = host.trim_matches(['[', ']']).to_owned();
        }
        let mut tls = None;
        let mut root_certificate = None;
        let mut connect_timeout = Duration::from_secs(10);
        for (key, value) in url.query_pairs() {
            let value = value.into_owned();
            match key.as_ref() {
                "socket" => address = Address::Unix(PathBuf::from(value)),
                "sslmode" => tls = Some(tls_mode(&value)?),
                "sslrootcert" => root_certificate = Some(PathBuf::from(value)),
                "connect_timeout" => connect_timeout = Duration::from_secs(number(&key, &value)?),
                other => {
                    return Err(SettingsError(format!(
                        "parameter {other} is not known (known: socket, sslmode, sslrootcert, connect_timeout)"
                    )));
                }
            }
        }
        let user = decode(url.username());
        if user.is_empty() {
            return Err(SettingsError("it names no user".into()));
        }
        let database = decode(url.path().trim_start_matches('/'));
        if database.is_empty() {
            return Err(SettingsError("it names no database (mysql://user@host/database)".into()));
        }
        let tls =
            tls.unwrap_or(if is_local(&address) { TlsMode::Prefer } else { TlsMode::Require });
        Ok(Self {
            address,
            user,
            password: url.password().map(|text| SecretText::new(decode(text))),
            database,
            tls,
            root_certificate,
            connect_timeout,
            stall_limit: Duration::from_secs(600),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn parse(url: &str) -> Result<Settings, SettingsError> {
        Settings::parse(&SecretUrl::parse(url).unwrap())
    }

    #[test]
    fn a_remote_host_requires_tls_and_this_machine_prefers_it() {
        assert_eq!(parse("mysql://u@db.example.org/x").unwrap().tls, TlsMode::Require);
        assert_eq!(parse("mariadb://u@127.0.0.1/x").unwrap().tls, TlsMode::Prefer);
        assert_eq!(parse("mysql://u@db/x?sslmode=disable").unwrap().tls, TlsMode::Disable);
        let socket = parse("mysql://u@db/x?socket=/run/m.sock").unwrap();
        assert_eq!(
            (socket.tls, socket.address),
            (TlsMode::Prefer, Address::Unix("/run/m.sock".into()))
        );
    }

    #[test]
    fn parts_are_decoded() {
        let settings = parse("mysql://a%40b:p%2Fw+d@db:3307/data%20base").unwrap();
        assert_eq!(settings.address, Address::Tcp { host: "db".into(), port: 3307 });
        assert_eq!((settings.user.as_str(), settings.database.as_str()), ("a@b", "data base"));
        assert_eq!(settings.password.unwrap().expose(), "p/w+d");
    }

    #[test]
    fn what_is_not_usable_is_said() {
        for (url, word) in [
            ("mysql://u@h/x?sslmod=require", "sslmod"),
            ("postgres://u@h/x", "mysql://"),
            ("mysql://u@h", "no database"),
            ("mysql://h/x", "no user"),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(word), "{url}: {error}");
        }
    }
}
