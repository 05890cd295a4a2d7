//! Changes of one table to record batches of the lake's schema.
//!
//! What a batch holds of a value that the stream does not say: NULL in the batch, and the column's index in the list that
//! [`ChangeRows::finish`] returns beside it, so that nobody takes the NULL for the value (invariant I4). A column
//! that the stream does not have at all counts as unknown, too. The one exception is the old row of a delete in a
//! change log: of [`Old::Key`](super::message::Old::Key) only the key is known, the other columns are NULL, and the
//! description of `_ol_op` says so.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use xxhash_rust::xxh3::Xxh3;

use super::super::decode::{Appended, Undecodable};
use super::super::rows::{BatchLimit, RowError};
use super::super::types::Reading;
use super::message::{Cell, RelationMessage, Tuple};
use super::text::TextDecoder;
use crate::column::batch::{Assembler, Odd, RowColumns, RowMeta, RunColumns, Unknown};
use crate::column::metadata;

/// Decodes changes of one table, as one Relation message describes it.
pub struct ChangeRows {
    columns: Vec<Column>,
    /// By column of the stream: the index in `columns` of what reads it, if anything does.
    places: Vec<Option<usize>>,
    /// The indexes in `columns` of what the stream does not have.
    absent: Vec<usize>,
    assembler: Assembler,
    limit: BatchLimit,
    own: RowColumns,
    odd: Vec<Odd>,
    unknown: Unknown,
    bytes: usize,
}

struct Column {
    decoder: TextDecoder,
    /// The index in the lake's schema.
    lake: usize,
    /// Whether rows are found by it, so that its value must be known and fit.
    key: bool,
}

impl ChangeRows {
    /// A decoder of the columns in `readings`, found by name in the tuples that `relation` describes, for batches that
    /// `assembler` puts together.
    ///
    /// Columns of the stream that are not read are passed over: they are excluded, or new.
    ///
    /// # Errors
    /// A column's lake type is not one its contract makes, or its text does not say its value.
    pub fn new(
        readings: &[Reading],
        assembler: Assembler,
        relation: &RelationMessage,
        limit: BatchLimit,
    ) -> Result<Self, RowError> {
        let mut columns = Vec::with_capacity(readings.len());
        for reading in readings {
            let mismatch = || {
                RowError::Batch(format!(
                    "column {} of {} cannot be {} in a change",
                    reading.name, reading.contract.source, reading.contract.lake
                ))
            };
            let (lake, field) =
                assembler.schema().column_with_name(&reading.name).ok_or_else(mismatch)?;
            let decoder = TextDecoder::new(reading, field.data_type()).ok_or_else(mismatch)?;
            columns.push(Column { decoder, lake, key: false });
        }
        let streamed = relation.columns.iter();
        let places: Vec<Option<usize>> = streamed
            .map(|column| readings.iter().position(|reading| reading.name == column.name))
            .collect();
        let absent = (0..columns.len()).filter(|index| !places.contains(&Some(*index))).collect();
        Ok(Self {
            columns,
            places,
            absent,
            assembler,
            limit,
            own: RowColumns::default(),
            odd: Vec::new(),
            unknown: Vec::new(),
            bytes: 0,
        })
    }

