//! OpenLineage: events, one JSON document a line. An element is a namespace of datasets (a server, a
//! bucket, a catalog); a flow says that a job read from one and wrote to the other. The events of a run
//! belong together: inputs may stand in its START and outputs in its COMPLETE, and an event that was
//! sent twice says nothing twice. Facets that name datasets are read: `columnLineage` of an output, and
//! `symlinks`, which gives further names.
//! Format: <https://openlineage.io/spec/2-0-2/OpenLineage.json>.

use std::collections::{BTreeMap, BTreeSet};

use c4model::{Kind, Shape};

use super::document::{At, json_lines};
use super::{Direction, Flow, Found, Origin, Place, element, shape_of};
use crate::error::Error;

const WHAT: &str = "OpenLineage events as NDJSON: one event a line";

#[derive(Default)]
struct Run {
    job: String,
    is_streaming: bool,
    inputs: BTreeSet<(String, String)>,
    outputs: BTreeSet<(String, String)>,
    place: Option<Place>,
}

pub(super) fn read(texts: &[(String, String)], found: &mut Found) -> Result<(), Error> {
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    for (path, text) in texts {
        for document in json_lines(path, text, WHAT)? {
            read_event(&document.root(), &mut runs, found)?;
        }
    }
    for (id, run) in runs {
        let Some(place) = run.place else { continue };
        if run.inputs.is_empty() || run.outputs.is_empty() {
            let why = if run.inputs.is_empty() {
                "no event names an input"
            } else {
                "no event names an output"
            };
            found.left_out.insert(super::LeftOut { place, what: id, why: why.to_owned() });
            continue;
        }
        for (input, _) in &run.inputs {
            for (output, name) in &run.outputs {
                found.flow(Flow {
                    from: input.clone(),
                    to: output.clone(),
                    through: None,
                    direction: Direction::Data,
                    moves: "Rows of datasets".to_owned(),
                    tech: String::new(),
                    kind: if run.is_streaming { Kind::Event } else { Kind::Scheduled },
                    cadence: String::new(),
                    parts: [format!("{} ({})", name, run.job)].into(),
                    origin: Origin::OpenLineage,
                    evidence: vec![place.clone()],
                });
            }
        }
    }
    Ok(())
}

fn read_event(
    event: &At<'_>,
    runs: &mut BTreeMap<String, Run>,
    found: &mut Found,
) -> Result<(), Error> {
    let cure = format!("give {WHAT}");
    let Some(job) = event.get("job") else {
        if let Some(dataset) = event.get("dataset") {
            datasets(&[dataset], found)?;
            found.leave_out(event, "a dataset", "the event is of a dataset, and tells of no flow");
            return Ok(());
        }
        return Err(event.fault("there is neither a job nor a dataset", &cure));
    };
    let name = format!("{}/{}", job.need_text("namespace", &cure)?, job.need_text("name", &cure)?);
    let id = match event.get("run") {
        Some(run) => run.need_text("runId", &cure)?.to_owned(),
        // An event of the job itself: what it reads and writes whenever it runs.
        None => "whenever it runs".to_owned(),
    };
    let inputs = datasets(&event.items("inputs")?, found)?;
    let outputs = datasets(&event.items("outputs")?, found)?;
    let mut lineage = BTreeSet::new();
    for output in event.items("outputs")? {
        lineage.extend(column_lineage(&output, found)?);
    }
    let processing = job
        .get("facets")
        .and_then(|facets| facets.get("jobType"))
        .map(|facet| facet.text("processingType"))
        .transpose()?
        .flatten();
    // Runs are told apart by their ids; job events by the job.
    let run = runs.entry(format!("{id} {name}")).or_default();
    run.job = name;
    run.is_streaming |= processing == Some("STREAMING");
    run.inputs.extend(inputs);
    run.inputs.extend(lineage);
    run.outputs.extend(outputs);
    run.place.get_or_insert_with(|| event.place());
    Ok(())
}

/// The elements of some datasets, each with the dataset's name.
fn datasets(all: &[At<'_>], found: &mut Found) -> Result<Vec<(String, String)>, Error> {
    let mut named = Vec::new();
    for dataset in all {
        let cure = "every dataset has a namespace and a name";
        let namespace = without_user(dataset.need_text("namespace", cure)?);
        let name = dataset.need_text("name", cure)?;
        let id = format!("open_lineage:namespace/{namespace}");
        let product = namespace.split("://").next().unwrap_or_default();
        let mut one = element(id.clone(), &namespace, shape_of(product), product, dataset);
        // What is no server is a place where datasets lie.
        if one.shape == Shape::Service {
            one.shape = Shape::Database;
        }
        let symlinks = dataset.get("facets").and_then(|facets| facets.get("symlinks"));
        for link in symlinks.map_or_else(|| Ok(Vec::new()), |facet| facet.items("identifiers"))? {
            let also = without_user(link.need_text("namespace", cure)?);
            one.also.insert(format!("open_lineage:namespace/{also}"));
        }
        found.element(one);
        named.push((id, name.to_owned()));
    }
    Ok(named)
}

/// The datasets that the columns of an output are made from.
fn column_lineage(output: &At<'_>, found: &mut Found) -> Result<Vec<(String, String)>, Error> {
    let facet = output.get("facets").and_then(|facets| facets.get("columnLineage"));
    let Some(facet) = facet else { return Ok(Vec::new()) };
    let mut inputs = facet.items("dataset")?;
    for (_, field) in facet.fields("fields")? {
        inputs.extend(field.items("inputFields")?);
    }
    datasets(&inputs, found)
}

/// A namespace is often an address; who logs in there is not kept.
fn without_user(namespace: &str) -> String {
    match namespace.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit('@').next().unwrap_or(host);
            format!("{scheme}://{host}{path}")
        }
        None => namespace.to_owned(),
    }
}
