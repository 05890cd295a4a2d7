//! The metadata columns that other loaders write, for tables whose readers go by them.
//!
//! Names and types are those that the platform's tables have: `_airbyte_extracted_at` counts milliseconds, as Airbyte
//! wrote it there (where a table has it as an instant, it stays one), and `_airbyte_meta` is a struct.
//!
//! The platform's dbt macro `deduplicate_raw_table` keeps, of each key, the row with the highest
//! `_airbyte_extracted_at`. All rows of one run that were copied have the same, and a key occurs once among them. Changes
//! of one key may follow each other within a run, so each row of a stream has at least a millisecond more than the
//! one before.
//!
//! `_airbyte_raw_id` and `_dlt_id` are unique. That of a change is made of its position, so it is the same whoever reads
//! it again; a copied row has no position of its own, and its is made of a random number and a count.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{
    ArrayRef, Int64Array, ListArray, StringArray, StructArray, TimestampMicrosecondArray,
    new_empty_array, new_null_array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType};
use ol_lake::schema::{LakeColumn, LakeType};
use xxhash_rust::xxh3::xxh3_128;

use crate::inventory::MetadataColumns;

/// One of these columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// `_airbyte_raw_id`: unique.
    RawId,
    /// `_airbyte_extracted_at`: when the row was read.
    ExtractedAt,
    /// `_airbyte_meta`: what happened to the row on its way; nothing.
    Meta,
    /// `_airbyte_generation_id`: raised by refreshes of Airbyte, so always 0.
    GenerationId,
    /// `_dlt_load_id`: the run, as the seconds at which it began.
    LoadId,
    /// `_dlt_id`: unique.
    DltId,
}

const ALL: [(&str, Foreign); 6] = [
    ("_airbyte_raw_id", Foreign::RawId),
    ("_airbyte_extracted_at", Foreign::ExtractedAt),
    ("_airbyte_meta", Foreign::Meta),
    ("_airbyte_generation_id", Foreign::GenerationId),
    ("_dlt_load_id", Foreign::LoadId),
    ("_dlt_id", Foreign::DltId),
];

impl Foreign {
    /// The column of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
    }

    fn lake_type(self) -> LakeType {
        match self {
            Self::RawId | Self::LoadId | Self::DltId => LakeType::String,
            Self::ExtractedAt | Self::GenerationId => LakeType::Long,
            Self::Meta => {
                let text = |name: &str| (name.to_owned(), LakeType::String);
                let change = LakeType::Struct(vec![text("field"), text("change"), text("reason")]);
                LakeType::Struct(vec![
                    ("sync_id".to_owned(), LakeType::Long),
                    ("changes".to_owned(), LakeType::List(Box::new(change))),
                ])
            }
        }
    }
}

/// The columns of a set, in order.
#[must_use]
pub fn columns(set: MetadataColumns) -> Vec<LakeColumn> {
    let prefix = match set {
        MetadataColumns::Native => return Vec::new(),
        MetadataColumns::Airbyte => "_airbyte_",
        MetadataColumns::Dlt => "_dlt_",
    };
    ALL.iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, column)| LakeColumn::optional(*name, column.lake_type()))
        .collect()
}

/// Makes these columns for the batches of one writer.
#[derive(Debug)]
pub struct ForeignValues {
    extracted_at_microseconds: i64,
    /// What ids of copied rows are made of.
    random: u128,
    made: u64,
    /// The milliseconds of the last row of a stream.
    last: i64,
}

impl Clone for ForeignValues {
    /// Another writer, which makes other ids.
    fn clone(&self) -> Self {
        Self::new(self.extracted_at_microseconds)
    }
}

impl ForeignValues {
    /// Values of a run that began at this time.
    #[must_use]
    pub fn new(extracted_at_microseconds: i64) -> Self {
        let last = extracted_at_microseconds.div_euclid(1000) - 1;
        Self { extracted_at_microseconds, random: uuid::Uuid::new_v4().as_u128(), made: 0, last }
    }

    /// Begins a batch of `rows` rows, which have these positions if they are changes.
    #[must_use]
    pub fn batch(&mut self, rows: usize, positions: Option<&ArrayRef>) -> ForeignBatch {
        let first = self.made;
        self.made += rows as u64;
        let id = |row: usize| {
            let own = positions.map(|positions| positions.as_string::<i32>().value(row));
            match own.filter(|position| position.contains('.')) {
                Some(position) => xxh3_128(position.as_bytes()),
                None => {
                    let mut seed = self.random.to_be_bytes().to_vec();
                    seed.extend((first + row as u64).to_be_bytes());
                    xxh3_128(&seed)
                }
            }
        };
        let ids = (0..rows).map(id).collect();
        let at = self.extracted_at_microseconds.div_euclid(1000);
        let milliseconds = match positions {
            None => vec![at; rows],
            Some(_) => {
                let begin = self.last + 1;
                self.last += i64::try_from(rows).unwrap_or(0);
                (begin..=self.last).collect()
            }
        };
        ForeignBatch { ids, milliseconds, load: self.extracted_at_microseconds }
    }
}

