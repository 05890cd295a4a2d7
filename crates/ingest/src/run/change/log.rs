//! A log that a server keeps by its own rules, whoever reads it, with no place for us: what following one takes of its source.
//!
//! [`super::run::Run`] is what becomes of it: preparations, copies, sessions, tries.

use std::collections::BTreeMap;

use ol_lake::LakeTable;
use ol_lake::schema::LakeSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::copy::{Copier, Copying};
use super::partial::Partial;
use super::place::Place;
use super::prepare::{Copy, Preparation, Prepared};
use super::session::Following;
use super::writer::{Batches, ChangeWriter};
use super::{Ended, Shape};
use crate::column::foreign;
use crate::error::{Error, Result};
use crate::load::chunks::Cut;
use crate::position::Position;
use crate::run::UnitJob;
use crate::source::address::SourceAddress;

/// How one table is followed.
pub trait Plan: Send + 'static {
    /// Its name at the source, for people.
    fn display(&self) -> String;

    /// What the source says of it.
    fn comment(&self) -> Option<String>;

    /// How many rows it has, about.
    fn row_estimate(&self) -> Option<f64>;

    /// What the lake table looks like.
    fn shape(&self) -> Shape;

    /// The columns that identify a row; empty for a log of a table without a key.
    fn key(&self) -> Vec<String>;

    /// The lake table's columns: the source's, then ours.
    fn lake_schema(&self) -> LakeSchema;

    /// The same for a table that exists: where another loader gave its own column of time a type, it keeps it.
    fn lake_schema_of(&self, table: &LakeTable) -> LakeSchema {
        foreign::as_in(self.lake_schema(), table)
    }

    /// The digest of the type contract.
    fn contract(&self) -> String;

    /// Table properties that a copy leaves.
    fn properties(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// Takes the changes of one table.
pub trait Writer: Send + 'static {
    /// How the table is followed.
    type Plan: Plan;
    /// Gathers rows.
    type Rows: Batches;

    /// The plan it follows.
    fn plan(&self) -> &Self::Plan;

    /// What all writers of changes have.
    fn changes(&self) -> &ChangeWriter<Self::Rows>;

    /// The same, to be changed.
    fn changes_mut(&mut self) -> &mut ChangeWriter<Self::Rows>;

    /// Forgets what rows are gathered by.
    fn forget_form(&mut self);

    /// The table as it was last committed.
    fn table(&self) -> &LakeTable {
        self.changes().table()
    }

    /// Whether there is anything to commit.
    fn is_dirty(&self) -> bool {
        self.changes().is_dirty()
    }

    /// Throws away what is not committed.
    fn discard(&mut self) {
        self.changes_mut().discard();
        self.forget_form();
    }
}

/// One stream of a log, on a plain thread.
pub trait Session: Send + 'static {
    /// The log.
    type Log: Log;

    /// Streams until the goal, a request, or a failure of the whole. Blocks.
    ///
    /// # Errors
    /// The source's or the lake's, where they concern all tables.
    fn run(&mut self) -> Result<Ended>;

    /// The tables.
    fn following(&mut self) -> &mut Following<Self::Log>;
}

/// A log of a server that keeps no place for us.
pub trait Log: Sized + 'static {
    /// A place in it.
    type Place: Place;
    /// How a table is followed.
    type Plan: Plan;
    /// Takes the changes of one table.
    type Writer: Writer<Plan = Self::Plan>;
    /// What a table has already.
    type Has: From<Position> + Send;
    /// What must be the same for all chunks of a table that is copied in chunks.
    type Terms: Serialize + DeserializeOwned + PartialEq + Send;
    /// What the rows of a chunk are chosen by.
    type Condition: Send + Sync;
    /// What asks the server.
    type Control: Send;
    /// What was found out before a session.
    type Found: Send;
    /// One stream of it.
    type Session: Session<Log = Self>;

    /// Opens what asks the server.
    ///
    /// # Errors
    /// The source's.
    fn open(
        &self,
        address: &SourceAddress,
        job: &UnitJob,
    ) -> impl Future<Output = Result<Self::Control>>;

    /// Asks everybody, decides of each table, and makes what is missing.
    ///
    /// # Errors
    /// Whatever concerns the unit as a whole.
    fn prepare(
        &self,
        preparation: &Preparation<'_, Self>,
        control: Self::Control,
    ) -> impl Future<Output = Result<(Self::Control, Prepared<Self>)>>;

    /// Takes a place, and begins to copy tables behind it.
    ///
    /// # Errors
    /// There is no place. A lake table that cannot take the columns is in `failures`; the others are begun all the same.
    fn copy(
        &self,
        copier: &Copier<'_, Self>,
        control: Self::Control,
        found: &mut Self::Found,
        copies: Vec<Copy<Self>>,
        failures: &mut Vec<(usize, Error)>,
    ) -> impl Future<Output = Result<(Self::Control, Copying)>>;

    /// The session that follows the tables from a place on; where it `ends` by itself, that is where the server was found.
    fn session(
        &mut self,
        control: &Self::Control,
        found: Self::Found,
        begins: Self::Place,
        following: Following<Self>,
        ends: bool,
    ) -> Self::Session;

    /// A session has ended.
    fn ended(&mut self, session: Self::Session) {
        drop(session);
    }

    /// What the rows are that a plan makes, of which the first were read at a place.
    fn terms(plan: &Self::Plan, place: &Self::Place) -> Self::Terms;

    /// Where the first chunk of a copy was read; `None` when that cannot be told.
    fn since(partial: &Partial<Self::Terms>) -> Option<Self::Place>;

    /// What the rows of each chunk are chosen by.
    fn conditions(cut: &Cut) -> Vec<Self::Condition>;
}
