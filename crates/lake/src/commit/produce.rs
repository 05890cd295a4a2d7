//! The one place that makes a snapshot: manifests, manifest list and summary, for every operation.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use iceberg::io::FileIO;
use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, ManifestContentType, ManifestFile, ManifestListWriter,
    ManifestWriter, ManifestWriterBuilder, Operation as SnapshotOperation, Snapshot,
    SnapshotReference, SnapshotRetention, Summary,
};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use super::change::Change;
use super::edit::{Added, Edit, Removed};
use super::{Commit, Operation};
use crate::error::{Error, ErrorKind, Result};
use crate::live;
use crate::table::{COMMIT_ID_KEY, POSITION_KEY, STATE_PREFIX, head, state_at, state_tag};

/// From this number of manifests on, small ones are gathered.
const MANY_MANIFESTS: usize = 100;
const SMALL_MANIFEST_BYTES: i64 = 8 << 20;
/// Entries of a gathered manifest, at most.
const MOST_ENTRIES: usize = 20_000;

/// A change that is written but not published.
pub(crate) struct Staged {
    pub(crate) updates: Vec<TableUpdate>,
    pub(crate) requirements: Vec<TableRequirement>,
    /// Addresses of the files written for it, to sync before and to delete after a lost try.
    pub(crate) written: Vec<String>,
}

/// What tells one try of one commit from all others.
pub(crate) struct Label<'a> {
    pub(crate) commit_id: &'a str,
    pub(crate) attempt: u32,
    pub(crate) now: SystemTime,
}

/// Refuses tables and commits that no snapshot is made of.
pub(crate) fn check(base: &Table, commit: &Commit) -> Result<()> {
    if base.metadata().format_version() != FormatVersion::V2 {
        return Err(Error::new(ErrorKind::SchemaConflict)
            .with("format version", base.metadata().format_version())
            .with("reason", "only tables of format version 2 are written"));
    }
    if commit.branch.as_deref() == Some(MAIN_BRANCH) {
        return Err(Error::new(ErrorKind::Unexpected)
            .with("branch", MAIN_BRANCH)
            .with("reason", "the table itself is not named as a branch"));
    }
    if let Some(key) = commit.state.keys().find(|key| !key.starts_with(STATE_PREFIX)) {
        return Err(Error::new(ErrorKind::Unexpected)
            .with("state key", key)
            .with("reason", "keys of the state start with ol."));
    }
    Ok(())
}

/// Builds the snapshot of `commit` on top of `base`. On failure what was written is deleted.
///
/// `written` names files that were written for this base before.
pub(crate) async fn stage(
    base: &Table,
    commit: &Commit,
    edit: Edit,
    written: Vec<String>,
    label: &Label<'_>,
) -> Result<Staged> {
    let mut producer = Producer::new(base, commit, label, written);
    match Box::pin(producer.produce(edit)).await {
        Ok(snapshot) => Ok(Staged {
            updates: producer.updates(snapshot),
            requirements: producer.requirements(),
            written: producer.written,
        }),
        Err(error) => {
            for address in &producer.written {
                if let Err(error) = base.file_io().delete(address).await {
                    tracing::warn!(file = address, %error, "an unfinished file could not be deleted");
                }
            }
            Err(error)
        }
    }
}

struct Producer<'a> {
    base: &'a Table,
    file_io: &'a FileIO,
    commit: &'a Commit,
    label: &'a Label<'a>,
    /// The snapshot this one follows.
    head: Option<i64>,
    snapshot_id: i64,
    written: Vec<String>,
    manifests: Vec<ManifestFile>,
    change: Change,
}

impl<'a> Producer<'a> {
    fn new(
        base: &'a Table,
        commit: &'a Commit,
        label: &'a Label<'a>,
        written: Vec<String>,
    ) -> Self {
        Self {
            base,
            file_io: base.file_io(),
            commit,
            label,
            head: head(base.metadata(), commit.branch.as_deref()),
            snapshot_id: new_snapshot_id(base),
            written,
            manifests: Vec::new(),
            change: Change::default(),
        }
    }

