//! PostgreSQL, versions 12 to 18.

pub mod catalog;
pub mod chunks;
pub mod contract_document;
mod decode;
pub mod discover;
pub mod error;
pub mod full_load;
pub mod incremental;
pub(crate) mod moment;
mod numeric;
pub mod plan;
pub mod replication;
pub mod reread;
pub mod rows;
pub mod session;
pub mod settings;
pub mod snapshot;
pub mod types;
pub mod wire;
