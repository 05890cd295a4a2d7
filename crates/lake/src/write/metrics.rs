//! What the table's metadata says about a data file: sizes, counts and bounds of its columns.
//!
//! Bounds are what readers skip files by, so a wrong one loses rows. They come from the statistics of the Parquet
//! footer, which shorten text at both ends in the right direction; NaN is never a bound, and a zero bound covers both
//! zeros.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, NestedFieldRef,
    PrimitiveType, SchemaRef, Struct, Type,
};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use crate::error::{Error, ErrorKind, Result};

/// A longer bound is left out; it would be copied into every manifest.
const LONGEST_BOUND_BYTES: usize = 256;

/// Nulls and NaNs of each column of one file, counted while its rows pass by.
pub(crate) struct Counts {
    fields: Vec<NestedFieldRef>,
    nulls: Vec<u64>,
    nans: Vec<u64>,
}

impl Counts {
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        let fields = schema.as_struct().fields().to_vec();
        Self { nulls: vec![0; fields.len()], nans: vec![0; fields.len()], fields }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only floating-point types have a NaN")]
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        let counts = self.nulls.iter_mut().zip(self.nans.iter_mut());
        for (column, (nulls, nans)) in batch.columns().iter().zip(counts) {
            *nulls += column.null_count() as u64;
            *nans += match column.data_type() {
                DataType::Float32 => {
                    let values = column.as_primitive::<Float32Type>().iter();
                    values.filter(|value| value.is_some_and(f32::is_nan)).count() as u64
                }
                DataType::Float64 => {
                    let values = column.as_primitive::<Float64Type>().iter();
                    values.filter(|value| value.is_some_and(f64::is_nan)).count() as u64
                }
                _other => 0,
            };
        }
    }
}

/// What else the entry of a file says.
pub(crate) struct Entry<'a> {
    pub(crate) address: &'a str,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) spec_id: i32,
    pub(crate) partition: &'a Struct,
}

