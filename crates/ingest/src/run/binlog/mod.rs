//! The flow of changes from an Open edX deployment's MySQL to the raw lake: the function is the arrow. How a run over a unit
//! goes is told by [`crate::run::change::run`].
//!
//! **Each change exactly once.** Rows and the place they reach are one snapshot (I1), and a commit is refused unless the table
//! still is where this process left it. The log is read from the least place of all tables on; what a table has already is
//! passed over change by change, by its place, or, on another server than before, by the id of its transaction.

mod cascade;
pub mod copy;
pub mod followed;
mod moment;
pub mod partial;
pub mod plan;
pub mod prepare;
pub mod session;
pub mod state;
mod transaction;
pub mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;

use c4model::platform::{OpenEdxMysql, RawLake};
use c4model::{Sink, Source};
use ol_chassis::secret::SecretUrl;
use ol_chassis::shutdown::Shutdown;
use ol_lake::{Lake, LakeTable};

use self::followed::Skip;
use self::partial::{Partial, Terms};
pub use self::plan::CapturePlan;
use self::prepare::{Copy, Found, Preparation, Prepared, open_control, replica_id};
use self::session::Session;
use self::state::Place;
use self::writer::TableWriter;
use super::capture::CaptureJob;
use super::change::copy::{Copier, Copying};
use super::change::log::Log;
use super::change::place;
use super::change::run::Run;
use super::change::session::Following;
use super::unit::UnitJob;
use crate::error::{Error, Result};
use crate::load::chunks::Cut;
use crate::position::LogPlace;
use crate::report::TableReport;
use crate::source::address::SourceAddress;
use crate::source::mysql::binlog::stream::BinlogStream;
use crate::source::mysql::chunks as source_chunks;
use crate::source::mysql::session::Session as Connection;
use crate::source::mysql::settings::Settings;

/// Whether a table follows a log.
#[must_use]
pub fn follows(table: &LakeTable) -> bool {
    place::own::<Place>(table).is_some()
}

c4model::flow! { mysql_change_capture {
    moves: "Row changes",
    tech: "Binary log",
    tech_onward: "Parquet, Iceberg",
    idempotent: "each change once, by its place in the log",
    kind: Event,
    by: Through,
    owner: "data platform",
    cadence: "as it happens, or by Dagster",
    retry: "3 tries, backoff",
    timeout: "60 s without a heartbeat",
} }
/// Follows the changes of a unit's tables. Every table is in the answer.
///
/// # Errors
/// None: what concerns the unit as a whole is in the report of each of its tables.
pub async fn mysql_change_capture(
    source: Source<OpenEdxMysql, SourceAddress>,
    sink: Sink<RawLake, Arc<Lake>>,
    capture: CaptureJob,
) -> Result<Vec<TableReport>> {
    let log = Binlog {
        taken_back: BTreeSet::new(),
        goal: None,
        shutdown: capture.job.context.shutdown.clone(),
    };
    let run = Run::new(&capture, sink.endpoint(), log);
    Ok(run.follow(source.endpoint(), |rows, bytes| sink.moved(rows, bytes)).await)
}

/// The binary log of a server.
pub struct Binlog {
    /// Transactions that were taken back, by where they begin.
    taken_back: BTreeSet<LogPlace>,
    /// Where a run ends that has copied a table again for what the log does not tell: rows may go with others all the time,
    /// and each copy would be followed by the next.
    goal: Option<LogPlace>,
    shutdown: Shutdown,
}

/// The connection for questions.
pub struct Control {
    /// Held for as long as the source is read, so that leased credentials are renewed.
    _url: SecretUrl,
    settings: Settings,
    session: Connection,
    /// The number that we have among the server's replicas.
    replica: u32,
}

impl Log for Binlog {
    type Place = Place;
    type Plan = CapturePlan;
    type Writer = TableWriter;
    type Has = Skip;
    type Terms = Terms;
    type Condition = String;
    type Control = Control;
    type Found = Found;
    type Session = Session;

    async fn open(&self, address: &SourceAddress, job: &UnitJob) -> Result<Control> {
        let (url, settings) = Settings::resolve(address).await?;
        // The address is a fact of the failure; it shows no password.
        let session = open_control(&settings, &job.unit, self.shutdown.clone())
            .await
            .map_err(|error| error.with("source", &url).with("variable", address.variable()))?;
        Ok(Control { _url: url, settings, session, replica: replica_id(&job.unit) })
    }

    async fn prepare(
        &self,
        preparation: &Preparation<'_>,
        control: Control,
    ) -> Result<(Control, Prepared)> {
        let asked = preparation.prepare(control.session, &control.settings.database).await;
        let (session, prepared) = asked?;
        Ok((Control { session, ..control }, prepared))
    }

    async fn copy(
        &self,
        copier: &Copier<'_, Self>,
        control: Control,
        found: &mut Found,
        copies: Vec<Copy>,
        failures: &mut Vec<(usize, Error)>,
    ) -> Result<(Control, Copying)> {
        let with = (&control.settings, control.session);
        let (session, copying) = copy::begin(copier, with, found.epoch, copies, failures).await?;
        Ok((Control { session, ..control }, copying))
    }

    fn session(
        &mut self,
        control: &Control,
        found: Found,
        begins: Place,
        following: Following<Self>,
        ends: bool,
    ) -> Session {
        let (from, log_place) = (found.from(&begins), begins.log());
        let received = match log_place.epoch == found.epoch {
            true => log_place,
            // Where the server begins is said by its first events.
            false => LogPlace { epoch: found.epoch, file: 0, offset: 0 },
        };
        let (file, offset) = found.server.end;
        let end = LogPlace { epoch: found.epoch, file, offset };
        let goal = self.goal.filter(|goal| goal.epoch == end.epoch).unwrap_or(end);
        let (settings, shutdown) = (control.settings.clone(), self.shutdown.clone());
        let (replica, has_checksum) = (control.replica, found.server.has_checksum);
        Session {
            following,
            open: Some(Box::new(move || {
                BinlogStream::open(&settings, &from, replica, has_checksum, shutdown)
            })),
            charsets: found.charsets,
            cascades: found.cascades,
            goal: ends.then_some(goal),
            has_cascaded: false,
            taken_back: std::mem::take(&mut self.taken_back),
            log: session::Log { source: found.server.identity, received, gtids: begins.gtids },
        }
    }

    fn ended(&mut self, session: Session) {
        self.taken_back = session.taken_back;
        self.goal = self.goal.or(session.goal.filter(|_| session.has_cascaded));
    }

    fn terms(plan: &CapturePlan, place: &Place) -> Terms {
        Terms::of(plan, place)
    }

    fn since(partial: &Partial) -> Option<Place> {
        partial::since(partial)
    }

    fn conditions(cut: &Cut) -> Vec<String> {
        source_chunks::conditions(cut)
    }
}
