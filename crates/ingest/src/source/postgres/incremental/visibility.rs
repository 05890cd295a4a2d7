//! Which rows are new: those whose inserting transaction was not visible in the snapshot of the last run.
//!
//! Every row version carries the 32-bit id of the transaction that inserted it (`xmin`). Write *S* for the snapshot of
//! the last run that was committed, *S′* for that of this one, `xmin(S)` for the oldest id that was running at *S* and
//! `xmax(S)` for the id after the last that had ended. A row is sent when
//!
//! ```text
//!   id(row) > 2   and   id64(row) ≥ xmin(S)   and   id64(row) ∉ seen(S)
//! ```
//!
//! where `seen(S)` is the set of ids at or above `xmin(S)` on rows that the run of *S* itself read.
//!
//! **No change is ever missed.** Take a row version *v*, inserted by *x*, visible in *S′*, and not sent.
//! - `x < xmin(S)`: every transaction below `xmin(S)` had ended at *S* by definition, and *x* committed, as *v* is
//!   visible later. A subtransaction is no exception: a child's id is always assigned after its parent's
//!   (`AssignTransactionId` in `src/backend/access/transam/xact.c`), so a child of a running parent is above that
//!   parent, which is at or above `xmin(S)`. So *v* was visible at *S* unless it was deleted before *S*, and then
//!   it would not be visible in *S′*. It was visible at *S*, so an earlier run has sent it.
//! - `x ∈ seen(S)`: a row of *x* was visible at *S*. A transaction becomes visible as a whole, and with it all of its
//!   subtransactions that did not roll back, so every row of *x* was visible or already deleted at *S*. As above, *v*
//!   was visible at *S* and was sent then or earlier.
//!
//! **No unchanged row is sent twice.** A row sent now and visible at *S* would have an id at or above `xmin(S)` that
//! the run of *S* read (or had read before and still knew): it is in `seen(S)`. Two exceptions, both harmless to a
//! merge: `seen` is cut at [`MOST_SEEN`] ids, and it is left empty where ids have wrapped around (below).
//!
//! **Why not `pg_visible_in_snapshot`.** It looks an id up in the list of running *top-level* transactions. For a
//! subtransaction that was running at *S* it answers "visible" (PostgreSQL documentation, "Transaction ID and
//! Snapshot Information Functions"), and its rows would be lost when it commits after *S*. On a hot standby it is worse:
//! a snapshot taken in recovery keeps all running ids in another array, so the list is empty and every id below
//! `xmax` counts as visible (`GetSnapshotData` in `src/backend/storage/ipc/procarray.c`). `xmin(S)` is right in
//! both cases. Where only it and `seen` are used, neither matters.
//!
//! **Prepared transactions** stand in the process array like running ones: `xmin(S)` is at or below their ids until
//! they end. **Row locks and multixacts** are in `xmax` and do not touch a row's `xmin`. **Aborted** transactions are
//! never visible.
//!
//! **From 32 bits to 64.** With `F = xmax(S′)`, `id64(row)` is the largest number below *F* that is equal to the
//! row's id modulo 2³². The true id *X* of a row visible in *S′* is below *F* and equal to it modulo 2³², so
//! `X ≤ id64(row)`, always: an id is never taken for an older one than it is, and a false "old" is impossible. For a
//! row that is not frozen the server guarantees `F − X < 2³¹`, so `X = id64(row)`.
//!
//! **Frozen rows** keep their `xmin` since version 9.4 (only a flag says that it no longer counts), so *X* may lie
//! `k · 2³²` below `id64(row)`. Then the row is taken for newer than it is: a false "new", which happens only when
//! the row's id, moved up by `k · 2³²`, falls into `[xmin(S), F)`, a window as wide as what ran since the last run.
//! Such a row is sent again. It must not enter `seen`, though, because its shifted id may be that of a transaction
//! which is running now and whose rows would then be skipped. That can only be when `F ≥ 2³²` (below it, *k* is 0), so
//! there `seen` stays empty. Ids 0 to 2 are marks of servers before 9.4 and of bootstrap: rows older than any *S*.
//!
//! **Rewrites**: VACUUM FULL and CLUSTER keep `xmin`; a rewriting ALTER TABLE inserts anew, so all rows are sent.
//! What brings old rows into a table without inserting them (ATTACH PARTITION, INHERIT, renaming another table into its
//! place) is seen by the object ids of the table and its parts: a part that the last run did not know is read whole.
//!
//! **The same server.** Ids mean something on one history only: [`super::Identity`] is compared before any of this.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The most ids that `seen` keeps. Fewer is always right: it only means that more rows are sent again.
pub const MOST_SEEN: usize = 1000;
/// 2³²: the ids of one round.
const ROUND: u64 = 1 << 32;