    async fn produce(&mut self, edit: Edit) -> Result<Snapshot> {
        self.add(ManifestContentType::Data, &edit.files).await?;
        self.add(ManifestContentType::Deletes, &edit.deletes).await?;
        fail::fail_point!("lake.commit.manifest_written");
        let metadata = self.base.metadata();
        let parent = self.head;
        let before = match edit.manifests {
            Some(manifests) => manifests,
            None => live::manifests(self.base, parent).await?,
        };
        self.keep(before, &edit.removed, edit.gathers).await?;
        let list = format!(
            "{}/metadata/snap-{}-{}-{}.avro",
            metadata.location(),
            self.snapshot_id,
            self.label.attempt,
            self.label.commit_id
        );
        self.written.push(list.clone());
        let output = self.file_io.new_output(&list).map_err(unwritable)?;
        let mut writer = ManifestListWriter::v2(
            output.writer().await.map_err(unwritable)?,
            self.snapshot_id,
            parent,
            metadata.next_sequence_number(),
        );
        writer.add_manifests(self.manifests.drain(..)).map_err(unexpected)?;
        writer.close().await.map_err(unwritable)?;
        let schema_id = match &self.commit.schema_change {
            Some(change) => change.schema().schema_id(),
            None => metadata.current_schema_id(),
        };
        Ok(Snapshot::builder()
            .with_snapshot_id(self.snapshot_id)
            .with_parent_snapshot_id(parent)
            .with_sequence_number(metadata.next_sequence_number())
            .with_timestamp_ms(timestamp_ms(self.label.now).max(metadata.last_updated_ms()))
            .with_manifest_list(list)
            .with_summary(self.summary(edit.operation))
            .with_schema_id(schema_id)
            .build())
    }

    fn manifest(&mut self, content: ManifestContentType, spec_id: i32) -> Result<ManifestWriter> {
        let metadata = self.base.metadata();
        let address = format!(
            "{}/metadata/{}-{}-m{}.avro",
            metadata.location(),
            self.label.commit_id,
            self.label.attempt,
            self.written.len()
        );
        let spec = metadata.partition_spec_by_id(spec_id).ok_or_else(|| {
            Error::new(ErrorKind::CatalogCorrupt)
                .with("partition spec", spec_id)
                .with("reason", "a manifest was written under a partition spec the table lacks")
        })?;
        // Entries of an older partition spec may refer to columns of an older schema; all identifiers stay known.
        let schema = match &self.commit.schema_change {
            Some(change) => change.schema().clone(),
            None => metadata.current_schema().clone(),
        };
        let output = self.file_io.new_output(&address).map_err(unwritable)?;
        self.written.push(address);
        let builder = ManifestWriterBuilder::new(
            output,
            Some(self.snapshot_id),
            schema,
            spec.as_ref().clone(),
        );
        Ok(match content {
            ManifestContentType::Data => builder.build_v2_data(),
            ManifestContentType::Deletes => builder.build_v2_deletes(),
        })
    }

