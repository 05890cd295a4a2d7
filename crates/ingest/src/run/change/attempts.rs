//! What becomes of a unit that is followed: tries, and what is to be said of each table.

use std::time::{Duration, Instant};

use super::{TableEnd, TableEnds, Tally};
use crate::error::{Error, Result, Transient};
use crate::load::{Loaded, Totals};
use crate::metrics;
use crate::policy::policy;
use crate::report::{TableOutcome, TableReport};
use crate::run::{Reporter, UnitJob, Until};

/// After so long, a stream has earned its tries anew.
const EARNED: Duration = Duration::from_secs(60);

/// Tries until one ends well, or fails for good; the failure, if it does.
pub async fn attempts(
    job: &UnitJob,
    until: Until,
    mut attempt: impl AsyncFnMut() -> Result<()>,
) -> Option<Error> {
    let config = &job.context.config.ingest;
    let mut number = 1;
    loop {
        let began = Instant::now();
        let Err(error) = attempt().await else { return None };
        let cause = ol_chassis::error::chain(&error);
        let stop = job.context.shutdown.is_requested();
        if until == Until::Stopped && began.elapsed() > EARNED {
            number = 1;
        }
        let is_worth_it = policy(error.failure()).retry && number < config.attempts;
        let retry = is_worth_it && !stop;
        tracing::warn!(unit = %job.unit.id, attempt = number, retry, error = %cause, "the stream failed");
        if !retry {
            // But for the request to stop it would have gone on.
            return Some(if is_worth_it {
                Error::new(Transient::Stopped).because(error)
            } else {
                error
            });
        }
        let factor = 2f64.powi(i32::try_from(number).unwrap_or(8).min(8) - 1);
        number += 1;
        tokio::select! {
            () = job.context.clock.sleep(Duration::from_secs_f64(config.retry_seconds * factor)) => {}
            () = job.context.shutdown.requested() => {}
        }
    }
}

/// A table fails; the others go on.
pub fn failed(job: &UnitJob, ends: &mut TableEnds, index: usize, error: Error) {
    let table = job.unit.tables.get(index).map(|table| table.raw_table.clone());
    let cause = ol_chassis::error::chain(&error);
    tracing::warn!(table = table.unwrap_or_default(), error = %cause, "a table failed");
    ends.entry(index).or_default().failure = Some(error);
}

/// What became of a copy, by the index of its table in the unit.
pub fn copied(job: &UnitJob, ends: &mut TableEnds, index: usize, result: Result<(Totals, Loaded)>) {
    let (totals, loaded) = match result {
        Ok(done) => done,
        Err(error) => return failed(job, ends, index, error),
    };
    let end = ends.entry(index).or_default();
    end.tally = end.tally
        + Tally {
            rows: totals.rows,
            deletes: 0,
            files: loaded.files,
            bytes: loaded.bytes,
            odd: totals.odd,
        };
    end.snapshot_id = Some(loaded.snapshot_id);
    end.position = loaded.position.parse().ok();
    end.failure = None;
    tracing::info!(table = index, rows = totals.rows, "a table was copied");
}

/// A table that failed for a transient reason is a reason to try again.
///
/// # Errors
/// That reason, which is taken.
pub fn first_transient(ends: &mut TableEnds) -> Result<()> {
    for end in ends.values_mut() {
        if let Some(error) = end.failure.take_if(|error| error.is_transient()) {
            return Err(error);
        }
    }
    Ok(())
}

/// Adds what became of the tables in a session.
pub fn add(ends: &mut TableEnds, of_session: TableEnds) {
    for (index, end) in of_session {
        let known = ends.entry(index).or_default();
        known.tally = known.tally + end.tally;
        known.snapshot_id = end.snapshot_id.or(known.snapshot_id);
        known.position = end.position.or(known.position);
        known.failure = end.failure.or(known.failure.take());
    }
}

/// What is to be said of each table: `failure` of those that have none of their own.
#[must_use]
pub fn reports(
    job: &UnitJob,
    tables: &[usize],
    ends: &TableEnds,
    failure: Option<&Error>,
    seconds: f64,
) -> Vec<TableReport> {
    let reporter = Reporter::new(job.context.pipes.clone()).of_flow(job.flow);
    let mut reports = Vec::new();
    for index in tables {
        let Some(table) = job.unit.tables.get(*index) else { continue };
        let end = ends.get(index);
        // A run that was asked to stop does not try a table again that failed for the time being.
        let is_stopped = failure.is_some_and(|it| it.failure() == Transient::Stopped.into());
        let own = end.and_then(|end| end.failure.as_ref());
        let own = own.filter(|own| !(is_stopped && own.is_transient()));
        let of_all = failure.map(|error| error.again().with("unit", &job.unit.id));
        let mut report = match own.or(of_all.as_ref()) {
            Some(error) => TableReport::failed(&table.raw_table, table.sync_mode, error),
            None => TableReport::done(&table.raw_table, table.sync_mode),
        };
        if let Some(TableEnd { tally, snapshot_id, position, .. }) = end {
            report.rows = tally.rows;
            report.deletes = tally.deletes;
            report.bytes = tally.bytes;
            report.files = tally.files;
            report.snapshot_id = *snapshot_id;
            report.position = position.map(|position| position.to_string());
        }
        report.seconds = seconds;
        if report.outcome == TableOutcome::Done {
            reporter.followed(&report);
        } else {
            reporter.failed(&report);
        }
        metrics::ended(&report);
        reports.push(report);
    }
    reports
}
