//! Every flow in one table, and a page for each.

use std::fmt::Write as _;

use c4model::{EvidenceRecord, FlowRecord, Kind, Model, Status};

use super::diagram::{chips, class_of, row};
use super::page::{Page, render};
use super::{Input, scenarios};
use crate::observed::Standing;
use crate::scene::view::{element_page, flow_page};
use crate::text::escape;

pub(super) fn page(input: &Input) -> String {
    let model = &input.model;
    let rows: String = model.flows.iter().map(|flow| row(model, flow)).collect();
    let stories: String = model
        .scenarios
        .iter()
        .map(|scenario| {
            format!(
                "<li><a href=\"{}\">{}</a><span>{}</span></li>\n",
                scenarios::file_of(&scenario.id),
                escape(&scenario.title),
                escape(&scenario.about)
            )
        })
        .collect();
    let body = format!(
        r#"<p class="lead">{count} flows, one direction each. First some of them as stories, step by step; then all of them.</p>
<h2 id="stories">Stories</h2>
<ul class="cards">
{stories}</ul>
<h2 id="all">All flows</h2>
<p>A flow “via” one of our programs is carried out by a function there.</p>
<div class="diagram">
{chips}<p class="filter" hidden><label>Only rows with <input type="search" data-filter placeholder="name, technology, owner"></label></p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of all flows">
<table class="flows" data-filtered>
<thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">What moves</th><th scope="col">Technology</th><th scope="col">Kind</th><th scope="col">Known by</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</div>
</div>
"#,
        count = model.flows.len(),
        chips = chips(|_| true),
    );
    render(input, &Page { title: "Data flows", section: "flows.html", body })
}

/// The page of one flow.
pub(super) fn one(input: &Input, flow: &FlowRecord) -> String {
    let model = &input.model;
    let links = |ids: &[String]| {
        ids.iter().map(|id| element_link(model, id)).collect::<Vec<_>>().join(", ")
    };
    let caller = match flow.by.as_str() {
        "to" => links(&flow.to),
        "through" if flow.through.is_some() => {
            flow.through.iter().map(|id| element_link(model, id)).collect()
        }
        _ => links(&flow.from),
    };
    let mut facts = String::new();
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(facts, "<dt>{name}</dt><dd>{value}</dd>");
        }
    };
    fact("From", &links(&flow.from));
    let through: String = flow.through.iter().map(|id| element_link(model, id)).collect();
    fact("Via", &through);
    fact("To", &links(&flow.to));
    fact("Who calls", &caller);
    fact("Kind", &format!("<span class=\"{}\">{}</span>", class_of(flow), kind_word(flow)));
    let tech = if flow.tech_onward.is_empty() {
        escape(&flow.tech)
    } else {
        format!("{}, then {}", escape(&flow.tech), escape(&flow.tech_onward))
    };
    fact("Technology", &tech);
    fact(
        "Carries",
        if flow.is_control { "control: what is to be done, or that it was done" } else { "data" },
    );
    fact("Owner", &escape(&flow.owner));
    fact("How often", &escape(&flow.cadence));
    fact("After a failure", &escape(&flow.retry));
    fact("Given up after", &escape(&flow.timeout));
    fact("If repeated", &escape(&flow.idempotent));
    fact("Volume", &escape(&flow.volume));
    fact("Personal data", &escape(&flow.personal_data));
    fact("Known by", &evidence(flow));
    fact("Seen running", &seen(input, flow));

    let feeds = |ends: &[String], into: bool| -> String {
        model
            .flows
            .iter()
            .filter(|other| other.id != flow.id)
            .filter(|other| {
                let touching = if into { &other.to } else { &other.from };
                touching.iter().any(|id| ends.contains(id))
            })
            .map(|other| format!("<li>{}</li>\n", flow_sentence(model, other)))
            .collect()
    };
    let (before, after) = (feeds(&flow.from, true), feeds(&flow.to, false));
    let told: String = model
        .scenarios
        .iter()
        .flat_map(|scenario| {
            scenario.steps.iter().enumerate().filter(|(_, step)| step.flow == flow.id).map(
                move |(index, step)| {
                    format!(
                        "<li><a href=\"{}#s{}\">{}, step {}</a>: {}</li>\n",
                        scenarios::file_of(&scenario.id),
                        index + 1,
                        escape(&scenario.title),
                        index + 1,
                        escape(&step.note)
                    )
                },
            )
        })
        .collect();
    let section = |title: &str, items: &str| {
        if items.is_empty() {
            String::new()
        } else {
            format!("<h2>{title}</h2>\n<ul>\n{items}</ul>\n")
        }
    };
    let body = format!(
        "<p class=\"lead\">{} <code>{}</code></p>\n<dl class=\"facts\">\n{facts}</dl>\n{}{}{}",
        status_word(flow.status),
        escape(&flow.id),
        section("Told in", &told),
        section("What comes before: flows into where it starts", &before),
        section("What comes after: flows out of where it ends", &after),
    );
    render(input, &Page { title: &flow.moves, section: "flows.html", body })
}

