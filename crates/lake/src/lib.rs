//! Everything Iceberg: catalogs, schemas, data files, one-snapshot commits, guards, maintenance.
//!
//! ```text
//! Lake ──create/load──▶ LakeTable ──writer──▶ DataWriter ──finish──▶ WrittenFile… ──▶ Lake::commit ──▶ snapshot
//!                          │
//!                          └─evolve──▶ SchemaChange ──────────────(same commit)──────────┘
//! ```
//!
//! Data files are invisible until a commit takes them in. A commit carries the state its rows reach, so a table and
//! its state cannot disagree, and a run that dies leaves either the old table or the new one and some orphans that
//! [`Lake::orphans`] finds.
//!
//! This crate does not know what a source database is, and nothing in it decides when to run.

mod adopt;
mod aws;
mod catalog;
mod commit;
mod compact;
mod error;
mod expire;
mod guard;
mod lake;
mod live;
mod merge;
mod pointer;
mod read;
pub mod schema;
mod settings;
mod storage;
mod sweep;
mod table;
mod write;

pub use commit::{Commit, Committed, Operation};
pub use compact::{CompactOptions, Rewrite};
pub use error::{Error, ErrorKind, Result};
pub use expire::{ExpireOptions, Expired};
pub use guard::ReplaceGuard;
pub use lake::Lake;
pub use merge::{Merge, MergeOptions, MergeWriter, OnDelete, Orphans};
pub use pointer::StalePointer;
pub use read::RowStream;
pub use schema::evolve::SchemaChange;
pub use schema::{
    LakeColumn, LakeSchema, LakeType, PartitionField, PartitionTransform, SortField,
    colliding_names, unreadable_name,
};
pub use settings::{CATALOG_NAME, CatalogAddress, LakeSettings, WriteOptions};
pub use storage::options::{S3Addressing, S3Credentials, S3Encryption, S3Options};
pub use sweep::{Looked, Orphan, Sweep};
pub use table::{
    COMMIT_ID_KEY, LakeTable, POSITION_KEY, STATE_PREFIX, SnapshotInfo, TableDefinition, TableName,
};
pub use write::{DataWriter, WrittenFile};