/// A snapshot as `pg_current_snapshot()` prints it, `xmin:xmax:running,…`, in 64-bit ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSnapshot {
    /// Every transaction below had ended.
    pub xmin: u64,
    /// None at or above had ended.
    pub xmax: u64,
    /// Top-level transactions in between that were running; empty on a standby, whatever was running.
    pub running: Vec<u64>,
}

/// The text is not a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a snapshot")]
pub struct SnapshotError;

impl FromStr for SourceSnapshot {
    type Err = SnapshotError;

    fn from_str(text: &str) -> Result<Self, SnapshotError> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| SnapshotError);
        let mut fields = text.split(':');
        let (Some(xmin), Some(xmax), Some(running), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(SnapshotError);
        };
        let snapshot = Self {
            xmin: number(xmin)?,
            xmax: number(xmax)?,
            running: ids(running).ok_or(SnapshotError)?,
        };
        if snapshot.xmin == 0 || snapshot.xmin > snapshot.xmax {
            return Err(SnapshotError);
        }
        Ok(snapshot)
    }
}

impl fmt::Display for SourceSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.xmin, self.xmax, listed(&self.running))
    }
}

impl SourceSnapshot {
    /// Whether the top-level transaction `id` had ended.
    #[must_use]
    pub fn had_ended(&self, id: u64) -> bool {
        id < self.xmin || (id < self.xmax && !self.running.contains(&id))
    }

    /// The 64-bit id of the transaction that inserted a row visible in this snapshot, as SQL.
    fn inserted_by(&self) -> String {
        let last = self.xmax.saturating_sub(1);
        format!("({last} - (({last} - {RAW}) & {}))", ROUND - 1)
    }
}

/// The row's own 32-bit id, as a number. There is no cast from `xid` to a number but through text.
const RAW: &str = "xmin::pg_catalog.text::pg_catalog.int8";
/// The highest of the ids that are no transaction's.
const SPECIAL: u64 = 2;

/// How far a table is known: everything visible in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Horizon {
    /// The snapshot.
    pub snapshot: SourceSnapshot,
    /// Ids at or above its `xmin` whose rows are known.
    pub seen: BTreeSet<u64>,
}

impl Horizon {
    /// The condition of the rows that are visible in `now` and not known, as SQL.
    #[must_use]
    pub fn new_rows(&self, now: &SourceSnapshot) -> String {
        let id = now.inserted_by();
        // The cheap test that most rows fail comes first.
        let mut condition = format!("{id} >= {} AND {RAW} > {SPECIAL}", self.snapshot.xmin);
        if !self.seen.is_empty() {
            let seen: Vec<u64> = self.seen.iter().copied().collect();
            condition.push_str(&format!(
                " AND {id} <> ALL ('{{{}}}'::pg_catalog.int8[])",
                listed(&seen)
            ));
        }
        condition
    }

    /// What is known after the rows visible in `now` were read, `recent` being the ids on those that were sent.
    #[must_use]
    pub fn after(previous: Option<&Self>, now: SourceSnapshot, recent: &Recent) -> Self {
        let mut seen = BTreeSet::new();
        if now.xmax <= ROUND {
            let known = previous.into_iter().flat_map(|horizon| &horizon.seen);
            seen = known.copied().filter(|id| *id >= now.xmin).collect();
            seen.extend(recent.ids.iter().copied());
            while seen.len() > MOST_SEEN {
                seen.pop_last();
            }
        }
        Self { snapshot: now, seen }
    }

    /// `seen`, as text: distances from `xmin`, which are short.
    #[must_use]
    pub fn seen_text(&self) -> String {
        let distances = self.seen.iter().map(|id| id - self.snapshot.xmin.min(*id));
        listed(&distances.collect::<Vec<_>>())
    }

    /// Reads what [`Self::seen_text`] and the snapshot's text say.
    ///
    /// # Errors
    /// One of the two is not what was written.
    pub fn parse(snapshot: &str, seen: &str) -> Result<Self, SnapshotError> {
        let snapshot: SourceSnapshot = snapshot.parse()?;
        let distances = ids(seen).ok_or(SnapshotError)?;
        let seen = distances.into_iter().map(|distance| snapshot.xmin + distance).collect();
        Ok(Self { snapshot, seen })
    }
}

/// The ids on rows that were read which a later run may have to recognize: those at or above `xmin` of the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    ids: BTreeSet<u64>,
}

