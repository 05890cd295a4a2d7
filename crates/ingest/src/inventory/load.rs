//! Reads a folder of unit files.
//!
//! Units are `DIR/units/*.yml` (or `.yaml`); a folder without `units` is read as one of units
//! itself. `vocabulary.yml` and `retired.yml` are the platform's own files beside the units and
//! are left alone. Everything wrong in any file is reported together.

use std::path::{Path, PathBuf};

use super::decode::{self, Decoded};
use super::node;
use super::problem::{InventoryError, Problem, Rule};
use super::reader::Notes;
use super::unit::Inventory;
use super::validate;

/// The largest unit file that is read. The platform's largest unit has under a hundred tables and
/// some twenty kilobytes.
const MAXIMUM_FILE_BYTES: u64 = 8 << 20;

/// Files of an inventory's folder that are not units.
const NOT_UNITS: &[&str] = &["vocabulary.yml", "vocabulary.yaml", "retired.yml", "retired.yaml"];

/// Reads and checks the inventory in `directory`.
///
/// # Errors
/// Every problem of every file: see [`Rule`] for what is checked. A folder that cannot be read or
/// holds no unit is a problem too.
pub fn load(directory: &Path) -> Result<Inventory, InventoryError> {
    let files = unit_files(directory).map_err(InventoryError::one)?;
    let (mut drafts, mut skipped, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for (name, path) in &files {
        let mut notes = Notes::new(name);
        let decoded = read(path)
            .map_err(|(rule, line, message)| notes.note("", line, rule, message))
            .ok()
            .and_then(|root| decode::decode(&mut notes, name, &root));
        problems.append(&mut notes.problems);
        match decoded {
            Some(Decoded::Ours(draft)) => drafts.push(*draft),
            Some(Decoded::Skipped(unit)) => skipped.push(unit),
            None => {}
        }
    }
    problems.append(&mut validate::validate(&mut drafts, &skipped));
    if !problems.is_empty() {
        problems.sort_by(|left, right| {
            (&left.file, left.line.unwrap_or(0)).cmp(&(&right.file, right.line.unwrap_or(0)))
        });
        return Err(InventoryError { problems });
    }
    Ok(Inventory {
        units: drafts.into_iter().map(|draft| draft.unit).collect(),
        skipped: skipped.into_iter().map(|unit| unit.unit).collect(),
    })
}

/// Reads a unit from a text, as if it were the only file of an inventory.
///
/// # Errors
/// As [`load`].
pub fn load_text(file: &str, text: &str) -> Result<Inventory, InventoryError> {
    let mut notes = Notes::new(file);
    let decoded = node::parse(text)
        .map_err(|error| notes.note("", error.line.unwrap_or(0), Rule::Yaml, error.message))
        .ok()
        .and_then(|root| decode::decode(&mut notes, file, &root));
    let mut inventory = Inventory::default();
    let mut problems = notes.problems;
    match decoded {
        Some(Decoded::Ours(draft)) => {
            let mut drafts = [*draft];
            problems.append(&mut validate::validate(&mut drafts, &[]));
            inventory.units.extend(drafts.map(|draft| draft.unit));
        }
        Some(Decoded::Skipped(unit)) => inventory.skipped.push(unit.unit),
        None => {}
    }
    if problems.is_empty() { Ok(inventory) } else { Err(InventoryError { problems }) }
}

/// The unit files by name relative to the folder, in the order of their names.
fn unit_files(directory: &Path) -> Result<Vec<(String, PathBuf)>, Problem> {
    let shown = directory.display().to_string();
    let fault = |message: String| Problem {
        file: shown.clone(),
        yaml_path: String::new(),
        line: None,
        rule: Rule::File,
        message,
    };
    let units = directory.join("units");
    let (folder, prefix) = if units.is_dir() { (units, "units/") } else { (directory.into(), "") };
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        fault(format!("the folder cannot be read: {error}; give the inventory's folder"))
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let path =
            entry.map_err(|error| fault(format!("the folder cannot be read: {error}")))?.path();
        let yaml =
            path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if yaml && !name.starts_with('.') && !NOT_UNITS.contains(&name) {
            files.push((format!("{prefix}{name}"), path.clone()));
        }
    }
    if files.is_empty() {
        let message = "the folder holds no unit; expected units/*.yml, as `ol-ingest discover` \
                       prints one";
        return Err(fault(message.to_owned()));
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<node::Node, (Rule, u64, String)> {
    let unreadable =
        |error: std::io::Error| (Rule::File, 0, format!("the file cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err((Rule::File, 0, "this is not a file; move or rename it".to_owned()));
    }
    if metadata.len() > MAXIMUM_FILE_BYTES {
        let message = format!(
            "the file has {} bytes; a unit has at most {MAXIMUM_FILE_BYTES}",
            metadata.len()
        );
        return Err((Rule::Yaml, 0, message));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    node::parse(&text).map_err(|error| (Rule::Yaml, error.line.unwrap_or(0), error.message))
}
