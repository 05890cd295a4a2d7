//! Every type, with its extremes, written and read back.

use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeBinaryBuilder, Int32Builder, LargeBinaryBuilder, ListBuilder, MapBuilder,
    MapFieldNames, StringBuilder,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array, RecordBatch, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, make_array,
};
use arrow_schema::DataType;
use ol_lake::{Commit, LakeColumn, LakeType, Operation, WriteOptions};

use crate::support::{Place, definition, read, write, write_with};

fn columns() -> Vec<LakeColumn> {
    let decimal = |precision, scale| LakeType::Decimal { precision, scale };
    let list = |element| LakeType::List(Box::new(element));
    [
        ("boolean", LakeType::Boolean),
        ("int", LakeType::Int),
        ("long", LakeType::Long),
        ("float", LakeType::Float),
        ("double", LakeType::Double),
        ("decimal 9", decimal(9, 2)),
        ("decimal 18", decimal(18, 4)),
        ("decimal 38", decimal(38, 38)),
        ("date", LakeType::Date),
        ("time", LakeType::Time),
        ("timestamp", LakeType::Timestamp),
        ("timestamptz", LakeType::Timestamptz),
        ("string", LakeType::String),
        ("uuid", LakeType::Uuid),
        ("binary", LakeType::Binary),
        ("list of int", list(LakeType::Int)),
        ("list of list of string", list(list(LakeType::String))),
        ("map", LakeType::StringMap),
    ]
    .into_iter()
    .map(|(name, lake_type)| LakeColumn::optional(name, lake_type))
    .collect()
}

/// Gives an array the exact type of its field, which carries field identifiers inside lists and maps.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other type has no fields inside")]
fn typed(array: ArrayRef, data_type: &DataType) -> ArrayRef {
    let data = array.to_data();
    let children = match data_type {
        DataType::List(field) => {
            vec![typed(make_array(data.child_data()[0].clone()), field.data_type()).to_data()]
        }
        DataType::Map(field, _sorted) => {
            vec![typed(make_array(data.child_data()[0].clone()), field.data_type()).to_data()]
        }
        DataType::Struct(fields) => fields
            .iter()
            .zip(data.child_data())
            .map(|(field, child)| typed(make_array(child.clone()), field.data_type()).to_data())
            .collect(),
        _leaf => return array,
    };
    let data = data.into_builder().data_type(data_type.clone()).child_data(children);
    make_array(data.build().unwrap())
}

