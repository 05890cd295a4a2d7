//! What files of others tell, beside what is declared.

use std::fmt::Write as _;

use super::Input;
use super::flows::flow_sentence;
use super::page::{Page, render};
use crate::import::Imported;
use crate::import::mapping::Comparison;
use crate::text::escape;

/// Its file name.
pub(super) const FILE: &str = "imported.html";

pub(super) fn page(input: &Input, body: String) -> String {
    render(input, &Page { title: "Imported beside declared", section: "index.html", body })
}

/// Everything imported: what is declared, what is not, and what was read and tells of no flow.
pub(super) fn body(comparison: &Comparison<'_>, imported: &Imported) -> String {
    let mut findings = String::new();
    for finding in comparison.findings() {
        let _ = writeln!(
            findings,
            "<li><code>{}</code> <code>{}</code>: {}</li>",
            finding.check,
            escape(&finding.subject),
            escape(&finding.message)
        );
    }
    let mut rows = String::new();
    for flow in &imported.flows {
        let told: Vec<String> = comparison
            .told_by(flow)
            .map(|declared| flow_sentence(comparison.model(), declared))
            .collect();
        let parts: Vec<&str> = flow.parts.iter().take(5).map(String::as_str).collect();
        let more = flow.parts.len().saturating_sub(parts.len());
        let more = if more > 0 { format!("; {more} more") } else { String::new() };
        let places: Vec<String> = flow
            .evidence
            .iter()
            .map(|place| escape(&format!("{} at {}", place.path, place.at)))
            .collect();
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><th scope=\"row\">{}</th><td>{}{more}</td><td>{}</td><td>{}</td></tr>",
            escape(&flow.from),
            escape(&flow.to),
            escape(&flow.moves),
            escape(&parts.join("; ")),
            places.join("<br>"),
            if told.is_empty() { "—".to_owned() } else { told.join("<br>") },
        );
    }
    let mut left = String::new();
    for one in &imported.left_out {
        let place = escape(&format!("{} at {}", one.place.path, one.place.at));
        let _ = writeln!(left, "<li>{}: {} ({place})</li>", escape(&one.what), escape(&one.why));
    }
    format!(
        r#"<p class="lead">{elements} elements and {flows} flows were read from files; {declared} of the flows are declared.
What is not is drawn in systems called “Not declared”.</p>
<h2 id="findings">What does not agree</h2>
<ul>
{findings}</ul>
<h2 id="flows">Every imported flow</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of the imported flows">
<table class="flows">
<thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">What moves</th><th scope="col">Parts</th><th scope="col">Read in</th><th scope="col">Declared as</th></tr></thead>
<tbody>
{rows}</tbody></table>
</div>
<h2 id="left-out">Read, and no flow</h2>
<ul>
{left}</ul>
"#,
        elements = imported.elements.len(),
        flows = imported.flows.len(),
        declared = comparison.declared(),
    )
}
