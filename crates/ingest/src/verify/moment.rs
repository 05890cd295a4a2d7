//! A snapshot of the source with its exact place in the log, and whether the lake has come there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ol_chassis::cli::Context;
use ol_chassis::secret::SecretUrl;
use ol_chassis::shutdown::Shutdown;
use ol_lake::LakeTable;

use crate::error::{Definite, Doing, Error, Result, Transient};
use crate::inventory::Unit;
use crate::position::Position;
use crate::run::capture::state::SLOT;
use crate::run::change::state::{GAP, SOURCE};
use crate::source::postgres::catalog::{Catalog, Relation};
use crate::source::postgres::error::SourceError;
use crate::source::postgres::replication::message::ReplicaIdentity;
use crate::source::postgres::replication::peek::Peeked;
use crate::source::postgres::replication::publication::default_name;
use crate::source::postgres::replication::slot::Control;
use crate::source::postgres::replication::stream::{ReplicationStream, SystemIdentity};
use crate::source::postgres::settings::{Settings, SourceAddress};
use crate::source::postgres::snapshot::Keeper;

/// How often is looked whether the lake has come to the snapshot.
pub const PERIOD: Duration = Duration::from_millis(500);
/// The most log that a slot which nobody reads is looked through for changes, in bytes.
const MOST_PEEKED_BYTES: u64 = 1 << 28;

/// The source at one moment.
pub struct Moment {
    /// Held for as long as the source is read, so that leased credentials are renewed.
    _url: SecretUrl,
    /// How further connections are made.
    pub settings: Settings,
    /// The snapshot's keeper.
    pub keeper: Keeper,
    /// The catalog as of the snapshot.
    pub catalog: Catalog,
    /// The snapshot's place: commits before it are in it, others are not. `None` where the source does not say.
    pub place: Option<u64>,
    /// The server of whose log the place is.
    identity: Option<SystemIdentity>,
    context: Context,
    control: Control,
    slot: String,
    /// What the slot that nobody reads holds before the place.
    peeked: Option<BTreeMap<(String, String), Position>>,
}

impl Moment {
    /// Takes a snapshot, at a known place if one of the unit's tables is `followed` by its changes.
    ///
    /// # Errors
    /// It is not known where the source is, it cannot be reached, or it refuses.
    pub async fn take(unit: &Unit, followed: bool, context: &Context) -> Result<Self> {
        let address = SourceAddress::of(&unit.id);
        let (url, settings) = address.resolve().await?;
        let taken = Self::open(&url, &settings, unit, followed, context).await;
        // The address is a fact of the failure; it shows no password.
        taken.map_err(|error| error.with("source", &url).with("variable", address.variable()))
    }

    async fn open(
        url: &SecretUrl,
        settings: &Settings,
        unit: &Unit,
        followed: bool,
        context: &Context,
    ) -> Result<Self> {
        let connecting = |error: SourceError| error.into_error(Doing::Connecting);
        let mut control = Control::open(settings).await.map_err(connecting)?;
        let server = control.server().await.map_err(read)?;
        let slot = default_name(&unit.id);
        let placed = match server.check(true) {
            _ if !followed => None,
            Ok(()) => Some(at_a_place(settings, &slot, &context.shutdown).await),
            Err(refusal) => Some(Err(refusal.into_error())),
        };
        let (mut keeper, placed) = match placed {
            Some(Ok((keeper, place, identity))) => (keeper, Some((place, identity))),
            Some(Err(error)) if error.is_transient() => return Err(error),
            refused => {
                if let Some(Err(error)) = refused {
                    let cause = ol_chassis::error::chain(&error);
                    tracing::warn!(unit = %unit.id, reason = %cause, "compared at no known position");
                }
                (Keeper::open(settings).await.map_err(connecting)?, None)
            }
        };
        let catalog = keeper.catalog().await.map_err(read)?;
        let (url, settings) = (url.clone(), settings.clone());
        let context = context.clone();
        let (place, identity) = placed.unzip();
        Ok(Self {
            _url: url,
            settings,
            keeper,
            catalog,
            place,
            identity,
            context,
            control,
            slot,
            peeked: None,
        })
    }

    /// The columns by which the rows of a log are told apart: those by which the source's log names old rows, or, where
    /// it has them whole, those of `key`; none where rows can only be counted.
    ///
    /// # Errors
    /// The source's.
    pub async fn log_key(&mut self, relation: &Relation, key: Vec<String>) -> Result<Vec<String>> {
        let identities = self.control.identities(&[relation.oid]).await.map_err(read)?;
        let own = identities.into_iter().find(|facts| facts.oid == relation.oid);
        Ok(match own {
            Some(facts) if facts.identity != ReplicaIdentity::Full => facts.columns,
            Some(_) | None => key,
        })
    }

