//! READ: full loads of the collections of one unit, several at a time.
//!
//! ```text
//!   queue of (collection, chunk of its keys), largest first
//!      ▼
//!   reader 1 … n        each: connection → decode → part  (a blocking thread)
//!      │                                    └── encoder   (a thread of the lake's writer)
//!      ▼  finished pieces, through a channel of a few places
//!   committer ── one snapshot in the lake, or one a chunk on a branch; one result a collection
//! ```
//!
//! **What a load is a copy of.** Collections are read one after the other and each in the order of its key, while they are
//! written to. A document that is there all the time is in the copy once, as it was when the cursor came to it; one that
//! comes or goes meanwhile is in it or not. So a copy holds no document twice and lacks none, and it is not the state of
//! one moment: two documents that were changed together may be there as they were before and after. A server keeps the
//! state of a moment for five minutes only (`minSnapshotHistoryWindowInSeconds`), which no load can count on.
//!
//! A collection fails alone. A connection that broke is made anew for the next one.

//!
//! **Keys that are gone** are found after a collection was read, by a comparison of the keys of source and lake
//! ([`sweep`]). The source's keys are read last: one that is among them was there after the copy, and one that is not was
//! gone by then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow_array::{Array as _, RecordBatch};
use arrow_schema::SchemaRef;
use ol_chassis::shutdown::Shutdown;

use super::chunks::Bounds;
use super::error::SourceError;
use super::read::Request;
use super::session::Session;
use super::settings::Settings;
use crate::failpoints;
use crate::load::chunks::Chunks;
use crate::load::gathering::{self, Gathering, Part};
use crate::load::{Completion, Loaded, PartWriter, ShrinkGuard, Target, Totals};
use crate::position::{ClusterTime, Position};
use crate::source::incremental::sweep::{self, Sweep};

/// How many finished pieces may wait for the committer.
const FINISHED: usize = 2;

/// One collection that is ready to be read.
pub struct TableLoad {
    /// What is read.
    pub request: Request,
    /// Where the rows go.
    pub target: Arc<Target>,
    /// The guard against shrinking.
    pub guard: ShrinkGuard,
    /// How rows that are gone are found, when they are.
    pub sweep: Option<Sweep>,
    /// The chunks that are committed one by one, when the collection is copied so.
    pub chunks: Option<Chunks<Bounds>>,
}

/// What the loads of a unit share.
pub struct Loading {
    /// How connections are made.
    pub settings: Settings,
    /// The most connections.
    pub streams: usize,
    /// Where the copy is placed: the time at which it began, or the place from which on changes are followed.
    pub position: Position,
    /// The time of the cluster of which, or of later, must be what is read.
    pub after: Option<ClusterTime>,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// Told of rows and bytes as they are read, by table index.
    pub progress: Arc<dyn Fn(usize, Totals) + Send + Sync>,
}

/// What became of one collection.
pub type TableResult = gathering::TableResult<SourceError>;
type Finished = gathering::Finished<(), SourceError>;

/// What one reader reads at a time.
struct Piece {
    table: usize,
    /// The chunk that it is, when it is committed by itself.
    chunk: Option<usize>,
    bounds: Bounds,
}

/// The pieces of a collection: one for most.
fn pieces(table: usize, load: &TableLoad) -> Vec<Piece> {
    let Some(chunks) = &load.chunks else {
        return vec![Piece { table, chunk: None, bounds: Bounds::default() }];
    };
    let missing = chunks.missing.iter().filter_map(|chunk| {
        let bounds = chunks.conditions.get(*chunk)?.clone();
        Some(Piece { table, chunk: Some(*chunk), bounds })
    });
    missing.collect()
}

