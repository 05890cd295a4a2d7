//! Every picture as JSON: its boxes, borders and labelled arrows with their texts, and where they stand. For
//! whoever draws them in another way, or measures them.

use serde_json::{Value, json};

use crate::error::Error;
use crate::layout::{Layout, Placement, Rect};
use crate::scene::{Line, Scene};
use crate::site::{Input, scenes};

pub(super) fn write(input: &mut Input, layout: &dyn Layout) -> Result<String, Error> {
    let mut text = String::new();
    for scene in scenes(&input.model) {
        let placement = input.cache.place(layout, &scene)?;
        // One picture a line keeps two versions comparable.
        text.push_str(&picture(&scene, &placement).to_string());
        text.push('\n');
    }
    Ok(text)
}

fn picture(scene: &Scene, placement: &Placement) -> Value {
    let boundaries = scene.boundaries.iter().filter_map(|boundary| {
        let at = placement.boundaries.get(&boundary.id)?;
        let (id, parent) = (&boundary.id, &boundary.parent);
        Some(json!({ "id": id, "parent": parent, "title": boundary.title, "at": rect(at) }))
    });
    let boxes = scene.nodes.iter().filter_map(|node| {
        let at = placement.nodes.get(&node.id)?;
        let (id, parent) = (&node.id, &node.parent);
        let said = |class| said(&node.lines, class);
        Some(json!({
            "id": id, "parent": parent, "at": rect(at),
            "name": said("name"), "tech": said("tech"), "summary": said("summary"),
        }))
    });
    let arrows = scene.edges.iter().filter_map(|edge| {
        let placed = placement.edges.get(&edge.id)?;
        let points: Vec<[f64; 2]> = placed.points.iter().map(|point| [point.x, point.y]).collect();
        let said = |class| said(&edge.label, class);
        Some(json!({
            "id": edge.id, "from": edge.from, "to": edge.to, "flows": edge.flows,
            "moves": said("moves"), "tech": said("by"), "points": points, "label": rect(&placed.label),
        }))
    });
    json!({
        "id": scene.id, "title": scene.title, "width": placement.width, "height": placement.height,
        "boundaries": boundaries.collect::<Vec<_>>(),
        "boxes": boxes.collect::<Vec<_>>(),
        "arrows": arrows.collect::<Vec<_>>(),
    })
}

fn rect(rect: &Rect) -> Value {
    json!({ "x": rect.x, "y": rect.y, "width": rect.width, "height": rect.height })
}

/// The lines of one kind, as the text that they were broken from.
fn said(lines: &[Line], class: &str) -> String {
    let lines = lines.iter().filter(|line| line.class == class).map(|line| line.text.as_str());
    lines.collect::<Vec<_>>().join(" ")
}
