//! What is said to MIT Learn: from the fields of a row to the exact bytes of a body.
//!
//! The signature covers bytes, so this room ends in bytes, and nothing behind it serialises again.
//!
//! 1. [`json`] holds a document as Python would, and [`parse`] reads one.
//! 2. [`build()`] checks the fields of one payload and puts them into the order of today's sender; [`build_batch`]
//!    splits the records of a catalogue; [`tombstone`] says that something is gone.
//! 3. [`python`] writes the document byte for byte as CPython does.
//!
//! [`identity`] says which record of MIT Learn a payload is about, and so which payloads must keep their order.
//!
//! The receiver answers most mistakes with the same 405, or with 200 and silence. So every rule that it is known to
//! follow is checked before anything is sent, and a payload is refused with all its [`Problem`]s at once. Problems name
//! fields and rules and never values, because they are logged.

mod batch;
mod build;
mod canvas;
mod content_file;
mod feed;
mod fields;
pub mod identity;
pub mod json;
mod kind;
mod landing;
mod learning_resource;
mod media_url;
mod ovs_video;
mod parser;
mod problem;
pub mod python;
pub mod vocabulary;

pub use batch::{Batch, ChunkLimit, build_batch};
pub use build::{BuildOptions, MAXIMUM_BODY_BYTES, Payload, build, tombstone};
pub use json::Value;
pub use kind::{Kind, UnknownKind};
pub use parser::{MAXIMUM_DEPTH, MAXIMUM_INTEGER_DIGITS, ParseError, parse};
pub use problem::{Problem, Severity};
