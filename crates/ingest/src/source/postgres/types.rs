//! Every Postgres type, and how it is read: exhaustively.
//!
//! A type of `pg_catalog` that is not listed here is refused by name, because a type added by a later server
//! version must be decided, not guessed (a test compares the list with a running server's catalog). Types of
//! users and extensions are decided by their kind: an enumeration is its label, a domain its base type, and
//! composites, ranges and base types are the exact text of their own output function.
//!
//! "The server's own text" is asked for as `textin(typoutput(value))`, not as `value::text`: a cast may differ from
//! the output function (`'::1'::inet` casts to `::1/128`, `char(10)` loses its blanks), and what `psql` and COPY show
//! is the output function.

use ol_lake::schema::LakeType;

use super::catalog::{Column, Output, TypeKind, TypeRow, Types};
use crate::column::mask::Salt;
use crate::column::{ColumnContract, Fidelity, SourceType};
use crate::inventory::Mask;

/// The binary form in which a value arrives (the `typsend` function of its type).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// One byte, 0 or 1.
    Boolean,
    /// Two bytes, signed.
    Int2,
    /// Four bytes, signed.
    Int4,
    /// Eight bytes, signed.
    Int8,
    /// Four bytes, unsigned (`oid` and transaction ids).
    Unsigned4,
    /// IEEE 754 single.
    Float4,
    /// IEEE 754 double.
    Float8,
    /// Base-10000 digits with weight, sign and display scale.
    Numeric,
    /// UTF-8.
    Text,
    /// A version byte (1), then UTF-8.
    Jsonb,
    /// Bytes.
    Bytes,
    /// 16 bytes.
    Uuid,
    /// Days since 2000-01-01.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 2000-01-01 00:00, in no zone.
    Timestamp,
    /// Microseconds since 2000-01-01 00:00 UTC.
    Instant,
    /// An array: dimensions, null flag, element type, bounds, elements.
    List(Box<Wire>),
    /// UTF-8 that is hashed before it is stored. Without a salt nothing can be decoded.
    Hashed(Option<Salt>),
    /// Whatever it is, NULL is stored.
    Nulled,
}

/// How the value of a column is written in the SELECT list of COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    /// The column itself, in the binary form of its type.
    Column,
    /// The output function's text.
    Output(Output),
    /// An array of the output function's texts.
    ListOutput { output: Output, composite: bool },
    /// JSON text of an array with several dimensions.
    Json { output: Output },
    /// NULL: the value does not leave the server.
    Null,
}

/// How the text in which change capture sends a value becomes what COPY sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Streamed {
    /// The text is a value of the wire form.
    Scalar,
    /// The text is an array, whose elements are values of the wire form's element.
    List { delimiter: u8 },
    /// The text is an array, and the value is the JSON that `array_to_json` makes of it.
    Json { delimiter: u8, element: JsonElement },
    /// It cannot: the reason.
    Not(&'static str),
}

/// How `array_to_json` prints an element (PostgreSQL source, `json_categorize_type` and `datum_to_json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonElement {
    /// Bare where it is a JSON number, else as text.
    Number,
    /// `true` or `false`.
    Boolean,
    /// As it is.
    Json,
    /// Text in the form of XSD: `T` before the time, `+00:00` after it.
    Moment,
    /// Text.
    Text,
}

/// How one column is read, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The column's name, as the source spells it.
    pub name: String,
    /// The name that the lake may know it by.
    pub was: Option<String>,
    /// The type contract.
    pub contract: ColumnContract,
    /// The binary form that arrives.
    pub wire: Wire,
    expression: Expression,
    /// How its text becomes the same value.
    pub(super) streamed: Streamed,
}

/// Why a column cannot be read faithfully.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {reason}")]
pub struct Refusal {
    /// The column.
    pub column: String,
    /// The reason, with the type in it.
    pub reason: String,
}

impl Reading {
    /// Decides how `column` is read. `declared` is the lake type the inventory asks for instead of the default.
    ///
    /// # Errors
    /// The type is unknown, or the declared type cannot hold the column's values.
    pub fn decide(
        column: &Column,
        types: &Types,
        declared: Option<&LakeType>,
    ) -> Result<Self, Refusal> {
        let refuse = |reason| Refusal { column: column.name.clone(), reason };
        let resolved =
            resolve(types, column.type_oid, column.modifier, column.dimensions).map_err(refuse)?;
        let (lake, fidelity, note) = resolved.source.contract();
        let mut reading = Self {
            name: column.name.clone(),
            was: None,
            contract: ColumnContract { source: column.type_text.clone(), lake, fidelity, note },
            wire: resolved.wire,
            expression: resolved.expression,
            streamed: resolved.streamed,
        };
        if let Some(declared) = declared {
            reading.declare(declared, &resolved.output).map_err(refuse)?;
        }
        Ok(reading)
    }

