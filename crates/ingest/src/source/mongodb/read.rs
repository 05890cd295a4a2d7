//! The documents of one collection as record batches, for a load and for `verify`.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::bson::Builder;
use super::chunks::Bounds;
use super::error::SourceError;
use super::plan::CollectionPlan;
use super::rows::RowReader;
use super::session::Session;
use super::types::KEY;
use crate::column::batch::{Assembler, BatchLimit, RunColumns};
use crate::load::Totals;

/// What of a collection is read, and as what.
#[derive(Debug, Clone)]
pub struct Request {
    /// How the collection is read.
    pub plan: CollectionPlan,
    /// The lake table's columns.
    pub schema: SchemaRef,
    /// When a batch is full.
    pub batch: BatchLimit,
    /// The columns that are the same in every row.
    pub run: RunColumns,
    /// The field in the order of which documents are to come instead of that of the key.
    pub order: Option<String>,
    /// Whether nothing but the fields of the plan's columns leaves the server.
    pub is_narrow: bool,
}

impl Request {
    /// Reads every document of a chunk and hands on batches, each with what was read for it. Blocks.
    ///
    /// Documents come in the order of the index of `_id`. As no document ever changes its `_id`, each that was there all the
    /// time is met exactly once, whatever else is written.
    ///
    /// # Errors
    /// The source's, or what `take` returns.
    pub fn read(
        &self,
        session: &mut Session,
        chunk: &Bounds,
        mut take: impl FnMut(RecordBatch, Totals) -> Result<(), SourceError>,
    ) -> Result<Totals, SourceError> {
        let plan = &self.plan;
        let names = plan.readings.iter().map(|reading| reading.name.clone()).collect();
        let assembler = Assembler::new(self.schema.clone(), names, self.run.clone())
            .map_err(|error| SourceError::Batch(error.to_string()))?;
        let mut rows = RowReader::new(&plan.readings, &plan.excluded, assembler, self.batch)?;
        let collection = &plan.collection;
        let command = session.reading(self.command(chunk)?);
        session.connection.each(&collection.database, command, |document| {
            match rows.row(document)? {
                Some((batch, read)) => take(batch, read),
                None => Ok(()),
            }
        })?;
        let (last, totals) = rows.finish()?;
        if let Some((batch, read)) = last {
            take(batch, read)?;
        }
        Ok(totals)
    }

    /// The same of the key of every document alone, for a comparison of keys: `key` names its fields, `schema` has their columns.
    #[must_use]
    pub fn of_keys(&self, key: &[String], schema: &SchemaRef) -> Self {
        let readings = self.plan.readings.iter().filter(|it| key.contains(&it.name)).cloned();
        let plan = CollectionPlan { readings: readings.collect(), ..self.plan.clone() };
        Self {
            plan,
            schema: SchemaRef::clone(schema),
            order: None,
            is_narrow: true,
            ..self.clone()
        }
    }

    fn command(&self, chunk: &Bounds) -> Result<Builder, SourceError> {
        let order = self.order.as_deref().unwrap_or(KEY);
        let command = Builder::new()
            .string("find", &self.plan.collection.name)
            .document("filter", chunk.filter()?)
            .document("sort", Builder::new().int32(order, 1));
        // What can be said in a projection does not leave the server; the rest is left out here.
        let is_sayable =
            |name: &&str| !name.is_empty() && !name.starts_with('$') && !name.contains(['.', '\0']);
        let read = self.plan.readings.iter().map(|reading| reading.name.as_str());
        if self.is_narrow && read.clone().all(|name| is_sayable(&name)) {
            let projection = read.fold(Builder::new(), |it, name| it.int32(name, 1));
            return Ok(command.document("projection", projection));
        }
        let hidden = self.plan.hidden();
        let mut names = hidden.into_iter().filter(is_sayable).peekable();
        if names.peek().is_none() {
            return Ok(command);
        }
        let projection = names.fold(Builder::new(), |it, name| it.int32(name, 0));
        Ok(command.document("projection", projection))
    }
}
