//! Keys of rows: what identifies them, how much memory one takes, and which files cannot hold them.
//!
//! A key is known by the 128-bit xxh3 hash of its columns in the encoding of `arrow-row`, which is the same for equal
//! values and different for different ones (floating-point numbers by their bits). Two different keys among n have the
//! same hash with a probability of n²/2¹²⁹: for a billion keys less than 10⁻²⁰.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Int32Array,
    Int64Array, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_cast::cast;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef};
use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType};

use super::ranges::Ranges;
use crate::error::{Error, ErrorKind, Result};
use crate::live::rows::field_id;

/// The hash of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash([u64; 2]);

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// A hash needs no hashing.
#[derive(Default)]
pub(crate) struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A map by key. An entry is 24 bytes and one of control, at a load between 7/16 and 7/8: 29 to 57 bytes a key, and
/// one and a half times as much for the moment in which the map grows.
pub(crate) type KeyMap = HashMap<KeyHash, u64, BuildHasherDefault<Taken>>;

/// The key columns of a table.
#[derive(Clone, Debug)]
pub(crate) struct KeyColumns {
    schema: SchemaRef,
}

impl KeyColumns {
    /// The columns of these names, in this order. Refuses no column, one the table lacks, and lists and maps.
    pub(crate) fn new(table: &SchemaRef, names: &[String]) -> Result<Self> {
        let refuse = |name: &str, reason: &str| {
            Error::new(ErrorKind::RowsMismatch).with("key column", name).with("reason", reason)
        };
        if names.is_empty() {
            return Err(refuse("", "a merge needs a key"));
        }
        let fields = names.iter().map(|name| {
            let Ok(field) = table.field_with_name(name) else {
                return Err(refuse(name, "the table has no such column"));
            };
            let is_scalar = !field.data_type().is_nested();
            if !is_scalar {
                return Err(refuse(name, "lists and maps cannot be keys"));
            }
            Ok(FieldRef::new(field.clone()))
        });
        Ok(Self { schema: Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)) })
    }

    /// The fields, with their identifiers.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn identifiers(&self) -> impl Iterator<Item = Option<i32>> {
        self.schema.fields().iter().map(field_id)
    }

    /// The key columns of rows that have them by name. Refuses nulls.
    pub(crate) fn of(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let columns = self.schema.fields().iter().map(|field| {
            let refuse = |reason: &str| {
                Error::new(ErrorKind::RowsMismatch)
                    .with("key column", field.name())
                    .with("reason", reason)
            };
            let column = rows
                .column_by_name(field.name())
                .ok_or_else(|| refuse("the rows lack a column of the key"))?;
            if column.data_type() != field.data_type() {
                return Err(refuse("the rows have another type than the table")
                    .with("type of the rows", column.data_type())
                    .with("type of the table", field.data_type()));
            }
            if column.null_count() > 0 {
                return Err(refuse("a column of the key holds nulls"));
            }
            Ok(Arc::clone(column))
        });
        columns.collect()
    }

    /// Makes hashes of keys.
    pub(crate) fn hasher(&self) -> Result<KeyHasher> {
        let fields = self.schema.fields().iter();
        let fields = fields.map(|field| SortField::new(field.data_type().clone())).collect();
        Ok(KeyHasher { rows: RowConverter::new(fields).map_err(unexpected)? })
    }

    /// Keeps the ranges of touched values.
    pub(crate) fn ranges(&self) -> Result<KeyRanges> {
        let columns = self.schema.fields().iter().map(|field| {
            let prunes = !matches!(
                field.data_type(),
                // NaN is in no bounds, and bytes have none.
                DataType::Float32 | DataType::Float64 | DataType::LargeBinary
            );
            let encoder = RowConverter::new(vec![SortField::new(field.data_type().clone())]);
            let encoder = encoder.map_err(unexpected)?;
            Ok(prunes.then(|| ColumnRanges {
                data_type: field.data_type().clone(),
                encoder,
                touched: Ranges::default(),
            }))
        });
        Ok(KeyRanges { columns: columns.collect::<Result<Vec<_>>>()? })
    }
}

/// Makes hashes of keys.
pub(crate) struct KeyHasher {
    rows: RowConverter,
}

