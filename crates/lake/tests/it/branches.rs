//! Branches: what is gathered on one is invisible until it is published, and then it is the whole table.

use std::collections::BTreeMap;

use ol_lake::{Commit, ErrorKind, Lake, LakeTable, Operation, POSITION_KEY, ReplaceGuard};

use crate::readers::Readers;
use crate::support::{
    Place, batch, commit_rows, definition, identifiers, name, now, two_columns, write,
};

async fn stage(
    lake: &Lake,
    table: &LakeTable,
    operation: Operation,
    rows: std::ops::Range<i64>,
    position: &str,
) -> LakeTable {
    let files = write(table, vec![batch(table, rows)]).await;
    let mut commit = Commit::new(operation, files);
    commit.branch = Some("copy".to_owned());
    commit.state.insert(POSITION_KEY.to_owned(), position.to_owned());
    lake.commit(table, commit).await.unwrap().table
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_branch_are_seen_when_it_is_published() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    assert_eq!(table.branch_state("copy"), None);
    let table = stage(&lake, &table, Operation::Overwrite, 100..110, "0001").await;
    // As another run goes on.
    let table_again = lake.load(table.name()).await.unwrap().unwrap();
    assert_eq!(table_again.branch_state("copy").unwrap()[POSITION_KEY], "0001");
    let table = stage(&lake, &table_again, Operation::Append, 110..125, "0002").await;
    assert_eq!(identifiers(&lake, &name("t")).await, (0..10).collect::<Vec<_>>());
    assert_eq!(table.current_snapshot().unwrap().records, 10);
    assert!(table.state().is_empty());
    // What somebody else adds to the table does not disturb the branch, and is replaced by it.
    let table = commit_rows(&lake, &table, Operation::Append, 10..12).await.table;
    assert_eq!(
        lake.orphans(&name("t"), std::time::Duration::ZERO, now()).await.unwrap(),
        Vec::new()
    );

    let off = ReplaceGuard::Off;
    let none = BTreeMap::new();
    let set = BTreeMap::from([("ol.copied".to_owned(), "whole".to_owned())]);
    let expected =
        |value: Option<&str>| Some((POSITION_KEY.to_owned(), value.map(ToOwned::to_owned)));
    let error =
        lake.publish_branch(&table, "copy", expected(Some("9")), off, &none).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::StateMoved);
    let guard = ReplaceGuard::Threshold { keep_ratio: 3.0, allow: false };
    let error = lake.publish_branch(&table, "copy", None, guard, &none).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ReplaceShrinks { before: 12, after: 25 });
    let table = lake.publish_branch(&table, "copy", expected(None), off, &set).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, (100..125).collect::<Vec<_>>());
    assert_eq!(table.state()[POSITION_KEY], "0002");
    assert_eq!(table.properties()["ol.copied"], "whole");
    assert_eq!(table.branch_state("copy"), None);
    assert_eq!(table.current_snapshot().unwrap().records, 25);
    let error = lake.publish_branch(&table, "copy", None, off, &none).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NotFound);
    let table = commit_rows(&lake, &table, Operation::Append, 0..5).await.table;
    assert_eq!(table.current_snapshot().unwrap().records, 30);
    let found = Readers::start().read(&table);
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(found[reader].as_array().unwrap().len(), 30, "{reader}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_table_publishes_what_is_there_now() {
    let place = Place::new();
    let lake = place.open().await;
    let stale = lake.create(&definition("t", two_columns())).await.unwrap();
    let stale = stage(&lake, &stale, Operation::Append, 0..5, "1").await;
    commit_rows(&lake, &stale, Operation::Append, 50..60).await;
    stage(&lake, &stale, Operation::Append, 5..7, "2").await;
    let table = lake
        .publish_branch(&stale, "copy", None, ReplaceGuard::Off, &BTreeMap::new())
        .await
        .unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await, (0..7).collect::<Vec<_>>());
    assert_eq!(table.state()[POSITION_KEY], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_branch_leaves_orphans_and_the_table_as_it_was() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let table = stage(&lake, &table, Operation::Append, 50..60, "1").await;
    let table = stage(&lake, &table, Operation::Append, 60..70, "2").await;
    let table = lake.drop_branch(&table, "copy").await.unwrap();
    assert_eq!(table.branch_state("copy"), None);
    assert_eq!(identifiers(&lake, &name("t")).await, (0..10).collect::<Vec<_>>());
    // Two data files, two manifests, two lists.
    let orphans = lake.orphans(&name("t"), std::time::Duration::ZERO, now()).await.unwrap();
    assert_eq!(orphans.len(), 6, "{orphans:?}");
    lake.drop_branch(&table, "copy").await.unwrap();
    let mut commit = Commit::new(Operation::Append, Vec::new());
    commit.branch = Some("main".to_owned());
    assert_eq!(lake.commit(&table, commit).await.unwrap_err().kind(), &ErrorKind::Unexpected);
    assert_eq!(lake.drop_branch(&table, "main").await.unwrap_err().kind(), &ErrorKind::Unexpected);
}
