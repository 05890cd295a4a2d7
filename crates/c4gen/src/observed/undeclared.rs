//! What ran and is not declared, as flows of the model, so that it is drawn among the others.

use c4model::{EvidenceRecord, FlowRecord, Kind, Model, Status};

use super::{Observed, Seen, is_among};
use crate::import::mapping::slug;

/// Stands in the evidence of a flow that was seen and is not declared.
const ORIGIN: &str = "observed";

/// Whether a flow of a model of [`Observed::merged`] was seen and is not declared.
pub(super) fn is_undeclared(flow: &FlowRecord) -> bool {
    let is_ours = |one: &EvidenceRecord| matches!(one, EvidenceRecord::Imported { origin, .. } if origin == ORIGIN);
    flow.evidence.iter().any(is_ours)
}

impl Observed {
    /// The model with a flow for everything that ran and is not declared, or ran between other ends than declared.
    /// Ends that the model does not know cannot be drawn; [`Observed::undeclared`] names them.
    #[must_use]
    pub fn merged(&self, model: &Model) -> Model {
        let mut merged = model.clone();
        for (id, seen) in &self.flows {
            let is_odd = |end: &String, declared: &[String]| !is_among(model, end, declared);
            let (from, to) = match model.flow(id) {
                None => (seen.from.iter().collect(), seen.to.iter().collect()),
                Some(flow) => {
                    let from: Vec<&String> =
                        seen.from.iter().filter(|end| is_odd(end, &flow.from)).collect();
                    let to: Vec<&String> =
                        seen.to.iter().filter(|end| is_odd(end, &flow.to)).collect();
                    match (from.is_empty(), to.is_empty()) {
                        (true, true) => continue,
                        (false, true) => (from, flow.to.iter().collect()),
                        (true, false) => (flow.from.iter().collect(), to),
                        (false, false) => (from, to),
                    }
                }
            };
            let known = |ends: Vec<&String>| -> Vec<String> {
                ends.into_iter().filter(|end| model.element(end).is_some()).cloned().collect()
            };
            let (from, to) = (known(from), known(to));
            if !from.is_empty() && !to.is_empty() {
                merged.flows.push(record(id, seen, from, to));
            }
        }
        merged.flows.sort_by(|left, right| left.id.cmp(&right.id));
        merged
    }
}

fn record(id: &str, seen: &Seen, from: Vec<String>, to: Vec<String>) -> FlowRecord {
    FlowRecord {
        id: slug(&format!("undeclared {id}")),
        from,
        through: None,
        to,
        moves: id.replace('_', " "),
        tech: "seen, not declared".to_owned(),
        tech_onward: String::new(),
        kind: Kind::Event,
        by: "from".to_owned(),
        status: Status::Live,
        owner: String::new(),
        retry: String::new(),
        timeout: String::new(),
        idempotent: String::new(),
        cadence: format!("{} runs, last {}", seen.runs, seen.last),
        volume: String::new(),
        personal_data: String::new(),
        is_control: false,
        evidence: vec![EvidenceRecord::Imported {
            origin: ORIGIN.to_owned(),
            path: "observed.json".to_owned(),
            at: format!("/flows/{id}"),
        }],
        was: Vec::new(),
    }
}
