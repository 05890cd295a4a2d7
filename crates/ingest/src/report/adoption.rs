//! What `adopt` says when it is done.

use std::collections::BTreeMap;

use ol_chassis::Exit;
use ol_lake::LakeTable;
use serde::Serialize;

use super::{RunOutcome, TableOutcome, outcome_of, sentence};
use crate::error::Error;

/// One table, adopted or not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdoptedTable {
    /// The table.
    pub raw_table: String,
    /// How it ended.
    pub outcome: TableOutcome,
    /// Whether the steps were made, or only shown.
    pub adopted: bool,
    /// Who wrote it, by its metadata columns: `airbyte`, `dlt`, `ol-ingest` or `unknown`.
    pub written_by: &'static str,
    /// Its folder.
    pub location: Option<String>,
    /// Its rows.
    pub rows: u64,
    /// What changes, one sentence a step; no file of rows does.
    pub steps: Vec<String>,
    /// Lake types that would have to be declared under `overrides.columns` of the table, to keep those it has.
    pub overrides: BTreeMap<String, String>,
    /// Why it is not adopted, and what to do.
    pub advice: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl AdoptedTable {
    pub(crate) fn new(raw_table: &str, adopted: bool) -> Self {
        Self {
            raw_table: raw_table.to_owned(),
            outcome: TableOutcome::Done,
            adopted,
            written_by: "unknown",
            location: None,
            rows: 0,
            steps: Vec::new(),
            overrides: BTreeMap::new(),
            advice: None,
            exit: Exit::Done,
        }
    }

    /// Takes note of a table as it stands.
    pub(crate) fn describe(&mut self, table: &LakeTable) {
        let has = |name: &str| table.schema().column(name).is_some();
        self.written_by = match () {
            () if !table.state().is_empty() => "ol-ingest",
            () if has("_airbyte_raw_id") => "airbyte",
            () if has("_dlt_id") || has("_dlt_load_id") => "dlt",
            () => "unknown",
        };
        self.location = Some(table.location().to_owned());
        self.rows = table.current_snapshot().map_or(0, |snapshot| snapshot.records);
    }

    pub(crate) fn failed(self, error: &Error) -> Self {
        let (outcome, exit) = outcome_of(error);
        // A table that cannot be taken over is refused: nothing of it has changed.
        let outcome =
            if outcome == TableOutcome::Blocked { TableOutcome::Refused } else { outcome };
        Self { outcome, exit, adopted: false, advice: Some(sentence(error)), ..self }
    }
}

/// The JSON document of `ol-ingest adopt`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdoptReport {
    /// How it ended: that of the worst table.
    pub outcome: RunOutcome,
    /// Every table, in the order of the inventory.
    pub tables: Vec<AdoptedTable>,
}

impl AdoptReport {
    pub(crate) fn new(tables: Vec<AdoptedTable>) -> Self {
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

    /// One block a table: what it is, then what changes or why it cannot.
    pub fn to_text(&self) -> String {
        let mut lines = String::new();
        for table in &self.tables {
            let did = match (table.outcome, table.adopted) {
                (TableOutcome::Done, true) => "adopted",
                (TableOutcome::Done, false) => "can be adopted",
                (TableOutcome::Refused | TableOutcome::Blocked, _) => "refused",
                (TableOutcome::Retry, _) => "not adopted",
            };
            lines.push_str(&format!(
                "{} ({}, {} rows): {did}\n",
                table.raw_table,
                table.written_by,
                ol_chassis::text::count(table.rows)
            ));
            for step in &table.steps {
                lines.push_str(&format!("  {step}\n"));
            }
            if let Some(advice) = &table.advice {
                lines.push_str(&format!("  {advice}\n"));
            }
            if !table.overrides.is_empty() {
                let columns = table.overrides.iter().map(|(name, of)| format!("{name}: {of}"));
                let columns: Vec<String> = columns.collect();
                lines.push_str(&format!("  overrides: columns: {{{}}}\n", columns.join(", ")));
            }
        }
        lines
    }
}
