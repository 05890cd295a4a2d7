//! Copies of tables behind a place of the log that was taken first, beside the stream of the others.
//!
//! A copy goes the way of a full load: parallel readers, one commit a table, in which the table also begins to follow the log
//! from the place on; then the session is begun anew, with the table in it. A large table is copied in chunks
//! ([`crate::load::chunks`]), so that a process that dies has not read for nothing. Chunks that were read at different places
//! become one table that is at the place of the first of them: from there on every change is taken again, also those that the
//! later chunks have already. Why the table comes to what the source is all the same is each source's affair to prove.
//!
//! Rows that a copy cannot bring back stay: in a log, the copy is appended behind them, with a deletion for each key that is
//! gone, or, without a key, with a row that says that all was emptied; rows marked as deleted keep their mark, and those that
//! are not in the copy get one.

use std::sync::Arc;

use ol_lake::{Lake, LakeTable, TableDefinition, TableName};

use super::Shape;
use super::copying;
use super::log::{Log, Plan as _};
use super::partial::{self, Partial};
use super::place::Place as _;
use super::prepare::{Copy, PartialOf};
use super::state::no_gap;
use crate::error::{Definite, Error, Result};
use crate::load::chunks::{self, Chunks};
use crate::load::{Claim, LoadMode, Merging, ShrinkGuard, Target, TargetSettings};
use crate::run::UnitJob;
use crate::run::unit::Loads;
use crate::source::incremental::sweep::{self, Sweep};

/// Copies that are under way.
pub type Copying = copying::Copying<()>;

/// A copy replaces what is there, or adds to it: how much smaller the table may become is no question.
pub const GUARD: ShrinkGuard = ShrinkGuard { keep_ratio: 0.0, allow: true };

/// What copies are made with.
pub struct Copier<'a, L: Log> {
    /// The lake.
    pub lake: &'a Arc<Lake>,
    /// The run over the unit.
    pub job: &'a Arc<UnitJob>,
    /// The source's log.
    pub log: &'a L,
}

/// How the rows of a copy go in.
pub struct Landing<L: Log> {
    /// Where they go.
    pub target: Arc<Target>,
    /// How rows that are gone are found.
    pub sweep: Option<Sweep>,
    /// Whether rows of a log from before count no longer, which a row has to say.
    pub begins_anew: bool,
    /// The chunks that are committed one by one.
    pub chunks: Option<Chunks<L::Condition>>,
}

impl<L: Log> Copier<'_, L> {
    /// Makes tables ready to be read at `place`: `make` of a plan and how its rows go in is how it is read. With each copy
    /// comes what would be its chunks if it began now.
    pub(crate) async fn loads<T>(
        &self,
        copies: Vec<(Copy<L>, Option<PartialOf<L>>)>,
        place: &L::Place,
        failures: &mut Vec<(usize, Error)>,
        make: impl Fn(L::Plan, Landing<L>) -> T,
    ) -> Loads<T> {
        let mut ready = Vec::new();
        for (copy, anew) in copies {
            let (index, display) = (copy.index, copy.plan.display());
            let label = self.job.unit.tables.get(index).map(|table| table.raw_table.clone());
            let estimate = copy.plan.row_estimate();
            match self.land(copy, anew, place).await {
                Ok((plan, landing)) => {
                    let load = make(plan, landing);
                    ready.push((index, label.unwrap_or_default(), estimate, load));
                }
                Err(error) => failures.push((index, error.with("table", display))),
            }
        }
        Loads::of(ready)
    }

    /// How the rows of a copy go in.
    async fn land(
        &self,
        copy: Copy<L>,
        anew: Option<PartialOf<L>>,
        place: &L::Place,
    ) -> Result<(L::Plan, Landing<L>)> {
        let Copy { index, plan, stamp, table, partial } = copy;
        let table = match table {
            Some(table) => table,
            None => self.create(index, &plan).await?,
        };
        let change = self.lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
        let has_rows = table.current_snapshot().is_some_and(|snapshot| snapshot.records > 0);
        let key = plan.key();
        let (mode, kind) = match plan.shape() {
            Shape::Log if has_rows => (LoadMode::Append, Some(sweep::Kind::Log)),
            Shape::Merge { soft: true } if has_rows => {
                let merging = Merging { key: key.clone(), soft: true, replaces: false };
                (LoadMode::Merge(merging), Some(sweep::Kind::Marked))
            }
            Shape::Log | Shape::Merge { .. } => (LoadMode::Overwrite, None),
        };
        let begins_anew = kind == Some(sweep::Kind::Log) && key.is_empty();
        let most_keys = self.job.context.config.incremental.sweep_keys;
        let sweep = kind.filter(|_| !key.is_empty()).map(|kind| Sweep { key, kind, most_keys });
        // What was gathered is gone on with if its rows are those that would be made now.
        let fits =
            |(partial, since): &(PartialOf<L>, L::Place)| partial.terms == L::terms(&plan, since);
        let known = partial.filter(fits);
        let (partial, since) = match (&mode, known, anew) {
            (LoadMode::Overwrite, Some((partial, since)), _) => (Some(partial), since),
            (LoadMode::Overwrite, None, Some(anew)) => (Some(anew), place.clone()),
            _ => (None, place.clone()),
        };
        let table = match &partial {
            Some(partial) if Partial::of(&table).as_ref() == Some(partial) => table,
            _ => chunks::forget(self.lake, &table).await?,
        };
        let (table, change, chunks) = match partial {
            None => (table, change, None),
            Some(partial) => {
                let table = self.lake.commit_schema(&table, &change).await?;
                let table = self.lake.set_properties(&table, &partial.remembered()).await?;
                let change = self.lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
                let chunks = Chunks::of(&table, L::conditions(&partial.cut), partial.since);
                (table, change, Some(chunks))
            }
        };
        let mut properties = no_gap();
        properties.extend(plan.properties());
        properties.extend(partial::complete(since.position(), place.position()));
        let settings = TargetSettings {
            mode,
            mode_word: stamp.mode,
            contract: plan.contract(),
            run_id: stamp.run_id,
            claim: Some(Claim { state: since.claim(), properties }),
            fenced: false,
            goes_on: false,
        };
        let target = Arc::new(Target::new(Arc::clone(self.lake), table, change, settings)?);
        Ok((plan, Landing { target, sweep, begins_anew, chunks }))
    }

    async fn create(&self, index: usize, plan: &L::Plan) -> Result<LakeTable> {
        let Some(declared) = self.job.unit.tables.get(index) else {
            return Err(Error::new(Definite::Defect).with("reason", "a table without a unit"));
        };
        let namespace = self.job.context.platform.raw_namespace();
        let definition = TableDefinition {
            name: TableName::new(namespace, &declared.raw_table),
            schema: plan.lake_schema(),
            comment: plan.comment(),
            properties: [
                ("ol.source-table".to_owned(), plan.display()),
                ("ol.primary-key".to_owned(), serde_json::json!(plan.key()).to_string()),
            ]
            .into(),
            partition_by: crate::run::unit::partition_by(declared),
            sort_by: crate::run::unit::sort_by(declared),
        };
        Ok(self.lake.create(&definition).await?)
    }
}
