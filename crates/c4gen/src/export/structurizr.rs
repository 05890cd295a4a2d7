//! Structurizr, as its DSL and as the JSON of a workspace. Borders are its groups. A container that lies in
//! no system stands for one in each of several systems, and is a software system here, as Structurizr has
//! no other place for it. Structurizr takes no relative address, so the page of the site is a property.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use c4model::{ElementRecord, Level, Model, ScenarioRecord, Status};
use serde_json::{Map, Value, json};

use super::{arrows, ends_in_order, inside, is_holder, steps};
use crate::scene::leg::{Leg, ancestors, is_inside};
use crate::scene::view::{element_page, flow_page};

const NAME: &str = "OL Flows architecture";

/// What a record is in Structurizr.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Person,
    System,
    Container,
    Group,
}

fn role(model: &Model, element: &ElementRecord) -> Role {
    match element.level {
        Level::Person => Role::Person,
        Level::Group => Role::Group,
        Level::System | Level::External => Role::System,
        Level::Container if holder(model, element).is_some() => Role::Container,
        Level::Container => Role::System,
    }
}

/// The system a container lies in.
fn holder<'model>(model: &'model Model, element: &ElementRecord) -> Option<&'model ElementRecord> {
    ancestors(model, &element.id).skip(1).find(|outer| outer.level == Level::System)
}

fn tags(element: &ElementRecord) -> Vec<&'static str> {
    let mut tags = Vec::new();
    match element.shape {
        c4model::Shape::Database => tags.push("database"),
        c4model::Shape::Bucket => tags.push("bucket"),
        c4model::Shape::Queue => tags.push("queue"),
        c4model::Shape::Person | c4model::Shape::Service => {}
    }
    if element.level == Level::External {
        tags.push("external");
    }
    tags.extend(status_tag(element.status));
    tags
}

fn status_tag(status: Status) -> Option<&'static str> {
    match status {
        Status::Live => None,
        Status::Target => Some("target"),
        Status::Retiring => Some("retiring"),
    }
}

fn arrow_tags(leg: &Leg<'_>) -> Vec<&'static str> {
    let kind = leg.flow.kind.is_async().then_some("async");
    kind.into_iter().chain(status_tag(leg.flow.status)).collect()
}

/// Whether a story can be a dynamic view: no end of it may lie inside another.
fn is_viewable(model: &Model, scenario: &ScenarioRecord) -> bool {
    let ends = ends_in_order(model, scenario);
    ends.iter().all(|one| {
        ends.iter().all(|other| one.id == other.id || !is_inside(model, &one.id, &other.id))
    })
}

/// The system whose containers a story shows.
fn scope_of<'model>(
    model: &'model Model,
    scenario: &ScenarioRecord,
) -> Option<&'model ElementRecord> {
    let ends = ends_in_order(model, scenario);
    ends.into_iter()
        .find(|end| role(model, end) == Role::Container)
        .and_then(|end| holder(model, end))
}

// --- the DSL -----------------------------------------------------------------------------------------

pub(super) fn dsl(model: &Model) -> String {
    let mut text = format!(
        "workspace {} {{\n  !impliedRelationships true\n  model {{\n    properties {{\n      \"structurizr.groupSeparator\" \"/\"\n    }}\n",
        quoted(NAME)
    );
    write_inside(&mut text, model, None, 2);
    for leg in arrows(model) {
        let tags = arrow_tags(&leg);
        let _ = writeln!(
            text,
            "    {} -> {} {} {} {} {{\n      properties {{\n        page {}\n      }}\n    }}",
            leg.from,
            leg.to,
            quoted(&leg.flow.moves),
            quoted(leg.tech),
            quoted(&tags.join(",")),
            quoted(&flow_page(&leg.flow.id)),
        );
    }
    text.push_str("  }\n  views {\n    systemLandscape context {\n      include *\n      autoLayout tb\n    }\n");
    for system in model.elements.iter().filter(|one| has_containers(model, one)) {
        let id = &system.id;
        let _ = writeln!(
            text,
            "    container {id} containers_{id} {{\n      include *\n      autoLayout tb\n    }}"
        );
    }
    for scenario in &model.scenarios {
        if !is_viewable(model, scenario) {
            let _ = writeln!(text, "    // {}: an end lies inside another", scenario.id);
            continue;
        }
        let scope = scope_of(model, scenario).map_or("*", |system| system.id.as_str());
        let (id, title) = (&scenario.id, quoted(&scenario.title));
        let _ = writeln!(text, "    dynamic {scope} story_{id} {title} {{");
        for (step, leg) in steps(model, scenario) {
            let note = quoted(&format!("{}: {}", leg.flow.moves, step.note));
            let _ = writeln!(text, "      {} -> {} {note}", leg.from, leg.to);
        }
        text.push_str("      autoLayout lr\n    }\n");
    }
    text.push_str(STYLES);
    text.push_str("  }\n}\n");
    text
}

