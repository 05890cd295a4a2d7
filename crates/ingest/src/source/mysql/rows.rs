//! From rows where they lie to record batches of the lake's schema.
//!
//! Beside the batches, a digest of the rows is kept: the sum, modulo 2¹²⁸, of a 128-bit hash of each row's bytes. It does
//! not depend on the order of the rows, nor on how the table was cut into ranges, so two reads of the same content have
//! the same digest; that is how a full refresh notices that nothing has changed.

use arrow_array::RecordBatch;
use xxhash_rust::xxh3::xxh3_128;

use super::decode::{Appended, Decoder, Undecodable};
use super::error::SourceError;
use super::incremental::seen::{Found, Overlap};
use super::types::Reading;
use super::wire::Row;
use crate::column::batch::{Assembler, BatchLimit, Odd};
use crate::load::Totals;

/// Decodes the rows of one statement.
pub(super) struct RowReader {
    decoders: Vec<Decoder>,
    assembler: Assembler,
    limit: BatchLimit,
    rows: usize,
    bytes: usize,
    odd: Vec<Odd>,
    totals: Totals,
    /// Whether a column is masked; then the digest is of what is stored instead of what arrived.
    is_masked: bool,
    masked: Vec<u8>,
    overlap: Option<Overlap>,
}

impl RowReader {
    /// A reader of the columns in `readings`, for batches that `assembler` puts together.
    ///
    /// # Errors
    /// A column's lake type is not one its contract makes.
    pub(super) fn new(
        readings: &[Reading],
        assembler: Assembler,
        limit: BatchLimit,
    ) -> Result<Self, SourceError> {
        let mut decoders = Vec::with_capacity(readings.len());
        for reading in readings {
            let mismatch = || {
                SourceError::Batch(format!(
                    "column {} of {} is not {} there",
                    reading.name, reading.contract.source, reading.contract.lake
                ))
            };
            let lake = assembler.column_type(&reading.name).ok_or_else(mismatch)?;
            decoders.push(Decoder::new(&reading.wire, lake).ok_or_else(mismatch)?);
        }
        Ok(Self {
            is_masked: decoders.iter().any(|decoder| decoder.masked().is_some()),
            decoders,
            assembler,
            limit,
            rows: 0,
            bytes: 0,
            odd: Vec::new(),
            totals: Totals::default(),
            masked: Vec::new(),
            overlap: None,
        })
    }

    /// Of rows that have a mark behind their values, leaves those out that are known.
    pub(super) fn marked(mut self, overlap: Overlap) -> Self {
        self.overlap = Some(overlap);
        self
    }

    /// What the next run will find again, of the rows so far.
    pub(super) fn take_found(&mut self) -> Found {
        self.overlap.as_mut().map(|overlap| std::mem::take(&mut overlap.found)).unwrap_or_default()
    }

    /// Decodes a row, unless it is known; the batch that is full with it, with what was read for it.
    ///
    /// # Errors
    /// A value is not what its type says; the batch could not be put together.
    pub(super) fn row(
        &mut self,
        row: Row<'_>,
    ) -> Result<Option<(RecordBatch, Totals)>, SourceError> {
        let mut own = row.bytes();
        if let Some(overlap) = &mut self.overlap {
            let (bytes, mark) = row.split_last()?;
            if overlap.knows(bytes, mark) {
                return Ok(None);
            }
            own = bytes;
        }
        let mut values = row.values()?;
        self.masked.clear();
        for (index, decoder) in self.decoders.iter_mut().enumerate() {
            let value = values.next_value()?;
            let appended = match value {
                Some(value) => decoder.append(value),
                None => {
                    decoder.append_null();
                    Ok(Appended::Stored)
                }
            };
            if self.is_masked {
                // Of a masked value only what is stored goes in, not even its length.
                let stored = decoder.masked().or(value).filter(|_| value.is_some());
                self.masked.push(u8::from(stored.is_some()));
                self.masked.extend(stored.map_or(0, <[u8]>::len).to_le_bytes());
                self.masked.extend(stored.unwrap_or_default());
            }
            match appended {
                Ok(Appended::Stored) => {}
                Ok(Appended::Odd(text)) => {
                    decoder.append_null();
                    self.odd.push(Odd { row: self.rows, column: index, text });
                }
                Err(Undecodable) => {
                    return Err(SourceError::Value {
                        column: self.assembler.name(index).to_owned(),
                    });
                }
            }
        }
        if self.overlap.is_some() {
            values.next_value()?;
        }
        values.end()?;
        let bytes = if self.is_masked { self.masked.as_slice() } else { own };
        self.totals.digest = self.totals.digest.wrapping_add(xxh3_128(bytes));
        self.bytes += row.bytes().len();
        self.rows += 1;
        if self.rows >= self.limit.rows || self.bytes >= self.limit.bytes {
            return self.flush().map(Some);
        }
        Ok(None)
    }

    /// The last batch, if any rows are left, with what was read for it; and the totals of all.
    ///
    /// # Errors
    /// The batch could not be put together.
    pub(super) fn finish(mut self) -> Result<(Option<(RecordBatch, Totals)>, Totals), SourceError> {
        let last = if self.rows > 0 { Some(self.flush()?) } else { None };
        Ok((last, self.totals))
    }

    fn flush(&mut self) -> Result<(RecordBatch, Totals), SourceError> {
        let unfit = |error: arrow_schema::ArrowError| SourceError::Batch(error.to_string());
        let mut columns = Vec::with_capacity(self.decoders.len());
        for decoder in &mut self.decoders {
            columns.push(decoder.finish().map_err(unfit)?);
        }
        let batch = self.assembler.assemble(self.rows, columns, &self.odd).map_err(unfit)?;
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
