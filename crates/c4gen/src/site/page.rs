//! The frame of every page: header, navigation, theme, and the pages that hold one diagram.

use c4model::Model;

use super::{flows, systems};
use crate::layout::Placement;
use crate::scene::Scene;
use crate::svg;
use crate::text::escape;

/// A page.
pub(super) struct Page<'page> {
    /// Title, unescaped.
    pub(super) title: &'page str,
    /// Its own file name, to mark it in the navigation.
    pub(super) file: &'page str,
    /// What stands in `<main>`.
    pub(super) body: String,
    /// Whether it holds a diagram to drag and zoom.
    pub(super) has_diagram: bool,
}

pub(super) fn render(model: &Model, page: &Page<'_>, commit_date: Option<&str>) -> String {
    let mut links =
        vec![("Start", "index.html".to_owned()), ("System context", "context.html".to_owned())];
    links.extend(systems(model));
    links.push(("Data flows", "flows.html".to_owned()));
    links.push(("Elements", "elements.html".to_owned()));
    let navigation: String = links
        .iter()
        .map(|(name, file)| {
            let current = if file == page.file { r#" aria-current="page""# } else { "" };
            format!("<a href=\"{file}\"{current}>{}</a>\n", escape(name))
        })
        .collect();
    let title = escape(page.title);
    let commit = match commit_date {
        Some(date) => format!("commit of <time datetime=\"{date}\">{date}</time>"),
        None => "outside a repository".to_owned(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let theme = include_str!("../../assets/theme.js");
    let viewer = if page.has_diagram {
        format!("<script>\n{}</script>\n", include_str!("../../assets/viewer.js"))
    } else {
        String::new()
    };
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · OL Flows architecture</title>
<link rel="stylesheet" href="style.css">
<script>
{theme}</script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header>
<p class="brand"><a href="index.html">OL Flows architecture</a></p>
<p class="stamp">{commit} · drawn by c4gen {version} <button type="button" id="theme" hidden>Light or dark</button></p>
<nav aria-label="Pages">
{navigation}</nav>
</header>
<main id="main">
<h1>{title}</h1>
{body}</main>
{viewer}</body>
</html>
"##,
        body = page.body,
    )
}

/// A page with one diagram, and the same flows as a table.
pub(super) fn diagram(
    model: &Model,
    scene: &Scene,
    placement: &Placement,
    file: &str,
    commit_date: Option<&str>,
) -> String {
    let drawn = svg::draw(scene, placement, false);
    let mut rows: Vec<String> = scene
        .edges
        .iter()
        .map(|edge| {
            let text = escape(&edge.description);
            match &edge.link {
                Some(link) => format!("<li><a href=\"{}\">{text}</a></li>\n", escape(link)),
                None => format!("<li>{text}</li>\n"),
            }
        })
        .collect();
    rows.sort();
    // Where the page opens: in the middle of the system it is about.
    let home = scene
        .id
        .strip_prefix("containers_")
        .and_then(|system| placement.boundaries.get(system))
        .map_or(placement.width / 2.0, |border| border.x + border.width / 2.0)
        .round();
    let body = format!(
        r#"<p class="hint">{hint}</p>
<div class="viewer" data-viewer data-home="{home}">
<div class="tools" hidden><button type="button" data-zoom="in" aria-label="Zoom in">+</button><button type="button" data-zoom="out" aria-label="Zoom out">−</button><button type="button" data-zoom="fit" aria-label="Fit to the window">Fit</button><a href="{image}">SVG</a></div>
{drawn}</div>
<details class="arrows"><summary>The same {count} arrows as a list</summary>
<ul>
{rows}</ul>
</details>
{legend}"#,
        hint = "Each arrow is a data flow and points where the data goes. Drag to move, scroll to zoom, \
                choose a box or a label to read on.",
        image = file.replace(".html", ".svg"),
        count = scene.edges.len(),
        rows = rows.concat(),
        legend = flows::short_legend(),
    );
    let page = Page { title: &scene.title, file, body, has_diagram: true };
    render(model, &page, commit_date)
}
