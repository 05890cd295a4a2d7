//! Where a MongoDB is and how to talk to it, from a `mongodb://` connection string.
//!
//! The options have the names and the meaning that they have for every driver ("Connection String URI Format"), with one
//! difference: **TLS is on** for any host that is not this machine, so that a password and personal data never cross a
//! network in the clear unless the string says `tls=false`. Options that only matter to a client that writes or that keeps a
//! pool are taken and have no effect; what is not known is an error. The path names the database of collections that have no
//! `namespace` in the inventory.

use std::path::PathBuf;
use std::time::Duration;

use ol_chassis::secret::{SecretText, SecretUrl};

use super::wire::Mechanism;
use crate::error::Error;
use crate::source::address::{
    Address, SettingsError, SourceAddress, TlsMode, decode, is_local, number,
};

/// Where a server listens if the string does not say it.
const PORT: u16 = 27017;

/// What a driver takes, and what has no meaning for one that only reads, over one connection a reader.
const WITHOUT_EFFECT: &[&str] = &[
    "appname",
    "compressors",
    "heartbeatfrequencyms",
    "journal",
    "localthresholdms",
    "maxidletimems",
    "maxpoolsize",
    "minpoolsize",
    "retryreads",
    "retrywrites",
    "serverselectiontimeoutms",
    "sockettimeoutms",
    "uuidrepresentation",
    "w",
    "waitqueuetimeoutms",
    "wtimeoutms",
];

/// Which member of a replica set is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPreference {
    /// The one that is written to.
    Primary,
    /// One that is not; the other if there is none.
    SecondaryPreferred,
    /// One that is not.
    Secondary,
}

/// A parsed connection string. The password stays a secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The members that the string names.
    pub hosts: Vec<(String, u16)>,
    /// The account to log in as, and its password.
    pub login: Option<(String, SecretText)>,
    /// The database that knows the account.
    pub login_database: String,
    /// How the account logs in, if not as the server proposes.
    pub mechanism: Option<Mechanism>,
    /// The database of the collections.
    pub database: String,
    /// The replica set that the members must belong to.
    pub replica_set: Option<String>,
    /// Whether the one host is read, whatever it is.
    pub is_direct: bool,
    /// Which member is read.
    pub read_preference: ReadPreference,
    /// How much TLS to ask for: [`TlsMode::Disable`] is none.
    pub tls: TlsMode,
    /// The certificates to trust instead of the operating system's.
    pub root_certificate: Option<PathBuf>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a command may stay silent before the connection counts as lost.
    pub stall_limit: Duration,
}

impl Settings {
    /// Looks up where the source is: see [`SourceAddress`].
    ///
    /// # Errors
    /// No variable says where the source is, Vault does not answer, or the string is not usable.
    pub async fn resolve(address: &SourceAddress) -> Result<(SecretUrl, Self), Error> {
        address.resolve_with(Self::parse).await
    }

    /// Parses a `mongodb://` connection string.
    ///
    /// # Errors
    /// It has another scheme, no host, no database, or an unknown or malformed option.
    pub fn parse(url: &SecretUrl) -> Result<Self, SettingsError> {
        let fail = |text: &str| Err(SettingsError(text.to_owned()));
        let text = url.expose();
        let rest = match text.split_once("://") {
            Some(("mongodb", rest)) => rest,
            Some(("mongodb+srv", _)) => {
                return fail(
                    "its scheme is mongodb+srv, whose hosts only DNS knows: write the form that names them, \
                     mongodb://host1,host2,host3/database?replicaSet=…&authSource=admin",
                );
            }
            _ => return fail("a MongoDB source needs mongodb://"),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let hosts: Vec<_> = hosts.split(',').map(host).collect::<Result<_, _>>()?;
        let database = decode(path);
        if database.is_empty() {
            return fail("it names no database (mongodb://user@host/database)");
        }
        let login = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (decode(name), SecretText::new(decode(password)))
        });
        let are_local = hosts
            .iter()
            .all(|(host, port)| is_local(&Address::Tcp { host: host.clone(), port: *port }));
        let mut settings = Self {
            hosts,
            login,
            login_database: database.clone(),
            mechanism: None,
            database,
            replica_set: None,
            is_direct: false,
            read_preference: ReadPreference::Primary,
            tls: if are_local { TlsMode::Disable } else { TlsMode::VerifyFull },
            root_certificate: None,
            connect_timeout: Duration::from_secs(10),
            stall_limit: Duration::from_secs(600),
        };
        settings.take_options(query)?;
        Ok(settings)
    }

    fn take_options(&mut self, query: &str) -> Result<(), SettingsError> {
        let mut asked_tls = None;
        let mut weaker = None;
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match key.to_ascii_lowercase().as_str() {
                "authsource" => self.login_database = value,
                "authmechanism" => {
                    let known = [Mechanism::Sha256, Mechanism::Sha1];
                    self.mechanism = known.into_iter().find(|it| it.word() == value);
                    if self.mechanism.is_none() && value != "DEFAULT" {
                        return Err(SettingsError(format!(
                            "authMechanism {value} is not known (known: SCRAM-SHA-256, SCRAM-SHA-1)"
                        )));
                    }
                }
                "replicaset" => self.replica_set = Some(value),
                "directconnection" => self.is_direct = flag(&key, &value)?,
                "readpreference" => self.read_preference = read_preference(&value)?,
                "tls" | "ssl" => asked_tls = Some(flag(&key, &value)?),
                "tlscafile" => self.root_certificate = Some(PathBuf::from(value)),
                "tlsinsecure" | "tlsallowinvalidcertificates" if flag(&key, &value)? => {
                    weaker = Some(TlsMode::Require);
                }
                "tlsallowinvalidhostnames" if flag(&key, &value)? => {
                    weaker = weaker.or(Some(TlsMode::VerifyCa));
                }
                "tlsinsecure" | "tlsallowinvalidcertificates" | "tlsallowinvalidhostnames" => {}
                "connecttimeoutms" => {
                    self.connect_timeout = Duration::from_millis(number(&key, &value)?);
                }
                "readconcernlevel" if value == "majority" => {}
                other if WITHOUT_EFFECT.contains(&other) => {}
                _ => return Err(SettingsError(format!("option {key} is not known"))),
            }
        }
        self.tls = match asked_tls {
            Some(false) => TlsMode::Disable,
            Some(true) => weaker.unwrap_or(TlsMode::VerifyFull),
            None if self.tls == TlsMode::Disable => TlsMode::Disable,
            None => weaker.unwrap_or(TlsMode::VerifyFull),
        };
        Ok(())
    }
}

