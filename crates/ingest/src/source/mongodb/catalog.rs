//! What collections there are, and what their fields hold.
//!
//! A collection has no columns: what its documents hold is looked up in some of them, the [`SAMPLE`] with the least and the
//! [`SAMPLE`] with the greatest `_id`. Object ids grow with time, so these are the oldest and the newest, and fields that
//! came or went in between are seen in one of the two. The sample is the same each time (what `$sample` picks is not), costs
//! two walks of the index, and decides nothing but which columns a table begins with: a field that no sample has shown is in
//! the document's text all the same, and a value of a type that none has shown is kept beside its column.

use std::collections::{BTreeMap, BTreeSet};

use super::bson::{Builder, Document, Malformed, Value, type_word};
use super::error::SourceError;
use super::session::{Session, Wanted};
use super::wire::text_of;

/// How many documents are looked at from either end.
pub const SAMPLE: i32 = 1000;

/// What kind of collection it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionKind {
    /// One that holds documents.
    Collection,
    /// A view.
    View,
    /// One whose documents are measurements, which are stored in another form.
    TimeSeries,
    /// Something else, by the server's word.
    Other(String),
}

/// What a field of the sampled documents holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// How many documents have it with which type, by the server's word (`objectId`).
    pub types: BTreeMap<&'static str, u64>,
}

/// A collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The database.
    pub database: String,
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: CollectionKind,
    /// How many documents the server thinks it holds.
    pub row_estimate: Option<u64>,
    /// The fields of the sampled documents, in the order in which they were met.
    pub fields: Vec<Field>,
    /// How many documents were sampled.
    pub sampled: u64,
    /// Their size.
    pub sampled_bytes: u64,
    /// The server's number and its name, if it refused to show the collection.
    pub refusal: Option<(i32, String)>,
}

impl Collection {
    /// `database.name`, for people.
    #[must_use]
    pub fn display(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// A field of the sample.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Some collections of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The collections, by database and name.
    pub collections: Vec<Collection>,
    /// The database of collections for which the inventory names none.
    pub database: String,
}

impl Catalog {
    /// A collection, if we see it.
    #[must_use]
    pub fn find(&self, database: &str, name: &str) -> Option<&Collection> {
        self.collections.iter().find(|it| it.database == database && it.name == name)
    }

    /// Looks at collections. `of_url` is the database that the connection string names. Blocks.
    ///
    /// # Errors
    /// The server's. That it refuses to show a single collection is said of that collection.
    pub(super) fn read(
        session: &mut Session,
        of_url: &str,
        wanted: &Wanted,
    ) -> Result<Self, SourceError> {
        let named = |database: &String| match database.is_empty() {
            true => of_url.to_owned(),
            false => database.clone(),
        };
        let databases: BTreeSet<String> = match wanted {
            Wanted::Database(database) => {
                [database.clone().unwrap_or_else(|| of_url.to_owned())].into()
            }
            Wanted::Collections(pairs) => {
                pairs.iter().map(|(database, _)| named(database)).collect()
            }
        };
        let is_wanted = |database: &str, name: &str| match wanted {
            // What begins so is the server's own.
            Wanted::Database(_) => !name.starts_with("system."),
            Wanted::Collections(pairs) => {
                pairs.iter().any(|(of, wanted)| named(of) == database && wanted == name)
            }
        };
        let mut collections = Vec::new();
        for database in &databases {
            for mut collection in list(session, database)? {
                if is_wanted(database, &collection.name) {
                    look_at(session, &mut collection)?;
                    collections.push(collection);
                }
            }
        }
        collections.sort_by(|a, b| (&a.database, &a.name).cmp(&(&b.database, &b.name)));
        Ok(Self { collections, database: of_url.to_owned() })
    }
}

/// The collections of a database that the account may read.
fn list(session: &mut Session, database: &str) -> Result<Vec<Collection>, SourceError> {
    let command = Builder::new()
        .int32("listCollections", 1)
        .boolean("nameOnly", true)
        .boolean("authorizedCollections", true);
    let mut found = Vec::new();
    session.connection.each(database, command, |document| {
        let name = text_of(document, "name")?.ok_or(SourceError::Protocol("a collection"))?;
        let kind = match text_of(document, "type")?.as_deref() {
            Some("collection") | None => CollectionKind::Collection,
            Some("view") => CollectionKind::View,
            Some("timeseries") => CollectionKind::TimeSeries,
            Some(other) => CollectionKind::Other(other.to_owned()),
        };
        found.push(Collection {
            database: database.to_owned(),
            name,
            kind,
            row_estimate: None,
            fields: Vec::new(),
            sampled: 0,
            sampled_bytes: 0,
            refusal: None,
        });
        Ok::<(), SourceError>(())
    })?;
    Ok(found)
}

fn look_at(session: &mut Session, collection: &mut Collection) -> Result<(), SourceError> {
    if collection.kind != CollectionKind::Collection {
        return Ok(());
    }
    match sample(session, collection) {
        Err(error @ SourceError::Server { .. }) if !error.spares_connection() => Err(error),
        Err(SourceError::Server { code, name }) => {
            collection.refusal = Some((code, name));
            Ok(())
        }
        done => done,
    }
}

fn sample(session: &mut Session, collection: &mut Collection) -> Result<(), SourceError> {
    let (database, name) = (collection.database.clone(), collection.name.clone());
    let answer = session.connection.run(&database, Builder::new().string("count", &name))?;
    collection.row_estimate = match session.connection.document(&answer)?.get("n")? {
        Some(Value::Int32(count)) => u64::try_from(count).ok(),
        Some(Value::Int64(count)) => u64::try_from(count).ok(),
        Some(Value::Double(count)) => format!("{count:.0}").parse().ok(),
        _ => None,
    };
    let is_small =
        collection.row_estimate.is_some_and(|count| count <= SAMPLE.unsigned_abs().into());
    let directions: &[i32] = if is_small { &[1] } else { &[1, -1] };
    for direction in directions {
        let command = Builder::new()
            .string("find", &name)
            .document("sort", Builder::new().int32("_id", *direction))
            .int32("limit", SAMPLE);
        let command = session.reading(command);
        session.connection.each(&database, command, |document| {
            collection.sampled += 1;
            collection.sampled_bytes += document.bytes().len() as u64;
            count(document, &mut collection.fields).map_err(SourceError::Malformed)
        })?;
    }
    Ok(())
}

/// Counts the fields of a document. A name that is not UTF-8 can be that of no column.
fn count(document: Document<'_>, fields: &mut Vec<Field>) -> Result<(), Malformed> {
    for element in document.elements() {
        let element = element?;
        let Ok(name) = std::str::from_utf8(element.name) else { continue };
        let place = fields.iter().position(|field| field.name == name).unwrap_or_else(|| {
            fields.push(Field { name: name.to_owned(), types: BTreeMap::new() });
            fields.len() - 1
        });
        if let Some(field) = fields.get_mut(place) {
            *field.types.entry(type_word(&element.value)).or_default() += 1;
        }
    }
    Ok(())
}
