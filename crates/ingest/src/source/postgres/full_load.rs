//! READ: full loads of the tables of one unit, under one snapshot, in parallel.
//!
//! ```text
//!   keeper ── exports the snapshot, reads the catalog, plans
//!      │  queue of (table, block range), largest first
//!      ▼
//!   reader 1 … n        each: connection → decode → part  (a blocking thread)
//!      │                                    └── encoder   (a thread of the lake's writer)
//!      ▼  finished parts, through a channel of a few places
//!   committer ── when all parts of a table are there: one snapshot in the lake, one result
//! ```
//!
//! A table fails alone: its other parts are dropped, the other tables go on. The connection a failure broke is
//! opened again; a transaction it aborted is entered again. When the process is asked to stop, readers leave at
//! the next buffer, and the tables that are complete stay committed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arrow_array::{Array as _, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use ol_chassis::shutdown::Shutdown;

use super::catalog::Relation;
use super::error::SourceError;
use super::incremental::visibility::Recent;
use super::incremental::{Step, sweep};
use super::rows::{BatchLimit, RowError, RowReader};
use super::settings::Settings;
use super::snapshot::{BlockRange, Keeper, Reader, Selection, copy_statement, selected_statement};
use super::types::Reading;
use super::wire::WireError;
use crate::column::batch::{Assembler, RunColumns};
use crate::failpoints;
use crate::load::chunks::Chunks;
use crate::load::gathering::{self, Gathering, Part};
use crate::load::{Completion, Loaded, PartWriter, ShrinkGuard, Target, Totals};
use crate::position::Position;

/// How many finished parts may wait for the committer.
const FINISHED_PARTS: usize = 2;

/// One table that is ready to be read.
pub struct TableLoad {
    /// The relation, as the snapshot's catalog has it.
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
    pub sweep: Option<sweep::Sweep>,
    /// Whether rows of a change log from before count no longer: a row that says so goes before those that are read.
    pub begins_anew: bool,
    /// The chunks that are committed one by one, when the table is copied so.
    pub chunks: Option<Chunks>,
}

