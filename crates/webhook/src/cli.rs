//! The command line: what can be asked, and how it is explained.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use ol_chassis::cli::{GlobalOptions, Shell};

use crate::outbox::State;
use crate::payload::Kind;
use crate::policy::Class;
use crate::receiver::Fault;

/// Signed webhooks to MIT Learn, durable and in order.
#[derive(Debug, Parser)]
#[command(
    name = "ol-webhook",
    version,
    max_term_width = 120,
    after_help = "\
Where things are is said by the environment: MIT_LEARN_BASE_URL, MIT_LEARN_WEBHOOK_SECRET (or \
MIT_LEARN_WEBHOOK_SECRET_FILE, or vault:MOUNT/PATH#FIELD) and OL_OUTBOX (sqlite:PATH or postgres://…).

Exit codes: 0 done, 1 something is left that will be tried again, 2 a person must act, 3 configuration, 75 stopped \
early (resume later)."
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The context that Dagster hands over; usually a variable instead.
    #[arg(long, global = true, hide = true)]
    pub dagster_pipes_context: Option<String>,
    /// Where Dagster listens; usually a variable instead.
    #[arg(long, global = true, hide = true)]
    pub dagster_pipes_messages: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check payloads and put them into the outbox
    #[command(after_help = "\
What the entity's latest message said already is skipped; a newer message supersedes one that was not sent yet.

Example:
  ol-webhook send --kind content_files --source mitxonline --course-id course-v1:MITx+6.00 \\
      --content-path mitxonline/openedx/raw_data/course_xml/course-v1:MITx+6.00/ab12.xml.tar.gz --deliver
  ol-webhook send --kind ovs_videos --lines videos.jsonl --complete
  ol-webhook send --kind content_files --source mitxonline --query \\
      \"SELECT course_id, course_id AS course_readable_id, content_path FROM course_archives\"")]
    Send(Box<Send>),
    /// Deliver what is in the outbox
    #[command(after_help = "\
Ends when nothing is due within the patience; with --forever, when it is asked to stop. Several workers may share one \
outbox.

Example:
  ol-webhook deliver
  ol-webhook deliver --forever --metrics-address 0.0.0.0:9464")]
    Deliver(Deliver),
    /// List messages: the queue, the dead letters with their reasons
    #[command(after_help = "\
Example:
  ol-webhook list --state dead
  ol-webhook list --kind ovs_videos --since 2026-11-24 --output json")]
    List(List),
    /// Show one message with all its attempts
    Show {
        /// The message's id
        id: String,
    },
    /// Send settled messages again, under their ids
    #[command(after_help = "\
A message that was overtaken by a newer one of its entity is left alone unless --force.

Example:
  ol-webhook replay --filter class=needs_person --deliver
  ol-webhook replay --since 2026-11-23T06:00:00Z --filter reason=given_up")]
    Replay(Replay),
    /// Take messages out of the queue or the dead letters
    Drop(Drop),
    /// Ask the receiver, without doing any harm there, whether secret and routes are right
    Probe(Probe),
    /// Print the headers that a request with this body would carry
    #[command(after_help = "\
Example:
  printf '{\"video_id\":\"vid_abc123\",\"delete\":true}' | ol-webhook sign")]
    Sign(Sign),
    /// Check the signatures of a captured request
    #[command(after_help = "\
Example:
  ol-webhook check --body body.json --signature ce49e789…
  ol-webhook check --body body.json --header 'webhook-id: msg_1' --header 'webhook-timestamp: 1764000000' \\
      --header 'webhook-signature: v1,…' --now 1764000010")]
    Check(Check),
    /// Be a receiver that behaves like MIT Learn, with faults on demand
    #[command(after_help = "\
Faults: status:CODE[:N[:retry-after=S|retry-after-date=S]], drop[:N], delay:S[:N], refuse[:N], slow:S[:N], \
reject:GLOB; without N for ever. A running receiver takes a JSON list of them by POST to /__control__/faults.

Example:
  MIT_LEARN_WEBHOOK_SECRET=secret ol-webhook listen --fault status:503:3")]
    Listen(Listen),
    /// Compare a body with a golden one, byte for byte; nothing is sent
    #[command(after_help = "\
Example:
  ol-webhook diff --kind content_files --source canvas --payload \"$(cat payload.json)\" --golden golden.json")]
    Diff(Diff),
    /// Print the completion script of a shell
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// What a payload is made of.
#[derive(Debug, Clone, Default, Args)]
pub struct PayloadInput {
    /// ETL source at MIT Learn, e.g. mitxonline, xpro, mit_edx, canvas
    #[arg(long)]
    pub source: Option<String>,
    /// The course's id
    #[arg(long)]
    pub course_id: Option<String>,
    /// The course's readable id
    #[arg(long)]
    pub course_readable_id: Option<String>,
    /// Where the archive is, as a key of the landing zone
    #[arg(long)]
    pub content_path: Option<String>,
    /// The video's key, for its deletion
    #[arg(long)]
    pub video_id: Option<String>,
    /// The fields as one JSON object
    #[arg(long, value_name = "JSON")]
    pub payload: Option<String>,
}

