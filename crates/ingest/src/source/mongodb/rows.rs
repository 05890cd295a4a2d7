//! From documents where they lie to record batches of the lake's schema.
//!
//! A document is walked once, and its fields are appended to the columns of their names; a column whose field is missing is
//! NULL. A field that occurs twice has no one value: its column is NULL, and all its values, an array of canonical extended
//! JSON, are in `_ol_odd`.
//!
//! The document's text is written field by field, so that **nothing of a masked or excluded field is in it**: excluded and
//! nulled fields are left out, of hashed ones the hash is there. A document with a text that is not UTF-8 cannot be said in
//! JSON; `_ol_odd` then has its bytes, but only where no field has to be kept out of them: else the table is stopped.
//!
//! Beside the batches a digest of the rows is kept, as for every source: of the documents' bytes, or of their texts where
//! fields are masked or excluded.

use std::collections::{HashMap, HashSet};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use xxhash_rust::xxh3::xxh3_128;

use super::bson::{Document, Element, Form, Malformed, Value, push_text, push_value};
use super::decode::{Appended, Decoder, hexadecimal};
use super::error::SourceError;
use super::types::{DOCUMENT, Decoding, KEY, Reading};
use crate::column::batch::{Assembler, BatchLimit, Odd};
use crate::load::Totals;

/// What was found of a column's field in a document.
#[derive(Debug, Clone, Copy)]
enum Found<'a> {
    Nothing,
    One(Element<'a>),
    Several,
}

/// How much of a document is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// The key alone: every other column is NULL, and so is the document's text.
    Key,
}

/// Decodes documents into the columns of a collection.
pub(super) struct Fields {
    decoders: Vec<Decoder>,
    names: Vec<String>,
    /// The columns of the fields, by name.
    places: HashMap<Vec<u8>, usize>,
    /// Fields of which nothing may be in the document's text.
    hidden: HashSet<Vec<u8>>,
    document: Option<usize>,
    /// Whether some field is masked or excluded.
    is_partial: bool,
    odd: Vec<Odd>,
    text: String,
}

impl Fields {
    /// Decoders of the columns in `readings`, for batches that `assembler` puts together; `excluded` names the fields of
    /// which nothing may be read.
    ///
    /// # Errors
    /// A column's lake type is not one its contract makes.
    pub(super) fn new(
        readings: &[Reading],
        excluded: &[String],
        assembler: &Assembler,
    ) -> Result<Self, SourceError> {
        let mut decoders = Vec::with_capacity(readings.len());
        for reading in readings {
            let mismatch = || {
                let contract = &reading.contract;
                SourceError::Batch(format!(
                    "column {} is not {} there",
                    reading.name, contract.lake
                ))
            };
            let lake = assembler.column_type(&reading.name).ok_or_else(mismatch)?;
            decoders.push(
                Decoder::new(&reading.decoding, lake, reading.name == KEY).ok_or_else(mismatch)?,
            );
        }
        let nulled = readings.iter().filter(|reading| reading.decoding == Decoding::Nulled);
        let hidden: HashSet<Vec<u8>> = nulled
            .map(|reading| &reading.name)
            .chain(excluded)
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let is_partial = decoders.iter().any(|decoder| decoder.hash().is_some())
            || hidden.iter().any(|name| name != DOCUMENT.as_bytes());
        let fields = (0..).zip(readings).filter(|(_, it)| it.decoding != Decoding::Document);
        Ok(Self {
            places: fields.map(|(index, it)| (it.name.as_bytes().to_vec(), index)).collect(),
            names: readings.iter().map(|reading| reading.name.clone()).collect(),
            document: decoders.iter().position(Decoder::is_document),
            decoders,
            hidden,
            is_partial,
            odd: Vec::new(),
            text: String::new(),
        })
    }

    /// The values so far that did not fit.
    pub(super) fn odd(&self) -> usize {
        self.odd.len()
    }

    /// Decodes a document, of which so much is known, as the `row`th of the batch. After an error the decoders are of no use.
    ///
    /// # Errors
    /// The document is not BSON or cannot be told.
    pub(super) fn push(
        &mut self,
        row: usize,
        document: Document<'_>,
        extent: Extent,
    ) -> Result<(), SourceError> {
        let mut found = vec![Found::Nothing; self.decoders.len()];
        for element in document.elements() {
            let element = element?;
            let place = self.places.get(element.name).and_then(|place| found.get_mut(*place));
            if let Some(place) = place {
                *place = match place {
                    Found::Nothing => Found::One(element),
                    Found::One(_) | Found::Several => Found::Several,
                };
            }
        }
        for (column, found) in found.into_iter().enumerate() {
            if Some(column) != self.document {
                self.append(row, column, found, document)?;
            }
        }
        match (extent, self.document.and_then(|column| self.decoders.get_mut(column))) {
            (Extent::Whole, _) => self.append_document(row, document),
            (Extent::Key, Some(decoder)) => {
                decoder.append_null();
                Ok(())
            }
            (Extent::Key, None) => Ok(()),
        }
    }

