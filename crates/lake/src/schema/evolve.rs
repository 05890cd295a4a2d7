//! From the schema a table has to the schema its source has now.
//!
//! Allowed: a new column (always optional, at the end), `int` to `long`, `float` to `double`, a decimal with more
//! digits, a column under another name ([`LakeColumn::was`]; its identifier is kept, so no file is rewritten), a column
//! that may now be null, a column the source no longer has (kept, optional), another description.
//! Everything else would change the meaning of rows already written and is refused with both types named.

use std::collections::BTreeMap;
use std::sync::Arc;

use iceberg::spec::{
    NestedField, NestedFieldRef, PrimitiveType, Schema, SchemaRef, TableMetadata, Type,
};
use iceberg::{TableRequirement, TableUpdate};

use super::map::{self, FieldIdentifiers};
use super::{LakeColumn, LakeSchema, LakeType};
use crate::error::{Error, ErrorKind, Result};

/// A change of schema that is worked out but not committed.
///
/// It travels in [`crate::Commit::schema_change`] so that the schema and the first rows that need it become visible in
/// one step, or is committed alone by [`crate::Lake::commit_schema`].
#[derive(Clone, Debug)]
pub struct SchemaChange {
    base_schema_id: i32,
    base_last_column_id: i32,
    schema: SchemaRef,
    steps: Vec<String>,
}

impl SchemaChange {
    /// Whether the table already has what was wanted.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What changes, one sentence a step, such as `Add column note string`.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The schema after the change.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether the table has the columns already.
    pub(crate) fn is_made(&self, metadata: &TableMetadata) -> bool {
        self.is_empty() || metadata.current_schema().as_struct() == self.schema.as_struct()
    }

    pub(crate) fn updates(&self) -> Vec<TableUpdate> {
        if self.is_empty() {
            return Vec::new();
        }
        vec![
            TableUpdate::AddSchema { schema: self.schema.as_ref().clone() },
            TableUpdate::SetCurrentSchema { schema_id: -1 },
        ]
    }

    pub(crate) fn requirements(&self) -> Vec<TableRequirement> {
        if self.is_empty() {
            return Vec::new();
        }
        vec![
            TableRequirement::CurrentSchemaIdMatch { current_schema_id: self.base_schema_id },
            TableRequirement::LastAssignedFieldIdMatch {
                last_assigned_field_id: self.base_last_column_id,
            },
        ]
    }
}

/// Works out the change from `current` to `wanted`. `last_column_id` is the highest identifier the table ever gave.
pub(crate) fn evolve(
    current: &SchemaRef,
    last_column_id: i32,
    wanted: &LakeSchema,
) -> Result<SchemaChange> {
    map::check(wanted)?;
    let wanted_columns: BTreeMap<&str, _> =
        wanted.columns.iter().map(|column| (column.name.as_str(), column)).collect();
    let renamed = renamed(current, wanted, &wanted_columns)?;
    let mut steps = Vec::new();
    let mut fields: Vec<NestedFieldRef> = Vec::new();
    for field in current.as_struct().fields() {
        let mut next: NestedField = field.as_ref().clone();
        let column = renamed.get(field.name.as_str()).or(wanted_columns.get(field.name.as_str()));
        match column {
            Some(column) => {
                if column.name != field.name {
                    steps.push(format!("Rename column {} to {}", field.name, column.name));
                    next.name.clone_from(&column.name);
                }
                let widened = widen(&field.field_type, &column.lake_type).ok_or_else(|| {
                    Error::new(ErrorKind::SchemaConflict)
                        .with("column", &field.name)
                        .with("type in the table", &field.field_type)
                        .with("type wanted", &column.lake_type)
                })?;
                if widened != *field.field_type {
                    steps.push(format!("Widen column {} to {}", field.name, column.lake_type));
                    next.field_type = Box::new(widened);
                }
                if field.required && !column.required {
                    steps.push(format!("Make column {} optional", field.name));
                    next.required = false;
                }
                if column.doc.is_some() && column.doc != field.doc {
                    steps.push(format!("Describe column {}", field.name));
                    next.doc.clone_from(&column.doc);
                }
            }
            None if field.required => {
                steps.push(format!("Make column {} optional", field.name));
                next.required = false;
            }
            None => {}
        }
        fields.push(Arc::new(next));
    }
    let mut identifiers = FieldIdentifiers::after(last_column_id);
    for column in &wanted.columns {
        let is_there = fields.iter().any(|field| field.name == column.name);
        if !is_there {
            steps.push(format!("Add column {} {}", column.name, column.lake_type));
            fields.push(map::new_field(column, false, &mut identifiers));
        }
    }
    let schema = if steps.is_empty() {
        Arc::clone(current)
    } else {
        let schema = Schema::builder()
            .with_schema_id(current.schema_id() + 1)
            .with_fields(fields)
            .build()
            .map_err(|error| Error::from_iceberg(ErrorKind::SchemaInvalid, error))?;
        Arc::new(schema)
    };
    Ok(SchemaChange {
        base_schema_id: current.schema_id(),
        base_last_column_id: last_column_id,
        schema,
        steps,
    })
}

