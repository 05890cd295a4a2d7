//! A change stream over one database: opened where tables stand, read batch by batch.
//!
//! The server looks the log through for us and hands out *events*, each with a *resume token* behind which the stream can be
//! opened again, on any member of the replica set. A batch has a token of its own (`postBatchResumeToken`, from MongoDB
//! 4.0.7), which moves on also when nothing happens in the database: so a place in the log is known before any event has
//! come, and stays within the log of a database that rests. A server that gives none is refused as too old.
//!
//! An update says what was changed, not what the document is. So the server is asked to look the document up
//! (`fullDocument: updateLookup`): what comes is the document *as it is by then*, or nothing if it is gone by then.
//!
//! Source: MongoDB Manual, "Change Streams", "Change Events"; MongoDB Specifications, "Change Streams".

pub mod event;
pub mod pipeline;
pub mod rows;

use std::time::Duration;

use ol_chassis::shutdown::Shutdown;
use serde::{Deserialize, Serialize};

pub use self::event::{Change, Event, Kind};
use super::bson::{Builder, Document, Malformed, Value, parse_hexadecimal, push_hexadecimal};
use super::error::{SourceError, is_history_lost};
use super::session::Session;
use super::settings::Settings;
use super::wire::{Answer, Batch as Cursor};
use crate::position::ClusterTime;

/// The first version that opens a stream behind the event that ended another one (MongoDB 4.2, `startAfter`).
const START_AFTER: i32 = 8;
/// Events that one answer may hold.
const BATCH_EVENTS: i32 = 1000;
/// What a token that is a key of the server's own form begins with, before the time of the cluster.
const TIME: u8 = 0x82;

/// A place in a change stream, as the server names it: a document that only the server can read, as its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Token(Vec<u8>);

/// The text is no token.
#[derive(Debug, thiserror::Error)]
#[error("the text is not a resume token")]
pub struct TokenError;

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.text()
    }
}

impl TryFrom<String> for Token {
    type Error = TokenError;

    fn try_from(text: String) -> Result<Self, TokenError> {
        Self::parse(&text).ok_or(TokenError)
    }
}

impl Token {
    /// Takes a token.
    #[must_use]
    pub fn of(document: Document<'_>) -> Self {
        Self(document.bytes().to_vec())
    }

    /// Reads the text that [`Self::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = parse_hexadecimal(text)?;
        Document::new(&bytes).is_ok().then_some(Self(bytes))
    }

    /// Its bytes in hexadecimal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        push_hexadecimal(&self.0, &mut text);
        text
    }

    /// The time of the cluster in it: all changes before that time are before the token. Servers of MongoDB write a token as a key
    /// that sorts, hexadecimal, whose first part is that time; of a token of another form nothing is known.
    #[must_use]
    pub fn time(&self) -> Option<ClusterTime> {
        let document = Document::new(&self.0).ok()?;
        let Ok(Some(Value::String(data))) = document.get("_data") else { return None };
        let key = parse_hexadecimal(std::str::from_utf8(data).ok()?.get(..18)?)?;
        let (kind, time) = key.split_first()?;
        let time = u64::from_be_bytes(time.try_into().ok()?);
        let (seconds, increment) = (u32::try_from(time >> 32), u32::try_from(time & 0xffff_ffff));
        let time = ClusterTime { seconds: seconds.ok()?, increment: increment.ok()? };
        (*kind == TIME).then_some(time)
    }

    fn document(&self) -> Result<Document<'_>, Malformed> {
        Document::new(&self.0)
    }
}

/// Some events, in their order.
pub struct Batch<'a> {
    events: Document<'a>,
    /// Where the stream goes on behind them.
    pub token: Option<Document<'a>>,
    /// Whether the server has ended the stream.
    pub is_last: bool,
}

impl<'a> Batch<'a> {
    /// The events.
    pub fn events(&self) -> impl Iterator<Item = Result<Event<'a>, SourceError>> + use<'a> {
        self.events.elements().map(|element| {
            let Value::Document(document) = element?.value else {
                return Err(SourceError::Protocol("an event"));
            };
            Event::of(document)
        })
    }
}

