//! The entry of a table in Glue: parameters, folder and columns, as Athena and PyIceberg write them.
//!
//! Readers of Iceberg take nothing but `metadata_location` from it. The columns are for people and for tools that list
//! the catalog; types that Hive does not know are written as the nearest that it does: `timestamptz` as `timestamp`,
//! `uuid` and `time` as `string`, `fixed` as `binary`.

use std::collections::{HashMap, HashSet};

use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types::{Column, StorageDescriptor, Table, TableInput};
use iceberg::spec::{NestedFieldRef, PrimitiveType, TableMetadata, Type};

use crate::catalog::Next;
use crate::error::{Error, ErrorKind, Result};

const LOCATION: &str = "metadata_location";
const PREVIOUS_LOCATION: &str = "previous_metadata_location";
const TABLE_TYPE: &str = "table_type";
/// The longest comment of a column: `CommentString` of the service's API.
const COMMENT_LIMIT: usize = 255;
/// The longest description of a table: `DescriptionString` of the service's API.
const DESCRIPTION_LIMIT: usize = 2048;

/// Address of the current metadata file, if the entry is that of an Iceberg table.
pub(super) fn location(table: &Table) -> Option<&str> {
    let parameters = table.parameters()?;
    let kind = parameters.get(TABLE_TYPE)?;
    kind.eq_ignore_ascii_case("iceberg").then(|| parameters.get(LOCATION).map(String::as_str))?
}

/// The entry of a table that is new, or that replaces `before`: what others have written beside ours stays.
pub(super) fn input(next: &Next<'_>, before: Option<&Table>) -> Result<TableInput> {
    let invalid = |error: BuildError| {
        Error::new(ErrorKind::SchemaInvalid).with("table", next.name).because(error)
    };
    let mut parameters = before.and_then(|table| table.parameters.clone()).unwrap_or_default();
    parameters.insert(TABLE_TYPE.to_owned(), "ICEBERG".to_owned());
    parameters.insert(LOCATION.to_owned(), next.location.to_owned());
    match next.base {
        Some(base) => parameters.insert(PREVIOUS_LOCATION.to_owned(), base.to_owned()),
        None => parameters.remove(PREVIOUS_LOCATION),
    };
    let mut storage = before
        .and_then(|table| table.storage_descriptor.clone())
        .unwrap_or_else(|| StorageDescriptor::builder().build());
    storage.location = Some(next.metadata.location().to_owned());
    storage.columns = Some(columns(next.metadata).map_err(invalid)?);
    let comment = next.metadata.properties().get("comment");
    let comment = comment.map(|text| text.chars().take(DESCRIPTION_LIMIT).collect::<String>());
    TableInput::builder()
        .name(&next.name.name)
        .table_type("EXTERNAL_TABLE")
        .set_description(comment.or_else(|| before.and_then(|table| table.description.clone())))
        .set_owner(before.and_then(|table| table.owner.clone()))
        .set_retention(before.map(|table| table.retention))
        .set_partition_keys(before.and_then(|table| table.partition_keys.clone()))
        .set_parameters(Some(parameters))
        .storage_descriptor(storage)
        .build()
        .map_err(invalid)
}

/// The columns of the current schema, then those that only earlier schemas have: Glue shows them as not current.
fn columns(metadata: &TableMetadata) -> Result<Vec<Column>, BuildError> {
    let mut names = HashSet::new();
    let mut columns = Vec::new();
    let current = metadata.current_schema();
    let mut earlier: Vec<_> = metadata
        .schemas_iter()
        .filter(|schema| schema.schema_id() != current.schema_id())
        .collect();
    earlier.sort_by_key(|schema| std::cmp::Reverse(schema.schema_id()));
    for (schema, is_current) in
        std::iter::once((current, true)).chain(earlier.into_iter().map(|schema| (schema, false)))
    {
        for field in schema.as_struct().fields() {
            if names.insert(field.name.clone()) {
                columns.push(column(field, is_current)?);
            }
        }
    }
    Ok(columns)
}

fn column(field: &NestedFieldRef, is_current: bool) -> Result<Column, BuildError> {
    let parameters = HashMap::from([
        ("iceberg.field.id".to_owned(), field.id.to_string()),
        ("iceberg.field.optional".to_owned(), (!field.required).to_string()),
        ("iceberg.field.current".to_owned(), is_current.to_string()),
    ]);
    let comment = field.doc.as_ref().map(|doc| doc.chars().take(COMMENT_LIMIT).collect::<String>());
    Column::builder()
        .name(&field.name)
        .r#type(hive_type(&field.field_type))
        .set_comment(comment)
        .set_parameters(Some(parameters))
        .build()
}

/// The type as Hive spells it, or the nearest that Hive has.
fn hive_type(field_type: &Type) -> String {
    match field_type {
        Type::Primitive(primitive) => match primitive {
            PrimitiveType::Boolean => "boolean".to_owned(),
            PrimitiveType::Int => "int".to_owned(),
            PrimitiveType::Long => "bigint".to_owned(),
            PrimitiveType::Float => "float".to_owned(),
            PrimitiveType::Double => "double".to_owned(),
            PrimitiveType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
            PrimitiveType::Date => "date".to_owned(),
            PrimitiveType::Timestamp
            | PrimitiveType::Timestamptz
            | PrimitiveType::TimestampNs
            | PrimitiveType::TimestamptzNs => "timestamp".to_owned(),
            PrimitiveType::Time | PrimitiveType::String | PrimitiveType::Uuid => {
                "string".to_owned()
            }
            PrimitiveType::Fixed(_) | PrimitiveType::Binary => "binary".to_owned(),
        },
        Type::Struct(inner) => {
            let fields = inner.fields().iter();
            let fields: Vec<String> = fields
                .map(|field| format!("{}:{}", field.name, hive_type(&field.field_type)))
                .collect();
            format!("struct<{}>", fields.join(","))
        }
        Type::List(list) => format!("array<{}>", hive_type(&list.element_field.field_type)),
        Type::Map(map) => format!(
            "map<{},{}>",
            hive_type(&map.key_field.field_type),
            hive_type(&map.value_field.field_type)
        ),
    }
}
