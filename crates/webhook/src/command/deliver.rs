//! `ol-webhook deliver`, and what `send --deliver` and `replay --deliver` do after their own work.

use std::fmt::Write as _;
use std::sync::Arc;

use ol_chassis::Exit;
use ol_chassis::config::{Environment, Platform};
use ol_chassis::text::count;
use serde::Serialize;

use super::Work;
use crate::cli::Deliver;
use crate::config::seconds;
use crate::dagster::{self, Reporter};
use crate::delivery::{Courier, Summary, Until, system_chance};
use crate::egress::Rules;
use crate::error::Result;
use crate::failpoints;
use crate::flows;
use crate::outbox::{Filter, Outbox, State};
use crate::target::Learn;
use crate::transport::HttpTransport;

/// What a delivery came to, for machines.
#[derive(Debug, Serialize)]
pub(super) struct DeliveryDocument {
    /// `done`, `retry` or `blocked`.
    pub(super) outcome: &'static str,
    #[serde(flatten)]
    pub(super) summary: Summary,
}

pub(super) async fn execute(work: &Work, arguments: &Deliver) -> Result<Exit> {
    let patience = arguments.patience_seconds.unwrap_or(work.settings.delivery.patience_seconds);
    let until = if arguments.forever { Until::Stopped } else { Until::Idle(seconds(patience)) };
    let outbox = work.outbox().await?;
    let reporter = Reporter::new(work.pipes.clone());
    let (document, exit) = deliver(work, outbox, until, &reporter, "").await?;
    reporter.finish(exit);
    failpoints::hit(failpoints::REPORT);
    work.print(&document, text);
    Ok(exit)
}

/// Delivers what is in the outbox, or what the run `origin` put there.
pub(super) async fn deliver(
    work: &Work,
    outbox: Outbox,
    until: Until,
    reporter: &Reporter,
    origin: &str,
) -> Result<(DeliveryDocument, Exit)> {
    let (target, transport) = receiver(work).await?;
    let courier = Courier {
        outbox,
        target,
        transport: Arc::new(transport),
        settings: work.settings.clone(),
        clock: Arc::clone(&work.context.clock),
        shutdown: work.context.shutdown.clone(),
        progress: work.context.progress.clone(),
        observer: Arc::new(reporter.clone()),
        origin: origin.to_owned(),
        chance: system_chance(),
    };
    let own = courier.outbox.clone();
    let mut summary = flows::deliver(&dagster::flow_runner(&work.pipes), courier, until).await?;
    if !origin.is_empty() {
        settled_by_others(&own, origin, reporter, &mut summary).await?;
    }
    let exit = exit_of(&summary, until);
    let outcome = super::outcome(exit);
    Ok((DeliveryDocument { outcome, summary }, exit))
}

/// Other workers may have settled messages of this run: they are told of as if we had.
async fn settled_by_others(
    outbox: &Outbox,
    origin: &str,
    reporter: &Reporter,
    summary: &mut Summary,
) -> Result<()> {
    let counts = outbox.counts(origin).await?;
    let count = |state| u64::try_from(counts.of(state)).unwrap_or_default();
    let (delivered, dead) = (count(State::Delivered), count(State::Dead));
    if delivered <= summary.delivered && dead <= summary.dead {
        return Ok(());
    }
    summary.delivered = summary.delivered.max(delivered);
    summary.dead = summary.dead.max(dead);
    let filter = Filter { origin: Some(origin.to_owned()), ..Filter::default() };
    for message in outbox.list(&filter, 1000).await? {
        let attempts = outbox.attempts(&message.id).await?;
        reporter.settled_elsewhere(&message, &attempts);
    }
    Ok(())
}

/// MIT Learn, and a client that calls nobody else.
pub(super) async fn receiver(work: &Work) -> Result<(Arc<Learn>, HttpTransport)> {
    let learn = Learn::from_variables(&work.variables, work.settings.signature).await?;
    let environment: Environment = Platform::from_variables(&work.variables).await?.environment;
    let rules = Rules::new(learn.base(), environment, &work.settings.egress);
    let transport = HttpTransport::new(&work.settings, rules, Arc::clone(&work.context.clock))?;
    Ok((Arc::new(learn), transport))
}

/// What needs a person outranks what heals; what is left after a stop is for the next run.
fn exit_of(summary: &Summary, until: Until) -> Exit {
    let mut exits = Vec::new();
    if summary.dead > 0 || !summary.blocked.is_empty() {
        exits.push(Exit::Definite);
    }
    if summary.stopped && (summary.left > 0 || until == Until::Stopped) {
        exits.push(Exit::Stopped);
    } else if summary.left > 0 {
        exits.push(Exit::Transient);
    }
    Exit::worst(exits)
}

/// What a delivery came to, for people.
pub(super) fn text(document: &DeliveryDocument) -> String {
    let summary = &document.summary;
    let mut text = format!(
        "{}: {} delivered in {} attempts, {} dead, {} left\n",
        document.outcome,
        count(summary.delivered),
        count(summary.attempts),
        count(summary.dead),
        count(summary.left)
    );
    for (reason, times) in &summary.retried {
        let _ = writeln!(text, "  tried again: {reason} ({} times)", count(*times));
    }
    for dead in &summary.dead_letters {
        let _ = writeln!(text, "\n{} {}\n  {}", dead.id, dead.entity, dead.sentence);
    }
    for reason in &summary.blocked {
        let _ = writeln!(text, "\nNothing more is sent until this is mended:\n  {reason}");
    }
    text
}
