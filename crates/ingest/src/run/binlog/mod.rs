//! The flow of changes from an Open edX deployment's MySQL to the raw lake: the function is the arrow.
//!
//! ```text
//!   prepare ── what server, catalog and lake say
//!      │ copies (new tables)              │ followed tables
//!      ▼                                  ▼
//!   copy ── under one snapshot ─ ─ ▶ session ── log ▶ writer ▶ commit
//!                        beside it        └▶ prepare again: a table was copied, or changed
//! ```
//!
//! The server keeps its log by its own rules, whoever reads it, so nothing is acknowledged and nothing is held back: a table
//! that fails, or is copied for long, harms nobody but itself. What it costs is that the log may be gone one day from where a
//! table is, which is definite.
//!
//! **Each change exactly once.** Rows and the place they reach are one snapshot (I1), and a commit is refused unless the table
//! still is where this process left it. The log is read from the least place of all tables on; what a table has already is
//! passed over change by change, by its place, or, on another server than before, by the id of its transaction.

pub mod copy;
pub mod followed;
mod moment;
pub mod partial;
pub mod plan;
pub mod prepare;
pub mod session;
pub mod state;
mod transaction;
pub mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use c4model::platform::{OpenEdxMysql, RawLake};
use c4model::{Sink, Source};
use ol_lake::{Lake, LakeTable};

use self::copy::{Copier, Copying};
pub use self::plan::CapturePlan;
use self::prepare::{Copy, Preparation, Prepared, open_control, replica_id};
use self::session::{Log, Session};
use super::capture::{CaptureJob, Until};
use super::change::copying::Copied;
use super::change::{Ended, Pace, TableEnds, Writing, attempts};
use super::unit::UnitJob;
use crate::error::{Doing, Error, Result, Transient};
use crate::position::LogPlace;
use crate::report::TableReport;
use crate::source::address::SourceAddress;
use crate::source::mysql::binlog::stream::BinlogStream;
use crate::source::mysql::session::Session as Control;
use crate::source::mysql::settings::Settings;

/// Whether a table follows a log.
#[must_use]
pub fn follows(table: &LakeTable) -> bool {
    state::own(table).is_some()
}

c4model::flow! { mysql_change_capture {
    moves: "Row changes",
    tech: "Binary log",
    tech_onward: "Parquet, Iceberg",
    idempotent: "each change once, by its place in the log",
    kind: Event,
    by: Through,
    owner: "data platform",
    cadence: "as it happens, or by Dagster",
    retry: "3 tries, backoff",
    timeout: "60 s without a heartbeat",
} }
/// Follows the changes of a unit's tables. Every table is in the answer.
///
/// # Errors
/// None: what concerns the unit as a whole is in the report of each of its tables.
pub async fn mysql_change_capture(
    source: Source<OpenEdxMysql, SourceAddress>,
    sink: Sink<RawLake, Arc<Lake>>,
    capture: CaptureJob,
) -> Result<Vec<TableReport>> {
    let started = Instant::now();
    let mut run = Run {
        capture: &capture,
        lake: sink.endpoint(),
        ends: TableEnds::new(),
        taken_back: BTreeSet::new(),
        copying: None,
        failed: BTreeSet::new(),
        again_at: None,
    };
    let failure = attempts::attempts(&capture.job, capture.until, async || {
        run.attempt(source.endpoint()).await
    })
    .await;
    if let Some(copying) = run.copying.take() {
        let copied = copying.join().await;
        run.copied(copied);
    }
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
    taken_back: BTreeSet<LogPlace>,
    /// Copies under way; they outlive a session and its failure.
    copying: Option<Copying>,
    /// Tables that failed; they wait for the next attempt.
    failed: BTreeSet<usize>,
    /// When those of them that failed for the time being are tried again, in a stream that has no end.
    again_at: Option<Instant>,
}

/// After so long a stream tries tables again that failed for the time being.
const AGAIN: Duration = Duration::from_secs(60);

