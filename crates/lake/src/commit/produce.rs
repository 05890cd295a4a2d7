//! The one place that makes a snapshot: manifests, manifest list and summary, for every operation.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use iceberg::io::FileIO;
use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, ManifestContentType, ManifestFile, ManifestListWriter,
    ManifestWriter, ManifestWriterBuilder, Operation as SnapshotOperation, Snapshot,
    SnapshotReference, SnapshotRetention, Summary,
};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use super::{Commit, Operation};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{COMMIT_ID_KEY, STATE_PREFIX};

/// A change that is written but not published.
pub(crate) struct Staged {
    pub(crate) updates: Vec<TableUpdate>,
    pub(crate) requirements: Vec<TableRequirement>,
    /// Addresses of the files written for it, to sync before and to delete after a lost try.
    pub(crate) written: Vec<String>,
}

/// Builds the snapshot of `commit` on top of `base`. On failure what was written is deleted.
pub(crate) async fn stage(
    base: &Table,
    commit: &Commit,
    commit_id: &str,
    attempt: u32,
    now: SystemTime,
) -> Result<Staged> {
    let mut producer = Producer::new(base, commit, commit_id, attempt)?;
    match Box::pin(producer.produce(now)).await {
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
    commit_id: &'a str,
    attempt: u32,
    snapshot_id: i64,
    written: Vec<String>,
    manifests: Vec<ManifestFile>,
    change: Change,
}

/// What the summary counts.
#[derive(Default)]
struct Change {
    added_files: u64,
    added_records: u64,
    added_bytes: u64,
    removed_files: u64,
    removed_records: u64,
    removed_bytes: u64,
    removed_delete_files: u64,
}

impl<'a> Producer<'a> {
    fn new(base: &'a Table, commit: &'a Commit, commit_id: &'a str, attempt: u32) -> Result<Self> {
        if base.metadata().format_version() != FormatVersion::V2 {
            return Err(Error::new(ErrorKind::SchemaConflict)
                .with("format version", base.metadata().format_version())
                .with("reason", "only tables of format version 2 are written"));
        }
        if !base.metadata().default_partition_spec().is_unpartitioned() {
            return Err(Error::new(ErrorKind::SchemaConflict).with(
                "reason",
                "another writer partitioned the table, and files are written unpartitioned",
            ));
        }
        if let Some(key) = commit.state.keys().find(|key| !key.starts_with(STATE_PREFIX)) {
            return Err(Error::new(ErrorKind::Unexpected)
                .with("state key", key)
                .with("reason", "keys of the state start with ol."));
        }
        Ok(Self {
            base,
            file_io: base.file_io(),
            commit,
            commit_id,
            attempt,
            snapshot_id: new_snapshot_id(base),
            written: Vec::new(),
            manifests: Vec::new(),
            change: Change::default(),
        })
    }

    async fn produce(&mut self, now: SystemTime) -> Result<Snapshot> {
        self.add_files().await?;
        fail::fail_point!("lake.commit.manifest_written");
        match self.commit.operation {
            Operation::Append => self.keep_all().await?,
            Operation::Overwrite => self.remove_all().await?,
        }
        let metadata = self.base.metadata();
        let parent = metadata.current_snapshot_id();
        let list = format!(
            "{}/metadata/snap-{}-{}-{}.avro",
            metadata.location(),
            self.snapshot_id,
            self.attempt,
            self.commit_id
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
            .with_timestamp_ms(timestamp_ms(now).max(metadata.last_updated_ms()))
            .with_manifest_list(list)
            .with_summary(self.summary())
            .with_schema_id(schema_id)
            .build())
    }

    fn manifest(&mut self, content: ManifestContentType, spec_id: i32) -> Result<ManifestWriter> {
        let metadata = self.base.metadata();
        let address = format!(
            "{}/metadata/{}-{}-m{}.avro",
            metadata.location(),
            self.commit_id,
            self.attempt,
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

    async fn add_files(&mut self) -> Result<()> {
        if self.commit.files.is_empty() {
            return Ok(());
        }
        let spec_id = self.base.metadata().default_partition_spec_id();
        let mut writer = self.manifest(ManifestContentType::Data, spec_id)?;
        for file in &self.commit.files {
            // -1: the file takes the sequence number of this snapshot.
            writer.add_file(file.data_file.clone(), -1).map_err(unexpected)?;
            self.change.added_files += 1;
            self.change.added_records += file.rows;
            self.change.added_bytes += file.bytes;
        }
        self.manifests.push(writer.write_manifest_file().await.map_err(unwritable)?);
        Ok(())
    }

    async fn base_manifests(&self) -> Result<Vec<ManifestFile>> {
        let metadata = self.base.metadata();
        let Some(snapshot) = metadata.current_snapshot() else {
            return Ok(Vec::new());
        };
        let list = self.base.manifest_list_reader(snapshot).load().await.map_err(unreadable)?;
        Ok(list.entries().to_vec())
    }

    async fn keep_all(&mut self) -> Result<()> {
        let live =
            |manifest: &ManifestFile| manifest.has_added_files() || manifest.has_existing_files();
        self.manifests.extend(self.base_manifests().await?.into_iter().filter(live));
        Ok(())
    }

    /// Every live file becomes a tombstone of this snapshot, so that readers of changes see what went.
    async fn remove_all(&mut self) -> Result<()> {
        let mut groups: BTreeMap<(i32, bool), ManifestWriter> = BTreeMap::new();
        for manifest in self.base_manifests().await? {
            let loaded = manifest.load_manifest(self.file_io).await.map_err(unreadable)?;
            for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
                let key =
                    (manifest.partition_spec_id, manifest.content == ManifestContentType::Data);
                let writer = match groups.entry(key) {
                    Entry::Occupied(open) => open.into_mut(),
                    Entry::Vacant(vacant) => vacant.insert(self.manifest(manifest.content, key.0)?),
                };
                let sequence_number = entry.sequence_number().ok_or_else(|| {
                    Error::new(ErrorKind::CatalogCorrupt)
                        .with("manifest", &manifest.manifest_path)
                        .with("reason", "a file has no sequence number")
                })?;
                let file = entry.data_file().clone();
                if key.1 {
                    self.change.removed_files += 1;
                    self.change.removed_records += file.record_count();
                } else {
                    self.change.removed_delete_files += 1;
                }
                self.change.removed_bytes += file.file_size_in_bytes();
                writer
                    .add_delete_file(file, sequence_number, entry.file_sequence_number)
                    .map_err(unexpected)?;
            }
        }
        for writer in groups.into_values() {
            self.manifests.push(writer.write_manifest_file().await.map_err(unwritable)?);
        }
        Ok(())
    }

    fn summary(&self) -> Summary {
        let change = &self.change;
        let mut properties: HashMap<String, String> = HashMap::new();
        let mut count = |key: &str, value: u64| {
            if value > 0 {
                properties.insert(key.to_owned(), value.to_string());
            }
        };
        count("added-data-files", change.added_files);
        count("added-records", change.added_records);
        count("added-files-size", change.added_bytes);
        count("deleted-data-files", change.removed_files);
        count("deleted-records", change.removed_records);
        count("removed-files-size", change.removed_bytes);
        count("removed-delete-files", change.removed_delete_files);
        let before = self.base.metadata().current_snapshot();
        let is_overwrite = self.commit.operation == Operation::Overwrite;
        let mut total = |key: &str, added: u64| {
            let before: u64 = before
                .filter(|_snapshot| !is_overwrite)
                .and_then(|snapshot| snapshot.summary().additional_properties.get(key))
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            properties.insert(key.to_owned(), (before + added).to_string());
        };
        total("total-data-files", change.added_files);
        total("total-records", change.added_records);
        total("total-files-size", change.added_bytes);
        total("total-delete-files", 0);
        total("total-position-deletes", 0);
        total("total-equality-deletes", 0);
        properties.insert("engine-name".to_owned(), "ol-flows".to_owned());
        let state = self.commit.state.iter().map(|(key, value)| (key.clone(), value.clone()));
        properties.extend(state);
        properties.insert(COMMIT_ID_KEY.to_owned(), self.commit_id.to_owned());
        let operation = match self.commit.operation {
            Operation::Append => SnapshotOperation::Append,
            Operation::Overwrite => SnapshotOperation::Overwrite,
        };
        Summary { operation, additional_properties: properties }
    }

    fn updates(&self, snapshot: Snapshot) -> Vec<TableUpdate> {
        let mut updates =
            self.commit.schema_change.as_ref().map(|c| c.updates()).unwrap_or_default();
        let retention = SnapshotRetention::branch(None, None, None);
        updates.push(TableUpdate::AddSnapshot { snapshot });
        updates.push(TableUpdate::SetSnapshotRef {
            ref_name: MAIN_BRANCH.to_owned(),
            reference: SnapshotReference::new(self.snapshot_id, retention),
        });
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
            r#ref: MAIN_BRANCH.to_owned(),
            snapshot_id: metadata.current_snapshot_id(),
        });
        requirements
    }
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
