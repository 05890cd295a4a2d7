//! What the server's `information_schema` says of tables, columns and keys.
//!
//! Three queries whatever the number of tables. None counts rows: `TABLE_ROWS` is the engine's own estimate. An account
//! sees what it may read, so a table that it may not read is not there; [`Catalog::missing`] tells the two apart by asking
//! for it.

use std::time::Duration;

use super::error::SourceError;
use super::session::Session;
use super::types::quote;
use crate::error::{Definite, Failure};

/// What kind of relation it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelationKind {
    /// A table, versioned by the system or not.
    Table,
    /// A view.
    View,
    /// A sequence (MariaDB).
    Sequence,
    /// Something else, by the server's word.
    Other(String),
}

/// A table, a view or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The database.
    pub database: String,
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// The storage engine, if it has rows of its own.
    pub engine: Option<String>,
    /// The engine's estimate of its rows.
    pub row_estimate: Option<u64>,
    /// The size of its rows, in bytes, by the engine's estimate.
    pub bytes: u64,
    /// The comment on it.
    pub comment: Option<String>,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The columns of its primary key, in key order.
    pub primary_key: Vec<String>,
}

impl Relation {
    /// `` `database`.`name` ``, quoted.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.database), quote(&self.name))
    }

    /// Database and name.
    #[must_use]
    pub fn full_name(&self) -> (String, String) {
        (self.database.clone(), self.name.clone())
    }

    /// `database.name`, for people.
    #[must_use]
    pub fn display(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Whether there is a column of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }
}

/// A column of a relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The type's name: `bigint`, `enum`.
    pub type_name: String,
    /// The type as it was declared: `bigint(20) unsigned`, `enum('a','b')`.
    pub type_text: String,
    /// Digits of a number, or bits.
    pub precision: Option<u16>,
    /// Digits after the point.
    pub scale: Option<i16>,
    /// Digits of a fraction of a second.
    pub fraction: Option<u8>,
    /// The character set of a text.
    pub character_set: Option<String>,
    /// Whether its values are computed from others.
    pub generated: bool,
    /// Whether `SELECT *` leaves it out.
    pub invisible: bool,
    /// Whether the server counts it up.
    pub counted: bool,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether it has another value than NULL where a row does not say one.
    pub has_default: bool,
    /// The comment on it.
    pub comment: Option<String>,
}

impl Column {
    /// Whether its numbers have no sign.
    #[must_use]
    pub fn unsigned(&self) -> bool {
        // A type of numbers holds no quoted text that could say so; `zerofill` implies it.
        self.type_text.ends_with(" unsigned") || self.type_text.ends_with(" zerofill")
    }

    /// Whether it is NULL in every row that was there before it.
    #[must_use]
    pub fn is_null_when_added(&self) -> bool {
        self.nullable && !self.has_default && !self.generated && !self.counted
    }
}

/// The relations of some databases, read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The relations, by database and name.
    pub relations: Vec<Relation>,
    /// The database of tables for which the inventory names none.
    pub database: String,
}

impl Catalog {
    /// A relation, if we see it.
    #[must_use]
    pub fn find(&self, database: &str, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|it| it.database == database && it.name == name)
    }

    /// Demands that the account may read all of a relation: of columns that it may not read the catalog says nothing, and
    /// they would be missing without a word.
    ///
    /// # Errors
    /// It may not, or the connection is lost.
    pub fn check_rights(session: &mut Session, relation: &Relation) -> Result<(), SourceError> {
        session.execute(&format!("SELECT * FROM {} LIMIT 0", relation.quoted()))
    }

    /// Why a relation is not in the catalog.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn missing(
        session: &mut Session,
        database: &str,
        name: &str,
    ) -> Result<Failure, SourceError> {
        let asked = format!("SELECT 1 FROM {}.{} LIMIT 0", quote(database), quote(name));
        match session.execute(&asked) {
            Err(SourceError::Server { code: 1044 | 1142, .. }) => {
                Ok(Definite::PermissionDenied.into())
            }
            Ok(()) | Err(SourceError::Server { .. }) => Ok(Definite::RelationMissing.into()),
            Err(error) => Err(error),
        }
    }
}

/// The server's number for a table that it leaves out of what it shows (ER_WARN_I_S_SKIPPED_TABLE).
const SKIPPED: u16 = 1684;
/// How often is looked until no table is left out, and how long after one look the next one comes.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Reads the relations of some databases.
///
/// To a session that holds a lock, and be it the one that a unit has by `GET_LOCK`, a server shows a table that is truncated or
/// altered at this moment not at all, or without its columns or its key, and says so in a warning alone. Taken at its word, such
/// a table would be missing, or have rows without values. So it is looked at again.
///
/// # Errors
/// The server's; a table is left out at every look.
pub fn read(session: &mut Session, databases: &[String]) -> Result<Catalog, SourceError> {
    for _ in 1..LOOKS {
        match look(session, databases) {
            Err(SourceError::Server { code: SKIPPED, .. }) => std::thread::sleep(BETWEEN_LOOKS),
            looked => return looked,
        }
    }
    look(session, databases)
}

