//! Merges: one row a key, whatever the changes were, in one snapshot.
//!
//! ```text
//! upsert ─────────▶ Parquet at once, index: key ─▶ place of its latest row ──┐
//! patch, mark ────▶ wait, are completed from table or writer ─▶ Parquet ─────┤
//! delete ─────────▶ index: key ─▶ deleted ───────────────────────────────────┤
//! truncate ───────▶ all of the above is dropped, and so is the table ────────┤
//!                                                                            ▼
//!         Merge ──(commit: look for the touched keys in the base)──▶ position deletes + files
//! ```
//!
//! **Why the result is one row a key.** Let K be the keys touched. Rows of the base whose key is not in K stay. Every
//! live row of the base whose key is in K is found by [`locate`] and deleted, unless the merge truncates and every file
//! goes. Of the writer's own rows, the index names one place a key at most; every other row of it is deleted by a
//! position delete of the same commit, which applies to data files of the same sequence number. So a key in K has one
//! live row when its last change was a row, and none when it was a delete.
//!
//! **Why totals are exact.** A position is deleted once: found rows are counted without those already deleted, a new
//! delete file about a data file takes over the rows of the one before it, and a data file that is dropped takes its
//! delete file with it. Rows minus position deletes is the number of live rows, unless another writer wrote delete
//! files about many data files and one of these is dropped.
//!
//! **Conflicts.** What was found belongs to one base. When another commit comes first, it is looked for again on the
//! new base. Rows completed from the table are an exception that cannot be repeated: then only commits that changed no
//! row (another writer's compaction) may have come between, or the commit fails as
//! [`crate::ErrorKind::CommitConflict`].
//!
//! **Delete or rewrite.** A delete file costs one small file, one manifest entry, and one open file for every reader
//! for as long as the data file lives; rewriting costs reading and writing the data file once. Below
//! [`crate::WriteOptions::rewrite_below_bytes`] the second is the cheaper one, and it keeps the many small files of a
//! stream of small merges together. A data file of which nothing is left is dropped in either case.
//!
//! **Memory.** The index takes 29 to 57 bytes a touched key (half as much again while it grows), superseded rows of
//! the writer 2 bytes each, rows that wait at most [`PENDING_BYTES`] and [`PENDING_ROWS`], and the open file what a
//! [`crate::DataWriter`] takes. A commit adds the positions found, 2 bytes each, and what [`locate`] says.

mod complete;
mod key;
mod locate;
mod patch;
pub(crate) mod plan;
mod ranges;
mod writer;

use std::fmt;
use std::sync::Arc;

use iceberg::spec::DataFile;

use self::key::{KeyColumns, KeyMap, KeyRanges};
pub use self::writer::MergeWriter;
use crate::settings::WriteOptions;
use crate::write::WrittenFile;

/// Bytes of rows that wait to be completed.
const PENDING_BYTES: usize = 16 << 20;
/// Rows that wait to be completed.
const PENDING_ROWS: usize = 65_536;

/// What a merge goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeOptions {
    /// The columns that identify a row. They may have any type but list and map; floating-point numbers are compared
    /// by their bits. A null in one of them is an error of kind [`crate::ErrorKind::RowsMismatch`].
    pub key: Vec<String>,
    /// What a delete does.
    pub on_delete: OnDelete,
    /// A column of type map that holds, by name of column, what does not fit into the columns. When columns are kept
    /// ([`MergeWriter::patch`]), so are their entries.
    pub sidecar: Option<String>,
    /// What a change of a row that is not there does ([`MergeWriter::patch`]).
    pub orphans: Orphans,
}

/// What becomes of a change that keeps values of a row the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Orphans {
    /// It is an error: the values are lost.
    #[default]
    Refuse,
    /// It is passed over, for changes that are replayed over rows from a later time: the row was deleted in between.
    Drop,
}

/// What a delete does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// The row goes.
    Remove,
    /// The row stays and is marked.
    Mark {
        /// The column of type timestamptz that says when it was deleted.
        column: String,
    },
}

/// The files of a merge and the keys it touches; invisible until [`crate::Lake::commit`] takes it in.
///
/// Cloning shares it.
#[derive(Clone)]
pub struct Merge {
    inner: Arc<Inner>,
}

struct Inner {
    files: Vec<WrittenFile>,
    /// Delete files about superseded rows of `files`, with their partition specs.
    deletes: Vec<(DataFile, i32)>,
    /// Rows of `files` that are not superseded.
    rows: u64,
    columns: KeyColumns,
    keys: KeyMap,
    ranges: KeyRanges,
    is_truncating: bool,
    /// Set when rows were completed from the table: the snapshot they were read at.
    completed_at: Option<i64>,
    write: WriteOptions,
    prefix: String,
}

impl Merge {
    /// Keys it touches; after a truncate, those touched since.
    pub fn touched_keys(&self) -> u64 {
        self.inner.keys.len() as u64
    }

    /// Rows it adds to the table, each the latest of its key.
    pub fn rows(&self) -> u64 {
        self.inner.rows
    }

    /// Its data files.
    pub fn files(&self) -> &[WrittenFile] {
        &self.inner.files
    }

    /// Whether everything that was there before goes.
    pub fn is_truncating(&self) -> bool {
        self.inner.is_truncating
    }

    /// Whether it changes nothing at all.
    pub fn is_empty(&self) -> bool {
        self.inner.keys.is_empty() && !self.inner.is_truncating
    }

    /// Addresses of everything it has written.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let data = self.inner.files.iter().map(|file| file.path.clone());
        data.chain(self.inner.deletes.iter().map(|(file, _spec)| file.file_path().to_owned()))
            .collect()
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Merge")
            .field("files", &self.inner.files.len())
            .field("rows", &self.inner.rows)
            .field("touched_keys", &self.inner.keys.len())
            .field("is_truncating", &self.inner.is_truncating)
            .finish_non_exhaustive()
    }
}