/// What the loads of a unit share.
pub struct Loading {
    /// The source.
    pub settings: Settings,
    /// Connections that read at the same time.
    pub streams: usize,
    /// The smallest range of a table, in bytes of its heap.
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
type Finished = gathering::Finished<Seen, SourceError>;

/// What one reader reads at a time.
#[derive(Clone, Copy)]
struct Piece {
    table: usize,
    range: BlockRange,
    chunk: Option<usize>,
}

/// What a range shows beside its rows.
#[derive(Default)]
struct Seen {
    recent: Recent,
    /// The highest cursor value of the table; only the part that begins it looks.
    highest: Option<String>,
}

impl gathering::Beside for Seen {
    fn merge(&mut self, other: Self) {
        self.recent.merge(&other.recent);
        self.highest = other.highest.or(self.highest.take());
    }
}

/// The pieces of a table.
fn pieces(table: usize, load: &TableLoad, version: i32, loading: &Loading) -> Vec<Piece> {
    if let Some(chunks) = &load.chunks {
        let piece = |chunk: &usize| Piece { table, range: BlockRange::ALL, chunk: Some(*chunk) };
        return chunks.missing.iter().map(piece).collect();
    }
    let streams = u64::try_from(loading.streams).unwrap_or(1);
    let streams = if load.order.is_some() { 1 } else { streams };
    let ranges = BlockRange::split(&load.relation, version, streams, loading.range_bytes);
    ranges.into_iter().map(|range| Piece { table, range, chunk: None }).collect()
}

/// Loads the tables; calls `done` for each as soon as it is committed or has failed.
pub async fn load_tables(
    keeper: &Keeper,
    loading: Arc<Loading>,
    tables: Arc<Vec<TableLoad>>,
    mut done: impl FnMut(TableResult),
) {
    let mut queue = Vec::new();
    let mut gathering = Vec::with_capacity(tables.len());
    for (table, load) in tables.iter().enumerate() {
        let pieces = pieces(table, load, keeper.version, &loading);
        let since = load.chunks.as_ref().map(|chunks| chunks.since);
        gathering.push(Gathering::new(&load.target, since, pieces.len()));
        queue.extend(pieces);
    }
    // The largest first, so that the last reader to end does not end long after the others. The sort is stable:
    // ranges of one table stay in order.
    queue.sort_by_key(|piece| {
        std::cmp::Reverse(tables.get(piece.table).map_or(0, |load| load.relation.bytes))
    });
    let readers = loading.streams.clamp(1, queue.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(queue)));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(FINISHED_PARTS);
    for _ in 0..readers {
        let (queue, sender) = (Arc::clone(&queue), sender.clone());
        let (loading, tables) = (Arc::clone(&loading), Arc::clone(&tables));
        let (snapshot, position) = (keeper.snapshot.clone(), keeper.position);
        tokio::task::spawn_blocking(move || {
            let mut worker = Worker { loading, snapshot, position, reader: None };
            while let Some(piece) = next(&queue) {
                let Some(load) = tables.get(piece.table) else { continue };
                let begun = Instant::now();
                let result = worker.read(piece, load);
                let finished = Finished { table: piece.table, chunk: piece.chunk, begun, result };
                if sender.blocking_send(finished).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    // Of a table whose last commit alone is missing there is nothing to read.
    for (index, (load, state)) in tables.iter().zip(&mut gathering).enumerate() {
        if state.is_complete() {
            done(end(index, load, state, keeper, &loading).await);
        }
    }
    while let Some(finished) = receiver.recv().await {
        let index = finished.table;
        let (Some(load), Some(state)) = (tables.get(index), gathering.get_mut(index)) else {
            continue;
        };
        state.take(finished, keeper.position).await;
        if state.is_complete() {
            done(end(index, load, state, keeper, &loading).await);
        }
    }
}

/// All pieces of a table have come in.
async fn end(
    index: usize,
    load: &TableLoad,
    state: &mut Gathering<Seen, SourceError>,
    keeper: &Keeper,
    loading: &Arc<Loading>,
) -> TableResult {
    let complete =
        async |parts, totals, seen| complete(keeper, loading, load, parts, (totals, seen)).await;
    state.end(index, complete).await
}

/// Finds what is gone, if it is time to, and commits.
async fn complete(
    keeper: &Keeper,
    loading: &Arc<Loading>,
    load: &TableLoad,
    mut parts: Vec<PartWriter>,
    (totals, seen): (Totals, Seen),
) -> Result<Loaded, SourceError> {
    let mut completion = Completion { totals, ..Completion::default() };
    if let Some(sweep) = &load.sweep {
        let run = RunColumns { position: keeper.position.to_string(), ..loading.run.clone() };
        let (side, key) = (side(load, run), &sweep.key);
        let read = |schema: &SchemaRef| keys(keeper, loading, load, key, Arc::clone(schema));
        let gone = sweep::find(&side, sweep, read).await?;
        completion.deletes = gone.deletes;
        parts.extend(gone.part);
    }
    if load.begins_anew {
        // No record of the server's log begins at an odd place, so the row stands before those of the copy and behind
        // everything else.
        let position = keeper.position.before();
        let run = RunColumns { position: position.to_string(), ..loading.run.clone() };
        parts.push(sweep::truncation::<SourceError>(&side(load, run)).await?);
    }
    if let Some(step) = &load.step {
        let swept_at = match &load.sweep {
            Some(_) => loading.run.extracted_at_microseconds / 1000,
            None => step.swept_at.unwrap_or(loading.run.extracted_at_microseconds / 1000),
        };
        completion.state = step.state_after(&seen.recent, seen.highest, swept_at);
        completion.must_commit = load.sweep.is_some() || step.gains_bound();
    }
    let target = Arc::clone(&load.target);
    target.complete(parts, completion, keeper.position, load.guard).await.map_err(SourceError::Lake)
}

/// The lake's side of a comparison of keys.
fn side(load: &TableLoad, run: RunColumns) -> sweep::Side<'_> {
    let columns = load.readings.iter().map(|reading| reading.name.clone()).collect();
    sweep::Side { target: &load.target, guard: load.guard, columns, run }
}

/// What reads the keys of a table under the snapshot.
fn keys(
    keeper: &Keeper,
    loading: &Arc<Loading>,
    load: &TableLoad,
    key: &[String],
    schema: SchemaRef,
) -> sweep::ReadKeys<SourceError> {
    let find = |name: &String| load.readings.iter().find(|reading| reading.name == *name);
    let readings: Vec<Reading> = key.iter().filter_map(find).cloned().collect();
    let (loading, snapshot) = (Arc::clone(loading), keeper.snapshot.clone());
    let relation = load.relation.clone();
    Box::new(move |take| {
        let statement = copy_statement(&relation, &readings, BlockRange::ALL);
        let unfit = |error: ArrowError| RowError::Batch(error.to_string());
        let assembler = Assembler::new(schema, key_names(&readings), loading.run.clone());
        let mut rows = RowReader::new(&readings, assembler.map_err(unfit)?, loading.batch)?;
        let mut reader = Reader::open(&loading.settings, &snapshot, loading.shutdown.clone())?;
        if !reader.hold(&relation)? {
            return Err(SourceError::Rewritten);
        }
        reader.copy_out(&statement, |body| rows.consume(body, |batch, _| take(&batch)))?;
        match rows.finish()?.0 {
            Some((batch, _)) => take(&batch),
            None => Ok(()),
        }
    })
}

fn key_names(readings: &[Reading]) -> Vec<String> {
    readings.iter().map(|reading| reading.name.clone()).collect()
}

/// A row without a whole key, or with a key that its column cannot hold, has no place in a merge.
fn check_key(batch: &RecordBatch, key: Option<&[String]>) -> Result<(), SourceError> {
    let has_null =
        |name: &&String| batch.column_by_name(name).is_some_and(|column| column.null_count() > 0);
    match key.unwrap_or_default().iter().find(has_null) {
        Some(column) => Err(SourceError::Row(RowError::Value { column: column.clone() })),
        None => Ok(()),
    }
}

fn next(queue: &Mutex<VecDeque<Piece>>) -> Option<Piece> {
    queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front()
}

/// A column that the catalog had a moment ago: names, unlike rows, are not those of the snapshot.
fn changed(error: SourceError) -> SourceError {
    let is_gone =
        matches!(&error, SourceError::Wire(WireError::Server(answer)) if answer.code == "42703");
    if is_gone { SourceError::Rewritten } else { error }
}

/// Says whether tables may be read in their own order, until the transaction ends.
fn by_index(sequential: &str) -> String {
    format!("SELECT pg_catalog.set_config('enable_seqscan', '{sequential}', true)")
}

/// One reader thread and its connection.
struct Worker {
    loading: Arc<Loading>,
    snapshot: String,
    position: Position,
    reader: Option<Reader>,
}

impl Worker {
    fn read(&mut self, piece: Piece, load: &TableLoad) -> Result<Part<Seen>, SourceError> {
        if self.loading.shutdown.is_requested() {
            return Err(WireError::Stopped.into());
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let reader = Reader::open(
                    &self.loading.settings,
                    &self.snapshot,
                    self.loading.shutdown.clone(),
                )?;
                failpoints::hit(failpoints::SNAPSHOT_ENTERED);
                reader
            }
        };
        let result = self.copy(&mut reader, piece, load).map_err(changed);
        match &result {
            Ok(_) => self.reader = Some(reader),
            // The server refused a statement and the transaction is lost; the connection is not.
            Err(SourceError::Wire(WireError::Server(_)) | SourceError::Rewritten) => {
                self.reader = reader.enter().is_ok().then_some(reader);
            }
            // Anything else leaves the connection in the middle of a stream: dropping it cancels the query.
            Err(_) => {}
        }
        result
    }

    fn copy(
        &self,
        reader: &mut Reader,
        piece: Piece,
        load: &TableLoad,
    ) -> Result<Part<Seen>, SourceError> {
        let Piece { table, range, chunk } = piece;
        if !reader.hold(&load.relation)? {
            return Err(SourceError::Rewritten);
        }
        failpoints::hit(failpoints::COPY_BEGINS);
        let names = load.readings.iter().map(|reading| reading.name.clone()).collect();
        let run = RunColumns { position: self.position.to_string(), ..self.loading.run.clone() };
        let assembler = Assembler::new(load.target.table().arrow_schema(), names, run)
            .map_err(|error| RowError::Batch(error.to_string()))?;
        let mut rows = RowReader::new(&load.readings, assembler, self.loading.batch)?;
        let mut highest = None;
        if let Some(step) = &load.step {
            rows = rows.marked();
            if let Some(query) = step.highest.as_ref().filter(|_| range.start == 0) {
                highest = reader.scalar(query)?;
            }
        }
        let mut part = load.target.part();
        let progress = &self.loading.progress;
        let chunk = load.chunks.as_ref().zip(chunk);
        let chunk = chunk.and_then(|(chunks, chunk)| chunks.conditions.get(chunk));
        let step = load.step.as_ref().and_then(|step| step.condition.as_deref());
        let selection = Selection {
            range,
            condition: chunk.map(String::as_str).or(step),
            mark: load.step.as_ref().map(|step| step.mark.as_str()),
            order: load.order.as_deref(),
        };
        let statement = selected_statement(&load.relation, &load.readings, selection);
        if chunk.is_some() {
            // Read in the order of the table, each chunk would cost the server the whole of it.
            reader.scalar(&by_index("off"))?;
        }
        reader.copy_out(&statement, |body| {
            rows.consume(body, |batch, read| {
                progress(table, read);
                check_key(&batch, load.target.merge_key())?;
                part.write(batch).map_err(SourceError::Lake)
            })
        })?;
        if chunk.is_some() {
            reader.scalar(&by_index("on"))?;
        }
        let recent = rows.take_marks();
        let (last, totals) = rows.finish()?;
        if let Some((batch, read)) = last {
            progress(table, read);
            check_key(&batch, load.target.merge_key())?;
            part.write(batch)?;
        }
        Ok(Part { writer: part, totals, found: Seen { recent, highest } })
    }
}
