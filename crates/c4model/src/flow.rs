//! The arrows: what moves, how, who calls, and whether it exists.

use serde::{Deserialize, Serialize};

use crate::{ElementDeclaration, Evidence};

/// How the two ends of a flow are coupled in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The caller waits for the answer. Drawn solid; every other kind is drawn amber and dashed.
    Sync,
    /// Through a queue or an outbox.
    Queued,
    /// By the clock; the cadence says when.
    Scheduled,
    /// When something happened.
    Event,
}

impl Kind {
    /// Whether the caller does not wait.
    #[must_use]
    pub const fn is_async(self) -> bool {
        !matches!(self, Self::Sync)
    }
}

/// Who opens the connection. The arrow points where the data goes, whoever calls.
#[derive(Debug, Clone, Copy)]
pub enum Caller {
    /// The element the data comes from pushes it.
    From,
    /// The element the data goes to fetches it.
    To,
    /// The element that runs the flow's function reads one end and writes the other.
    Through,
}

/// Whether a flow or an element exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It exists.
    Live,
    /// It is planned; drawn violet and dotted. No code may claim it.
    Target,
    /// It exists and is to go.
    Retiring,
}

/// What is said about a flow. Text left empty is not stated.
#[derive(Debug, Clone, Copy)]
pub struct FlowFacts {
    /// What moves: a noun, e.g. `Table rows`.
    pub moves: &'static str,
    /// Technology it moves by.
    pub tech: &'static str,
    /// Technology of the second leg, when the flow is drawn through the element that runs it and
    /// that element writes by other means than it reads.
    pub tech_onward: &'static str,
    /// How the ends are coupled in time.
    pub kind: Kind,
    /// Who calls.
    pub by: Caller,
    /// Team that answers for it.
    pub owner: &'static str,
    /// What happens after a failure, e.g. `next run`.
    pub retry: &'static str,
    /// After how long it is given up, with the unit.
    pub timeout: &'static str,
    /// What a repetition does, e.g. `replaces the table in one snapshot`.
    pub idempotent: &'static str,
    /// How often, e.g. `every 6 hours`.
    pub cadence: &'static str,
    /// How much, with the unit, e.g. `40 GB a day`.
    pub volume: &'static str,
    /// Whether personal data moves, e.g. `learners' names and e-mail addresses`.
    pub personal_data: &'static str,
    /// Whether it only says what is to be done or that it was done (requests, results, credentials,
    /// measurements), and carries nothing of what the platform is about. A circle that is closed by
    /// such a flow is a control loop; one that is not brings data back to where it was.
    pub is_control: bool,
    /// Whence we know it; filled by [`flow!`](crate::flow) for our own code.
    pub evidence: &'static [Evidence],
    /// Earlier ids, so that links and diffs survive a renaming.
    pub was: &'static [&'static str],
}

impl FlowFacts {
    /// Nothing stated; what the macros start from.
    #[doc(hidden)]
    pub const UNSTATED: Self = Self {
        moves: "",
        tech: "",
        tech_onward: "",
        kind: Kind::Sync,
        by: Caller::From,
        owner: "",
        retry: "",
        timeout: "",
        idempotent: "",
        cadence: "",
        volume: "",
        personal_data: "",
        is_control: false,
        evidence: &[],
        was: &[],
    };

    /// Stops the compiler at a flow that says too little to be drawn.
    #[doc(hidden)]
    #[must_use]
    pub const fn checked(self) -> Self {
        assert!(!self.moves.is_empty(), "a flow needs `moves`: the data as a noun");
        assert!(!self.tech.is_empty(), "a flow needs `tech`");
        assert!(!self.owner.is_empty(), "a flow needs an owner");
        self
    }
}

/// A flow as declared: one direction, from every `from` to every `to`.
#[derive(Debug, Clone, Copy)]
pub struct FlowDeclaration {
    /// Stable slug; for a live flow of ours the function's name.
    pub id: &'static str,
    /// Where the data comes from; several when the function takes a tuple of sources.
    pub from: &'static [&'static ElementDeclaration],
    /// Where the data goes.
    pub to: &'static [&'static ElementDeclaration],
    /// Whether it exists.
    pub status: Status,
    /// What is said about it.
    pub facts: FlowFacts,
    /// The function that carries it out, for flows of ours.
    pub code: Option<Evidence>,
}