    /// Decides how a column is read whose values are masked.
    ///
    /// # Errors
    /// The type is unknown.
    pub fn masked(column: &Column, types: &Types, mask: Mask) -> Result<Self, Refusal> {
        let refuse = |reason| Refusal { column: column.name.clone(), reason };
        let resolved =
            resolve(types, column.type_oid, column.modifier, column.dimensions).map_err(refuse)?;
        let (wire, expression, lake, fidelity, note) = match mask {
            Mask::Sha256Salted => (
                Wire::Hashed(None),
                Expression::Output(resolved.output),
                LakeType::String,
                Fidelity::Hashed,
                "sha256 of salt and text, in hexadecimal",
            ),
            Mask::Nulled => (
                Wire::Nulled,
                Expression::Null,
                resolved.source.contract().0,
                Fidelity::Nulled,
                "always null",
            ),
        };
        Ok(Self {
            name: column.name.clone(),
            was: None,
            contract: ColumnContract { source: column.type_text.clone(), lake, fidelity, note },
            wire,
            expression,
            streamed: Streamed::Scalar,
        })
    }

    /// Whether it takes a salt to read the column.
    #[must_use]
    pub fn needs_salt(&self) -> bool {
        self.wire == Wire::Hashed(None)
    }

    /// Gives a hashed column its salt.
    pub fn salt(&mut self, salt: &Salt) {
        if let Wire::Hashed(given) = &mut self.wire {
            *given = Some(salt.clone());
        }
    }

    /// Replaces the default lake type by a declared one.
    fn declare(&mut self, declared: &LakeType, output: &Output) -> Result<(), String> {
        if *declared == self.contract.lake {
            return Ok(());
        }
        let (fidelity, note) = match (declared, &self.wire) {
            (LakeType::String, _) => {
                self.wire = Wire::Text;
                self.expression = Expression::Output(output.clone());
                self.streamed = Streamed::Scalar;
                (Fidelity::Text, "declared in the inventory")
            }
            (LakeType::Decimal { .. }, Wire::Numeric) => (
                Fidelity::Sidecar,
                "declared in the inventory; values that do not fit go to _ol_odd",
            ),
            (LakeType::Long, Wire::Int2 | Wire::Int4) | (LakeType::Int, Wire::Int2) => {
                (Fidelity::Widened, "declared in the inventory")
            }
            (LakeType::Double, Wire::Float4) => (Fidelity::Widened, "declared in the inventory"),
            (other, _) => {
                return Err(format!(
                    "the declared type {other} cannot hold every {} (possible: string, a wider number, or a \
                     decimal for numeric)",
                    self.contract.source
                ));
            }
        };
        self.contract.lake = declared.clone();
        self.contract.fidelity = fidelity;
        self.contract.note = note;
        Ok(())
    }

    /// The expression of the value in a SELECT list.
    #[must_use]
    pub fn value_sql(&self) -> String {
        let column = quote(&self.name);
        match &self.expression {
            Expression::Column => column,
            Expression::Null => "NULL::pg_catalog.text".to_owned(),
            Expression::Output(output) => output.text_of(&column),
            // unnest would spread a composite into its fields, so those are taken by subscript.
            Expression::ListOutput { output, composite: true } => format!(
                "CASE WHEN {column} IS NOT NULL THEN ARRAY(SELECT {} FROM pg_catalog.generate_subscripts({column}, 1) \
                 AS s(i) ORDER BY i) END",
                output.text_of(&format!("{column}[i]"))
            ),
            Expression::ListOutput { output, composite: false } => format!(
                "CASE WHEN {column} IS NOT NULL THEN ARRAY(SELECT {} FROM pg_catalog.unnest({column}) \
                 WITH ORDINALITY AS u(e, o) ORDER BY u.o) END",
                output.text_of("u.e")
            ),
            Expression::Json { .. } => {
                format!(
                    "pg_catalog.textin(pg_catalog.json_out(pg_catalog.array_to_json({column})))"
                )
            }
        }
    }

    /// The expression that yields the whole value as text when its structure does not fit the lake's type, and
    /// NULL when it does; `None` where a structure always fits.
    #[must_use]
    pub fn odd_sql(&self) -> Option<String> {
        let column = quote(&self.name);
        match (&self.expression, &self.wire) {
            (Expression::Json { output }, _) => {
                // Bounds are decorated with a leading bracket exactly when one of them is not 1.
                let text = output.text_of(&column);
                Some(format!("CASE WHEN pg_catalog.left({text}, 1) = '[' THEN {text} END"))
            }
            (Expression::Column | Expression::ListOutput { .. }, Wire::List(_)) => Some(format!(
                "CASE WHEN pg_catalog.array_ndims({column}) > 1 OR pg_catalog.array_lower({column}, 1) <> 1 THEN \
                 pg_catalog.textin(pg_catalog.array_out({column})) END"
            )),
            _ => None,
        }
    }
}

