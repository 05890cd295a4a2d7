//! Old snapshots go with their files, and nothing that anybody still reaches goes with them.

use std::collections::BTreeSet;
use std::time::Duration;

use ol_lake::{Commit, ExpireOptions, Lake, LakeTable, Operation, POSITION_KEY};

use crate::support::{
    Place, batch, commit_rows, definition, files_below, identifiers, name, now, two_columns, write,
};

const ALL: ExpireOptions = ExpireOptions { older_than: Some(Duration::ZERO), keep: None };

async fn with_snapshots(lake: &Lake, count: i64, operation: &Operation) -> LakeTable {
    let mut table = lake.create(&definition("t", two_columns())).await.unwrap();
    for index in 0..count {
        let rows = index * 10..index * 10 + 10;
        table = commit_rows(lake, &table, operation.clone(), rows).await.table;
    }
    table
}

/// What a sweep would find: every file that is there is one that the table reaches.
async fn expect_tidy(lake: &Lake, table: &LakeTable) {
    let later = now() + Duration::from_secs(3600);
    let orphans = lake.orphans(table.name(), Duration::ZERO, later).await.unwrap();
    assert_eq!(orphans, Vec::new());
}

fn files(table: &LakeTable, part: &str) -> BTreeSet<String> {
    let folder = table.location().trim_start_matches("file://").to_owned();
    let paths = files_below(folder.as_ref()).into_iter().map(|path| path.display().to_string());
    paths.filter(|path| path.contains(part)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn overwritten_rows_go_with_the_snapshots_that_had_them() {
    let place = Place::new();
    let lake = place.open().await;
    let table = with_snapshots(&lake, 6, &Operation::Overwrite).await;
    assert_eq!(files(&table, "/data/").len(), 6);
    assert_eq!(lake.expirable(&table, ALL).unwrap().snapshots, 5);
    let expired = lake.expire(&table, ALL).await.unwrap();
    // Five files of rows; of each manifest list, one; of manifests the one of each snapshot and that of its tombstones.
    assert_eq!(expired.snapshots, 5);
    assert!(expired.bytes > 0 && expired.files >= 15, "{expired:?}");
    assert_eq!(files(&table, "/data/").len(), 1);
    expect_tidy(&lake, &table).await;
    assert_eq!(identifiers(&lake, &name("t")).await, (50..60).collect::<Vec<_>>());
    let again = lake.load(&name("t")).await.unwrap().unwrap();
    assert_eq!(lake.expire(&again, ALL).await.unwrap().snapshots, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_rows_stay_and_only_lists_go() {
    let place = Place::new();
    let lake = place.open().await;
    let table = with_snapshots(&lake, 6, &Operation::Append).await;
    let expired = lake.expire(&table, ALL).await.unwrap();
    assert_eq!((expired.snapshots, expired.files), (5, 5), "{expired:?}");
    expect_tidy(&lake, &table).await;
    assert_eq!(identifiers(&lake, &name("t")).await, (0..60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn young_snapshots_and_the_newest_few_stay() {
    let place = Place::new();
    let lake = place.open().await;
    let table = with_snapshots(&lake, 6, &Operation::Overwrite).await;
    // As the property of every new table says.
    let default = lake.expire(&table, ExpireOptions::default()).await.unwrap();
    assert_eq!(default.snapshots, 0);
    let keep = ExpireOptions { keep: Some(4), ..ALL };
    assert_eq!(lake.expire(&table, keep).await.unwrap().snapshots, 2);
    expect_tidy(&lake, &table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_that_carries_the_position_stays_reachable() {
    let place = Place::new();
    let lake = place.open().await;
    let mut table = lake.create(&definition("t", two_columns())).await.unwrap();
    for index in 0..6_i64 {
        let files = write(&table, vec![batch(&table, index..index + 1)]).await;
        let mut commit = Commit::new(Operation::Append, files);
        // The last three are as another writer makes them: without our state.
        if index < 3 {
            commit.state.insert(POSITION_KEY.to_owned(), format!("{index}"));
        }
        table = lake.commit(&table, commit).await.unwrap().table;
    }
    let before = table.state();
    assert_eq!(before.get(POSITION_KEY).map(String::as_str), Some("2"));
    assert_eq!(lake.expire(&table, ALL).await.unwrap().snapshots, 2);
    let table = lake.load(&name("t")).await.unwrap().unwrap();
    assert_eq!(table.state(), before);
    expect_tidy(&lake, &table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_keeps_its_files_and_a_commit_meanwhile_is_kept() {
    let place = Place::new();
    let lake = place.open().await;
    let table = with_snapshots(&lake, 3, &Operation::Overwrite).await;
    let files = write(&table, vec![batch(&table, 500..510)]).await;
    let mut commit = Commit::new(Operation::Append, files);
    commit.branch = Some("ol-copy".to_owned());
    let table = lake.commit(&table, commit).await.unwrap().table;
    // A table that was loaded before others committed.
    let stale = table.clone();
    let table = commit_rows(&lake, &table, Operation::Append, 600..610).await.table;
    let expired = lake.expire(&stale, ALL).await.unwrap();
    assert_eq!(expired.snapshots, 3, "{expired:?}");
    expect_tidy(&lake, &table).await;
    let expected: Vec<i64> = (20..30).chain(600..610).collect();
    assert_eq!(identifiers(&lake, &name("t")).await, expected);
    let none = std::collections::BTreeMap::new();
    let guard = ol_lake::ReplaceGuard::Off;
    let table = lake.load(&name("t")).await.unwrap().unwrap();
    lake.publish_branch(&table, "ol-copy", None, guard, &none).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, (500..510).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn small_manifests_are_gathered_and_the_state_stays() {
    let place = Place::new();
    let lake = place.open().await;
    let mut table = lake.create(&definition("t", two_columns())).await.unwrap();
    for index in 0..8_i64 {
        let files = write(&table, vec![batch(&table, index..index + 1)]).await;
        let mut commit = Commit::new(Operation::Append, files);
        commit.state.insert(POSITION_KEY.to_owned(), format!("{index}"));
        table = lake.commit(&table, commit).await.unwrap().table;
    }
    let state = table.state();
    assert!(lake.gather_manifests(&table, 9).await.unwrap().is_none());
    let table = lake.gather_manifests(&table, 8).await.unwrap().unwrap().table;
    let snapshot = table.current_snapshot().unwrap();
    assert_eq!((snapshot.operation.as_str(), snapshot.records, snapshot.files), ("replace", 8, 8));
    assert_eq!(table.state().get(POSITION_KEY), state.get(POSITION_KEY));
    assert!(lake.gather_manifests(&table, 2).await.unwrap().is_none(), "one is left");
    lake.expire(&table, ALL).await.unwrap();
    expect_tidy(&lake, &table).await;
    assert_eq!(files(&table, "-m0.avro").len(), 1);
    assert_eq!(identifiers(&lake, &name("t")).await, (0..8).collect::<Vec<_>>());
}
