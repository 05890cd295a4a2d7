//! A table as it was when it was loaded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_schema::SchemaRef as ArrowSchemaRef;
use iceberg::TableUpdate;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{SchemaRef, SnapshotRef, SnapshotReference, SnapshotRetention, TableMetadata};
use iceberg::table::Table;
use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind, Result};
use crate::merge::{MergeOptions, MergeWriter};
use crate::schema::evolve::SchemaChange;
use crate::schema::layout::{self, PartitionField, SortField};
use crate::schema::{LakeSchema, map};
use crate::settings::WriteOptions;
use crate::write::DataWriter;

/// Prefix of the summary keys that belong to this platform.
pub const STATE_PREFIX: &str = "ol.";
/// Summary key of the identifier of one [`crate::Lake::commit`] call.
pub const COMMIT_ID_KEY: &str = "ol.commit-id";
/// Summary key of the source position a snapshot reaches, a text that sorts like the positions.
pub const POSITION_KEY: &str = "ol.position";

/// Name of a table: the namespace (one level) and the name in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The namespace, such as `ol_warehouse_dev_raw`.
    pub namespace: String,
    /// The table.
    pub name: String,
}

impl TableName {
    /// A name from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.namespace, self.name)
    }
}

/// What a table is created from.
#[derive(Clone, Debug)]
pub struct TableDefinition {
    /// Its name; the namespace must exist.
    pub name: TableName,
    /// Its columns.
    pub schema: LakeSchema,
    /// What it holds; kept as the table property `comment`.
    pub comment: Option<String>,
    /// What divides the table into partitions; nothing leaves it in one.
    pub partition_by: Vec<PartitionField>,
    /// How rows are sorted: those of each batch that is written, within each partition.
    pub sort_by: Vec<SortField>,
    /// Table properties. They win over the defaults of this crate.
    pub properties: BTreeMap<String, String>,
}

/// The current snapshot of a table, from its summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Identifier of the snapshot.
    pub snapshot_id: i64,
    /// Sequence number of the snapshot, larger than that of every earlier one.
    pub sequence_number: i64,
    /// When it was committed, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// `append`, `overwrite`, `replace` or `delete`.
    pub operation: String,
    /// Live rows of the table at this snapshot: rows of its data files less its position deletes.
    pub records: u64,
    /// Data files of the table at this snapshot.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// The summary entries whose key starts with [`STATE_PREFIX`].
    pub state: BTreeMap<String, String>,
}

impl SnapshotInfo {
    pub(crate) fn of(snapshot: &SnapshotRef) -> Self {
        let summary = snapshot.summary();
        let total = |key: &str| -> u64 {
            summary.additional_properties.get(key).and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let state = summary
            .additional_properties
            .iter()
            .filter(|(key, _value)| key.starts_with(STATE_PREFIX))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Self {
            snapshot_id: snapshot.snapshot_id(),
            sequence_number: snapshot.sequence_number(),
            timestamp_ms: snapshot.timestamp_ms(),
            operation: summary.operation.as_str().to_owned(),
            records: total("total-records").saturating_sub(total("total-position-deletes")),
            files: total("total-data-files"),
            bytes: total("total-files-size"),
            state,
        }
    }

    /// Whether the snapshot carries the state of its table.
    pub(crate) fn has_position(&self) -> bool {
        self.state.contains_key(POSITION_KEY)
    }
}

/// A table as it was when it was loaded, possibly seen through a [`SchemaChange`] that is not committed yet.
#[derive(Clone)]
pub struct LakeTable {
    inner: Table,
    name: TableName,
    schema: SchemaRef,
    lake_schema: LakeSchema,
    arrow_schema: ArrowSchemaRef,
    properties: BTreeMap<String, String>,
    runtime: Handle,
}

impl LakeTable {
    pub(crate) fn new(inner: Table, name: TableName, runtime: Handle) -> Result<Self> {
        let schema = inner.current_schema_ref();
        let properties = inner
            .metadata()
            .properties()
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Self::with_schema(inner, name.clone(), schema, properties, runtime)
            .map_err(|error| error.with("table", name))
    }

