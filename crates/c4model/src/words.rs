//! The words that may be used inside the declaring macros without a path.

pub use crate::Caller::{From, Through, To};
pub use crate::Evidence;
pub use crate::Kind::{Event, Queued, Scheduled, Sync};
pub use crate::Shape::{Bucket, Database, Person, Queue, Service};
pub use crate::Status::{Live, Retiring, Target};

/// Evidence by word of mouth or by a document outside this repository: drawn as not verified.
#[must_use]
pub const fn said(who: &'static str, when: &'static str) -> Evidence {
    Evidence::Said { who, when }
}

/// Evidence by a file of this repository, which `c4gen check` opens and searches for the text.
#[must_use]
pub const fn file(path: &'static str, contains: &'static str) -> Evidence {
    Evidence::File { path, contains }
}
