//! Before a session: what the server, the publication, the slot and the lake say, and what follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ol_lake::{Lake, LakeTable, TableDefinition, TableName};

use super::candidate::{Candidate, entry_of};
use super::cap::Cap;
use super::followed::Followed;
use super::goal::Goal;
use super::partial::Partial;
use super::plan::CapturePlan;
use super::shape;
use super::state::{self, Memory, Stamp};
use super::writer::TableWriter;
use crate::error::{Definite, Doing, Error, Result, Transient};
use crate::inventory::Unit;
use crate::position::Position;
use crate::run::change::Writing;
use crate::run::change::state::{GAP, gap};
use crate::source::postgres::catalog::Catalog;
use crate::source::postgres::error::SourceError;
use crate::source::postgres::replication::error::SlotError;
use crate::source::postgres::replication::publication::{PublicationFacts, Wanted, default_name};
use crate::source::postgres::replication::slot::{Control, SlotFacts};
use crate::source::postgres::replication::stream::{ReplicationStream, SystemIdentity};
use crate::source::postgres::settings::Settings;
use crate::source::postgres::snapshot::Keeper;
use crate::source::postgres::types::quote;
use crate::sync::{Assessment, Incarnation, SlotState, Start, TableState, Trouble, assess};
use ol_chassis::shutdown::Shutdown;

/// What a session and its copies begin with.
pub struct Prepared {
    /// For questions beside the stream. It also holds the unit's lock.
    pub control: Control,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The name of slot and publication.
    pub name: String,
    /// Where the slot is.
    pub confirmed: u64,
    /// The greatest place recorded.
    pub recorded: u64,
    /// The tables that are followed.
    pub followed: Vec<Followed>,
    /// The tables to copy, with their plans and what their commits carry.
    pub copies: Vec<Copy>,
    /// Tables whose copies wait to be gone on with, and the place each needs changes from.
    pub holds: BTreeMap<usize, u64>,
    /// The snapshot to copy them under.
    pub keeper: Option<Keeper>,
    /// Tables that cannot be followed, and why.
    pub failures: Vec<(usize, Error)>,
    /// What a bounded session has to reach.
    pub goal: Goal,
    /// The publication.
    pub publication: Option<PublicationFacts>,
    /// The most log that the source may keep for the slot.
    pub cap: Cap,
}

/// A table to copy.
pub struct Copy {
    /// Its index in the unit.
    pub index: usize,
    /// Its plan.
    pub plan: CapturePlan,
    /// What its commit carries.
    pub stamp: Stamp,
    /// Its table, if there is one.
    pub table: LakeTable,
    /// Whether chunks of an earlier copy may be gone on with: the slot still has every change since the first of them.
    pub resumes: bool,
}

/// What is prepared, of which unit, for whom.
pub struct Preparation<'a> {
    /// The lake.
    pub lake: &'a Arc<Lake>,
    /// The namespace of raw tables.
    pub namespace: String,
    /// The unit.
    pub unit: &'a Arc<Unit>,
    /// The tables of it that are followed by their changes.
    pub tables: &'a [usize],
    /// Tables that are being copied at this moment.
    pub copying: &'a [usize],
    /// The source.
    pub settings: &'a Settings,
    /// The most log that the source may keep for the slot, in bytes; 0 for what follows from the server's limit.
    pub cap_bytes: u64,
    /// The run.
    pub run_id: &'a str,
    /// For the writers.
    pub writing: Writing,
    /// The slot of another loader, to begin where it stopped.
    pub from_slot: Option<&'a str>,
    /// The request to stop.
    pub shutdown: Shutdown,
}

pub(super) fn read(error: SourceError) -> Error {
    error.into_error(Doing::Reading)
}