fn values(schema: &arrow_schema::Schema) -> RecordBatch {
    let most = 10_i128.pow(38) - 1;
    let second = 1_000_000_i64;
    let (year_1, year_9999) = (-62_135_596_800 * second, 253_402_300_799 * second + 999_999);
    let mut uuids = FixedSizeBinaryBuilder::new(16);
    uuids.append_value([0; 16]).unwrap();
    uuids.append_value([255; 16]).unwrap();
    uuids.append_value(*b"0123456789abcdef").unwrap();
    uuids.append_null();
    let mut binaries = LargeBinaryBuilder::new();
    binaries.append_value(b"");
    binaries.append_value([255; 100]);
    binaries.append_value([0]);
    binaries.append_null();
    let mut integers = ListBuilder::new(Int32Builder::new());
    integers.append_value([Some(1), None, Some(i32::MIN)]);
    integers.append_value([]);
    integers.append_value([None]);
    integers.append_null();
    let mut nested = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    nested.values().append_value([Some("a"), None]);
    nested.values().append_null();
    nested.append(true);
    nested.append(true);
    nested.values().append_value([Some("")]);
    nested.append(true);
    nested.append(false);
    let names =
        MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("a");
    maps.values().append_value("b");
    maps.keys().append_value("");
    maps.values().append_null();
    maps.append(true).unwrap();
    maps.append(true).unwrap();
    maps.keys().append_value("ünï");
    maps.values().append_value("🦆");
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let decimal = |precision, scale, most: i128| -> ArrayRef {
        let values = Decimal128Array::from(vec![Some(-most), Some(most), Some(0), None]);
        Arc::new(values.with_precision_and_scale(precision, scale).unwrap())
    };
    let times = vec![Some(year_1), Some(year_9999), Some(-1), None];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), Some(0), None])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), Some(0), None])),
        Arc::new(Float32Array::from(vec![
            Some(f32::NAN),
            Some(f32::NEG_INFINITY),
            Some(-0.0),
            None,
        ])),
        Arc::new(Float64Array::from(vec![
            Some(f64::NAN),
            Some(f64::MIN_POSITIVE),
            Some(-0.0),
            None,
        ])),
        decimal(9, 2, 999_999_999),
        decimal(18, 4, 999_999_999_999_999_999),
        decimal(38, 38, most),
        Arc::new(Date32Array::from(vec![Some(-719_162), Some(2_932_896), Some(-1), None])),
        Arc::new(Time64MicrosecondArray::from(vec![Some(0), Some(86_399_999_999), Some(1), None])),
        Arc::new(TimestampMicrosecondArray::from(times.clone())),
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00")),
        Arc::new(StringArray::from(vec![
            Some(String::new()),
            Some("\u{10ffff}".repeat(40)),
            Some("🦆 \"quoted\"\n\0tab\t".to_owned()),
            None,
        ])),
        Arc::new(uuids.finish()),
        Arc::new(binaries.finish()),
        Arc::new(integers.finish()),
        Arc::new(nested.finish()),
        Arc::new(maps.finish()),
    ];
    let arrays = arrays
        .into_iter()
        .zip(schema.fields())
        .map(|(array, field)| typed(array, field.data_type()))
        .collect();
    RecordBatch::try_new(Arc::new(schema.clone()), arrays).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_and_its_extremes_come_back() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("types", columns())).await.unwrap();
    let wanted = values(&table.arrow_schema());
    let files = write(&table, vec![wanted.clone()]).await;
    assert_eq!(files.len(), 1);
    let committed = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap();
    let found = read(&lake, &committed.table).await;
    assert_eq!(found.num_rows(), 4);
    for (index, field) in wanted.schema().fields().iter().enumerate() {
        let (wanted, found) = (wanted.column(index), found.column(index));
        assert_eq!(found.data_type(), wanted.data_type(), "{}", field.name());
        assert_eq!(found.to_data(), wanted.to_data(), "{}", field.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_groups_of_one_row_hold_the_same_rows() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("types", columns())).await.unwrap();
    let wanted = values(&table.arrow_schema());
    let options = WriteOptions { row_group_rows: 1, ..WriteOptions::default() };
    let single = (0..4).map(|row| wanted.slice(row, 1)).collect();
    let files = write_with(&table, options, single).await.unwrap();
    let committed = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap();
    let found = read(&lake, &committed.table).await;
    for (index, field) in wanted.schema().fields().iter().enumerate() {
        assert_eq!(
            found.column(index).to_data(),
            wanted.column(index).to_data(),
            "{}",
            field.name()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_names_of_tables_and_columns_come_back() {
    let place = Place::new();
    let lake = place.open().await;
    let names = [
        "id",
        "ID2",
        "select",
        "a.b",
        "a/b",
        "\"quoted\"",
        "'single'",
        " lead",
        "trail ",
        "ünï",
        "🦆",
        "a b",
        "a=b",
        "a-b",
        "1st",
        "file_path",
        "_change_type",
        "pos",
        "%20",
        "back\\slash",
        "{brace}",
        "semi;colon",
        "sixty_three_bytes_sixty_three_bytes_sixty_three_bytes_sixty_three_",
    ];
    let columns = names.iter().map(|name| LakeColumn::optional(*name, LakeType::Int)).collect();
    let strange = "Ünï \"table\" / 🦆";
    let table = lake.create(&definition(strange, columns)).await.unwrap();
    let arrays =
        (0..).take(names.len()).map(|value| Arc::new(Int32Array::from(vec![value])) as ArrayRef);
    let wanted = RecordBatch::try_new(table.arrow_schema(), arrays.collect()).unwrap();
    let files = write(&table, vec![wanted.clone()]).await;
    lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap();
    let loaded = lake.load(table.name()).await.unwrap().unwrap();
    assert_eq!(read(&lake, &loaded).await.columns(), wanted.columns());
    assert_eq!(lake.list(&table.name().namespace).await.unwrap(), vec![table.name().clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_taken_by_name_and_chosen_by_name() {
    use futures::TryStreamExt;
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![
        LakeColumn::optional("a", LakeType::Int),
        LakeColumn::optional("b", LakeType::Int),
        LakeColumn::optional("c", LakeType::Int),
    ];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let schema = table.arrow_schema();
    let given = RecordBatch::try_new(
        Arc::new(arrow_schema::Schema::new(vec![
            schema.field_with_name("c").unwrap().clone(),
            schema.field_with_name("a").unwrap().clone(),
        ])),
        vec![Arc::new(Int32Array::from(vec![3])), Arc::new(Int32Array::from(vec![1]))],
    )
    .unwrap();
    let files = write(&table, vec![given]).await;
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;
    let chosen = lake.scan(&table, Some(&["c", "b"])).await.unwrap();
    let chosen: Vec<RecordBatch> = chosen.try_collect().await.unwrap();
    assert_eq!(chosen[0].column(0).as_ref(), &Int32Array::from(vec![3]) as &dyn Array);
    assert_eq!(chosen[0].column(1).null_count(), 1);
    assert!(lake.scan(&table, Some(&["d"])).await.is_err());
}
