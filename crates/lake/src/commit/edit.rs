//! What one commit changes in the set of live files, in the one form the snapshot producer takes.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{DataFile, ManifestFile, Operation as SnapshotOperation, SchemaRef};
use iceberg::table::Table;
use tokio::runtime::Handle;

use crate::write::WrittenFile;

/// What a change is worked out on.
#[derive(Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) table: &'a Table,
    /// The snapshot the commit follows.
    pub(crate) head: Option<i64>,
    /// The schema the table has after the commit.
    pub(crate) schema: &'a SchemaRef,
    pub(crate) runtime: &'a Handle,
}

/// A file that becomes alive.
pub(crate) struct Added {
    pub(crate) data_file: DataFile,
    pub(crate) spec_id: i32,
    /// The data sequence number; `None` takes that of the snapshot.
    pub(crate) sequence_number: Option<i64>,
}

impl Added {
    pub(crate) fn data(file: &WrittenFile) -> Self {
        Self { data_file: file.data_file.clone(), spec_id: file.spec_id, sequence_number: None }
    }
}

/// Files that are alive in the base and not after the commit.
pub(crate) enum Removed {
    Nothing,
    All,
    /// Paths, by the index of their manifest in [`Edit::manifests`].
    Files(HashMap<usize, HashSet<String>>),
}

/// One change of the set of live files.
pub(crate) struct Edit {
    pub(crate) operation: SnapshotOperation,
    pub(crate) files: Vec<Added>,
    pub(crate) deletes: Vec<Added>,
    pub(crate) removed: Removed,
    /// Small manifests are gathered, however few they are.
    pub(crate) gathers: bool,
    /// The manifests of the base, when the edit has read them.
    pub(crate) manifests: Option<Vec<ManifestFile>>,
}

impl Edit {
    pub(crate) fn new(operation: SnapshotOperation) -> Self {
        Self {
            operation,
            files: Vec::new(),
            deletes: Vec::new(),
            removed: Removed::Nothing,
            gathers: false,
            manifests: None,
        }
    }
}
