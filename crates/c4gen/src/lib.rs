//! Collects what the crates declare, checks it and draws it.
//!
//! The services depend on `c4model` to declare their flows, and this crate depends on the services
//! to collect them. The model is written to `architecture.json`, which is checked in: differences
//! between commits are read from there, and a test keeps it equal to the code.

pub mod analysis;
pub mod check;
pub mod collect;
pub mod diff;
pub mod error;
pub mod export;
pub mod geometry;
pub mod import;
pub mod layout;
pub mod observed;
pub mod released;
mod scenarios;
pub mod scene;
pub mod sequence;
pub mod site;
pub mod svg;
pub mod text;
pub mod workspace;
