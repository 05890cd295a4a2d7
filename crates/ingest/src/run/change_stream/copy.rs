//! Copies of collections, and the place from which on their changes are followed.
//!
//! The place is taken first: a stream is opened, and the token that it begins with is noted. Then the collections are read, at a
//! time of the cluster that is not before the place, whichever member is asked. So a change that is not in the copy is
//! behind the place, and comes; one that is in the copy may come again, which the header of the room says is harmless.
//!
//! Rows that a copy cannot bring back stay: in a log, the copy is appended behind a row that says that all was emptied; rows
//! marked as deleted keep their mark, and those that are not in the copy get one.

use std::sync::Arc;
use std::time::Duration;

use ol_lake::{Lake, LakeTable, TableDefinition, TableName};

use super::plan::CapturePlan;
use super::prepare::Copy;
use super::state::Place;
use super::writer::TableWriter;
use super::{blocking, identity};
use crate::column::batch::RunColumns;
use crate::error::{Definite, Doing, Error, Result};
use crate::load::{
    Claim, LoadMode, Loaded, Merging, ShrinkGuard, Target, TargetSettings, Totals, contract_digest,
};
use crate::position::ClusterTime;
use crate::run::UnitJob;
use crate::run::change::live::live_keys;
use crate::run::change::state::no_gap;
use crate::run::change::{At, Refused, Shape, Writing};
use crate::source::mongodb::change_stream::{ChangeStream, Token};
use crate::source::mongodb::error::SourceError;
use crate::source::mongodb::full_load::{Loading, TableLoad, load_tables};
use crate::source::mongodb::read::Request;
use crate::source::mongodb::session::Session;
use crate::source::mongodb::settings::Settings;

/// A copy that has ended, by its index in the unit.
pub type Copied = (usize, Result<(Totals, Loaded)>);

/// What copies are made with.
pub struct Copying<'a> {
    /// The lake.
    pub lake: &'a Arc<Lake>,
    /// The run over the unit.
    pub job: &'a UnitJob,
    /// The source.
    pub settings: &'a Settings,
    /// For the rows of our own that a copy needs.
    pub writing: Writing,
}

