//! The flow of changes from an application's Postgres to the raw lake: the function is the arrow.
//!
//! ```text
//!   prepare ── what server, publication, slot and lake say ──▶ sync::assess
//!      │ copies (new tables)                    │ followed tables
//!      ▼                                        ▼
//!   copy ── under a slot's snapshot        session ── stream ▶ writer ▶ commit ▶ acknowledge
//!      └────────── ended ──▶ regroup ◀──────────┘
//! ```
//!
//! A session has a fixed set of tables. When a copy ends, or a table has to be copied, the session ends at the next
//! border between transactions and is prepared anew; what the copied table missed is sent again from where it held
//! the slot, and the others skip it by their positions.

pub mod adopt;
mod candidate;
pub mod cap;
pub mod copy;
pub mod followed;
pub mod goal;
pub mod handover;
pub mod partial;
pub mod phase;
pub mod plan;
pub mod prepare;
pub mod session;
pub mod shape;
pub mod state;
pub mod watch;
pub mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use c4model::platform::{ApplicationPostgres, RawLake};
use c4model::{Sink, Source};
use ol_lake::Lake;

use self::copy::Copying;
use self::goal::Goal;
use self::prepare::{Preparation, Prepared};
use self::session::Session;
use self::watch::{Watch, Watched};
use super::UnitJob;
use super::change::copying::Copied;
use super::change::{Ended, Pace, TableEnd, TableEnds, Writing, attempts};
use crate::error::{Doing, Error, Result, Transient};
use crate::report::TableReport;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::replication::slot::Control;
use crate::source::postgres::replication::stream::ReplicationStream;
use crate::source::postgres::settings::{Settings, SourceAddress};
use crate::sync::Progress;

pub use plan::CapturePlan;
pub use state::forget;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When everything that the source had logged at the beginning of the last session is in the lake.
    CaughtUp,
    /// On request.
    Stopped,
}

/// What is to be followed.
pub struct CaptureJob {
    /// The whole unit: one slot serves all its tables.
    pub job: Arc<UnitJob>,
    /// The tables of it that are followed by their changes.
    pub tables: Vec<usize>,
    /// When to stop.
    pub until: Until,
}

c4model::flow! { postgres_change_capture {
    moves: "Row changes",
    tech: "Logical replication",
    tech_onward: "Parquet, Iceberg",
    idempotent: "each change once, by its place in the log",
    kind: Event,
    by: Through,
    owner: "data platform",
    cadence: "as it happens, or by Dagster",
    retry: "3 tries, backoff",
    timeout: "600 s without a byte",
} }
/// Follows the changes of a unit's tables. Every table is in the answer.
///
/// # Errors
/// None: what concerns the unit as a whole is in the report of each of its tables.
pub async fn postgres_change_capture(
    source: Source<ApplicationPostgres, SourceAddress>,
    sink: Sink<RawLake, Arc<Lake>>,
    capture: CaptureJob,
) -> Result<Vec<TableReport>> {
    let started = Instant::now();
    let mut run = Run {
        capture: &capture,
        lake: sink.endpoint(),
        ends: BTreeMap::new(),
        held: BTreeMap::new(),
        copying: None,
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
    let moved = |end: &TableEnd| (end.tally.rows + end.tally.deletes, end.tally.bytes);
    for (rows, bytes) in run.ends.values().map(moved) {
        sink.moved(rows, bytes);
    }
    Ok(reports)
}

/// One run over a unit.
struct Run<'a> {
    capture: &'a CaptureJob,
    lake: &'a Arc<Lake>,
    ends: TableEnds,
    /// Where failed tables hold the slot, over sessions.
    held: BTreeMap<usize, u64>,
    /// Copies under way; they outlive a session and its failure.
    copying: Option<Copying>,
}

