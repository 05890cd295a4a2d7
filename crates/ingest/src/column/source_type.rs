//! The types of source columns, in words that no single database owns.

/// The type of a source column. Each source maps its own types to these, exhaustively; what has no faithful
/// counterpart in the lake is [`SourceType::Rendered`] (the server's own text) or not readable at all, which the
/// source says by refusing the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceType {
    /// True or false.
    Boolean,
    /// A whole number of `bytes` bytes.
    Integer {
        /// 2, 4 or 8.
        bytes: u8,
        /// Whether it has no sign.
        unsigned: bool,
    },
    /// A decimal with declared digits. The scale may be negative or exceed the precision.
    Decimal {
        /// The number of digits.
        precision: u16,
        /// The number of them after the point.
        scale: i16,
    },
    /// A decimal with any number of digits.
    UnboundedDecimal,
    /// IEEE 754, 4 or 8 bytes.
    Float {
        /// 4 or 8.
        bytes: u8,
    },
    /// Characters, exactly as stored (trailing blanks of a padded type included).
    Text,
    /// A label out of a declared list.
    Enumeration,
    /// A JSON document as the server prints it.
    Json,
    /// Bytes.
    Bytes,
    /// A UUID.
    Uuid,
    /// A calendar date.
    Date,
    /// A time of day without a zone, to the microsecond; the source may allow 24:00:00.
    Time,
    /// A date and time without a zone, to the microsecond.
    Timestamp,
    /// An instant, to the microsecond.
    Instant,
    /// A one-dimensional array.
    List(Box<SourceType>),
    /// An array that is declared with several dimensions.
    NestedList,
    /// Anything whose exact text, as the server prints it, is the value.
    Rendered,
}
