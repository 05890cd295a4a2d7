//! The layered layout of the Eclipse Layout Kernel, by its pure-Rust port, whose interface is the
//! JSON of elkjs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Layout, PlacedEdge, Placement, Point, Rect, digest};
use crate::error::Error;
use crate::geometry;
use crate::scene::{Boundary, Scene, title_width};

/// ELK layered: orthogonal, from top to bottom, labels as citizens of the layout.
#[derive(Debug, Clone, Copy, Default)]
pub struct Elk;

/// Starts of the engine's random numbers that are tried; the most readable result is kept.
const SEEDS: [u32; 10] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89];

/// Options of the engine over those of [`graph`].
type Strategy = &'static [(&'static str, &'static str)];

/// Ways in which the engine orders what goes round and what stands in which row. None is the best for every picture:
/// the first is for all, the others are tried for pictures that stay tangled by it.
const STRATEGIES: [Strategy; 3] = [
    &[],
    &[("elk.layered.cycleBreaking.strategy", "DEPTH_FIRST")],
    &[("elk.layered.layering.strategy", "MIN_WIDTH")],
];

/// A picture is tangled when more than one in so many of its arrows crosses another.
const TANGLED: usize = 3;
/// Arrows beyond which a try is too dear to be repeated in every way.
const LARGE: usize = 64;

impl Layout for Elk {
    fn place(&self, scene: &Scene) -> Result<Placement, Error> {
        let (first, others) = STRATEGIES.split_at(1);
        let best = most_readable(scene, first)?;
        let is_tangled = geometry::crossings(&best.1) * TANGLED > scene.edges.len();
        if !is_tangled || scene.edges.len() > LARGE {
            return Ok(best.1);
        }
        let other = most_readable(scene, others)?;
        Ok(if other.0 < best.0 { other.1 } else { best.1 })
    }

    fn digest(&self, scene: &Scene) -> String {
        digest(&format!("{SEEDS:?}{STRATEGIES:?}{}", graph(scene, 0, &[])))
    }
}

/// The placement of least cost, and its cost; of equal ones the first, so that nothing depends on which thread was
/// faster.
fn most_readable(scene: &Scene, strategies: &[Strategy]) -> Result<(f64, Placement), Error> {
    let tries: Vec<(Strategy, u32)> = strategies
        .iter()
        .flat_map(|strategy| SEEDS.iter().map(|seed| (*strategy, *seed)))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tried = |part: &[(Strategy, u32)]| -> Vec<Result<(f64, Placement), Error>> {
        let one = |&(strategy, seed): &(Strategy, u32)| {
            let placement = attempt(scene, seed, strategy)?;
            Ok((geometry::cost(scene, &placement), placement))
        };
        part.iter().map(one).collect()
    };
    let parts = tries.chunks(tries.len().div_ceil(threads).max(1));
    let results = std::thread::scope(|scope| {
        let running: Vec<_> = parts.map(|part| scope.spawn(move || tried(part))).collect();
        running
            .into_iter()
            .flat_map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    let mut best: Option<(f64, Placement)> = None;
    for result in results {
        let (cost, placement) = result?;
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, placement));
        }
    }
    best.ok_or_else(|| Error::Layout { scene: scene.id.clone(), reason: "no try".to_owned() })
}

fn attempt(scene: &Scene, seed: u32, strategy: Strategy) -> Result<Placement, Error> {
    let refused = |reason: String| Error::Layout { scene: scene.id.clone(), reason };
    let placed = elk_layout::layout_value(graph(scene, seed, strategy), "{}")
        .map_err(|error| refused(error.to_string()))?;
    let mut placement = Placement {
        width: number(&placed, "width"),
        height: number(&placed, "height"),
        nodes: BTreeMap::new(),
        boundaries: BTreeMap::new(),
        edges: BTreeMap::new(),
    };
    read_children(&placed, scene, &mut placement);
    read_edges(&placed, &mut placement);
    let nodes = scene.nodes.iter().map(|node| &node.id);
    let edges = scene.edges.iter().map(|edge| &edge.id);
    let missing = nodes
        .filter(|id| !placement.nodes.contains_key(*id))
        .chain(edges.filter(|id| !placement.edges.contains_key(*id)))
        .next();
    match missing {
        Some(id) => Err(refused(format!("`{id}` was left out"))),
        None => Ok(placement),
    }
}

