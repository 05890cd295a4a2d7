//! Copies of tables under the snapshot of a slot, beside the stream of the others.
//!
//! A copy goes the way of a full load: parallel readers under one snapshot, one commit a table, in which the table
//! also begins to follow the slot. Until that commit the slot is held at the snapshot's place, so everything that
//! happens meanwhile is sent again afterwards; then the session is begun anew, with the table in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ol_lake::Lake;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::prepare::Copy;
use super::shape;
use super::state;
use crate::error::{Doing, Error, Result};
use crate::inventory::Unit;
use crate::load::{
    Claim, LoadMode, Loaded, ShrinkGuard, Target, TargetSettings, Totals, contract_digest,
};
use crate::run::UnitJob;
use crate::source::postgres::full_load::{TableLoad, load_tables};
use crate::source::postgres::settings::Settings;
use crate::source::postgres::snapshot::Keeper;

/// A copy that has ended, by its index in the unit.
pub type Copied = (usize, Result<(Totals, Loaded)>);

/// Copies that are under way.
pub struct Copying {
    /// The tables that are not done, and the place each holds the slot at.
    pub tables: Vec<usize>,
    /// Where the snapshot is.
    pub began: u64,
    /// Set when the tables that have been copied should be followed: all of them, or some for a while.
    pub regroup: Arc<AtomicBool>,
    ended: UnboundedReceiver<Copied>,
    task: JoinHandle<()>,
}

/// How long copied tables wait for the others. Each regrouping has the log sent again from the snapshot on.
pub const PATIENCE: Duration = Duration::from_secs(60);

impl Copying {
    /// Begins.
    ///
    /// # Errors
    /// A lake table cannot take the columns; the others are begun all the same, and it is in `failures`.
    pub async fn begin(
        lake: &Arc<Lake>,
        job: &Arc<UnitJob>,
        settings: Settings,
        keeper: Keeper,
        copies: Vec<Copy>,
        failures: &mut Vec<(usize, Error)>,
    ) -> Self {
        let mut loads = Vec::new();
        let mut indexes = Vec::new();
        let mut labels = Vec::new();
        for copy in copies {
            let index = copy.index;
            let label = job.unit.tables.get(index).map(|table| table.raw_table.clone());
            let estimate = copy.plan.relation.row_estimate;
            match load(lake, &job.unit, copy).await {
                Ok(load) => {
                    loads.push(load);
                    indexes.push(index);
                    labels.push((label.unwrap_or_default(), estimate));
                }
                Err(error) => failures.push((index, error)),
            }
        }
        let (sender, ended) = unbounded_channel();
        let began = keeper.position.lsn();
        let loading = Arc::new(job.loading(settings, labels));
        let loads = Arc::new(loads);
        let tables = indexes.clone();
        let regroup = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&regroup);
        let mut regrouped = Instant::now();
        let task = tokio::spawn(async move {
            load_tables(&keeper, loading, loads, |result| {
                let Some(index) = indexes.get(result.index) else { return };
                let totals = result.totals;
                let result = result.result.map_err(|error| error.into_error(Doing::Reading));
                // Nobody listens any more when the run has ended.
                let _ignored = sender.send((*index, result.map(|loaded| (totals, loaded))));
                if regrouped.elapsed() >= PATIENCE {
                    regrouped = Instant::now();
                    flag.store(true, Ordering::Release);
                }
            })
            .await;
            if let Err(error) = keeper.close().await {
                tracing::debug!(%error, "the snapshot's connection was lost after the last read");
            }
            flag.store(true, Ordering::Release);
        });
        Self { tables, began, regroup, ended, task }
    }

    /// The copies that have ended by now.
    pub fn harvest(&mut self) -> Vec<Copied> {
        self.regroup.store(false, Ordering::Release);
        let mut copied = Vec::new();
        while let Ok(one) = self.ended.try_recv() {
            self.tables.retain(|index| *index != one.0);
            copied.push(one);
        }
        copied
    }

    /// Waits for the next copy to end; `None` when all have.
    pub async fn next(&mut self) -> Option<Copied> {
        let one = self.ended.recv().await?;
        self.tables.retain(|index| *index != one.0);
        Some(one)
    }

    /// Whether all have ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.task.is_finished() && self.ended.is_empty()
    }

    /// Waits until nothing runs any more; the copies that nobody has seen.
    pub async fn join(mut self) -> Vec<Copied> {
        let mut copied = Vec::new();
        while let Some(one) = self.next().await {
            copied.push(one);
        }
        // A panic of a reader has been reported as the failure of its table.
        let _ignored = self.task.await;
        copied
    }
}

async fn load(lake: &Arc<Lake>, unit: &Unit, copy: Copy) -> Result<TableLoad> {
    let Copy { index, plan, stamp, table } = copy;
    let plan = plan.salted().await?;
    let change = lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
    let contract = contract_digest(plan.readings.iter().map(|r| (r.name.as_str(), &r.contract)));
    let excluded = unit.tables.get(index).map(|it| it.excluded_columns.clone()).unwrap_or_default();
    let mut properties = shape::remembered(&shape::columns_of(&plan.relation, &excluded));
    properties.extend(state::no_gap());
    let claim = Claim {
        state: BTreeMap::from([
            (state::SLOT.to_owned(), stamp.incarnation.to_string()),
            (state::SOURCE.to_owned(), stamp.source.clone()),
            (state::PUBLISHED.to_owned(), stamp.published.clone()),
        ]),
        properties,
    };
    let settings = TargetSettings {
        mode: LoadMode::Overwrite,
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
        sweep: None,
        target: Arc::new(target),
        guard: ShrinkGuard { keep_ratio: 0.0, allow: true },
    })
}
