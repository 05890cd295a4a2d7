//! How the fields of documents become columns: exhaustively, by the types that BSON has.
//!
//! | values seen | column |
//! |---|---|
//! | `bool` | boolean |
//! | `int`, `long` | long: a driver chooses the width by the value, so a field of `int` becomes one of `long` some day |
//! | `double`, also beside `int`, `long` | double |
//! | `date` | timestamptz |
//! | `binData` | binary |
//! | everything else, every other mixture, and `_id` | string: `bson/text.rs` says how it is written |
//!
//! **A column keeps its type.** The types seen decide it when it is made; from then on the lake's table has it, and a value
//! of another type goes to `_ol_odd` as canonical extended JSON, while the column is NULL. The inventory can declare
//! another type before.
//!
//! **The document** is in `_ol_document`, whole, as canonical extended JSON: what has no column is there, and so is the exact
//! type of each value.

use std::collections::BTreeMap;

use ol_lake::schema::LakeType;

use super::catalog::Field;
use crate::column::mask::Salt;
use crate::column::{ColumnContract, Fidelity};
use crate::inventory::Mask;

/// The column of the whole document.
pub const DOCUMENT: &str = "_ol_document";
/// The key of every document.
pub const KEY: &str = "_id";

/// Every type of BSON, by the server's word.
pub const TYPES: &[&str] = &[
    "objectId",
    "string",
    "bool",
    "int",
    "long",
    "double",
    "decimal",
    "date",
    "timestamp",
    "object",
    "array",
    "binData",
    "regex",
    "javascript",
    "javascriptWithScope",
    "symbol",
    "dbPointer",
    "undefined",
    "minKey",
    "maxKey",
];

/// What becomes of the values of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoding {
    /// The key as text.
    Key,
    /// A value of the column's type.
    Value,
    /// A hash of the value's text. Without a salt nothing can be decoded.
    Hashed(Option<Salt>),
    /// Whatever it is, NULL is stored.
    Nulled,
    /// The whole document.
    Document,
}

/// How one column is read, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The field's name, as the documents spell it.
    pub name: String,
    /// The name that the lake may know it by.
    pub was: Option<String>,
    /// The type contract.
    pub contract: ColumnContract,
    /// What becomes of its values.
    pub decoding: Decoding,
}

/// Why a column cannot be read as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {reason}")]
pub struct Refusal {
    /// The column.
    pub column: String,
    /// The reason, with the type in it.
    pub reason: String,
}

const OTHERS: &str = "values of another type go to _ol_odd, as extended JSON";
const DATE: &str =
    "milliseconds; years outside 1 to 9999, and values of another type, go to _ol_odd";
const BYTES: &str =
    "the bytes; their subtype is in _ol_document; values of another type go to _ol_odd";
const TEXT: &str =
    "text as it is; of values of another type the text, whose type is in _ol_document";
const KEY_NOTE: &str =
    "an object id as 24 digits, a string as it is, anything else as canonical extended JSON";
const DECLARED: &str = "declared in the inventory; values that do not fit go to _ol_odd";
const DOCUMENT_NOTE: &str =
    "canonical extended JSON, without excluded and nulled fields, with the hashes of hashed ones";

impl Reading {
    /// Decides how a field is read: as the inventory declares it, else as the lake's table has it, else by the types seen.
    ///
    /// # Errors
    /// The declared type is one that no column of ours can have.
    pub fn decide(
        name: &str,
        seen: Option<&Field>,
        declared: Option<&LakeType>,
        in_lake: Option<&LakeType>,
    ) -> Result<Self, Refusal> {
        let source = source(seen);
        // A key of another type may come any day, and no row can be without one: it is text from the first.
        let of_seen = match name == KEY {
            true => (LakeType::String, Fidelity::Text, TEXT),
            false => by_types(seen.map(|field| &field.types)),
        };
        let (lake, fidelity, note) = match (declared, in_lake.filter(|lake| can_hold(lake))) {
            (Some(declared), _) if !can_hold(declared) => {
                return Err(Refusal {
                    column: name.to_owned(),
                    reason: format!(
                        "the declared type {declared} cannot hold values of a document (possible: string, boolean, int, \
                         long, double, decimal, timestamptz, binary)"
                    ),
                });
            }
            (Some(LakeType::String), _) => (LakeType::String, Fidelity::Text, TEXT),
            (Some(declared), _) => (declared.clone(), Fidelity::Sidecar, DECLARED),
            (None, Some(LakeType::String)) => (LakeType::String, Fidelity::Text, TEXT),
            (None, Some(lake)) if *lake != of_seen.0 => (lake.clone(), Fidelity::Sidecar, OTHERS),
            (None, _) => of_seen,
        };
        let is_key = name == KEY && lake == LakeType::String;
        Ok(Self {
            name: name.to_owned(),
            was: None,
            contract: ColumnContract {
                source,
                lake,
                fidelity,
                note: if is_key { KEY_NOTE } else { note },
            },
            decoding: if is_key { Decoding::Key } else { Decoding::Value },
        })
    }

