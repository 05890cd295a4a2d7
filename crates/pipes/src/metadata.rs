//! Metadata of materializations and checks, in every type that Dagster knows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::asset_key::AssetKey;

/// One value of metadata, with the type under which Dagster shows it.
///
/// Dagster's message handler fails on values its types cannot hold, and takes the reader down with
/// it; such values are sent in the nearest form that arrives, as each variant says. Values of cells
/// must not be put in, not even in [`Metadata::Table`].
///
/// All metadata of one report should stay below 4 KiB as JSON, or at least below 16 KiB: Dagster's
/// file reader and pod logs are only safe for messages up to these lengths.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Metadata {
    /// The orchestrator decides by the JSON type (`__infer__`).
    Infer(Value),
    /// Plain text.
    Text(String),
    /// A link.
    Url(String),
    /// A path of the file system.
    Path(String),
    /// The path of a notebook.
    Notebook(String),
    /// A JSON object or array; a scalar goes out as [`Metadata::Infer`], as `json` refuses it.
    Json(Value),
    /// Markdown.
    Markdown(String),
    /// A float; one that is not finite goes out as text (`NaN`, `inf`, `-inf`), as JSON has none.
    Float(f64),
    /// A whole number, never sent as a float; beyond 64 bits it goes out as text.
    Int(i128),
    /// A truth value.
    Bool(bool),
    /// The id of a Dagster run.
    DagsterRun(String),
    /// Another asset. Dagster splits this text at every `/` and knows no escape here, so a key with
    /// a `/` inside a part goes out as text in escaped form.
    Asset(AssetKey),
    /// Nothing.
    Null,
    /// A small table. Dagster allows scalars only: an array or object goes out as JSON text.
    Table {
        /// The records, each by column name.
        records: Vec<Map<String, Value>>,
        /// The columns.
        schema: TableSchema,
    },
    /// The columns of a table.
    TableSchema(TableSchema),
    /// Which columns each column is made from.
    TableColumnLineage(BTreeMap<String, Vec<ColumnDependency>>),
    /// A moment, in seconds since 1970-01-01 UTC; one that is not finite goes out as text.
    Timestamp(f64),
}

/// The columns of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableSchema {
    /// The columns, in order.
    pub columns: Vec<TableColumn>,
}

/// A column of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableColumn {
    /// The name.
    pub name: String,
    /// The type, in the words of the table's format.
    pub data_type: String,
    /// What the column means.
    pub description: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What holds for its values.
    pub constraints: ColumnConstraints,
}

/// What holds for the values of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnConstraints {
    /// Values may be missing.
    pub nullable: bool,
    /// No two values are equal.
    pub unique: bool,
    /// Other rules, in words.
    pub other: Vec<String>,
}

impl Default for ColumnConstraints {
    /// Dagster's own default: nullable, not unique.
    fn default() -> Self {
        Self { nullable: true, unique: false, other: Vec::new() }
    }
}

/// A column that another column is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDependency {
    /// The asset the column belongs to.
    pub asset_key: AssetKey,
    /// The column.
    pub column_name: String,
}

impl TableSchema {
    fn columns_to_json(&self) -> Value {
        self.columns.iter().map(TableColumn::to_json).collect()
    }
}

impl TableColumn {
    /// Leaves out what Dagster fills in by itself: long messages are at risk on the way.
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(self.name));
        fields.insert("type".to_owned(), json!(self.data_type));
        if let Some(description) = &self.description {
            fields.insert("description".to_owned(), json!(description));
        }
        if !self.tags.is_empty() {
            fields.insert("tags".to_owned(), json!(self.tags));
        }
        let ColumnConstraints { nullable, unique, other } = &self.constraints;
        if self.constraints != ColumnConstraints::default() {
            fields.insert(
                "constraints".to_owned(),
                json!({ "nullable": nullable, "unique": unique, "other": other }),
            );
        }
        Value::Object(fields)
    }
}

