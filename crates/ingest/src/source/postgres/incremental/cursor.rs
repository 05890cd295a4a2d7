//! The cursor column in SQL: which types can be one, and how values are found and compared, always by the server and
//! from exact text.

use crate::inventory::Table;
use crate::source::postgres::catalog::{Relation, TypeKind, Types};
use crate::source::postgres::types::{literal, quote};

/// Types whose values a transaction takes in order, by the name in `pg_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Numeric,
    Date,
    Timestamp,
    Instant,
    Text,
    Uuid,
}

/// A cursor column that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The column.
    pub column: String,
    /// The type that values are compared as.
    type_name: String,
    kind: Kind,
}

impl Cursor {
    /// The cursor that the inventory names.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn find(table: &Table, relation: &Relation, types: &Types) -> Result<Self, String> {
        let name = table.cursor_field.as_ref().ok_or("the table names no cursor_field")?;
        let column = relation
            .columns
            .iter()
            .find(|column| column.name == *name)
            .ok_or("the table has no such column")?;
        let mut oid = column.type_oid;
        let row = loop {
            let row = types.get(oid).ok_or("its type is not in the catalog")?;
            if row.kind != TypeKind::Domain {
                break row;
            }
            oid = row.base;
        };
        let kind = match (row.namespace.as_str(), row.name.as_str()) {
            ("pg_catalog", "int2" | "int4" | "int8") => Kind::Integer,
            ("pg_catalog", "numeric") => Kind::Numeric,
            ("pg_catalog", "date") => Kind::Date,
            ("pg_catalog", "timestamp") => Kind::Timestamp,
            ("pg_catalog", "timestamptz") => Kind::Instant,
            ("pg_catalog", "text" | "varchar") => Kind::Text,
            ("pg_catalog", "uuid") => Kind::Uuid,
            _ => {
                return Err(format!(
                    "its type {} has no order in which values are taken (usable: integers, numeric, date, timestamp, \
                     timestamptz, text, uuid)",
                    column.type_text
                ));
            }
        };
        Ok(Self { column: name.clone(), type_name: format!("pg_catalog.{}", row.name), kind })
    }

    /// What watermarks of this cursor are filed under.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.column, self.type_name)
    }

    /// A query that fails unless the text is a value of the cursor's type; its answer is the value as the server
    /// prints it.
    #[must_use]
    pub fn check_sql(&self, value: &str) -> String {
        format!("SELECT ({}::{})::pg_catalog.text", literal(value), self.type_name)
    }

    /// The condition of the rows at or above a bound, and of those without a value.
    #[must_use]
    pub fn from_bound(&self, bound: &str, lookback_seconds: u64) -> String {
        let column = quote(&self.column);
        let value = format!("{}::{}", literal(bound), self.type_name);
        let from = match self.kind {
            Kind::Integer | Kind::Numeric | Kind::Text | Kind::Uuid => value,
            Kind::Date => format!("({value} - {})", lookback_seconds.div_ceil(86_400)),
            Kind::Timestamp | Kind::Instant => {
                format!("({value} - '{lookback_seconds} seconds'::pg_catalog.interval)")
            }
        };
        format!("({column} >= {from} OR {column} IS NULL)")
    }

    /// The query of the highest value that may become a watermark, as text. An index on the column answers it.
    #[must_use]
    pub fn highest_sql(&self, relation: &Relation, version: i32) -> String {
        let column = quote(&self.column);
        // Not `IS NOT NULL` alone: infinities, NaN and moments that are still to come would end the search for good.
        let usable = match self.kind {
            Kind::Integer | Kind::Text | Kind::Uuid => format!("{column} IS NOT NULL"),
            Kind::Numeric if version >= 140_000 => {
                format!("{column} < 'Infinity'::pg_catalog.numeric")
            }
            Kind::Numeric => format!("{column} < 'NaN'::pg_catalog.numeric"),
            Kind::Date => format!(
                "{column} <= (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::pg_catalog.date"
            ),
            Kind::Timestamp => {
                format!("{column} <= pg_catalog.clock_timestamp() AT TIME ZONE 'UTC'")
            }
            Kind::Instant => format!("{column} <= pg_catalog.clock_timestamp()"),
        };
        format!(
            "SELECT ({column}::{})::pg_catalog.text FROM {} WHERE {usable} ORDER BY {column} DESC LIMIT 1",
            self.type_name,
            relation.quoted()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(kind: Kind, name: &str) -> Cursor {
        Cursor { column: "a\"t".into(), type_name: format!("pg_catalog.{name}"), kind }
    }

    #[test]
    fn bounds_of_moments_look_back_and_others_do_not() {
        assert_eq!(
            cursor(Kind::Instant, "timestamptz").from_bound("2020-01-01 00:00:00.000001+00", 90),
            "(\"a\"\"t\" >= ('2020-01-01 00:00:00.000001+00'::pg_catalog.timestamptz - '90 seconds'::pg_catalog.interval) \
             OR \"a\"\"t\" IS NULL)"
        );
        assert!(cursor(Kind::Date, "date").from_bound("2020-01-01", 90).contains(" - 1)"));
        assert!(
            cursor(Kind::Integer, "int8")
                .from_bound("7", 90)
                .contains(">= '7'::pg_catalog.int8 OR")
        );
    }

    #[test]
    fn values_are_quoted() {
        assert_eq!(literal("o'clock"), "'o''clock'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
