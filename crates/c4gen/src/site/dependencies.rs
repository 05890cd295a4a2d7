//! Where the platform is fragile: the matrix of who gives data to whom, circles with their cheapest
//! cut, chains of callers that wait, single points of failure, coupling.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use c4model::{Model, Status};

use super::Input;
use super::diagram::viewer;
use super::flows::{element_link, flow_sentence};
use super::page::{Page, render};
use crate::analysis::coupling::{against_stability, couplings};
use crate::analysis::cycles::{Circle, circles};
use crate::analysis::reach::{chains, dominators};
use crate::analysis::{Graph, health};
use crate::scene::Foot;
use crate::scene::bundle::Arrow;
use crate::scene::cycle::cycle;
use crate::text::escape;

/// Ways round one circle that are drawn.
const PICTURES: usize = 5;

/// A matrix with more rows is one of systems: nobody reads ten thousand cells.
const MOST_ROWS: usize = 100;

pub(super) fn page(input: &Input) -> String {
    let model = &input.model;
    let data = Graph::data(model);
    let calls = Graph::synchronous_calls(model);
    let systems = Graph::system_calls(model);
    let data_circles = circles(&data);
    let call_circles = circles(&calls);
    let is_large = data.nodes().count() > MOST_ROWS;
    let body = format!(
        r##"<p class="lead">The diagrams show one system at a time; trouble hides in what goes round between them. This page
looks for it by arithmetic, over the flows of today. People are left out: what a reader does next is no dependency.</p>
<ul class="contents">
<li><a href="#cycles">Circles</a></li> <li><a href="#waiting">Who waits for whom</a></li> <li><a href="#single">Single points of failure</a></li>
<li><a href="#coupling">Coupling</a></li> <li><a href="#fragile">Fragile links</a></li> <li><a href="#matrix">Matrix</a></li>
</ul>
<h2 id="cycles">Circles: data that comes back</h2>
<p>Elements that all lead to each other, with the shortest ways round and the one link whose loss breaks most of it.
A circle is not wrong by itself: an acknowledgement comes back, too. Data that is copied round feeds on its own errors.</p>
{data_circles}<h2 id="waiting">Who waits for whom</h2>
{call_circles}{chains}<h2 id="single">Single points of failure</h2>
{single}<h2 id="coupling">Coupling</h2>
{coupling}<h2 id="fragile">Fragile links</h2>
{fragile}<h2 id="matrix">Matrix</h2>
<p>A row gives data to a column: <span class="sync">S</span> synchronous, <span class="async">A</span> asynchronous, <strong>B</strong> both. The order follows the data,
so what stands below the diagonal flows back. Shaded: both ends lie in one circle.{lifted}</p>
{matrix}"##,
        data_circles = circle_list(model, &data, &data_circles, "data"),
        call_circles = if call_circles.is_empty() {
            "<p>No circle of synchronous calls: nobody waits for somebody who waits for them.</p>\n"
                .to_owned()
        } else {
            format!(
                "<p><strong>Circles of synchronous calls</strong>: each waits for the next, and so for itself.</p>\n{}",
                circle_list(model, &calls, &call_circles, "call")
            )
        },
        chains = chain_list(model, &calls),
        single = dominator_table(model, &Graph::payload(model)),
        coupling = coupling_tables(model, &data, &systems),
        fragile = fragile(input),
        lifted = if is_large { " Rows are systems: there are too many containers." } else { "" },
        matrix = if is_large {
            let lifted = Graph::system_data(model);
            matrix(model, &lifted, &circles(&lifted))
        } else {
            matrix(model, &data, &data_circles)
        },
    );
    let page = Page { title: "Dependencies & cycles", section: "dependencies.html", body };
    render(input, &page)
}

