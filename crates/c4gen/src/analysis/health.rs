//! What is worth a look about the flows and their shape. Each finding is either cured or named in
//! `architecture.known.toml` with a reason; see [`crate::check`].

use c4model::{Model, Shape, Status};

use super::cycles::circles;
use super::reach::chains;
use super::{Graph, coupling};
use crate::check::Finding;

/// The checks made here, with what they find.
pub const TITLES: [(&str, &str); 8] = [
    ("C1", "Circles of synchronous calls"),
    ("C2", "Circles of data"),
    ("C3", "Chains of more than three synchronous calls"),
    ("F1", "Asynchronous, and nobody says what happens after a failure"),
    ("F2", "Synchronous, and nobody says after how long it is given up"),
    ("F3", "Personal data moves on somebody's word only"),
    ("F4", "A queue without a word on what cannot be delivered"),
    ("F5", "Data goes to or comes from more than eight others"),
];

/// How many others an element may exchange data with before it is worth a look.
const MANY: usize = 8;
/// How many synchronous calls may follow each other.
const CALLS: usize = 3;

/// Everything found, in the order of checks and subjects.
#[must_use]
pub fn findings(model: &Model) -> Vec<Finding> {
    let mut findings = Vec::new();
    let data = Graph::data(model);
    let calls = Graph::synchronous_calls(model);
    for (check, graph) in [("C1", &calls), ("C2", &data)] {
        for circle in circles(graph) {
            let subject = circle.members.join(" ");
            let ways: Vec<String> = circle.ways.iter().map(|way| way.join(" → ")).collect();
            let message = format!(
                "go round: {}; cheapest cut {} → {}",
                ways.join(", "),
                circle.cut.0,
                circle.cut.1
            );
            findings.push(Finding::new(check, &subject, message));
        }
    }
    for chain in chains(&calls, usize::MAX).into_iter().filter(|chain| chain.len() > CALLS + 1) {
        let message = format!("{} calls wait for each other", chain.len() - 1);
        findings.push(Finding::new("C3", &chain.join(" "), message));
    }
    for flow in model.flows.iter().filter(|flow| flow.status != Status::Target) {
        let mut found = |check, message: &str| {
            findings.push(Finding::new(check, &flow.id, message.to_owned()));
        };
        if flow.kind.is_async() && flow.retry.is_empty() {
            found("F1", "is asynchronous and states no retry");
        }
        if !flow.kind.is_async() && flow.timeout.is_empty() {
            found("F2", "is synchronous and states no timeout");
        }
        if !flow.personal_data.is_empty() && !crate::scene::leg::is_verified(flow) {
            found("F3", "moves personal data and is not verified");
        }
    }
    for element in model.elements.iter().filter(|element| element.shape == Shape::Queue) {
        let is_said = element.summary.contains("dead letter");
        if !is_said && element.status == Status::Live {
            let message = "is a queue whose summary says nothing of dead letters".to_owned();
            findings.push(Finding::new("F4", &element.id, message));
        }
    }
    for coupling in coupling::couplings(&data) {
        if coupling.into > MANY || coupling.out > MANY {
            let message = format!("{} lead in, {} lead out", coupling.into, coupling.out);
            findings.push(Finding::new("F5", coupling.element, message));
        }
    }
    findings.sort();
    findings
}
