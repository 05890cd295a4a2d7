//! The first page: what this is, how to read it, and how far to trust it.

use c4model::{EvidenceRecord, FlowRecord, Level, Model, Status};

use super::Input;
use super::diagram::{self, About, chips, has_class};
use super::flows::flow_sentence;
use super::imported::FILE;
use super::page::{Page, render};
use crate::layout::Placement;
use crate::observed::Standing;
use crate::scene::Scene;
use crate::scene::legend::legend;
use crate::svg;
use crate::text::escape;

/// How the flows of a model are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Truth {
    /// Live, and carried by a function of ours with these two ends.
    pub by_code: usize,
    /// Live, and stated in a file that the check opens.
    pub by_file: usize,
    /// Live, and only said by somebody.
    pub only_said: usize,
    /// Planned.
    pub planned: usize,
}

impl Truth {
    /// Counts the flows of a model.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let mut truth = Self::default();
        for flow in &model.flows {
            *truth.place_of(flow) += 1;
        }
        truth
    }

    fn place_of(&mut self, flow: &FlowRecord) -> &mut usize {
        let has = |wanted: fn(&EvidenceRecord) -> bool| flow.evidence.iter().any(wanted);
        if flow.status == Status::Target {
            &mut self.planned
        } else if has(|evidence| matches!(evidence, EvidenceRecord::Code { .. })) {
            &mut self.by_code
        } else if has(|evidence| {
            matches!(evidence, EvidenceRecord::File { .. } | EvidenceRecord::Imported { .. })
        }) {
            &mut self.by_file
        } else {
            &mut self.only_said
        }
    }
}

pub(super) fn page(input: &Input) -> String {
    let model = &input.model;
    let truth = Truth::of(model);
    let live = truth.by_code + truth.by_file + truth.only_said;
    let count = |level| model.elements.iter().filter(|element| element.level == level).count();
    let (scene, placement) = legend();
    let cards: String = [
        (
            "System context",
            "context.html",
            "Everybody and every system, and what moves between them. Begin here.",
        ),
        (
            "Containers",
            "containers.html",
            "What runs and stores inside each system; the data platform and its parts first.",
        ),
        (
            "Data flows",
            "flows.html",
            "Stories told step by step, then every flow with its evidence.",
        ),
        (
            "Dependencies & cycles",
            "dependencies.html",
            "What goes round, who waits for whom, on what everything hangs.",
        ),
        (
            "Today & target",
            "target.html",
            "What the applications do by themselves today, and what the platform is to do.",
        ),
        (
            "Elements",
            "elements.html",
            "Everything that is declared, each with all that is one arrow away.",
        ),
        ("Changes", "changes.html", "What is new, different or gone since the last release."),
    ]
    .into_iter()
    .map(|(name, file, what)| {
        format!("<li><a href=\"{file}\">{}</a><span>{what}</span></li>\n", escape(name))
    })
    .collect();
    let body = format!(
        r##"<p class="lead">How data moves through MIT Open Learning, for whoever is new here, and for whoever is about to
change a flow. The pages are drawn from the code that moves the data: an arrow of ours is a function whose parameters are
its two ends, so it cannot outlive the code. What others run is drawn with a question mark unless a file here shows it.</p>
<ul class="cards">
{cards}</ul>
<h2 id="reading">How to read the diagrams</h2>
<div class="legend" tabindex="0" role="region" aria-label="Legend">
{drawing}</div>
<ul>
<li>An arrow points where the data goes and names what moves. Who opens the connection stands on the flow’s page.</li>
<li><strong>Solid</strong>: synchronous, the caller waits. <strong>Amber and dashed</strong>: asynchronous, by the clock, through a queue or on an event.</li>
<li><strong>Violet, dotted, “target”</strong>: planned and not built. <strong>Thin, “retiring”</strong>: exists and is to go.</li>
<li><strong>A question mark</strong>: not verified. Somebody said so; no code and no file of this repository shows it.</li>
<li><strong>A number in brackets</strong>, with a bracket at the arrow’s foot: the arrow stands for that many boxes behind the border.</li>
<li>A database that stands for many deployments lists them inside; its arrows hold for each of them.</li>
<li>A box leads one level down, a label to the flow. Keys on a diagram: <kbd>+</kbd> <kbd>-</kbd> zoom, <kbd>0</kbd> fits, arrows move, <kbd>/</kbd> searches.</li>
</ul>
<h2 id="truth">How far to trust it</h2>
<table class="truth">
<thead><tr><th scope="col">What stands behind an arrow</th><th scope="col">Flows</th></tr></thead>
<tbody>
<tr><th scope="row">A function of this workspace with these two ends</th><td>{by_code}</td></tr>
<tr><th scope="row">A file of this repository, opened by the check</th><td>{by_file}</td></tr>
<tr><th scope="row">Somebody’s word or a document elsewhere: <em>not verified</em></th><td>{only_said}</td></tr>
<tr><th scope="row">Planned, no code claims it: <em>target</em></th><td>{planned}</td></tr>
</tbody>
</table>
{observed}{imported}<p>Of {live} flows that exist, {verified} can be verified by a test today; the others belong to systems whose code is not in
this repository. {elements} elements are declared: {systems} systems, {containers} containers and deployments, {externals} external
systems and {people} kinds of people.</p>
"##,
        observed = observed(input),
        imported = match input.imported {
            Some(_) => format!(
                "<p><a href=\"{FILE}\">Imported beside declared</a>: what files of others tell.</p>\n"
            ),
            None => String::new(),
        },
        by_code = truth.by_code,
        by_file = truth.by_file,
        only_said = truth.only_said,
        planned = truth.planned,
        verified = truth.by_code + truth.by_file,
        elements = model.elements.len(),
        systems = count(Level::System),
        containers = count(Level::Container),
        externals = count(Level::External),
        people = count(Level::Person),
        drawing = svg::draw(&scene, &placement, false),
    );
    let page = Page { title: "The architecture of the data platform", section: "index.html", body };
    render(input, &page)
}

