//! What a merge costs: a table of many rows, and merges that touch 1 %, 10 % and 50 % of its keys.
//!
//! Usage: `cargo run -p ol-lake --example merge_bench -- FOLDER [ROWS]`, 6,000,000 rows by default. The table has eight
//! columns and its key is the first; the keys touched are spread over the whole table, the worst case for pruning. Three
//! quarters of them are updates and one quarter deletes. Printed are wall and processor seconds of writing and of the
//! commit, and the most memory used above what was in use before.
#![expect(clippy::print_stdout, reason = "this is a program for a person")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use ol_lake::{
    Commit, Lake, LakeColumn, LakeSchema, LakeSettings, LakeTable, LakeType, MergeOptions,
    OnDelete, Operation, Orphans, TableDefinition, TableName, WriteOptions,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const BATCH_ROWS: i64 = 8192;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: merge_bench FOLDER [ROWS]")?;
    let rows: i64 = arguments.next().map_or(Ok(6_000_000), |rows| rows.parse())?;
    std::fs::create_dir_all(&folder)?;
    let settings =
        LakeSettings::new(format!("sqlite:{folder}/catalog.db"), format!("{folder}/warehouse"));
    let lake = Lake::open(settings).await?;
    lake.ensure_namespace("bench").await?;
    let table = lake.create(&definition()).await?;
    let meter = Meter::start();
    let writing = table.clone();
    let files = tokio::task::spawn_blocking(move || -> Outcome<_> {
        let mut writer = writing.writer(&WriteOptions::default(), "bench")?;
        for start in (0..rows).step_by(usize::try_from(BATCH_ROWS)?) {
            let end = rows.min(start + BATCH_ROWS);
            writer.write(batch(&writing, &(start..end).collect::<Vec<_>>(), 0)?)?;
        }
        Ok(writer.finish()?)
    })
    .await??;
    let mut table = lake.commit(&table, Commit::new(Operation::Append, files)).await?.table;
    meter.tell(&format!("create {rows} rows"));
    for (round, percent) in (1_i64..).zip([1, 10, 50]) {
        let touched = rows * percent / 100;
        let meter = Meter::start();
        let writing = table.clone();
        let merge = tokio::task::spawn_blocking(move || -> Outcome<_> {
            let options = MergeOptions {
                key: vec!["id".to_owned()],
                on_delete: OnDelete::Remove,
                sidecar: None,
                orphans: Orphans::Refuse,
            };
            let mut writer = writing.merge_writer(&WriteOptions::default(), options, "bench")?;
            let keys: Vec<i64> = (0..touched).map(|n| n * 100 / percent + round % 2).collect();
            let (updated, deleted) = keys.split_at(keys.len() / 4 * 3);
            for keys in updated.chunks(usize::try_from(BATCH_ROWS)?) {
                writer.upsert(batch(&writing, keys, round)?)?;
            }
            for keys in deleted.chunks(usize::try_from(BATCH_ROWS)?) {
                let keys: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
                writer.delete(RecordBatch::try_from_iter([("id", keys)])?)?;
            }
            Ok(writer.finish()?)
        })
        .await??;
        meter.tell(&format!("write {percent} % ({touched} keys)"));
        let meter = Meter::start();
        table = lake.commit(&table, Commit::merge(merge)).await?.table;
        meter.tell(&format!("commit {percent} %"));
        let snapshot = table.current_snapshot().ok_or("there is a snapshot")?;
        println!("  {} rows, {} data files", snapshot.records, snapshot.files);
    }
    Ok(())
}

/// Time, processor time and memory since it was started.
struct Meter {
    started: Instant,
    processor: f64,
    held: u64,
}

impl Meter {
    fn start() -> Self {
        // Forgets the peak so far; where that is not permitted, the figure is that of the whole run.
        drop(std::fs::write("/proc/self/clear_refs", "5"));
        Self { started: Instant::now(), processor: cpu_seconds(), held: memory("VmRSS") }
    }

    fn tell(&self, what: &str) {
        println!(
            "{what}: {:.2} s wall, {:.2} s processor, {} MiB more memory at the peak",
            self.started.elapsed().as_secs_f64(),
            cpu_seconds() - self.processor,
            memory("VmHWM").saturating_sub(self.held) >> 10
        );
    }
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

fn definition() -> TableDefinition {
    let columns = [
        ("id", LakeType::Long),
        ("user_id", LakeType::Int),
        ("amount", LakeType::Decimal { precision: 12, scale: 2 }),
        ("is_active", LakeType::Boolean),
        ("day", LakeType::Date),
        ("updated_on", LakeType::Timestamptz),
        ("score", LakeType::Double),
        ("title", LakeType::String),
    ];
    TableDefinition {
        name: TableName::new("bench", "merged"),
        schema: LakeSchema {
            columns: columns.into_iter().map(|(n, t)| LakeColumn::optional(n, t)).collect(),
        },
        comment: None,
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        properties: BTreeMap::new(),
    }
}

/// A number without a pattern below 2^31 (the finalizer of SplitMix64).
fn scramble(n: i64, salt: i64) -> i64 {
    let mut mixed = (n ^ (salt << 40)).cast_unsigned().wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    i64::try_from(mixed >> 33).unwrap_or(0)
}

fn batch(table: &LakeTable, keys: &[i64], round: i64) -> Outcome<RecordBatch> {
    let each = |salt: i64| keys.iter().map(move |key| scramble(*key, salt + round * 10));
    let small = |n: i64| i32::try_from(n).unwrap_or(0);
    let amounts = each(2).map(|n| i128::from(n % 10_000_000));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(keys.to_vec())),
        Arc::new(Int32Array::from_iter_values(each(1).map(|n| small(n % 1_000_000)))),
        Arc::new(Decimal128Array::from_iter_values(amounts).with_precision_and_scale(12, 2)?),
        Arc::new(each(3).map(|n| Some(n % 3 == 0)).collect::<BooleanArray>()),
        Arc::new(Date32Array::from_iter_values(each(4).map(|n| 15_000 + small(n % 5000)))),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(each(5).map(|n| n * 700_000))
                .with_timezone("+00:00"),
        ),
        Arc::new(Float64Array::from_iter_values(each(6).map(|n| f64::from(small(n)) / 7.0))),
        Arc::new(StringArray::from_iter_values(each(7).map(|n| format!("title of course {n}")))),
    ];
    Ok(RecordBatch::try_new(table.arrow_schema(), columns)?)
}
