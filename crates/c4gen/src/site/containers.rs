//! The list of all pages with containers, and each of them.

use c4model::{ElementRecord, Level, Model};

use super::Input;
use super::diagram::{self, About, chips, has_class};
use super::page::{Page, render};
use crate::layout::Placement;
use crate::scene::Scene;
use crate::scene::leg::{ancestors, is_inside};
use crate::scene::view::{containers_page, has_page};
use crate::text::escape;

/// Systems and groups that have a page: the data platform first, as it is what readers come for,
/// its groups after it, then the others by name.
pub(super) fn scopes(model: &Model) -> Vec<&ElementRecord> {
    let mut scopes: Vec<&ElementRecord> =
        model.elements.iter().filter(|element| has_page(model, element)).collect();
    let size = |element: &ElementRecord| {
        model.elements.iter().filter(|inner| is_inside(model, &inner.id, &element.id)).count()
    };
    let system = |element: &ElementRecord| {
        ancestors(model, &element.id).find(|outer| outer.level == Level::System).map_or(0, &size)
    };
    scopes.sort_by_key(|element| {
        (std::cmp::Reverse(system(element)), element.level == Level::Group, element.name.clone())
    });
    scopes
}

pub(super) fn index(input: &Input) -> String {
    let model = &input.model;
    let cards: String = scopes(model)
        .into_iter()
        .map(|scope| {
            let part = if scope.level == Level::Group { " class=\"part\"" } else { "" };
            format!(
                "<li{part}><a href=\"{}\">{}</a><span>{}</span></li>\n",
                containers_page(scope),
                escape(&scope.name),
                escape(&scope.summary)
            )
        })
        .collect();
    let body = format!(
        "<p class=\"lead\">What runs and stores inside each system, and whom it exchanges data with. The data platform comes first; \
         its parts have pages of their own, as it is large.</p>\n<ul class=\"cards\">\n{cards}</ul>\n"
    );
    render(input, &Page { title: "Containers", section: "containers.html", body })
}

pub(super) fn page(input: &Input, scope: &ElementRecord, scene: &Scene, at: &Placement) -> String {
    let model = &input.model;
    let inner: String = scopes(model)
        .into_iter()
        .filter(|other| other.parent.as_deref() == Some(scope.id.as_str()))
        .map(|other| format!("<a href=\"{}\">{}</a> ", containers_page(other), escape(&other.name)))
        .collect();
    let outer = scope
        .parent
        .as_deref()
        .and_then(|id| model.element(id))
        .filter(|outer| has_page(model, outer))
        .map(|outer| {
            format!("Part of <a href=\"{}\">{}</a>. ", containers_page(outer), escape(&outer.name))
        })
        .unwrap_or_default();
    let parts = if inner.is_empty() {
        String::new()
    } else {
        format!("Parts with pages of their own: {inner}")
    };
    let lead = format!(
        "<p class=\"lead\">{}. {outer}{parts}</p>\n<p class=\"hint\">An arrow points where the data goes and says what moves. Drag to move, scroll to zoom, choose a box or a label to read on.</p>",
        escape(&scope.summary)
    );
    let title = format!("Containers of {}", scope.name);
    let about = About {
        title: &title,
        section: "containers.html",
        file: &containers_page(scope),
        lead: &lead,
        switches: &chips(|class| has_class(scene, class)),
    };
    diagram::page(input, &about, scene, at)
}
