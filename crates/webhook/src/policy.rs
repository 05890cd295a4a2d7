//! One table: what follows from each kind of failure.
//!
//! Retry, class, gate, exit code, the sentence for the operator and the runbook are decided here and
//! nowhere else, by one match without a catch-all. A runbook is `deploy/runbooks/NAME.md`; a test
//! compares the names used here with the files that exist, both ways.

use ol_chassis::Exit;
use serde::Serialize;

use crate::error::{Definite, Error, Failure, Transient};

/// What a failed attempt means for its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Tried again by the schedule.
    Transient,
    /// This message cannot be delivered as it is.
    Permanent,
    /// No message can be delivered until a person has mended something.
    NeedsPerson,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Transient, Self::Permanent, Self::NeedsPerson];

    /// The word in records and documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::NeedsPerson => "needs_person",
        }
    }
}

/// What a failure closes for the messages that come after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing: other messages may fare better.
    Open,
    /// The route: every message to it would fail alike.
    Route,
    /// The whole target.
    Target,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether it is tried again without anybody's help.
    pub retry: bool,
    /// What it means for the message, when an attempt came to it.
    pub class: Class,
    /// What it closes for other messages.
    pub gate: Gate,
    /// Whether it says that the host is not well, which the circuit breaker counts.
    pub counts_against_host: bool,
    /// The exit code when this failure ends a command.
    pub exit: Exit,
    /// What to do next, as sentences; `{key}` stands for the failure's fact of that name.
    pub advice: &'static str,
    /// The runbook, a file name in `deploy/runbooks` without its ending.
    pub runbook: &'static str,
}

const fn permanent(runbook: &'static str, advice: &'static str) -> Policy {
    Policy {
        retry: false,
        class: Class::Permanent,
        gate: Gate::Open,
        counts_against_host: false,
        exit: Exit::Definite,
        advice,
        runbook,
    }
}

const fn configuration(advice: &'static str) -> Policy {
    Policy { exit: Exit::Configuration, ..permanent("webhook-configuration", advice) }
}

const fn needs_person(gate: Gate, runbook: &'static str, advice: &'static str) -> Policy {
    Policy { class: Class::NeedsPerson, gate, ..permanent(runbook, advice) }
}

const fn transient(runbook: &'static str, advice: &'static str) -> Policy {
    Policy {
        retry: true,
        class: Class::Transient,
        exit: Exit::Transient,
        ..permanent(runbook, advice)
    }
}

const fn host(advice: &'static str) -> Policy {
    Policy { counts_against_host: true, ..transient("webhook-receiver-down", advice) }
}

/// What follows from a kind of failure.
#[must_use]
pub fn policy(failure: Failure) -> Policy {
    match failure {
        Failure::Definite(kind) => definite(kind),
        Failure::Transient(kind) => weather(kind),
    }
}

