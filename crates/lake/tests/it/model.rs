//! Random merges beside a model of the table in memory; PyIceberg, DuckDB and our own scan are asked in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow_schema::DataType;
use ol_lake::{
    Commit, CompactOptions, Lake, LakeColumn, LakeSchema, LakeTable, LakeType, MergeOptions,
    MergeWriter, OnDelete, Operation, Orphans, POSITION_KEY, PartitionField, PartitionTransform,
    SortField, WriteOptions,
};
use serde_json::{Value, json};

use crate::readers::Readers;
use crate::support::{Place, definition, name, read, write};

/// Key of the model: column `id` and column `kind`.
type Key = (i64, &'static str);

const KINDS: [&str; 3] = ["a", "b", "ünï"];

#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    note: Option<String>,
    amount: Option<i64>,
    extra: Option<String>,
    odd: BTreeMap<String, String>,
}

/// Numbers without a pattern (SplitMix64), and how many rows the merge under way has patched.
struct Dice(u64, u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn key(&mut self) -> Key {
        let kind = KINDS[usize::try_from(self.roll(3)).unwrap()];
        (i64::try_from(self.roll(150)).unwrap() - 20, kind)
    }

    fn row(&mut self, has_extra: bool) -> Row {
        let text = |dice: &mut Self, what: &str| {
            (dice.roll(4) > 0).then(|| format!("{what} {}", dice.roll(1000)))
        };
        let note = text(self, "note");
        let amount = (self.roll(5) > 0).then(|| i64::try_from(self.roll(1 << 40)).unwrap());
        let extra = if has_extra { text(self, "extra") } else { None };
        let odd = ["note", "amount", "elsewhere"]
            .into_iter()
            .filter(|_name| self.roll(4) == 0)
            .map(|name| (name.to_owned(), "odd".to_owned()))
            .collect();
        Row { note, amount, extra, odd }
    }
}

fn columns(is_wide: bool, has_extra: bool) -> Vec<LakeColumn> {
    let id = if is_wide { LakeType::Long } else { LakeType::Int };
    let mut columns = vec![
        LakeColumn::required("id", id),
        LakeColumn::required("kind", LakeType::String),
        LakeColumn::optional("note", LakeType::String),
        LakeColumn::optional("amount", LakeType::Long),
        LakeColumn::optional("_ol_odd", LakeType::StringMap),
    ];
    if has_extra {
        columns.push(LakeColumn::optional("extra", LakeType::String));
    }
    columns
}

fn batch(table: &LakeTable, rows: &[(Key, Row)]) -> RecordBatch {
    let schema = table.arrow_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match (field.name().as_str(), field.data_type()) {
            ("id", DataType::Int32) => Arc::new(Int32Array::from_iter_values(
                rows.iter().map(|((id, _), _)| i32::try_from(*id).unwrap()),
            )),
            ("id", _) => {
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|((id, _), _)| *id)))
            }
            ("kind", _) => {
                Arc::new(StringArray::from_iter_values(rows.iter().map(|((_, kind), _)| *kind)))
            }
            ("note", _) => {
                Arc::new(rows.iter().map(|(_, row)| row.note.clone()).collect::<StringArray>())
            }
            ("extra", _) => {
                Arc::new(rows.iter().map(|(_, row)| row.extra.clone()).collect::<StringArray>())
            }
            ("amount", _) => {
                Arc::new(rows.iter().map(|(_, row)| row.amount).collect::<Int64Array>())
            }
            ("_ol_odd", DataType::Map(entries, _)) => {
                let DataType::Struct(parts) = entries.data_type() else { panic!("no struct") };
                let names = MapFieldNames {
                    entry: entries.name().clone(),
                    key: parts[0].name().clone(),
                    value: parts[1].name().clone(),
                };
                let mut map =
                    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
                        .with_keys_field(Arc::clone(&parts[0]))
                        .with_values_field(Arc::clone(&parts[1]));
                for (_, row) in rows {
                    for (key, value) in &row.odd {
                        map.keys().append_value(key);
                        map.values().append_value(value);
                    }
                    map.append(!row.odd.is_empty()).unwrap();
                }
                let (_, offsets, pairs, nulls, is_sorted) = map.finish().into_parts();
                let pairs: StructArray = pairs;
                Arc::new(
                    arrow_array::MapArray::try_new(
                        Arc::clone(entries),
                        offsets,
                        pairs,
                        nulls,
                        is_sorted,
                    )
                    .unwrap(),
                )
            }
            (other, _) => panic!("column {other}"),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

fn keys(table: &LakeTable, keys: &[Key]) -> RecordBatch {
    let rows: Vec<(Key, Row)> = keys.iter().map(|key| (*key, Row::default())).collect();
    batch(table, &rows).project(&[0, 1]).unwrap()
}

