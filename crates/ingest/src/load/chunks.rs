//! A table that is copied in chunks: what was read outlives the process that read it.
//!
//! Chunks are disjoint parts of a table that cover it. Each is committed by itself, to a branch that nobody reads, with
//! the list of those that are there. When all are, the branch becomes the table in one step of the catalog, so that
//! readers see what they would see of a copy in one piece. A process that dies leaves the branch; the next one reads
//! the chunks that are missing, and only those.
//!
//! The commit of a chunk demands the list that this process knows: of two that gather the same table, one is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ol_lake::{Commit, Lake, LakeTable, Operation, ReplaceGuard};
use serde::{Deserialize, Serialize};

use super::{Completion, Loaded, PartWriter, Target, run_blocking, state};
use crate::failpoints;
use crate::position::Position;

/// The branch.
pub const BRANCH: &str = "ol-copy";
/// In the summary of a snapshot of the branch: the chunks that it has, such as `0-3,7`.
const CHUNKS: &str = "ol.copied-chunks";

/// The bounds of a table's chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The column.
    pub column: String,
    /// The greatest value of each chunk but the last, as the source prints it.
    pub bounds: Vec<String>,
}

impl Cut {
    /// How many chunks there are.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.bounds.len() + 1
    }

    /// The rows of each chunk, as a condition in SQL: the column and the bounds as the source writes them in a statement.
    #[must_use]
    pub fn conditions(&self, column: &str, literal: impl Fn(&str) -> String) -> Vec<String> {
        let condition = |chunk: usize| {
            let above = chunk.checked_sub(1).and_then(|before| self.bounds.get(before));
            let above = above.map(|bound| format!("{column} > {}", literal(bound)));
            let upto = self.bounds.get(chunk);
            let upto = upto.map(|bound| format!("{column} <= {}", literal(bound)));
            above.into_iter().chain(upto).collect::<Vec<_>>().join(" AND ")
        };
        (0..self.chunks()).map(condition).collect()
    }
}

/// What is to be read of a table that is copied in chunks.
pub struct Chunks<Condition = String> {
    /// What the rows of each chunk are chosen by, as the source wants it said.
    pub conditions: Vec<Condition>,
    /// The chunks that the lake lacks.
    pub missing: Vec<usize>,
    /// Where the table is when all are there: the position of the first of them.
    pub since: Position,
}

impl<Condition> Chunks<Condition> {
    /// What `table` lacks of the chunks with these conditions, the first of which were read at `since`.
    #[must_use]
    pub fn of(table: &LakeTable, conditions: Vec<Condition>, since: Position) -> Self {
        let gathered = gathered(table);
        let missing: Vec<usize> =
            (0..conditions.len()).filter(|chunk| !gathered.contains(chunk)).collect();
        let (chunks, gathered) = (conditions.len(), gathered.len());
        tracing::info!(table = %table.name(), chunks, gathered, "a table is copied in chunks");
        Self { conditions, missing, since }
    }
}

/// The chunks of a table that are in the lake.
#[must_use]
pub fn gathered(table: &LakeTable) -> BTreeSet<usize> {
    table.branch_state(BRANCH).and_then(|state| read(state.get(CHUNKS)?)).unwrap_or_default()
}

/// Throws away what was gathered, if anything.
///
/// # Errors
/// The lake's.
pub async fn forget(lake: &Lake, table: &LakeTable) -> Result<LakeTable, ol_lake::Error> {
    lake.drop_branch(table, BRANCH).await
}

/// The chunks of one table, as this process gathers them.
pub struct Gatherer {
    target: Arc<Target>,
    /// The table, with the branch as this process has left it.
    table: LakeTable,
    chunks: BTreeSet<usize>,
    files: u64,
    bytes: u64,
}

impl Gatherer {
    /// Goes on with what is on the branch of the target's table.
    #[must_use]
    pub fn new(target: Arc<Target>) -> Self {
        let table = target.base().clone();
        Self { target, chunks: gathered(&table), table, files: 0, bytes: 0 }
    }

    /// Commits a chunk that was read at `position`.
    ///
    /// # Errors
    /// The lake's.
    pub async fn add(
        &mut self,
        chunk: usize,
        part: PartWriter,
        position: Position,
    ) -> Result<(), ol_lake::Error> {
        let rest = self.target.part();
        let files = run_blocking(move || rest.finish(vec![part])).await?;
        let mut chunks = self.chunks.clone();
        chunks.insert(chunk);
        let own = BTreeMap::from([
            (state::POSITION.to_owned(), position.to_string()),
            (state::RUN_ID.to_owned(), self.target.settings.run_id.clone()),
            (state::MODE.to_owned(), "chunk".to_owned()),
        ]);
        failpoints::hit(failpoints::CHUNK_COMPLETE);
        let commit = Commit { files, ..self.commit(&chunks, own) };
        let committed = self.target.lake().commit(&self.table, commit).await?;
        failpoints::hit(failpoints::CHUNK_COMMITTED);
        self.table = committed.table;
        self.chunks = chunks;
        self.files += committed.files;
        self.bytes += committed.bytes;
        Ok(())
    }

    /// Makes the chunks the table. It is at `position` then, with the claim of the target.
    ///
    /// # Errors
    /// The lake's; [`ol_lake::ErrorKind::StateMoved`] when the table has moved on.
    pub async fn publish(
        mut self,
        completion: &Completion,
        position: Position,
    ) -> Result<Loaded, ol_lake::Error> {
        let lake = Arc::clone(&self.target.lake);
        let whole = self.commit(&self.chunks, self.target.state(completion, position));
        let committed = lake.commit(&self.table, whole).await?;
        self.table = committed.table;
        failpoints::hit(failpoints::COPY_GATHERED);
        let properties =
            self.target.settings.claim.iter().flat_map(|claim| claim.properties.clone()).collect();
        let expected = self.target.expected();
        lake.publish_branch(&self.table, BRANCH, expected, ReplaceGuard::Off, &properties).await?;
        failpoints::hit(failpoints::COMMITTED);
        Ok(Loaded {
            snapshot_id: committed.snapshot_id,
            files: self.files,
            bytes: self.bytes,
            unchanged: false,
            position: position.to_string(),
            deletes: completion.deletes,
        })
    }

    /// A commit to the branch, which must have the chunks that it has for us.
    fn commit(&self, chunks: &BTreeSet<usize>, own: BTreeMap<String, String>) -> Commit {
        let known = (!self.chunks.is_empty()).then(|| text(&self.chunks));
        let mut commit = Commit::new(Operation::Append, Vec::new());
        commit.branch = Some(BRANCH.to_owned());
        commit.expected = Some((CHUNKS.to_owned(), known));
        commit.state = own;
        commit.state.insert(CHUNKS.to_owned(), text(chunks));
        commit
    }
}

/// Numbers as runs: `0-3,7`.
fn text(numbers: &BTreeSet<usize>) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let shown = runs.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(",")
}

fn read(text: &str) -> Option<BTreeSet<usize>> {
    let mut numbers = BTreeSet::new();
    for run in text.split(',') {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        numbers.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_read_back() {
        for numbers in [vec![0], vec![0, 1, 2, 5], vec![3, 4, 9, 11, 12]] {
            let numbers: BTreeSet<usize> = numbers.into_iter().collect();
            assert_eq!(read(&text(&numbers)), Some(numbers));
        }
        assert_eq!(text(&BTreeSet::from([0, 1, 2, 3, 7])), "0-3,7");
        assert_eq!(read("0-x"), None);
    }
}
