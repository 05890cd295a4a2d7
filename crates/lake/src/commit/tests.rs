//! A catalog that does not answer: whatever it did, a commit takes place once.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use async_trait::async_trait;

use super::*;
use crate::catalog::{Catalog, Entry, Inserted};
use crate::table::TableName;
use crate::{
    CompactOptions, LakeColumn, LakeSchema, LakeSettings, LakeType, MergeOptions, OnDelete,
    Orphans, TableDefinition, WriteOptions,
};

#[test]
fn pauses_vary_within_their_bounds() {
    for _ in 0..100 {
        let pause = jittered(Duration::from_millis(100));
        assert!((Duration::from_millis(50)..=Duration::from_millis(100)).contains(&pause));
    }
}

/// Answers the first swaps with "I do not know", after doing what it was asked, or without.
#[derive(Debug)]
struct Forgetful {
    inner: Arc<dyn Catalog>,
    left: AtomicU32,
    does_it: bool,
}

#[async_trait]
impl Catalog for Forgetful {
    async fn ensure_namespace(&self, namespace: &str, location: &str) -> Result<()> {
        self.inner.ensure_namespace(namespace, location).await
    }

    async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        self.inner.has_namespace(namespace).await
    }

    async fn namespaces(&self) -> Result<Vec<String>> {
        self.inner.namespaces().await
    }

    async fn load(&self, name: &TableName) -> Result<Option<Entry>> {
        self.inner.load(name).await
    }

    async fn list(&self, namespace: &str) -> Result<Vec<(TableName, Option<String>)>> {
        self.inner.list(namespace).await
    }

    async fn insert(&self, new: Next<'_>) -> Result<Inserted> {
        self.inner.insert(new).await
    }

    async fn swap(&self, next: Next<'_>) -> Result<Swapped> {
        let forgets = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        if !forgets {
            return self.inner.swap(next).await;
        }
        if self.does_it {
            self.inner.swap(next).await?;
        }
        Err(Error::new(ErrorKind::CommitStateUnknown))
    }

    async fn remove(&self, name: &TableName) -> Result<bool> {
        self.inner.remove(name).await
    }
}

async fn merged(table: &LakeTable, upserted: std::ops::Range<i64>) -> Merge {
    let table = table.clone();
    tokio::task::spawn_blocking(move || {
        let key = vec!["id".to_owned()];
        let options = MergeOptions {
            key,
            on_delete: OnDelete::Remove,
            sidecar: None,
            orphans: Orphans::Refuse,
        };
        let mut writer = table.merge_writer(&WriteOptions::default(), options, "test").unwrap();
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(upserted));
        writer.upsert(RecordBatch::try_from_iter([("id", ids)]).unwrap()).unwrap();
        writer.finish().unwrap()
    })
    .await
    .unwrap()
}

fn rows(table: &LakeTable) -> (u64, u64) {
    let snapshot = table.current_snapshot().unwrap();
    (snapshot.records, snapshot.files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_neither_loses_nor_doubles_anything() {
    for does_it in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let settings = LakeSettings::new(format!("sqlite:{place}/c.db"), format!("{place}/w"));
        let steady = Lake::open(settings).await.unwrap();
        steady.ensure_namespace("n").await.unwrap();
        let forgetful = || {
            steady.behind(|inner| Arc::new(Forgetful { inner, left: AtomicU32::new(2), does_it }))
        };
        let definition = TableDefinition {
            name: TableName::new("n", "t"),
            schema: LakeSchema { columns: vec![LakeColumn::required("id", LakeType::Long)] },
            comment: None,
            partition_by: Vec::new(),
            sort_by: Vec::new(),
            properties: BTreeMap::new(),
        };
        let table = steady.create(&definition).await.unwrap();
        let merge = merged(&table, 0..10).await;
        let table = steady.commit(&table, Commit::merge(merge)).await.unwrap().table;
        // Its state is that before the commit, so only the commit itself may be taken for its own.
        let mut commit = Commit::merge(merged(&table, 5..15).await);
        commit.expected = Some((POSITION_KEY.to_owned(), None));
        commit.state.insert(POSITION_KEY.to_owned(), "1".to_owned());
        let table = forgetful().commit(&table, commit).await.unwrap().table;
        assert_eq!(rows(&table).0, 15);
        let options = CompactOptions { least_files: 2, ..CompactOptions::default() };
        let table = forgetful().compact(&table, &options).await.unwrap().unwrap().table;
        assert_eq!(rows(&table), (15, 1));
        let mut commit = Commit::merge(merged(&table, 0..3).await);
        commit.branch = Some("copy".to_owned());
        let table = forgetful().commit(&table, commit).await.unwrap().table;
        assert_eq!(rows(&table), (15, 1));
        let lake = forgetful();
        let table = lake
            .publish_branch(&table, "copy", None, ReplaceGuard::Off, &BTreeMap::new())
            .await
            .unwrap();
        assert_eq!(rows(&table), (3, 1));
        let name = TableName::new("n", "t");
        let loaded = steady.load(&name).await.unwrap().unwrap();
        assert_eq!(loaded.metadata_location(), table.metadata_location());
    }
}
