//! Schemas change with the rows that need them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use ol_lake::{Commit, ErrorKind, LakeColumn, LakeSchema, LakeType, Operation};

use crate::support::{Place, definition, name, read, write};

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_the_schema_they_need_are_one_commit() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![
        LakeColumn::required("id", LakeType::Int),
        LakeColumn::optional("gone", LakeType::String),
    ];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let old: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![1])), Arc::new(StringArray::from(vec!["old"]))];
    let files = write(&table, vec![RecordBatch::try_new(table.arrow_schema(), old).unwrap()]).await;
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;

    let wanted = LakeSchema {
        columns: vec![
            LakeColumn::required("id", LakeType::Long),
            LakeColumn::required("note", LakeType::String),
        ],
    };
    let change = lake.evolve(&table, &wanted).await.unwrap();
    assert_eq!(change.steps(), ["Widen column id to long", "Add column note string"]);
    let next = table.after(&change).unwrap();
    let schema = next.arrow_schema();
    let new = RecordBatch::try_new(
        Arc::new(arrow_schema::Schema::new(vec![
            schema.field_with_name("id").unwrap().clone(),
            schema.field_with_name("note").unwrap().clone(),
        ])),
        vec![
            Arc::new(Int64Array::from(vec![i64::MAX])) as ArrayRef,
            Arc::new(StringArray::from(vec!["new"])),
        ],
    )
    .unwrap();
    let files = write(&next, vec![new]).await;
    let mut commit = Commit::new(Operation::Append, files);
    commit.schema_change = Some(change);
    // Nothing has changed before the commit.
    assert_eq!(lake.load(&name("t")).await.unwrap().unwrap().schema().columns.len(), 2);
    let table = lake.commit(&table, commit).await.unwrap().table;

    let names: Vec<_> = table.schema().columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "gone", "note"]);
    let rows = read(&lake, &table).await;
    let mut identifiers = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
    identifiers.sort_unstable();
    assert_eq!(identifiers, [1, i64::MAX]);
    assert_eq!(rows.column_by_name("gone").unwrap().null_count(), 1);
    assert_eq!(rows.column_by_name("note").unwrap().null_count(), 1);
    assert!(lake.evolve(&table, &wanted).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_alone_can_be_committed_and_read() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![LakeColumn::required("id", LakeType::Int)];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let rows = RecordBatch::try_new(
        table.arrow_schema(),
        vec![Arc::new(Int32Array::from(vec![1])) as ArrayRef],
    );
    let files = write(&table, vec![rows.unwrap()]).await;
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;
    let wanted = LakeSchema { columns: vec![LakeColumn::optional("other", LakeType::Uuid)] };
    let change = lake.evolve(&table, &wanted).await.unwrap();
    let table = lake.commit_schema(&table, &change).await.unwrap();
    // The rows were written under the older schema, and are still there under the newer one.
    let rows = read(&lake, &table).await;
    assert_eq!(rows.num_columns(), 2);
    assert_eq!(rows.column(0).as_primitive::<Int32Type>().value(0), 1);
    assert_eq!(rows.column(1).null_count(), 1);
    assert!(!table.schema().columns[0].required);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schema_changes_do_not_mix() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![LakeColumn::required("id", LakeType::Int)];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let wanted = |added: &str| LakeSchema {
        columns: vec![
            LakeColumn::required("id", LakeType::Int),
            LakeColumn::optional(added, LakeType::Int),
        ],
    };
    let first = lake.evolve(&table, &wanted("a")).await.unwrap();
    let second = lake.evolve(&table, &wanted("b")).await.unwrap();
    lake.commit_schema(&table, &first).await.unwrap();
    // The second gave its column the identifier that the first has taken since.
    let error = lake.commit_schema(&table, &second).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommitConflict);
    let mut commit = Commit::new(Operation::Append, Vec::new());
    commit.schema_change = Some(second);
    let error = lake.commit(&table, commit).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommitConflict, "{error}");
    let table = lake.load(&name("t")).await.unwrap().unwrap();
    assert!(table.schema().column("a").is_some() && table.schema().column("b").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_meaning_is_refused_with_both_types() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![LakeColumn::required("id", LakeType::Int)];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let wanted = LakeSchema { columns: vec![LakeColumn::required("id", LakeType::String)] };
    let error = lake.evolve(&table, &wanted).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::SchemaConflict);
    let text = error.to_string();
    assert!(text.contains("int") && text.contains("string") && text.contains("id"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_column_keeps_its_values_and_its_files() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![
        LakeColumn::required("id", LakeType::Int),
        LakeColumn::optional("old", LakeType::String),
    ];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let rows: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![1])), Arc::new(StringArray::from(vec!["kept"]))];
    let rows = RecordBatch::try_new(table.arrow_schema(), rows).unwrap();
    let files = write(&table, vec![rows]).await;
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;
    let renamed = |name: &str, was: &str| LakeColumn {
        was: Some(was.to_owned()),
        ..LakeColumn::optional(name, LakeType::String)
    };
    let id = || LakeColumn::required("id", LakeType::Int);
    let wanted = LakeSchema { columns: vec![id(), renamed("new", "old")] };
    let change = lake.evolve(&table, &wanted).await.unwrap();
    assert_eq!(change.steps(), ["Rename column old to new"]);
    let before = table.current_snapshot().unwrap();
    let table = lake.commit_schema(&table, &change).await.unwrap();
    assert_eq!(table.current_snapshot().unwrap(), before, "no file is written");
    let found = read(&lake, &table).await;
    assert_eq!(found.column_by_name("new").unwrap().as_string::<i32>().value(0), "kept");
    let found = crate::readers::Readers::start().read(&table);
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(found[reader][0][1], "kept", "{reader}");
    }
    // It says so for ever, and it is done once.
    assert!(lake.evolve(&table, &wanted).await.unwrap().is_empty());
    // The source has a column of the old name again: another one.
    let again = LakeSchema {
        columns: vec![id(), renamed("new", "old"), LakeColumn::optional("old", LakeType::Int)],
    };
    let change = lake.evolve(&table, &again).await.unwrap();
    assert_eq!(change.steps(), ["Add column old int"]);
    let table = lake.commit_schema(&table, &change).await.unwrap();
    assert!(lake.evolve(&table, &again).await.unwrap().is_empty());
    // Both are there, and nobody wants the one it is said to have been.
    let error = lake.evolve(&table, &wanted).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::SchemaConflict, "{error}");
    assert!(error.to_string().contains("old"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_column_and_a_new_one_of_its_name_come_in_one_step() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![LakeColumn::optional("a", LakeType::Int)];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let moved =
        LakeColumn { was: Some("a".to_owned()), ..LakeColumn::optional("b", LakeType::Int) };
    let wanted = LakeSchema { columns: vec![moved, LakeColumn::optional("a", LakeType::String)] };
    let change = lake.evolve(&table, &wanted).await.unwrap();
    assert_eq!(change.steps(), ["Rename column a to b", "Add column a string"]);
}
