//! A table as the stream describes it, against the table as the catalog does.

use super::super::catalog::Relation;
use super::super::types::{Reading, Refusal, Streamed};
use super::message::RelationMessage;

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

/// How the table of the stream differs from the table that was planned.
///
/// The stream is behind the catalog by what has not been read yet, so either may be the newer one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Columns that are read and that the stream does not have.
    pub missing: Vec<String>,
    /// Columns of the stream that the catalog's table does not have.
    pub added: Vec<String>,
    /// Columns that are read and have another type or modifier in the stream.
    pub retyped: Vec<String>,
}

impl Drift {
    /// The difference.
    #[must_use]
    pub fn between(message: &RelationMessage, relation: &Relation, readings: &[Reading]) -> Self {
        let mut drift = Self::default();
        for reading in readings {
            let streamed = message.columns.iter().find(|column| column.name == reading.name);
            let planned = relation.columns.iter().find(|column| column.name == reading.name);
            match (streamed, planned) {
                (None, _) => drift.missing.push(reading.name.clone()),
                (Some(streamed), Some(planned))
                    if streamed.type_oid != planned.type_oid
                        || streamed.modifier != planned.modifier =>
                {
                    drift.retyped.push(reading.name.clone());
                }
                (Some(_), _) => {}
            }
        }
        for column in &message.columns {
            if !relation.columns.iter().any(|planned| planned.name == column.name) {
                drift.added.push(column.name.clone());
            }
        }
        drift
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.added.is_empty() && self.retyped.is_empty()
    }
}
