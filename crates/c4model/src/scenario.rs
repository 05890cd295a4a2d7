//! Stories told along the flows, step by step.

use crate::FlowDeclaration;

/// One step: a flow the model has, and what happens on it.
#[derive(Debug, Clone, Copy)]
pub struct StepDeclaration {
    /// The flow that is walked along.
    pub flow: &'static FlowDeclaration,
    /// What happens, as a short sentence.
    pub note: &'static str,
}

/// A story as declared; made by [`scenario!`](crate::scenario).
#[derive(Debug, Clone, Copy)]
pub struct ScenarioDeclaration {
    /// Stable slug.
    pub id: &'static str,
    /// Title as people say it.
    pub title: &'static str,
    /// When it happens and why it is worth knowing; empty when not stated.
    pub about: &'static str,
    /// Its steps, in order.
    pub steps: &'static [StepDeclaration],
}
