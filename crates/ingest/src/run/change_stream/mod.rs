//! The flow of changes from a forum's MongoDB to the raw lake: the function is the arrow.
//!
//! One stream over the database serves all collections of the unit. How a run over a unit goes is told by
//! [`crate::run::change::run`].
//!
//! **Each change exactly once.** The server tells the changes of a database in one order, the same one whenever and from
//! wherever it is asked. A change is placed by its time in the cluster and its number among the changes of that time; that
//! number is counted over all changes of the database, so it does not depend on which collections are followed, and a stream
//! that is opened behind a change goes on counting where the table's place says. Rows and the place they reach are one snapshot
//! (I1), and a commit is refused unless the table still is where this process left it; a change that is not beyond a table's
//! place is passed over. So each change is in the lake once, whatever dies when.
//!
//! **Merged tables come to the source's state.** What comes of a change is the document as it is when the server looks it up,
//! `D(t)` with `t` not before the change, or nothing if it is gone by then. Let `e` be the last event of a key that was taken
//! into a table, and `t` the time of the server's answer. If `e` is a delete, the key is gone at its time. If `e` is an insert or
//! a replacement, it has the document of its own time. If it is an update, the row is `D(t)`; had the document changed
//! between `e` and `t`, an event of that change would come behind `e`. So when every event up to a time `T` is taken, and
//! none of the key is behind `T`, the row is the document at `T`. Until then a row may show what is later than its place:
//! a value that the source really held, replaced by what comes behind it. An update whose document was gone is
//! passed over, because the delete is behind it. A copy is such an answer, too: it shows each document as it was at some time
//! not before the place, and every change behind the place comes.
//!
//! **A log tells each change once**, with its place, its time and what it was; what it tells of an update is the document *as
//! it was looked up*, `_ol_document` NULL if it was gone. Two updates in quick succession may show the same document. Of a
//! delete the key alone is known. Rows of the copy (`r`) may show a change that comes behind them once more as `i`, `u` or `d`: the
//! latest row of a key, by `_ol_position`, is right all the same.
//!
//! **Two processes.** MongoDB has no lock for such a purpose. Two that follow one unit take the same changes, and of their
//! commits each table takes one: the other is refused, as the table has moved, and begins anew where it is. Nothing is lost
//! or doubled; it costs the work of both.

pub mod copy;
pub mod partial;
pub mod plan;
pub mod prepare;
pub mod session;
pub mod state;
pub mod writer;

use std::sync::Arc;
use std::time::Duration;

use c4model::platform::{Forum, RawLake};
use c4model::{Sink, Source};
use ol_chassis::secret::SecretUrl;
use ol_chassis::shutdown::Shutdown;
use ol_lake::{Lake, LakeTable};

use self::partial::{Partial, Terms};
pub use self::plan::CapturePlan;
use self::prepare::{Copy, Found, Preparation, Prepared};
use self::session::Session;
use self::state::Place;
use self::writer::TableWriter;
use super::capture::CaptureJob;
use super::change::copy::{Copier, Copying};
use super::change::log::{Log, Writer as _};
use super::change::place;
use super::change::run::Run;
use super::change::session::Following;
use super::unit::UnitJob;
use crate::error::{Definite, Doing, Error, Result};
use crate::load::chunks::Cut;
use crate::position::Position;
use crate::report::TableReport;
use crate::source::address::SourceAddress;
use crate::source::mongodb::change_stream::{ChangeStream, pipeline};
use crate::source::mongodb::chunks::{self as source_chunks, Bounds};
use crate::source::mongodb::error::SourceError;
use crate::source::mongodb::session::{Session as Connection, Wanted, look};
use crate::source::mongodb::settings::Settings;

/// A server that answers nothing for so long, to a question that waits for less than a second, is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Whether a table follows a change stream.
#[must_use]
pub fn follows(table: &LakeTable) -> bool {
    place::own::<Place>(table).is_some()
}

c4model::flow! { mongodb_change_capture {
    moves: "Changed documents",
    tech: "MongoDB change stream",
    tech_onward: "Parquet, Iceberg",
    idempotent: "each change once, by its place in the stream",
    kind: Event,
    by: Through,
    owner: "data platform",
    cadence: "as it happens, or by Dagster",
    retry: "3 tries, backoff",
    timeout: "60 s without an answer",
} }
/// Follows the changes of a unit's collections. Every table is in the answer.
///
/// # Errors
/// None: what concerns the unit as a whole is in the report of each of its tables.
pub async fn mongodb_change_capture(
    source: Source<Forum, SourceAddress>,
    sink: Sink<RawLake, Arc<Lake>>,
    capture: CaptureJob,
) -> Result<Vec<TableReport>> {
    let log = ReplicaSet { shutdown: capture.job.context.shutdown.clone() };
    let run = Run::new(&capture, sink.endpoint(), log);
    Ok(run.follow(source.endpoint(), |rows, bytes| sink.moved(rows, bytes)).await)
}