    /// A decoder of keys alone, for deletes of a merge: the columns `key`, and, where the table marks deleted rows, our own
    /// columns with the mark. `lake` is the lake table's whole schema.
    ///
    /// # Errors
    /// A key column is not part of the replica identity, so that an old row does not say it
    /// ([`RowError::Unknown`]); it is not read; or those of [`ChangeRows::new`].
    pub fn keys(
        readings: &[Reading],
        key: &[String],
        lake: &SchemaRef,
        run: RunColumns,
        relation: &RelationMessage,
        limit: BatchLimit,
    ) -> Result<Self, RowError> {
        let batch = |error: arrow_schema::ArrowError| RowError::Batch(error.to_string());
        let mut read = Vec::with_capacity(key.len());
        for name in key {
            let logged = relation.columns.iter().any(|column| column.name == *name && column.key);
            if !logged {
                return Err(RowError::Unknown { column: name.clone() });
            }
            let reading = readings.iter().find(|reading| reading.name == *name);
            read.push(
                reading
                    .ok_or_else(|| RowError::Batch(format!("key column {name} is not read")))?
                    .clone(),
            );
        }
        let marked = lake.column_with_name(metadata::DELETED_AT).is_some();
        let wanted = |name: &str| {
            let ours = name.starts_with(metadata::PREFIX) && name != metadata::ODD;
            key.iter().any(|column| column == name) || (marked && ours)
        };
        let fields = lake.fields().iter().filter(|field| wanted(field.name())).cloned();
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), lake.metadata().clone());
        let assembler = Assembler::new(Arc::new(schema), key.to_vec(), run).map_err(batch)?;
        Ok(Self::new(&read, assembler, relation, limit)?.found_by(key))
    }

    /// Demands that the values of these columns are known and fit, because rows are found by them.
    #[must_use]
    pub fn found_by(mut self, key: &[String]) -> Self {
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.key = key.iter().any(|name| name == self.assembler.name(index));
        }
        self
    }

    /// Adds a row. After an error the decoder is of no use.
    ///
    /// # Errors
    /// Another number of values than the relation has columns; a value that is none; a key that is unknown or odd.
    pub fn push<'a>(
        &mut self,
        cells: impl IntoIterator<Item = Cell<'a>>,
        own: RowMeta<'_>,
    ) -> Result<(), RowError> {
        let row = self.own.len();
        let mut unknown = Vec::new();
        let mut cells = cells.into_iter();
        for place in &self.places {
            let cell = cells.next().ok_or(RowError::Form("a row with too few values"))?;
            self.bytes += 1;
            let Some(index) = *place else { continue };
            let Some(column) = self.columns.get_mut(index) else { continue };
            let name = || self.assembler.name(index).to_owned();
            match cell {
                Cell::Null => column.decoder.append_null(),
                Cell::Unchanged if column.key => return Err(RowError::Unknown { column: name() }),
                Cell::Unchanged => {
                    column.decoder.append_null();
                    unknown.push(column.lake);
                }
                Cell::Text(text) => {
                    self.bytes += text.len();
                    match column.decoder.append(text) {
                        Ok(Appended::Stored) => {}
                        Ok(Appended::Odd(_)) if column.key => {
                            return Err(RowError::OddKey { column: name() });
                        }
                        Ok(Appended::Odd(text)) => {
                            column.decoder.append_null();
                            self.odd.push(Odd { row, column: index, text });
                        }
                        Err(Undecodable) => return Err(RowError::Value { column: name() }),
                    }
                }
            }
        }
        if cells.next().is_some() {
            return Err(RowError::Form("a row with too many values"));
        }
        for index in &self.absent {
            let Some(column) = self.columns.get_mut(*index) else { continue };
            if column.key {
                return Err(RowError::Unknown { column: self.assembler.name(*index).to_owned() });
            }
            column.decoder.append_null();
            unknown.push(column.lake);
        }
        unknown.sort_unstable();
        self.unknown.push(unknown.into());
        self.own.push(own);
        Ok(())
    }

    /// The rows added since the last batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.own.len()
    }

    /// The bytes of their values as they arrived.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
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

    /// The rows as a batch, and for each row the indexes, in the lake's schema, of the columns whose value is not known;
    /// begins anew.
    ///
    /// # Errors
    /// The batch could not be put together.
    pub fn finish(&mut self) -> Result<(RecordBatch, Unknown), RowError> {
        let batch = |error: arrow_schema::ArrowError| RowError::Batch(error.to_string());
        // Odd values are pushed in the order of the stream's columns, and rows in order: what the assembler needs.
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            columns.push(column.decoder.finish().map_err(batch)?);
        }
        let rows =
            self.assembler.assemble_changes(columns, &self.odd, &mut self.own).map_err(batch)?;
        self.odd.clear();
        self.bytes = 0;
        Ok((rows, std::mem::take(&mut self.unknown)))
    }
}

/// A hash of the cells of a tuple at these places, for telling keys apart within a process.
#[must_use]
pub fn key_hash(key: &[usize], tuple: Tuple<'_>) -> u64 {
    let mut hasher = Xxh3::new();
    let mut cells = tuple.cells();
    let mut at = 0;
    for place in key {
        // Key columns may be in another order than the tuple's; then it is walked again.
        if *place < at {
            cells = tuple.cells();
            at = 0;
        }
        let cell = cells.nth(*place - at);
        at = *place + 1;
        match cell {
            Some(Cell::Text(text)) => {
                hasher.update(&(text.len() as u64 + 1).to_le_bytes());
                hasher.update(text);
            }
            Some(Cell::Null | Cell::Unchanged) | None => hasher.update(&0u64.to_le_bytes()),
        }
    }
    hasher.digest()
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