/// An open stream.
pub struct ChangeStream {
    session: Session,
    database: String,
    cursor: i64,
    collection: String,
    first: Option<Answer>,
    /// The place that was asked for, for people.
    since: String,
}

impl ChangeStream {
    /// Opens a stream over a database behind a place, or, without one, behind everything that has happened. `stages` shape the
    /// events; `since` tells the place to people. Blocks.
    ///
    /// # Errors
    /// The server's; it no longer has what comes behind the place.
    pub fn open(
        settings: &Settings,
        database: &str,
        stages: Vec<Builder>,
        (after, since): (Option<&Token>, &str),
        shutdown: &Shutdown,
    ) -> Result<Self, SourceError> {
        let mut session = Session::open(settings, shutdown)?;
        // No wait of this connection is longer than that for a batch.
        session.connection.ignore_stop();
        let stream = Builder::new().string("fullDocument", "updateLookup");
        let stream = match after {
            Some(token) if session.wire_version >= START_AFTER => {
                stream.raw("startAfter", token.document()?)
            }
            Some(token) => stream.raw("resumeAfter", token.document()?),
            None => stream,
        };
        let mut pipeline = vec![Builder::new().document("$changeStream", stream)];
        pipeline.extend(stages);
        let command = Builder::new()
            .int32("aggregate", 1)
            .array("pipeline", pipeline)
            .document("cursor", Builder::new().int32("batchSize", BATCH_EVENTS));
        let command = session.reading(command);
        let opened = session.connection.run(database, command).map_err(|error| lost(error, since));
        let first = opened?;
        let (cursor, collection) = {
            let batch = Cursor::of(session.connection.document(&first)?)?;
            (batch.cursor, batch.collection)
        };
        let (database, since, first) = (database.to_owned(), since.to_owned(), Some(first));
        Ok(Self { session, database, cursor, collection, first, since })
    }

    /// The events that have come, or that come within `wait`; none if none do. Blocks.
    ///
    /// # Errors
    /// The server's, a broken connection; the server no longer has what comes next, or gives no tokens.
    pub fn next(&mut self, wait: Duration) -> Result<Batch<'_>, SourceError> {
        let answer = match self.first.take() {
            Some(first) => first,
            None => {
                let milliseconds = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let more = Builder::new()
                    .int64("getMore", self.cursor)
                    .string("collection", &self.collection)
                    .int32("batchSize", BATCH_EVENTS)
                    .int64("maxTimeMS", milliseconds);
                let asked = self.session.connection.run(&self.database, more);
                asked.map_err(|error| lost(error, &self.since))?
            }
        };
        let Cursor { cursor, documents, resume_token, .. } =
            Cursor::of(self.session.connection.document(&answer)?)?;
        self.cursor = cursor;
        let is_last = cursor == 0;
        if resume_token.is_none() && !is_last {
            return Err(SourceError::NoResumeToken);
        }
        Ok(Batch { events: documents, token: resume_token, is_last })
    }
}

/// An error of the server, which may be that it has forgotten.
fn lost(error: SourceError, since: &str) -> SourceError {
    if matches!(error, SourceError::Server { code, .. } if is_history_lost(code)) {
        return SourceError::HistoryLost(since.to_owned());
    }
    error
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_token_tells_its_time_and_reads_back() {
        let of = |data: &str| {
            let bytes = Builder::new().string("_data", data).build();
            Token::of(Document::new(&bytes).unwrap())
        };
        // From the manual's example of a change event.
        let token = of("8262E2EBFA000000022B022C0100296E5A1004");
        let time = ClusterTime { seconds: 0x62e2_ebfa, increment: 2 };
        assert_eq!(token.time(), Some(time));
        assert_eq!(Token::parse(&token.text()), Some(token));
        for other in ["", "82", "0162E2EBFA00000002", "zz62E2EBFA00000002"] {
            assert_eq!(of(other).time(), None, "{other}");
        }
        assert_eq!(Token::parse("8"), None);
        assert_eq!(Token::parse("0500000000").map(|token| token.time()), Some(None));
    }
}