/// What was seen of it; empty when nobody looked, or nothing of ours runs it.
fn seen(input: &Input, flow: &FlowRecord) -> String {
    let Some(observed) = &input.observed else { return String::new() };
    match (observed.flows.get(&flow.id), observed.standing(flow)) {
        (Some(seen), _) => format!(
            "{} runs, {} of them failed; {} rows, {} bytes; first {}, last {}",
            seen.runs,
            seen.failed,
            seen.rows,
            seen.bytes,
            escape(&seen.first),
            escape(&seen.last)
        ),
        (None, Standing::Silent) => "declared, and not seen".to_owned(),
        (None, Standing::Undeclared) => "seen, and not declared".to_owned(),
        (None, Standing::Seen | Standing::Elsewhere) => String::new(),
    }
}

/// A flow as one line with links.
pub(super) fn flow_sentence(model: &Model, flow: &FlowRecord) -> String {
    let links = |ids: &[String]| {
        ids.iter().map(|id| element_link(model, id)).collect::<Vec<_>>().join(", ")
    };
    format!(
        "{} → {}: <a href=\"{}\">{}</a> <span class=\"{}\">({})</span>",
        links(&flow.from),
        links(&flow.to),
        flow_page(&flow.id),
        escape(&flow.moves),
        class_of(flow),
        kind_word(flow)
    )
}

/// The word for a kind, or for what is not live.
pub(super) fn kind_word(flow: &FlowRecord) -> &'static str {
    match (flow.status, flow.kind) {
        (Status::Target, Kind::Sync) => "target, synchronous",
        (Status::Target, Kind::Queued | Kind::Scheduled | Kind::Event) => "target, asynchronous",
        (Status::Retiring, Kind::Sync) => "synchronous, retiring",
        (Status::Retiring, Kind::Queued) => "queued, retiring",
        (Status::Retiring, Kind::Scheduled) => "scheduled, retiring",
        (Status::Retiring, Kind::Event) => "on event, retiring",
        (Status::Live, Kind::Sync) => "synchronous",
        (Status::Live, Kind::Queued) => "queued",
        (Status::Live, Kind::Scheduled) => "scheduled",
        (Status::Live, Kind::Event) => "on event",
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Live => "Live flow",
        Status::Target => "<span class=\"status target\">target</span> Planned; no code claims it.",
        Status::Retiring => "<span class=\"status\">retiring</span> Exists and is to go.",
    }
}

/// The element's name, leading to its page.
pub(super) fn element_link(model: &Model, id: &str) -> String {
    let name = model.element(id).map_or(id, |element| element.name.as_str());
    format!("<a href=\"{}\">{}</a>", element_page(id), escape(name))
}

/// How a flow is known, in a word.
pub(super) fn evidence_word(flow: &FlowRecord) -> &'static str {
    let is_known_by = |wanted: fn(&EvidenceRecord) -> bool| flow.evidence.iter().any(wanted);
    if flow.evidence.is_empty() {
        "planned"
    } else if is_known_by(|one| matches!(one, EvidenceRecord::Code { .. })) {
        "code"
    } else if is_known_by(|one| matches!(one, EvidenceRecord::File { .. })) {
        "file"
    } else if is_known_by(|one| matches!(one, EvidenceRecord::Imported { .. })) {
        "imported file"
    } else {
        "<span class=\"doubt\">not verified</span>"
    }
}

fn evidence(flow: &FlowRecord) -> String {
    flow.evidence
        .iter()
        .map(|evidence| match evidence {
            EvidenceRecord::Code { function, file, .. } => {
                format!("the function <code>{}</code> in {}", escape(function), escape(file))
            }
            EvidenceRecord::File { path, contains } => {
                format!("{}, which says <code>{}</code>", escape(path), escape(contains))
            }
            EvidenceRecord::Imported { origin, path, at } => {
                format!(
                    "imported ({}): {} at <code>{}</code>",
                    escape(origin),
                    escape(path),
                    escape(at)
                )
            }
            EvidenceRecord::Said { who, when } => format!(
                "<span class=\"doubt\">not verified</span>: {}, {}",
                escape(who),
                escape(when)
            ),
        })
        .collect::<Vec<_>>()
        .join("<br>")
}
