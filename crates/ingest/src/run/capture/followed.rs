//! A table in a session: its writer, and where it is.

use ol_lake::Lake;
use tokio::runtime::Handle;

use super::shape;
use super::state::Stamp;
use super::writer::TableWriter;
use crate::failpoints;
use crate::position::Position;
use crate::run::change::{Refused, Tally};

/// A table that is followed.
pub struct Followed {
    /// Its index in the unit.
    pub index: usize,
    /// Its writer.
    pub writer: TableWriter,
    /// What its commits carry.
    pub stamp: Stamp,
    /// Up to where it is durable.
    pub position: Position,
    /// The columns of the stream that its rows were last made from.
    pub columns: Vec<shape::StreamColumn>,
}

impl Followed {
    /// Commits what was gathered, if anything, so that the table reaches `upto`.
    ///
    /// # Errors
    /// The lake's, or what was gathered cannot be written.
    pub fn commit(
        &mut self,
        runtime: &Handle,
        lake: &Lake,
        upto: Position,
    ) -> Result<Option<(Tally, i64)>, Refused> {
        let Some((commit, mut tally)) = self.writer.seal(&self.stamp, self.position, upto)? else {
            return Ok(None);
        };
        failpoints::hit(failpoints::TABLE_SEALED);
        let committed = runtime.block_on(lake.commit(self.writer.table(), commit))?;
        tally.files = committed.files;
        tally.bytes = committed.bytes;
        self.position = upto;
        self.writer.set_table(committed.table);
        Ok(Some((tally, committed.snapshot_id)))
    }
}
