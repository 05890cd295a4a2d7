//! What Dagster hears: a materialization a delivered entity, and whose turn it is when something was not delivered.
//!
//! Where the step targets one asset, that asset is what was delivered: one message gives a materialization about it,
//! many give one about all of them. Where it targets several, each entity goes to the asset whose key ends in the
//! entity's identity, and what fits none is said in the log. Pipes cannot say that a failure is permanent, so a custom
//! message does: `{"retryable", "class", "exit_code", "sentence", "dead"}`; the shim in `deploy/dagster` stops run
//! retries by it.
//!
//! A response is passed on when it is the receiver's word of success; the answer to a refused payload may repeat what
//! was in it, and stays in the outbox.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use c4model::declared;
use ol_chassis::Exit;
use ol_chassis::flow::FlowRunner;
use ol_pipes::{AssetKey, Level, Materialization, Metadata, Pipes, TableColumn, TableSchema};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::delivery::{Dead, Delivered, Observer};
use crate::error::Error;
use crate::flows::signed_notices;
use crate::intake::IntakeReport;
use crate::outbox::{Attempt, Message, State as MessageState};
use crate::policy::{Class, policy, sentence};
use crate::signature::hex;

/// Entities that the table of a materialization names: Dagster's file reader may lose a line that is longer than a page.
const NAMED: usize = 15;

/// Tells Dagster; without Dagster, nobody.
#[derive(Clone)]
pub struct Reporter {
    pipes: Pipes,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    delivered: u64,
    unchanged: u64,
    attempts: i64,
    told: BTreeSet<String>,
    first: Option<Delivered>,
    entities: Vec<Map<String, Value>>,
    digest: Sha256,
    dead: u64,
    /// The worst that happened, in words.
    worst: Option<(Class, String)>,
}

impl Reporter {
    /// A reporter to this session.
    #[must_use]
    pub fn new(pipes: Pipes) -> Self {
        Self { pipes, state: Arc::default() }
    }

    /// Rows were refused before anything was sent.
    pub fn refused(&self, report: &IntakeReport) {
        if report.still_dead > 0 {
            let text = format!(
                "{} payloads say what the receiver refused before; see `ol-webhook list --state dead`",
                report.still_dead
            );
            self.say(Level::Error, &text);
            let mut state = self.lock();
            state.dead += report.still_dead;
            state.note(Class::Permanent, text);
        }
        if report.refused == 0 {
            return;
        }
        let mut fields: Vec<&str> = report
            .refusals
            .iter()
            .flat_map(|refusal| &refusal.problems)
            .map(|problem| problem.field.as_str())
            .collect();
        fields.sort_unstable();
        fields.dedup();
        let text = format!(
            "{} payloads were refused before they were sent: {}",
            report.refused,
            fields.join(", ")
        );
        self.say(Level::Error, &text);
        self.lock().note(Class::Permanent, text);
    }

    /// A message that another worker settled.
    pub fn settled_elsewhere(&self, message: &Message, attempts: &[Attempt]) {
        if self.lock().told.contains(&message.id) {
            return;
        }
        if message.state == MessageState::Delivered.word() {
            self.delivered(&Delivered::stored(message, attempts));
        } else if message.state == MessageState::Dead.word() {
            let class =
                Class::ALL.into_iter().find(|class| message.class.as_deref() == Some(class.word()));
            let mut state = self.lock();
            state.dead += 1;
            let sentence = message.sentence.clone().unwrap_or_default();
            state.note(class.unwrap_or(Class::Permanent), sentence);
        }
    }

    /// A message that arrived before and says what this run would have said: the asset is as it should be.
    pub fn unchanged(&self, message: &Message, attempts: &[Attempt]) {
        if message.state == MessageState::Delivered.word() {
            self.tell(&Delivered::stored(message, attempts), true);
        }
    }

    /// The run is over: what is left to say is said.
    pub fn finish(&self, exit: Exit) {
        if !self.pipes.is_active() {
            return;
        }
        let mut state = self.lock();
        if let ([asset_key], Exit::Done) = (self.pipes.context().asset_keys.as_slice(), exit)
            && state.delivered + state.unchanged > 0
        {
            let materialization = state.whole(asset_key.clone());
            self.sent(self.pipes.report_materialization(&materialization));
        }
        if exit != Exit::Done {
            let (class, sentence) = state.worst.take().unwrap_or_else(|| of_exit(exit));
            self.tell_failure(class, exit, &sentence, state.dead);
        }
    }

    fn tell(&self, delivered: &Delivered, is_unchanged: bool) {
        if !self.pipes.is_active() {
            return;
        }
        let is_single = self.pipes.context().asset_keys.len() == 1;
        let mut state = self.lock();
        state.add(delivered, is_unchanged);
        if is_single {
            return;
        }
        match self.asset_of(delivered) {
            Some(asset_key) => {
                let materialization = of_one(asset_key, delivered);
                self.sent(self.pipes.report_materialization(&materialization));
            }
            None => self.say(Level::Info, &format!("{} was delivered", delivered.entity)),
        }
    }

    fn tell_failure(&self, class: Class, exit: Exit, sentence: &str, dead: u64) {
        let retryable = matches!(exit, Exit::Transient | Exit::Stopped);
        let payload = json!({
            "retryable": retryable,
            "class": class.word(),
            "exit_code": exit.code(),
            "sentence": sentence,
            "dead": dead,
        });
        self.sent(self.pipes.report_custom(&payload));
    }

