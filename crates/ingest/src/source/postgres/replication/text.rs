//! From the server's text of a value to the Arrow value of its column: the same one that binary COPY gives.
//!
//! A scalar's text becomes the binary form (`parse.rs`), an array's the binary form of an array (`array.rs`), and the
//! decoder of full loads does the rest. An array with several dimensions or other bounds is odd as a whole, as
//! [`Reading::odd_sql`] has it in COPY; one that is declared with several dimensions is JSON (`json.rs`).

use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, DataType};

use super::super::decode::{Appended, Decoder, Undecodable};
use super::super::types::{Reading, Streamed, Wire};
use super::array::{Token, Tokens, has_bounds};
use super::{json, parse};

/// A decoder with its builder.
pub(super) struct TextDecoder {
    decoder: Decoder,
    wire: Wire,
    streamed: Streamed,
    binary: Vec<u8>,
    element: Vec<u8>,
}

impl TextDecoder {
    /// The decoder of a column that lands as `lake`; `None` when the pair is one that no contract makes, or when the
    /// text does not say the value.
    pub(super) fn new(reading: &Reading, lake: &DataType) -> Option<Self> {
        if matches!(reading.streamed, Streamed::Not(_)) {
            return None;
        }
        Some(Self {
            decoder: Decoder::new(&reading.wire, lake)?,
            wire: reading.wire.clone(),
            streamed: reading.streamed.clone(),
            binary: Vec::new(),
            element: Vec::new(),
        })
    }

    /// Appends one value, or says why it does not fit.
    ///
    /// # Errors
    /// The text is not a value's.
    pub(super) fn append(&mut self, text: &[u8]) -> Result<Appended, Undecodable> {
        match (&self.streamed, &self.wire) {
            (Streamed::Scalar, Wire::Text) => return self.decoder.append(text),
            (Streamed::List { .. } | Streamed::Json { .. }, _) if has_bounds(text) => {
                return whole(text);
            }
            (Streamed::Scalar, wire) => {
                self.binary.clear();
                parse::encode(wire, text, &mut self.binary)?;
            }
            (Streamed::List { delimiter }, Wire::List(element)) => {
                let mut tokens = Tokens::new(text, *delimiter, std::mem::take(&mut self.element));
                self.binary.clear();
                let flat = list(&mut tokens, element, &mut self.binary)?;
                self.element = tokens.into_scratch();
                if !flat {
                    return whole(text);
                }
            }
            (Streamed::Json { delimiter, element }, _) => {
                let mut tokens = Tokens::new(text, *delimiter, std::mem::take(&mut self.element));
                self.binary.clear();
                json::array(&mut tokens, *element, &mut self.binary)?;
                self.element = tokens.into_scratch();
            }
            (Streamed::List { .. } | Streamed::Not(_), _) => return Err(Undecodable),
        }
        self.decoder.append(&self.binary)
    }

    /// Appends NULL.
    pub(super) fn append_null(&mut self) {
        self.decoder.append_null();
    }

    /// Takes what was appended as an array, and begins anew.
    ///
    /// # Errors
    /// Arrow's; never for values that `append` took.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.decoder.finish()
    }
}

/// The value as text, because its structure does not fit.
fn whole(text: &[u8]) -> Result<Appended, Undecodable> {
    let text = std::str::from_utf8(text).map_err(|_| Undecodable)?;
    Ok(Appended::Odd(text.to_owned()))
}

/// Appends the binary form of a one-dimensional array (described in `decode.rs`); false when it has more dimensions.
fn list(tokens: &mut Tokens<'_>, element: &Wire, out: &mut Vec<u8>) -> Result<bool, Undecodable> {
    const HEADER: usize = 12;
    if tokens.next()? != Some(Token::Open) {
        return Err(Undecodable);
    }
    // Dimensions, null flag and element type, which the decoder does not need; then the count and the lower bound.
    out.extend([0; HEADER + 8]);
    let mut count = 0i32;
    while let Some(token) = tokens.next()? {
        let text = match token {
            Token::Open => return Ok(false),
            Token::Close | Token::Delimiter => continue,
            Token::Null => None,
            Token::Element(text) => Some(text),
        };
        count = count.checked_add(1).ok_or(Undecodable)?;
        let place = out.len();
        out.extend((-1i32).to_be_bytes());
        if let Some(text) = text {
            parse::encode(element, text, out)?;
            let length = i32::try_from(out.len() - place - 4).map_err(|_| Undecodable)?;
            put(out, place, length)?;
        }
    }
    if count == 0 {
        out.truncate(HEADER);
    } else {
        put(out, 0, 1)?;
        put(out, HEADER, count)?;
        put(out, HEADER + 4, 1)?;
    }
    Ok(true)
}

fn put(out: &mut [u8], place: usize, number: i32) -> Result<(), Undecodable> {
    out.get_mut(place..place + 4).ok_or(Undecodable)?.copy_from_slice(&number.to_be_bytes());
    Ok(())
}
