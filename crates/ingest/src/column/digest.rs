//! An order-free digest of a table, column by column, over decoded values.
//!
//! Each value becomes bytes in Arrow's row format, which is the same for equal values of a type and different for
//! others; the digest of a column is the sum, modulo 2¹²⁸, of their hashes. It depends neither on the order of rows
//! nor on how they are cut into batches, so a table read from its source and the same table read from the lake can
//! be compared without sorting either, in memory that does not grow with them.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, MapArray, RecordBatch};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, DataType};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::metadata;

/// The digest of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDigest {
    /// Rows.
    pub rows: u64,
    /// Each column's digest, by name, in order; `_ol_odd` is the last.
    pub columns: Vec<(String, u128)>,
}

impl TableDigest {
    /// A digest of no rows of the source columns called `names`.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        let odd = std::iter::once(metadata::ODD.to_owned());
        let columns = names.iter().cloned().chain(odd).map(|name| (name, 0)).collect();
        Self { rows: 0, columns }
    }

    /// Adds the rows of a batch; columns are taken by name.
    ///
    /// # Errors
    /// A column is missing, or of a type without a row format.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        for (name, digest) in &mut self.columns {
            let column = batch
                .column_by_name(name)
                .ok_or_else(|| ArrowError::SchemaError(format!("there is no column {name}")))?;
            let added = if let DataType::Map(..) = column.data_type() {
                of_map(column.as_map())?
            } else {
                of_values(column)?
            };
            *digest = digest.wrapping_add(added);
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// The columns that differ, by name. Digests of different columns are not comparable.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let differs = |(mine, theirs): &(&(String, u128), &(String, u128))| mine != theirs;
        let pairs = self.columns.iter().zip(&other.columns);
        pairs.filter(differs).map(|((name, _), _)| name.clone()).collect()
    }
}

fn of_values(column: &ArrayRef) -> Result<u128, ArrowError> {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(column))?;
    Ok(rows.iter().fold(0, |sum, row| sum.wrapping_add(xxh3_128(row.as_ref()))))
}

/// A map has no row format: its entries are hashed, keyed by the column they are about, and summed.
fn of_map(map: &MapArray) -> Result<u128, ArrowError> {
    let mut sum = 0u128;
    for row in 0..map.len() {
        if map.is_null(row) {
            continue;
        }
        let entries = map.value(row);
        let [keys, values] = entries.columns() else {
            return Err(ArrowError::SchemaError("a map without key and value".into()));
        };
        for (key, value) in keys.as_string::<i32>().iter().zip(values.as_string::<i32>()) {
            let seed = xxhash_rust::xxh3::xxh3_64(key.unwrap_or_default().as_bytes());
            sum = sum.wrapping_add(xxh3_128_with_seed(value.unwrap_or_default().as_bytes(), seed));
        }
    }
    Ok(sum)
}
