//! Merges: what the table holds afterwards, what the summary counts, and what happens when two meet.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use ol_lake::{
    Commit, Committed, ErrorKind, Lake, LakeColumn, LakeTable, LakeType, Merge, MergeOptions,
    MergeWriter, OnDelete, Operation, Orphans, POSITION_KEY, Result, WriteOptions,
};

use crate::support::{
    Place, batch, commit_rows, definition, files_below, identifiers, name, now, read, two_columns,
};

fn by_id(on_delete: OnDelete) -> MergeOptions {
    MergeOptions { key: vec!["id".to_owned()], on_delete, sidecar: None, orphans: Orphans::Refuse }
}

/// Data files are never rewritten, so that delete files are seen.
fn deleting() -> WriteOptions {
    WriteOptions { rewrite_below_bytes: 0, ..WriteOptions::default() }
}

async fn merge_with(
    table: &LakeTable,
    write: WriteOptions,
    options: MergeOptions,
    changes: impl FnOnce(&LakeTable, &mut MergeWriter) -> Result<()> + Send + 'static,
) -> Result<Merge> {
    let table = table.clone();
    tokio::task::spawn_blocking(move || {
        let mut writer = table.merge_writer(&write, options, "test")?;
        changes(&table, &mut writer)?;
        writer.finish()
    })
    .await
    .unwrap()
}

async fn merge(
    table: &LakeTable,
    changes: impl FnOnce(&LakeTable, &mut MergeWriter) -> Result<()> + Send + 'static,
) -> Merge {
    merge_with(table, deleting(), by_id(OnDelete::Remove), changes).await.unwrap()
}

async fn commit(lake: &Lake, table: &LakeTable, merge: Merge) -> Committed {
    lake.commit(table, Commit::merge(merge)).await.unwrap()
}

fn ids(ids: impl IntoIterator<Item = i64>) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    RecordBatch::try_from_iter([("id", ids)]).unwrap()
}

fn notes(table: &LakeTable, rows: &[(i64, Option<&str>)]) -> RecordBatch {
    let ids = Int64Array::from_iter_values(rows.iter().map(|(id, _note)| *id));
    let notes: StringArray = rows.iter().map(|(_id, note)| *note).collect();
    RecordBatch::try_new(table.arrow_schema(), vec![Arc::new(ids), Arc::new(notes)]).unwrap()
}