/// What a type is and how its values are asked for.
struct Resolved {
    source: SourceType,
    wire: Wire,
    expression: Expression,
    streamed: Streamed,
    /// The qualified output function, for a declared `string`.
    output: Output,
}

/// Decides a type: the only place where Postgres types become source types.
fn resolve(types: &Types, oid: u32, modifier: i32, dimensions: i16) -> Result<Resolved, String> {
    let row =
        types.get(oid).ok_or_else(|| format!("its type (oid {oid}) is not in the catalog"))?;
    let output = row.output.clone();
    let plain = |source, wire| Resolved {
        source,
        wire,
        expression: Expression::Column,
        streamed: Streamed::Scalar,
        output: output.clone(),
    };
    match row.kind {
        TypeKind::Domain => {
            let modifier = if row.modifier == -1 { modifier } else { row.modifier };
            resolve(types, row.base, modifier, row.dimensions.max(dimensions))
        }
        TypeKind::Enumeration => Ok(plain(SourceType::Enumeration, Wire::Text)),
        TypeKind::Composite | TypeKind::Range | TypeKind::Multirange => Ok(rendered(output)),
        TypeKind::Pseudo => Err(format!("pseudo-type {} has no values to store", row.name)),
        TypeKind::Base if row.is_array => array(types, row, modifier, dimensions),
        TypeKind::Base if row.namespace == "pg_catalog" => built_in(row, modifier),
        TypeKind::Base => Ok(rendered(output)),
    }
}

fn rendered(output: Output) -> Resolved {
    Resolved {
        source: SourceType::Rendered,
        wire: Wire::Text,
        expression: Expression::Output(output.clone()),
        streamed: Streamed::Scalar,
        output,
    }
}

fn array(types: &Types, row: &TypeRow, modifier: i32, dimensions: i16) -> Result<Resolved, String> {
    let output = row.output.clone();
    let delimiter = types.get(row.element).map_or(b',', |element| element.delimiter);
    if dimensions > 1 {
        return Ok(Resolved {
            source: SourceType::NestedList,
            wire: Wire::Text,
            expression: Expression::Json { output: output.clone() },
            streamed: match json_element(types, row.element) {
                Ok(element) => Streamed::Json { delimiter, element },
                Err(reason) => Streamed::Not(reason),
            },
            output,
        });
    }
    let element = resolve(types, row.element, modifier, 0)?;
    let expression = match element.expression {
        Expression::Column => Expression::Column,
        Expression::Output(output) => {
            let composite = types.base_kind(row.element) == Some(TypeKind::Composite);
            Expression::ListOutput { output, composite }
        }
        // An array of a domain over an array: the whole as text.
        Expression::ListOutput { .. } | Expression::Json { .. } | Expression::Null => {
            return Ok(rendered(output));
        }
    };
    if matches!(element.wire, Wire::List(_)) {
        return Ok(rendered(output));
    }
    Ok(Resolved {
        source: SourceType::List(Box::new(element.source)),
        wire: Wire::List(Box::new(element.wire)),
        expression,
        streamed: Streamed::List { delimiter },
        output,
    })
}

/// How `array_to_json` prints elements of a type, or why its text does not say.
fn json_element(types: &Types, oid: u32) -> Result<JsonElement, &'static str> {
    let row = types.get(oid).ok_or("the type of its elements is not in the catalog")?;
    match row.kind {
        TypeKind::Domain => json_element(types, row.base),
        TypeKind::Composite => Err(
            "several dimensions of a composite type: the JSON of its fields is not in their text",
        ),
        _ if row.json_cast => {
            Err("several dimensions of a type with a cast to json, which its text does not show")
        }
        TypeKind::Base if row.is_array => {
            Err("several dimensions of a domain over an array, which its text does not show")
        }
        TypeKind::Base if row.namespace == "pg_catalog" => Ok(match row.name.as_str() {
            "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" => JsonElement::Number,
            "bool" => JsonElement::Boolean,
            "json" | "jsonb" => JsonElement::Json,
            "date" | "timestamp" | "timestamptz" => JsonElement::Moment,
            _ => JsonElement::Text,
        }),
        TypeKind::Base
        | TypeKind::Enumeration
        | TypeKind::Range
        | TypeKind::Multirange
        | TypeKind::Pseudo => Ok(JsonElement::Text),
    }
}