    fn append(
        &mut self,
        row: usize,
        column: usize,
        found: Found<'_>,
        document: Document<'_>,
    ) -> Result<(), SourceError> {
        let Some(decoder) = self.decoders.get_mut(column) else { return Ok(()) };
        let name = self.names.get(column).map_or("", String::as_str);
        let unsayable = |error: Malformed| match error {
            Malformed::NotUtf8 => SourceError::Value { column: name.to_owned() },
            Malformed::Grammar | Malformed::TooDeep => SourceError::Malformed(error),
        };
        let appended = match found {
            Found::Nothing => {
                decoder.append_null();
                Ok(Appended::Stored)
            }
            Found::One(element) => decoder.append(&element),
            Found::Several => several(document, name).and_then(|text| {
                if !matches!(decoder, Decoder::Hashed { .. } | Decoder::Nulled { .. }) {
                    return Ok(Appended::Odd(text));
                }
                let value = Value::String(text.as_bytes());
                decoder.append(&Element { name: &[], value, kind: 0x02, raw: text.as_bytes() })
            }),
        };
        match appended.map_err(unsayable)? {
            Appended::Stored => {}
            Appended::Odd(text) => {
                decoder.append_null();
                self.odd.push(Odd { row, column, text });
            }
        }
        Ok(())
    }

    /// Writes the document's text and appends it. The text is needed for the digest where fields are hidden, too.
    fn append_document(&mut self, row: usize, document: Document<'_>) -> Result<(), SourceError> {
        self.text.clear();
        if self.document.is_none() && !self.is_partial {
            return Ok(());
        }
        let written = self.write(document);
        let Some(column) = self.document else {
            return written.map_err(SourceError::Malformed);
        };
        let Some(decoder) = self.decoders.get_mut(column) else { return Ok(()) };
        match written {
            Ok(()) => decoder.append_text(&self.text),
            Err(Malformed::NotUtf8) if !self.is_partial => {
                decoder.append_null();
                let text = hexadecimal(document.bytes());
                self.odd.push(Odd { row, column, text });
            }
            Err(Malformed::NotUtf8) => {
                return Err(SourceError::Value { column: DOCUMENT.to_owned() });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn write(&mut self, document: Document<'_>) -> Result<(), Malformed> {
        let out = &mut self.text;
        out.push('{');
        let mut is_first = true;
        for element in document.elements() {
            let element = element?;
            if self.hidden.contains(element.name) {
                continue;
            }
            if !std::mem::replace(&mut is_first, false) {
                out.push(',');
            }
            push_text(element.name, out)?;
            out.push(':');
            let place = self.places.get(element.name).and_then(|place| self.decoders.get(*place));
            match place.and_then(Decoder::hash) {
                Some(_) if element.value == Value::Null => out.push_str("null"),
                Some(hash) => push_text(hash.as_bytes(), out)?,
                None => push_value(&element.value, Form::Canonical, out)?,
            }
        }
        out.push('}');
        Ok(())
    }

    /// The digest of the document that was pushed last.
    fn digest(&self, document: Document<'_>) -> u128 {
        match self.is_partial {
            true => xxh3_128(self.text.as_bytes()),
            false => xxh3_128(document.bytes()),
        }
    }

    /// What was decoded, in the order of the readings, and the values that did not fit; begins anew.
    ///
    /// # Errors
    /// A column could not be put together.
    pub(super) fn finish(&mut self) -> Result<(Vec<ArrayRef>, Vec<Odd>), SourceError> {
        let mut columns = Vec::with_capacity(self.decoders.len());
        for decoder in &mut self.decoders {
            columns.push(decoder.finish().map_err(unfit)?);
        }
        let mut odd = std::mem::take(&mut self.odd);
        // The map is filled row by row.
        odd.sort_by_key(|odd| (odd.row, odd.column));
        Ok((columns, odd))
    }
}

pub(super) fn unfit(error: ArrowError) -> SourceError {
    SourceError::Batch(error.to_string())
}

/// Decodes the documents of one collection.
pub(super) struct RowReader {
    fields: Fields,
    assembler: Assembler,
    limit: BatchLimit,
    rows: usize,
    bytes: usize,
    totals: Totals,
}

impl RowReader {
    /// A reader of the columns in `readings`, for batches that `assembler` puts together; `excluded` names the fields of
    /// which nothing may be read.
    ///
    /// # Errors
    /// A column's lake type is not one its contract makes.
    pub(super) fn new(
        readings: &[Reading],
        excluded: &[String],
        assembler: Assembler,
        limit: BatchLimit,
    ) -> Result<Self, SourceError> {
        let fields = Fields::new(readings, excluded, &assembler)?;
        Ok(Self { fields, assembler, limit, rows: 0, bytes: 0, totals: Totals::default() })
    }

    /// Decodes a document; the batch that is full with it, with what was read for it.
    ///
    /// # Errors
    /// The document is not BSON or cannot be told; the batch could not be put together.
    pub(super) fn row(
        &mut self,
        document: Document<'_>,
    ) -> Result<Option<(RecordBatch, Totals)>, SourceError> {
        self.fields.push(self.rows, document, Extent::Whole)?;
        self.totals.digest = self.totals.digest.wrapping_add(self.fields.digest(document));
        self.bytes += document.bytes().len();
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
        let (columns, odd) = self.fields.finish()?;
        let batch = self.assembler.assemble(self.rows, columns, &odd).map_err(unfit)?;
        let read = Totals {
            rows: self.rows as u64,
            bytes: self.bytes as u64,
            odd: odd.len() as u64,
            digest: 0,
        };
        self.totals = self.totals.merge(read);
        self.rows = 0;
        self.bytes = 0;
        Ok((batch, read))
    }
}

/// All values of a field, as an array.
fn several(document: Document<'_>, name: &str) -> Result<String, Malformed> {
    let mut out = "[".to_owned();
    for element in document.elements() {
        let element = element?;
        if element.name == name.as_bytes() {
            if out.len() > 1 {
                out.push(',');
            }
            push_value(&element.value, Form::Canonical, &mut out)?;
        }
    }
    out.push(']');
    Ok(out)
}