/// The values of one batch.
pub struct ForeignBatch {
    ids: Vec<u128>,
    milliseconds: Vec<i64>,
    load: i64,
}

impl ForeignBatch {
    /// One column, of the type that the table has it in.
    ///
    /// # Errors
    /// The table has it in a type that no other loader writes.
    pub fn column(&self, column: Foreign, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let rows = self.ids.len();
        let array: ArrayRef = match (column, data_type) {
            (Foreign::RawId, DataType::Utf8) => {
                let text = |id: &u128| {
                    uuid::Builder::from_custom_bytes(id.to_be_bytes()).into_uuid().to_string()
                };
                Arc::new(StringArray::from_iter_values(self.ids.iter().map(text)))
            }
            (Foreign::DltId, DataType::Utf8) => Arc::new(StringArray::from_iter_values(
                self.ids.iter().map(|id| format!("{id:032x}")),
            )),
            (Foreign::LoadId, DataType::Utf8) => {
                let (seconds, rest) =
                    (self.load.div_euclid(1_000_000), self.load.rem_euclid(1_000_000));
                let text = format!("{seconds}.{rest:06}");
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
            }
            (Foreign::ExtractedAt, DataType::Int64) => {
                Arc::new(Int64Array::from(self.milliseconds.clone()))
            }
            (Foreign::ExtractedAt, DataType::Timestamp(..)) => {
                let instants = self.milliseconds.iter().map(|at| at.saturating_mul(1000));
                Arc::new(
                    TimestampMicrosecondArray::from_iter_values(instants)
                        .with_data_type(data_type.clone()),
                )
            }
            (Foreign::GenerationId, DataType::Int64) => Arc::new(Int64Array::from(vec![0; rows])),
            (Foreign::Meta, DataType::Struct(_)) => nothing(data_type, rows)?,
            (_, other) => {
                return Err(ArrowError::SchemaError(format!("{column:?} cannot be {other}")));
            }
        };
        Ok(array)
    }
}

/// A struct of zeros and empty lists.
fn nothing(data_type: &DataType, rows: usize) -> Result<ArrayRef, ArrowError> {
    Ok(match data_type {
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|field| nothing(field.data_type(), rows));
            Arc::new(StructArray::try_new(
                fields.clone(),
                columns.collect::<Result<_, _>>()?,
                None,
            )?)
        }
        DataType::List(field) => Arc::new(ListArray::try_new(
            field.clone(),
            OffsetBuffer::new_zeroed(rows),
            new_empty_array(field.data_type()),
            None,
        )?),
        DataType::Int64 => Arc::new(Int64Array::from(vec![0; rows])),
        other => new_null_array(other, rows),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::collections::BTreeSet;

    use arrow_array::Array as _;

    use super::*;

    fn ids(batch: &ForeignBatch) -> BTreeSet<String> {
        let column = batch.column(Foreign::RawId, &DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    }

    #[test]
    fn ids_are_unique_across_batches_and_writers_and_those_of_changes_are_the_same_again() {
        let mut values = ForeignValues::new(5_000);
        let mut other = values.clone();
        let mut all = ids(&values.batch(100, None));
        all.extend(ids(&values.batch(100, None)));
        all.extend(ids(&other.batch(100, None)));
        assert_eq!(all.len(), 300);
        let positions: ArrayRef = Arc::new(StringArray::from(vec!["A.0", "A.1"]));
        assert_eq!(ids(&values.batch(2, Some(&positions))), ids(&other.batch(2, Some(&positions))));
        // Deletes that a sweep finds share a position, which is no change's.
        let same: ArrayRef = Arc::new(StringArray::from(vec!["A", "A"]));
        assert_eq!(ids(&values.batch(2, Some(&same))).len(), 2);
    }

    #[test]
    fn changes_of_a_stream_come_one_after_the_other() {
        let mut values = ForeignValues::new(5_000_999);
        assert_eq!(values.batch(2, None).milliseconds, [5_000, 5_000]);
        let positions: ArrayRef = Arc::new(StringArray::from(vec!["A.0", "A.1"]));
        assert_eq!(values.batch(2, Some(&positions)).milliseconds, [5_000, 5_001]);
        assert_eq!(values.batch(2, Some(&positions)).milliseconds, [5_002, 5_003]);
    }

    #[test]
    fn every_column_has_the_type_it_is_made_as() {
        let mut values = ForeignValues::new(1_732_458_000_000_001);
        let batch = values.batch(3, None);
        for set in [MetadataColumns::Airbyte, MetadataColumns::Dlt] {
            let columns = columns(set);
            let schema = crate::column::testing::arrow_schema(&columns);
            for field in schema.fields() {
                let made =
                    batch.column(Foreign::named(field.name()).unwrap(), field.data_type()).unwrap();
                assert_eq!(
                    (made.data_type(), made.len()),
                    (field.data_type(), 3),
                    "{}",
                    field.name()
                );
            }
        }
        let load = batch.column(Foreign::LoadId, &DataType::Utf8).unwrap();
        assert_eq!(load.as_string::<i32>().value(0), "1732458000.000001");
        assert!(columns(MetadataColumns::Native).is_empty());
    }
}
