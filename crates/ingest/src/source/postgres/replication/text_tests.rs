//! Arrays and JSON through the decoder, and text that no server writes. That the values are those of COPY is tested on a
//! server, type by type (`tests/replication/zoo.rs`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use ol_lake::schema::LakeColumn;
use proptest::prelude::*;

use super::super::super::catalog::{Column, Relation, RelationKind, Types};
use super::super::super::contract_document;
use super::super::relation::streamable;
use super::*;
use crate::column::testing::arrow_schema;

fn column(types: &Types, kind: &str, dimensions: i16) -> Column {
    Column {
        number: 0,
        has_missing_value: false,
        has_default: false,
        name: "v".into(),
        type_oid: types.oid(kind).unwrap(),
        modifier: -1,
        dimensions,
        type_text: kind.into(),
        not_null: false,
        identity: false,
        generated: false,
        comment: None,
    }
}

fn reading(kind: &str, dimensions: i16) -> Reading {
    let types = contract_document::types();
    Reading::decide(&column(&types, kind, dimensions), &types, None).unwrap()
}

fn decoder(reading: &Reading) -> Option<TextDecoder> {
    let lake = LakeColumn {
        was: None,
        name: "v".into(),
        lake_type: reading.contract.lake.clone(),
        required: false,
        doc: None,
    };
    TextDecoder::new(reading, arrow_schema(&[lake]).field(0).data_type())
}

#[test]
fn arrays_of_another_shape_are_odd_as_a_whole_and_the_next_one_is_not() {
    let mut decoder = decoder(&reading("int4 array", 1)).unwrap();
    assert_eq!(decoder.append(b"{1,NULL,3}"), Ok(Appended::Stored));
    for shape in ["{{1,2},{3,4}}", "[0:1]={1,2}"] {
        assert_eq!(decoder.append(shape.as_bytes()), Ok(Appended::Odd(shape.to_owned())));
        decoder.append_null();
    }
    assert_eq!(decoder.append(b"{}"), Ok(Appended::Stored));
    let array = decoder.finish().unwrap();
    let lists = array.as_list::<i32>();
    assert_eq!((lists.len(), lists.null_count()), (4, 2));
    let first: Vec<_> = lists.value(0).as_primitive::<Int32Type>().iter().collect();
    assert_eq!(first, [Some(1), None, Some(3)]);
    assert!(lists.value(3).is_empty());
}

#[test]
fn an_array_that_is_declared_with_several_dimensions_is_json() {
    let mut decoder = decoder(&reading("int4 array", 2)).unwrap();
    assert_eq!(decoder.append(b"{{1,NULL},{3,4}}"), Ok(Appended::Stored));
    assert_eq!(decoder.append(b"[0:0]={1}"), Ok(Appended::Odd("[0:0]={1}".into())));
    decoder.append_null();
    let array = decoder.finish().unwrap();
    assert_eq!(array.as_string::<i32>().value(0), "[[1,null],[3,4]]");
}

#[test]
fn columns_that_the_stream_cannot_say_are_refused_by_name() {
    let relation = |column: Column| Relation {
        oid: 1,
        namespace: "s".into(),
        name: "t".into(),
        kind: RelationKind::Table,
        partition_of: None,
        has_children: false,
        is_heap: true,
        row_estimate: None,
        rows_hidden: false,
        bytes: 0,
        comment: None,
        columns: vec![column],
        primary_key: Vec::new(),
    };
    let types = contract_document::types();
    let composites = reading("composite array", 2);
    assert!(decoder(&composites).is_none());
    let refusal = streamable(&relation(column(&types, "composite array", 2)), &composites);
    assert_eq!(refusal.unwrap_err().column, "v");
    let generated = Column { generated: true, ..column(&types, "int4", 0) };
    assert!(streamable(&relation(generated), &reading("int4", 0)).is_err());
    for (kind, dimensions) in
        [("int4", 0), ("composite array", 1), ("composite", 0), ("inet array", 2)]
    {
        let plain = relation(column(&types, kind, dimensions));
        assert_eq!(streamable(&plain, &reading(kind, dimensions)), Ok(()), "{kind}");
    }
}

proptest! {
    /// Whatever text arrives: a value, an odd text or a refusal, and a batch with as many rows.
    #[test]
    fn foreign_text_never_breaks_a_decoder(values in prop::collection::vec(prop_oneof!["[{}\",\\\\NUL0-9.:+a \\[\\]=-]{0,24}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..24)], 0..8)) {
        let kinds = [
            ("int4", 0), ("numeric", 0), ("jsonb", 0), ("timestamptz", 0), ("bytea", 0), ("uuid", 0), ("int4 array", 1),
            ("timestamptz array", 1), ("numeric array", 1), ("inet array", 1), ("int4 array", 2), ("inet array", 2),
        ];
        for (kind, dimensions) in kinds {
            let mut decoder = decoder(&reading(kind, dimensions)).unwrap();
            let mut rows = 0;
            for value in &values {
                match decoder.append(value) {
                    Ok(Appended::Stored) => rows += 1,
                    Ok(Appended::Odd(_)) => {
                        decoder.append_null();
                        rows += 1;
                    }
                    // The table stops here; nothing that was appended is used.
                    Err(Undecodable) => break,
                }
            }
            // An array that broke off has left elements behind; only whole ones make a batch.
            if rows == values.len() {
                prop_assert_eq!(decoder.finish().unwrap().len(), rows, "{}", kind);
            }
        }
    }
}
