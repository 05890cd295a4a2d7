//! The read side of change capture: what a replication slot streams, decoded.
//!
//! ```text
//!   slot.rs, publication.rs, identity.rs   what must be so at the server, and the acts that make it so (SQL)
//!   stream.rs    one connection that streams from the slot, and says how far we are (CopyBoth)
//!   message.rs   the bytes of pgoutput's protocol 1, borrowed
//!   relation.rs  which columns of a table the stream has
//!   text.rs      the server's text of a value, to the same Arrow value that binary COPY gives
//!   peek.rs      what a slot holds that nobody reads
//!   array.rs, json.rs, parse.rs   the parts of that
//!   rows.rs      changes to record batches of the lake's schema
//! ```
//!
//! Nothing in here decides *when* to read, to write or to acknowledge.
//!
//! Why the text format: it is what pgoutput has in every version (binary only since 14, and then not for every
//! type), it is made by output functions whose settings we fix, and the full load already keeps exactly these texts
//! where a value does not fit. That both ways give the same values is not argued but tested, type by type.

mod array;
pub mod error;
pub mod identity;
mod json;
pub mod message;
mod parse;
pub mod peek;
pub mod publication;
pub mod relation;
pub mod rows;
pub mod slot;
pub mod stream;
mod text;
