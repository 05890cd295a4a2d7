//! OpenLineage: a job event for every flow that exists, one a line. It says what a job reads and writes
//! whenever it runs; that it ran is said by the runs themselves.

use c4model::{Model, Status};
use serde_json::{Value, json};

const NAMESPACE: &str = "ol-flows";
const PRODUCER: &str = concat!("ol-flows:c4gen/", env!("CARGO_PKG_VERSION"));
const EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent";
const FACETS: &str = "https://openlineage.io/spec/facets";

/// `day` is that of the commit; the events of one commit are the same whenever they are written.
pub(super) fn write(model: &Model, day: Option<&str>) -> String {
    let time = format!("{}T00:00:00Z", day.unwrap_or("1970-01-01"));
    let mut text = String::new();
    for flow in model.flows.iter().filter(|flow| flow.status != Status::Target) {
        let datasets =
            |ids: &[String]| -> Vec<Value> { ids.iter().map(|id| dataset(model, id)).collect() };
        let facet =
            |name: &str, version: &str| format!("{FACETS}/{version}/{name}.json#/$defs/{name}");
        let event = json!({
            "eventTime": time,
            "producer": PRODUCER,
            "schemaURL": EVENT,
            "job": {
                "namespace": NAMESPACE,
                "name": flow.id,
                "facets": {
                    "documentation": {
                        "_producer": PRODUCER,
                        "_schemaURL": facet("DocumentationJobFacet", "1-0-1"),
                        "description": format!("{} by {}", flow.moves, flow.tech),
                    },
                    "jobType": {
                        "_producer": PRODUCER,
                        "_schemaURL": facet("JobTypeJobFacet", "2-0-3"),
                        "processingType": if flow.kind == c4model::Kind::Event { "STREAMING" } else { "BATCH" },
                        "integration": "OL_FLOWS",
                        "jobType": "FLOW",
                    },
                    "ownership": {
                        "_producer": PRODUCER,
                        "_schemaURL": facet("OwnershipJobFacet", "1-0-1"),
                        "owners": [{ "name": format!("team:{}", flow.owner), "type": "MAINTAINER" }],
                    },
                },
            },
            "inputs": datasets(&flow.from),
            "outputs": datasets(&flow.to),
        });
        text.push_str(&event.to_string());
        text.push('\n');
    }
    text
}

fn dataset(model: &Model, id: &str) -> Value {
    let about = model.element(id).map_or("", |element| element.summary.as_str());
    json!({
        "namespace": NAMESPACE,
        "name": id,
        "facets": { "documentation": {
            "_producer": PRODUCER,
            "_schemaURL": format!("{FACETS}/1-0-1/DocumentationDatasetFacet.json#/$defs/DocumentationDatasetFacet"),
            "description": about,
        } },
    })
}
