//! From rows to messages in the outbox: built, checked, counted, and compared with what was there before.
//!
//! **Tombstones.** With a complete snapshot, what the outbox knows of the scope and the snapshot does not name has
//! vanished at the source: a tombstone is enqueued for each. A source that broke looks like a source that lost
//! everything, so nothing is deleted when the snapshot is empty, when a row of it could not be read, or when more than
//! the configured part has vanished, unless someone says so. Names that were seen are remembered as 64-bit hashes: eight
//! bytes a row, and a collision would only keep one tombstone back until the next snapshot.

use std::collections::BTreeSet;
use std::time::SystemTime;

use ol_chassis::clock::Clock;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::config::Webhook;
use crate::error::{Definite, Error, Result};
use crate::failpoints;
use crate::metrics;
use crate::outbox::{Accepted, Draft, Outbox, Place};
use crate::payload::{
    BuildOptions, ChunkLimit, Kind, Payload, Problem, Value, build, build_batch, identity,
    tombstone,
};
use crate::target::Learn;

/// Messages that go into one transaction.
const FLUSH: usize = 500;
/// Refusals, warnings and messages that a report names; the others are counted.
const NAMED: usize = 100;
/// Entities of a page when tombstones are looked for.
const PAGE: i64 = 1000;

/// What became of the input.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IntakeReport {
    /// Rows read.
    pub rows: u64,
    /// Messages put into the outbox, tombstones included.
    pub accepted: u64,
    /// Rows whose entity's latest message says the same.
    pub unchanged: u64,
    /// Rows that say what the receiver refused for good: their dead letters stand.
    pub still_dead: u64,
    /// Older messages that will not be sent, as newer ones took their place.
    pub superseded: u64,
    /// Messages that say that something vanished.
    pub tombstones: u64,
    /// Rows that the receiver would refuse.
    pub refused: u64,
    /// The first hundred of them.
    pub refusals: Vec<Refusal>,
    /// The first hundred warnings.
    pub warnings: Vec<Refusal>,
    /// The first hundred messages that are new in the outbox.
    pub messages: Vec<NewMessage>,
    /// The first hundred messages that arrived before and say the same.
    #[serde(skip)]
    pub unchanged_ids: Vec<String>,
}

/// A row with problems; names fields and rules, never values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    /// Which row of the input, from 1.
    pub row: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// A message that is new in the outbox.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewMessage {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: Kind,
    /// What is kept in order.
    pub entity: String,
}

/// Puts rows of one kind into the outbox.
pub struct Intake {
    outbox: Outbox,
    settings: Webhook,
    kind: Kind,
    options: BuildOptions,
    force: bool,
    origin: String,
    pending: Vec<Payload>,
    seen: BTreeSet<u64>,
    resources: Vec<Value>,
    report: IntakeReport,
}

impl Intake {
    /// For rows of `kind`; `source` is the ETL source where the rows do not say, `origin` the run that answers for
    /// the messages.
    ///
    /// # Errors
    /// [`Definite::KindOff`], with the reason.
    pub fn new(
        outbox: Outbox,
        settings: Webhook,
        kind: Kind,
        source: Option<&str>,
        force: bool,
        origin: &str,
        clock: &dyn Clock,
    ) -> Result<Self> {
        check_kind(kind, &settings)?;
        let options = options(&settings, source, clock);
        Ok(Self {
            outbox,
            settings,
            kind,
            options,
            force,
            origin: origin.to_owned(),
            pending: Vec::new(),
            seen: BTreeSet::new(),
            resources: Vec::new(),
            report: IntakeReport::default(),
        })
    }

    /// Takes one row; `Err` is why it is no object.
    ///
    /// # Errors
    /// The outbox's.
    pub async fn offer(
        &mut self,
        row: u64,
        value: std::result::Result<Value, String>,
    ) -> Result<()> {
        self.report.rows += 1;
        let value = match value {
            Ok(value) => value,
            Err(reason) => {
                let problem = Problem {
                    severity: crate::payload::Severity::Refusal,
                    field: "payload".to_owned(),
                    rule: reason,
                };
                self.refuse(row, vec![problem]);
                return Ok(());
            }
        };
        if self.kind == Kind::LearningResources {
            // They are one batch, whose end is known at the end.
            if let Value::Array(resources) = value {
                self.resources.extend(resources);
            } else {
                self.resources.push(value);
            }
            return Ok(());
        }
        match build(self.kind, value, &self.options) {
            Ok(payload) => {
                self.warn(row, &payload.warnings);
                self.seen.insert(seen_key(&payload.entity));
                self.pending.push(payload);
            }
            Err(problems) => self.refuse(row, problems),
        }
        if self.pending.len() >= FLUSH { self.flush().await } else { Ok(()) }
    }

