//! Every run of a flow says that it ran. This crate knows no tracing and no Dagster: an
//! [`Observer`] passes the record on to whatever its owner has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::FlowDeclaration;

/// Which element one end of a run was, and which deployment of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointName {
    /// Id of the element: the deployment's own element when it is declared, else the family's.
    pub element: String,
    /// Name in the inventory, for an element that stands for many deployments.
    pub deployment: Option<String>,
    /// False when the architecture does not know this deployment.
    pub declared: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The function returned `Ok`.
    Done,
    /// The function returned `Err`.
    Failed,
    /// The function panicked, or its future was dropped before it returned.
    Abandoned,
}

/// One run of a flow. It holds ids, times and counts, and
/// never a connection or a value.
#[derive(Debug, Clone)]
pub struct FlowRun {
    /// Id of the flow.
    pub flow: &'static str,
    /// The ends it was opened from.
    pub from: Vec<EndpointName>,
    /// The ends it was opened to.
    pub to: Vec<EndpointName>,
    /// When it started, by the runner's clock.
    pub started_at: SystemTime,
    /// When it ended; absent while it runs.
    pub ended_at: Option<SystemTime>,
    /// How it ended; absent while it runs.
    pub outcome: Option<Outcome>,
    /// Rows its function said it moved.
    pub rows: u64,
    /// Bytes its function said it moved.
    pub bytes: u64,
    /// The declaration, for an observer that wants the label or the owner.
    pub declaration: &'static FlowDeclaration,
}

/// Is told of every run: once when it starts, once when it ends, whatever way it ends.
pub trait Observer: Send + Sync {
    /// The ends are about to be opened.
    fn started(&self, _run: &FlowRun) {}
    /// The function has returned, panicked, or was dropped.
    fn ended(&self, run: &FlowRun);
}

/// Counts what a run moves.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    pub(crate) fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> (u64, u64) {
        (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
