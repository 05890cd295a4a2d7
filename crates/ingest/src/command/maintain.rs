//! `ol-ingest maintain`: the files that nothing refers to.
//!
//! A run that was killed leaves data files, manifests or metadata files that no catalog entry reaches. They cost
//! space and nothing else. They are found by listing, and deleted only when the command says how old they must be:
//! files of a run that is still going look just the same, and are young.

use std::time::{Duration, SystemTime};

use ol_chassis::Exit;
use ol_chassis::config::Platform;
use ol_lake::Orphan;
use serde::Serialize;

use crate::cli::Maintain;
use crate::config::Config;
use crate::error::Error;
use crate::run::open_lake;

/// How old an orphan is when it is shown without being deleted.
const SHOWN_DAYS: u64 = 7;

#[derive(Serialize)]
struct MaintainReport {
    namespace: String,
    orphan_days: u64,
    deleted: bool,
    files: u64,
    bytes: u64,
    tables: Vec<TableOrphans>,
}

#[derive(Serialize)]
struct TableOrphans {
    table: String,
    files: u64,
    bytes: u64,
    paths: Vec<String>,
}

/// Shows or deletes orphans of every table of the namespace, and folders that have no table.
pub(super) async fn execute(
    arguments: &Maintain,
    config: &Config,
    now: SystemTime,
    json: bool,
) -> Result<Exit, Error> {
    let lake = open_lake(&Platform::from_environment().await?, config).await?;
    let days = arguments.orphan_days.unwrap_or(SHOWN_DAYS);
    let age = Duration::from_secs(days.saturating_mul(86_400));
    let mut found: Vec<(String, Vec<Orphan>)> = Vec::new();
    for name in lake.list(&arguments.namespace).await? {
        found.push((name.name.clone(), lake.orphans(&name, age, now).await?));
    }
    let lost = lake.orphan_tables(&arguments.namespace, age, now).await?;
    found.push(("(folders without a table)".to_owned(), lost));
    found.retain(|(_, orphans)| !orphans.is_empty());
    let deleted = arguments.orphan_days.is_some();
    let mut tables = Vec::new();
    for (table, orphans) in found {
        if deleted {
            lake.delete_orphans(&orphans).await?;
        }
        tables.push(TableOrphans {
            table,
            files: orphans.len() as u64,
            bytes: orphans.iter().map(|orphan| orphan.bytes).sum(),
            paths: orphans.into_iter().map(|orphan| orphan.path).collect(),
        });
    }
    let report = MaintainReport {
        namespace: arguments.namespace.clone(),
        orphan_days: days,
        deleted,
        files: tables.iter().map(|table| table.files).sum(),
        bytes: tables.iter().map(|table| table.bytes).sum(),
        tables,
    };
    ol_chassis::cli::print(&if json {
        serde_json::to_string(&report).expect("texts and numbers are JSON")
    } else {
        text(&report)
    });
    Ok(Exit::Done)
}

fn text(report: &MaintainReport) -> String {
    let mut lines = String::new();
    for table in &report.tables {
        lines.push_str(&format!("{}: {} files, {} bytes\n", table.table, table.files, table.bytes));
        for path in &table.paths {
            lines.push_str(&format!("  {path}\n"));
        }
    }
    let verb = if report.deleted { "Deleted" } else { "Would delete" };
    lines.push_str(&format!(
        "{verb} {} files of {} bytes that nothing in {} refers to, at least {} days old\n",
        report.files, report.bytes, report.namespace, report.orphan_days
    ));
    if !report.deleted && report.files > 0 {
        lines.push_str(&format!("To delete them: --orphan-days {}\n", report.orphan_days));
    }
    lines
}
