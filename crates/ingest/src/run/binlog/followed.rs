//! A table in a session: its writer, and where it is.

use ol_lake::Lake;
use tokio::runtime::Handle;

use super::state::Place;
use super::writer::TableWriter;
use crate::failpoints;
use crate::position::Position;
use crate::run::change::state::Stamp;
use crate::run::change::{Refused, Tally};
use crate::source::mysql::binlog::gtid::{Gtid, GtidSet};

/// What a table has already.
#[derive(Debug, Clone, PartialEq)]
pub enum Skip {
    /// Everything up to a place of the log that is followed.
    UpTo(Position),
    /// These transactions, which had other places in the log of another server.
    Within(GtidSet),
}

/// A table that is followed.
pub struct Followed {
    /// Its index in the unit.
    pub index: usize,
    /// Its name in the lake.
    pub raw_table: String,
    /// Its writer.
    pub writer: TableWriter,
    /// What its commits carry.
    pub stamp: Stamp,
    /// Up to where its last snapshot is.
    pub position: Position,
    /// From where on it needs changes.
    pub begins: Place,
    /// What it has already.
    pub skip: Skip,
}

impl Followed {
    /// Whether the table has a change already.
    #[must_use]
    pub fn has(&self, position: Position, gtid: Option<Gtid>) -> bool {
        match &self.skip {
            Skip::UpTo(place) => position <= *place,
            Skip::Within(gtids) => gtid.is_some_and(|gtid| gtids.contains(gtid)),
        }
    }

    /// Commits what was gathered, if anything, so that the table reaches `upto`.
    ///
    /// # Errors
    /// The lake's, or what was gathered cannot be written.
    pub fn commit(
        &mut self,
        runtime: &Handle,
        lake: &Lake,
        upto: &Place,
    ) -> Result<Option<(Tally, i64)>, Refused> {
        let Some((commit, mut tally)) = self.writer.seal(&self.stamp, self.position, upto)? else {
            return Ok(None);
        };
        failpoints::hit(failpoints::TABLE_SEALED);
        let committed = runtime.block_on(lake.commit(self.writer.table(), commit))?;
        tally.files = committed.files;
        tally.bytes = committed.bytes;
        self.position = upto.position;
        self.begins = upto.clone();
        self.skip = Skip::UpTo(upto.position);
        self.writer.changes().set_table(committed.table);
        Ok(Some((tally, committed.snapshot_id)))
    }
}
