//! Digests of rows over decoded values, the same whichever side they come from.
//!
//! Each value becomes bytes in Arrow's row format, which is the same for equal values of a type and different for
//! others, and the bytes a 128-bit hash. The hash of a row is that of its columns' hashes in order, so values that
//! were exchanged between two rows show; the hash of its key is that of the key columns' alone. Sums of such hashes,
//! modulo 2¹²⁸, depend neither on the order of rows nor on how they are cut into batches, so a table read from its
//! source and the same table read from the lake can be compared without sorting either.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, MapArray, RecordBatch};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, DataType};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

use super::metadata;

/// Makes digests of the batches of one table.
#[derive(Debug, Clone)]
pub struct Digester {
    names: Vec<String>,
    key: Vec<usize>,
}

/// The hashes of a batch's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digested {
    /// Of each row's key; of the whole row in a table without a key.
    pub keys: Vec<u128>,
    /// Of each row.
    pub rows: Vec<u128>,
    /// Of each value, by column.
    columns: Vec<Vec<u128>>,
}

impl Digester {
    /// A digester of the source columns called `names`, and of `_ol_odd`. Columns of the key that are not among
    /// them are left out of it.
    #[must_use]
    pub fn new(names: &[String], key: &[String]) -> Self {
        let place = |name: &String| names.iter().position(|known| known == name);
        let key = key.iter().filter_map(place).collect();
        let odd = std::iter::once(metadata::ODD.to_owned());
        Self { names: names.iter().cloned().chain(odd).collect(), key }
    }

    /// The columns, `_ol_odd` as the last.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether rows are told apart by a key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// The names of the key's columns.
    pub fn key(&self) -> impl Iterator<Item = &str> {
        self.key.iter().filter_map(|place| self.names.get(*place)).map(String::as_str)
    }

    /// The hashes of a batch; columns are taken by name.
    ///
    /// # Errors
    /// A column is missing, or of a type without a row format.
    pub fn digest(&self, batch: &RecordBatch) -> Result<Digested, ArrowError> {
        let columns = self.names.iter().map(|name| {
            let column = batch
                .column_by_name(name)
                .ok_or_else(|| ArrowError::SchemaError(format!("there is no column {name}")))?;
            match matches!(column.data_type(), DataType::Map(..)) {
                true => of_map(column.as_map()),
                false => of_values(column),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        let rows = of_rows(&columns.iter().collect::<Vec<_>>(), batch.num_rows());
        let keys = if self.has_key() {
            let key: Vec<_> = self.key.iter().filter_map(|place| columns.get(*place)).collect();
            of_rows(&key, batch.num_rows())
        } else {
            rows.clone()
        };
        Ok(Digested { keys, rows, columns })
    }
}

impl Digested {
    /// The hash of each column's value in a row.
    pub fn values(&self, row: usize) -> impl Iterator<Item = u128> {
        self.columns.iter().map(move |column| column.get(row).copied().unwrap_or_default())
    }
}

/// The hash of the hashes of each row.
#[must_use]
pub fn of_rows(columns: &[&Vec<u128>], rows: usize) -> Vec<u128> {
    let mut bytes = Vec::with_capacity(columns.len() * size_of::<u128>());
    let of_row = |row: usize| {
        bytes.clear();
        for column in columns {
            let hash = column.get(row).copied().unwrap_or_default();
            bytes.extend_from_slice(&hash.to_le_bytes());
        }
        xxh3_128(&bytes)
    };
    (0..rows).map(of_row).collect()
}

/// The hash of each value of a column.
///
/// # Errors
/// The type has no row format.
pub fn of_values(column: &ArrayRef) -> Result<Vec<u128>, ArrowError> {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(column))?;
    Ok(rows.iter().map(|row| xxh3_128(row.as_ref())).collect())
}

/// A map has no row format: its entries are hashed, keyed by the column they are about, and summed. Nothing is 0.
fn of_map(map: &MapArray) -> Result<Vec<u128>, ArrowError> {
    let mut hashes = Vec::with_capacity(map.len());
    for row in 0..map.len() {
        let mut sum = 0u128;
        if !map.is_null(row) {
            let entries = map.value(row);
            let [keys, values] = entries.columns() else {
                return Err(ArrowError::SchemaError("a map without key and value".into()));
            };
            for (key, value) in keys.as_string::<i32>().iter().zip(values.as_string::<i32>()) {
                let seed = xxh3_64(key.unwrap_or_default().as_bytes());
                let hash = xxh3_128_with_seed(value.unwrap_or_default().as_bytes(), seed);
                sum = sum.wrapping_add(hash);
            }
        }
        hashes.push(sum);
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use std::sync::Arc;

    use arrow_array::builder::{MapBuilder, StringBuilder};
    use arrow_array::{Int32Array, StringArray};

    use super::*;

    fn batch(ids: &[i32], notes: &[Option<&str>]) -> RecordBatch {
        let mut odd = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for _ in ids {
            odd.append(false).unwrap();
        }
        let columns: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(Int32Array::from(ids.to_vec()))),
            ("note", Arc::new(StringArray::from(notes.to_vec()))),
            (metadata::ODD, Arc::new(odd.finish())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, it)| (name, it, true)))
            .unwrap()
    }

    fn digester(key: &[&str]) -> Digester {
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        Digester::new(&["id".to_owned(), "note".to_owned()], &key)
    }

    #[test]
    fn values_that_were_exchanged_between_rows_show() {
        let digester = digester(&["id"]);
        let one = digester.digest(&batch(&[1, 2], &[Some("a"), Some("b")])).unwrap();
        let two = digester.digest(&batch(&[1, 2], &[Some("b"), Some("a")])).unwrap();
        let sum = |rows: &[u128]| rows.iter().fold(0u128, |sum, row| sum.wrapping_add(*row));
        assert_eq!(one.keys, two.keys);
        assert_ne!(sum(&one.rows), sum(&two.rows));
        assert_eq!(sum(&one.columns[1]), sum(&two.columns[1]), "which sums of columns do not show");
    }

    #[test]
    fn nothing_differs_from_an_empty_text() {
        let digester = digester(&["id"]);
        let both = digester.digest(&batch(&[1, 1], &[None, Some("")])).unwrap();
        assert_eq!(both.keys[0], both.keys[1]);
        assert_ne!(both.rows[0], both.rows[1]);
    }

    #[test]
    fn without_a_key_a_row_is_its_own() {
        let digester = digester(&[]);
        assert!(!digester.has_key());
        let found = digester.digest(&batch(&[1, 2], &[None, None])).unwrap();
        assert_eq!(found.keys, found.rows);
        assert_eq!(found.values(0).count(), 3);
    }

    #[test]
    fn a_missing_column_is_an_error() {
        let digester = Digester::new(&["gone".to_owned()], &[]);
        assert!(digester.digest(&batch(&[1], &[None])).is_err());
    }
}
