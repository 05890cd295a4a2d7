//! What a merge changes on one base: worked out anew for every base it is built on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{Operation as SnapshotOperation, SchemaRef};
use iceberg::table::Table;
use roaring::RoaringTreemap;
use tokio::runtime::Handle;

use super::Merge;
use super::locate::{Found, Touched, locate};
use crate::commit::edit::{Added, Edit, Removed};
use crate::error::{Error, ErrorKind, Result};
use crate::live::rows::{RowsFile, Wanted};
use crate::live::{Live, LiveFile, deletes};
use crate::write::encode::Encoder;
use crate::write::{Output, WrittenFile};

/// Works out the change, writing delete files and rewritten data files. Blocks.
///
/// `schema` is the schema the table has after the commit. Addresses of what is written go to `written`, also on
/// failure.
pub(crate) fn plan(
    base: &Table,
    runtime: &Handle,
    schema: &SchemaRef,
    merge: &Merge,
    written: &mut Vec<String>,
) -> Result<Edit> {
    let inner = &merge.inner;
    let mut edit = Edit::new(SnapshotOperation::Append);
    edit.files.extend(inner.files.iter().map(Added::data));
    edit.deletes.extend(inner.deletes.iter().map(|file| Added::deletes(file, base)));
    let current = base.metadata().current_snapshot_id();
    if inner.is_truncating {
        edit.removed = Removed::All;
        let is_empty = base
            .metadata()
            .current_snapshot()
            .is_none_or(|snapshot| crate::table::SnapshotInfo::of(snapshot).files == 0);
        edit.operation = match (is_empty && edit.deletes.is_empty(), edit.files.is_empty()) {
            (true, _any) => SnapshotOperation::Append,
            (false, true) => SnapshotOperation::Delete,
            (false, false) => SnapshotOperation::Overwrite,
        };
        return Ok(edit);
    }
    check_completed(base, inner.completed_at)?;
    let live = runtime.block_on(Live::of(base, current))?;
    let touched = Touched { columns: &inner.columns, keys: &inner.keys, ranges: &inner.ranges };
    let found = locate(base, runtime, &live, &touched)?;
    let mut removed: HashMap<usize, HashSet<String>> = HashMap::new();
    let mut remove = |file: &LiveFile| {
        removed.entry(file.manifest).or_default().insert(file.data_file.file_path().to_owned());
    };
    let mut small = Vec::new();
    let mut small_bytes = 0;
    for found in found {
        let Some(file) = live.files.get(found.file) else { continue };
        let gone = found.rows.len() + found.deleted.len();
        if gone >= file.data_file.record_count() {
            remove(file);
            live.own_deletes(file).for_each(&mut remove);
            continue;
        }
        let bytes = file.data_file.file_size_in_bytes();
        if bytes < inner.write.rewrite_below_bytes
            && small_bytes + bytes <= inner.write.target_file_bytes
        {
            small_bytes += bytes;
            remove(file);
            live.own_deletes(file).for_each(&mut remove);
            small.push(found);
            continue;
        }
        // The rows of delete files about many data files stay in those; the others are taken over.
        let mut rows = found.deleted - &found.deleted_widely;
        rows |= &found.rows;
        live.own_deletes(file).for_each(&mut remove);
        let address = address(base, &inner.prefix);
        written.push(address.clone());
        let about = deletes::About {
            path: file.data_file.file_path(),
            spec_id: file.spec_id,
            partition: file.data_file.partition(),
        };
        let delete = deletes::write(base.file_io(), runtime, &address, &about, &rows)?;
        edit.deletes.push(Added {
            data_file: delete,
            spec_id: file.spec_id,
            sequence_number: None,
        });
    }
    live.idle_deletes().for_each(&mut remove);
    for file in rewrite(base, runtime, schema, merge, &live, &small, written)? {
        edit.files.push(Added::data(&file));
    }
    let removes = !removed.is_empty() || !edit.deletes.is_empty();
    edit.operation = match (removes, edit.files.is_empty()) {
        (false, _any) => SnapshotOperation::Append,
        (true, true) => SnapshotOperation::Delete,
        (true, false) => SnapshotOperation::Overwrite,
    };
    edit.removed = Removed::Files(removed);
    edit.manifests = Some(live.manifests);
    Ok(edit)
}

/// Rows completed from the table cannot be completed again, so nothing may have changed them since.
fn check_completed(base: &Table, completed_at: Option<i64>) -> Result<()> {
    let Some(completed_at) = completed_at else { return Ok(()) };
    let metadata = base.metadata();
    let mut next = metadata.current_snapshot_id();
    while let Some(snapshot) = next.and_then(|id| metadata.snapshot_by_id(id)) {
        if snapshot.snapshot_id() == completed_at {
            return Ok(());
        }
        if snapshot.summary().operation != SnapshotOperation::Replace {
            break;
        }
        next = snapshot.parent_snapshot_id();
    }
    Err(Error::new(ErrorKind::CommitConflict)
        .with("reason", "another commit may have changed rows this one keeps values of"))
}

/// Writes what is left of small files into new ones.
fn rewrite(
    base: &Table,
    runtime: &Handle,
    schema: &SchemaRef,
    merge: &Merge,
    live: &Live,
    small: &[Found],
    written: &mut Vec<String>,
) -> Result<Vec<WrittenFile>> {
    if small.is_empty() {
        return Ok(Vec::new());
    }
    let arrow = schema_to_arrow_schema(schema)
        .map_err(|error| Error::from_iceberg(ErrorKind::Unexpected, error))?;
    let arrow = Arc::new(arrow);
    let output = Output::new(base, runtime, &merge.inner.prefix);
    let mut encoder = Encoder::new(Arc::clone(&arrow), schema, &merge.inner.write, output)?;
    let mut copy = || -> Result<()> {
        for found in small {
            let Some(file) = live.files.get(found.file) else { continue };
            let gone: RoaringTreemap = &found.rows | &found.deleted;
            let opened = runtime.block_on(RowsFile::open_live(base.file_io(), &file.data_file))?;
            let mut batches = runtime.block_on(opened.read(&arrow, Wanted::Except(&gone)))?;
            while let Some(batch) = runtime.block_on(batches.next()) {
                encoder.write(&batch?, None)?;
            }
        }
        Ok(())
    };
    if let Err(error) = copy() {
        encoder.discard();
        return Err(error);
    }
    let files = encoder.finish()?;
    written.extend(files.iter().map(|file| file.path.clone()));
    Ok(files)
}

fn address(base: &Table, prefix: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let prefix: String = prefix.chars().take(100).map(plain).collect();
    format!("{}/data/{prefix}-{}-deletes.parquet", base.metadata().location(), uuid::Uuid::now_v7())
}