/// What ran beside what is declared; empty when nobody looked.
fn observed(input: &Input) -> String {
    let Some(observed) = &input.observed else { return String::new() };
    let model = &input.model;
    let all = |wanted: Standing| -> Vec<String> {
        model
            .flows
            .iter()
            .filter(|flow| observed.standing(flow) == wanted)
            .map(|flow| flow_sentence(model, flow))
            .collect()
    };
    let (seen, silent, undeclared) =
        (all(Standing::Seen), all(Standing::Silent), observed.undeclared(model));
    let list = |items: &[String]| -> String {
        items.iter().map(|item| format!("<li>{item}</li>\n")).collect()
    };
    let drawn = all(Standing::Undeclared);
    let undeclared: Vec<String> = undeclared
        .iter()
        .map(|found| escape(&format!("{}: {}", found.subject, found.message)))
        .collect();
    format!(
        "<h3 id=\"observed\">What was seen running</h3>\n<p>Labels with a green frame: declared and seen. With a dashed frame: our code, and not seen (green and dashed: some of the flows behind an arrow were). \
         With a thick frame and “seen, not declared”: what no declaration names.</p>\n\
         <ul>\n{}</ul>\n<p>Declared and silent: {}.</p>\n<ul>\n{}</ul>\n<p>Seen and not declared: {}.</p>\n<ul>\n{}{}</ul>\n",
        list(&seen),
        silent.len(),
        list(&silent),
        undeclared.len(),
        list(&undeclared),
        list(&drawn),
    )
}

/// The page of the whole.
pub(super) fn context(input: &Input, scene: &Scene, at: &Placement) -> String {
    let lead = "<p class=\"lead\">Everybody and every system. An arrow points where the data goes; its label says what moves.</p>\n\
                <p class=\"hint\">Drag to move, scroll to zoom; a box leads to what is inside it, a label to the flow.</p>";
    let about = About {
        title: "System context",
        section: "context.html",
        file: "context.html",
        lead,
        switches: &chips(|class| has_class(scene, class)),
    };
    diagram::page(input, &about, scene, at)
}
