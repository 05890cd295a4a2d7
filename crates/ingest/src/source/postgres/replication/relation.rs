//! Which columns of a table the stream has.

use super::super::catalog::Relation;
use super::super::types::{Reading, Refusal, Streamed};

/// Whether the stream has a column of the table, with its exact value.
///
/// # Errors
/// It has not: the column is computed, and servers do not send those (before version 18 never, since then only stored
/// ones on demand); or its text does not say the value that a copy has.
pub fn streamable(relation: &Relation, reading: &Reading) -> Result<(), Refusal> {
    let refuse =
        |reason: &str| Err(Refusal { column: reading.name.clone(), reason: reason.to_owned() });
    let column = relation.columns.iter().find(|column| column.name == reading.name);
    if column.is_some_and(|column| column.generated) {
        return refuse("it is computed from other columns, and the source does not send those");
    }
    match reading.streamed {
        Streamed::Not(reason) => refuse(reason),
        Streamed::Scalar | Streamed::List { .. } | Streamed::Json { .. } => Ok(()),
    }
}