const STYLES: &str = r##"    styles {
      element "Person" {
        shape RoundedBox
      }
      element "database" {
        shape Cylinder
      }
      element "bucket" {
        shape Cylinder
      }
      element "queue" {
        shape Pipe
      }
      element "external" {
        background #e5e7eb
      }
      element "target" {
        border Dotted
        stroke #6d28d9
      }
      relationship "async" {
        color #9a3f07
        style dashed
      }
      relationship "target" {
        color #6d28d9
        style dotted
      }
    }
"##;

fn has_containers(model: &Model, system: &ElementRecord) -> bool {
    let is_in = |one: &&ElementRecord| {
        one.level == Level::Container
            && holder(model, one).is_some_and(|outer| outer.id == system.id)
    };
    system.level == Level::System && model.elements.iter().any(|one| is_in(&one))
}

fn write_inside(text: &mut String, model: &Model, parent: Option<&str>, depth: usize) {
    let indent = "  ".repeat(depth);
    for element in inside(model, parent) {
        let (id, name, about) = (&element.id, quoted(&element.name), quoted(&element.summary));
        let (tech, tags) = (quoted(&element.tech), quoted(&tags(element).join(",")));
        let head = match role(model, element) {
            Role::Person => format!("{id} = person {name} {about} {tags}"),
            Role::System => format!("{id} = softwareSystem {name} {about} {tags}"),
            Role::Container => format!("{id} = container {name} {about} {tech} {tags}"),
            Role::Group => format!("group {name}"),
        };
        let _ = writeln!(text, "{indent}{head} {{");
        if role(model, element) != Role::Group {
            let page = quoted(&element_page(id));
            let _ =
                writeln!(text, "{indent}  properties {{\n{indent}    page {page}\n{indent}  }}");
        }
        if is_holder(model, id) {
            write_inside(text, model, Some(id), depth + 1);
        }
        let _ = writeln!(text, "{indent}}}");
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

// --- the JSON of a workspace -------------------------------------------------------------------------

pub(super) fn workspace(model: &Model) -> String {
    let ids: BTreeMap<&str, String> = model
        .elements
        .iter()
        .enumerate()
        .map(|(number, element)| (element.id.as_str(), (number + 1).to_string()))
        .collect();
    let id = |element: &str| ids.get(element).cloned().unwrap_or_default();
    let pieces = pieces(model);
    let number = |at: usize| (ids.len() + at + 1).to_string();
    let mut relations: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (at, piece) in pieces.iter().enumerate() {
        let flow = piece.leg.flow;
        let kind = if flow.kind.is_async() { "Asynchronous" } else { "Synchronous" };
        let tags: Vec<_> = std::iter::once("Relationship").chain(arrow_tags(&piece.leg)).collect();
        let mut value = json!({
            "id": number(at),
            "sourceId": id(piece.from),
            "destinationId": id(piece.to),
            "description": flow.moves,
            "technology": piece.leg.tech,
            "interactionStyle": kind,
            "tags": tags.join(","),
            "properties": { "page": flow_page(&flow.id) },
        });
        if let (Some(lifted), Some(fields)) = (piece.lifted, value.as_object_mut()) {
            fields.insert("linkedRelationshipId".to_owned(), json!(number(lifted)));
        }
        relations.entry(piece.from).or_default().push(value);
    }
    let record = |element: &ElementRecord, kind: &str| {
        let mut value = Map::new();
        let mut put = |key: &str, what: Value| value.insert(key.to_owned(), what);
        put("id", json!(id(&element.id)));
        put("name", json!(element.name));
        put("description", json!(element.summary));
        put("properties", json!({ "page": element_page(&element.id) }));
        let all: Vec<&str> = ["Element", kind].into_iter().chain(tags(element)).collect();
        put("tags", json!(all.join(",")));
        let group = group(model, element);
        if !group.is_empty() {
            put("group", json!(group));
        }
        if kind == "Container" {
            put("technology", json!(element.tech));
        }
        put(
            "relationships",
            json!(relations.get(element.id.as_str()).cloned().unwrap_or_default()),
        );
        value
    };
    let of = |wanted: Role| model.elements.iter().filter(move |one| role(model, one) == wanted);
    let people: Vec<_> = of(Role::Person).map(|one| record(one, "Person")).collect();
    let systems: Vec<_> = of(Role::System)
        .map(|system| {
            let mut value = record(system, "Software System");
            let containers: Vec<_> = of(Role::Container)
                .filter(|one| holder(model, one).is_some_and(|outer| outer.id == system.id))
                .map(|one| record(one, "Container"))
                .collect();
            value.insert("containers".to_owned(), json!(containers));
            value
        })
        .collect();
    let among = |shown: &dyn Fn(&str) -> bool| -> (Vec<Value>, Vec<Value>) {
        let elements = model.elements.iter().filter(|one| shown(&one.id));
        let relations = pieces.iter().enumerate();
        let relations = relations.filter(|(_, piece)| shown(piece.from) && shown(piece.to));
        (
            elements.map(|one| json!({ "id": id(&one.id) })).collect(),
            relations.map(|(at, _)| json!({ "id": number(at) })).collect(),
        )
    };
    let layout = json!({ "implementation": "Graphviz", "rankDirection": "TopBottom" });
    let is_whole = |one: &str| {
        model
            .element(one)
            .is_some_and(|one| matches!(role(model, one), Role::Person | Role::System))
    };
    let (elements, relationships) = among(&is_whole);
    let landscape = json!({
        "key": "context", "elements": elements, "relationships": relationships, "automaticLayout": layout,
    });
    let containers: Vec<Value> = model
        .elements
        .iter()
        .filter(|system| has_containers(model, system))
        .map(|system| {
            let within = |one: &str| {
                one != system.id
                    && is_inside(model, one, &system.id)
                    && model.element(one).is_some_and(|one| role(model, one) == Role::Container)
            };
            let near = |one: &str| {
                within(one)
                    || (one != system.id
                        && model.element(one).is_some_and(|one| role(model, one) != Role::Group)
                        && pieces.iter().any(|leg| {
                            (leg.from == one && within(leg.to))
                                || (leg.to == one && within(leg.from))
                        }))
            };
            // A system stands for itself or by its containers, not by both.
            let shown = |one: &str| {
                near(one)
                    && !model.elements.iter().any(|inner| {
                        inner.id != one && near(&inner.id) && is_inside(model, &inner.id, one)
                    })
            };
            let (elements, relationships) = among(&shown);
            json!({
                "key": format!("containers_{}", system.id), "softwareSystemId": id(&system.id),
                "elements": elements, "relationships": relationships, "automaticLayout": layout,
            })
        })
        .collect();
    let dynamic: Vec<Value> = model
        .scenarios
        .iter()
        .filter(|scenario| is_viewable(model, scenario))
        .map(|scenario| {
            let mut view = json!({
                "key": format!("story_{}", scenario.id), "description": scenario.title,
                "automaticLayout": layout,
                "elements": ends_in_order(model, scenario).iter().map(|one| json!({ "id": id(&one.id) })).collect::<Vec<_>>(),
                "relationships": steps(model, scenario).into_iter().enumerate().filter_map(|(order, (step, leg))| {
                    let same = |piece: &Piece<'_>| piece.from == leg.from && piece.to == leg.to;
                    let at = pieces.iter().position(same)?;
                    Some(json!({
                        "id": number(at), "order": (order + 1).to_string(),
                        "description": format!("{}: {}", leg.flow.moves, step.note),
                    }))
                }).collect::<Vec<_>>(),
            });
            if let (Some(scope), Some(fields)) = (scope_of(model, scenario), view.as_object_mut()) {
                fields.insert("elementId".to_owned(), json!(id(&scope.id)));
            }
            view
        })
        .collect();
    let whole = json!({
        "name": NAME,
        "model": {
            "people": people,
            "softwareSystems": systems,
            "properties": { "structurizr.groupSeparator": "/" },
        },
        "views": {
            "systemLandscapeViews": [landscape],
            "containerViews": containers,
            "dynamicViews": dynamic,
            "configuration": { "styles": {
                "elements": [
                    { "tag": "database", "shape": "Cylinder" },
                    { "tag": "bucket", "shape": "Cylinder" },
                    { "tag": "queue", "shape": "Pipe" },
                    { "tag": "external", "background": "#e5e7eb" },
                    { "tag": "target", "stroke": "#6d28d9", "border": "Dotted" },
                ],
                "relationships": [
                    { "tag": "async", "color": "#9a3f07", "style": "Dashed" },
                    { "tag": "target", "color": "#6d28d9", "style": "Dotted" },
                ],
            } },
        },
    });
    format!("{whole:#}\n")
}

/// A relationship of the workspace.
struct Piece<'model> {
    from: &'model str,
    to: &'model str,
    leg: Leg<'model>,
    /// The relationship it follows from, when it only says the same of the systems around the ends.
    lifted: Option<usize>,
}

fn pieces(model: &Model) -> Vec<Piece<'_>> {
    let mut pieces: Vec<Piece<'_>> = arrows(model)
        .into_iter()
        .map(|leg| Piece { from: leg.from, to: leg.to, leg, lifted: None })
        .collect();
    let whole = |id| {
        let element = model.element(id)?;
        Some(
            holder(model, element)
                .filter(|_| role(model, element) == Role::Container)
                .map_or(id, |outer| outer.id.as_str()),
        )
    };
    for at in 0..pieces.len() {
        let Some(Piece { leg, .. }) = pieces.get(at) else { continue };
        let leg = *leg;
        let (Some(from), Some(to)) = (whole(leg.from), whole(leg.to)) else { continue };
        let is_known = pieces.iter().any(|piece| {
            piece.from == from && piece.to == to && piece.leg.flow.moves == leg.flow.moves
        });
        if from != to && !is_known {
            pieces.push(Piece { from, to, leg, lifted: Some(at) });
        }
    }
    pieces
}

/// The names of the groups around an element, inside its system or outside of every system.
fn group(model: &Model, element: &ElementRecord) -> String {
    let around =
        ancestors(model, &element.id).skip(1).take_while(|outer| outer.level == Level::Group);
    let mut names: Vec<&str> = around.map(|outer| outer.name.as_str()).collect();
    names.reverse();
    names.join("/")
}
