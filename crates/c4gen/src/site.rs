//! The pages: what they are called and who writes them.

mod changes;
mod containers;
mod dependencies;
mod diagram;
mod elements;
mod flows;
mod imported;
mod index;
mod page;
mod scenarios;
mod search;
mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use c4model::platform::{ArchitectureSite, Workspace};
use c4model::{Model, Sink, Source, flow};

use crate::error::Error;
use crate::import::Imported;
use crate::import::mapping::{Comparison, Mapping};
use crate::layout::{Cache, Layout, Placement};
use crate::observed::Observed;
use crate::released::Released;
use crate::scene::Scene;
use crate::scene::view;
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
    /// What was seen running, to be compared with what is declared.
    pub observed: Option<Observed>,
    /// What was read from files of others, and which declared elements it stands for.
    pub imported: Option<(Imported, Mapping)>,
    /// The last release, to be compared with what is declared.
    pub released: Option<Released>,
}

impl Input {
    /// What is declared, and nothing beside it.
    #[must_use]
    pub fn new(model: Model, cache: Cache, commit_date: Option<String>) -> Self {
        Self { model, cache, commit_date, observed: None, imported: None, released: None }
    }
}

/// What was written.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The folder.
    pub folder: PathBuf,
    /// How many files.
    pub files: usize,
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
/// Writes the architecture site into a folder. A page that an earlier version wrote there and this
/// one does not is removed.
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
    for gone in written(&folder)?.into_iter().filter(|name| !files.contains_key(name)) {
        let path = folder.join(gone);
        std::fs::remove_file(&path).map_err(|source| Error::File {
            action: "remove",
            path,
            source,
        })?;
    }
    let mut bytes = 0;
    for (name, text) in &files {
        workspace::write(&folder.join(name), text)?;
        bytes += text.len() as u64;
    }
    sink.moved(files.len() as u64, bytes);
    Ok(Report {
        folder,
        files: files.len(),
        bytes,
        elements: input.model.elements.len(),
        flows: input.model.flows.len(),
    })
}

/// The names of the files in a folder that a site may consist of; none when there is no folder.
///
/// # Errors
/// [`Error::File`] when the folder cannot be read.
pub fn written(folder: &Path) -> Result<Vec<String>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| Error::File { action: "read", path: folder.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if [".html", ".svg", ".css", ".js"].iter().any(|end| name.ends_with(end)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Every file of the site by name. The same input gives the same bytes.
///
/// # Errors
/// [`Error::Layout`] when a diagram cannot be placed.
pub fn pages(input: &mut Input, layout: &dyn Layout) -> Result<BTreeMap<String, String>, Error> {
    let imported = input.imported.as_ref().map(|(imported, mapping)| {
        let comparison = Comparison::new(&input.model, imported, mapping);
        (imported::body(&comparison, imported), comparison.merged())
    });
    let imported = imported.map(|(body, merged)| {
        input.model = merged;
        body
    });
    if let Some(observed) = &input.observed {
        input.model = observed.merged(&input.model);
    }
    let mut placed: Vec<(Scene, Placement)> = Vec::new();
    for mut scene in scenes(&input.model) {
        let placement = input.cache.place(layout, &scene)?;
        if let Some(observed) = &input.observed {
            scene.mark(&input.model, observed);
        }
        placed.push((scene, placement));
    }
    let changes = match input.released.as_ref().and_then(|one| one.scene(&input.model)) {
        Some(scene) => {
            let placement = input.cache.place(layout, &scene)?;
            Some((scene, placement))
        }
        None => None,
    };
    let input = &*input;
    let model = &input.model;
    let mut files = BTreeMap::new();
    let mut add = |name: String, text: String| files.insert(name, text);
    add("style.css".to_owned(), format!("{}{}", include_str!("../assets/site.css"), svg::style()));
    add("theme.js".to_owned(), include_str!("../assets/theme.js").to_owned());
    add("site.js".to_owned(), include_str!("../assets/site.js").to_owned());
    add("search.js".to_owned(), search::script(input));
    for (scene, placement) in &placed {
        let file = file_of(model, scene);
        add(file.replace(".html", ".svg"), svg::draw(scene, placement, true));
        let page = match scope_of(model, scene) {
            Some(scope) => containers::page(input, scope, scene, placement),
            None if scene.id == "target" => target::page(input, scene, placement),
            None => index::context(input, scene, placement),
        };
        add(file, page);
    }
    add(changes::FILE.to_owned(), changes::page(input, changes.as_ref()));
    if let Some(body) = imported {
        add(imported::FILE.to_owned(), imported::page(input, body));
    }
    add("index.html".to_owned(), index::page(input));
    add("containers.html".to_owned(), containers::index(input));
    add("flows.html".to_owned(), flows::page(input));
    add("dependencies.html".to_owned(), dependencies::page(input));
    add("elements.html".to_owned(), elements::page(input));
    for element in &model.elements {
        add(view::element_page(&element.id), elements::one(input, element));
    }
    for flow in &model.flows {
        add(view::flow_page(&flow.id), flows::one(input, flow));
    }
    for scenario in &model.scenarios {
        add(scenarios::file_of(&scenario.id), scenarios::page(input, scenario));
    }
    Ok(files)
}

/// Every diagram that a layout engine places.
#[must_use]
pub fn scenes(model: &Model) -> Vec<Scene> {
    let mut scenes = vec![view::context(model), view::strategy(model)];
    scenes
        .extend(containers::scopes(model).into_iter().map(|scope| view::containers(model, scope)));
    scenes
}

fn scope_of<'model>(model: &'model Model, scene: &Scene) -> Option<&'model c4model::ElementRecord> {
    let (_, id) = scene.id.split_once('_')?;
    model.element(id)
}

fn file_of(model: &Model, scene: &Scene) -> String {
    scope_of(model, scene).map_or_else(|| format!("{}.html", scene.id), view::containers_page)
}
