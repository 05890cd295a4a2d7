//! READ: full loads of the collections of one unit, several at a time.
//!
//! ```text
//!   queue of collections, largest first
//!      ▼
//!   reader 1 … n        each: connection → decode → part  (a blocking thread)
//!      │                                    └── encoder   (a thread of the lake's writer)
//!      ▼  finished collections, through a channel of a few places
//!   committer ── one snapshot in the lake, one result
//! ```
//!
//! **What a load is a copy of.** Collections are read one after the other and each in the order of its key, while they are
//! written to. A document that is there all the time is in the copy once, as it was when the cursor came to it; one that
//! comes or goes meanwhile is in it or not. So a copy holds no document twice and lacks none, and it is not the state of
//! one moment: two documents that were changed together may be there as they were before and after. A server keeps the
//! state of a moment for five minutes only (`minSnapshotHistoryWindowInSeconds`), which no load can count on.
//!
//! A collection fails alone. A connection that broke is made anew for the next one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow_array::{Array as _, RecordBatch};
use ol_chassis::shutdown::Shutdown;

use super::error::SourceError;
use super::read::Request;
use super::session::Session;
use super::settings::Settings;
use crate::failpoints;
use crate::load::{Completion, Loaded, PartWriter, ShrinkGuard, Target, Totals};
use crate::position::{ClusterTime, Position};

/// How many finished collections may wait for the committer.
const FINISHED: usize = 2;

/// One collection that is ready to be read.
pub struct TableLoad {
    /// What is read.
    pub request: Request,
    /// Where the rows go.
    pub target: Arc<Target>,
    /// The guard against shrinking.
    pub guard: ShrinkGuard,
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
pub struct TableResult {
    /// Its index in the list of loads.
    pub index: usize,
    /// What was read.
    pub totals: Totals,
    /// From the first document to the commit, in seconds.
    pub seconds: f64,
    /// The commit, or why there is none.
    pub result: Result<Loaded, SourceError>,
}

struct Finished {
    index: usize,
    begun: Instant,
    result: Result<(PartWriter, Totals), SourceError>,
}

/// Loads the collections; calls `done` for each as soon as it is committed or has failed.
pub async fn load_tables(
    session: Session,
    loading: Arc<Loading>,
    tables: Arc<Vec<TableLoad>>,
    mut done: impl FnMut(TableResult),
) {
    let mut order: Vec<usize> = (0..tables.len()).collect();
    order.sort_by_key(|index| {
        let load = tables.get(*index);
        std::cmp::Reverse(load.map_or(0, |it| it.request.plan.collection.row_estimate.unwrap_or(0)))
    });
    let readers = loading.streams.clamp(1, order.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(order)));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(FINISHED);
    let mut session = Some(session);
    for _ in 0..readers {
        let (queue, sender) = (Arc::clone(&queue), sender.clone());
        let (loading, tables) = (Arc::clone(&loading), Arc::clone(&tables));
        let mut worker = Worker { loading, session: session.take() };
        tokio::task::spawn_blocking(move || {
            failpoints::hit(failpoints::SNAPSHOT_ENTERED);
            while let Some(index) = next(&queue) {
                let Some(load) = tables.get(index) else { continue };
                let begun = Instant::now();
                let result = worker.read(index, load);
                if sender.blocking_send(Finished { index, begun, result }).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    while let Some(finished) = receiver.recv().await {
        if let Some(load) = tables.get(finished.index) {
            done(end(finished, load, loading.position).await);
        }
    }
}

/// A collection has been read.
async fn end(finished: Finished, load: &TableLoad, position: Position) -> TableResult {
    let Finished { index, begun, result } = finished;
    let (totals, result) = match result {
        Err(error) => (Totals::default(), Err(error)),
        Ok((part, totals)) => {
            failpoints::hit(failpoints::TABLE_READ);
            let completion = Completion { totals, ..Completion::default() };
            let target = Arc::clone(&load.target);
            let completed = target.complete(vec![part], completion, position, load.guard).await;
            (totals, completed.map_err(SourceError::Lake))
        }
    };
    TableResult { index, totals, seconds: begun.elapsed().as_secs_f64(), result }
}

fn next(queue: &Mutex<VecDeque<usize>>) -> Option<usize> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
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
    fn read(
        &mut self,
        index: usize,
        load: &TableLoad,
    ) -> Result<(PartWriter, Totals), SourceError> {
        if self.loading.shutdown.is_requested() {
            return Err(SourceError::Stopped);
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.loading.settings, &self.loading.shutdown)?,
        };
        if let Some(time) = self.loading.after {
            session.read_after(time);
        }
        failpoints::hit(failpoints::COPY_BEGINS);
        let mut part = load.target.part();
        let key = load.target.merge_key();
        let read = load.request.read(&mut session, |batch, read| {
            // An answer may hold a whole collection, and then no wait for the socket sees the request.
            if self.loading.shutdown.is_requested() {
                return Err(SourceError::Stopped);
            }
            (self.loading.progress)(index, read);
            check_key(&batch, key)?;
            part.write(batch).map_err(SourceError::Lake)
        });
        // After anything else the connection may be in the midst of an answer, or keep a cursor.
        if read.as_ref().map_or_else(SourceError::spares_connection, |_| true) {
            self.session = Some(session);
        }
        Ok((part, read?))
    }
}
