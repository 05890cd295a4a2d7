//! A circle of flows as a row of boxes: each arrow leads to the next box, the last one leads back
//! under the row. Nothing can cross, so no layout engine is needed.

use std::collections::BTreeMap;

use c4model::Model;

use super::bundle::Arrow;
use super::view::{edge, element_page, node};
use super::{Edge, Node, Scene};
use crate::layout::{PlacedEdge, Placement, Point, Rect};

const MARGIN: f64 = 12.0;
/// Room in pixels on both sides of a label on its arrow.
const LEAD: f64 = 24.0;
/// How far in pixels the way back runs below the boxes.
const DROP: f64 = 34.0;

/// The picture of a circle. Each arrow starts where the one before it ends.
#[must_use]
pub fn cycle(model: &Model, id: &str, title: &str, arrows: &[Arrow<'_>]) -> (Scene, Placement) {
    let edges: Vec<Edge> = arrows.iter().map(|arrow| edge(model, arrow)).collect();
    let nodes: Vec<Node> = arrows
        .iter()
        .filter_map(|arrow| {
            let mut node = node(model, model.element(&arrow.from)?);
            node.link = Some(element_page(&arrow.from));
            Some(node)
        })
        .collect();
    let tallest = nodes.iter().map(|node| node.height).fold(0.0, f64::max);
    let middle = MARGIN + tallest / 2.0;
    let mut placement = Placement {
        width: 0.0,
        height: 0.0,
        nodes: BTreeMap::new(),
        boundaries: BTreeMap::new(),
        edges: BTreeMap::new(),
    };
    let mut x = MARGIN;
    let mut first = x;
    let mut last = x;
    for (index, (node, edge)) in nodes.iter().zip(&edges).enumerate() {
        let rect =
            Rect { x, y: middle - node.height / 2.0, width: node.width, height: node.height };
        placement.nodes.insert(node.id.clone(), rect);
        last = rect.x + rect.width / 2.0;
        if index == 0 {
            first = last;
        }
        x = rect.right();
        if index + 1 < nodes.len() {
            let length = edge.label_width + 2.0 * LEAD;
            let points = vec![Point { x, y: middle }, Point { x: x + length, y: middle }];
            let label = around(f64::midpoint(x, x + length) - 3.0, middle, edge);
            placement.edges.insert(edge.id.clone(), PlacedEdge { points, label });
            x += length;
        }
    }
    if let (Some(back), Some(from), Some(to)) = (edges.last(), nodes.last(), nodes.first()) {
        let y = MARGIN + tallest + DROP.max(back.label_height / 2.0 + 12.0);
        let bottom = |node: &Node| middle + node.height / 2.0;
        let points = vec![
            Point { x: last, y: bottom(from) },
            Point { x: last, y },
            Point { x: first, y },
            Point { x: first, y: bottom(to) },
        ];
        let label = around(f64::midpoint(first, last), y, back);
        placement.edges.insert(back.id.clone(), PlacedEdge { points, label });
        placement.height = y + back.label_height / 2.0 + MARGIN;
    }
    placement.width = x + MARGIN;
    let scene = Scene {
        id: id.to_owned(),
        title: title.to_owned(),
        boundaries: Vec::new(),
        nodes,
        edges,
        has_anchors: false,
    };
    (scene, placement)
}

fn around(x: f64, y: f64, edge: &Edge) -> Rect {
    let (width, height) = (edge.label_width, edge.label_height);
    Rect { x: x - width / 2.0, y: y - height / 2.0, width, height }
}
