//! Every type of MySQL and MariaDB, and how it is read: exhaustively.
//!
//! A type that is not listed here is refused by name, because a type added by a later version must be decided,
//! not guessed.
//!
//! Values come in the binary protocol, where numbers, moments and floats are as the engine has them, and text comes as
//! UTF-8 ([`super::session::SESSION`]). Two types are asked for in another form: a geometry without the server's own four
//! bytes before it cannot be asked for with its reference system, so it is taken apart here; what is masked or declared as
//! `string` is the server's text of it.
//!
//! **A `time` is text.** It is a span, from -838:59:59 to 838:59:59, and not a time of day, so most of its range has no
//! place in Iceberg's `time`; and a value's type must not depend on whether it was copied or came in a log. A column that
//! does hold times of day can be declared as `time`.
//!
//! **Character sets.** The server turns text into UTF-8. For the sets in [`MAPPED_WHOLE`] that loses nothing: each of
//! their characters has one of its own in Unicode. (MySQL's `latin1` is Windows-1252 with its five gaps filled.) Of the
//! others a note says that a character without one is `?`.

use ol_lake::schema::LakeType;

use super::catalog::Column;
use crate::column::contract::MAXIMUM_PRECISION;
use crate::column::mask::Salt;
use crate::column::{ColumnContract, Fidelity};
use crate::inventory::Mask;

/// The binary form in which a value arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// Little-endian, of 1, 2, 4 or 8 bytes.
    Integer {
        /// Whether it has no sign.
        unsigned: bool,
    },
    /// Big-endian bits.
    Bits,
    /// IEEE 754 single.
    Float,
    /// IEEE 754 double.
    Double,
    /// Decimal digits as text.
    Decimal,
    /// UTF-8.
    Text,
    /// Bytes.
    Bytes,
    /// Year, month and day.
    Date,
    /// Date and time of day, with so many digits of a second.
    DateTime {
        /// How many.
        fraction: u8,
    },
    /// Sign, days and time of day, with so many digits of a second.
    Time {
        /// How many.
        fraction: u8,
    },
    /// A reference system (four bytes) and WKB.
    Geometry,
    /// A UUID as text.
    Uuid,
    /// Text or bytes that are hashed before they are stored. Without a salt nothing can be decoded.
    Hashed(Option<Salt>),
    /// Whatever it is, NULL is stored.
    Nulled,
}

/// How the value of a column is written in a SELECT list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expression {
    /// The column itself.
    Column,
    /// The server's text of it.
    Text,
    /// The server's text of the exact number: a cast of a `float` to text rounds it to six digits.
    FloatText,
    /// Its bytes as `0x` and hexadecimal digits.
    HexadecimalText,
    /// The server's text of a row of bits: their number.
    BitText,
    /// NULL: the value does not leave the server.
    Null,
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
    /// The form that arrives.
    pub wire: Wire,
    expression: Expression,
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

/// What a type is by default.
struct Decided {
    wire: Wire,
    lake: LakeType,
    fidelity: Fidelity,
    note: &'static str,
}

const fn decided(wire: Wire, lake: LakeType, fidelity: Fidelity, note: &'static str) -> Decided {
    Decided { wire, lake, fidelity, note }
}

const DATE_NOTE: &str = "zero, partial and invalid dates, and the year 0, go to _ol_odd";
const DECLARED: &str = "declared in the inventory";
const DECLARED_ODD: &str = "declared in the inventory; values that do not fit go to _ol_odd";

impl Reading {
    /// Decides how `column` is read. `declared` is the lake type the inventory asks for instead of the default.
    ///
    /// # Errors
    /// The type is unknown, or the declared type cannot hold the column's values.
    pub fn decide(column: &Column, declared: Option<&LakeType>) -> Result<Self, Refusal> {
        let refuse = |reason| Refusal { column: column.name.clone(), reason };
        let Decided { wire, lake, fidelity, note } = decide(column).map_err(refuse)?;
        let mut reading = Self {
            name: column.name.clone(),
            was: None,
            contract: ColumnContract { source: column.type_text.clone(), lake, fidelity, note },
            wire,
            expression: Expression::Column,
        };
        if let Some(declared) = declared.filter(|declared| **declared != reading.contract.lake) {
            reading.declare(column, declared).map_err(refuse)?;
        }
        Ok(reading)
    }

    /// Decides how a column is read whose values are masked.
    ///
    /// # Errors
    /// The type is unknown.
    pub fn masked(column: &Column, mask: Mask) -> Result<Self, Refusal> {
        let refuse = |reason| Refusal { column: column.name.clone(), reason };
        let Decided { wire, lake, .. } = decide(column).map_err(refuse)?;
        let (masked, expression, lake, fidelity, note) = match mask {
            Mask::Sha256Salted => {
                // Bytes are hashed as they are, as text is.
                let is_bytes = matches!(wire, Wire::Bytes | Wire::Geometry);
                let expression = if is_bytes { Expression::Column } else { text_of(&wire) };
                let note = "sha256 of salt and text, in hexadecimal";
                (Wire::Hashed(None), expression, LakeType::String, Fidelity::Hashed, note)
            }
            Mask::Nulled => (Wire::Nulled, Expression::Null, lake, Fidelity::Nulled, "always null"),
        };
        Ok(Self {
            name: column.name.clone(),
            was: None,
            contract: ColumnContract { source: column.type_text.clone(), lake, fidelity, note },
            wire: masked,
            expression,
        })
    }

