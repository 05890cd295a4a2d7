//! What following a table by queries has in common, whatever the source: how its rows go in, when keys are compared,
//! and what is remembered of a cursor.

pub mod sweep;
pub mod watermark;

use ol_lake::LakeTable;

use self::sweep::{Kind, Sweep};
use super::plan::replacing;
use crate::config::Incremental;
use crate::load::LoadMode;

/// Keys of what these methods store in the summary of each snapshot, beside those of every load.
pub mod state {
    /// Whose rows these are.
    pub const SOURCE: &str = "ol.source";
    /// Rows that the next run may find again and that are known; of MySQL a table property.
    pub const SEEN: &str = "ol.source-seen";
    /// The watermarks of the cursor, as JSON.
    pub const CURSOR: &str = "ol.cursor";
    /// When keys were last compared, in milliseconds since 1970-01-01 UTC.
    pub const SWEPT_AT: &str = "ol.swept-at";
}

/// What a run over a table that is followed by queries has decided, as far as writing is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Whether all rows are read.
    pub is_whole: bool,
    /// Whether the rows are added to what is known.
    pub goes_on: bool,
    /// Whether the rows that are there were written in another mode, so that nothing may stay of them.
    pub is_other_mode: bool,
    /// When keys were last compared, in milliseconds since 1970-01-01 UTC.
    pub swept_at: Option<i64>,
}

fn has_rows(base: &LakeTable) -> bool {
    base.current_snapshot().is_some_and(|snapshot| snapshot.records > 0)
}

/// How the rows of this run go in: as planned, but all rows of a merged table replace what is there, which costs less
/// than looking for each. Rows that are marked as deleted would be lost by that, so there they are merged.
pub(crate) fn load_mode(
    planned: &LoadMode,
    primary_key: &[String],
    key: &[String],
    base: &LakeTable,
    begun: Option<Begun>,
) -> LoadMode {
    match (planned, begun) {
        (LoadMode::Merge(merging), Some(begun))
            if begun.is_whole && (begun.is_other_mode || !(merging.soft && has_rows(base))) =>
        {
            replacing(primary_key, key)
        }
        (mode, _) => mode.clone(),
    }
}

/// The comparison of keys, when it is time to. `now` is the time, in milliseconds since 1970-01-01 UTC.
pub(crate) fn due_sweep(
    settings: &Incremental,
    key: &[String],
    mode: &LoadMode,
    base: &LakeTable,
    begun: Option<Begun>,
    now: i64,
) -> Option<Sweep> {
    let kind = match mode {
        LoadMode::Append if begun.is_some() => Kind::Log,
        LoadMode::Merge(merging) if merging.soft => Kind::Marked,
        LoadMode::Merge(merging) if begun.is_some() && !merging.replaces => Kind::Merged,
        LoadMode::Overwrite | LoadMode::Append | LoadMode::Merge(_) => return None,
    };
    let hours = i64::try_from(settings.sweep_hours).unwrap_or(i64::MAX);
    // All rows that are read anew say what is gone, too, as far as the state is concerned.
    let is_due = begun
        .filter(|begun| begun.goes_on)
        .and_then(|begun| begun.swept_at)
        .is_none_or(|last| now.saturating_sub(last) >= hours.saturating_mul(3_600_000));
    (is_due && has_rows(base) && !key.is_empty()).then(|| Sweep {
        key: key.to_vec(),
        kind,
        most_keys: settings.sweep_keys,
    })
}
