//! One consistent view of the database for all readers.
//!
//! Why: tables refer to each other, and ranges of one table are read by several connections. Read at different
//! moments, a row could be in both ranges or in none (an update moves it), and a child without its parent.
//!
//! How: a keeper opens a REPEATABLE READ, READ ONLY transaction and exports its snapshot; every reader opens such a
//! transaction of its own and imports it (PostgreSQL documentation, "Snapshot Synchronization Functions"). The
//! snapshot can be imported for as long as the keeper's transaction lives, which is until the last reader is done.
//!
//! What a snapshot does not protect from: TRUNCATE and rewriting forms of ALTER TABLE are not MVCC-safe
//! (PostgreSQL documentation, "Caveats" of MVCC). A snapshot taken before such a command sees the table *empty*
//! after it. So a reader first locks the table (ACCESS SHARE, the lock that any SELECT takes; with a timeout),
//! and then compares, under that lock, the file of the table (and of its parts) as the snapshot's catalog has it
//! with the file it has now. They differ exactly when the table has been rewritten in between, and the range is
//! then a transient failure that a new snapshot cures.
//!
//! The position is the end of the log just *before* the snapshot is taken, so every commit at or before it is in
//! the snapshot. Commits shortly after it may be, too; the position of a full refresh is a label, not a place to
//! resume from.

use std::collections::BTreeSet;

use sqlx::{Connection as _, Executor as _, PgConnection};

use super::catalog::{self, Catalog, Relation, RelationKind};
use super::chunks::ColumnStatistics;
use super::error::SourceError;
use super::incremental::probe::{self, Moment};
use super::settings::{Address, Settings};
use super::types::{Reading, quote};
use super::wire::{Connection, WireError};
use crate::position::Position;
use ol_chassis::shutdown::Shutdown;

/// The oldest server version that is read, as `server_version_num`.
pub const MINIMUM_VERSION: i32 = 120_000;
/// The first version with TID range scans, without which a ctid range would read the whole table.
const TID_RANGE_VERSION: i32 = 140_000;
const BLOCK_BYTES: u64 = 8192;

/// What every session is set to, so that text is the same whatever the role, the database or the server says.
///
/// `row_security = off` makes a query fail that row-level security would otherwise thin out silently. The
/// statement timeout is off because a COPY is long by nature; locks are not waited for long, because whoever
/// waits for a lock blocks everybody behind him.
pub(super) const SESSION: &str = "
SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres';
SET extra_float_digits = 1; SET bytea_output = 'hex'; SET quote_all_identifiers = off;
SET search_path = \"$user\", public; SET row_security = off; SET statement_timeout = 0; SET lock_timeout = '30s';
SET idle_in_transaction_session_timeout = 0; SET max_parallel_workers_per_gather = 0;
SET client_min_messages = error";

/// The transaction that keeps the snapshot alive.
pub struct Keeper {
    connection: PgConnection,
    /// The exported snapshot's name.
    pub snapshot: String,
    /// The end of the log just before it.
    pub position: Position,
    /// `server_version_num`.
    pub version: i32,
    /// What was going on around it; not known of a snapshot that somebody else took.
    pub moment: Option<Moment>,
}

impl Keeper {
    /// Connects and exports a snapshot.
    ///
    /// # Errors
    /// The server is not reachable, refuses the login, or is too old.
    pub async fn open(settings: &Settings) -> Result<Self, SourceError> {
        let (mut connection, version) = connect(settings).await?;
        let position: String = sqlx::query_scalar(
            "SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
             ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text",
        )
        .fetch_one(&mut connection)
        .await?;
        let before = probe::before(&mut connection).await?;
        connection.execute(BEGIN).await?;
        let snapshot = export(&mut connection).await?;
        let position =
            position.parse().map_err(|_| SourceError::Protocol("a log position".into()))?;
        let moment = probe::after(&mut connection, version, before).await?;
        Ok(Self { connection, snapshot, position, version, moment: Some(moment) })
    }

