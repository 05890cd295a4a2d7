//! `ol-webhook list` and `show`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ol_chassis::Exit;
use ol_chassis::text::{Align, bytes, count, duration, table};
use serde::Serialize;

use super::{Work, times};
use crate::cli::{FilterPair, List, Which};
use crate::error::Result;
use crate::outbox::{Attempt, Counts, Filter, Message};
use crate::payload::{Value, parse};

/// A page of messages, for machines.
#[derive(Debug, Serialize)]
struct ListDocument {
    messages: Vec<Message>,
    counts: Counts,
    /// What to give as `--after` for the next page; absent on the last one.
    next: Option<i64>,
}

/// The filter that the flags describe.
pub(super) fn filter(which: &Which, now_ms: i64) -> Result<Filter> {
    let mut filter = Filter {
        kind: which.kind.map(|kind| kind.word().to_owned()),
        entity: which.entity.clone(),
        since_ms: which.since.as_deref().map(|text| times::parse(text, now_ms)).transpose()?,
        ..Filter::default()
    };
    for pair in &which.filter {
        match pair {
            FilterPair::State(state) => filter.state = Some(*state),
            FilterPair::Class(class) => filter.class = Some(*class),
            FilterPair::Reason(reason) => filter.reason = Some(reason.clone()),
            FilterPair::Kind(kind) => filter.kind = Some(kind.word().to_owned()),
            FilterPair::Entity(glob) => filter.entity = Some(glob.clone()),
            FilterPair::Batch(batch) => filter.batch = Some(batch.clone()),
        }
    }
    Ok(filter)
}

pub(super) async fn list(work: &Work, arguments: &List) -> Result<Exit> {
    let outbox = work.outbox().await?;
    let mut filter = filter(&arguments.which, outbox.now_ms())?;
    filter.state = arguments.state.or(filter.state);
    filter.after = arguments.after;
    let messages = outbox.list(&filter, arguments.limit).await?;
    let next = messages
        .last()
        .filter(|_| messages.len() == arguments.limit)
        .map(|message| message.sequence);
    let document = ListDocument { messages, counts: outbox.counts("").await?, next };
    work.print(&document, list_text);
    Ok(Exit::Done)
}

fn list_text(document: &ListDocument) -> String {
    let columns = [
        ("id", Align::Left),
        ("kind", Align::Left),
        ("entity", Align::Left),
        ("state", Align::Left),
        ("attempts", Align::Right),
        ("bytes", Align::Right),
        ("due or settled", Align::Left),
        ("reason", Align::Left),
    ];
    let rows: Vec<Vec<String>> = document
        .messages
        .iter()
        .map(|message| {
            vec![
                message.id.clone(),
                message.kind.clone(),
                message.entity.clone(),
                message.state.clone(),
                message.attempts.to_string(),
                bytes(message.body_bytes.unsigned_abs()),
                times::show(message.settled_at_ms.unwrap_or(message.due_at_ms)),
                message.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let mut text = table(&columns, &rows);
    for message in &document.messages {
        if let (Some(sentence), "dead") = (&message.sentence, message.state.as_str()) {
            let _ = writeln!(text, "\n{} {}\n  {sentence}", message.id, message.entity);
        }
    }
    let counts: Vec<String> = document
        .counts
        .states
        .iter()
        .filter(|(_, number)| **number > 0)
        .map(|(state, number)| format!("{} {state}", count(number.unsigned_abs())))
        .collect();
    let in_all = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    let _ = writeln!(text, "\nIn the outbox: {in_all}");
    if let Some(next) = document.next {
        let _ = writeln!(text, "There may be more: --after {next}");
    }
    text
}

/// A message with its attempts, for machines.
#[derive(Debug, Serialize)]
struct ShowDocument {
    #[serde(flatten)]
    message: Message,
    /// The payload, with the values of `webhook.redacted_fields` taken out.
    payload: serde_json::Value,
    attempts_made: Vec<Attempt>,
}

pub(super) async fn show(work: &Work, id: &str) -> Result<Exit> {
    let outbox = work.outbox().await?;
    let message = outbox.message(id).await?;
    let body = outbox.body(id).await?;
    let mut payload = parse(&body).unwrap_or(Value::Null);
    redact(&mut payload, &work.settings.redacted_fields);
    let document = ShowDocument {
        message,
        payload: payload.to_serde().unwrap_or(serde_json::Value::Null),
        attempts_made: outbox.attempts(id).await?,
    };
    work.print(&document, show_text);
    Ok(Exit::Done)
}

fn redact(value: &mut Value, fields: &[String]) {
    match value {
        Value::Object(pairs) => {
            for (key, value) in pairs {
                if fields.contains(key) {
                    *value = Value::from("[redacted]");
                } else {
                    redact(value, fields);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, fields)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => {}
    }
}

fn show_text(document: &ShowDocument) -> String {
    let message = &document.message;
    let facts: BTreeMap<&str, String> = BTreeMap::from([
        ("1 kind", message.kind.clone()),
        ("2 entity", format!("{} (version {})", message.entity, message.version)),
        ("3 state", message.state.clone()),
        ("4 accepted", times::show(message.created_at_ms)),
        ("5 due", times::show(message.due_at_ms)),
        ("6 body", bytes(message.body_bytes.unsigned_abs())),
        ("7 content", message.content_hash.clone()),
    ]);
    let mut text = format!("{}\n", message.id);
    for (name, value) in facts {
        let _ = writeln!(text, "  {:<10}{value}", name.get(2..).unwrap_or(name));
    }
    let payload = serde_json::to_string_pretty(&document.payload).unwrap_or_default();
    let _ = writeln!(text, "\n{payload}\n");
    for attempt in &document.attempts_made {
        let seconds = std::time::Duration::from_millis(attempt.milliseconds.unsigned_abs());
        let _ = writeln!(
            text,
            "attempt {} at {} took {}: {} {}",
            attempt.number,
            times::show(attempt.started_at_ms),
            duration(seconds.as_secs_f64()),
            attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string()),
            attempt.reason.as_deref().unwrap_or("delivered"),
        );
        if let Some(sentence) = &attempt.sentence {
            let _ = writeln!(text, "  {sentence}");
        }
        if let Some(response) = attempt.response.as_ref().filter(|response| !response.is_empty()) {
            let shown: String = String::from_utf8_lossy(response).chars().take(400).collect();
            let _ = writeln!(text, "  answer: {shown}");
        }
    }
    text
}
