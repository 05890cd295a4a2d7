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

/// What happened to the row: see [`Op`]. Only a raw change log has it.
pub const OP: &str = "_ol_op";
/// When the row was deleted at the source; NULL for a row that is there. Only a soft-deleting merge has it.
pub const DELETED_AT: &str = "_ol_deleted_at";

/// What a row of a change log tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// It was there when the table was copied.
    Read,
    /// It was inserted.
    Insert,
    /// It was updated; the row is the new one.
    Update,
    /// It was deleted; the row is the old one as far as the source's log knows it.
    Delete,
    /// The table was emptied; only the metadata columns say anything.
    Truncate,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Insert, Self::Update, Self::Delete, Self::Truncate];

    /// The letter in `_ol_op`.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Insert => "i",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Truncate => "t",
        }
    }
}

/// The metadata columns of a full refresh, in order.
#[must_use]
pub fn full_refresh() -> Vec<LakeColumn> {
    columns(&[POSITION, COMMITTED_AT, EXTRACTED_AT, RUN_ID, ODD])
}

/// The metadata columns of a raw change log, in order.
#[must_use]
pub fn log() -> Vec<LakeColumn> {
    columns(&[OP, POSITION, COMMITTED_AT, EXTRACTED_AT, RUN_ID, ODD])
}

/// The metadata columns of a table that is merged on its key, in order; a `soft` one keeps deleted rows, marked.
#[must_use]
pub fn merge(soft: bool) -> Vec<LakeColumn> {
    if soft {
        columns(&[POSITION, COMMITTED_AT, DELETED_AT, EXTRACTED_AT, RUN_ID, ODD])
    } else {
        full_refresh()
    }
}

fn columns(names: &[&str]) -> Vec<LakeColumn> {
    names.iter().map(|name| column(name)).collect()
}

fn column(name: &str) -> LakeColumn {
    let (lake_type, doc) = match name {
        OP => (
            LakeType::String,
            "r copied, i inserted, u updated, d deleted (columns that the source's log does not have of the old \
             row are null), t table emptied (all columns are null)",
        ),
        POSITION => (LakeType::String, "Position in the source at which the row was read"),
        COMMITTED_AT => {
            (LakeType::Timestamptz, "When the change was committed; null for snapshot rows")
        }
        DELETED_AT => (
            LakeType::Timestamptz,
            "When the row was deleted at the source; null for a row that is there",
        ),
        EXTRACTED_AT => (LakeType::Timestamptz, "When the row was read"),
        RUN_ID => (LakeType::String, "The run that read the row"),
        _ => (LakeType::StringMap, "Exact source text of values that their column cannot hold"),
    };
    LakeColumn {
        name: name.to_owned(),
        lake_type,
        required: false,
        doc: Some(doc.to_owned()),
        was: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_ours_has_the_prefix_its_own_description_and_the_type_it_is_written_as() {
        let mut all = log();
        all.extend(merge(true).into_iter().filter(|column| column.name == DELETED_AT));
        assert_eq!(all.len(), 7);
        let docs: std::collections::BTreeSet<_> = all.iter().map(|column| &column.doc).collect();
        assert_eq!(docs.len(), all.len());
        for column in &all {
            assert!(column.name.starts_with(PREFIX), "{}", column.name);
            let instant = column.name.ends_with("_at");
            assert_eq!(column.lake_type == LakeType::Timestamptz, instant, "{}", column.name);
            assert_eq!(column.lake_type == LakeType::StringMap, column.name == ODD);
        }
    }

    #[test]
    fn a_hard_merge_has_the_columns_of_a_full_refresh() {
        assert_eq!(merge(false), full_refresh());
    }

    #[test]
    fn letters_differ() {
        let letters: std::collections::BTreeSet<_> = Op::ALL.map(Op::letter).into();
        assert_eq!(letters.len(), Op::ALL.len());
    }
}