/// A host and its port.
fn host(text: &str) -> Result<(String, u16), SettingsError> {
    // An IPv6 address is in brackets.
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, number("port", port)?),
        _ => (text, PORT),
    };
    let name = decode(name.trim_matches(['[', ']']));
    if name.is_empty() {
        return Err(SettingsError("it names no host".into()));
    }
    if name.contains('/') {
        return Err(SettingsError("a host is the path of a socket, which is not supported".into()));
    }
    Ok((name, port))
}

fn flag(key: &str, value: &str) -> Result<bool, SettingsError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(SettingsError(format!("option {key} is neither true nor false"))),
    }
}

fn read_preference(value: &str) -> Result<ReadPreference, SettingsError> {
    match value {
        "primary" | "primaryPreferred" => Ok(ReadPreference::Primary),
        "secondary" => Ok(ReadPreference::Secondary),
        "secondaryPreferred" | "nearest" => Ok(ReadPreference::SecondaryPreferred),
        other => Err(SettingsError(format!("readPreference {other} is not known"))),
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
    fn a_remote_host_requires_tls_and_this_machine_does_not() {
        let tls = |url: &str| parse(url).unwrap().tls;
        assert_eq!(tls("mongodb://db.example.org/x"), TlsMode::VerifyFull);
        assert_eq!(tls("mongodb://127.0.0.1/x"), TlsMode::Disable);
        assert_eq!(tls("mongodb://127.0.0.1,db.example.org/x"), TlsMode::VerifyFull);
        assert_eq!(tls("mongodb://[::1]:27018/x?tls=true"), TlsMode::VerifyFull);
        assert_eq!(tls("mongodb://db/x?ssl=false"), TlsMode::Disable);
        assert_eq!(tls("mongodb://db/x?tlsInsecure=true"), TlsMode::Require);
        assert_eq!(tls("mongodb://db/x?tlsAllowInvalidHostnames=true"), TlsMode::VerifyCa);
    }

    #[test]
    fn parts_are_decoded() {
        let settings = parse(
            "mongodb://a%40b:p%2Fw+d@db1:27018,db2,[::1]:3/cs_comments?authSource=admin&replicaSet=rs&readPreference=secondary&w=majority",
        )
        .unwrap();
        let hosts = [("db1".to_owned(), 27018), ("db2".to_owned(), 27017), ("::1".to_owned(), 3)];
        assert_eq!(settings.hosts, hosts);
        let (user, password) = settings.login.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("a@b", "p/w+d"));
        assert_eq!(
            (settings.database.as_str(), settings.login_database.as_str()),
            ("cs_comments", "admin")
        );
        assert_eq!(settings.replica_set.as_deref(), Some("rs"));
        assert_eq!(settings.read_preference, ReadPreference::Secondary);
    }

    #[test]
    fn what_is_not_usable_is_said() {
        for (url, word) in [
            ("mongodb://h/x?tsl=true", "tsl"),
            ("mongodb+srv://h/x", "names them"),
            ("postgres://h/x", "mongodb://"),
            ("mongodb://h", "no database"),
            ("mongodb://u:p@/x", "no host"),
            ("mongodb://h/x?tls=yes", "neither"),
            ("mongodb://h/x?authMechanism=MONGODB-X509", "SCRAM-SHA-256"),
            ("mongodb://h/x?readPreference=fast", "fast"),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(word), "{url}: {error}");
        }
    }
}
