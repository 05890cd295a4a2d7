//! What a killed run leaves, and that all of it is found.

use std::collections::BTreeSet;
use std::time::Duration;

use ol_lake::{Commit, LakeColumn, LakeType, Operation};

use crate::support::{
    NAMESPACE, Place, batch, commit_rows, definition, files_below, identifiers, name, now,
    two_columns, write,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_file_outside_the_table_is_an_orphan_and_none_inside() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let table = commit_rows(&lake, &table, Operation::Append, 0..10).await.table;
    let table = commit_rows(&lake, &table, Operation::Overwrite, 10..20).await.table;
    let table = commit_rows(&lake, &table, Operation::Append, 20..30).await.table;
    let location = table.location().trim_start_matches("file://").to_owned();
    let inside: BTreeSet<_> = files_below(location.as_ref()).into_iter().collect();

    // As a run leaves them that was killed before its commit, within it, and while it wrote a file.
    write(&table, vec![batch(&table, 90..99)]).await;
    let leftovers = [
        "metadata/00009-8f8d5d58-7e34-4d7e-9d4c-0e0d5f1b0a11.metadata.json",
        "metadata/snap-1-0-x.avro",
        "metadata/x-0-m0.avro",
        "data/half.parquet",
        "data/deep/er/.tmp",
    ];
    for leftover in leftovers {
        let path = std::path::Path::new(&location).join(leftover);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"half").unwrap();
    }
    let outside: BTreeSet<_> = files_below(location.as_ref())
        .into_iter()
        .filter(|path| !inside.contains(path))
        .map(|path| format!("file://{}", path.display()))
        .collect();
    assert_eq!(outside.len(), 6);

    let now = now() + Duration::from_secs(3600);
    let young = lake.orphans(&name("t"), Duration::from_secs(7200), now).await.unwrap();
    assert_eq!(young, Vec::new());
    let orphans = lake.orphans(&name("t"), Duration::from_secs(60), now).await.unwrap();
    let found: BTreeSet<_> = orphans.iter().map(|orphan| orphan.path.clone()).collect();
    assert_eq!(found, outside);
    let bytes = lake.delete_orphans(&orphans).await.unwrap();
    assert_eq!(bytes, orphans.iter().map(|orphan| orphan.bytes).sum::<u64>());
    lake.delete_orphans(&orphans).await.unwrap();
    let left: BTreeSet<_> = files_below(location.as_ref()).into_iter().collect();
    assert_eq!(left, inside);
    assert_eq!(identifiers(&lake, &name("t")).await, (10..30).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_without_a_table_are_found() {
    let place = Place::new();
    let lake = place.open().await;
    let kept = lake.create(&definition("kept", two_columns())).await.unwrap();
    commit_rows(&lake, &kept, Operation::Append, 0..10).await;
    let dropped = lake
        .create(&definition("dropped", vec![LakeColumn::optional("a", LakeType::Int)]))
        .await
        .unwrap();
    lake.commit(&dropped, Commit::new(Operation::Append, Vec::new())).await.unwrap();
    lake.drop_table(&name("dropped")).await.unwrap();
    let now = now() + Duration::from_secs(3600);
    let orphans = lake
        .sweep(NAMESPACE, Duration::from_secs(60), now)
        .await
        .unwrap()
        .without_table()
        .await
        .unwrap();
    // Two metadata files and one manifest list.
    assert_eq!(orphans.len(), 3);
    assert!(orphans.iter().all(|orphan| orphan.path.contains("/dropped/")), "{orphans:?}");
    lake.delete_orphans(&orphans).await.unwrap();
    let again =
        lake.sweep(NAMESPACE, Duration::ZERO, now).await.unwrap().without_table().await.unwrap();
    assert_eq!(again, Vec::new());
    assert_eq!(identifiers(&lake, &name("kept")).await.len(), 10);
    let none = lake
        .sweep("no_such_namespace", Duration::ZERO, now)
        .await
        .unwrap()
        .without_table()
        .await
        .unwrap();
    assert_eq!(none, Vec::new());
}
