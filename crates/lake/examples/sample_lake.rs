//! Writes a small lake into the folder given, for `tests/readers.py` to read with PyIceberg and DuckDB.
//!
//! Every value is a function of its row, so the reader knows what to expect without being told.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float64Array, Int32Array, Int64Array, LargeBinaryArray, ListArray, RecordBatch, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use ol_lake::{
    Commit, Lake, LakeColumn, LakeSchema, LakeSettings, LakeTable, LakeType, Operation, Result,
    TableDefinition, TableName, WrittenFile,
};

const NAMESPACE: &str = "ol_warehouse_ci_raw";
const NAMES: [&str; 14] = [
    "ID",
    "select",
    "a.b",
    "a/b",
    "\"quoted\"",
    " lead",
    "trail ",
    "ünï",
    "🦆",
    "pos",
    "file_path",
    "back\\slash",
    "'single'",
    "%41",
];

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("the folder to write to is missing")?;
    let settings =
        LakeSettings::new(format!("sqlite:{folder}/catalog.db"), format!("{folder}/warehouse"));
    let lake = Lake::open(settings).await?;
    lake.ensure_namespace(NAMESPACE).await?;

    let table = create(&lake, "types", types()).await?;
    let table = commit(&lake, &table, Operation::Append, vec![rows(&table, 0..50)?]).await?;
    commit(&lake, &table, Operation::Append, vec![rows(&table, 50..100)?]).await?;

    let table = create(&lake, "replaced", types()).await?;
    let table = commit(&lake, &table, Operation::Append, vec![rows(&table, 0..50)?]).await?;
    commit(&lake, &table, Operation::Overwrite, vec![rows(&table, 10..20)?]).await?;

    let table = create(&lake, "emptied", types()).await?;
    let table = commit(&lake, &table, Operation::Append, vec![rows(&table, 0..50)?]).await?;
    commit(&lake, &table, Operation::Overwrite, Vec::new()).await?;
    create(&lake, "untouched", types()).await?;

    let names = NAMES.iter().map(|name| LakeColumn::optional(*name, LakeType::Int)).collect();
    let table = create(&lake, "names", names).await?;
    let columns = (0..).take(NAMES.len()).map(|n| Arc::new(Int32Array::from(vec![n])) as ArrayRef);
    let batch = RecordBatch::try_new(table.arrow_schema(), columns.collect())?;
    commit(&lake, &table, Operation::Append, vec![batch]).await?;

    let table = create(&lake, "widened", vec![LakeColumn::required("id", LakeType::Int)]).await?;
    let batch = RecordBatch::try_new(
        table.arrow_schema(),
        vec![Arc::new(Int32Array::from(vec![1])) as ArrayRef],
    )?;
    let table = commit(&lake, &table, Operation::Append, vec![batch]).await?;
    let wanted = LakeSchema {
        columns: vec![
            LakeColumn::required("id", LakeType::Long),
            LakeColumn::optional("note", LakeType::String),
        ],
    };
    let change = lake.evolve(&table, &wanted).await?;
    let next = table.after(&change)?;
    let batch = RecordBatch::try_new(
        next.arrow_schema(),
        vec![
            Arc::new(Int64Array::from(vec![i64::MAX])) as ArrayRef,
            Arc::new(StringArray::from(vec!["new"])),
        ],
    )?;
    let mut step = Commit::new(Operation::Append, write(&next, vec![batch]).await?);
    step.schema_change = Some(change);
    step.state.insert("ol.position".to_owned(), "0001".to_owned());
    lake.commit(&table, step).await?;
    Ok(())
}

async fn create(lake: &Lake, name: &str, columns: Vec<LakeColumn>) -> Result<LakeTable> {
    lake.create(&TableDefinition {
        name: TableName::new(NAMESPACE, name),
        schema: LakeSchema { columns },
        comment: Some(format!("The table {name}")),
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        properties: BTreeMap::new(),
    })
    .await
}

async fn write(table: &LakeTable, batches: Vec<RecordBatch>) -> Result<Vec<WrittenFile>> {
    let table = table.clone();
    let written = tokio::task::spawn_blocking(move || {
        let mut writer = table.writer(&ol_lake::WriteOptions::default(), "sample")?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.finish()
    });
    written.await.expect("writing does not panic")
}

