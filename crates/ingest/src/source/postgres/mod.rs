//! PostgreSQL, versions 12 to 18.

pub mod catalog;
pub mod contract_document;
mod decode;
pub mod error;
pub(crate) mod moment;
mod numeric;
pub mod plan;
pub mod reread;
pub mod rows;
pub mod settings;
pub mod snapshot;
mod tls;
pub mod types;
pub mod wire;
pub mod discover;
pub mod full_load;
