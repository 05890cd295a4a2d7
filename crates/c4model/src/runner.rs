//! Opens the ends of a declared flow, runs its function and tells the observer.

use std::sync::Arc;
use std::time::SystemTime;

use crate::endpoint::Opener;
use crate::observe::Meter;
use crate::{Carrier, Declared, Endpoints, FlowDeclaration, FlowRun, Observer, Outcome};

/// The only maker of sources and sinks.
///
/// ```
/// # use c4model::{declared, element, flow, Endpoint, FlowRun, Observer, Runner, Sink, Source};
/// # use std::sync::Arc;
/// # element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
/// # element! { pub Lake: Container { id: "lake", name: "Lake", summary: "Tables" } }
/// flow! { copy { moves: "Orders", tech: "COPY", kind: Scheduled, by: Through, owner: "shop" } }
/// async fn copy(from: Source<Orders, u16>, to: Sink<Lake>, limit: u64) -> Result<u64, String> {
///     to.moved(limit, 8 * limit);
///     Ok(limit + u64::from(*from.endpoint()))
/// }
///
/// struct Print;
/// impl Observer for Print {
///     fn ended(&self, run: &FlowRun) {
///         println!("{} {:?} {} rows", run.flow, run.outcome, run.rows);
///     }
/// }
///
/// # let block_on = |_future| ();
/// let runner = Runner::new(Arc::new(Print));
/// block_on(runner.run(declared!(copy), Endpoint::<Orders, _>::new(1), Endpoint::<Lake>::new(()), 7));
/// ```
#[derive(Clone)]
pub struct Runner {
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Runner").finish_non_exhaustive()
    }
}

struct Nobody;

impl Observer for Nobody {
    fn ended(&self, _run: &FlowRun) {}
}

impl Runner {
    /// A runner that tells this observer, by the system's clock; see [`Runner::with_clock`].
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate depends on none of ours; the owner of a clock gives it"
    )]
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, clock: Arc::new(SystemTime::now) }
    }

    /// A runner that tells nobody; for tests of a single function.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(Arc::new(Nobody))
    }

    /// The same runner by another clock, so that a test owns the time.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Runs an async flow. `extra` is `()` when the function takes only its two ends, the argument
    /// when it takes one more, a pair when it takes two more.
    ///
    /// # Errors
    /// What the function returns.
    pub async fn run<Arguments, F, From, To, T, Failure>(
        &self,
        flow: Declared<F>,
        from: From,
        to: To,
        extra: F::Extra,
    ) -> Result<T, Failure>
    where
        F: Carrier<Arguments, From = From::Source, To = To::Sink>,
        F::Returns: Future<Output = Result<T, Failure>>,
        From: Endpoints,
        To: Endpoints,
    {
        let (mut recorder, source, sink) = self.open(flow.flow, from, to);
        let result = flow.function.carry(source, sink, extra).await;
        recorder.outcome = outcome_of(&result);
        result
    }

    /// Runs a flow whose function is not async, on the calling thread.
    ///
    /// # Errors
    /// What the function returns.
    pub fn run_blocking<Arguments, F, From, To, T, Failure>(
        &self,
        flow: Declared<F>,
        from: From,
        to: To,
        extra: F::Extra,
    ) -> Result<T, Failure>
    where
        F: Carrier<Arguments, From = From::Source, To = To::Sink, Returns = Result<T, Failure>>,
        From: Endpoints,
        To: Endpoints,
    {
        let (mut recorder, source, sink) = self.open(flow.flow, from, to);
        let result = flow.function.carry(source, sink, extra);
        recorder.outcome = outcome_of(&result);
        result
    }

    fn open<From: Endpoints, To: Endpoints>(
        &self,
        declaration: &'static FlowDeclaration,
        from: From,
        to: To,
    ) -> (Recorder, From::Source, To::Sink) {
        let meter = Arc::new(Meter::default());
        let run = FlowRun {
            flow: declaration.id,
            from: from.names(),
            to: to.names(),
            started_at: (self.clock)(),
            ended_at: None,
            outcome: None,
            rows: 0,
            bytes: 0,
            declaration,
        };
        self.observer.started(&run);
        let opener = Opener { meter: Arc::clone(&meter) };
        let (source, sink) = (from.open_source(&opener), to.open_sink(&opener));
        (Recorder { runner: self.clone(), run, meter, outcome: Outcome::Abandoned }, source, sink)
    }
}

fn outcome_of<T, Failure>(result: &Result<T, Failure>) -> Outcome {
    if result.is_ok() { Outcome::Done } else { Outcome::Failed }
}

/// Tells the observer on drop, so that a panic or a dropped future is told as well.
struct Recorder {
    runner: Runner,
    run: FlowRun,
    meter: Arc<Meter>,
    outcome: Outcome,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        (self.run.rows, self.run.bytes) = self.meter.read();
        self.run.ended_at = Some((self.runner.clock)());
        self.run.outcome = Some(self.outcome);
        self.runner.observer.ended(&self.run);
    }
}
