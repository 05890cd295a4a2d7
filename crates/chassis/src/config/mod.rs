//! Settings, in layers.
//!
//! Each binary embeds a commented `config.default.toml`: it is the manual and the lowest layer at
//! once, so the two cannot drift. Above it lie the file of `--config`/`OL_CONFIG`, then variables
//! `OL_<SECTION>__<KEY>`, then the binary's own flags. A key nobody knows is an error that names
//! the file, the line and the key: a typo must not pass as a default.
//!
//! What all binaries share (which platform environment, which catalog, which warehouse, which
//! source) is not in files but in the variables of [`Platform`] and [`source_url`].

mod layer;
mod load;
mod platform;
mod variables;

pub use load::{load, load_with};
pub use platform::{Environment, Platform, source_url, source_variable};
pub use variables::{Variables, variable};

/// What loading settings can fail with; its kind is always [`crate::ErrorKind::Configuration`],
/// except for a file that cannot be read.
pub type ConfigurationError = crate::error::Error;
