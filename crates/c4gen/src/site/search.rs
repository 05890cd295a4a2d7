//! What the search knows, as a script, because a page opened from a folder may load scripts but not
//! data.

use serde_json::json;

use super::Input;
use super::containers::scopes;
use super::scenarios::file_of;
use crate::scene::view::{containers_page, element_page, flow_page};

pub(super) fn script(input: &Input) -> String {
    let model = &input.model;
    let name = |id: &String| model.element(id).map_or_else(|| id.clone(), |end| end.name.clone());
    let elements = model.elements.iter().map(|element| {
        json!([
            element.name,
            format!("{} · {}", element.tech, element.summary),
            element_page(&element.id)
        ])
    });
    let pages = scopes(model).into_iter().map(|scope| {
        json!([format!("Containers of {}", scope.name), scope.summary, containers_page(scope)])
    });
    let flows = model.flows.iter().map(|flow| {
        let ends = |ids: &[String]| ids.iter().map(name).collect::<Vec<_>>().join(", ");
        json!([
            flow.moves,
            format!("{} → {} · {}", ends(&flow.from), ends(&flow.to), flow.tech),
            flow_page(&flow.id)
        ])
    });
    let stories = model
        .scenarios
        .iter()
        .map(|scenario| json!([scenario.title, "story", file_of(&scenario.id)]));
    let entries: Vec<String> =
        pages.chain(elements).chain(flows).chain(stories).map(|entry| entry.to_string()).collect();
    format!("window.c4search = [\n{}\n];\n", entries.join(",\n"))
}
