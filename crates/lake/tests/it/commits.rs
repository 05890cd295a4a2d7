//! One snapshot for rows and state, whatever else happens to the table.

use std::collections::BTreeMap;

use ol_lake::{
    COMMIT_ID_KEY, Commit, ErrorKind, LakeColumn, LakeType, Operation, POSITION_KEY, ReplaceGuard,
};

use crate::support::{
    Place, batch, commit_rows, definition, files_below, identifiers, name, now, two_columns, write,
};

fn state(position: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(POSITION_KEY.to_owned(), position.to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_and_its_state_are_one_snapshot() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    assert_eq!(table.current_snapshot(), None);
    let files = write(&table, vec![batch(&table, 0..10)]).await;
    let mut commit = Commit::new(Operation::Append, files);
    commit.state = state("0007");
    commit.table_properties.insert("ol.unit".to_owned(), "mitxonline/app".to_owned());
    let committed = lake.commit(&table, commit).await.unwrap();
    assert_eq!((committed.rows, committed.files), (10, 1));
    let loaded = lake.load(&name("t")).await.unwrap().unwrap();
    let snapshot = loaded.current_snapshot().unwrap();
    assert_eq!(snapshot.snapshot_id, committed.snapshot_id);
    assert_eq!((snapshot.records, snapshot.files, snapshot.bytes), (10, 1, committed.bytes));
    assert_eq!(snapshot.state.get(POSITION_KEY).map(String::as_str), Some("0007"));
    assert!(snapshot.state.contains_key(COMMIT_ID_KEY));
    assert_eq!(loaded.properties().get("ol.unit").map(String::as_str), Some("mitxonline/app"));
    let again = commit_rows(&lake, &loaded, Operation::Append, 10..15).await;
    assert_eq!(again.table.current_snapshot().unwrap().records, 15);
    assert_eq!(identifiers(&lake, &name("t")).await, (0..15).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_is_the_whole_table() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let table = commit_rows(&lake, &table, Operation::Append, 10..20).await.table;
    let table = commit_rows(&lake, &table, Operation::Overwrite, 100..103).await.table;
    let snapshot = table.current_snapshot().unwrap();
    assert_eq!((snapshot.records, snapshot.files, snapshot.sequence_number), (3, 1, 3));
    assert_eq!(snapshot.operation, "overwrite");
    assert_eq!(identifiers(&lake, &name("t")).await, vec![100, 101, 102]);
    // Tombstones of the overwrite do not reach the snapshot after it.
    let table = commit_rows(&lake, &table, Operation::Append, 103..104).await.table;
    assert_eq!(table.current_snapshot().unwrap().records, 4);
    assert_eq!(identifiers(&lake, &name("t")).await, vec![100, 101, 102, 103]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_all_can_be_committed() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let empty = lake.commit(&table, Commit::new(Operation::Overwrite, Vec::new())).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, Vec::<i64>::new());
    let table = commit_rows(&lake, &empty.table, Operation::Append, 0..3).await.table;
    let empty = lake.commit(&table, Commit::new(Operation::Overwrite, Vec::new())).await.unwrap();
    assert_eq!(empty.table.current_snapshot().unwrap().records, 0);
    assert_eq!(identifiers(&lake, &name("t")).await, Vec::<i64>::new());
    let mut commit = Commit::new(Operation::Append, Vec::new());
    commit.state = state("9");
    let moved = lake.commit(&empty.table, commit).await.unwrap();
    assert_eq!(moved.table.current_snapshot().unwrap().state[POSITION_KEY], "9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_metadata_columns_only_takes_rows() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![LakeColumn::required("_ol_extracted_at", LakeType::Timestamptz)];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let times = arrow_array::TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("+00:00");
    let rows =
        arrow_array::RecordBatch::try_new(table.arrow_schema(), vec![std::sync::Arc::new(times)]);
    let files = write(&table, vec![rows.unwrap()]).await;
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;
    assert_eq!(crate::support::read(&lake, &table).await.num_rows(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_all_stay() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            // Every second task has connections of its own, as another process would.
            let (lake, table, settings) = (lake.clone(), table.clone(), place.settings());
            tokio::spawn(async move {
                let lake = match task % 2 {
                    0 => lake,
                    _ => ol_lake::Lake::open(settings).await.unwrap(),
                };
                commit_rows(&lake, &table, Operation::Append, task * 10..task * 10 + 10).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(identifiers(&lake, &name("t")).await, (0..80).collect::<Vec<_>>());
    let loaded = lake.load(&name("t")).await.unwrap().unwrap();
    let snapshot = loaded.current_snapshot().unwrap();
    assert_eq!((snapshot.records, snapshot.sequence_number), (80, 8));
    // Losers leave nothing behind: 8 data files, 8 manifests, 8 lists, 9 metadata files.
    let location = loaded.location().trim_start_matches("file://").to_owned();
    assert_eq!(files_below(location.as_ref()).len(), 33);
    let orphans = lake.orphans(&name("t"), std::time::Duration::ZERO, now()).await.unwrap();
    assert_eq!(orphans, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_gives_way_to_a_later_position_only() {
    let place = Place::new();
    let lake = place.open().await;
    let stale = lake.create(&definition("t", two_columns())).await.unwrap();
    let with_state = |files, position: Option<&str>| {
        let mut commit = Commit::new(Operation::Overwrite, files);
        commit.state = position.map(state).unwrap_or_default();
        commit
    };
    let files = write(&stale, vec![batch(&stale, 0..5)]).await;
    lake.commit(&stale, with_state(files, Some("0005"))).await.unwrap();
    for position in [Some("0004"), None] {
        let files = write(&stale, vec![batch(&stale, 100..101)]).await;
        let error = lake.commit(&stale, with_state(files.clone(), position)).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::StaleOverwrite, "{error}");
        assert!(error.is_transient());
        lake.discard(&files).await;
    }
    assert_eq!(identifiers(&lake, &name("t")).await, (0..5).collect::<Vec<_>>());
    let files = write(&stale, vec![batch(&stale, 7..9)]).await;
    lake.commit(&stale, with_state(files, Some("0006"))).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, vec![7, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_sees_the_rows_that_are_there_at_the_commit() {
    let place = Place::new();
    let lake = place.open().await;
    let stale = lake.create(&definition("t", two_columns())).await.unwrap();
    commit_rows(&lake, &stale, Operation::Append, 0..100).await;
    let files = write(&stale, vec![batch(&stale, 0..10)]).await;
    let mut commit = Commit::new(Operation::Overwrite, files.clone());
    // The table was empty when it was loaded; the guard must not be asked about that.
    commit.guard = ReplaceGuard::Threshold { keep_ratio: 0.5, allow: false };
    let error = lake.commit(&stale, commit.clone()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ReplaceShrinks { before: 100, after: 10 });
    assert!(!error.is_transient());
    assert_eq!(identifiers(&lake, &name("t")).await.len(), 100);
    commit.guard = ReplaceGuard::Threshold { keep_ratio: 0.5, allow: true };
    lake.commit(&stale, commit).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_a_table_twice_gives_the_same_table() {
    let place = Place::new();
    let lake = place.open().await;
    let definition = definition("t", two_columns());
    let first = lake.create(&definition).await.unwrap();
    let second = lake.create(&definition).await.unwrap();
    assert_eq!(first.metadata_location(), second.metadata_location());
    let location = first.location().trim_start_matches("file://").to_owned();
    assert_eq!(files_below(location.as_ref()).len(), 1);
    assert!(lake.drop_table(&name("t")).await.unwrap());
    assert!(!lake.drop_table(&name("t")).await.unwrap());
    assert!(lake.load(&name("t")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_log_does_not_grow_for_ever() {
    let place = Place::new();
    let lake = place.open().await;
    let mut definition = definition("t", two_columns());
    definition.properties.insert("write.metadata.previous-versions-max".to_owned(), "2".to_owned());
    let mut table = lake.create(&definition).await.unwrap();
    for id in 0..6 {
        table = commit_rows(&lake, &table, Operation::Append, id..=id).await.table;
    }
    let location = table.location().trim_start_matches("file://").to_owned();
    let metadata = files_below(location.as_ref())
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".metadata.json"))
        .count();
    assert_eq!(metadata, 3);
    assert!(table.metadata_location().contains("/metadata/00006-"), "{table:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_that_of_the_nearest_ancestor_that_has_one() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    assert_eq!(table.state(), BTreeMap::new());
    let mut commit = Commit::new(Operation::Append, write(&table, vec![batch(&table, 0..3)]).await);
    commit.state = state("0005");
    commit.state.insert("ol.slot".to_owned(), "s".to_owned());
    let table = lake.commit(&table, commit).await.unwrap().table;
    // As another writer commits: without a position.
    let table = commit_rows(&lake, &table, Operation::Append, 3..5).await.table;
    let table = commit_rows(&lake, &table, Operation::Append, 5..7).await.table;
    assert_eq!(table.state()[POSITION_KEY], "0005");
    assert_eq!(table.state()["ol.slot"], "s");
    assert!(!table.current_snapshot().unwrap().state.contains_key(POSITION_KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_expects_another_state_is_refused_on_every_base() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let expecting = |files, expected: Option<&str>, position: &str| {
        let mut commit = Commit::new(Operation::Append, files);
        commit.expected = Some((POSITION_KEY.to_owned(), expected.map(ToOwned::to_owned)));
        commit.state = state(position);
        commit
    };
    let files = write(&table, vec![batch(&table, 0..3)]).await;
    let error = lake.commit(&table, expecting(files.clone(), Some("0001"), "2")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::StateMoved, "{error}");
    assert!(error.is_transient());
    lake.commit(&table, expecting(files, None, "0001")).await.unwrap();
    // The table as it was loaded is empty; what counts is what is there after the reload.
    let files = write(&table, vec![batch(&table, 3..5)]).await;
    let error = lake.commit(&table, expecting(files.clone(), None, "0002")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::StateMoved, "{error}");
    let current = lake.load(&name("t")).await.unwrap().unwrap();
    commit_rows(&lake, &current, Operation::Append, 5..7).await;
    lake.commit(&current, expecting(files, Some("0001"), "0002")).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, (0..7).collect::<Vec<_>>());
}