/// The log of a replica set.
pub struct ReplicaSet {
    shutdown: Shutdown,
}

/// Where the source is.
pub struct Control {
    /// Held for as long as the source is read, so that leased credentials are renewed.
    url: SecretUrl,
    variable: String,
    settings: Settings,
}

impl Log for ReplicaSet {
    type Place = Place;
    type Plan = CapturePlan;
    type Writer = TableWriter;
    type Has = Position;
    type Terms = Terms;
    type Condition = Bounds;
    type Control = Control;
    type Found = Found;
    type Session = Session;

    async fn open(&self, address: &SourceAddress, _job: &UnitJob) -> Result<Control> {
        let (url, settings) = Settings::resolve(address).await?;
        Ok(Control { url, variable: address.variable(), settings })
    }

    async fn prepare(
        &self,
        preparation: &Preparation<'_>,
        control: Control,
    ) -> Result<(Control, Prepared)> {
        let wanted = Wanted::of(preparation.unit);
        let looked = look(&control.settings, wanted, self.shutdown.clone()).await;
        // The address is a fact of the failure; it shows no password.
        let (session, catalog) = looked.map_err(|error| {
            error.with("source", &control.url).with("variable", &control.variable)
        })?;
        let asked = blocking(session, |session| {
            session.operation_time()?.ok_or(SourceError::NotReplicated)
        });
        let (session, now) =
            asked.await.map_err(|error| error.into_error(Doing::StartingStream))?;
        let found = Found { source: identity(&session), now, session: Some(session) };
        Ok((control, preparation.prepare(found, &catalog).await?))
    }

    async fn copy(
        &self,
        copier: &Copier<'_, Self>,
        control: Control,
        found: &mut Found,
        copies: Vec<Copy>,
        failures: &mut Vec<(usize, Error)>,
    ) -> Result<(Control, Copying)> {
        let Some(session) = found.session.take() else {
            return Err(Error::new(Definite::Defect).with("reason", "copies were begun twice"));
        };
        let with = (&control.settings, session);
        let copying = copy::begin(copier, with, copies, failures).await?;
        Ok((control, copying))
    }

    fn session(
        &mut self,
        control: &Control,
        found: Found,
        begins: Place,
        following: Following<Self>,
        ends: bool,
    ) -> Session {
        let followed = following.tables.iter().flatten();
        let stages = pipeline::stages(followed.map(|followed| &followed.writer.plan().read));
        let (settings, shutdown) = (quick(&control.settings), self.shutdown.clone());
        let (database, received) = (settings.database.clone(), begins.clone());
        let open = move || {
            let since = begins.position.to_string();
            let after = (Some(&begins.token), since.as_str());
            ChangeStream::open(&settings, &settings.database, stages, after, &shutdown)
        };
        let (open, goal): (Option<session::Open>, _) =
            (Some(Box::new(open)), ends.then_some(found.now));
        Session { following, open, database, goal, received }
    }

    fn terms(plan: &CapturePlan, place: &Place) -> Terms {
        Terms::of(plan, place)
    }

    fn since(partial: &Partial) -> Option<Place> {
        Some(partial::since(partial))
    }

    fn conditions(cut: &Cut) -> Vec<Bounds> {
        source_chunks::bounds(cut)
    }
}

/// The same settings for questions whose answers wait for nothing.
fn quick(settings: &Settings) -> Settings {
    Settings { stall_limit: settings.stall_limit.min(SILENCE), ..settings.clone() }
}

/// What tells a server from others: the replica set that it is a member of.
#[must_use]
pub fn identity(session: &Connection) -> String {
    format!("mongodb:{}", session.replica_set.as_deref().unwrap_or_default())
}

/// Asks something of a connection, which blocks.
///
/// # Errors
/// What `work` returns.
pub async fn blocking<T: Send + 'static>(
    session: Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, SourceError> + Send + 'static,
) -> Result<(Connection, T), SourceError> {
    let task = tokio::task::spawn_blocking(move || {
        let mut session = session;
        let done = work(&mut session)?;
        Ok((session, done))
    });
    match task.await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
