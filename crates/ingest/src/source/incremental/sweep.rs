//! Rows that are gone: all keys of the source, under the run's snapshot, against all keys of the lake.
//!
//! No query of changed rows shows a deleted one. So from time to time (`incremental.sweep_hours`) the keys of the whole
//! table are read, which an index on the key makes cheap for the source, and those of the lake that are not among
//! them are deleted: removed or marked in a merged table, and appended as a row of kind `d` with nothing but its key to a
//! change log.
//!
//! Keys are compared as 128-bit hashes of Arrow's row format, decoded by the same decoders from both sides. Two
//! different keys of a table have one hash with a probability below n²/2¹²⁹, 10⁻²⁰ for 10⁹ keys, and the effect would
//! be that a deleted row stays.
//!
//! **Memory** is bounded by `incremental.sweep_keys`: a table with more keys is compared in several passes, each over the
//! hashes that are equal modulo the number of passes. A key of the source takes 16 bytes, one of a change log 48.
//! The keys of deleted rows are held until the commit.
//!
//! In a change log a key is there when its latest row, by position, is not a deletion, and no truncation came later.
//!
//! The guard of replaces watches here, too: a sweep that would delete more than `replace.keep_ratio` allows is refused
//! until it is allowed by name.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use futures::TryStreamExt as _;
use xxhash_rust::xxh3::xxh3_128;

use crate::column::batch::{Assembler, RowColumns, RowMeta, RunColumns};
use crate::column::metadata::{self, Op};
use crate::failpoints;
use crate::load::{PartWriter, ShrinkGuard, Target};
use crate::position::Position;

/// A comparison of keys that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// The key.
    pub key: Vec<String>,
    /// What a row of the lake is.
    pub kind: Kind,
    /// The most keys of a pass.
    pub most_keys: u64,
}

/// What a row of the lake is, and what becomes of it when it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A change; a deletion is added.
    Log,
    /// The row itself; it is removed.
    Merged,
    /// The row itself, perhaps marked as deleted; it is marked.
    Marked,
}

/// What a sweep found.
pub struct Gone {
    /// Rows that are gone.
    pub deletes: u64,
    /// The part that deletes them.
    pub part: Option<PartWriter>,
}

/// A batch could not be put together, or a column of the key is not in the lake.
#[derive(Debug)]
pub struct Unfit(pub String);

impl From<ArrowError> for Unfit {
    fn from(error: ArrowError) -> Self {
        Self(error.to_string())
    }
}

/// Reads the key columns of every row at the source and hands on batches of the schema that was asked for. Blocks.
pub type ReadKeys<E> = Box<dyn FnOnce(&mut Take<'_, E>) -> Result<(), E> + Send>;

/// Takes a batch of keys.
pub type Take<'a, E> = dyn FnMut(&RecordBatch) -> Result<(), E> + 'a;

/// The lake's table that is compared, and what is read of it.
pub struct Side<'a> {
    /// Where the rows go.
    pub target: &'a Arc<Target>,
    /// The guard against shrinking.
    pub guard: ShrinkGuard,
    /// The source's columns that are in it.
    pub columns: Vec<String>,
    /// What is the same in every row.
    pub run: RunColumns,
}

