//! Where a table is cut into chunks that can be read at different times.
//!
//! Ranges of blocks will not do for that: an update moves a row, and between two snapshots it can move from a range that
//! is still to be read into one that was. A key stays where it is, or its row is sent by the stream as deleted and
//! inserted. So chunks are ranges of the first column of the primary key, which is never NULL, and the server itself
//! says which values these are and compares them: nothing here depends on how a type or a collation sorts.
//!
//! The bounds come from the planner's statistics (`pg_stats.histogram_bounds`, values that divide the rows into equal
//! parts; PostgreSQL documentation, "pg_stats"). They cost one look at a catalog; that rows have come or gone since the
//! last ANALYZE makes chunks larger or smaller, and nothing else. A table without a histogram is read in one piece, and
//! so is one whose rows do not lie in the order of the key: reading it by ranges of the key would fetch its blocks again
//! and again.

use super::catalog::{Relation, RelationKind};
use super::types::{literal, quote};
use crate::load::chunks::Cut;

/// The least correlation of the key's order with that of the rows on disk (`pg_stats.correlation`, -1 to 1).
const LEAST_CORRELATION: f32 = 0.8;

/// What the planner knows of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnStatistics {
    /// How far the order of the values is that of the rows on disk.
    pub correlation: Option<f32>,
    /// Values that divide the rows into equal parts, the least and the greatest included.
    pub histogram: Vec<String>,
}

/// The column that a relation would be cut by, if it is large enough for two chunks of `chunk_bytes`.
#[must_use]
pub fn column(relation: &Relation, chunk_bytes: u64) -> Option<&String> {
    let divisible = relation.kind == RelationKind::Table && !relation.has_children;
    let is_large = relation.bytes / chunk_bytes.max(1) >= 2;
    relation.primary_key.first().filter(|_| divisible && is_large)
}

/// The bounds by which `column` cuts a relation into chunks of about `chunk_bytes`.
#[must_use]
pub fn cut(
    relation: &Relation,
    column: &str,
    statistics: &ColumnStatistics,
    chunk_bytes: u64,
) -> Option<Cut> {
    if statistics.correlation.is_none_or(|known| known.abs() < LEAST_CORRELATION) {
        return None;
    }
    let wanted = usize::try_from(relation.bytes / chunk_bytes.max(1)).unwrap_or(usize::MAX);
    let parts = statistics.histogram.len().saturating_sub(1);
    let chunks = wanted.min(parts);
    let mut bounds: Vec<String> = (1..chunks)
        .filter_map(|chunk| statistics.histogram.get(parts * chunk / chunks))
        .cloned()
        .collect();
    bounds.dedup();
    (!bounds.is_empty()).then(|| Cut { column: column.to_owned(), bounds })
}

/// The rows of each chunk, as a condition in SQL.
#[must_use]
pub fn conditions(cut: &Cut) -> Vec<String> {
    cut.conditions(&quote(&cut.column), literal)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::*;

    fn relation(bytes: u64) -> Relation {
        Relation {
            oid: 1,
            namespace: "s".into(),
            name: "t".into(),
            kind: RelationKind::Table,
            partition_of: None,
            has_children: false,
            is_heap: true,
            rows_hidden: false,
            row_estimate: None,
            bytes,
            comment: None,
            columns: Vec::new(),
            primary_key: vec!["id".into(), "n".into()],
        }
    }

    fn statistics(correlation: f32, values: usize) -> ColumnStatistics {
        let histogram = (0..values).map(|value| (value * 10).to_string()).collect();
        ColumnStatistics { correlation: Some(correlation), histogram }
    }

    #[test]
    fn a_large_table_in_the_order_of_its_key_is_cut() {
        let relation = relation(4_000);
        assert_eq!(column(&relation, 1_000).unwrap(), "id");
        let four = cut(&relation, "id", &statistics(1.0, 101), 1_000).unwrap();
        assert_eq!((four.chunks(), four.bounds.join(" ")), (4, "250 500 750".into()));
        let conditions = conditions(&four);
        assert_eq!(conditions[0], "\"id\" <= '250'");
        assert_eq!(conditions[1], "\"id\" > '250' AND \"id\" <= '500'");
        assert_eq!(conditions[3], "\"id\" > '750'");
        // No more chunks than the statistics tell apart.
        assert_eq!(cut(&relation, "id", &statistics(-1.0, 3), 10).unwrap().chunks(), 2);
    }

    #[test]
    fn others_are_read_whole() {
        let large = relation(4_000);
        assert_eq!(column(&large, 2_001), None);
        let parent = Relation { has_children: true, ..relation(4_000) };
        assert_eq!(column(&parent, 10), None);
        let keyless = Relation { primary_key: Vec::new(), ..relation(4_000) };
        assert_eq!(column(&keyless, 10), None);
        assert_eq!(cut(&large, "id", &statistics(0.3, 101), 10), None);
        assert_eq!(cut(&large, "id", &statistics(1.0, 2), 10), None);
        let unknown = ColumnStatistics { correlation: None, histogram: Vec::new() };
        assert_eq!(cut(&large, "id", &unknown, 10), None);
    }
}
