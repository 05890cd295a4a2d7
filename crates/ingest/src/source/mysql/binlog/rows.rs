//! Rows of the log to record batches of the lake's schema.
//!
//! The log has every column of a row, before and after; so every value is known. A column that the catalog has by now and the log
//! does not have yet was NULL then, which is demanded of such a column when the form is taken ([`Form::take`]).

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use xxhash_rust::xxh3::Xxh3;

use super::super::catalog::{Column, Relation};
use super::super::decode::{Appended, Decoder, Undecodable};
use super::super::error::SourceError;
use super::super::types::Reading;
use super::charset::Charsets;
use super::image::Image;
use super::table_map::{Storage, TableMap};
use super::value::{Converter, Unfit};
use crate::column::batch::{Assembler, BatchLimit, Odd, RowColumns, RowMeta, RunColumns, Unknown};
use crate::column::metadata;

/// Where the columns that are read are in a row of the log.
#[derive(Debug, Clone)]
pub struct Form {
    /// By column of the log: the index of the reading, if it is read.
    places: Vec<Option<usize>>,
    /// Where the columns of the key are in the log.
    key: Vec<usize>,
}

/// Why rows of the log cannot be taken as rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The log has the table in another form than the catalog, so that a copy must say what its rows are.
    OtherForm(&'static str),
    /// Something is not read from a log; which column.
    Unread {
        /// The reading.
        reading: usize,
        /// What it is.
        what: &'static str,
    },
}

impl Form {
    /// Finds the columns of `readings` in the log's description of the table.
    ///
    /// # Errors
    /// The description is not that of the catalog's table, as far as it is read.
    pub fn take(
        map: &TableMap,
        relation: &Relation,
        readings: &[Reading],
        key: &[String],
    ) -> Result<Self, Misfit> {
        if !map.has_names && map.columns.len() != relation.columns.len() {
            return Err(Misfit::OtherForm(
                "the log has another number of columns, and not their names (binlog_row_metadata)",
            ));
        }
        let place_of = |name: &str| match map.has_names {
            true => map.columns.iter().position(|column| column.name == name),
            false => relation.columns.iter().position(|column| column.name == name),
        };
        let mut places = vec![None; map.columns.len()];
        for (index, reading) in readings.iter().enumerate() {
            match place_of(&reading.name).and_then(|place| places.get_mut(place)) {
                Some(place) => *place = Some(index),
                None => {
                    let column = relation.columns.iter().find(|it| it.name == reading.name);
                    if column.is_none_or(|column| !column.is_null_when_added()) {
                        return Err(Misfit::OtherForm(
                            "a column came with a value for the rows that were there",
                        ));
                    }
                }
            }
        }
        let key: Option<Vec<usize>> = key.iter().map(|name| place_of(name)).collect();
        let key = key.ok_or(Misfit::OtherForm("the log does not have a column of the key"))?;
        Ok(Self { places, key })
    }

    /// A hash of a row's key, for telling keys apart within a process. Text is as it is stored.
    ///
    /// # Errors
    /// The row is not whole.
    pub fn key_hash(&self, image: Image<'_>) -> Result<u64, SourceError> {
        let mut hasher = Xxh3::new();
        let mut cells = image.cells()?;
        let mut at = 0;
        while let Some(cell) = cells.next_cell()? {
            if self.key.contains(&at) {
                let bytes = cell.unwrap_or_default();
                let mark = cell.map_or(0, |bytes| bytes.len() as u64 + 1);
                hasher.update(&mark.to_le_bytes());
                hasher.update(bytes);
            }
            at += 1;
        }
        Ok(hasher.digest())
    }

    /// Whether rows have a key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }
}

struct Reader {
    /// `None` for a column that the log does not have.
    converter: Option<Converter>,
    decoder: Decoder,
    /// Whether rows are found by it, so that its value must fit.
    is_key: bool,
}

/// Decodes rows of one table.
pub struct BinlogRows {
    /// By reading.
    readers: Vec<Reader>,
    /// By column of the log: the index of the reader, if it is read.
    places: Vec<Option<usize>>,
    assembler: Assembler,
    limit: BatchLimit,
    own: RowColumns,
    odd: Vec<Odd>,
    bytes: usize,
}

impl BinlogRows {
    /// A decoder of the columns in `readings` for batches that `assembler` puts together.
    ///
    /// # Errors
    /// A column of the log is not in the form that the catalog says, or a lake type is not one its contract makes.
    pub fn new(
        map: &TableMap,
        relation: &Relation,
        readings: &[Reading],
        assembler: Assembler,
        charsets: &Charsets,
        limit: BatchLimit,
    ) -> Result<Result<Self, Misfit>, SourceError> {
        let form = match Form::take(map, relation, readings, &[]) {
            Ok(form) => form,
            Err(misfit) => return Ok(Err(misfit)),
        };
        let mut readers = Vec::new();
        for (index, reading) in readings.iter().enumerate() {
            let mismatch = || {
                SourceError::Batch(format!(
                    "column {} of {} cannot be {} in a change",
                    reading.name, reading.contract.source, reading.contract.lake
                ))
            };
            let lake = assembler.column_type(&reading.name).ok_or_else(mismatch)?;
            let decoder = Decoder::new(&reading.wire, lake).ok_or_else(mismatch)?;
            let place = form.places.iter().position(|place| *place == Some(index));
            let Some(stored) = place.and_then(|place| map.columns.get(place)) else {
                readers.push(Reader { converter: None, decoder, is_key: false });
                continue;
            };
            let found =
                relation.columns.iter().find(|column: &&Column| column.name == reading.name);
            let column = found.ok_or_else(mismatch)?;
            match Converter::new(column, stored, reading, charsets) {
                Ok(converter) => {
                    readers.push(Reader { converter: Some(converter), decoder, is_key: false });
                }
                Err(Unfit::OtherForm) => {
                    return Ok(Err(Misfit::OtherForm("a column has another type in the log")));
                }
                Err(Unfit::Unread(what)) => {
                    return Ok(Err(Misfit::Unread { reading: index, what }));
                }
            }
        }
        Ok(Ok(Self {
            readers,
            places: form.places,
            assembler,
            limit,
            own: RowColumns::default(),
            odd: Vec::new(),
            bytes: 0,
        }))
    }

