//! Stories: a sequence diagram and the same steps as a numbered list.

use std::fmt::Write as _;

use c4model::ScenarioRecord;

use super::Input;
use super::diagram::{class_of, frame, key};
use super::flows::{element_link, kind_word};
use super::page::{Page, render};
use crate::scene::view::flow_page;
use crate::sequence;
use crate::text::escape;

/// Name of a story's page.
pub(super) fn file_of(id: &str) -> String {
    format!("story-{id}.html")
}

pub(super) fn page(input: &Input, scenario: &ScenarioRecord) -> String {
    let model = &input.model;
    let mut steps = String::new();
    for (index, step) in scenario.steps.iter().enumerate() {
        let Some(flow) = model.flow(&step.flow) else { continue };
        let ends = |ids: &[String]| {
            ids.iter().map(|id| element_link(model, id)).collect::<Vec<_>>().join(", ")
        };
        let via = flow
            .through
            .as_ref()
            .map(|id| format!(" via {}", element_link(model, id)))
            .unwrap_or_default();
        let _ = writeln!(
            steps,
            "<li id=\"s{}\"><strong>{}</strong><br>{} → {}{via}: <a href=\"{}\">{}</a> <span class=\"{}\">({})</span></li>",
            index + 1,
            escape(&capitalized(&step.note)),
            ends(&flow.from),
            ends(&flow.to),
            flow_page(&flow.id),
            escape(&flow.moves),
            class_of(flow),
            kind_word(flow)
        );
    }
    let body = format!(
        r#"<p class="lead">{about}</p>
<div class="diagram">
{viewer}</div>
{key}<h2 id="steps">Step by step</h2>
<ol class="steps">
{steps}</ol>
"#,
        about = escape(&scenario.about),
        viewer = frame(&sequence::draw(model, scenario).svg, &scenario.title, 0.0, ""),
        key = key(),
    );
    render(input, &Page { title: &scenario.title, section: "flows.html", body })
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
