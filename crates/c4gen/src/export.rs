//! The model in the languages of other tools, for whoever works with them. Our own pictures are not
//! made from these.

mod backstage;
mod csv;
mod d2;
mod dot;
mod html;
mod likec4;
mod mermaid;
mod open_lineage;
mod plantuml;
mod scenes;
mod structurizr;

use c4model::{ElementRecord, Model, ScenarioRecord, StepRecord};

use crate::error::Error;
use crate::layout::Layout;
use crate::scene::leg::{Leg, ancestors, legs, legs_of};
use crate::site::{Input, pages};

/// A language of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Format {
    /// Backstage: entities as a YAML stream.
    Backstage,
    /// One line a flow, RFC 4180.
    Csv,
    /// D2; stories are layers.
    D2,
    /// Graphviz.
    Dot,
    /// The whole site in one file, without scripts.
    Html,
    /// LikeC4.
    Likec4,
    /// A Mermaid flowchart.
    Mermaid,
    /// OpenLineage: a job event a flow that exists, as NDJSON.
    OpenLineage,
    /// C4-PlantUML: context, containers, stories as dynamic and sequence diagrams.
    Plantuml,
    /// Every picture as JSON: boxes, arrows and texts, and where they stand; one a line.
    Scenes,
    /// Structurizr's DSL.
    Structurizr,
    /// A workspace of Structurizr as JSON.
    StructurizrJson,
}

/// The whole model in this language.
///
/// # Errors
/// [`Error::Layout`] when a diagram of the one that has pictures cannot be placed.
pub fn export(input: &mut Input, format: Format, layout: &dyn Layout) -> Result<String, Error> {
    let model = &input.model;
    Ok(match format {
        Format::Backstage => backstage::write(model),
        Format::Csv => csv::write(model),
        Format::D2 => d2::write(model),
        Format::Dot => dot::write(model),
        Format::Html => html::write(&pages(input, layout)?),
        Format::Likec4 => likec4::write(model),
        Format::Mermaid => mermaid::write(model),
        Format::OpenLineage => open_lineage::write(model, input.commit_date.as_deref()),
        Format::Plantuml => plantuml::write(model),
        Format::Scenes => scenes::write(input, layout)?,
        Format::Structurizr => structurizr::dsl(model),
        Format::StructurizrJson => structurizr::workspace(model),
    })
}

/// The steps of a story, each piece of its flow by itself.
fn steps<'model>(
    model: &'model Model,
    scenario: &'model ScenarioRecord,
) -> Vec<(&'model StepRecord, Leg<'model>)> {
    let steps = scenario.steps.iter().filter_map(|step| Some((step, model.flow(&step.flow)?)));
    steps.flat_map(|(step, flow)| legs_of(flow).into_iter().map(move |leg| (step, leg))).collect()
}

/// Whoever takes part in a story, in the order of appearance.
fn ends_in_order<'model>(
    model: &'model Model,
    scenario: &'model ScenarioRecord,
) -> Vec<&'model ElementRecord> {
    let mut ends: Vec<&ElementRecord> = Vec::new();
    for (_, leg) in steps(model, scenario) {
        for id in [leg.from, leg.to] {
            if ends.iter().all(|known| known.id != id) {
                ends.extend(model.element(id));
            }
        }
    }
    ends
}

/// The elements directly inside another, or those inside none.
fn inside<'model>(model: &'model Model, parent: Option<&str>) -> Vec<&'model ElementRecord> {
    model.elements.iter().filter(|element| element.parent.as_deref() == parent).collect()
}

/// Whether something lies inside.
fn is_holder(model: &Model, id: &str) -> bool {
    model.elements.iter().any(|element| element.parent.as_deref() == Some(id))
}

/// The pieces of all flows, each text between two elements once.
fn arrows(model: &Model) -> Vec<Leg<'_>> {
    let mut seen: Vec<(&str, &str, &str)> = Vec::new();
    legs(model)
        .filter(|leg| {
            let key = (leg.from, leg.to, leg.flow.moves.as_str());
            let is_new = !seen.contains(&key);
            seen.push(key);
            is_new
        })
        .collect()
}

/// The ids from the outermost element to this one.
fn path(model: &Model, id: &str) -> String {
    let mut ids: Vec<&str> = ancestors(model, id).map(|element| element.id.as_str()).collect();
    ids.reverse();
    ids.join(".")
}
