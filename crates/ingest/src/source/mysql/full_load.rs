//! READ: full loads of the tables of one unit, under one snapshot, in parallel.
//!
//! ```text
//!   snapshot ── n connections that see the same; the catalog; the cuts of large tables
//!      │  queue of (table, range of its key), largest first
//!      ▼
//!   reader 1 … n        each: connection → decode → part  (a blocking thread)
//!      │                                    └── encoder   (a thread of the lake's writer)
//!      ▼  finished parts, through a channel of a few places
//!   committer ── when all parts of a table are there: one snapshot in the lake, one result
//! ```
//!
//! **Ranges.** A large table is read by several connections, each a range of its key ([`super::chunks`]). Chunks are such
//! ranges, too; each is committed by itself ([`crate::load::chunks`]).
//!
//! **Locks.** A transaction that has read a table holds its definition until it ends, as it does in Postgres: who alters
//! the table in the meantime waits. (Going back to a savepoint gives the definition free, but not where there is a binary
//! log, at least in MariaDB 10.11.) A connection ends as soon as nothing is left for it to read.
//!
//! A table fails alone: its other parts are dropped, the other tables go on. A connection that broke took its view of the
//! snapshot with it; the others read what is left, and where none is left, the rest is read again under a new snapshot.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow_array::{Array as _, RecordBatch};
use arrow_schema::SchemaRef;
use ol_chassis::shutdown::Shutdown;

use super::catalog::{Catalog, Relation};
use super::chunks as source_chunks;
use super::error::SourceError;
use super::incremental::Step;
use super::incremental::seen::Found;
use super::reread::Reread;
use super::rows::RowReader;
use super::session::Session;
use super::snapshot::Snapshot;
use super::types::{Reading, quote};
use crate::column::batch::{Assembler, BatchLimit, RunColumns};
use crate::failpoints;
use crate::load::chunks::Chunks;
use crate::load::gathering::{self, Gathering, Part};
use crate::load::{Completion, Loaded, PartWriter, ShrinkGuard, Target, Totals};
use crate::position::Position;
use crate::source::incremental::sweep::{self, Sweep};

/// How many finished parts may wait for the committer.
const FINISHED_PARTS: usize = 2;

/// One table that is ready to be read.
pub struct TableLoad {
    /// The relation, as the catalog has it.
    pub relation: Relation,
    /// Its columns.
    pub readings: Vec<Reading>,
    /// Where the rows go.
    pub target: Arc<Target>,
    /// The guard against shrinking.
    pub guard: ShrinkGuard,
    /// What is read of it and remembered, when the table is followed by queries; all of it otherwise.
    pub step: Option<Step>,
    /// The column that rows are to come in the order of; then they come over one connection.
    pub order: Option<String>,
    /// How rows that are gone are found, when it is time to.
    pub sweep: Option<Sweep>,
    /// Whether rows of a change log from before count no longer: a row that says so goes before those that are read.
    pub begins_anew: bool,
    /// The chunks that are committed one by one, when the table is copied so.
    pub chunks: Option<Chunks>,
}

/// What the loads of a unit share.
pub struct Loading {
    /// The smallest range of a table, in bytes.
    pub range_bytes: u64,
    /// When a batch is full.
    pub batch: BatchLimit,
    /// The columns that are the same in every row.
    pub run: RunColumns,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// Told of rows and bytes as they are read, by table index.
    pub progress: Arc<dyn Fn(usize, Totals) + Send + Sync>,
}

/// What became of one table.
pub type TableResult = gathering::TableResult<SourceError>;
type Finished = gathering::Finished<Found, SourceError>;

impl gathering::Beside for Found {
    fn merge(&mut self, other: Self) {
        Self::merge(self, other);
    }
}

/// What one reader reads at a time.
struct Piece {
    table: usize,
    /// The condition of its rows, as SQL; `None` for all.
    condition: Option<String>,
    /// The chunk that they are, when it is committed by itself.
    chunk: Option<usize>,
}

