//! The type contract: which lake type a source column gets, and what is given up on the way.
//!
//! `ol-ingest plan` prints it, so that it can be kept beside the inventory and a change of it reviewed.

use ol_lake::schema::LakeType;

use super::SourceType;

/// How faithfully the lake holds the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fidelity {
    /// Every value is stored as it is, in a type of the same range.
    Exact,
    /// Every value is stored as it is, in a wider type.
    Widened,
    /// Every value is stored as the exact text that the server prints.
    Text,
    /// Every value is replaced by its salted digest.
    Hashed,
    /// Every value is replaced by NULL.
    Nulled,
    /// Values that fit are exact; one that does not is NULL in its column, with its exact text in `_ol_odd`.
    Sidecar,
}

impl Fidelity {
    /// The word for it in `plan`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Widened => "widened",
            Self::Text => "text",
            Self::Hashed => "hashed",
            Self::Nulled => "nulled",
            Self::Sidecar => "sidecar",
        }
    }
}

/// Where one source column lands and what is given up on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnContract {
    /// The type in the source's words, e.g. `numeric(12,2)`.
    pub source: String,
    /// The type in the lake.
    pub lake: LakeType,
    /// What holds for every value.
    pub fidelity: Fidelity,
    /// What a reader must know, in one sentence; empty where there is nothing to say.
    pub note: &'static str,
}

/// The most digits an Iceberg decimal has (Iceberg specification, "Primitive Types").
pub const MAXIMUM_PRECISION: u16 = 38;

const DATE_NOTE: &str = "infinity, BC and years after 9999 go to _ol_odd";
const TIME_NOTE: &str = "24:00:00 goes to _ol_odd";
const LIST_NOTE: &str = "several dimensions, other lower bounds and elements that do not fit go to _ol_odd, the whole array as text";

impl SourceType {
    /// The lake type by default, its fidelity, and what a reader must know.
    #[must_use]
    pub fn contract(&self) -> (LakeType, Fidelity, &'static str) {
        match self {
            Self::Boolean => (LakeType::Boolean, Fidelity::Exact, ""),
            Self::Integer { bytes: 4, unsigned: false } => (LakeType::Int, Fidelity::Exact, ""),
            Self::Integer { bytes: ..=3, .. } => (LakeType::Int, Fidelity::Widened, ""),
            Self::Integer { bytes: ..=7, .. } => (LakeType::Long, Fidelity::Widened, ""),
            Self::Integer { unsigned: false, .. } => (LakeType::Long, Fidelity::Exact, ""),
            Self::Integer { unsigned: true, .. } => {
                (LakeType::Decimal { precision: 20, scale: 0 }, Fidelity::Widened, "")
            }
            Self::Decimal { precision, scale } => match lake_decimal(*precision, *scale) {
                Some((lake, true)) => (lake, Fidelity::Sidecar, "NaN goes to _ol_odd"),
                Some((lake, false)) => (
                    lake,
                    Fidelity::Sidecar,
                    "widened to scale 0 or to its scale; NaN goes to _ol_odd",
                ),
                None => (
                    LakeType::String,
                    Fidelity::Text,
                    "more digits than an Iceberg decimal holds (38)",
                ),
            },
            Self::UnboundedDecimal => (
                LakeType::String,
                Fidelity::Text,
                "no declared digits; override with columns: {name: decimal(p,s)}",
            ),
            Self::Float { bytes: 4 } => (LakeType::Float, Fidelity::Exact, ""),
            Self::Float { .. } => (LakeType::Double, Fidelity::Exact, ""),
            Self::Text | Self::Enumeration => (LakeType::String, Fidelity::Exact, ""),
            Self::Json => (LakeType::String, Fidelity::Text, ""),
            Self::Rendered => (LakeType::String, Fidelity::Text, ""),
            Self::Bytes => (LakeType::Binary, Fidelity::Exact, ""),
            Self::Uuid => (LakeType::Uuid, Fidelity::Exact, ""),
            Self::Date => (LakeType::Date, Fidelity::Sidecar, DATE_NOTE),
            Self::Time => (LakeType::Time, Fidelity::Sidecar, TIME_NOTE),
            Self::Timestamp => (LakeType::Timestamp, Fidelity::Sidecar, DATE_NOTE),
            Self::Instant => (LakeType::Timestamptz, Fidelity::Sidecar, DATE_NOTE),
            Self::List(element) => {
                (LakeType::List(Box::new(element.contract().0)), Fidelity::Sidecar, LIST_NOTE)
            }
            Self::NestedList => (
                LakeType::String,
                Fidelity::Text,
                "declared with several dimensions: JSON text; other lower bounds go to _ol_odd",
            ),
        }
    }
}

/// The Iceberg decimal that holds every `decimal(precision, scale)`, and whether it is the same type.
///
/// A negative scale adds that many zeros before the point; a scale above the precision means leading zeros
/// after it (PostgreSQL documentation, "Arbitrary Precision Numbers").
fn lake_decimal(precision: u16, scale: i16) -> Option<(LakeType, bool)> {
    let shift = scale.unsigned_abs();
    let (digits, lake_scale) = match scale {
        ..0 => (precision + shift, 0),
        _ => (precision.max(shift), shift),
    };
    if digits > MAXIMUM_PRECISION {
        return None;
    }
    let (digits_byte, scale_byte) = (u8::try_from(digits).ok()?, u8::try_from(lake_scale).ok()?);
    let same = digits == precision && scale >= 0;
    Some((LakeType::Decimal { precision: digits_byte, scale: scale_byte }, same))
}
