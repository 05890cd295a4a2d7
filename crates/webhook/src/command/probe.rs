//! `ol-webhook probe`: is the secret right, are the routes there? Nothing is enqueued at the receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use ol_chassis::Exit;
use serde::Serialize;

use super::{Work, deliver};
use crate::attempt::{Attempter, Found};
use crate::cli::Probe;
use crate::error::Result;
use crate::payload::Kind;
use crate::policy::{Class, policy, sentence};

/// What a route answered, for machines.
#[derive(Debug, Serialize)]
struct Route {
    route: &'static str,
    kinds: Vec<Kind>,
    /// `healthy`, or the kind of failure.
    result: String,
    class: Option<Class>,
    sentence: String,
}

/// What every route answered, for machines.
#[derive(Debug, Serialize)]
struct ProbeDocument {
    outcome: &'static str,
    base_url: String,
    routes: Vec<Route>,
}

/// The address without what may be a password.
fn shown(base: &url::Url) -> String {
    let mut base = base.clone();
    // A URL with a host takes both.
    let _ = (base.set_username(""), base.set_password(None));
    base.to_string()
}

pub(super) async fn execute(work: &Work, arguments: &Probe) -> Result<Exit> {
    let (target, transport) = deliver::receiver(work).await?;
    let attempter = Attempter::new(
        Arc::clone(&target),
        Arc::new(transport),
        Arc::clone(&work.context.clock),
        work.settings.trace_header,
    );
    let mut kinds: BTreeMap<&'static str, Vec<Kind>> = BTreeMap::new();
    for kind in Kind::ALL {
        let is_wanted = match arguments.kind {
            Some(wanted) => wanted == kind,
            None => kind.off_reason().is_none() || work.settings.learning_resources_enabled,
        };
        if is_wanted {
            kinds.entry(kind.route()).or_default().push(kind);
        }
    }
    let (mut routes, mut exits) = (Vec::new(), Vec::new());
    for (route, kinds) in kinds {
        let found = attempter.ask(route, &target.secrets()).await;
        let (result, class, sentence) = match found {
            Ok(Found::Healthy) => (
                "healthy".to_owned(),
                None,
                "The secret is right and the route is there".to_owned(),
            ),
            Ok(Found::Secret(_, position)) => (
                "healthy".to_owned(),
                None,
                format!(
                    "The route is there; the receiver knows our secret number {}",
                    position + 1
                ),
            ),
            Ok(Found::Failed(error)) | Err(error) => {
                let policy = policy(error.failure());
                exits.push(policy.exit);
                (error.failure().word(), Some(policy.class), sentence(&error))
            }
        };
        routes.push(Route { route, kinds, result, class, sentence });
    }
    let exit = Exit::worst(exits);
    let outcome = super::outcome(exit);
    let document = ProbeDocument { outcome, base_url: shown(target.base()), routes };
    work.print(&document, |document| {
        let lines: Vec<String> = document
            .routes
            .iter()
            .map(|route| format!("{}\n  {}: {}", route.route, route.result, route.sentence))
            .collect();
        format!("{} at {}\n{}\n", document.outcome, document.base_url, lines.join("\n"))
    });
    Ok(exit)
}
