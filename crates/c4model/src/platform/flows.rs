//! What moves between systems that are not ours, as their public sources and ours say it. Nothing
//! here could be opened from this repository, so every flow is drawn as not verified.

use crate::Evidence;
use crate::macros::listed_flows;
use crate::platform::{
    Airbyte, Analyst, ApplicationPostgres, ArchitectureSite, CodeLocations, DagsterDaemon,
    DagsterStorage, DagsterWebserver, DataEngineer, DbtProject, Dlt, EdxNotes, EdxOrg, Forum,
    GlueCatalog, HubSpot, Keycloak, Learner, Marts, MitLearnReceiver, Newcomer, OpenEdx,
    OpenEdxMysql, OpenMetadata, RawLake, Superset, TrackingLogs, Trino, Vault,
};
use crate::words::said;

const PLATFORM: &[Evidence] =
    &[said("source of mitodl/ol-data-platform, read at commit 49d7ee60", "2026-08")];
const INFRASTRUCTURE: &[Evidence] =
    &[said("source of mitodl/ol-infrastructure, read at commit 2bf5bca3", "2026-08")];
const ENGINEERS: &[Evidence] = &[said("the platform team's description", "2026-11")];

listed_flows! { OTHERS:

external (learner_activity: Learner => OpenEdx { moves: "Answers, clicks", tech: "HTTPS", kind: Sync,
    by: From, owner: "MITx Online, xPRO, Residential", timeout: "not stated",
    personal_data: "everything a learner does", evidence: ENGINEERS })
external (application_rows: ApplicationPostgres => Airbyte { moves: "Changed rows", tech: "SQL, cursor",
    kind: Scheduled, by: To, owner: "data platform", cadence: "6 to 24 hours",
    retry: "next sync", personal_data: "learners' records", evidence: PLATFORM })
external (open_edx_rows: OpenEdxMysql => Airbyte { moves: "Changed rows", tech: "SQL, cursor",
    kind: Scheduled, by: To, owner: "data platform", cadence: "every 12 hours",
    retry: "next sync", personal_data: "learners' records", evidence: PLATFORM })
external (hubspot_contacts: HubSpot => Airbyte { moves: "Contacts, deals", tech: "REST",
    kind: Scheduled, by: To, owner: "data platform", cadence: "daily", retry: "next sync",
    personal_data: "contacts", evidence: ENGINEERS })
external (tracking_log_files: TrackingLogs => CodeLocations { moves: "Log files", tech: "S3 GET, DuckDB",
    kind: Scheduled, by: To, owner: "data platform", cadence: "every 12 hours",
    retry: "3 run retries", personal_data: "everything a learner does", evidence: PLATFORM })
external (edx_org_archive: EdxOrg => Dlt { moves: "Archive bundles", tech: "S3 GET",
    kind: Scheduled, by: To, owner: "data platform", cadence: "weekly", retry: "next run",
    personal_data: "learners' records", evidence: PLATFORM })
external (airbyte_tables: Airbyte => RawLake { moves: "Table rows", tech: "Iceberg", kind: Scheduled,
    by: From, owner: "data platform", cadence: "6 to 24 hours", retry: "next sync",
    evidence: PLATFORM })
external (dlt_tables: Dlt => RawLake { moves: "File rows", tech: "Iceberg", kind: Scheduled,
    by: From, owner: "data platform", cadence: "daily", retry: "next run", evidence: PLATFORM })
external (airbyte_table_pointers: Airbyte => GlueCatalog { moves: "Table pointers", tech: "AWS API",
    kind: Sync, by: From, owner: "data platform", evidence: PLATFORM })

external (sync_requests: CodeLocations => Airbyte { moves: "Sync requests", tech: "REST", kind: Scheduled,
    by: From, owner: "data platform", cadence: "6 to 24 hours", retry: "3 run retries",
    evidence: PLATFORM })
external (load_requests: CodeLocations => Dlt { moves: "Load requests", tech: "in-process",
    kind: Scheduled, by: From, owner: "data platform", cadence: "daily", retry: "3 run retries",
    evidence: PLATFORM })
external (build_requests: CodeLocations => DbtProject { moves: "Build requests", tech: "dbt CLI",
    kind: Event, by: From, owner: "data platform", cadence: "after each sync",
    retry: "3 run retries", evidence: PLATFORM })
external (run_requests: DataEngineer => DagsterWebserver { moves: "Run requests", tech: "HTTPS",
    kind: Sync, by: From, owner: "data platform", evidence: PLATFORM })
external (run_records: DagsterWebserver => DagsterStorage { moves: "Queued runs", tech: "SQL",
    kind: Queued, by: From, owner: "data platform", retry: "none", evidence: INFRASTRUCTURE })
external (queued_runs: DagsterStorage => DagsterDaemon { moves: "Queued runs", tech: "SQL poll",
    kind: Queued, by: To, owner: "data platform", retry: "3 run retries", evidence: INFRASTRUCTURE })
external (run_launches: DagsterDaemon => CodeLocations { moves: "Run launches",
    tech: "Kubernetes, gRPC", kind: Event, by: From, owner: "data platform",
    retry: "3 run retries", timeout: "start 900 s", evidence: INFRASTRUCTURE })
external (run_events: CodeLocations => DagsterStorage { moves: "Run events", tech: "SQL", kind: Sync,
    by: From, owner: "data platform", evidence: INFRASTRUCTURE })

external (model_sql: DbtProject => Trino { moves: "Model SQL", tech: "Trino HTTP", kind: Sync,
    by: From, owner: "data platform", evidence: PLATFORM })
external (table_metadata: GlueCatalog => Trino { moves: "Table metadata", tech: "AWS API", kind: Sync,
    by: To, owner: "data platform", evidence: ENGINEERS })
external (raw_files: RawLake => Trino { moves: "Data files", tech: "S3 GET", kind: Sync, by: To,
    owner: "data platform", evidence: ENGINEERS })
external (model_tables: Trino => Marts { moves: "Model tables", tech: "S3 PUT, Iceberg", kind: Sync,
    by: From, owner: "data platform", evidence: ENGINEERS })
external (mart_rows: Marts => Trino { moves: "Mart files", tech: "S3 GET", kind: Sync, by: To,
    owner: "data platform", evidence: ENGINEERS })
external (dashboard_rows: Trino => Superset { moves: "Mart rows", tech: "Trino HTTP", kind: Sync, by: To,
    owner: "data platform", evidence: PLATFORM })
external (catalog_scan: Trino => OpenMetadata { moves: "Schemas, profiles", tech: "Trino HTTP",
    kind: Scheduled, by: To, owner: "data platform", cadence: "daily", retry: "next run",
    evidence: ENGINEERS })
external (dbt_artifacts: DbtProject => OpenMetadata { moves: "Manifest, results", tech: "S3",
    kind: Scheduled, by: To, owner: "data platform", cadence: "daily", retry: "next run",
    evidence: ENGINEERS })
external (dashboards: Superset => Analyst { moves: "Dashboards", tech: "HTTPS", kind: Sync, by: To,
    owner: "data platform", evidence: ENGINEERS })
external (lineage: OpenMetadata => Analyst { moves: "Tables, lineage", tech: "HTTPS", kind: Sync, by: To,
    owner: "data platform", evidence: ENGINEERS })
external (course_notices: CodeLocations => MitLearnReceiver { moves: "Course notices",
    tech: "HTTPS, HMAC", kind: Event, by: From, owner: "data platform", retry: "Dagster run retries",
    evidence: PLATFORM })

external (database_credentials: Vault => CodeLocations { moves: "Credentials", tech: "HTTPS", kind: Sync,
    by: To, owner: "platform engineering", evidence: INFRASTRUCTURE })
external (webserver_identity: Keycloak => DagsterWebserver { moves: "Identity tokens", tech: "OIDC",
    kind: Sync, by: To, owner: "platform engineering", evidence: INFRASTRUCTURE })
external (superset_identity: Keycloak => Superset { moves: "Identity tokens", tech: "OIDC", kind: Sync,
    by: To, owner: "platform engineering", evidence: INFRASTRUCTURE })

external (architecture_pages: ArchitectureSite => Newcomer { moves: "Architecture pages",
    tech: "HTML, SVG", kind: Sync, by: To, owner: "data platform", evidence: ENGINEERS })
}

