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
