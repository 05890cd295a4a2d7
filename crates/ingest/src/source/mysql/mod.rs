//! MySQL from 5.7 and MariaDB from 10.4.
//!
//! ```text
//!   settings ── wire ── snapshot: n connections that see the same ── catalog ── plan ── full_load ── rows ── decode
//! ```
//!
//! What a server's defaults say changes no value: see [`session::SESSION`].

pub mod binlog;
pub mod catalog;
pub mod chunks;
pub mod contract_document;
mod decode;
pub mod discover;
pub mod error;
pub mod full_load;
pub mod incremental;
mod moment;
mod number;
pub mod plan;
pub mod reread;
mod rows;
pub mod session;
pub mod settings;
pub mod snapshot;
pub mod types;
pub mod wire;