    /// Whether it takes a salt to read the column.
    #[must_use]
    pub fn needs_salt(&self) -> bool {
        self.wire == Wire::Hashed(None)
    }

    /// The salt of a column that is hashed.
    #[must_use]
    pub fn salted(&self) -> Option<&Salt> {
        if let Wire::Hashed(salt) = &self.wire { salt.as_ref() } else { None }
    }

    /// Gives a hashed column its salt.
    pub fn salt(&mut self, salt: &Salt) {
        if let Wire::Hashed(given) = &mut self.wire {
            *given = Some(salt.clone());
        }
    }

    /// Replaces the default lake type by a declared one.
    fn declare(&mut self, column: &Column, declared: &LakeType) -> Result<(), String> {
        let is_bit = column.type_text == "bit(1)" || column.type_text == "tinyint(1)";
        let is_smaller = matches!(
            column.type_name.as_str(),
            "tinyint" | "smallint" | "mediumint" | "int" | "year"
        );
        let (fidelity, note) = match (declared, &self.wire) {
            (LakeType::String, wire) => {
                self.expression = text_of(wire);
                self.wire = Wire::Text;
                (Fidelity::Text, DECLARED)
            }
            (LakeType::Boolean, Wire::Integer { .. } | Wire::Bits) if is_bit => {
                (Fidelity::Sidecar, DECLARED_ODD)
            }
            (LakeType::Decimal { .. }, Wire::Decimal) | (LakeType::Time, Wire::Time { .. }) => {
                (Fidelity::Sidecar, DECLARED_ODD)
            }
            (LakeType::Long, Wire::Integer { .. }) if is_smaller => (Fidelity::Widened, DECLARED),
            (LakeType::Long, Wire::Integer { .. } | Wire::Bits) => {
                (Fidelity::Sidecar, DECLARED_ODD)
            }
            (LakeType::Double, Wire::Float) => (Fidelity::Widened, DECLARED),
            (other, _) => {
                return Err(format!(
                    "the declared type {other} cannot hold every {} (possible: string, a wider number, boolean for \
                     tinyint(1) and bit(1), time for time, or a decimal for decimal)",
                    self.contract.source
                ));
            }
        };
        self.contract.lake = declared.clone();
        self.contract.fidelity = fidelity;
        self.contract.note = note;
        Ok(())
    }

    /// How its value is asked for.
    pub(super) fn expression(&self) -> Expression {
        self.expression
    }

    /// The expression of the value in a SELECT list.
    #[must_use]
    pub fn value_sql(&self) -> String {
        let column = quote(&self.name);
        match self.expression {
            Expression::Column => column,
            Expression::Null => "NULL".to_owned(),
            Expression::Text => format!("CAST({column} AS CHAR CHARACTER SET utf8mb4)"),
            // A product with a double is one.
            Expression::FloatText => {
                format!("CAST(({column} * 1e0) AS CHAR CHARACTER SET utf8mb4)")
            }
            Expression::HexadecimalText => {
                format!("CONCAT('0x', LOWER(HEX({column}))) COLLATE utf8mb4_bin")
            }
            Expression::BitText => format!("CAST(({column} + 0) AS CHAR CHARACTER SET utf8mb4)"),
        }
    }
}

/// The form in which the column itself arrives, whatever is declared of it.
pub(super) fn plain_wire(column: &Column) -> Result<Wire, String> {
    decide(column).map(|decided| decided.wire)
}

/// How the server's text of a value is asked for.
fn text_of(wire: &Wire) -> Expression {
    match wire {
        Wire::Text => Expression::Column,
        Wire::Float | Wire::Double => Expression::FloatText,
        Wire::Bytes | Wire::Geometry => Expression::HexadecimalText,
        Wire::Bits => Expression::BitText,
        Wire::Nulled => Expression::Null,
        Wire::Integer { .. }
        | Wire::Decimal
        | Wire::Date
        | Wire::DateTime { .. }
        | Wire::Time { .. }
        | Wire::Uuid
        | Wire::Hashed(_) => Expression::Text,
    }
}

/// Every type of both servers, by the name in `information_schema`: what `decide` decides.
#[rustfmt::skip]
pub const TYPES: &[&str] = &[
    "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "year", "date", "datetime",
    "timestamp", "time", "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "binary", "varbinary",
    "tinyblob", "blob", "mediumblob", "longblob", "enum", "set", "json", "geometry", "point", "linestring", "polygon",
    "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection", "uuid", "inet4", "inet6",
    "vector", "xmltype",
];

