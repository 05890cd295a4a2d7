//! Tables whose pointer to the current snapshot is stale, as another loader leaves them.

use std::path::PathBuf;
use std::time::Duration;

use ol_lake::{Commit, ErrorKind, Lake, LakeTable, Operation};
use serde_json::{Value, json};

use crate::support::{
    Place, batch, commit_rows, definition, identifiers, name, two_columns, write,
};

/// Changes the current metadata file where it stands.
fn tamper(table: &LakeTable, change: impl FnOnce(&mut Value)) {
    let path = PathBuf::from(table.metadata_location().trim_start_matches("file://"));
    let mut metadata: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut metadata);
    std::fs::write(&path, serde_json::to_vec(&metadata).unwrap()).unwrap();
}

async fn two_snapshots(lake: &Lake) -> (LakeTable, i64, i64) {
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let first = commit_rows(lake, &table, Operation::Append, 0..10).await;
    let second = commit_rows(lake, &first.table, Operation::Append, 10..20).await;
    (second.table, first.snapshot_id, second.snapshot_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_pointer_goes_to_the_later_snapshot() {
    for moved in [true, false] {
        let place = Place::new();
        let lake = place.open().await;
        let (table, first, second) = two_snapshots(&lake).await;
        assert_eq!(lake.stale_pointer(&name("t"), Duration::ZERO).await.unwrap(), None);
        tamper(&table, |metadata| {
            if moved {
                metadata["refs"]["main"]["snapshot-id"] = json!(first);
            } else {
                metadata["current-snapshot-id"] = json!(first);
            }
            // As a repair by hand leaves it.
            let log = metadata["metadata-log"].as_array_mut().unwrap();
            log.reverse();
            log.insert(
                0,
                json!({"metadata-file": "file:///x/y.metadata.json", "timestamp-ms": 9_999_999}),
            );
        });
        let unreadable = lake.load(&name("t")).await.unwrap_err();
        assert_eq!(unreadable.kind(), &ErrorKind::CatalogCorrupt);
        let stale = lake.repair_pointer(&name("t"), Duration::ZERO).await.unwrap().unwrap();
        assert!(stale.is_torn());
        assert_eq!(stale.target, second);
        let table = lake.load(&name("t")).await.unwrap().unwrap();
        assert_eq!(table.current_snapshot().unwrap().snapshot_id, second);
        assert_eq!(lake.repair_pointer(&name("t"), Duration::ZERO).await.unwrap(), None);
        assert_eq!(identifiers(&lake, &name("t")).await, (0..20).collect::<Vec<_>>());
        commit_rows(&lake, &table, Operation::Append, 20..30).await;
        assert_eq!(identifiers(&lake, &name("t")).await, (0..30).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_was_not_published_is_published_once_it_is_old() {
    let place = Place::new();
    let lake = place.open().await;
    let (table, first, second) = two_snapshots(&lake).await;
    tamper(&table, |metadata| {
        metadata["current-snapshot-id"] = json!(first);
        metadata["refs"] = json!({
            "main": {"type": "branch", "snapshot-id": first},
            "airbyte_staging_7": {"type": "branch", "snapshot-id": second},
        });
        for snapshot in metadata["snapshots"].as_array_mut().unwrap() {
            if snapshot["snapshot-id"] == json!(second) {
                let time = snapshot["timestamp-ms"].as_i64().unwrap();
                snapshot["timestamp-ms"] = json!(time + 3 * 3_600_000);
            }
        }
        metadata["last-updated-ms"] =
            json!(metadata["last-updated-ms"].as_i64().unwrap() + 3 * 3_600_000);
    });
    let day = Duration::from_secs(86_400);
    assert_eq!(lake.stale_pointer(&name("t"), day).await.unwrap(), None);
    let hours = Duration::from_secs(2 * 3600);
    let stale = lake.repair_pointer(&name("t"), hours).await.unwrap().unwrap();
    assert!(!stale.is_torn() && stale.behind >= hours, "{stale:?}");
    assert_eq!(identifiers(&lake, &name("t")).await, (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_lose_rows_is_not_done() {
    let place = Place::new();
    let lake = place.open().await;
    let (table, _first, second) = two_snapshots(&lake).await;
    // A copy of ours that is under way is nobody else's to publish.
    let files = write(&table, vec![batch(&table, 500..510)]).await;
    let mut commit = Commit::new(Operation::Append, files);
    commit.branch = Some("ol-copy".to_owned());
    let table = lake.commit(&table, commit).await.unwrap().table;
    assert_eq!(lake.stale_pointer(&name("t"), Duration::ZERO).await.unwrap(), None);
    // Two pointers of which neither is built on the other.
    tamper(&table, |metadata| {
        let copy = metadata["refs"]["ol-copy"]["snapshot-id"].clone();
        metadata["refs"]["main"]["snapshot-id"] = copy;
    });
    let stale = lake.stale_pointer(&name("t"), Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(stale.current, Some(second));
    assert!(stale.refusal.is_some());
    let error = lake.repair_pointer(&name("t"), Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CatalogCorrupt, "{error}");
    assert!(error.to_string().contains("built on the other"), "{error}");
}
