//! What a source column becomes in the lake: its type, and how faithfully.

pub mod batch;
pub mod contract;
pub mod declared;
pub mod digest;
pub mod foreign;
pub mod mask;
pub mod metadata;
pub mod source_type;
#[cfg(test)]
pub(crate) mod testing;

pub use contract::{ColumnContract, Fidelity};
pub use source_type::SourceType;
