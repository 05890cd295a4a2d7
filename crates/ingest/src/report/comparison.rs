//! What `compare` says.

use std::collections::BTreeMap;

use ol_chassis::text::Align::{Left, Right};
use ol_chassis::{Exit, text};
use serde::Serialize;

use super::{RunOutcome, TableOutcome, TableReport, advice_lines, outcome_of, sentence};
use crate::compare::{Aside, Comparison, Found, On, Row};
use crate::error::{Definite, Error};

/// Two columns that were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedColumn {
    /// The name in our table.
    pub name: String,
    /// Its type in our table.
    pub our_type: String,
    /// Its type in theirs.
    pub their_type: String,
    /// The form that the values were brought to.
    pub compared_as: &'static str,
    /// In how many of the differing rows that were looked at its values differ.
    pub rows_differing: u64,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferingRow {
    /// Where it is: `ours`, `theirs` or `both`.
    pub on: &'static str,
    /// The values of its key as text, by column; of all columns in a table without a key.
    pub key: BTreeMap<String, Option<String>>,
    /// The columns that differ.
    pub columns: Vec<String>,
    /// The values in ours and in theirs, by column; only if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<BTreeMap<String, [Option<String>; 2]>>,
}

impl DifferingRow {
    fn of(row: Row) -> Self {
        let on = match row.on {
            On::Ours => "ours",
            On::Theirs => "theirs",
            On::Both => "both",
        };
        let columns = row.columns.keys().cloned().collect();
        let values = row.columns.into_iter().map(|(name, (ours, theirs))| (name, [ours, theirs]));
        Self { on, key: row.key, columns, values: Some(values.collect()) }
    }

    fn text(&self) -> String {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
        let key = self.key.iter().map(|(column, value)| format!("{column} = {}", show(value)));
        let key = key.collect::<Vec<_>>().join(", ");
        if self.on != "both" {
            return format!("{key} is only in {}", self.on);
        }
        let columns = self.columns.iter().map(|name| {
            match self.values.as_ref().and_then(|values| values.get(name)) {
                Some([ours, theirs]) => format!("{name}: {} | {}", show(ours), show(theirs)),
                None => name.clone(),
            }
        });
        format!("{key} differs in {}", columns.collect::<Vec<_>>().join(", "))
    }
}