    fn asset_of(&self, delivered: &Delivered) -> Option<AssetKey> {
        let keys = &self.pipes.context().asset_keys;
        let plain = delivered.identity.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        let fits = |key: &&AssetKey| {
            key.parts().last().is_some_and(|part| *part == delivered.identity || *part == plain)
        };
        keys.iter().find(fits).cloned()
    }

    fn say(&self, level: Level, line: &str) {
        self.sent(self.pipes.log(level, line));
    }

    fn sent(&self, result: ol_pipes::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(error = %ol_chassis::error::chain(&error), "Dagster was not told");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Reporter {
    fn delivered(&self, delivered: &Delivered) {
        self.tell(delivered, false);
    }

    fn died(&self, dead: &Dead) {
        let mut state = self.lock();
        if self.pipes.is_active() {
            state.told.insert(dead.id.clone());
        }
        state.dead += 1;
        state.note(dead.class, dead.sentence.clone());
        drop(state);
        self.say(Level::Error, &format!("{}: {}", dead.entity, dead.sentence));
    }
}

impl State {
    fn add(&mut self, delivered: &Delivered, is_unchanged: bool) {
        self.told.insert(delivered.id.clone());
        if is_unchanged {
            self.unchanged += 1;
        } else {
            self.delivered += 1;
            self.attempts += delivered.attempts;
        }
        self.digest.update(delivered.content_hash.as_bytes());
        if self.entities.len() < NAMED {
            let row = json!({
                "entity": delivered.entity,
                "message_id": delivered.id,
                "attempts": delivered.attempts,
            });
            self.entities.extend(row.as_object().cloned());
        }
        if self.first.is_none() {
            self.first = Some(delivered.clone());
        }
    }

    /// Keeps the worst: what needs a person outranks what is permanent.
    fn note(&mut self, class: Class, sentence: String) {
        if self.worst.as_ref().is_none_or(|(known, _)| class > *known) {
            self.worst = Some((class, sentence));
        }
    }

    fn whole(&self, asset_key: AssetKey) -> Materialization {
        if let (1, Some(delivered)) = (self.delivered + self.unchanged, &self.first) {
            return of_one(asset_key, delivered);
        }
        let column = |name: &str, data_type: &str| TableColumn {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            ..TableColumn::default()
        };
        let columns = vec![
            column("entity", "string"),
            column("message_id", "string"),
            column("attempts", "int"),
        ];
        let mut metadata = BTreeMap::from([
            flow_metadata(),
            ("delivered".to_owned(), Metadata::from(self.delivered)),
            ("unchanged".to_owned(), Metadata::from(self.unchanged)),
            ("attempts".to_owned(), Metadata::Int(i128::from(self.attempts))),
        ]);
        if !self.entities.is_empty() {
            metadata.insert(
                "entities".to_owned(),
                Metadata::Table { records: self.entities.clone(), schema: TableSchema { columns } },
            );
        }
        let data_version = Some(hex(&self.digest.clone().finalize()));
        Materialization { asset_key, metadata, data_version }
    }
}

/// The flow that delivered, under the name that its span gives it, too.
fn flow_metadata() -> (String, Metadata) {
    ("c4.flow".to_owned(), Metadata::from(declared!(signed_notices).id()))
}

fn of_one(asset_key: AssetKey, delivered: &Delivered) -> Materialization {
    let response = serde_json::from_str(&delivered.response)
        .map_or_else(|_| Metadata::Text(delivered.response.clone()), Metadata::Json);
    let metadata = BTreeMap::from([
        flow_metadata(),
        ("entity".to_owned(), Metadata::Text(delivered.entity.clone())),
        ("kind".to_owned(), Metadata::Text(delivered.kind.clone())),
        ("message_id".to_owned(), Metadata::Text(delivered.id.clone())),
        ("attempts".to_owned(), Metadata::Int(i128::from(delivered.attempts))),
        (
            "response_status".to_owned(),
            Metadata::Int(i128::from(delivered.status.unwrap_or_default())),
        ),
        ("response".to_owned(), response),
        ("content_hash".to_owned(), Metadata::Text(delivered.content_hash.clone())),
        ("body_bytes".to_owned(), Metadata::from(delivered.body_bytes as u64)),
        ("seconds".to_owned(), Metadata::from(delivered.age.as_secs_f64())),
    ]);
    let data_version = Some(delivered.content_hash.clone());
    Materialization { asset_key, metadata, data_version }
}

/// A runner whose flows tell Dagster, too: an OpenLineage event a run, as a custom message.
pub fn flow_runner(pipes: &Pipes) -> FlowRunner {
    let reporter = Reporter::new(pipes.clone());
    FlowRunner::told_to(move |event| reporter.sent(reporter.pipes.report_custom(event)))
}

/// What ended the command before there was a report.
pub fn failed(pipes: &Pipes, error: &Error) {
    if !pipes.is_active() {
        return;
    }
    let policy = policy(error.failure());
    Reporter::new(pipes.clone()).tell_failure(policy.class, policy.exit, &sentence(error), 0);
}

fn of_exit(exit: Exit) -> (Class, String) {
    match exit {
        Exit::Done | Exit::Transient | Exit::Stopped => (
            Class::Transient,
            "Messages are left in the outbox; they are tried again by the schedule".to_owned(),
        ),
        Exit::Definite | Exit::Configuration => {
            (Class::NeedsPerson, "A person must act; the log has the reasons".to_owned())
        }
    }
}