impl Preparation<'_> {
    /// Asks everybody, decides, and makes what is missing: publication, slot, lake tables.
    ///
    /// # Errors
    /// Whatever concerns the unit as a whole.
    pub async fn prepare(&self, control: Control) -> Result<Prepared> {
        let mut control = control;
        let server = control.server().await.map_err(read)?;
        server.check(false).map_err(|error| read(error.into()))?;
        let (stream, identity) = self.identify().await?;
        let source = identity.source();
        let catalog = Arc::new(control.catalog().await.map_err(read)?);
        let name = default_name(&self.unit.id);
        let mut failures = Vec::new();
        let mut candidates = Vec::new();
        for index in self.tables {
            let Some(table) = self.unit.tables.get(*index) else { continue };
            match self.candidate(&mut control, *index, table, &catalog).await {
                Ok(candidate) => candidates.push(candidate),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    failures.push((*index, error.with("table", table.qualified_name())));
                }
            }
        }
        let before = control.publication(&name).await.map_err(read)?;
        if let Some(theirs) = self.from_slot {
            self.take_over(&mut control, theirs, &identity, before.as_ref(), &mut candidates)
                .await?;
        }
        let mut memories: Vec<Memory> = candidates
            .iter()
            .map(|it| {
                let relation = &it.plan.relation;
                let (namespace, table) = (&relation.namespace, &relation.name);
                state::memory(it.table.as_ref(), before.as_ref(), namespace, table)
            })
            .collect();
        for (memory, it) in memories.iter_mut().zip(&candidates) {
            let copy = it.table.as_ref().and_then(Partial::of);
            // Chunks of another server are of no use; whether the server is the right one is asked of what is followed.
            memory.state.copy.take_if(|_| copy.is_none_or(|copy| copy.terms.source != source));
        }
        let followed = memories.iter().filter(|memory| memory.state.incarnation.is_some());
        for recorded in followed.filter_map(|memory| memory.source.as_ref()) {
            identity
                .check(recorded)
                .map_err(|error| read(error.into()).with("unit", &self.unit.id))?;
        }
        let facts = control.slot(&name).await.map_err(read)?;
        let cap = Cap::new(self.cap_bytes, server.max_slot_wal_keep_bytes);
        let over = || facts.as_ref().and_then(|it| it.check_retained(cap.bytes()?).err());
        let slot = facts.as_ref().map(|facts| SlotState {
            confirmed: facts.confirmed_flush_lsn.unwrap_or_default(),
            is_lost: facts.lost().is_some(),
        });
        // What a table recorded for the unit counts, whatever became of the table.
        let mut states: Vec<_> = memories.iter().map(|memory| memory.state.clone()).collect();
        for (index, _) in &failures {
            states.extend(self.state_of(*index).await?);
        }
        let is_followed =
            |state: &TableState| state.position.is_some() && state.incarnation.is_some();
        if states.iter().any(is_followed)
            && let Err(error) = unbroken(before.as_ref(), &name)
        {
            // What was not sent will not be sent later, also when the publication is as it was again.
            for table in candidates.iter().filter_map(|it| it.table.as_ref()) {
                let broken = gap(Position::Lsn(0), "its publication was broken");
                self.lake.set_properties(table, &broken).await?;
            }
            return Err(read(error.into()).with("unit", &self.unit.id));
        }
        let wanted: Vec<Wanted> = candidates.iter().map(|it| it.wanted.clone()).collect();
        let assessment = assess(&states, slot);
        if let Assessment::Stop(trouble) = assessment {
            return Err(stop(trouble, &name, facts.as_ref()).with("unit", &self.unit.id));
        }
        if let Some(facts) = &facts {
            facts.check(&identity.database).map_err(|error| read(error.into()))?;
        }
        control.ensure_publication(&name, &wanted).await.map_err(read)?;
        let after = control.publication(&name).await.map_err(read)?;
        if after.as_ref().is_some_and(|facts| facts.all_tables) {
            let error = SlotError::Publication {
                publication: name,
                reason: "it is FOR ALL TABLES: a table that is taken back into the unit could not be told from one \
                         that was always followed"
                    .to_owned(),
                statement: "DROP PUBLICATION …; CREATE PUBLICATION … FOR TABLE …".to_owned(),
            };
            return Err(read(error.into()));
        }
        // A slot that is made anew keeps nothing yet.
        let is_over = assessment != Assessment::Begin && over().is_some();
        let (incarnation, recorded, starts, confirmed, mut keeper) = match assessment {
            Assessment::Begin => {
                server.check(true).map_err(|error| read(error.into()))?;
                if facts.is_some() {
                    tracing::warn!(slot = name, "a slot that no table follows is made anew");
                    control.drop_slot(&name).await.map_err(read)?;
                }
                let (began, keeper) = self.snapshot(stream, name.clone(), false).await?;
                crate::failpoints::hit(crate::failpoints::SLOT_CREATED);
                let starts = candidates.iter().map(|_| Start::Copy).collect::<Vec<_>>();
                let incarnation = Incarnation { slot: name.clone(), began };
                (incarnation, began, starts, began, Some(keeper))
            }
            Assessment::GoOn { incarnation, recorded, starts } => {
                let confirmed = slot.map_or(0, |slot| slot.confirmed);
                let is_copied = |(start, it): (&Start, &Candidate)| {
                    matches!(start, Start::Copy | Start::Resume { .. })
                        && !self.copying.contains(&it.index)
                        && !it.keeps_history()
                        && !is_over
                };
                let keeper =
                    if self.copying.is_empty() && starts.iter().zip(&candidates).any(is_copied) {
                        server.check(true).map_err(|error| read(error.into()))?;
                        Some(self.snapshot(stream, format!("{name:.57}_copy"), true).await?.1)
                    } else {
                        None
                    };
                (incarnation, recorded, starts, confirmed, keeper)
            }
            Assessment::Stop(_) => (
                // Returned from above.
                Incarnation { slot: name.clone(), began: 0 },
                0,
                Vec::new(),
                0,
                None,
            ),
        };
        let stamp = |it: &Candidate| {
            let published = entry_of(after.as_ref(), &it.plan.relation);
            self.stamp(it.index, incarnation.clone(), source.clone(), published)
        };
        self.leave_gaps(&failures, confirmed).await?;
        let (mut followed, mut copies, mut holds) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (it, start) in candidates.into_iter().zip(starts) {
            let stamp = stamp(&it);
            match start {
                Start::Follow(position) => {
                    let Some(table) = it.table else { continue };
                    followed.push(self.follow(it.index, it.plan, table, stamp, position));
                }
                Start::Gap { since } => failures.push((
                    it.index,
                    Error::new(Definite::ChangesMissed)
                        .with("table", it.plan.relation.display())
                        .with("since", Position::Lsn(since))
                        .with(
                            "reason",
                            "the slot has passed what the table failed at, or its publication was broken",
                        ),
                )),
                // The history of a log, and the rows that only a soft delete kept, would be gone without a word.
                Start::Copy if it.keeps_history() => failures.push((
                    it.index,
                    Error::new(Definite::ChangesMissed)
                        .with("table", it.plan.relation.display())
                        .with("since", Position::Lsn(confirmed))
                        .with(
                            "reason",
                            "it was out of the publication for a time, or followed an earlier slot",
                        ),
                )),
                Start::Copy | Start::Resume { .. } if self.copying.contains(&it.index) => {}
                // The slot would stand still for as long as the copy takes.
                Start::Copy | Start::Resume { .. } if is_over => {
                    let table = it.plan.relation.display();
                    failures.extend(
                        over().map(|error| (it.index, read(error.into()).with("table", table))),
                    );
                }
                Start::Resume { since } if keeper.is_none() => {
                    holds.insert(it.index, since);
                }
                Start::Copy if keeper.is_none() => {}
                Start::Copy | Start::Resume { .. } => {
                    let index = it.index;
                    let resumes = matches!(start, Start::Resume { .. });
                    match self.copy(it, stamp, resumes).await {
                        Ok(copy) => copies.push(copy),
                        Err(error) if error.is_transient() => return Err(error),
                        Err(error) => failures.push((index, error)),
                    }
                }
            }
        }
        if copies.is_empty() {
            keeper = None;
        }
        // Nobody would take what the source keeps.
        let is_stuck = is_over && followed.is_empty() && self.copying.is_empty();
        if let Some(error) = over().filter(|_| is_stuck) {
            let cause = failures.first().map_or_else(String::new, |(_, it)| it.to_string());
            return Err(read(error.into()).with("unit", &self.unit.id).with("cause", cause));
        }
        let goal = Goal::Reach {
            written: identity.position.max(server.position),
            inserted: server.inserted.max(identity.position),
            patience: server.wal_writer_delay.saturating_mul(3),
        };
        Ok(Prepared {
            control,
            catalog,
            name,
            confirmed,
            recorded,
            followed,
            copies,
            holds,
            keeper,
            failures,
            goal,
            publication: after,
            cap,
        })
    }

    /// What the commits of a table carry.
    pub(super) fn stamp(
        &self,
        index: usize,
        incarnation: Incarnation,
        source: String,
        published: String,
    ) -> Stamp {
        Stamp {
            incarnation,
            source,
            run_id: self.run_id.to_owned(),
            mode: self.unit.tables.get(index).map_or("", |table| table.sync_mode.word()),
            published,
        }
    }

    fn follow(
        &self,
        index: usize,
        plan: CapturePlan,
        table: LakeTable,
        stamp: Stamp,
        position: Position,
    ) -> Followed {
        let columns = shape::recall(table.properties()).unwrap_or_default();
        let writer = TableWriter::new(plan, table, self.writing.clone());
        Followed { index, writer, stamp, position, columns }
    }

    /// The lake table that a copy goes into.
    async fn copy(&self, it: Candidate, stamp: Stamp, resumes: bool) -> Result<Copy> {
        let Some(declared) = self.unit.tables.get(it.index) else {
            return Err(Error::new(Definite::Defect).with("reason", "a table without a unit"));
        };
        let table = match it.table {
            Some(table) => table,
            None => {
                let definition = TableDefinition {
                    name: TableName::new(self.namespace.clone(), &declared.raw_table),
                    schema: it.plan.lake_schema(),
                    comment: it.plan.relation.comment.clone(),
                    properties: BTreeMap::from([
                        ("ol.source-table".to_owned(), it.plan.relation.display()),
                        ("ol.primary-key".to_owned(), serde_json::json!(it.plan.key).to_string()),
                    ]),
                    partition_by: crate::run::unit::partition_by(declared),
                    sort_by: crate::run::unit::sort_by(declared),
                };
                self.lake.create(&definition).await?
            }
        };
        Ok(Copy { index: it.index, plan: it.plan, stamp, table, resumes })
    }

    /// Tables that were followed and cannot be now: what they lack begins where the slot is.
    async fn leave_gaps(&self, failures: &[(usize, Error)], confirmed: u64) -> Result<()> {
        for (index, error) in failures {
            let Some(table) = self.unit.tables.get(*index) else { continue };
            let name = TableName::new(self.namespace.clone(), &table.raw_table);
            let Some(table) = self.lake.load(&name).await? else { continue };
            let is_followed = table.state().contains_key(state::SLOT);
            let has_gap = table.properties().get(GAP).is_some_and(|gap| !gap.is_empty());
            if is_followed && !has_gap {
                let lacks = gap(Position::Lsn(confirmed), &ol_chassis::error::chain(error));
                self.lake.set_properties(&table, &lacks).await?;
            }
        }
        Ok(())
    }

    /// What a table that cannot be followed now remembers.
    async fn state_of(&self, index: usize) -> Result<Option<TableState>> {
        let Some(table) = self.unit.tables.get(index) else { return Ok(None) };
        let name = TableName::new(self.namespace.clone(), &table.raw_table);
        let table = self.lake.load(&name).await?;
        Ok(Some(state::memory(table.as_ref(), None, "", "").state))
    }

    async fn identify(&self) -> Result<(ReplicationStream, SystemIdentity)> {
        let (settings, shutdown) = (self.settings.clone(), self.shutdown.clone());
        blocking(move || {
            let mut stream = ReplicationStream::open(&settings, shutdown)?;
            let identity = stream.identify()?;
            Ok((stream, identity))
        })
        .await
        .map_err(|error| error.into_error(Doing::StartingStream))
    }

    /// Makes a slot and keeps its snapshot.
    async fn snapshot(
        &self,
        stream: ReplicationStream,
        slot: String,
        temporary: bool,
    ) -> Result<(u64, Keeper)> {
        // The stream is kept until its snapshot has been imported: its next word, and its end, take the snapshot away.
        let (stream, created) = blocking(move || {
            let mut stream = stream;
            let created = if temporary {
                stream.create_temporary_slot(&slot)?
            } else {
                stream.create_slot(&slot)?
            };
            Ok((stream, created))
        })
        .await
        .map_err(|error: SourceError| error.into_error(Doing::CreatingSlot))?;
        let kept =
            Keeper::open_at(self.settings, &created.snapshot, created.consistent_point).await;
        blocking(move || {
            drop(stream);
            Ok(())
        })
        .await
        .map_err(read)?;
        Ok((created.consistent_point, kept.map_err(read)?))
    }
}

