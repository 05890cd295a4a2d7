//! What every crate linked into the binary has declared. The order is the linker's; sort by id.

use linkme::distributed_slice;

use crate::platform;
use crate::{ElementDeclaration, FlowDeclaration, ScenarioDeclaration};

/// Every declared element.
#[distributed_slice]
pub static ELEMENTS: [&'static ElementDeclaration];

/// Every declared flow.
#[distributed_slice]
pub static FLOWS: [&'static FlowDeclaration];

/// Every declared scenario.
#[distributed_slice]
pub static SCENARIOS: [&'static ScenarioDeclaration];

/// Every element declared by the crates linked into this binary, this one included.
pub fn elements() -> impl Iterator<Item = &'static ElementDeclaration> {
    platform::ELEMENTS.iter().flat_map(|list| list.iter()).chain(ELEMENTS).copied()
}

/// Every flow declared by the crates linked into this binary, this one included.
pub fn flows() -> impl Iterator<Item = &'static FlowDeclaration> {
    platform::FLOWS.iter().flat_map(|list| list.iter()).chain(FLOWS).copied()
}

/// Every scenario declared by the crates linked into this binary.
pub fn scenarios() -> impl Iterator<Item = &'static ScenarioDeclaration> {
    SCENARIOS.iter().copied()
}
