//! [`LakeSchema`] to Iceberg's schema and back.

use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Type,
};

use super::{LakeColumn, LakeSchema, LakeType, unreadable_name};
use crate::error::{Error, ErrorKind, Result};

/// Gives out field identifiers that no column of a table has had before.
#[derive(Debug)]
pub(crate) struct FieldIdentifiers {
    last: i32,
}

impl FieldIdentifiers {
    /// The next identifier given is `last + 1`.
    pub(crate) fn after(last: i32) -> Self {
        Self { last }
    }

    fn next(&mut self) -> i32 {
        self.last += 1;
        self.last
    }
}

/// Checks what no table can have, whatever its history: a name twice or unreadable, a decimal out of range.
pub(crate) fn check(schema: &LakeSchema) -> Result<()> {
    let mut names = BTreeSet::new();
    for column in &schema.columns {
        let refuse = |reason: &str| {
            Err(Error::new(ErrorKind::SchemaInvalid)
                .with("column", &column.name)
                .with("reason", reason))
        };
        if !names.insert(column.name.as_str()) {
            return refuse("two columns have this name");
        }
        if let Some(reason) = unreadable_name(&column.name) {
            return refuse(reason);
        }
        if let Some(reason) = unusable_type(&column.lake_type) {
            return refuse(reason);
        }
    }
    Ok(())
}

fn unusable_type(lake_type: &LakeType) -> Option<&'static str> {
    match lake_type {
        LakeType::Decimal { precision, .. } if !(1..=38).contains(precision) => {
            Some("a decimal has 1 to 38 digits")
        }
        LakeType::Decimal { precision, scale } if scale > precision => {
            Some("a decimal has no more digits after the point than in all")
        }
        LakeType::List(element) => unusable_type(element),
        LakeType::Struct(fields) => fields.iter().find_map(|(_, field)| unusable_type(field)),
        LakeType::Boolean
        | LakeType::Int
        | LakeType::Long
        | LakeType::Float
        | LakeType::Double
        | LakeType::Decimal { .. }
        | LakeType::Date
        | LakeType::Time
        | LakeType::Timestamp
        | LakeType::Timestamptz
        | LakeType::String
        | LakeType::Uuid
        | LakeType::Binary
        | LakeType::StringMap => None,
    }
}

/// The first schema of a new table. The catalog may number the fields anew.
pub(crate) fn to_iceberg(schema: &LakeSchema) -> Result<Schema> {
    check(schema)?;
    let mut identifiers = FieldIdentifiers::after(0);
    let fields: Vec<NestedFieldRef> = schema
        .columns
        .iter()
        .map(|column| new_field(column, column.required, &mut identifiers))
        .collect();
    Schema::builder()
        .with_schema_id(0)
        .with_fields(fields)
        .build()
        .map_err(|error| Error::from_iceberg(ErrorKind::SchemaInvalid, error))
}

/// A field for a column the table has not had.
pub(crate) fn new_field(
    column: &LakeColumn,
    required: bool,
    identifiers: &mut FieldIdentifiers,
) -> NestedFieldRef {
    let identifier = identifiers.next();
    let field_type = to_iceberg_type(&column.lake_type, identifiers);
    let field = NestedField::new(identifier, &column.name, field_type, required);
    Arc::new(match &column.doc {
        Some(doc) => field.with_doc(doc),
        None => field,
    })
}

fn to_iceberg_type(lake_type: &LakeType, identifiers: &mut FieldIdentifiers) -> Type {
    let primitive = match lake_type {
        LakeType::Boolean => PrimitiveType::Boolean,
        LakeType::Int => PrimitiveType::Int,
        LakeType::Long => PrimitiveType::Long,
        LakeType::Float => PrimitiveType::Float,
        LakeType::Double => PrimitiveType::Double,
        LakeType::Decimal { precision, scale } => {
            PrimitiveType::Decimal { precision: u32::from(*precision), scale: u32::from(*scale) }
        }
        LakeType::Date => PrimitiveType::Date,
        LakeType::Time => PrimitiveType::Time,
        LakeType::Timestamp => PrimitiveType::Timestamp,
        LakeType::Timestamptz => PrimitiveType::Timestamptz,
        LakeType::String => PrimitiveType::String,
        LakeType::Uuid => PrimitiveType::Uuid,
        LakeType::Binary => PrimitiveType::Binary,
        LakeType::List(element) => {
            let identifier = identifiers.next();
            let element = to_iceberg_type(element, identifiers);
            return Type::List(ListType::new(Arc::new(NestedField::list_element(
                identifier, element, false,
            ))));
        }
        LakeType::Struct(fields) => {
            let own: Vec<i32> = fields.iter().map(|_| identifiers.next()).collect();
            let fields = fields.iter().zip(own).map(|((name, field), identifier)| {
                let field_type = to_iceberg_type(field, identifiers);
                Arc::new(NestedField::optional(identifier, name, field_type))
            });
            return Type::Struct(StructType::new(fields.collect()));
        }
        LakeType::StringMap => {
            let (key, value) = (identifiers.next(), identifiers.next());
            let text = || Type::Primitive(PrimitiveType::String);
            return Type::Map(MapType::optional(key, text(), value, text()));
        }
    };
    Type::Primitive(primitive)
}

