//! LikeC4: elements by their path, and a view of everything.

use std::fmt::Write as _;

use c4model::{Level, Model, Shape, Status};

use super::{arrows, inside, path};

const SPECIFICATION: &str = "specification {
  element person { style { shape person } }
  element group
  element system
  element external { style { color muted } }
  element container
  element store { style { shape storage } }
  element queue { style { shape queue } }
  tag target
  tag retiring
  relationship async { line dashed; color amber }
  relationship target { line dotted; color indigo }
}
";

pub(super) fn write(model: &Model) -> String {
    let mut text = format!("{SPECIFICATION}model {{\n");
    write_inside(&mut text, model, None, 1);
    for leg in arrows(model) {
        let kind = match (leg.flow.status, leg.flow.kind.is_async()) {
            (Status::Target, _) => "-[target]->",
            (_, true) => "-[async]->",
            (_, false) => "->",
        };
        let tag = match leg.flow.status {
            Status::Target => "#target ",
            Status::Retiring => "#retiring ",
            Status::Live => "",
        };
        let _ = writeln!(
            text,
            "  {} {kind} {} {} {{ {tag}technology {} }}",
            path(model, leg.from),
            path(model, leg.to),
            quoted(&leg.flow.moves),
            quoted(leg.tech)
        );
    }
    text.push_str("}\nviews {\n  view index { title 'System context'; include * }\n");
    for element in model.elements.iter().filter(|element| element.level == Level::System) {
        let (id, at) = (&element.id, path(model, &element.id));
        let _ = writeln!(text, "  view {id} of {at} {{ include * }}");
    }
    text.push_str("}\n");
    text
}

fn write_inside(text: &mut String, model: &Model, parent: Option<&str>, depth: usize) {
    let indent = "  ".repeat(depth);
    for element in inside(model, parent) {
        let kind = match (element.level, element.shape) {
            (Level::Person, _) => "person",
            (Level::Group, _) => "group",
            (Level::System, _) => "system",
            (Level::External, _) => "external",
            (Level::Container, Shape::Database | Shape::Bucket) => "store",
            (Level::Container, Shape::Queue) => "queue",
            (Level::Container, Shape::Person | Shape::Service) => "container",
        };
        let tag = if element.status == Status::Target { "#target\n" } else { "" };
        let _ = writeln!(text, "{indent}{} = {kind} {} {{", element.id, quoted(&element.name));
        if !tag.is_empty() {
            let _ = write!(text, "{indent}  {tag}");
        }
        let _ = writeln!(text, "{indent}  description {}", quoted(&element.summary));
        if !element.tech.is_empty() {
            let _ = writeln!(text, "{indent}  technology {}", quoted(&element.tech));
        }
        write_inside(text, model, Some(&element.id), depth + 1);
        let _ = writeln!(text, "{indent}}}");
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
