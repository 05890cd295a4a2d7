//! Says of every run of a flow that it ran, so that the drawn arrows can be compared with what happened.

use c4model::{FlowRun, Observer};

/// Puts the record into the log, with the flow's id as the attribute `c4.flow`.
pub(super) struct LogObserver;

impl Observer for LogObserver {
    fn ended(&self, run: &FlowRun) {
        let name = |ends: &[c4model::EndpointName]| {
            ends.iter().map(|end| end.element.clone()).collect::<Vec<_>>().join(",")
        };
        tracing::info!(
            c4.flow = run.flow,
            from = name(&run.from),
            to = name(&run.to),
            outcome = ?run.outcome,
            rows = run.rows,
            bytes = run.bytes,
            "a flow has run"
        );
    }
}
