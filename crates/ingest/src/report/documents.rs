//! What `plan` and `status` say.
//!
//! Types and column contracts arrive here as texts: this module prints, it does not decide.

use ol_chassis::text::Align::{Left, Right};
use ol_chassis::{Exit, text};
use serde::Serialize;

use super::{RunOutcome, TableOutcome, outcome_of, sentence};
use crate::error::Error;
use crate::inventory::SyncMode;

/// Where one source column lands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnPlan {
    /// The column at the source.
    pub column: String,
    /// Its type at the source.
    pub source_type: String,
    /// Its type in the lake; absent when the type is refused or the column is excluded.
    pub lake_type: Option<String>,
    /// `exact`, `widened`, `text`, `sidecar`, `refused` or `excluded`.
    pub fidelity: String,
    /// What is given up on the way, when something is.
    pub note: Option<String>,
}

/// The contract of one table, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TablePlan {
    /// The lake table.
    pub raw_table: String,
    /// The table at the source, `namespace.name`.
    pub source_table: String,
    /// How it will be read and written.
    pub mode: SyncMode,
    /// `done` when a run can read it, otherwise how a run would end.
    pub outcome: TableOutcome,
    /// Its columns in the order of the source.
    pub columns: Vec<ColumnPlan>,
    /// What happened and what to do, when a run cannot read it.
    pub advice: Option<String>,
    /// What is to be known of the table as a whole, beyond its columns.
    pub note: Option<String>,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl TablePlan {
    /// A table that a run can read.
    pub fn readable(
        raw_table: impl Into<String>,
        source_table: impl Into<String>,
        mode: SyncMode,
        columns: Vec<ColumnPlan>,
    ) -> Self {
        Self {
            raw_table: raw_table.into(),
            source_table: source_table.into(),
            mode,
            outcome: TableOutcome::Done,
            columns,
            advice: None,
            note: None,
            exit: Exit::Done,
        }
    }

    /// The same table, which a run could not read.
    #[must_use]
    pub fn failed(self, error: &Error) -> Self {
        let (outcome, exit) = outcome_of(error);
        Self { outcome, exit, advice: Some(sentence(error)), ..self }
    }
}

/// The JSON document of `ol-ingest plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// How a run would end as things are.
    pub outcome: RunOutcome,
    /// Every table, in the order of the inventory.
    pub tables: Vec<TablePlan>,
}

impl PlanReport {
    /// A report of these tables.
    pub fn new(tables: Vec<TablePlan>) -> Self {
        let outcome = RunOutcome::of(Exit::worst(tables.iter().map(|table| table.exit)));
        Self { outcome, tables }
    }

    /// The exit code: that of the worst table.
    pub fn exit(&self) -> Exit {
        Exit::worst(self.tables.iter().map(|table| table.exit))
    }

    /// The JSON document, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// One block a table: its name, then its columns.
    pub fn to_text(&self) -> String {
        let columns = [
            ("  column", Left),
            ("source type", Left),
            ("lake type", Left),
            ("fidelity", Left),
            ("note", Left),
        ];
        let mut lines = String::new();
        for table in &self.tables {
            lines.push_str(&format!(
                "{} <- {} ({}): {}\n",
                table.raw_table,
                table.source_table,
                table.mode,
                table.outcome.word()
            ));
            for said in [&table.advice, &table.note].into_iter().flatten() {
                lines.push_str(&format!("  {said}\n"));
            }
            if !table.columns.is_empty() {
                let rows: Vec<Vec<String>> = table
                    .columns
                    .iter()
                    .map(|column| {
                        vec![
                            format!("  {}", column.column),
                            column.source_type.clone(),
                            column.lake_type.clone().unwrap_or_else(|| "-".to_owned()),
                            column.fidelity.clone(),
                            column.note.clone().unwrap_or_default(),
                        ]
                    })
                    .collect();
                lines.push_str(&text::table(&columns, &rows));
            }
            lines.push('\n');
        }
        lines
    }
}

/// Where one table stands in the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableStatus {
    /// The unit, `deployment/layer`.
    pub unit: String,
    /// The lake table.
    pub raw_table: String,
    /// How it is read and written.
    pub mode: SyncMode,
    /// Rows in the lake; absent when the table was never loaded.
    pub rows: Option<u64>,
    /// The current snapshot; absent when the table was never loaded.
    pub snapshot_id: Option<i64>,
    /// The source position it has reached; absent when it has none.
    pub position: Option<String>,
    /// When the current snapshot was committed, RFC 3339 in UTC.
    pub committed_at: Option<String>,
    /// Where a table that is followed by its changes stands: planned, copying, catching-up, streaming, or blocked and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What a table that is followed by xmin or cursor has come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
}

/// What a table that is followed by queries has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Follows {
    /// System identifier, timeline and database.
    pub source: String,
    /// The source's snapshot up to which everything is known.
    pub snapshot: String,
    /// The cursor column and its type; absent with xmin.
    pub cursor: Option<String>,
    /// The cursor value from which the next run searches; absent when it looks at the whole table.
    pub searched_from: Option<String>,
    /// When keys were last compared, RFC 3339 in UTC.
    pub swept_at: String,
}

/// What the source says of a unit's slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotStatus {
    /// The unit, `deployment/layer`.
    pub unit: String,
    /// The slot.
    pub slot: String,
    /// `reserved`, `extended`, `unreserved` or `lost`; absent before version 13.
    pub wal_status: Option<String>,
    /// Whether somebody streams from it.
    pub is_active: bool,
    /// The log that the server keeps for it, in bytes.
    pub retained_bytes: u64,
    /// The most that it may keep, in bytes; absent where there is no cap.
    pub cap_bytes: Option<u64>,
    /// How much more can be written before the server gives the slot up, in bytes; absent where it never does.
    pub safe_wal_size_bytes: Option<i64>,
}

