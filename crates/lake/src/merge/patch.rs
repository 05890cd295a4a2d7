//! Rows of which only some columns are known, until the row they change is read.
//!
//! Such rows wait in memory and are completed many at a time, because completing one costs a look at the table.
//! Changes of one row lie on each other as layers: a column comes from the newest layer that knows it, and from the
//! row in the table, or written before by the same writer, when none does. A layer under another is dropped as soon as
//! it gives no column any more, so a row changed a thousand times has as many layers as there are different sets of
//! kept columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, MapArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    new_empty_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::interleave::interleave;

use super::key::KeyHash;
use crate::error::{Error, ErrorKind, Result};
use crate::write::encode::Place;

/// Where the columns come from that no layer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The row of this key in the table.
    Table,
    /// A row the same writer wrote before.
    Written(Place),
    /// There was none; every column is known.
    Nowhere,
}

/// One change of a row.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) batch: usize,
    pub(crate) row: usize,
    /// Columns the layer does not know, in order.
    pub(crate) kept: Arc<[usize]>,
}

impl Layer {
    fn keeps(&self, column: usize) -> bool {
        self.kept.binary_search(&column).is_ok()
    }
}

/// A row that waits.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) key: KeyHash,
    pub(crate) source: Source,
    /// Whether it is an error when the table has no such row.
    pub(crate) is_required: bool,
    /// Newest first.
    layers: Vec<Layer>,
}

/// The columns of one batch; a column nobody gave is absent.
type Columns = Vec<Option<ArrayRef>>;

/// All rows that wait.
pub(crate) struct Pending {
    schema: SchemaRef,
    sidecar: Option<usize>,
    columns: HashMap<String, usize>,
    batches: Vec<Columns>,
    slots: Vec<Option<Slot>>,
    bytes: usize,
}

impl Pending {
    pub(crate) fn new(schema: &SchemaRef, sidecar: Option<usize>) -> Self {
        let names = schema.fields().iter().map(|field| field.name().clone());
        Self {
            schema: Arc::clone(schema),
            sidecar,
            columns: names.zip(0..).collect(),
            batches: Vec::new(),
            slots: Vec::new(),
            bytes: 0,
        }
    }

    /// Bytes of the rows that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rows that wait, those that were given up included.
    pub(crate) fn rows(&self) -> usize {
        self.slots.len()
    }

    /// Takes the columns of a batch and returns its number.
    pub(crate) fn add_batch(&mut self, columns: Columns) -> usize {
        let size = |column: &ArrayRef| {
            column.to_data().get_slice_memory_size().unwrap_or(column.get_array_memory_size())
        };
        self.bytes += columns.iter().flatten().map(size).sum::<usize>();
        self.batches.push(columns);
        self.batches.len() - 1
    }

    /// A column of a batch.
    pub(crate) fn column(&self, batch: usize, column: usize) -> Option<&ArrayRef> {
        self.batches.get(batch)?.get(column)?.as_ref()
    }

    /// How many batches wait.
    pub(crate) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// A new row; returns the number of its slot.
    pub(crate) fn add(
        &mut self,
        key: KeyHash,
        source: Source,
        is_required: bool,
        layer: Layer,
    ) -> usize {
        self.slots.push(Some(Slot { key, source, is_required, layers: vec![layer] }));
        self.slots.len() - 1
    }

    /// A further change of a row that waits.
    pub(crate) fn cover(&mut self, slot: usize, is_required: bool, layer: Layer) {
        let Some(Some(slot)) = self.slots.get_mut(slot) else { return };
        slot.is_required |= is_required;
        slot.layers.insert(0, layer);
        let mut unknown: Option<Vec<usize>> = None;
        slot.layers.retain(|layer| {
            let Some(wanted) = &mut unknown else {
                unknown = Some(layer.kept.to_vec());
                return true;
            };
            let before = wanted.len();
            wanted.retain(|column| layer.keeps(*column));
            wanted.len() < before
        });
    }