impl Run<'_> {
    fn job(&self) -> &UnitJob {
        &self.capture.job
    }

    /// Sessions, until the goal or a failure of the whole.
    async fn attempt(&mut self, address: &SourceAddress) -> Result<()> {
        let (url, settings) = Settings::resolve(address).await?;
        let (unit, shutdown) = (&self.job().unit, self.job().context.shutdown.clone());
        // The address is a fact of the failure; it shows no password.
        let mut control = open_control(&settings, unit, shutdown)
            .await
            .map_err(|error| error.with("source", &url).with("variable", address.variable()))?;
        self.failed.clear();
        self.again_at = None;
        loop {
            if self.job().context.shutdown.is_requested() {
                return Err(Error::new(Transient::Stopped));
            }
            if self.again_at.take_if(|at| *at <= Instant::now()).is_some() {
                self.failed.retain(|index| !fails_for_now(&self.ends, *index));
            }
            if let Some(running) = self.copying.take() {
                let (copied, rest) = running.harvest();
                self.copying = rest;
                self.copied(copied);
            }
            let copying = self.copying.as_ref();
            let is_free = |index: &usize| {
                !self.failed.contains(index)
                    && !copying.is_some_and(|running| running.tables.contains_key(index))
            };
            let tables: Vec<usize> = self.capture.tables.iter().copied().filter(is_free).collect();
            let (back, mut prepared) =
                self.preparation(&settings, &tables).prepare(control).await?;
            control = back;
            for (index, error) in std::mem::take(&mut prepared.failures) {
                self.failed(index, error);
            }
            let copies = std::mem::take(&mut prepared.copies);
            let mut must_wait = !copies.is_empty();
            if must_wait && self.copying.is_none() {
                control = self.copy(&settings, prepared.epoch, control, copies).await?;
                must_wait = false;
            }
            if prepared.followed.is_empty() {
                if !self.wait_for_copies().await && !must_wait {
                    return attempts::first_transient(&mut self.ends);
                }
                continue;
            }
            match self.session(&settings, prepared).await? {
                Some(Ended::Stopped) => return Err(Error::new(Transient::Stopped)),
                Some(Ended::Reached) | None if self.copying.is_none() => {
                    return attempts::first_transient(&mut self.ends);
                }
                Some(Ended::Regroup | Ended::Reached) | None => {}
            }
        }
    }

    /// Begins to copy tables.
    async fn copy(
        &mut self,
        settings: &Settings,
        epoch: u16,
        control: Control,
        copies: Vec<Copy>,
    ) -> Result<Control> {
        let copier = Copier { lake: self.lake, job: &self.capture.job, settings, epoch };
        let mut failures = Vec::new();
        let (control, copying) = copier.begin(control, copies, &mut failures).await?;
        self.copying = Some(copying);
        for (index, error) in failures {
            self.failed(index, error);
        }
        Ok(control)
    }

    /// Waits until a table can be followed; whether one can.
    async fn wait_for_copies(&mut self) -> bool {
        let Some(running) = self.copying.take() else { return false };
        let (copied, rest) = running.wait().await;
        self.copying = rest;
        let is_any = copied.iter().any(|(_, result)| result.is_ok());
        self.copied(copied);
        is_any
    }

    fn preparation<'b>(&'b self, settings: &Settings, tables: &'b [usize]) -> Preparation<'b> {
        let job = &self.capture.job;
        Preparation {
            lake: self.lake,
            namespace: job.context.platform.raw_namespace(),
            unit: &job.unit,
            tables,
            database: settings.database.clone(),
            run_id: &job.run_id,
            writing: Writing::of(self.job()),
        }
    }

    /// One session; `None` when there is no table to follow.
    async fn session(&mut self, settings: &Settings, prepared: Prepared) -> Result<Option<Ended>> {
        let Some((from, begins)) = prepared.from() else { return Ok(None) };
        let job = &self.capture.job;
        let copying = self.copying.as_ref();
        let stream_settings = &job.context.config.stream;
        let place = begins.log();
        let is_of_server = place.epoch == prepared.epoch;
        let received = match is_of_server {
            true => place,
            // Where the server begins is said by its first events.
            false => LogPlace { epoch: prepared.epoch, file: 0, offset: 0 },
        };
        let (file, offset) = prepared.server.end;
        let goal = LogPlace { epoch: prepared.epoch, file, offset };
        let mut session = Session {
            lake: Arc::clone(self.lake),
            unit: Arc::clone(&job.unit),
            runtime: tokio::runtime::Handle::current(),
            shutdown: job.context.shutdown.clone(),
            tables: prepared.followed.into_iter().map(Some).collect(),
            charsets: prepared.charsets,
            pace: Pace::of(stream_settings),
            goal: (self.capture.until == Until::CaughtUp && copying.is_none()).then_some(goal),
            regroup: copying.map(|running| Arc::clone(&running.regroup)).unwrap_or_default(),
            again_at: self.again_at,
            taken_back: std::mem::take(&mut self.taken_back),
            ends: TableEnds::new(),
            log: Log {
                source: prepared.server.identity,
                received,
                gtids: begins.gtids,
                recorded: place,
            },
        };
        let (settings, shutdown) = (settings.clone(), job.context.shutdown.clone());
        let replica = replica_id(&job.unit);
        let has_checksum = prepared.server.has_checksum;
        let running = tokio::task::spawn_blocking(move || {
            let starting = |error: crate::source::mysql::error::SourceError| {
                error.into_error(Doing::StartingStream)
            };
            let streamed = BinlogStream::open(&settings, &from, replica, has_checksum, shutdown);
            let ended = streamed.map_err(starting).and_then(|stream| session.run(stream));
            // Writers with files under way wait for their encoders when they go, which no asynchronous thread may.
            session.tables.clear();
            (ended, session)
        });
        let (ended, session) = match running.await {
            Ok(both) => both,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        attempts::add(&mut self.ends, session.ends);
        self.taken_back = session.taken_back;
        ended.map(Some)
    }

    fn copied(&mut self, copied: Vec<Copied>) {
        for (index, result) in copied {
            match result {
                Err(error) => self.failed(index, error),
                Ok(_) => attempts::copied(&self.capture.job, &mut self.ends, index, result),
            }
        }
    }

    fn failed(&mut self, index: usize, error: Error) {
        if error.is_transient() && self.capture.until == Until::Stopped {
            self.again_at.get_or_insert_with(|| Instant::now() + AGAIN);
        }
        self.failed.insert(index);
        attempts::failed(&self.capture.job, &mut self.ends, index, error);
    }
}

/// Whether a table failed for a reason that passes.
fn fails_for_now(ends: &TableEnds, index: usize) -> bool {
    let failure = ends.get(&index).and_then(|end| end.failure.as_ref());
    failure.is_some_and(Error::is_transient)
}
