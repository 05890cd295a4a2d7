//! dbt: `target/manifest.json`. An element is a schema of the warehouse (what is in it is its parts) or
//! an exposure; a flow says which schema is built from which. Ephemeral models, metrics, semantic models
//! and saved queries hold no rows: what depends on them depends on what they are made from. Tests,
//! analyses and operations build nothing.
//! Format: <https://schemas.getdbt.com/dbt/manifest/v12.json> and its forerunners from version 4 on.

use std::collections::{BTreeMap, BTreeSet};

use c4model::{Kind, Shape};

use super::document::{At, json};
use super::{Direction, Flow, Found, Origin, element};
use crate::error::Error;

const WHAT: &str = "target/manifest.json as `dbt parse` or `dbt build` writes it";

/// Nodes with rows of their own, or readers of rows.
enum Role<'text> {
    /// In this schema of the warehouse, under this name.
    Relation { schema: String, name: &'text str },
    /// Read by people or programs.
    Exposure,
    /// Made from others, and nowhere by itself.
    Passage,
    /// Builds nothing.
    Nothing,
}

struct Node<'text> {
    at: At<'text>,
    role: Role<'text>,
    parents: Vec<&'text str>,
}

pub(super) fn read(texts: &[(String, String)], found: &mut Found) -> Result<(), Error> {
    for (path, text) in texts {
        let document = json(path, text, WHAT)?;
        read_manifest(&document.root(), found)?;
    }
    Ok(())
}

fn read_manifest(root: &At<'_>, found: &mut Found) -> Result<(), Error> {
    let cure = format!("give {WHAT}");
    let metadata = root.need("metadata", &cure)?;
    let version = metadata.need_text("dbt_schema_version", &cure)?;
    let number = version
        .rsplit_once("/manifest/v")
        .and_then(|(_, rest)| rest.strip_suffix(".json")?.parse::<u32>().ok())
        .ok_or_else(|| metadata.fault(&format!("`{version}` is no manifest's version"), &cure))?;
    if !(4..=12).contains(&number) {
        let cure = "give a manifest of version 4 to 12 (dbt 1.0 to 1.10)";
        return Err(metadata.fault(&format!("the manifest is of version {number}"), cure));
    }
    let adapter = metadata.text("adapter_type")?.unwrap_or_default();
    let mut nodes: BTreeMap<&str, Node<'_>> = BTreeMap::new();
    for section in ["nodes", "sources", "exposures", "metrics", "semantic_models", "saved_queries"]
    {
        for (id, at) in root.fields(section)? {
            let enabled = match at.get("config") {
                None => true,
                Some(config) => config.flag("enabled", true)?,
            };
            if !enabled {
                found.leave_out(&at, id, "it is disabled");
                continue;
            }
            let role = role(section, &at)?;
            let parents = match at.get("depends_on") {
                None => Vec::new(),
                Some(depends) => depends.items("nodes")?.iter().map(At::as_text).collect::<Result<
                    Vec<_>,
                    Error,
                >>(
                )?,
            };
            nodes.insert(id, Node { at, role, parents });
        }
    }
    for (id, at) in root.fields("disabled")? {
        found.leave_out(&at, id, "it is disabled");
    }
    let disabled: BTreeSet<&str> = root.fields("disabled")?.into_iter().map(|(id, _)| id).collect();
    for (id, node) in &nodes {
        let Some(to) = place_of(id, node, adapter, found) else { continue };
        for parent in rows_of(id, node, &nodes, &disabled)? {
            let Some(from) =
                nodes.get(parent).and_then(|node| place_of(parent, node, adapter, found))
            else {
                continue;
            };
            let name = id.splitn(3, '.').nth(2).unwrap_or(id);
            let moves = match node.role {
                Role::Exposure => "Rows that are shown",
                Role::Relation { .. } | Role::Passage | Role::Nothing => "Rows of models",
            };
            found.flow(Flow {
                from,
                to: to.clone(),
                through: None,
                direction: Direction::Data,
                moves: moves.to_owned(),
                tech: adapter.to_owned(),
                kind: Kind::Scheduled,
                cadence: String::new(),
                parts: [name.to_owned()].into(),
                origin: Origin::Dbt,
                evidence: vec![node.at.place()],
            });
        }
    }
    Ok(())
}

fn role<'text>(section: &str, at: &At<'text>) -> Result<Role<'text>, Error> {
    let cure = "let dbt write the manifest again";
    match section {
        "exposures" => return Ok(Role::Exposure),
        "metrics" | "semantic_models" | "saved_queries" => return Ok(Role::Passage),
        _ => {}
    }
    let materialized = match at.get("config") {
        None => None,
        Some(config) => config.text("materialized")?,
    };
    match at.need_text("resource_type", cure)? {
        "model" | "snapshot" if materialized == Some("ephemeral") => Ok(Role::Passage),
        "model" | "snapshot" | "seed" | "source" => {
            let schema = at.need_text("schema", cure)?;
            let database = at.text("database")?.filter(|text| !text.is_empty());
            let schema =
                database.map_or_else(|| schema.to_owned(), |name| format!("{name}.{schema}"));
            Ok(Role::Relation { schema, name: at.need_text("name", cure)? })
        }
        // Tests, analyses, operations, SQL blocks, and whatever is invented next.
        _ => Ok(Role::Nothing),
    }
}

/// The element a node's rows lie in, or that reads them.
fn place_of(id: &str, node: &Node<'_>, adapter: &str, found: &mut Found) -> Option<String> {
    match &node.role {
        Role::Relation { schema, name } => {
            let place = format!("dbt:schema/{schema}");
            let mut one = element(place.clone(), schema, Shape::Database, adapter, &node.at);
            if id.starts_with("source.") {
                let source = node.at.value.get("source_name").and_then(|name| name.as_str());
                one.also.insert(format!("dbt:source/{}", source.unwrap_or(name)));
            }
            found.element(one);
            Some(place)
        }
        Role::Exposure => {
            let text = |key: &str| node.at.value.get(key).and_then(|text| text.as_str());
            let name = text("name").unwrap_or(id);
            let place = format!("dbt:exposure/{name}");
            let shown = text("label").filter(|label| !label.is_empty()).unwrap_or(name);
            let kind = text("type").unwrap_or_default();
            found.element(element(place.clone(), shown, Shape::Service, kind, &node.at));
            Some(place)
        }
        Role::Passage | Role::Nothing => None,
    }
}

/// The relations whose rows a node is made from, through whatever holds none.
fn rows_of<'text>(
    id: &str,
    node: &Node<'text>,
    nodes: &BTreeMap<&'text str, Node<'text>>,
    disabled: &BTreeSet<&str>,
) -> Result<BTreeSet<&'text str>, Error> {
    let (mut rows, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<(&At<'text>, &'text str)> =
        node.parents.iter().map(|parent| (&node.at, *parent)).collect();
    while let Some((at, parent)) = open.pop() {
        if !seen.insert(parent) {
            continue;
        }
        match nodes.get(parent) {
            Some(Node { role: Role::Passage, at, parents }) => {
                open.extend(parents.iter().map(|parent| (at, *parent)));
            }
            Some(Node { role: Role::Relation { .. }, .. }) => {
                rows.insert(parent);
            }
            Some(Node { role: Role::Exposure | Role::Nothing, .. }) => {}
            // A node may be left out because it is disabled, and a test of it still name it.
            None if disabled.contains(parent) => {}
            None => {
                let problem =
                    format!("`{id}` depends on `{parent}`, which the manifest does not hold");
                return Err(at.fault(&problem, "let dbt write the manifest again, whole"));
            }
        }
    }
    Ok(rows)
}