impl KeyHasher {
    /// One hash a row. The columns have the types of the table.
    pub(crate) fn hash(&self, columns: &[ArrayRef]) -> Result<Vec<KeyHash>> {
        let rows = self.rows.convert_columns(columns).map_err(unexpected)?;
        let hash = |row: arrow_row::Row<'_>| {
            let hash = xxhash_rust::xxh3::xxh3_128(row.data());
            let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
            KeyHash([half(hash >> 64), half(hash)])
        };
        Ok(rows.iter().map(hash).collect())
    }
}

/// The ranges of touched values, one a key column; none for a column whose bounds cannot be trusted.
#[derive(Debug)]
pub(crate) struct KeyRanges {
    columns: Vec<Option<ColumnRanges>>,
}

#[derive(Debug)]
struct ColumnRanges {
    data_type: DataType,
    encoder: RowConverter,
    touched: Ranges,
}

impl KeyRanges {
    /// Adds the keys of some rows.
    pub(crate) fn add(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for (ranges, column) in self.columns.iter_mut().zip(columns) {
            let Some(ranges) = ranges else { continue };
            let rows = ranges.encoder.convert_columns(&[Arc::clone(column)]).map_err(unexpected)?;
            let mut last: Option<arrow_row::Row<'_>> = None;
            for row in &rows {
                if last.is_none_or(|last| last != row) {
                    ranges.touched.add(row.data());
                }
                last = Some(row);
            }
        }
        Ok(())
    }

    /// Call it before [`KeyRanges::may_meet`].
    pub(crate) fn settle(&mut self) {
        for ranges in self.columns.iter_mut().flatten() {
            ranges.touched.settle();
        }
    }

    /// Whether a touched key may be in a part of the table whose column `index` lies between these bounds.
    pub(crate) fn may_meet(&self, index: usize, lower: &Datum, upper: &Datum) -> bool {
        let Some(Some(ranges)) = self.columns.get(index) else { return true };
        let encode = |datum: &Datum| -> Option<Vec<u8>> {
            let value = cast(&one(datum).ok()??, &ranges.data_type).ok()?;
            if value.null_count() > 0 {
                return None;
            }
            let rows = ranges.encoder.convert_columns(&[value]).ok()?;
            Some(rows.row(0).data().to_vec())
        };
        match (encode(lower), encode(upper)) {
            (Some(lower), Some(upper)) => ranges.touched.meets(&lower, &upper),
            _unknown => true,
        }
    }
}

/// A bound as an array of one value; `None` for a type without trusted bounds.
fn one(datum: &Datum) -> Result<Option<ArrayRef>, ArrowError> {
    Ok(Some(match (datum.data_type(), datum.literal()) {
        (_, PrimitiveLiteral::Boolean(value)) => Arc::new(BooleanArray::from(vec![*value])),
        (PrimitiveType::Int, PrimitiveLiteral::Int(value)) => {
            Arc::new(Int32Array::from(vec![*value]))
        }
        (PrimitiveType::Date, PrimitiveLiteral::Int(value)) => {
            Arc::new(Date32Array::from(vec![*value]))
        }
        (PrimitiveType::Long, PrimitiveLiteral::Long(value)) => {
            Arc::new(Int64Array::from(vec![*value]))
        }
        (PrimitiveType::Time, PrimitiveLiteral::Long(value)) => {
            Arc::new(Time64MicrosecondArray::from(vec![*value]))
        }
        (PrimitiveType::Timestamp, PrimitiveLiteral::Long(value)) => {
            Arc::new(TimestampMicrosecondArray::from(vec![*value]))
        }
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(value)) => {
            Arc::new(TimestampMicrosecondArray::from(vec![*value]).with_timezone("+00:00"))
        }
        (PrimitiveType::String, PrimitiveLiteral::String(value)) => {
            Arc::new(StringArray::from(vec![value.as_str()]))
        }
        (PrimitiveType::Uuid, PrimitiveLiteral::UInt128(value)) => {
            let bytes = value.to_be_bytes();
            Arc::new(FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes))?)
        }
        (PrimitiveType::Decimal { precision, scale }, PrimitiveLiteral::Int128(value)) => {
            let (Ok(precision), Ok(scale)) = (u8::try_from(*precision), i8::try_from(*scale))
            else {
                return Ok(None);
            };
            let value = Decimal128Array::from(vec![*value]);
            Arc::new(value.with_precision_and_scale(precision, scale)?)
        }
        _other => return Ok(None),
    }))
}

fn unexpected(error: ArrowError) -> Error {
    Error::new(ErrorKind::Unexpected).because(error)
}
