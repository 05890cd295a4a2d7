//! What is closed until a person has mended it.
//!
//! A wrong secret or a missing route fails every message alike. The message that met it is a dead
//! letter with the reason; those behind it are not spent on the same answer: they stay queued, untouched
//! and uncounted, and go on when the gate opens.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::metrics;
use crate::payload::Kind;
use crate::policy::{Gate, policy, sentence};

/// Closed routes, with the reason of each.
#[derive(Debug, Default)]
pub(super) struct Gates {
    /// By route; the empty route stands for the whole target.
    closed: BTreeMap<&'static str, String>,
}

const TARGET: &str = "";

impl Gates {
    /// Closes what this failure closes, if anything.
    pub(super) fn close(&mut self, kind: Kind, error: &Error) {
        let route = match policy(error.failure()).gate {
            Gate::Open => return,
            Gate::Route => kind.route(),
            Gate::Target => TARGET,
        };
        if self.closed.insert(route, sentence(error)).is_none() {
            tracing::error!(route, reason = %error, "closed until a person has mended it");
            metrics::gate(shown(route), true);
        }
    }

    /// Opens a route that was seen to be well.
    pub(super) fn open(&mut self, route: &'static str) {
        for known in [route, TARGET] {
            if self.closed.remove(known).is_some() {
                tracing::info!(route = shown(known), "open again");
                metrics::gate(shown(known), false);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.closed.is_empty()
    }

    /// Why, in sentences.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.closed.values().cloned().collect()
    }

    /// The kinds whose messages are not to be taken.
    pub(super) fn closed_kinds(&self) -> Vec<&'static str> {
        let is_closed = |kind: &&Kind| {
            self.closed.contains_key(TARGET) || self.closed.contains_key(kind.route())
        };
        Kind::ALL.iter().filter(is_closed).map(|kind| kind.word()).collect()
    }

    /// The routes to ask whether they were mended.
    pub(super) fn routes_to_ask(&self) -> Vec<&'static str> {
        let asked = Kind::ContentFiles.route();
        self.closed.keys().map(|route| if route.is_empty() { asked } else { route }).collect()
    }
}

fn shown(route: &str) -> &str {
    if route.is_empty() { "*" } else { route }
}