/// Finds the rows of the lake that the snapshot does not have. `read` makes, for each pass, what reads the keys of the
/// source in the schema that it is given.
///
/// # Errors
/// The source's, the lake's, or the guard refuses.
pub async fn find<E>(
    side: &Side<'_>,
    sweep: &Sweep,
    read: impl Fn(&SchemaRef) -> ReadKeys<E>,
) -> Result<Gone, E>
where
    E: From<ol_lake::Error> + From<Unfit> + Send + 'static,
{
    let names: Vec<&str> = sweep.key.iter().map(String::as_str).collect();
    let schema = projected(&side.target.table().arrow_schema(), &names)?;
    let held = side.target.base().current_snapshot().map_or(0, |snapshot| snapshot.records);
    let mut passes = held.div_ceil(sweep.most_keys.max(1)).max(1);
    let mut gone: Vec<RecordBatch> = Vec::new();
    let mut live = 0;
    let mut pass = 0;
    while held > 0 && pass < passes {
        let share = Share { pass, passes };
        let (keys, of_source, most) = (read(&schema), Arc::clone(&schema), sweep.most_keys);
        let found = blocking(move || hashes_of_source(keys, &of_source, share, most)).await?;
        let Some(keys) = found else {
            // More keys than fit: begin anew with smaller shares.
            (passes, pass, live) = (passes * 2, 0, 0);
            gone.clear();
            continue;
        };
        let lake = LakeKeys { target: side.target, sweep, schema: &schema, share, keys: &keys };
        live += lake.compare(&mut gone).await.map_err(LakeFails::of_source::<E>)?;
        pass += 1;
    }
    let deletes: u64 = gone.iter().map(|batch| batch.num_rows() as u64).sum();
    check(side.guard, live, deletes)?;
    failpoints::hit(failpoints::KEYS_COMPARED);
    if deletes == 0 {
        return Ok(Gone { deletes, part: None });
    }
    let mut part = side.target.part();
    let rows = gone.iter().map(|keys| deletions(side, sweep, keys));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let part = blocking(move || {
        for batch in rows {
            part.delete(batch)?;
        }
        Ok::<_, ol_lake::Error>(part)
    })
    .await?;
    Ok(Gone { deletes, part: Some(part) })
}

/// Refuses a sweep that would delete too much.
fn check(guard: ShrinkGuard, live: u64, deletes: u64) -> Result<(), ol_lake::Error> {
    let rule =
        ol_lake::ReplaceGuard::Threshold { keep_ratio: guard.keep_ratio, allow: guard.allow };
    rule.check(live, live.saturating_sub(deletes))
}

/// Rows that say of each key that it is gone, in the form that the target takes.
fn deletions(side: &Side<'_>, sweep: &Sweep, keys: &RecordBatch) -> Result<RecordBatch, Unfit> {
    let (table, run) = (side.target.table().arrow_schema(), &side.run);
    let ours = [metadata::DELETED_AT, metadata::POSITION, metadata::EXTRACTED_AT, metadata::RUN_ID];
    let key = sweep.key.iter().map(String::as_str);
    let (schema, op, at) = match sweep.kind {
        Kind::Log => (table, Op::Delete, None),
        Kind::Merged => (projected(&table, &key.collect::<Vec<_>>())?, Op::Delete, None),
        Kind::Marked => {
            let names: Vec<&str> = key.chain(ours).collect();
            (projected(&table, &names)?, Op::Delete, Some(run.extracted_at_microseconds))
        }
    };
    let is_there = |name: &&String| schema.column_with_name(name).is_some();
    let names: Vec<String> = side.columns.iter().filter(is_there).cloned().collect();
    let columns: Vec<ArrayRef> = names
        .iter()
        .map(|name| match (keys.column_by_name(name), schema.field_with_name(name)) {
            (Some(column), _) => Ok(Arc::clone(column)),
            (None, field) => Ok(new_null_array(field?.data_type(), keys.num_rows())),
        })
        .collect::<Result<_, ArrowError>>()?;
    let mut own = RowColumns::default();
    for _ in 0..keys.num_rows() {
        let position = run.position.as_str();
        own.push(RowMeta { op: Some(op), position, committed_at_microseconds: at });
    }
    let mut assembler = Assembler::new(schema, names, run.clone())?;
    Ok(assembler.assemble_changes(columns, &[], &mut own)?)
}