/// Whether the publication is as we left it, so that every change of its tables was sent. Repaired in silence, it would
/// leave a gap: nobody knows since when.
fn unbroken(facts: Option<&PublicationFacts>, name: &str) -> Result<(), SlotError> {
    let broken = |reason: &str| {
        Err(SlotError::Publication {
            publication: name.to_owned(),
            reason: format!("{reason}, so changes were not sent; reset the tables of the unit"),
            statement: format!("DROP PUBLICATION IF EXISTS {}", quote(name)),
        })
    };
    let Some(facts) = facts else { return broken("it was dropped") };
    if facts.is_whole() { Ok(()) } else { broken("it no longer publishes every kind of change") }
}

fn stop(trouble: Trouble, slot: &str, facts: Option<&SlotFacts>) -> Error {
    match trouble {
        Trouble::Missing => Error::new(Definite::SlotMissing).with("slot", slot),
        Trouble::Lost => {
            let reason = facts.and_then(SlotFacts::lost).unwrap_or_default();
            Error::new(Definite::SlotLost).with("slot", slot).with("reason", reason)
        }
        Trouble::Moved { confirmed, recorded } => Error::new(Definite::SlotMoved)
            .with("slot", slot)
            .with("confirmed", Position::Lsn(confirmed))
            .with("recorded", Position::Lsn(recorded)),
    }
}

/// Takes the unit's lock, so that two processes do not both make a slot.
///
/// # Errors
/// Somebody else has it, or the source's.
pub async fn lock(control: &mut Control, unit: &Unit) -> Result<()> {
    let name = default_name(&unit.id);
    if control.try_lock(&name).await.map_err(read)? {
        return Ok(());
    }
    Err(Error::new(Transient::SlotInUse).with("slot", name).with("unit", &unit.id))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
