//! A lake in a temporary folder and rows to put into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_select::concat::concat_batches;
use futures::TryStreamExt;
use ol_chassis::clock::{Clock, SystemClock};
use ol_lake::{
    Commit, Committed, Lake, LakeColumn, LakeSchema, LakeSettings, LakeTable, LakeType, Operation,
    Result, TableDefinition, TableName, WriteOptions, WrittenFile,
};
use tempfile::TempDir;

pub(crate) const NAMESPACE: &str = "ol_warehouse_ci_raw";

pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn settings(&self) -> LakeSettings {
        LakeSettings::new(
            format!("sqlite:{}", self.path("catalog.db").display()),
            self.path("warehouse").display().to_string(),
        )
    }

    pub(crate) async fn open(&self) -> Lake {
        let lake = Lake::open(self.settings()).await.unwrap();
        lake.ensure_namespace(NAMESPACE).await.unwrap();
        lake
    }
}

pub(crate) fn now() -> std::time::SystemTime {
    SystemClock.now()
}

pub(crate) fn name(table: &str) -> TableName {
    TableName::new(NAMESPACE, table)
}

pub(crate) fn definition(table: &str, columns: Vec<LakeColumn>) -> TableDefinition {
    TableDefinition {
        name: name(table),
        schema: LakeSchema { columns },
        comment: None,
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        properties: BTreeMap::new(),
    }
}

/// Columns `id` and `note`.
pub(crate) fn two_columns() -> Vec<LakeColumn> {
    vec![LakeColumn::required("id", LakeType::Long), LakeColumn::optional("note", LakeType::String)]
}

pub(crate) fn batch(table: &LakeTable, identifiers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let identifiers: Vec<i64> = identifiers.into_iter().collect();
    let notes: Vec<Option<String>> =
        identifiers.iter().map(|id| (id % 3 != 0).then(|| format!("note {id}"))).collect();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(identifiers)), Arc::new(StringArray::from(notes))];
    RecordBatch::try_new(table.arrow_schema(), columns).unwrap()
}

/// Writes on a thread of its own, as callers do.
pub(crate) async fn write_with(
    table: &LakeTable,
    options: WriteOptions,
    batches: Vec<RecordBatch>,
) -> Result<Vec<WrittenFile>> {
    let table = table.clone();
    tokio::task::spawn_blocking(move || {
        let mut writer = table.writer(&options, "test")?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.finish()
    })
    .await
    .unwrap()
}

pub(crate) async fn write(table: &LakeTable, batches: Vec<RecordBatch>) -> Vec<WrittenFile> {
    write_with(table, WriteOptions::default(), batches).await.unwrap()
}

pub(crate) async fn commit_rows(
    lake: &Lake,
    table: &LakeTable,
    operation: Operation,
    identifiers: impl IntoIterator<Item = i64>,
) -> Committed {
    let files = write(table, vec![batch(table, identifiers)]).await;
    lake.commit(table, Commit::new(operation, files)).await.unwrap()
}

pub(crate) async fn read(lake: &Lake, table: &LakeTable) -> RecordBatch {
    let batches: Vec<RecordBatch> =
        lake.scan(table, None).await.unwrap().try_collect().await.unwrap();
    match batches.first() {
        Some(first) => concat_batches(&first.schema(), &batches).unwrap(),
        None => RecordBatch::new_empty(table.arrow_schema()),
    }
}

/// The identifiers of the current snapshot, in order.
pub(crate) async fn identifiers(lake: &Lake, table: &TableName) -> Vec<i64> {
    let table = lake.load(table).await.unwrap().unwrap();
    let rows = read(lake, &table).await;
    let mut identifiers: Vec<i64> = rows
        .column_by_name("id")
        .map(|column| {
            column.as_any().downcast_ref::<Int64Array>().unwrap().values().iter().copied().collect()
        })
        .unwrap_or_default();
    identifiers.sort_unstable();
    identifiers
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
