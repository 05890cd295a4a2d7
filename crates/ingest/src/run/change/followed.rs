//! A table in a session: its writer, and where it is.

use ol_lake::Lake;
use tokio::runtime::Handle;

use super::log::{Log, Writer};
use super::place::Place as _;
use super::state::Stamp;
use super::{Refused, Tally};
use crate::failpoints;
use crate::position::Position;

/// A table that is followed.
pub struct Followed<L: Log> {
    /// Its index in the unit.
    pub index: usize,
    /// Its name in the lake.
    pub raw_table: String,
    /// Its writer.
    pub writer: L::Writer,
    /// What its commits carry.
    pub stamp: Stamp,
    /// Up to where its last snapshot is.
    pub position: Position,
    /// From where on it needs changes: it has everything before.
    pub begins: L::Place,
    /// What it has already.
    pub has: L::Has,
}

impl<L: Log> Followed<L> {
    /// Commits what was gathered, if anything, so that the table reaches `upto`.
    ///
    /// # Errors
    /// The lake's, or what was gathered cannot be written.
    pub fn commit(
        &mut self,
        runtime: &Handle,
        lake: &Lake,
        upto: &L::Place,
    ) -> Result<Option<(Tally, i64)>, Refused> {
        let (after, position) = (self.position, upto.position());
        let state = || self.stamp.state(position, Some(after), upto.claim());
        let Some((commit, mut tally)) = self.writer.changes_mut().seal(state, after)? else {
            return Ok(None);
        };
        failpoints::hit(failpoints::TABLE_SEALED);
        let committed = runtime.block_on(lake.commit(self.writer.table(), commit))?;
        tally.files = committed.files;
        tally.bytes = committed.bytes;
        self.position = position;
        self.begins = upto.clone();
        self.has = L::Has::from(position);
        self.writer.changes_mut().set_table(committed.table);
        Ok(Some((tally, committed.snapshot_id)))
    }
}