/// Loads the tables; calls `done` for each as soon as it is committed or has failed.
pub async fn load_tables(
    snapshot: Snapshot,
    loading: Arc<Loading>,
    tables: Arc<Vec<TableLoad>>,
    mut done: impl FnMut(TableResult),
) {
    let position = snapshot.position;
    let (cutting, settings) = (Arc::clone(&tables), Arc::clone(&loading));
    let cut = tokio::task::spawn_blocking(move || {
        let mut snapshot = snapshot;
        let pieces: Vec<_> =
            cutting.iter().map(|load| cut(&mut snapshot, load, settings.range_bytes)).collect();
        (snapshot, pieces)
    });
    let (snapshot, cut) = match cut.await {
        Ok(cut) => cut,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let mut queue = Vec::new();
    let mut gathering = Vec::with_capacity(tables.len());
    for (table, (conditions, load)) in cut.into_iter().zip(tables.iter()).enumerate() {
        // A table of which the bounds cannot be had is read in one piece, and then says why itself.
        let conditions = conditions.unwrap_or_else(|_| vec![(None, None)]);
        let since = load.chunks.as_ref().map(|chunks| chunks.since);
        gathering.push(Gathering::new(&load.target, since, conditions.len()));
        let piece = |(chunk, condition)| Piece { table, condition, chunk };
        queue.extend(conditions.into_iter().map(piece));
    }
    // The largest first, so that the last reader to end does not end long after the others. The sort is stable:
    // ranges of one table stay in order.
    queue.sort_by_key(|piece| {
        std::cmp::Reverse(tables.get(piece.table).map_or(0, |load| load.relation.bytes))
    });
    let queue = Arc::new(Mutex::new(VecDeque::from(queue)));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(FINISHED_PARTS);
    let sessions = snapshot.into_readers().into_iter().map(|it| Arc::new(Mutex::new(it)));
    let sessions: Vec<_> = sessions.collect();
    // Keys are read over the first connection, between what its reader reads.
    let keeper = sessions.first().filter(|_| tables.iter().any(|load| load.sweep.is_some()));
    let commit = Committing { keeper: keeper.cloned(), loading: Arc::clone(&loading), position };
    for session in sessions {
        let (queue, sender) = (Arc::clone(&queue), sender.clone());
        let (loading, tables) = (Arc::clone(&loading), Arc::clone(&tables));
        tokio::task::spawn_blocking(move || {
            let worker = Worker { loading, position, session };
            failpoints::hit(failpoints::SNAPSHOT_ENTERED);
            while let Some(piece) = next(&queue) {
                let Some(load) = tables.get(piece.table) else { continue };
                let begun = Instant::now();
                let result = worker.read(&piece, load);
                let goes_on = result.as_ref().map_or_else(SourceError::spares_connection, |_| true);
                let finished = Finished { table: piece.table, chunk: piece.chunk, begun, result };
                if sender.blocking_send(finished).is_err() || !goes_on {
                    return;
                }
            }
        });
    }
    drop(sender);
    // Of a table whose last commit alone is missing there is nothing to read.
    for (index, (load, state)) in tables.iter().zip(&mut gathering).enumerate() {
        if state.is_complete() {
            done(commit.end(index, load, state).await);
        }
    }
    while let Some(finished) = receiver.recv().await {
        let index = finished.table;
        let (Some(load), Some(state)) = (tables.get(index), gathering.get_mut(index)) else {
            continue;
        };
        state.take(finished, position).await;
        if state.is_complete() {
            done(commit.end(index, load, state).await);
        }
    }
    // All connections are lost: what nobody could read is to be read under a new snapshot.
    while let Some(piece) = next(&queue) {
        let (Some(load), Some(state)) = (tables.get(piece.table), gathering.get_mut(piece.table))
        else {
            continue;
        };
        let stopped = loading.shutdown.is_requested();
        let error = if stopped { SourceError::Stopped } else { SourceError::Changed };
        let Piece { table, chunk, .. } = piece;
        let finished = Finished { table, chunk, begun: Instant::now(), result: Err(error) };
        state.take(finished, position).await;
        if state.is_complete() {
            done(commit.end(piece.table, load, state).await);
        }
    }
}

/// What it takes to commit a table.
struct Committing {
    /// The connection over which keys are read, if any are.
    keeper: Option<Arc<Mutex<Session>>>,
    loading: Arc<Loading>,
    position: Position,
}

impl Committing {
    /// All pieces of a table have come in.
    async fn end(
        &self,
        index: usize,
        load: &TableLoad,
        state: &mut Gathering<Found, SourceError>,
    ) -> TableResult {
        let complete =
            async |parts, totals, found: Found| self.complete(load, parts, totals, &found).await;
        state.end(index, complete).await
    }

    /// Finds what is gone, if it is time to, and commits.
    async fn complete(
        &self,
        load: &TableLoad,
        mut parts: Vec<PartWriter>,
        totals: Totals,
        found: &Found,
    ) -> Result<Loaded, SourceError> {
        let run = RunColumns { position: self.position.to_string(), ..self.loading.run.clone() };
        let now = run.extracted_at_microseconds / 1000;
        let mut completion = Completion { totals, ..Completion::default() };
        if let Some((sweep, keeper)) = load.sweep.as_ref().zip(self.keeper.as_ref()) {
            let (side, key) = (side(load, run), &sweep.key);
            let read = |schema: &SchemaRef| keys(keeper, &self.loading, load, key, schema);
            let gone = sweep::find(&side, sweep, read).await?;
            completion.deletes = gone.deletes;
            parts.extend(gone.part);
        }
        if load.begins_anew {
            // No transaction begins right before a place, so the row stands before those of the copy and behind everything
            // else.
            let position = self.position.before();
            let run = RunColumns { position: position.to_string(), ..self.loading.run.clone() };
            parts.push(sweep::truncation::<SourceError>(&side(load, run)).await?);
        }
        if let Some(step) = &load.step {
            let last = step.begun().swept_at.filter(|_| load.sweep.is_none());
            completion.state = step.state_after(last.unwrap_or(now));
            completion.properties = step.properties_after(found, &self.loading.run.run_id);
            completion.must_commit = load.sweep.is_some();
        }
        let target = Arc::clone(&load.target);
        let completed = target.complete(parts, completion, self.position, load.guard).await;
        completed.map_err(SourceError::Lake)
    }
}

fn next(queue: &Mutex<VecDeque<Piece>>) -> Option<Piece> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// The chunk, if it is one, and the condition of its rows; `None` for all.
type Range = (Option<usize>, Option<String>);

/// The ranges in which a table is read: one without a condition for most.
fn cut(
    snapshot: &mut Snapshot,
    load: &TableLoad,
    range_bytes: u64,
) -> Result<Vec<Range>, SourceError> {
    if let Some(chunks) = &load.chunks {
        let range = |chunk: &usize| (Some(*chunk), chunks.conditions.get(*chunk).cloned());
        return Ok(chunks.missing.iter().map(range).collect());
    }
    if let Some(condition) = load.step.as_ref().and_then(|step| step.condition.clone()) {
        // What is known of rows is asked by one reader.
        return Ok(vec![(None, Some(condition))]);
    }
    let relation = &load.relation;
    let ranges = (relation.bytes / range_bytes.max(1)).min(snapshot.readers() as u64);
    if load.order.is_some() {
        return Ok(vec![(None, None)]);
    }
    Ok(match source_chunks::cut(snapshot.first()?, relation, ranges)? {
        Some(cut) => {
            source_chunks::conditions(&cut).into_iter().map(|it| (None, Some(it))).collect()
        }
        None => vec![(None, None)],
    })
}

/// Which rows of a relation are read, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Selection<'a> {
    /// The condition of the rows, as SQL; `None` for all.
    pub(super) condition: Option<&'a str>,
    /// The column that they come in the order of.
    pub(super) order: Option<&'a str>,
    /// An expression that comes behind the columns.
    pub(super) mark: Option<&'a str>,
}