fn definite(kind: Definite) -> Policy {
    match kind {
        Definite::Configuration => configuration(
            "Correct the flag, variable or file that the message names, then run again.",
        ),
        Definite::TargetUnknown => {
            configuration("Set {variable}, or {variable}_FILE to a file that holds it.")
        }
        Definite::SettingRefused => permanent(
            "webhook-configuration",
            "Check that the file or secret that the message names is there and that we may read it.",
        ),
        Definite::InputInvalid => permanent(
            "webhook-payload",
            "Write one JSON object a line; what came before the line is in the outbox.",
        ),
        Definite::PayloadInvalid => permanent(
            "webhook-payload",
            "Correct the fields that are named at their source; nothing of these payloads was sent.",
        ),
        Definite::KindOff => permanent(
            "webhook-payload",
            "Leave this kind off until its receiver has the route; then set \
             OL_WEBHOOK__LEARNING_RESOURCES_ENABLED=true.",
        ),
        Definite::VanishGuarded => permanent(
            "webhook-vanish-guard",
            "Find out whether they really went away; if they did, send once with --allow-vanish.",
        ),
        Definite::MessageMissing => permanent(
            "webhook-dead-letters",
            "Look at `ol-webhook list`; settled messages are removed after the retention time.",
        ),
        Definite::GoldenDiffers => permanent(
            "webhook-payload",
            "Find out which is right; if the new body is, replace the golden one.",
        ),
        Definite::SignatureInvalid => permanent(
            "webhook-secret-wrong",
            "Check that the body is byte for byte what was sent and that both sides have the secret.",
        ),
        Definite::LakeUnreadable => permanent(
            "webhook-configuration",
            "Check OL_CATALOG, OL_WAREHOUSE and the names in the query.",
        ),
        Definite::EgressRefused => needs_person(
            Gate::Target,
            "webhook-egress",
            "Check MIT_LEARN_BASE_URL; allow the host or private addresses in [webhook.egress] if \
             they are meant.",
        ),
        Definite::TlsUntrusted => needs_person(
            Gate::Target,
            "webhook-egress",
            "Check the receiver's certificate and its name, and webhook.tls.ca_file if it has an \
             authority of its own.",
        ),
        Definite::SecretWrong => needs_person(
            Gate::Target,
            "webhook-secret-wrong",
            "Give both sides the same secret (MIT_LEARN_WEBHOOK_SECRET here, WEBHOOK_SECRET there), \
             then `ol-webhook replay --filter class=needs_person`.",
        ),
        Definite::RouteMissing => needs_person(
            Gate::Route,
            "webhook-route-missing",
            "Check MIT_LEARN_BASE_URL and that the receiver's version has {route}, then \
             `ol-webhook replay --filter class=needs_person`.",
        ),
        Definite::Forbidden => needs_person(
            Gate::Target,
            "webhook-route-missing",
            "Ask who runs the gateway before the receiver to let us through.",
        ),
        Definite::Redirected => needs_person(
            Gate::Target,
            "webhook-route-missing",
            "Set MIT_LEARN_BASE_URL to the address that the receiver points to; redirects are not \
             followed, as they would carry the payload elsewhere.",
        ),
        Definite::PayloadRefused => permanent(
            "webhook-payload",
            "Correct {fields} at the source and send again, or replay once the receiver takes it.",
        ),
        Definite::PayloadTooLarge => permanent(
            "webhook-payload",
            "Make the payload smaller; MIT Learn takes 2,621,440 bytes.",
        ),
        Definite::RequestRefused => permanent(
            "webhook-payload",
            "Look at the answer with `ol-webhook show`, then ask the receiver's owner.",
        ),
        Definite::GivenUp => permanent(
            "webhook-dead-letters",
            "Find out from `ol-webhook show` what failed; replay when it is mended.",
        ),
        Definite::BatchIncomplete => permanent(
            "webhook-dead-letters",
            "Replay the dead parts of the batch, then the message itself.",
        ),
        Definite::OutboxUnwritable => permanent(
            "webhook-outbox",
            "Give this process the right to write the outbox's file and its folder, or point \
             OL_OUTBOX elsewhere.",
        ),
        Definite::DiskFull => permanent(
            "webhook-outbox",
            "Free space on the disk of the outbox; what was in it is still there.",
        ),
        Definite::OutboxForeign => permanent(
            "webhook-outbox",
            "Check that OL_OUTBOX names the right database and that this is not an older version of \
             ol-webhook.",
        ),
        Definite::OutboxRefused => permanent(
            "webhook-outbox",
            "Check the user, the password and the rights that OL_OUTBOX gives.",
        ),
        Definite::Defect => permanent(
            "webhook-defect",
            "Report this as a defect with the log of the run; the outbox has every message.",
        ),
    }
}

