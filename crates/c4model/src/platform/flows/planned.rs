//! What is planned and has no code yet. The check refuses a function of ours that claims one.

use crate::macros::listed_flows;
use crate::platform::{
    CodeLocations, EdxNotes, EdxOrg, HubSpot, Marts, MitLearnReceiver, MitxOnlineApp, OlIngest,
    OlTransform, OlWebhook, OpenEdxLms, OpenMetadata, RawLake, Superset, TrackingLogs, Trino,
    WebhookOutbox, XproApp,
};

listed_flows! { PLANNED:

target (notes_rows: EdxNotes => OlIngest { moves: "Notes", tech: "SQL", kind: Scheduled, by: To,
    owner: "data platform", cadence: "every 12 hours", retry: "next run" })
target (tracking_log_lines: TrackingLogs => OlIngest { moves: "Log lines", tech: "S3 GET",
    kind: Scheduled, by: To, owner: "data platform", cadence: "every 12 hours", retry: "next run" })
target (archive_files: EdxOrg => OlIngest { moves: "Archive bundles", tech: "S3 GET",
    kind: Scheduled, by: To, owner: "data platform", cadence: "weekly", retry: "next run" })
target (change_tables: OlIngest => RawLake { moves: "Changes, log lines", tech: "Iceberg",
    kind: Event, by: From, owner: "data platform", retry: "reload, look, retry" })

target (transform_requests: CodeLocations => OlTransform { is_control: true,
    moves: "Build requests",
    tech: "Dagster Pipes", kind: Event, by: From, owner: "data platform", retry: "run retries" })
target (transform_input: RawLake => OlTransform { moves: "Raw tables", tech: "DataFusion, Iceberg",
    kind: Scheduled, by: To, owner: "data platform", cadence: "after each load", retry: "next run" })
target (transform_output: OlTransform => Marts { moves: "Model tables", tech: "DataFusion, Iceberg",
    kind: Scheduled, by: From, owner: "data platform", cadence: "after each load", retry: "next run" })
target (transform_sql: OlTransform => Trino { is_control: true,
    moves: "Model SQL", tech: "Trino HTTP", kind: Sync,
    by: From, owner: "data platform", timeout: "by model" })
target (transform_lineage: OlTransform => OpenMetadata { is_control: true,
    moves: "Lineage events", tech: "OpenLineage",
    kind: Event, by: From, owner: "data platform", retry: "next run" })
target (dataset_definitions: OlTransform => Superset { is_control: true,
    moves: "Dataset definitions", tech: "REST",
    kind: Event, by: From, owner: "data platform", retry: "next run" })

target (edx_sync_courses: OpenEdxLms => OlTransform { moves: "Course runs", tech: "REST",
    kind: Scheduled, by: To, owner: "data platform", cadence: "hourly", retry: "backoff" })
target (edx_sync_changes: OlTransform => WebhookOutbox { moves: "Enrollment, grade changes",
    tech: "SQL", kind: Queued, by: From, owner: "data platform", retry: "next run",
    personal_data: "user, grade" })
target (edx_sync_push: OlWebhook => MitxOnlineApp { moves: "Enrollment, grade changes",
    tech: "HTTPS, HMAC", kind: Queued, by: From, owner: "data platform",
    retry: "10 tries over 76 hours", timeout: "60 s", personal_data: "user, grade" })
target (xpro_sync_push: OlWebhook => XproApp { moves: "Enrollment, grade changes",
    tech: "HTTPS, HMAC", kind: Queued, by: From, owner: "data platform",
    retry: "10 tries over 76 hours", timeout: "60 s", personal_data: "user, grade" })
target (catalog_documents: OlTransform => WebhookOutbox { moves: "Catalog documents", tech: "SQL",
    kind: Queued, by: From, owner: "data platform", retry: "next run" })
target (catalog_push: OlWebhook => MitLearnReceiver { moves: "Catalog documents",
    tech: "HTTPS, HMAC", kind: Queued, by: From, owner: "data platform",
    retry: "10 tries over 76 hours", timeout: "60 s" })
target (certificate_decisions: OlTransform => WebhookOutbox { moves: "Certificate decisions",
    tech: "SQL", kind: Queued, by: From, owner: "data platform", retry: "next run",
    personal_data: "user, course, grade" })
target (certificate_requests: OlWebhook => MitxOnlineApp { moves: "Certificate requests",
    tech: "HTTPS, OAuth2", kind: Queued, by: From, owner: "data platform",
    retry: "10 tries over 76 hours", timeout: "60 s", personal_data: "e-mail, course" })
target (crm_objects: OlTransform => WebhookOutbox { moves: "CRM objects", tech: "SQL", kind: Queued,
    by: From, owner: "data platform", retry: "next run", personal_data: "contacts, orders" })
target (crm_upserts: OlWebhook => HubSpot { moves: "Contacts, deals", tech: "REST batch upsert",
    kind: Queued, by: From, owner: "data platform", retry: "backoff, daily limit resumes later",
    timeout: "60 s", personal_data: "contacts, orders" })

}
