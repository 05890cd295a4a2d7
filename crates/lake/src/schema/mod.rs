//! Schemas as the rest of the platform speaks of them: flat columns of a small set of types.
//!
//! Field identifiers belong to the table, not to this form; [`map`] gives and keeps them, [`evolve`] moves a table
//! from one schema to the next.

pub mod evolve;
pub(crate) mod layout;
pub mod map;
mod names;

use std::fmt;

pub use layout::{PartitionField, PartitionTransform, SortField};
pub use names::{colliding_names, unreadable_name};

/// The columns of a table, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LakeSchema {
    /// The columns, in order.
    pub columns: Vec<LakeColumn>,
}

impl LakeSchema {
    /// The column of exactly this name.
    pub fn column(&self, name: &str) -> Option<&LakeColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeColumn {
    /// Its name: any UTF-8 that [`unreadable_name`] has nothing against.
    pub name: String,
    /// Its type.
    pub lake_type: LakeType,
    /// Whether it can never be null. A column added later is always optional.
    pub required: bool,
    /// What it means, kept in the table's schema.
    pub doc: Option<String>,
    /// The name it had before: [`crate::Lake::evolve`] renames that column instead of adding one. Without meaning when
    /// the table already has the column under its name, and no column under the name before.
    pub was: Option<String>,
}

impl LakeColumn {
    /// An optional column without a description.
    pub fn optional(name: impl Into<String>, lake_type: LakeType) -> Self {
        Self { name: name.into(), lake_type, required: false, doc: None, was: None }
    }

    /// A required column without a description.
    pub fn required(name: impl Into<String>, lake_type: LakeType) -> Self {
        Self { name: name.into(), lake_type, required: true, doc: None, was: None }
    }
}

/// Type of a column. `Display` prints Iceberg's name of it.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum LakeType {
    /// True or false.
    Boolean,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    /// IEEE 754, 32 bits.
    Float,
    /// IEEE 754, 64 bits.
    Double,
    /// Exact decimal.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// Day of the proleptic Gregorian calendar.
    Date,
    /// Time of day in microseconds.
    Time,
    /// Date and time without a zone, in microseconds.
    Timestamp,
    /// Instant in microseconds of UTC.
    Timestamptz,
    /// UTF-8 text.
    String,
    /// 16 bytes.
    Uuid,
    /// Bytes.
    Binary,
    /// List of optional elements.
    List(Box<LakeType>),
    /// Map from text to optional text.
    StringMap,
    /// Optional fields by name.
    Struct(Vec<(String, LakeType)>),
}

impl fmt::Display for LakeType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => formatter.write_str("boolean"),
            Self::Int => formatter.write_str("int"),
            Self::Long => formatter.write_str("long"),
            Self::Float => formatter.write_str("float"),
            Self::Double => formatter.write_str("double"),
            Self::Decimal { precision, scale } => {
                write!(formatter, "decimal({precision}, {scale})")
            }
            Self::Date => formatter.write_str("date"),
            Self::Time => formatter.write_str("time"),
            Self::Timestamp => formatter.write_str("timestamp"),
            Self::Timestamptz => formatter.write_str("timestamptz"),
            Self::String => formatter.write_str("string"),
            Self::Uuid => formatter.write_str("uuid"),
            Self::Binary => formatter.write_str("binary"),
            Self::List(element) => write!(formatter, "list<{element}>"),
            Self::StringMap => formatter.write_str("map<string, string>"),
            Self::Struct(fields) => {
                formatter.write_str("struct<")?;
                for (index, (name, field)) in fields.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(formatter, "{comma}{name}: {field}")?;
                }
                formatter.write_str(">")
            }
        }
    }
}