/// The rows of the model as the readers tell them.
fn expected(model: &BTreeMap<Key, Row>, has_extra: bool) -> Value {
    let row = |((id, kind), row): (&Key, &Row)| {
        let odd = if row.odd.is_empty() { Value::Null } else { json!(row.odd) };
        let mut values = vec![json!(id), json!(kind), json!(row.note), json!(row.amount), odd];
        if has_extra {
            values.push(json!(row.extra));
        }
        values
    };
    let mut rows: Vec<Vec<Value>> = model.iter().map(row).collect();
    rows.sort_by_key(|row| (row[0].as_i64(), row[1].to_string()));
    json!(rows)
}

/// Sorted as [`expected`] sorts.
fn sorted(rows: &Value) -> Value {
    let mut rows = rows.as_array().unwrap().clone();
    rows.sort_by_key(|row| (row[0].as_i64(), row[1].to_string()));
    json!(rows)
}

async fn scanned(lake: &Lake, table: &LakeTable) -> Value {
    let rows = read(lake, table).await;
    let text = |name: &str, row: usize| {
        let column = rows.column_by_name(name)?.as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let found = (0..rows.num_rows()).map(|row| {
        let id = match rows.column(0).as_primitive_opt::<Int32Type>() {
            Some(narrow) => i64::from(narrow.value(row)),
            None => rows.column(0).as_primitive::<Int64Type>().value(row),
        };
        let amount = rows.column_by_name("amount").unwrap().as_primitive::<Int64Type>();
        let amount = amount.is_valid(row).then(|| amount.value(row));
        let map = rows.column_by_name("_ol_odd").unwrap().as_map();
        let odd = map.is_valid(row).then(|| {
            let entries = map.value(row);
            let part = |index: usize| entries.column(index).as_string::<i32>().clone();
            let (keys, values) = (part(0), part(1));
            let pairs =
                (0..keys.len()).map(|i| (keys.value(i).to_owned(), values.value(i).to_owned()));
            pairs.collect::<BTreeMap<_, _>>()
        });
        let mut values = vec![
            json!(id),
            json!(text("kind", row)),
            json!(text("note", row)),
            json!(amount),
            json!(odd),
        ];
        if rows.column_by_name("extra").is_some() {
            values.push(json!(text("extra", row)));
        }
        json!(values)
    });
    sorted(&json!(found.collect::<Vec<_>>()))
}

/// One step of the changes of a merge: to the writer and to the model at once.
fn change(
    dice: &mut Dice,
    table: &LakeTable,
    writer: &mut MergeWriter,
    model: &mut BTreeMap<Key, Row>,
) {
    let has_extra = table.schema().column("extra").is_some();
    match dice.roll(20) {
        0..10 => {
            let rows: Vec<(Key, Row)> =
                (0..=dice.roll(30)).map(|_| (dice.key(), dice.row(has_extra))).collect();
            writer.upsert(batch(table, &rows)).unwrap();
            model.extend(rows);
        }
        10..15 => {
            let touched: Vec<Key> = (0..=dice.roll(20)).map(|_| dice.key()).collect();
            let rows: Vec<(Key, Row)> = touched
                .into_iter()
                .filter(|key| model.contains_key(key))
                .map(|key| (key, dice.row(has_extra)))
                .collect();
            let names = ["note", "amount", "extra"];
            let mut kept = Vec::new();
            for (key, row) in &rows {
                let names: BTreeSet<&str> = names
                    .into_iter()
                    .filter(|name| table.schema().column(name).is_some() && dice.roll(2) == 0)
                    .collect();
                let before = model.get(key).unwrap().clone();
                let mut after = row.clone();
                for name in &names {
                    match *name {
                        "note" => after.note.clone_from(&before.note),
                        "amount" => after.amount = before.amount,
                        _extra => after.extra.clone_from(&before.extra),
                    }
                    after.odd.remove(*name);
                    if let Some(odd) = before.odd.get(*name) {
                        after.odd.insert((*name).to_owned(), odd.clone());
                    }
                }
                model.insert(*key, after);
                let index = |name: &&str| table.arrow_schema().index_of(name).unwrap();
                kept.push(names.iter().map(index).collect::<Box<[usize]>>());
            }
            dice.1 += rows.len() as u64;
            writer.patch(batch(table, &rows), kept).unwrap();
        }
        15..19 => {
            let gone: Vec<Key> = (0..=dice.roll(15)).map(|_| dice.key()).collect();
            writer.delete(keys(table, &gone)).unwrap();
            gone.iter().for_each(|key| drop(model.remove(key)));
        }
        _rarely if dice.roll(4) == 0 => {
            writer.truncate().unwrap();
            model.clear();
        }
        _otherwise => {}
    }
}

/// Another process compacts the table, or adds rows of keys no merge touches.
async fn interfere(
    lake: &Lake,
    table: &LakeTable,
    dice: &mut Dice,
    model: &mut BTreeMap<Key, Row>,
    has_extra: bool,
) {
    if dice.roll(2) == 0 {
        let options = CompactOptions {
            small_file_bytes: 4 << 10,
            least_files: 2,
            delete_share: 0.0,
            ..CompactOptions::default()
        };
        lake.compact(table, &options).await.unwrap();
        return;
    }
    // A merge that completed rows from the table must not follow rows it has not seen.
    let id = 1000 + i64::try_from(dice.roll(1 << 20)).unwrap();
    let rows = vec![((id, "a"), dice.row(has_extra))];
    if !model.contains_key(&rows[0].0) && dice.1 == 0 {
        let files = write(table, vec![batch(table, &rows)]).await;
        lake.commit(table, Commit::new(Operation::Append, files)).await.unwrap();
        model.extend(rows);
    }
}

async fn sequence(seed: u64, readers: &mut Readers) {
    eprintln!("seed {seed}");
    let mut dice = Dice(seed, 0);
    let place = Place::new();
    let lake = place.open().await;
    let mut wanted = definition("t", columns(false, false));
    if seed % 2 == 1 {
        // Rows move from one partition to another when they change.
        let by = |transform, column: &str| PartitionField { transform, column: column.to_owned() };
        wanted.partition_by = vec![
            by(PartitionTransform::Identity, "kind"),
            by(PartitionTransform::Bucket(2), "amount"),
        ];
        wanted.sort_by = vec![SortField { column: "note".to_owned(), descending: true }];
    }
    let mut table = lake.create(&wanted).await.unwrap();
    let mut model: BTreeMap<Key, Row> = BTreeMap::new();
    let settings = WriteOptions {
        target_file_bytes: 4 << 10,
        row_group_rows: 16,
        rewrite_below_bytes: [0, 2 << 10, 1 << 20][usize::try_from(seed % 3).unwrap()],
        ..WriteOptions::default()
    };
    let options = MergeOptions {
        key: vec!["id".to_owned(), "kind".to_owned()],
        on_delete: OnDelete::Remove,
        sidecar: Some("_ol_odd".to_owned()),
        orphans: Orphans::Refuse,
    };
    let (mut is_wide, mut has_extra) = (false, false);
    for step in 0..24 {
        let mut change_of_schema = None;
        let mut view = table.clone();
        if dice.roll(8) == 0 {
            if is_wide {
                has_extra = true;
            } else {
                is_wide = true;
            }
            let schema = LakeSchema { columns: columns(is_wide, has_extra) };
            let evolved = lake.evolve(&table, &schema).await.unwrap();
            view = table.after(&evolved).unwrap();
            change_of_schema = Some(evolved);
        }
        let (writing, write, by) = (view.clone(), settings.clone(), options.clone());
        let (merge, changed, rolled) = tokio::task::spawn_blocking(move || {
            let mut writer = writing.merge_writer(&write, by, "test").unwrap();
            let (mut dice, mut model) = (dice, model);
            dice.1 = 0;
            for _ in 0..dice.roll(6) {
                change(&mut dice, &writing, &mut writer, &mut model);
            }
            (writer.finish().unwrap(), model, dice)
        })
        .await
        .unwrap();
        (model, dice) = (changed, rolled);
        // Somebody else comes first, so that the merge has to be looked for again on another base.
        // What it adds before a truncate would go with the rest.
        let may_interfere = change_of_schema.is_none() && !merge.is_truncating();
        if may_interfere && dice.roll(3) == 0 {
            interfere(&lake, &table, &mut dice, &mut model, has_extra).await;
        }
        let mut commit = Commit::merge(merge);
        commit.schema_change = change_of_schema;
        commit.state.insert(POSITION_KEY.to_owned(), format!("{step:04}"));
        table = lake.commit(&table, commit).await.unwrap().table;
        if dice.roll(4) == 0 {
            let options = CompactOptions {
                write: settings.clone(),
                small_file_bytes: 4 << 10,
                least_files: 2,
                delete_share: 0.2,
                ..CompactOptions::default()
            };
            if let Some(compacted) = lake.compact(&table, &options).await.unwrap() {
                table = compacted.table;
                assert_eq!(table.current_snapshot().unwrap().operation, "replace");
            }
        }
        assert_eq!(table.state()[POSITION_KEY], format!("{step:04}"));
        assert_eq!(
            scanned(&lake, &table).await,
            expected(&model, has_extra),
            "seed {seed}, step {step}"
        );
        assert_eq!(
            table.current_snapshot().unwrap().records,
            model.len() as u64,
            "seed {seed}, step {step}"
        );
        if step % 6 == 5 {
            let found = readers.read(&table);
            for reader in ["pyiceberg", "duckdb"] {
                assert_eq!(
                    sorted(&found[reader]),
                    expected(&model, has_extra),
                    "seed {seed}, step {step}, {reader}"
                );
            }
            assert_eq!(found["total"], json!(model.len()), "seed {seed}, step {step}");
        }
    }
    let orphans =
        lake.orphans(&name("t"), std::time::Duration::ZERO, crate::support::now()).await.unwrap();
    assert_eq!(orphans, Vec::new(), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test is told here how long to go on")]
async fn random_merges_equal_a_model() {
    let mut readers = Readers::start();
    let seeds = std::env::var("OL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    for seed in 0..seeds {
        sequence(seed, &mut readers).await;
    }
}
