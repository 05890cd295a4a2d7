//! The systems we read. Each folder has the same rooms: catalog, types, snapshot, error.

pub mod address;
pub mod incremental;
pub mod mongodb;
pub mod mysql;
pub(crate) mod plan;
pub mod postgres;
mod socket;
mod tls;
