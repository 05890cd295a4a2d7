//! The frame of every page: header, navigation, theme, search.

use std::fmt::Write as _;

use super::Input;
use crate::text::escape;

/// A page.
pub(super) struct Page<'page> {
    /// Title, unescaped.
    pub(super) title: &'page str,
    /// The entry of the navigation it belongs to, by file name.
    pub(super) section: &'page str,
    /// What stands in `<main>` below the title.
    pub(super) body: String,
}

/// The entries of the navigation.
pub(super) const SECTIONS: [(&str, &str); 7] = [
    ("Start", "index.html"),
    ("System context", "context.html"),
    ("Containers", "containers.html"),
    ("Data flows", "flows.html"),
    ("Dependencies & cycles", "dependencies.html"),
    ("Today & target", "target.html"),
    ("Elements", "elements.html"),
];

pub(super) fn render(input: &Input, page: &Page<'_>) -> String {
    let mut navigation = String::new();
    for (name, file) in SECTIONS {
        let current = if file == page.section { r#" aria-current="page""# } else { "" };
        let _ = writeln!(navigation, "<a href=\"{file}\"{current}>{}</a>", escape(name));
    }
    let title = escape(page.title);
    let commit = match input.commit_date.as_deref() {
        Some(date) => format!("commit of <time datetime=\"{date}\">{date}</time>"),
        None => "outside a repository".to_owned(),
    };
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · OL Flows architecture</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<script src="theme.js"></script>
<script src="site.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header>
<p class="brand"><a href="index.html">OL Flows architecture</a></p>
<div class="search" role="search" hidden><input type="search" id="search" autocomplete="off" placeholder="Search: press /" aria-label="Search elements, flows and stories" aria-controls="found"><ul id="found" hidden></ul></div>
<button type="button" id="theme" hidden>Light or dark</button>
<p class="stamp">{commit} · c4gen {version}</p>
<nav aria-label="Pages">
{navigation}</nav>
</header>
<main id="main">
<h1>{title}</h1>
{body}</main>
</body>
</html>
"##,
        version = env!("CARGO_PKG_VERSION"),
        body = page.body,
    )
}
