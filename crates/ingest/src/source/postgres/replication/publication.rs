//! Publications: what the server would send, and what it must.
//!
//! No table gets into a publication of ours before its replica identity has been found sufficient (`identity.rs` says what would
//! happen to the application else). Silent gaps of a publication are refused: a table that is not in it, a row
//! filter, an operation that is not published, partitions that publish under their own names, an excluded column
//! that leaves the server all the same.

use sqlx::{Executor as _, Row as _};

use super::error::SlotError;
use super::slot::Control;
use crate::inventory::UnitId;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::types::quote;

/// The first version that publishes partitions under the name of their root.
const ROOT_VERSION: i32 = 130_000;
/// The most bytes of a name (`NAMEDATALEN` − 1).
const NAME_BYTES: usize = 63;

/// A table that is to be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `pg_class.oid`.
    pub oid: u32,
    /// The schema.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The columns that are followed.
    pub columns: Vec<String>,
    /// The columns by which rows are found in the lake; empty for a change log.
    pub key: Vec<String>,
    /// The columns that must not leave the server.
    pub excluded: Vec<String>,
}

impl Wanted {
    pub(super) fn display(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.namespace), quote(&self.name))
    }

    /// As an item of `FOR TABLE`. Without excluded columns there is no list, so that columns added later are
    /// published as soon as they are there.
    fn item(&self) -> String {
        if self.excluded.is_empty() {
            return self.quoted();
        }
        let columns: Vec<String> = self.columns.iter().map(|column| quote(column)).collect();
        format!("{} ({})", self.quoted(), columns.join(", "))
    }
}

/// A publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationFacts {
    /// Its name.
    pub name: String,
    /// Whether all tables are published, whatever the list says.
    pub all_tables: bool,
    /// Whether inserts are published.
    pub inserts: bool,
    /// Whether updates are published.
    pub updates: bool,
    /// Whether deletes are published.
    pub deletes: bool,
    /// Whether TRUNCATE is published.
    pub truncates: bool,
    /// Whether partitions are published under the name of their root.
    pub via_partition_root: bool,
    /// The tables.
    pub tables: Vec<PublishedTable>,
}

/// A table of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedTable {
    /// The schema.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Its columns, where it has a column list.
    pub columns: Option<Vec<String>>,
    /// Whether only some rows are published.
    pub filtered: bool,
    /// The oid of its entry in the publication: another when it was taken out and put in again, between which
    /// changes were not published. `None` where it is in by its schema or as one of all.
    pub entry: Option<u32>,
}

