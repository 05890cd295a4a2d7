//! How a table's files are divided and ordered: decided when it is created, and kept.

use std::fmt;

use iceberg::spec::{
    NullOrder, PartitionSpec, Schema, SortDirection, SortField as IcebergSortField, SortOrder,
    Transform, UnboundPartitionSpec,
};

use crate::error::{Error, ErrorKind, Result};

/// What is made of a value to tell its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartitionTransform {
    /// The value itself.
    Identity,
    /// One of this many buckets, by a hash.
    Bucket(u32),
    /// The first characters of a text, or a number rounded down to a multiple.
    Truncate(u32),
    /// The year of a date or time.
    Year,
    /// The month of a date or time.
    Month,
    /// The day of a date or time.
    Day,
    /// The hour of a time.
    Hour,
}

/// One part of what divides a table into partitions. `Display` prints it as `day(created_on)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionField {
    /// What is made of the values.
    pub transform: PartitionTransform,
    /// The column.
    pub column: String,
}

/// One column by which rows are sorted, nulls first when ascending and last when descending.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortField {
    /// The column.
    pub column: String,
    /// The largest value first.
    pub descending: bool,
}

impl fmt::Display for PartitionField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = &self.column;
        match self.transform {
            PartitionTransform::Identity => formatter.write_str(column),
            PartitionTransform::Bucket(buckets) => write!(formatter, "bucket({buckets}, {column})"),
            PartitionTransform::Truncate(width) => write!(formatter, "truncate({width}, {column})"),
            PartitionTransform::Year => write!(formatter, "year({column})"),
            PartitionTransform::Month => write!(formatter, "month({column})"),
            PartitionTransform::Day => write!(formatter, "day({column})"),
            PartitionTransform::Hour => write!(formatter, "hour({column})"),
        }
    }
}

impl fmt::Display for SortField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.column)?;
        if self.descending { formatter.write_str(" desc") } else { Ok(()) }
    }
}

impl PartitionTransform {
    fn to_iceberg(self) -> Transform {
        match self {
            Self::Identity => Transform::Identity,
            Self::Bucket(buckets) => Transform::Bucket(buckets),
            Self::Truncate(width) => Transform::Truncate(width),
            Self::Year => Transform::Year,
            Self::Month => Transform::Month,
            Self::Day => Transform::Day,
            Self::Hour => Transform::Hour,
        }
    }

    fn from_iceberg(transform: Transform) -> Option<Self> {
        match transform {
            Transform::Identity => Some(Self::Identity),
            Transform::Bucket(buckets) => Some(Self::Bucket(buckets)),
            Transform::Truncate(width) => Some(Self::Truncate(width)),
            Transform::Year => Some(Self::Year),
            Transform::Month => Some(Self::Month),
            Transform::Day => Some(Self::Day),
            Transform::Hour => Some(Self::Hour),
            Transform::Void | Transform::Unknown => None,
        }
    }

    /// What the partition column is called, as Spark calls it.
    fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Bucket(_) => "_bucket",
            Self::Truncate(_) => "_trunc",
            Self::Year => "_year",
            Self::Month => "_month",
            Self::Day => "_day",
            Self::Hour => "_hour",
        }
    }
}

/// The partition spec of a new table.
pub(crate) fn partition_spec(
    schema: &Schema,
    fields: &[PartitionField],
) -> Result<UnboundPartitionSpec> {
    let invalid = |error| Error::from_iceberg(ErrorKind::SchemaInvalid, error);
    let mut builder = PartitionSpec::builder(schema.clone());
    for field in fields {
        let zero = matches!(
            field.transform,
            PartitionTransform::Bucket(0) | PartitionTransform::Truncate(0)
        );
        if zero {
            return Err(Error::new(ErrorKind::SchemaInvalid)
                .with("partition", field)
                .with("reason", "the number must be at least 1"));
        }
        let name = format!("{}{}", field.column, field.transform.suffix());
        builder = builder
            .add_partition_field(&field.column, name, field.transform.to_iceberg())
            .map_err(|error| invalid(error).with("partition", field))?;
    }
    Ok(builder.build().map_err(invalid)?.into_unbound())
}

/// The sort order of a new table.
pub(crate) fn sort_order(schema: &Schema, fields: &[SortField]) -> Result<SortOrder> {
    if fields.is_empty() {
        return Ok(SortOrder::unsorted_order());
    }
    let fields = fields.iter().map(|field| {
        let source = schema.as_struct().field_by_name(&field.column).ok_or_else(|| {
            Error::new(ErrorKind::SchemaInvalid)
                .with("sort by", field)
                .with("reason", "there is no such column")
        })?;
        let (direction, null_order) = match field.descending {
            false => (SortDirection::Ascending, NullOrder::First),
            true => (SortDirection::Descending, NullOrder::Last),
        };
        let transform = Transform::Identity;
        Ok(IcebergSortField { source_id: source.id, transform, direction, null_order })
    });
    let fields = fields.collect::<Result<Vec<_>>>()?;
    let order = SortOrder::builder().with_order_id(1).with_fields(fields).build(schema);
    order.map_err(|error| Error::from_iceberg(ErrorKind::SchemaInvalid, error))
}

/// How a table is partitioned; `None` when another writer did it in a way this platform has no word for.
pub(crate) fn partition_of(schema: &Schema, spec: &PartitionSpec) -> Option<Vec<PartitionField>> {
    // Dropped parts of old tables are kept as void.
    let fields = spec.fields().iter().filter(|field| field.transform != Transform::Void);
    fields
        .map(|field| {
            let transform = PartitionTransform::from_iceberg(field.transform)?;
            let column = schema.as_struct().field_by_id(field.source_id)?.name.clone();
            Some(PartitionField { transform, column })
        })
        .collect()
}

/// How the rows of a table are sorted; `None` as in [`partition_of`].
pub(crate) fn sort_of(schema: &Schema, order: &SortOrder) -> Option<Vec<SortField>> {
    let fields = order.fields.iter().map(|field| {
        let column = schema.as_struct().field_by_id(field.source_id)?.name.clone();
        let descending = field.direction == SortDirection::Descending;
        (field.transform == Transform::Identity).then_some(SortField { column, descending })
    });
    fields.collect()
}

/// A list as a person reads it.
pub(crate) fn listed(fields: &[impl fmt::Display]) -> String {
    if fields.is_empty() {
        return "nothing".to_owned();
    }
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
