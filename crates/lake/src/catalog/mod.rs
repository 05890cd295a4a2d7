//! What a catalog is to this crate: the one place that says which metadata file of a table is current, and swaps it
//! if nobody else did.
//!
//! Two kinds differ in who writes that file. SQL and Glue hold its address alone, so this crate writes the file and
//! then asks for the swap. A REST server is told what changes and under which requirements, writes the file itself, and
//! answers with it. [`Catalog::writes_metadata`] says which kind it is.

pub(crate) mod glue;
pub(crate) mod rest;
pub(crate) mod sql;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use iceberg::{TableRequirement, TableUpdate};
use ol_chassis::clock::Clock;

use crate::error::{Error, ErrorKind, Result};
use crate::settings::LakeSettings;
use crate::storage::lent::Lent;
use crate::table::TableName;

/// What a catalog says of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Address of the current metadata file.
    pub(crate) location: String,
    /// What is in it, where the catalog answers with that.
    pub(crate) metadata: Option<Box<TableMetadata>>,
    /// Keys to the files of the table, where the catalog lends them.
    pub(crate) lent: Option<Lent>,
}

impl Entry {
    /// An entry that is an address alone.
    pub(crate) fn at(location: String) -> Self {
        Self { location, metadata: None, lent: None }
    }
}

/// Answer to [`Catalog::insert`].
#[derive(Clone, Debug)]
pub(crate) enum Inserted {
    /// The table is now in the catalog; with its entry, where the catalog made it.
    Done(Option<Entry>),
    /// Somebody else created it first.
    Exists,
}

/// Answer to [`Catalog::swap`].
#[derive(Clone, Debug)]
pub(crate) enum Swapped {
    /// The new metadata is the current one; with its entry, where the catalog made it.
    Done(Option<Entry>),
    /// The table was not the expected one, or is gone. Nothing was changed.
    Lost,
}

/// What a table is to become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next<'a> {
    /// The table.
    pub(crate) name: &'a TableName,
    /// Address of the metadata file that the change was made on; none for a table that is new.
    pub(crate) base: Option<&'a str>,
    /// Address of the metadata file that follows, written unless the catalog writes it.
    pub(crate) location: &'a str,
    /// What is in that file.
    pub(crate) metadata: &'a TableMetadata,
    /// What must still hold of the table.
    pub(crate) requirements: &'a [TableRequirement],
    /// The steps from the base to the metadata.
    pub(crate) updates: &'a [TableUpdate],
}

/// A catalog. An error of kind [`crate::ErrorKind::CommitStateUnknown`] means that a change may have been made; any
/// other error means it was not.
#[async_trait]
pub(crate) trait Catalog: fmt::Debug + Send + Sync {
    /// Whether the catalog writes metadata files itself.
    fn writes_metadata(&self) -> bool {
        false
    }

    /// Makes the namespace exist; `location` is the folder of its tables.
    async fn ensure_namespace(&self, namespace: &str, location: &str) -> Result<()>;

    /// Whether the namespace exists.
    async fn has_namespace(&self, namespace: &str) -> Result<bool>;

    /// All namespaces, in order.
    async fn namespaces(&self) -> Result<Vec<String>>;

    /// What the catalog says of a table, or `None` when there is no such table.
    async fn load(&self, name: &TableName) -> Result<Option<Entry>>;

    /// The tables of a namespace in order of name, with their current metadata files where these are told by the way.
    /// A namespace that does not exist has none.
    async fn list(&self, namespace: &str) -> Result<Vec<(TableName, Option<String>)>>;

    /// Enters a new table.
    async fn insert(&self, new: Next<'_>) -> Result<Inserted>;

    /// Replaces the base by what follows, if it is still current.
    async fn swap(&self, next: Next<'_>) -> Result<Swapped>;

    /// Takes the table out of the catalog; its files stay. Says whether it was there.
    async fn remove(&self, name: &TableName) -> Result<bool>;
}

/// Connects to the catalog that the settings name.
pub(crate) async fn open(
    settings: &LakeSettings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Catalog>> {
    let address = &settings.catalog;
    Ok(match address.scheme() {
        "sqlite" | "postgres" | "postgresql" => Arc::new(sql::SqlCatalog::open(address).await?),
        "rest+http" | "rest+https" => {
            Arc::new(rest::RestCatalog::open(address, Arc::clone(clock)).await?)
        }
        "glue" => Arc::new(glue::GlueCatalog::open(settings, Arc::clone(clock)).await?),
        _other => {
            return Err(Error::new(ErrorKind::Settings).with("catalog", address).with(
                "reason",
                "it is none of sqlite:PATH, postgres://…, rest+https://… and glue:",
            ));
        }
    })
}
