//! One element and everything that is one arrow away: what comes in on the left, what goes out on
//! the right. Every arrow is one straight line in a row of its own, so none can cross another or
//! run under a foreign label, and no layout engine is needed.

use std::collections::BTreeMap;

use c4model::{ElementRecord, Level, Model};

use super::bundle::{Arrow, parallel};
use super::leg::{family_of, is_inside, legs, system_of};
use super::view::{edge, element_page, node};
use super::{Edge, Node, Scene};
use crate::layout::{PlacedEdge, Placement, Point, Rect};

const MARGIN: f64 = 12.0;
const GAP: f64 = 16.0;
/// Room in pixels on both sides of a label on its arrow.
const LEAD: f64 = 26.0;

/// One partner with all arrows to or from it.
struct Row {
    node: Node,
    edges: Vec<Edge>,
    height: f64,
}

/// The picture, or none for an element without flows.
#[must_use]
pub fn neighbours(model: &Model, element: &ElementRecord) -> Option<(Scene, Placement)> {
    let arrows = arrows_of(model, element);
    if arrows.is_empty() {
        return None;
    }
    let id = element.id.as_str();
    let sources = rows(model, &arrows, "in", |arrow| (arrow.to == id).then_some(&arrow.from));
    let sinks = rows(model, &arrows, "out", |arrow| (arrow.from == id).then_some(&arrow.to));

    let mut middle = node(model, element);
    let height_of = |rows: &[Row]| rows.iter().map(|row| row.height + GAP).sum::<f64>() - GAP;
    let height = height_of(&sources).max(height_of(&sinks)).max(middle.height);
    let widest = |rows: &[Row]| rows.iter().map(|row| row.node.width).fold(0.0, f64::max);
    let arrow = |rows: &[Row]| {
        let labels = rows.iter().flat_map(|row| row.edges.iter().map(|edge| edge.label_width));
        labels.fold(f64::NAN, f64::max) + 2.0 * LEAD
    };
    let or_nothing = |value: f64| if value.is_nan() { 0.0 } else { value };
    let (left, left_arrow) = (widest(&sources), or_nothing(arrow(&sources)));
    let (right, right_arrow) = (widest(&sinks), or_nothing(arrow(&sinks)));
    let at = Rect { x: MARGIN + left + left_arrow, y: MARGIN, width: middle.width, height };
    middle.link = None;

    let mut placement = Placement {
        width: at.right() + right_arrow + right + MARGIN,
        height: height + 2.0 * MARGIN,
        nodes: BTreeMap::from([(element.id.clone(), at)]),
        boundaries: BTreeMap::new(),
        edges: BTreeMap::new(),
    };
    let mut scene = Scene {
        id: format!("near_{id}"),
        title: format!("What {} exchanges, and with whom", element.name),
        boundaries: Vec::new(),
        nodes: vec![middle],
        edges: Vec::new(),
        has_anchors: false,
    };
    let start = |rows: &[Row]| MARGIN + (height - height_of(rows).max(0.0)) / 2.0;
    let (top_left, top_right) = (start(&sources), start(&sinks));
    place(sources, MARGIN, left, top_left, (MARGIN + left, at.x), true, &mut scene, &mut placement);
    let x = at.right() + right_arrow;
    place(sinks, x, right, top_right, (at.right(), x), false, &mut scene, &mut placement);
    Some((scene, placement))
}

fn arrows_of<'model>(model: &'model Model, element: &'model ElementRecord) -> Vec<Arrow<'model>> {
    let own = element.id.as_str();
    let is_whole = matches!(element.level, Level::System | Level::Group);
    let end = |id: &'model str| -> Option<&'model str> {
        if is_whole {
            return if is_inside(model, id, own) { Some(own) } else { system_of(model, id) };
        }
        let family = family_of(model, id);
        let is_own = id == own || element.family.as_deref() == Some(id);
        Some(if is_own { own } else { family })
    };
    let pieces = legs(model).filter_map(|leg| {
        let (from, to) = (end(leg.from)?, end(leg.to)?);
        (from == own || to == own).then(|| (from.to_owned(), to.to_owned(), leg))
    });
    parallel(pieces)
}

fn rows(
    model: &Model,
    arrows: &[Arrow<'_>],
    side: &str,
    partner: impl for<'arrow> Fn(&'arrow Arrow<'_>) -> Option<&'arrow String>,
) -> Vec<Row> {
    let mut by_partner: BTreeMap<&str, Vec<Edge>> = BTreeMap::new();
    for arrow in arrows {
        if let Some(id) = partner(arrow) {
            by_partner.entry(id).or_default().push(edge(model, arrow));
        }
    }
    by_partner
        .into_iter()
        .filter_map(|(id, edges)| {
            let mut node = node(model, model.element(id)?);
            node.link = Some(element_page(id));
            node.id = format!("{side}/{id}");
            let labels = edges.iter().map(|edge| edge.label_height + 8.0).sum::<f64>();
            let height = node.height.max(labels);
            Some(Row { node, edges, height })
        })
        .collect()
}

#[expect(clippy::too_many_arguments, reason = "one side of the picture, said once")]
fn place(
    rows: Vec<Row>,
    x: f64,
    width: f64,
    top: f64,
    line: (f64, f64),
    is_source: bool,
    scene: &mut Scene,
    placement: &mut Placement,
) {
    let middle = scene.nodes.first().map(|node| node.id.clone()).unwrap_or_default();
    let mut y = top;
    for row in rows {
        let Row { node, edges, height } = row;
        placement.nodes.insert(node.id.clone(), Rect { x, y, width, height });
        let labels = edges.iter().map(|edge| edge.label_height + 8.0).sum::<f64>();
        let mut at = y + (height - labels) / 2.0;
        for mut edge in edges {
            let (w, h) = (edge.label_width, edge.label_height);
            let middle_y = at + (h + 8.0) / 2.0;
            let label = Rect {
                x: f64::midpoint(line.0, line.1) - w / 2.0 - 3.0,
                y: at + 4.0,
                width: w,
                height: h,
            };
            let points = vec![Point { x: line.0, y: middle_y }, Point { x: line.1, y: middle_y }];
            placement.edges.insert(edge.id.clone(), PlacedEdge { points, label });
            let ends = (node.id.clone(), middle.clone());
            (edge.from, edge.to) = if is_source { ends } else { (ends.1, ends.0) };
            at += h + 8.0;
            scene.edges.push(edge);
        }
        scene.nodes.push(node);
        y += height + GAP;
    }
}