/// Loads the collections; calls `done` for each as soon as it is committed or has failed.
pub async fn load_tables(
    session: Session,
    loading: Arc<Loading>,
    tables: Arc<Vec<TableLoad>>,
    mut done: impl FnMut(TableResult),
) {
    let (mut queue, mut gathering) = (Vec::new(), Vec::new());
    for (table, load) in tables.iter().enumerate() {
        let pieces = pieces(table, load);
        let since = load.chunks.as_ref().map(|chunks| chunks.since);
        gathering.push(Gathering::new(&load.target, since, pieces.len()));
        queue.extend(pieces);
    }
    // The sort is stable: chunks of one collection stay in order.
    queue.sort_by_key(|piece| {
        let load = tables.get(piece.table);
        std::cmp::Reverse(load.map_or(0, |it| it.request.plan.collection.row_estimate.unwrap_or(0)))
    });
    let readers = loading.streams.clamp(1, queue.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(queue)));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(FINISHED);
    let mut session = Some(session);
    for _ in 0..readers {
        let (queue, sender) = (Arc::clone(&queue), sender.clone());
        let (loading, tables) = (Arc::clone(&loading), Arc::clone(&tables));
        let mut worker = Worker { loading, session: session.take() };
        tokio::task::spawn_blocking(move || {
            failpoints::hit(failpoints::SNAPSHOT_ENTERED);
            while let Some(piece) = next(&queue) {
                let Some(load) = tables.get(piece.table) else { continue };
                let begun = Instant::now();
                let result = worker.read(&piece, load);
                let (table, chunk) = (piece.table, piece.chunk);
                if sender.blocking_send(Finished { table, chunk, begun, result }).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let end = async |index: usize, load: &TableLoad, state: &mut Gathering<(), SourceError>| {
        let complete = async |parts, totals, ()| complete(&loading, load, parts, totals).await;
        state.end(index, complete).await
    };
    // Of a collection whose last commit alone is missing there is nothing to read.
    for (index, (load, state)) in tables.iter().zip(&mut gathering).enumerate() {
        if state.is_complete() {
            done(end(index, load, state).await);
        }
    }
    while let Some(finished) = receiver.recv().await {
        let index = finished.table;
        let Some((load, state)) = tables.get(index).zip(gathering.get_mut(index)) else { continue };
        state.take(finished, loading.position).await;
        if state.is_complete() {
            done(end(index, load, state).await);
        }
    }
}

/// Finds what is gone, if that is asked for, and commits.
async fn complete(
    loading: &Arc<Loading>,
    load: &TableLoad,
    mut parts: Vec<PartWriter>,
    totals: Totals,
) -> Result<Loaded, SourceError> {
    let mut completion = Completion { totals, ..Completion::default() };
    if let Some(sweep) = &load.sweep {
        let readings = load.request.plan.readings.iter();
        let side = sweep::Side {
            target: &load.target,
            guard: load.guard,
            columns: readings.map(|reading| reading.name.clone()).collect(),
            run: load.request.run.clone(),
        };
        let gone =
            sweep::find(&side, sweep, |schema| keys(loading, load, &sweep.key, schema)).await?;
        completion.deletes = gone.deletes;
        parts.extend(gone.part);
    }
    let target = Arc::clone(&load.target);
    let completed = target.complete(parts, completion, loading.position, load.guard).await;
    completed.map_err(SourceError::Lake)
}

/// What reads the keys of a collection.
fn keys(
    loading: &Arc<Loading>,
    load: &TableLoad,
    key: &[String],
    schema: &SchemaRef,
) -> sweep::ReadKeys<SourceError> {
    let (request, loading) = (load.request.of_keys(key, schema), Arc::clone(loading));
    Box::new(move |take| {
        let mut session = open(&loading)?;
        let read = request.read(&mut session, &Bounds::default(), |batch, _| take(&batch));
        read.map(drop)
    })
}

fn next(queue: &Mutex<VecDeque<Piece>>) -> Option<Piece> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// A connection that reads what is of the wanted time.
fn open(loading: &Loading) -> Result<Session, SourceError> {
    let mut session = Session::open(&loading.settings, &loading.shutdown)?;
    if let Some(time) = loading.after {
        session.read_after(time);
    }
    Ok(session)
}

/// A row without a whole key, or with a key that its column cannot hold, has no place in a merge.
fn check_key(batch: &RecordBatch, key: Option<&[String]>) -> Result<(), SourceError> {
    let has_null =
        |name: &&String| batch.column_by_name(name).is_some_and(|column| column.null_count() > 0);
    match key.unwrap_or_default().iter().find(has_null) {
        Some(column) => Err(SourceError::Value { column: column.clone() }),
        None => Ok(()),
    }
}

/// One reader thread and its connection.
struct Worker {
    loading: Arc<Loading>,
    session: Option<Session>,
}

impl Worker {
    fn read(&mut self, piece: &Piece, load: &TableLoad) -> Result<Part<()>, SourceError> {
        if self.loading.shutdown.is_requested() {
            return Err(SourceError::Stopped);
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => open(&self.loading)?,
        };
        if let Some(time) = self.loading.after {
            session.read_after(time);
        }
        failpoints::hit(failpoints::COPY_BEGINS);
        let mut part = load.target.part();
        let key = load.target.merge_key();
        let read = load.request.read(&mut session, &piece.bounds, |batch, read| {
            // An answer may hold a whole collection, and then no wait for the socket sees the request.
            if self.loading.shutdown.is_requested() {
                return Err(SourceError::Stopped);
            }
            (self.loading.progress)(piece.table, read);
            check_key(&batch, key)?;
            part.write(batch).map_err(SourceError::Lake)
        });
        // After anything else the connection may be in the midst of an answer, or keep a cursor.
        if read.as_ref().map_or_else(SourceError::spares_connection, |_| true) {
            self.session = Some(session);
        }
        Ok(Part { writer: part, totals: read?, found: () })
    }
}