    /// The row is not wanted any more.
    pub(crate) fn give_up(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = None;
        }
    }

    /// The rows that still wait, with the numbers of their slots.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    pub(crate) fn slot(&self, slot: usize) -> Option<&Slot> {
        self.slots.get(slot)?.as_ref()
    }

    pub(crate) fn clear(&mut self) {
        self.batches.clear();
        self.slots.clear();
        self.bytes = 0;
    }

    /// Completes rows. Each pair is a slot and the row of `earlier` that it changes.
    pub(crate) fn complete(
        &self,
        earlier: &RecordBatch,
        pairs: &[(usize, usize)],
    ) -> Result<RecordBatch> {
        let slots = pairs.iter().filter_map(|(slot, row)| Some((self.slot(*slot)?, *row)));
        let slots: Vec<(&Slot, usize)> = slots.collect();
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for index in 0..self.schema.fields().len() {
            columns.push(if self.sidecar == Some(index) {
                self.complete_sidecar(index, earlier, &slots)?
            } else {
                self.complete_column(index, earlier, &slots)?
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(slots.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Error::new(ErrorKind::RowsMismatch).because(error))
    }

    fn complete_column(
        &self,
        index: usize,
        earlier: &RecordBatch,
        slots: &[(&Slot, usize)],
    ) -> Result<ArrayRef> {
        let empty = new_empty_array(self.schema.field(index).data_type());
        let mut sources: Vec<&dyn Array> = Vec::with_capacity(self.batches.len() + 1);
        for batch in &self.batches {
            sources.push(batch.get(index).and_then(Option::as_ref).unwrap_or(&empty).as_ref());
        }
        let base = sources.len();
        sources.push(earlier.column(index).as_ref());
        let places: Vec<(usize, usize)> = slots
            .iter()
            .map(|(slot, row)| match slot.layers.iter().find(|layer| !layer.keeps(index)) {
                Some(layer) => (layer.batch, layer.row),
                None => (base, *row),
            })
            .collect();
        interleave(&sources, &places).map_err(unexpected)
    }

    /// The entries of a column come from where the column comes from; entries that name no column, from the newest
    /// layer that has a sidecar.
    fn complete_sidecar(
        &self,
        index: usize,
        earlier: &RecordBatch,
        slots: &[(&Slot, usize)],
    ) -> Result<ArrayRef> {
        let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
        let mut lengths = Vec::with_capacity(slots.len());
        let mut add = |map: &MapArray, row: usize, wanted: &dyn Fn(&str) -> bool| {
            let mut added = 0;
            for (key, value) in entries(map, row) {
                if wanted(key) {
                    keys.append_value(key);
                    values.append_option(value);
                    added += 1;
                }
            }
            added
        };
        for (slot, row) in slots {
            let layers: Vec<&Layer> = slot
                .layers
                .iter()
                .filter(|layer| self.column(layer.batch, index).is_some())
                .collect();
            let giver = |key: &str| match self.columns.get(key) {
                Some(column) => layers.iter().position(|layer| !layer.keeps(*column)),
                None => (!layers.is_empty()).then_some(0),
            };
            let mut length = 0;
            for (number, layer) in layers.iter().enumerate() {
                if let Some(map) = self.column(layer.batch, index).and_then(|c| c.as_map_opt()) {
                    length += add(map, layer.row, &|key| giver(key) == Some(number));
                }
            }
            if slot.source != Source::Nowhere
                && let Some(map) = earlier.column(index).as_map_opt()
            {
                length += add(map, *row, &|key| giver(key).is_none());
            }
            lengths.push(length);
        }
        self.sidecar_of(index, &lengths, keys.finish(), values.finish())
    }

    /// A row without entries has no map at all.
    fn sidecar_of(
        &self,
        index: usize,
        lengths: &[usize],
        keys: StringArray,
        values: StringArray,
    ) -> Result<ArrayRef> {
        let field = self.schema.field(index);
        let refuse = || {
            Error::new(ErrorKind::RowsMismatch)
                .with("column", field.name())
                .with("reason", "the sidecar is not a map of text")
        };
        let DataType::Map(entries, is_sorted) = field.data_type() else { return Err(refuse()) };
        let DataType::Struct(parts) = entries.data_type() else { return Err(refuse()) };
        let both: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
        let both = StructArray::try_new(parts.clone(), both, None).map_err(unexpected)?;
        let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
        let nulls = NullBuffer::from_iter(lengths.iter().map(|length| *length > 0));
        let map = MapArray::try_new(Arc::clone(entries), offsets, both, Some(nulls), *is_sorted);
        Ok(Arc::new(map.map_err(unexpected)?))
    }
}

/// The entries of one map; none for null.
fn entries(map: &MapArray, row: usize) -> impl Iterator<Item = (&str, Option<&str>)> {
    let span = match map.is_null(row) {
        true => 0..0,
        false => {
            let offsets = map.value_offsets();
            let at = |index: usize| {
                offsets.get(index).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0)
            };
            at(row)..at(row + 1)
        }
    };
    let (keys, values) = (map.keys().as_string_opt::<i32>(), map.values().as_string_opt::<i32>());
    span.filter_map(move |entry| {
        let (keys, values) = (keys?, values?);
        Some((keys.value(entry), values.is_valid(entry).then(|| values.value(entry))))
    })
}

fn unexpected(error: ArrowError) -> Error {
    Error::new(ErrorKind::Unexpected).because(error)
}
