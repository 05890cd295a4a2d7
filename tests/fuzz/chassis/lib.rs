//! Modules of `crates/chassis`, file by file, without those that the fuzzed code does not touch.

#![allow(clippy::disallowed_methods, dead_code, reason = "the files are those of another crate")]

#[path = "../../../crates/chassis/src/clock.rs"]
pub mod clock;
#[path = "../../../crates/chassis/src/error.rs"]
pub mod error;
#[path = "../../../crates/chassis/src/exit.rs"]
pub mod exit;
#[path = "../../../crates/chassis/src/failure.rs"]
pub mod failure;
#[path = "../../../crates/chassis/src/fs.rs"]
pub mod fs;
#[path = "../../../crates/chassis/src/secret/text.rs"]
mod secret_text;
#[path = "../../../crates/chassis/src/shutdown.rs"]
pub mod shutdown;

/// Secrets that are plain text.
pub mod secret {
    pub use crate::secret_text::SecretText;
}

pub use error::{Error, ErrorKind};
pub use exit::Exit;
