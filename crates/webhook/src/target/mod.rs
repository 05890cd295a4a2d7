//! The receivers. Today there is one: MIT Learn.

mod learn;

pub use learn::{Learn, SecretPlace, Secrets};
