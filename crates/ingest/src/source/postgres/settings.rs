//! Where a Postgres is and how to talk to it, from a `postgres://` URL.
//!
//! The URL has libpq's form (PostgreSQL documentation, "Connection URIs"): the host may be a name, an address or,
//! percent-encoded or as `?host=`, the folder of a Unix socket. Unlike libpq, `sslmode` defaults to `require` for
//! any host that is not this machine: a password and personal data never cross a network in the clear unless the
//! URL says `sslmode=disable`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ol_chassis::secret::{SecretText, SecretUrl};
use url::Url;

pub use crate::source::address::{Address, SettingsError, SourceAddress, TlsMode};

use crate::error::Error;
use crate::source::address::{decode, is_local, number, tls_mode};

/// A parsed connection URL. The password stays a secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server listens.
    pub address: Address,
    /// The role to log in as.
    pub user: String,
    /// Its password, if the URL has one.
    pub password: Option<SecretText>,
    /// The database.
    pub database: String,
    /// How much TLS to ask for.
    pub tls: TlsMode,
    /// The certificates to trust instead of the operating system's.
    pub root_certificate: Option<PathBuf>,
    /// What the server shows in `pg_stat_activity`.
    pub application_name: String,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a running COPY may stay silent before the connection counts as lost.
    pub stall_limit: Duration,
}

impl SourceAddress {
    /// Looks up where the Postgres is: in `OL_SOURCE_<DEPLOYMENT>_<LAYER>_URL`, a file, or Vault. Keep the URL for as long as
    /// the connection is used: credentials that Vault leased are renewed with it.
    ///
    /// # Errors
    /// No variable says where the source is, Vault does not answer, or the URL is not usable.
    pub async fn resolve(&self) -> Result<(SecretUrl, Settings), Error> {
        self.resolve_with(Settings::parse).await
    }
}

impl Settings {
    /// Parses a `postgres://` or `postgresql://` URL.
    ///
    /// # Errors
    /// The URL has another scheme, no user, or an unknown or malformed parameter.
    pub fn parse(url: &SecretUrl) -> Result<Self, SettingsError> {
        // libpq allows a URL without a host (`user@/database?host=/folder`), the standard does not.
        let url = Url::parse(&url.expose().replacen("@/", "@localhost/", 1))
            .map_err(|error| SettingsError(format!("it is not a URL ({error})")))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(SettingsError(format!(
                "its scheme is {}, and a Postgres source needs postgres://",
                url.scheme()
            )));
        }
        let mut host = decode(url.host_str().unwrap_or_default());
        let mut port = url.port().unwrap_or(5432);
        let mut user = decode(url.username());
        let mut password = url.password().map(decode);
        let mut database = decode(url.path().trim_start_matches('/'));
        let mut tls = None;
        let mut root_certificate = None;
        let mut application_name = "ol-ingest".to_owned();
        let mut connect_timeout = Duration::from_secs(10);
        for (key, value) in url.query_pairs() {
            let value = value.into_owned();
            match key.as_ref() {
                "host" => host = value,
                "port" => port = number(&key, &value)?,
                "user" => user = value,
                "password" => password = Some(value),
                "dbname" => database = value,
                "sslmode" => tls = Some(tls_mode(&value)?),
                "sslrootcert" => root_certificate = Some(PathBuf::from(value)),
                "application_name" => application_name = value,
                "connect_timeout" => connect_timeout = Duration::from_secs(number(&key, &value)?),
                other => {
                    return Err(SettingsError(format!(
                        "parameter {other} is not known (known: host, port, user, password, dbname, sslmode, \
                         sslrootcert, application_name, connect_timeout)"
                    )));
                }
            }
        }
        if user.is_empty() {
            return Err(SettingsError("it names no user".into()));
        }
        if database.is_empty() {
            database.clone_from(&user);
        }
        let address = if host.starts_with('/') {
            Address::Unix(Path::new(&host).join(format!(".s.PGSQL.{port}")))
        } else {
            let host = if host.is_empty() { "localhost".to_owned() } else { host };
            Address::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port }
        };
        let tls =
            tls.unwrap_or(if is_local(&address) { TlsMode::Prefer } else { TlsMode::Require });
        Ok(Self {
            address,
            user,
            password: password.map(SecretText::new),
            database,
            tls,
            root_certificate,
            application_name,
            connect_timeout,
            stall_limit: Duration::from_secs(600),
        })
    }

    /// The same settings for sqlx, which runs the catalog queries.
    pub(super) fn options(&self) -> sqlx::postgres::PgConnectOptions {
        use sqlx::postgres::{PgConnectOptions, PgSslMode};
        let mut options = PgConnectOptions::new_without_pgpass()
            .username(&self.user)
            .database(&self.database)
            .application_name(&self.application_name)
            .ssl_mode(match self.tls {
                TlsMode::Disable => PgSslMode::Disable,
                TlsMode::Prefer => PgSslMode::Prefer,
                TlsMode::Require => PgSslMode::Require,
                TlsMode::VerifyCa => PgSslMode::VerifyCa,
                TlsMode::VerifyFull => PgSslMode::VerifyFull,
            });
        options = match &self.address {
            Address::Tcp { host, port } => options.host(host).port(*port),
            Address::Unix(path) => {
                let port = path
                    .extension()
                    .and_then(|text| text.to_str())
                    .and_then(|text| text.parse().ok());
                let folder = path.parent().unwrap_or(Path::new("/"));
                options.socket(folder).host("localhost").port(port.unwrap_or(5432))
            }
        };
        if let Some(password) = &self.password {
            options = options.password(password.expose());
        }
        if let Some(path) = &self.root_certificate {
            options = options.ssl_root_cert(path);
        }
        options
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
        assert_eq!(parse("postgres://u@db.example.org/x").unwrap().tls, TlsMode::Require);
        assert_eq!(parse("postgres://u@127.0.0.1/x").unwrap().tls, TlsMode::Prefer);
        assert_eq!(parse("postgres://u@db/x?sslmode=disable").unwrap().tls, TlsMode::Disable);
    }

    #[test]
    fn sockets_and_escapes_are_understood() {
        let settings = parse("postgres://a%40b:p%2Fw+d@%2Ftmp%2Fsock:6000/data%20base").unwrap();
        assert_eq!(settings.address, Address::Unix("/tmp/sock/.s.PGSQL.6000".into()));
        assert_eq!(settings.user, "a@b");
        assert_eq!(settings.password.unwrap().expose(), "p/w+d");
        assert_eq!(settings.database, "data base");
        let settings = parse("postgresql://u@/x?host=/run/pg").unwrap();
        assert_eq!(settings.address, Address::Unix("/run/pg/.s.PGSQL.5432".into()));
    }

    #[test]
    fn an_unknown_parameter_is_refused_by_name() {
        let error = parse("postgres://u@h/x?sslmod=require").unwrap_err().to_string();
        assert!(error.contains("sslmod"), "{error}");
    }
}
