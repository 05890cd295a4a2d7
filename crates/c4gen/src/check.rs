//! What must hold: the model is whole, its evidence resolves, the checked-in files are current,
//! the crates depend on each other as agreed, and the diagrams can be read.

mod dependencies;
mod evidence;
mod known;
mod model;
mod network;

use std::path::Path;

use c4model::Model;
use serde::Serialize;

use crate::error::Error;
use crate::layout::{Cache, Layout};
use crate::released::Released;
use crate::workspace::{LAYOUT_FILE, MODEL_FILE, Package, SITE_FOLDER};
use crate::{analysis, geometry, site, workspace};

/// More boxes than this are not read but searched.
const MOST_BOXES: usize = 40;

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Which check, e.g. `T1`.
    pub check: &'static str,
    /// What it is about: an id, a package or a file.
    pub subject: String,
    /// What is wrong and what cures it.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(check: &'static str, subject: &str, message: String) -> Self {
        Self { check, subject: subject.to_owned(), message }
    }
}

/// Everything that does not hold, in a stable order; empty when all is well.
///
/// # Errors
/// When the workspace cannot be read or a diagram cannot be placed.
pub fn all(root: &Path, declared: &Model, layout: &dyn Layout) -> Result<Vec<Finding>, Error> {
    let packages = workspace::packages(root)?;
    let mut findings = model::findings(declared);
    findings.extend(evidence::findings(root, declared));
    findings.extend(dependencies::rule(&packages));
    findings.extend(dependencies::linked(&packages, crate::collect::LINKED_PACKAGES));
    findings.extend(undeclared_flows(&packages, declared)?);
    findings.extend(network::findings(root, &packages, declared)?);
    findings.extend(known::compare(root, analysis::health::findings(declared))?);
    let mut cache = read_cache(root)?;
    findings.extend(current(root, declared, layout, &cache)?);
    findings.extend(readable(declared, layout, &mut cache)?);
    findings.extend(drawn(root, declared, layout, cache)?);
    findings.sort();
    Ok(findings)
}

/// T2: the checked-in files say what the code says.
fn current(
    root: &Path,
    declared: &Model,
    layout: &dyn Layout,
    cache: &Cache,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let released = Released::read(root)?;
    for (name, expected) in exported(declared, released.as_ref(), layout, cache)? {
        let found = std::fs::read_to_string(root.join(name)).unwrap_or_default();
        if found != expected {
            let message =
                "differs from the code; run `make site` and commit what it writes".to_owned();
            findings.push(Finding::new("T2", name, message));
        }
    }
    Ok(findings)
}

/// The checked-in files by name, as the code has them.
///
/// # Errors
/// When a diagram cannot be placed.
pub fn exported(
    declared: &Model,
    released: Option<&Released>,
    layout: &dyn Layout,
    cache: &Cache,
) -> Result<[(&'static str, String); 2], Error> {
    let mut cache = cache.clone();
    let mut scenes = site::scenes(declared);
    scenes.extend(released.and_then(|one| one.scene(declared)));
    for scene in &scenes {
        cache.place(layout, scene)?;
    }
    cache.keep_only(&scenes.iter().map(|scene| scene.id.as_str()).collect::<Vec<_>>());
    Ok([(MODEL_FILE, declared.to_json()), (LAYOUT_FILE, cache.to_json())])
}

/// The kept placements; none when the file is absent.
///
/// # Errors
/// [`Error::Format`] when the file is not one that this program wrote.
pub fn read_cache(root: &Path) -> Result<Cache, Error> {
    let path = root.join(LAYOUT_FILE);
    if !path.exists() {
        return Ok(Cache::default());
    }
    serde_json::from_str(&workspace::read(&path)?).map_err(|source| Error::Format { path, source })
}

/// G1: no diagram has text, boxes or arrows on each other, and arrows cross seldom.
fn readable(
    declared: &Model,
    layout: &dyn Layout,
    cache: &mut Cache,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for scene in site::scenes(declared) {
        let placement = cache.place(layout, &scene)?;
        let faults = geometry::faults(&scene, &placement);
        findings.extend(faults.into_iter().map(|fault| Finding::new("G1", &scene.id, fault)));
        let crossings = geometry::crossings(&placement);
        let bound = (scene.edges.len() * 6).div_ceil(5);
        if crossings > bound {
            let message = format!("has {crossings} crossings, more than {bound}; split it");
            findings.push(Finding::new("G1", &scene.id, message));
        }
        if scene.nodes.len() > MOST_BOXES {
            let message =
                format!("has {} boxes, more than {MOST_BOXES}; split it", scene.nodes.len());
            findings.push(Finding::new("G1", &scene.id, message));
        }
    }
    Ok(findings)
}

/// S1: the checked-in site is what would be drawn now. Its own date is taken as given: a commit
/// cannot know the day it is made.
fn drawn(
    root: &Path,
    declared: &Model,
    layout: &dyn Layout,
    cache: Cache,
) -> Result<Vec<Finding>, Error> {
    let folder = root.join(SITE_FOLDER);
    let index = std::fs::read_to_string(folder.join("index.html")).unwrap_or_default();
    let commit_date = index
        .split_once("<time datetime=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(date, _)| date.to_owned());
    let mut input = site::Input::new(declared.clone(), cache, commit_date);
    input.released = Released::read(root)?;
    let pages = site::pages(&mut input, layout)?;
    let differs =
        |name: &String| std::fs::read_to_string(folder.join(name)).ok().as_ref() != pages.get(name);
    let written = site::written(&folder)?;
    let stale: Vec<&String> = pages
        .keys()
        .filter(|name| differs(name))
        .chain(written.iter().filter(|name| !pages.contains_key(*name)))
        .collect();
    Ok(stale
        .first()
        .map(|first| {
            let message = format!(
                "is not what the code draws: {first} and {} more files differ; run `make site` and commit what it writes",
                stale.len() - 1
            );
            Finding::new("S1", SITE_FOLDER, message)
        })
        .into_iter()
        .collect())
}

/// T3: every `flow!` in the sources was collected; one that was not is dropped by the linker, or
/// switched off by a feature.
fn undeclared_flows(packages: &[Package], declared: &Model) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.name != "c4model") {
        let Some(folder) = package.manifest_path.parent() else { continue };
        for function in evidence::flows_in_sources(&folder.join("src"))? {
            if !declared
                .flows
                .iter()
                .any(|flow| evidence::is_carried_by(flow, &package.name, &function))
            {
                let message =
                    format!("`flow! {{ {function} … }}` in the sources was not collected");
                findings.push(Finding::new("T3", &package.name, message));
            }
        }
    }
    Ok(findings)
}
