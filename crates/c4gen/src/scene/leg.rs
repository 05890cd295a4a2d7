//! The straight pieces of the flows, and where each end is drawn.

use c4model::{ElementRecord, EvidenceRecord, FlowRecord, Level, Model, Status};

/// One straight piece of a flow: a flow that runs through the element of its function has two.
#[derive(Debug, Clone, Copy)]
pub struct Leg<'model> {
    /// The flow.
    pub flow: &'model FlowRecord,
    /// Where this piece begins.
    pub from: &'model str,
    /// Where it ends.
    pub to: &'model str,
    /// Technology it moves by.
    pub tech: &'model str,
}

/// The pieces of all flows.
pub fn legs(model: &Model) -> impl Iterator<Item = Leg<'_>> {
    model.flows.iter().flat_map(legs_of)
}

/// The pieces of one flow, in the order the data passes them.
#[must_use]
pub fn legs_of(flow: &FlowRecord) -> Vec<Leg<'_>> {
    let onward = if flow.tech_onward.is_empty() { &flow.tech } else { &flow.tech_onward };
    let mut legs = Vec::new();
    let leg = |from, to, tech| Leg { flow, from, to, tech };
    if let Some(through) = &flow.through {
        legs.extend(flow.from.iter().map(|from| leg(from, through, &flow.tech)));
        legs.extend(flow.to.iter().map(|to| leg(through, to, onward)));
    } else {
        for from in &flow.from {
            legs.extend(flow.to.iter().map(|to| leg(from, to, &flow.tech)));
        }
    }
    legs
}

/// Whether a test can look at some evidence of this flow.
#[must_use]
pub fn is_verified(flow: &FlowRecord) -> bool {
    flow.status == Status::Target
        || flow.evidence.iter().any(|evidence| !matches!(evidence, EvidenceRecord::Said { .. }))
}

/// The element itself and every element around it, from the inside out.
pub fn ancestors<'model>(
    model: &'model Model,
    id: &str,
) -> impl Iterator<Item = &'model ElementRecord> {
    // A model with a parent cycle is found by the check; here it must only not run forever.
    std::iter::successors(model.element(id), |element| model.element(element.parent.as_deref()?))
        .take(16)
}

/// The family a deployment belongs to, else the element itself.
#[must_use]
pub fn family_of<'model>(model: &'model Model, id: &'model str) -> &'model str {
    model.element(id).and_then(|element| element.family.as_deref()).unwrap_or(id)
}

/// The system, person or external system an element belongs to. A family that lies in a group of
/// systems belongs to the group: each system in it may have a deployment.
#[must_use]
pub fn system_of<'model>(model: &'model Model, id: &'model str) -> Option<&'model str> {
    let around = || ancestors(model, family_of(model, id));
    around()
        .find(|element| matches!(element.level, Level::Person | Level::System | Level::External))
        .or_else(|| around().find(|element| element.level == Level::Group))
        .map(|element| element.id.as_str())
}

/// Whether an element lies inside another, or is it.
#[must_use]
pub fn is_inside(model: &Model, id: &str, outer: &str) -> bool {
    ancestors(model, id).any(|ancestor| ancestor.id == outer)
}