/// The part with the row that says of a change log that everything before it is gone.
///
/// # Errors
/// The lake's.
pub async fn truncation<E>(side: &Side<'_>) -> Result<PartWriter, E>
where
    E: From<ol_lake::Error> + From<Unfit>,
{
    let batch = truncate(side)?;
    let mut part = side.target.part();
    let written = blocking(move || {
        part.write(batch)?;
        Ok::<_, ol_lake::Error>(part)
    });
    Ok(written.await?)
}

fn truncate(side: &Side<'_>) -> Result<RecordBatch, Unfit> {
    let (schema, names) = (side.target.table().arrow_schema(), side.columns.clone());
    let null = |name: &String| Ok(new_null_array(schema.field_with_name(name)?.data_type(), 1));
    let columns = names.iter().map(null).collect::<Result<Vec<_>, ArrowError>>()?;
    let mut own = RowColumns::default();
    let position = side.run.position.as_str();
    own.push(RowMeta { op: Some(Op::Truncate), position, committed_at_microseconds: None });
    let mut assembler = Assembler::new(schema, names, side.run.clone())?;
    Ok(assembler.assemble_changes(columns, &[], &mut own)?)
}

/// The hashes of a pass.
#[derive(Debug, Clone, Copy)]
struct Share {
    pass: u64,
    passes: u64,
}

impl Share {
    fn has(self, hash: u128) -> bool {
        hash % u128::from(self.passes) == u128::from(self.pass)
    }
}

/// Turns the key columns of a batch into hashes.
struct Hasher(RowConverter);

impl Hasher {
    fn new(schema: &Schema) -> Result<Self, Unfit> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone()));
        Ok(Self(RowConverter::new(fields.collect())?))
    }

    /// One hash a row; `None` where a part of the key is NULL, which is no key.
    fn hashes(&mut self, keys: &[ArrayRef]) -> Result<Vec<Option<u128>>, Unfit> {
        let rows = self.0.convert_columns(keys)?;
        let whole = |row: usize| keys.iter().all(|column| column.is_valid(row));
        Ok(rows
            .iter()
            .enumerate()
            .map(|(index, row)| whole(index).then(|| xxh3_128(row.as_ref())))
            .collect())
    }
}

/// The hashes of the source's keys of a share, sorted; `None` when there are too many.
fn hashes_of_source<E: From<Unfit>>(
    read: ReadKeys<E>,
    schema: &Schema,
    share: Share,
    most_keys: u64,
) -> Result<Option<Vec<u128>>, E> {
    let mut hasher = Hasher::new(schema)?;
    let mut found = Vec::new();
    read(&mut |batch| {
        let hashes = hasher.hashes(batch.columns())?;
        found.extend(hashes.into_iter().flatten().filter(|hash| share.has(*hash)));
        Ok(())
    })?;
    if found.len() as u64 > most_keys {
        return Ok(None);
    }
    found.sort_unstable();
    Ok(Some(found))
}

/// Why the lake's keys were not had.
enum LakeFails {
    Lake(ol_lake::Error),
    Unfit(Unfit),
}

impl From<ol_lake::Error> for LakeFails {
    fn from(error: ol_lake::Error) -> Self {
        Self::Lake(error)
    }
}

impl From<Unfit> for LakeFails {
    fn from(error: Unfit) -> Self {
        Self::Unfit(error)
    }
}

impl LakeFails {
    fn of_source<E: From<ol_lake::Error> + From<Unfit>>(self) -> E {
        match self {
            Self::Lake(error) => error.into(),
            Self::Unfit(error) => error.into(),
        }
    }
}

/// The lake's side.
struct LakeKeys<'a> {
    target: &'a Arc<Target>,
    sweep: &'a Sweep,
    schema: &'a SchemaRef,
    share: Share,
    /// The source's keys, sorted.
    keys: &'a [u128],
}

/// The latest that a change log says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Latest {
    place: Option<Position>,
    is_deleted: bool,
}

