//! Data files: their size, their memory, their metadata, and what becomes of them when a run gives up.

use std::fs::File;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, LargeBinaryArray, RecordBatch, StringArray};
use ol_lake::{
    Commit, ErrorKind, LakeColumn, LakeTable, LakeType, Operation, WriteOptions, WrittenFile,
};
use parquet::basic::LogicalType;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;

use crate::support::{
    Place, batch, definition, files_below, identifiers, name, read, two_columns, write, write_with,
};

fn footer(file: &WrittenFile) -> ParquetMetaData {
    let file = File::open(file.path.trim_start_matches("file://")).unwrap();
    SerializedFileReader::new(file).unwrap().metadata().clone()
}

fn local(table: &LakeTable) -> String {
    table.location().trim_start_matches("file://").to_owned()
}

/// Text that does not compress.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap())
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_roll_and_row_groups_are_bounded_by_bytes() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let options = WriteOptions {
        target_file_bytes: 1 << 20,
        row_group_bytes: 256 << 10,
        page_bytes: 32 << 10,
        ..WriteOptions::default()
    };
    let batches = (0..40_i64)
        .map(|index| {
            let ids: Vec<i64> = (index * 1000..index * 1000 + 1000).collect();
            let notes = ids.iter().map(|id| noise(u64::try_from(*id).unwrap(), 100));
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(ids.clone())),
                Arc::new(StringArray::from_iter_values(notes)),
            ];
            RecordBatch::try_new(table.arrow_schema(), columns).unwrap()
        })
        .collect();
    let files = write_with(&table, options, batches).await.unwrap();
    assert!(files.len() >= 3, "{} files", files.len());
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 40_000);
    for file in &files {
        let on_disk = std::fs::metadata(file.path.trim_start_matches("file://")).unwrap().len();
        assert_eq!(file.bytes, on_disk);
        assert!(on_disk < 1_500_000, "{on_disk}");
        let footer = footer(file);
        // The last file has what is left.
        assert!(footer.num_row_groups() > 1 || file.path == files[files.len() - 1].path);
        for row_group in footer.row_groups() {
            assert!(row_group.compressed_size() < 512 << 10, "{}", row_group.compressed_size());
        }
    }
    lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap();
    assert_eq!(identifiers(&lake, &name("t")).await.len(), 40_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_values_do_not_gather_in_one_row_group() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![LakeColumn::optional("blob", LakeType::Binary)];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let value = noise(7, 10 << 20).into_bytes();
    let rows = LargeBinaryArray::from_iter_values(std::iter::repeat_n(&value, 6));
    let rows =
        RecordBatch::try_new(table.arrow_schema(), vec![Arc::new(rows) as ArrayRef]).unwrap();
    let files = write(&table, vec![rows.clone()]).await;
    let footer = footer(&files[0]);
    assert!(footer.num_row_groups() >= 2, "{}", footer.num_row_groups());
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;
    assert_eq!(read(&lake, &table).await.columns(), rows.columns());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_1600_columns_is_written_and_read() {
    let place = Place::new();
    let lake = place.open().await;
    let columns: Vec<LakeColumn> = (0..1600)
        .map(|index| LakeColumn::optional(format!("column {index}"), LakeType::Int))
        .collect();
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let rows = |seed: i32| {
        let arrays = (0..1600).map(|column| {
            Arc::new(Int32Array::from_iter_values((0..20).map(|row| seed + row * column)))
                as ArrayRef
        });
        RecordBatch::try_new(table.arrow_schema(), arrays.collect()).unwrap()
    };
    let files = write(&table, vec![rows(1), rows(1000)]).await;
    let table = lake.commit(&table, Commit::new(Operation::Append, files)).await.unwrap().table;
    let found = read(&lake, &table).await;
    assert_eq!((found.num_rows(), found.num_columns()), (40, 1600));
    assert_eq!(found.slice(0, 20).columns(), rows(1).columns());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rows_give_no_file() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    assert_eq!(write(&table, vec![batch(&table, [])]).await.len(), 0);
    assert_eq!(files_below(local(&table).as_ref()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_aborted_or_dropped_leaves_nothing() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    for is_aborted in [true, false] {
        let table = table.clone();
        tokio::task::spawn_blocking(move || {
            let options = WriteOptions { target_file_bytes: 1, ..WriteOptions::default() };
            let mut writer = table.writer(&options, "test").unwrap();
            for index in 0..5 {
                writer.write(batch(&table, index * 100..index * 100 + 100)).unwrap();
            }
            if is_aborted { writer.abort() } else { drop(writer) }
        })
        .await
        .unwrap();
    }
    assert_eq!(files_below(local(&table).as_ref()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_schema_are_refused_by_column() {
    let place = Place::new();
    let lake = place.open().await;
    let table = lake.create(&definition("t", two_columns())).await.unwrap();
    let field = |name: &str, data_type| arrow_schema::Field::new(name, data_type, true);
    use arrow_schema::DataType::{Int32, Int64};
    let cases: [(&str, arrow_schema::Field, ArrayRef); 3] = [
        ("id", field("id", Int32), Arc::new(Int32Array::from(vec![1]))),
        ("id", field("id", Int64), Arc::new(Int64Array::from(vec![None]))),
        ("other", field("other", Int64), Arc::new(Int64Array::from(vec![1]))),
    ];
    for (column, field, array) in cases {
        let schema = Arc::new(arrow_schema::Schema::new(vec![field]));
        let rows = RecordBatch::try_new(schema, vec![array]).unwrap();
        let error = write_with(&table, WriteOptions::default(), vec![rows]).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::RowsMismatch, "{error}");
        assert!(error.to_string().contains(column), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_says_what_iceberg_asks_of_it() {
    let place = Place::new();
    let lake = place.open().await;
    let columns = vec![
        LakeColumn::required("id", LakeType::Uuid),
        LakeColumn::optional("amount", LakeType::Decimal { precision: 15, scale: 2 }),
    ];
    let table = lake.create(&definition("t", columns)).await.unwrap();
    let ids = arrow_array::FixedSizeBinaryArray::try_from_iter([[1; 16], [2; 16]].iter()).unwrap();
    let amounts = arrow_array::Decimal128Array::from(vec![Some(-5), None])
        .with_precision_and_scale(15, 2)
        .unwrap();
    let rows = RecordBatch::try_new(
        table.arrow_schema(),
        vec![Arc::new(ids) as ArrayRef, Arc::new(amounts)],
    );
    let files = write(&table, vec![rows.unwrap()]).await;
    let footer = footer(&files[0]);
    let columns = footer.file_metadata().schema_descr().columns().to_vec();
    assert_eq!(columns[0].logical_type_ref(), Some(&LogicalType::Uuid));
    assert_eq!(columns[1].physical_type(), parquet::basic::Type::INT64);
    for (column, identifier) in columns.iter().zip(1..) {
        assert_eq!(column.self_type().get_basic_info().id(), identifier);
    }
}
