//! Airbyte: what its API answers when asked for connections, sources and destinations. Both APIs are
//! understood: the public one (`{"data": […]}`, streams flat under `configurations`) and the older one
//! of the web application (`{"connections": […]}`, streams nested in `syncCatalog`). Names come from the
//! sources and destinations inside a connection, or from answers of their own among the files.
//! Configurations of connectors, which hold credentials, are not read.
//! Formats: <https://reference.airbyte.com/reference/listconnections> and Airbyte's `config.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use c4model::{Kind, Shape};

use super::document::{At, json};
use super::{Direction, Flow, Found, Origin, element, shape_of};
use crate::error::Error;

const WHAT: &str = "an answer of Airbyte's API as JSON, e.g. of GET /v1/connections";

#[derive(Clone, Copy)]
struct End<'text> {
    name: &'text str,
    product: &'text str,
}

pub(super) fn read(texts: &[(String, String)], found: &mut Found) -> Result<(), Error> {
    let documents = texts
        .iter()
        .map(|(path, text)| json(path, text, WHAT))
        .collect::<Result<Vec<_>, Error>>()?;
    let mut ends: BTreeMap<&str, End<'_>> = BTreeMap::new();
    let mut connections = Vec::new();
    for document in &documents {
        for record in records(&document.root(), found)? {
            if record.get("connectionId").is_some() {
                for key in ["source", "destination"] {
                    if let Some(inner) = record.get(key) {
                        name_end(&inner, &mut ends)?;
                    }
                }
                connections.push(record);
            } else {
                name_end(&record, &mut ends)?;
            }
        }
    }
    for connection in connections {
        read_connection(&connection, &ends, found)?;
    }
    Ok(())
}

/// What an answer lists.
fn records<'document>(
    root: &At<'document>,
    found: &mut Found,
) -> Result<Vec<At<'document>>, Error> {
    if root.value.is_array() {
        return root.as_items();
    }
    for key in ["data", "connections", "sources", "destinations"] {
        if root.get(key).is_some() {
            // A page of a longer list names the next one.
            if root.text("next")?.is_some_and(|next| !next.is_empty()) {
                found.leave_out(
                    root,
                    "next",
                    "the answer is one page of several; give the others, too",
                );
            }
            return root.items(key);
        }
    }
    if root.get("connectionId").or_else(|| root.get("name")).is_some() {
        return Ok(vec![root.clone()]);
    }
    Err(root.fault(
        "there are neither connections nor sources nor destinations",
        &format!("give {WHAT}"),
    ))
}

fn name_end<'text>(
    record: &At<'text>,
    ends: &mut BTreeMap<&'text str, End<'text>>,
) -> Result<(), Error> {
    let (id, product) = if record.get("sourceId").is_some() {
        ("sourceId", ["sourceType", "sourceName"])
    } else {
        ("destinationId", ["destinationType", "destinationName"])
    };
    let id = record
        .need_text(id, "give connections, sources and destinations as the API answers them")?;
    let name = record.need_text("name", "ask Airbyte for the whole record")?;
    let [first, second] = product;
    let product = match record.text(first)? {
        Some(product) => product,
        None => record.text(second)?.unwrap_or_default(),
    };
    ends.insert(id, End { name, product });
    Ok(())
}

fn read_connection(
    connection: &At<'_>,
    ends: &BTreeMap<&str, End<'_>>,
    found: &mut Found,
) -> Result<(), Error> {
    let cure = "export the connection again; each names its source and its destination";
    let source = connection.need_text("sourceId", cure)?;
    let destination = connection.need_text("destinationId", cure)?;
    let name = connection.text("name")?.unwrap_or("a connection without a name");
    let status = connection.text("status")?.unwrap_or("active");
    if status != "active" {
        found.leave_out(connection, name, &format!("the connection is {status}"));
        return Ok(());
    }
    let parts = streams(connection, name, found)?;
    if parts.is_empty() {
        found.leave_out(connection, name, "no stream of it is selected");
        return Ok(());
    }
    let mut end = |kind: &str, id: &str| {
        let known = ends.get(id);
        let name = known.map_or(id, |end| end.name);
        let product = known.map_or("", |end| end.product);
        let shape = if product.is_empty() { Shape::Service } else { shape_of(product) };
        let id = format!("airbyte:{kind}/{name}");
        found.element(element(id.clone(), name, shape, product, connection));
        id
    };
    let (from, to) = (end("source", source), end("destination", destination));
    let through = "airbyte:airbyte".to_owned();
    found.element(element(through.clone(), "Airbyte", Shape::Service, "Airbyte", connection));
    let cadence = cadence(connection)?;
    found.flow(Flow {
        from,
        to,
        through: Some(through),
        direction: Direction::Data,
        moves: "Rows of streams".to_owned(),
        tech: "Airbyte".to_owned(),
        kind: Kind::Scheduled,
        cadence,
        parts,
        origin: Origin::Airbyte,
        evidence: vec![connection.place()],
    });
    Ok(())
}

