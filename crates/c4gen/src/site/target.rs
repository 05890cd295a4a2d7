//! What is strategic: today, the target, and both, in one placement.

use c4model::Status;

use super::Input;
use super::diagram::{self, About};
use super::flows::flow_sentence;
use crate::layout::Placement;
use crate::scene::Scene;

pub(super) fn page(input: &Input, scene: &Scene, at: &Placement) -> String {
    let model = &input.model;
    let list = |status: Status| -> String {
        model
            .flows
            .iter()
            .filter(|flow| flow.status == status)
            .map(|flow| format!("<li>{}</li>\n", flow_sentence(model, flow)))
            .collect()
    };
    let count = |status| model.flows.iter().filter(|flow| flow.status == status).count();
    let lead = format!(
        r#"<p class="lead">Today each application runs its own jobs that copy courses, grades, certificates and contacts about. The
target is one engine: read from the lake, decide by rules, push what differs through one outbox.</p>
<p>Each box keeps its place, so that the eye sees what changes. {} flows are planned, {} are to go.</p>
<details><summary>The planned flows</summary><ul>
{}</ul></details>
<details><summary>The flows that are to go</summary><ul>
{}</ul></details>"#,
        count(Status::Target),
        count(Status::Retiring),
        list(Status::Target),
        list(Status::Retiring),
    );
    let switches = r#"<p class="chips-title">Show</p>
<input type="radio" class="chip-box" name="when" id="when-today"><label class="chip" for="when-today">today</label>
<input type="radio" class="chip-box" name="when" id="when-target"><label class="chip" for="when-target">target</label>
<input type="radio" class="chip-box" name="when" id="when-both" checked><label class="chip" for="when-both">both</label>
"#;
    let about = About {
        title: "Today & target",
        section: "target.html",
        file: "target.html",
        lead: &lead,
        switches,
    };
    diagram::page(input, &about, scene, at)
}
