//! Views of the model: what each page's diagram shows.

use std::collections::BTreeSet;

use c4model::{ElementRecord, FlowRecord, Level, Model, Status};

use super::bundle::{Arrow, at_borders, parallel};
use super::leg::{ancestors, family_of, is_inside, is_verified, legs, system_of};
use super::{Boundary, Change, Edge, Foot, Node, NodeText, Scene};

/// Everybody and every system; flows are lifted from containers to their systems.
#[must_use]
pub fn context(model: &Model) -> Scene {
    let lifted = legs(model).filter_map(|leg| {
        let (from, to) = (system_of(model, leg.from)?, system_of(model, leg.to)?);
        // A group's arrow to one of its own systems would have to start inside it.
        let apart = !is_inside(model, from, to) && !is_inside(model, to, from);
        apart.then(|| (from.to_owned(), to.to_owned(), leg))
    });
    let shown: BTreeSet<String> = model
        .elements
        .iter()
        .filter(|element| matches!(element.level, Level::Person | Level::System | Level::External))
        .map(|element| element.id.clone())
        .collect();
    let link = |element: &ElementRecord| Some(drill_in(model, element));
    let title = "System context".to_owned();
    assemble(model, "context", title, &shown, &|_| true, parallel(lifted), &link)
}

/// The containers inside a system or a group of containers, and whatever exchanges data with them.
#[must_use]
pub fn containers(model: &Model, scope: &ElementRecord) -> Scene {
    let inside = |id: &str| is_inside(model, id, &scope.id);
    let mut shown: BTreeSet<String> = model
        .elements
        .iter()
        .filter(|element| element.level == Level::Container && inside(&element.id))
        .map(|element| family_in_view(model, &element.id, &scope.id).to_owned())
        .collect();
    let pieces: Vec<_> = legs(model)
        .map(|leg| {
            let end = |id| neighbour(model, family_in_view(model, id, &scope.id), scope).to_owned();
            (end(leg.from), end(leg.to), leg)
        })
        .filter(|(from, to, _)| inside(from) || inside(to))
        .collect();
    for (from, to, _) in &pieces {
        shown.extend([from.clone(), to.clone()]);
    }
    let link = |element: &ElementRecord| {
        Some(if element.level == Level::System {
            drill_in(model, element)
        } else {
            element_page(&element.id)
        })
    };
    let title = format!("Containers of {}", scope.name);
    let border = |element: &ElementRecord| element.level == Level::System || inside(&element.id);
    let id =
        format!("{}_{}", if scope.level == Level::Group { "group" } else { "system" }, scope.id);
    assemble(model, &id, title, &shown, &border, parallel(pieces.into_iter()), &link)
}

/// Outside a system that is large enough to have parts with pages of their own, whole systems are
/// drawn; the pages of its parts show which container of them it is.
fn neighbour<'model>(model: &'model Model, id: &'model str, scope: &ElementRecord) -> &'model str {
    let is_large = scope.level == Level::System
        && model.elements.iter().any(|element| {
            element.level == Level::Group && element.parent.as_deref() == Some(scope.id.as_str())
        });
    if !is_large || is_inside(model, id, &scope.id) {
        return id;
    }
    // A family that belongs to no system stays as it is.
    system_of(model, id)
        .filter(|system| model.element(system).is_some_and(|whole| whole.level != Level::Group))
        .unwrap_or(id)
}

/// A deployment is drawn in its family's box, except on the page of the system it lies in: there the
/// flows of the family are those of this deployment.
fn family_in_view<'model>(model: &'model Model, id: &'model str, scope: &str) -> &'model str {
    let family = family_of(model, id);
    if is_inside(model, family, scope) {
        return family;
    }
    if family != id {
        return if is_inside(model, id, scope) { id } else { family };
    }
    model
        .elements
        .iter()
        .find(|element| {
            element.family.as_deref() == Some(family) && is_inside(model, &element.id, scope)
        })
        .map_or(family, |element| element.id.as_str())
}