    /// A decoder of keys alone, for deletes of a merge: the columns `key`, and, where the table marks deleted rows, our own
    /// columns with the mark. `lake` is the lake table's whole schema.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn keys(
        map: &TableMap,
        relation: &Relation,
        readings: &[Reading],
        key: &[String],
        (lake, run): (&SchemaRef, RunColumns),
        charsets: &Charsets,
        limit: BatchLimit,
    ) -> Result<Result<Self, Misfit>, SourceError> {
        let batch = |error: ArrowError| SourceError::Batch(error.to_string());
        let read: Vec<Reading> = key
            .iter()
            .filter_map(|name| readings.iter().find(|reading| reading.name == *name).cloned())
            .collect();
        let marked = lake.column_with_name(metadata::DELETED_AT).is_some();
        let wanted = |name: &str| {
            let ours = name.starts_with(metadata::PREFIX) && name != metadata::ODD;
            key.iter().any(|column| column == name) || (marked && ours)
        };
        let fields = lake.fields().iter().filter(|field| wanted(field.name())).cloned();
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), lake.metadata().clone());
        let assembler = Assembler::new(Arc::new(schema), key.to_vec(), run).map_err(batch)?;
        let rows = Self::new(map, relation, &read, assembler, charsets, limit)?;
        Ok(rows.map(|rows| rows.found_by(key)))
    }

    /// Demands that the values of these columns fit, because rows are found by them.
    #[must_use]
    pub fn found_by(mut self, key: &[String]) -> Self {
        for (index, reader) in self.readers.iter_mut().enumerate() {
            reader.is_key = key.iter().any(|name| name == self.assembler.name(index));
        }
        self
    }

    /// Adds a row; `old` is the one before an update, of which it may have changes only. After an error the decoder is of no
    /// use.
    ///
    /// # Errors
    /// It is not whole; a value is not of its type; a key is NULL or does not fit.
    pub fn push(
        &mut self,
        image: Image<'_>,
        old: Option<Image<'_>>,
        own: RowMeta<'_>,
    ) -> Result<(), SourceError> {
        let row = self.own.len();
        let mut cells = image.cells()?;
        let mut before = old.filter(|_| !image.is_whole()).map(|old| old.cells()).transpose()?;
        let (mut columns, mut documents) = (image.columns().iter(), 0);
        for place in &self.places {
            let Some(cell) = cells.next_cell()? else {
                return Err(SourceError::Protocol("a row of the log as wide"));
            };
            let old = match &mut before {
                Some(before) => before.next_cell()?.flatten(),
                None => None,
            };
            let is_document =
                columns.next().is_some_and(|column| matches!(column.storage, Storage::Json(_)));
            let is_patched = is_document && image.is_patched(documents);
            documents += usize::from(is_document);
            let Some(index) = *place else { continue };
            let Some(Reader { converter: Some(converter), decoder, is_key }) =
                self.readers.get_mut(index)
            else {
                continue;
            };
            let value = || SourceError::Value { column: self.assembler.name(index).to_owned() };
            let is_key = *is_key;
            let converted = match (cell, old) {
                (Some(changes), Some(old)) if is_patched => {
                    converter.convert_patched(old, changes).ok_or_else(value)?
                }
                (Some(_), None) if is_patched => return Err(value()),
                (Some(bytes), _) => converter.convert(bytes).ok_or_else(value)?,
                (None, _) => None,
            };
            match converted.map(|bytes| decoder.append(bytes)) {
                None if is_key => return Err(value()),
                None => decoder.append_null(),
                Some(Ok(Appended::Stored)) => {}
                Some(Ok(Appended::Odd(_))) if is_key => return Err(value()),
                Some(Ok(Appended::Odd(text))) => {
                    decoder.append_null();
                    self.odd.push(Odd { row, column: index, text });
                }
                Some(Err(Undecodable)) => return Err(value()),
            }
        }
        for absent in self.readers.iter_mut().filter(|reader| reader.converter.is_none()) {
            absent.decoder.append_null();
        }
        self.bytes += image.bytes();
        self.own.push(own);
        Ok(())
    }

    /// The rows added since the last batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.own.len()
    }

    /// The values of them that did not fit.
    #[must_use]
    pub fn odd(&self) -> usize {
        self.odd.len()
    }

    /// Whether the batch has reached its limit.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows() >= self.limit.rows || self.bytes >= self.limit.bytes
    }

    /// The rows as a batch; every value of them is known. Begins anew.
    ///
    /// # Errors
    /// The batch could not be put together.
    pub fn finish(&mut self) -> Result<(RecordBatch, Unknown), SourceError> {
        let batch = |error: ArrowError| SourceError::Batch(error.to_string());
        let mut columns = Vec::with_capacity(self.readers.len());
        for reader in &mut self.readers {
            columns.push(reader.decoder.finish().map_err(batch)?);
        }
        // Odd values of a row come in the order of the log's columns; the assembler wants them in that of the readings.
        self.odd.sort_by_key(|odd| (odd.row, odd.column));
        let rows =
            self.assembler.assemble_changes(columns, &self.odd, &mut self.own).map_err(batch)?;
        self.odd.clear();
        self.bytes = 0;
        Ok((rows, Unknown::new()))
    }
}
