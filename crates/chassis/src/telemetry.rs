//! What a process says about itself while it runs: log lines on stderr, and traces to an
//! OpenTelemetry collector.
//!
//! Stdout belongs to the command's result (`--output json`), so every log line goes to stderr: text
//! for a person at a terminal, one JSON object a line otherwise. Traces leave by OTLP over HTTP
//! when the standard variables name a collector; a collector that is missing or broken costs a
//! warning, never the run. Dropping the [`TelemetryGuard`] flushes what is pending.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as log};

use crate::config::Variables;
use crate::error::{Error, chain};
use crate::progress::Progress;

/// Libraries are quiet by default; `OL_LOG=debug` or `OL_LOG=info,sqlx=debug` opens them.
const DEFAULT_FILTER: &str = "info,h2=warn,hyper=warn,hyper_util=warn,opendal=warn,opentelemetry=warn,opentelemetry_sdk=warn,reqwest=warn,rustls=warn,sqlx=warn";

/// How long the last traces may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Another consumer of spans and events, such as the one that sends log lines to Dagster.
pub type ExtraLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line, for machines.
    Json,
}

/// How a process speaks.
pub struct TelemetryOptions {
    /// `service.name` of traces; `OTEL_SERVICE_NAME` overrides it.
    pub service_name: &'static str,
    /// `service.version` of traces.
    pub service_version: &'static str,
    /// The form of log lines; by default text when stderr is a terminal, JSON otherwise.
    pub log_format: Option<LogFormat>,
    /// What is logged, such as `debug` or `info,ol_lake=trace`; by default `OL_LOG`, else
    /// `RUST_LOG`, else `info`.
    pub log_filter: Option<String>,
    /// The bars that log lines must not tear.
    pub progress: Progress,
    /// Further consumers, each with its own filter.
    pub layers: Vec<ExtraLayer>,
    /// Where `OL_LOG`, `OTEL_…` and `NO_COLOR` are looked up.
    pub variables: Variables,
}

impl TelemetryOptions {
    /// The defaults, with this process's variables and hidden bars.
    pub fn new(service_name: &'static str, service_version: &'static str) -> Self {
        Self {
            service_name,
            service_version,
            log_format: None,
            log_filter: None,
            progress: Progress::hidden(),
            layers: Vec::new(),
            variables: Variables::process(),
        }
    }
}

impl fmt::Debug for TelemetryOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TelemetryOptions")
            .field("service_name", &self.service_name)
            .field("log_format", &self.log_format)
            .field("log_filter", &self.log_filter)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}

/// Keeps telemetry going. Hold it until the end of `main`: dropping it sends the last traces,
/// within five seconds.
#[derive(Debug)]
#[must_use = "dropping the guard ends tracing"]
pub struct TelemetryGuard {
    provider: Option<SdkTracerProvider>,
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        let Some(provider) = self.provider.take() else { return };
        if let Err(error) = provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!(%error, "the last traces did not reach the collector; check OTEL_EXPORTER_OTLP_ENDPOINT");
        }
    }
}

/// Starts logging and tracing for the whole process.
///
/// # Errors
/// Configuration when the filter cannot be read, naming who set it; definite when the process has a
/// subscriber already.
pub fn init(options: TelemetryOptions) -> Result<TelemetryGuard, Error> {
    let Prepared { layers, provider, warning } = prepare(options)?;
    tracing_subscriber::registry().with(layers).try_init().map_err(|source| {
        Error::definite("Logging was started twice in one process").caused_by(source)
    })?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(TelemetryGuard { provider })
}

/// The W3C trace context of the current span, as the value of the header `traceparent`; `None` where
/// nothing is traced.
pub fn traceparent() -> Option<String> {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| {
        format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
    })
}

struct Prepared {
    layers: Vec<ExtraLayer>,
    provider: Option<SdkTracerProvider>,
    warning: Option<String>,
}

fn prepare(options: TelemetryOptions) -> Result<Prepared, Error> {
    let is_terminal = io::stderr().is_terminal();
    let by_default = if is_terminal { LogFormat::Text } else { LogFormat::Json };
    let filter = filter(&options)?;
    let writer = options.progress.log_writer();
    let mut layers = options.layers;
    layers.push(match options.log_format.unwrap_or(by_default) {
        LogFormat::Text => {
            let colours = is_terminal && options.variables.get("NO_COLOR")?.is_none();
            log::layer().with_writer(writer).with_ansi(colours).with_filter(filter.clone()).boxed()
        }
        LogFormat::Json => log::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(writer)
            .with_filter(filter.clone())
            .boxed(),
    });
    let (provider, warning) =
        match exporter(options.service_name, options.service_version, &options.variables) {
            Ok(provider) => (provider, None),
            Err(warning) => (None, Some(warning)),
        };
    if let Some(provider) = &provider {
        let tracer = provider.tracer(options.service_name);
        layers.push(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(filter).boxed());
    }
    Ok(Prepared { layers, provider, warning })
}

