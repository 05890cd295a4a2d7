//! What a slot holds that nobody reads, without taking it.
//!
//! `pg_logical_slot_peek_binary_changes` (PostgreSQL documentation, "Logical Decoding Functions") decodes the log from
//! the slot's place and leaves the slot where it is. It costs the server that work, so both the time and the number of
//! changes are limited; and a slot that is read by somebody cannot be peeked into at all.

use std::collections::{BTreeMap, HashMap};

use sqlx::{Connection as _, Executor as _, Row as _};

use super::message::Message;
use super::slot::Control;
use crate::position::Position;
use crate::source::postgres::error::SourceError;

/// Changes that are looked at; the server stops at the end of the transaction in which there are so many.
const MOST_CHANGES: i32 = 100_000;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peeked {
    /// Every table that was changed, by schema and name, with the place of its last change.
    Changed(BTreeMap<(String, String), Position>),
    /// Somebody reads from the slot.
    InUse,
    /// There is more than can be looked through.
    TooMuch,
}

impl Control {
    /// The tables that a publication publishes and that were changed, from where the slot is to `upto`, exclusive.
    ///
    /// # Errors
    /// The server's: the slot or the publication is missing, or the role may not read from it.
    pub async fn peek(
        &mut self,
        slot: &str,
        publication: &str,
        upto: u64,
    ) -> Result<Peeked, SourceError> {
        // The limits of time hold for this question alone.
        let mut transaction = self.connection.begin().await?;
        transaction.execute("SET LOCAL statement_timeout = '10s'").await?;
        let answer = sqlx::query(
            "SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, $2::pg_lsn, $3, \
             'proto_version', '1', 'publication_names', pg_catalog.quote_ident($4))",
        )
        .bind(slot)
        .bind(format!("{:X}/{:X}", upto >> 32, upto & u64::from(u32::MAX)))
        .bind(MOST_CHANGES)
        .bind(publication)
        .fetch_all(&mut *transaction)
        .await;
        let rows = match answer {
            Ok(rows) => rows,
            Err(sqlx::Error::Database(answer)) => {
                return match answer.code().as_deref() {
                    Some("55006") => Ok(Peeked::InUse),
                    Some("57014") => Ok(Peeked::TooMuch),
                    _ => Err(sqlx::Error::Database(answer).into()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        transaction.rollback().await?;
        if rows.len() >= usize::try_from(MOST_CHANGES).unwrap_or_default() {
            return Ok(Peeked::TooMuch);
        }
        let mut seen = Seen::default();
        for row in &rows {
            let bytes: &[u8] = row.try_get("data")?;
            seen.take(&Message::decode(bytes)?, upto);
        }
        Ok(Peeked::Changed(seen.changed))
    }
}

/// What has been read so far.
#[derive(Default)]
struct Seen {
    names: HashMap<u32, (String, String)>,
    commit: u64,
    ordinal: u32,
    changed: BTreeMap<(String, String), Position>,
}

impl Seen {
    fn take(&mut self, message: &Message<'_>, upto: u64) {
        match message {
            Message::Begin { commit_lsn, .. } => (self.commit, self.ordinal) = (*commit_lsn, 0),
            Message::Relation(relation) => {
                let name = (relation.namespace.clone(), relation.name.clone());
                self.names.insert(relation.oid, name);
            }
            Message::Insert { relation, .. }
            | Message::Update { relation, .. }
            | Message::Delete { relation, .. } => self.change(*relation, upto),
            Message::Truncate { relations, .. } => {
                for relation in relations {
                    self.change(*relation, upto);
                }
            }
            Message::Commit { .. }
            | Message::Type { .. }
            | Message::Origin { .. }
            | Message::Logical { .. } => {}
        }
    }

    /// Places as the stream counts them: two a change.
    fn change(&mut self, relation: u32, upto: u64) {
        let position = Position::Change { lsn: self.commit, ordinal: self.ordinal };
        self.ordinal = self.ordinal.saturating_add(2);
        if self.commit < upto
            && let Some(name) = self.names.get(&relation)
        {
            self.changed.insert(name.clone(), position);
        }
    }
}
