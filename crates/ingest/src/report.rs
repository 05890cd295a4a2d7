//! What a command says when it is done: one JSON document for machines, one table for people.
//!
//! Both are made of the same values, so they cannot disagree. The JSON of `run` is a contract with
//! outsiders (Dagster, alerts, scripts); its shape is pinned by a test. The documents of the other
//! commands are in [`documents`].
//!
//! A run ends in done, retry or blocked, never in "nothing happened": a table that was not read is
//! in the report with the reason.

pub mod adoption;
pub mod comparison;
pub mod documents;
pub mod verification;

use ol_chassis::text::Align::{Left, Right};
use ol_chassis::{Exit, text};
use serde::Serialize;

use crate::error::Error;
use crate::inventory::{Inventory, SyncMode};
use crate::policy;

/// How a table ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableOutcome {
    /// Its rows and position are in the lake.
    Done,
    /// It cannot be read faithfully as it is.
    Refused,
    /// It may succeed when the run is repeated.
    Retry,
    /// A person must act first.
    Blocked,
}

impl TableOutcome {
    /// The word in the JSON document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Retry => "retry",
            Self::Blocked => "blocked",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every table is done.
    Done,
    /// Some table may succeed when the run is repeated, and none needs a person.
    Retry,
    /// Some table needs a person.
    Blocked,
}

impl RunOutcome {
    /// The outcome an exit code stands for.
    pub fn of(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::Done,
            Exit::Transient | Exit::Stopped => Self::Retry,
            Exit::Definite | Exit::Configuration => Self::Blocked,
        }
    }

    /// The word in the JSON document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Blocked => "blocked",
        }
    }
}

/// What one table came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableReport {
    /// The lake table.
    pub raw_table: String,
    /// How it was to be read and written.
    pub mode: SyncMode,
    /// Rows that are new in the lake.
    pub rows: u64,
    /// Rows deleted in the lake; a replaced table deletes none.
    pub deletes: u64,
    /// Size of the data files written.
    pub bytes: u64,
    /// Number of data files written.
    pub files: u64,
    /// The snapshot of the lake table that holds them; absent when none was committed.
    pub snapshot_id: Option<i64>,
    /// The source position the table has reached; absent when it is not known.
    pub position: Option<String>,
    /// Wall time spent on the table.
    pub seconds: f64,
    /// How it ended.
    pub outcome: TableOutcome,
    /// For a table that is not done: what happened and what to do, in sentences without cell
    /// values. For one that is: that it has not changed, if so.
    pub advice: Option<String>,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl TableReport {
    /// A table whose rows are in the lake; fill in the counts.
    pub fn done(raw_table: impl Into<String>, mode: SyncMode) -> Self {
        Self {
            raw_table: raw_table.into(),
            mode,
            rows: 0,
            deletes: 0,
            bytes: 0,
            files: 0,
            snapshot_id: None,
            position: None,
            seconds: 0.0,
            outcome: TableOutcome::Done,
            advice: None,
            exit: Exit::Done,
        }
    }

    /// A table that failed: outcome, advice and exit code follow from the failure.
    pub fn failed(raw_table: impl Into<String>, mode: SyncMode, error: &Error) -> Self {
        let (outcome, exit) = outcome_of(error);
        let advice = Some(sentence(error));
        Self { outcome, exit, advice, ..Self::done(raw_table, mode) }
    }

    /// The exit code this table alone would give.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

/// The outcome and the exit code of a table that failed.
pub fn outcome_of(error: &Error) -> (TableOutcome, Exit) {
    let policy = policy::policy(error.failure());
    let outcome = match RunOutcome::of(policy.exit) {
        RunOutcome::Retry => TableOutcome::Retry,
        RunOutcome::Done | RunOutcome::Blocked if policy.refuses_table => TableOutcome::Refused,
        RunOutcome::Done | RunOutcome::Blocked => TableOutcome::Blocked,
    };
    (outcome, policy.exit)
}

/// What happened, what to do, and where the rest is written. The causes of the failure are left
/// out: they are for the log, and what a server says may quote a value.
pub fn sentence(error: &Error) -> String {
    let runbook = policy::policy(error.failure()).runbook;
    format!("{error}. {} (runbook: {runbook})", policy::advice(error))
}

/// What a run came to: the JSON document of `ol-ingest run`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The run's identifier, also in `_ol_run_id`.
    pub run_id: String,
    /// How the run ended.
    pub outcome: RunOutcome,
    /// Every table of the run, in the order of the inventory.
    pub tables: Vec<TableReport>,
}

