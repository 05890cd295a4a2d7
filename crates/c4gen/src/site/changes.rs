//! What has changed since the last release.

use std::fmt::Write as _;

use c4model::Model;

use super::Input;
use super::diagram::viewer;
use super::page::{Page, render};
use crate::diff::Difference;
use crate::layout::Placement;
use crate::released::Released;
use crate::scene::view::{element_page, flow_page};
use crate::scene::{Change, Scene};
use crate::text::escape;

/// Its file name.
pub(super) const FILE: &str = "changes.html";

pub(super) fn page(input: &Input, picture: Option<&(Scene, Placement)>) -> String {
    let body = match &input.released {
        None => "<p class=\"lead\">Nothing has been released yet, so everything is new. <code>c4gen export --release VERSION</code> \
                 keeps the model of a release, and from then on this page says what differs.</p>\n"
            .to_owned(),
        Some(released) => since(&input.model, released, picture),
    };
    render(input, &Page { title: "Changes since the last release", section: "index.html", body })
}

fn since(now: &Model, released: &Released, picture: Option<&(Scene, Placement)>) -> String {
    let found = released.differences(now);
    let version = escape(&released.version);
    if found.is_empty() {
        return format!("<p class=\"lead\">Nothing has changed since release {version}.</p>\n");
    }
    let count = |kind: &str, change: Change| {
        found.iter().filter(|one| one.kind == kind && one.change == change).count()
    };
    let mut html = format!(
        "<p class=\"lead\">Since release {version}: {} flows added, {} changed, {} removed; {} elements added, {} changed, {} removed.</p>\n",
        count("flow", Change::Added),
        count("flow", Change::Changed),
        count("flow", Change::Removed),
        count("element", Change::Added),
        count("element", Change::Changed),
        count("element", Change::Removed),
    );
    if let Some((scene, placement)) = picture {
        let _ = write!(
            html,
            "<p class=\"hint\">+ added, ~ changed, × removed. Only flows that differ are drawn.</p>\n<div class=\"diagram\">\n{}</div>\n",
            viewer(scene, placement, None)
        );
    }
    for (kind, title) in [("flow", "Flows"), ("element", "Elements"), ("story", "Stories")] {
        let lines: String = found
            .iter()
            .filter(|one| one.kind == kind)
            .map(|one| line(now, released, one))
            .collect();
        if !lines.is_empty() {
            let _ = write!(html, "<h2 id=\"{kind}s\">{title}</h2>\n<ul>\n{lines}</ul>\n");
        }
    }
    html
}

fn line(now: &Model, released: &Released, one: &Difference) -> String {
    let model = if one.change == Change::Removed { &released.model } else { now };
    let (name, page) = match one.kind {
        "flow" => (model.flow(&one.id).map(|flow| flow.moves.clone()), flow_page(&one.id)),
        "element" => (model.element(&one.id).map(|one| one.name.clone()), element_page(&one.id)),
        _ => {
            let story = model.scenarios.iter().find(|story| story.id == one.id);
            (story.map(|story| story.title.clone()), super::scenarios::file_of(&one.id))
        }
    };
    let name = escape(&name.unwrap_or_else(|| one.id.clone()));
    let name = match one.change {
        Change::Removed => name,
        Change::Added | Change::Changed => format!("<a href=\"{page}\">{name}</a>"),
    };
    let mut fields = String::new();
    for (field, before, after) in &one.fields {
        let _ = write!(
            fields,
            "<li><code>{}</code>: {} → {}</li>",
            escape(field),
            escape(before),
            escape(after)
        );
    }
    let fields = if fields.is_empty() { fields } else { format!("<ul>{fields}</ul>") };
    format!("<li>{} {name} <code>{}</code>{fields}</li>\n", one.change.sign(), escape(&one.id))
}