impl Metadata {
    /// `{"raw_value": …, "type": …}`, as Dagster's `metadata_value_from_external` takes it.
    pub(crate) fn to_json(&self) -> Value {
        let (type_name, raw_value) = match self {
            Self::Infer(value) => ("__infer__", value.clone()),
            Self::Text(text) => ("text", json!(text)),
            Self::Url(url) => ("url", json!(url)),
            Self::Path(path) => ("path", json!(path)),
            Self::Notebook(path) => ("notebook", json!(path)),
            Self::Json(value) => match value {
                Value::Object(_) | Value::Array(_) => ("json", value.clone()),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    ("__infer__", value.clone())
                }
            },
            Self::Markdown(text) => ("md", json!(text)),
            Self::Float(number) => finite("float", *number),
            Self::Int(number) => whole(*number),
            Self::Bool(value) => ("bool", json!(value)),
            Self::DagsterRun(run_id) => ("dagster_run", json!(run_id)),
            Self::Asset(key) => {
                if key.parts().iter().any(|part| part.contains('/')) {
                    ("text", json!(key.to_string()))
                } else {
                    ("asset", json!(key.parts().join("/")))
                }
            }
            Self::Null => ("null", Value::Null),
            Self::Table { records, schema } => (
                "table",
                json!({
                    "records": records.iter().map(scalars_only).collect::<Vec<_>>(),
                    "schema": schema.columns_to_json(),
                }),
            ),
            Self::TableSchema(schema) => {
                ("table_schema", json!({ "columns": schema.columns_to_json() }))
            }
            Self::TableColumnLineage(columns) => {
                let dependencies: Map<String, Value> = columns
                    .iter()
                    .map(|(column, dependencies)| (column.clone(), lineage_to_json(dependencies)))
                    .collect();
                ("table_column_lineage", json!({ "deps_by_column": dependencies }))
            }
            Self::Timestamp(seconds) => finite("timestamp", *seconds),
        };
        json!({ "raw_value": raw_value, "type": type_name })
    }
}

fn finite(type_name: &'static str, number: f64) -> (&'static str, Value) {
    if number.is_finite() {
        (type_name, json!(number))
    } else {
        ("text", json!(number.to_string()))
    }
}

fn whole(number: i128) -> (&'static str, Value) {
    if let Ok(number) = i64::try_from(number) {
        ("int", json!(number))
    } else if let Ok(number) = u64::try_from(number) {
        ("int", json!(number))
    } else {
        ("text", json!(number.to_string()))
    }
}

/// The asset key goes as a list of its parts: Dagster takes a text as a key of one part.
fn lineage_to_json(dependencies: &[ColumnDependency]) -> Value {
    dependencies
        .iter()
        .map(|dependency| {
            json!({
                "asset_key": dependency.asset_key.parts(),
                "column_name": dependency.column_name,
            })
        })
        .collect()
}

fn scalars_only(record: &Map<String, Value>) -> Map<String, Value> {
    record
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Array(_) | Value::Object(_) => Value::String(value.to_string()),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
            };
            (name.clone(), value)
        })
        .collect()
}

impl From<&str> for Metadata {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Metadata {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Metadata {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Metadata {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<i32> for Metadata {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<i64> for Metadata {
    fn from(number: i64) -> Self {
        Self::Int(number.into())
    }
}

impl From<u32> for Metadata {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<u64> for Metadata {
    fn from(number: u64) -> Self {
        Self::Int(number.into())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn whole_numbers_stay_whole_and_odd_values_take_a_form_that_arrives() {
        for (metadata, expected) in [
            (Metadata::from(7_i64), json!({"raw_value": 7, "type": "int"})),
            (Metadata::from(u64::MAX), json!({"raw_value": u64::MAX, "type": "int"})),
            (
                Metadata::Int(i128::from(u64::MAX) + 1),
                json!({"raw_value": "18446744073709551616", "type": "text"}),
            ),
            (Metadata::from(7.0), json!({"raw_value": 7.0, "type": "float"})),
            (Metadata::Float(f64::NAN), json!({"raw_value": "NaN", "type": "text"})),
            (Metadata::Timestamp(f64::NEG_INFINITY), json!({"raw_value": "-inf", "type": "text"})),
            (Metadata::Json(json!("x")), json!({"raw_value": "x", "type": "__infer__"})),
            (
                Metadata::Asset(AssetKey::new(["a", "b/c"]).unwrap()),
                json!({"raw_value": r"a/b\/c", "type": "text"}),
            ),
            (
                Metadata::Asset(AssetKey::new(["a", r"b\c"]).unwrap()),
                json!({"raw_value": r"a/b\c", "type": "asset"}),
            ),
        ] {
            assert_eq!(metadata.to_json().to_string(), expected.to_string());
        }
    }

    #[test]
    fn nested_values_of_a_table_become_text() {
        let record = json!({"a": [1], "b": null, "c": 2}).as_object().unwrap().clone();
        let table = Metadata::Table { records: vec![record], schema: TableSchema::default() };
        assert_eq!(
            table.to_json().to_string(),
            r#"{"raw_value":{"records":[{"a":"[1]","b":null,"c":2}],"schema":[]},"type":"table"}"#
        );
    }
}
