//! Every flow as a table.

use c4model::{EvidenceRecord, FlowRecord, Kind, Model, Status};

use super::page::{Page, render};
use crate::text::escape;

/// One line that explains the lines, for under a diagram.
pub(super) fn short_legend() -> String {
    "<p class=\"key\"><span class=\"sync\">solid</span> synchronous, the caller waits · \
     <span class=\"async\">amber, dashed</span> asynchronous · \
     <span class=\"target\">violet, dotted</span> target: planned, not built · \
     <span class=\"sync\">?</span> not verified · \
     <a href=\"index.html#reading\">legend</a></p>\n"
        .to_owned()
}

/// The word for a kind.
pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Sync => "synchronous",
        Kind::Queued => "queued",
        Kind::Scheduled => "scheduled",
        Kind::Event => "on event",
    }
}

pub(super) fn page(model: &Model, commit_date: Option<&str>) -> String {
    let rows: String = model.flows.iter().map(|flow| row(model, flow)).collect();
    let body = format!(
        r#"<p class="lead">{count} flows, one direction each. An arrow drawn through a container of ours (“via”) is carried out by a function there.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of data flows">
<table class="flows">
<thead><tr><th scope="col">Flow</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Moves</th><th scope="col">Technology</th><th scope="col">Kind</th><th scope="col">Who calls</th><th scope="col">Status</th><th scope="col">Evidence</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</div>
"#,
        count = model.flows.len(),
    );
    let page = Page { title: "Data flows", file: "flows.html", body, has_diagram: false };
    render(model, &page, commit_date)
}

fn row(model: &Model, flow: &FlowRecord) -> String {
    let ends = |ids: &[String]| {
        ids.iter().map(|id| element_link(model, id)).collect::<Vec<_>>().join("<br>")
    };
    let via = flow
        .through
        .as_ref()
        .map(|through| {
            format!("<br><span class=\"via\">via {}</span>", element_link(model, through))
        })
        .unwrap_or_default();
    let tech = if flow.tech_onward.is_empty() {
        escape(&flow.tech)
    } else {
        format!("{} → {}", escape(&flow.tech), escape(&flow.tech_onward))
    };
    let caller = match flow.by.as_str() {
        "from" => ends(&flow.from),
        "to" => ends(&flow.to),
        _ => flow.through.as_ref().map_or_else(
            || "the element that runs it".to_owned(),
            |through| element_link(model, through),
        ),
    };
    let (class, status) = match flow.status {
        Status::Live if flow.kind.is_async() => ("async", "live"),
        Status::Live => ("sync", "live"),
        Status::Target => ("target", "target"),
        Status::Retiring => ("async", "retiring"),
    };
    let details: String = [
        ("", &flow.cadence),
        ("retry: ", &flow.retry),
        ("timeout: ", &flow.timeout),
        ("repeated: ", &flow.idempotent),
        ("volume: ", &flow.volume),
        ("personal data: ", &flow.personal_data),
    ]
    .iter()
    .filter(|(_, text)| !text.is_empty())
    .map(|(word, text)| format!("<br><small>{word}{}</small>", escape(text)))
    .collect();
    format!(
        "<tr id=\"flow-{id}\"><th scope=\"row\"><a href=\"#flow-{id}\">{name}</a><br><small>{owner}</small></th><td>{from}</td><td>{to}{via}</td><td>{moves}</td><td>{tech}</td><td class=\"{class}\">{kind}{details}</td><td>{caller}</td><td><span class=\"status {status}\">{status}</span></td><td>{evidence}</td></tr>\n",
        id = escape(&flow.id),
        name = escape(&flow.id.replace('_', " ")),
        owner = escape(&flow.owner),
        from = ends(&flow.from),
        to = ends(&flow.to),
        moves = escape(&flow.moves),
        kind = kind_word(flow.kind),
        evidence = evidence(flow),
    )
}

/// The element's name, leading to its entry.
pub(super) fn element_link(model: &Model, id: &str) -> String {
    let name = model.element(id).map_or(id, |element| element.name.as_str());
    format!("<a href=\"elements.html#element-{}\">{}</a>", escape(id), escape(name))
}

fn evidence(flow: &FlowRecord) -> String {
    if flow.evidence.is_empty() {
        return "none yet".to_owned();
    }
    flow.evidence
        .iter()
        .map(|evidence| match evidence {
            EvidenceRecord::Code { function, file, line, .. } => format!(
                "<code>{}</code><br><small>{}:{line}</small>",
                escape(function),
                escape(file)
            ),
            EvidenceRecord::File { path, contains } => {
                format!(
                    "<code>{}</code><br><small>says “{}”</small>",
                    escape(path),
                    escape(contains)
                )
            }
            EvidenceRecord::Said { who, when } => format!(
                "<span class=\"doubt\">not verified</span><br><small>{}, {}</small>",
                escape(who),
                escape(when)
            ),
        })
        .collect::<Vec<_>>()
        .join("<br>")
}
