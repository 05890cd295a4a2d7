//! What `maintain` says when it is done.

use std::time::Duration;

use ol_chassis::text::Align::{Left, Right};
use ol_chassis::{Exit, text};
use ol_lake::Orphan;
use serde::Serialize;

use crate::error::Error;
use crate::report::{RunOutcome, TableOutcome, outcome_of, sentence};

/// How a table's pointer to its current snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PointerState {
    /// It names the newest snapshot of the table.
    Sound,
    /// It did not, and was repaired.
    Repaired,
    /// It does not: `--repair-pointers`.
    Stale,
}

/// What was done with one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaintainedTable {
    /// The table.
    pub table: String,
    /// How it ended.
    pub outcome: TableOutcome,
    /// What happened and what to do, for a table that is not done.
    pub advice: Option<String>,
    /// Its pointer.
    pub pointer: PointerState,
    /// Data files that compaction took away.
    pub files_compacted: u64,
    /// Data files that compaction wrote.
    pub files_written: u64,
    /// Bytes of these.
    pub bytes_written: u64,
    /// Whether small manifests were gathered.
    pub manifests_gathered: bool,
    /// Snapshots that are gone.
    pub snapshots_expired: u64,
    /// Snapshots that would go with `--expire-days`.
    pub snapshots_expirable: u64,
    /// Files that went with expired snapshots.
    pub files_expired: u64,
    /// Bytes of these, as far as they are known.
    pub bytes_expired: u64,
    /// Orphans: files that nothing refers to.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Their addresses.
    pub paths: Vec<String>,
    /// Whether they were deleted.
    pub swept: bool,
    /// Wall time spent on the table.
    pub seconds: f64,
    #[serde(skip)]
    pub(super) was_looked_at: bool,
    #[serde(skip)]
    exit: Exit,
}

impl MaintainedTable {
    pub(super) fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            outcome: TableOutcome::Done,
            advice: None,
            pointer: PointerState::Sound,
            files_compacted: 0,
            files_written: 0,
            bytes_written: 0,
            manifests_gathered: false,
            snapshots_expired: 0,
            snapshots_expirable: 0,
            files_expired: 0,
            bytes_expired: 0,
            files: 0,
            bytes: 0,
            paths: Vec::new(),
            swept: false,
            seconds: 0.0,
            was_looked_at: true,
            exit: Exit::Done,
        }
    }

    /// The same table, of which a step failed. The first failure is the one that is told.
    pub(super) fn failed(self, error: &Error) -> Self {
        if self.advice.is_some() {
            return self;
        }
        let (outcome, exit) = outcome_of(error);
        tracing::warn!(table = self.table, error = %ol_chassis::error::chain(error), "the table is not maintained");
        Self { outcome, exit, advice: Some(sentence(error)), ..self }
    }

    pub(super) fn orphans(&mut self, orphans: &[Orphan]) {
        self.files = orphans.len() as u64;
        self.bytes = orphans.iter().map(|orphan| orphan.bytes).sum();
        self.paths = orphans.iter().map(|orphan| orphan.path.clone()).collect();
    }

    pub(super) fn swept(self) -> Self {
        Self { swept: true, ..self }
    }

    fn is_worth_a_line(&self) -> bool {
        self.outcome != TableOutcome::Done
            || self.pointer != PointerState::Sound
            || self.manifests_gathered
            || self.files_compacted + self.snapshots_expired + self.snapshots_expirable + self.files
                > 0
    }
}

/// The JSON document of `ol-ingest maintain`. Its totals have the names that the platform's maintenance assets give them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaintainReport {
    /// The run.
    pub run_id: String,
    /// How it ended: that of the worst table.
    pub outcome: RunOutcome,
    /// The namespace.
    pub namespace: String,
    /// Orphans are at least so old; absent when nobody looked for any.
    pub orphan_days: Option<u64>,
    /// Whether orphans were to be deleted.
    pub deleted: bool,
    /// Tables that were looked at.
    pub tables_scanned: u64,
    /// Tables of which nothing failed.
    pub tables_cleaned: u64,
    /// Tables of which files were gathered.
    pub tables_optimized: u64,
    /// Pointers that were repaired.
    pub pointers_repaired: u64,
    /// Snapshots that are gone.
    pub snapshots_expired: u64,
    /// Orphans that are gone.
    pub orphans_removed: u64,
    /// Orphans that were found.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Tables of which something failed.
    pub failure_count: u64,
    /// The first of them, with the reason.
    pub failure_details: Vec<String>,
    /// A run that was asked to stop goes on with `--after` this table.
    pub resume_after: Option<String>,
    /// Wall time.
    pub seconds: f64,
    /// The tables.
    pub tables: Vec<MaintainedTable>,
}

/// Failures that are told in the totals, as many as the platform's assets show.
const DETAILS: usize = 20;
/// Orphans that are named a table, in text.
const NAMED: usize = 10;

