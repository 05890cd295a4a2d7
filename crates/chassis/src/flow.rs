//! Says of every run of a flow that it ran, so that the drawn arrows can be compared with what happened.

use c4model::{FlowRun, Observer, Outcome};

/// Puts the record into the log, with the flow's id as the attribute `c4.flow`.
#[derive(Debug, Clone, Copy)]
pub struct LogObserver;

impl Observer for LogObserver {
    fn ended(&self, run: &FlowRun) {
        let name = |ends: &[c4model::EndpointName]| {
            ends.iter().map(|end| end.element.clone()).collect::<Vec<_>>().join(",")
        };
        let outcome = match run.outcome {
            Some(Outcome::Done) => "done",
            Some(Outcome::Failed) => "failed",
            Some(Outcome::Abandoned) => "abandoned",
            None => "running",
        };
        tracing::info!(
            c4.flow = run.flow,
            from = name(&run.from),
            to = name(&run.to),
            outcome,
            rows = run.rows,
            bytes = run.bytes,
            "a flow has run"
        );
    }
}
