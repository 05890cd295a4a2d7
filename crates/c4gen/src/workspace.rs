//! The workspace the model belongs to: its root, its commit, its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::error::Error;

/// Name of the checked-in model at the root of the workspace.
pub const MODEL_FILE: &str = "architecture.json";
/// Name of the checked-in placements at the root of the workspace.
pub const LAYOUT_FILE: &str = "architecture.layout.json";

/// Name of the checked-in model of the last release at the root of the workspace.
pub const RELEASED_FILE: &str = "architecture.released.json";
/// Name of the checked-in list of known findings at the root of the workspace.
pub const KNOWN_FILE: &str = "architecture.known.toml";
/// Name of the mapping of imported elements at the root of the workspace.
pub const MAPPING_FILE: &str = "architecture.imported.toml";
/// Folder of the checked-in site, from the root of the workspace.
pub const SITE_FOLDER: &str = "docs/architecture";

/// The nearest folder at or above `start` that holds a Cargo workspace.
///
/// # Errors
/// [`Error::NoWorkspace`] when there is none.
pub fn find_root(start: &Path) -> Result<PathBuf, Error> {
    start
        .ancestors()
        .find(|folder| {
            std::fs::read_to_string(folder.join("Cargo.toml"))
                .is_ok_and(|manifest| manifest.lines().any(|line| line.trim() == "[workspace]"))
        })
        .map(Path::to_path_buf)
        .ok_or_else(|| Error::NoWorkspace { path: start.to_path_buf() })
}

/// Day of the last commit, e.g. `2026-11-23`; none outside a repository.
#[must_use]
pub fn commit_date(root: &Path) -> Option<String> {
    let output = Command::new("git")
        .args(["log", "-1", "--format=%cs"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let date = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!date.is_empty()).then_some(date)
}

/// A package of the workspace, as Cargo tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Path of its `Cargo.toml`.
    pub manifest_path: PathBuf,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// One dependency of a package.
#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    /// Name of the package depended on.
    pub name: String,
    /// `dev` or `build`; none for an ordinary one.
    pub kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// The packages of the workspace.
///
/// # Errors
/// [`Error::NoWorkspace`] when the folder holds none, [`Error::Program`] when Cargo cannot be run or refuses, [`Error::Format`] when it answers
/// something else than documented.
pub fn packages(root: &Path) -> Result<Vec<Package>, Error> {
    if !root.join("Cargo.toml").is_file() {
        return Err(Error::NoWorkspace { path: root.to_path_buf() });
    }
    let mut command = Command::new("cargo");
    command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).current_dir(root);
    let metadata: Metadata = serde_json::from_slice(&output_of("cargo metadata", &mut command)?)
        .map_err(|source| Error::Format { path: root.join("Cargo.toml"), source })?;
    Ok(metadata.packages)
}

/// Reads a text file.
///
/// # Errors
/// [`Error::File`] with the path.
pub fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_path_buf(),
        source,
    })
}

/// Writes a text file, and makes the folder it lies in.
///
/// # Errors
/// [`Error::File`] with the path.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|source| Error::File { action: "write", path: path.to_path_buf(), source })
}

/// Every Rust file below a folder, in the order of their paths.
#[must_use]
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// What a command prints.
///
/// # Errors
/// [`Error::Program`] under the name `program`, when it cannot be started or fails.
pub(crate) fn output_of(program: &'static str, command: &mut Command) -> Result<Vec<u8>, Error> {
    let failed = |reason| Error::Program { program, reason };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
