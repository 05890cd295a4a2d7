//! Copies of tables under the snapshot of a slot, beside the stream of the others.
//!
//! A copy goes the way of a full load: parallel readers under one snapshot, one commit a table, in which the table
//! also begins to follow the slot. Until that commit the slot is held at the snapshot's place, so everything that
//! happens meanwhile is sent again afterwards; then the session is begun anew, with the table in it.
//!
//! A large table is copied in chunks ([`crate::load::chunks`]), so that a process that dies has not read for nothing.
//! The slot is held where the first of them was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use ol_lake::Lake;

use super::partial::{Partial, Terms};
use super::plan::CapturePlan;
use super::prepare::Copy;
use super::shape;
use super::state;
use crate::error::{Doing, Error, Result};
use crate::load::chunks::{self, Chunks};
use crate::load::{Claim, LoadMode, Merging, ShrinkGuard, Target, TargetSettings, contract_digest};
use crate::run::UnitJob;
use crate::run::change::state::{SOURCE, no_gap};
use crate::run::change::{self, Shape, partial as copied};
use crate::source::postgres::chunks as source_chunks;
use crate::source::postgres::full_load::{TableLoad, load_tables};
use crate::source::postgres::incremental::sweep::{self, Sweep};
use crate::source::postgres::settings::Settings;
use crate::source::postgres::snapshot::Keeper;

/// Copies that are under way, and the place each holds the slot at.
pub type Copying = change::copying::Copying<u64>;

/// Begins copies.
///
/// # Errors
/// A lake table cannot take the columns; the others are begun all the same, and it is in `failures`.
pub async fn begin(
    lake: &Arc<Lake>,
    job: &Arc<UnitJob>,
    settings: Settings,
    mut keeper: Keeper,
    copies: Vec<Copy>,
    failures: &mut Vec<(usize, Error)>,
) -> Copying {
    let mut loads = Vec::new();
    let mut indexes = Vec::new();
    let mut tables = BTreeMap::new();
    let mut labels = Vec::new();
    for copy in copies {
        let index = copy.index;
        let label = job.unit.tables.get(index).map(|table| table.raw_table.clone());
        let estimate = copy.plan.relation.row_estimate;
        match load(lake, job, copy, &mut keeper).await {
            Ok(load) => {
                let since = load.chunks.as_ref().map_or(keeper.position, |chunks| chunks.since);
                loads.push(load);
                indexes.push(index);
                tables.insert(index, since.lsn());
                labels.push((label.unwrap_or_default(), estimate));
            }
            Err(error) => failures.push((index, error)),
        }
    }
    let loading = Arc::new(job.loading(settings, labels));
    let loads = Arc::new(loads);
    Copying::begin(tables, |mut ending| async move {
        load_tables(&keeper, loading, loads, |result| {
            let Some(index) = indexes.get(result.index) else { return };
            let totals = result.totals;
            let result = result.result.map_err(|error| error.into_error(Doing::Reading));
            ending.say(*index, result.map(|loaded| (totals, loaded)));
        })
        .await;
        if let Err(error) = keeper.close().await {
            tracing::debug!(%error, "the snapshot's connection was lost after the last read");
        }
    })
}

