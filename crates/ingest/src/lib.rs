//! Application databases into raw Iceberg: discover → read → shape → commit → acknowledge.
//!
//! ```text
//!   inventory ──┐
//!               ▼
//!   source ── catalog ── plan (the type contract) ── read ── shape ── load ── one snapshot a table
//!   (postgres)                                       rows    batches  parts     rows + position + digest
//! ```
//!
//! What holds, whatever happens (the numbers are those of ARCHITECTURE.md):
//! - I1: rows and the position they reach enter the lake in one snapshot ([`load`]).
//! - I4, I5: an unknown value is never NULL; a value that does not fit its column is NULL there and exact text in
//!   `_ol_odd` (`source::postgres::decode`).
//! - I6: a message that is not understood stops the table (`source::postgres::wire`).
//! - I7: a replace never shrinks a table silently ([`load::ShrinkGuard`]).
//! - I8: every table of a run ends as done, refused, retry or blocked, with advice ([`policy`], [`report`]).
//! - I9: no secret and no cell value in a log, an error, a metric or a message.
//!
//! The feature `failpoints` makes the process stop at named places, for tests that kill it there.

pub mod cli;
pub mod column;
pub mod command;
pub mod compare;
pub mod config;
pub mod error;
pub mod failpoints;
pub mod inventory;
pub mod load;
pub mod maintain;
pub mod metrics;
pub mod policy;
pub mod position;
pub mod report;
pub mod run;
pub mod source;
mod source_code;
pub mod sync;
pub mod verify;