impl Copying<'_> {
    /// Copies tables. Each is in the answer.
    ///
    /// # Errors
    /// There is no place to follow them from.
    pub async fn run(&self, session: Session, copies: Vec<Copy>) -> Result<Vec<Copied>> {
        let job = self.job;
        let (session, (place, after)) = self.place(session).await?;
        let (mut copied, mut loads, mut indexes, mut labels) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for copy in copies {
            let index = copy.index;
            let label = job.unit.tables.get(index).map(|table| table.raw_table.clone());
            let estimate = copy.plan.read.collection.row_estimate.map(|rows| rows as f64);
            let display = copy.plan.read.collection.display();
            match self.load(copy, &place).await {
                Ok(load) => {
                    loads.push(load);
                    indexes.push(index);
                    labels.push((label.unwrap_or_default(), estimate));
                }
                Err(error) => copied.push((index, Err(error.with("table", display)))),
            }
        }
        let loading = Arc::new(Loading {
            settings: self.settings.clone(),
            streams: job.context.config.streams(),
            position: place.position,
            after: Some(after),
            shutdown: job.context.shutdown.clone(),
            progress: job.progress(labels),
        });
        let loads = Arc::new(loads);
        load_tables(session, loading, Arc::clone(&loads), |result| {
            let Some((index, load)) = indexes.get(result.index).zip(loads.get(result.index)) else {
                return;
            };
            let display = load.request.plan.collection.display();
            let named =
                |error: SourceError| error.into_error(Doing::Reading).with("table", display);
            copied
                .push((*index, result.result.map_err(named).map(|loaded| (result.totals, loaded))));
        })
        .await;
        Ok(copied)
    }

    /// Takes the place from which on changes are followed, and the time of the cluster that is to be read.
    async fn place(&self, session: Session) -> Result<(Session, (Place, ClusterTime))> {
        let (settings, shutdown) = (self.settings.clone(), self.job.context.shutdown.clone());
        let placed = blocking(session, move |session| {
            // A server without a log says so here; what it says to a stream differs.
            session.operation_time()?.ok_or(SourceError::NotReplicated)?;
            let begin = (None, "now");
            let mut stream =
                ChangeStream::open(&settings, &settings.database, Vec::new(), begin, &shutdown)?;
            let batch = stream.next(Duration::ZERO)?;
            let token = batch.token.map(Token::of).ok_or(SourceError::NoResumeToken)?;
            // Not the token's own time, which may be that of the change that comes next.
            let after = session.operation_time()?.ok_or(SourceError::NotReplicated)?;
            Ok((Place::of_token(token, identity(session)), after))
        })
        .await;
        placed.map_err(|error| error.into_error(Doing::StartingStream))
    }

    /// What is to be read of a table, and how its rows go in.
    async fn load(&self, copy: Copy, place: &Place) -> Result<TableLoad> {
        let Copy { index, plan, stamp, table } = copy;
        let table = match table {
            Some(table) => table,
            None => self.create(index, &plan).await?,
        };
        let change = self.lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
        let has_rows = table.current_snapshot().is_some_and(|snapshot| snapshot.records > 0);
        let (mode, table, change) = match plan.shape {
            shape @ (Shape::Log | Shape::Merge { soft: true }) if has_rows => {
                let table = self.lake.commit_schema(&table, &change).await?;
                let table = self.emptied(table, &plan, place).await?;
                let change = self.lake.evolve(&table, &plan.lake_schema_of(&table)).await?;
                let merging = Merging { key: CapturePlan::key(), soft: true, replaces: false };
                let mode = match shape {
                    Shape::Log => LoadMode::Append,
                    Shape::Merge { .. } => LoadMode::Merge(merging),
                };
                (mode, table, change)
            }
            Shape::Log | Shape::Merge { .. } => (LoadMode::Overwrite, table, change),
        };
        let readings = plan.read.readings.iter();
        let settings = TargetSettings {
            mode,
            mode_word: stamp.mode,
            contract: contract_digest(readings.map(|it| (it.name.as_str(), &it.contract))),
            run_id: stamp.run_id,
            claim: Some(Claim { state: place.claim(), properties: no_gap() }),
            fenced: false,
            goes_on: false,
        };
        let target = Target::new(Arc::clone(self.lake), table, change, settings)?;
        let request = Request {
            plan: plan.read,
            schema: target.table().arrow_schema(),
            batch: self.job.batch_limit(),
            run: RunColumns { position: place.position.to_string(), ..self.job.run_columns() },
            order: None,
        };
        let guard = ShrinkGuard { keep_ratio: 0.0, allow: true };
        Ok(TableLoad { request, target: Arc::new(target), guard })
    }

    async fn create(&self, index: usize, plan: &CapturePlan) -> Result<LakeTable> {
        let Some(declared) = self.job.unit.tables.get(index) else {
            return Err(Error::new(Definite::Defect).with("reason", "a table without a unit"));
        };
        let namespace = self.job.context.platform.raw_namespace();
        let definition = TableDefinition {
            name: TableName::new(namespace, &declared.raw_table),
            schema: plan.lake_schema(),
            comment: None,
            properties: [
                ("ol.source-table".to_owned(), plan.read.collection.display()),
                ("ol.primary-key".to_owned(), serde_json::json!(CapturePlan::key()).to_string()),
            ]
            .into(),
            partition_by: crate::run::unit::partition_by(declared),
            sort_by: crate::run::unit::sort_by(declared),
        };
        Ok(self.lake.create(&definition).await?)
    }

    /// Says that all documents of a collection went, before the copy says which there are: a row of a log, or a mark on each
    /// row. The table goes on having no position, so that a crash between the two has it copied again.
    async fn emptied(
        &self,
        table: LakeTable,
        plan: &CapturePlan,
        place: &Place,
    ) -> Result<LakeTable> {
        let at = At {
            position: place.position,
            committed_at_microseconds: self.job.extracted_at_microseconds,
        };
        let live = match plan.shape {
            Shape::Merge { soft: true } => {
                live_keys(self.lake, &table, &CapturePlan::key()).await?
            }
            Shape::Log | Shape::Merge { soft: false } => Vec::new(),
        };
        let state = table.state();
        let mut writer = TableWriter::new(plan.clone(), table.clone(), self.writing.clone());
        // The encoders are waited for, which no asynchronous thread may.
        let sealed = tokio::task::spawn_blocking(move || {
            match writer.plan().shape {
                Shape::Merge { soft: true } => {
                    live.iter().try_for_each(|keys| writer.changes().mark(keys, at))?;
                }
                Shape::Log | Shape::Merge { soft: false } => writer.truncate(at)?,
            }
            writer.changes().seal(|| state, at.position)
        });
        let sealed = match sealed.await {
            Ok(sealed) => sealed,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        match sealed {
            Ok(Some((mut commit, _))) => {
                let known = commit.state.get(ol_lake::POSITION_KEY).cloned();
                commit.expected = Some((ol_lake::POSITION_KEY.to_owned(), known));
                Ok(self.lake.commit(&table, commit).await?.table)
            }
            Ok(None) => Ok(table),
            Err(Refused::Failed(error)) => Err(error),
            Err(Refused::Copy(reason)) => Err(Error::new(Definite::Defect).with("reason", reason)),
        }
    }
}
