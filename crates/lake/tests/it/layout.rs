//! Partitions and sort order: decided at creation, kept by every writer, and known to the readers.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use ol_lake::{
    Commit, CompactOptions, ErrorKind, LakeColumn, LakeTable, LakeType, MergeOptions, OnDelete,
    Operation, Orphans, PartitionField, PartitionTransform, SortField, TableDefinition,
    WriteOptions,
};

use crate::readers::Readers;
use crate::support::{Place, definition, name, read, two_columns, write};

fn by(transform: PartitionTransform, column: &str) -> PartitionField {
    PartitionField { transform, column: column.to_owned() }
}

fn daily() -> TableDefinition {
    let mut columns = two_columns();
    columns.push(LakeColumn::optional("at", LakeType::Timestamptz));
    let mut definition = definition("t", columns);
    definition.partition_by = vec![by(PartitionTransform::Day, "at")];
    definition.sort_by = vec![SortField { column: "id".to_owned(), descending: true }];
    definition
}

/// Rows of which each is on one of `days` days; every seventh has no day at all.
fn rows(table: &LakeTable, ids: impl IntoIterator<Item = i64>, days: i64) -> RecordBatch {
    let ids: Vec<i64> = ids.into_iter().collect();
    let times: TimestampMicrosecondArray =
        ids.iter().map(|id| (id % 7 > 0).then(|| (id % days) * 86_400_000_000 + id)).collect();
    let notes = StringArray::from_iter_values(ids.iter().map(|id| format!("n{id}")));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids)),
        Arc::new(notes),
        Arc::new(times.with_timezone("+00:00")),
    ];
    RecordBatch::try_new(table.arrow_schema(), columns).unwrap()
}

fn found_ids(found: &serde_json::Value) -> Vec<i64> {
    let mut ids: Vec<i64> =
        found.as_array().unwrap().iter().map(|row| row[0].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_written_by_partition_and_merged_there() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&daily()).await.unwrap();
    // More partitions than files may be open at once.
    let batches = (0..4).map(|part| rows(&table, part * 100..part * 100 + 100, 30)).collect();
    let files = write(&table, batches).await;
    assert!(files.len() >= 31, "{} files", files.len());
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;
    let writing = table.clone();
    let merge = tokio::task::spawn_blocking(move || {
        let key = vec!["id".to_owned()];
        let options = MergeOptions {
            key,
            on_delete: OnDelete::Remove,
            sidecar: None,
            orphans: Orphans::Refuse,
        };
        let write = WriteOptions { rewrite_below_bytes: 0, ..WriteOptions::default() };
        let mut writer = writing.merge_writer(&write, options, "test").unwrap();
        // Most rows move to another day.
        writer.upsert(rows(&writing, 0..50, 11)).unwrap();
        writer.upsert(rows(&writing, 25..50, 13)).unwrap();
        writer.delete(rows(&writing, 390..400, 1).project(&[0]).unwrap()).unwrap();
        let kept: Vec<Box<[usize]>> = vec![Box::new([1]); 10];
        writer.patch(rows(&writing, 45..55, 17), kept).unwrap();
        writer.finish().unwrap()
    })
    .await
    .unwrap();
    let table = lake.commit(&table, Commit::merge(merge)).await.unwrap().table;
    let wanted: Vec<i64> = (0..390).collect();
    assert_eq!(table.current_snapshot().unwrap().records, 390);
    let mut readers = Readers::start();
    let found = readers.read(&table);
    assert_eq!(found["total"], 390);
    let options = CompactOptions { least_files: 2, ..CompactOptions::default() };
    let compacted = lake.compact(&table, &options).await.unwrap().unwrap().table;
    assert_eq!(compacted.current_snapshot().unwrap().files, 31);
    let again = readers.read(&compacted);
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(found_ids(&found[reader]), wanted, "{reader}");
        assert_eq!(found[reader], again[reader], "{reader}");
    }
    let scanned = read(&lake, &compacted).await;
    let mut ids = scanned.column(0).as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    assert_eq!(ids, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_batch_is_sorted_within_its_partition() {
    let place = Place::new();
    let lake = place.open().await;
    let mut definition = daily();
    definition.partition_by.clear();
    let table = lake.create(&definition).await.unwrap();
    let batches = vec![rows(&table, [3, 9, 1, 7], 5), rows(&table, [2, 8, 4], 5)];
    let files = write(&table, batches).await;
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;
    let found = read(&lake, &table).await;
    assert_eq!(found.column(0).as_primitive::<Int64Type>().values(), &[9, 7, 3, 1, 8, 4, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_keeps_the_layout_it_was_created_with() {
    let place = Place::new();
    let lake = place.open().await;
    let wanted = daily();
    lake.create(&wanted).await.unwrap();
    let table = lake.load(&name("t")).await.unwrap().unwrap();
    table.check_layout(&wanted.partition_by, &wanted.sort_by).unwrap();
    let error = table.check_layout(&[], &wanted.sort_by).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::SchemaConflict);
    assert!(error.to_string().contains("day(at)"), "{error}");
    let other = [SortField { column: "note".to_owned(), descending: false }];
    let error = table.check_layout(&wanted.partition_by, &other).unwrap_err();
    assert!(error.to_string().contains("id desc"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_no_table_can_have_is_refused() {
    let place = Place::new();
    let lake = place.open().await;
    for field in [
        by(PartitionTransform::Day, "note"),
        by(PartitionTransform::Identity, "nowhere"),
        by(PartitionTransform::Bucket(0), "id"),
    ] {
        let mut definition = definition("t", two_columns());
        definition.partition_by = vec![field.clone()];
        let error = lake.create(&definition).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::SchemaInvalid, "{field}: {error}");
    }
    let mut definition = definition("t", two_columns());
    definition.sort_by = vec![SortField { column: "nowhere".to_owned(), descending: false }];
    let error = lake.create(&definition).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::SchemaInvalid, "{error}");
}