/// The columns of an Iceberg schema; a type this platform never writes is an error that names the column.
pub(crate) fn from_iceberg(schema: &Schema) -> Result<LakeSchema> {
    let columns = schema
        .as_struct()
        .fields()
        .iter()
        .map(|field| {
            let lake_type = from_iceberg_type(&field.field_type).ok_or_else(|| {
                Error::new(ErrorKind::SchemaConflict)
                    .with("column", &field.name)
                    .with("type", &field.field_type)
                    .with("reason", "another writer gave the column a type that is not supported")
            })?;
            Ok(LakeColumn {
                name: field.name.clone(),
                lake_type,
                required: field.required,
                doc: field.doc.clone(),
                was: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(LakeSchema { columns })
}

/// The lake type of an Iceberg type, or `None` for one this platform never writes.
pub(crate) fn from_iceberg_type(field_type: &Type) -> Option<LakeType> {
    let text = Type::Primitive(PrimitiveType::String);
    match field_type {
        Type::Primitive(primitive) => match primitive {
            PrimitiveType::Boolean => Some(LakeType::Boolean),
            PrimitiveType::Int => Some(LakeType::Int),
            PrimitiveType::Long => Some(LakeType::Long),
            PrimitiveType::Float => Some(LakeType::Float),
            PrimitiveType::Double => Some(LakeType::Double),
            PrimitiveType::Decimal { precision, scale } => Some(LakeType::Decimal {
                precision: u8::try_from(*precision).ok()?,
                scale: u8::try_from(*scale).ok()?,
            }),
            PrimitiveType::Date => Some(LakeType::Date),
            PrimitiveType::Time => Some(LakeType::Time),
            PrimitiveType::Timestamp => Some(LakeType::Timestamp),
            PrimitiveType::Timestamptz => Some(LakeType::Timestamptz),
            PrimitiveType::String => Some(LakeType::String),
            PrimitiveType::Uuid => Some(LakeType::Uuid),
            PrimitiveType::Binary => Some(LakeType::Binary),
            PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs | PrimitiveType::Fixed(_) => {
                None
            }
        },
        Type::List(list) => {
            from_iceberg_type(&list.element_field.field_type).map(|e| LakeType::List(Box::new(e)))
        }
        Type::Map(map)
            if *map.key_field.field_type == text && *map.value_field.field_type == text =>
        {
            Some(LakeType::StringMap)
        }
        Type::Struct(fields) => {
            let field = |field: &NestedFieldRef| {
                Some((field.name.clone(), from_iceberg_type(&field.field_type)?))
            };
            fields.fields().iter().map(field).collect::<Option<_>>().map(LakeType::Struct)
        }
        Type::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use super::*;

    #[test]
    fn every_type_survives_the_way_there_and_back() {
        let types = [
            LakeType::Boolean,
            LakeType::Int,
            LakeType::Long,
            LakeType::Float,
            LakeType::Double,
            LakeType::Decimal { precision: 38, scale: 38 },
            LakeType::Date,
            LakeType::Time,
            LakeType::Timestamp,
            LakeType::Timestamptz,
            LakeType::String,
            LakeType::Uuid,
            LakeType::Binary,
            LakeType::List(Box::new(LakeType::List(Box::new(LakeType::Uuid)))),
            LakeType::StringMap,
            LakeType::Struct(vec![
                ("a".to_owned(), LakeType::Long),
                ("b".to_owned(), LakeType::List(Box::new(LakeType::Struct(vec![])))),
            ]),
        ];
        let columns = types
            .into_iter()
            .map(|lake_type| LakeColumn {
                name: lake_type.to_string(),
                lake_type,
                required: false,
                doc: Some("what it means".to_owned()),
                was: None,
            })
            .collect();
        let schema = LakeSchema { columns };
        assert_eq!(from_iceberg(&to_iceberg(&schema).unwrap()).unwrap(), schema);
    }

    #[test]
    fn impossible_schemas_are_refused_by_column() {
        let decimal = |precision, scale| LakeType::Decimal { precision, scale };
        let cases = [
            vec![
                LakeColumn::optional("a", LakeType::Int),
                LakeColumn::optional("a", LakeType::Int),
            ],
            vec![LakeColumn::optional("", LakeType::Int)],
            vec![LakeColumn::optional("_pos", LakeType::Int)],
            vec![LakeColumn::optional("a", decimal(39, 0))],
            vec![LakeColumn::optional("a", decimal(0, 0))],
            vec![LakeColumn::optional("a", LakeType::List(Box::new(decimal(3, 4))))],
        ];
        for columns in cases {
            let error = to_iceberg(&LakeSchema { columns }).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::SchemaInvalid, "{error}");
        }
    }
}
