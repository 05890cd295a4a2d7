//! For tests: the Arrow schema of a lake table that does not exist.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use ol_lake::schema::{LakeColumn, LakeType};

/// The schema as the lake hands it out for such columns.
pub(crate) fn arrow_schema(columns: &[LakeColumn]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| Field::new(&column.name, arrow_type(&column.lake_type), true))
        .collect();
    Arc::new(Schema::new(fields))
}

fn arrow_type(lake: &LakeType) -> DataType {
    match lake {
        LakeType::Boolean => DataType::Boolean,
        LakeType::Int => DataType::Int32,
        LakeType::Long => DataType::Int64,
        LakeType::Float => DataType::Float32,
        LakeType::Double => DataType::Float64,
        LakeType::Decimal { precision, scale } => {
            let scale = i8::try_from(*scale).expect("a scale of at most 38");
            DataType::Decimal128(*precision, scale)
        }
        LakeType::Date => DataType::Date32,
        LakeType::Time => DataType::Time64(TimeUnit::Microsecond),
        LakeType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        LakeType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        LakeType::String => DataType::Utf8,
        LakeType::Uuid => DataType::FixedSizeBinary(16),
        LakeType::Binary => DataType::LargeBinary,
        LakeType::List(element) => {
            DataType::List(Arc::new(Field::new("element", arrow_type(element), true)))
        }
        LakeType::Struct(fields) => {
            let field =
                |(name, lake): &(String, LakeType)| Field::new(name, arrow_type(lake), true);
            DataType::Struct(fields.iter().map(field).collect())
        }
        LakeType::StringMap => {
            let fields = vec![
                Field::new("key", DataType::Utf8, false),
                Field::new("value", DataType::Utf8, true),
            ];
            let entries = Field::new("key_value", DataType::Struct(fields.into()), false);
            DataType::Map(Arc::new(entries), false)
        }
    }
}
