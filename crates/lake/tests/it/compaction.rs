//! Compaction: the same rows and the same state in fewer files, also when others write at the same time.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use ol_lake::{
    Commit, CompactOptions, ErrorKind, Lake, LakeTable, Merge, MergeOptions, OnDelete, Operation,
    Orphans, POSITION_KEY, PartitionField, PartitionTransform, SortField, WriteOptions,
};

use crate::readers::Readers;
use crate::support::{
    Place, batch, commit_rows, definition, files_below, identifiers, name, now, read, two_columns,
    write,
};

pub(crate) fn options() -> CompactOptions {
    CompactOptions { least_files: 2, ..CompactOptions::default() }
}

async fn delete(table: &LakeTable, ids: impl IntoIterator<Item = i64>) -> Merge {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let ids = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let table = table.clone();
    tokio::task::spawn_blocking(move || {
        let write = WriteOptions { rewrite_below_bytes: 0, ..WriteOptions::default() };
        let key = vec!["id".to_owned()];
        let options = MergeOptions {
            key,
            on_delete: OnDelete::Remove,
            sidecar: None,
            orphans: Orphans::Refuse,
        };
        let mut writer = table.merge_writer(&write, options, "test").unwrap();
        writer.delete(ids).unwrap();
        writer.finish().unwrap()
    })
    .await
    .unwrap()
}