impl RunReport {
    /// A report of these tables; its outcome is that of the worst.
    pub fn new(run_id: impl Into<String>, tables: Vec<TableReport>) -> Self {
        let outcome = RunOutcome::of(Exit::worst(tables.iter().map(TableReport::exit)));
        Self { run_id: run_id.into(), outcome, tables }
    }

    /// The part of it that is about the tables of an inventory.
    #[must_use]
    pub fn of(self, inventory: &Inventory) -> Self {
        let tables = || inventory.units.iter().flat_map(|unit| &unit.tables);
        let is_selected =
            |report: &TableReport| tables().any(|table| table.raw_table == report.raw_table);
        Self::new(self.run_id, self.tables.into_iter().filter(is_selected).collect())
    }

    /// The exit code of the run: that of the worst table.
    pub fn exit(&self) -> Exit {
        Exit::worst(self.tables.iter().map(TableReport::exit))
    }

    /// The JSON document, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// The table for people: one line a table, totals, then what is to be done.
    pub fn to_text(&self) -> String {
        let columns = [
            ("table", Left),
            ("mode", Left),
            ("outcome", Left),
            ("rows", Right),
            ("deletes", Right),
            ("size", Right),
            ("files", Right),
            ("rows/s", Right),
            ("time", Right),
        ];
        let rows: Vec<Vec<String>> = self
            .tables
            .iter()
            .map(|table| {
                vec![
                    table.raw_table.clone(),
                    table.mode.word().to_owned(),
                    table.outcome.word().to_owned(),
                    text::count(table.rows),
                    text::count(table.deletes),
                    text::bytes(table.bytes),
                    text::count(table.files),
                    text::rate(table.rows, table.seconds),
                    text::duration(table.seconds),
                ]
            })
            .collect();
        let mut lines = text::table(&columns, &rows);
        let is_done = |table: &&TableReport| table.outcome == TableOutcome::Done;
        let done = self.tables.iter().filter(is_done).count();
        // A table that is done has advice only when the lake already held its rows.
        let unchanged =
            self.tables.iter().filter(is_done).filter(|table| table.advice.is_some()).count();
        lines.push_str(&format!(
            "\n{}: {done} of {} tables done{}, {} rows, {} in {} files (run {})\n",
            self.outcome.word(),
            self.tables.len(),
            if unchanged > 0 { format!(", {unchanged} of them unchanged") } else { String::new() },
            text::count(self.tables.iter().map(|table| table.rows).sum()),
            text::bytes(self.tables.iter().map(|table| table.bytes).sum()),
            text::count(self.tables.iter().map(|table| table.files).sum()),
            self.run_id,
        ));
        let not_done = self.tables.iter().filter(|table| !is_done(table));
        lines.push_str(&advice_lines(
            not_done.map(|table| (table.raw_table.as_str(), table.advice.as_deref())),
        ));
        lines
    }
}