/// What is to be read of a table, and how its rows go in.
///
/// Rows that a copy cannot bring back stay: in a log, the copy is appended behind them, with a deletion for each key that
/// is gone, or, without a key, with a row that says that all was emptied; rows marked as deleted keep their mark.
async fn load(
    lake: &Arc<Lake>,
    job: &UnitJob,
    copy: Copy,
    keeper: &mut Keeper,
) -> Result<TableLoad> {
    let Copy { index, plan, stamp, table, resumes } = copy;
    let plan = plan.salted().await?;
    let change = lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
    let declared = job.unit.tables.get(index);
    let excluded = declared.map(|it| it.excluded_columns.clone()).unwrap_or_default();
    let terms = Terms::of(&stamp, &plan, &excluded);
    let has_rows = table.current_snapshot().is_some_and(|snapshot| snapshot.records > 0);
    let (mode, kind) = match plan.shape {
        Shape::Log if has_rows => (LoadMode::Append, Some(sweep::Kind::Log)),
        Shape::Merge { soft: true } if has_rows => {
            let merging = Merging { key: plan.key.clone(), soft: true, replaces: false };
            (LoadMode::Merge(merging), Some(sweep::Kind::Marked))
        }
        Shape::Log | Shape::Merge { .. } => (LoadMode::Overwrite, None),
    };
    let sweep = kind.filter(|_| !plan.key.is_empty()).map(|kind| Sweep {
        key: plan.key.clone(),
        kind,
        most_keys: job.context.config.incremental.sweep_keys,
    });
    let begins_anew = kind == Some(sweep::Kind::Log) && plan.key.is_empty();
    let chunk_bytes = job.context.config.stream.chunk_bytes;
    let partial = match mode {
        LoadMode::Overwrite => {
            let known = Partial::of(&table).filter(|known| resumes && known.terms == terms);
            match known {
                Some(known) => Some(known),
                None => begun(&plan, terms, keeper, chunk_bytes).await?,
            }
        }
        LoadMode::Append | LoadMode::Merge(_) => None,
    };
    // What another copy has gathered is thrown away; what this one has is gone on with.
    let table = match &partial {
        Some(partial) if Partial::of(&table).as_ref() == Some(partial) => table,
        _ => chunks::forget(lake, &table).await?,
    };
    let (table, change, chunks) = match partial {
        None => (table, change, None),
        Some(partial) => {
            let table = lake.commit_schema(&table, &change).await?;
            let table = lake.set_properties(&table, &partial.remembered()).await?;
            let change = lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
            let conditions = source_chunks::conditions(&partial.cut);
            let chunks = Chunks::of(&table, conditions, partial.since);
            (table, change, Some(chunks))
        }
    };
    let contract = contract_digest(plan.readings.iter().map(|r| (r.name.as_str(), &r.contract)));
    let mut properties = shape::remembered(&shape::columns_of(&plan.relation, &excluded));
    properties.extend(no_gap());
    let since = chunks.as_ref().map_or(keeper.position, |chunks| chunks.since);
    properties.extend(copied::complete(since, keeper.position));
    let claim = Claim {
        state: BTreeMap::from([
            (state::SLOT.to_owned(), stamp.incarnation.to_string()),
            (SOURCE.to_owned(), stamp.source.clone()),
            (state::PUBLISHED.to_owned(), stamp.published.clone()),
        ]),
        properties,
    };
    let settings = TargetSettings {
        mode,
        mode_word: stamp.mode,
        contract,
        run_id: stamp.run_id,
        claim: Some(claim),
        fenced: false,
        goes_on: false,
    };
    let target = Target::new(Arc::clone(lake), table, change, settings)?;
    Ok(TableLoad {
        relation: plan.relation,
        readings: plan.readings,
        step: None,
        order: None,
        sweep,
        begins_anew,
        chunks,
        target: Arc::new(target),
        guard: ShrinkGuard { keep_ratio: 0.0, allow: true },
    })
}

/// A copy in chunks that begins, where the table can be copied so.
///
/// In a merged table the chunks must be those of the key that rows are merged by: see [`crate::sync`].
async fn begun(
    plan: &CapturePlan,
    terms: Terms,
    keeper: &mut Keeper,
    chunk_bytes: u64,
) -> Result<Option<Partial>> {
    let is_key = plan.shape == Shape::Log || plan.key == plan.relation.primary_key;
    let Some(column) = source_chunks::column(&plan.relation, chunk_bytes).filter(|_| is_key) else {
        return Ok(None);
    };
    let known = keeper.statistics(&plan.relation, column).await;
    let known = known.map_err(|error| error.into_error(Doing::Reading))?;
    let cut =
        known.and_then(|known| source_chunks::cut(&plan.relation, column, &known, chunk_bytes));
    if cut.is_none() {
        let table = plan.relation.display();
        tracing::info!(
            table,
            column,
            "a large table is copied in one piece, for want of statistics or of order"
        );
    }
    Ok(cut.map(|cut| Partial { terms, since: keeper.position, cut }))
}
