//! Changes of documents to record batches of the lake's schema.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use xxhash_rust::xxh3::xxh3_64;

use super::super::bson::{Builder, Document, Element, id_text};
use super::super::error::SourceError;
use super::super::plan::CollectionPlan;
use super::super::rows::{Extent, Fields, unfit};
use super::super::types::{DOCUMENT, KEY};
use crate::column::batch::{Assembler, BatchLimit, RowColumns, RowMeta, RunColumns, Unknown};
use crate::column::metadata;

/// Decodes changes of one collection.
pub struct ChangeRows {
    fields: Fields,
    assembler: Assembler,
    limit: BatchLimit,
    own: RowColumns,
    bytes: usize,
}

impl ChangeRows {
    /// A decoder of whole rows of a lake's table with this schema.
    ///
    /// # Errors
    /// A column's lake type is not one its contract makes.
    pub fn new(
        plan: &CollectionPlan,
        lake: &SchemaRef,
        run: RunColumns,
        limit: BatchLimit,
    ) -> Result<Self, SourceError> {
        let names = plan.readings.iter().map(|reading| reading.name.clone()).collect();
        let assembler = Assembler::new(Arc::clone(lake), names, run).map_err(unfit)?;
        let fields = Fields::new(&plan.readings, &plan.excluded, &assembler)?;
        Ok(Self { fields, assembler, limit, own: RowColumns::default(), bytes: 0 })
    }

    /// A decoder of keys alone, for deletes of a merge: the key, and, where the table marks deleted rows, our own columns with
    /// the mark.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn keys(
        plan: &CollectionPlan,
        lake: &SchemaRef,
        run: RunColumns,
        limit: BatchLimit,
    ) -> Result<Self, SourceError> {
        let marked = lake.column_with_name(metadata::DELETED_AT).is_some();
        let is_ours = |name: &str| {
            name.starts_with(metadata::PREFIX) && name != metadata::ODD && name != DOCUMENT
        };
        let wanted = |name: &str| name == KEY || (marked && is_ours(name));
        let fields = lake.fields().iter().filter(|field| wanted(field.name())).cloned();
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), lake.metadata().clone());
        let readings = plan.readings.iter().filter(|reading| reading.name == KEY).cloned();
        let plan = CollectionPlan { readings: readings.collect(), ..plan.clone() };
        Self::new(&plan, &Arc::new(schema), run, limit)
    }

    /// Adds a document. After an error the decoder is of no use.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn push(&mut self, document: Document<'_>, own: RowMeta<'_>) -> Result<(), SourceError> {
        self.add(document, Extent::Whole, own)
    }

    /// Adds a row of a document of which the key alone is known. After an error the decoder is of no use.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn push_key(&mut self, key: &Element<'_>, own: RowMeta<'_>) -> Result<(), SourceError> {
        let document = Builder::new().value(KEY, key).build();
        self.add(Document::new(&document)?, Extent::Key, own)
    }

    fn add(
        &mut self,
        document: Document<'_>,
        extent: Extent,
        own: RowMeta<'_>,
    ) -> Result<(), SourceError> {
        self.fields.push(self.own.len(), document, extent)?;
        self.bytes += document.bytes().len();
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
        self.fields.odd()
    }

    /// Whether the batch has reached its limit.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows() >= self.limit.rows || self.bytes >= self.limit.bytes
    }

    /// The rows as a batch; begins anew.
    ///
    /// # Errors
    /// The batch could not be put together.
    pub fn finish(&mut self) -> Result<(RecordBatch, Unknown), SourceError> {
        let (columns, odd) = self.fields.finish()?;
        let rows = self.assembler.assemble_changes(columns, &odd, &mut self.own).map_err(unfit)?;
        self.bytes = 0;
        Ok((rows, Unknown::new()))
    }
}

/// A hash of a document's key, the same for keys that are one text in the lake.
///
/// # Errors
/// The key cannot be told.
pub fn key_hash(key: &Element<'_>) -> Result<u64, SourceError> {
    let mut text = String::new();
    id_text(&key.value, &mut text).map_err(|_| SourceError::Value { column: KEY.to_owned() })?;
    Ok(xxh3_64(text.as_bytes()))
}
