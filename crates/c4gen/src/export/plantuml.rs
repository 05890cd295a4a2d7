//! C4-PlantUML: one diagram after another in one text, each between `@startuml` and `@enduml`: the system
//! context, the containers of every system and group, and every story twice, as a dynamic diagram and as
//! a sequence. The macros are those that PlantUML brings along, so nothing is fetched. A link leads to
//! the page of the site.

use std::fmt::Write as _;

use c4model::{ElementRecord, Level, Model, ScenarioRecord, Shape, Status};

use super::{ends_in_order, steps};
use crate::scene::leg::ancestors;
use crate::scene::view::{element_page, flow_page};
use crate::scene::{Boundary, Edge, Scene};
use crate::site;

const TAGS: &str = r##"AddElementTag("target", $bgColor="#ede9fe", $fontColor="#4c1d95", $borderColor="#6d28d9", $borderStyle=DottedLine(), $legendText="target")
AddElementTag("retiring", $legendText="retiring")
"##;
const ARROW_TAGS: &str = r##"AddRelTag("async", $textColor="#9a3f07", $lineColor="#9a3f07", $lineStyle=DashedLine(), $legendText="asynchronous")
AddRelTag("target", $textColor="#6d28d9", $lineColor="#6d28d9", $lineStyle=DottedLine(), $legendText="target")
AddRelTag("retiring", $legendText="retiring")
"##;

pub(super) fn write(model: &Model) -> String {
    let mut text = String::new();
    for scene in site::scenes(model).iter().filter(|scene| scene.id != "target") {
        write_scene(&mut text, model, scene);
    }
    for scenario in &model.scenarios {
        write_story(&mut text, model, scenario, "dynamic", "C4_Dynamic");
        write_story(&mut text, model, scenario, "sequence", "C4_Sequence");
    }
    text
}

fn begin(text: &mut String, id: &str, title: &str, include: &str) {
    let _ = writeln!(text, "@startuml {id}\n!include <C4/{include}>\ntitle {title}");
    text.push_str(TAGS);
    text.push_str(ARROW_TAGS);
}

fn write_scene(text: &mut String, model: &Model, scene: &Scene) {
    let include = if scene.id == "context" { "C4_Context" } else { "C4_Container" };
    begin(text, &scene.id, &scene.title, include);
    write_inside(text, model, scene, None, 0);
    for edge in &scene.edges {
        let _ = writeln!(
            text,
            "Rel({}, {}, {}, {}{}{})",
            edge.from,
            edge.to,
            quoted(&moves(edge)),
            quoted(&tech(edge)),
            tags(&tags_of(edge.status, edge.is_async)),
            edge.link.as_deref().map(|page| link(&with_page(page, scene))).unwrap_or_default(),
        );
    }
    text.push_str("SHOW_LEGEND()\n@enduml\n");
}

/// Arrows that stand for several flows lead to their lines in the table of the page.
fn with_page(link: &str, scene: &Scene) -> String {
    let page = if scene.id == "context" {
        "context.html".to_owned()
    } else {
        format!("{}.html", scene.id.replacen('_', "-", 1))
    };
    if link.starts_with('#') { format!("{page}{link}") } else { link.to_owned() }
}

fn write_inside(
    text: &mut String,
    model: &Model,
    scene: &Scene,
    parent: Option<&str>,
    depth: usize,
) {
    let indent = "  ".repeat(depth);
    let inner = |boundary: &&Boundary| boundary.parent.as_deref() == parent;
    for boundary in scene.boundaries.iter().filter(inner) {
        let is_system =
            model.element(&boundary.id).is_some_and(|element| element.level == Level::System);
        let (name, more) =
            if is_system { ("System_Boundary", "") } else { ("Boundary", ", \"group\"") };
        let link = boundary.link.as_deref().map(link).unwrap_or_default();
        let title = quoted(&boundary.title);
        let _ = writeln!(text, "{indent}{name}({}, {title}{more}{link}) {{", boundary.id);
        write_inside(text, model, scene, Some(&boundary.id), depth + 1);
        let _ = writeln!(text, "{indent}}}");
    }
    for node in scene.nodes.iter().filter(|node| node.parent.as_deref() == parent) {
        if let Some(element) = model.element(&node.id) {
            let page = node.link.clone().unwrap_or_else(|| element_page(&node.id));
            let _ = writeln!(text, "{indent}{}", element_line(element, &page));
        }
    }
}

