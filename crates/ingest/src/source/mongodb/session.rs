//! A connection to the member that is to be read, logged in, and a source that is open for reading.
//!
//! The members that the connection string names are asked one after the other what they are, and then those that they tell
//! of, until one is what `readPreference` asks for; a router of a sharded cluster and a server that stands alone are read
//! whatever it says. On a replica set, what is read is what a majority of its members has (`readConcern: majority`), so
//! that nothing is read that a change of the primary would take back.

use std::collections::{BTreeSet, VecDeque};

use ol_chassis::secret::SecretUrl;
use ol_chassis::shutdown::Shutdown;

use super::bson::{Builder, Document, Value};
use super::catalog::Catalog;
use super::error::{COMMAND_UNKNOWN, SourceError};
use super::settings::{ReadPreference, Settings};
use super::wire::{Connection, Mechanism, text_of};
use crate::error::{Doing, Result};
use crate::inventory::Unit;
use crate::position::ClusterTime;
use crate::source::address::SourceAddress;

/// The first version that speaks `OP_MSG` (MongoDB 3.6).
const OLDEST_WIRE_VERSION: i32 = 6;
/// More members than a replica set can have.
const MOST_MEMBERS: usize = 64;

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Member {
    is_primary: bool,
    is_secondary: bool,
    is_router: bool,
    replica_set: Option<String>,
    others: Vec<String>,
    wire_version: i32,
    /// The account has a secret for SCRAM-SHA-256.
    knows_sha256: bool,
}

/// A connection to the member that is read.
pub struct Session {
    /// The connection.
    pub connection: Connection,
    /// Whether what is read has to be what a majority has.
    is_replicated: bool,
    /// Whether the member is not the primary.
    is_secondary: bool,
    /// The replica set, if it is a member of one.
    pub replica_set: Option<String>,
    /// Which commands it knows.
    pub wire_version: i32,
    /// What is read is of this time or later.
    after: Option<ClusterTime>,
}

impl Session {
    /// Finds the member, connects and logs in. Blocks.
    ///
    /// # Errors
    /// No member is reachable, or none is what is asked for; it refuses the login, does not encrypt, or is too old.
    pub fn open(settings: &Settings, shutdown: &Shutdown) -> Result<Self, SourceError> {
        let mut waiting: VecDeque<(String, u16)> = settings.hosts.iter().cloned().collect();
        let mut asked = BTreeSet::new();
        let mut failure = None;
        let mut fallback = None;
        while let Some((host, port)) = waiting.pop_front() {
            if asked.len() >= MOST_MEMBERS || !asked.insert((host.clone(), port)) {
                continue;
            }
            let opened = Connection::open(settings, &host, port, shutdown.clone());
            let found = opened.and_then(|mut connection| {
                let member = hello(&mut connection, settings)?;
                Ok((connection, member))
            });
            let (connection, member) = match found {
                Ok(found) => found,
                Err(SourceError::Stopped) => return Err(SourceError::Stopped),
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            if member.wire_version < OLDEST_WIRE_VERSION {
                return Err(SourceError::TooOld(member.wire_version));
            }
            if let Some(wanted) = &settings.replica_set
                && member.replica_set.as_ref() != Some(wanted)
            {
                return Err(SourceError::OtherReplicaSet(wanted.clone()));
            }
            if fits(settings, &member) {
                return Self::new(connection, &member, settings);
            }
            let others = member.others.iter().filter(|_| !settings.is_direct);
            waiting.extend(others.filter_map(|other| member_address(other)));
            if member.is_primary {
                fallback = Some((connection, member));
            }
        }
        match (fallback, settings.read_preference) {
            (Some((connection, member)), ReadPreference::SecondaryPreferred) => {
                Self::new(connection, &member, settings)
            }
            (_, ReadPreference::Primary) => {
                Err(failure.unwrap_or(SourceError::NoMember("primary")))
            }
            _ => Err(failure.unwrap_or(SourceError::NoMember("secondary"))),
        }
    }

    fn new(
        mut connection: Connection,
        member: &Member,
        settings: &Settings,
    ) -> Result<Self, SourceError> {
        let asked = settings.mechanism;
        let offered = if member.knows_sha256 { Mechanism::Sha256 } else { Mechanism::Sha1 };
        connection.login(settings, asked.unwrap_or(offered))?;
        Ok(Self {
            connection,
            is_replicated: member.replica_set.is_some() || member.is_router,
            is_secondary: member.is_secondary,
            replica_set: member.replica_set.clone(),
            wire_version: member.wire_version,
            after: None,
        })
    }

    /// From here on, what is read is of this time of the cluster or later, whichever member is asked.
    pub fn read_after(&mut self, time: ClusterTime) {
        self.after = Some(time);
    }

    /// The time of the cluster that the server has come to; `None` where it keeps no log.
    ///
    /// # Errors
    /// The server's.
    pub fn operation_time(&mut self) -> Result<Option<ClusterTime>, SourceError> {
        let answer = self.connection.run("admin", Builder::new().int32("ping", 1))?;
        Ok(match self.connection.document(&answer)?.get("operationTime")? {
            Some(Value::Timestamp { seconds, ordinal }) => {
                Some(ClusterTime { seconds, increment: ordinal })
            }
            _ => None,
        })
    }

    /// Adds to a command that reads what the member and the settings ask for.
    #[must_use]
    pub fn reading(&self, command: Builder) -> Builder {
        let concern = Builder::new().string("level", "majority");
        let concern = match self.after {
            Some(ClusterTime { seconds, increment }) => {
                concern.timestamp("afterClusterTime", seconds, increment)
            }
            None => concern,
        };
        let command = match self.is_replicated {
            true => command.document("readConcern", concern),
            false => command,
        };
        match self.is_secondary {
            true => command
                .document("$readPreference", Builder::new().string("mode", "secondaryPreferred")),
            false => command,
        }
    }
}

/// Whether a member is the one to read.
fn fits(settings: &Settings, member: &Member) -> bool {
    if settings.is_direct || member.is_router || member.replica_set.is_none() {
        return true;
    }
    match settings.read_preference {
        ReadPreference::Primary => member.is_primary,
        ReadPreference::Secondary | ReadPreference::SecondaryPreferred => member.is_secondary,
    }
}

/// `host:port` as a member tells of another.
fn member_address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

/// Asks a server what it is: by `hello`, and by the older word where that is not known.
fn hello(connection: &mut Connection, settings: &Settings) -> Result<Member, SourceError> {
    let client = || {
        let application = Builder::new().string("name", "ol-ingest");
        let driver =
            Builder::new().string("name", "ol-ingest").string("version", env!("CARGO_PKG_VERSION"));
        let system = Builder::new().string("type", std::env::consts::OS);
        Builder::new()
            .document("application", application)
            .document("driver", driver)
            .document("os", system)
    };
    let ask = |name: &str| {
        let command = Builder::new().int32(name, 1).document("client", client());
        match &settings.login {
            Some((user, _)) => {
                command.string("saslSupportedMechs", &format!("{}.{user}", settings.login_database))
            }
            None => command,
        }
    };
    let answer = match connection.run("admin", ask("hello")) {
        Err(SourceError::Server { code: COMMAND_UNKNOWN, .. }) => {
            connection.run("admin", ask("isMaster"))?
        }
        answer => answer?,
    };
    member(connection.document(&answer)?)
}

fn member(answer: Document<'_>) -> Result<Member, SourceError> {
    let mut member = Member::default();
    for element in answer.elements() {
        let element = element?;
        match (element.name, element.value) {
            (b"isWritablePrimary" | b"ismaster", Value::Boolean(value)) => {
                member.is_primary |= value;
            }
            (b"secondary", Value::Boolean(value)) => member.is_secondary = value,
            (b"msg", Value::String(b"isdbgrid")) => member.is_router = true,
            (b"maxWireVersion", Value::Int32(version)) => member.wire_version = version,
            (b"saslSupportedMechs", Value::Array(words)) => {
                for word in words.elements() {
                    member.knows_sha256 |= word?.value == Value::String(b"SCRAM-SHA-256");
                }
            }
            (b"hosts" | b"passives", Value::Array(hosts)) => {
                for host in hosts.elements() {
                    if let Value::String(host) = host?.value {
                        member.others.push(String::from_utf8_lossy(host).into_owned());
                    }
                }
            }
            _ => {}
        }
    }
    member.replica_set = text_of(answer, "setName")?;
    Ok(member)
}

/// What every command starts from: a connection, and the collections.
pub struct Source {
    /// Held for as long as the source is read, so that leased credentials are renewed.
    _url: SecretUrl,
    /// How connections are made.
    pub settings: Settings,
    /// The first one.
    pub session: Session,
    /// The collections that were asked for, and what their fields hold.
    pub catalog: Catalog,
}

/// Which collections are looked at.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// All of a database; of the connection string's if none is named.
    Database(Option<String>),
    /// By database, which is empty for the connection string's, and name.
    Collections(Vec<(String, String)>),
}

