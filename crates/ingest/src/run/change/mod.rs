//! What the flows of changes have in common, whatever source they follow: where a change is, what a followed table looks
//! like in the lake, and how gathered changes become one commit.

pub mod attempts;
pub mod copy;
pub mod copying;
pub mod followed;
pub mod live;
pub mod log;
pub mod partial;
pub mod place;
pub mod prepare;
pub mod run;
pub mod session;
pub mod state;
pub mod writer;

use std::collections::BTreeMap;
use std::ops::Add;
use std::time::Duration;

use ol_lake::WriteOptions;

use super::UnitJob;
use crate::column::batch::{BatchLimit, RunColumns};
use crate::config::Stream;
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

impl Refused {
    /// What a table leaves its log for: what it failed by, or `None` when it is copied again.
    ///
    /// # Errors
    /// The failure, if it is not of this table alone.
    pub fn of_one_table(self, place: usize) -> Result<Option<Error>> {
        match self {
            Self::Failed(error) if concerns_one_table(error.failure()) => Ok(Some(error)),
            Self::Failed(error) => Err(error),
            Self::Copy(reason) => {
                tracing::warn!(place, reason, "a table is copied again");
                Ok(None)
            }
        }
    }
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

impl Writing {
    /// Those of a run over a unit.
    #[must_use]
    pub fn of(job: &UnitJob) -> Self {
        Self {
            write: job.context.config.write_options(),
            limit: job.batch_limit(),
            run: job.run_columns(),
        }
    }
}

/// When batches are due, and what is looked at in between.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The age of the oldest change that is not committed.
    pub commit: Duration,
    /// Bytes of changes that are not committed.
    pub commit_bytes: u64,
    /// How often a place of an idle source is recorded.
    pub record: Duration,
}

impl Pace {
    /// The pace that the settings ask for.
    #[must_use]
    pub fn of(stream: &Stream) -> Self {
        Self {
            commit: Duration::from_secs_f64(stream.commit_seconds),
            commit_bytes: stream.commit_bytes,
            record: Duration::from_secs_f64(stream.record_seconds),
        }
    }
}

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// At its goal.
    Reached,
    /// The set of tables has changed: one was copied, or has to be.
    Regroup,
    /// By request.
    Stopped,
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
fn concerns_one_table(failure: Failure) -> bool {
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
            // Where it is said of one: a log that lacks something as a whole is never a table's error.
            | Definite::ChangesMissed
    )
}
