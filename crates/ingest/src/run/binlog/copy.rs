//! Copies under one snapshot, whose place in the log is known (`moment.rs`).

use std::sync::Arc;

use super::Binlog;
use super::moment::{self, Moment};
use super::partial::{Partial, Terms};
use super::prepare::{Copy, blocking};
use crate::error::{Definite, Doing, Error, Result};
use crate::run::change::Shape;
use crate::run::change::copy::{Copier, Copying, GUARD};
use crate::run::mysql_databases;
use crate::source::mysql::chunks as source_chunks;
use crate::source::mysql::error::SourceError;
use crate::source::mysql::full_load::{Loading, TableLoad, load_tables};
use crate::source::mysql::session::Session;
use crate::source::mysql::settings::Settings;

/// Takes a snapshot, and begins to copy tables under it, in an epoch of the server's log.
///
/// # Errors
/// There is no snapshot.
pub async fn begin(
    copier: &Copier<'_, Binlog>,
    (settings, control): (&Settings, Session),
    epoch: u16,
    copies: Vec<Copy>,
    failures: &mut Vec<(usize, Error)>,
) -> Result<(Session, Copying)> {
    let job = copier.job;
    let (settings, shutdown) = (settings.clone(), job.context.shutdown.clone());
    let (streams, now) = (job.context.config.streams(), job.extracted_at_microseconds);
    let mut databases = mysql_databases(&job.unit);
    databases.push(settings.database.clone());
    let chunk_bytes = job.context.config.stream.chunk_bytes;
    let (control, (moment, copies)) = blocking(control, move |control| {
        let tables: Vec<String> = copies.iter().map(|copy| copy.plan.relation.quoted()).collect();
        let wanted = moment::Wanted {
            settings: &settings,
            streams,
            now,
            epoch,
            tables: &tables,
            databases: &databases,
        };
        let mut moment = moment::take(control, &wanted, &shutdown)?;
        let cut = |copy: Copy| {
            let cut = begun(&copy, &mut moment, chunk_bytes);
            // A table of which the bounds cannot be had is read in one piece, and then says why itself.
            (copy, cut.unwrap_or_default())
        };
        let copies: Vec<(Copy, Option<Partial>)> = copies.into_iter().map(cut).collect();
        Ok((moment, copies))
    })
    .await
    .map_err(|error| error.into_error(Doing::Reading))?;
    let Moment { snapshot, place, is_exact } = moment;
    let (copies, told_twice): (Vec<_>, Vec<_>) =
        copies.into_iter().partition(|(copy, _)| is_exact || copy.plan.shape != Shape::Log);
    failures.extend(told_twice.into_iter().map(|(copy, _)| {
        let error = Error::new(Definite::ReplicationUnavailable)
            .with("reason", "the server does not say at which place of its log a copy was taken, and it never rests")
            .with("table", copy.plan.relation.display())
            .advise(
                "GRANT RELOAD ON *.* TO the account of the source's URL: a copy then begins under a lock of an instant.",
            );
        (copy.index, error)
    }));
    let loads = copier.loads(copies, &place, failures, |plan, landing| TableLoad {
        relation: plan.relation,
        readings: plan.readings,
        target: landing.target,
        guard: GUARD,
        step: None,
        order: None,
        sweep: landing.sweep,
        begins_anew: landing.begins_anew,
        chunks: landing.chunks,
    });
    let loads = loads.await;
    let tables = loads.indexes.iter().map(|index| (*index, ())).collect();
    let loading = Arc::new(Loading {
        range_bytes: job.context.config.ingest.range_bytes,
        batch: job.batch_limit(),
        run: job.run_columns(),
        shutdown: job.context.shutdown.clone(),
        progress: job.progress(loads.labels.clone()),
    });
    let copying = Copying::begin(tables, |mut ending| async move {
        load_tables(snapshot, loading, Arc::clone(&loads.loads), |result| {
            let Some((index, load)) = loads.get(result.index) else { return };
            let named = |error: SourceError| {
                error.into_error(Doing::Reading).with("table", load.relation.display())
            };
            let totals = result.totals;
            ending.say(index, result.result.map_err(named).map(|loaded| (totals, loaded)));
        })
        .await;
    });
    Ok((control, copying))
}

/// The chunks of a copy that begins, where the table can be copied so.
fn begun(
    copy: &Copy,
    moment: &mut Moment,
    chunk_bytes: u64,
) -> Result<Option<Partial>, SourceError> {
    let Copy { plan, .. } = copy;
    // In a merged table the chunks must be those of the key that rows are merged by: a row that moves is deleted by it.
    let is_key = plan.shape == Shape::Log || plan.key == plan.relation.primary_key;
    let pieces = if is_key { plan.relation.bytes / chunk_bytes.max(1) } else { 0 };
    let cut = source_chunks::cut(moment.snapshot.first()?, &plan.relation, pieces)?;
    let terms = Terms::of(plan, &moment.place);
    Ok(cut.map(|cut| Partial { terms, since: moment.place.position, cut }))
}
