//! How a table is followed: which of its columns, into what kind of lake table, found by which key.

use ol_lake::LakeTable;
use ol_lake::schema::LakeSchema;

use crate::column::{foreign, metadata};
use crate::error::{Definite, Error, Result};
use crate::inventory::{MetadataColumns, Table, Unit};
use crate::run::change::Shape;
use crate::source::postgres::catalog::{Catalog, Relation};
use crate::source::postgres::plan;
use crate::source::postgres::replication::message::RelationMessage;
use crate::source::postgres::replication::publication::Wanted;
use crate::source::postgres::replication::relation::streamable;
use crate::source::postgres::types::Reading;

/// How one table is followed.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturePlan {
    /// The relation, as the catalog or the stream has it.
    pub relation: Relation,
    /// The columns that are followed.
    pub readings: Vec<Reading>,
    /// Columns that are not, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// What the lake table looks like.
    pub shape: Shape,
    /// The metadata columns of another loader that it has beside ours.
    pub metadata_columns: MetadataColumns,
    /// The columns that identify a row; empty for a log of a table without a key.
    pub key: Vec<String>,
}

impl CapturePlan {
    /// The plan of a table as the catalog describes it.
    ///
    /// # Errors
    /// The failure that refuses or blocks the table.
    pub fn of_catalog(unit: &Unit, table: &Table, catalog: &Catalog) -> Result<Self> {
        let shape = Shape::of(table)?;
        let (relation, readings) = plan::read(unit, table, catalog)?;
        Self::new(unit, table, relation, readings, shape)
            .map_err(|error| error.with("table", table.qualified_name()).with("unit", &unit.id))
    }

    /// The plan of a table as the stream describes it, which may be an earlier or a later one than the catalog's. A
    /// column that the catalog knows in the same form keeps what only the catalog says of it.
    ///
    /// # Errors
    /// The failure that refuses or blocks the table.
    pub fn of_stream(
        unit: &Unit,
        table: &Table,
        catalog: &Catalog,
        message: &RelationMessage,
    ) -> Result<Self> {
        let shape = Shape::of(table)?;
        let relation = plan::relation_of_stream(table, catalog, message);
        let readings = plan::readings(unit, table, &relation, &catalog.types)?;
        Self::new(unit, table, relation, readings, shape)
            .map_err(|error| error.with("table", table.qualified_name()).with("unit", &unit.id))
    }

    fn new(
        unit: &Unit,
        table: &Table,
        relation: Relation,
        readings: Vec<Reading>,
        shape: Shape,
    ) -> Result<Self> {
        let (mut followed, mut left_out) = (Vec::new(), Vec::new());
        for reading in readings {
            match streamable(&relation, &reading) {
                Ok(()) => followed.push(reading),
                Err(refusal) => left_out.push((refusal.column, refusal.reason)),
            }
        }
        let key = match table.primary_key.is_empty() {
            true => relation.primary_key.clone(),
            false => table.primary_key.clone(),
        };
        let is_read = |name: &&String| followed.iter().any(|reading| reading.name == **name);
        let key: Vec<String> = match (key.iter().find(|name| !is_read(name)), shape) {
            (None, _) => key,
            (Some(_), Shape::Log) => Vec::new(),
            (Some(missing), Shape::Merge { .. }) => {
                return Err(Error::new(Definite::InventoryInvalid)
                    .with("column", missing)
                    .with("reason", "the primary key names a column that is not followed"));
            }
        };
        Ok(Self {
            relation,
            readings: followed,
            left_out,
            shape,
            metadata_columns: unit.metadata_columns,
            key,
        })
    }

    /// The lake table's columns: the source's, then ours.
    #[must_use]
    pub fn lake_schema(&self) -> LakeSchema {
        let ours = match self.shape {
            Shape::Log => metadata::log(),
            Shape::Merge { soft } => metadata::merge(soft),
        };
        plan::lake_schema(&self.relation, &self.readings, ours, self.metadata_columns)
    }

    /// The same for a table that exists: where another loader gave its own column of time a type, it keeps it.
    #[must_use]
    pub fn lake_schema_of(&self, table: &LakeTable) -> LakeSchema {
        foreign::as_in(self.lake_schema(), table)
    }

    /// Gives masked columns their salt, if there are any.
    ///
    /// # Errors
    /// There is no salt.
    pub async fn salted(mut self) -> Result<Self> {
        plan::salt(&mut self.readings).await?;
        Ok(self)
    }

    /// The table, as the publication must have it.
    #[must_use]
    pub fn wanted(&self, table: &Table) -> Wanted {
        Wanted {
            oid: self.relation.oid,
            namespace: self.relation.namespace.clone(),
            name: self.relation.name.clone(),
            columns: self.readings.iter().map(|reading| reading.name.clone()).collect(),
            excluded: table.excluded_columns.clone(),
            key: match self.shape {
                Shape::Log => Vec::new(),
                Shape::Merge { .. } => self.key.clone(),
            },
        }
    }
}
