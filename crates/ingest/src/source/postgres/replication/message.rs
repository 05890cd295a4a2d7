//! The messages of `pgoutput`, protocol version 1, as views on the bytes that arrived.
//!
//! Form: PostgreSQL documentation, "Logical Replication Message Formats". A tag, a byte that is left over, a byte that
//! is missing, a flag or a text that the documentation does not have: each is an error that stops the stream
//! (invariant I6). A tuple is checked from end to end when its message is decoded, so that walking over it cannot fail.

use std::fmt;

/// Microseconds from 1970-01-01 to 2000-01-01, the server's epoch.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// The bytes are not a message; says which part of which message, never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's change stream does not have the documented form: {0}")]
pub struct MessageError(pub &'static str);

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction begins; all to the commit belongs to it.
    Begin {
        /// Where its commit is in the log: the position of all its changes.
        commit_lsn: u64,
        /// When it was committed, since 1970-01-01 UTC.
        committed_at_microseconds: i64,
        /// Its number.
        transaction: u32,
    },
    /// The transaction is complete.
    Commit {
        /// Where its commit begins in the log, as in `Begin`.
        commit_lsn: u64,
        /// Where its commit ends: acknowledging this says that the transaction is not needed again.
        end_lsn: u64,
        /// When it was committed, since 1970-01-01 UTC.
        committed_at_microseconds: i64,
    },
    /// What the changes of a relation look like from here on; sent before its first change, and again after DDL.
    Relation(RelationMessage),
    /// The name of a type that is not built in.
    Type {
        /// Its oid.
        oid: u32,
        /// Its schema.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// The transaction was itself replicated from elsewhere.
    Origin {
        /// Where it was committed there.
        lsn: u64,
        /// The name of the origin.
        name: &'a str,
    },
    /// What `pg_logical_emit_message` wrote; not asked for, so never expected.
    Logical {
        /// Whether it is part of the transaction.
        transactional: bool,
        /// Where it is in the log.
        lsn: u64,
        /// What it is about.
        prefix: &'a str,
        /// What it says.
        content: &'a [u8],
    },
    /// A row was inserted.
    Insert {
        /// The relation.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// A row was updated.
    Update {
        /// The relation.
        relation: u32,
        /// What the log has of the row before: nothing unless the key changed or the identity is FULL.
        old: Option<Old<'a>>,
        /// The row now.
        new: Tuple<'a>,
    },
    /// A row was deleted.
    Delete {
        /// The relation.
        relation: u32,
        /// What the log has of it.
        old: Old<'a>,
    },
    /// Tables were emptied, all at once.
    Truncate {
        /// The relations.
        relations: Vec<u32>,
        /// Whether tables that refer to them were to be emptied, too (they are in the list).
        cascade: bool,
        /// Whether sequences were set back.
        restart_identity: bool,
    },
}

/// A relation as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationMessage {
    /// Its oid, by which changes name it.
    pub oid: u32,
    /// Its schema.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What the log keeps of old rows.
    pub replica_identity: ReplicaIdentity,
    /// The columns of its tuples, in order.
    pub columns: Vec<RelationColumn>,
}

/// A column as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Its name.
    pub name: String,
    /// The oid of its type.
    pub type_oid: u32,
    /// Its type modifier, −1 for none.
    pub modifier: i32,
    /// Whether it is part of the replica identity.
    pub key: bool,
}

/// What the log keeps of an old row (`pg_class.relreplident`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key; nothing where there is none.
    Default,
    /// The columns of a unique index.
    Index,
    /// All columns.
    Full,
    /// Nothing.
    Nothing,
}

impl ReplicaIdentity {
    /// The identity that a letter of the catalog or the stream stands for.
    #[must_use]
    pub fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'd' => Self::Default,
            b'i' => Self::Index,
            b'f' => Self::Full,
            b'n' => Self::Nothing,
            _ => return None,
        })
    }

    /// The word for it in `ALTER TABLE … REPLICA IDENTITY`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Index => "USING INDEX",
            Self::Full => "FULL",
            Self::Nothing => "NOTHING",
        }
    }
}

/// The old row of an update or a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old<'a> {
    /// The columns of the replica identity; the others are NULL whatever they were.
    Key(Tuple<'a>),
    /// All columns.
    Full(Tuple<'a>),
}

impl<'a> Old<'a> {
    /// The tuple, of which [`Old::Key`] means only the key columns.
    #[must_use]
    pub fn tuple(&self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => *tuple,
        }
    }
}

