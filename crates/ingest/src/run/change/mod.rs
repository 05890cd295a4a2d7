//! What the flows of changes have in common, whatever source they follow: where a change is, what a followed table looks
//! like in the lake, and how gathered changes become one commit.

pub mod attempts;
pub mod state;
pub mod writer;

use std::collections::BTreeMap;
use std::ops::Add;

use ol_lake::WriteOptions;

use crate::column::batch::{BatchLimit, RunColumns};
use crate::error::{Definite, Error, Failure, Result};
use crate::inventory::{SyncMode, Table};
use crate::position::Position;

/// What a followed table looks like in the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One row a change.
    Log,
    /// One row a key; a deleted one goes, or, where `soft`, stays and is marked.
    Merge {
        /// Whether deleted rows stay.
        soft: bool,
    },
}

impl Shape {
    /// What the inventory's sync mode asks for.
    ///
    /// # Errors
    /// The mode is none of changes.
    pub fn of(table: &Table) -> Result<Self> {
        match table.sync_mode {
            SyncMode::IncrementalAppend => Ok(Self::Log),
            SyncMode::IncrementalUpdate | SyncMode::IncrementalDedupedHistory => {
                Ok(Self::Merge { soft: false })
            }
            SyncMode::IncrementalSoftDelete => Ok(Self::Merge { soft: true }),
            SyncMode::FullRefreshOverwrite
            | SyncMode::FullRefreshOverwriteDeduped
            | SyncMode::FullRefreshAppend
            | SyncMode::FullRefreshUpdate
            | SyncMode::FullRefreshSoftDelete => {
                Err(Error::new(Definite::ModeUnsupported).with("sync_mode", table.sync_mode))
            }
        }
    }
}

/// Where in the log a change is, and when it was committed.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The place.
    pub position: Position,
    /// Microseconds since 1970-01-01 UTC.
    pub committed_at_microseconds: i64,
}

/// What was committed for a table, in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows written.
    pub rows: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// Files written.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Values that did not fit.
    pub odd: u64,
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            deletes: self.deletes + other.deletes,
            files: self.files + other.files,
            bytes: self.bytes + other.bytes,
            odd: self.odd + other.odd,
        }
    }
}

/// Why a change could not be taken.
#[derive(Debug)]
pub enum Refused {
    /// The table cannot go on.
    Failed(Error),
    /// The log does not say what the rows are; a copy would.
    Copy(&'static str),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ol_lake::Error> for Refused {
    fn from(error: ol_lake::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// What the writers of a unit share.
#[derive(Clone)]
pub struct Writing {
    /// How files are written.
    pub write: WriteOptions,
    /// When a batch goes to its encoder.
    pub limit: BatchLimit,
    /// What is the same in every row of the run.
    pub run: RunColumns,
}

/// What became of a table in a session.
#[derive(Debug, Default)]
pub struct TableEnd {
    /// What was committed.
    pub tally: Tally,
    /// The last snapshot.
    pub snapshot_id: Option<i64>,
    /// Where it stands.
    pub position: Option<Position>,
    /// Why it stopped.
    pub failure: Option<Error>,
}

/// What became of the tables of a unit, by their index in it.
pub type TableEnds = BTreeMap<usize, TableEnd>;

/// Whether a failure is about the rows or columns of one table, so that the others can go on.
#[must_use]
pub fn concerns_one_table(failure: Failure) -> bool {
    let Failure::Definite(kind) = failure else { return false };
    matches!(
        kind,
        Definite::TypeRefused
            | Definite::ValueUndecodable
            | Definite::ToastUnknown
            | Definite::SchemaConflict
            | Definite::ColumnNamesCollide
            | Definite::ColumnChanged
            | Definite::ReplicaIdentityInsufficient
            | Definite::RelationMissing
            | Definite::RelationKindRefused
            | Definite::InventoryInvalid
            | Definite::LakeTableMissing
            | Definite::ReplaceGuarded
    )
}
