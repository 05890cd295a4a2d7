//! The pieces of one table, as they come in from its readers, on their way to one commit, or to one commit a chunk.

use std::sync::Arc;
use std::time::Instant;

use super::chunks::Gatherer;
use super::{Completion, Loaded, PartWriter, Target, Totals};
use crate::position::Position;

/// What is found in a piece beside its rows.
pub trait Beside: Default {
    /// That of two pieces.
    fn merge(&mut self, other: Self);
}

impl Beside for () {
    fn merge(&mut self, (): Self) {}
}

/// A piece that has been read.
pub struct Part<F> {
    /// Its rows.
    pub writer: PartWriter,
    /// What was read.
    pub totals: Totals,
    /// What was found beside.
    pub found: F,
}

/// A piece that a reader is done with.
pub struct Finished<F, E> {
    /// The table's index in the list of loads.
    pub table: usize,
    /// The chunk that it is, when it is committed by itself.
    pub chunk: Option<usize>,
    /// When its reading began.
    pub begun: Instant,
    /// What was read, or why nothing was.
    pub result: Result<Part<F>, E>,
}

/// What became of one table.
pub struct TableResult<E> {
    /// Its index in the list of loads.
    pub index: usize,
    /// What was read.
    pub totals: Totals,
    /// From the first piece begun to the commit, in seconds.
    pub seconds: f64,
    /// The commit, or why there is none.
    pub result: Result<Loaded, E>,
}

/// Pieces of a table that have come in.
pub struct Gathering<F, E> {
    target: Arc<Target>,
    missing: usize,
    begun: Option<Instant>,
    parts: Vec<PartWriter>,
    totals: Totals,
    found: F,
    failure: Option<E>,
    /// Commits chunks, and where the table is when all are there.
    gatherer: Option<(Gatherer, Position)>,
}

impl<F: Beside, E: From<ol_lake::Error>> Gathering<F, E> {
    /// A table of which so many pieces are missing; they are chunks that are committed one by one where it says `since` when
    /// the first of them were read.
    #[must_use]
    pub fn new(target: &Arc<Target>, since: Option<Position>, missing: usize) -> Self {
        Self {
            target: Arc::clone(target),
            missing,
            begun: None,
            parts: Vec::new(),
            totals: Totals::default(),
            found: F::default(),
            failure: None,
            gatherer: since.map(|since| (Gatherer::new(Arc::clone(target)), since)),
        }
    }

    /// Whether all pieces have come in.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Takes in what was read of a piece, at `position`; a chunk is committed right away, whatever became of the others.
    pub async fn take(&mut self, finished: Finished<F, E>, position: Position) {
        self.missing -= 1;
        self.begun = Some(self.begun.map_or(finished.begun, |begun| begun.min(finished.begun)));
        let taken = match (finished.result, &mut self.gatherer, finished.chunk) {
            (Ok(part), Some((gatherer, _)), Some(chunk)) => {
                let added = gatherer.add(chunk, part.writer, position).await;
                added.map(|()| self.totals = self.totals.merge(part.totals)).map_err(E::from)
            }
            (Ok(part), _, _) => {
                self.parts.push(part.writer);
                self.totals = self.totals.merge(part.totals);
                self.found.merge(part.found);
                Ok(())
            }
            (Err(error), _, _) => Err(error),
        };
        if let Err(error) = taken {
            self.failure.get_or_insert(error);
        }
    }

    /// All pieces have come in: `complete` commits those that are no chunks.
    pub async fn end(
        &mut self,
        index: usize,
        complete: impl AsyncFnOnce(Vec<PartWriter>, Totals, F) -> Result<Loaded, E>,
    ) -> TableResult<E> {
        let parts = std::mem::take(&mut self.parts);
        let (totals, found) = (self.totals, std::mem::take(&mut self.found));
        let result = match (self.failure.take(), self.gatherer.take()) {
            (Some(error), _) => {
                // Dropping a part deletes its files, which waits for its encoder.
                let target = Arc::clone(&self.target);
                tokio::task::spawn_blocking(move || target.abandon(parts));
                Err(error)
            }
            (None, Some((gatherer, since))) => {
                let completion = Completion { totals, ..Completion::default() };
                gatherer.publish(&completion, since).await.map_err(E::from)
            }
            (None, None) => {
                crate::failpoints::hit(crate::failpoints::TABLE_READ);
                complete(parts, totals, found).await
            }
        };
        let seconds = self.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        TableResult { index, totals, seconds, result }
    }
}
