//! A page with one diagram, and the same flows as a table.

use std::fmt::Write as _;

use c4model::{FlowRecord, Model};

use super::Input;
use super::flows::{element_link, evidence_word, kind_word};
use super::page::{Page, render};
use crate::layout::Placement;
use crate::scene::Scene;
use crate::scene::view::flow_page;
use crate::svg;
use crate::text::escape;

/// What a page with a diagram says beside it.
pub(super) struct About<'page> {
    /// Title, unescaped.
    pub(super) title: &'page str,
    /// Entry of the navigation.
    pub(super) section: &'page str,
    /// Its own file name.
    pub(super) file: &'page str,
    /// Paragraphs before the diagram, as HTML.
    pub(super) lead: &'page str,
    /// Switches before the diagram, as HTML; they must be siblings of the diagram.
    pub(super) switches: &'page str,
}

pub(super) fn page(input: &Input, about: &About<'_>, scene: &Scene, at: &Placement) -> String {
    let body = format!(
        "{lead}\n<div class=\"diagram\">\n{switches}{FILTER}{viewer}</div>\n{key}{table}",
        lead = about.lead,
        switches = about.switches,
        viewer = viewer(scene, at, Some(&about.file.replace(".html", ".svg"))),
        key = key(),
        table = table(&input.model, scene),
    );
    render(input, &Page { title: about.title, section: about.section, body })
}

/// Leaves in sight what holds every word; for the script.
const FILTER: &str = "<p class=\"filter\" hidden><label>Only what holds <input type=\"search\" data-filter placeholder=\"name, technology, owner\"></label></p>\n";

/// A drawing in its frame; see [`viewer`].
pub(super) fn frame(drawn: &str, title: &str, home: f64, image: &str) -> String {
    format!(
        r#"<div class="tools" hidden><button type="button" data-zoom="in" aria-label="Zoom in">+</button><button type="button" data-zoom="out" aria-label="Zoom out">−</button><button type="button" data-zoom="fit" aria-label="Fit to the window">Fit</button>{image}</div>
<div class="viewer" data-viewer data-home="{home}" tabindex="0" role="region" aria-label="Diagram: {title}">
{drawn}</div>
"#,
        title = escape(title),
    )
}

/// A diagram in its frame; with the script it can be dragged and zoomed, without it is scrolled.
pub(super) fn viewer(scene: &Scene, at: &Placement, image: Option<&str>) -> String {
    // Where the page opens: in the middle of the system it is about.
    let home = scene
        .id
        .split_once('_')
        .and_then(|(_, system)| at.boundaries.get(system))
        .map_or(at.width / 2.0, |border| border.x + border.width / 2.0)
        .round();
    let image = image.map(|image| format!("<a href=\"{image}\">SVG</a>")).unwrap_or_default();
    frame(&svg::draw(scene, at, false), &scene.title, home, &image)
}

/// Chips that switch kinds of arrows off; they work by the style sheet alone, on their siblings.
pub(super) fn chips(scene_has: impl Fn(&str) -> bool) -> String {
    let mut chips = String::from("<p class=\"chips-title\">Show</p>\n");
    for (class, name) in [
        ("sync", "synchronous"),
        ("async", "asynchronous"),
        ("retiring", "retiring"),
        ("target", "target"),
    ] {
        if scene_has(class) {
            let _ = writeln!(
                chips,
                "<input type=\"checkbox\" class=\"chip-box\" id=\"show-{class}\" checked><label class=\"chip {class}\" for=\"show-{class}\">{name}</label>"
            );
        }
    }
    chips
}

/// Which classes of arrows a scene has.
pub(super) fn has_class(scene: &Scene, class: &str) -> bool {
    use c4model::Status::{Live, Retiring, Target};
    scene.edges.iter().any(|edge| match class {
        "target" => edge.status == Target,
        "retiring" => edge.status == Retiring,
        "sync" => edge.status == Live && !edge.is_async,
        _ => edge.status == Live && edge.is_async,
    })
}

/// One line that explains the lines, for under a diagram.
pub(super) fn key() -> &'static str {
    "<p class=\"key\"><span class=\"sync\">solid</span> synchronous: the caller waits · \
     <span class=\"async\">amber, dashed</span> asynchronous · \
     <span class=\"target\">violet, dotted</span> target: planned, not built · \
     <span class=\"sync\">thin</span> retiring: exists and is to go · \
     <span class=\"sync\">?</span> not verified · \
     <span class=\"sync\">(5)</span> with a bracket: for five boxes behind the border · \
     <a href=\"index.html#reading\">legend</a></p>\n"
}

/// Every arrow of a diagram with the flows behind it.
pub(super) fn table(model: &Model, scene: &Scene) -> String {
    let mut bodies: Vec<(String, String)> = scene
        .edges
        .iter()
        .map(|edge| {
            let name =
                |id: &str| model.element(id).map_or_else(|| id.to_owned(), |end| end.name.clone());
            let rows: String = edge
                .flows
                .iter()
                .filter_map(|id| model.flow(id))
                .map(|flow| row(model, flow))
                .collect();
            let sorted = format!("{} {}", name(&edge.from), name(&edge.to));
            (sorted, format!("<tbody id=\"arrow-{}\">\n{rows}</tbody>\n", escape(&edge.id)))
        })
        .collect();
    bodies.sort();
    let bodies: String = bodies.into_iter().map(|(_, body)| body).collect();
    format!(
        r#"<h2 id="arrows">The same arrows as a table</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of the arrows">
<table class="flows">
<thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">What moves</th><th scope="col">Technology</th><th scope="col">Kind</th><th scope="col">Known by</th></tr></thead>
{bodies}</table>
</div>
"#
    )
}

pub(super) fn row(model: &Model, flow: &FlowRecord) -> String {
    let ends = |ids: &[String]| {
        ids.iter().map(|id| element_link(model, id)).collect::<Vec<_>>().join(", ")
    };
    let via = flow
        .through
        .as_ref()
        .map(|through| format!(" <span class=\"via\">via {}</span>", element_link(model, through)))
        .unwrap_or_default();
    let tech = if flow.tech_onward.is_empty() {
        escape(&flow.tech)
    } else {
        format!("{} → {}", escape(&flow.tech), escape(&flow.tech_onward))
    };
    let class = class_of(flow);
    format!(
        "<tr class=\"{class}\" data-owner=\"{}\"><td>{}</td><td>{}{via}</td><th scope=\"row\"><a href=\"{}\">{}</a></th><td>{tech}</td><td class=\"{class}\">{}</td><td>{}</td></tr>\n",
        escape(&flow.owner),
        ends(&flow.from),
        ends(&flow.to),
        flow_page(&flow.id),
        escape(&flow.moves),
        kind_word(flow),
        evidence_word(flow),
    )
}

/// The classes by which a flow is coloured and switched off.
pub(super) fn class_of(flow: &FlowRecord) -> &'static str {
    use c4model::Status::{Live, Retiring, Target};
    match (flow.status, flow.kind.is_async()) {
        (Target, _) => "target",
        (Live, true) => "async",
        (Live, false) => "sync",
        (Retiring, true) => "async retiring",
        (Retiring, false) => "sync retiring",
    }
}
