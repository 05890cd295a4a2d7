//! What the flows say about the platform's health: circles, chains, single points of failure,
//! coupling. People are left out: what a reader does next is no dependency.

pub mod coupling;
pub mod cycles;
pub mod graph;
pub mod health;
pub mod reach;

pub use graph::{Graph, Link};