fn circle_list<'model>(
    model: &'model Model,
    graph: &Graph<'model>,
    circles: &[Circle<'model>],
    what: &str,
) -> String {
    if circles.is_empty() {
        return "<p>None.</p>\n".to_owned();
    }
    let mut html = String::new();
    for (index, circle) in circles.iter().enumerate() {
        let count = circle.members.len();
        let names: Vec<String> = circle.members.iter().map(|id| element_link(model, id)).collect();
        let id = format!("{what}_circle_{index}");
        let mut pictures = String::new();
        // What brings data back is worth more of a look than what acknowledges.
        let mut ways = circle.ways.clone();
        ways.sort_by_key(|way| (graph.is_control_loop(way), way.len()));
        for (number, way) in ways.iter().take(PICTURES).enumerate() {
            let arrows = arrows_along(graph, way);
            let title = format!("Way {} round circle {}", number + 1, index + 1);
            let (scene, placement) = cycle(model, &format!("{id}_{number}"), &title, &arrows);
            pictures.push_str(if graph.is_control_loop(way) {
                "<p>A control loop: one of the arrows only says what is to be done, or that it was done.</p>\n"
            } else {
                "<p><strong>Data comes back</strong> to where it was: every arrow carries some.</p>\n"
            });
            pictures.push_str(&viewer(&scene, &placement, None));
        }
        let more = circle.ways.len().saturating_sub(PICTURES);
        if more > 0 {
            let _ = write!(pictures, "<p>{more} more ways round are not drawn.</p>");
        }
        let flows: Vec<&str> = graph
            .link(circle.cut.0, circle.cut.1)
            .iter()
            .map(|(flow, _)| flow.moves.as_str())
            .collect();
        let left = match circle.left {
            0 => "then nothing goes round any more".to_owned(),
            left => format!("then {left} elements still go round"),
        };
        let _ = write!(
            html,
            "<h3 id=\"{id}\">{count} elements</h3>\n<p>{}</p>\n<div class=\"diagram\">\n{pictures}</div>\n<p><strong>Cheapest cut</strong>: {} → {} ({}); {left}.</p>\n",
            names.join(", "),
            element_link(model, circle.cut.0),
            element_link(model, circle.cut.1),
            escape(&flows.join("; ")),
        );
    }
    html
}

fn arrows_along<'model>(graph: &Graph<'model>, way: &[&'model str]) -> Vec<Arrow<'model>> {
    let next = way.iter().skip(1).chain(way.first());
    way.iter()
        .zip(next)
        .map(|(from, to)| Arrow {
            from: (*from).to_owned(),
            to: (*to).to_owned(),
            flows: graph.link(from, to).to_vec(),
            foot: Foot::None,
        })
        .collect()
}

fn chain_list(model: &Model, calls: &Graph<'_>) -> String {
    let mut items = String::new();
    for chain in chains(calls, 8) {
        let names: Vec<String> = chain.iter().map(|id| element_link(model, id)).collect();
        let _ = writeln!(items, "<li>{} calls: {}</li>", chain.len() - 1, names.join(" → "));
    }
    format!(
        "<p>The longest chains in which each waits for the next. When the last is slow, the first is; more than three calls are worth a look.</p>\n<ul>\n{items}</ul>\n"
    )
}

fn dominator_table(model: &Model, data: &Graph<'_>) -> String {
    let mut rows = String::new();
    for found in dominators(model, data).into_iter().take(12) {
        let lost: Vec<String> = found.lost.iter().map(|id| element_link(model, id)).collect();
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{} of {}</td><td>{}</td></tr>",
            element_link(model, found.element),
            element_link(model, found.reader),
            found.lost.len(),
            found.of,
            lost.join(", ")
        );
    }
    format!(
        r#"<p>Elements without which somebody loses sources, because every way leads through them. Requests, results, credentials and
measurements do not count as ways.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Single points of failure">
<table><thead><tr><th scope="col">Without</th><th scope="col">loses</th><th scope="col">sources</th><th scope="col">namely</th></tr></thead>
<tbody>
{rows}</tbody></table></div>
"#
    )
}

fn coupling_tables<'model>(
    model: &'model Model,
    data: &Graph<'model>,
    systems: &Graph<'model>,
) -> String {
    let mut busy = String::new();
    for found in couplings(data).into_iter().take(10) {
        let _ = writeln!(
            busy,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            element_link(model, found.element),
            found.into,
            found.out
        );
    }
    let mut stability = String::new();
    for found in couplings(systems) {
        let _ = writeln!(
            stability,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{:.2}</td></tr>",
            element_link(model, found.element),
            found.into,
            found.out,
            found.instability()
        );
    }
    let against: String = against_stability(systems)
        .into_iter()
        .map(|(from, to)| {
            format!("<li>{} calls {}</li>\n", element_link(model, from), element_link(model, to))
        })
        .collect();
    format!(
        r#"<div class="columns">
<div><p>The busiest elements: from how many others data comes, and to how many it goes.</p>
<table><thead><tr><th scope="col">Element</th><th scope="col">in</th><th scope="col">out</th></tr></thead><tbody>
{busy}</tbody></table></div>
<div><p>Systems: how many others call it, how many it calls, and its instability, calls out ÷ all: near 0 many depend on it,
near 1 it depends on many.</p>
<table><thead><tr><th scope="col">System</th><th scope="col">called by</th><th scope="col">calls</th><th scope="col">instability</th></tr></thead><tbody>
{stability}</tbody></table></div>
</div>
<p>Calls from something stable to something clearly less stable:</p>
<ul>
{against}</ul>
"#
    )
}

