//! Views of the model: what each page's diagram shows.

use std::collections::{BTreeMap, BTreeSet};

use c4model::{ElementRecord, EvidenceRecord, FlowRecord, Level, Model, Status};

use super::{Boundary, Edge, Node, NodeText, Scene};

/// One straight piece of a flow: a flow that runs through the element of its function has two.
struct Leg<'model> {
    flow: &'model FlowRecord,
    from: &'model str,
    to: &'model str,
    tech: &'model str,
}

/// Everybody and every system; flows are lifted from containers to their systems.
#[must_use]
pub fn context(model: &Model) -> Scene {
    let lift = |id: &str| -> Option<String> {
        let mut element = model.element(id)?;
        while matches!(element.level, Level::Container | Level::Group) {
            element = model.element(element.parent.as_deref()?)?;
        }
        Some(element.id.clone())
    };
    let mut bundles: BTreeMap<(String, String, bool, Status), Vec<&FlowRecord>> = BTreeMap::new();
    for leg in legs(model) {
        if let (Some(from), Some(to)) = (lift(leg.from), lift(leg.to))
            && from != to
        {
            let key = (from, to, leg.flow.kind.is_async(), leg.flow.status);
            bundles.entry(key).or_default().push(leg.flow);
        }
    }
    let edges = bundles
        .into_iter()
        .map(|((from, to, is_async, status), flows)| {
            bundled_edge(model, &from, &to, is_async, status, &flows)
        })
        .collect();
    let shown: BTreeSet<&str> = model
        .elements
        .iter()
        .filter(|element| matches!(element.level, Level::Person | Level::System | Level::External))
        .map(|element| element.id.as_str())
        .collect();
    let link = |element: &ElementRecord| has_page(model, element).then(|| page_of(&element.id));
    assemble(model, "context", "System context".to_owned(), &shown, &|_| true, edges, &link)
}

/// The containers of one system and whatever exchanges data with them.
#[must_use]
pub fn containers(model: &Model, system: &ElementRecord) -> Scene {
    let inside = |id: &str| ancestors(model, id).any(|ancestor| ancestor.id == system.id);
    let family_of = |id: &str| {
        model
            .element(id)
            .and_then(|element| element.family.clone())
            .unwrap_or_else(|| id.to_owned())
    };
    let mut shown: BTreeSet<&str> = model
        .elements
        .iter()
        .filter(|element| element.level == Level::Container && element.family.is_none())
        .map(|element| element.id.as_str())
        .filter(|id| inside(id))
        .collect();
    let mut edges = Vec::new();
    for leg in legs(model).filter(|leg| inside(leg.from) || inside(leg.to)) {
        let (from, to) = (family_of(leg.from), family_of(leg.to));
        let moves = &marked(&leg.flow.moves, is_verified(leg.flow));
        let id = format!("{}:{from}:{to}", leg.flow.id);
        let mut edge = Edge::new(&id, &from, &to, moves, leg.tech, leg.flow.status);
        edge.is_async = leg.flow.kind.is_async();
        edge.is_verified = is_verified(leg.flow);
        edge.description = describe(model, &from, &to, &leg.flow.moves, leg.tech, edge.is_verified);
        edge.link = Some(format!("flows.html#flow-{}", leg.flow.id));
        edges.push(edge);
        shown.extend(
            [&from, &to]
                .into_iter()
                .filter_map(|id| model.element(id).map(|element| element.id.as_str())),
        );
    }
    let link = |element: &ElementRecord| {
        Some(if element.id != system.id && has_page(model, element) {
            page_of(&element.id)
        } else {
            format!("elements.html#element-{}", element.id)
        })
    };
    let title = format!("Containers of {}", system.name);
    let border = |element: &ElementRecord| element.level == Level::System || inside(&element.id);
    assemble(model, &format!("containers_{}", system.id), title, &shown, &border, edges, &link)
}

/// Name of the page with the containers of a system.
#[must_use]
pub fn page_of(system: &str) -> String {
    format!("system-{system}.html")
}

/// Whether a system has containers, and so a page.
#[must_use]
pub fn has_page(model: &Model, element: &ElementRecord) -> bool {
    element.level == Level::System
        && model.elements.iter().any(|inner| {
            inner.level == Level::Container
                && ancestors(model, &inner.id).any(|ancestor| ancestor.id == element.id)
        })
}

/// Whether a test can look at some evidence of this flow.
#[must_use]
pub fn is_verified(flow: &FlowRecord) -> bool {
    flow.status == Status::Target
        || flow.evidence.iter().any(|evidence| !matches!(evidence, EvidenceRecord::Said { .. }))
}

/// The element itself and every element around it, from the inside out.
pub fn ancestors<'model>(
    model: &'model Model,
    id: &str,
) -> impl Iterator<Item = &'model ElementRecord> {
    // A model with a parent cycle is found by the check; here it must only not run forever.
    std::iter::successors(model.element(id), |element| model.element(element.parent.as_deref()?))
        .take(16)
}

