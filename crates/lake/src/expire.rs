//! Old snapshots go, and with them the files that only they reach.
//!
//! Which snapshots stay follows the specification ("Snapshot Retention Policy"): of each branch the newest few and all
//! that are young, of each tag its one, and of what no reference reaches, what is young. Two things are kept beside
//! that. The chain from the head of a branch to the nearest snapshot that carries our position: without it the next run
//! would find a table that knows no position, and read all of it again. And the snapshot that is current, whatever
//! its age.
//!
//! The order makes it safe to be killed anywhere. First the catalog is told, with the requirement that every reference
//! is where it was; only then are files deleted, and only those that no snapshot of the table *as committed* reaches. A
//! process that dies in between leaves files that nothing refers to, which the sweep of orphans takes. Nobody can come
//! to need such a file afterwards: a new snapshot is built on one that is kept.
//!
//! The manifests of a snapshot that goes are mostly those of its successors, so they are compared by path first; entries
//! are read of those alone that only expired snapshots have, and of the kept ones only when such entries were found.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{MAIN_BRANCH, ManifestFile, SnapshotRef, SnapshotRetention, TableMetadata};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use crate::commit::produce::Staged;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::table::{LakeTable, SnapshotInfo, ancestors, references};

/// Property: how old a snapshot may get, in milliseconds.
const MAX_SNAPSHOT_AGE: &str = "history.expire.max-snapshot-age-ms";
/// Property: how many snapshots of a branch stay, whatever their age.
const MIN_SNAPSHOTS: &str = "history.expire.min-snapshots-to-keep";
const MAX_REFERENCE_AGE: &str = "history.expire.max-ref-age-ms";

/// How old a snapshot may get where neither the caller nor the table says.
const AGE: Duration = Duration::from_secs(7 * 86_400);
/// Lists and manifests that are read at the same time.
const READS: usize = 8;

/// Which snapshots go. What is `None` is as the table's properties say, and else 7 days and 1 snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireOptions {
    /// Snapshots of this age and older go.
    pub older_than: Option<Duration>,
    /// So many snapshots of each branch stay, whatever their age.
    pub keep: Option<usize>,
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Snapshots.
    pub snapshots: u64,
    /// Branches and tags whose own time was over.
    pub references: Vec<String>,
    /// Files that only these reached: data, delete, manifest, list and statistics files.
    pub files: u64,
    /// Bytes of the data, delete and manifest files among them.
    pub bytes: u64,
}

/// What is to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plan {
    snapshots: BTreeSet<i64>,
    references: Vec<String>,
}

impl Lake {
    /// What [`Lake::expire`] would take out of the table's history; files are not counted.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] for metadata that does not list its references.
    pub fn expirable(&self, table: &LakeTable, options: ExpireOptions) -> Result<Expired> {
        let plan = plan(table.inner().metadata(), options, self.clock().now())?;
        Ok(Expired {
            snapshots: plan.snapshots.len() as u64,
            references: plan.references,
            ..Expired::default()
        })
    }

