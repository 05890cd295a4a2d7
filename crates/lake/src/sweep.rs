//! Files nothing refers to, and how they go.
//!
//! A run that is killed leaves files: data files that were never committed, manifests and metadata of a commit that
//! did not reach the catalog, a folder of a table that was never entered. All of them are under the folder of their
//! table, so listing it and taking away what any snapshot can reach finds every one, whatever its name.
//!
//! A file that is deleted must be referred to by *no* table of the catalog, not only by none of its folder's. Tables may
//! share a folder (registered under two names), stand in the folder of another one, or refer to files far from their own
//! folder (files that were added as they are). So a sweep knows the folders of all tables of all namespaces; what stands
//! in the folder of an inner table is left to that one; and every reference that leads out of its table's folder, or
//! into a folder that is shared, is a *claim* that no sweep touches. Claims of the namespace's own tables come from the
//! look at them; those of all other tables are read when there is anything to delete.
//!
//! A file that is young may belong to a run that is still going, which no table refers to yet. The limit must be longer
//! than the longest run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt};
use iceberg::table::Table;

use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::storage::{self, Listed};
use crate::table::TableName;

/// Tables that are looked at together for their claims.
const LOOKS: usize = 8;
/// Where tables without a catalog keep the number of their current metadata file; nothing refers to it.
const VERSION_HINT: &str = "/version-hint.text";

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

/// A look for orphans over a namespace.
#[derive(Debug)]
pub struct Sweep {
    lake: Lake,
    namespace: String,
    older_than: Duration,
    now: SystemTime,
    /// The folders of all tables of the catalog, without a slash at the end.
    folders: BTreeMap<TableName, BTreeSet<String>>,
    /// The tables of each of these folders.
    owners: HashMap<String, Vec<TableName>>,
    /// Why some tables are not among them.
    unseen: Option<String>,
}

/// What a look at one table shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Files that nothing in the table refers to.
    pub orphans: Vec<Orphan>,
    /// Files that the table claims in folders of others.
    pub claims: BTreeSet<String>,
}

impl Lake {
    /// Begins a sweep of files that were last written at least `older_than` before `now`.
    ///
    /// What hinders it from seeing all tables of the catalog is told by [`Sweep::claims_of_others`], so that a look at the
    /// namespace is possible all the same.
    ///
    /// # Errors
    /// The catalog's, when it does not list the namespace itself.
    pub async fn sweep(
        &self,
        namespace: &str,
        older_than: Duration,
        now: SystemTime,
    ) -> Result<Sweep> {
        let mut unseen = None;
        let mut all = self.catalog().list(namespace).await?;
        let namespaces = match self.catalog().namespaces().await {
            Ok(namespaces) => namespaces,
            Err(error) => {
                unseen = Some(error);
                Vec::new()
            }
        };
        for other in namespaces.iter().filter(|other| *other != namespace) {
            match self.catalog().list(other).await {
                Ok(tables) => all.extend(tables),
                Err(error) => unseen = Some(error.with("namespace", other)),
            }
        }
        let finding = futures::stream::iter(all).map(|(name, location)| async move {
            let found = self.folders_of(&name, location).await;
            (name, found)
        });
        let mut finding = finding.buffer_unordered(LOOKS);
        let mut folders: BTreeMap<TableName, BTreeSet<String>> = BTreeMap::new();
        while let Some((name, found)) = finding.next().await {
            let found = found.unwrap_or_else(|error| {
                unseen = Some(error.with("table", &name));
                BTreeSet::new()
            });
            folders.insert(name, found);
        }
        drop(finding);
        let mut owners: HashMap<String, Vec<TableName>> = HashMap::new();
        for (name, folder) in
            folders.iter().flat_map(|(name, of)| of.iter().map(move |it| (name, it)))
        {
            owners.entry(folder.clone()).or_default().push(name.clone());
        }
        let namespace = namespace.to_owned();
        let unseen = unseen.map(|error| error.to_string());
        Ok(Sweep { lake: self.clone(), namespace, older_than, now, folders, owners, unseen })
    }

    /// The folder in which the metadata file of a table stands, and the one that the table says it has where the file
    /// has to be read anyway.
    async fn folders_of(
        &self,
        name: &TableName,
        location: Option<String>,
    ) -> Result<BTreeSet<String>> {
        let mut folders = BTreeSet::new();
        let location = match location {
            Some(location) => location,
            None => {
                let Some(table) = self.load_inner(name).await? else { return Ok(folders) };
                folders.insert(folder(table.metadata().location()));
                table.metadata_location().unwrap_or_default().to_owned()
            }
        };
        let location = storage::canonical(&location);
        folders.extend(ancestors(&location).nth(1).map(str::to_owned));
        Ok(folders)
    }

    /// Files under the folder of a table that nothing in the table refers to and that were last written at least
    /// `older_than` before `now`, in order of path. What other tables refer to is not looked at: see [`Lake::sweep`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], and those of reading the folder and the manifests.
    pub async fn orphans(
        &self,
        name: &TableName,
        older_than: Duration,
        now: SystemTime,
    ) -> Result<Vec<Orphan>> {
        let looked = self.look(name).await?;
        let (files, reachable) =
            looked.ok_or_else(|| Error::new(ErrorKind::NotFound).with("table", name))?;
        let orphans = files
            .into_iter()
            .filter(|file| !reachable.contains(&file.address) && file.is_older(older_than, now));
        Ok(orphans.map(Listed::into_orphan).collect())
    }

