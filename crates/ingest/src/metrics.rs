//! The metrics of a run, served while it lasts with `--metrics-address`. METRICS.md says what each answers.

use ol_chassis::metrics::is_well_named;

use crate::load::Totals;
use crate::report::TableReport;

/// Rows read from a source, by `unit`.
pub const READ_ROWS_TOTAL: &str = "ingest_read_rows_total";
/// Bytes read from a source, by `unit`.
pub const READ_BYTES_TOTAL: &str = "ingest_read_bytes_total";
/// Values that did not fit their column and went to `_ol_odd`, by `unit`.
pub const ODD_VALUES_TOTAL: &str = "ingest_odd_value_events_total";
/// Bytes of data files committed.
pub const COMMITTED_BYTES_TOTAL: &str = "ingest_committed_bytes_total";
/// Tables that ended, by `outcome`: done, refused, retry, blocked.
pub const ENDED_TABLES_TOTAL: &str = "ingest_ended_tables_total";
/// Seconds a table took, from its first byte to its commit.
pub const TABLE_SECONDS: &str = "ingest_table_load_seconds";
/// Rows written and deleted by change capture, by `unit` and `kind`.
pub const CHANGED_ROWS_TOTAL: &str = "ingest_changed_rows_total";
/// Log that the source keeps for the replication slot, by `unit`.
pub const SLOT_RETAINED_BYTES: &str = "ingest_slot_retained_bytes";
/// The most log that the source may keep for the slot, by `unit`; absent where there is no cap.
pub const SLOT_CAP_BYTES: &str = "ingest_slot_cap_bytes";

/// Every name, for the test that compares them with METRICS.md.
pub const ALL: &[&str] = &[
    READ_ROWS_TOTAL,
    READ_BYTES_TOTAL,
    ODD_VALUES_TOTAL,
    COMMITTED_BYTES_TOTAL,
    ENDED_TABLES_TOTAL,
    TABLE_SECONDS,
    CHANGED_ROWS_TOTAL,
    SLOT_RETAINED_BYTES,
    SLOT_CAP_BYTES,
];

const _: () = {
    assert!(is_well_named(READ_ROWS_TOTAL) && is_well_named(READ_BYTES_TOTAL));
    assert!(is_well_named(ODD_VALUES_TOTAL) && is_well_named(COMMITTED_BYTES_TOTAL));
    assert!(is_well_named(ENDED_TABLES_TOTAL) && is_well_named(TABLE_SECONDS));
    assert!(is_well_named(CHANGED_ROWS_TOTAL) && is_well_named(SLOT_RETAINED_BYTES));
    assert!(is_well_named(SLOT_CAP_BYTES));
};

/// A batch was read.
pub(crate) fn read(unit: &str, totals: Totals) {
    metrics::counter!(READ_ROWS_TOTAL, "unit" => unit.to_owned()).increment(totals.rows);
    metrics::counter!(READ_BYTES_TOTAL, "unit" => unit.to_owned()).increment(totals.bytes);
    metrics::counter!(ODD_VALUES_TOTAL, "unit" => unit.to_owned()).increment(totals.odd);
}

/// A batch of changes is durable.
pub(crate) fn changes(unit: &str, rows: u64, deletes: u64) {
    let count = |kind: &'static str, rows| {
        metrics::counter!(CHANGED_ROWS_TOTAL, "unit" => unit.to_owned(), "kind" => kind)
            .increment(rows);
    };
    count("written", rows);
    count("deleted", deletes);
}

/// The slot was looked at.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; 2^53 bytes of log do not exist"
)]
pub(crate) fn slot(unit: &str, retained_bytes: u64, cap_bytes: Option<u64>) {
    metrics::gauge!(SLOT_RETAINED_BYTES, "unit" => unit.to_owned()).set(retained_bytes as f64);
    if let Some(cap_bytes) = cap_bytes {
        metrics::gauge!(SLOT_CAP_BYTES, "unit" => unit.to_owned()).set(cap_bytes as f64);
    }
}

/// A table ended for good.
pub(crate) fn ended(report: &TableReport) {
    metrics::counter!(ENDED_TABLES_TOTAL, "outcome" => report.outcome.word()).increment(1);
    metrics::counter!(COMMITTED_BYTES_TOTAL).increment(report.bytes);
    metrics::histogram!(TABLE_SECONDS).record(report.seconds);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::ALL;

    #[test]
    fn alerts_ask_for_metrics_that_exist_and_name_runbooks() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let alerts = std::fs::read_to_string(root.join("deploy/alerts/ingest.yml")).unwrap();
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words = alerts.split(|letter| !is_name(letter));
        let named: Vec<&str> = words.filter(|word| word.starts_with("ingest_")).collect();
        assert!(!named.is_empty());
        for name in named {
            assert!(ALL.contains(&name), "{name} is no metric of ours");
        }
        let runbooks = alerts.lines().filter_map(|line| line.trim().strip_prefix("runbook: "));
        let runbooks: Vec<&str> = runbooks.collect();
        assert_eq!(runbooks.len(), alerts.matches("- alert:").count());
        for runbook in runbooks {
            let text = std::fs::read_to_string(root.join(runbook)).unwrap();
            assert!(text.contains("## What to do"), "{runbook}");
        }
    }

    #[test]
    fn every_metric_is_explained_and_none_is_stale() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/METRICS.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut explained: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        explained.sort_unstable();
        let mut known = ALL.to_vec();
        known.sort_unstable();
        assert_eq!(explained, known);
    }
}