impl Recent {
    /// The expression of a row's id if it is recent, else NULL, as SQL of type `int8`.
    #[must_use]
    pub fn expression(now: &SourceSnapshot) -> String {
        let id = now.inserted_by();
        format!("CASE WHEN {id} >= {} AND {RAW} > {SPECIAL} THEN {id} END", now.xmin)
    }

    /// Adds one.
    pub fn insert(&mut self, id: u64) {
        if self.ids.len() < MOST_SEEN || self.ids.contains(&id) {
            self.ids.insert(id);
        }
    }

    /// Adds those of another part of the table.
    pub fn merge(&mut self, other: &Self) {
        other.ids.iter().for_each(|id| self.insert(*id));
    }
}

fn ids(text: &str) -> Option<Vec<u64>> {
    text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

fn listed(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn snapshot(text: &str) -> SourceSnapshot {
        text.parse().unwrap()
    }

    /// What the SQL of [`SourceSnapshot::inserted_by`] computes.
    fn inserted_by(now: &SourceSnapshot, raw: u32) -> i64 {
        let last = i64::try_from(now.xmax - 1).unwrap();
        last - ((last - i64::from(raw)) & 0xffff_ffff)
    }

    proptest! {
        #[test]
        fn an_id_is_never_taken_for_an_older_one(xmax in 4u64..(1 << 62), distance in 1u64..(1 << 40)) {
            let now = SourceSnapshot { xmin: xmax, xmax, running: Vec::new() };
            let truth = xmax.saturating_sub(distance).max(3);
            prop_assume!(truth < xmax);
            let raw = u32::try_from(truth & 0xffff_ffff).unwrap();
            let found = u64::try_from(inserted_by(&now, raw)).unwrap();
            prop_assert!(found >= truth && found < xmax);
            prop_assert_eq!((found - truth) % ROUND, 0);
            if xmax - truth <= ROUND {
                prop_assert_eq!(found, truth);
            }
        }

        #[test]
        fn a_horizon_reads_back_what_it_wrote(xmin in 3u64..(1 << 31), offsets in prop::collection::btree_set(0u64..5000, 0..20)) {
            let now = SourceSnapshot { xmin, xmax: xmin + 5000, running: vec![xmin] };
            let mut recent = Recent::default();
            offsets.iter().for_each(|offset| recent.insert(xmin + offset));
            let horizon = Horizon::after(None, now, &recent);
            let read = Horizon::parse(&horizon.snapshot.to_string(), &horizon.seen_text());
            prop_assert_eq!(read, Ok(horizon));
        }
    }

    #[test]
    fn snapshots_read_as_the_server_prints_them() {
        let known = snapshot("740:745:740,742");
        assert_eq!((known.xmin, known.xmax, known.running.as_slice()), (740, 745, &[740, 742][..]));
        assert_eq!(known.to_string(), "740:745:740,742");
        assert!(known.had_ended(739) && known.had_ended(741) && known.had_ended(744));
        assert!(!known.had_ended(740) && !known.had_ended(745));
        for text in ["", "1:2", "2:1:", "0:1:", "a:2:", "1:2:x", "1:2::"] {
            assert_eq!(text.parse::<SourceSnapshot>(), Err(SnapshotError), "{text}");
        }
    }

    #[test]
    fn what_stays_recent_is_carried_on_and_the_rest_is_forgotten() {
        let mut recent = Recent::default();
        [10, 12].iter().for_each(|id| recent.insert(*id));
        let first = Horizon::after(None, snapshot("10:14:11"), &recent);
        let mut more = Recent::default();
        more.insert(15);
        let second = Horizon::after(Some(&first), snapshot("11:16:11"), &more);
        assert_eq!(second.seen.iter().copied().collect::<Vec<_>>(), [12, 15]);
        let third = Horizon::after(Some(&second), snapshot("16:16:"), &Recent::default());
        assert!(third.seen.is_empty());
    }

    #[test]
    fn nothing_counts_as_seen_once_ids_have_wrapped_around() {
        let mut recent = Recent::default();
        recent.insert(ROUND + 7);
        let now = snapshot(&format!("{}:{}:", ROUND + 5, ROUND + 9));
        assert!(Horizon::after(None, now, &recent).seen.is_empty());
    }

    #[test]
    fn the_known_ids_are_cut_and_not_the_new_ones_let_in() {
        let mut recent = Recent::default();
        (0..5000).for_each(|id| recent.insert(100 + id));
        let horizon = Horizon::after(None, snapshot("100:6000:"), &recent);
        assert_eq!(horizon.seen.len(), MOST_SEEN);
    }
}
