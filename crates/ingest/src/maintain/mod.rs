//! `ol-ingest maintain`: what keeps the tables of a namespace small, readable and cheap.
//!
//! Each table by itself, several at the same time: a stale pointer is repaired, small files and small manifests are
//! gathered, old snapshots expire. Then files that nothing refers to are swept, after all tables have been looked at: a
//! file in the folder of one table may be referred to by another (see [`ol_lake::Sweep`]).
//!
//! Every step is a commit of its own, made against whatever is there at that moment, so that ingestion goes on beside
//! it; and every step is repeatable, so that a run that was killed is gone on with by running it again. One that was
//! asked to stop says after which table the next one may begin.
//!
//! Nothing is changed unless it is asked for by name: without a flag the report says what there would be to do.

mod report;
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use globset::GlobSet;
use ol_chassis::cli::Context;
use ol_chassis::config::Platform;
use ol_chassis::progress::Unit;
use ol_lake::{Error as LakeError, ExpireOptions, Lake, Orphan, Sweep, TableName};
use tokio::sync::Mutex;

use crate::cli::{ExpireDays, Maintain};
use crate::config::Config;
use crate::error::{Definite, Error};
use crate::run::open_lake;

pub use report::{MaintainReport, MaintainedTable, PointerState};

const DAY: Duration = Duration::from_secs(86_400);
/// How old an orphan is when it is shown without being deleted.
const SHOWN_DAYS: u32 = 7;
/// How long a load of another loader may take to publish its snapshot.
const POINTER_LAG: Duration = Duration::from_secs(2 * 3600);
/// Orphans that belong to no table.
const NO_TABLE: &str = "(folders without a table)";

/// What is to be done.
struct Wishes {
    /// Which snapshots go; `None` shows them.
    expire: Option<ExpireOptions>,
    /// Whether orphans are deleted.
    deletes_orphans: bool,
    compacts: bool,
    repairs: bool,
}

/// One run.
struct Run<'a> {
    lake: Arc<Lake>,
    config: &'a Config,
    wishes: Wishes,
    pace: Pace,
    context: &'a Context,
}

/// A table and what was done with it.
struct Done {
    table: MaintainedTable,
    orphans: Vec<Orphan>,
    claims: BTreeSet<String>,
}

/// Maintains every table of the namespace that is selected.
///
/// # Errors
/// The lake cannot be opened, or the tables cannot be listed.
pub async fn execute(
    arguments: &Maintain,
    tables: &GlobSet,
    config: &Config,
    context: &Context,
) -> Result<MaintainReport, Error> {
    let started = Instant::now();
    let lake = open_lake(&Platform::from_environment().await?, config).await?;
    if !lake.has_namespace(&arguments.namespace).await? {
        return Err(Error::new(Definite::LakeTableMissing)
            .with("namespace", &arguments.namespace)
            .with("reason", "the catalog has no such namespace"));
    }
    let days = arguments.orphan_days.unwrap_or(SHOWN_DAYS);
    // Listing folders and reading manifests is most of the work: only for those who want to know of orphans.
    let has_wish =
        arguments.expire_days.is_some() || arguments.compact || arguments.repair_pointers;
    let looks = arguments.orphan_days.is_some() || !has_wish;
    let sweep = match looks {
        true => Some(lake.sweep(&arguments.namespace, DAY * days, context.clock.now()).await?),
        false => None,
    };
    let is_selected = |name: &TableName| {
        (arguments.tables.is_empty() || tables.is_match(&name.name))
            && arguments.after.as_ref().is_none_or(|after| name.name > *after)
    };
    let mut names: Vec<TableName> = match &sweep {
        Some(sweep) => sweep.tables().cloned().collect(),
        None => lake.list(&arguments.namespace).await?,
    };
    names.retain(is_selected);
    let run = Run {
        lake,
        config,
        wishes: Wishes {
            expire: arguments.expire_days.map(|days| ExpireOptions {
                older_than: match days {
                    ExpireDays::OfTable => None,
                    ExpireDays::Days(days) => Some(DAY * days),
                },
                keep: arguments.keep_snapshots,
            }),
            deletes_orphans: arguments.orphan_days.is_some(),
            compacts: arguments.compact,
            repairs: arguments.repair_pointers,
        },
        pace: Pace::new(config.maintain.tables_per_second),
        context,
    };
    let is_whole = arguments.tables.is_empty() && arguments.after.is_none();
    let (done, stopped_after) = run.tables(sweep.as_ref(), names).await;
    let mut report = MaintainReport::new(
        &arguments.namespace,
        looks.then_some(days.into()),
        run.wishes.deletes_orphans,
    );
    match &sweep {
        Some(sweep) => {
            run.sweep(sweep, done, is_whole && stopped_after.is_none(), &mut report).await;
        }
        None => done.into_iter().for_each(|done| report.add(done.table)),
    }
    report.resume_after = stopped_after;
    report.close(started.elapsed());
    Ok(report)
}