/// The columns to rename, by the name they have in the table.
fn renamed<'a>(
    current: &'a SchemaRef,
    wanted: &'a LakeSchema,
    wanted_columns: &BTreeMap<&str, &'a LakeColumn>,
) -> Result<BTreeMap<&'a str, &'a LakeColumn>> {
    let has = |name: &str| current.as_struct().fields().iter().any(|field| field.name == name);
    let mut renamed = BTreeMap::new();
    for column in &wanted.columns {
        let Some(was) = column.was.as_deref() else { continue };
        if was == column.name || !has(was) {
            continue;
        }
        let refuse = |reason: &str| {
            Err(Error::new(ErrorKind::SchemaConflict)
                .with("column", &column.name)
                .with("name before", was)
                .with("reason", reason))
        };
        if has(&column.name) {
            // When the source has a column of the old name again, the renaming is long done.
            if wanted_columns.contains_key(was) {
                continue;
            }
            return refuse("the table has both columns");
        }
        if renamed.insert(was, column).is_some() {
            return refuse("two columns were this one");
        }
    }
    Ok(renamed)
}

/// The type of the table after it takes in `wanted`, identifiers kept; `None` when it cannot.
///
/// A table type that is already wider than what is wanted stays: rows of the narrower type fit in it.
fn widen(current: &Type, wanted: &LakeType) -> Option<Type> {
    let has = map::from_iceberg_type(current)?;
    if has == *wanted {
        return Some(current.clone());
    }
    match (current, wanted) {
        (Type::List(list), LakeType::List(element)) => {
            let mut list = list.clone();
            let mut field = list.element_field.as_ref().clone();
            field.field_type = Box::new(widen(&field.field_type, element)?);
            list.element_field = Arc::new(field);
            Some(Type::List(list))
        }
        (Type::Primitive(primitive), wanted) => {
            widen_primitive(primitive, wanted).map(Type::Primitive)
        }
        _other => None,
    }
}