/// The entry of a finished file.
pub(crate) fn data_file(
    schema: &SchemaRef,
    footer: &ParquetMetaData,
    counts: &Counts,
    entry: &Entry<'_>,
) -> Result<DataFile> {
    let mut value_counts = HashMap::new();
    let mut null_counts = HashMap::new();
    let mut nan_counts = HashMap::new();
    for ((field, nulls), nans) in counts.fields.iter().zip(&counts.nulls).zip(&counts.nans) {
        if let Type::Primitive(primitive) = field.field_type.as_ref() {
            value_counts.insert(field.id, entry.rows);
            null_counts.insert(field.id, *nulls);
            if matches!(primitive, PrimitiveType::Float | PrimitiveType::Double) {
                nan_counts.insert(field.id, *nans);
            }
        }
    }
    let mut column_sizes: HashMap<i32, u64> = HashMap::new();
    let mut bounds: HashMap<i32, Bounds> = HashMap::new();
    let mut split_offsets = Vec::new();
    for row_group in footer.row_groups() {
        let mut start = i64::MAX;
        for chunk in row_group.columns() {
            let first_page = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
            start = start.min(first_page);
            let info = chunk.column_descr().self_type().get_basic_info();
            if !info.has_id() {
                continue;
            }
            let size = u64::try_from(chunk.compressed_size()).unwrap_or(0);
            *column_sizes.entry(info.id()).or_default() += size;
            if let Some(field) = schema.as_struct().field_by_id(info.id())
                && let Type::Primitive(primitive) = field.field_type.as_ref()
            {
                bounds.entry(info.id()).or_default().add(primitive, chunk.statistics());
            }
        }
        if start != i64::MAX {
            split_offsets.push(start);
        }
    }
    let mut lower_bounds = HashMap::new();
    let mut upper_bounds = HashMap::new();
    for (identifier, bounds) in bounds {
        if let Some((lower, upper)) = bounds.finish() {
            lower_bounds.insert(identifier, lower);
            upper_bounds.insert(identifier, upper);
        }
    }
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(entry.address.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(entry.partition.clone())
        .partition_spec_id(entry.spec_id)
        .record_count(entry.rows)
        .file_size_in_bytes(entry.bytes)
        .column_sizes(column_sizes)
        .value_counts(value_counts)
        .null_value_counts(null_counts)
        .nan_value_counts(nan_counts)
        .lower_bounds(lower_bounds)
        .upper_bounds(upper_bounds)
        .split_offsets((!split_offsets.is_empty()).then_some(split_offsets))
        .build()
        .map_err(|error| Error::new(ErrorKind::Unexpected).because(error))
}

/// The bounds of one column over the row groups of a file.
#[derive(Default)]
enum Bounds {
    /// No row group with a value yet.
    #[default]
    Empty,
    Between(Datum, Datum),
    /// A row group has values and no bounds, so the file has none.
    Unknown,
}

impl Bounds {
    fn add(&mut self, primitive: &PrimitiveType, statistics: Option<&Statistics>) {
        let Some(statistics) = statistics else {
            *self = Self::Unknown;
            return;
        };
        let Some((lower, upper)) = bounds_of(primitive, statistics) else {
            // Without bounds a row group is all null, all NaN, or not understood; only the first adds nothing.
            if !is_all_null(statistics) {
                *self = Self::Unknown;
            }
            return;
        };
        *self = match std::mem::take(self) {
            Self::Unknown => Self::Unknown,
            Self::Empty => Self::Between(lower, upper),
            Self::Between(least, most) => Self::Between(
                if lower < least { lower } else { least },
                if upper > most { upper } else { most },
            ),
        };
    }

    fn finish(self) -> Option<(Datum, Datum)> {
        match self {
            Self::Between(lower, upper) => Some((lower, upper)),
            Self::Empty | Self::Unknown => None,
        }
    }
}

/// Statistics of a chunk of nulls have no bounds and count every value as null.
fn is_all_null(statistics: &Statistics) -> bool {
    // Parquet leaves the distinct count out; a chunk with any value other than NaN has bounds.
    statistics.min_bytes_opt().is_none()
        && !matches!(statistics, Statistics::Float(_) | Statistics::Double(_))
}

pub(crate) fn bounds_of(
    primitive: &PrimitiveType,
    statistics: &Statistics,
) -> Option<(Datum, Datum)> {
    let both = |make: &dyn Fn(&[u8]) -> Option<Datum>| {
        let (lower, upper) = (statistics.min_bytes_opt()?, statistics.max_bytes_opt()?);
        if lower.len() > LONGEST_BOUND_BYTES || upper.len() > LONGEST_BOUND_BYTES {
            return None;
        }
        Some((make(lower)?, make(upper)?))
    };
    match (primitive, statistics) {
        (PrimitiveType::Float, Statistics::Float(values)) => {
            let (lower, upper) = (*values.min_opt()?, *values.max_opt()?);
            let lower = if lower == 0.0 { -0.0 } else { lower };
            let upper = if upper == 0.0 { 0.0 } else { upper };
            (!lower.is_nan() && !upper.is_nan()).then(|| (Datum::float(lower), Datum::float(upper)))
        }
        (PrimitiveType::Double, Statistics::Double(values)) => {
            let (lower, upper) = (*values.min_opt()?, *values.max_opt()?);
            let lower = if lower == 0.0 { -0.0 } else { lower };
            let upper = if upper == 0.0 { 0.0 } else { upper };
            (!lower.is_nan() && !upper.is_nan())
                .then(|| (Datum::double(lower), Datum::double(upper)))
        }
        // Parquet's integers are little-endian, the table's decimals are big-endian two's complement.
        (PrimitiveType::Decimal { .. }, Statistics::Int32(_) | Statistics::Int64(_)) => {
            both(&|bytes| {
                let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
                Datum::try_from_bytes(&reversed, primitive.clone()).ok()
            })
        }
        (PrimitiveType::Decimal { .. } | PrimitiveType::Uuid, Statistics::FixedLenByteArray(_))
        | (PrimitiveType::Boolean, Statistics::Boolean(_))
        | (PrimitiveType::Int | PrimitiveType::Date, Statistics::Int32(_))
        | (
            PrimitiveType::Long
            | PrimitiveType::Time
            | PrimitiveType::Timestamp
            | PrimitiveType::Timestamptz,
            Statistics::Int64(_),
        )
        | (PrimitiveType::String, Statistics::ByteArray(_)) => {
            both(&|bytes| Datum::try_from_bytes(bytes, primitive.clone()).ok())
        }
        _other => None,
    }
}
