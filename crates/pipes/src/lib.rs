//! The Dagster Pipes protocol, wire version 0.1: what a process that Dagster starts reads about its
//! run, and how it reports back.
//!
//! [`Pipes::open`] finds out whether the orchestrator started this process. If it did, the session
//! knows the run ([`Context`]) and sends messages; if not, every call succeeds and sends nothing, so
//! callers never ask which of the two it is.
//!
//! ```
//! use ol_pipes::{AssetKey, Materialization, Metadata, Pipes};
//!
//! # fn main() -> ol_pipes::Result<()> {
//! let arguments: Vec<String> = std::env::args().skip(1).collect();
//! let pipes = Pipes::open(&arguments)?;
//! pipes.install_panic_hook();
//! let mut materialization = Materialization::of(AssetKey::new(["raw", "users_user"])?);
//! materialization.metadata.insert("rows".to_owned(), Metadata::from(1_200_000_u64));
//! pipes.report_materialization(&materialization)?;
//! pipes.close(None)?;
//! # Ok(())
//! # }
//! ```
//!
//! What the orchestrator does with each message was read from `dagster` 1.13.29: a message it
//! cannot take in is lost without a trace in a pod's log, and in a file it stops the reader, so
//! values that Dagster refuses (a float that is not finite, a scalar as `json`) are sent in the
//! nearest form it accepts; [`Metadata`] says which.
//!
//! # Which exits are reported
//! [`Pipes::close`] may be called many times; the first call counts. A session dropped before it
//! is closed tells Dagster that it ended without being closed. Dagster fails a step by the exit
//! code of the process alone, so an exception only explains a failure.
//!
//! # Values and secrets
//! Whatever is passed to a report is sent. Callers must not pass secrets or values of cells; the
//! panic hook therefore sends a panic's text only when it is a literal of the program.

mod asset_key;
mod bootstrap;
mod channel;
mod context;
mod error;
mod exception;
mod guard;
mod layer;
mod message;
mod metadata;
mod object;
mod panic;
mod session;
mod stream;
#[cfg(test)]
mod test_s3;

pub use asset_key::AssetKey;
pub use bootstrap::other_arguments;
pub use bootstrap::{CONTEXT_ARGUMENT, CONTEXT_VARIABLE, MESSAGES_ARGUMENT, MESSAGES_VARIABLE};
pub use context::{Context, PartitionKeyRange, PartitionTimeWindow, Provenance};
pub use error::{Error, ErrorKind, Result};
pub use exception::Exception;
pub use layer::PipesLayer;
pub use message::{Check, Level, Materialization, Severity, Stream};
pub use metadata::{ColumnConstraints, ColumnDependency, Metadata, TableColumn, TableSchema};
pub use session::Pipes;
pub use stream::ExternalStream;
