//! Rows of the lake as payloads: a query whose columns are named as the payload's fields.
//!
//! The query runs in DataFusion, embedded; the tables of the environment's raw namespace are known by their names, those
//! of other namespaces as `namespace.table`. A table is opened when the query names it, and read a row group at a time:
//! memory does not grow with it. A result of one column `payload` is taken for JSON text; any other row becomes an
//! object, NULL meaning that the field is absent.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::{CatalogProvider, SchemaProvider, Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt as _, TryStreamExt as _};
use ol_chassis::config::Platform;
use ol_lake::{Lake, LakeSettings, LakeTable, TableName};

use super::object;
use crate::error::{Definite, Error, Result, Transient};
use crate::payload::{Kind, Value};

/// The catalog's name inside a query; nobody has to write it.
const CATALOG: &str = "ol";
/// The column that holds a whole payload.
const PAYLOAD: &str = "payload";

/// Runs a query over the lake of this environment and hands each row to `take`, in order, as its number from 1 and its
/// object, or why it is none.
///
/// # Errors
/// [`Definite::LakeUnreadable`], [`Transient::LakeUnreachable`]; what `take` returns.
pub async fn rows(
    platform: &Platform,
    query: &str,
    kind: Kind,
    mut take: impl AsyncFnMut(u64, std::result::Result<Value, String>) -> Result<()>,
) -> Result<()> {
    let settings = LakeSettings::new(platform.catalog.expose(), platform.warehouse.clone());
    let lake = Arc::new(Lake::open(settings).await.map_err(of_lake)?);
    let mut batches = query_rows(lake, &platform.raw_namespace(), query).await?;
    let mut number = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(of_query)?;
        for row in 0..batch.num_rows() {
            number += 1;
            take(number, payload(&batch, row, kind)).await?;
        }
    }
    Ok(())
}

/// Begins a query over a lake whose tables of `namespace` are known by their names.
///
/// # Errors
/// As those of [`rows`].
pub async fn query_rows(
    lake: Arc<Lake>,
    namespace: &str,
    query: &str,
) -> Result<SendableRecordBatchStream> {
    let frame = context(lake, namespace).sql(query).await.map_err(of_query)?;
    frame.execute_stream().await.map_err(of_query)
}

fn context(lake: Arc<Lake>, namespace: &str) -> SessionContext {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, namespace)
        .with_target_partitions(1)
        .with_information_schema(false);
    let context = SessionContext::new_with_config(config);
    context.register_catalog(CATALOG, Arc::new(LakeCatalog { lake }));
    context
}

/// The lake's own errors, by whether time mends them.
fn of_lake(error: ol_lake::Error) -> Error {
    use ol_lake::ErrorKind as Lake;
    let failure: crate::error::Failure =
        if matches!(error.kind(), Lake::CatalogUnreachable | Lake::CatalogLocked) {
            Transient::LakeUnreachable.into()
        } else {
            Definite::LakeUnreadable.into()
        };
    Error::new(failure).because(error)
}

/// `DataFusion`'s errors tell of plans and names; one of ours inside is told as it is.
fn of_query(error: DataFusionError) -> Error {
    let DataFusionError::External(inner) = error else {
        return Error::new(Definite::LakeUnreadable).because(error);
    };
    match inner.downcast::<ol_lake::Error>() {
        Ok(lake) => of_lake(*lake),
        Err(other) => Error::new(Definite::LakeUnreadable).because(other),
    }
}

#[derive(Debug)]
struct LakeCatalog {
    lake: Arc<Lake>,
}

impl CatalogProvider for LakeCatalog {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(Namespace { lake: Arc::clone(&self.lake), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct Namespace {
    lake: Arc<Lake>,
    name: String,
}

#[async_trait]
impl SchemaProvider for Namespace {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn table(
        &self,
        name: &str,
    ) -> std::result::Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let found = self.lake.load(&TableName::new(&self.name, name)).await.map_err(external)?;
        Ok(found.map(|table| {
            let schema = table.arrow_schema();
            let table = Table { lake: Arc::clone(&self.lake), table: Arc::new(table), schema };
            Arc::new(table) as Arc<dyn TableProvider>
        }))
    }

    fn table_exist(&self, _name: &str) -> bool {
        true
    }
}

fn external(error: ol_lake::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A table of the lake, read column by column as the query asks.
#[derive(Debug)]
struct Table {
    lake: Arc<Lake>,
    table: Arc<LakeTable>,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Table {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let rows = Rows {
            lake: Arc::clone(&self.lake),
            table: Arc::clone(&self.table),
            schema: Arc::clone(&schema),
        };
        let plan =
            StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

#[derive(Debug)]
struct Rows {
    lake: Arc<Lake>,
    table: Arc<LakeTable>,
    schema: SchemaRef,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (lake, table) = (Arc::clone(&self.lake), Arc::clone(&self.table));
        let schema = Arc::clone(&self.schema);
        let wanted = Arc::clone(&schema);
        let stream = async move {
            let columns: Vec<&str> =
                wanted.fields().iter().map(|field| field.name().as_str()).collect();
            let rows = lake.scan(&table, Some(&columns)).await.map_err(external)?;
            Ok::<_, DataFusionError>(rows.map_err(external))
        };
        let batches = futures::stream::once(stream).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

/// A row as a payload's fields.
fn payload(batch: &RecordBatch, row: usize, kind: Kind) -> std::result::Result<Value, String> {
    let schema: &Schema = batch.schema_ref();
    let is_whole = schema.fields().len() == 1 && schema.field(0).name() == PAYLOAD;
    let mut fields = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let value = value(column, row).map_err(|reason| format!("{}: {reason}", field.name()))?;
        if let (Value::String(text), true) = (&value, is_whole) {
            return object(text.as_bytes(), kind);
        }
        if !value.is_null() {
            fields.push((field.name().clone(), value));
        }
    }
    Ok(Value::Object(fields))
}

/// A cell. What has no JSON form of its own is text, as Arrow writes it: dates and times in RFC 3339.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other type is text, as Arrow writes it")]
fn value(array: &ArrayRef, row: usize) -> std::result::Result<Value, String> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    let text = || {
        let options = FormatOptions::default();
        let formatter =
            ArrayFormatter::try_new(array, &options).map_err(|error| error.to_string())?;
        formatter.value(row).try_to_string().map_err(|error| error.to_string())
    };
    match array.data_type() {
        DataType::Boolean => Ok(Value::Bool(array.as_boolean().value(row))),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Decimal128(_, 0)
        | DataType::Decimal256(_, 0) => {
            Value::integer_of_digits(&text()?).ok_or_else(|| "it is no whole number".to_owned())
        }
        DataType::Float32 | DataType::Float64 => {
            let number: f64 = text()?.parse().map_err(|_| "it is no number".to_owned())?;
            Value::float(number).ok_or_else(|| "it is not finite, which JSON cannot say".to_owned())
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let pairs = fields
                .iter()
                .zip(columns)
                .map(|(field, column)| Ok((field.name().clone(), value(column, row)?)));
            pairs.collect::<std::result::Result<_, String>>().map(Value::Object)
        }
        _other => text().map(Value::String),
    }
}

fn list(array: &ArrayRef) -> std::result::Result<Value, String> {
    (0..array.len())
        .map(|row| value(array, row))
        .collect::<std::result::Result<_, _>>()
        .map(Value::Array)
}