/// Decides a type: the only place where types of MySQL become those of the lake.
fn decide(column: &Column) -> Result<Decided, String> {
    use Fidelity::{Exact, Sidecar, Text, Widened};
    let unsigned = column.unsigned();
    let integer = |lake, fidelity, note| decided(Wire::Integer { unsigned }, lake, fidelity, note);
    Ok(match (column.type_name.as_str(), unsigned) {
        ("tinyint", false) if column.type_text == "tinyint(1)" => integer(
            LakeType::Int,
            Widened,
            "a boolean by convention; override with columns: {name: boolean}",
        ),
        ("tinyint" | "smallint" | "mediumint", _) => integer(LakeType::Int, Widened, ""),
        ("int", false) => integer(LakeType::Int, Exact, ""),
        ("int", true) => integer(LakeType::Long, Widened, ""),
        ("bigint", false) => integer(LakeType::Long, Exact, ""),
        ("bigint", true) => integer(LakeType::Decimal { precision: 20, scale: 0 }, Widened, ""),
        ("year", _) => decided(Wire::Integer { unsigned: true }, LakeType::Int, Widened, ""),
        ("decimal", _) => decimal(column)?,
        ("float", _) => decided(Wire::Float, LakeType::Float, Exact, ""),
        ("double", _) => decided(Wire::Double, LakeType::Double, Exact, ""),
        ("bit", _) if column.precision.is_some_and(|bits| bits < 64) => {
            decided(Wire::Bits, LakeType::Long, Widened, "the number that the bits are")
        }
        ("bit", _) => {
            let lake = LakeType::Decimal { precision: 20, scale: 0 };
            decided(Wire::Bits, lake, Widened, "the number that the bits are")
        }
        ("date", _) => decided(Wire::Date, LakeType::Date, Sidecar, DATE_NOTE),
        ("datetime", _) => decided(moment(column), LakeType::Timestamp, Sidecar, DATE_NOTE),
        ("timestamp", _) => decided(
            moment(column),
            LakeType::Timestamptz,
            Sidecar,
            "an instant, kept in UTC; the zero timestamp goes to _ol_odd",
        ),
        ("time", _) => decided(
            Wire::Time { fraction: column.fraction.unwrap_or(0) },
            LakeType::String,
            Text,
            "a span, not a time of day; override with columns: {name: time}",
        ),
        ("char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext", _) => {
            text(column, Exact)
        }
        ("enum", _) => {
            Decided { note: join(text(column, Exact).note, "the label"), ..text(column, Exact) }
        }
        ("set", _) => Decided {
            note: join(text(column, Text).note, "labels, joined by commas"),
            ..text(column, Text)
        },
        ("json", _) => decided(Wire::Text, LakeType::String, Text, "as the server prints it"),
        ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", _) => {
            decided(Wire::Bytes, LakeType::Binary, Exact, "")
        }
        (
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection",
            _,
        ) => decided(
            Wire::Geometry,
            LakeType::Binary,
            Exact,
            "WKB; with a reference system other than 0, EWKB",
        ),
        ("uuid", _) => decided(Wire::Uuid, LakeType::Uuid, Exact, ""),
        ("inet4" | "inet6", _) => decided(Wire::Text, LakeType::String, Text, ""),
        ("vector", _) => {
            decided(Wire::Bytes, LakeType::Binary, Exact, "floats of four bytes, the lowest first")
        }
        ("xmltype", _) => {
            return Err("type xmltype is known, and no form of it in the lake is decided".into());
        }
        (name, _) => {
            return Err(format!(
                "type {name} is not known to this version; exclude the column or ask for the type to be decided"
            ));
        }
    })
}

fn moment(column: &Column) -> Wire {
    Wire::DateTime { fraction: column.fraction.unwrap_or(0) }
}

fn decimal(column: &Column) -> Result<Decided, String> {
    let digits = column.precision.zip(column.scale);
    let (precision, scale) = digits.ok_or("its digits are not in the catalog")?;
    if precision > MAXIMUM_PRECISION {
        let note = "more digits than an Iceberg decimal holds (38)";
        return Ok(decided(Wire::Decimal, LakeType::String, Fidelity::Text, note));
    }
    let byte = |_| "its digits are out of range".to_owned();
    let lake = LakeType::Decimal {
        precision: u8::try_from(precision).map_err(byte)?,
        scale: u8::try_from(scale).map_err(byte)?,
    };
    Ok(decided(Wire::Decimal, lake, Fidelity::Exact, ""))
}

/// Character sets each of whose characters has one of its own in Unicode.
#[rustfmt::skip]
pub const MAPPED_WHOLE: &[&str] = &[
    "ascii", "latin1", "utf8", "utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32",
];
const UNMAPPED: &str =
    "its character set is not Unicode's: a character without one of its own there is ?";

fn text(column: &Column, fidelity: Fidelity) -> Decided {
    let is_whole = column.character_set.as_deref().is_none_or(|set| MAPPED_WHOLE.contains(&set));
    let (fidelity, note) = if is_whole { (fidelity, "") } else { (Fidelity::Text, UNMAPPED) };
    decided(Wire::Text, LakeType::String, fidelity, note)
}

/// Of two notes the weightier.
fn join(first: &'static str, second: &'static str) -> &'static str {
    if first.is_empty() { second } else { first }
}

/// An identifier, quoted always.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