    fn with_schema(
        inner: Table,
        name: TableName,
        schema: SchemaRef,
        properties: BTreeMap<String, String>,
        runtime: Handle,
    ) -> Result<Self> {
        let lake_schema = map::from_iceberg(&schema)?;
        let arrow_schema = schema_to_arrow_schema(&schema)
            .map_err(|error| Error::from_iceberg(ErrorKind::SchemaConflict, error))?;
        let arrow_schema = Arc::new(arrow_schema);
        Ok(Self { inner, name, schema, lake_schema, arrow_schema, properties, runtime })
    }

    /// The table as it will be after `change`: its [`LakeTable::arrow_schema`] and [`LakeTable::writer`] are those of
    /// the new schema. Commit the rows together with the change.
    pub fn after(&self, change: &SchemaChange) -> Result<Self> {
        Self::with_schema(
            self.inner.clone(),
            self.name.clone(),
            Arc::clone(change.schema()),
            self.properties.clone(),
            self.runtime.clone(),
        )
    }

    /// Its name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// The schema of the batches to write, with field identifiers.
    ///
    /// `string` is `Utf8`, `binary` is `LargeBinary`, `uuid` is `FixedSizeBinary(16)`, times are microseconds.
    pub fn arrow_schema(&self) -> ArrowSchemaRef {
        Arc::clone(&self.arrow_schema)
    }

    /// Its columns.
    pub fn schema(&self) -> &LakeSchema {
        &self.lake_schema
    }

    /// Whether the table is partitioned and sorted like this. A table keeps what it was created with.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaConflict`] with both wishes named.
    pub fn check_layout(
        &self,
        partition_by: &[PartitionField],
        sort_by: &[SortField],
    ) -> Result<()> {
        let metadata = self.inner.metadata();
        let schema = metadata.current_schema();
        let partitions = layout::partition_of(schema, metadata.default_partition_spec());
        let sort = layout::sort_of(schema, metadata.default_sort_order());
        let differs = |what: &str, has: Option<String>, wanted: String| {
            Error::new(ErrorKind::SchemaConflict)
                .with("table", &self.name)
                .with("layout", what)
                .with("of the table", has.unwrap_or_else(|| "of another writer".to_owned()))
                .with("wanted", wanted)
                .with(
                    "reason",
                    "a table keeps the layout it was created with; load it under a new name",
                )
        };
        if partitions.as_deref() != Some(partition_by) {
            let has = partitions.as_deref().map(layout::listed);
            return Err(differs("partitions", has, layout::listed(partition_by)));
        }
        if sort.as_deref() != Some(sort_by) {
            let has = sort.as_deref().map(layout::listed);
            return Err(differs("sort order", has, layout::listed(sort_by)));
        }
        Ok(())
    }

    /// Its properties.
    pub fn properties(&self) -> &BTreeMap<String, String> {
        &self.properties
    }

    /// Its folder, as an address.
    pub fn location(&self) -> &str {
        self.inner.metadata().location()
    }

    /// Address of the metadata file this table was loaded from; a reader without a catalog opens it.
    pub fn metadata_location(&self) -> &str {
        self.inner.metadata_location().expect("a table is only built with its metadata location")
    }

    /// The current snapshot, or `None` when nothing was ever committed.
    pub fn current_snapshot(&self) -> Option<SnapshotInfo> {
        self.inner.metadata().current_snapshot().map(SnapshotInfo::of)
    }

    /// The state of the table: the entries that start with [`STATE_PREFIX`] of the nearest snapshot, from the current
    /// one backwards, that has [`POSITION_KEY`]. Snapshots of other writers carry none and are walked over.
    ///
    /// Where ancestors were expired by others, it is that of the snapshot tagged `ol-state`, as every commit with a
    /// position tags its own. Empty when no ancestor has a position.
    pub fn state(&self) -> BTreeMap<String, String> {
        state_at(self.inner.metadata(), self.inner.metadata().current_snapshot_id())
    }

    /// The state of a branch, as [`LakeTable::state`] of its newest snapshot; `None` when there is no such branch.
    pub fn branch_state(&self, branch: &str) -> Option<BTreeMap<String, String>> {
        let metadata = self.inner.metadata();
        let head = metadata.snapshot_for_ref(branch)?.snapshot_id();
        Some(state_at(metadata, Some(head)))
    }

    /// Starts writing data files. They are invisible until [`crate::Lake::commit`] takes them in.
    ///
    /// File names begin with `prefix`, which should tell the run.
    pub fn writer(&self, options: &WriteOptions, prefix: &str) -> Result<DataWriter> {
        DataWriter::start(self, options, prefix)
    }