/// Ours against theirs, for one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableComparison {
    /// The table, in both namespaces.
    pub raw_table: String,
    /// `done` when every row and every column is equal.
    pub outcome: TableOutcome,
    /// The columns of the key; empty when rows were counted as wholes.
    pub key: Vec<String>,
    /// Rows of ours, the latest of each key.
    pub our_rows: Option<u64>,
    /// Rows of theirs, the latest of each key.
    pub their_rows: Option<u64>,
    /// Rows that are equal.
    pub rows_equal: u64,
    /// Rows that only ours has.
    pub rows_only_ours: u64,
    /// Rows that only theirs has.
    pub rows_only_theirs: u64,
    /// Rows with one key and other values.
    pub rows_differing: u64,
    /// Of these, how many are newer in ours, by the table's cursor.
    pub rows_newer_in_ours: u64,
    /// Of these, how many are newer in theirs, by the table's cursor.
    pub rows_newer_in_theirs: u64,
    /// Keys of theirs that have several latest rows with other values.
    pub rows_undecided_in_theirs: u64,
    /// How many rows that differ were looked at, column by column.
    pub rows_looked_at: u64,
    /// The columns that were compared.
    pub columns: Vec<ComparedColumn>,
    /// Columns that only ours has.
    pub columns_only_ours: Vec<String>,
    /// Columns that only theirs has.
    pub columns_only_theirs: Vec<String>,
    /// Columns that were left out on purpose.
    pub columns_aside: Vec<Aside>,
    /// Some of the rows that differ.
    pub rows: Vec<DifferingRow>,
    /// Wall time of the comparison.
    pub seconds: f64,
    /// What happened and what to do, when they do not hold the same.
    pub advice: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl TableComparison {
    /// What was found of two tables.
    #[must_use]
    pub fn of(raw_table: &str, comparison: &Comparison<'_>, found: Found) -> Self {
        let pairing = comparison.pairing;
        let is_equal = found.is_equal() && pairing.is_complete();
        let differs = || {
            Error::new(Definite::ComparisonDiffers)
                .with("table", raw_table)
                .with("rows", found.only_ours + found.only_theirs + found.differing)
                .with("columns", pairing.only_ours.len() + pairing.only_theirs.len())
        };
        let base =
            if is_equal { Self::equal(raw_table) } else { Self::failed(raw_table, &differs()) };
        let type_of = |table: &ol_lake::LakeTable, name: &str| {
            table.schema().column(name).map_or_else(String::new, |it| it.lake_type.to_string())
        };
        let columns = pairing.pairs.iter().zip(&found.columns).map(|(pair, rows)| ComparedColumn {
            name: pair.ours.clone(),
            our_type: type_of(comparison.ours, &pair.ours),
            their_type: type_of(comparison.theirs, &pair.theirs),
            compared_as: pair.form.words(),
            rows_differing: *rows,
        });
        let key = pairing.key.iter().filter_map(|place| pairing.pairs.get(*place));
        Self {
            key: key.map(|pair| pair.ours.clone()).collect(),
            our_rows: Some(found.ours),
            their_rows: Some(found.theirs),
            rows_equal: found.equal,
            rows_only_ours: found.only_ours,
            rows_only_theirs: found.only_theirs,
            rows_differing: found.differing,
            rows_newer_in_ours: found.newer_ours,
            rows_newer_in_theirs: found.newer_theirs,
            rows_undecided_in_theirs: found.undecided,
            rows_looked_at: found.looked_at,
            columns: columns.collect(),
            columns_only_ours: pairing.only_ours.clone(),
            columns_only_theirs: pairing.only_theirs.clone(),
            columns_aside: pairing.aside.clone(),
            rows: found.rows.into_iter().map(DifferingRow::of).collect(),
            ..base
        }
    }

    fn equal(raw_table: &str) -> Self {
        Self {
            raw_table: raw_table.to_owned(),
            outcome: TableOutcome::Done,
            key: Vec::new(),
            our_rows: None,
            their_rows: None,
            rows_equal: 0,
            rows_only_ours: 0,
            rows_only_theirs: 0,
            rows_differing: 0,
            rows_newer_in_ours: 0,
            rows_newer_in_theirs: 0,
            rows_undecided_in_theirs: 0,
            rows_looked_at: 0,
            columns: Vec::new(),
            columns_only_ours: Vec::new(),
            columns_only_theirs: Vec::new(),
            columns_aside: Vec::new(),
            rows: Vec::new(),
            seconds: 0.0,
            advice: None,
            exit: Exit::Done,
        }
    }

    /// One of the two could not be read.
    pub(crate) fn failed(raw_table: &str, error: &Error) -> Self {
        let (outcome, exit) = outcome_of(error);
        Self { outcome, exit, advice: Some(sentence(error)), ..Self::equal(raw_table) }
    }

    /// The source was not loaded.
    pub(crate) fn not_loaded(report: &TableReport) -> Self {
        let advice = report.advice.clone();
        let (outcome, exit) = (report.outcome, report.exit());
        Self { outcome, exit, advice, ..Self::equal(&report.raw_table) }
    }

    /// Leaves the values of the rows that differ out; keys stay.
    pub(crate) fn hide_values(&mut self) {
        for row in &mut self.rows {
            row.values = None;
        }
    }

    fn details(&self) -> String {
        let mut lines = String::new();
        for column in self.columns.iter().filter(|column| column.rows_differing > 0) {
            lines.push_str(&format!(
                "  {} ({} | {}) differs in {} of {} rows looked at, compared as {}\n",
                column.name,
                column.our_type,
                column.their_type,
                text::count(column.rows_differing),
                text::count(self.rows_looked_at),
                column.compared_as,
            ));
        }
        for (names, whose) in
            [(&self.columns_only_ours, "ours"), (&self.columns_only_theirs, "theirs")]
        {
            if !names.is_empty() {
                lines.push_str(&format!("  only {whose} has {}\n", names.join(", ")));
            }
        }
        for column in &self.columns_aside {
            lines.push_str(&format!("  {} is not compared: {}\n", column.name, column.reason));
        }
        if self.rows_newer_in_ours + self.rows_newer_in_theirs > 0 {
            lines.push_str(&format!(
                "  {} of the differing rows are newer in ours, {} in theirs\n",
                text::count(self.rows_newer_in_ours),
                text::count(self.rows_newer_in_theirs),
            ));
        }
        if self.rows_undecided_in_theirs > 0 {
            lines.push_str(&format!(
                "  {} keys have several latest rows in theirs\n",
                text::count(self.rows_undecided_in_theirs)
            ));
        }
        for row in &self.rows {
            lines.push_str(&format!("  {}\n", row.text()));
        }
        lines
    }
}