/// The value of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// Stored out of line and not touched by the update: what it was before, which is not in the log.
    Unchanged,
    /// The text of the type's output function.
    Text(&'a [u8]),
}

impl fmt::Debug for Cell<'_> {
    /// Shows no value (invariant I9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Unchanged => f.write_str("Unchanged"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
        }
    }
}

/// The values of a row: a checked view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    count: u16,
    cells: Cells<'a>,
}

impl<'a> Tuple<'a> {
    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none: a table may have no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values, in the order of the relation's columns.
    #[must_use]
    pub fn cells(&self) -> Cells<'a> {
        self.cells
    }

    /// The bytes it took in the message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.cells.0.len()
    }

    /// The values of an updated row, with those that it does not say taken from the old row where that says them: any
    /// of a full one; of a key the values that are not NULL, since a key column never is.
    pub fn completed_by(&self, old: Option<Old<'a>>) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        let (full, mut before) = match old {
            Some(Old::Full(tuple)) => (true, Some(tuple.cells())),
            Some(Old::Key(tuple)) => (false, Some(tuple.cells())),
            None => (false, None),
        };
        self.cells().map(move |cell| {
            let old = before.as_mut().and_then(Iterator::next).unwrap_or(Cell::Unchanged);
            match (cell, old) {
                (Cell::Unchanged, Cell::Text(text)) => Cell::Text(text),
                (Cell::Unchanged, Cell::Null) if full => Cell::Null,
                (cell, _) => cell,
            }
        })
    }
}

/// Walks over the values of a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cells<'a>(&'a [u8]);

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let mut reader = Reader(self.0);
        // Checked when the message was decoded: only the end is left to fail.
        let cell = reader.cell().ok()?;
        self.0 = reader.0;
        Some(cell)
    }
}

impl<'a> Message<'a> {
    /// Reads one message, to its last byte.
    ///
    /// # Errors
    /// The bytes are not exactly one message of protocol 1.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader(bytes);
        let message = match reader.byte("a message without a tag")? {
            b'B' => Self::Begin {
                commit_lsn: reader.u64("Begin")?,
                committed_at_microseconds: reader.instant("Begin")?,
                transaction: reader.u32("Begin")?,
            },
            b'C' => {
                if reader.byte("Commit")? != 0 {
                    return Err(MessageError("Commit with flags"));
                }
                Self::Commit {
                    commit_lsn: reader.u64("Commit")?,
                    end_lsn: reader.u64("Commit")?,
                    committed_at_microseconds: reader.instant("Commit")?,
                }
            }
            b'R' => Self::Relation(reader.relation()?),
            b'Y' => Self::Type {
                oid: reader.u32("Type")?,
                namespace: namespace(reader.text("Type")?),
                name: reader.text("Type")?,
            },
            b'O' => Self::Origin { lsn: reader.u64("Origin")?, name: reader.text("Origin")? },
            b'M' => Self::Logical {
                transactional: match reader.byte("Message")? {
                    0 => false,
                    1 => true,
                    _ => return Err(MessageError("Message with unknown flags")),
                },
                lsn: reader.u64("Message")?,
                prefix: reader.text("Message")?,
                content: reader.counted("Message")?,
            },
            b'I' => {
                let relation = reader.u32("Insert")?;
                match reader.byte("Insert")? {
                    b'N' => Self::Insert { relation, new: reader.tuple()? },
                    _ => return Err(MessageError("Insert without a new row")),
                }
            }
            b'U' => reader.update()?,
            b'D' => {
                let relation = reader.u32("Delete")?;
                let kind = reader.byte("Delete")?;
                let old =
                    reader.old(kind)?.ok_or(MessageError("Delete with a row of another kind"))?;
                Self::Delete { relation, old }
            }
            b'T' => reader.truncate()?,
            _ => return Err(MessageError("a message with an unknown tag")),
        };
        if reader.0.is_empty() {
            Ok(message)
        } else {
            Err(MessageError("bytes after the end of a message"))
        }
    }
}

/// The empty name stands for `pg_catalog`.
fn namespace(name: &str) -> &str {
    if name.is_empty() { "pg_catalog" } else { name }
}