impl Wanted {
    /// The collections of a unit.
    #[must_use]
    pub fn of(unit: &Unit) -> Self {
        let of_table = |table| (super::plan::database(table, "").to_owned(), table.name.clone());
        Self::Collections(unit.tables.iter().map(of_table).collect())
    }
}

impl Source {
    /// Looks the source up, connects, and looks at collections.
    ///
    /// # Errors
    /// It is not known where the source is, it cannot be reached, or it refuses.
    pub async fn open(address: &SourceAddress, wanted: Wanted, shutdown: Shutdown) -> Result<Self> {
        let (url, settings) = Settings::resolve(address).await?;
        // The address is a fact of the failure; it shows no password.
        let (session, catalog) = look(&settings, wanted, shutdown)
            .await
            .map_err(|error| error.with("source", &url).with("variable", address.variable()))?;
        Ok(Self { _url: url, settings, session, catalog })
    }
}

/// Connects, and looks at collections.
///
/// # Errors
/// The source cannot be reached, or it refuses.
pub async fn look(
    settings: &Settings,
    wanted: Wanted,
    shutdown: Shutdown,
) -> Result<(Session, Catalog)> {
    let settings = settings.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let session = Session::open(&settings, &shutdown);
        let mut session = session.map_err(|error| error.into_error(Doing::Connecting))?;
        let catalog = Catalog::read(&mut session, &settings.database, &wanted);
        let catalog = catalog.map_err(|error| error.into_error(Doing::Reading))?;
        Ok((session, catalog))
    });
    match opened.await {
        Ok(opened) => opened,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_a_server_says_of_itself() {
        let answer = Builder::new()
            .boolean("isWritablePrimary", false)
            .boolean("secondary", true)
            .string("setName", "rs")
            .int32("maxWireVersion", 21)
            .build();
        let found = member(Document::new(&answer).unwrap()).unwrap();
        assert!(found.is_secondary && !found.is_primary && !found.is_router);
        assert_eq!((found.replica_set.as_deref(), found.wire_version), (Some("rs"), 21));
        assert_eq!(member_address("[::1]:27018"), Some(("::1".to_owned(), 27018)));
        assert_eq!(member_address("db"), None);
    }
}
