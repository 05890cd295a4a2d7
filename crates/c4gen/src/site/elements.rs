//! Every element with what comes in and what goes out.

use c4model::{ElementRecord, FlowRecord, Level, Model, Status};

use super::flows::element_link;
use super::page::{Page, render};
use crate::scene::build::{has_page, page_of};
use crate::text::escape;

pub(super) fn page(model: &Model, commit_date: Option<&str>) -> String {
    let entries: String = model
        .elements
        .iter()
        .filter(|element| element.level != Level::Group)
        .map(|element| entry(model, element))
        .collect();
    let body = format!(
        "<p class=\"lead\">Everything that is declared, in the order of its id.</p>\n<div class=\"elements\">\n{entries}</div>\n"
    );
    let page = Page { title: "Elements", file: "elements.html", body, has_diagram: false };
    render(model, &page, commit_date)
}

fn entry(model: &Model, element: &ElementRecord) -> String {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push(format!("<dt>{name}</dt><dd>{value}</dd>"));
        }
    };
    fact("Technology", escape(&element.tech));
    fact("Owner", escape(&element.owner));
    let parent = element.parent.as_deref();
    fact("Inside", parent.map(|id| inside(model, id)).unwrap_or_default());
    fact(
        "Deployment of",
        element.family.as_deref().map(|id| element_link(model, id)).unwrap_or_default(),
    );
    let deployments: Vec<String> = model
        .elements
        .iter()
        .filter(|other| other.family.as_deref() == Some(element.id.as_str()))
        .map(|other| element_link(model, &other.id))
        .collect();
    fact("Deployments", deployments.join(", "));
    let named = [Some(element.id.as_str()), element.family.as_deref()];
    let is_named = |id: &String| named.contains(&Some(id.as_str()));
    fact(
        "In",
        list(model, |flow| flow.to.iter().chain(&flow.through).any(is_named), |flow| &flow.from),
    );
    fact(
        "Out",
        list(model, |flow| flow.from.iter().chain(&flow.through).any(is_named), |flow| &flow.to),
    );
    if has_page(model, element) {
        fact("Diagram", format!("<a href=\"{}\">containers</a>", page_of(&element.id)));
    }
    let status = match element.status {
        Status::Live => "",
        Status::Target => " <span class=\"status target\">target</span>",
        Status::Retiring => " <span class=\"status retiring\">retiring</span>",
    };
    format!(
        "<section id=\"element-{id}\"><h2>{name}{status}</h2><p>{summary}</p><dl>{facts}</dl></section>\n",
        id = escape(&element.id),
        name = escape(&element.name),
        summary = escape(&element.summary),
        facts = facts.concat(),
    )
}

/// The innermost element around that has an entry of its own, or the group's name.
fn inside(model: &Model, id: &str) -> String {
    match model.element(id) {
        Some(element) if element.level == Level::Group => escape(&element.name),
        Some(_) | None => element_link(model, id),
    }
}

fn list(
    model: &Model,
    wanted: impl Fn(&FlowRecord) -> bool,
    other_ends: impl Fn(&FlowRecord) -> &Vec<String>,
) -> String {
    model
        .flows
        .iter()
        .filter(|flow| wanted(flow))
        .map(|flow| {
            let ends: Vec<String> =
                other_ends(flow).iter().map(|id| element_link(model, id)).collect();
            format!(
                "<a href=\"flows.html#flow-{}\">{}</a> ({})",
                escape(&flow.id),
                escape(&flow.moves),
                ends.join(", ")
            )
        })
        .collect::<Vec<_>>()
        .join("<br>")
}
