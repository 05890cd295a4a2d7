//! The columns that we add to every table, and the names that a source column must not have.

use ol_lake::schema::{LakeColumn, LakeType};

/// The position in the source at which the row was read, as sortable text.
pub const POSITION: &str = "_ol_position";
/// When the change was committed at the source; NULL for rows of a snapshot, whose commits are not known.
pub const COMMITTED_AT: &str = "_ol_committed_at";
/// When the row was read.
pub const EXTRACTED_AT: &str = "_ol_extracted_at";
/// The run that read it.
pub const RUN_ID: &str = "_ol_run_id";
/// The exact source text of values that their column's type cannot hold, by column name.
pub const ODD: &str = "_ol_odd";
/// What every name of ours begins with.
pub const PREFIX: &str = "_ol_";

/// The metadata columns of a full refresh, in order.
#[must_use]
pub fn full_refresh() -> Vec<LakeColumn> {
    let column = |name: &str, lake_type, doc: &str| LakeColumn {
        name: name.to_owned(),
        lake_type,
        required: false,
        doc: Some(doc.to_owned()),
        was: None,
    };
    vec![
        column(POSITION, LakeType::String, "Position in the source at which the row was read"),
        column(
            COMMITTED_AT,
            LakeType::Timestamptz,
            "When the change was committed; null for snapshot rows",
        ),
        column(EXTRACTED_AT, LakeType::Timestamptz, "When the row was read"),
        column(RUN_ID, LakeType::String, "The run that read the row"),
        column(
            ODD,
            LakeType::StringMap,
            "Exact source text of values that their column cannot hold",
        ),
    ]
}
