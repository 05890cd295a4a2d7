//! One binary, one file per behaviour: what `ol-ingest` promises to those outside, on real servers.
//!
//! Each test spawns the real binary; the lake is judged by `PyIceberg` and `DuckDB`, never by our own reader.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod readers;
