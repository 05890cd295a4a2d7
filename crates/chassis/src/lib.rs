//! What every binary stands on: configuration, secrets, telemetry, clock, shutdown, exit codes.
//!
//! The binaries of the platform differ in what they do and agree in how they are run: the same
//! flags, the same variables, the same log lines, the same exit codes, the same way to stop. That
//! agreement lives here, once. This crate does not know what a lake, a source database or Dagster
//! is.
//!
//! | module | question it answers |
//! |---|---|
//! | [`cli`] | how does a `main` start and end? |
//! | [`config`] | which settings hold, and who set them? |
//! | [`secret`] | where does a password come from, and how does it stay out of the logs? |
//! | [`telemetry`], [`metrics`], [`progress`], [`flow`] | what is going on? |
//! | [`clock`], [`shutdown`] | what time is it, and is it time to stop? |
//! | [`error`], [`failure`], [`exit`] | whose turn is it? |
//! | [`failpoint`] | what if the process dies just here? |
//! | [`process`] | what may other processes see of this one? |
//! | [`text`] | how does a person read it? |
//! | [`fs`] | which file was it? |
//!
//! `examples/service.rs` is a whole binary on this crate.

pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod exit;
pub mod failpoint;
pub mod failure;
pub mod flow;
pub mod fs;
pub mod metrics;
pub mod process;
pub mod progress;
pub mod secret;
pub mod shutdown;
pub mod telemetry;
pub mod text;

pub use error::{Error, ErrorKind};
pub use exit::Exit;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