/// The JSON document of `ol-ingest compare`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompareReport {
    /// `done` when every table is equal.
    pub outcome: RunOutcome,
    /// The namespace of our tables.
    pub ours: String,
    /// The namespace of theirs.
    pub theirs: String,
    /// Every table, in the order of the inventory.
    pub tables: Vec<TableComparison>,
}

impl CompareReport {
    /// A report of these tables.
    #[must_use]
    pub fn new(ours: &str, theirs: &str, tables: Vec<TableComparison>) -> Self {
        let outcome = RunOutcome::of(Exit::worst(tables.iter().map(|table| table.exit)));
        Self { outcome, ours: ours.to_owned(), theirs: theirs.to_owned(), tables }
    }

    /// The exit code: that of the worst table.
    pub fn exit(&self) -> Exit {
        Exit::worst(self.tables.iter().map(|table| table.exit))
    }

    /// The JSON document, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// One line a table, then what differs in each, then what is to be done.
    pub fn to_text(&self) -> String {
        let columns = [
            ("table", Left),
            ("outcome", Left),
            ("ours", Right),
            ("theirs", Right),
            ("equal", Right),
            ("differ", Right),
            ("only ours", Right),
            ("only theirs", Right),
            ("columns", Right),
            ("time", Right),
        ];
        let number = |rows: Option<u64>| rows.map_or_else(|| "-".to_owned(), text::count);
        let row = |table: &TableComparison| {
            vec![
                table.raw_table.clone(),
                table.outcome.word().to_owned(),
                number(table.our_rows),
                number(table.their_rows),
                text::count(table.rows_equal),
                text::count(table.rows_differing),
                text::count(table.rows_only_ours),
                text::count(table.rows_only_theirs),
                text::count(table.columns.len() as u64),
                text::duration(table.seconds),
            ]
        };
        let rows: Vec<Vec<String>> = self.tables.iter().map(row).collect();
        let mut lines = text::table(&columns, &rows);
        let equal = self.tables.iter().filter(|table| table.outcome == TableOutcome::Done).count();
        lines.push_str(&format!(
            "\n{}: {equal} of {} tables are equal in {} (ours) and {} (theirs)\n",
            self.outcome.word(),
            self.tables.len(),
            self.ours,
            self.theirs,
        ));
        for table in &self.tables {
            let details = table.details();
            if !details.is_empty() {
                lines.push_str(&format!("\n{}\n{details}", table.raw_table));
            }
        }
        let advice =
            self.tables.iter().map(|table| (table.raw_table.as_str(), table.advice.as_deref()));
        lines + &advice_lines(advice)
    }
}
