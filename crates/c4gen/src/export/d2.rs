//! D2: everything in one board, nested as it is declared, and every story as a sequence on a layer.

use std::fmt::Write as _;

use c4model::{Level, Model, Shape, Status};

use super::{arrows, ends_in_order, inside, path, steps};
use crate::scene::view::{element_page, flow_page};

const CLASSES: &str = r##"classes: {
  async: { style: { stroke: "#9a3f07"; stroke-dash: 5; font-color: "#9a3f07" } }
  target: { style: { stroke: "#6d28d9"; stroke-dash: 2; font-color: "#6d28d9" } }
  retiring: { style: { stroke-width: 1 } }
  external: { style: { fill: "#e5e7eb" } }
}
"##;

pub(super) fn write(model: &Model) -> String {
    let mut text = format!("direction: down\n{CLASSES}");
    write_inside(&mut text, model, None, 0);
    for leg in arrows(model) {
        let label = format!("{} [{}]", leg.flow.moves, leg.tech);
        let class = class_of(leg.flow.status, leg.flow.kind.is_async());
        let _ = writeln!(
            text,
            "{} -> {}: {} {{ link: {}{class} }}",
            path(model, leg.from),
            path(model, leg.to),
            quoted(&label),
            quoted(&flow_page(&leg.flow.id)),
        );
    }
    text.push_str("layers: {\n");
    for scenario in &model.scenarios {
        let _ = writeln!(text, "  story_{}: {{\n    shape: sequence_diagram", scenario.id);
        for element in ends_in_order(model, scenario) {
            let _ = writeln!(text, "    {}: {}", element.id, quoted(&element.name));
        }
        for (step, leg) in steps(model, scenario) {
            let label = quoted(&format!("{}: {}", leg.flow.moves, step.note));
            let _ = writeln!(text, "    {} -> {}: {label}", leg.from, leg.to);
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    text
}

fn class_of(status: Status, is_async: bool) -> &'static str {
    match (status, is_async) {
        (Status::Target, _) => "; class: target",
        (Status::Retiring, true) => "; class: [async; retiring]",
        (Status::Retiring, false) => "; class: retiring",
        (Status::Live, true) => "; class: async",
        (Status::Live, false) => "",
    }
}

fn write_inside(text: &mut String, model: &Model, parent: Option<&str>, depth: usize) {
    let indent = "  ".repeat(depth);
    for element in inside(model, parent) {
        let shape = match element.shape {
            Shape::Person => "person",
            Shape::Service => "rectangle",
            Shape::Database => "cylinder",
            Shape::Bucket => "stored_data",
            Shape::Queue => "queue",
        };
        let holds = !inside(model, Some(&element.id)).is_empty();
        let shape = if holds { "rectangle" } else { shape };
        let label = if holds || element.tech.is_empty() {
            element.name.clone()
        } else {
            format!("{}\n[{}]", element.name, element.tech)
        };
        let _ = writeln!(text, "{indent}{}: {} {{", element.id, quoted(&label));
        let _ = writeln!(text, "{indent}  shape: {shape}");
        let _ = writeln!(text, "{indent}  tooltip: {}", quoted(&element.summary));
        let _ = writeln!(text, "{indent}  link: {}", quoted(&element_page(&element.id)));
        if element.status == Status::Target {
            let _ = writeln!(text, "{indent}  class: target");
        } else if element.level == Level::External {
            let _ = writeln!(text, "{indent}  class: external");
        }
        write_inside(text, model, Some(&element.id), depth + 1);
        let _ = writeln!(text, "{indent}}}");
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
