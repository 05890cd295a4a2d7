//! Flows of our programs that no function with two ends carries: what every run does beside its
//! data, e.g. fetching a credential or telling Dagster. The evidence is the file that does it.

use crate::macros::listed_flows;
use crate::platform::{
    ArchitectureSite, CodeLocations, GlueCatalog, Newcomer, Observability, OlIngest, OlWebhook,
    Vault,
};

listed_flows! { ATTACHED:

external (ingest_requests: CodeLocations => OlIngest { is_control: true,
    moves: "Run requests", tech: "Dagster Pipes",
    kind: Scheduled, by: From, owner: "data platform", cadence: "by Dagster", retry: "run retries",
    evidence: &[file("tests/dagster/test_ingest.py", "PipesSubprocessClient")] })
external (ingest_results: OlIngest => CodeLocations { is_control: true,
    moves: "Results of each table",
    tech: "Dagster Pipes", kind: Event, by: From, owner: "data platform", retry: "none: the report says it, too",
    evidence: &[file("crates/ingest/src/run/dagster.rs", "use ol_pipes::{")] })
external (send_requests: CodeLocations => OlWebhook { is_control: true,
    moves: "Send requests", tech: "Dagster Pipes",
    kind: Event, by: From, owner: "data platform", retry: "run retries",
    evidence: &[file("deploy/dagster/ol_flows_dagster/shim.py", "class Webhook(dg.ConfigurableResource)")] })
external (send_results: OlWebhook => CodeLocations { is_control: true,
    moves: "Results of each notice",
    tech: "Dagster Pipes", kind: Event, by: From, owner: "data platform", retry: "none: the report says it, too",
    evidence: &[file("crates/webhook/src/dagster.rs", "use ol_pipes::")] })
external (ingest_credentials: Vault => OlIngest { is_control: true,
    moves: "Credentials", tech: "HTTPS", kind: Sync,
    by: To, owner: "data platform", timeout: "30 s",
    evidence: &[file("crates/chassis/src/secret/vault.rs", "reqwest::Client::builder()")] })
external (ingest_table_pointers: OlIngest => GlueCatalog { is_control: true,
    moves: "Table pointers", tech: "AWS API",
    kind: Sync, by: From, owner: "data platform",
    idempotent: "refused when another commit came first",
    evidence: &[file("crates/lake/src/catalog/glue/mod.rs", "Client::from_conf(config.build())")] })
external (webhook_table_pointers: GlueCatalog => OlWebhook { is_control: true,
    moves: "Table pointers", tech: "AWS API",
    kind: Sync, by: To, owner: "data platform",
    evidence: &[file("crates/lake/src/catalog/glue/mod.rs", "Client::from_conf(config.build())")] })
external (ingest_traces: OlIngest => Observability { is_control: true,
    moves: "Traces", tech: "OTLP over HTTP",
    kind: Event, by: From, owner: "data platform", retry: "none: lost, and said in the log",
    evidence: &[file("crates/chassis/src/telemetry.rs", "reqwest::blocking::Client::builder()")] })
external (webhook_traces: OlWebhook => Observability { is_control: true,
    moves: "Traces", tech: "OTLP over HTTP",
    kind: Event, by: From, owner: "data platform", retry: "none: lost, and said in the log",
    evidence: &[file("crates/chassis/src/telemetry.rs", "reqwest::blocking::Client::builder()")] })
external (ingest_metrics: OlIngest => Observability { is_control: true,
    moves: "Metrics", tech: "Prometheus",
    kind: Scheduled, by: To, owner: "data platform", cadence: "each scrape", retry: "next scrape",
    evidence: &[file("crates/ingest/src/metrics.rs", "metrics::")] })
external (webhook_metrics: OlWebhook => Observability { is_control: true,
    moves: "Metrics", tech: "Prometheus",
    kind: Scheduled, by: To, owner: "data platform", cadence: "each scrape", retry: "next scrape",
    evidence: &[file("deploy/k8s/webhook/podmonitor.yaml", "PodMonitor")] })

external (architecture_pages: ArchitectureSite => Newcomer { moves: "Architecture pages",
    tech: "HTML, SVG", kind: Sync, by: To, owner: "data platform", timeout: "none: files",
    evidence: &[file("deploy/scripts/site.sh", "c4gen")] })

}