impl MaintainReport {
    pub(super) fn new(namespace: &str, orphan_days: Option<u64>, deleted: bool) -> Self {
        Self {
            run_id: uuid::Uuid::now_v7().to_string(),
            outcome: RunOutcome::Done,
            namespace: namespace.to_owned(),
            orphan_days,
            deleted,
            tables_scanned: 0,
            tables_cleaned: 0,
            tables_optimized: 0,
            pointers_repaired: 0,
            snapshots_expired: 0,
            orphans_removed: 0,
            files: 0,
            bytes: 0,
            failure_count: 0,
            failure_details: Vec::new(),
            resume_after: None,
            seconds: 0.0,
            tables: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, table: MaintainedTable) {
        let is_done = table.outcome == TableOutcome::Done;
        self.tables_scanned += 1;
        self.tables_cleaned += u64::from(is_done);
        self.tables_optimized += u64::from(table.files_compacted > 0 || table.manifests_gathered);
        self.pointers_repaired += u64::from(table.pointer == PointerState::Repaired);
        self.snapshots_expired += table.snapshots_expired;
        self.orphans_removed += if table.swept { table.files } else { 0 };
        self.files += table.files;
        self.bytes += table.bytes;
        self.failure_count += u64::from(!is_done);
        if let Some(advice) = table.advice.as_ref().filter(|_| self.failure_details.len() < DETAILS)
        {
            self.failure_details.push(format!("{}: {advice}", table.table));
        }
        self.tables.push(table);
    }

    pub(super) fn close(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        self.outcome = RunOutcome::of(self.exit());
    }

    /// The exit code: that of the worst table, or that it was stopped.
    pub fn exit(&self) -> Exit {
        let stopped = self.resume_after.as_ref().map(|_after| Exit::Stopped);
        Exit::worst(self.tables.iter().map(|table| table.exit).chain(stopped))
    }

    /// The JSON document, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// A line for each table with which there was something to do, the orphans, and the totals.
    pub fn to_text(&self) -> String {
        let columns = [
            ("table", Left),
            ("outcome", Left),
            ("pointer", Left),
            ("snapshots", Right),
            ("compacted", Right),
            ("orphans", Right),
            ("bytes", Right),
        ];
        let worth: Vec<&MaintainedTable> =
            self.tables.iter().filter(|table| table.is_worth_a_line()).collect();
        let mut lines = String::new();
        if !worth.is_empty() {
            let rows = worth.iter().map(|table| {
                let snapshots = match table.snapshots_expirable {
                    0 => format!("-{}", table.snapshots_expired),
                    some => format!("({some})"),
                };
                let pointer = match table.pointer {
                    PointerState::Sound => "sound",
                    PointerState::Repaired => "repaired",
                    PointerState::Stale => "stale",
                };
                vec![
                    table.table.clone(),
                    table.outcome.word().to_owned(),
                    pointer.to_owned(),
                    snapshots,
                    format!("{} > {}", table.files_compacted, table.files_written),
                    text::count(table.files),
                    text::count(table.bytes),
                ]
            });
            lines.push_str(&text::table(&columns, &rows.collect::<Vec<_>>()));
        }
        for table in worth {
            for path in table.paths.iter().take(NAMED) {
                lines.push_str(&format!("  {path}\n"));
            }
            if table.paths.len() > NAMED {
                lines.push_str(&format!(
                    "  and {} more in {}\n",
                    table.paths.len() - NAMED,
                    table.table
                ));
            }
            if let Some(advice) = &table.advice {
                lines.push_str(&format!("{}: {advice}\n", table.table));
            }
        }
        self.totals(&mut lines);
        lines
    }

    fn totals(&self, lines: &mut String) {
        lines.push_str(&format!(
            "{} tables: {} snapshots expired, {} tables compacted, {} pointers repaired, {} failed, in {:.1} s\n",
            self.tables_scanned,
            self.snapshots_expired,
            self.tables_optimized,
            self.pointers_repaired,
            self.failure_count,
            self.seconds
        ));
        if let Some(days) = self.orphan_days {
            self.orphan_total(days, lines);
        }
        if self.tables.iter().any(|table| table.snapshots_expirable > 0) {
            lines.push_str("To expire the snapshots in brackets: --expire-days\n");
        }
        if self.tables.iter().any(|table| table.pointer == PointerState::Stale) {
            lines.push_str("To repair the stale pointers: --repair-pointers\n");
        }
        if let Some(after) = &self.resume_after {
            lines.push_str(&format!("Stopped early; to go on: --after '{after}'\n"));
        }
    }
    fn orphan_total(&self, days: u64, lines: &mut String) {
        let verb = if self.deleted { "Deleted" } else { "Would delete" };
        let (files, bytes) = if self.deleted {
            let swept = self.tables.iter().filter(|table| table.swept);
            (self.orphans_removed, swept.map(|table| table.bytes).sum())
        } else {
            (self.files, self.bytes)
        };
        lines.push_str(&format!(
            "{verb} {files} files of {bytes} bytes that nothing in {} refers to, at least {days} days old\n",
            self.namespace
        ));
        if !self.deleted && self.files > 0 {
            lines.push_str(&format!("To delete them: --orphan-days {days}\n"));
        }
    }
}
