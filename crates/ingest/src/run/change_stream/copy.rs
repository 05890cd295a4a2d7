//! The place that copies of collections are made behind.
//!
//! The place is taken first: a stream is opened, and the token that it begins with is noted. Then the collections are read, at a
//! time of the cluster that is not before the place, whichever member is asked. So a change that is not in the copy is
//! behind the place, and comes; one that is in the copy may come again, which the header of the room says is harmless. Of rows
//! that a copy cannot bring back the same is true: the keys of the source are read at such a time, too.

use std::sync::Arc;
use std::time::Duration;

use ol_chassis::shutdown::Shutdown;

use super::ReplicaSet;
use super::partial::{Partial, Terms};
use super::prepare::Copy;
use super::state::Place;
use super::{blocking, identity};
use crate::column::batch::RunColumns;
use crate::error::{Doing, Error, Result};
use crate::run::change::Shape;
use crate::run::change::copy::{Copier, Copying, GUARD};
use crate::source::mongodb::change_stream::{ChangeStream, Token};
use crate::source::mongodb::chunks as source_chunks;
use crate::source::mongodb::error::SourceError;
use crate::source::mongodb::full_load::{Loading, TableLoad, load_tables};
use crate::source::mongodb::read::Request;
use crate::source::mongodb::session::Session;
use crate::source::mongodb::settings::Settings;

/// Takes the place, and begins to copy collections behind it.
///
/// # Errors
/// There is no place to follow them from.
pub async fn begin(
    copier: &Copier<'_, ReplicaSet>,
    (settings, session): (&Settings, Session),
    copies: Vec<Copy>,
    failures: &mut Vec<(usize, Error)>,
) -> Result<Copying> {
    let job = copier.job;
    let (of_task, shutdown) = (settings.clone(), job.context.shutdown.clone());
    let chunk_bytes = job.context.config.stream.chunk_bytes;
    let placed = blocking(session, move |session| {
        // A server without a log says so here; what it says to a stream differs.
        session.operation_time()?.ok_or(SourceError::NotReplicated)?;
        let mut stream = open(&of_task, None, &shutdown)?;
        let batch = stream.next(Duration::ZERO)?;
        let token = batch.token.map(Token::of).ok_or(SourceError::NoResumeToken)?;
        // Not the token's own time, which may be that of the change that comes next.
        let after = session.operation_time()?.ok_or(SourceError::NotReplicated)?;
        let place = Place::of_token(token, identity(session));
        let prepared = copies.into_iter().map(|copy| {
            let copy = Copy { partial: known(copy.partial, &of_task, &shutdown), ..copy };
            let anew = begun(&copy, session, &place, chunk_bytes);
            // A collection of which the bounds cannot be had is read in one piece, and then says why itself.
            (copy, anew.unwrap_or_default())
        });
        let copies: Vec<(Copy, Option<Partial>)> = prepared.collect();
        Ok(((place, after), copies))
    })
    .await
    .map_err(|error| error.into_error(Doing::StartingStream))?;
    let (session, ((place, after), copies)) = placed;
    let loads = copier.loads(copies, &place, failures, |plan, landing| TableLoad {
        request: Request {
            plan: plan.read,
            schema: landing.target.table().arrow_schema(),
            batch: job.batch_limit(),
            run: RunColumns { position: place.position.to_string(), ..job.run_columns() },
            order: None,
            is_narrow: false,
        },
        target: landing.target,
        guard: GUARD,
        sweep: landing.sweep,
        chunks: landing.chunks,
    });
    let loads = loads.await;
    let tables = loads.indexes.iter().map(|index| (*index, ())).collect();
    let loading = Arc::new(Loading {
        settings: settings.clone(),
        streams: job.context.config.streams(),
        position: place.position,
        after: Some(after),
        shutdown: job.context.shutdown.clone(),
        progress: job.progress(loads.labels.clone()),
    });
    Ok(Copying::begin(tables, |mut ending| async move {
        load_tables(session, loading, Arc::clone(&loads.loads), |result| {
            let Some((index, load)) = loads.get(result.index) else { return };
            let display = load.request.plan.collection.display();
            let named =
                |error: SourceError| error.into_error(Doing::Reading).with("table", display);
            let totals = result.totals;
            ending.say(index, result.result.map_err(named).map(|loaded| (totals, loaded)));
        })
        .await;
    }))
}

/// Opens a stream behind a place, or behind everything.
fn open(
    settings: &Settings,
    after: Option<&Place>,
    shutdown: &Shutdown,
) -> Result<ChangeStream, SourceError> {
    let since = after.map_or_else(|| "now".to_owned(), |place| place.position.to_string());
    let behind = (after.map(|place| &place.token), since.as_str());
    ChangeStream::open(settings, &settings.database, Vec::new(), behind, shutdown)
}

/// A copy that is not complete, if the server still has what happened since its first chunk.
fn known(
    partial: Option<(Partial, Place)>,
    settings: &Settings,
    shutdown: &Shutdown,
) -> Option<(Partial, Place)> {
    let (partial, since) = partial?;
    let is_there = open(settings, Some(&since), shutdown)
        .and_then(|mut stream| stream.next(Duration::ZERO).map(drop))
        .is_ok();
    is_there.then_some((partial, since))
}

/// The chunks of a copy that begins, where the collection is cut.
fn begun(
    copy: &Copy,
    session: &mut Session,
    place: &Place,
    chunk_bytes: u64,
) -> Result<Option<Partial>, SourceError> {
    let has_rows = copy.table.as_ref().and_then(|table| table.current_snapshot());
    let is_replaced = copy.plan.shape == Shape::Merge { soft: false }
        || has_rows.is_none_or(|snapshot| snapshot.records == 0);
    // To cut a collection costs a walk of its index.
    if copy.partial.is_some() || !is_replaced {
        return Ok(None);
    }
    let cut = source_chunks::cut(session, &copy.plan.read.collection, chunk_bytes)?;
    let terms = Terms::of(&copy.plan, place);
    Ok(cut.map(|cut| Partial { terms, since: place.position, cut }))
}