/// The JSON document of `ol-ingest status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusReport {
    /// Every table, in the order of the inventory.
    pub tables: Vec<TableStatus>,
    /// The slots of the units that are followed by their changes, as far as the sources could be asked.
    pub slots: Vec<SlotStatus>,
}

impl StatusReport {
    /// The JSON document, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// One line a table, then one a slot.
    pub fn to_text(&self) -> String {
        let has_phases = self.tables.iter().any(|table| table.phase.is_some());
        let mut columns = vec![
            ("unit", Left),
            ("table", Left),
            ("mode", Left),
            ("rows", Right),
            ("position", Left),
            ("committed at", Left),
            ("searched from", Left),
            ("swept at", Left),
        ];
        columns.extend(has_phases.then_some(("phase", Left)));
        let rows: Vec<Vec<String>> = self
            .tables
            .iter()
            .map(|table| {
                let follows = table.follows.as_ref();
                let from = follows.map_or("-", |follows| {
                    follows.searched_from.as_deref().unwrap_or("the beginning")
                });
                let phase = table.phase.clone().unwrap_or_else(|| "-".to_owned());
                let mut row = vec![
                    table.unit.clone(),
                    table.raw_table.clone(),
                    table.mode.word().to_owned(),
                    table.rows.map_or_else(|| "-".to_owned(), text::count),
                    table.position.clone().unwrap_or_else(|| "-".to_owned()),
                    table.committed_at.clone().unwrap_or_else(|| "never".to_owned()),
                    from.to_owned(),
                    follows.map_or("-", |follows| &follows.swept_at).to_owned(),
                ];
                row.extend(has_phases.then_some(phase));
                row
            })
            .collect();
        let tables = text::table(&columns, &rows);
        if self.slots.is_empty() { tables } else { format!("{tables}\n{}", self.slots_text()) }
    }

    fn slots_text(&self) -> String {
        let columns = [
            ("unit", Left),
            ("slot", Left),
            ("state", Left),
            ("read", Left),
            ("log kept, bytes", Right),
            ("cap, bytes", Right),
            ("safe, bytes", Right),
        ];
        let or_none = |bytes: Option<String>| bytes.unwrap_or_else(|| "-".to_owned());
        let rows: Vec<Vec<String>> = self
            .slots
            .iter()
            .map(|slot| {
                vec![
                    slot.unit.clone(),
                    slot.slot.clone(),
                    or_none(slot.wal_status.clone()),
                    if slot.is_active { "yes" } else { "no" }.to_owned(),
                    text::count(slot.retained_bytes),
                    or_none(slot.cap_bytes.map(text::count)),
                    or_none(slot.safe_wal_size_bytes.map(|bytes| bytes.to_string())),
                ]
            })
            .collect();
        text::table(&columns, &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Definite;

    const MODE: SyncMode = SyncMode::FullRefreshAppend;

    fn column(name: &str, source: &str, lake: Option<&str>, fidelity: &str) -> ColumnPlan {
        ColumnPlan {
            column: name.to_owned(),
            source_type: source.to_owned(),
            lake_type: lake.map(str::to_owned),
            fidelity: fidelity.to_owned(),
            note: None,
        }
    }

    #[test]
    fn a_plan_reads_well() {
        let columns = vec![
            column("id", "integer", Some("int"), "exact"),
            column("password", "character varying(128)", None, "excluded"),
        ];
        let missing = Error::new(Definite::RelationMissing).with("table", "public.gone");
        let report = PlanReport::new(vec![
            TablePlan::readable("raw__a__postgres__users", "public.users", MODE, columns),
            TablePlan::readable("raw__a__postgres__gone", "public.gone", MODE, Vec::new())
                .failed(&missing),
        ]);
        assert_eq!(report.exit(), Exit::Definite);
        let expected = "\
raw__a__postgres__users <- public.users (full_refresh_append): done
  column    source type             lake type  fidelity  note
  id        integer                 int        exact
  password  character varying(128)  -          excluded

raw__a__postgres__gone <- public.gone (full_refresh_append): blocked
  The table does not exist at the source (table: public.gone). Find out whether public.gone was dropped or renamed, then remove it from the unit or name it anew with renamed_from. (runbook: ingest-source-schema)

";
        assert_eq!(report.to_text(), expected);
        assert!(report.to_json().starts_with(
            r#"{"outcome":"blocked","tables":[{"raw_table":"raw__a__postgres__users","source_table":"public.users","mode":"full_refresh_append","outcome":"done","columns":[{"column":"id","source_type":"integer","lake_type":"int","fidelity":"exact","note":null}"#
        ));
    }

    #[test]
    fn a_status_says_never() {
        let report = StatusReport {
            tables: vec![TableStatus {
                unit: "a/postgres".to_owned(),
                raw_table: "raw__a__postgres__b".to_owned(),
                mode: MODE,
                rows: None,
                snapshot_id: None,
                position: None,
                committed_at: None,
                phase: None,
                follows: None,
            }],
            slots: Vec::new(),
        };
        assert_eq!(
            report.to_text(),
            "unit        table                mode                 rows  position  committed at  searched from  swept at\n\
             a/postgres  raw__a__postgres__b  full_refresh_append     -  -         never         -              -\n"
        );
    }
}
