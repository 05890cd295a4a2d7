//! Backstage: entities of its catalog as a YAML stream (`catalog-info.yaml`). A group of systems is a
//! domain, a system with containers a system, what runs a component, what stores a resource, people and
//! owning teams are groups. Backstage knows who needs whom and not what moves, so an arrow becomes
//! `dependsOn` of its caller; where the caller's kind has no such field it stands as `dependencyOf` at the
//! other end, and in an annotation where neither has.

use std::collections::{BTreeMap, BTreeSet};

use c4model::{ElementRecord, Level, Model, Shape, Status};
use serde_json::{Map, Value, json};

use super::{arrows, is_holder};
use crate::scene::leg::{Leg, ancestors};
use crate::scene::view::element_page;

const ANNOTATION: &str = "c4gen/depends-on";

pub(super) fn write(model: &Model) -> String {
    let references: BTreeMap<&str, String> = model
        .elements
        .iter()
        .filter_map(|element| {
            let kind = kind(model, element)?.to_lowercase();
            Some((element.id.as_str(), format!("{kind}:default/{}", element.id)))
        })
        .collect();
    let mut needs: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for leg in arrows(model) {
        let (caller, called) = caller(&leg);
        let (Some(caller_reference), Some(called_reference)) =
            (references.get(caller), references.get(called))
        else {
            continue;
        };
        let has_field = |id: &str| {
            let kind = model.element(id).and_then(|element| kind(model, element));
            matches!(kind, Some("Component" | "Resource"))
        };
        let (at, field, reference) = if has_field(caller) {
            (caller, "dependsOn", called_reference)
        } else if has_field(called) {
            (called, "dependencyOf", caller_reference)
        } else {
            (caller, ANNOTATION, called_reference)
        };
        needs.entry((at, field)).or_default().insert(reference);
    }
    let owners: BTreeSet<&str> = model
        .elements
        .iter()
        .map(|element| element.owner.as_str())
        .filter(|owner| !owner.is_empty())
        .chain(["nobody named"])
        .collect();
    let mut entities: Vec<Value> = owners
        .into_iter()
        .map(|owner| {
            entity(
                "Group",
                &format!("team-{}", slug(owner)),
                owner,
                "",
                json!({ "type": "team", "children": [] }),
            )
        })
        .collect();
    entities.extend(model.elements.iter().filter_map(|element| record(model, element, &needs)));
    let mut text = String::new();
    for one in &entities {
        text.push_str("---\n");
        yaml(&mut text, one, 0);
    }
    text
}

/// The kind of entity; a border inside a system has none, and stands in an annotation.
fn kind(model: &Model, element: &ElementRecord) -> Option<&'static str> {
    Some(match (element.level, element.shape) {
        (Level::Person, _) => "Group",
        (Level::Group, _) => {
            let is_within = ancestors(model, &element.id).any(|outer| outer.level == Level::System);
            return (!is_within).then_some("Domain");
        }
        (Level::System, _) if is_holder(model, &element.id) => "System",
        (Level::System | Level::External, _) => "Component",
        (Level::Container, Shape::Person | Shape::Service) => "Component",
        (Level::Container, Shape::Database | Shape::Bucket | Shape::Queue) => "Resource",
    })
}

/// Who opens the connection of this piece of a flow, and to whom.
fn caller<'model>(leg: &Leg<'model>) -> (&'model str, &'model str) {
    let through = leg.flow.through.as_deref();
    match leg.flow.by.as_str() {
        "through" if through == Some(leg.to) => (leg.to, leg.from),
        "to" if through.is_none() || through == Some(leg.from) => (leg.to, leg.from),
        _ => (leg.from, leg.to),
    }
}

fn record(
    model: &Model,
    element: &ElementRecord,
    needs: &BTreeMap<(&str, &str), BTreeSet<&str>>,
) -> Option<Value> {
    let kind = kind(model, element)?;
    let owner = if element.owner.is_empty() { "nobody named" } else { &element.owner };
    let owner = json!(format!("group:default/team-{}", slug(owner)));
    let around = |level: Level| {
        ancestors(model, &element.id)
            .skip(1)
            .find(|outer| outer.level == level && outer.id != element.id)
    };
    let domain = ancestors(model, &element.id)
        .skip(1)
        .find(|outer| self::kind(model, outer) == Some("Domain"))
        .map(|outer| outer.id.clone());
    let system = around(Level::System).map(|outer| outer.id.clone());
    let lifecycle = match element.status {
        Status::Live => "production",
        Status::Target => "experimental",
        Status::Retiring => "deprecated",
    };
    let type_name = match (element.level, element.shape) {
        (Level::External, _) => "external-system",
        (_, Shape::Database) => "database",
        (_, Shape::Bucket) => "bucket",
        (_, Shape::Queue) => "queue",
        (_, Shape::Person | Shape::Service) => "service",
    };
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    match kind {
        "Group" => {
            put("type", json!("role"));
            put("children", json!([]));
        }
        "Domain" => {
            put("owner", owner);
            domain.map(|domain| put("subdomainOf", json!(domain)));
        }
        "System" => {
            put("owner", owner);
            domain.map(|domain| put("domain", json!(domain)));
        }
        _ => {
            put("type", json!(type_name));
            if kind == "Component" {
                put("lifecycle", json!(lifecycle));
            }
            put("owner", owner);
            system.map(|system| put("system", json!(system)));
            for field in ["dependsOn", "dependencyOf"] {
                if let Some(references) = needs.get(&(element.id.as_str(), field)) {
                    put(field, json!(references));
                }
            }
        }
    }
    let mut value = entity(kind, &element.id, &element.name, &element.summary, Value::Object(spec));
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut)?;
    let mut annotations = Map::new();
    annotations.insert("c4gen/page".to_owned(), json!(element_page(&element.id)));
    if let Some(group) = around(Level::Group).filter(|group| self::kind(model, group).is_none()) {
        annotations.insert("c4gen/group".to_owned(), json!(group.id));
    }
    if let Some(references) = needs.get(&(element.id.as_str(), ANNOTATION)) {
        let all: Vec<&str> = references.iter().copied().collect();
        annotations.insert(ANNOTATION.to_owned(), json!(all.join(", ")));
    }
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    let tag = match element.status {
        Status::Live => None,
        Status::Target => Some("target"),
        Status::Retiring => Some("retiring"),
    };
    if let Some(tag) = tag {
        metadata.insert("tags".to_owned(), json!([tag]));
    }
    Some(value)
}

fn entity(kind: &str, name: &str, title: &str, about: &str, spec: Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(name));
    metadata.insert("title".to_owned(), json!(title));
    if !about.is_empty() {
        metadata.insert("description".to_owned(), json!(about));
    }
    json!({ "apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec })
}

fn slug(text: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' }
    };
    let text: String = text.chars().map(plain).collect();
    text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// Maps and lists as YAML; texts in quotation marks, as JSON has them.
fn yaml(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push_str(&format!("{indent}{key}:\n"));
                yaml(text, value, depth + 1);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push_str(&format!("{indent}{key}:\n"));
                for item in items {
                    text.push_str(&format!("{indent}  - {item}\n"));
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => text.push_str(&format!("{indent}{key}: {value}\n")),
        }
    }
}
