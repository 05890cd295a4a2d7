//! What a catalog is to this crate: the one place that says which metadata file of a table is current, and swaps it
//! if nobody else did.

pub(crate) mod sql;

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::table::TableName;

/// Answer to [`Catalog::insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The table is now in the catalog.
    Done,
    /// Somebody else created it first.
    Exists,
}

/// Answer to [`Catalog::swap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    /// The new metadata file is the current one.
    Done,
    /// The table's metadata file was not the expected one, or the table is gone. Nothing was changed.
    Lost,
}

/// A catalog. An error of kind [`crate::ErrorKind::CommitStateUnknown`] means that a change may have been made; any
/// other error means it was not.
#[async_trait]
pub(crate) trait Catalog: fmt::Debug + Send + Sync {
    /// Makes the namespace exist.
    async fn ensure_namespace(&self, namespace: &str) -> Result<()>;

    /// Whether the namespace exists.
    async fn has_namespace(&self, namespace: &str) -> Result<bool>;

    /// Address of the current metadata file, or `None` when there is no such table.
    async fn locate(&self, name: &TableName) -> Result<Option<String>>;

    /// The tables of a namespace in order of name, with their current metadata files.
    async fn list(&self, namespace: &str) -> Result<Vec<(TableName, String)>>;

    /// Enters a new table.
    async fn insert(&self, name: &TableName, location: &str) -> Result<Inserted>;

    /// Replaces `base` by `next`, if `base` is still the current metadata file.
    async fn swap(&self, name: &TableName, base: &str, next: &str) -> Result<Swapped>;

    /// Takes the table out of the catalog; its files stay. Says whether it was there.
    async fn remove(&self, name: &TableName) -> Result<bool>;
}
