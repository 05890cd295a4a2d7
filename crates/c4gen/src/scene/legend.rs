//! The legend, drawn by the same code as the diagrams, so that it cannot promise other shapes.

use std::collections::BTreeMap;

use c4model::{Shape, Status};

use super::{Edge, Node, NodeText, Scene};
use crate::layout::{PlacedEdge, Placement, Point, Rect};

const GAP: f64 = 24.0;
const ARROW: f64 = 190.0;

/// The legend and where everything in it stands.
#[must_use]
pub fn legend() -> (Scene, Placement) {
    let node = |id: &str, shape, name, tech, summary| {
        Node::new(id, shape, &NodeText { name, tech, summary, deployments: Vec::new() })
    };
    let mut external = node(
        "external",
        Shape::Service,
        "External",
        "External system",
        "Runs outside MIT Open Learning",
    );
    external.is_external = true;
    let mut planned = node(
        "planned",
        Shape::Service,
        "Planned",
        "Technology · target",
        "Not built yet; dotted border",
    );
    planned.status = Status::Target;
    let nodes = vec![
        node("person", Shape::Person, "Person", "Person", "Somebody who uses or runs it"),
        node("service", Shape::Service, "Service", "Technology", "A system, or a part that runs"),
        node("database", Shape::Database, "Database", "Technology", "Rows at rest"),
        node("bucket", Shape::Bucket, "Files", "Technology", "Files or tables at rest"),
        node("queue", Shape::Queue, "Queue", "Technology", "Messages on their way"),
        external,
        planned,
    ];
    let mut sync =
        Edge::new("sync", "person", "service", "Caller waits", "technology", Status::Live);
    "solid: synchronous, the caller waits for the answer".clone_into(&mut sync.description);
    let mut asynchronous =
        Edge::new("async", "service", "database", "Nobody waits", "technology", Status::Live);
    asynchronous.is_async = true;
    "amber and dashed: asynchronous, by the clock, by a queue or by an event"
        .clone_into(&mut asynchronous.description);
    let mut target =
        Edge::new("target", "database", "bucket", "Planned", "technology", Status::Target);
    "violet and dotted: planned, no code claims it".clone_into(&mut target.description);
    let mut doubted =
        Edge::new("doubted", "person", "bucket", "Not verified ?", "technology", Status::Live);
    "question mark: somebody said so, and nothing in this repository shows it"
        .clone_into(&mut doubted.description);
    let mut retiring =
        Edge::new("retiring", "person", "bucket", "Is to go", "technology", Status::Retiring);
    retiring.is_async = true;
    "retiring: it exists and is to go".clone_into(&mut retiring.description);
    let edges = vec![sync, asynchronous, target, doubted, retiring];

    let mut placed_nodes = BTreeMap::new();
    let tallest = nodes.iter().map(|node| node.height).fold(0.0, f64::max);
    let mut x = GAP / 2.0;
    for node in &nodes {
        let (width, height) = (node.width, node.height);
        let y = GAP / 2.0 + (tallest - height) / 2.0;
        placed_nodes.insert(node.id.clone(), Rect { x, y, width, height });
        x += width + GAP;
    }
    let y = tallest + 2.0 * GAP + 8.0;
    let mut placed_edges = BTreeMap::new();
    let mut start = GAP / 2.0;
    for edge in &edges {
        let (width, height) = (edge.label_width, edge.label_height);
        let label =
            Rect { x: start + (ARROW - width) / 2.0 - 4.0, y: y - height / 2.0, width, height };
        let points = vec![Point { x: start, y }, Point { x: start + ARROW, y }];
        placed_edges.insert(edge.id.clone(), PlacedEdge { points, label });
        start += ARROW + 2.0 * GAP;
    }
    let placement = Placement {
        width: (x - GAP / 2.0).ceil(),
        height: y + GAP + 8.0,
        nodes: placed_nodes,
        boundaries: BTreeMap::new(),
        edges: placed_edges,
    };
    let scene = Scene {
        id: "legend".to_owned(),
        title: "Legend".to_owned(),
        boundaries: Vec::new(),
        nodes,
        edges,
        has_anchors: false,
    };
    (scene, placement)
}