/// A number of the summary of the current snapshot, read from the metadata file as any reader does.
fn counted(table: &LakeTable, key: &str) -> Option<u64> {
    let path = table.metadata_location().trim_start_matches("file://");
    let metadata: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let snapshots = metadata["snapshots"].as_array().unwrap();
    let current = snapshots
        .iter()
        .find(|snapshot| snapshot["snapshot-id"] == metadata["current-snapshot-id"])
        .unwrap();
    current["summary"][key].as_str().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_replaces_rows_by_position_deletes_and_counts_them() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..100).await.table;
    let first = merge(&table, |table, writer| {
        writer.upsert(batch(table, 90..110))?;
        writer.delete(ids([0, 1, 5000]))
    })
    .await;
    assert_eq!((first.touched_keys(), first.rows()), (23, 20));
    let committed = commit(&lake, &table, first).await;
    assert_eq!(committed.rows, 20);
    let table = committed.table;
    assert_eq!(identifiers(&lake, &name("t")).await, (2..110).collect::<Vec<_>>());
    assert_eq!(table.current_snapshot().unwrap().operation, "overwrite");
    assert_eq!(counted(&table, "added-position-deletes"), Some(12));
    assert_eq!(counted(&table, "total-position-deletes"), Some(12));
    assert_eq!(counted(&table, "total-delete-files"), Some(1));
    assert_eq!(counted(&table, "total-records"), Some(120));
    // The next delete file takes over the rows of the one before it; nothing is deleted twice.
    let second = merge(&table, |table, writer| writer.upsert(batch(table, [3, 95]))).await;
    let table = commit(&lake, &table, second).await.table;
    assert_eq!(counted(&table, "removed-position-deletes"), Some(12));
    assert_eq!(counted(&table, "total-position-deletes"), Some(14));
    assert_eq!(counted(&table, "total-delete-files"), Some(2));
    assert_eq!(table.current_snapshot().unwrap().records, 108);
    assert_eq!(identifiers(&lake, &name("t")).await, (2..110).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operation_tells_what_was_done() {
    let place = Place::new();
    let lake = place.open().await;
    let mut table = lake.create(&definition("t", two_columns())).await.unwrap();
    let operation = |table: &LakeTable| table.current_snapshot().unwrap().operation;
    let added = merge(&table, |table, writer| writer.upsert(batch(table, 0..10))).await;
    table = commit(&lake, &table, added).await.table;
    assert_eq!(operation(&table), "append");
    let removed = merge(&table, |_table, writer| writer.delete(ids([3]))).await;
    table = commit(&lake, &table, removed).await.table;
    assert_eq!(operation(&table), "delete");
    let nothing = merge(&table, |_table, writer| writer.delete(ids([3, 77]))).await;
    assert!(!nothing.is_empty());
    table = commit(&lake, &table, nothing).await.table;
    assert_eq!(operation(&table), "append");
    let emptied = merge(&table, |_table, writer| writer.truncate()).await;
    table = commit(&lake, &table, emptied).await.table;
    assert_eq!(operation(&table), "delete");
    assert_eq!(counted(&table, "total-data-files"), Some(0));
    assert_eq!(counted(&table, "total-delete-files"), Some(0));
    assert_eq!(identifiers(&lake, &name("t")).await, Vec::<i64>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_rows_left_goes_with_its_delete_file() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let table = commit_rows(&lake, &table, Operation::Append, 10..20).await.table;
    let half = merge(&table, |_table, writer| writer.delete(ids(0..5))).await;
    let table = commit(&lake, &table, half).await.table;
    assert_eq!(counted(&table, "total-delete-files"), Some(1));
    let rest = merge(&table, |table, writer| writer.upsert(batch(table, 5..10))).await;
    let table = commit(&lake, &table, rest).await.table;
    assert_eq!(counted(&table, "deleted-data-files"), Some(1));
    assert_eq!(counted(&table, "removed-position-delete-files"), Some(1));
    assert_eq!(counted(&table, "total-position-deletes"), Some(0));
    assert_eq!(counted(&table, "total-records"), Some(15));
    assert_eq!(identifiers(&lake, &name("t")).await, (5..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_are_rewritten_together() {
    let place = Place::new();
    let lake = place.open().await;
    let mut table = lake.create(&definition("t", two_columns())).await.unwrap();
    for start in [0, 10, 20] {
        table = commit_rows(&lake, &table, Operation::Append, start..start + 10).await.table;
    }
    let changes =
        |table: &LakeTable, writer: &mut MergeWriter| writer.upsert(batch(table, [1, 12]));
    let options = by_id(OnDelete::Remove);
    let merge = merge_with(&table, WriteOptions::default(), options, changes).await.unwrap();
    table = commit(&lake, &table, merge).await.table;
    assert_eq!(counted(&table, "deleted-data-files"), Some(2));
    assert_eq!(counted(&table, "total-delete-files"), Some(0));
    // The one that was not touched, the two that lost a row as one, and the new rows.
    assert_eq!(counted(&table, "total-data-files"), Some(3));
    assert_eq!(identifiers(&lake, &name("t")).await, (0..30).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_change_of_a_key_wins() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..5).await.table;
    let merge = merge(&table, |table, writer| {
        writer.upsert(notes(table, &[(1, Some("first")), (2, Some("x")), (1, Some("second"))]))?;
        writer.upsert(notes(table, &[(1, Some("third")), (3, Some("kept"))]))?;
        writer.delete(ids([2, 3]))?;
        writer.upsert(notes(table, &[(3, None)]))?;
        writer.patch(notes(table, &[(4, None), (1, None)]), vec![Box::new([1]), Box::new([1])])
    })
    .await;
    let table = commit(&lake, &table, merge).await.table;
    let rows = read(&lake, &table).await;
    let notes = rows.column(1).as_string::<i32>();
    let ids = rows.column(0).as_primitive::<arrow_array::types::Int64Type>();
    let mut found: Vec<(i64, Option<&str>)> = ids.values().iter().copied().zip(notes).collect();
    found.sort_unstable();
    assert_eq!(found, [(0, None), (1, Some("third")), (3, None), (4, Some("note 4"))]);
    assert_eq!(table.current_snapshot().unwrap().records, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_without_a_row_and_a_null_key_are_definite() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![
        LakeColumn::optional("id", LakeType::Long),
        LakeColumn::optional("note", LakeType::String),
    ];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..5).await.table;
    let before = files_below(table.location().trim_start_matches("file://").as_ref());
    type Changes = fn(&LakeTable, &mut MergeWriter) -> Result<()>;
    let cases: [(Changes, ErrorKind); 5] = [
        (|t, w| w.patch(notes(t, &[(9, None)]), vec![Box::new([1])]), ErrorKind::PatchWithoutRow),
        (
            |t, w| {
                w.truncate()?;
                w.patch(notes(t, &[(1, None)]), vec![Box::new([1])])
            },
            ErrorKind::PatchWithoutRow,
        ),
        (
            |t, w| {
                w.delete(ids([1]))?;
                w.patch(notes(t, &[(1, None)]), vec![Box::new([1])])
            },
            ErrorKind::PatchWithoutRow,
        ),
        (|t, w| w.patch(notes(t, &[(1, None)]), vec![Box::new([0])]), ErrorKind::RowsMismatch),
        (
            |_t, w| {
                let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
                w.upsert(RecordBatch::try_from_iter_with_nullable([("id", ids, true)]).unwrap())
            },
            ErrorKind::RowsMismatch,
        ),
    ];
    for (changes, kind) in cases {
        let options = by_id(OnDelete::Remove);
        let error = merge_with(&table, deleting(), options, changes).await.unwrap_err();
        assert_eq!(error.kind(), &kind, "{error}");
        assert!(!error.is_transient());
    }
    assert_eq!(files_below(table.location().trim_start_matches("file://").as_ref()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_patch_without_a_row_is_passed_over() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..3).await.table;
    let options = MergeOptions { orphans: Orphans::Drop, ..by_id(OnDelete::Remove) };
    let changes = |table: &LakeTable, writer: &mut MergeWriter| {
        let kept = || vec![Box::from([1]), Box::from([1])];
        writer.patch(notes(table, &[(9, None), (1, None)]), kept())?;
        writer.patch(notes(table, &[(9, None), (8, None)]), kept())?;
        writer.upsert(notes(table, &[(8, Some("came back"))]))
    };
    let merge = merge_with(&table, deleting(), options, changes).await.unwrap();
    let table = commit(&lake, &table, merge).await.table;
    let mut found = identifiers(&lake, &name("t")).await;
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2, 8]);
    assert_eq!(table.current_snapshot().unwrap().records, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_a_table_cannot_have_are_refused() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![
        LakeColumn::required("id", LakeType::Long),
        LakeColumn::optional("tags", LakeType::List(Box::new(LakeType::Int))),
    ];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    for key in [vec![], vec!["tags"], vec!["id", "nowhere"]] {
        let key = key.into_iter().map(ToOwned::to_owned).collect();
        let options = MergeOptions {
            key,
            on_delete: OnDelete::Remove,
            sidecar: None,
            orphans: Orphans::Refuse,
        };
        let error = table.merge_writer(&deleting(), options, "test").unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::RowsMismatch, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marked_row_stays_with_all_its_values() {
    let place = Place::new();
    let lake = place.open().await;
    let mut columns = two_columns();
    columns.push(LakeColumn::optional("_ol_deleted_at", LakeType::Timestamptz));
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let marks = |ids: Vec<i64>| {
        let times = TimestampMicrosecondArray::from(vec![7; ids.len()]).with_timezone("+00:00");
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        RecordBatch::try_from_iter([("id", ids), ("_ol_deleted_at", Arc::new(times) as ArrayRef)])
            .unwrap()
    };
    let options = || by_id(OnDelete::Mark { column: "_ol_deleted_at".to_owned() });
    let two = |table: &LakeTable, rows: std::ops::Range<i64>| {
        let schema = Arc::new(table.arrow_schema().project(&[0, 1]).unwrap());
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone()));
        let notes: ArrayRef =
            Arc::new(StringArray::from_iter_values(rows.map(|id| format!("n{id}"))));
        RecordBatch::try_new(schema, vec![ids, notes]).unwrap()
    };
    let first = merge_with(&table, deleting(), options(), move |table, writer| {
        writer.upsert(two(table, 0..4))?;
        writer.delete(marks(vec![1, 99]))
    });
    let table = commit(&lake, &table, first.await.unwrap()).await.table;
    let second = merge_with(&table, deleting(), options(), move |table, writer| {
        writer.delete(marks(vec![2, 3, 98]))?;
        writer.upsert(two(table, 3..4))
    });
    let table = commit(&lake, &table, second.await.unwrap()).await.table;
    let rows = read(&lake, &table).await;
    let times = rows.column(2).as_primitive::<TimestampMicrosecondType>();
    let mut found: Vec<(String, Option<i64>)> = rows
        .column(1)
        .as_string::<i32>()
        .iter()
        .zip(times)
        .map(|(note, time)| (note.unwrap().to_owned(), time))
        .collect();
    found.sort();
    let wanted = [("n0", None), ("n1", Some(7)), ("n2", Some(7)), ("n3", None)];
    assert_eq!(found, wanted.map(|(note, time)| (note.to_owned(), time)));
    assert_eq!(table.current_snapshot().unwrap().records, 4);
    let error = merge_with(&table, deleting(), options(), |_t, w| w.delete(ids([1]))).await;
    assert_eq!(error.unwrap_err().kind(), &ErrorKind::RowsMismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_is_found_again_after_a_conflict() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let stale = commit_rows(&lake, &table, Operation::Append, 0..100).await.table;
    // Two merges made for the same base, of overlapping keys: both take place, one after the other.
    let first = merge(&stale, |table, writer| writer.upsert(batch(table, 0..50))).await;
    let second = merge(&stale, |table, writer| {
        writer.upsert(batch(table, 25..75))?;
        writer.delete(ids([0, 99]))
    })
    .await;
    commit(&lake, &stale, first).await;
    let table = commit(&lake, &stale, second).await.table;
    assert_eq!(identifiers(&lake, &name("t")).await, (1..99).collect::<Vec<_>>());
    assert_eq!(table.current_snapshot().unwrap().records, 98);
    // What the lost try has written is gone.
    let orphans = lake.orphans(&name("t"), std::time::Duration::ZERO, now()).await.unwrap();
    assert_eq!(orphans, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_committers_at_once_lose_nothing() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..200).await.table;
    let tasks: Vec<_> = (0..6_i64)
        .map(|task| {
            let (lake, table) = (lake.clone(), table.clone());
            tokio::spawn(async move {
                let merge = merge(&table, move |table, writer| {
                    writer.upsert(batch(table, task * 20..task * 20 + 30))?;
                    writer.delete(ids([150 + task]))
                });
                commit(&lake, &table, merge.await).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let wanted: Vec<i64> = (0..150).chain(156..200).collect();
    assert_eq!(identifiers(&lake, &name("t")).await, wanted);
    let table = lake.load(&name("t")).await.unwrap().unwrap();
    assert_eq!(table.current_snapshot().unwrap().records, 194);
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_values_are_not_taken_from_a_table_that_changed() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let patch = merge(&table, |table, writer| {
        writer.patch(notes(table, &[(4, None)]), vec![Box::new([1])])
    })
    .await;
    let other =
        merge(&table, |table, writer| writer.upsert(notes(table, &[(4, Some("new"))]))).await;
    commit(&lake, &table, other).await;
    let error = lake.commit(&table, Commit::merge(patch.clone())).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommitConflict, "{error}");
    lake.discard_merge(&patch).await;
    let orphans = lake.orphans(&name("t"), std::time::Duration::ZERO, now()).await.unwrap();
    assert_eq!(orphans, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_expects_another_state_changes_nothing() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let copy = |merge: Merge, after: Option<&str>, upto: &str| {
        let mut commit = Commit::merge(merge);
        commit.expected = Some((POSITION_KEY.to_owned(), after.map(ToOwned::to_owned)));
        commit.state.insert(POSITION_KEY.to_owned(), upto.to_owned());
        commit
    };
    let first = merge(&table, |table, writer| writer.upsert(batch(table, 0..10))).await;
    let second = merge(&table, |table, writer| writer.upsert(batch(table, 5..15))).await;
    lake.commit(&table, copy(first, None, "0001")).await.unwrap();
    let error = lake.commit(&table, copy(second.clone(), None, "0001")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::StateMoved);
    assert_eq!(identifiers(&lake, &name("t")).await, (0..10).collect::<Vec<_>>());
    let current = lake.load(&name("t")).await.unwrap().unwrap();
    lake.commit(&current, copy(second, Some("0001"), "0002")).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, (0..15).collect::<Vec<_>>());
}