/// The bytes that are left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], MessageError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(MessageError(what))?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, MessageError> {
        let [byte] = self.fixed::<1>(what)?;
        Ok(byte)
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, MessageError> {
        Ok(u16::from_be_bytes(self.fixed(what)?))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, MessageError> {
        Ok(u32::from_be_bytes(self.fixed(what)?))
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, MessageError> {
        Ok(u64::from_be_bytes(self.fixed(what)?))
    }

    fn instant(&mut self, what: &'static str) -> Result<i64, MessageError> {
        let microseconds = i64::from_be_bytes(self.fixed(what)?);
        microseconds.checked_add(EPOCH_MICROSECONDS).ok_or(MessageError(what))
    }

    /// A zero-terminated text.
    fn text(&mut self, what: &'static str) -> Result<&'a str, MessageError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(MessageError(what))?;
        let (text, rest) = self.0.split_at_checked(end).ok_or(MessageError(what))?;
        self.0 = rest.get(1..).unwrap_or_default();
        std::str::from_utf8(text).map_err(|_| MessageError("a name that is not UTF-8"))
    }

    /// A length and that many bytes.
    fn counted(&mut self, what: &'static str) -> Result<&'a [u8], MessageError> {
        let length = i32::from_be_bytes(self.fixed(what)?);
        let length = usize::try_from(length).map_err(|_| MessageError(what))?;
        let (value, rest) = self.0.split_at_checked(length).ok_or(MessageError(what))?;
        self.0 = rest;
        Ok(value)
    }

    fn cell(&mut self) -> Result<Cell<'a>, MessageError> {
        Ok(match self.byte("half a row")? {
            b'n' => Cell::Null,
            b'u' => Cell::Unchanged,
            b't' => Cell::Text(self.counted("half a row")?),
            b'b' => return Err(MessageError("a binary value, which was not asked for")),
            _ => return Err(MessageError("a value of an unknown kind")),
        })
    }

    fn tuple(&mut self) -> Result<Tuple<'a>, MessageError> {
        let count = self.u16("half a row")?;
        let all = self.0;
        for _ in 0..count {
            self.cell()?;
        }
        let cells = Cells(all.get(..all.len() - self.0.len()).unwrap_or_default());
        Ok(Tuple { count, cells })
    }

    /// The tuple after a letter that says which old row it is; `None` for another letter.
    fn old(&mut self, letter: u8) -> Result<Option<Old<'a>>, MessageError> {
        let wrap = match letter {
            b'K' => Old::Key,
            b'O' => Old::Full,
            _ => return Ok(None),
        };
        let tuple = self.tuple()?;
        Ok(Some(wrap(tuple)))
    }

    fn update(&mut self) -> Result<Message<'a>, MessageError> {
        let relation = self.u32("Update")?;
        let mut letter = self.byte("Update")?;
        let old = self.old(letter)?;
        if old.is_some() {
            letter = self.byte("Update")?;
        }
        if letter != b'N' {
            return Err(MessageError("Update without a new row"));
        }
        Ok(Message::Update { relation, old, new: self.tuple()? })
    }

    fn truncate(&mut self) -> Result<Message<'a>, MessageError> {
        let count = self.u32("Truncate")?;
        let flags = self.byte("Truncate")?;
        if flags & !3 != 0 {
            return Err(MessageError("Truncate with unknown flags"));
        }
        let mut relations = Vec::new();
        for _ in 0..count {
            relations.push(self.u32("Truncate")?);
        }
        let (cascade, restart_identity) = (flags & 1 != 0, flags & 2 != 0);
        Ok(Message::Truncate { relations, cascade, restart_identity })
    }

    fn relation(&mut self) -> Result<RelationMessage, MessageError> {
        const WHAT: &str = "Relation";
        let oid = self.u32(WHAT)?;
        let namespace = namespace(self.text(WHAT)?).to_owned();
        let name = self.text(WHAT)?.to_owned();
        let replica_identity = ReplicaIdentity::from_letter(self.byte(WHAT)?)
            .ok_or(MessageError("Relation with an unknown replica identity"))?;
        let count = self.u16(WHAT)?;
        let mut columns = Vec::new();
        for _ in 0..count {
            let flags = self.byte(WHAT)?;
            if flags > 1 {
                return Err(MessageError("Relation with unknown flags of a column"));
            }
            columns.push(RelationColumn {
                key: flags == 1,
                name: self.text(WHAT)?.to_owned(),
                type_oid: self.u32(WHAT)?,
                modifier: i32::from_be_bytes(self.fixed(WHAT)?),
            });
        }
        Ok(RelationMessage { oid, namespace, name, replica_identity, columns })
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
