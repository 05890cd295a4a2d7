//! Where a collection is cut by `_id`, into chunks that may be read at different times.
//!
//! Documents are found by the index of `_id`, whose keys are walked in their order, a chunk's number of documents at a time: the
//! key at which each step ends is the greatest of its chunk. No document ever changes its `_id`, so a document stays in its chunk.
//!
//! **The chunks cover the collection, each document once, whatever its `_id`.** A comparison in a query is one within a type:
//! `{$gt: 5}` is true of numbers alone (MongoDB Manual, "Comparison/Sort Order"). So with bounds `b₁ < … < bₙ`, all of one
//! type, the first chunk is `not (_id > b₁)`, which is also true of every key of another type; the next ones are
//! `_id > bᵢ and _id <= bᵢ₊₁`, the last is `_id > bₙ`. Of a key that is greater than `b₁` the order of its type says in which one
//! of these it is, and one that is not is in the first alone. What is between or beyond the bounds later falls to those chunks.
//!
//! A collection whose keys are of several types is cut among those of the type that the key in the midst of all has, which is
//! that of the most where one type has more than half. One whose key there is of a type that is not ordered by its value is read
//! in one piece.

use super::bson::{Builder, Document, Value, parse_hexadecimal, push_hexadecimal};
use super::catalog::Collection;
use super::error::SourceError;
use super::session::Session;
use super::types::KEY;
use crate::load::chunks::Cut;

/// Between which keys a chunk is: each bound is a document that has it as its `_id`, in hexadecimal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The keys are greater.
    above: Option<String>,
    /// The keys are not greater.
    upto: Option<String>,
}

impl Bounds {
    /// What a `find` chooses the documents by.
    ///
    /// # Errors
    /// A bound is none.
    pub(super) fn filter(&self) -> Result<Builder, SourceError> {
        let filter = match (&self.above, &self.upto) {
            (None, None) => return Ok(Builder::new()),
            (None, Some(upto)) => {
                Builder::new().document("$not", compared(Builder::new(), "$gt", upto)?)
            }
            (Some(above), None) => compared(Builder::new(), "$gt", above)?,
            (Some(above), Some(upto)) => {
                compared(compared(Builder::new(), "$gt", above)?, "$lte", upto)?
            }
        };
        Ok(Builder::new().document(KEY, filter))
    }
}

/// Adds a comparison with a bound.
fn compared(with: Builder, operator: &str, bound: &str) -> Result<Builder, SourceError> {
    let missing = || SourceError::Protocol("the bound of a chunk");
    let bytes = parse_hexadecimal(bound).ok_or_else(missing)?;
    let key = Document::new(&bytes)?.element(KEY)?.ok_or_else(missing)?;
    Ok(with.value(operator, &key))
}

/// Whether keys of a type are ordered by their values, and can be said in a query.
fn is_ordered(key: &Value<'_>) -> bool {
    matches!(
        key,
        Value::ObjectId(_)
            | Value::String(_)
            | Value::Int32(_)
            | Value::Int64(_)
            | Value::Date(_)
            | Value::Binary { .. }
    )
}

/// Cuts a collection into chunks of about so many bytes; `None` for one that is one piece.
///
/// # Errors
/// The server's.
pub fn cut(
    session: &mut Session,
    collection: &Collection,
    chunk_bytes: u64,
) -> Result<Option<Cut>, SourceError> {
    let Some(step) = documents(collection, chunk_bytes) else { return Ok(None) };
    let half = i64::try_from(collection.row_estimate.unwrap_or(0) / 2).unwrap_or(i64::MAX);
    let Some(middle) = key(session, collection, Builder::new(), half)? else { return Ok(None) };
    // All keys of its type.
    let of =
        |operator| Ok(Builder::new().document(KEY, compared(Builder::new(), operator, &middle)?));
    let sides: Vec<Builder> =
        ["$lte", "$gt"].into_iter().map(of).collect::<Result<_, SourceError>>()?;
    let mut filter = Builder::new().array("$or", sides);
    let mut bounds: Vec<String> = Vec::new();
    while let Some(bound) = key(session, collection, filter, step - 1)? {
        filter = Bounds { above: Some(bound.clone()), upto: None }.filter()?;
        bounds.push(bound);
    }
    // The last chunk would be empty, or nearly so.
    bounds.pop();
    Ok((!bounds.is_empty()).then(|| Cut { column: KEY.to_owned(), bounds }))
}

/// The key of the document that comes behind so many of those chosen, as a bound, if it can be one.
fn key(
    session: &mut Session,
    collection: &Collection,
    filter: Builder,
    skip: i64,
) -> Result<Option<String>, SourceError> {
    let command = Builder::new()
        .string("find", &collection.name)
        .document("filter", filter)
        .document("projection", Builder::new().int32(KEY, 1))
        .document("sort", Builder::new().int32(KEY, 1))
        .int64("skip", skip)
        .int64("limit", 1);
    let command = session.reading(command);
    let mut found = None;
    session.connection.each(&collection.database, command, |document| {
        let key = document.element(KEY)?.ok_or(SourceError::Protocol("a document's _id"))?;
        if is_ordered(&key.value) {
            let mut bound = String::new();
            push_hexadecimal(&Builder::new().value(KEY, &key).build(), &mut bound);
            found = Some(bound);
        }
        Ok::<(), SourceError>(())
    })?;
    Ok(found)
}

/// How many documents a chunk of so many bytes has, by the size of the sampled ones; `None` for a collection of less than two.
fn documents(collection: &Collection, chunk_bytes: u64) -> Option<i64> {
    let rows = collection.row_estimate?;
    let mean = collection.sampled_bytes.checked_div(collection.sampled)?.max(1);
    let step = (chunk_bytes / mean).max(1);
    if rows / step < 2 { None } else { i64::try_from(step).ok() }
}

/// Between which keys each chunk is.
#[must_use]
pub fn bounds(cut: &Cut) -> Vec<Bounds> {
    let bound = |place: usize| cut.bounds.get(place).cloned();
    (0..cut.chunks())
        .map(|chunk| Bounds { above: chunk.checked_sub(1).and_then(bound), upto: bound(chunk) })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn chunks_are_open_at_both_ends() {
        let bound = |key: i32| {
            let mut text = String::new();
            push_hexadecimal(&Builder::new().int32(KEY, key).build(), &mut text);
            text
        };
        let cut = Cut { column: KEY.to_owned(), bounds: vec![bound(3), bound(7)] };
        let said: Vec<Vec<u8>> =
            bounds(&cut).iter().map(|it| it.filter().unwrap().build()).collect();
        let of = |filter: Builder| Builder::new().document(KEY, filter).build();
        let above = |key| Builder::new().int32("$gt", key);
        let first = of(Builder::new().document("$not", above(3)));
        assert_eq!(said, [first, of(above(3).int32("$lte", 7)), of(above(7))]);
        assert_eq!(Bounds::default().filter().unwrap().build(), Builder::new().build());
        let broken = Bounds { above: Some("8".to_owned()), upto: None };
        assert!(broken.filter().is_err());
    }
}
