//! The vocabulary of an inventory unit: what the platform's schema (version 1) can say, as types.
//!
//! The words are the platform's own, so a unit file moves from another loader to this one by
//! changing `loader` and adding one block. Anything a unit can say wrongly is refused while it is
//! read (see [`super::load`]); a value of these types is therefore already valid in itself, and
//! valid beside the other units once [`super::validate`] has passed.

use std::collections::BTreeMap;
use std::fmt;

use super::declared_type::DeclaredType;

/// The namespace (schema) a table belongs to when its unit names none.
pub const DEFAULT_NAMESPACE: &str = "public";

/// What a unit is called: one layer of one deployment, written `deployment/layer`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId {
    /// The deployment, for example `mitxonline`.
    pub deployment: String,
    /// The layer of that deployment, for example `app_postgres`.
    pub layer: String,
}

impl fmt::Display for UnitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.deployment, self.layer)
    }
}

/// Declares an enumeration whose values are words of the YAML schema.
macro_rules! vocabulary {
    (
        $(#[$attribute:meta])*
        $name:ident, $noun:literal {
            $($(#[$variant_attribute:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum $name {
            $($(#[$variant_attribute])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// What one such word is called in a message.
            pub const NOUN: &'static str = $noun;
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it is written in a unit file.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value a word stands for, or `None` when the schema has no such word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.word())
            }
        }
    };
}

vocabulary! {
    /// How a table is read and what becomes of its rows in the lake. The words are those of the
    /// connection API of Airbyte (`ConnectionSyncModeEnum`), which the platform's inventory uses.
    SyncMode, "sync mode" {
        /// Read everything, replace the table.
        FullRefreshOverwrite = "full_refresh_overwrite",
        /// Read everything, replace the table with one row a primary key.
        FullRefreshOverwriteDeduped = "full_refresh_overwrite_deduped",
        /// Read everything, add it to what is there.
        FullRefreshAppend = "full_refresh_append",
        /// Read everything, merge it on the primary key.
        FullRefreshUpdate = "full_refresh_update",
        /// Read everything, merge it on the primary key, mark rows that went away.
        FullRefreshSoftDelete = "full_refresh_soft_delete",
        /// Read what is new, add it: a raw change log.
        IncrementalAppend = "incremental_append",
        /// Read what is new, keep the history and the latest row of each primary key.
        IncrementalDedupedHistory = "incremental_deduped_history",
        /// Read what is new, merge it on the primary key.
        IncrementalUpdate = "incremental_update",
        /// Read what is new, merge it on the primary key, mark deleted rows.
        IncrementalSoftDelete = "incremental_soft_delete",
    }
}

impl SyncMode {
    /// Whether a run reads only what changed since the last one, which takes a way to know.
    pub fn is_incremental(self) -> bool {
        match self {
            Self::IncrementalAppend
            | Self::IncrementalDedupedHistory
            | Self::IncrementalUpdate
            | Self::IncrementalSoftDelete => true,
            Self::FullRefreshOverwrite
            | Self::FullRefreshOverwriteDeduped
            | Self::FullRefreshAppend
            | Self::FullRefreshUpdate
            | Self::FullRefreshSoftDelete => false,
        }
    }

    /// Whether rows are matched by key, which takes a primary key.
    pub fn needs_primary_key(self) -> bool {
        match self {
            Self::FullRefreshOverwriteDeduped
            | Self::FullRefreshUpdate
            | Self::FullRefreshSoftDelete
            | Self::IncrementalDedupedHistory
            | Self::IncrementalUpdate
            | Self::IncrementalSoftDelete => true,
            Self::FullRefreshOverwrite | Self::FullRefreshAppend | Self::IncrementalAppend => false,
        }
    }
}

vocabulary! {
    /// What kind of system a unit is read from.
    SourceKind, "source kind" {
        /// A PostgreSQL database.
        Postgres = "postgres",
        /// A MySQL or MariaDB database.
        Mysql = "mysql",
        /// A MongoDB database.
        Mongodb = "mongodb",
        /// Open edX tracking logs, as files.
        TrackingLogs = "tracking_logs",
        /// An archive bundle of edX.org, as files.
        EdxorgArchive = "edxorg_archive",
    }
}

vocabulary! {
    /// How a unit's source tells what changed.
    ReplicationMethod, "replication method" {
        /// It does not: tables are read in full.
        Full = "full",
        /// By a column that grows with every change.
        Cursor = "cursor",
        /// By the transaction number that PostgreSQL keeps with each row.
        Xmin = "xmin",
        /// By the database's own log.
        Cdc = "cdc",
    }
}

vocabulary! {
    /// Which metadata columns go beside the source's own.
    MetadataColumns, "set of metadata columns" {
        /// Ours, `_ol_…`.
        Native = "native",
        /// Ours and those that Airbyte writes.
        Airbyte = "airbyte",
        /// Ours and those that dlt writes.
        Dlt = "dlt",
    }
}

vocabulary! {
    /// What is done to a column before its values leave the process.
    Mask, "mask" {
        /// Replaced with a salted SHA-256 digest, so it can still be joined on.
        Sha256Salted = "sha256_salted",
        /// Replaced with NULL.
        Nulled = "nulled",
    }
}

vocabulary! {
    /// How a partition value is made of a column (the transforms of Iceberg that take no number).
    DateTransform, "partition transform" {
        /// The year.
        Year = "year",
        /// The month.
        Month = "month",
        /// The day.
        Day = "day",
        /// The hour.
        Hour = "hour",
    }
}

/// How a partition value is made of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionTransform {
    /// The value itself.
    Identity,
    /// A calendar part of a date or timestamp.
    Date(DateTransform),
    /// The hash of the value modulo this number of buckets.
    Bucket(u32),
    /// The value cut to this width.
    Truncate(u32),
}

/// One term of `partition_by`, for example `day(created_on)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTerm {
    /// How the partition value is made.
    pub transform: PartitionTransform,
    /// The column it is made of, as the source names it.
    pub column: String,
}

/// One term of `sort_by`, for example `id` or `created_on desc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortTerm {
    /// The column, as the source names it.
    pub column: String,
    /// Whether the largest value comes first.
    pub descending: bool,
}