    /// How a field is read whose values are masked.
    #[must_use]
    pub fn masked(
        name: &str,
        seen: Option<&Field>,
        mask: Mask,
        in_lake: Option<&LakeType>,
    ) -> Self {
        let (decoding, lake, fidelity, note) = match mask {
            Mask::Sha256Salted => {
                let note = "sha256 of salt and the text that the column would have, in hexadecimal";
                (Decoding::Hashed(None), LakeType::String, Fidelity::Hashed, note)
            }
            Mask::Nulled => {
                let lake = in_lake.cloned().unwrap_or_else(|| by_types(seen.map(|it| &it.types)).0);
                (Decoding::Nulled, lake, Fidelity::Nulled, "always null")
            }
        };
        Self {
            name: name.to_owned(),
            was: None,
            contract: ColumnContract { source: source(seen), lake, fidelity, note },
            decoding,
        }
    }

    /// The column of the whole document.
    #[must_use]
    pub fn document() -> Self {
        Self {
            name: DOCUMENT.to_owned(),
            was: None,
            contract: ColumnContract {
                source: "document".to_owned(),
                lake: LakeType::String,
                fidelity: Fidelity::Text,
                note: DOCUMENT_NOTE,
            },
            decoding: Decoding::Document,
        }
    }

    /// Whether it takes a salt to read the column.
    #[must_use]
    pub fn needs_salt(&self) -> bool {
        self.decoding == Decoding::Hashed(None)
    }

    /// Gives a hashed column its salt.
    pub fn salt(&mut self, salt: &Salt) {
        if let Decoding::Hashed(given) = &mut self.decoding {
            *given = Some(salt.clone());
        }
    }
}

/// The types that were seen, for people.
#[must_use]
pub fn source(seen: Option<&Field>) -> String {
    match seen {
        None => "not in the sample".to_owned(),
        Some(field) => field.types.keys().copied().collect::<Vec<_>>().join(", "),
    }
}

/// Whether values of documents can be written as this type.
fn can_hold(lake: &LakeType) -> bool {
    matches!(
        lake,
        LakeType::String
            | LakeType::Boolean
            | LakeType::Int
            | LakeType::Long
            | LakeType::Double
            | LakeType::Decimal { .. }
            | LakeType::Timestamptz
            | LakeType::Binary
    )
}

/// The column that the types seen make.
fn by_types(types: Option<&BTreeMap<&'static str, u64>>) -> (LakeType, Fidelity, &'static str) {
    let words: Vec<&str> =
        types.into_iter().flat_map(BTreeMap::keys).copied().filter(|it| *it != "null").collect();
    let all = |known: &[&str]| !words.is_empty() && words.iter().all(|word| known.contains(word));
    if all(&["bool"]) {
        (LakeType::Boolean, Fidelity::Sidecar, OTHERS)
    } else if all(&["int", "long"]) {
        (LakeType::Long, Fidelity::Sidecar, OTHERS)
    } else if all(&["int", "long", "double"]) {
        (LakeType::Double, Fidelity::Sidecar, OTHERS)
    } else if all(&["date"]) {
        (LakeType::Timestamptz, Fidelity::Sidecar, DATE)
    } else if all(&["binData"]) {
        (LakeType::Binary, Fidelity::Sidecar, BYTES)
    } else {
        (LakeType::String, Fidelity::Text, TEXT)
    }
}
