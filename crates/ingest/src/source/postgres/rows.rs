//! From the body of `CopyData` messages to record batches of the lake's schema.
//!
//! Binary COPY (PostgreSQL documentation, COPY, "Binary Format") begins with an 11-byte signature, flags and an
//! extension; then each row is a 16-bit field count and its fields, each a 32-bit length and bytes; −1 as a count ends
//! it. The server puts whole rows into a message, so a row is always decoded from one slice.
//!
//! Beside the batches, a digest of the rows is kept: the sum, modulo 2¹²⁸, of a 128-bit hash of each row's
//! bytes. It does not depend on the order of the rows, nor on how the table was cut into ranges, so two reads of
//! the same content have the same digest; that is how a full refresh notices that nothing has changed.

use arrow_array::RecordBatch;
use xxhash_rust::xxh3::xxh3_128;

use super::decode::{Appended, Decoder, Undecodable, take_value};
use super::incremental::visibility::Recent;
use super::types::Reading;
pub use crate::column::batch::BatchLimit;
use crate::column::batch::{Assembler, Odd};
use crate::load::Totals;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Why the stream cannot be decoded; names the column, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The stream is not what its documentation says.
    #[error("the server's rows do not have the documented form: {0}")]
    Form(&'static str),
    /// A value is not what its type's send function writes.
    #[error("column {column} holds bytes that are not a value of its type")]
    Value {
        /// The column.
        column: String,
    },
    /// The change stream does not say the value of a column, and it cannot be left open.
    #[error("the source did not log the value of column {column}")]
    Unknown {
        /// The column.
        column: String,
    },
    /// A value of a key does not fit its column, so the row could not be found by it.
    #[error("column {column} of the key holds a value that does not fit its type in the lake")]
    OddKey {
        /// The column.
        column: String,
    },
    /// The batch could not be put together.
    #[error("the batch does not fit the lake table: {0}")]
    Batch(String),
}

struct Slot {
    decoder: Decoder,
    /// Whether the field before this one says, as text, that the value's structure does not fit.
    odd_before: bool,
}

/// What becomes of the mark that each row begins with.
enum Marks {
    /// There is none.
    None,
    /// Gathered over all rows.
    Gathered(Recent),
    /// One a row of the batch; 0 for NULL.
    Each(Vec<u64>),
}

/// Decodes one COPY stream.
pub struct RowReader {
    slots: Vec<Slot>,
    fields: i16,
    assembler: Assembler,
    limit: BatchLimit,
    header_seen: bool,
    rows: usize,
    bytes: usize,
    odd: Vec<Odd>,
    totals: Totals,
    marks: Marks,
    /// Whether a column is masked; then the digest is of what is stored instead of what arrived.
    is_masked: bool,
    masked: Vec<u8>,
}

impl RowReader {
    /// A reader of the columns in `readings`, for batches that `assembler` puts together.
    ///
    /// # Errors
    /// A column's lake type is not one its contract makes.
    pub fn new(
        readings: &[Reading],
        assembler: Assembler,
        limit: BatchLimit,
    ) -> Result<Self, RowError> {
        let mut slots = Vec::with_capacity(readings.len());
        let mut fields = 0i16;
        for reading in readings {
            let mismatch = || {
                RowError::Batch(format!(
                    "column {} of {} is not {} there",
                    reading.name, reading.contract.source, reading.contract.lake
                ))
            };
            let lake = assembler.column_type(&reading.name).ok_or_else(mismatch)?;
            let decoder = Decoder::new(&reading.wire, lake).ok_or_else(mismatch)?;
            let odd_before = reading.odd_sql().is_some();
            fields += 1 + i16::from(odd_before);
            slots.push(Slot { decoder, odd_before });
        }
        let is_masked = slots.iter().any(|slot| slot.decoder.masked().is_some());
        Ok(Self {
            is_masked,
            masked: Vec::new(),
            slots,
            fields,
            assembler,
            limit,
            header_seen: false,
            rows: 0,
            bytes: 0,
            odd: Vec::new(),
            totals: Totals::default(),
            marks: Marks::None,
        })
    }

