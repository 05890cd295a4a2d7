//! What `verify` says.

use std::collections::BTreeMap;

use ol_chassis::text::Align::{Left, Right};
use ol_chassis::{Exit, text};
use serde::Serialize;

use super::{RunOutcome, TableOutcome, advice_lines, outcome_of, sentence};
use crate::error::Error;

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferingKey {
    /// The values of its key as text, by column.
    pub key: BTreeMap<String, String>,
    /// Where it is: `source`, `lake` or `both`.
    pub on: &'static str,
}

impl DifferingKey {
    fn text(&self) -> String {
        let values: Vec<String> =
            self.key.iter().map(|(column, value)| format!("{column} = {value}")).collect();
        let place = match self.on {
            "both" => "differs",
            "lake" => "is only in the lake",
            _ => "is only at the source",
        };
        format!("{} {place}", values.join(", "))
    }
}

/// Source against lake, for one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableVerification {
    /// The lake table.
    pub raw_table: String,
    /// Rows at the source; absent when it was not reached.
    pub source_rows: Option<u64>,
    /// Rows in the lake; absent when it was not reached.
    pub lake_rows: Option<u64>,
    /// How many columns were compared by digest.
    pub columns_compared: u64,
    /// The columns whose digests differ, by name.
    pub columns_differing: Vec<String>,
    /// The place in the source's log at which both sides were compared; absent when it is not known.
    pub position: Option<String>,
    /// How many ranges of keys were compared.
    pub ranges_compared: u64,
    /// How many of them differ, or are not settled.
    pub ranges_differing: u64,
    /// Some of the rows that differ.
    pub differing_keys: Vec<DifferingKey>,
    /// Rows of which nothing is said, since they changed at every look.
    pub rows_moved_on: u64,
    /// `done` when both agree.
    pub outcome: TableOutcome,
    /// What happened and what to do, when they do not.
    pub advice: Option<String>,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl TableVerification {
    /// Both sides agree.
    pub fn agrees(raw_table: impl Into<String>, rows: u64, columns_compared: u64) -> Self {
        Self {
            raw_table: raw_table.into(),
            source_rows: Some(rows),
            lake_rows: Some(rows),
            columns_compared,
            columns_differing: Vec::new(),
            position: None,
            ranges_compared: 0,
            ranges_differing: 0,
            differing_keys: Vec::new(),
            rows_moved_on: 0,
            outcome: TableOutcome::Done,
            advice: None,
            exit: Exit::Done,
        }
    }

    /// They do not, or one could not be read; fill in what is known.
    pub fn failed(raw_table: impl Into<String>, error: &Error) -> Self {
        let (outcome, exit) = outcome_of(error);
        Self {
            source_rows: None,
            lake_rows: None,
            outcome,
            exit,
            advice: Some(sentence(error)),
            ..Self::agrees(raw_table, 0, 0)
        }
    }
}

/// The JSON document of `ol-ingest verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// `done` when every table agrees.
    pub outcome: RunOutcome,
    /// Every table, in the order of the inventory.
    pub tables: Vec<TableVerification>,
}

impl VerifyReport {
    /// A report of these tables.
    pub fn new(tables: Vec<TableVerification>) -> Self {
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

    /// One line a table, then the rows that differ, then what is to be done.
    pub fn to_text(&self) -> String {
        let columns = [
            ("table", Left),
            ("outcome", Left),
            ("source rows", Right),
            ("lake rows", Right),
            ("columns", Right),
            ("ranges", Right),
            ("differing ranges", Right),
            ("moved on", Right),
            ("position", Left),
            ("differing columns", Left),
        ];
        let number = |rows: Option<u64>| rows.map_or_else(|| "-".to_owned(), text::count);
        let rows: Vec<Vec<String>> = self
            .tables
            .iter()
            .map(|table| {
                vec![
                    table.raw_table.clone(),
                    table.outcome.word().to_owned(),
                    number(table.source_rows),
                    number(table.lake_rows),
                    text::count(table.columns_compared),
                    text::count(table.ranges_compared),
                    text::count(table.ranges_differing),
                    text::count(table.rows_moved_on),
                    table.position.clone().unwrap_or_else(|| "-".to_owned()),
                    table.columns_differing.join(", "),
                ]
            })
            .collect();
        let mut keys = String::new();
        for table in self.tables.iter().filter(|table| !table.differing_keys.is_empty()) {
            keys.push_str(&format!("\n{}\n", table.raw_table));
            for key in &table.differing_keys {
                keys.push_str(&format!("  {}\n", key.text()));
            }
        }
        let advice =
            self.tables.iter().map(|table| (table.raw_table.as_str(), table.advice.as_deref()));
        text::table(&columns, &rows) + &keys + &advice_lines(advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Definite;

    #[test]
    fn a_verification_names_the_columns_that_differ() {
        let error = Error::new(Definite::VerificationFailed).with("table", "public.line");
        let mut differs = TableVerification::failed("raw__a__postgres__line", &error);
        differs.source_rows = Some(1200);
        differs.lake_rows = Some(1199);
        differs.columns_differing = vec!["price".to_owned(), "sku".to_owned()];
        differs.position = Some("00000000016B3748".to_owned());
        (differs.ranges_compared, differs.ranges_differing) = (256, 1);
        let key = BTreeMap::from([("id".to_owned(), "7".to_owned())]);
        differs.differing_keys = vec![DifferingKey { key, on: "both" }];
        let report = VerifyReport::new(vec![
            TableVerification::agrees("raw__a__postgres__b", 7, 3),
            differs,
        ]);
        assert_eq!((report.outcome, report.exit()), (RunOutcome::Blocked, Exit::Definite));
        assert!(report.to_text().starts_with(
            "\
table                   outcome  source rows  lake rows  columns  ranges  differing ranges  moved on  position          differing columns
raw__a__postgres__b     done               7          7        3       0                 0         0  -
raw__a__postgres__line  blocked        1,200      1,199        0     256                 1         0  00000000016B3748  price, sku

raw__a__postgres__line
  id = 7 differs

raw__a__postgres__line
  The lake does not hold what the source holds (table: public.line). "
        ));
    }
}