/// Every base type of `pg_catalog`, without arrays: what `built_in` decides. A test compares it with a server.
#[rustfmt::skip]
pub const BUILT_IN: &[&str] = &[
    "bool", "int2", "int4", "int8", "oid", "xid", "cid", "float4", "float8", "numeric", "text", "varchar", "bpchar",
    "name", "json", "jsonb", "bytea", "uuid", "date", "time", "timestamp", "timestamptz", "timetz", "interval", "money",
    "inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "xml", "tsvector", "tsquery", "jsonpath", "point", "line",
    "lseg", "box", "path", "polygon", "circle", "char", "refcursor", "pg_lsn", "tid", "xid8", "txid_snapshot",
    "pg_snapshot", "aclitem", "int2vector", "oidvector", "regclass", "regcollation", "regconfig", "regdictionary",
    "regnamespace", "regoper", "regoperator", "regproc", "regprocedure", "regrole", "regtype", "regdatabase", "oid8",
    "gtsvector", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
];

/// The base types of `pg_catalog`, each by name (PostgreSQL 12 to 18, `src/include/catalog/pg_type.dat`).
fn built_in(row: &TypeRow, modifier: i32) -> Result<Resolved, String> {
    let output = row.output.clone();
    let (source, wire) = match row.name.as_str() {
        "bool" => (SourceType::Boolean, Wire::Boolean),
        "int2" => (SourceType::Integer { bytes: 2, unsigned: false }, Wire::Int2),
        "int4" => (SourceType::Integer { bytes: 4, unsigned: false }, Wire::Int4),
        "int8" => (SourceType::Integer { bytes: 8, unsigned: false }, Wire::Int8),
        "oid" | "xid" | "cid" => {
            (SourceType::Integer { bytes: 4, unsigned: true }, Wire::Unsigned4)
        }
        "float4" => (SourceType::Float { bytes: 4 }, Wire::Float4),
        "float8" => (SourceType::Float { bytes: 8 }, Wire::Float8),
        "numeric" => (numeric(modifier), Wire::Numeric),
        "text" | "varchar" | "bpchar" | "name" => (SourceType::Text, Wire::Text),
        "json" => (SourceType::Json, Wire::Text),
        "jsonb" => (SourceType::Json, Wire::Jsonb),
        "bytea" => (SourceType::Bytes, Wire::Bytes),
        "uuid" => (SourceType::Uuid, Wire::Uuid),
        "date" => (SourceType::Date, Wire::Date),
        "time" => (SourceType::Time, Wire::Time),
        "timestamp" => (SourceType::Timestamp, Wire::Timestamp),
        "timestamptz" => (SourceType::Instant, Wire::Instant),
        "timetz" | "interval" | "money" | "inet" | "cidr" | "macaddr" | "macaddr8" | "bit"
        | "varbit" | "xml" | "tsvector" | "tsquery" | "jsonpath" | "point" | "line" | "lseg"
        | "box" | "path" | "polygon" | "circle" | "char" | "refcursor" | "pg_lsn" | "tid"
        | "xid8" | "txid_snapshot" | "pg_snapshot" | "aclitem" | "int2vector" | "oidvector"
        | "regclass" | "regcollation" | "regconfig" | "regdictionary" | "regnamespace"
        | "regoper" | "regoperator" | "regproc" | "regprocedure" | "regrole" | "regtype"
        | "regdatabase" | "oid8" => {
            return Ok(rendered(output));
        }
        "gtsvector"
        | "pg_node_tree"
        | "pg_ndistinct"
        | "pg_dependencies"
        | "pg_mcv_list"
        | "pg_brin_bloom_summary"
        | "pg_brin_minmax_multi_summary" => {
            return Err(format!(
                "type {} is internal to the server and its text is not its value",
                row.name
            ));
        }
        name => {
            return Err(format!(
                "type {name} is not known to this version; exclude the column or ask for the type to be decided"
            ));
        }
    };
    let (expression, streamed) = (Expression::Column, Streamed::Scalar);
    Ok(Resolved { source, wire, expression, streamed, output })
}

/// The declared digits of a `numeric`, out of its type modifier.
///
/// Since version 15 the scale is an 11-bit two's complement number; before, it was 0 to 1000, which reads the
/// same (PostgreSQL source, `numeric_typmod_scale` in `src/backend/utils/adt/numeric.c`).
fn numeric(modifier: i32) -> SourceType {
    let packed = modifier - 4;
    let precision = u16::try_from((packed >> 16) & 0xffff);
    let scale = i16::try_from(((packed & 0x7ff) ^ 0x400) - 0x400);
    match (precision, scale) {
        (Ok(precision), Ok(scale)) if modifier >= 4 => SourceType::Decimal { precision, scale },
        _ => SourceType::UnboundedDecimal,
    }
}

/// An identifier, quoted always.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Text as an SQL literal, whatever `standard_conforming_strings` says.
#[must_use]
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}
