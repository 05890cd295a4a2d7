//! Files nothing refers to, and how they go.
//!
//! A run that is killed leaves files: data files that were never committed, manifests and metadata of a commit that
//! did not reach the catalog, a folder of a table that was never entered. All of them are under the folder of their
//! table, so listing it and taking away what any snapshot can reach finds every one, whatever its name.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use iceberg::table::Table;

use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::storage::{self, Listed};
use crate::table::TableName;

/// A file no table refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// Its address.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

impl Lake {
    /// Files under the folder of a table that nothing in the table refers to and that were last written at least
    /// `older_than` before `now`, in order of path.
    ///
    /// `older_than` must be longer than the longest run: the files of a run that is still going are orphans, too.
    pub async fn orphans(
        &self,
        name: &TableName,
        older_than: Duration,
        now: SystemTime,
    ) -> Result<Vec<Orphan>> {
        let Some(before) = self.load_inner(name).await? else {
            return Err(Error::new(ErrorKind::NotFound).with("table", name));
        };
        let files = self.storage().list(before.metadata().location()).await?;
        // What was committed during the listing must not look like an orphan, so the table is read after it.
        let Some(table) = self.load_inner(name).await? else {
            return Err(Error::new(ErrorKind::NotFound).with("table", name));
        };
        let mut reachable = reachable(&table).await.map_err(|error| error.with("table", name))?;
        if let Some(entry) = before.metadata_location() {
            reachable.insert(storage::canonical(entry));
        }
        Ok(files
            .into_iter()
            .filter(|file| !reachable.contains(&file.address) && file.is_older(older_than, now))
            .map(Listed::into_orphan)
            .collect())
    }

    /// Files in folders of the namespace that belong to no table of the catalog, such as those of a run killed while
    /// it created a table, or of a table that was dropped.
    pub async fn orphan_tables(
        &self,
        namespace: &str,
        older_than: Duration,
        now: SystemTime,
    ) -> Result<Vec<Orphan>> {
        let files = self.storage().list(&self.warehouse().namespace_folder(namespace)).await?;
        let mut folders = BTreeSet::new();
        for (name, _location) in self.catalog().list(namespace).await? {
            // The folder the table says it has, and the one its current metadata file stands in.
            let Some(table) = self.load_inner(&name).await? else { continue };
            let folder = storage::canonical(table.metadata().location());
            folders.insert(folder.trim_end_matches('/').to_owned());
            let metadata = storage::canonical(table.metadata_location().unwrap_or_default());
            if let Some(folder) = ancestors(&metadata).nth(1) {
                folders.insert(folder.to_owned());
            }
        }
        Ok(files
            .into_iter()
            .filter(|file| {
                !ancestors(&file.address).any(|folder| folders.contains(folder))
                    && file.is_older(older_than, now)
            })
            .map(Listed::into_orphan)
            .collect())
    }

    /// Deletes the files and says how many bytes they had. A file that is already gone counts as deleted.
    pub async fn delete_orphans(&self, orphans: &[Orphan]) -> Result<u64> {
        let addresses: Vec<String> = orphans.iter().map(|orphan| orphan.path.clone()).collect();
        self.storage().delete_many(&addresses).await?;
        Ok(orphans.iter().map(|orphan| orphan.bytes).sum())
    }
}

/// The folders an address is in, from the inside out.
fn ancestors(address: &str) -> impl Iterator<Item = &str> {
    address.rmatch_indices('/').filter_map(|(at, _slash)| address.get(..at))
}

/// Everything any snapshot, log or statistics entry of the table refers to, and its current metadata file.
async fn reachable(table: &Table) -> Result<BTreeSet<String>> {
    let unreadable = |error| Error::from_iceberg(ErrorKind::WarehouseUnreadable, error);
    let metadata = table.metadata();
    let mut found = BTreeSet::new();
    let mut add = |address: &str| found.insert(storage::canonical(address));
    if let Some(location) = table.metadata_location() {
        add(location);
    }
    for entry in metadata.metadata_log() {
        add(&entry.metadata_file);
    }
    for statistics in metadata.statistics_iter() {
        add(&statistics.statistics_path);
    }
    for statistics in metadata.partition_statistics_iter() {
        add(&statistics.statistics_path);
    }
    for snapshot in metadata.snapshots() {
        add(snapshot.manifest_list());
        let list = table.manifest_list_reader(snapshot).load().await.map_err(unreadable)?;
        for manifest in list.entries() {
            // Manifests are shared between snapshots; each is read once.
            if !add(&manifest.manifest_path) {
                continue;
            }
            let manifest = manifest.load_manifest(table.file_io()).await.map_err(unreadable)?;
            for entry in manifest.entries() {
                // Files of tombstones are still read by the snapshots before; once those expire, they are orphans.
                if entry.is_alive() {
                    add(entry.file_path());
                }
            }
        }
    }
    Ok(found)
}

impl Listed {
    fn is_older(&self, age: Duration, now: SystemTime) -> bool {
        // A file from the future is young.
        now.duration_since(self.modified).is_ok_and(|passed| passed >= age)
    }

    fn into_orphan(self) -> Orphan {
        Orphan { path: self.address, bytes: self.bytes, modified: self.modified }
    }
}