/// What is there today and what is planned, in one placement: every container that a planned or a
/// retiring flow touches, and all flows among them.
#[must_use]
pub fn strategy(model: &Model) -> Scene {
    let touched: BTreeSet<&str> = legs(model)
        .filter(|leg| leg.flow.status != Status::Live)
        .flat_map(|leg| [family_of(model, leg.from), family_of(model, leg.to)])
        .collect();
    let pieces: Vec<_> = legs(model)
        .map(|leg| (family_of(model, leg.from), family_of(model, leg.to), leg))
        .filter(|(from, to, _)| touched.contains(from) && touched.contains(to))
        .map(|(from, to, leg)| (from.to_owned(), to.to_owned(), leg))
        .collect();
    let shown = touched.iter().map(|&id| id.to_owned()).collect();
    let link = |element: &ElementRecord| Some(element_page(&element.id));
    let title = "Today and target".to_owned();
    let border = |element: &ElementRecord| element.level == Level::System;
    assemble(model, "target", title, &shown, &border, parallel(pieces.into_iter()), &link)
}

/// Every flow for which there is a change to tell, one arrow each, in the borders of its ends.
#[must_use]
pub fn changes(model: &Model, change_of: &dyn Fn(&FlowRecord) -> Option<Change>) -> Scene {
    let pieces: Vec<_> = legs(model).filter(|leg| change_of(leg.flow).is_some()).collect();
    let shown: BTreeSet<String> = pieces
        .iter()
        .flat_map(|leg| [family_of(model, leg.from), family_of(model, leg.to)])
        .map(str::to_owned)
        .collect();
    let border = |element: &ElementRecord| element.level == Level::System;
    let title = "What changed".to_owned();
    let mut scene = assemble(model, "changes", title, &shown, &border, Vec::new(), &|_| None);
    for leg in pieces {
        let arrow = Arrow {
            from: family_of(model, leg.from).to_owned(),
            to: family_of(model, leg.to).to_owned(),
            flows: vec![(leg.flow, leg.tech)],
            foot: Foot::None,
        };
        let Some(change) = change_of(leg.flow) else { continue };
        let drawn = edge(model, &arrow);
        let moves = format!("{} {}", change.sign(), leg.flow.moves);
        let id = format!("{}--{}", drawn.id, leg.flow.id);
        let mut marked = Edge::new(&id, &arrow.from, &arrow.to, &moves, leg.tech, leg.flow.status);
        marked.is_async = drawn.is_async;
        marked.change = Some(change);
        marked.flows = drawn.flows;
        marked.description = drawn.description;
        scene.edges.push(marked);
    }
    scene
}

/// Name of the page of one element.
#[must_use]
pub fn element_page(id: &str) -> String {
    format!("element-{id}.html")
}

/// Name of the page of one flow.
#[must_use]
pub fn flow_page(id: &str) -> String {
    format!("flow-{id}.html")
}

/// Name of the page with the containers of a system or of a group of containers.
#[must_use]
pub fn containers_page(scope: &ElementRecord) -> String {
    let kind = if scope.level == Level::Group { "group" } else { "system" };
    format!("{kind}-{}.html", scope.id)
}

/// Whether a system or a group has containers, and so a page. A group of systems has none.
#[must_use]
pub fn has_page(model: &Model, element: &ElementRecord) -> bool {
    let containers = |id: &str| {
        model
            .elements
            .iter()
            .filter(|inner| inner.level == Level::Container && is_inside(model, &inner.id, id))
            .count()
    };
    match element.level {
        Level::System => containers(&element.id) > 0,
        Level::Group => {
            containers(&element.id) > 1
                && ancestors(model, &element.id).any(|outer| outer.level == Level::System)
        }
        Level::Person | Level::External | Level::Container => false,
    }
}

/// The next level down, or the element's own page.
#[must_use]
pub fn drill_in(model: &Model, element: &ElementRecord) -> String {
    if has_page(model, element) { containers_page(element) } else { element_page(&element.id) }
}