    /// The files in the folder of a table, and all that the table refers to; `None` when there is no such table.
    async fn look(&self, name: &TableName) -> Result<Option<(Vec<Listed>, BTreeSet<String>)>> {
        let Some(before) = self.load_inner(name).await? else { return Ok(None) };
        let files = self.storage().list(before.metadata().location()).await?;
        // What was committed during the listing must not look like an orphan, so the table is read after it.
        let Some(table) = self.load_inner(name).await? else { return Ok(None) };
        let mut reachable = reachable(&table).await.map_err(|error| error.with("table", name))?;
        if let Some(entry) = before.metadata_location() {
            reachable.insert(storage::canonical(entry));
        }
        Ok(Some((files, reachable)))
    }

    /// Deletes the files and says how many bytes they had. A file that is already gone counts as deleted.
    ///
    /// # Errors
    /// That of the first file that cannot be deleted; the others may be gone.
    pub async fn delete_orphans(&self, orphans: &[Orphan]) -> Result<u64> {
        let addresses: Vec<String> = orphans.iter().map(|orphan| orphan.path.clone()).collect();
        fail::fail_point!("lake.sweep.decided");
        self.storage().delete_many(&addresses).await?;
        fail::fail_point!("lake.sweep.deleted");
        Ok(orphans.iter().map(|orphan| orphan.bytes).sum())
    }
}

impl Sweep {
    /// The tables of the namespace, in order.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.folders.keys().filter(|name| name.namespace == self.namespace)
    }

    /// Looks at a table of the namespace. Nothing is found for one that was dropped meanwhile.
    ///
    /// # Errors
    /// Those of reading the folder and the manifests.
    pub async fn look(&self, name: &TableName) -> Result<Looked> {
        let Some((files, reachable)) = self.lake.look(name).await? else {
            return Ok(Looked::default());
        };
        let own = self.folders.get(name).cloned().unwrap_or_default();
        let is_inner = |address: &str| {
            ancestors(address)
                .take_while(|folder| !own.contains(*folder))
                .any(|folder| self.belongs_to_other(name, folder))
        };
        let orphans = files.into_iter().filter(|file| {
            !reachable.contains(&file.address)
                && !file.address.ends_with(VERSION_HINT)
                && file.is_older(self.older_than, self.now)
                && !is_inner(&file.address)
        });
        let orphans = orphans.map(Listed::into_orphan).collect();
        Ok(Looked { orphans, claims: self.claims_among(name, reachable) })
    }

    /// Files in folders of the namespace that belong to no table of the catalog, such as those of a run killed while
    /// it created a table, or of a table that was dropped.
    ///
    /// # Errors
    /// Those of reading the folder.
    pub async fn without_table(&self) -> Result<Vec<Orphan>> {
        let folder = self.lake.warehouse().namespace_folder(&self.namespace);
        let files = self.lake.storage().list(&folder).await?;
        let lost = files.into_iter().filter(|file| {
            !ancestors(&file.address).any(|folder| self.owners.contains_key(folder))
                && file.is_older(self.older_than, self.now)
        });
        Ok(lost.map(Listed::into_orphan).collect())
    }

    /// What the tables claim that were not looked at: those of other namespaces, and of this one those not `looked`.
    ///
    /// # Errors
    /// Those of reading their manifests, and [`ErrorKind::CatalogRefused`] when the catalog did not show all tables: a
    /// sweep that cannot see all claims must not delete.
    pub async fn claims_of_others(&self, looked: &BTreeSet<&str>) -> Result<BTreeSet<String>> {
        if let Some(reason) = &self.unseen {
            return Err(Error::new(ErrorKind::CatalogRefused).with("reason", reason));
        }
        let is_looked = |name: &TableName| {
            name.namespace == self.namespace && looked.contains(name.name.as_str())
        };
        let others = self.folders.keys().filter(|name| !is_looked(name));
        let looking =
            futures::stream::iter(others.cloned().collect::<Vec<_>>()).map(|name| async move {
                let Some(table) = self.lake.load_inner(&name).await? else {
                    return Ok(BTreeSet::new());
                };
                let reachable =
                    reachable(&table).await.map_err(|error| error.with("table", &name))?;
                Ok::<_, Error>(self.claims_among(&name, reachable))
            });
        looking
            .buffer_unordered(LOOKS)
            .try_fold(BTreeSet::new(), |mut all, claims| async move {
                all.extend(claims);
                Ok(all)
            })
            .await
    }

    /// References that lead out of the folder of their table, or into one that others have, too.
    fn claims_among(&self, name: &TableName, reachable: BTreeSet<String>) -> BTreeSet<String> {
        let own = self.folders.get(name).cloned().unwrap_or_default();
        let is_alone = |address: &str| {
            ancestors(address).any(|folder| own.contains(folder))
                && !ancestors(address).any(|folder| self.belongs_to_other(name, folder))
        };
        reachable.into_iter().filter(|address| !is_alone(address)).collect()
    }

    fn belongs_to_other(&self, name: &TableName, folder: &str) -> bool {
        self.owners.get(folder).is_some_and(|owners| owners.iter().any(|owner| owner != name))
    }
}

/// The folder of an address as folders are compared.
fn folder(address: &str) -> String {
    storage::canonical(address).trim_end_matches('/').to_owned()
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