    /// The same for rows that begin with a mark: a field of type `int8` that is no column's. Numbers in it are
    /// gathered, NULL is nothing.
    #[must_use]
    pub fn marked(mut self) -> Self {
        self.fields += 1;
        self.marks = Marks::Gathered(Recent::default());
        self
    }

    /// The same, with the mark of each row: see [`RowReader::consume_each`].
    #[must_use]
    pub fn marked_each(mut self) -> Self {
        self.fields += 1;
        self.marks = Marks::Each(Vec::new());
        self
    }

    /// The marks so far.
    pub fn take_marks(&mut self) -> Recent {
        match &mut self.marks {
            Marks::Gathered(marks) => std::mem::take(marks),
            Marks::None | Marks::Each(_) => Recent::default(),
        }
    }

    /// Decodes the body of one message; hands a batch to `sink` whenever one is full, with what was read for it
    /// (rows, bytes and odd values; a batch has no digest of its own).
    ///
    /// # Errors
    /// [`RowError`], or what `sink` returns.
    pub fn consume<X: From<RowError>>(
        &mut self,
        body: &[u8],
        mut sink: impl FnMut(RecordBatch, Totals) -> Result<(), X>,
    ) -> Result<(), X> {
        self.decode(body, |batch, read, _| sink(batch, read))
    }

    /// The same, with the mark of each row of the batch instead of what was read.
    ///
    /// # Errors
    /// [`RowError`], or what `sink` returns.
    pub fn consume_each<X: From<RowError>>(
        &mut self,
        body: &[u8],
        mut sink: impl FnMut(RecordBatch, Vec<u64>) -> Result<(), X>,
    ) -> Result<(), X> {
        self.decode(body, |batch, _, marks| sink(batch, marks))
    }

    fn decode<X: From<RowError>>(
        &mut self,
        mut body: &[u8],
        mut sink: impl FnMut(RecordBatch, Totals, Vec<u64>) -> Result<(), X>,
    ) -> Result<(), X> {
        if !self.header_seen {
            body = header(body)?;
            self.header_seen = true;
        }
        while let Some((count, rest)) = body.split_first_chunk::<2>() {
            let count = i16::from_be_bytes(*count);
            if count == -1 {
                return Ok(());
            }
            if count != self.fields {
                return Err(RowError::Form("a row with another number of fields").into());
            }
            let mut row = rest;
            self.row(&mut row)?;
            let length = body.len() - row.len();
            let bytes = if self.is_masked {
                self.masked.as_slice()
            } else {
                body.get(..length).unwrap_or_default()
            };
            self.totals.digest = self.totals.digest.wrapping_add(xxh3_128(bytes));
            self.bytes += length;
            self.rows += 1;
            body = row;
            if self.rows >= self.limit.rows || self.bytes >= self.limit.bytes {
                let (batch, read) = self.flush()?;
                sink(batch, read, self.take_each())?;
            }
        }
        if body.is_empty() { Ok(()) } else { Err(RowError::Form("half a field count").into()) }
    }

    /// The last batch, if any rows are left, with what was read for it; and the totals of all.
    ///
    /// # Errors
    /// The batch could not be put together.
    pub fn finish(mut self) -> Result<(Option<(RecordBatch, Totals)>, Totals), RowError> {
        let last = if self.rows > 0 { Some(self.flush()?) } else { None };
        Ok((last, self.totals))
    }

