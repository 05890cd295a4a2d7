//! From where a run that follows a cursor column has to look, so that a row committed late is never skipped.
//!
//! `cursor > the highest value of the last run` loses rows: a transaction takes its cursor value, another one takes a
//! higher value and commits, the run sees that one, and when the first commits its value is already passed. And
//! `cursor ≥` with a margin only makes it rarer. Here the cursor only *narrows the search*, by a bound that cannot
//! pass a row which is still to come; which of the rows found are new is decided as in [`super::visibility`], exactly.
//!
//! **Assumption.** A transaction takes its cursor values while it lives, and values taken later are not smaller than
//! values taken before (a clock or a sequence). In particular an update changes the cursor.
//!
//! **What is remembered.** In the run of snapshot *Sₖ*: *wₖ*, the highest value visible in *Sₖ*, and *Aₖ*, the
//! transactions that live just after *Sₖ* was taken: their virtual ids in `pg_locks`, which every role sees and which
//! a transaction has from its first statement on, whether it has written or not; and the ids of those that were
//! prepared (these have no virtual id any more) or running.
//!
//! **The bound** of a run with snapshot *S′*, whose last run had snapshot *S*, is *wₖ* of the latest *k* whose *Aₖ* had
//! all ended by *S* ("settled").
//!
//! **Proof.** Take a row version inserted by *T*, visible in *S′*, not in *S*, with value *c*. *T* had not ended at *S*.
//! If *T* began before *Aₖ* was read, it lived through the reading, as *S* is later, so it is in *Aₖ* and has ended by
//! *S*: a contradiction. So *T* began after *Aₖ* was read, that is after *Sₖ* was taken, and took *c* after all values
//! visible in *Sₖ* were taken: `c ≥ wₖ`. A pair that is settled stays settled, so older ones are dropped. Before any
//! is settled there is no bound and the whole table is looked at, which is slower and finds the same rows.
//!
//! **That all of *Aₖ* had ended by *S*** is established before *S* is taken: first `pg_locks` is read, then
//! `pg_prepared_xacts`, then *S* is taken. A transaction gives up the lock on its virtual id only after its end is
//! visible to new snapshots (`CommitTransaction`: `ProcArrayEndTransaction` before `ResourceOwnerRelease`), or after it
//! is prepared and stands in `pg_prepared_xacts`; a prepared one leaves that list after its end is visible. A
//! transaction in that list that was not in *Aₖ* may be one of *Aₖ*'s virtual ids under its new name, so then *k*
//! is not settled unless *Aₖ* had none. Virtual ids start anew when the server does, and then one may look alive
//! that is not: it only takes longer to settle.
//!
//! **A standby** shows no virtual ids of its primary. There no bound is used.
//!
//! **The lookback** (`incremental.lookback_seconds`) is subtracted from bounds that are moments. It covers what the
//! assumption leaves out for them: clocks of application servers that differ, values an application takes before its
//! transaction begins, local times whose clocks are put back. Values in the future never become *w*.
//!
//! **Not covered**: a value that is older than the bound when its row is committed: a back-dated one, one that is
//! copied from elsewhere, a sequence with CACHE (a session keeps numbers from before), random UUIDs, a row that is
//! updated without its cursor. Replication method `xmin` covers all of these, at the price of a sequential scan.

use serde::{Deserialize, Serialize};

use super::visibility::SourceSnapshot;

/// The most transactions of a pair. With more, the pair is not kept.
const MOST_LIVE: usize = 500;

/// Transactions that live at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Virtual transaction ids.
    #[serde(rename = "virtual", default, skip_serializing_if = "Vec::is_empty")]
    pub virtual_ids: Vec<String>,
    /// Ids of prepared and running transactions.
    #[serde(rename = "ids", default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<u64>,
}

/// What is known of running transactions around a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// Before the snapshot was taken: virtual ids, and ids of prepared transactions only.
    pub before: Live,
    /// The snapshot.
    pub snapshot: SourceSnapshot,
    /// After it was taken: virtual ids, and ids of prepared transactions and of those the snapshot lists.
    pub after: Live,
    /// Whether the server is a standby, which knows none of this.
    pub in_recovery: bool,
}

/// The watermarks of a table: values with the transactions that lived when they were seen.
pub type Watermarks = crate::source::incremental::watermark::Watermarks<Live>;

impl Watermarks {
    /// Whether this bound may be used under a snapshot.
    ///
    /// It may not on a standby: that a transaction had ended on the primary does not say that it has been replayed.
    #[must_use]
    pub fn bound(&self, around: &Around) -> Option<&str> {
        self.settled.as_deref().filter(|_| !around.in_recovery)
    }

