//! The flow of changes from a forum's MongoDB to the raw lake: the function is the arrow.
//!
//! ```text
//!   prepare ── what the catalog and the lake say
//!      │ copies (new tables)              │ followed tables
//!      ▼                                  ▼
//!   copy ── behind a noted place       session ── change stream ▶ writer ▶ commit
//!      └────────── prepare again ◀────────┘ a collection was dropped or renamed
//! ```
//!
//! One stream over the database serves all collections of the unit. The server keeps its log by its own rules, whoever reads
//! it, so nothing is acknowledged and nothing is held back; what it costs is that the log may be gone one day from where a
//! table is, which is definite.
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
pub mod followed;
pub mod plan;
pub mod prepare;
pub mod session;
pub mod state;
pub mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use c4model::platform::{Forum, RawLake};
use c4model::{Sink, Source};
use ol_lake::{Lake, LakeTable};

use self::copy::Copying;
pub use self::plan::CapturePlan;
use self::prepare::{Preparation, Prepared};
use self::session::Session;
use super::capture::{CaptureJob, Until};
use super::change::{Ended, Pace, TableEnds, Writing, attempts};
use super::unit::UnitJob;
use crate::error::{Doing, Error, Result, Transient};
use crate::position::ClusterTime;
use crate::report::TableReport;
use crate::source::address::SourceAddress;
use crate::source::mongodb::change_stream::{ChangeStream, pipeline};
use crate::source::mongodb::error::SourceError;
use crate::source::mongodb::session::{Session as Connection, Source as Opened, Wanted};
use crate::source::mongodb::settings::Settings;

/// A server that answers nothing for so long, to a question that waits for less than a second, is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Whether a table follows a change stream.
#[must_use]
pub fn follows(table: &LakeTable) -> bool {
    state::own(table).is_some()
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
    let started = Instant::now();
    let mut run = Run { capture: &capture, lake: sink.endpoint(), ends: TableEnds::new() };
    let failure = attempts::attempts(&capture.job, capture.until, async || {
        run.attempt(source.endpoint()).await
    })
    .await;
    let seconds = started.elapsed().as_secs_f64();
    let reports =
        attempts::reports(&capture.job, &capture.tables, &run.ends, failure.as_ref(), seconds);
    for end in run.ends.values() {
        sink.moved(end.tally.rows + end.tally.deletes, end.tally.bytes);
    }
    Ok(reports)
}

/// One run over a unit.
struct Run<'a> {
    capture: &'a CaptureJob,
    lake: &'a Arc<Lake>,
    ends: TableEnds,
}

impl Run<'_> {
    fn job(&self) -> &UnitJob {
        &self.capture.job
    }

    /// Sessions, until the goal or a failure of the whole.
    async fn attempt(&mut self, address: &SourceAddress) -> Result<()> {
        // A table that fails waits for the next attempt.
        let mut failed = BTreeSet::new();
        loop {
            let job = self.job();
            if job.context.shutdown.is_requested() {
                return Err(Error::new(Transient::Stopped));
            }
            let opened =
                Opened::open(address, Wanted::of(&job.unit), job.context.shutdown.clone()).await?;
            let Opened { settings, session, catalog, .. } = &opened;
            let wanted = self.capture.tables.iter().copied();
            let tables: Vec<usize> = wanted.filter(|index| !failed.contains(index)).collect();
            let source = identity(session);
            let preparation = Preparation {
                lake: self.lake,
                namespace: job.context.platform.raw_namespace(),
                unit: &job.unit,
                tables: &tables,
                catalog,
                source: &source,
                run_id: &job.run_id,
                writing: Writing::of(job),
            };
            let mut prepared = preparation.prepare().await?;
            for (index, error) in std::mem::take(&mut prepared.failures) {
                attempts::failed(&self.capture.job, &mut self.ends, index, error);
                failed.insert(index);
            }
            let mut settings = settings.clone();
            settings.stall_limit = settings.stall_limit.min(SILENCE);
            let copies = std::mem::take(&mut prepared.copies);
            if !copies.is_empty() {
                let copying = Copying {
                    lake: self.lake,
                    job: &self.capture.job,
                    settings: &settings,
                    writing: Writing::of(self.job()),
                };
                for (index, result) in copying.run(opened.session, copies).await? {
                    if result.is_err() {
                        failed.insert(index);
                    }
                    attempts::copied(&self.capture.job, &mut self.ends, index, result);
                }
                continue;
            }
            let asked = blocking(opened.session, |session| {
                session.operation_time()?.ok_or(SourceError::NotReplicated)
            });
            let (_, now) = asked.await.map_err(|error| error.into_error(Doing::StartingStream))?;
            match self.session(&settings, prepared, now, &mut failed).await? {
                Some(Ended::Stopped) => return Err(Error::new(Transient::Stopped)),
                Some(Ended::Regroup) => {}
                Some(Ended::Reached) | None => return attempts::first_transient(&mut self.ends),
            }
        }
    }

    /// One session, of which all that happened before `now` is the goal; `None` when there is no table to follow.
    async fn session(
        &mut self,
        settings: &Settings,
        prepared: Prepared,
        now: ClusterTime,
        failed: &mut BTreeSet<usize>,
    ) -> Result<Option<Ended>> {
        let Some(begins) = prepared.from() else { return Ok(None) };
        let job = &self.capture.job;
        let plans = prepared.followed.iter().map(|followed| &followed.writer.plan().read);
        let stages = pipeline::stages(plans);
        let mut session = Session {
            lake: Arc::clone(self.lake),
            unit: Arc::clone(&job.unit),
            database: settings.database.clone(),
            runtime: tokio::runtime::Handle::current(),
            shutdown: job.context.shutdown.clone(),
            tables: prepared.followed.into_iter().map(Some).collect(),
            pace: Pace::of(&job.context.config.stream),
            goal: (self.capture.until == Until::CaughtUp).then_some(now),
            ends: TableEnds::new(),
            recorded: begins.position,
            received: begins.clone(),
        };
        let (settings, shutdown) = (settings.clone(), job.context.shutdown.clone());
        let running = tokio::task::spawn_blocking(move || {
            let since = begins.position.to_string();
            let after = (Some(&begins.token), since.as_str());
            let stream =
                ChangeStream::open(&settings, &settings.database, stages, after, &shutdown);
            let ended = session.run(stream);
            // Writers with files under way wait for their encoders when they go, which no asynchronous thread may.
            session.tables.clear();
            (ended, session)
        });
        let (ended, session) = match running.await {
            Ok(both) => both,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let left = session.ends.iter().filter(|(_, end)| end.failure.is_some());
        failed.extend(left.map(|(index, _)| *index));
        attempts::add(&mut self.ends, session.ends);
        ended.map(Some)
    }
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