/// One paragraph a table that has advice.
fn advice_lines<'a>(tables: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    tables
        .filter_map(|(name, advice)| Some(format!("\n{name}\n  {}\n", advice?)))
        .collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Definite, Transient};

    const MODE: SyncMode = SyncMode::FullRefreshOverwrite;

    fn users() -> TableReport {
        TableReport {
            rows: 1_000_000,
            bytes: 123_456_789,
            files: 2,
            snapshot_id: Some(8_123_456_789_012_345_678),
            position: Some("0/1A2B3C4D".to_owned()),
            seconds: 2.5,
            ..TableReport::done("raw__mitxonline__app__postgres__users_user", MODE)
        }
    }

    fn report() -> RunReport {
        let refused = Error::new(Definite::RelationKindRefused)
            .with("table", "public.v_users")
            .with("kind", "view");
        let retry = Error::new(Transient::LockTimeout)
            .with("table", "public.line")
            .because(std::io::Error::other("never printed"));
        RunReport::new(
            "0198c0de",
            vec![
                users(),
                TableReport::failed("raw__mitxonline__app__postgres__v_users", MODE, &refused),
                TableReport::failed("raw__mitxonline__app__postgres__line", MODE, &retry),
            ],
        )
    }

    #[test]
    fn the_json_is_the_contract() {
        let expected = concat!(
            r#"{"run_id":"0198c0de","outcome":"blocked","tables":["#,
            r#"{"raw_table":"raw__mitxonline__app__postgres__users_user","#,
            r#""mode":"full_refresh_overwrite","rows":1000000,"deletes":0,"bytes":123456789,"#,
            r#""files":2,"snapshot_id":8123456789012345678,"position":"0/1A2B3C4D","#,
            r#""seconds":2.5,"outcome":"done","advice":null},"#,
            r#"{"raw_table":"raw__mitxonline__app__postgres__v_users","#,
            r#""mode":"full_refresh_overwrite","rows":0,"deletes":0,"bytes":0,"files":0,"#,
            r#""snapshot_id":null,"position":null,"seconds":0.0,"outcome":"refused","#,
            r#""advice":"Only tables are read (table: public.v_users, kind: view). Remove "#,
            r#"public.v_users from the unit; list the tables it is made of instead. "#,
            r#"(runbook: ingest-table-refused)"},"#,
            r#"{"raw_table":"raw__mitxonline__app__postgres__line","#,
            r#""mode":"full_refresh_overwrite","rows":0,"deletes":0,"bytes":0,"files":0,"#,
            r#""snapshot_id":null,"position":null,"seconds":0.0,"outcome":"retry","#,
            r#""advice":"The table was locked for too long (table: public.line). Run again when "#,
            r#"no migration holds public.line. (runbook: ingest-source-overloaded)"}]}"#,
        );
        assert_eq!(report().to_json(), expected);
    }

    #[test]
    fn the_text_is_aligned() {
        let expected = "\
table                                       mode                    outcome       rows  deletes       size  files   rows/s    time
raw__mitxonline__app__postgres__users_user  full_refresh_overwrite  done     1,000,000        0  117.7 MiB      2  400,000  2.50 s
raw__mitxonline__app__postgres__v_users     full_refresh_overwrite  refused          0        0        0 B      0        -  0.00 s
raw__mitxonline__app__postgres__line        full_refresh_overwrite  retry            0        0        0 B      0        -  0.00 s

blocked: 1 of 3 tables done, 1,000,000 rows, 117.7 MiB in 2 files (run 0198c0de)

raw__mitxonline__app__postgres__v_users
  Only tables are read (table: public.v_users, kind: view). Remove public.v_users from the unit; list the tables it is made of instead. (runbook: ingest-table-refused)

raw__mitxonline__app__postgres__line
  The table was locked for too long (table: public.line). Run again when no migration holds public.line. (runbook: ingest-source-overloaded)
";
        assert_eq!(report().to_text(), expected);
    }

    #[test]
    fn the_run_ends_like_its_worst_table() {
        let failed = |error: Error| TableReport::failed("raw__a__b__c", MODE, &error);
        let stopped = || failed(Error::new(Transient::Stopped));
        let retry = || failed(Error::new(Transient::ConnectionLost));
        let blocked = || failed(Error::new(Definite::PermissionDenied));
        let cases = [
            (vec![], RunOutcome::Done, Exit::Done),
            (vec![users()], RunOutcome::Done, Exit::Done),
            (vec![users(), stopped()], RunOutcome::Retry, Exit::Stopped),
            (vec![stopped(), retry()], RunOutcome::Retry, Exit::Transient),
            (vec![retry(), blocked(), users()], RunOutcome::Blocked, Exit::Definite),
        ];
        for (tables, outcome, exit) in cases {
            let report = RunReport::new("r", tables);
            assert_eq!((report.outcome, report.exit()), (outcome, exit));
        }
    }
}
