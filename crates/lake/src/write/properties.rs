//! How each column is encoded.
//!
//! A dictionary costs a hash of every value; it pays when values repeat. The writer of the Parquet crate tries one for
//! every column of every row group and gives up at a megabyte. Looking at a few values of the first rows decides it
//! beforehand, which halves the time of a table with keys, amounts and comments.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema as ArrowSchema};
use iceberg::spec::{PrimitiveType, SchemaRef, Type as IcebergType};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, LogicalType, Type as PhysicalType, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::error::{Error, ErrorKind, Result};
use crate::settings::WriteOptions;

/// Values looked at in each column.
const SAMPLE_VALUES: usize = 1024;
/// A dictionary is tried when at most this share of the sample is distinct.
const DISTINCT_PERCENT: usize = 50;
/// Values longer than this are not sampled; a dictionary of them would not fit anyway.
const LONG_VALUE_BYTES: usize = 256;
/// Statistics keep this many bytes of text, enough to prune and too few to hold a document.
const STATISTICS_BYTES: usize = 32;

/// The Parquet schema of the table. Arrow has no `uuid`, so its annotation is added to the 16-byte columns.
pub(crate) fn parquet_schema(
    schema: &ArrowSchema,
    table_schema: &SchemaRef,
) -> Result<SchemaDescriptor> {
    let converted = ArrowSchemaConverter::new()
        .schema_root("table")
        .convert(schema)
        .map_err(Error::from_parquet)?;
    let root = annotate(converted.root_schema(), table_schema)?;
    Ok(SchemaDescriptor::new(root))
}

fn annotate(parquet_type: &Type, table_schema: &SchemaRef) -> Result<Arc<Type>> {
    let info = parquet_type.get_basic_info();
    let identifier = info.has_id().then(|| info.id());
    if let Type::GroupType { fields, .. } = parquet_type {
        let fields =
            fields.iter().map(|field| annotate(field, table_schema)).collect::<Result<Vec<_>>>()?;
        let mut builder = Type::group_type_builder(info.name())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_id(identifier)
            .with_fields(fields);
        if info.has_repetition() {
            builder = builder.with_repetition(info.repetition());
        }
        return builder.build().map(Arc::new).map_err(Error::from_parquet);
    }
    let field = identifier.and_then(|identifier| table_schema.field_by_id(identifier));
    let is_uuid =
        field.is_some_and(|field| *field.field_type == IcebergType::Primitive(PrimitiveType::Uuid));
    if !is_uuid {
        return Ok(Arc::new(parquet_type.clone()));
    }
    Type::primitive_type_builder(info.name(), PhysicalType::FIXED_LEN_BYTE_ARRAY)
        .with_length(16)
        .with_logical_type(Some(LogicalType::Uuid))
        .with_repetition(info.repetition())
        .with_id(identifier)
        .build()
        .map(Arc::new)
        .map_err(Error::from_parquet)
}

/// The properties of one file, decided by its first rows.
pub(crate) fn choose(
    sample: &RecordBatch,
    schema: &SchemaDescriptor,
    options: &WriteOptions,
) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(options.compression_level).map_err(|error| {
        Error::new(ErrorKind::Settings)
            .with("compression level", options.compression_level)
            .because(error)
    })?;
    let columns = schema.num_columns().max(1);
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("ol-lake ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        // The encoder closes row groups by bytes; this crate's own limit would only cut slices.
        .set_max_row_group_row_count(None)
        .set_data_page_size_limit(page_bytes(options, columns))
        .set_dictionary_page_size_limit(page_bytes(options, columns))
        .set_data_page_row_count_limit(usize::MAX)
        // Statistics of row groups prune well enough for files of this size; an index of pages costs a pass more.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(true);
    for leaf in schema.columns() {
        let path = leaf.path().clone();
        let [name] = path.parts() else {
            // A value inside a list or map: no reader prunes by it.
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
            continue;
        };
        let Some(column) = sample.column_by_name(name) else { continue };
        if matches!(column.data_type(), DataType::LargeBinary) {
            // No reader prunes by bytes, and a bound of bytes cannot always be shortened.
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        if repeats(column.as_ref()) {
            continue;
        }
        builder = builder.set_column_dictionary_enabled(path.clone(), false);
        if matches!(leaf.physical_type(), PhysicalType::INT32 | PhysicalType::INT64) {
            builder = builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(builder.build())
}

/// A page a column is what a file holds besides its encoded row group, so many columns mean small pages.
fn page_bytes(options: &WriteOptions, columns: usize) -> usize {
    (64_usize << 20)
        .checked_div(columns)
        .unwrap_or(0)
        .clamp(32 << 10, options.page_bytes.max(32 << 10))
}

/// Whether the values of a column repeat enough for a dictionary to pay.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a type without a fixed width keeps the default, a dictionary"
)]
fn repeats(column: &dyn Array) -> bool {
    let step = column.len().div_ceil(SAMPLE_VALUES).max(1);
    let rows = (0..column.len()).step_by(step).filter(|row| column.is_valid(*row));
    match column.data_type() {
        DataType::Boolean => false,
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            is_repetitive(rows.map(|row| values.value(row).as_bytes()))
        }
        DataType::LargeBinary => {
            let values = column.as_binary::<i64>();
            is_repetitive(rows.map(|row| values.value(row)))
        }
        other => {
            let Some(width) = other.primitive_width().or(match other {
                DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
                _variable => None,
            }) else {
                return true;
            };
            let data = column.to_data();
            let offset = data.offset();
            let Some(buffer) = data.buffers().first() else { return true };
            is_repetitive(rows.filter_map(|row| {
                let start = (offset + row) * width;
                buffer.as_slice().get(start..start + width)
            }))
        }
    }
}

fn is_repetitive<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut distinct = BTreeSet::new();
    let (mut seen, mut long) = (0_usize, 0_usize);
    for value in values {
        seen += 1;
        if value.len() > LONG_VALUE_BYTES {
            long += 1;
        } else {
            distinct.insert(value);
        }
    }
    (distinct.len() + long) * 100 <= seen * DISTINCT_PERCENT
}

#[cfg(test)]
mod tests {
    use arrow_array::{Decimal128Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn keys_do_not_repeat_and_flags_do() {
        assert!(!repeats(&Int64Array::from_iter_values(0..5000)));
        assert!(repeats(&Int64Array::from_iter_values((0..5000).map(|i| i % 50))));
        assert!(repeats(&Int64Array::from(vec![None, None])));
        assert!(repeats(&StringArray::from_iter_values((0..500).map(|i| format!("{}", i % 3)))));
        assert!(!repeats(&StringArray::from_iter_values((0..500).map(|i| format!("{i}")))));
        assert!(!repeats(&Decimal128Array::from_iter_values(0..5000)));
        assert!(!repeats(&StringArray::from_iter_values((0..500).map(|_| "x".repeat(300)))));
    }

    #[test]
    fn a_slice_is_sampled_where_it_stands() {
        let values = Int64Array::from_iter_values((0..2000).map(|i| if i < 1000 { 7 } else { i }));
        assert!(repeats(&values.slice(0, 1000)));
        assert!(!repeats(&values.slice(1000, 1000)));
    }

    #[test]
    fn many_columns_mean_small_pages() {
        let options = WriteOptions::default();
        assert_eq!(page_bytes(&options, 16), 1 << 20);
        assert_eq!(page_bytes(&options, 1600), (64 << 20) / 1600);
        assert_eq!(page_bytes(&options, 100_000), 32 << 10);
    }
}