impl Run<'_> {
    fn job(&self) -> &UnitJob {
        &self.capture.job
    }

    /// Sessions, until the goal or a failure of the whole.
    async fn attempt(&mut self, address: &SourceAddress) -> Result<()> {
        let (url, settings) = address.resolve().await?;
        let opened = Control::open(&settings).await;
        // The address is a fact of the failure; it shows no password.
        let mut control = opened.map_err(|error| {
            error
                .into_error(Doing::Connecting)
                .with("source", &url)
                .with("variable", address.variable())
        })?;
        prepare::lock(&mut control, &self.job().unit).await?;
        self.sessions(&settings, control).await
    }

    async fn sessions(&mut self, settings: &Settings, mut control: Control) -> Result<()> {
        loop {
            if self.job().context.shutdown.is_requested() {
                return Err(Error::new(Transient::Stopped));
            }
            self.harvest();
            let active: Vec<usize> =
                self.copying.iter().flat_map(|running| running.tables.keys().copied()).collect();
            let mut prepared = self.preparation(settings, &active).prepare(control).await?;
            for (index, error) in std::mem::take(&mut prepared.failures) {
                self.failed(index, error);
            }
            if let Some(keeper) = prepared.keeper.take() {
                let copies = std::mem::take(&mut prepared.copies);
                let mut failures = Vec::new();
                let job = &self.capture.job;
                let (lake, settings) = (self.lake, settings.clone());
                let copying = copy::begin(lake, job, settings, keeper, copies, &mut failures).await;
                self.copying = Some(copying);
                for (index, error) in failures {
                    self.failed(index, error);
                }
            }
            if prepared.followed.is_empty() {
                control = prepared.control;
                if !self.wait_for_copies().await {
                    return attempts::first_transient(&mut self.ends);
                }
                continue;
            }
            let (ended, back) = self.session(settings, prepared).await?;
            control = back;
            match ended {
                Ended::Stopped => return Err(Error::new(Transient::Stopped)),
                Ended::Regroup => {}
                Ended::Reached if self.copying.is_none() => {
                    return attempts::first_transient(&mut self.ends);
                }
                Ended::Reached => {}
            }
        }
    }

    /// Takes note of the copies that have ended.
    fn harvest(&mut self) {
        let Some(running) = self.copying.take() else { return };
        let (copied, rest) = running.harvest();
        self.copying = rest;
        self.copied(copied);
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

    fn preparation<'b>(&'b self, settings: &'b Settings, copying: &'b [usize]) -> Preparation<'b> {
        let job = &self.capture.job;
        let config = &job.context.config;
        Preparation {
            lake: self.lake,
            namespace: job.context.platform.raw_namespace(),
            unit: &job.unit,
            tables: &self.capture.tables,
            copying,
            settings,
            cap_bytes: config.stream.cap_bytes,
            run_id: &job.run_id,
            writing: Writing::of(job),
            from_slot: job.context.from_slot.as_deref(),
            shutdown: job.context.shutdown.clone(),
        }
    }

    async fn session(
        &mut self,
        settings: &Settings,
        prepared: Prepared,
    ) -> Result<(Ended, Control)> {
        let copying = self.copying.as_ref();
        let regroup = copying.map(|running| Arc::clone(&running.regroup)).unwrap_or_default();
        let job = &self.capture.job;
        let stream_settings = &job.context.config.stream;
        let mut progress = Progress::new(prepared.confirmed, prepared.recorded);
        self.held.extend(prepared.holds);
        let copied = copying.iter().flat_map(|running| &running.tables);
        for (index, since) in self.held.iter().chain(copied) {
            progress.hold(*index, *since);
        }
        let goal = match (self.capture.until, copying.is_some()) {
            (Until::CaughtUp, false) => prepared.goal,
            (Until::CaughtUp, true) | (Until::Stopped, _) => Goal::Endless,
        };
        let watched = Watched {
            unit: job.unit.id.to_string(),
            name: prepared.name.clone(),
            publication: prepared.publication,
            cap: prepared.cap,
            hold_bytes: stream_settings.hold_bytes,
        };
        let watch = Watch::new(prepared.control, prepared.catalog, watched);
        let mut session = Session {
            lake: Arc::clone(self.lake),
            unit: Arc::clone(&job.unit),
            runtime: tokio::runtime::Handle::current(),
            shutdown: job.context.shutdown.clone(),
            progress,
            tables: prepared.followed.into_iter().map(Some).collect(),
            pace: Pace::of(stream_settings),
            goal,
            regroup,
            watch,
            ends: BTreeMap::new(),
            held: std::mem::take(&mut self.held),
        };
        let (settings, shutdown) = (settings.clone(), job.context.shutdown.clone());
        let (name, confirmed) = (prepared.name, prepared.confirmed);
        let running = tokio::task::spawn_blocking(move || {
            let starting = |error| SourceError::from(error).into_error(Doing::StartingStream);
            let streamed = ReplicationStream::open(&settings, shutdown)
                .and_then(|mut stream| {
                    stream.start(&name, &name, confirmed)?;
                    Ok(stream)
                })
                .map_err(starting);
            let ended = streamed.and_then(|stream| session.run(stream));
            // Writers with files under way wait for their encoders when they go, which no asynchronous thread may.
            session.tables.clear();
            (ended, session)
        });
        let (ended, session) = match running.await {
            Ok(both) => both,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        attempts::add(&mut self.ends, session.ends);
        self.held = session.held;
        Ok((ended?, session.watch.into_control()))
    }

    fn copied(&mut self, copied: Vec<Copied>) {
        for (index, result) in copied {
            if result.is_ok() {
                self.held.remove(&index);
            }
            attempts::copied(&self.capture.job, &mut self.ends, index, result);
        }
    }

    fn failed(&mut self, index: usize, error: Error) {
        attempts::failed(&self.capture.job, &mut self.ends, index, error);
    }
}
