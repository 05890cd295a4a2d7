//! Where a table is cut by its key: into ranges that several connections read at the same time, and into chunks that may be
//! read at different times.
//!
//! Rows lie in the order of the primary key (MariaDB and MySQL documentation, "Clustered and Secondary Indexes"), so a range of
//! its first column costs the server those rows and no others. A key stays where it is, or the log says that its row was
//! deleted and inserted. Where that column is a whole number, the least and the greatest are one look at the index, and equal
//! steps between them cut the table: numbers that are unevenly spread make pieces of uneven size, and nothing else. The first
//! and the last piece are open, so that the pieces cover the table whatever the two were. A table with another key is read in
//! one piece.

use super::catalog::Relation;
use super::error::SourceError;
use super::session::Session;
use super::types::quote;
use crate::load::chunks::Cut;

/// The column that a relation can be cut by.
#[must_use]
pub fn column(relation: &Relation) -> Option<&str> {
    let key = relation.primary_key.first()?;
    let column = relation.columns.iter().find(|column| column.name == *key)?;
    let whole = ["tinyint", "smallint", "mediumint", "int", "bigint"];
    whole.contains(&column.type_name.as_str()).then_some(key.as_str())
}

/// Cuts a relation into at most so many pieces; `None` for one that is one piece.
///
/// # Errors
/// The server's.
pub fn cut(
    session: &mut Session,
    relation: &Relation,
    pieces: u64,
) -> Result<Option<Cut>, SourceError> {
    let Some(column) = column(relation).filter(|_| pieces > 1) else { return Ok(None) };
    let key = quote(column);
    let extremes = format!("SELECT MIN({key}), MAX({key}) FROM {}", relation.quoted());
    let row = session.rows(&extremes)?.into_iter().next().unwrap_or_default();
    let number = |place: usize| row.get(place)?.as_deref()?.parse::<i128>().ok();
    let Some((least, greatest)) = number(0).zip(number(1)) else { return Ok(None) };
    let bounds = bounds(least, greatest, pieces);
    Ok((!bounds.is_empty()).then(|| Cut { column: column.to_owned(), bounds }))
}

/// The rows of each piece, as a condition in SQL.
#[must_use]
pub fn conditions(cut: &Cut) -> Vec<String> {
    cut.conditions(&quote(&cut.column), str::to_owned)
}

/// The greatest number of each piece but the last.
fn bounds(least: i128, greatest: i128, pieces: u64) -> Vec<String> {
    let width = greatest - least + 1;
    let pieces = i128::from(pieces).min(width).max(1);
    (1..pieces).map(|piece| (least + width * piece / pieces - 1).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut_of(least: i128, greatest: i128, pieces: u64) -> Vec<String> {
        conditions(&Cut { column: "id".into(), bounds: bounds(least, greatest, pieces) })
    }

    #[test]
    fn pieces_are_open_at_both_ends() {
        let shown = cut_of(1, 100, 3);
        assert_eq!(shown, ["`id` <= 33", "`id` > 33 AND `id` <= 66", "`id` > 66"]);
        assert_eq!(cut_of(5, 5, 8), [""]);
    }

    proptest! {
        #[test]
        fn every_number_is_in_one_piece(
            least in -(1i128 << 63)..(1i128 << 63),
            width in 0i128..(1i128 << 64),
            pieces in 1u64..20,
            place in 0u64..1_000,
        ) {
            let greatest = least + width;
            let number = least + width * i128::from(place) / 1_000;
            let holds = |condition: &String| {
                condition.split(" AND ").all(|part| {
                    match part.split_once(" > ") {
                        Some((_, bound)) => bound.parse::<i128>().is_ok_and(|bound| number > bound),
                        None => part.split_once(" <= ").is_none_or(|(_, bound)| {
                            bound.parse::<i128>().is_ok_and(|bound| number <= bound)
                        }),
                    }
                })
            };
            let found = cut_of(least, greatest, pieces);
            prop_assert_eq!(found.iter().filter(|condition| holds(condition)).count(), 1);
        }
    }
}
