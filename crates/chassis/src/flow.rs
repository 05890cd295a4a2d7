//! Runs flows and says that they ran, so that the drawn arrows can be compared with what happened: in the log, as
//! attributes of a span, as an OpenLineage event in a file, and to whoever else listens.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use c4model::{Carrier, Declared, EndpointName, Endpoints, FlowRun, Observer, Outcome, Runner};
use serde_json::{Value, json};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::clock::rfc3339;
use crate::config::variable;

/// Names the file to which every run of a flow adds one line, an OpenLineage run event.
pub const RECORDS_VARIABLE: &str = "OL_FLOW_RECORDS";

/// The namespace of jobs and datasets in OpenLineage events: jobs are flows, datasets are elements.
pub const NAMESPACE: &str = "ol-flows";

const PRODUCER: &str = concat!("ol-flows:", env!("CARGO_PKG_VERSION"));
const EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const STATISTICS: &str = "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet";

/// Runs flows. Each run is a span of its own, named `flow`, with the attributes `c4.flow`, `c4.from`, `c4.to`,
/// `outcome`, `rows` and `bytes`; the log says that it ended; and its OpenLineage event goes to the file that
/// [`RECORDS_VARIABLE`] names, if it names one.
#[derive(Clone)]
pub struct FlowRunner {
    runner: Runner,
}

impl std::fmt::Debug for FlowRunner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FlowRunner").finish_non_exhaustive()
    }
}

impl FlowRunner {
    /// A runner that gives the OpenLineage event of every run to `listener`, too.
    pub fn told_to(listener: impl Fn(&Value) + Send + Sync + 'static) -> Self {
        Self { runner: Runner::new(Arc::new(Record { listener: Box::new(listener) })) }
    }

    /// Runs a flow; see [`Runner::run`].
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
        let span = tracing::info_span!("flow", c4.flow = flow.id());
        // A flow is large; whoever runs one does not carry it in a future of its own.
        Box::pin(self.runner.run(flow, from, to, extra).instrument(span)).await
    }
}

struct Record {
    listener: Box<dyn Fn(&Value) + Send + Sync>,
}

impl Observer for Record {
    /// Still inside the span of the run, whatever way it ends.
    fn ended(&self, run: &FlowRun) {
        let (from, to, outcome) = (names(&run.from), names(&run.to), word(run.outcome));
        let span = Span::current();
        span.set_attribute("c4.from", from.clone());
        span.set_attribute("c4.to", to.clone());
        span.set_attribute("outcome", outcome);
        span.set_attribute("rows", i64::try_from(run.rows).unwrap_or(i64::MAX));
        span.set_attribute("bytes", i64::try_from(run.bytes).unwrap_or(i64::MAX));
        tracing::info!(
            c4.flow = run.flow,
            from,
            to,
            outcome,
            rows = run.rows,
            bytes = run.bytes,
            "a flow has run"
        );
        let event = event(run);
        (self.listener)(&event);
        // A run is not failed for want of its record.
        if let Ok(Some(path)) = variable(RECORDS_VARIABLE)
            && let Err(error) = append(Path::new(&path), &event)
        {
            tracing::warn!(path, error = %error, "the record of a flow could not be written");
        }
    }
}

fn names(ends: &[EndpointName]) -> String {
    ends.iter().map(|end| end.element.as_str()).collect::<Vec<_>>().join(",")
}

fn word(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Done) => "done",
        Some(Outcome::Failed) => "failed",
        Some(Outcome::Abandoned) => "abandoned",
        None => "running",
    }
}

/// The run as an OpenLineage event. It holds ids, times and counts, and never a connection or a value.
fn event(run: &FlowRun) -> Value {
    let dataset = |end: &EndpointName| json!({ "namespace": NAMESPACE, "name": end.element });
    let inputs: Vec<Value> = run.from.iter().map(dataset).collect();
    let mut outputs: Vec<Value> = run.to.iter().map(dataset).collect();
    // What was moved is counted once, whatever the number of its ends.
    if let Some(first) = outputs.first_mut().and_then(Value::as_object_mut) {
        let statistics = json!({
            "_producer": PRODUCER,
            "_schemaURL": STATISTICS,
            "rowCount": run.rows,
            "size": run.bytes,
        });
        first.insert("outputFacets".to_owned(), json!({ "outputStatistics": statistics }));
    }
    let kind = match run.outcome {
        Some(Outcome::Done) => "COMPLETE",
        Some(Outcome::Failed) => "FAIL",
        Some(Outcome::Abandoned) => "ABORT",
        None => "RUNNING",
    };
    json!({
        "eventType": kind,
        "eventTime": rfc3339(run.ended_at.unwrap_or(run.started_at)),
        "producer": PRODUCER,
        "schemaURL": EVENT,
        "run": { "runId": run_id(run.started_at) },
        "job": { "namespace": NAMESPACE, "name": run.flow },
        "inputs": inputs,
        "outputs": outputs,
    })
}

/// A new UUID of version 7, as OpenLineage recommends, of the moment at which the run began.
fn run_id(started_at: SystemTime) -> String {
    let since = started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let moment = uuid::Timestamp::from_unix(uuid::NoContext, since.as_secs(), since.subsec_nanos());
    uuid::Uuid::new_v7(moment).to_string()
}

/// One line, written at once, so that several processes may write to one file.
fn append(path: &Path, event: &Value) -> std::io::Result<()> {
    let line = format!("{event}\n");
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use std::sync::Mutex;

    use c4model::platform::{MitxOnlineDatabase, RawLake};
    use c4model::{Endpoint, Sink, Source, declared, flow};

    use super::*;

    flow! { copied { moves: "Rows", tech: "SQL", kind: Sync, by: From, owner: "nobody" } }
    async fn copied(
        _from: Source<MitxOnlineDatabase>,
        to: Sink<RawLake>,
        result: Result<(), ()>,
    ) -> Result<(), ()> {
        to.moved(3, 30);
        result
    }

    #[tokio::test]
    async fn each_run_is_one_open_lineage_event_with_ends_and_counts() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&heard);
        let runner = FlowRunner::told_to(move |event| listener.lock().unwrap().push(event.clone()));
        for result in [Ok(()), Err(())] {
            let (from, to) =
                (Endpoint::<MitxOnlineDatabase>::new(()), Endpoint::<RawLake>::new(()));
            assert_eq!(runner.run(declared!(copied), from, to, result).await, result);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.jsonl");
        for event in heard.lock().unwrap().iter() {
            append(&path, event).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<&str> =
            lines.iter().filter_map(|line| line.get("eventType")?.as_str()).collect();
        assert_eq!(kinds, ["COMPLETE", "FAIL"]);
        for line in &lines {
            let at = |pointer: &str| line.pointer(pointer).unwrap();
            assert_eq!(at("/job/name"), "copied");
            assert_eq!(at("/inputs/0/name"), "mitxonline_database");
            assert_eq!(at("/outputs/0/name"), "raw_lake");
            assert_eq!(at("/outputs/0/outputFacets/outputStatistics/rowCount"), 3);
            assert!(uuid::Uuid::parse_str(at("/run/runId").as_str().unwrap()).is_ok());
        }
        assert_ne!(lines.first().unwrap().pointer("/run"), lines.last().unwrap().pointer("/run"));
    }
}
