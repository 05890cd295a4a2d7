//! What changed between two models: as a picture, as Markdown for a review, and as data.
//!
//! Both models are laid out as one, so that what stayed keeps its place. An added arrow is marked
//! “+”, a removed one “×”, a changed one “~”; colour says the same, and is never the only sign.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use c4model::{FlowRecord, Model};
use serde::Serialize;
use serde_json::Value;

use crate::analysis::{Graph, cycles};
use crate::error::Error;
use crate::layout::Layout;
use crate::scene::{Change, Scene, view};
use crate::site::Truth;
use crate::svg;
use crate::workspace::{MODEL_FILE, output_of};

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// `element`, `flow` or `story`.
    pub kind: &'static str,
    /// Its id in the newer model, or in the older one when it was removed.
    pub id: String,
    /// How it differs.
    pub change: Change,
    /// The fields that differ: name, before, after; only for what changed.
    pub fields: Vec<(String, String, String)>,
}

/// Everything that differs, in the order of kinds and ids. An id that a newer one names in `was` is
/// the same thing.
#[must_use]
pub fn differences(before: &Model, after: &Model) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("element", &before.elements, &after.elements, &mut found);
    compare("flow", &before.flows, &after.flows, &mut found);
    compare("story", &before.scenarios, &after.scenarios, &mut found);
    found.sort();
    found
}

fn compare<Record: Serialize>(
    kind: &'static str,
    before: &[Record],
    after: &[Record],
    found: &mut Vec<Difference>,
) {
    let as_values = |records: &[Record]| -> BTreeMap<String, Value> {
        records
            .iter()
            .filter_map(|record| serde_json::to_value(record).ok())
            .map(|value| (id_of(&value), value))
            .collect()
    };
    let (mut old, new) = (as_values(before), as_values(after));
    for (id, value) in &new {
        let earlier = value.get("was").and_then(Value::as_array).into_iter().flatten();
        let earlier = earlier.filter_map(Value::as_str).find(|was| old.contains_key(*was));
        let kept = old.remove(id).or_else(|| earlier.and_then(|was| old.remove(was)));
        match kept {
            None => found.push(difference(kind, id, Change::Added, Vec::new())),
            Some(kept) => {
                let fields = changed_fields(&kept, value);
                if !fields.is_empty() {
                    found.push(difference(kind, id, Change::Changed, fields));
                }
            }
        }
    }
    for id in old.into_keys() {
        found.push(difference(kind, &id, Change::Removed, Vec::new()));
    }
}

fn difference(
    kind: &'static str,
    id: &str,
    change: Change,
    fields: Vec<(String, String, String)>,
) -> Difference {
    Difference { kind, id: id.to_owned(), change, fields }
}

