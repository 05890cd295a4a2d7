//! Every element, and a page for each with everything that is one arrow away.

use std::fmt::Write as _;

use c4model::{ElementRecord, Level, Model, Status};

use super::Input;
use super::diagram::{key, table, viewer};
use super::flows::element_link;
use super::page::{Page, render};
use super::scenarios;
use crate::scene::leg::ancestors;
use crate::scene::neighbours::neighbours;
use crate::scene::view::{containers_page, element_page, has_page};
use crate::text::escape;

pub(super) fn page(input: &Input) -> String {
    let model = &input.model;
    let mut lists = String::new();
    for (level, title) in [
        (Level::Person, "People"),
        (Level::System, "Systems"),
        (Level::External, "External systems"),
        (Level::Container, "Containers and deployments"),
        (Level::Group, "Groups"),
    ] {
        let items: String = model
            .elements
            .iter()
            .filter(|element| element.level == level)
            .map(|element| {
                format!(
                    "<li><a href=\"{}\">{}</a>{}<span>{}</span></li>\n",
                    element_page(&element.id),
                    escape(&element.name),
                    status(element),
                    escape(&element.summary)
                )
            })
            .collect();
        let _ = write!(lists, "<h2>{title}</h2>\n<ul class=\"cards small\">\n{items}</ul>\n");
    }
    let body = format!("<p class=\"lead\">Everything that is declared.</p>\n{lists}");
    render(input, &Page { title: "Elements", section: "elements.html", body })
}

/// The page of one element.
pub(super) fn one(input: &Input, element: &ElementRecord) -> String {
    let model = &input.model;
    let mut facts = String::new();
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(facts, "<dt>{name}</dt><dd>{value}</dd>");
        }
    };
    fact("What", level_word(element));
    fact("Technology", &escape(&element.tech));
    fact("Owner", &escape(&element.owner));
    let around: Vec<String> =
        ancestors(model, &element.id).skip(1).map(|outer| element_link(model, &outer.id)).collect();
    fact("Inside", &around.join(", in "));
    let family: String = element.family.iter().map(|id| element_link(model, id)).collect();
    fact("Deployment of", &family);
    fact("Name in the inventory", &element.deployment.as_deref().map(escape).unwrap_or_default());
    let links = |wanted: &dyn Fn(&ElementRecord) -> bool| {
        model
            .elements
            .iter()
            .filter(|other| wanted(other))
            .map(|other| element_link(model, &other.id))
            .collect::<Vec<_>>()
            .join(", ")
    };
    fact("Deployments", &links(&|other| other.family.as_deref() == Some(element.id.as_str())));
    fact("Holds", &links(&|other| other.parent.as_deref() == Some(element.id.as_str())));
    fact("Runs the functions of", &escape(&element.package));
    let read_on: Vec<String> =
        element.links.iter().map(|link| format!("<code>{}</code>", escape(link))).collect();
    fact("Read on", &read_on.join(", "));
    if has_page(model, element) {
        fact("Diagram", &format!("<a href=\"{}\">its containers</a>", containers_page(element)));
    }
    let picture = neighbours(model, element).map_or_else(
        || "<p>No flow begins or ends at this element itself.</p>\n".to_owned(),
        |(mut scene, placement)| {
            if let Some(observed) = &input.observed {
                scene.mark(model, observed);
            }
            format!(
                "<h2>One arrow away</h2>\n<div class=\"diagram\">\n{}</div>\n{}{}",
                viewer(&scene, &placement, None),
                key(),
                table(model, &scene)
            )
        },
    );
    let body = format!(
        "<p class=\"lead\">{}{}</p>\n<dl class=\"facts\">\n{facts}</dl>\n{picture}{}",
        escape(&element.summary),
        status(element),
        told_in(model, element),
    );
    render(input, &Page { title: &element.name, section: "elements.html", body })
}

fn told_in(model: &Model, element: &ElementRecord) -> String {
    let own = [Some(element.id.as_str()), element.family.as_deref()];
    let is_own = |id: &String| own.contains(&Some(id.as_str()));
    let items: String = model
        .scenarios
        .iter()
        .filter(|scenario| {
            scenario
                .steps
                .iter()
                .filter_map(|step| model.flow(&step.flow))
                .any(|flow| flow.from.iter().chain(&flow.to).chain(&flow.through).any(is_own))
        })
        .map(|scenario| {
            format!(
                "<li><a href=\"{}\">{}</a></li>\n",
                scenarios::file_of(&scenario.id),
                escape(&scenario.title)
            )
        })
        .collect();
    if items.is_empty() { items } else { format!("<h2>Told in</h2>\n<ul>\n{items}</ul>\n") }
}

fn level_word(element: &ElementRecord) -> &'static str {
    match element.level {
        Level::Person => "Person",
        Level::Group => "Group",
        Level::System => "Software system",
        Level::External => "External system",
        Level::Container if element.is_family => "Containers of one kind",
        Level::Container => "Container",
    }
}

fn status(element: &ElementRecord) -> &'static str {
    match element.status {
        Status::Live => "",
        Status::Target => " <span class=\"status target\">target</span>",
        Status::Retiring => " <span class=\"status\">retiring</span>",
    }
}