fn fragile(input: &Input) -> String {
    let model = &input.model;
    let mut html = String::from(
        "<p>What a flow does not say about a bad day. A new one fails the check; one that is gone must leave the list of the known ones, \
         too, so the list can only shrink.</p>\n",
    );
    for (check, title) in health::TITLES {
        let subjects: Vec<String> = health::findings(model)
            .into_iter()
            .filter(|found| found.check == check)
            .map(|found| match (model.flow(&found.subject), model.element(&found.subject)) {
                (Some(flow), _) => format!("<li>{}</li>\n", flow_sentence(model, flow)),
                (None, Some(_)) => format!("<li>{}</li>\n", element_link(model, &found.subject)),
                (None, None) => format!("<li>{}</li>\n", escape(&found.message)),
            })
            .collect();
        if !subjects.is_empty() {
            let _ = write!(
                html,
                "<details><summary>{title}: {}</summary><ul>\n{}</ul></details>\n",
                subjects.len(),
                subjects.concat()
            );
        }
    }
    html
}

/// The elements in the order the data flows: each as far down as the longest way to it, circles
/// taken as they come.
fn ordered<'model>(graph: &Graph<'model>) -> Vec<&'model str> {
    let mut order = Vec::new();
    let mut rest: BTreeSet<&str> = graph.nodes().collect();
    while !rest.is_empty() {
        let open = |node: &&&str| graph.before(node).filter(|before| rest.contains(before)).count();
        // Nothing is free of what comes before inside a circle: then the one with least before it.
        let Some(next) = rest.iter().min_by_key(|node| (open(node), **node)).copied() else {
            break;
        };
        rest.remove(next);
        order.push(next);
    }
    order
}

fn matrix(model: &Model, graph: &Graph<'_>, circles: &[Circle<'_>]) -> String {
    let order = ordered(graph);
    let name = |id: &str| model.element(id).map_or(id, |element| element.name.as_str()).to_owned();
    let heads: String = (1..)
        .zip(&order)
        .map(|(number, id)| {
            let name = escape(&name(id));
            format!("<th scope=\"col\"><abbr title=\"{name}\">{number}</abbr></th>")
        })
        .collect();
    let mut rows = String::new();
    for (number, row) in (1..).zip(&order) {
        let mut cells = String::new();
        for column in &order {
            let flows = graph.link(row, column);
            let shaded = circles
                .iter()
                .any(|circle| circle.members.contains(row) && circle.members.contains(column));
            let class = if row == column {
                " class=\"self\""
            } else if shaded {
                " class=\"circle\""
            } else {
                ""
            };
            let has = |is_async: bool| {
                flows.iter().any(|(flow, _)| {
                    flow.status != Status::Target && flow.kind.is_async() == is_async
                })
            };
            let mark = match (has(false), has(true)) {
                (true, true) => "<strong>B</strong>",
                (true, false) => "<span class=\"sync\">S</span>",
                (false, true) => "<span class=\"async\">A</span>",
                (false, false) => "",
            };
            if mark.is_empty() {
                let _ = write!(cells, "<td{class}>");
            } else {
                let moves: Vec<&str> = flows.iter().map(|(flow, _)| flow.moves.as_str()).collect();
                let _ = write!(
                    cells,
                    "<td{class} title=\"{} → {}: {}\">{mark}",
                    escape(&name(row)),
                    escape(&name(column)),
                    escape(&moves.join("; "))
                );
            }
        }
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{number} {}</th>{cells}</tr>",
            element_link(model, row)
        );
    }
    format!(
        "<div class=\"scroll matrix\" tabindex=\"0\" role=\"region\" aria-label=\"Dependency matrix\">\n<table>\n<thead><tr><th scope=\"col\">Gives data to</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}
