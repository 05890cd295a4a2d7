//! The containers of the data platform itself.

use crate::macros::listed_elements;
use crate::platform::applications::OpenLearning;

listed_elements! { DATA_PLATFORM:

(pub DataPlatform: System in OpenLearning { id: "data_platform",
    name: "OL Data Platform", tech: "Dagster, Airbyte, dbt, Trino, Iceberg", owner: "data platform",
    summary: "Copies, transforms, serves the data" })

(pub Lakehouse: Group in DataPlatform { id: "lakehouse", name: "Lakehouse",
    owner: "data platform", summary: "Tables at rest and the engine over them" })
(/// The raw layer: tables as the sources have them.
    pub RawLake: Container in Lakehouse { id: "raw_lake", name: "Raw lake", shape: Bucket,
        tech: "S3, Iceberg", owner: "data platform",
        summary: "Source-shaped tables, ol_warehouse_*_raw" })

(pub Ingestion: Group in DataPlatform { id: "ingestion", name: "Ingestion",
    owner: "data platform", summary: "What brings sources into the lake" })
(/// Where the functions of the package `ol-ingest` run.
    pub OlIngest: Container in Ingestion { id: "ol_ingest", name: "ol-ingest", tech: "Rust",
        owner: "data platform", package: "ol-ingest",
        summary: "Databases into raw Iceberg, exact to the value" })

}
