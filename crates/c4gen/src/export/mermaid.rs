//! A Mermaid flowchart. Its own C4 diagrams do not lay out: they draw arrows across boxes.

use std::fmt::Write as _;

use c4model::{Model, Shape, Status};

use super::{arrows, inside, is_holder};

pub(super) fn write(model: &Model) -> String {
    let mut text = String::from("flowchart TB\n");
    write_inside(&mut text, model, None, 1);
    for leg in arrows(model) {
        let arrow = if leg.flow.kind.is_async() || leg.flow.status == Status::Target {
            "-.->"
        } else {
            "-->"
        };
        let tag = if leg.flow.status == Status::Target { " · target" } else { "" };
        let label = quoted(&format!("{} [{}{tag}]", leg.flow.moves, leg.tech));
        let _ = writeln!(text, "  {} {arrow}|{label}| {}", leg.from, leg.to);
    }
    text
}

fn write_inside(text: &mut String, model: &Model, parent: Option<&str>, depth: usize) {
    let indent = "  ".repeat(depth);
    for element in inside(model, parent) {
        let id = &element.id;
        if is_holder(model, id) {
            let _ = writeln!(text, "{indent}subgraph {id}[{}]", quoted(&element.name));
            write_inside(text, model, Some(id), depth + 1);
            let _ = writeln!(text, "{indent}end");
            continue;
        }
        let label = quoted(&format!("{} [{}]", element.name, element.tech));
        let _ = match element.shape {
            Shape::Person => writeln!(text, "{indent}{id}([{label}])"),
            Shape::Service => writeln!(text, "{indent}{id}[{label}]"),
            Shape::Database | Shape::Bucket | Shape::Queue => {
                writeln!(text, "{indent}{id}[({label})]")
            }
        };
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "#quot;"))
}