impl Run<'_> {
    /// The tables, several at the same time; and the last one before which all were done, if it was asked to stop.
    async fn tables(
        &self,
        sweep: Option<&Sweep>,
        names: Vec<TableName>,
    ) -> (Vec<Done>, Option<String>) {
        let bar = self.context.progress.bar("maintain", Some(names.len() as u64), Unit::Tables);
        let begun = futures::stream::iter(names).map(|name| {
            let bar = &bar;
            async move {
                if self.context.shutdown.is_requested() {
                    return None;
                }
                self.pace.wait(self.context).await;
                let done = self.table(sweep, &name).await;
                bar.add(1);
                Some(done)
            }
        });
        let ended: Vec<Option<Done>> = begun.buffered(self.config.maintain.tables).collect().await;
        let is_stopped = ended.iter().any(Option::is_none);
        let first = ended.iter().take_while(|done| done.is_some()).flatten().last();
        let after = first.map_or_else(String::new, |done| done.table.table.clone());
        (ended.into_iter().flatten().collect(), is_stopped.then_some(after))
    }

    /// Deletes, or shows, what nobody claims. A table that could not be read may claim anything, so that nothing is
    /// deleted then.
    async fn sweep(
        &self,
        sweep: &Sweep,
        done: Vec<Done>,
        is_whole: bool,
        report: &mut MaintainReport,
    ) {
        let mut found: Vec<(MaintainedTable, Vec<Orphan>)> = Vec::new();
        let mut claims = BTreeSet::new();
        for done in done {
            claims.extend(done.claims);
            found.push((done.table, done.orphans));
        }
        let unread = found.iter().find(|(table, _orphans)| !table.was_looked_at);
        let mut hindrance = unread.map(|(table, _orphans)| {
            Error::new(Definite::SweepUnsafe)
                .with("table", &table.table)
                .with("reason", "what it refers to is not known")
        });
        if is_whole {
            match sweep.without_table().await {
                Ok(orphans) if orphans.is_empty() => {}
                Ok(orphans) => found.push((MaintainedTable::new(NO_TABLE), orphans)),
                Err(error) => {
                    let table = MaintainedTable::new(NO_TABLE).failed(&error.into());
                    found.push((table, Vec::new()));
                }
            }
        }
        // Tables of the namespace that were not selected claim as those of other namespaces do.
        let mut looked: BTreeSet<&str> =
            found.iter().map(|(table, _orphans)| table.table.as_str()).collect();
        looked.remove(NO_TABLE);
        if hindrance.is_none() && found.iter().any(|(_table, orphans)| !orphans.is_empty()) {
            match sweep.claims_of_others(&looked).await {
                Ok(theirs) => claims.extend(theirs),
                Err(error) => {
                    let hindered = Error::new(Definite::SweepUnsafe)
                        .with("table", "the table or namespace of the reason")
                        .with("reason", &error);
                    hindrance = Some(hindered.because(error));
                }
            }
        }
        for (mut table, mut orphans) in found {
            orphans.retain(|orphan| !claims.contains(&orphan.path));
            table.orphans(&orphans);
            if self.wishes.deletes_orphans && !orphans.is_empty() {
                table = match &hindrance {
                    Some(error) => table.failed(error),
                    None => match self.lake.delete_orphans(&orphans).await {
                        Ok(_bytes) => table.swept(),
                        Err(error) => table.failed(&error.into()),
                    },
                };
            }
            report.add(table);
        }
    }
}

/// Begins no more than so many tables a second: a catalog service counts requests.
struct Pace {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(tables_per_second: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / tables_per_second), next: Mutex::new(None) }
    }

    async fn wait(&self, context: &Context) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let at = next.unwrap_or(now).max(now);
        *next = Some(at + self.interval);
        drop(next);
        context.clock.sleep(at.saturating_duration_since(now)).await;
    }
}

/// Whether the failure is that of a table that went away while it was looked at.
fn is_gone(error: &LakeError) -> bool {
    *error.kind() == ol_lake::ErrorKind::NotFound
}