fn graph(scene: &Scene, seed: u32, strategy: Strategy) -> Value {
    let edges: Vec<Value> = scene
        .edges
        .iter()
        .map(|edge| {
            json!({
                "id": format!("edge/{}", edge.id),
                "sources": [edge.from],
                "targets": [edge.to],
                "labels": [{
                    "id": format!("label/{}", edge.id), "text": "x",
                    "layoutOptions": {
                        "elk.edgeLabels.inline": "true",
                        "elk.edgeLabels.placement": "CENTER",
                    },
                    "width": edge.label_width, "height": edge.label_height,
                }],
            })
        })
        .collect();
    let mut options = json!({
            "elk.algorithm": "layered",
            "elk.direction": "DOWN",
            "elk.edgeRouting": "ORTHOGONAL",
            "elk.hierarchyHandling": "INCLUDE_CHILDREN",
            "elk.json.shapeCoords": "ROOT",
            "elk.json.edgeCoords": "ROOT",
            "elk.padding": "[top=12,left=12,bottom=12,right=12]",
            "elk.spacing.nodeNode": "26",
            "elk.spacing.edgeNode": "18",
            "elk.spacing.edgeEdge": "11",
            "elk.spacing.edgeLabel": "4",
            "elk.spacing.labelNode": "8",
            "elk.layered.spacing.nodeNodeBetweenLayers": "34",
            "elk.layered.spacing.edgeNodeBetweenLayers": "16",
            "elk.layered.spacing.edgeEdgeBetweenLayers": "10",
            "elk.layered.crossingMinimization.strategy": "LAYER_SWEEP",
            "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
            "elk.layered.nodePlacement.favorStraightEdges": "true",
            "elk.layered.mergeEdges": "false",
            "elk.layered.compaction.postCompaction.strategy": "EDGE_LENGTH",
            "elk.layered.thoroughness": "40",
            "elk.layered.feedbackEdges": "true",
            "elk.randomSeed": seed.to_string(),
    });
    if let Some(options) = options.as_object_mut() {
        options.extend(strategy.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    }
    json!({
        "id": "root",
        "layoutOptions": options,
        "children": children(scene, None),
        "edges": edges,
    })
}

fn children(scene: &Scene, parent: Option<&str>) -> Vec<Value> {
    let boundaries =
        scene.boundaries.iter().filter(|boundary| boundary.parent.as_deref() == parent);
    let nodes = scene.nodes.iter().filter(|node| node.parent.as_deref() == parent);
    boundaries
        .map(|boundary| {
            json!({
                "id": boundary.id,
                "layoutOptions": {
                    "elk.padding": format!("[top=40,left=22,bottom=22,right={}]", right_padding(scene, boundary)),
                    "elk.nodeSize.constraints": "MINIMUM_SIZE",
                    "elk.nodeSize.minimum": format!("({}, 60)", title_width(boundary) + 40.0),
                },
                "children": children(scene, Some(&boundary.id)),
            })
        })
        .chain(
            nodes.map(|node| json!({ "id": node.id, "width": node.width, "height": node.height })),
        )
        .collect()
}

/// Room in pixels on the right inside a border: the engine does not widen a border to its smallest size
/// when it holds boxes, so a long title around one narrow box is given room here.
fn right_padding(scene: &Scene, boundary: &Boundary) -> f64 {
    let inside = |id: &Option<String>| {
        let mut around = id.as_deref();
        while let Some(id) = around {
            if id == boundary.id {
                return true;
            }
            let outer = scene.boundaries.iter().find(|one| one.id == id);
            around = outer.and_then(|one| one.parent.as_deref());
        }
        false
    };
    let nodes = scene.nodes.iter().filter(|node| inside(&node.parent));
    let widest = nodes.map(|node| node.width).fold(0.0, f64::max);
    (title_width(boundary) + 20.0 - widest - 22.0).max(22.0).ceil()
}

fn read_children(value: &Value, scene: &Scene, placement: &mut Placement) {
    for child in value.get("children").and_then(Value::as_array).into_iter().flatten() {
        let id = child.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        if scene.boundaries.iter().any(|boundary| boundary.id == id) {
            placement.boundaries.insert(id, rect(child));
        } else {
            placement.nodes.insert(id, rect(child));
        }
        read_children(child, scene, placement);
    }
}

fn read_edges(value: &Value, placement: &mut Placement) {
    for edge in value.get("edges").and_then(Value::as_array).into_iter().flatten() {
        let id = edge.get("id").and_then(Value::as_str).unwrap_or_default();
        let Some(id) = id.strip_prefix("edge/") else { continue };
        let mut points: Vec<Point> = Vec::new();
        for section in edge.get("sections").and_then(Value::as_array).into_iter().flatten() {
            let bends = section.get("bendPoints").and_then(Value::as_array).into_iter().flatten();
            for at in
                section.get("startPoint").into_iter().chain(bends).chain(section.get("endPoint"))
            {
                points.push(Point { x: number(at, "x"), y: number(at, "y") });
            }
        }
        let label = edge.get("labels").and_then(Value::as_array).and_then(|labels| labels.first());
        if let Some(label) = label
            && points.len() > 1
        {
            let placed = PlacedEdge { points: straightened(points), label: rect(label) };
            placement.edges.insert(id.to_owned(), placed);
        }
    }
    for child in value.get("children").and_then(Value::as_array).into_iter().flatten() {
        read_edges(child, placement);
    }
}

/// Without the points that lie on the straight line between their neighbours.
fn straightened(points: Vec<Point>) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::with_capacity(points.len());
    for point in points {
        if let [.., before, last] = kept.as_slice() {
            let vertical = same(before.x, last.x) && same(last.x, point.x);
            let horizontal = same(before.y, last.y) && same(last.y, point.y);
            if vertical || horizontal {
                kept.pop();
            }
        }
        kept.push(point);
    }
    kept
}

fn same(left: f64, right: f64) -> bool {
    (left - right).abs() < 0.01
}

fn rect(value: &Value) -> Rect {
    Rect {
        x: number(value, "x"),
        y: number(value, "y"),
        width: number(value, "width"),
        height: number(value, "height"),
    }
}

/// Rounded to hundredths of a pixel, which nobody sees and which keeps the kept file short.
fn number(value: &Value, key: &str) -> f64 {
    let exact = value.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    (exact * 100.0).round() / 100.0
}