    /// Connects, imports a snapshot that another connection has exported at `position`, the one that created a
    /// replication slot, and exports it anew. Readers work as in a full load, and the other connection may go on.
    ///
    /// # Errors
    /// Those of [`Keeper::open`], or the snapshot is gone.
    pub async fn open_at(
        settings: &Settings,
        snapshot: &str,
        position: u64,
    ) -> Result<Self, SourceError> {
        let (mut connection, version) = connect(settings).await?;
        connection.execute(BEGIN).await?;
        connection.execute(import(snapshot).as_str()).await?;
        let snapshot = export(&mut connection).await?;
        let position = Position::Lsn(position);
        Ok(Self { connection, snapshot, position, version, moment: None })
    }

    /// The catalog as of the snapshot.
    ///
    /// # Errors
    /// The server's.
    pub async fn catalog(&mut self) -> Result<Catalog, SourceError> {
        Ok(catalog::read(&mut self.connection).await?)
    }

    /// The object ids of a relation and of all that inherit from it.
    ///
    /// # Errors
    /// The server's.
    pub async fn parts(&mut self, relation: &Relation) -> Result<BTreeSet<u32>, SourceError> {
        if !relation.has_children {
            return Ok(BTreeSet::from([relation.oid]));
        }
        let oids: Vec<sqlx::postgres::types::Oid> = sqlx::query_scalar(
            "WITH RECURSIVE tree(oid) AS (SELECT $1 UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i \
             JOIN tree ON tree.oid = i.inhparent) SELECT DISTINCT oid FROM tree",
        )
        .bind(sqlx::postgres::types::Oid(relation.oid))
        .fetch_all(&mut self.connection)
        .await?;
        Ok(oids.into_iter().map(|oid| oid.0).collect())
    }

    /// What the planner knows of a column, if the role may see it.
    ///
    /// # Errors
    /// The server's.
    pub async fn statistics(
        &mut self,
        relation: &Relation,
        column: &str,
    ) -> Result<Option<ColumnStatistics>, SourceError> {
        let found: Option<(Option<f32>, Option<Vec<String>>)> = sqlx::query_as(
            "SELECT s.correlation, s.histogram_bounds::pg_catalog.text::pg_catalog.text[] FROM pg_catalog.pg_stats s \
             WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3 AND NOT s.inherited",
        )
        .bind(&relation.namespace)
        .bind(&relation.name)
        .bind(column)
        .fetch_optional(&mut self.connection)
        .await?;
        Ok(found.map(|(correlation, histogram)| ColumnStatistics {
            correlation,
            histogram: histogram.unwrap_or_default(),
        }))
    }

    /// A value as the server prints it, if it takes it.
    ///
    /// # Errors
    /// The server's: with the cast of a text it is not a value of the type.
    pub async fn value(&mut self, query: &str) -> Result<String, SourceError> {
        Ok(sqlx::query_scalar(query).fetch_one(&mut self.connection).await?)
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// The connection was lost; the snapshot is gone all the same.
    pub async fn close(self) -> Result<(), SourceError> {
        Ok(self.connection.close().await?)
    }
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The statement by which a transaction that has just begun sees what another sees.
fn import(snapshot: &str) -> String {
    format!("SET TRANSACTION SNAPSHOT '{}'", snapshot.replace('\'', "''"))
}

async fn export(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_catalog.pg_export_snapshot()").fetch_one(connection).await
}

/// A connection with our settings, and the server's version.
pub(super) async fn connect(settings: &Settings) -> Result<(PgConnection, i32), SourceError> {
    if let Address::Tcp { host, port } = &settings.address {
        // sqlx reports a name without an address like any other socket error.
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        drop(found.map_err(|_| SourceError::HostUnknown)?);
    }
    let options = settings.options();
    let connecting = PgConnection::connect_with(&options);
    let mut connection = tokio::time::timeout(settings.connect_timeout, connecting)
        .await
        .map_err(|_| SourceError::ConnectTimeout(settings.connect_timeout))??;
    connection.execute(SESSION).await?;
    let version: i32 =
        sqlx::query_scalar("SELECT pg_catalog.current_setting('server_version_num')::int4")
            .fetch_one(&mut connection)
            .await?;
    if version < MINIMUM_VERSION {
        return Err(SourceError::TooOld(version));
    }
    Ok((connection, version))
}

/// A range of the blocks of a heap, `[start, end)`; no end means to the last one there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRange {
    /// The first block.
    pub start: u64,
    /// The block after the last.
    pub end: Option<u64>,
}

impl BlockRange {
    /// The whole table.
    pub const ALL: Self = Self { start: 0, end: None };