fn weather(kind: Transient) -> Policy {
    match kind {
        Transient::HostUnknown => host(
            "Wait; if it lasts, check the spelling of the host in MIT_LEARN_BASE_URL and the name \
             service.",
        ),
        Transient::HostUnreachable => host(
            "Wait; if it lasts, check that the receiver runs and that the network lets us through.",
        ),
        Transient::ConnectionLost => {
            host("Wait; if it lasts, look for what cuts connections before the receiver.")
        }
        Transient::TimedOut => {
            host("Wait; if it lasts, tell the receiver's owner that it is slow.")
        }
        Transient::Throttled => transient(
            "webhook-receiver-down",
            "Wait; if it lasts, lower webhook.delivery.rate_per_second.",
        ),
        Transient::ReceiverNotReady => host("Wait; it is tried again by the schedule."),
        Transient::ReceiverFailing => {
            host("Wait; if it lasts, tell the receiver's owner: it answers with a server error.")
        }
        Transient::TriageInterrupted => {
            transient("webhook-receiver-down", "Wait; it is tried again by the schedule.")
        }
        Transient::WorkerLost => transient(
            "webhook-outbox",
            "Nothing; the message is sent again with the same id. If it returns, look why workers die.",
        ),
        Transient::OutboxLocked => transient(
            "webhook-outbox",
            "Wait for the other process; if there is none, find out who holds the file open.",
        ),
        Transient::OutboxUnreachable => transient(
            "webhook-outbox",
            "Run again; if it lasts, check that the server in OL_OUTBOX runs and can be reached.",
        ),
        Transient::SecretStoreUnreachable => transient(
            "webhook-configuration",
            "Run again; if it lasts, check VAULT_ADDR and that the secret store can be reached.",
        ),
        Transient::LakeUnreachable => transient(
            "webhook-configuration",
            "Run again; if it lasts, check that the server in OL_CATALOG runs and can be reached.",
        ),
        Transient::Stopped => Policy {
            retry: false,
            exit: Exit::Stopped,
            ..transient("webhook-outbox", "Run again to go on; the outbox has what is left.")
        },
    }
}

/// The advice for one failure, with its facts filled in: see [`ol_chassis::failure::fill`].
#[must_use]
pub fn advice(error: &Error) -> String {
    match error.own_advice() {
        Some(advice) => advice.to_owned(),
        None => ol_chassis::failure::fill(policy(error.failure()).advice, |key| error.fact(key)),
    }
}

/// What happened and what to do, as a person reads it in a list of dead letters.
#[must_use]
pub fn sentence(error: &Error) -> String {
    format!("{error}. {} (runbook: {})", advice(error), policy(error.failure()).runbook)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_runbook_exists_and_none_is_stale() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/runbooks");
        let written: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the runbooks are in the repository")
            .map(|entry| entry.expect("the folder can be read").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name.starts_with("webhook-"))
            .collect();
        let named: BTreeSet<String> =
            Failure::all().map(|failure| format!("{}.md", policy(failure).runbook)).collect();
        assert_eq!(written, named);
    }

    #[test]
    fn advice_is_sentences_and_agrees_with_the_family() {
        for failure in Failure::all() {
            let policy = policy(failure);
            assert!(policy.advice.ends_with('.') || policy.advice.ends_with('`'), "{failure:?}");
            assert!(policy.advice.starts_with(|c: char| c.is_ascii_uppercase()), "{failure:?}");
            assert_eq!(policy.advice.matches('{').count(), policy.advice.matches('}').count());
            let retriable = matches!(policy.exit, Exit::Transient | Exit::Stopped);
            assert_eq!(retriable, matches!(failure, Failure::Transient(_)), "{failure:?}");
            assert_eq!(policy.class == Class::Transient, retriable, "{failure:?}");
            assert_eq!(
                policy.gate != Gate::Open,
                policy.class == Class::NeedsPerson,
                "{failure:?}"
            );
            assert!(!policy.counts_against_host || policy.retry, "{failure:?}");
        }
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let words: BTreeSet<String> = Failure::all().map(Failure::word).collect();
        assert_eq!(words.len(), Failure::all().count());
        for failure in Failure::all() {
            assert_eq!(Failure::from_word(&failure.word()), Some(failure));
        }
    }
}