fn widen_primitive(current: &PrimitiveType, wanted: &LakeType) -> Option<PrimitiveType> {
    match (current, wanted) {
        (PrimitiveType::Int | PrimitiveType::Long, LakeType::Int | LakeType::Long) => {
            Some(PrimitiveType::Long)
        }
        (PrimitiveType::Float | PrimitiveType::Double, LakeType::Float | LakeType::Double) => {
            Some(PrimitiveType::Double)
        }
        (
            PrimitiveType::Decimal { precision, scale },
            LakeType::Decimal { precision: wanted_precision, scale: wanted_scale },
        ) if *scale == u32::from(*wanted_scale) => Some(PrimitiveType::Decimal {
            precision: (*precision).max(u32::from(*wanted_precision)),
            scale: *scale,
        }),
        _other => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use super::*;

    fn table(columns: Vec<LakeColumn>) -> SchemaRef {
        Arc::new(map::to_iceberg(&LakeSchema { columns }).unwrap())
    }

    fn change(from: LakeType, to: LakeType) -> Result<SchemaChange> {
        let current = table(vec![LakeColumn::optional("c", from)]);
        let wanted = LakeSchema { columns: vec![LakeColumn::optional("c", to)] };
        evolve(&current, current.highest_field_id(), &wanted)
    }

    #[test]
    fn allowed_widenings_keep_the_identifier() {
        let decimal = |precision, scale| LakeType::Decimal { precision, scale };
        let list = |element| LakeType::List(Box::new(element));
        for (from, to) in [
            (LakeType::Int, LakeType::Long),
            (LakeType::Float, LakeType::Double),
            (decimal(10, 2), decimal(38, 2)),
            (list(LakeType::Int), list(LakeType::Long)),
        ] {
            let change = change(from, to.clone()).unwrap();
            let field = change.schema().as_struct().fields().first().unwrap();
            assert_eq!(field.id, 1);
            assert_eq!(map::from_iceberg_type(&field.field_type), Some(to));
            assert_eq!(change.updates().len(), 2);
        }
    }

    #[test]
    fn a_wider_table_takes_narrower_rows_without_a_change() {
        assert!(change(LakeType::Long, LakeType::Int).unwrap().is_empty());
        assert!(change(LakeType::Double, LakeType::Float).unwrap().is_empty());
    }

    #[test]
    fn everything_else_is_refused_with_both_types() {
        let decimal = |precision, scale| LakeType::Decimal { precision, scale };
        for (from, to) in [
            (LakeType::Int, LakeType::String),
            (LakeType::String, LakeType::Int),
            (LakeType::Timestamp, LakeType::Timestamptz),
            (LakeType::Long, LakeType::Double),
            (decimal(10, 2), decimal(12, 3)),
            (LakeType::String, LakeType::List(Box::new(LakeType::String))),
        ] {
            let error = change(from.clone(), to.clone()).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::SchemaConflict);
            let text = error.to_string();
            assert!(text.contains(&to.to_string()), "{text}");
            assert!(
                text.contains(&from.to_string().replace(", ", ","))
                    || text.contains(&from.to_string()),
                "{text}"
            );
        }
    }

    #[test]
    fn columns_come_at_the_end_and_never_go() {
        let current = table(vec![
            LakeColumn::required("a", LakeType::Int),
            LakeColumn::optional("tags", LakeType::List(Box::new(LakeType::Int))),
        ]);
        let wanted = LakeSchema {
            columns: vec![
                LakeColumn::required("b", LakeType::Uuid),
                LakeColumn::optional("tags.element", LakeType::Int),
                LakeColumn::optional("tags", LakeType::List(Box::new(LakeType::Int))),
            ],
        };
        let error_or_change = evolve(&current, current.highest_field_id(), &wanted);
        // Iceberg indexes nested fields by the same dotted name, so such a column cannot be added beside the list.
        assert_eq!(error_or_change.unwrap_err().kind(), &ErrorKind::SchemaInvalid);
        let wanted = LakeSchema {
            columns: wanted.columns.into_iter().filter(|c| c.name != "tags.element").collect(),
        };
        let change = evolve(&current, 7, &wanted).unwrap();
        let fields = change.schema().as_struct().fields();
        let shape: Vec<_> = fields.iter().map(|f| (f.name.as_str(), f.id, f.required)).collect();
        assert_eq!(shape.len(), 3);
        assert_eq!(shape.first().map(|f| (f.0, f.2)), Some(("a", false)));
        assert_eq!(shape.last(), Some(&("b", 8, false)));
    }
}
