//! The pages: what they are called and who writes them.

mod elements;
mod flows;
mod index;
mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use c4model::platform::{ArchitectureSite, Workspace};
use c4model::{Level, Model, Sink, Source, flow};

use crate::error::Error;
use crate::layout::{Cache, Layout};
use crate::scene::Scene;
use crate::scene::build;
use crate::svg;
use crate::workspace;

pub use index::Truth;

/// What the pages are made from.
#[derive(Debug)]
pub struct Input {
    /// The declared model.
    pub model: Model,
    /// Placements of earlier runs.
    pub cache: Cache,
    /// Day of the commit the model was built from; none outside a repository.
    pub commit_date: Option<String>,
}

/// What was written.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The folder.
    pub folder: PathBuf,
    /// Files, relative to the folder.
    pub files: Vec<String>,
    /// Bytes in all of them.
    pub bytes: u64,
    /// Declared elements.
    pub elements: usize,
    /// Declared flows.
    pub flows: usize,
}

flow! { write_site {
    moves: "Declarations", tech: "Rust types", tech_onward: "HTML, SVG", kind: Sync, by: Through,
    owner: "data platform", timeout: "none: seconds of computing",
    idempotent: "the same input gives the same bytes",
} }
/// Writes the architecture site into a folder.
///
/// # Errors
/// [`Error::Layout`] when a diagram cannot be placed, [`Error::File`] when the folder cannot be
/// written.
pub fn write_site(
    source: Source<Workspace, Input>,
    sink: Sink<ArchitectureSite, PathBuf>,
    layout: &dyn Layout,
) -> Result<Report, Error> {
    let mut input = source.into_endpoint();
    let files = pages(&mut input, layout)?;
    let folder = sink.endpoint().clone();
    std::fs::create_dir_all(&folder).map_err(|source| Error::File {
        action: "create the folder",
        path: folder.clone(),
        source,
    })?;
    let mut bytes = 0;
    for (name, text) in &files {
        workspace::write(&folder.join(name), text)?;
        bytes += text.len() as u64;
    }
    sink.moved(files.len() as u64, bytes);
    Ok(Report {
        folder,
        files: files.into_keys().collect(),
        bytes,
        elements: input.model.elements.len(),
        flows: input.model.flows.len(),
    })
}

/// Every file of the site by name. The same input gives the same bytes.
///
/// # Errors
/// [`Error::Layout`] when a diagram cannot be placed.
pub fn pages(input: &mut Input, layout: &dyn Layout) -> Result<BTreeMap<String, String>, Error> {
    let mut files = BTreeMap::new();
    files.insert(
        "style.css".to_owned(),
        format!("{}{}", include_str!("../assets/site.css"), svg::STYLE),
    );
    let model = &input.model;
    let date = input.commit_date.as_deref();
    for scene in scenes(model) {
        let placement = input.cache.place(layout, &scene)?;
        let file = file_of(&scene);
        files.insert(
            format!("{}.svg", file.trim_end_matches(".html")),
            svg::draw(&scene, &placement, true),
        );
        files.insert(file.clone(), page::diagram(model, &scene, &placement, &file, date));
    }
    files.insert("index.html".to_owned(), index::page(model, date));
    files.insert("flows.html".to_owned(), flows::page(model, date));
    files.insert("elements.html".to_owned(), elements::page(model, date));
    Ok(files)
}

/// Every diagram of the site.
#[must_use]
pub fn scenes(model: &Model) -> Vec<Scene> {
    let systems = model.elements.iter().filter(|element| build::has_page(model, element));
    std::iter::once(build::context(model))
        .chain(systems.map(|system| build::containers(model, system)))
        .collect()
}

fn file_of(scene: &Scene) -> String {
    match scene.id.strip_prefix("containers_") {
        Some(system) => build::page_of(system),
        None => format!("{}.html", scene.id),
    }
}

/// Systems that have a page, by name: the data platform first, as it is what readers come for.
fn systems(model: &Model) -> Vec<(&str, String)> {
    let mut systems: Vec<(&str, String)> = model
        .elements
        .iter()
        .filter(|element| element.level == Level::System && build::has_page(model, element))
        .map(|element| (element.name.as_str(), build::page_of(&element.id)))
        .collect();
    systems.sort_by_key(|(name, _)| (!name.contains("Data Platform"), *name));
    systems
}