async fn commit(
    lake: &Lake,
    table: &LakeTable,
    operation: Operation,
    batches: Vec<RecordBatch>,
) -> Result<LakeTable> {
    let files = write(table, batches).await?;
    Ok(lake.commit(table, Commit::new(operation, files)).await?.table)
}

fn types() -> Vec<LakeColumn> {
    vec![
        LakeColumn::required("id", LakeType::Long),
        LakeColumn::optional("flag", LakeType::Boolean),
        LakeColumn::optional("small", LakeType::Int),
        LakeColumn::optional("ratio", LakeType::Double),
        LakeColumn::optional("amount", LakeType::Decimal { precision: 15, scale: 2 }),
        LakeColumn::optional("huge", LakeType::Decimal { precision: 38, scale: 5 }),
        LakeColumn::optional("day", LakeType::Date),
        LakeColumn::optional("time", LakeType::Time),
        LakeColumn::optional("local", LakeType::Timestamp),
        LakeColumn::optional("instant", LakeType::Timestamptz),
        LakeColumn::optional("text", LakeType::String),
        LakeColumn::optional("uuid", LakeType::Uuid),
        LakeColumn::optional("bytes", LakeType::Binary),
        LakeColumn::optional("tags", LakeType::List(Box::new(LakeType::String))),
    ]
}

/// Row `n`; every seventh is null but for its key. `readers.py` has the same rules.
fn rows(
    table: &LakeTable,
    keys: std::ops::Range<i64>,
) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
    let schema = table.arrow_schema();
    let keys: Vec<i64> = keys.collect();
    let given = || keys.iter().map(|n| (n % 7 != 0).then_some(*n));
    let small = |n: i64| i32::try_from(n).unwrap_or(0);
    let byte = |n: i64| u8::try_from(n).unwrap_or(0);
    let decimal = |precision, scale, factor: i128| -> Result<ArrayRef, arrow_schema::ArrowError> {
        let values: Decimal128Array =
            given().map(|n| n.map(|n| (50 - i128::from(n)) * factor)).collect();
        Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
    };
    let micros = |n: i64| (n - 50) * 86_400_000_000 * 300 + n;
    let uuids = given().map(|n| n.map(|n| [byte(n); 16]));
    let mut tags = ListBuilder::new(StringBuilder::new());
    for n in given() {
        match n {
            Some(n) => {
                tags.append_value((0..n % 3).map(|i| (i == 0).then(|| format!("tag {n}"))));
            }
            None => tags.append_null(),
        }
    }
    let tags = tags.finish();
    let DataType::List(element) = schema.field_with_name("tags")?.data_type().clone() else {
        return Err(arrow_schema::ArrowError::SchemaError("tags is a list".to_owned()));
    };
    let tags = ListArray::try_new(
        element,
        tags.offsets().clone(),
        Arc::clone(tags.values()),
        tags.nulls().cloned(),
    )?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(keys.clone())),
        Arc::new(given().map(|n| n.map(|n| n % 2 == 0)).collect::<BooleanArray>()),
        Arc::new(given().map(|n| n.map(|n| small(n) - 50)).collect::<Int32Array>()),
        Arc::new(
            given().map(|n| n.map(|n| f64::from(small(n)) / 8.0 - 5.0)).collect::<Float64Array>(),
        ),
        decimal(15, 2, 12_345)?,
        decimal(38, 5, 10_i128.pow(35) + 1)?,
        Arc::new(given().map(|n| n.map(|n| (small(n) - 50) * 300)).collect::<Date32Array>()),
        Arc::new(given().map(|n| n.map(|n| n * 800_000_001)).collect::<Time64MicrosecondArray>()),
        Arc::new(given().map(|n| n.map(micros)).collect::<TimestampMicrosecondArray>()),
        Arc::new(
            given()
                .map(|n| n.map(micros))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("+00:00"),
        ),
        Arc::new(given().map(|n| n.map(|n| format!("ünï 🦆 {n}"))).collect::<StringArray>()),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids, 16)?),
        Arc::new(
            given()
                .map(|n| n.map(|n| vec![255 - byte(n); usize::from(byte(n))]))
                .collect::<LargeBinaryArray>(),
        ),
        Arc::new(tags),
    ];
    RecordBatch::try_new(schema, columns)
}