/// The rows of a query in which no table is left out.
fn all_rows(session: &mut Session, query: &str) -> Result<Vec<Vec<Option<String>>>, SourceError> {
    let rows = session.rows(query)?;
    for warning in session.rows("SHOW WARNINGS")? {
        let [_, Some(code), message] = warning.as_slice() else { continue };
        if code.parse() == Ok(SKIPPED) {
            let message = message.clone().unwrap_or_default();
            return Err(SourceError::Server { code: SKIPPED, state: "HY000".to_owned(), message });
        }
    }
    Ok(rows)
}

fn look(session: &mut Session, databases: &[String]) -> Result<Catalog, SourceError> {
    let names: Vec<String> = databases.iter().map(|name| literal(name)).collect();
    let of = format!("TABLE_SCHEMA IN ({})", names.join(", "));
    let mut relations = Vec::new();
    for row in all_rows(
        session,
        &format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, TABLE_COMMENT \
         FROM information_schema.TABLES WHERE {of} ORDER BY TABLE_SCHEMA, TABLE_NAME"
        ),
    )? {
        relations.push(relation(Fields::new(row))?);
    }
    for row in all_rows(
        session,
        &format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, \
         DATETIME_PRECISION, CHARACTER_SET_NAME, GENERATION_EXPRESSION, EXTRA, COLUMN_COMMENT, \
         IS_NULLABLE, COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE {of} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
        ),
    )? {
        let mut fields = Fields::new(row);
        let (database, table) = (fields.text()?, fields.text()?);
        if let Some(relation) = find(&mut relations, &database, &table) {
            relation.columns.push(column(fields)?);
        }
    }
    for row in all_rows(
        session,
        &format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE {of} AND \
         INDEX_NAME = 'PRIMARY' ORDER BY TABLE_SCHEMA, TABLE_NAME, SEQ_IN_INDEX"
        ),
    )? {
        let mut fields = Fields::new(row);
        let (database, table) = (fields.text()?, fields.text()?);
        if let Some(relation) = find(&mut relations, &database, &table) {
            relation.primary_key.push(fields.text()?);
        }
    }
    Ok(Catalog { relations, database: String::new() })
}

/// The rows of all three queries come in one order, but names are compared all the same: collations differ.
fn find<'a>(relations: &'a mut [Relation], database: &str, name: &str) -> Option<&'a mut Relation> {
    relations.iter_mut().find(|it| it.database == database && it.name == name)
}

/// The fields of a row, one after the other.
struct Fields(std::vec::IntoIter<Option<String>>);

impl Fields {
    fn new(row: Vec<Option<String>>) -> Self {
        Self(row.into_iter())
    }

    fn next(&mut self) -> Option<String> {
        self.0.next().flatten()
    }

    fn text(&mut self) -> Result<String, SourceError> {
        self.next().ok_or(SourceError::Protocol("a row of information_schema"))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.next().and_then(|text| text.parse().ok())
    }

    /// A comment; none is the empty text.
    fn comment(&mut self) -> Option<String> {
        self.next().filter(|text| !text.is_empty())
    }
}

fn relation(mut fields: Fields) -> Result<Relation, SourceError> {
    let (database, name) = (fields.text()?, fields.text()?);
    let kind = match fields.text()?.as_str() {
        "BASE TABLE" | "SYSTEM VERSIONED" => RelationKind::Table,
        "VIEW" | "SYSTEM VIEW" => RelationKind::View,
        "SEQUENCE" => RelationKind::Sequence,
        other => RelationKind::Other(other.to_owned()),
    };
    let engine = fields.next();
    let (row_estimate, bytes) = (fields.number(), fields.number().unwrap_or_default());
    let comment = fields.comment().filter(|_| kind == RelationKind::Table);
    Ok(Relation {
        database,
        name,
        kind,
        engine,
        row_estimate,
        bytes,
        comment,
        columns: Vec::new(),
        primary_key: Vec::new(),
    })
}

fn column(mut fields: Fields) -> Result<Column, SourceError> {
    let (name, type_name, type_text) = (fields.text()?, fields.text()?, fields.text()?);
    let (precision, scale) = (fields.number(), fields.number());
    let (fraction, character_set) = (fields.number(), fields.next());
    let generated = fields.comment().is_some();
    let extra = fields.next().unwrap_or_default().to_ascii_uppercase();
    let comment = fields.comment();
    let nullable = fields.next().as_deref() == Some("YES");
    // MariaDB writes the word for a column without a default, and a text that is this word in quotes.
    let has_default = fields.next().is_some_and(|default| default != "NULL");
    Ok(Column {
        name,
        type_name,
        type_text,
        precision,
        scale,
        fraction,
        character_set,
        generated,
        invisible: extra.contains("INVISIBLE"),
        counted: extra.contains("AUTO_INCREMENT"),
        nullable,
        has_default,
        comment,
    })
}

/// Text as an SQL literal, under the empty `sql_mode` of our sessions.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