    /// Takes old snapshots out of the table and deletes the files that only they reach.
    ///
    /// A file that cannot be deleted is left to the sweep of orphans.
    ///
    /// # Errors
    /// Those of [`Lake::commit`], and [`ErrorKind::WarehouseUnreadable`] for a manifest that cannot be read; the
    /// snapshots are then out of the table, and its files are orphans.
    pub async fn expire(&self, table: &LakeTable, options: ExpireOptions) -> Result<Expired> {
        let mut planned: Option<(Table, Plan)> = None;
        let now = self.clock().now();
        let expire = |base: &Table| -> Result<Option<Staged>> {
            let plan = plan(base.metadata(), options, now)?;
            if plan.snapshots.is_empty() && plan.references.is_empty() {
                return Ok(None);
            }
            let staged = staged(base.metadata(), &plan)?;
            planned = Some((base.clone(), plan));
            Ok(Some(staged))
        };
        let after = Box::pin(self.change_metadata(table, expire)).await;
        let after = after.map_err(|error| error.with("table", table.name()))?;
        let Some((before, plan)) = planned else { return Ok(Expired::default()) };
        fail::fail_point!("lake.expire.committed");
        let gone = Box::pin(left_over(&before, after.inner(), &plan))
            .await
            .map_err(|error| error.with("table", table.name()))?;
        let bytes = gone.values().sum();
        let files = gone.len() as u64;
        self.delete(gone.into_keys().collect()).await;
        Ok(Expired {
            snapshots: plan.snapshots.len() as u64,
            references: plan.references,
            files,
            bytes,
        })
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Which snapshots and references go. The rule is that of the module.
fn plan(metadata: &TableMetadata, options: ExpireOptions, now: SystemTime) -> Result<Plan> {
    let now = milliseconds(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let property =
        |key: &str| metadata.properties().get(key).and_then(|text| text.parse::<i64>().ok());
    let age = options.older_than.map(milliseconds).or_else(|| property(MAX_SNAPSHOT_AGE));
    let age = age.unwrap_or_else(|| milliseconds(AGE));
    let keep = options.keep.or_else(|| usize::try_from(property(MIN_SNAPSHOTS)?).ok()).unwrap_or(1);
    let snapshot = |id: i64| metadata.snapshot_by_id(id);
    let is_young = |it: &SnapshotRef, age: i64| it.timestamp_ms() > now.saturating_sub(age);
    let mut stays: HashSet<i64> = metadata.current_snapshot_id().into_iter().collect();
    let mut reached: HashSet<i64> = HashSet::new();
    let mut gone = Vec::new();
    for (name, reference) in references(metadata)? {
        let Some(head) = snapshot(reference.snapshot_id) else { continue };
        let (reference_age, own_age, own_keep) = match &reference.retention {
            SnapshotRetention::Branch {
                min_snapshots_to_keep,
                max_snapshot_age_ms,
                max_ref_age_ms,
            } => {
                let own_keep = min_snapshots_to_keep.and_then(|count| usize::try_from(count).ok());
                (*max_ref_age_ms, max_snapshot_age_ms.unwrap_or(age), own_keep.unwrap_or(keep))
            }
            SnapshotRetention::Tag { max_ref_age_ms } => (*max_ref_age_ms, age, 1),
        };
        let is_over = reference_age
            .or_else(|| property(MAX_REFERENCE_AGE))
            .is_some_and(|limit| !is_young(head, limit));
        if is_over && name != MAIN_BRANCH {
            gone.push(name);
            continue;
        }
        let is_branch = matches!(reference.retention, SnapshotRetention::Branch { .. });
        let mut is_kept = true;
        let to_state = is_branch.then(|| length_to_state(metadata, head.snapshot_id())).flatten();
        for (index, ancestor) in ancestors(metadata, head.snapshot_id()).enumerate() {
            reached.insert(ancestor.snapshot_id());
            is_kept &= index < own_keep.max(1) || (is_branch && is_young(ancestor, own_age));
            let is_on_the_way = to_state.is_some_and(|length| index <= length);
            if is_kept || is_on_the_way {
                stays.insert(ancestor.snapshot_id());
            }
        }
    }
    let all = metadata.snapshots().filter(|it| !stays.contains(&it.snapshot_id()));
    let snapshots = all
        .filter(|it| reached.contains(&it.snapshot_id()) || !is_young(it, age))
        .map(|it| it.snapshot_id())
        .collect();
    gone.sort();
    Ok(Plan { snapshots, references: gone })
}

/// How many steps back the nearest snapshot with a position is, if there is one.
fn length_to_state(metadata: &TableMetadata, from: i64) -> Option<usize> {
    ancestors(metadata, from).position(|it| SnapshotInfo::of(it).has_position())
}

fn staged(metadata: &TableMetadata, plan: &Plan) -> Result<Staged> {
    let mut updates: Vec<TableUpdate> = plan
        .references
        .iter()
        .map(|name| TableUpdate::RemoveSnapshotRef { ref_name: name.clone() })
        .collect();
    let with_statistics = metadata.statistics_iter().map(|it| it.snapshot_id);
    updates.extend(
        with_statistics
            .filter(|id| plan.snapshots.contains(id))
            .map(|snapshot_id| TableUpdate::RemoveStatistics { snapshot_id }),
    );
    let with_statistics = metadata.partition_statistics_iter().map(|it| it.snapshot_id);
    updates.extend(
        with_statistics
            .filter(|id| plan.snapshots.contains(id))
            .map(|snapshot_id| TableUpdate::RemovePartitionStatistics { snapshot_id }),
    );
    updates.push(TableUpdate::RemoveSnapshots {
        snapshot_ids: plan.snapshots.iter().copied().collect(),
    });
    let mut requirements = vec![TableRequirement::UuidMatch { uuid: metadata.uuid() }];
    requirements.extend(references(metadata)?.into_iter().map(|(name, reference)| {
        TableRequirement::RefSnapshotIdMatch {
            r#ref: name,
            snapshot_id: Some(reference.snapshot_id),
        }
    }));
    Ok(Staged { updates, requirements, written: Vec::new() })
}

/// Files that the expired snapshots reach and those of `after` do not, with their bytes where these are known.
async fn left_over(before: &Table, after: &Table, plan: &Plan) -> Result<BTreeMap<String, u64>> {
    let old = before.metadata().snapshots();
    let old = old.filter(|it| plan.snapshots.contains(&it.snapshot_id())).cloned().collect();
    let (old, kept) = futures::try_join!(
        manifests(before, old),
        manifests(after, after.metadata().snapshots().cloned().collect()),
    )?;
    let mut gone = BTreeMap::new();
    for snapshot in before.metadata().snapshots() {
        if plan.snapshots.contains(&snapshot.snapshot_id()) {
            gone.insert(snapshot.manifest_list().to_owned(), 0);
        }
    }
    let statistics = before.metadata().statistics_iter();
    for file in statistics.filter(|it| plan.snapshots.contains(&it.snapshot_id)) {
        gone.insert(file.statistics_path.clone(), 0);
    }
    let statistics = before.metadata().partition_statistics_iter();
    for file in statistics.filter(|it| plan.snapshots.contains(&it.snapshot_id)) {
        gone.insert(file.statistics_path.clone(), 0);
    }
    let alone: Vec<ManifestFile> = old
        .into_iter()
        .filter(|(path, _manifest)| !kept.contains_key(path))
        .map(|(_path, it)| it)
        .collect();
    let mut files = alive(before, alone.clone()).await?;
    if !files.is_empty() {
        for path in alive(after, kept.into_values().collect()).await?.into_keys() {
            files.remove(&path);
        }
    }
    gone.extend(alone.into_iter().map(|it| {
        let bytes = u64::try_from(it.manifest_length).unwrap_or(0);
        (it.manifest_path, bytes)
    }));
    gone.extend(files);
    Ok(gone)
}

/// The manifests of snapshots by their paths; each is there once.
async fn manifests(table: &Table, of: Vec<SnapshotRef>) -> Result<HashMap<String, ManifestFile>> {
    let lists = futures::stream::iter(of).map(|snapshot| async move {
        table.manifest_list_reader(&snapshot).load().await.map_err(unreadable)
    });
    let mut found = HashMap::new();
    let mut lists = lists.buffer_unordered(READS);
    while let Some(list) = lists.try_next().await? {
        let entries = list.entries().iter();
        found.extend(entries.map(|it| (it.manifest_path.clone(), it.clone())));
    }
    Ok(found)
}

/// The live files of manifests, with their bytes.
async fn alive(table: &Table, manifests: Vec<ManifestFile>) -> Result<HashMap<String, u64>> {
    let file_io = table.file_io();
    let loading = futures::stream::iter(manifests)
        .map(|it| async move { it.load_manifest(file_io).await.map_err(unreadable) });
    let mut found = HashMap::new();
    let mut loading = loading.buffer_unordered(READS);
    while let Some(manifest) = loading.try_next().await? {
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            found.insert(file.file_path().to_owned(), file.file_size_in_bytes());
        }
    }
    Ok(found)
}

fn unreadable(error: iceberg::Error) -> Error {
    Error::from_iceberg(ErrorKind::WarehouseUnreadable, error)
}
