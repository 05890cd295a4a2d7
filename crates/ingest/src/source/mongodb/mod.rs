//! MongoDB from 3.6, and what speaks its protocol.
//!
//! ```text
//!   settings ── wire ── session: the member that is read ── catalog: collections and a sample ── plan ── full_load
//!                                                                            read ── rows ── decode ── bson ──┘
//! ```
//!
//! A document is a row: `_id` as text, a column for each top-level field (see [`types`]), and the whole document as text.

pub mod bson;
pub mod catalog;
pub mod change_stream;
pub mod chunks;
pub mod contract_document;
mod decode;
pub mod discover;
pub mod error;
pub mod full_load;
pub mod plan;
pub mod read;
pub mod reread;
mod rows;
pub mod session;
pub mod settings;
pub mod types;
pub mod wire;
