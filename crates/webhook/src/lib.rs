//! Signed webhooks to MIT Learn: durable, ordered, replayable.
//!
//! ```text
//!   flags, lines, lake ─▶ payload ─▶ outbox ─▶ delivery ─▶ attempt ─▶ triage
//!                         typed,     one row    due, in     signed     what the answer
//!                         checked    a message  order       anew       means
//! ```
//!
//! What holds, whatever happens:
//! - Every accepted message is delivered at least once, or is a dead letter with the reason; every attempt of a message
//!   carries the same id ([`outbox`]).
//! - Messages of one entity are sent one at a time, in order; newer content supersedes what was not sent ([`outbox`]).
//! - The bytes signed are the bytes sent; signature and timestamp are made for each attempt ([`signature`]).
//! - A failure is transient, permanent, or needs a person, with one sentence ([`policy`], [`triage`]).
//! - Nobody is called but declared hosts ([`egress`]), no faster than agreed ([`throttle`]), and not at all while they
//!   are down ([`breaker`]).
//! - I9: no secret and no value of a payload in a log, an error or a metric.
//!
//! The feature `failpoints` makes the process stop or die at named places, for tests.

pub mod attempt;
pub mod breaker;
pub mod cli;
pub mod command;
pub mod config;
pub mod dagster;
pub mod delivery;
pub mod egress;
pub mod error;
pub mod failpoints;
pub mod flows;
pub mod input;
pub mod intake;
pub mod metrics;
pub mod outbox;
pub mod payload;
pub mod policy;
pub mod receiver;
pub mod schedule;
pub mod signature;
pub mod target;
pub mod throttle;
pub mod transport;
pub mod triage;
