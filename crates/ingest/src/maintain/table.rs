//! One table: pointer, files, manifests, snapshots, and a look at its folder.

use std::time::Instant;

use ol_lake::{CompactOptions, ExpireOptions, LakeTable, Sweep, TableName};

use super::report::{MaintainedTable, PointerState};
use super::{Done, POINTER_LAG, Run, is_gone};
use crate::error::Result;

/// Commits of one table's compaction, at most: each takes [`CompactOptions::most_bytes`].
const MOST_PASSES: usize = 1_000;
/// Small manifests are gathered from this number on; every commit since the last time has made one.
const SMALL_MANIFESTS: usize = 10;

impl Run<'_> {
    /// Does what is wished with a table. A failure is in its report.
    pub(super) async fn table(&self, sweep: Option<&Sweep>, name: &TableName) -> Done {
        let started = Instant::now();
        let mut done = Done {
            table: MaintainedTable::new(&name.name),
            orphans: Vec::new(),
            claims: std::collections::BTreeSet::new(),
        };
        if let Err(error) = self.steps(name, &mut done.table).await {
            done.table = done.table.failed(&error);
        }
        // Also after a failure: what a table claims must be known before anything is deleted.
        if let Some(sweep) = sweep {
            match sweep.look(name).await {
                Ok(looked) => {
                    done.orphans = looked.orphans;
                    done.claims = looked.claims;
                }
                Err(error) => {
                    done.table.was_looked_at = false;
                    done.table = done.table.failed(&error.into());
                }
            }
        }
        done.table.seconds = started.elapsed().as_secs_f64();
        done
    }

    async fn steps(&self, name: &TableName, table: &mut MaintainedTable) -> Result<()> {
        let lake = &self.lake;
        let stale = if self.wishes.repairs {
            lake.repair_pointer(name, POINTER_LAG).await
        } else {
            lake.stale_pointer(name, POINTER_LAG).await
        };
        match stale {
            Ok(None) => {}
            Ok(Some(_stale)) if self.wishes.repairs => table.pointer = PointerState::Repaired,
            Ok(Some(_stale)) => table.pointer = PointerState::Stale,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let Some(mut loaded) = lake.load(name).await? else { return Ok(()) };
        if self.wishes.compacts {
            loaded = self.compacted(loaded, table).await?;
            if let Some(gathered) = lake.gather_manifests(&loaded, SMALL_MANIFESTS).await? {
                table.manifests_gathered = true;
                loaded = gathered.table;
            }
        }
        match self.wishes.expire {
            Some(options) => {
                let expired = lake.expire(&loaded, options).await?;
                table.snapshots_expired = expired.snapshots;
                table.files_expired = expired.files;
                table.bytes_expired = expired.bytes;
            }
            None => {
                table.snapshots_expirable =
                    lake.expirable(&loaded, ExpireOptions::default())?.snapshots;
            }
        }
        Ok(())
    }

    /// Rewrites small files and files with deleted rows until none is left that is worth it.
    async fn compacted(
        &self,
        mut loaded: LakeTable,
        table: &mut MaintainedTable,
    ) -> Result<LakeTable> {
        let options =
            CompactOptions { write: self.config.write_options(), ..CompactOptions::default() };
        let options =
            CompactOptions { small_file_bytes: options.write.target_file_bytes / 4 * 3, ..options };
        for _pass in 0..MOST_PASSES {
            if self.context.shutdown.is_requested() {
                break;
            }
            let before = loaded.current_snapshot().map_or(0, |snapshot| snapshot.files);
            let Some(committed) = self.lake.compact(&loaded, &options).await? else { break };
            loaded = committed.table;
            let after = loaded.current_snapshot().map_or(0, |snapshot| snapshot.files);
            table.files_compacted += (before + committed.files).saturating_sub(after);
            table.files_written += committed.files;
            table.bytes_written += committed.bytes;
            // Files that come out as many as they went in would go in again for ever.
            if after >= before {
                break;
            }
        }
        Ok(loaded)
    }
}
