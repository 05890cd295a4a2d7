//! What moves between the parts of the data platform that are not ours, as their public sources say
//! it. Nothing here could be opened from this repository, so every flow is drawn as not verified.

use super::{ENGINEERS, INFRASTRUCTURE, PLATFORM};
use crate::macros::listed_flows;
use crate::platform::{
    Airbyte, Analyst, ApplicationPostgres, CodeLocations, CourseArchives, DagsterDaemon,
    DagsterStorage, DagsterWebserver, DataEngineer, DbtProject, Dlt, EdxOrg, GlueCatalog, HubSpot,
    Keycloak, Marts, OpenEdxMysql, OpenMetadata, RawLake, Superset, TrackingLogs, Trino, Vault,
};

listed_flows! { DATA_PLATFORM:

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
external (course_archive_files: CourseArchives => CodeLocations { moves: "Course archives",
    tech: "S3 GET", kind: Scheduled, by: To, owner: "data platform", cadence: "daily",
    retry: "run retries", evidence: PLATFORM })
external (airbyte_tables: Airbyte => RawLake { moves: "Table rows", tech: "Iceberg", kind: Scheduled,
    by: From, owner: "data platform", cadence: "6 to 24 hours", retry: "next sync",
    evidence: PLATFORM })
external (dlt_tables: Dlt => RawLake { moves: "File rows", tech: "Iceberg", kind: Scheduled,
    by: From, owner: "data platform", cadence: "daily", retry: "next run", evidence: PLATFORM })
external (airbyte_table_pointers: Airbyte => GlueCatalog { is_control: true,
    moves: "Table pointers", tech: "AWS API",
    kind: Sync, by: From, owner: "data platform", evidence: PLATFORM })

external (sync_requests: CodeLocations => Airbyte { is_control: true,
    moves: "Sync requests", tech: "REST", kind: Scheduled,
    by: From, owner: "data platform", cadence: "6 to 24 hours", retry: "3 run retries",
    evidence: PLATFORM })
external (load_requests: CodeLocations => Dlt { is_control: true,
    moves: "Load requests", tech: "in-process",
    kind: Scheduled, by: From, owner: "data platform", cadence: "daily", retry: "3 run retries",
    evidence: PLATFORM })
external (build_requests: CodeLocations => DbtProject { is_control: true,
    moves: "Build requests", tech: "dbt CLI",
    kind: Event, by: From, owner: "data platform", cadence: "after each sync",
    retry: "3 run retries", evidence: PLATFORM })
external (run_requests: DataEngineer => DagsterWebserver { is_control: true,
    moves: "Run requests", tech: "HTTPS",
    kind: Sync, by: From, owner: "data platform", evidence: PLATFORM })
external (run_records: DagsterWebserver => DagsterStorage { is_control: true,
    moves: "Queued runs", tech: "SQL",
    kind: Queued, by: From, owner: "data platform", retry: "none", evidence: INFRASTRUCTURE })
external (queued_runs: DagsterStorage => DagsterDaemon { is_control: true,
    moves: "Queued runs", tech: "SQL poll",
    kind: Queued, by: To, owner: "data platform", retry: "3 run retries", evidence: INFRASTRUCTURE })
external (run_launches: DagsterDaemon => CodeLocations { is_control: true,
    moves: "Run launches",
    tech: "Kubernetes, gRPC", kind: Event, by: From, owner: "data platform",
    retry: "3 run retries", timeout: "start 900 s", evidence: INFRASTRUCTURE })
external (run_events: CodeLocations => DagsterStorage { is_control: true,
    moves: "Run events", tech: "SQL", kind: Sync,
    by: From, owner: "data platform", evidence: INFRASTRUCTURE })

external (model_sql: DbtProject => Trino { is_control: true,
    moves: "Model SQL", tech: "Trino HTTP", kind: Sync,
    by: From, owner: "data platform", evidence: PLATFORM })
external (table_metadata: GlueCatalog => Trino { is_control: true,
    moves: "Table metadata", tech: "AWS API", kind: Sync,
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

external (database_credentials: Vault => CodeLocations { is_control: true,
    moves: "Credentials", tech: "HTTPS", kind: Sync,
    by: To, owner: "platform engineering", evidence: INFRASTRUCTURE })
external (webserver_identity: Keycloak => DagsterWebserver { is_control: true,
    moves: "Identity tokens", tech: "OIDC",
    kind: Sync, by: To, owner: "platform engineering", evidence: INFRASTRUCTURE })
external (superset_identity: Keycloak => Superset { is_control: true,
    moves: "Identity tokens", tech: "OIDC", kind: Sync,
    by: To, owner: "platform engineering", evidence: INFRASTRUCTURE })

}
