//! The inventory: which tables of which sources land where, and how.
//!
//! The platform keeps one file a unit (one layer of one deployment) in a schema of its own; this
//! module reads that schema, version 1, with one block added for what only this loader knows.
//! Everything a run needs to know before it opens a connection is known, and checked, here.
//!
//! - [`load`] reads a folder and reports every problem in it at once;
//! - [`Inventory::select`] applies the filters of the command line;
//! - [`render_unit`] writes the draft of a unit for a source that has none yet;
//! - [`raw_table_name`] names a table in the lake.
//!
//! The module knows no source and no lake: types are checked texts, columns are names.

mod declared_type;
mod decode;
mod draft;
mod load;
mod name;
mod node;
mod problem;
mod reader;
mod select;
mod suggest;
#[cfg(test)]
mod tests;
mod unit;
mod validate;

pub use declared_type::{DeclaredType, SIMPLE_TYPES};
pub use draft::{DraftTable, DraftUnit, LeftOut, render_unit};
pub use load::{load, load_text};
pub use name::{MAXIMUM_NAME_BYTES, raw_table_name, raw_table_prefix};
pub use problem::{InventoryError, Problem, Rule};
pub use unit::{
    DEFAULT_NAMESPACE, DateTransform, Inventory, Mask, MetadataColumns, PartitionTerm,
    PartitionTransform, ReplicationMethod, SkippedUnit, SortTerm, SourceKind, SyncMode, Table,
    TableOverrides, Unit, UnitId,
};
