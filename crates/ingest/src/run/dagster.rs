//! What Dagster hears of a run: a materialization a table, a check a guard, a line of log a failure.
//!
//! A table's asset is the one whose key ends in the raw table's name. A run that Dagster started for other assets
//! than the tables it loads says so in its log only: Dagster refuses results for assets it did not ask for.

use std::collections::BTreeMap;

use ol_chassis::flow::FlowRunner;
use ol_pipes::{
    AssetKey, Check, Level, Materialization, Metadata, Pipes, Severity, TableColumn, TableSchema,
};

use super::unit::TableDone;
use crate::error::{Definite, Error, Failure};
use crate::maintain::MaintainReport;
use crate::report::TableReport;

/// A runner whose flows tell Dagster, too: an OpenLineage event a run, as a custom message.
pub(super) fn flow_runner(pipes: &Pipes) -> FlowRunner {
    let reporter = Reporter::new(pipes.clone());
    FlowRunner::told_to(move |event| reporter.sent(reporter.pipes.report_custom(event)))
}

/// The check that a replace did not shrink the table.
const REPLACE_GUARD: &str = "replace_guard";

/// How much of a schema is sent, in bytes: Dagster's reader of message files may lose a line that is longer than a
/// page, so a very wide table is shown by its first columns and their number.
const SCHEMA_BYTES: usize = 2_500;
/// What a column's entry takes beside its name and type, in bytes.
const COLUMN_BYTES: usize = 30;

/// Tells Dagster; without Dagster, nobody.
#[derive(Clone)]
pub struct Reporter {
    pipes: Pipes,
    flow: Option<&'static str>,
}

impl Reporter {
    /// A reporter to this session.
    #[must_use]
    pub fn new(pipes: Pipes) -> Self {
        Self { pipes, flow: None }
    }

    /// The same, which says of every table that this flow has loaded it.
    #[must_use]
    pub fn of_flow(self, flow: &'static str) -> Self {
        Self { flow: Some(flow), ..self }
    }

    /// A table is in the lake.
    pub fn done(&self, report: &TableReport, done: &TableDone) {
        let line = format!(
            "{}: {} rows, {} bytes in {} files{}",
            report.raw_table,
            done.totals.rows,
            report.bytes,
            report.files,
            if done.loaded.unchanged { ", unchanged" } else { "" }
        );
        self.say(Level::Info, &line);
        let Some(asset_key) = self.asset_key(&report.raw_table) else { return };
        let mut left = SCHEMA_BYTES;
        let columns = done
            .columns
            .iter()
            .take_while(|(name, data_type)| {
                left = left.saturating_sub(name.len() + data_type.len() + COLUMN_BYTES);
                left > 0
            })
            .map(|(name, data_type)| TableColumn {
                name: name.clone(),
                data_type: data_type.clone(),
                ..TableColumn::default()
            })
            .collect();
        let mut metadata = self.metadata_of_flow();
        metadata.extend([
            ("rows".to_owned(), Metadata::from(done.totals.rows)),
            ("odd_values".to_owned(), Metadata::from(done.totals.odd)),
            ("bytes".to_owned(), Metadata::from(report.bytes)),
            ("files".to_owned(), Metadata::from(report.files)),
            // As text: a snapshot id has more digits than a number of JavaScript holds.
            ("snapshot_id".to_owned(), Metadata::Text(done.loaded.snapshot_id.to_string())),
            ("position".to_owned(), Metadata::Text(done.loaded.position.clone())),
            ("seconds".to_owned(), Metadata::from(report.seconds)),
            ("columns".to_owned(), Metadata::from(done.columns.len() as u64)),
            ("unchanged".to_owned(), Metadata::from(done.loaded.unchanged)),
            ("schema".to_owned(), Metadata::TableSchema(TableSchema { columns })),
        ]);
        let data_version = Some(format!("{:032x}", done.totals.digest));
        let materialization =
            Materialization { asset_key: asset_key.clone(), metadata, data_version };
        self.sent(self.pipes.report_materialization(&materialization));
        if let Some(keep_ratio) = done.keep_ratio {
            let metadata = BTreeMap::from([
                ("rows_after".to_owned(), Metadata::from(done.totals.rows)),
                ("keep_ratio".to_owned(), Metadata::from(keep_ratio)),
            ]);
            self.check(asset_key, true, metadata);
        }
    }