    /// At most `streams` ranges of at least `range_bytes` that cover the relation and do not overlap; one where the
    /// relation cannot be read by ranges.
    #[must_use]
    pub fn split(relation: &Relation, version: i32, streams: u64, range_bytes: u64) -> Vec<Self> {
        let divisible = relation.kind == RelationKind::Table
            && relation.is_heap
            && !relation.has_children
            && version >= TID_RANGE_VERSION;
        let count = (relation.bytes / range_bytes.max(1)).min(streams);
        if !divisible || count < 2 {
            return vec![Self::ALL];
        }
        let blocks = relation.bytes / BLOCK_BYTES;
        (0..count)
            .map(|index| Self {
                start: blocks * index / count,
                // The last is open: rows may have been added since the size was looked up, and a row that the
                // snapshot sees may have been put there by an update.
                end: (index + 1 < count).then(|| blocks * (index + 1) / count),
            })
            .collect()
    }

    fn condition(self) -> Option<String> {
        match (self.start, self.end) {
            (0, None) => None,
            (start, None) => Some(format!("ctid >= '({start},0)'::pg_catalog.tid")),
            (start, Some(end)) => Some(format!(
                "ctid >= '({start},0)'::pg_catalog.tid AND ctid < '({end},0)'::pg_catalog.tid"
            )),
        }
    }
}

/// What of a relation is read.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// The blocks.
    pub range: BlockRange,
    /// The condition of rows, as SQL; `None` for all.
    pub condition: Option<&'a str>,
    /// An expression that comes before the columns: see [`super::rows::RowReader::marked`].
    pub mark: Option<&'a str>,
    /// The column that rows are ordered by, those without a value first.
    pub order: Option<&'a str>,
}

impl Selection<'_> {
    /// Every row, in no order.
    pub const ALL: Self = Self { range: BlockRange::ALL, condition: None, mark: None, order: None };
}

/// The COPY statement that reads `readings` of a relation, within a range.
///
/// Excluded columns are not in it, so they never leave the server.
#[must_use]
pub fn copy_statement(relation: &Relation, readings: &[Reading], range: BlockRange) -> String {
    selected_statement(relation, readings, Selection { range, ..Selection::ALL })
}