/// Boxes for the shown elements, borders for their ancestors that pass `border`.
fn assemble(
    model: &Model,
    id: &str,
    title: String,
    shown: &BTreeSet<String>,
    border: &dyn Fn(&ElementRecord) -> bool,
    arrows: Vec<Arrow<'_>>,
    link: &dyn Fn(&ElementRecord) -> Option<String>,
) -> Scene {
    let mut boundaries: Vec<Boundary> = Vec::new();
    let mut nodes = Vec::new();
    for element in model.elements.iter().filter(|element| shown.contains(&element.id)) {
        let mut around: Vec<&ElementRecord> = ancestors(model, &element.id)
            .skip(1)
            .filter(|ancestor| border(ancestor) && !shown.contains(&ancestor.id))
            .collect();
        around.reverse();
        for (depth, ancestor) in around.iter().enumerate() {
            if boundaries.iter().any(|boundary| boundary.id == ancestor.id) {
                continue;
            }
            let outer = depth.checked_sub(1).and_then(|outer| around.get(outer));
            boundaries.push(Boundary {
                id: ancestor.id.clone(),
                parent: outer.map(|outer| outer.id.clone()),
                title: ancestor.name.clone(),
                kind: if ancestor.level == Level::System { "Software system" } else { "Group" },
                depth,
                link: has_page(model, ancestor).then(|| containers_page(ancestor)),
            });
        }
        let mut node = node(model, element);
        node.parent = around.last().map(|inner| inner.id.clone());
        node.link = link(element);
        nodes.push(node);
    }
    boundaries.sort_by_key(|boundary| boundary.depth);
    let arrows = {
        let border_of = |id: &str| {
            nodes.iter().find(|node: &&Node| node.id == id).and_then(|node| node.parent.clone())
        };
        at_borders(arrows, &border_of, &|id, border| is_inside(model, id, border))
    };
    let edges = arrows.iter().map(|arrow| edge(model, arrow)).collect();
    Scene { id: id.to_owned(), title, boundaries, nodes, edges, has_anchors: true }
}

/// The box of an element, at its full size.
#[must_use]
pub fn node(model: &Model, element: &ElementRecord) -> Node {
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
    let text =
        NodeText { name: &element.name, tech: &kind, summary: &element.summary, deployments };
    let mut node = Node::new(&element.id, element.shape, &text);
    node.status = element.status;
    node.owner.clone_from(&element.owner);
    node.is_external = element.level == Level::External;
    node
}

/// The drawn arrow of some flows.
#[must_use]
pub fn edge(model: &Model, arrow: &Arrow<'_>) -> Edge {
    let name = |id: &str| model.element(id).map_or_else(|| id.to_owned(), |end| end.name.clone());
    let first = arrow.flows.first().map(|(flow, _)| *flow);
    let status = first.map_or(Status::Live, |flow| flow.status);
    let is_async = first.is_some_and(|flow| flow.kind.is_async());
    let is_sure = arrow.flows.iter().all(|(flow, _)| is_verified(flow));
    let moves = arrow.moves();
    let mut text = moves.iter().take(2).copied().collect::<Vec<_>>().join("; ");
    if moves.len() > 2 {
        text = format!("{text}; {} more", moves.len() - 2);
    }
    match arrow.foot {
        Foot::None => {}
        Foot::From(count) | Foot::To(count) => text = format!("{text} ({count})"),
    }
    if !is_sure {
        text.push_str(" ?");
    }
    let tech = if moves.len() > 1 { "" } else { arrow.tech() };
    let id = format!(
        "{}--{}--{}",
        arrow.from,
        arrow.to,
        match (status, is_async) {
            (Status::Target, true) => "target",
            (Status::Target, false) => "target-sync",
            (Status::Retiring, true) => "retiring",
            (Status::Retiring, false) => "retiring-sync",
            (Status::Live, true) => "async",
            (Status::Live, false) => "sync",
        }
    );
    // At one border several things may be bundled with the same ends.
    let id = match arrow.foot {
        Foot::None => id,
        Foot::From(_) | Foot::To(_) => {
            format!("{id}--{}", first.map_or("", |flow| flow.id.as_str()))
        }
    };
    let mut edge = Edge::new(&id, &arrow.from, &arrow.to, &text, tech, status);
    edge.is_async = is_async;
    let owners: BTreeSet<&str> = arrow.flows.iter().map(|(flow, _)| flow.owner.as_str()).collect();
    edge.owner = owners.into_iter().collect::<Vec<_>>().join(", ");
    edge.is_verified = is_sure;
    edge.foot = arrow.foot;
    edge.flows = arrow.flows.iter().map(|(flow, _)| flow.id.clone()).collect();
    let doubt = if is_sure { "" } else { " (not verified)" };
    let by = if arrow.tech().is_empty() { String::new() } else { format!(" [{}]", arrow.tech()) };
    edge.description =
        format!("{} → {}: {}{by}{doubt}", name(&arrow.from), name(&arrow.to), moves.join("; "));
    edge.link = Some(match arrow.flows.as_slice() {
        [(flow, _)] => flow_page(&flow.id),
        _ => format!("#arrow-{id}"),
    });
    edge
}

fn join(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first} · {second}") }
}
