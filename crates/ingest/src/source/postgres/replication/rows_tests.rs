//! Changes to batches, on a table of three columns.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Int32Type};
use ol_lake::schema::LakeColumn;

use super::super::super::catalog::{Column as CatalogColumn, Types};
use super::super::super::contract_document;
use super::super::message::{RelationColumn, ReplicaIdentity};
use super::*;
use crate::column::metadata::Op;
use crate::column::testing::arrow_schema;

const LIMIT: BatchLimit = BatchLimit { rows: 3, bytes: 1000 };

fn readings() -> Vec<Reading> {
    let types: Types = contract_document::types();
    [("id", "int4"), ("day", "date"), ("note", "text")]
        .map(|(name, kind)| {
            let column = CatalogColumn {
                number: 1,
                has_missing_value: false,
                name: name.into(),
                type_oid: types.oid(kind).unwrap(),
                modifier: -1,
                dimensions: 0,
                type_text: kind.into(),
                not_null: false,
                identity: false,
                has_default: false,
                generated: false,
                comment: None,
            };
            Reading::decide(&column, &types, None).unwrap()
        })
        .into()
}

fn relation(columns: &[&str]) -> RelationMessage {
    RelationMessage {
        oid: 1,
        namespace: "s".into(),
        name: "t".into(),
        replica_identity: ReplicaIdentity::Default,
        columns: columns
            .iter()
            .map(|name| RelationColumn {
                name: (*name).into(),
                type_oid: 1,
                modifier: -1,
                key: *name == "id",
            })
            .collect(),
    }
}

fn run() -> RunColumns {
    RunColumns { position: "p".into(), extracted_at_microseconds: 1, run_id: "r".into() }
}

fn lake(mut metadata: Vec<LakeColumn>) -> SchemaRef {
    let mut columns: Vec<LakeColumn> = readings()
        .iter()
        .map(|reading| LakeColumn {
            name: reading.name.clone(),
            lake_type: reading.contract.lake.clone(),
            required: false,
            doc: None,
            was: None,
        })
        .collect();
    columns.append(&mut metadata);
    arrow_schema(&columns)
}

fn rows(columns: &[&str]) -> ChangeRows {
    let names = readings().iter().map(|reading| reading.name.clone()).collect();
    let assembler = Assembler::new(lake(metadata::log()), names, run()).unwrap();
    ChangeRows::new(&readings(), assembler, &relation(columns), LIMIT).unwrap()
}

fn own(op: Op) -> RowMeta<'static> {
    RowMeta { op: Some(op), position: "0001", committed_at_microseconds: Some(7) }
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(text.as_bytes())
}

#[test]
fn columns_are_found_by_name_and_unknown_values_are_listed() {
    let mut rows = rows(&["note", "excluded", "id", "day"]);
    rows.push([text("a"), text("secret"), text("1"), text("2000-01-01")], own(Op::Insert)).unwrap();
    rows.push([Cell::Unchanged, Cell::Unchanged, text("2"), text("infinity")], own(Op::Update))
        .unwrap();
    assert_eq!((rows.rows(), rows.odd()), (2, 1));
    let (batch, unknown) = rows.finish().unwrap();
    assert_eq!(unknown, [Box::from([]), Box::from([2usize])]);
    let ids: Vec<_> = batch.column(0).as_primitive::<Int32Type>().iter().collect();
    assert_eq!(ids, [Some(1), Some(2)]);
    let days: Vec<_> = batch.column(1).as_primitive::<Date32Type>().iter().collect();
    assert_eq!(days, [Some(10_957), None]);
    let notes: Vec<_> = batch.column(2).as_string::<i32>().iter().collect();
    assert_eq!(notes, [Some("a"), None]);
    let odd = batch.column_by_name(metadata::ODD).unwrap().as_map();
    assert_eq!((odd.is_null(0), odd.is_valid(1)), (true, true));
    let entry = odd.value(1);
    assert_eq!(entry.column(0).as_string::<i32>().value(0), "day");
    assert_eq!(entry.column(1).as_string::<i32>().value(0), "infinity");
    assert_eq!((rows.rows(), rows.bytes(), rows.odd()), (0, 0, 0));
    assert!(format!("{batch:?}").find("secret").is_none(), "what is not read is nowhere");
}

#[test]
fn a_column_that_the_stream_does_not_have_is_unknown_in_every_row() {
    let mut rows = rows(&["id", "day"]);
    rows.push([text("1"), Cell::Null], own(Op::Insert)).unwrap();
    let (_, unknown) = rows.finish().unwrap();
    assert_eq!(unknown, [Box::from([2usize])]);
}

#[test]
fn rows_of_another_length_and_values_of_another_type_are_refused() {
    let short = rows(&["id", "day"]).push([text("1")], own(Op::Insert));
    assert!(matches!(short, Err(RowError::Form(_))));
    let long = rows(&["id"]).push([text("1"), text("2")], own(Op::Insert));
    assert!(matches!(long, Err(RowError::Form(_))));
    let value = rows(&["id"]).push([text("x")], own(Op::Insert));
    assert_eq!(value, Err(RowError::Value { column: "id".into() }));
}

#[test]
fn keys_of_deletes_carry_the_mark_where_there_is_one_and_must_be_known_and_fit() {
    let keys = |soft, key: &[&str]| {
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        let schema = lake(metadata::merge(soft));
        let mut relation = relation(&["note", "id", "day"]);
        relation.columns.iter_mut().for_each(|column| column.key = key.contains(&column.name));
        ChangeRows::keys(&readings(), &key, &schema, run(), &relation, LIMIT).unwrap()
    };
    let names = |batch: &RecordBatch| {
        batch.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    let mut hard = keys(false, &["id"]);
    hard.push([Cell::Null, text("1"), Cell::Null], own(Op::Delete)).unwrap();
    assert_eq!(names(&hard.finish().unwrap().0), ["id"]);
    let mut soft = keys(true, &["id"]);
    soft.push([Cell::Null, text("1"), Cell::Null], own(Op::Delete)).unwrap();
    let batch = soft.finish().unwrap().0;
    assert_eq!(
        names(&batch),
        [
            "id",
            metadata::POSITION,
            metadata::COMMITTED_AT,
            metadata::DELETED_AT,
            metadata::EXTRACTED_AT,
            metadata::RUN_ID
        ]
    );
    assert_eq!(batch.column_by_name(metadata::DELETED_AT).unwrap().null_count(), 0);
    let unknown =
        keys(false, &["note"]).push([Cell::Unchanged, text("1"), Cell::Null], own(Op::Delete));
    assert_eq!(unknown, Err(RowError::Unknown { column: "note".into() }));
    let odd =
        keys(false, &["day"]).push([Cell::Null, text("1"), text("-infinity")], own(Op::Delete));
    assert_eq!(odd, Err(RowError::OddKey { column: "day".into() }));
}