fn id_of(value: &Value) -> String {
    value.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn changed_fields(before: &Value, after: &Value) -> Vec<(String, String, String)> {
    let none = serde_json::Map::new();
    let (old, new) = (before.as_object().unwrap_or(&none), after.as_object().unwrap_or(&none));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let said = |value: Option<&Value>| match value {
        None => "—".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| (key.clone(), said(old.get(key)), said(new.get(key))))
        .collect()
}

/// The model that a revision of this repository checked in.
///
/// # Errors
/// [`Error::Program`] when git does not know it, [`Error::Format`] when it is of another format.
pub fn model_of(root: &Path, revision: &str) -> Result<Model, Error> {
    let mut command = Command::new("git");
    command.args(["show", &format!("{revision}:{MODEL_FILE}")]).current_dir(root);
    serde_json::from_slice(&output_of("git show", &mut command)?)
        .map_err(|source| Error::Format { path: root.join(MODEL_FILE), source })
}

/// The differences for a review.
#[must_use]
pub fn markdown(before: &Model, after: &Model, found: &[Difference]) -> String {
    let mut text = String::from("## Architecture\n\n");
    if found.is_empty() {
        text.push_str("Nothing changed.\n");
        return text;
    }
    for (kind, title) in [("flow", "Flows"), ("element", "Elements"), ("story", "Stories")] {
        let lines: Vec<String> = found
            .iter()
            .filter(|difference| difference.kind == kind)
            .map(|difference| line(before, after, difference))
            .collect();
        if !lines.is_empty() {
            let _ = write!(text, "### {title}\n\n{}\n", lines.concat());
        }
    }
    let circles = |model: &Model| -> BTreeSet<String> {
        cycles::circles(&Graph::data(model)).iter().map(|one| one.members.join(", ")).collect()
    };
    let (old, new) = (circles(before), circles(after));
    for (title, list) in
        [("New circles", new.difference(&old)), ("Circles that are gone", old.difference(&new))]
    {
        let items: String = list.map(|members| format!("- {members}\n")).collect();
        if !items.is_empty() {
            let _ = write!(text, "### {title}\n\n{items}\n");
        }
    }
    let (old, new) = (Truth::of(before), Truth::of(after));
    let _ = write!(
        text,
        "### Known by\n\n| | before | after |\n|---|---|---|\n| code | {} | {} |\n| file | {} | {} |\n| somebody's word | {} | {} |\n| planned | {} | {} |\n",
        old.by_code,
        new.by_code,
        old.by_file,
        new.by_file,
        old.only_said,
        new.only_said,
        old.planned,
        new.planned
    );
    text
}

fn line(before: &Model, after: &Model, difference: &Difference) -> String {
    let model = if difference.change == Change::Removed { before } else { after };
    let what = match (difference.kind, model.flow(&difference.id)) {
        ("flow", Some(flow)) => {
            format!("{} → {}: {}", flow.from.join(", "), flow.to.join(", "), flow.moves)
        }
        _ => model.element(&difference.id).map_or_else(String::new, |one| one.name.clone()),
    };
    let mut text = format!("- {} `{}` {what}\n", difference.change.sign(), difference.id);
    for (field, old, new) in &difference.fields {
        let _ = writeln!(text, "  - {field}: {old} → {new}");
    }
    text
}

/// Every flow that differs, in the place of both models.
#[must_use]
pub fn scene(before: &Model, after: &Model, found: &[Difference]) -> Scene {
    let change_of = |flow: &FlowRecord| {
        found
            .iter()
            .find(|difference| difference.kind == "flow" && difference.id == flow.id)
            .map(|difference| difference.change)
    };
    let mut union = after.clone();
    for element in &before.elements {
        if union.element(&element.id).is_none() {
            union.elements.push(element.clone());
        }
    }
    for flow in before.flows.iter().filter(|flow| change_of(flow) == Some(Change::Removed)) {
        union.flows.push(flow.clone());
    }
    view::changes(&union, &change_of)
}

/// The picture of [`scene`], placed and drawn.
///
/// # Errors
/// [`Error::Layout`] when it cannot be placed.
pub fn picture(
    before: &Model,
    after: &Model,
    found: &[Difference],
    layout: &dyn Layout,
) -> Result<(Scene, String), Error> {
    let scene = scene(before, after, found);
    let placement = layout.place(&scene)?;
    let drawn = svg::draw(&scene, &placement, true);
    Ok((scene, drawn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry;
    use crate::layout::elk::Elk;

    #[test]
    fn a_change_a_removal_an_addition_and_a_renaming_are_told_apart() {
        let before = crate::collect::model();
        let mut after = before.clone();
        assert_eq!(differences(&before, &after), []);
        assert_eq!(markdown(&before, &after, &[]), "## Architecture\n\nNothing changed.\n");

        after.flows.retain(|flow| flow.id != "model_sql");
        for flow in &mut after.flows {
            if flow.id == "dashboards" {
                flow.tech = "carrier pigeon".to_owned();
            }
            if flow.id == "lineage" {
                flow.id = "lineage_pages".to_owned();
                flow.was = vec!["lineage".to_owned()];
            }
        }
        let mut added = after.flows.iter().find(|flow| flow.id == "raw_files").cloned();
        added.iter_mut().for_each(|flow| flow.id = "raw_files_again".to_owned());
        after.flows.extend(added);

        let found = differences(&before, &after);
        let told: Vec<_> =
            found.iter().map(|one| (one.id.as_str(), one.change, one.fields.len())).collect();
        assert_eq!(
            told,
            [
                ("dashboards", Change::Changed, 1),
                ("lineage_pages", Change::Changed, 2),
                ("model_sql", Change::Removed, 0),
                ("raw_files_again", Change::Added, 0),
            ]
        );
        let text = markdown(&before, &after, &found);
        assert!(text.contains("- × `model_sql` dbt_project → trino: Model SQL"), "{text}");
        assert!(text.contains("  - tech: HTTPS → carrier pigeon"), "{text}");

        let (scene, drawn) =
            picture(&before, &after, &found, &Elk).unwrap_or_else(|error| panic!("{error}"));
        for sign in ["+ Data files", "× Model SQL", "~ Dashboards"] {
            assert!(drawn.contains(sign), "{sign}");
        }
        let placement = Elk.place(&scene).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(geometry::faults(&scene, &placement), Vec::<String>::new());
    }
}
