//! Finds the live rows of touched keys in a snapshot.
//!
//! A data file is left out when the bounds of one key column in its manifest entry meet no touched value; of the
//! others, row groups are left out by their own statistics, and of the rest the key columns alone are read. Files are
//! looked at side by side. Held at a time is, for each of them, one row group of the key columns in encoded form, one
//! batch of keys, and the positions found (2 bytes each where they are scattered, less where they are dense).

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use iceberg::spec::{DataFile, PrimitiveType, SchemaRef, Type};
use iceberg::table::Table;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use roaring::RoaringTreemap;
use tokio::runtime::Handle;

use super::key::{KeyColumns, KeyMap, KeyRanges};
use crate::error::{Error, ErrorKind, Result};
use crate::live::rows::{RowsFile, Wanted};
use crate::live::{Live, LiveFile};
use crate::write::metrics;

/// Files looked at side by side, at most.
const MOST_READERS: usize = 4;

/// Touched keys, ready to be looked for.
pub(crate) struct Touched<'a> {
    pub(crate) columns: &'a KeyColumns,
    pub(crate) keys: &'a KeyMap,
    pub(crate) ranges: &'a KeyRanges,
}

/// Rows of one data file that have a touched key and are alive.
pub(crate) struct Found {
    /// Index of the data file in [`Live::files`].
    pub(crate) file: usize,
    /// Their positions; at least one.
    pub(crate) rows: RoaringTreemap,
    /// Rows of the file that were deleted before.
    pub(crate) deleted: RoaringTreemap,
    /// Those of them that are in delete files about many data files.
    pub(crate) deleted_widely: RoaringTreemap,
}

/// Looks for the keys in all data files of a snapshot. Blocks. The answer is in order of files.
pub(crate) fn locate(
    table: &Table,
    runtime: &Handle,
    live: &Live,
    touched: &Touched<'_>,
) -> Result<Vec<Found>> {
    if touched.keys.is_empty() {
        return Ok(Vec::new());
    }
    let schema = table.current_schema_ref();
    let candidates: Vec<usize> = (0..live.files.len())
        .filter(|index| {
            live.files.get(*index).is_some_and(|file| may_have(&file.data_file, touched))
        })
        .collect();
    let widely = live.widely_deleted(table, runtime)?;
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Found>> = Mutex::new(Vec::new());
    let failed: Mutex<Option<Error>> = Mutex::new(None);
    let work = || -> Result<()> {
        let hasher = touched.columns.hasher()?;
        while let Some(index) = candidates.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(file) = live.files.get(*index) else { continue };
            let mut rows = search(table, runtime, &schema, file, touched, &hasher)?;
            if rows.is_empty() {
                continue;
            }
            let deleted = live.deleted(table, runtime, file, &widely)?;
            rows -= &deleted;
            if !rows.is_empty() {
                let path = file.data_file.file_path();
                let deleted_widely = widely.get(path).cloned().unwrap_or_default();
                let one = Found { file: *index, rows, deleted, deleted_widely };
                found.lock().map_err(|_poisoned| poisoned())?.push(one);
            }
        }
        Ok(())
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let readers = cores.min(MOST_READERS).min(candidates.len()).max(1);
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                if let Err(error) = work() {
                    // The others find no more work.
                    next.store(candidates.len(), Ordering::Relaxed);
                    if let Ok(mut failed) = failed.lock() {
                        failed.get_or_insert(error);
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().map_err(|_poisoned| poisoned())? {
        return Err(error);
    }
    let mut found = found.into_inner().map_err(|_poisoned| poisoned())?;
    found.sort_unstable_by_key(|one| one.file);
    Ok(found)
}

fn poisoned() -> Error {
    Error::new(ErrorKind::Unexpected).with("reason", "a reader of keys panicked")
}

/// Whether the bounds of a data file leave room for a touched key.
fn may_have(file: &DataFile, touched: &Touched<'_>) -> bool {
    touched.columns.identifiers().enumerate().all(|(index, identifier)| {
        let Some(identifier) = identifier else { return true };
        let bounds = (file.lower_bounds().get(&identifier), file.upper_bounds().get(&identifier));
        let (Some(lower), Some(upper)) = bounds else { return true };
        // Java's writer once compared UUIDs as signed numbers, so bounds of a whole file are not trusted for them.
        *lower.data_type() == PrimitiveType::Uuid || touched.ranges.may_meet(index, lower, upper)
    })
}

/// The positions of touched keys in one file, deleted or not.
fn search(
    table: &Table,
    runtime: &Handle,
    schema: &SchemaRef,
    file: &LiveFile,
    touched: &Touched<'_>,
    hasher: &super::key::KeyHasher,
) -> Result<RoaringTreemap> {
    let mut rows = RoaringTreemap::new();
    let opened = runtime.block_on(RowsFile::open_live(table.file_io(), &file.data_file))?;
    // A key column that was added after the file was written is null in it, and null is no key.
    if !touched.columns.identifiers().flatten().all(|identifier| opened.has(identifier)) {
        return Ok(rows);
    }
    let starts = opened.starts();
    let groups: Vec<usize> = opened
        .footer()
        .row_groups()
        .iter()
        .enumerate()
        .filter(|(_index, group)| group_may_have(group, schema, touched))
        .map(|(index, _group)| index)
        .collect();
    if groups.is_empty() {
        return Ok(rows);
    }
    let spans: Vec<std::ops::Range<u64>> = groups
        .iter()
        .filter_map(|group| Some(*starts.get(*group)?..*starts.get(group + 1)?))
        .collect();
    let mut positions = spans.into_iter().flatten();
    let read = opened.read(touched.columns.schema(), Wanted::RowGroups(groups));
    let mut batches = runtime.block_on(read)?;
    while let Some(batch) = runtime.block_on(batches.next()) {
        let batch = batch?;
        let has_null = batch.columns().iter().any(|column| column.null_count() > 0);
        let hashes = hasher.hash(batch.columns())?;
        for (index, (hash, position)) in hashes.iter().zip(positions.by_ref()).enumerate() {
            if touched.keys.contains_key(hash)
                && !(has_null && batch.columns().iter().any(|column| column.is_null(index)))
            {
                rows.insert(position);
            }
        }
    }
    Ok(rows)
}

fn group_may_have(group: &RowGroupMetaData, schema: &SchemaRef, touched: &Touched<'_>) -> bool {
    touched.columns.identifiers().enumerate().all(|(index, identifier)| {
        let chunk = group.columns().iter().find(|chunk| {
            let info = chunk.column_descr().self_type().get_basic_info();
            info.has_id() && Some(info.id()) == identifier
        });
        let field = identifier.and_then(|id| schema.as_struct().field_by_id(id));
        let (Some(statistics), Some(field)) = (chunk.and_then(|c| c.statistics()), field) else {
            return true;
        };
        let Type::Primitive(primitive) = field.field_type.as_ref() else { return true };
        // The file may be older than the widening of the column.
        let primitive = match (primitive, statistics) {
            (PrimitiveType::Long, Statistics::Int32(_)) => &PrimitiveType::Int,
            (same, _statistics) => same,
        };
        match metrics::bounds_of(primitive, statistics) {
            Some((lower, upper)) => touched.ranges.may_meet(index, &lower, &upper),
            None => true,
        }
    })
}
