//! The containers of the data platform itself.

use crate::macros::listed_elements;
use crate::platform::applications::OpenLearning;

listed_elements! { DATA_PLATFORM:

(pub DataPlatform: System in OpenLearning { id: "data_platform", name: "OL Data Platform",
    tech: "Dagster, Airbyte, dbt, Trino, Iceberg", owner: "data platform",
    summary: "Copies, transforms and serves the data" })

(pub Ingestion: Group in DataPlatform { id: "ingestion", name: "Ingestion",
    owner: "data platform", summary: "What brings sources into the lake" })
(
    /// Where the functions of the package `ol-ingest` run.
    pub OlIngest: Container in Ingestion { id: "ol_ingest", name: "ol-ingest", tech: "Rust",
        owner: "data platform", package: "ol-ingest",
        summary: "Databases into raw Iceberg, exact to the value" })
(pub Airbyte: Container in Ingestion { id: "airbyte", name: "Airbyte", tech: "Java, Kubernetes",
    owner: "data platform", summary: "Incremental copies of databases" })
(pub Dlt: Container in Ingestion { id: "dlt", name: "dlt pipelines", tech: "Python, dlt",
    owner: "data platform", summary: "Loads files and REST APIs" })

(pub Lakehouse: Group in DataPlatform { id: "lakehouse", name: "Lakehouse",
    owner: "data platform", summary: "Tables at rest and the engine over them" })
(
    /// The raw layer: tables as the sources have them.
    pub RawLake: Container in Lakehouse { id: "raw_lake", name: "Raw lake", shape: Bucket,
        tech: "S3, Iceberg", owner: "data platform",
        summary: "Source-shaped tables: ol_warehouse_*_raw" })
(pub Marts: Container in Lakehouse { id: "marts", name: "Modelled lake", shape: Bucket,
    tech: "S3, Iceberg", owner: "data platform",
    summary: "Staging, intermediate, marts, dimensional" })
(pub GlueCatalog: Container in Lakehouse { id: "glue_catalog", name: "Glue catalog",
    shape: Database, tech: "AWS Glue", owner: "data platform",
    summary: "Where each table's metadata is" })
(pub Trino: Container in Lakehouse { id: "trino", name: "Trino",
    tech: "Starburst Galaxy", owner: "data platform",
    summary: "SQL over the lake, catalog ol_data_lake_production" })
(pub DbtProject: Container in Lakehouse { id: "dbt_project", name: "dbt project",
    tech: "dbt-trino", owner: "data platform", summary: "Models from raw to marts" })
(
    /// Where the functions of the package `ol-transform` will run.
    pub OlTransform: Container in Lakehouse { id: "ol_transform", name: "ol-transform",
        tech: "Rust, DataFusion", owner: "data platform", package: "ol-transform", status: Target,
        summary: "The same dbt project, embedded or on Trino" })

(pub Orchestration: Group in DataPlatform { id: "orchestration", name: "Orchestration",
    owner: "data platform", summary: "What starts the work and keeps its record" })
(pub DagsterWebserver: Container in Orchestration { id: "dagster_webserver",
    name: "Dagster webserver", tech: "Python, GraphQL", owner: "data platform",
    summary: "UI and API for assets and runs" })
(pub DagsterDaemon: Container in Orchestration { id: "dagster_daemon", name: "Dagster daemon",
    tech: "Python", owner: "data platform", summary: "Schedules, sensors, run queue" })
(pub CodeLocations: Container in Orchestration { id: "code_locations", name: "Code locations",
    tech: "Python, gRPC", owner: "data platform",
    summary: "openedx, lakehouse, edxorg, canvas and six more" })
(pub DagsterStorage: Container in Orchestration { id: "dagster_storage",
    name: "Dagster storage", shape: Database, tech: "PostgreSQL (RDS)", owner: "data platform",
    summary: "Run queue, event log, schedules" })

(pub Serving: Group in DataPlatform { id: "serving", name: "Serving and governance",
    owner: "data platform", summary: "Where people and applications meet the data" })
(pub Superset: Container in Serving { id: "superset", name: "Superset", tech: "Python, Flask",
    owner: "data platform", summary: "Dashboards and SQL Lab" })
(pub OpenMetadata: Container in Serving { id: "open_metadata", name: "OpenMetadata", tech: "Java",
    owner: "data platform", summary: "Catalog, lineage, data quality" })
(
    /// Where the functions of the package `ol-webhook` run.
    pub OlWebhook: Container in Serving { id: "ol_webhook", name: "ol-webhook", tech: "Rust",
        owner: "data platform", package: "ol-webhook",
        summary: "Signs, sends and retries notices" })
(pub WebhookOutbox: Container in Serving { id: "webhook_outbox", name: "Webhook outbox",
    shape: Queue, tech: "SQLite or PostgreSQL", owner: "data platform",
    summary: "Notices until they arrive; dead letters" })

(pub Architecture: System in OpenLearning { id: "architecture", name: "Architecture pages",
    tech: "Rust, HTML, SVG", owner: "data platform", summary: "How these pages come about" })
(pub Workspace: Container in Architecture { id: "workspace", name: "OL Flows workspace",
    shape: Bucket, tech: "Rust, git", owner: "data platform",
    summary: "Flows, and what they declare" })
(
    /// Where the functions of the package `c4gen` run.
    pub ArchitectureGenerator: Container in Architecture { id: "c4gen", name: "c4gen",
        tech: "Rust", owner: "data platform", package: "c4gen",
        summary: "Collects, checks and draws the model" })
(pub ArchitectureSite: Container in Architecture { id: "architecture_site",
    name: "Architecture site", shape: Bucket, tech: "HTML, SVG", owner: "data platform",
    summary: "The pages you are reading" })

}
