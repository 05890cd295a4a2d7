//! The first page: what this is, how to read it, and how far to trust it.

use c4model::{EvidenceRecord, FlowRecord, Level, Model, Status};

use super::page::{Page, render};
use super::systems;
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
        } else if has(|evidence| matches!(evidence, EvidenceRecord::File { .. })) {
            &mut self.by_file
        } else {
            &mut self.only_said
        }
    }
}

pub(super) fn page(model: &Model, commit_date: Option<&str>) -> String {
    let truth = Truth::of(model);
    let live = truth.by_code + truth.by_file + truth.only_said;
    let count = |level| model.elements.iter().filter(|element| element.level == level).count();
    let (scene, placement) = legend();
    let cards: String = std::iter::once((
        "System context",
        "context.html".to_owned(),
        "Everybody and every system, and what moves between them.",
    ))
    .chain(systems(model).into_iter().map(|(name, file)| {
        (name, file, "The containers inside, and whom they exchange data with.")
    }))
    .chain(std::iter::once((
        "Data flows",
        "flows.html".to_owned(),
        "Every flow with its ends, its technology, who calls, and its evidence.",
    )))
    .map(|(name, file, what)| {
        format!("<li><a href=\"{file}\">{}</a><span>{what}</span></li>\n", escape(name))
    })
    .collect();
    let body = format!(
        r##"<p class="lead">How data moves through the MIT Open Learning data platform. The pages are drawn from the code
that moves the data: an arrow of ours is a function whose parameters are its two ends, so it cannot outlive the code.</p>
<ul class="cards">
{cards}</ul>
<h2 id="truth">How far to trust it</h2>
<table class="truth">
<thead><tr><th scope="col">What stands behind an arrow</th><th scope="col">Flows</th></tr></thead>
<tbody>
<tr><th scope="row">A function of this workspace with these two ends</th><td>{by_code}</td></tr>
<tr><th scope="row">A file of this repository, opened by the check</th><td>{by_file}</td></tr>
<tr><th scope="row">Somebody's word or a document elsewhere: <em>not verified</em></th><td>{only_said}</td></tr>
<tr><th scope="row">Planned, no code claims it: <em>target</em></th><td>{planned}</td></tr>
</tbody>
</table>
<p>Of {live} live flows, {verified} can be verified by a test today; the others belong to systems whose code is not in this
repository. {elements} elements are declared: {systems} systems, {containers} containers and deployments, {externals} external
systems and {people} kinds of people.</p>
<h2 id="reading">How to read the diagrams</h2>
<div class="legend">
{drawing}</div>
<ul>
<li>An arrow points where the data goes and names what moves. Who opens the connection stands in the table.</li>
<li><strong>Solid</strong>: synchronous, the caller waits. <strong>Amber and dashed</strong>: asynchronous, by the clock, through a queue or on an event.</li>
<li><strong>Violet, dotted, tagged “target”</strong>: planned and not built.</li>
<li><strong>A question mark</strong>: not verified. Somebody said so; no code and no file of this repository shows it.</li>
<li>A database that stands for many deployments lists them inside; its arrows hold for each of them.</li>
<li>A box of a diagram leads one level down; a label leads to the flow in the table.</li>
</ul>
"##,
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
    let page = Page {
        title: "The architecture of the data platform",
        file: "index.html",
        body,
        has_diagram: false,
    };
    render(model, &page, commit_date)
}
