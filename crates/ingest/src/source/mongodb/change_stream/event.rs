//! What one event of a change stream says.

use super::super::bson::{Document, Element, Value};
use super::super::error::SourceError;
use super::super::wire::text_of;
use crate::position::ClusterTime;

/// What happened to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It came.
    Insert,
    /// It was changed, or another one was put in its place.
    Update,
    /// It went.
    Delete,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind<'a> {
    /// Something happened to a document.
    Document {
        /// What.
        change: Change,
        /// Its `_id`.
        key: Element<'a>,
        /// The document; of a change as it was when the server looked it up, nothing if it was gone by then.
        document: Option<Document<'a>>,
    },
    /// The collection was dropped.
    Dropped,
    /// The collection got another name, which may be that of a collection that went for it.
    Renamed {
        /// Its database.
        database: String,
        /// The name.
        name: String,
    },
    /// The database was dropped.
    DatabaseDropped,
    /// The stream ends here.
    Invalidated,
    /// Something that concerns no document: an index, an option, how documents are spread over shards.
    Nothing,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    /// Its resume token: behind it, the stream goes on.
    pub token: Document<'a>,
    /// The time of the cluster, which all changes of a transaction have in common.
    pub time: ClusterTime,
    /// When it was committed, in microseconds since 1970-01-01 UTC; whole seconds before MongoDB 6.0.
    pub committed_at_microseconds: i64,
    /// The collection; empty for what concerns the whole database.
    pub collection: String,
    /// What happened.
    pub kind: Kind<'a>,
}

impl<'a> Event<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// It lacks something that every event has, or it is of a kind that is not known (invariant I6).
    pub fn of(event: Document<'a>) -> Result<Self, SourceError> {
        let missing = || SourceError::Protocol("an event with all that it must have");
        let Some(Value::Document(token)) = event.get("_id")? else { return Err(missing()) };
        let Some(Value::Timestamp { seconds, ordinal }) = event.get("clusterTime")? else {
            return Err(missing());
        };
        let committed_at_microseconds = match event.get("wallTime")? {
            Some(Value::Date(milliseconds)) => milliseconds.saturating_mul(1000),
            _ => i64::from(seconds) * 1_000_000,
        };
        let word = text_of(event, "operationType")?.ok_or_else(missing)?;
        let namespace = |name: &str| -> Result<(String, String), SourceError> {
            Ok(match event.get(name)? {
                Some(Value::Document(names)) => (
                    text_of(names, "db")?.unwrap_or_default(),
                    text_of(names, "coll")?.unwrap_or_default(),
                ),
                _ => Default::default(),
            })
        };
        let document = |change: Change| -> Result<Kind<'a>, SourceError> {
            let Some(Value::Document(key)) = event.get("documentKey")? else {
                return Err(missing());
            };
            let key = key.element("_id")?.ok_or_else(missing)?;
            let document = match event.get("fullDocument")? {
                Some(Value::Document(document)) => Some(document),
                _ => None,
            };
            Ok(Kind::Document { change, key, document })
        };
        let kind = match word.as_str() {
            "insert" => document(Change::Insert)?,
            "update" | "replace" => document(Change::Update)?,
            "delete" => document(Change::Delete)?,
            "drop" => Kind::Dropped,
            "rename" => {
                let (database, name) = namespace("to")?;
                Kind::Renamed { database, name }
            }
            "dropDatabase" => Kind::DatabaseDropped,
            "invalidate" => Kind::Invalidated,
            "create"
            | "createIndexes"
            | "dropIndexes"
            | "modify"
            | "shardCollection"
            | "reshardCollection"
            | "refineCollectionShardKey" => Kind::Nothing,
            _ => return Err(SourceError::Protocol("an event of a kind that is known")),
        };
        let time = ClusterTime { seconds, increment: ordinal };
        let (_, collection) = namespace("ns")?;
        Ok(Self { token, time, committed_at_microseconds, collection, kind })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::super::bson::Builder;
    use super::*;

    fn event(word: &str) -> Builder {
        Builder::new()
            .document("_id", Builder::new().string("_data", "82"))
            .string("operationType", word)
            .timestamp("clusterTime", 9, 3)
            .document("ns", Builder::new().string("db", "d").string("coll", "c"))
    }

    #[test]
    fn events_are_read_by_their_word() {
        let key = || Builder::new().int32("_id", 7);
        let bytes = event("update").document("documentKey", key()).null("fullDocument").build();
        let read = Event::of(Document::new(&bytes).unwrap()).unwrap();
        assert_eq!(read.time, ClusterTime { seconds: 9, increment: 3 });
        assert_eq!((read.collection.as_str(), read.committed_at_microseconds), ("c", 9_000_000));
        let Kind::Document { change: Change::Update, key, document: None } = read.kind else {
            panic!("{read:?}");
        };
        assert_eq!(key.value, Value::Int32(7));
        let to = Builder::new().string("db", "d").string("coll", "other");
        let bytes = event("rename").document("to", to).build();
        let read = Event::of(Document::new(&bytes).unwrap()).unwrap();
        assert_eq!(read.kind, Kind::Renamed { database: "d".into(), name: "other".into() });
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bytes in [event("endOfTransaction").build(), event("insert").build()] {
            let read = Event::of(Document::new(&bytes).unwrap());
            assert!(matches!(read, Err(SourceError::Protocol(_))), "{read:?}");
        }
    }
}