/// What a unit changes about one table beyond the platform's schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableOverrides {
    /// Declared lake types, by source column, instead of the default of the type contract.
    pub columns: BTreeMap<String, DeclaredType>,
    /// Masks, by source column.
    pub masked_columns: BTreeMap<String, Mask>,
    /// The name that a column had before, by its present or coming one: the lake's column gets the new name, too.
    pub renamed_columns: BTreeMap<String, String>,
    /// The partitioning of the lake table; empty for none.
    pub partition_by: Vec<PartitionTerm>,
    /// The order of rows within files; empty for the order they were read in.
    pub sort_by: Vec<SortTerm>,
}

/// One table of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The table's name at the source, byte for byte.
    pub name: String,
    /// The schema it lives in, byte for byte; [`DEFAULT_NAMESPACE`] when the unit names none.
    pub namespace: String,
    /// The name of the lake table, unique across all units.
    pub raw_table: String,
    /// How it is read and written.
    pub sync_mode: SyncMode,
    /// The column that grows with every change, when there is one.
    pub cursor_field: Option<String>,
    /// The columns that identify a row, in order; empty when there are none.
    pub primary_key: Vec<String>,
    /// Columns that never leave the server.
    pub excluded_columns: Vec<String>,
    /// Whether the platform's dbt project models this table.
    pub modeled: bool,
    /// The name the table had at the source before it was renamed.
    pub renamed_from: Option<String>,
    /// What the `ol_ingest` block says about this table.
    pub overrides: TableOverrides,
}

impl Table {
    /// `namespace.name`, for messages and filters.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

/// One layer of one deployment: the tables that are read from one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// The file it was read from, relative to the inventory's folder.
    pub file: String,
    /// The unit's name.
    pub id: UnitId,
    /// The platform's free words under `scope`, kept as they are.
    pub scope: Option<serde_json::Value>,
    /// The platform's free words under `strategies`, kept as they are.
    pub strategies: Option<serde_json::Value>,
    /// What every `raw_table` of the unit starts with.
    pub table_prefix: String,
    /// What kind of system the source is.
    pub source_kind: SourceKind,
    /// How the source tells what changed; [`ReplicationMethod::Full`] when the unit says nothing.
    pub replication_method: ReplicationMethod,
    /// Which metadata columns are written; [`MetadataColumns::Native`] when the unit says nothing.
    pub metadata_columns: MetadataColumns,
    /// The tables, in the order of the file.
    pub tables: Vec<Table>,
}

impl Unit {
    /// Whether a table of it is followed by the changes in the source's log, rather than read by queries.
    #[must_use]
    pub fn follows(&self, table: &Table) -> bool {
        self.replication_method == ReplicationMethod::Cdc && table.sync_mode.is_incremental()
    }
}

/// A unit that another loader carries out, and which is therefore not ours to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedUnit {
    /// The file it was read from, relative to the inventory's folder.
    pub file: String,
    /// The unit's name, as far as the file says it.
    pub id: UnitId,
    /// The loader that carries it out.
    pub loader: String,
}

/// A folder of units, read and checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// The units with `loader: ol_ingest`, in the order of their file names.
    pub units: Vec<Unit>,
    /// The units of other loaders, in the order of their file names.
    pub skipped: Vec<SkippedUnit>,
}
