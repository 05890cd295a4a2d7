//! The read side of change capture, on real servers.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../../src/column/testing.rs"]
mod testing;

mod common;
mod messages;
mod publications;
mod slots;
mod snapshots;
mod zoo;
