//! The crate as its callers use it: real files, a real catalog, no mocks.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

mod branches;
mod catalogs;
mod commits;
mod compaction;
mod evolution;
mod expiry;
mod failures;
mod layout;
mod leftovers;
mod merge;
mod model;
mod pointer;
mod postgres;
mod readers;
mod round_trip;
mod s3;
mod support;
mod writing;