    /// After a run that was committed: settles what had ended by its snapshot, and adds what it saw.
    ///
    /// `highest` is the highest value visible in its snapshot, `None` when there is none.
    pub fn advance(&mut self, around: &Around, highest: Option<String>) {
        if around.in_recovery {
            return;
        }
        self.settle(|live| live.had_ended(around));
        let Some(value) = highest else { return };
        let live = around.after.clone();
        if live.virtual_ids.len() + live.ids.len() > MOST_LIVE {
            return;
        }
        self.push(value, live);
    }
}

impl Live {
    /// Whether all of these had ended by the snapshot.
    fn had_ended(&self, around: &Around) -> bool {
        let gone = self.virtual_ids.iter().all(|id| !around.before.virtual_ids.contains(id));
        let ended = self.ids.iter().all(|id| around.snapshot.had_ended(*id));
        let renamed = !self.virtual_ids.is_empty()
            && around.before.ids.iter().any(|id| !self.ids.contains(id));
        gone && ended && !renamed
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn live(virtual_ids: &[&str], ids: &[u64]) -> Live {
        Live {
            virtual_ids: virtual_ids.iter().map(ToString::to_string).collect(),
            ids: ids.to_vec(),
        }
    }

    fn around(before: Live, snapshot: &str, after: Live) -> Around {
        Around { before, snapshot: snapshot.parse().unwrap(), after, in_recovery: false }
    }

    fn value(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_value_becomes_the_bound_when_everybody_who_lived_has_ended() {
        let mut marks = Watermarks::new("at".into(), None);
        marks.advance(&around(live(&[], &[]), "5:5:", live(&["3/1"], &[])), value("a"));
        assert_eq!(marks.settled, None);
        // 3/1 lives on: the later value waits for it, too.
        marks.advance(&around(live(&["3/1"], &[]), "5:6:", live(&["3/1", "4/1"], &[])), value("b"));
        assert_eq!(marks.settled, None);
        // 3/1 has ended, 4/1 has not: only the first value is safe.
        marks.advance(&around(live(&["4/1"], &[]), "7:7:", live(&["4/1"], &[])), value("c"));
        assert_eq!(marks.settled.as_deref(), Some("a"));
        marks.advance(&around(live(&[], &[]), "8:8:", live(&[], &[])), value("d"));
        assert_eq!(marks.settled.as_deref(), Some("c"));
    }

    #[test]
    fn a_prepared_transaction_holds_back_under_both_of_its_names() {
        let mut marks = Watermarks::new("at".into(), None);
        marks.advance(&around(live(&[], &[]), "5:5:", live(&["3/1"], &[])), value("a"));
        // 3/1 is gone, and a prepared transaction that was not there before may be it.
        let prepared = live(&[], &[5]);
        marks.advance(&around(prepared.clone(), "5:6:5", prepared.clone()), value("b"));
        assert_eq!(marks.settled, None);
        // It is known by its id now, and lives on: b waits for it.
        marks.advance(&around(prepared.clone(), "5:8:5", prepared), value("c"));
        assert_eq!(marks.settled, None);
        marks.advance(&around(live(&[], &[]), "8:8:", live(&[], &[])), value("d"));
        assert_eq!(marks.settled.as_deref(), Some("c"));
    }

    #[test]
    fn a_standby_neither_settles_nor_uses_a_bound() {
        let mut marks = Watermarks::new("at".into(), value("a"));
        let standby =
            Around { in_recovery: true, ..around(live(&[], &[]), "5:5:", live(&[], &[])) };
        let before = marks.clone();
        marks.advance(&standby, value("b"));
        assert_eq!(marks, before);
        assert_eq!(marks.bound(&standby), None);
        assert_eq!(marks.bound(&Around { in_recovery: false, ..standby }), Some("a"));
    }

    #[test]
    fn while_one_transaction_stays_the_oldest_and_the_newest_values_are_kept() {
        let mut marks = Watermarks::new("at".into(), None);
        let long = live(&["3/1"], &[]);
        for index in 0..20 {
            marks.advance(&around(long.clone(), "5:5:", long.clone()), Some(index.to_string()));
        }
        let kept: Vec<&str> = marks.pending.iter().map(|pair| pair.value.as_str()).collect();
        assert_eq!(kept, ["0", "13", "14", "15", "16", "17", "18", "19"]);
        let text = serde_json::to_string(&marks).unwrap();
        assert_eq!(serde_json::from_str::<Watermarks>(&text).unwrap(), marks);
    }

    #[test]
    fn too_many_transactions_are_not_kept() {
        let mut marks = Watermarks::new("at".into(), None);
        let crowd = Live { virtual_ids: Vec::new(), ids: (0..1000).collect() };
        marks.advance(&around(live(&[], &[]), "5:5:", crowd), value("a"));
        assert!(marks.pending.is_empty());
    }
}
