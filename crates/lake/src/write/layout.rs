//! Which rows of a batch go to which partition, and in which order.
//!
//! What is sorted: the rows of each batch that is handed over, within each partition. Batches follow each other as they
//! come, so a file is a row of sorted runs and its manifest entry does not claim the sort order of the table.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, SchemaRef as ArrowSchemaRef, SortOptions};
use iceberg::arrow::{PartitionValueCalculator, arrow_struct_to_literal};
use iceberg::spec::{Literal, NullOrder, SchemaRef, SortDirection, Struct, Transform};
use iceberg::table::Table;

use crate::error::{Error, ErrorKind, Result};

/// The encoded partition of a row; empty in a table without partitions.
pub(crate) type PartitionKey = Box<[u8]>;

/// Rows of one batch that go to one partition.
pub(crate) struct Part {
    pub(crate) key: PartitionKey,
    pub(crate) partition: Struct,
    /// The rows by number, in the order in which they are written; `None` when that is all of them as they are.
    pub(crate) rows: Option<Vec<u32>>,
}

/// The layout of a table.
pub(crate) struct Layout {
    pub(crate) spec_id: i32,
    partitions: Option<Partitions>,
    sort: Option<Sort>,
}

struct Partitions {
    calculator: PartitionValueCalculator,
    keys: RowConverter,
}

struct Sort {
    columns: Vec<usize>,
    rows: RowConverter,
}

impl Layout {
    /// That of a table, whose rows have the columns of `schema`.
    pub(crate) fn of(table: &Table, schema: &SchemaRef, arrow: &ArrowSchemaRef) -> Result<Self> {
        let spec = table.metadata().default_partition_spec();
        let partitions = if spec.is_unpartitioned() {
            None
        } else {
            let calculator = PartitionValueCalculator::try_new(spec, schema).map_err(conflict)?;
            let key = SortField::new(calculator.partition_arrow_type().clone());
            let keys = RowConverter::new(vec![key]).map_err(unexpected)?;
            Some(Partitions { calculator, keys })
        };
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for field in &table.metadata().default_sort_order().fields {
            let name = schema.as_struct().field_by_id(field.source_id).map(|found| &found.name);
            let index = name.and_then(|name| arrow.index_of(name).ok());
            // Another writer may sort by what this one cannot compute; what comes before is sorted by.
            let (Some(index), Transform::Identity) = (index, field.transform) else { break };
            columns.push(index);
            let options = SortOptions {
                descending: field.direction == SortDirection::Descending,
                nulls_first: field.null_order == NullOrder::First,
            };
            let data_type = arrow.field(index).data_type().clone();
            fields.push(SortField::new_with_options(data_type, options));
        }
        let sort = match columns.is_empty() {
            true => None,
            false => Some(Sort { columns, rows: RowConverter::new(fields).map_err(unexpected)? }),
        };
        Ok(Self { spec_id: spec.spec_id(), partitions, sort })
    }

    /// Whether rows are put in order.
    pub(crate) fn sorts(&self) -> bool {
        self.sort.is_some()
    }

    /// Divides and orders the rows of a batch.
    pub(crate) fn arrange(&self, batch: &RecordBatch) -> Result<Vec<Part>> {
        let mut parts = match &self.partitions {
            None => vec![Part { key: Box::default(), partition: Struct::empty(), rows: None }],
            Some(partitions) => partitions.split(batch)?,
        };
        if let Some(sort) = &self.sort {
            let columns = sort.columns.iter().filter_map(|index| batch.columns().get(*index));
            let columns: Vec<_> = columns.cloned().collect();
            let keys = sort.rows.convert_columns(&columns).map_err(unexpected)?;
            let all = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
            for part in &mut parts {
                let rows = part.rows.get_or_insert_with(|| (0..all).collect());
                rows.sort_by_key(|row| keys.row(*row as usize));
            }
        }
        Ok(parts)
    }
}

impl Partitions {
    fn split(&self, batch: &RecordBatch) -> Result<Vec<Part>> {
        let values = self.calculator.calculate(batch).map_err(conflict)?;
        let keys = self.keys.convert_columns(std::slice::from_ref(&values)).map_err(unexpected)?;
        let mut parts: Vec<Part> = Vec::new();
        let mut known: HashMap<PartitionKey, usize> = HashMap::new();
        for (row, key) in (0_u32..).zip(keys.iter()) {
            let index = match known.get(key.data()) {
                Some(index) => *index,
                None => {
                    let one = values.slice(row as usize, 1);
                    let partition = literal(&one, self.calculator.partition_type())?;
                    known.insert(key.data().into(), parts.len());
                    parts.push(Part { key: key.data().into(), partition, rows: Some(Vec::new()) });
                    parts.len() - 1
                }
            };
            if let Some(rows) = parts.get_mut(index).and_then(|part| part.rows.as_mut()) {
                rows.push(row);
            }
        }
        Ok(parts)
    }
}

/// The partition of the one row of `value`.
fn literal(
    value: &arrow_array::ArrayRef,
    partition_type: &iceberg::spec::StructType,
) -> Result<Struct> {
    debug_assert!(value.as_struct_opt().is_some(), "partitions are structs");
    let mut literals = arrow_struct_to_literal(value, partition_type).map_err(conflict)?;
    match literals.pop().flatten() {
        Some(Literal::Struct(partition)) => Ok(partition),
        _other => Err(Error::new(ErrorKind::Unexpected).with("reason", "a partition is no struct")),
    }
}

fn conflict(error: iceberg::Error) -> Error {
    Error::from_iceberg(ErrorKind::SchemaConflict, error)
}

fn unexpected(error: ArrowError) -> Error {
    Error::new(ErrorKind::Unexpected).because(error)
}
