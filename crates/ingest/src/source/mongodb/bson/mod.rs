//! BSON where it lies: documents as they arrived, walked without a copy, and the few that we send.
//!
//! **Why our own, and not the crate `bson`.** A document of that crate is a map, so a name that occurs twice loses a value,
//! and its raw form refuses texts that are not UTF-8, which servers store; both must be told, not lost. (It would also turn
//! on a feature of a hash that DataFusion shares.) What is read here is the grammar of the specification and nothing else.
//!
//! Source: BSON specification 1.1; "MongoDB Extended JSON (v2)" of the MongoDB Specifications.

mod build;
mod date;
mod decimal;
mod json;
mod text;

pub use self::build::Builder;
pub(super) use self::date::microseconds;
pub(super) use self::decimal::Decimal;
pub(super) use self::json::{Form, parse_hexadecimal, push_hexadecimal, push_text, push_value};
pub(super) use self::text::{id_text, text};

/// The bytes are not BSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The grammar is broken.
    #[error("the bytes are not BSON")]
    Grammar,
    /// A text is not UTF-8, which no JSON can say.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// Documents lie in each other more deeply than a server allows.
    #[error("documents are nested too deeply")]
    TooDeep,
}

/// A document as it arrived: its length, its elements, a zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document<'a>(&'a [u8]);

/// A value of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// IEEE 754, 8 bytes.
    Double(f64),
    /// Text; nobody has looked whether it is UTF-8.
    String(&'a [u8]),
    /// A document.
    Document(Document<'a>),
    /// An array: a document whose names do not matter.
    Array(Document<'a>),
    /// Bytes of some kind.
    Binary {
        /// The kind.
        subtype: u8,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A value that drivers no longer write.
    Undefined,
    /// Twelve bytes.
    ObjectId(&'a [u8; 12]),
    /// True or false.
    Boolean(bool),
    /// Milliseconds since 1970-01-01 UTC.
    Date(i64),
    /// Nothing.
    Null,
    /// A regular expression.
    Regex {
        /// The expression.
        pattern: &'a [u8],
        /// Its options, a letter each.
        options: &'a [u8],
    },
    /// A reference that drivers no longer write.
    DbPointer {
        /// The collection.
        namespace: &'a [u8],
        /// The document.
        id: &'a [u8; 12],
    },
    /// A program's text.
    Code(&'a [u8]),
    /// A text that drivers no longer write as this.
    Symbol(&'a [u8]),
    /// A program's text and its variables.
    CodeWithScope {
        /// The text.
        code: &'a [u8],
        /// The variables.
        scope: Document<'a>,
    },
    /// Four bytes.
    Int32(i32),
    /// A moment of the server's own log.
    Timestamp {
        /// Seconds since 1970-01-01 UTC.
        seconds: u32,
        /// The number within the second.
        ordinal: u32,
    },
    /// Eight bytes.
    Int64(i64),
    /// IEEE 754-2008 decimal, 16 bytes.
    Decimal128(Decimal),
    /// Less than everything.
    MinKey,
    /// More than everything.
    MaxKey,
}

impl<'a> Document<'a> {
    /// Takes the document that `bytes` are, all of them.
    ///
    /// # Errors
    /// The length is not that of the bytes, or the end is missing.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Malformed::Grammar)?;
        let is_whole = usize::try_from(i32::from_le_bytes(*length)).ok() == Some(bytes.len());
        if !is_whole || rest.last() != Some(&0) {
            return Err(Malformed::Grammar);
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Its elements, in their order: each a name and a value. After an error there are no more.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        let inner = self.0.len().saturating_sub(1);
        Elements(Reader(self.0.get(4..inner).unwrap_or_default()))
    }

    /// The first value of this name.
    ///
    /// # Errors
    /// What comes before it is not BSON.
    pub fn get(self, name: &str) -> Result<Option<Value<'a>>, Malformed> {
        Ok(self.element(name)?.map(|element| element.value))
    }

    /// The first element of this name.
    ///
    /// # Errors
    /// What comes before it is not BSON.
    pub fn element(self, name: &str) -> Result<Option<Element<'a>>, Malformed> {
        for element in self.elements() {
            let element = element?;
            if element.name == name.as_bytes() {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }
}

/// A name and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Element<'a> {
    /// The name; nobody has looked whether it is UTF-8.
    pub name: &'a [u8],
    /// The value.
    pub value: Value<'a>,
    /// The type of the value, as its byte says it.
    pub kind: u8,
    /// The bytes of the value.
    pub raw: &'a [u8],
}

/// Walks the elements of a document.
#[derive(Debug, Clone)]
pub struct Elements<'a>(Reader<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.0.is_empty() {
            return None;
        }
        let element = self.0.element();
        if element.is_err() {
            self.0.0 = &[];
        }
        Some(element)
    }
}

/// What is left to read.
#[derive(Debug, Clone)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn element(&mut self) -> Result<Element<'a>, Malformed> {
        let [kind] = *self.fixed::<1>()?;
        let name = self.name()?;
        let before = self.0;
        let value = self.value(kind)?;
        let raw = before.get(..before.len() - self.0.len()).unwrap_or_default();
        Ok(Element { name, value, kind, raw })
    }

    fn value(&mut self, kind: u8) -> Result<Value<'a>, Malformed> {
        Ok(match kind {
            0x01 => Value::Double(f64::from_le_bytes(*self.fixed()?)),
            0x02 => Value::String(self.string()?),
            0x03 => Value::Document(self.document()?),
            0x04 => Value::Array(self.document()?),
            0x05 => self.binary()?,
            0x06 => Value::Undefined,
            0x07 => Value::ObjectId(self.fixed()?),
            0x08 => match self.fixed::<1>()? {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                _ => return Err(Malformed::Grammar),
            },
            0x09 => Value::Date(i64::from_le_bytes(*self.fixed()?)),
            0x0a => Value::Null,
            0x0b => Value::Regex { pattern: self.name()?, options: self.name()? },
            0x0c => Value::DbPointer { namespace: self.string()?, id: self.fixed()? },
            0x0d => Value::Code(self.string()?),
            0x0e => Value::Symbol(self.string()?),
            0x0f => {
                self.fixed::<4>()?;
                Value::CodeWithScope { code: self.string()?, scope: self.document()? }
            }
            0x10 => Value::Int32(i32::from_le_bytes(*self.fixed()?)),
            0x11 => {
                let ordinal = u32::from_le_bytes(*self.fixed()?);
                Value::Timestamp { seconds: u32::from_le_bytes(*self.fixed()?), ordinal }
            }
            0x12 => Value::Int64(i64::from_le_bytes(*self.fixed()?)),
            0x13 => Value::Decimal128(Decimal::of(*self.fixed()?)),
            0xff => Value::MinKey,
            0x7f => Value::MaxKey,
            _ => return Err(Malformed::Grammar),
        })
    }

    fn fixed<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed::Grammar)?;
        self.0 = rest;
        Ok(taken)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Grammar)?;
        self.0 = rest;
        Ok(taken)
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(i32::from_le_bytes(*self.fixed()?)).map_err(|_| Malformed::Grammar)
    }

    /// Bytes up to a zero.
    fn name(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed::Grammar)?;
        let name = self.take(end)?;
        self.take(1)?;
        Ok(name)
    }

    /// A length that counts the zero at the end, and the text, which may hold zeros itself.
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        let text = self.take(length.checked_sub(1).ok_or(Malformed::Grammar)?)?;
        match self.fixed::<1>()? {
            [0] => Ok(text),
            _ => Err(Malformed::Grammar),
        }
    }

    fn document(&mut self) -> Result<Document<'a>, Malformed> {
        let length = *self.0.first_chunk::<4>().ok_or(Malformed::Grammar)?;
        let length = usize::try_from(i32::from_le_bytes(length)).map_err(|_| Malformed::Grammar)?;
        Document::new(self.take(length)?)
    }

    fn binary(&mut self) -> Result<Value<'a>, Malformed> {
        /// The old kind of bytes, which says their length a second time.
        const OLD: u8 = 2;
        let length = self.length()?;
        let [subtype] = *self.fixed::<1>()?;
        let mut bytes = self.take(length)?;
        if subtype == OLD {
            let (inner, rest) = bytes.split_first_chunk::<4>().ok_or(Malformed::Grammar)?;
            if usize::try_from(i32::from_le_bytes(*inner)).ok() != Some(rest.len()) {
                return Err(Malformed::Grammar);
            }
            bytes = rest;
        }
        Ok(Value::Binary { subtype, bytes })
    }
}