    /// Ends the input.
    ///
    /// # Errors
    /// The outbox's.
    pub async fn finish(&mut self) -> Result<()> {
        failpoints::hit(failpoints::INPUT_READ);
        if self.kind == Kind::LearningResources && self.report.rows > 0 {
            self.batch().await?;
        }
        self.flush().await?;
        failpoints::hit(failpoints::ENQUEUED);
        Ok(())
    }

    /// Enqueues a tombstone for what the outbox knows and the input did not name. Call after
    /// [`Intake::finish`].
    ///
    /// # Errors
    /// [`Definite::VanishGuarded`]; [`Definite::Configuration`] for a kind that has no tombstones; the outbox's.
    pub async fn delete_vanished(&mut self, allow: bool) -> Result<()> {
        let scope = self.complete_scope()?;
        if self.report.refused > 0 {
            return Err(Error::new(Definite::VanishGuarded)
                .with("refused_rows", self.report.refused)
                .with("reason", "rows were refused, so it is not known what vanished")
                .advise(
                    "Correct the refused rows at their source and send the whole snapshot again.",
                ));
        }
        let (vanished, known) = self.vanished(&scope).await?;
        let count = vanished.len();
        let limit = float(known) * self.settings.vanish_ratio;
        // One thing may always vanish: a tenth of nine is none.
        let is_too_much = count > 1 && float(count) > limit || (self.seen.is_empty() && count > 0);
        if is_too_much && !allow {
            return Err(Error::new(Definite::VanishGuarded)
                .with("scope", &scope)
                .with("vanished", count)
                .with("known", known)
                .with("most", format!("{:.0}%", self.settings.vanish_ratio * 100.0)));
        }
        failpoints::hit(failpoints::VANISHED_KNOWN);
        for name in vanished {
            match tombstone(&scope, &name) {
                Ok(payload) => {
                    self.warn(0, &payload.warnings);
                    self.report.tombstones += 1;
                    self.pending.push(payload);
                }
                Err(problems) => self.refuse(0, problems),
            }
            if self.pending.len() >= FLUSH {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    /// What became of it.
    #[must_use]
    pub fn report(self) -> IntakeReport {
        self.report
    }

    /// The set that a complete snapshot is compared with. Ask before anything is read.
    ///
    /// # Errors
    /// [`Definite::Configuration`] when the source is not given, or nothing of the kind can vanish.
    pub fn complete_scope(&self) -> Result<String> {
        match (self.kind, self.kind.tombstone_kind(), self.options.source.as_deref()) {
            (Kind::OvsVideos, Some(_), _) => Ok(identity::scope(self.kind, "ovs")),
            (_, Some(_), Some(source)) => Ok(identity::scope(self.kind, source)),
            (_, None, _) | (_, Some(_), None) => Err(Error::new(Definite::Configuration)
                .with("flag", "--complete")
                .with("kind", self.kind)
                .with("reason", "give --source, and a kind of which something can vanish")),
        }
    }

    async fn vanished(&self, scope: &str) -> Result<(Vec<String>, usize)> {
        let (mut vanished, mut known, mut after) = (Vec::new(), 0usize, String::new());
        loop {
            let page = self.outbox.present(Learn::NAME, scope, &after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok((vanished, known)) };
            after.clone_from(last);
            known += page.len();
            let gone =
                page.into_iter().filter(|(entity, _)| !self.seen.contains(&seen_key(entity)));
            vanished.extend(gone.map(|(_, name)| name));
        }
    }

    async fn batch(&mut self) -> Result<()> {
        let source = self.options.source.clone().unwrap_or_default();
        let limit =
            ChunkLimit { count: self.settings.batch_count, bytes: self.settings.batch_bytes };
        let batch = match build_batch(&source, std::mem::take(&mut self.resources), limit) {
            Ok(batch) => batch,
            Err(problems) => {
                self.refuse(1, problems);
                return Ok(());
            }
        };
        self.warn(1, &batch.warnings);
        let entity = identity::entity(self.kind, &source, "");
        if !self.force && self.outbox.is_latest_batch(Learn::NAME, &entity, &batch.batch_id).await?
        {
            self.report.unchanged += self.report.rows;
            return Ok(());
        }
        let total = u32::try_from(batch.parts.len()).unwrap_or(u32::MAX);
        let mut drafts = Vec::new();
        for (index, payload) in (0u32..).zip(batch.parts.into_iter().chain(batch.prune)) {
            self.warn(1, &payload.warnings);
            let place = Place { id: batch.batch_id.clone(), index, total };
            drafts.push(draft(payload, Some(place)));
        }
        self.enqueue(&drafts).await
    }

    async fn flush(&mut self) -> Result<()> {
        let drafts: Vec<Draft> = std::mem::take(&mut self.pending)
            .into_iter()
            .map(|payload| draft(payload, None))
            .collect();
        self.enqueue(&drafts).await
    }

    async fn enqueue(&mut self, drafts: &[Draft]) -> Result<()> {
        if drafts.is_empty() {
            return Ok(());
        }
        let accepted = self.outbox.enqueue(drafts, self.force, &self.origin).await?;
        let (mut new, mut unchanged) = (0, 0);
        for (draft, accepted) in drafts.iter().zip(accepted) {
            match accepted {
                Accepted::Unchanged { id, is_delivered } => {
                    unchanged += 1;
                    if is_delivered && self.report.unchanged_ids.len() < NAMED {
                        self.report.unchanged_ids.push(id);
                    }
                }
                Accepted::StillDead { id } => {
                    self.report.still_dead += 1;
                    tracing::warn!(
                        id,
                        "the receiver refused the same content before; it is not sent again"
                    );
                }
                Accepted::Message { id, superseded } => {
                    new += 1;
                    self.report.superseded += superseded;
                    if let (true, Ok(kind)) =
                        (self.report.messages.len() < NAMED, draft.kind.parse())
                    {
                        let entity = draft.entity.clone();
                        self.report.messages.push(NewMessage { id, kind, entity });
                    }
                }
            }
        }
        self.report.accepted += new;
        self.report.unchanged += unchanged;
        metrics::enqueued(self.kind.word(), "accepted", new);
        metrics::enqueued(self.kind.word(), "unchanged", unchanged);
        Ok(())
    }

    fn refuse(&mut self, row: u64, problems: Vec<Problem>) {
        self.report.refused += 1;
        metrics::enqueued(self.kind.word(), "refused", 1);
        let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        tracing::warn!(row, fields = fields.join(", "), "a payload is refused");
        if self.report.refusals.len() < NAMED {
            self.report.refusals.push(Refusal { row, problems });
        }
    }

    fn warn(&mut self, row: u64, problems: &[Problem]) {
        if !problems.is_empty() && self.report.warnings.len() < NAMED {
            self.report.warnings.push(Refusal { row, problems: problems.to_vec() });
        }
    }
}

/// Refuses a kind that is switched off, with the reason.
///
/// # Errors
/// [`Definite::KindOff`].
pub fn check_kind(kind: Kind, settings: &Webhook) -> Result<()> {
    match kind.off_reason() {
        Some(reason) if !settings.learning_resources_enabled => {
            Err(Error::new(Definite::KindOff).with("kind", kind).with("reason", reason))
        }
        Some(_) | None => Ok(()),
    }
}

/// What builders need besides the fields.
#[must_use]
pub fn options(settings: &Webhook, source: Option<&str>, clock: &dyn Clock) -> BuildOptions {
    let now = clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    BuildOptions {
        source: source.map(str::to_owned),
        now_seconds: now.as_secs_f64(),
        ovs_allowed_hosts: settings.ovs_media_hosts.clone(),
    }
}

fn draft(payload: Payload, place: Option<Place>) -> Draft {
    Draft {
        target: Learn::NAME.to_owned(),
        kind: payload.kind.word().to_owned(),
        scope: payload.scope,
        entity: payload.entity,
        identity: payload.identity,
        body: payload.body,
        content_hash: payload.content_hash,
        is_tombstone: payload.is_tombstone,
        place,
    }
}

fn seen_key(entity: &str) -> u64 {
    let digest = Sha256::digest(entity.as_bytes());
    digest.iter().take(8).fold(0, |key, byte| (key << 8) | u64::from(*byte))
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
fn float(count: usize) -> f64 {
    count as f64
}