fn element_line(element: &ElementRecord, page: &str) -> String {
    let (id, name, summary) = (&element.id, quoted(&element.name), quoted(&element.summary));
    let tags = match element.status {
        Status::Target => tags(&["target"]),
        Status::Retiring => tags(&["retiring"]),
        Status::Live => String::new(),
    };
    let link = link(page);
    match (element.level, element.shape) {
        (Level::Person, _) => format!("Person({id}, {name}, {summary}{tags}{link})"),
        (Level::External, _) => format!("System_Ext({id}, {name}, {summary}{tags}{link})"),
        (Level::System | Level::Group, _) => format!("System({id}, {name}, {summary}{tags}{link})"),
        (Level::Container, shape) => {
            let kind = match shape {
                Shape::Database | Shape::Bucket => "ContainerDb",
                Shape::Queue => "ContainerQueue",
                Shape::Person | Shape::Service => "Container",
            };
            format!("{kind}({id}, {name}, {}, {summary}{tags}{link})", quoted(&element.tech))
        }
    }
}

fn write_story(
    text: &mut String,
    model: &Model,
    scenario: &ScenarioRecord,
    kind: &str,
    include: &str,
) {
    begin(text, &format!("{kind}_{}", scenario.id), &scenario.title, include);
    let elements = ends_in_order(model, scenario);
    // Participants of one system stand beside each other in a sequence.
    let system_around = |element: &ElementRecord| {
        ancestors(model, &element.id)
            .skip(1)
            .find(|outer| outer.level == Level::System)
            .map(|outer| outer.id.as_str())
    };
    let mut systems: Vec<Option<&str>> = Vec::new();
    for element in &elements {
        let system = system_around(element);
        if !systems.contains(&system) {
            systems.push(system);
        }
    }
    for system in systems {
        let within = elements.iter().filter(|element| system_around(element) == system);
        let around = system.and_then(|id| model.element(id));
        let is_sequence = kind == "sequence";
        if let Some(around) = around {
            let open = if is_sequence { "" } else { " {" };
            let _ = writeln!(
                text,
                "Boundary({}_border, {}, \"system\"){open}",
                around.id,
                quoted(&around.name)
            );
        }
        for element in within {
            let _ = writeln!(text, "{}", element_line(element, &element_page(&element.id)));
        }
        if around.is_some() {
            text.push_str(if is_sequence { "Boundary_End()\n" } else { "}\n" });
        }
    }
    for (step, leg) in steps(model, scenario) {
        let _ = writeln!(
            text,
            "Rel({}, {}, {}, {}{}{})",
            leg.from,
            leg.to,
            quoted(&format!("{}: {}", leg.flow.moves, step.note)),
            quoted(leg.tech),
            tags(&tags_of(leg.flow.status, leg.flow.kind.is_async())),
            link(&flow_page(&leg.flow.id)),
        );
    }
    text.push_str("@enduml\n");
}

fn moves(edge: &Edge) -> String {
    let lines = edge.label.iter().filter(|line| line.class == "moves");
    lines.map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn tech(edge: &Edge) -> String {
    let lines = edge.label.iter().filter(|line| line.class == "by");
    let text = lines.map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ");
    text.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn tags_of(status: Status, is_async: bool) -> Vec<&'static str> {
    // Of several tags that colour an arrow the first counts; what is planned is violet, however it calls.
    match (status, is_async) {
        (Status::Target, _) => vec!["target"],
        (Status::Retiring, true) => vec!["async", "retiring"],
        (Status::Retiring, false) => vec!["retiring"],
        (Status::Live, true) => vec!["async"],
        (Status::Live, false) => Vec::new(),
    }
}

fn tags(tags: &[&str]) -> String {
    if tags.is_empty() { String::new() } else { format!(", $tags=\"{}\"", tags.join("+")) }
}

fn link(page: &str) -> String {
    format!(", $link=\"{page}\"")
}

/// A macro's argument has no way to hold its own quotation mark.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "”").replace('\n', " "))
}
