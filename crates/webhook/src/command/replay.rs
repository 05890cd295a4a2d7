//! `ol-webhook replay` and `drop`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ol_chassis::Exit;
use serde::Serialize;

use super::deliver::{self, DeliveryDocument};
use super::{Work, inspect};
use crate::cli::{Drop, Replay, Which};
use crate::config::seconds;
use crate::dagster::Reporter;
use crate::delivery::Until;
use crate::error::{Definite, Error, Result};
use crate::failpoints;
use crate::outbox::{Outbox, Replayed, State};

/// Messages of a page when a filter selects them.
const PAGE: usize = 500;

/// What became of each message, for machines.
#[derive(Debug, Default, Serialize)]
struct ReplayDocument {
    outcome: &'static str,
    /// How many came to each end.
    counts: BTreeMap<String, u64>,
    /// The first hundred.
    messages: Vec<(String, Replayed)>,
    delivery: Option<DeliveryDocument>,
}

impl ReplayDocument {
    fn add(&mut self, id: String, replayed: Replayed) {
        let word = serde_json::to_value(replayed).ok();
        let word = word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        *self.counts.entry(word.to_owned()).or_default() += 1;
        if self.messages.len() < 100 {
            self.messages.push((id, replayed));
        }
    }

    fn count(&self, word: &str) -> u64 {
        self.counts.get(word).copied().unwrap_or_default()
    }
}

pub(super) async fn replay(work: &Work, arguments: &Replay) -> Result<Exit> {
    let outbox = work.outbox().await?;
    let mut document = ReplayDocument::default();
    let mut selection = Selection::new(&outbox, &arguments.ids, &arguments.which)?;
    let origin = if arguments.deliver { super::run_id() } else { String::new() };
    while let Some(page) = selection.next_page().await? {
        for id in page {
            let replayed = outbox.replay(&id, arguments.force, &origin).await?;
            failpoints::hit(failpoints::REPLAYED);
            document.add(id, replayed);
        }
    }
    let mut exits = Vec::new();
    if document.count("missing") > 0 || (document.count("queued") == 0 && !arguments.ids.is_empty())
    {
        exits.push(Exit::Definite);
    }
    let reporter = Reporter::new(work.pipes.clone());
    if arguments.deliver {
        let until = Until::Idle(seconds(work.settings.delivery.patience_seconds));
        let (delivery, exit) = deliver::deliver(work, outbox, until, &reporter, &origin).await?;
        exits.push(exit);
        document.delivery = Some(delivery);
    }
    let exit = Exit::worst(exits);
    reporter.finish(exit);
    document.outcome = super::outcome(exit);
    work.print(&document, text);
    Ok(exit)
}

pub(super) async fn drop_messages(work: &Work, arguments: &Drop) -> Result<Exit> {
    let outbox = work.outbox().await?;
    let mut document = ReplayDocument::default();
    let mut selection = Selection::new(&outbox, &arguments.ids, &arguments.which)?;
    while let Some(page) = selection.next_page().await? {
        for id in page {
            let dropped = outbox.drop_message(&id, &arguments.reason).await?;
            document.add(id, dropped);
        }
    }
    let is_whole = document.count("missing") + document.count("leased") == 0;
    let exit = if is_whole { Exit::Done } else { Exit::Definite };
    document.outcome = if is_whole { "done" } else { "blocked" };
    work.print(&document, text);
    Ok(exit)
}

fn text(document: &ReplayDocument) -> String {
    let counts: Vec<String> =
        document.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let in_all =
        if counts.is_empty() { "no message selected".to_owned() } else { counts.join(", ") };
    let mut text = format!("{}: {in_all}\n", document.outcome);
    for (id, replayed) in &document.messages {
        let why = match replayed {
            Replayed::Queued => "will be sent",
            Replayed::Overtaken => {
                "left alone: a newer message of its entity was accepted (--force)"
            }
            Replayed::Unsettled => "is on its way",
            Replayed::Dropped => "taken away",
            Replayed::Leased => "left alone: a worker has it just now",
            Replayed::Missing => "there is no such message",
        };
        let _ = writeln!(text, "  {id} {why}");
    }
    if let Some(delivery) = &document.delivery {
        text.push_str(&deliver::text(delivery));
    }
    text
}

/// The messages that ids or a filter select, a page at a time.
struct Selection<'a> {
    outbox: &'a Outbox,
    ids: Option<Vec<String>>,
    filter: crate::outbox::Filter,
}

impl<'a> Selection<'a> {
    fn new(outbox: &'a Outbox, ids: &[String], which: &Which) -> Result<Self> {
        let mut filter = inspect::filter(which, outbox.now_ms())?;
        let by_filter = which.kind.is_some()
            || which.entity.is_some()
            || which.since.is_some()
            || !which.filter.is_empty();
        if ids.is_empty() != by_filter {
            return Err(Error::new(Definite::Configuration)
                .with("reason", "say which messages, by --id or by a filter")
                .advise("Give --id ID, or --since, --kind, --entity or --filter; --filter state=dead is all dead letters."));
        }
        filter.state = filter.state.or(Some(State::Dead));
        Ok(Self { outbox, ids: (!ids.is_empty()).then(|| ids.to_vec()), filter })
    }

    async fn next_page(&mut self) -> Result<Option<Vec<String>>> {
        if let Some(ids) = &mut self.ids {
            let page = std::mem::take(ids);
            return Ok((!page.is_empty()).then_some(page));
        }
        let page = self.outbox.list(&self.filter, PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.filter.after = Some(last.sequence);
        Ok(Some(page.into_iter().map(|message| message.id).collect()))
    }
}
