//! Two tables of the lake held against each other: ours, and the one of another loader, as `ol-ingest compare` does.
//!
//! ```text
//!   canonical.rs  one form for two columns that hold the same thing in different types
//!   pairing.rs    which columns are compared, in which form; which are not, and why
//!   side.rs       one table, row by row: hashes of key, row and values; how new a row is; whether it is gone
//!   spill.rs      hashes by partition of their keys, in memory as far as they fit, else in files
//!   table.rs      the comparison: first hashes of rows, then the values of the rows that differ
//! ```
//!
//! **What is one row.** Tables of other loaders hold a key once for each time it was read. Of each key the newest row
//! counts, by the columns that the platform's own deduplication goes by (`_airbyte_extracted_at`, `_dlt_load_id`), then by
//! the cursor of the table; a key whose newest row says that it was deleted (`_ab_cdc_deleted_at`, `_ol_deleted_at`,
//! `_ol_op`) has no row. Without a key a row is its own, and equal rows are counted.
//!
//! **What is one value.** Loaders write the same value in other types: an integer as long, a decimal as double, a uuid,
//! an array or bytes as text. Each pair of columns is brought to one form in which equal values have equal texts, and what
//! the coarser type cannot hold is not held against either: a decimal and a double are compared as doubles. The form is
//! part of the report. A text that cannot be read in the form is compared as it is written, so it differs from every value
//! that can.
//!
//! **Memory.** Each table is read once, and of each row 37 bytes and what says how new it is are kept, cut by the
//! hash of the key into partitions that hold at most [`PARTITION_ROWS`] rows; equal keys share a partition, so
//! partitions can be judged one by one. Where rows differ, both tables are read once more, for the values of at most
//! [`MOST_DIFFERING`] of them; a report says when there are more.
//!
//! Not seen: two rows whose 128-bit hashes collide, and values that both loaders got wrong in the same way. For the latter
//! `ol-ingest verify` asks the source.

pub mod canonical;
pub mod pairing;
pub mod side;
pub mod spill;
pub mod table;

pub use pairing::{Aside, Pairing};
pub use table::{Comparison, Found, On, Row, compare};

/// Rows of a side that are judged at a time.
pub const PARTITION_ROWS: u64 = 1_000_000;
/// Partitions at most: each may be an open file.
pub const MOST_PARTITIONS: u64 = 256;
/// Differing rows whose values are looked at.
pub const MOST_DIFFERING: usize = 100_000;