fn filter(options: &TelemetryOptions) -> Result<EnvFilter, Error> {
    let variables = &options.variables;
    let (text, origin) = if let Some(text) = &options.log_filter {
        (text.as_str(), "--log-level")
    } else if let Some(text) = variables.get("OL_LOG")? {
        (text, "OL_LOG")
    } else if let Some(text) = variables.get("RUST_LOG")? {
        (text, "RUST_LOG")
    } else {
        (DEFAULT_FILTER, "the default")
    };
    // A bare level keeps the libraries quiet; directives are taken as they are.
    let text = match DEFAULT_FILTER.split_once(',') {
        Some((_, quiet)) if text.parse::<tracing_subscriber::filter::LevelFilter>().is_ok() => {
            format!("{text},{quiet}")
        }
        _ => text.to_owned(),
    };
    EnvFilter::try_new(&text).map_err(|source| {
        Error::configuration("The log filter cannot be read")
            .with("set_by", origin)
            .with("filter", &text)
            .caused_by(source)
            .advise(format!(
                "Set {origin} to a level (error, warn, info, debug, trace) or to directives such as info,ol_lake=debug"
            ))
    })
}

/// The trace exporter that the standard variables ask for; `Ok(None)` when they ask for none, `Err`
/// with a warning when they ask for what cannot be done.
fn exporter(
    service_name: &'static str,
    service_version: &'static str,
    variables: &Variables,
) -> Result<Option<SdkTracerProvider>, String> {
    let get = |name: &str| variables.get(name).ok().flatten();
    let is_off = get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
        || get("OTEL_TRACES_EXPORTER") == Some("none");
    let endpoint = match get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        Some(endpoint) => Some(endpoint.to_owned()),
        None => get("OTEL_EXPORTER_OTLP_ENDPOINT")
            .map(|base| format!("{}/v1/traces", base.trim_end_matches('/'))),
    };
    let Some(endpoint) = endpoint.filter(|_| !is_off) else { return Ok(None) };
    let protocol =
        get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| get("OTEL_EXPORTER_OTLP_PROTOCOL"));
    let protocol = match protocol {
        None | Some("http/protobuf") => opentelemetry_otlp::Protocol::HttpBinary,
        Some("http/json") => opentelemetry_otlp::Protocol::HttpJson,
        Some(other) => {
            return Err(format!(
                "traces are not exported: the protocol {other} is not spoken; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf or http/json and the endpoint's HTTP port (4318)"
            ));
        }
    };
    let client = collector_client()
        .map_err(|error| format!("traces are not exported: cannot prepare HTTP: {error}"))?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(endpoint)
        .with_protocol(protocol)
        .build()
        .map_err(|error| {
            format!("traces are not exported: {error}; check OTEL_EXPORTER_OTLP_ENDPOINT")
        })?;
    let mut resource = Resource::builder()
        .with_attribute(opentelemetry::KeyValue::new("service.version", service_version));
    if get("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service_name);
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    Ok(Some(provider))
}

/// Sends batches with a blocking client: the batch processor has a thread of its own and no tokio
/// runtime.
///
/// The SDK keeps failed exports to itself, so the first one is told here: a warning, once a
/// process.
#[derive(Debug)]
struct CollectorClient {
    http: reqwest::blocking::Client,
    has_warned: AtomicBool,
}

impl CollectorClient {
    fn warn_once(&self, reason: &dyn fmt::Display) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %reason,
                "traces do not reach the collector, the run goes on; check OTEL_EXPORTER_OTLP_ENDPOINT"
            );
        }
    }
}

/// The client is built on a plain thread, as it may not be built inside a runtime.
fn collector_client() -> Result<CollectorClient, String> {
    let build = || reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).build();
    std::thread::spawn(build)
        .join()
        .map_err(|_| "the client's thread panicked".to_owned())?
        .map(|http| CollectorClient { http, has_warned: AtomicBool::new(false) })
        .map_err(|error| error.to_string())
}

#[async_trait::async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self
            .http
            .execute(request.try_into()?)
            .inspect_err(|error| self.warn_once(&chain(error)))?;
        if !response.status().is_success() {
            self.warn_once(&response.status());
        }
        let mut reply = Response::builder().status(response.status());
        if let Some(headers) = reply.headers_mut() {
            headers.extend(response.headers().clone());
        }
        Ok(reply.body(response.bytes()?)?)
    }
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
