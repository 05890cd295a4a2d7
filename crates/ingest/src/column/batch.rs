//! Puts the decoded columns and our metadata columns together into a batch of the lake table's schema.
//!
//! The lake's schema rules: a column that the source no longer has is NULL, a column of the source that the lake
//! does not have is an error (the schema is evolved before reading begins).

use std::sync::Arc;

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{
    Array, ArrayRef, MapArray, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::{ArrowError, DataType, SchemaRef};

use super::metadata;

/// A value that did not fit its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// The row in the batch.
    pub row: usize,
    /// The index of the source column.
    pub column: usize,
    /// The exact text.
    pub text: String,
}

/// What is the same in every row of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunColumns {
    /// The position, as sortable text.
    pub position: String,
    /// Microseconds since 1970-01-01 UTC.
    pub extracted_at_microseconds: i64,
    /// The run.
    pub run_id: String,
}

/// Where the values of a lake column come from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Source(usize),
    Position,
    ExtractedAt,
    RunId,
    Odd,
    Nothing,
}

/// Assembles batches of one table.
#[derive(Debug, Clone)]
pub struct Assembler {
    schema: SchemaRef,
    names: Arc<[String]>,
    origins: Vec<Origin>,
    run: RunColumns,
    /// Constant columns of the longest batch so far; shorter ones are slices of them.
    constants: Option<Constants>,
}

#[derive(Debug, Clone)]
struct Constants {
    position: ArrayRef,
    extracted_at: ArrayRef,
    run_id: ArrayRef,
}

impl Assembler {
    /// An assembler of batches with `schema` from source columns called `names`, in the order they are decoded.
    ///
    /// # Errors
    /// A source column that the lake table does not have.
    pub fn new(schema: SchemaRef, names: Vec<String>, run: RunColumns) -> Result<Self, ArrowError> {
        if let Some(name) = names.iter().find(|name| schema.column_with_name(name).is_none()) {
            return Err(ArrowError::SchemaError(format!("the lake table has no column {name}")));
        }
        let origins = schema
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                metadata::POSITION => Origin::Position,
                metadata::EXTRACTED_AT => Origin::ExtractedAt,
                metadata::RUN_ID => Origin::RunId,
                metadata::ODD => Origin::Odd,
                name => names
                    .iter()
                    .position(|known| known == name)
                    .map_or(Origin::Nothing, Origin::Source),
            })
            .collect();
        Ok(Self { schema, names: names.into(), origins, run, constants: None })
    }

    /// The Arrow type of a lake column.
    #[must_use]
    pub fn column_type(&self, name: &str) -> Option<&DataType> {
        self.schema.column_with_name(name).map(|(_, field)| field.data_type())
    }

    /// The name of a source column.
    #[must_use]
    pub fn name(&self, column: usize) -> &str {
        self.names.get(column).map_or("", String::as_str)
    }

    /// A batch of `rows` rows from the decoded `columns`.
    ///
    /// # Errors
    /// An array is not of the column's type.
    pub fn assemble(
        &mut self,
        rows: usize,
        columns: Vec<ArrayRef>,
        odd: &[Odd],
    ) -> Result<RecordBatch, ArrowError> {
        if self.constants.as_ref().is_none_or(|constants| constants.position.len() < rows) {
            self.constants = Some(self.constants(rows));
        }
        let constants = self.constants.as_ref().expect("set above");
        let mut arrays = Vec::with_capacity(self.origins.len());
        for (origin, field) in self.origins.iter().zip(self.schema.fields()) {
            arrays.push(match origin {
                Origin::Source(index) => columns.get(*index).cloned().ok_or_else(|| {
                    ArrowError::SchemaError(format!("column {} is missing", field.name()))
                })?,
                Origin::Position => constants.position.slice(0, rows),
                Origin::ExtractedAt => constants.extracted_at.slice(0, rows),
                Origin::RunId => constants.run_id.slice(0, rows),
                Origin::Odd if odd.is_empty() => new_null_array(field.data_type(), rows),
                Origin::Odd => Arc::new(self.odd_column(rows, odd, field.data_type())?),
                Origin::Nothing => new_null_array(field.data_type(), rows),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
    }

    fn constants(&self, rows: usize) -> Constants {
        let repeat = |text: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
        };
        let instants =
            TimestampMicrosecondArray::from_value(self.run.extracted_at_microseconds, rows);
        Constants {
            position: repeat(&self.run.position),
            extracted_at: Arc::new(instants.with_timezone("+00:00")),
            run_id: repeat(&self.run.run_id),
        }
    }

    /// The map column: an entry for each value of a row that did not fit, NULL for a row without any.
    fn odd_column(
        &self,
        rows: usize,
        odd: &[Odd],
        data_type: &DataType,
    ) -> Result<MapArray, ArrowError> {
        let DataType::Map(entries, _) = data_type else {
            return Err(ArrowError::SchemaError(format!("{} is not a map", metadata::ODD)));
        };
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(ArrowError::SchemaError(format!("{} has no entries", metadata::ODD)));
        };
        let [key, value] = fields.as_ref() else {
            return Err(ArrowError::SchemaError(format!("{} has no key and value", metadata::ODD)));
        };
        let names = MapFieldNames {
            entry: entries.name().clone(),
            key: key.name().clone(),
            value: value.name().clone(),
        };
        let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
            .with_keys_field(key.clone())
            .with_values_field(value.clone());
        let mut left = odd.iter().peekable();
        for row in 0..rows {
            let mut any = false;
            while let Some(entry) = left.next_if(|entry| entry.row == row) {
                builder.keys().append_value(self.name(entry.column));
                builder.values().append_value(&entry.text);
                any = true;
            }
            builder.append(any)?;
        }
        let array = builder.finish();
        // The entries field carries the lake's metadata, which the builder does not know.
        let (_, offsets, entries_array, nulls, ordered) = array.into_parts();
        MapArray::try_new(entries.clone(), offsets, entries_array, nulls, ordered)
    }
}
