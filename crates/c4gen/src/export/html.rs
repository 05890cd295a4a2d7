//! The whole site in one file, to be sent by mail: no script, no request. Every page is a section, and the
//! style sheet shows the one that the address names. Ids are made unique by the name of their page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const STYLE: &str = "
@supports selector(:has(*)) {
  main > section { display: none; }
  main > section:target, main > section:has(:target) { display: block; }
  main:not(:has(:target)) > section:first-child { display: block; }
}
";

/// From the files of the site.
pub(super) fn write(files: &BTreeMap<String, String>) -> String {
    let style = files.get("style.css").map_or("", String::as_str);
    // The switches of every page are told apart, too.
    let switches =
        ["show-sync", "show-async", "show-retiring", "show-target", "when-today", "when-target"];
    let style = switches.into_iter().fold(style.to_owned(), |style, switch| {
        style.replace(&format!("#{switch}"), &format!("[id$=\"--{switch}\"]"))
    });
    let index = files.get("index.html").map_or("", String::as_str);
    let header = between(index, "<header>", "</header>").replace(" aria-current=\"page\"", "");
    let header = localized(&without_tools(&header), "index.html", files);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>OL Flows architecture</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{style}{STYLE}</style>\n</head>\n<body>\n<header>{header}</header>\n<main id=\"main\">\n"
    );
    let first = std::iter::once("index.html");
    let rest = files
        .keys()
        .map(String::as_str)
        .filter(|name| name.ends_with(".html") && *name != "index.html");
    for name in first.chain(rest) {
        let page = files.get(name).map_or("", String::as_str);
        let body = localized(&between(page, "<main id=\"main\">", "</main>"), name, files);
        let _ = writeln!(text, "<section id=\"{}\">{body}</section>", page_id(name));
    }
    text.push_str("</main>\n</body>\n</html>\n");
    text
}

/// What needs a script to be of use.
fn without_tools(header: &str) -> String {
    let mut lines: Vec<&str> = header.lines().collect();
    lines.retain(|line| !line.contains("role=\"search\"") && !line.contains("id=\"theme\""));
    lines.join("\n")
}

fn between(text: &str, start: &str, end: &str) -> String {
    let after = text.split_once(start).map_or("", |(_, rest)| rest);
    after.rsplit_once(end).map_or(after, |(before, _)| before).to_owned()
}

/// The id of a page's section.
fn page_id(page: &str) -> String {
    format!("p-{}", page.trim_end_matches(".html"))
}

/// The same with ids, and whatever refers to them, told apart by their page.
fn localized(body: &str, page: &str, files: &BTreeMap<String, String>) -> String {
    let own = page_id(page);
    let mut text = String::with_capacity(body.len() + body.len() / 8);
    let mut rest = body;
    loop {
        let next = ATTRIBUTES.iter().filter_map(|one| Some((rest.find(one)?, *one))).min();
        let Some((at, attribute)) = next else { break };
        let (before, after) = rest.split_at(at);
        let value_on = after.get(attribute.len()..).unwrap_or_default();
        let end = if attribute == "url(#" { ')' } else { '"' };
        let (value, onward) = value_on.split_once(end).unwrap_or((value_on, ""));
        text.push_str(before);
        text.push_str(attribute);
        match attribute {
            " href=\"" => text.push_str(&link(value, page, files)),
            " aria-labelledby=\"" | " aria-describedby=\"" => {
                let all: Vec<String> = value.split(' ').map(|id| format!("{own}--{id}")).collect();
                text.push_str(&all.join(" "));
            }
            _ => {
                let _ = write!(text, "{own}--{value}");
            }
        }
        text.push(end);
        rest = onward;
    }
    text.push_str(rest);
    text
}

const ATTRIBUTES: [&str; 7] = [
    " id=\"",
    " href=\"",
    " for=\"",
    "url(#",
    " aria-labelledby=\"",
    " aria-describedby=\"",
    " aria-controls=\"",
];

fn link(value: &str, page: &str, files: &BTreeMap<String, String>) -> String {
    let (file, fragment) = value.split_once('#').unwrap_or((value, ""));
    let file = if file.is_empty() { page } else { file };
    if !file.ends_with(".html") || !files.contains_key(file) {
        // A picture by itself is the one on the page.
        let page = file.replace(".svg", ".html");
        return if files.contains_key(&page) {
            format!("#{}", page_id(&page))
        } else {
            value.to_owned()
        };
    }
    if fragment.is_empty() {
        format!("#{}", page_id(file))
    } else {
        format!("#{}--{fragment}", page_id(file))
    }
}
