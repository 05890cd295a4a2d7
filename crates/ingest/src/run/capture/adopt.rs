//! What a session asks of the lake beside commits: the columns that the stream announces.

use ol_lake::schema::evolve::SchemaChange;
use ol_lake::{Lake, LakeTable};
use tokio::runtime::Handle;

use super::followed::Followed;
use super::plan::CapturePlan;
use super::shape::{self, Verdict};
use super::watch::Watch;
use crate::error::{Definite, Error, Result};
use crate::failpoints;
use crate::inventory::Unit;
use crate::run::change::{Refused, Shape};
use crate::source::postgres::catalog::Catalog;
use crate::source::postgres::replication::message::RelationMessage;

/// Takes the form that the stream announces: compares it with the last one, changes the lake's columns.
///
/// # Errors
/// The table cannot take it, or must be copied again.
pub fn adopt(
    runtime: &Handle,
    lake: &Lake,
    unit: &Unit,
    watch: &mut Watch,
    followed: &mut Followed,
    message: &RelationMessage,
) -> Result<(), Refused> {
    let table = unit.tables.get(followed.index).ok_or_else(|| {
        Refused::Failed(Error::new(Definite::Defect).with("reason", "a table without a unit"))
    })?;
    let form = |catalog: &Catalog| {
        let message = shape::announced_anew(message, table, catalog);
        (shape::columns(&message), message)
    };
    let mut catalog = watch.catalog();
    let (mut columns, mut message) = form(&catalog);
    let is_new = columns != followed.columns;
    if is_new {
        catalog = runtime.block_on(watch.refresh_catalog()).map_err(Refused::Failed)?;
        (columns, message) = form(&catalog);
        let known = std::mem::take(&mut followed.columns);
        followed.columns = shape::under_new_names(known, table, &catalog);
        let name = (message.namespace.as_str(), message.name.as_str());
        match shape::judge(&followed.columns, &columns, &catalog, name) {
            Verdict::Follow => {}
            Verdict::Copy(reason)
                if followed.writer.plan().shape == Shape::Merge { soft: false } =>
            {
                return Err(Refused::Copy(reason));
            }
            Verdict::Copy(reason) if followed.writer.plan().shape != Shape::Log => {
                return Err(Refused::Failed(
                    Error::new(Definite::ColumnChanged)
                        .with("table", table.qualified_name())
                        .with("reason", reason),
                ));
            }
            Verdict::Copy(reason) => {
                let table = table.qualified_name();
                tracing::warn!(table, reason, "the rows of the log so far stay as they are");
            }
        }
    }
    let plan = CapturePlan::of_stream(unit, table, &catalog, &message).map_err(Refused::Failed)?;
    let plan = runtime.block_on(plan.salted()).map_err(Refused::Failed)?;
    let evolved = runtime.block_on(evolve(lake, followed.writer.table(), &plan));
    let (mut lake_table, change) = evolved.map_err(Refused::Failed)?;
    for step in change.steps() {
        tracing::info!(table = %table.raw_table, step, "the table's schema changes");
    }
    if is_new {
        failpoints::hit(failpoints::SCHEMA_CHANGED);
        let properties = shape::remembered(&columns);
        lake_table = runtime.block_on(lake.set_properties(&lake_table, &properties))?;
    }
    followed.columns = columns;
    followed.writer.announced(&message, plan, lake_table)
}

/// The table with the columns that a plan needs, and what changed.
///
/// # Errors
/// The lake's: the columns cannot be had.
async fn evolve(
    lake: &Lake,
    table: &LakeTable,
    plan: &CapturePlan,
) -> Result<(LakeTable, SchemaChange)> {
    let change = lake.evolve(table, &plan.lake_schema_of(table)).await?;
    let table = lake.commit_schema(table, &change).await?;
    Ok((table, change))
}