pub(crate) async fn five_files(lake: &Lake) -> LakeTable {
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let mut commit =
        Commit::new(Operation::Append, write(&table, vec![batch(&table, 0..10)]).await);
    commit.state.insert(POSITION_KEY.to_owned(), "0007".to_owned());
    let mut table = lake.commit(&table, commit).await.unwrap().table;
    for start in [10, 20, 30, 40] {
        table = commit_rows(lake, &table, Operation::Append, start..start + 10).await.table;
    }
    let merge = delete(&table, [3, 14, 15]).await;
    lake.commit(&table, Commit::merge(merge)).await.unwrap().table
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_and_delete_files_become_one_file() {
    let place = Place::new();
    let lake = place.open().await;
    let table = five_files(&lake).await;
    let wanted: Vec<i64> = (0..50).filter(|id| ![3, 14, 15].contains(id)).collect();
    let compacted = lake.compact(&table, &options()).await.unwrap().unwrap();
    assert_eq!((compacted.files, compacted.rows), (1, 47));
    let table = compacted.table;
    let snapshot = table.current_snapshot().unwrap();
    assert_eq!((snapshot.operation.as_str(), snapshot.files, snapshot.records), ("replace", 1, 47));
    // The state goes along, whether or not older snapshots are still there.
    assert_eq!(snapshot.state[POSITION_KEY], "0007");
    assert_eq!(identifiers(&lake, &name("t")).await, wanted);
    let found = Readers::start().read(&table);
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(found[reader].as_array().unwrap().len(), 47, "{reader}");
    }
    assert_eq!(found["total"], 47);
    assert!(lake.compact(&table, &options()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn full_files_without_deletes_are_left_alone() {
    let place = Place::new();
    let lake = place.open().await;
    let table = five_files(&lake).await;
    let nothing_is_small = CompactOptions { small_file_bytes: 0, delete_share: 0.9, ..options() };
    assert!(lake.compact(&table, &nothing_is_small).await.unwrap().is_none());
    let much_is_deleted = CompactOptions { small_file_bytes: 0, delete_share: 0.2, ..options() };
    let table = lake.compact(&table, &much_is_deleted).await.unwrap().unwrap().table;
    // Two of the ten rows of one file are deleted, and one of another.
    let snapshot = table.current_snapshot().unwrap();
    assert_eq!((snapshot.files, snapshot.records), (5, 47));
    let few = CompactOptions { least_files: 6, delete_share: 0.9, ..options() };
    assert!(lake.compact(&table, &few).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_rows_has_nothing_to_compact() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    assert!(lake.compact(&table, &options()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_deleted_meanwhile_stay_deleted() {
    let place = Place::new();
    let lake = place.open().await;
    let stale = five_files(&lake).await;
    // One group a file; the merge touches two of the files.
    let merge = delete(&stale, [20, 49]).await;
    lake.commit(&stale, Commit::merge(merge)).await.unwrap();
    let each = CompactOptions { delete_share: 0.0, small_file_bytes: 0, ..options() };
    let compacted = lake.compact(&stale, &each).await.unwrap().unwrap();
    let wanted: Vec<i64> = (0..50).filter(|id| ![3, 14, 15, 20, 49].contains(id)).collect();
    assert_eq!(identifiers(&lake, &name("t")).await, wanted);
    assert_eq!(compacted.table.current_snapshot().unwrap().records, 45);
    let orphans = lake.orphans(&name("t"), std::time::Duration::ZERO, now()).await.unwrap();
    assert_eq!(orphans, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_others_overtook_gives_up_and_leaves_nothing() {
    let place = Place::new();
    let lake = place.open().await;
    let stale = five_files(&lake).await;
    let merge = delete(&stale, [20]).await;
    let table = lake.commit(&stale, Commit::merge(merge)).await.unwrap().table;
    let files = files_below(table.location().trim_start_matches("file://").as_ref());
    // All files are one group, and one of them has lost a row since.
    let error = lake.compact(&stale, &options()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommitConflict, "{error}");
    assert_eq!(files_below(table.location().trim_start_matches("file://").as_ref()), files);
    assert_eq!(
        lake.load(&name("t")).await.unwrap().unwrap().current_snapshot().unwrap().records,
        46
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_and_compactions_at_once_lose_nothing() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let mut table = commit_rows(&lake, &table, Operation::Append, 0..20).await.table;
    for start in [20, 40, 60, 80] {
        table = commit_rows(&lake, &table, Operation::Append, start..start + 20).await.table;
    }
    let merging = {
        let lake = lake.clone();
        tokio::spawn(async move {
            for id in 0..10 {
                let table = lake.load(&name("t")).await.unwrap().unwrap();
                let merge = delete(&table, [id * 10]).await;
                lake.commit(&table, Commit::merge(merge)).await.unwrap();
            }
        })
    };
    let compacting = {
        let lake = lake.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                let table = lake.load(&name("t")).await.unwrap().unwrap();
                let all = CompactOptions { delete_share: 0.0, ..options() };
                match lake.compact(&table, &all).await {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), &ErrorKind::CommitConflict, "{error}"),
                }
            }
        })
    };
    merging.await.unwrap();
    compacting.await.unwrap();
    let wanted: Vec<i64> = (0..100).filter(|id| id % 10 != 0).collect();
    assert_eq!(identifiers(&lake, &name("t")).await, wanted);
    let table = lake.load(&name("t")).await.unwrap().unwrap();
    assert_eq!(table.current_snapshot().unwrap().records, 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_were_changed_are_left_out_and_the_others_committed() {
    let place = Place::new();
    let lake = place.open().await;
    let stale = five_files(&lake).await;
    let merge = delete(&stale, [4]).await;
    lake.commit(&stale, Commit::merge(merge)).await.unwrap();
    // Files so small that each one is a group: the two with deleted rows are due, and one of them has lost a row since.
    let write = WriteOptions { target_file_bytes: 1, ..WriteOptions::default() };
    let each = CompactOptions { write, delete_share: 0.0, small_file_bytes: 0, ..options() };
    let compacted = lake.compact(&stale, &each).await.unwrap().unwrap();
    assert_eq!(compacted.rows, 8);
    let wanted: Vec<i64> = (0..50).filter(|id| ![3, 4, 14, 15].contains(id)).collect();
    assert_eq!(identifiers(&lake, &name("t")).await, wanted);
    let orphans = lake.orphans(&name("t"), std::time::Duration::ZERO, now()).await.unwrap();
    assert_eq!(orphans, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sorted_table_is_one_sorted_run_afterwards_and_large_groups_take_several_commits() {
    let place = Place::new();
    let lake = place.open().await;
    let mut sorted = definition("t", two_columns());
    sorted.sort_by = vec![SortField { column: "id".to_owned(), descending: true }];
    let mut table = lake.create(&sorted).await.unwrap();
    for index in 0..6_i64 {
        let rows = (0..50).map(move |row| row * 6 + index);
        table = commit_rows(&lake, &table, Operation::Append, rows).await.table;
    }
    let table = lake.compact(&table, &options()).await.unwrap().unwrap().table;
    let rows = read(&lake, &table).await;
    let ids = rows.column_by_name("id").unwrap().as_any().downcast_ref::<Int64Array>().unwrap();
    let expected: Vec<i64> = (0..300).rev().collect();
    assert_eq!(ids.values().to_vec(), expected);

    // Each partition is a group, and each group a commit of its own when a commit takes no more than one.
    let mut divided = definition("u", two_columns());
    let transform = PartitionTransform::Bucket(4);
    divided.partition_by = vec![PartitionField { column: "id".to_owned(), transform }];
    let mut table = lake.create(&divided).await.unwrap();
    for index in 0..3_i64 {
        let rows = index * 40..index * 40 + 40;
        table = commit_rows(&lake, &table, Operation::Append, rows).await.table;
    }
    assert_eq!(table.current_snapshot().unwrap().files, 12);
    let options = CompactOptions { most_bytes: 1, ..options() };
    let mut commits = 0;
    while let Some(committed) = lake.compact(&table, &options).await.unwrap() {
        table = committed.table;
        commits += 1;
        assert!(commits <= 4, "it does not end");
    }
    assert_eq!((commits, table.current_snapshot().unwrap().files), (4, 4));
    assert_eq!(identifiers(&lake, &name("u")).await, (0..120).collect::<Vec<_>>());
}