/// `send`.
#[derive(Debug, Clone, Args)]
pub struct Send {
    /// Kind of payload: content_files, content_files/delete, ovs_videos, ovs_videos/delete, learning_resources
    #[arg(long)]
    pub kind: Kind,
    /// One payload, by flags.
    #[command(flatten)]
    pub input: PayloadInput,
    /// Many payloads: a file with one JSON object a line, - for stdin
    #[arg(long, value_name = "FILE")]
    pub lines: Option<PathBuf>,
    /// Many payloads: the rows of a table of the lake
    #[arg(long, value_name = "NAMESPACE.TABLE")]
    pub table: Option<String>,
    /// Many payloads: the rows of a query over the lake, whose raw tables it names as they are called
    #[arg(long, value_name = "SQL")]
    pub query: Option<String>,
    /// The input is all there is: delete at the receiver what was sent before and is not in it
    #[arg(long)]
    pub complete: bool,
    /// With --complete: delete however much has vanished
    #[arg(long, requires = "complete")]
    pub allow_vanish: bool,
    /// Send what is unchanged all the same
    #[arg(long)]
    pub force: bool,
    /// Then deliver what was put into the outbox, and nothing else that is in it
    #[arg(long)]
    pub deliver: bool,
}

/// `deliver`.
#[derive(Debug, Clone, Args)]
pub struct Deliver {
    /// Go on until asked to stop
    #[arg(long, conflicts_with = "patience_seconds")]
    pub forever: bool,
    /// End when nothing is due within this many seconds [default: webhook.delivery.patience_seconds]
    #[arg(long, value_name = "SECONDS")]
    pub patience_seconds: Option<f64>,
}

/// Which messages.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Only of this kind
    #[arg(long)]
    pub kind: Option<Kind>,
    /// Only entities that match
    #[arg(long, value_name = "GLOB")]
    pub entity: Option<String>,
    /// Only accepted at or after this time: 2026-11-24, 2026-11-24T06:00:00Z, or 90m, 12h, 3d ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// state=…, class=…, reason=…, kind=…, entity=…, batch=…; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<FilterPair>,
}

/// A pair of `--filter`.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterPair {
    /// In this state.
    State(State),
    /// Whose last failure was of this class.
    Class(Class),
    /// Whose last failure was of this kind.
    Reason(String),
    /// Of this kind.
    Kind(Kind),
    /// Of an entity that matches.
    Entity(String),
    /// Of this batch.
    Batch(String),
}

impl FromStr for FilterPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
        Ok(match key {
            "state" => Self::State(value.parse()?),
            "class" => Self::Class(
                Class::ALL
                    .into_iter()
                    .find(|class| class.word() == value)
                    .ok_or("class is transient, permanent or needs_person")?,
            ),
            "reason" => Self::Reason(value.to_owned()),
            "kind" => Self::Kind(
                value.parse().map_err(|error: crate::payload::UnknownKind| error.to_string())?,
            ),
            "entity" => Self::Entity(value.to_owned()),
            "batch" => Self::Batch(value.to_owned()),
            _other => {
                return Err("the keys are state, class, reason, kind, entity and batch".to_owned());
            }
        })
    }
}

/// `list`.
#[derive(Debug, Clone, Args)]
pub struct List {
    /// Only in this state: waiting, queued, leased, delivered, dead, superseded, dropped
    #[arg(long)]
    pub state: Option<State>,
    /// Which messages.
    #[command(flatten)]
    pub which: Which,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// Only after this sequence number: the document's `next`
    #[arg(long, value_name = "SEQUENCE")]
    pub after: Option<i64>,
}

/// `replay`.
#[derive(Debug, Clone, Args)]
pub struct Replay {
    /// This message; may be repeated
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<String>,
    /// Which messages; dead letters unless --filter state=… says otherwise.
    #[command(flatten)]
    pub which: Which,
    /// Also what was overtaken by newer messages, and what was delivered
    #[arg(long)]
    pub force: bool,
    /// Then deliver these messages, and nothing else that is in the outbox
    #[arg(long)]
    pub deliver: bool,
}

/// `drop`.
#[derive(Debug, Clone, Args)]
pub struct Drop {
    /// This message; may be repeated
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<String>,
    /// Which messages; dead letters unless --filter state=… says otherwise.
    #[command(flatten)]
    pub which: Which,
    /// Why, for whoever asks later
    #[arg(long)]
    pub reason: String,
}

/// `probe`.
#[derive(Debug, Clone, Args)]
pub struct Probe {
    /// Only the route of this kind
    #[arg(long)]
    pub kind: Option<Kind>,
}

/// `sign`.
#[derive(Debug, Clone, Args)]
pub struct Sign {
    /// File with the body, - for stdin
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub body: PathBuf,
    /// The message's id
    #[arg(long, default_value = "msg_example")]
    pub id: String,
    /// When it is signed, in seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS")]
    pub timestamp: Option<u64>,
}

/// `check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// File with the body, - for stdin
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub body: PathBuf,
    /// The value of X-MITLearn-Signature
    #[arg(long, value_name = "HEX")]
    pub signature: Option<String>,
    /// A header of the request; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The time to check timestamps by, in seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS")]
    pub now: Option<u64>,
}

/// `listen`.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8765")]
    pub address: SocketAddr,
    /// What goes wrong; may be repeated
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Fault>,
    /// Append a JSON line for every request to this file
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// End after so many requests
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Have the route learning_resources, which MIT Learn has not
    #[arg(long)]
    pub with_learning_resources: bool,
}

/// `diff`.
#[derive(Debug, Clone, Args)]
pub struct Diff {
    /// Kind of payload
    #[arg(long)]
    pub kind: Kind,
    /// The payload.
    #[command(flatten)]
    pub input: PayloadInput,
    /// The body as it should be
    #[arg(long, value_name = "FILE")]
    pub golden: PathBuf,
}
