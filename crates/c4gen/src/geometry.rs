//! What makes a diagram unreadable, found by arithmetic: overlaps of text, boxes and arrows.

use crate::layout::{Placement, Point, Rect};
use crate::scene::{Scene, title_width};
use crate::svg::{segments, title_tab};
use crate::text::{Weight, width_pixels};

/// Everything in a placed scene that hinders reading, one sentence each; empty when all is well.
#[must_use]
pub fn faults(scene: &Scene, placement: &Placement) -> Vec<String> {
    let mut faults = Vec::new();
    let labels: Vec<(&str, Rect)> =
        placement.edges.iter().map(|(id, edge)| (id.as_str(), edge.label)).collect();
    let nodes: Vec<(&str, Rect)> =
        placement.nodes.iter().map(|(id, rect)| (id.as_str(), *rect)).collect();
    let tabs: Vec<(&str, Rect)> = scene
        .boundaries
        .iter()
        .filter_map(|boundary| Some((boundary.id.as_str(), title_tab(boundary, scene, placement)?)))
        .collect();

    for (what, things) in [("label", &labels), ("box", &nodes), ("title", &tabs)] {
        for (index, (id, rect)) in things.iter().enumerate() {
            for (other, other_rect) in things.iter().skip(index + 1) {
                if rect.overlaps(other_rect) {
                    faults.push(format!("the {what}s of `{id}` and `{other}` overlap"));
                }
            }
        }
    }
    for (what, things, on, others) in [
        ("label", &labels, "box", &nodes),
        ("title", &tabs, "box", &nodes),
        ("title", &tabs, "label", &labels),
    ] {
        for (id, rect) in things {
            for (other, other_rect) in others {
                if rect.shrunk(0.5).overlaps(other_rect) {
                    faults.push(format!("the {what} of `{id}` lies on the {on} of `{other}`"));
                }
            }
        }
    }
    arrows(scene, placement, &labels, &tabs, &mut faults);
    borders(scene, placement, &mut faults);
    faults
}

fn arrows(
    scene: &Scene,
    placement: &Placement,
    labels: &[(&str, Rect)],
    tabs: &[(&str, Rect)],
    faults: &mut Vec<String>,
) {
    for edge in &scene.edges {
        let Some(placed) = placement.edges.get(&edge.id) else { continue };
        for piece in segments(&placed.points) {
            for (node, rect) in &placement.nodes {
                // An arrow touches the border of its own two boxes and runs through neither.
                let own = *node == edge.from || *node == edge.to;
                if piece.overlaps(&rect.shrunk(if own { 2.0 } else { 0.0 })) {
                    faults.push(format!("the arrow `{}` runs through the box `{node}`", edge.id));
                }
            }
            for (label, rect) in labels {
                if *label != edge.id && piece.overlaps(&rect.shrunk(0.5)) {
                    faults
                        .push(format!("the arrow `{}` runs under the label of `{label}`", edge.id));
                }
            }
            for (title, rect) in tabs {
                if piece.overlaps(rect) {
                    faults
                        .push(format!("the arrow `{}` runs under the title of `{title}`", edge.id));
                }
            }
        }
    }
}

fn borders(scene: &Scene, placement: &Placement, faults: &mut Vec<String>) {
    let whole = Rect { x: 0.0, y: 0.0, width: placement.width, height: placement.height };
    for node in &scene.nodes {
        let Some(rect) = placement.nodes.get(&node.id) else { continue };
        let around =
            node.parent.as_ref().and_then(|id| placement.boundaries.get(id)).unwrap_or(&whole);
        if !around.contains(rect) {
            faults.push(format!("the box `{}` sticks out of its border", node.id));
        }
        for (id, border) in &placement.boundaries {
            let inside =
                scene_ancestors(scene, node.parent.as_deref()).any(|ancestor| ancestor == id);
            if !inside && border.overlaps(rect) {
                faults.push(format!("the box `{}` lies in the foreign border `{id}`", node.id));
            }
        }
        for line in &node.lines {
            let weight = if line.class == "name" { Weight::Bold } else { Weight::Regular };
            if width_pixels(&line.text, line.size, weight) > rect.width - 8.0 {
                faults.push(format!("`{}` is wider than the box `{}`", line.text, node.id));
            }
        }
    }
    for boundary in &scene.boundaries {
        let Some(rect) = placement.boundaries.get(&boundary.id) else { continue };
        let outer =
            boundary.parent.as_ref().and_then(|id| placement.boundaries.get(id)).unwrap_or(&whole);
        if !outer.contains(rect) {
            faults.push(format!("the border `{}` sticks out of its own", boundary.id));
        }
        if title_width(boundary) > rect.width {
            faults.push(format!("the title of `{}` is wider than its border", boundary.id));
        }
    }
}

fn scene_ancestors<'scene>(
    scene: &'scene Scene,
    innermost: Option<&'scene str>,
) -> impl Iterator<Item = &'scene str> {
    std::iter::successors(innermost, |id| {
        scene.boundaries.iter().find(|boundary| boundary.id == *id)?.parent.as_deref()
    })
}

/// How hard a placed scene is to read: what hinders reading weighs most, then crossings, then bends
/// and length and the room it takes. The smaller, the better.
#[must_use]
pub fn cost(scene: &Scene, placement: &Placement) -> f64 {
    let hindered = faults(scene, placement).len();
    let bends: usize = placement.edges.values().map(|edge| edge.points.len()).sum();
    let length: f64 = placement
        .edges
        .values()
        .flat_map(|edge| edge.points.iter().zip(edge.points.iter().skip(1)))
        .map(|(from, to)| (from.x - to.x).abs() + (from.y - to.y).abs())
        .sum();
    let whole = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
    let area = placement.width * placement.height;
    whole(hindered) * 1e4
        + whole(crossings(placement)) * 30.0
        + whole(bends) * 3.0
        + length / 60.0
        + area / 10_000.0
}

/// How often two arrows cross.
#[must_use]
pub fn crossings(placement: &Placement) -> usize {
    let pieces: Vec<Vec<(Point, Point)>> = placement
        .edges
        .values()
        .map(|edge| edge.points.iter().copied().zip(edge.points.iter().copied().skip(1)).collect())
        .collect();
    let mut count = 0;
    for (index, first) in pieces.iter().enumerate() {
        for second in pieces.iter().skip(index + 1) {
            count += first
                .iter()
                .flat_map(|one| second.iter().map(move |other| (one, other)))
                .filter(|(one, other)| cross(one, other))
                .count();
        }
    }
    count
}

/// Whether two straight pieces cross: each has its ends on both sides of the other. The engine's lines may lean by a
/// few pixels where they end at a port.
fn cross(one: &(Point, Point), other: &(Point, Point)) -> bool {
    let turn = |from: &Point, to: &Point, at: &Point| {
        (to.x - from.x) * (at.y - from.y) - (to.y - from.y) * (at.x - from.x)
    };
    turn(&other.0, &other.1, &one.0) * turn(&other.0, &other.1, &one.1) < 0.0
        && turn(&one.0, &one.1, &other.0) * turn(&one.0, &one.1, &other.1) < 0.0
}
