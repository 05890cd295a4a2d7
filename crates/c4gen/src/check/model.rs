//! Whether the model is whole.

use std::collections::BTreeMap;

use c4model::{EvidenceRecord, Level, Model, Status};

use super::Finding;

/// M1: unknown ids, duplicate ids, elements nobody is connected with, missing facts; and T3: code
/// for something that is declared as planned.
pub(super) fn findings(model: &Model) -> Vec<Finding> {
    let mut findings = Vec::new();
    duplicates(model, &mut findings);
    let mut unknown = |subject: &str, role: &str, id: &str| {
        if model.element(id).is_none() {
            let message = format!("names `{id}` as its {role}, which is not declared");
            findings.push(Finding::new("M1", subject, message));
        }
    };
    for element in &model.elements {
        element.parent.iter().for_each(|id| unknown(&element.id, "parent", id));
        element.family.iter().for_each(|id| unknown(&element.id, "family", id));
    }
    for flow in &model.flows {
        flow.from.iter().for_each(|id| unknown(&flow.id, "source", id));
        flow.to.iter().for_each(|id| unknown(&flow.id, "sink", id));
    }
    for element in &model.elements {
        let mut missing = |what: &str| {
            findings.push(Finding::new("M1", &element.id, format!("states no {what}")));
        };
        if element.owner.is_empty() {
            missing("owner");
        }
        let needs_tech =
            matches!(element.level, Level::Container | Level::System | Level::External);
        if needs_tech && element.tech.is_empty() {
            missing("technology");
        }
        let is_whole = element.summary.len() <= 60;
        if !is_whole {
            let message =
                "has a summary of more than 60 characters; a box is not a page".to_owned();
            findings.push(Finding::new("M1", &element.id, message));
        }
    }
    orphans(model, &mut findings);
    planned_with_code(model, &mut findings);
    findings
}

fn duplicates(model: &Model, findings: &mut Vec<Finding>) {
    let kinds: [(&str, Vec<&str>); 3] = [
        ("element", model.elements.iter().map(|element| element.id.as_str()).collect()),
        ("flow", model.flows.iter().map(|flow| flow.id.as_str()).collect()),
        ("scenario", model.scenarios.iter().map(|scenario| scenario.id.as_str()).collect()),
    ];
    for (kind, ids) in kinds {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for id in ids {
            *seen.entry(id).or_default() += 1;
            if id.is_empty()
                || !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            {
                let message = format!("is no slug: an id of a {kind} has a-z, 0-9 and _ only");
                findings.push(Finding::new("M1", id, message));
            }
        }
        for (id, times) in seen.into_iter().filter(|(_, times)| *times > 1) {
            findings.push(Finding::new("M1", id, format!("is the id of {times} {kind}s")));
        }
    }
}

fn orphans(model: &Model, findings: &mut Vec<Finding>) {
    for element in &model.elements {
        let id = &element.id;
        let is_end = model
            .flows
            .iter()
            .any(|flow| flow.from.iter().chain(&flow.to).chain(&flow.through).any(|end| end == id));
        let is_parent = model.elements.iter().any(|other| {
            [&other.parent, &other.family].into_iter().flatten().any(|around| around == id)
        });
        if !is_end && !is_parent && element.family.is_none() {
            let message = "has no flow and holds nothing; declare a flow or remove it".to_owned();
            findings.push(Finding::new("M1", id, message));
        }
    }
}

fn planned_with_code(model: &Model, findings: &mut Vec<Finding>) {
    for planned in model.flows.iter().filter(|flow| flow.status == Status::Target) {
        // A crate that c4model does not know may declare a function under the same name.
        let code = model.flows.iter().filter(|flow| flow.id == planned.id).find_map(|flow| {
            flow.evidence.iter().find_map(|evidence| match evidence {
                EvidenceRecord::Code { function, .. } => Some(function),
                EvidenceRecord::File { .. }
                | EvidenceRecord::Imported { .. }
                | EvidenceRecord::Said { .. } => None,
            })
        });
        if let Some(function) = code {
            let message = format!("is planned, and `{function}` claims it; declare it live");
            findings.push(Finding::new("T3", &planned.id, message));
        }
    }
    for flow in model.flows.iter().filter(|flow| flow.status == Status::Live) {
        let has_code =
            flow.evidence.iter().any(|evidence| matches!(evidence, EvidenceRecord::Code { .. }));
        let ends = flow.from.iter().chain(&flow.to).chain(&flow.through);
        for end in ends.filter_map(|id| model.element(id)) {
            if has_code && end.status == Status::Target {
                let message = format!(
                    "is planned, but the flow `{}` has code that uses it; declare it live",
                    flow.id
                );
                findings.push(Finding::new("T3", &end.id, message));
            }
        }
    }
}