impl LakeKeys<'_> {
    /// Adds the keys that are gone to `gone`; returns how many keys of the share were there.
    async fn compare(&self, gone: &mut Vec<RecordBatch>) -> Result<u64, LakeFails> {
        match self.sweep.kind {
            Kind::Log => {
                let mut absent = self.absent_of_log().await?;
                let live = absent.live;
                if !absent.keys.is_empty() {
                    // A key is taken from the first row that has it.
                    self.collect(&[], gone, |_, _, hash| absent.keys.remove(&hash).is_some())
                        .await?;
                }
                Ok(live)
            }
            Kind::Merged => self.absent_of_rows(&[], gone).await,
            Kind::Marked => self.absent_of_rows(&[metadata::DELETED_AT], gone).await,
        }
    }

    async fn absent_of_rows(
        &self,
        mark: &[&str],
        gone: &mut Vec<RecordBatch>,
    ) -> Result<u64, LakeFails> {
        let mut live = 0;
        self.collect(mark, gone, |extra, row, hash| {
            if extra.first().is_some_and(|mark| mark.is_valid(row)) {
                return false;
            }
            live += 1;
            self.keys.binary_search(&hash).is_err()
        })
        .await?;
        Ok(live)
    }

    /// Goes through the lake's rows of the share, and keeps the keys that `wanted` says yes to.
    async fn collect(
        &self,
        extra: &[&str],
        kept: &mut Vec<RecordBatch>,
        mut wanted: impl FnMut(&[ArrayRef], usize, u128) -> bool,
    ) -> Result<(), LakeFails> {
        let mut hasher = Hasher::new(self.schema)?;
        let names: Vec<&str> =
            self.sweep.key.iter().map(String::as_str).chain(extra.iter().copied()).collect();
        let target = self.target;
        let mut batches = target.lake().scan(target.table(), Some(&names)).await?;
        while let Some(batch) = batches.try_next().await? {
            let (keys, more) = batch.columns().split_at(self.sweep.key.len());
            let hashes = hasher.hashes(keys)?;
            let chosen: BooleanArray = hashes
                .iter()
                .enumerate()
                .map(|(row, hash)| {
                    hash.filter(|hash| self.share.has(*hash))
                        .is_some_and(|hash| wanted(more, row, hash))
                })
                .map(Some)
                .collect();
            if chosen.true_count() > 0 {
                let all = RecordBatch::try_new(Arc::clone(self.schema), keys.to_vec());
                kept.push(
                    filter_record_batch(&all.map_err(Unfit::from)?, &chosen)
                        .map_err(Unfit::from)?,
                );
            }
        }
        Ok(())
    }

    async fn absent_of_log(&self) -> Result<Absent, LakeFails> {
        let mut latest: HashMap<u128, Latest> = HashMap::new();
        let mut emptied = None;
        let mut hasher = Hasher::new(self.schema)?;
        let names: Vec<&str> = self
            .sweep
            .key
            .iter()
            .map(String::as_str)
            .chain([metadata::OP, metadata::POSITION])
            .collect();
        let target = self.target;
        let mut batches = target.lake().scan(target.table(), Some(&names)).await?;
        while let Some(batch) = batches.try_next().await? {
            let (keys, more) = batch.columns().split_at(self.sweep.key.len());
            let [ops, positions] = more else { continue };
            let (ops, positions) = (ops.as_string::<i32>(), positions.as_string::<i32>());
            for (row, hash) in hasher.hashes(keys)?.into_iter().enumerate() {
                let op = if ops.is_valid(row) { ops.value(row) } else { Op::Read.letter() };
                let text = if positions.is_valid(row) { positions.value(row) } else { "" };
                // Rows of another loader have none, which is before all.
                let place = text.parse::<Position>().ok();
                if op == Op::Truncate.letter() {
                    emptied = emptied.max(place);
                }
                let Some(hash) = hash.filter(|hash| self.share.has(*hash)) else { continue };
                let now = Latest { place, is_deleted: op == Op::Delete.letter() };
                let known = latest.entry(hash).or_insert(now);
                if now.place > known.place || (now.place == known.place && now.is_deleted) {
                    *known = now;
                }
            }
        }
        latest.retain(|_, last| !last.is_deleted && (emptied.is_none() || last.place > emptied));
        let live = latest.len() as u64;
        latest.retain(|hash, _| self.keys.binary_search(hash).is_err());
        Ok(Absent { live, keys: latest })
    }
}

/// The keys of a change log that are there and not at the source.
struct Absent {
    live: u64,
    keys: HashMap<u128, Latest>,
}

fn projected(schema: &SchemaRef, names: &[&str]) -> Result<SchemaRef, Unfit> {
    let fields = names.iter().map(|name| {
        let found = schema.fields().find(name).map(|(_, field)| Arc::clone(field));
        found.ok_or_else(|| Unfit(format!("the lake table has no column {name}")))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>()?)))
}

async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_hash_once() {
        for hash in [0u128, 1, 2, 7, u128::MAX] {
            let count = (0..3).filter(|pass| Share { pass: *pass, passes: 3 }.has(hash)).count();
            assert_eq!(count, 1);
        }
    }

    #[test]
    fn a_sweep_that_deletes_too_much_is_refused() {
        let guard = ShrinkGuard { keep_ratio: 0.5, allow: false };
        assert!(check(guard, 10, 5).is_ok());
        assert!(check(guard, 10, 6).is_err());
        assert!(check(ShrinkGuard { allow: true, ..guard }, 10, 10).is_ok());
    }
}
