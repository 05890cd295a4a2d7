//! One run over a unit whose source's log keeps no place for us.
//!
//! ```text
//!   prepare ── what server, catalog and lake say
//!      │ copies (new tables)              │ followed tables
//!      ▼                                  ▼
//!   copy ── behind a place taken first ▶ session ── log ▶ writer ▶ commit
//!                        beside it        └▶ prepare again: a table was copied, or changed
//! ```
//!
//! The server keeps its log by its own rules, whoever reads it, so nothing is acknowledged and nothing is held back: a table
//! that fails, or is copied for long, harms nobody but itself. What it costs is that the log may be gone one day from where a
//! table is, which is definite.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ol_lake::Lake;

use super::copy::{Copier, Copying};
use super::copying::Copied;
use super::log::{Log, Session as _};
use super::place::Place as _;
use super::prepare::{Copy, Preparation, Prepared};
use super::session::Following;
use super::{Ended, Pace, TableEnds, Writing, attempts};
use crate::error::{Error, Result, Transient};
use crate::report::TableReport;
use crate::run::UnitJob;
use crate::run::capture::{CaptureJob, Until};
use crate::source::address::SourceAddress;

/// After so long a stream tries tables again that failed for the time being.
const AGAIN: Duration = Duration::from_secs(60);

/// One run over a unit.
pub struct Run<'a, L: Log> {
    capture: &'a CaptureJob,
    lake: &'a Arc<Lake>,
    log: L,
    ends: TableEnds,
    /// Copies under way; they outlive a session and its failure.
    copying: Option<Copying>,
    /// Tables that failed; they wait for the next attempt.
    failed: BTreeSet<usize>,
    /// When those of them that failed for the time being are tried again, in a stream that has no end.
    again_at: Option<Instant>,
}

impl<'a, L: Log> Run<'a, L> {
    /// A run that follows `log`.
    #[must_use]
    pub fn new(capture: &'a CaptureJob, lake: &'a Arc<Lake>, log: L) -> Self {
        let (ends, failed) = (TableEnds::new(), BTreeSet::new());
        Self { capture, lake, log, ends, copying: None, failed, again_at: None }
    }

    /// Follows the unit. Every table is in the answer; `moved` is told rows and bytes of each.
    pub async fn follow(
        mut self,
        address: &SourceAddress,
        moved: impl Fn(u64, u64),
    ) -> Vec<TableReport> {
        let started = Instant::now();
        let capture = self.capture;
        let failure =
            attempts::attempts(&capture.job, capture.until, async || self.attempt(address).await)
                .await;
        if let Some(copying) = self.copying.take() {
            let copied = copying.join().await;
            self.copied(copied);
        }
        let seconds = started.elapsed().as_secs_f64();
        let (job, tables) = (&capture.job, &capture.tables);
        let reports = attempts::reports(job, tables, &self.ends, failure.as_ref(), seconds);
        for end in self.ends.values() {
            moved(end.tally.rows + end.tally.deletes, end.tally.bytes);
        }
        reports
    }

    fn job(&self) -> &UnitJob {
        &self.capture.job
    }

    /// Sessions, until the goal or a failure of the whole.
    async fn attempt(&mut self, address: &SourceAddress) -> Result<()> {
        let mut control = self.log.open(address, self.job()).await?;
        // What is definite stays so for the whole run: a copy of it would fail again, and take others along.
        self.failed.retain(|index| !fails_for_now(&self.ends, *index));
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
                self.log.prepare(&self.preparation(&tables), control).await?;
            control = back;
            for (index, error) in std::mem::take(&mut prepared.failures) {
                self.failed(index, error);
            }
            let copies = std::mem::take(&mut prepared.copies);
            let mut must_wait = !copies.is_empty();
            if must_wait && self.copying.is_none() {
                control = self.copy(control, &mut prepared.found, copies).await?;
                must_wait = false;
            }
            let Some(begins) = prepared.begins() else {
                if !self.wait_for_copies().await && !must_wait {
                    return attempts::first_transient(&mut self.ends);
                }
                continue;
            };
            match self.session(&control, prepared, begins).await? {
                Ended::Stopped => return Err(Error::new(Transient::Stopped)),
                Ended::Reached if self.copying.is_none() => {
                    return attempts::first_transient(&mut self.ends);
                }
                Ended::Regroup | Ended::Reached => {}
            }
        }
    }

    /// Begins to copy tables.
    async fn copy(
        &mut self,
        control: L::Control,
        found: &mut L::Found,
        copies: Vec<Copy<L>>,
    ) -> Result<L::Control> {
        let copier = Copier { lake: self.lake, job: &self.capture.job, log: &self.log };
        let mut failures = Vec::new();
        let begun = self.log.copy(&copier, control, found, copies, &mut failures).await;
        let (control, copying) = begun?;
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

    fn preparation<'b>(&'b self, tables: &'b [usize]) -> Preparation<'b, L> {
        let job = &self.capture.job;
        Preparation {
            lake: self.lake,
            namespace: job.context.platform.raw_namespace(),
            unit: &job.unit,
            tables,
            run_id: &job.run_id,
            writing: Writing::of(job),
            log: &self.log,
        }
    }

    /// One session, from a place on.
    async fn session(
        &mut self,
        control: &L::Control,
        prepared: Prepared<L>,
        begins: L::Place,
    ) -> Result<Ended> {
        let job = &self.capture.job;
        let copying = self.copying.as_ref();
        let following = Following {
            lake: Arc::clone(self.lake),
            unit: Arc::clone(&job.unit),
            runtime: tokio::runtime::Handle::current(),
            shutdown: job.context.shutdown.clone(),
            tables: prepared.followed.into_iter().map(Some).collect(),
            pace: Pace::of(&job.context.config.stream),
            regroup: copying.map(|running| Arc::clone(&running.regroup)).unwrap_or_default(),
            again_at: self.again_at,
            must_regroup: false,
            ends: TableEnds::new(),
            recorded: begins.position(),
            recorded_at: Instant::now(),
            bytes: 0,
            first: None,
        };
        let ends = self.capture.until == Until::CaughtUp && copying.is_none();
        let mut session = self.log.session(control, prepared.found, begins, following, ends);
        let running = tokio::task::spawn_blocking(move || {
            let ended = session.run();
            // Writers with files under way wait for their encoders when they go, which no asynchronous thread may.
            session.following().tables.clear();
            (ended, session)
        });
        let (ended, mut session) = match running.await {
            Ok(both) => both,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let ends = std::mem::take(&mut session.following().ends);
        let left = ends.iter().filter(|(_, end)| end.failure.is_some());
        self.failed.extend(left.map(|(index, _)| *index));
        attempts::add(&mut self.ends, ends);
        self.log.ended(session);
        ended
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