fn legs(model: &Model) -> impl Iterator<Item = Leg<'_>> {
    model.flows.iter().flat_map(|flow| {
        let onward = if flow.tech_onward.is_empty() { &flow.tech } else { &flow.tech_onward };
        let mut legs = Vec::new();
        let leg = |from, to, tech| Leg { flow, from, to, tech };
        if let Some(through) = &flow.through {
            legs.extend(flow.from.iter().map(|from| leg(from, through, &flow.tech)));
            legs.extend(flow.to.iter().map(|to| leg(through, to, onward)));
        } else {
            for from in &flow.from {
                legs.extend(flow.to.iter().map(|to| leg(from, to, &flow.tech)));
            }
        }
        legs
    })
}

fn bundled_edge(
    model: &Model,
    from: &str,
    to: &str,
    is_async: bool,
    status: Status,
    flows: &[&FlowRecord],
) -> Edge {
    let mut moves: Vec<&str> = Vec::new();
    for flow in flows {
        if !moves.contains(&flow.moves.as_str()) {
            moves.push(&flow.moves);
        }
    }
    let hidden = moves.len().saturating_sub(2);
    let mut text = moves.iter().take(2).copied().collect::<Vec<_>>().join("; ");
    if hidden > 0 {
        text = format!("{text}; {hidden} more");
    }
    let is_sure = flows.iter().all(|flow| is_verified(flow));
    let text = marked(&text, is_sure);
    let tech = match flows {
        [flow] => flow.tech.as_str(),
        _ => "",
    };
    let id = format!("{from}:{to}:{is_async}:{status:?}");
    let mut edge = Edge::new(&id, from, to, &text, tech, status);
    edge.is_async = is_async;
    edge.is_verified = is_sure;
    edge.description = describe(model, from, to, &moves.join("; "), tech, edge.is_verified);
    edge.link = flows.first().map(|flow| format!("flows.html#flow-{}", flow.id));
    edge
}

/// What moves, with a question mark where nothing but somebody's word stands behind it.
fn marked(moves: &str, is_verified: bool) -> String {
    if is_verified { moves.to_owned() } else { format!("{moves} ?") }
}

fn describe(
    model: &Model,
    from: &str,
    to: &str,
    moves: &str,
    tech: &str,
    is_verified: bool,
) -> String {
    let name = |id: &str| model.element(id).map_or_else(|| id.to_owned(), |end| end.name.clone());
    let tech = if tech.is_empty() { String::new() } else { format!(" [{tech}]") };
    let doubt = if is_verified { "" } else { " (not verified)" };
    format!("{} → {}: {moves}{tech}{doubt}", name(from), name(to))
}

/// Boxes for the shown elements, borders for their ancestors that pass `border`.
fn assemble(
    model: &Model,
    id: &str,
    title: String,
    shown: &BTreeSet<&str>,
    border: &dyn Fn(&ElementRecord) -> bool,
    edges: Vec<Edge>,
    link: &dyn Fn(&ElementRecord) -> Option<String>,
) -> Scene {
    let mut boundaries: Vec<Boundary> = Vec::new();
    let mut nodes = Vec::new();
    for element in model.elements.iter().filter(|element| shown.contains(element.id.as_str())) {
        let mut around: Vec<&ElementRecord> = ancestors(model, &element.id)
            .skip(1)
            .filter(|ancestor| border(ancestor) && !shown.contains(ancestor.id.as_str()))
            .collect();
        around.reverse();
        for (depth, ancestor) in around.iter().enumerate() {
            if !boundaries.iter().any(|boundary| boundary.id == ancestor.id) {
                boundaries.push(Boundary {
                    id: ancestor.id.clone(),
                    parent: depth
                        .checked_sub(1)
                        .and_then(|outer| around.get(outer))
                        .map(|outer| outer.id.clone()),
                    title: ancestor.name.clone(),
                    kind: match ancestor.level {
                        Level::System => "Software system",
                        Level::Group | Level::Person | Level::External | Level::Container => {
                            "Group"
                        }
                    },
                    depth,
                    link: has_page(model, ancestor).then(|| page_of(&ancestor.id)),
                });
            }
        }
        let deployments = model
            .elements
            .iter()
            .filter(|other| other.family.as_deref() == Some(element.id.as_str()))
            .map(|other| other.name.as_str())
            .collect();
        let kind = match element.level {
            Level::Person => "Person".to_owned(),
            Level::External => join("External system", &element.tech),
            Level::System => join("Software system", &element.tech),
            Level::Group | Level::Container => element.tech.clone(),
        };
        let kind = if element.status == Status::Target { join(&kind, "target") } else { kind };
        let text = NodeText {
            name: &element.name,
            tech: &kind,
            summary: &element.summary,
            deployments: if element.level == Level::Container { deployments } else { Vec::new() },
        };
        let mut node = Node::new(&element.id, element.shape, &text);
        node.parent = around.last().map(|inner| inner.id.clone());
        node.status = element.status;
        node.is_external = element.level == Level::External;
        node.link = link(element);
        nodes.push(node);
    }
    boundaries.sort_by_key(|boundary| boundary.depth);
    Scene { id: id.to_owned(), title, boundaries, nodes, edges }
}

fn join(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first} · {second}") }
}