/// The statement that reads `readings` of the chosen rows of a relation. Excluded columns are not in it, so they never
/// leave the server.
pub(super) fn statement(
    relation: &Relation,
    readings: &[Reading],
    selection: Selection<'_>,
) -> String {
    let mut fields: Vec<String> = readings.iter().map(Reading::value_sql).collect();
    fields.extend(selection.mark.map(str::to_owned));
    // A row without a column is a row all the same.
    let fields = if fields.is_empty() { "1".to_owned() } else { fields.join(", ") };
    let filter = selection.condition.map(|it| format!(" WHERE {it}")).unwrap_or_default();
    let order = selection.order.map(|it| format!(" ORDER BY {}", quote(it))).unwrap_or_default();
    format!("SELECT {fields} FROM {}{filter}{order}", relation.quoted())
}

/// The lake's side of a comparison of keys.
fn side(load: &TableLoad, run: RunColumns) -> sweep::Side<'_> {
    let columns = load.readings.iter().map(|reading| reading.name.clone()).collect();
    sweep::Side { target: &load.target, guard: load.guard, columns, run }
}

/// What reads the keys of a table under the snapshot.
fn keys(
    session: &Arc<Mutex<Session>>,
    loading: &Loading,
    load: &TableLoad,
    key: &[String],
    schema: &SchemaRef,
) -> sweep::ReadKeys<SourceError> {
    let find = |name: &String| load.readings.iter().find(|reading| reading.name == *name);
    let reread = Reread {
        session: Arc::clone(session),
        relation: load.relation.clone(),
        readings: key.iter().filter_map(find).cloned().collect(),
        schema: Arc::clone(schema),
        batch: loading.batch,
    };
    Box::new(move |take| reread.read(take))
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
    position: Position,
    session: Arc<Mutex<Session>>,
}

