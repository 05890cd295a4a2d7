//! The declaring API as another crate uses it: under the lints of the workspace, with async and
//! plain functions, further arguments, tuples of ends, families of deployments and observation.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use c4model::platform::{ApplicationPostgres, MitxOnlineDatabase, RawLake};
use c4model::{
    DeclaredFlow, Endpoint, EndpointName, Evidence, FlowRun, Model, Observer, Outcome, Runner,
    Sink, Source, declared, flow, scenario, target,
};

mod inner {
    use super::{ApplicationPostgres, RawLake, Sink, Source, flow};

    flow! { full_load { moves: "Table rows", tech: "COPY BINARY", tech_onward: "Parquet, Iceberg",
    kind: Scheduled, by: Through, owner: "data platform", cadence: "every 6 hours",
    retry: "next run", timeout: "6 hours", idempotent: "replaces the table in one snapshot" } }
    pub(super) async fn full_load(
        source: Source<ApplicationPostgres, String>,
        sink: Sink<RawLake, Vec<u8>>,
        rows: u64,
    ) -> Result<String, u8> {
        sink.moved(rows, 100);
        sink.moved(1, 11);
        std::future::ready(()).await;
        if rows == 13 { Err(1) } else { Ok(source.into_endpoint()) }
    }
}

flow! { plain { moves: "Rows", tech: "SQL", kind: Sync, by: From, owner: "data platform" } }
fn plain(_from: Source<RawLake>, _to: Sink<MitxOnlineDatabase>) -> Result<u8, ()> {
    Ok(1)
}

flow! { two_ends { moves: "Rows", tech: "SQL", kind: Queued, by: To, owner: "data platform" } }
async fn two_ends(
    from: (Source<RawLake, u8>, Source<ApplicationPostgres>),
    _to: (Sink<RawLake>, Sink<MitxOnlineDatabase>),
    first: u8,
    second: &str,
) -> Result<usize, ()> {
    std::future::ready(()).await;
    Ok(usize::from(*from.0.endpoint() + first) + second.len())
}

target! { planned: RawLake => ApplicationPostgres { moves: "Rows", tech: "SQL", kind: Event, by: From,
owner: "data platform" } }

scenario! { nightly { title: "A night", steps: [inner::full_load => "load", planned => "push"] } }

#[derive(Default)]
struct Record {
    started: Mutex<u32>,
    ended: Mutex<Vec<FlowRun>>,
}

impl Observer for Record {
    fn started(&self, _run: &FlowRun) {
        *self.started.lock().unwrap() += 1;
    }
    fn ended(&self, run: &FlowRun) {
        self.ended.lock().unwrap().push(run.clone());
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("these futures never wait"),
    }
}

fn runner(record: &Arc<Record>) -> Runner {
    let observer: Arc<dyn Observer> = record.clone();
    Runner::new(observer).with_clock(|| SystemTime::UNIX_EPOCH + Duration::from_secs(60))
}

fn lake() -> Endpoint<RawLake, Vec<u8>> {
    Endpoint::new(vec![1])
}

#[test]
fn a_run_hands_the_connection_through_and_is_observed() {
    let record = Arc::new(Record::default());
    let database = Endpoint::of_deployment("mitxonline", "postgres://x".to_owned()).unwrap();
    let url =
        block_on(runner(&record).run(declared!(inner::full_load), database, lake(), 5)).unwrap();
    assert_eq!(url, "postgres://x");
    let ended = record.ended.lock().unwrap();
    assert_eq!((ended.len(), *record.started.lock().unwrap()), (1, 1));
    let run = &ended[0];
    let end = |element: &str, deployment: Option<&str>| EndpointName {
        element: element.to_owned(),
        deployment: deployment.map(str::to_owned),
        declared: true,
    };
    assert_eq!(run.from, [end("mitxonline_database", Some("mitxonline"))]);
    assert_eq!(run.to, [end("raw_lake", None)]);
    assert_eq!((run.flow, run.outcome), ("full_load", Some(Outcome::Done)));
    assert_eq!((run.rows, run.bytes), (6, 111));
    let minute = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
    assert_eq!((run.started_at, run.ended_at), (minute, Some(minute)));
}