impl PublicationFacts {
    /// Whether it publishes every kind of change.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.inserts && self.updates && self.deletes && self.truncates
    }

    /// Whether it publishes every change of the tables, whole.
    ///
    /// # Errors
    /// [`SlotError::Publication`], with all that is missing and the statement that cures it.
    pub fn check(&self, tables: &[Wanted], version: i32) -> Result<(), SlotError> {
        let mut missing = Vec::new();
        let operations = [
            (self.inserts, "inserts"),
            (self.updates, "updates"),
            (self.deletes, "deletes"),
            (self.truncates, "truncates"),
        ];
        for (published, operation) in operations {
            if !published {
                missing.push(format!("it does not publish {operation}"));
            }
        }
        if !self.via_partition_root && version >= ROOT_VERSION {
            missing.push("it does not publish via the partition root".to_owned());
        }
        let mut items = Vec::new();
        for table in tables {
            let published = self
                .tables
                .iter()
                .find(|found| found.namespace == table.namespace && found.name == table.name);
            let Some(published) = published else {
                missing.push(format!("it does not publish {}", table.display()));
                items.push(table.item());
                continue;
            };
            if published.filtered {
                missing.push(format!("it publishes only some rows of {}", table.display()));
            }
            if let Some(columns) = &published.columns {
                for column in table.columns.iter().filter(|column| !columns.contains(column)) {
                    missing.push(format!("it leaves out {column} of {}", table.display()));
                }
            }
            for column in published.leaked(table) {
                missing.push(format!("it publishes the excluded {column} of {}", table.display()));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let statement = if items.is_empty() {
            format!("ALTER PUBLICATION {} …", quote(&self.name))
        } else {
            format!("ALTER PUBLICATION {} ADD TABLE {}", quote(&self.name), items.join(", "))
        };
        let (publication, reason) = (self.name.clone(), missing.join("; "));
        Err(SlotError::Publication { publication, reason, statement })
    }
}

impl PublishedTable {
    /// The excluded columns that leave the server all the same.
    fn leaked<'a>(&'a self, table: &'a Wanted) -> impl Iterator<Item = &'a String> {
        table.excluded.iter().filter(|column| {
            self.columns.as_ref().is_none_or(|published| published.contains(column))
        })
    }

    fn agrees(&self, table: &Wanted) -> bool {
        let lists = match &self.columns {
            None => table.excluded.is_empty(),
            Some(columns) => {
                !table.excluded.is_empty()
                    && columns.len() == table.columns.len()
                    && columns.iter().all(|column| table.columns.contains(column))
            }
        };
        lists && !self.filtered
    }
}

/// The name of our own publication of a unit, and of its slot: lower case, digits and underscores, since a slot's name has
/// nothing else; a long one ends in a hash of the whole.
#[must_use]
pub fn default_name(unit: &UnitId) -> String {
    let whole = format!("ol_{}_{}", unit.deployment, unit.layer);
    let plain: String = whole
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    if plain.len() <= NAME_BYTES {
        return plain;
    }
    let hash = format!("_{:016x}", xxhash_rust::xxh3::xxh3_64(whole.as_bytes()));
    let head: String = plain.chars().take(NAME_BYTES - hash.len()).collect();
    head + &hash
}

const PUBLICATION: &str = "
SELECT p.oid, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate,
       coalesce((pg_catalog.to_jsonb(p) ->> 'pubviaroot')::bool, false) AS via_root
FROM pg_catalog.pg_publication p WHERE p.pubname = $1";

/// The tables with their roots, as the stream will name them; lists and filters of those that have an entry.
const PUBLISHED: &str = "
SELECT t.schemaname::text AS namespace, t.tablename::text AS name, r.oid AS entry,
       coalesce(r.facts ->> 'prqual' IS NOT NULL, false) AS filtered,
       (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND r.facts ->> 'prattrs' IS NOT NULL
          AND r.facts -> 'prattrs' @> pg_catalog.to_jsonb(a.attnum)) AS columns
FROM pg_catalog.pg_publication_tables t
JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
LEFT JOIN LATERAL (
    SELECT e.oid, pg_catalog.to_jsonb(e) AS facts FROM pg_catalog.pg_publication_rel e
    JOIN pg_catalog.pg_publication p ON p.oid = e.prpubid
    WHERE p.pubname = t.pubname AND e.prrelid = c.oid) r ON true
WHERE t.pubname = $1 ORDER BY 1, 2";

impl Control {
    /// A publication, if there is one of this name.
    ///
    /// # Errors
    /// The server's.
    pub async fn publication(
        &mut self,
        name: &str,
    ) -> Result<Option<PublicationFacts>, SourceError> {
        let row = sqlx::query(PUBLICATION).bind(name).fetch_optional(&mut self.connection).await?;
        let Some(row) = row else { return Ok(None) };
        let mut tables = Vec::new();
        for row in sqlx::query(PUBLISHED).bind(name).fetch_all(&mut self.connection).await? {
            let entry: Option<sqlx::postgres::types::Oid> = row.try_get("entry")?;
            tables.push(PublishedTable {
                namespace: row.try_get("namespace")?,
                name: row.try_get("name")?,
                columns: row.try_get("columns")?,
                filtered: row.try_get("filtered")?,
                entry: entry.map(|oid| oid.0),
            });
        }
        Ok(Some(PublicationFacts {
            name: name.to_owned(),
            all_tables: row.try_get("puballtables")?,
            inserts: row.try_get("pubinsert")?,
            updates: row.try_get("pubupdate")?,
            deletes: row.try_get("pubdelete")?,
            truncates: row.try_get("pubtruncate")?,
            via_partition_root: row.try_get("via_root")?,
            tables,
        }))
    }

    /// Makes our publication publish the tables and no others: creates it, adds what is missing, corrects column lists,
    /// takes out what is not in the list. A table that stayed in it without being followed could not be told, when it is
    /// listed again, from one whose changes have all been taken; taken out, it comes back under another
    /// [`PublishedTable::entry`]. All in one transaction, so that no change falls between.
    ///
    /// # Errors
    /// A table cannot be followed ([`Control::check_tables`]); the role may not create or alter it:
    /// [`SlotError::Publication`] with the statements for somebody who may.
    pub async fn ensure_publication(
        &mut self,
        name: &str,
        tables: &[Wanted],
    ) -> Result<(), SourceError> {
        self.check_tables(tables).await?;
        let facts = self.publication(name).await?;
        let statements = statements(name, facts.as_ref(), tables, self.version);
        if statements.is_empty() {
            return Ok(());
        }
        let script = statements.join("; ");
        self.connection.execute("BEGIN").await?;
        let mut done = Ok(());
        for statement in &statements {
            if done.is_ok() {
                done = self.connection.execute(statement.as_str()).await.map(|_| ());
            }
        }
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.connection.execute(end).await?;
        match done {
            Err(sqlx::Error::Database(answer)) if answer.code().as_deref() == Some("42501") => {
                Err(SlotError::Publication {
                    publication: name.to_owned(),
                    reason: "the role may not change it".to_owned(),
                    statement: script,
                }
                .into())
            }
            done => Ok(done?),
        }
    }

    /// Whether a publication that somebody else keeps publishes every change of the tables, whole. Nothing is changed.
    ///
    /// # Errors
    /// A table cannot be followed ([`Control::check_tables`]); the publication is missing or has gaps:
    /// [`SlotError::Publication`] with the statement that cures it.
    pub async fn check_publication(
        &mut self,
        name: &str,
        tables: &[Wanted],
    ) -> Result<PublicationFacts, SourceError> {
        self.check_tables(tables).await?;
        let Some(facts) = self.publication(name).await? else {
            return Err(SlotError::Publication {
                publication: name.to_owned(),
                reason: "it does not exist".to_owned(),
                statement: statements(name, None, tables, self.version).join("; "),
            }
            .into());
        };
        facts.check(tables, self.version)?;
        Ok(facts)
    }

    /// Drops our publication; false when there was none.
    ///
    /// # Errors
    /// The role may not.
    pub async fn drop_publication(&mut self, name: &str) -> Result<bool, SourceError> {
        if self.publication(name).await?.is_none() {
            return Ok(false);
        }
        self.connection.execute(format!("DROP PUBLICATION {}", quote(name)).as_str()).await?;
        Ok(true)
    }
}

/// The statements that make a publication what it must be.
fn statements(
    name: &str,
    facts: Option<&PublicationFacts>,
    tables: &[Wanted],
    version: i32,
) -> Vec<String> {
    let publication = quote(name);
    let mut options = "publish = 'insert, update, delete, truncate'".to_owned();
    if version >= ROOT_VERSION {
        options.push_str(", publish_via_partition_root = true");
    }
    let items =
        |tables: &[&Wanted]| tables.iter().map(|table| table.item()).collect::<Vec<_>>().join(", ");
    let Some(facts) = facts else {
        let all: Vec<&Wanted> = tables.iter().collect();
        let list =
            if all.is_empty() { String::new() } else { format!(" FOR TABLE {}", items(&all)) };
        return vec![format!("CREATE PUBLICATION {publication}{list} WITH ({options})")];
    };
    let mut statements = Vec::new();
    let whole = facts.inserts
        && facts.updates
        && facts.deletes
        && facts.truncates
        && (facts.via_partition_root || version < ROOT_VERSION);
    if !whole {
        statements.push(format!("ALTER PUBLICATION {publication} SET ({options})"));
    }
    if facts.all_tables {
        return statements;
    }
    let (mut renewed, mut added) = (Vec::new(), Vec::new());
    for found in facts.tables.iter().filter(|found| found.entry.is_some()) {
        let is_wanted =
            |table: &&Wanted| table.namespace == found.namespace && table.name == found.name;
        if !tables.iter().any(|table| is_wanted(&table)) {
            renewed.push(format!("{}.{}", quote(&found.namespace), quote(&found.name)));
        }
    }
    for table in tables {
        let published = facts
            .tables
            .iter()
            .find(|found| found.namespace == table.namespace && found.name == table.name);
        match published {
            Some(published) if published.agrees(table) => {}
            Some(_) => {
                renewed.push(table.quoted());
                added.push(table);
            }
            None => added.push(table),
        }
    }
    if !renewed.is_empty() {
        statements
            .push(format!("ALTER PUBLICATION {publication} DROP TABLE {}", renewed.join(", ")));
    }
    if !added.is_empty() {
        statements.push(format!("ALTER PUBLICATION {publication} ADD TABLE {}", items(&added)));
    }
    statements
}

#[cfg(test)]
#[path = "publication_tests.rs"]
mod tests;
