//! The systems we read. Each folder has the same rooms: catalog, types, snapshot, error.

pub mod postgres;
