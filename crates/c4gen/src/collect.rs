//! Links every crate that declares something, and reads what they declare.
//!
//! The linker drops a crate that nobody names, together with its declarations; so each is named
//! here, and the check compares this list with the crates that depend on `c4model`.

use ol_chassis as _;
use ol_ingest as _;
use ol_webhook as _;

use c4model::Model;

/// The packages whose declarations this binary holds, besides those of `c4model` itself.
pub const LINKED_PACKAGES: &[&str] = &["c4gen", "ol-chassis", "ol-ingest", "ol-webhook"];

/// Everything they declare.
#[must_use]
pub fn model() -> Model {
    Model::collect()
}