/// The COPY statement that reads `readings` of the selected rows of a relation.
#[must_use]
pub fn selected_statement(
    relation: &Relation,
    readings: &[Reading],
    selection: Selection<'_>,
) -> String {
    let mut fields: Vec<String> = selection.mark.map(str::to_owned).into_iter().collect();
    for reading in readings {
        fields.extend(reading.odd_sql());
        fields.push(reading.value_sql());
    }
    let range = selection.range.condition();
    let conditions: Vec<&str> = range.as_deref().into_iter().chain(selection.condition).collect();
    let filter = match conditions.as_slice() {
        [] => String::new(),
        _ => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let order = selection
        .order
        .map(|column| format!(" ORDER BY {} NULLS FIRST", quote(column)))
        .unwrap_or_default();
    format!(
        "COPY (SELECT {} FROM {}{filter}{order}) TO STDOUT (FORMAT binary)",
        fields.join(", "),
        relation.quoted()
    )
}

/// A reader's connection, inside the shared snapshot.
pub struct Reader {
    connection: Connection,
    snapshot: String,
}

impl Reader {
    /// Connects and enters the snapshot.
    ///
    /// # Errors
    /// The server is not reachable, or the snapshot is gone.
    pub fn open(
        settings: &Settings,
        snapshot: &str,
        shutdown: Shutdown,
    ) -> Result<Self, WireError> {
        let mut connection = Connection::open(settings, shutdown)?;
        connection.execute(SESSION)?;
        let mut reader = Self { connection, snapshot: snapshot.to_owned() };
        reader.enter()?;
        Ok(reader)
    }

    /// Enters the snapshot again, after a statement failed and took the transaction with it.
    ///
    /// # Errors
    /// The connection is lost, or the snapshot is gone.
    pub fn enter(&mut self) -> Result<(), WireError> {
        self.connection.execute("ROLLBACK")?;
        self.connection.execute(BEGIN)?;
        self.connection.execute(&import(&self.snapshot))
    }

    /// Locks the relation against change, and says whether it is still the one that the snapshot knows.
    ///
    /// # Errors
    /// The relation is gone, may not be read, or is locked for longer than the lock timeout.
    pub fn hold(&mut self, relation: &Relation) -> Result<bool, WireError> {
        self.connection
            .execute(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", relation.quoted()))?;
        let changed = self.connection.scalar(&format!(
            "WITH RECURSIVE tree(oid) AS (SELECT {}::pg_catalog.oid UNION ALL SELECT i.inhrelid FROM \
             pg_catalog.pg_inherits i JOIN tree ON tree.oid = i.inhparent) SELECT count(*)::text FROM tree JOIN \
             pg_catalog.pg_class c ON c.oid = tree.oid WHERE c.relfilenode <> 0 AND c.relfilenode IS DISTINCT FROM \
             pg_catalog.pg_relation_filenode(c.oid)",
            relation.oid
        ))?;
        Ok(changed.as_deref() == Some("0"))
    }

    /// The answer to a query, the first column of its first row as text.
    ///
    /// # Errors
    /// The server's error, or a broken connection.
    pub fn scalar(&mut self, query: &str) -> Result<Option<String>, WireError> {
        self.connection.scalar(query)
    }

    /// Runs COPY and hands on the body of each message.
    ///
    /// # Errors
    /// The server's error, a broken connection, or what `consume` returns.
    pub fn copy_out<F, X>(&mut self, statement: &str, consume: F) -> Result<(), X>
    where
        F: FnMut(&[u8]) -> Result<(), X>,
        X: From<WireError>,
    {
        self.connection.copy_out(statement, consume)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::*;

    fn relation(bytes: u64) -> Relation {
        Relation {
            oid: 1,
            namespace: "s".into(),
            name: "t\"x".into(),
            kind: RelationKind::Table,
            partition_of: None,
            has_children: false,
            is_heap: true,
            rows_hidden: false,
            row_estimate: None,
            bytes,
            comment: None,
            columns: Vec::new(),
            primary_key: Vec::new(),
        }
    }

    #[test]
    fn ranges_cover_the_table_without_gap_or_overlap() {
        let relation = relation(8192 * 7003);
        for streams in 2..=8 {
            let ranges = BlockRange::split(&relation, 150_000, streams, 8192);
            assert_eq!(ranges.first().map(|range| range.start), Some(0));
            assert_eq!(ranges.last().map(|range| range.end), Some(None));
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].end, Some(pair[1].start));
            }
        }
    }

    #[test]
    fn small_old_and_inherited_tables_are_read_whole() {
        assert_eq!(BlockRange::split(&relation(8192), 150_000, 8, 8192), [BlockRange::ALL]);
        assert_eq!(BlockRange::split(&relation(1 << 40), 130_000, 8, 8192), [BlockRange::ALL]);
        let parent = Relation { has_children: true, ..relation(1 << 40) };
        assert_eq!(BlockRange::split(&parent, 150_000, 8, 8192), [BlockRange::ALL]);
    }

    #[test]
    fn names_are_quoted() {
        let statement = selected_statement(
            &relation(0),
            &[],
            Selection {
                range: BlockRange { start: 3, end: Some(9) },
                condition: Some("x"),
                ..Selection::ALL
            },
        );
        assert!(
            statement.contains("FROM \"s\".\"t\"\"x\" WHERE ctid >= '(3,0)'")
                && statement.contains("AND x)"),
            "{statement}"
        );
    }
}