/// The streams that are copied, with namespace, destination prefix and mode.
fn streams(connection: &At<'_>, name: &str, found: &mut Found) -> Result<BTreeSet<String>, Error> {
    let prefix = connection.text("prefix")?.unwrap_or_default();
    let mut parts = BTreeSet::new();
    let mut add = |stream: &At<'_>, mode: String| -> Result<(), Error> {
        let stream_name = stream.need_text("name", "export the connection with its streams")?;
        let namespace = stream.text("namespace")?.filter(|text| !text.is_empty());
        let namespace = namespace.map(|text| format!("{text}.")).unwrap_or_default();
        parts.insert(format!("{namespace}{stream_name} as {prefix}{stream_name} ({mode})"));
        Ok(())
    };
    let nested = connection.get("syncCatalog");
    let flat = connection.get("configurations");
    if nested.is_none() && flat.is_none() {
        let cure =
            "ask for the connection itself (GET /v1/connections/ID), which lists its streams";
        return Err(connection.fault("the connection lists no streams", cure));
    }
    for entry in nested.map_or_else(|| Ok(Vec::new()), |at| at.items("streams"))? {
        let stream = entry.need("stream", "export the connection again")?;
        let config = entry.need("config", "export the connection again")?;
        if !config.flag("selected", true)? {
            let what = format!("{name}: {}", stream.text("name")?.unwrap_or_default());
            found.leave_out(&entry, &what, "the stream is not selected");
            continue;
        }
        let read = config.text("syncMode")?.unwrap_or("full_refresh");
        let write = config.text("destinationSyncMode")?.unwrap_or("overwrite");
        add(&stream, format!("{read} {write}"))?;
    }
    for stream in flat.map_or_else(|| Ok(Vec::new()), |at| at.items("streams"))? {
        let mode = stream.text("syncMode")?.unwrap_or("full_refresh_overwrite");
        add(&stream, mode.to_owned())?;
    }
    Ok(parts)
}

fn cadence(connection: &At<'_>) -> Result<String, Error> {
    let (kind, cron, basic) = match (connection.get("schedule"), connection.get("scheduleData")) {
        (Some(schedule), _) if schedule.get("scheduleType").is_some() => (
            schedule.text("scheduleType")?,
            schedule.text("cronExpression")?.map(str::to_owned),
            schedule.text("basicTiming")?.map(str::to_lowercase),
        ),
        (_, Some(data)) => {
            let basic = match data.get("basicSchedule") {
                None => None,
                Some(basic) => {
                    let units = basic.get("units").map(|units| units.value.to_string());
                    let unit = basic.text("timeUnit")?.unwrap_or_default();
                    Some(format!("every {} {unit}", units.unwrap_or_default()))
                }
            };
            let cron = match data.get("cron") {
                None => None,
                Some(cron) => cron.text("cronExpression")?.map(str::to_owned),
            };
            (connection.text("scheduleType")?, cron, basic)
        }
        _ => (connection.text("scheduleType")?, None, None),
    };
    Ok(match (cron, basic, kind) {
        (Some(cron), _, _) => format!("cron {cron}"),
        (None, Some(basic), _) => basic,
        (None, None, Some("manual")) => "when started".to_owned(),
        (None, None, Some(other)) => other.to_owned(),
        (None, None, None) => String::new(),
    })
}
