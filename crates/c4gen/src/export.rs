//! The model in the languages of other tools, for whoever works with them. Our own pictures are not
//! made from these.

mod csv;
mod dot;
mod likec4;
mod mermaid;

use c4model::{ElementRecord, Model};

use crate::scene::leg::{Leg, ancestors, legs};

/// A language of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line a flow, RFC 4180.
    Csv,
    /// Graphviz.
    Dot,
    /// LikeC4.
    Likec4,
    /// A Mermaid flowchart.
    Mermaid,
}

/// The whole model in this language.
#[must_use]
pub fn export(model: &Model, format: Format) -> String {
    match format {
        Format::Csv => csv::write(model),
        Format::Dot => dot::write(model),
        Format::Likec4 => likec4::write(model),
        Format::Mermaid => mermaid::write(model),
    }
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