impl Worker {
    fn read(&self, piece: &Piece, load: &TableLoad) -> Result<Part<Found>, SourceError> {
        if self.loading.shutdown.is_requested() {
            return Err(SourceError::Stopped);
        }
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        self.copy(&mut session, piece, load)
    }

    fn copy(
        &self,
        session: &mut Session,
        piece: &Piece,
        load: &TableLoad,
    ) -> Result<Part<Found>, SourceError> {
        Catalog::check_rights(session, &load.relation)?;
        failpoints::hit(failpoints::COPY_BEGINS);
        let names = load.readings.iter().map(|reading| reading.name.clone()).collect();
        let run = RunColumns { position: self.position.to_string(), ..self.loading.run.clone() };
        let assembler = Assembler::new(load.target.table().arrow_schema(), names, run)
            .map_err(|error| SourceError::Batch(error.to_string()))?;
        let mut rows = RowReader::new(&load.readings, assembler, self.loading.batch)?;
        if let Some(step) = &load.step {
            rows = rows.marked(step.overlap());
        }
        let mut part = load.target.part();
        let progress = &self.loading.progress;
        let key = load.target.merge_key();
        let selection = Selection {
            condition: piece.condition.as_deref(),
            order: load.order.as_deref(),
            mark: load.step.as_ref().map(|step| step.mark.as_str()),
        };
        let query = statement(&load.relation, &load.readings, selection);
        let mut write = |batch: RecordBatch, read: Totals| {
            progress(piece.table, read);
            check_key(&batch, key)?;
            part.write(batch).map_err(SourceError::Lake)
        };
        session.connection.stream(&query, |row| match rows.row(row)? {
            Some((batch, read)) => write(batch, read),
            None => Ok(()),
        })?;
        let found = rows.take_found();
        let (last, totals) = rows.finish()?;
        if let Some((batch, read)) = last {
            write(batch, read)?;
        }
        Ok(Part { writer: part, totals, found })
    }
}