    /// Starts a merge: changes of rows by key, which [`crate::Lake::commit`] makes visible in one snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::RowsMismatch`] when the key is empty, or a column of the options is missing or cannot be a key.
    pub fn merge_writer(
        &self,
        write: &WriteOptions,
        options: MergeOptions,
        prefix: &str,
    ) -> Result<MergeWriter> {
        MergeWriter::start(self, write, options, prefix)
            .map_err(|error| error.with("table", &self.name))
    }

    pub(crate) fn inner(&self) -> &Table {
        &self.inner
    }

    pub(crate) fn iceberg_schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

/// The newest snapshot of a branch, or of the table itself.
pub(crate) fn head(metadata: &TableMetadata, branch: Option<&str>) -> Option<i64> {
    match branch {
        Some(branch) => metadata.snapshot_for_ref(branch).map(|snapshot| snapshot.snapshot_id()),
        None => metadata.current_snapshot_id(),
    }
}

/// All branches and tags. The crate has no list of them, the file has.
///
/// # Errors
/// [`ErrorKind::Unexpected`] when the metadata cannot be spelled, or spells its references otherwise than the
/// specification.
pub(crate) fn references(metadata: &TableMetadata) -> Result<BTreeMap<String, SnapshotReference>> {
    let unexpected = |error: serde_json::Error| Error::new(ErrorKind::Unexpected).because(error);
    let mut whole = serde_json::to_value(metadata).map_err(unexpected)?;
    match whole.get_mut("refs").map(serde_json::Value::take) {
        Some(references) => serde_json::from_value(references).map_err(unexpected),
        None => Ok(BTreeMap::new()),
    }
}

/// A snapshot and those before it, the newest first.
pub(crate) fn ancestors(metadata: &TableMetadata, from: i64) -> impl Iterator<Item = &SnapshotRef> {
    let first = metadata.snapshot_by_id(from);
    // A snapshot is younger than its parent, so a walk longer than their number is a damaged table.
    std::iter::successors(first, |it| metadata.snapshot_by_id(it.parent_snapshot_id()?))
        .take(metadata.snapshots().len())
}

/// Tag on the newest snapshot of the table that carries its state. Whoever expires snapshots keeps those with a tag, so
/// that the state outlives maintenance by engines that know nothing of it.
pub(crate) const STATE_TAG: &str = "ol-state";

/// The tag on a snapshot that carries the state.
pub(crate) fn state_tag(snapshot_id: i64) -> TableUpdate {
    let retention = SnapshotRetention::Tag { max_ref_age_ms: None };
    TableUpdate::SetSnapshotRef {
        ref_name: STATE_TAG.to_owned(),
        reference: SnapshotReference::new(snapshot_id, retention),
    }
}

/// The state at a snapshot: see [`LakeTable::state`].
pub(crate) fn state_at(metadata: &TableMetadata, from: Option<i64>) -> BTreeMap<String, String> {
    let mut next = from;
    // A snapshot is younger than its parent, so a walk longer than their number is a damaged table.
    for _step in 0..metadata.snapshots().len() {
        let Some(snapshot) = next.and_then(|id| metadata.snapshot_by_id(id)) else { break };
        let info = SnapshotInfo::of(snapshot);
        if info.has_position() {
            return info.state;
        }
        next = snapshot.parent_snapshot_id();
        let is_broken = next.is_some_and(|parent| metadata.snapshot_by_id(parent).is_none());
        if is_broken && from == metadata.current_snapshot_id() {
            // Somebody has expired what was in between. The tag is older than what is left, or it would have been met.
            let tagged = metadata.snapshot_for_ref(STATE_TAG);
            let older =
                tagged.filter(|tagged| tagged.sequence_number() < snapshot.sequence_number());
            return older.map(|tagged| SnapshotInfo::of(tagged).state).unwrap_or_default();
        }
    }
    BTreeMap::new()
}

impl fmt::Debug for LakeTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LakeTable")
            .field("name", &self.name)
            .field("metadata_location", &self.inner.metadata_location())
            .field("snapshot_id", &self.inner.metadata().current_snapshot_id())
            .finish_non_exhaustive()
    }
}