    /// Waits until everything before the place is in a table of the lake, but not beyond `deadline`; the table as it is
    /// then, and whether it has come there. Where there is no place there is nothing to wait for.
    ///
    /// # Errors
    /// The table lacks changes that the source no longer has, a request to stop, the source's or the lake's.
    pub async fn reached(
        &mut self,
        relation: (&str, &str),
        load: impl AsyncFn() -> Result<LakeTable>,
        deadline: Instant,
    ) -> Result<(LakeTable, bool)> {
        let Some(place) = self.place else { return Ok((load().await?, true)) };
        loop {
            // The slot first: what it has been told is in the table that is loaded afterwards.
            let facts = self.control.slot(&self.slot).await.map_err(read)?;
            let table = load().await?;
            let confirmed = facts.as_ref().and_then(|facts| facts.confirmed_flush_lsn);
            check_gap(&table, confirmed)?;
            let state = table.state();
            if let Some((identity, recorded)) = self.identity.as_ref().zip(state.get(SOURCE)) {
                identity.check(recorded).map_err(|error| read(error.into()))?;
            }
            let position = state.get(ol_lake::POSITION_KEY).and_then(|text| text.parse().ok());
            // A table that was reset, or never followed, is what it is.
            let Some(position): Option<Position> = position.filter(|_| state.contains_key(SLOT))
            else {
                return Ok((table, false));
            };
            if position >= Position::Lsn(place) || confirmed >= Some(place) {
                return Ok((table, true));
            }
            let Some(facts) = facts.filter(|facts| facts.lost().is_none()) else {
                return Ok((table, false));
            };
            if facts.active_pid.is_none() && facts.retained_bytes <= MOST_PEEKED_BYTES {
                self.peek(place).await?;
            }
            if let Some(changed) = &self.peeked {
                let (namespace, name) = relation;
                let last = changed.get(&(namespace.to_owned(), name.to_owned()));
                if last.is_none_or(|last| *last <= position) {
                    return Ok((table, true));
                }
            }
            if Instant::now() >= deadline {
                return Ok((table, false));
            }
            if self.context.shutdown.is_requested() {
                return Err(Error::new(Transient::Stopped));
            }
            self.context.clock.sleep(PERIOD).await;
        }
    }

    /// Looks once through what the slot holds before the place, if nobody reads it.
    async fn peek(&mut self, place: u64) -> Result<()> {
        if self.peeked.is_some() {
            return Ok(());
        }
        match self.control.peek(&self.slot, &self.slot, place).await {
            Ok(Peeked::Changed(changed)) => self.peeked = Some(changed),
            Ok(Peeked::InUse) => {}
            Ok(Peeked::TooMuch) => tracing::debug!(slot = self.slot, "too much to look through"),
            Err(error) => return Err(read(error)),
        }
        Ok(())
    }

    /// Lets the snapshot go.
    pub async fn close(self) {
        if let Err(error) = self.keeper.close().await {
            tracing::debug!(%error, "the snapshot's connection was lost after the last read");
        }
    }
}

fn read(error: SourceError) -> Error {
    error.into_error(Doing::Reading)
}

/// Whether changes of the table are gone for good.
fn check_gap(table: &LakeTable, confirmed: Option<u64>) -> Result<()> {
    let gap = table.properties().get(GAP).and_then(|text| text.parse::<Position>().ok());
    match (gap, confirmed) {
        (Some(gap), Some(confirmed)) if gap.lsn() < confirmed => {
            Err(Error::new(Definite::ChangesMissed).with("since", gap))
        }
        _ => Ok(()),
    }
}

/// A snapshot at its place: that of a slot which lasts no longer than it takes to import it.
async fn at_a_place(
    settings: &Settings,
    slot: &str,
    shutdown: &Shutdown,
) -> Result<(Keeper, u64, SystemIdentity)> {
    tracing::info!(
        "a snapshot at a known place waits for the transactions that are open at the source"
    );
    let (opening, stop) = (settings.clone(), shutdown.clone());
    // Two that verify a unit at the same time must not meet.
    let name = format!("{slot:.20}_verify_{}", uuid::Uuid::now_v7().simple());
    let creating = tokio::task::spawn_blocking(move || {
        let mut stream = ReplicationStream::open(&opening, stop)?;
        let identity = stream.identify()?;
        let created = stream.create_temporary_slot(&name)?;
        Ok::<_, SourceError>((stream, created, identity))
    });
    let created = match creating.await {
        Ok(created) => created,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let (stream, created, identity) =
        created.map_err(|error| error.into_error(Doing::CreatingSlot))?;
    let place = created.consistent_point;
    let keeper = Keeper::open_at(settings, &created.snapshot, place).await;
    // The stream is kept until its snapshot has been imported; it ends on a thread that may block.
    drop(tokio::task::spawn_blocking(move || drop(stream)).await);
    Ok((keeper.map_err(read)?, place, identity))
}
