//! What leaves the process, and what it takes to be understood.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::error::ErrorKind;
use crate::support::HttpServer;

fn options(variables: &[(&str, &str)]) -> TelemetryOptions {
    TelemetryOptions {
        variables: variables.iter().copied().collect(),
        ..TelemetryOptions::new("ol-example", "1.2.3")
    }
}

#[test]
fn traces_reach_the_collector_when_the_guard_is_dropped() {
    let collector = HttpServer::start(|_| (200, String::new()));
    let options = options(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address)]);
    let Prepared { layers, provider, warning } = prepare(options).unwrap();
    assert_eq!(warning, None);
    let guard = TelemetryGuard { provider };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layers), || {
        tracing::info_span!("copy_table", table = "users_user").in_scope(|| {});
    });
    assert!(collector.asked().is_empty(), "sent before the flush");
    drop(guard);
    let asked = collector.asked();
    let sent = asked.first().unwrap();
    assert_eq!(sent.line, "POST /v1/traces");
    assert_eq!(sent.header("content-type"), Some("application/x-protobuf"));
    for text in ["ol-example", "1.2.3", "copy_table", "users_user"] {
        let found = sent.body.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(found, "{text} is not in what was sent");
    }
}

/// By its attribute the check of the architecture knows that nothing here is drawn.
#[cfg(test)]
mod moved {
    use c4model::platform::{MitxOnlineDatabase, RawLake};
    use c4model::{Sink, Source, flow};

    flow! { moved_rows { moves: "Rows", tech: "SQL", kind: Sync, by: From, owner: "nobody" } }
    pub(super) async fn moved_rows(
        _from: Source<MitxOnlineDatabase>,
        to: Sink<RawLake>,
    ) -> Result<(), ()> {
        to.moved(3, 30);
        Ok(())
    }
}

#[test]
fn a_run_of_a_flow_is_a_span_with_its_ends_and_counts_in_json_where_asked_for() {
    use c4model::platform::{MitxOnlineDatabase, RawLake};
    use c4model::{Endpoint, declared};

    let collector = HttpServer::start(|_| (200, "{}".to_owned()));
    let options = options(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ]);
    let Prepared { layers, provider, .. } = prepare(options).unwrap();
    let guard = TelemetryGuard { provider };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layers), || {
        let runner = crate::flow::FlowRunner::told_to(|_event| {});
        let (from, to) = (Endpoint::<MitxOnlineDatabase>::new(()), Endpoint::<RawLake>::new(()));
        runtime.block_on(runner.run(declared!(moved::moved_rows), from, to, ())).unwrap();
    });
    drop(guard);
    let asked = collector.asked();
    let sent: serde_json::Value = serde_json::from_slice(&asked.first().unwrap().body).unwrap();
    let span = sent.pointer("/resourceSpans/0/scopeSpans/0/spans/0").unwrap();
    let attributes = span.get("attributes").and_then(serde_json::Value::as_array).unwrap();
    let value = |key: &str| {
        let found = attributes.iter().find(|one| one.get("key").is_some_and(|name| name == key));
        found.and_then(|one| one.get("value")?.as_object()?.values().next()).cloned().unwrap()
    };
    for (key, text) in [
        ("c4.flow", "moved_rows"),
        ("c4.from", "mitxonline_database"),
        ("c4.to", "raw_lake"),
        ("outcome", "done"),
    ] {
        assert_eq!(value(key), text);
    }
    assert_eq!(
        value("rows").as_str().map(str::to_owned),
        Some("3".to_owned()),
        "{}",
        value("rows")
    );
}

#[test]
fn nothing_is_exported_unless_asked_for() {
    for variables in [
        vec![],
        vec![("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")],
        vec![
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ],
    ] {
        let prepared = prepare(options(&variables)).unwrap();
        assert!(prepared.provider.is_none() && prepared.warning.is_none());
    }
}

#[test]
fn a_collector_that_cannot_be_spoken_to_costs_a_warning() {
    for variables in [
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ],
        [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "not a url"), ("OL_LOG", "info")],
    ] {
        let prepared = prepare(options(&variables)).unwrap();
        assert!(prepared.provider.is_none());
        assert!(prepared.warning.unwrap().contains("OTEL_EXPORTER_OTLP_"));
    }
}

#[test]
fn the_nearest_filter_wins_and_a_wrong_one_names_who_set_it() {
    let variables = [("OL_LOG", "debug"), ("RUST_LOG", "trace")];
    let chosen = filter(&options(&variables)).unwrap().to_string();
    assert!(chosen.contains("debug") && chosen.contains("hyper=warn"), "{chosen}");
    let mut told = options(&variables);
    told.log_filter = Some("ol_lake=trace".to_owned());
    assert_eq!(filter(&told).unwrap().to_string(), "ol_lake=trace");

    let error = filter(&options(&[("OL_LOG", "ol_lake=loud")])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("OL_LOG"), "{error}");
    assert!(error.advice().unwrap().contains("debug"));
}
