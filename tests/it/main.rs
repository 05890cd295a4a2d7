//! One binary, one file per behaviour: what our programs promise to those outside, on real servers.
//!
//! Each test spawns the real binary; the lake is judged by `PyIceberg` and `DuckDB`, never by our own reader. What needs
//! shared test data that this machine lacks says so in a line and proves nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod adopt;
mod bad_input;
mod catalog_postgres;
mod cdc;
mod changes;
mod common;
mod compare;
mod contract;
mod dagster;
mod incremental;
mod interrupt;
mod kill;
mod maintain;
mod masks;
mod matrix;
mod metadata_columns;
mod mitxonline;
mod mongodb;
mod mysql;
mod names;
mod oracle;
mod production;
mod ranges;
mod readers;
mod servers;
mod session;
mod sizes;
mod unchanged;
mod unsupported;
mod webhook;
mod zoo;
