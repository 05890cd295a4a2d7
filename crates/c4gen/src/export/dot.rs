//! Graphviz: borders are clusters; a system that holds others and is an end of a flow itself is a
//! box inside its own cluster.

use std::fmt::Write as _;

use c4model::{ElementRecord, Model, Shape, Status};

use super::{arrows, inside, is_holder};

pub(super) fn write(model: &Model) -> String {
    let mut text = String::from(
        "digraph architecture {\n  compound=true; newrank=true; fontname=\"Arial\";\n  node [fontname=\"Arial\", fontsize=11, style=filled, fillcolor=\"#dbeafe\"];\n  edge [fontname=\"Arial\", fontsize=9];\n",
    );
    write_inside(&mut text, model, None, 1);
    for leg in arrows(model) {
        let style = match (leg.flow.status, leg.flow.kind.is_async()) {
            (Status::Target, _) => ", style=dotted, color=\"#6d28d9\", fontcolor=\"#6d28d9\"",
            (_, true) => ", style=dashed, color=\"#9a3f07\", fontcolor=\"#9a3f07\"",
            (_, false) => "",
        };
        let label = format!("{}\n[{}]", leg.flow.moves, leg.tech);
        let _ = writeln!(text, "  {} -> {} [label={}{style}];", leg.from, leg.to, quoted(&label));
    }
    text.push_str("}\n");
    text
}

fn write_inside(text: &mut String, model: &Model, parent: Option<&str>, depth: usize) {
    let indent = "  ".repeat(depth);
    for element in inside(model, parent) {
        if is_holder(model, &element.id) {
            let _ = writeln!(text, "{indent}subgraph cluster_{} {{", element.id);
            let _ = writeln!(text, "{indent}  label={};", quoted(&element.name));
            if arrows(model).iter().any(|leg| leg.from == element.id || leg.to == element.id) {
                write_box(text, element, &format!("{indent}  "));
            }
            write_inside(text, model, Some(&element.id), depth + 1);
            let _ = writeln!(text, "{indent}}}");
        } else {
            write_box(text, element, &indent);
        }
    }
}

fn write_box(text: &mut String, element: &ElementRecord, indent: &str) {
    let shape = match element.shape {
        Shape::Person | Shape::Service => "box",
        Shape::Database | Shape::Bucket | Shape::Queue => "cylinder",
    };
    let label = format!("{}\n[{}]\n{}", element.name, element.tech, element.summary);
    let _ = writeln!(text, "{indent}{} [shape={shape}, label={}];", element.id, quoted(&label));
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
