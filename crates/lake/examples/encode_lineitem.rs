//! Encodes rows shaped like TPC-H `lineitem` and prints what it cost, to find out what a change of encoding does.
//!
//! Usage: encode_lineitem FOLDER [ROWS]. Compare CPU seconds of two builds on one machine; the rows are made once.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use ol_lake::{
    Commit, Lake, LakeColumn, LakeSchema, LakeSettings, LakeType, Operation, TableDefinition,
    TableName, WriteOptions,
};

const BATCH_ROWS: i64 = 16_384;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("the folder to write to is missing")?;
    let rows: i64 = std::env::args().nth(2).unwrap_or("6000000".to_owned()).parse()?;
    let lake = Lake::open(LakeSettings::new(
        format!("sqlite:{folder}/catalog.db"),
        format!("{folder}/warehouse"),
    ))
    .await?;
    lake.ensure_namespace("bench").await?;
    let money = LakeType::Decimal { precision: 15, scale: 2 };
    let columns = [
        ("orderkey", LakeType::Long),
        ("partkey", LakeType::Long),
        ("suppkey", LakeType::Long),
        ("linenumber", LakeType::Int),
        ("quantity", money.clone()),
        ("price", money.clone()),
        ("discount", money.clone()),
        ("tax", money),
        ("returnflag", LakeType::String),
        ("linestatus", LakeType::String),
        ("shipdate", LakeType::Date),
        ("commitdate", LakeType::Date),
        ("receiptdate", LakeType::Date),
        ("shipinstruct", LakeType::String),
        ("shipmode", LakeType::String),
        ("comment", LakeType::String),
    ];
    let table = lake
        .create(&TableDefinition {
            name: TableName::new("bench", "lineitem"),
            schema: LakeSchema {
                columns: columns.into_iter().map(|(n, t)| LakeColumn::optional(n, t)).collect(),
            },
            comment: None,
            partition_by: Vec::new(),
            sort_by: Vec::new(),
            properties: BTreeMap::new(),
        })
        .await?;
    // Batches over and over cost nothing to make while the clock runs; two million rows do not repeat within a page.
    let batches: Vec<RecordBatch> = (0..128)
        .map(|seed| batch(&table.arrow_schema(), seed * BATCH_ROWS))
        .collect::<Result<_, _>>()?;
    let held = memory("VmRSS");
    let before = cpu_seconds();
    let writing = table.clone();
    let files = tokio::task::spawn_blocking(move || {
        let mut writer = writing.writer(&WriteOptions::default(), "bench")?;
        let needed = usize::try_from(rows / BATCH_ROWS).unwrap_or(0);
        for batch in batches.iter().cycle().take(needed) {
            writer.write(batch.clone())?;
        }
        writer.finish()
    })
    .await??;
    let encoded = cpu_seconds() - before;
    let committed = lake.commit(&table, Commit::new(Operation::Append, files)).await?;
    let grown = memory("VmHWM").saturating_sub(held) >> 10;
    println!(
        "rows {} bytes {} files {} encode_cpu_seconds {encoded:.2} grown_mib {grown}",
        committed.rows, committed.bytes, committed.files
    );
    Ok(())
}

/// A line of the kernel's account of this process, in KiB.
fn memory(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = text.rsplit(')').next().unwrap_or("").split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// A number without a pattern below 2^31 (the finalizer of SplitMix64), so that nothing compresses by accident.
fn scramble(n: i64, salt: i64) -> i64 {
    let mut mixed = (n ^ (salt << 40)).cast_unsigned().wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    i64::try_from(mixed >> 33).unwrap_or(0)
}

fn batch(
    schema: &arrow_schema::SchemaRef,
    from: i64,
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let keys = || from..from + BATCH_ROWS;
    let money = |salt: i64, below: i64| -> Result<ArrayRef, arrow_schema::ArrowError> {
        let values = keys().map(|n| i128::from(scramble(n, salt) % below));
        Ok(Arc::new(Decimal128Array::from_iter_values(values).with_precision_and_scale(15, 2)?))
    };
    let small = |n: i64| i32::try_from(n).unwrap_or(0);
    let pick = |salt: i64, of: &'static [&'static str]| -> ArrayRef {
        let index = move |n| usize::try_from(scramble(n, salt)).unwrap_or(0) % of.len();
        Arc::new(StringArray::from_iter_values(
            keys().map(|n| of.get(index(n)).copied().unwrap_or("")),
        ))
    };
    let dates = |salt| -> ArrayRef {
        Arc::new(Date32Array::from_iter_values(
            keys().map(|n| 8000 + small(scramble(n, salt) % 2526)),
        ))
    };
    const WORDS: [&str; 12] = [
        "furiously",
        "quickly",
        "deposits",
        "accounts",
        "the",
        "packages",
        "carefully",
        "ironic",
        "bold",
        "requests",
        "sleep",
        "express",
    ];
    let comment = |n: i64| {
        let word = |i: i64| {
            WORDS.get(usize::try_from(scramble(n, i) % 12).unwrap_or(0)).copied().unwrap_or("")
        };
        (0..2 + scramble(n, 99) % 4).map(word).collect::<Vec<_>>().join(" ")
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(keys().map(|n| n / 4))),
        Arc::new(Int64Array::from_iter_values(keys().map(|n| scramble(n, 1) % 200_000))),
        Arc::new(Int64Array::from_iter_values(keys().map(|n| scramble(n, 2) % 10_000))),
        Arc::new(Int32Array::from_iter_values(keys().map(|n| small(n % 7)))),
        money(3, 50)?,
        money(4, 10_000_000)?,
        money(5, 11)?,
        money(6, 9)?,
        pick(7, &["A", "N", "R"]),
        pick(8, &["F", "O"]),
        dates(9),
        dates(10),
        dates(11),
        pick(12, &["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]),
        pick(13, &["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"]),
        Arc::new(StringArray::from_iter_values(keys().map(comment))),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
}
