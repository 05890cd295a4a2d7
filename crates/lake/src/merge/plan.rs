//! What a merge changes on one base: worked out anew for every base it is built on.

use std::collections::{HashMap, HashSet};

use iceberg::spec::Operation as SnapshotOperation;
use iceberg::table::Table;
use roaring::RoaringTreemap;

use super::Merge;
use super::locate::{Found, Touched, locate};
use crate::commit::edit::{Added, Base, Edit, Removed};
use crate::error::{Error, ErrorKind, Result};
use crate::live::{Live, LiveFile, deletes};
use crate::table::SnapshotInfo;
use crate::write::WrittenFile;
use crate::write::encode::Encoder;

/// Works out the change, writing delete files and rewritten data files. Blocks.
///
/// Addresses of what is written go to `written`, also on failure.
pub(crate) fn plan(on: &Base<'_>, merge: &Merge, written: &mut Vec<String>) -> Result<Edit> {
    let (base, runtime) = (on.table, on.runtime);
    let inner = &merge.inner;
    let mut edit = Edit::new(SnapshotOperation::Append);
    edit.files.extend(inner.files.iter().map(Added::data));
    edit.deletes.extend(inner.deletes.iter().map(|(file, spec_id)| Added {
        data_file: file.clone(),
        spec_id: *spec_id,
        sequence_number: None,
    }));
    let head = on.head.and_then(|head| base.metadata().snapshot_by_id(head));
    if inner.is_truncating {
        edit.removed = Removed::All;
        let is_empty = head.is_none_or(|snapshot| SnapshotInfo::of(snapshot).files == 0);
        edit.operation = match (is_empty && edit.deletes.is_empty(), edit.files.is_empty()) {
            (true, _any) => SnapshotOperation::Append,
            (false, true) => SnapshotOperation::Delete,
            (false, false) => SnapshotOperation::Overwrite,
        };
        return Ok(edit);
    }
    check_completed(on, inner.completed_at)?;
    let live = runtime.block_on(Live::of(base, on.head))?;
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
    for file in rewrite(on, merge, &live, &small, written)? {
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
fn check_completed(on: &Base<'_>, completed_at: Option<i64>) -> Result<()> {
    let Some(completed_at) = completed_at else { return Ok(()) };
    let metadata = on.table.metadata();
    let mut next = on.head;
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
    on: &Base<'_>,
    merge: &Merge,
    live: &Live,
    small: &[Found],
    written: &mut Vec<String>,
) -> Result<Vec<WrittenFile>> {
    if small.is_empty() {
        return Ok(Vec::new());
    }
    let inner = &merge.inner;
    let mut encoder = Encoder::of(on.table, on.schema, on.runtime, &inner.write, &inner.prefix)?;
    let mut copy = || -> Result<()> {
        for found in small {
            let Some(file) = live.files.get(found.file) else { continue };
            let gone: RoaringTreemap = &found.rows | &found.deleted;
            encoder.copy(on.table, on.runtime, &file.data_file, &gone)?;
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