    /// A followed table is at a new place in its source's log.
    pub fn followed(&self, report: &TableReport) {
        let line = format!(
            "{}: {} rows written, {} deleted, at {}",
            report.raw_table,
            report.rows,
            report.deletes,
            report.position.as_deref().unwrap_or("the place it was")
        );
        self.say(Level::Info, &line);
        let Some(asset_key) = self.asset_key(&report.raw_table) else { return };
        let mut metadata = self.metadata_of_flow();
        metadata.extend([
            ("rows".to_owned(), Metadata::from(report.rows)),
            ("deletes".to_owned(), Metadata::from(report.deletes)),
            ("bytes".to_owned(), Metadata::from(report.bytes)),
            ("files".to_owned(), Metadata::from(report.files)),
            ("seconds".to_owned(), Metadata::from(report.seconds)),
        ]);
        if let Some(snapshot_id) = report.snapshot_id {
            metadata.insert("snapshot_id".to_owned(), Metadata::Text(snapshot_id.to_string()));
        }
        if let Some(position) = &report.position {
            metadata.insert("position".to_owned(), Metadata::Text(position.clone()));
        }
        let data_version = report.position.clone();
        let materialization = Materialization { asset_key, metadata, data_version };
        self.sent(self.pipes.report_materialization(&materialization));
    }

    /// A table failed for good.
    pub fn failed(&self, report: &TableReport) {
        let advice = report.advice.as_deref().unwrap_or_default();
        self.say(
            Level::Error,
            &format!("{} ({}): {advice}", report.raw_table, report.outcome.word()),
        );
    }

    /// Tables are maintained: one materialization of the asset that asked for it, with the names that the platform's
    /// maintenance assets give the totals.
    pub fn maintained(&self, report: &MaintainReport) {
        let line = format!(
            "{}: {} of {} tables maintained, {} snapshots expired, {} orphans removed",
            report.namespace,
            report.tables_cleaned,
            report.tables_scanned,
            report.snapshots_expired,
            report.orphans_removed
        );
        self.say(Level::Info, &line);
        for failure in &report.failure_details {
            self.say(Level::Error, failure);
        }
        let [asset_key] = self.pipes.context().asset_keys.as_slice() else { return };
        let details = report.failure_details.iter().cloned().map(serde_json::Value::from);
        let metadata = BTreeMap::from([
            ("tables_scanned".to_owned(), Metadata::from(report.tables_scanned)),
            ("tables_cleaned".to_owned(), Metadata::from(report.tables_cleaned)),
            ("tables_optimized".to_owned(), Metadata::from(report.tables_optimized)),
            ("pointers_repaired".to_owned(), Metadata::from(report.pointers_repaired)),
            ("snapshots_expired".to_owned(), Metadata::from(report.snapshots_expired)),
            ("orphans_removed".to_owned(), Metadata::from(report.orphans_removed)),
            ("failure_count".to_owned(), Metadata::from(report.failure_count)),
            ("failure_details".to_owned(), Metadata::Json(details.collect())),
            ("seconds".to_owned(), Metadata::from(report.seconds)),
        ]);
        let asset_key = asset_key.clone();
        let materialization = Materialization { asset_key, metadata, data_version: None };
        self.sent(self.pipes.report_materialization(&materialization));
    }

    /// If it was the guard that refused, its check has failed.
    pub fn guarded(&self, report: &TableReport, error: &Error) {
        if error.failure() != Failure::Definite(Definite::ReplaceGuarded) {
            return;
        }
        let Some(asset_key) = self.asset_key(&report.raw_table) else { return };
        let facts = error.context().filter(|(key, _)| key.starts_with("rows_"));
        let metadata = facts
            .map(|(key, value)| {
                let value =
                    value.parse::<u64>().map_or(Metadata::Text(value.to_owned()), Metadata::from);
                (key.to_owned(), value)
            })
            .collect();
        self.check(asset_key, false, metadata);
    }

    /// Under the name that a span of the flow gives it, too.
    fn metadata_of_flow(&self) -> BTreeMap<String, Metadata> {
        let flow = self.flow.map(|flow| ("c4.flow".to_owned(), Metadata::from(flow)));
        flow.into_iter().collect()
    }

    fn check(&self, asset_key: AssetKey, passed: bool, metadata: BTreeMap<String, Metadata>) {
        let check = Check {
            asset_key,
            name: REPLACE_GUARD.to_owned(),
            passed,
            severity: Severity::Error,
            metadata,
        };
        self.sent(self.pipes.report_check(&check));
    }

    fn asset_key(&self, raw_table: &str) -> Option<AssetKey> {
        let keys = &self.pipes.context().asset_keys;
        keys.iter().find(|key| key.parts().last().is_some_and(|part| part == raw_table)).cloned()
    }

    fn say(&self, level: Level, line: &str) {
        self.sent(self.pipes.log(level, line));
    }

    fn sent(&self, result: ol_pipes::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(error = %ol_chassis::error::chain(&error), "Dagster was not told");
        }
    }
}