#[test]
fn a_failed_and_a_dropped_run_are_told_apart() {
    let record = Arc::new(Record::default());
    let database = || Endpoint::of_any_deployment("new_app", String::new());
    let failed = block_on(runner(&record).run(declared!(inner::full_load), database(), lake(), 13));
    assert_eq!(failed, Err(1));
    {
        let runner = runner(&record);
        let mut run = pin!(runner.run(declared!(never_ends), lake(), lake(), ()));
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let panicked = std::panic::catch_unwind(|| {
        let observer: Arc<dyn Observer> = record.clone();
        let _ = Runner::new(observer).run_blocking(
            declared!(panics),
            Endpoint::<RawLake>::new(()),
            Endpoint::<RawLake>::new(()),
            (),
        );
    });
    assert!(panicked.is_err());
    let ended = record.ended.lock().unwrap();
    let outcomes: Vec<_> = ended.iter().map(|run| run.outcome.unwrap()).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Abandoned, Outcome::Abandoned]);
    assert!(!ended[0].from[0].declared);
    assert_eq!(ended[0].from[0].element, "application_postgres");
}

flow! { never_ends { moves: "Rows", tech: "SQL", kind: Sync, by: From, owner: "data platform" } }
async fn never_ends(
    _from: Source<RawLake, Vec<u8>>,
    _to: Sink<RawLake, Vec<u8>>,
) -> Result<(), ()> {
    std::future::pending().await
}

flow! { panics { moves: "Rows", tech: "SQL", kind: Sync, by: From, owner: "data platform" } }
fn panics(_from: Source<RawLake>, _to: Sink<RawLake>) -> Result<(), ()> {
    panic!("on purpose")
}

#[test]
fn an_undeclared_deployment_is_refused_by_name() {
    let refused = Endpoint::<ApplicationPostgres, ()>::of_deployment("nowhere", ()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the architecture has no deployment `nowhere` of `application_postgres`"
    );
}

#[test]
fn ends_and_evidence_come_from_the_function() {
    let flow = <inner::full_load as DeclaredFlow>::DECLARATION;
    assert_eq!(flow.from[0].facts.id, "application_postgres");
    assert_eq!(flow.to[0].facts.id, "raw_lake");
    let Some(Evidence::Code { function, file, line, package, .. }) = flow.code else {
        panic!("a flow of ours has code")
    };
    assert_eq!(
        (function, file, package),
        ("flows::inner::full_load", "crates/c4model/tests/flows.rs", "c4model")
    );
    assert!(line > 10);

    let two = <two_ends as DeclaredFlow>::DECLARATION;
    let ids = |ends: &[&c4model::ElementDeclaration]| {
        ends.iter().map(|end| end.facts.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(two.from), ["raw_lake", "application_postgres"]);
    assert_eq!(ids(two.to), ["raw_lake", "mitxonline_database"]);
}

#[test]
fn plain_functions_and_tuples_of_ends_run() {
    let silent = Runner::silent();
    let lake = || Endpoint::<RawLake>::new(());
    let app = || Endpoint::<MitxOnlineDatabase>::new(());
    assert_eq!(silent.run_blocking(declared!(plain), lake(), app(), ()), Ok(1));
    let sources = (
        Endpoint::<RawLake, u8>::new(4),
        Endpoint::<ApplicationPostgres>::of_deployment("xpro", ()).unwrap(),
    );
    let sum = block_on(silent.run(declared!(two_ends), sources, (lake(), app()), (3, "ab")));
    assert_eq!(sum, Ok(9));
}

#[test]
fn the_model_survives_json_without_line_numbers() {
    let model = Model::collect();
    let json = model.to_json();
    assert!(!json.contains("\"line\""));
    let read: Model = serde_json::from_str(&json).unwrap();
    assert_eq!(read.to_json(), json);
    let flow = read.flows.iter().find(|flow| flow.id == "full_load").unwrap();
    assert_eq!(flow.by, "through");
    assert_eq!(read.scenarios[0].steps[1].flow, "planned");
}