/// The server's word for the type of a value ("BSON Types", the aliases of `$type`).
#[must_use]
pub fn type_word(value: &Value<'_>) -> &'static str {
    match value {
        Value::Double(_) => "double",
        Value::String(_) => "string",
        Value::Document(_) => "object",
        Value::Array(_) => "array",
        Value::Binary { .. } => "binData",
        Value::Undefined => "undefined",
        Value::ObjectId(_) => "objectId",
        Value::Boolean(_) => "bool",
        Value::Date(_) => "date",
        Value::Null => "null",
        Value::Regex { .. } => "regex",
        Value::DbPointer { .. } => "dbPointer",
        Value::Code(_) => "javascript",
        Value::Symbol(_) => "symbol",
        Value::CodeWithScope { .. } => "javascriptWithScope",
        Value::Int32(_) => "int",
        Value::Timestamp { .. } => "timestamp",
        Value::Int64(_) => "long",
        Value::Decimal128(_) => "decimal",
        Value::MinKey => "minKey",
        Value::MaxKey => "maxKey",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_occurs_twice_is_seen_twice() {
        let bytes = Builder::new().int32("a", 1).int32("a", 2).build();
        let values: Vec<_> =
            Document::new(&bytes).unwrap().elements().map(|it| it.unwrap().value).collect();
        assert_eq!(values, [Value::Int32(1), Value::Int32(2)]);
    }

    #[test]
    fn what_is_cut_is_no_document() {
        let bytes = Builder::new().string("a", "text").build();
        for end in 0..bytes.len() {
            assert!(Document::new(&bytes[..end]).is_err(), "{end}");
        }
        let mut longer = bytes.clone();
        longer[7] = 200; // the length of the text, past the end
        let found: Vec<_> = Document::new(&longer).unwrap().elements().collect();
        assert_eq!(found, [Err(Malformed::Grammar)]);
    }

    proptest! {
        /// Whatever arrives, reading it ends, in values or in an error.
        #[test]
        fn bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 5..200)) {
            let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
            bytes[..4].copy_from_slice(&length);
            *bytes.last_mut().unwrap() = 0;
            let document = Document::new(&bytes).unwrap();
            let mut json = String::new();
            let _either = push_value(&Value::Document(document), Form::Canonical, &mut json);
        }
    }
}