    /// The last batch, if any rows are left, with the mark of each row.
    ///
    /// # Errors
    /// The batch could not be put together.
    pub fn finish_each(mut self) -> Result<Option<(RecordBatch, Vec<u64>)>, RowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let (batch, _) = self.flush()?;
        Ok(Some((batch, self.take_each())))
    }

    fn take_each(&mut self) -> Vec<u64> {
        match &mut self.marks {
            Marks::Each(marks) => std::mem::take(marks),
            Marks::None | Marks::Gathered(_) => Vec::new(),
        }
    }

    /// Takes the mark that the row begins with, if rows do.
    fn mark(&mut self, row: &mut &[u8]) -> Result<(), RowError> {
        if matches!(self.marks, Marks::None) {
            return Ok(());
        }
        let malformed = |_| RowError::Form("a mark that is no number");
        let mark = take_value(row).map_err(|_| RowError::Form("half a mark"))?;
        let mark = match mark {
            Some(mark) => Some(u64::from_be_bytes(mark.try_into().map_err(malformed)?)),
            None => None,
        };
        match (&mut self.marks, mark) {
            (Marks::Gathered(marks), Some(mark)) => marks.insert(mark),
            (Marks::Each(marks), mark) => marks.push(mark.unwrap_or_default()),
            (Marks::Gathered(_), None) | (Marks::None, _) => {}
        }
        Ok(())
    }

    #[inline]
    fn row(&mut self, row: &mut &[u8]) -> Result<(), RowError> {
        self.mark(row)?;
        self.masked.clear();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let before = *row;
            let appended = if slot.odd_before {
                structured(slot, row)
            } else {
                match take_value(row) {
                    Ok(Some(value)) => slot.decoder.append(value),
                    Ok(None) => {
                        slot.decoder.append_null();
                        Ok(Appended::Stored)
                    }
                    Err(error) => Err(error),
                }
            };
            if self.is_masked {
                let length = before.len() - row.len();
                let field = before.get(..length).unwrap_or_default();
                // Of a masked value only what is stored goes in, not even its length; a NULL is a length of −1.
                match slot.decoder.masked() {
                    Some(stored) if !field.starts_with(&[0xff; 4]) => self.masked.extend(stored),
                    _ => self.masked.extend(field),
                }
            }
            match appended {
                Ok(Appended::Stored) => {}
                Ok(Appended::Odd(text)) => {
                    slot.decoder.append_null();
                    self.odd.push(Odd { row: self.rows, column: index, text });
                }
                Err(Undecodable) => {
                    return Err(RowError::Value { column: self.assembler.name(index).to_owned() });
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(RecordBatch, Totals), RowError> {
        let mut columns = Vec::with_capacity(self.slots.len());
        for slot in &mut self.slots {
            columns
                .push(slot.decoder.finish().map_err(|error| RowError::Batch(error.to_string()))?);
        }
        let batch = self
            .assembler
            .assemble(self.rows, columns, &self.odd)
            .map_err(|error| RowError::Batch(error.to_string()))?;
        let read = Totals {
            rows: self.rows as u64,
            bytes: self.bytes as u64,
            odd: self.odd.len() as u64,
            digest: 0,
        };
        self.totals = self.totals.merge(read);
        self.odd.clear();
        self.rows = 0;
        self.bytes = 0;
        Ok((batch, read))
    }
}

/// A value whose structure may not fit: first the text of the whole if it does not, then the value.
fn structured(slot: &mut Slot, row: &mut &[u8]) -> Result<Appended, Undecodable> {
    let text = take_value(row)?;
    let value = take_value(row)?;
    match (text, value) {
        (Some(text), _) => {
            Ok(Appended::Odd(std::str::from_utf8(text).map_err(|_| Undecodable)?.to_owned()))
        }
        (None, Some(value)) => slot.decoder.append(value),
        (None, None) => {
            slot.decoder.append_null();
            Ok(Appended::Stored)
        }
    }
}

fn header(body: &[u8]) -> Result<&[u8], RowError> {
    let rest = body.strip_prefix(SIGNATURE).ok_or(RowError::Form("no signature"))?;
    let (flags, rest) = rest.split_first_chunk::<4>().ok_or(RowError::Form("no flags"))?;
    // Bit 16 would mean object ids, which no server since version 12 sends; the others are critical.
    if u32::from_be_bytes(*flags) >> 16 != 0 {
        return Err(RowError::Form("critical flags"));
    }
    let (extension, rest) = rest.split_first_chunk::<4>().ok_or(RowError::Form("no extension"))?;
    usize::try_from(u32::from_be_bytes(*extension))
        .ok()
        .and_then(|length| rest.get(length..))
        .ok_or(RowError::Form("half an extension"))
}