/// What is planned and has no code yet.
pub mod planned {
    use super::{
        ApplicationPostgres, EdxNotes, EdxOrg, Forum, OpenEdxMysql, RawLake, TrackingLogs,
        listed_flows,
    };
    use crate::platform::{CodeLocations, Marts, OlIngest, OlTransform, OpenMetadata};

    listed_flows! { PLANNED:

    target (application_changes: ApplicationPostgres => OlIngest { moves: "Row changes", tech: "pgoutput",
        kind: Event, by: To, owner: "data platform", retry: "backoff from the last position" })
    target (open_edx_changes: OpenEdxMysql => OlIngest { moves: "Row changes", tech: "binlog, GTID",
        kind: Event, by: To, owner: "data platform", retry: "backoff from the last position" })
    target (notes_rows: EdxNotes => OlIngest { moves: "Notes", tech: "SQL", kind: Scheduled, by: To,
        owner: "data platform", cadence: "every 12 hours", retry: "next run" })
    target (forum_changes: Forum => OlIngest { moves: "Threads, comments", tech: "change streams",
        kind: Event, by: To, owner: "data platform", retry: "backoff from the last position" })
    target (tracking_log_lines: TrackingLogs => OlIngest { moves: "Log lines", tech: "S3 GET",
        kind: Scheduled, by: To, owner: "data platform", cadence: "every 12 hours",
        retry: "next run" })
    target (archive_files: EdxOrg => OlIngest { moves: "Archive bundles", tech: "S3 GET",
        kind: Scheduled, by: To, owner: "data platform", cadence: "weekly", retry: "next run" })
    target (change_tables: OlIngest => RawLake { moves: "Changes, log lines", tech: "Iceberg",
        kind: Event, by: From, owner: "data platform", retry: "reload, look, retry" })
    target (ingest_requests: CodeLocations => OlIngest { moves: "Run requests", tech: "Dagster Pipes",
        kind: Scheduled, by: From, owner: "data platform", cadence: "every 6 hours",
        retry: "3 run retries" })
    target (transform_requests: CodeLocations => OlTransform { moves: "Build requests",
        tech: "Dagster Pipes", kind: Event, by: From, owner: "data platform",
        retry: "3 run retries" })
    target (transform_input: RawLake => OlTransform { moves: "Raw tables", tech: "Iceberg",
        kind: Scheduled, by: To, owner: "data platform", cadence: "after each load",
        retry: "next run" })
    target (transform_output: OlTransform => Marts { moves: "Model tables", tech: "Iceberg",
        kind: Scheduled, by: From, owner: "data platform", cadence: "after each load",
        retry: "next run" })
    target (transform_lineage: OlTransform => OpenMetadata { moves: "Lineage events", tech: "OpenLineage",
        kind: Event, by: From, owner: "data platform", retry: "next run" })

    }
}