    /// One manifest for the new files of each partition spec.
    async fn add(&mut self, content: ManifestContentType, files: &[Added]) -> Result<()> {
        let mut writers: BTreeMap<i32, ManifestWriter> = BTreeMap::new();
        for file in files {
            let writer = match writers.entry(file.spec_id) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(vacant) => vacant.insert(self.manifest(content, file.spec_id)?),
            };
            // A negative number: the file takes the sequence number of this snapshot.
            let sequence_number = file.sequence_number.unwrap_or(-1);
            writer.add_file(file.data_file.clone(), sequence_number).map_err(unexpected)?;
            self.change.added.count(&file.data_file);
        }
        for writer in writers.into_values() {
            self.manifests.push(writer.write_manifest_file().await.map_err(unwritable)?);
        }
        Ok(())
    }

    /// Takes the manifests of the base over. One that names a removed file is written anew, and the file becomes a
    /// tombstone of this snapshot, so that readers of changes see what went. When there are very many manifests, the
    /// small ones are written anew as one, too: every reader opens all of them.
    async fn keep(
        &mut self,
        before: Vec<ManifestFile>,
        removed: &Removed,
        gathers: bool,
    ) -> Result<()> {
        let nothing = HashSet::new();
        let mut groups: BTreeMap<(i32, bool), (ManifestWriter, usize)> = BTreeMap::new();
        let live = before.iter().filter(|manifest| is_live(manifest)).count();
        let many = gathers || live >= MANY_MANIFESTS;
        for (index, manifest) in before.into_iter().enumerate() {
            if !is_live(&manifest) {
                continue;
            }
            let gone = match removed {
                Removed::Nothing => Some(&nothing),
                Removed::All => None,
                Removed::Files(files) => Some(files.get(&index).unwrap_or(&nothing)),
            };
            let is_whole = gone.is_some_and(HashSet::is_empty);
            if is_whole && !(many && is_small(&manifest)) {
                self.manifests.push(manifest);
                continue;
            }
            let loaded = manifest.load_manifest(self.file_io).await.map_err(unreadable)?;
            let key = (manifest.partition_spec_id, manifest.content == ManifestContentType::Data);
            for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
                let is_full = groups.get(&key).is_some_and(|(_writer, n)| *n >= MOST_ENTRIES);
                if is_full && let Some((full, _entries)) = groups.remove(&key) {
                    self.manifests.push(full.write_manifest_file().await.map_err(unwritable)?);
                }
                let (writer, entries) = match groups.entry(key) {
                    Entry::Occupied(open) => open.into_mut(),
                    Entry::Vacant(vacant) => {
                        vacant.insert((self.manifest(manifest.content, key.0)?, 0))
                    }
                };
                *entries += 1;
                let lacks = |what: &str| {
                    Error::new(ErrorKind::CatalogCorrupt)
                        .with("manifest", &manifest.manifest_path)
                        .with("reason", format!("a file has no {what}"))
                };
                let sequence_number =
                    entry.sequence_number().ok_or_else(|| lacks("sequence number"))?;
                let file = entry.data_file().clone();
                if gone.is_none_or(|gone| gone.contains(file.file_path())) {
                    self.change.removed.count(&file);
                    writer
                        .add_delete_file(file, sequence_number, entry.file_sequence_number)
                        .map_err(unexpected)?;
                } else {
                    let snapshot_id = entry.snapshot_id().ok_or_else(|| lacks("snapshot"))?;
                    writer
                        .add_existing_file(
                            file,
                            snapshot_id,
                            sequence_number,
                            entry.file_sequence_number,
                        )
                        .map_err(unexpected)?;
                }
            }
        }
        for (writer, _entries) in groups.into_values() {
            self.manifests.push(writer.write_manifest_file().await.map_err(unwritable)?);
        }
        Ok(())
    }

    fn summary(&self, operation: SnapshotOperation) -> Summary {
        let metadata = self.base.metadata();
        let before = self.head.and_then(|head| metadata.snapshot_by_id(head));
        let mut properties = self.change.counts(before.map(|snapshot| snapshot.summary()));
        properties.insert("engine-name".to_owned(), "ol-flows".to_owned());
        if matches!(self.commit.operation, Operation::Rewrite(_) | Operation::Gather) {
            // The rows are where they were, and so is the table.
            properties.extend(state_at(metadata, self.head));
        }
        let state = self.commit.state.iter().map(|(key, value)| (key.clone(), value.clone()));
        properties.extend(state);
        properties.insert(COMMIT_ID_KEY.to_owned(), self.label.commit_id.to_owned());
        Summary { operation, additional_properties: properties }
    }

    fn branch(&self) -> &str {
        self.commit.branch.as_deref().unwrap_or(MAIN_BRANCH)
    }

    fn updates(&self, snapshot: Snapshot) -> Vec<TableUpdate> {
        let mut updates =
            self.commit.schema_change.as_ref().map(|c| c.updates()).unwrap_or_default();
        let retention = SnapshotRetention::branch(None, None, None);
        let carries_state = snapshot.summary().additional_properties.contains_key(POSITION_KEY);
        updates.push(TableUpdate::AddSnapshot { snapshot });
        updates.push(TableUpdate::SetSnapshotRef {
            ref_name: self.branch().to_owned(),
            reference: SnapshotReference::new(self.snapshot_id, retention),
        });
        if self.commit.branch.is_none() && carries_state {
            updates.push(state_tag(self.snapshot_id));
        }
        if !self.commit.table_properties.is_empty() {
            let properties = self.commit.table_properties.iter();
            updates.push(TableUpdate::SetProperties {
                updates: properties.map(|(key, value)| (key.clone(), value.clone())).collect(),
            });
        }
        updates
    }

    fn requirements(&self) -> Vec<TableRequirement> {
        let metadata = self.base.metadata();
        let mut requirements =
            self.commit.schema_change.as_ref().map(|c| c.requirements()).unwrap_or_default();
        requirements.push(TableRequirement::UuidMatch { uuid: metadata.uuid() });
        // On a table without a snapshot this requires that there still is none.
        requirements.push(TableRequirement::RefSnapshotIdMatch {
            r#ref: self.branch().to_owned(),
            snapshot_id: self.head,
        });
        requirements
    }
}

/// Whether the manifest names anything that is alive.
fn is_live(manifest: &ManifestFile) -> bool {
    manifest.has_added_files() || manifest.has_existing_files()
}

/// Whether the manifest is worth being gathered with others.
pub(crate) fn is_small(manifest: &ManifestFile) -> bool {
    is_live(manifest) && manifest.manifest_length < SMALL_MANIFEST_BYTES
}

/// A positive number the table has not used.
fn new_snapshot_id(base: &Table) -> i64 {
    loop {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        let candidate = i64::try_from((high ^ low) >> 1).expect("63 bits fit");
        if candidate != 0 && base.metadata().snapshot_by_id(candidate).is_none() {
            return candidate;
        }
    }
}

fn timestamp_ms(now: SystemTime) -> i64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn unwritable(error: iceberg::Error) -> Error {
    Error::from_iceberg(ErrorKind::WarehouseUnwritable, error)
}

fn unreadable(error: iceberg::Error) -> Error {
    Error::from_iceberg(ErrorKind::WarehouseUnreadable, error)
}

fn unexpected(error: iceberg::Error) -> Error {
    Error::from_iceberg(ErrorKind::Unexpected, error)
}
