//! A stream to look at: messages as lines of text.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use ol_chassis::secret::SecretUrl;
use ol_chassis::shutdown::Shutdown;
use ol_ingest::error::{Doing, Error, Failure};
use ol_ingest::source::postgres::error::SourceError;
use ol_ingest::source::postgres::replication::message::{
    Cell, Message, Old, RelationMessage, Tuple,
};
use ol_ingest::source::postgres::replication::slot::Control;
use ol_ingest::source::postgres::replication::stream::{Event, ReplicationStream};
use ol_ingest::source::postgres::settings::Settings;
use ol_testkit::{Database, PostgresServer};

/// How long something that must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn database(name: &str) -> Database<'static> {
    PostgresServer::shared().create_database(name)
}

pub(crate) fn settings(database: &Database<'_>) -> Settings {
    parse(&database.url())
}

pub(crate) fn parse(url: &str) -> Settings {
    Settings::parse(&SecretUrl::parse(url).unwrap()).unwrap()
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Asks something about replication.
pub(crate) fn control<T>(
    settings: &Settings,
    ask: impl AsyncFnOnce(&mut Control) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    wait(async {
        let mut control = Control::open(settings).await?;
        let answer = ask(&mut control).await;
        control.close().await?;
        answer
    })
}

pub(crate) fn failure(error: impl Into<SourceError>, doing: Doing) -> Failure {
    explained(error, doing).failure()
}

pub(crate) fn explained(error: impl Into<SourceError>, doing: Doing) -> Error {
    let error: Error = error.into().into_error(doing);
    assert!(!ol_ingest::policy::advice(&error).contains('{'), "a fact is missing: {error}");
    error
}

/// A stream with the relations it has told of.
pub(crate) struct Follower {
    pub(crate) stream: ReplicationStream,
    pub(crate) relations: HashMap<u32, RelationMessage>,
    /// Where the last commit ended.
    pub(crate) end: u64,
}

impl Follower {
    /// Makes a slot and follows a publication, both called `name` and a number of the database.
    pub(crate) fn new(database: &Database<'_>, publication: &str) -> Self {
        let settings = settings(database);
        let slot = slot(database);
        let mut stream = ReplicationStream::open(&settings, Shutdown::new()).unwrap();
        let created = stream.create_slot(&slot).unwrap();
        stream.start(&slot, publication, created.consistent_point).unwrap();
        Self { stream, relations: HashMap::new(), end: 0 }
    }

    /// Follows a slot that is there.
    pub(crate) fn again(database: &Database<'_>, publication: &str, from: u64) -> Self {
        let mut stream = ReplicationStream::open(&settings(database), Shutdown::new()).unwrap();
        stream.start(&slot(database), publication, from).unwrap();
        Self { stream, relations: HashMap::new(), end: 0 }
    }

    /// The lines of the next transaction that has any, without Begin and Commit.
    pub(crate) fn transaction(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.until_commit(|_, line| lines.extend(line));
        if lines.is_empty() { self.transaction() } else { lines }
    }

    /// Reads to the end of the next transaction.
    pub(crate) fn until_commit(&mut self, mut each: impl FnMut(&Message<'_>, Option<String>)) {
        let begun = Instant::now();
        let mut open = None;
        loop {
            assert!(begun.elapsed() < PATIENCE, "no transaction came");
            let message = match self.stream.next(Duration::from_secs(5)).unwrap() {
                Event::Message(message) => message,
                Event::Keepalive { .. } | Event::Idle => continue,
            };
            match &message {
                Message::Begin { commit_lsn, .. } => {
                    assert_eq!(open.replace(*commit_lsn), None, "a transaction within another");
                }
                Message::Commit { commit_lsn, end_lsn, .. } => {
                    assert_eq!(open, Some(*commit_lsn), "a commit of another transaction");
                    assert!(end_lsn > commit_lsn);
                    self.end = *end_lsn;
                    return;
                }
                message => {
                    assert!(open.is_some(), "a change outside of a transaction");
                    if let Message::Relation(relation) = message {
                        self.relations.insert(relation.oid, relation.clone());
                    }
                    let line = show(message, &self.relations);
                    each(message, Some(line));
                }
            }
        }
    }

    /// The first error of the stream.
    pub(crate) fn error(&mut self) -> SourceError {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no error came");
            match self.stream.next(Duration::from_secs(1)) {
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }
}

/// The slot of a database.
pub(crate) fn slot(database: &Database<'_>) -> String {
    format!("slot_{}", database.name())
}

/// One message as a line: `+` insert, `~` update, `-` delete; key columns with a star.
fn show(message: &Message<'_>, relations: &HashMap<u32, RelationMessage>) -> String {
    let name = |oid: &u32| relations.get(oid).map_or("?", |relation| relation.name.as_str());
    match message {
        Message::Relation(relation) => {
            let columns = relation
                .columns
                .iter()
                .map(|column| format!("{}{}", column.name, if column.key { "*" } else { "" }));
            let columns: Vec<_> = columns.collect();
            let identity = relation.replica_identity.word();
            format!("= {} {} ({})", relation.name, identity, columns.join(" "))
        }
        Message::Insert { relation, new } => format!("+ {} {}", name(relation), row(new)),
        Message::Update { relation, old, new } => {
            let old = old.as_ref().map_or_else(String::new, |old| format!("{} → ", before(old)));
            format!("~ {} {old}{}", name(relation), row(new))
        }
        Message::Delete { relation, old } => format!("- {} {}", name(relation), before(old)),
        Message::Truncate { relations, cascade, restart_identity } => {
            let mut names: Vec<&str> = relations.iter().map(name).collect();
            names.sort_unstable();
            format!("0 {} cascade={cascade} restart={restart_identity}", names.join(" "))
        }
        Message::Type { name, .. } => format!("type {name}"),
        Message::Origin { name, .. } => format!("origin {name}"),
        Message::Logical { .. } => "logical".to_owned(),
        Message::Begin { .. } | Message::Commit { .. } => String::new(),
    }
}

fn before(old: &Old<'_>) -> String {
    match old {
        Old::Key(tuple) => format!("key({})", row(tuple)),
        Old::Full(tuple) => format!("full({})", row(tuple)),
    }
}

fn row(tuple: &Tuple<'_>) -> String {
    cells(tuple.cells())
}

pub(crate) fn cells<'a>(cells: impl Iterator<Item = Cell<'a>>) -> String {
    let shown = cells.map(|cell| match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Unchanged => "unchanged".to_owned(),
        Cell::Text(text) if text.len() > 40 => format!("{} bytes", text.len()),
        Cell::Text(text) => String::from_utf8_lossy(text).into_owned(),
    });
    shown.collect::<Vec<_>>().join("|")
}
