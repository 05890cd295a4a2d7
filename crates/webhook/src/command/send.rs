//! `ol-webhook send` and `diff`: from input to bodies.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use ol_chassis::Exit;
use ol_chassis::config::Platform;
use ol_chassis::text::count;
use serde::Serialize;
use tokio::sync::mpsc;

use super::Work;
use super::deliver::{self, DeliveryDocument};
use crate::cli::{Diff, Send};
use crate::config::seconds;
use crate::dagster::{self, Reporter};
use crate::delivery::Until;
use crate::error::{Definite, Error, Result};
use crate::failpoints;
use crate::flows::{self, LakeNotices};
use crate::input;
use crate::intake::{self, Intake, IntakeReport};
use crate::outbox::Outbox;
use crate::payload::{Kind, Problem, build};
use crate::policy::sentence;

/// Lines that are read ahead of the outbox.
const LINES_AHEAD: usize = 256;

/// What `send` came to, for machines.
#[derive(Debug, Serialize)]
struct SendDocument {
    /// `done`, `retry` or `blocked`.
    outcome: &'static str,
    #[serde(flatten)]
    report: IntakeReport,
    /// Why what vanished was not deleted, if it was not.
    guarded: Option<String>,
    /// What was delivered, with `--deliver`.
    delivery: Option<DeliveryDocument>,
}

pub(super) async fn execute(work: &Work, arguments: &Send) -> Result<Exit> {
    intake::check_kind(arguments.kind, &work.settings)?;
    // With --deliver this run answers for what it sends, and for nothing else.
    let origin = if arguments.deliver { super::run_id() } else { String::new() };
    let outbox = work.outbox().await?;
    let mut intake = Intake::new(
        outbox.clone(),
        work.settings.clone(),
        arguments.kind,
        arguments.input.source.as_deref(),
        arguments.force,
        &origin,
        work.context.clock.as_ref(),
    )?;
    if arguments.complete {
        intake.complete_scope()?;
    }
    let read = read(work, arguments, &outbox, &mut intake).await;
    // What was read before a line that is none is in the outbox, as the advice says.
    intake.finish().await?;
    read?;
    let mut guarded = None;
    if arguments.complete
        && let Err(error) = intake.delete_vanished(arguments.allow_vanish).await
    {
        if error.failure() != Definite::VanishGuarded.into() {
            return Err(error);
        }
        tracing::error!(%error, "nothing that vanished is deleted");
        guarded = Some(sentence(&error));
    }
    let report = intake.report();
    let mut exits = Vec::new();
    if report.refused + report.still_dead > 0 || guarded.is_some() {
        exits.push(Exit::Definite);
    }
    let reporter = Reporter::new(work.pipes.clone());
    let mut delivery = None;
    if arguments.deliver {
        let until = Until::Idle(seconds(work.settings.delivery.patience_seconds));
        let (document, exit) =
            deliver::deliver(work, outbox.clone(), until, &reporter, &origin).await?;
        exits.push(exit);
        delivery = Some(document);
    }
    let exit = Exit::worst(exits);
    reporter.refused(&report);
    for id in &report.unchanged_ids {
        reporter.unchanged(&outbox.message(id).await?, &outbox.attempts(id).await?);
    }
    reporter.finish(exit);
    failpoints::hit(failpoints::REPORT);
    let outcome = super::outcome(exit);
    work.print(&SendDocument { outcome, report, guarded, delivery }, text);
    Ok(exit)
}

/// Reads the one input that the flags name.
async fn read(work: &Work, arguments: &Send, outbox: &Outbox, intake: &mut Intake) -> Result<()> {
    let one = input::from_flags(&arguments.input, arguments.kind)?;
    let named = [
        one.is_some(),
        arguments.lines.is_some(),
        arguments.table.is_some(),
        arguments.query.is_some(),
    ];
    if named.iter().filter(|is_named| **is_named).count() > 1 {
        return Err(Error::new(Definite::Configuration).with(
            "reason",
            "flags of a payload, --lines, --table and --query are four inputs; give one",
        ));
    }
    if let Some(value) = one {
        return intake.offer(1, Ok(value)).await;
    }
    let query = match (&arguments.query, &arguments.table) {
        (Some(query), _) => Some(query.clone()),
        (None, Some(table)) => Some(format!("SELECT * FROM {}", quoted(table))),
        (None, None) => None,
    };
    if let Some(query) = query {
        let platform = Platform::from_variables(&work.variables).await?;
        let fresh = Intake::new(
            outbox.clone(),
            work.settings.clone(),
            arguments.kind,
            arguments.input.source.as_deref(),
            arguments.force,
            "",
            work.context.clock.as_ref(),
        )?;
        let notices =
            LakeNotices { query, kind: arguments.kind, intake: std::mem::replace(intake, fresh) };
        let runner = dagster::flow_runner(&work.pipes);
        *intake = flows::notices_of_lake(&runner, platform, outbox.clone(), notices).await?;
        return Ok(());
    }
    let path = match &arguments.lines {
        Some(path) => path.clone(),
        None if std::io::stdin().is_terminal() => {
            return Err(Error::new(Definite::Configuration)
                .with("reason", "no payload is given")
                .advise("Give a payload by flags, --payload, --lines FILE, --table or --query; `ol-webhook send --help` has examples."));
        }
        None => PathBuf::from("-"),
    };
    lines(work, &path, arguments.kind, intake).await
}

async fn lines(work: &Work, path: &Path, kind: Kind, intake: &mut Intake) -> Result<()> {
    let (sender, mut receiver) = mpsc::channel(LINES_AHEAD);
    let bar = work.context.progress.bar("reading", None, ol_chassis::progress::Unit::Messages);
    let reading = tokio::spawn(input::read_lines(path.to_owned(), sender));
    while let Some((number, line)) = receiver.recv().await {
        if work.context.shutdown.is_requested() {
            return Err(Error::new(crate::error::Transient::Stopped).with("lines", number - 1));
        }
        intake.offer(number, input::object(line.trim_ascii(), kind)).await?;
        bar.add(1);
    }
    reading.await.map_err(|panic| Error::new(Definite::Defect).because(panic))?
}

/// `namespace.table` with each part in quotes, so that a name is never SQL.
fn quoted(table: &str) -> String {
    let parts: Vec<String> =
        table.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    parts.join(".")
}

fn text(document: &SendDocument) -> String {
    let report = &document.report;
    let mut text = format!(
        "{}: {} rows, {} accepted, {} unchanged, {} superseded, {} tombstones, {} refused, {} dead still\n",
        document.outcome,
        count(report.rows),
        count(report.accepted),
        count(report.unchanged),
        count(report.superseded),
        count(report.tombstones),
        count(report.refused),
        count(report.still_dead)
    );
    for (word, rows) in [("refused", &report.refusals), ("warning", &report.warnings)] {
        for row in rows {
            for problem in &row.problems {
                let _ = writeln!(text, "  {word}: row {}: {problem}", row.row);
            }
        }
    }
    for message in &report.messages {
        let _ = writeln!(text, "  {} {} {}", message.id, message.kind, message.entity);
    }
    if let Some(reason) = &document.guarded {
        let _ = writeln!(text, "\nNothing that vanished is deleted:\n  {reason}");
    }
    if let Some(delivery) = &document.delivery {
        text.push_str(&deliver::text(delivery));
    }
    text
}

/// What `diff` found, for machines.
#[derive(Debug, Serialize)]
struct DiffDocument {
    equal: bool,
    /// The first byte that differs.
    offset_bytes: Option<usize>,
    ours_bytes: usize,
    golden_bytes: usize,
    problems: Vec<Problem>,
}

/// Compares the body of a payload with a golden one.
pub(super) fn diff(work: &Work, arguments: &Diff) -> Result<Exit> {
    let golden = ol_chassis::fs::read(&arguments.golden)?;
    let input = input::from_flags(&arguments.input, arguments.kind)?
        .ok_or_else(|| Error::new(Definite::Configuration).with("reason", "no payload is given"))?;
    let options = intake::options(
        &work.settings,
        arguments.input.source.as_deref(),
        work.context.clock.as_ref(),
    );
    let (ours, problems) = match build(arguments.kind, input, &options) {
        Ok(payload) => (payload.body, payload.warnings),
        Err(problems) => (Vec::new(), problems),
    };
    let differs = ours.iter().zip(&golden).position(|(a, b)| a != b);
    let shorter = ours.len().min(golden.len());
    let offset_bytes = differs.or((ours.len() != golden.len()).then_some(shorter));
    let document = DiffDocument {
        equal: offset_bytes.is_none(),
        offset_bytes,
        ours_bytes: ours.len(),
        golden_bytes: golden.len(),
        problems,
    };
    work.print(&document, |document| {
        let around = |bytes: &[u8]| {
            let start = offset_bytes.unwrap_or(0).saturating_sub(30);
            let end = bytes.len().min(start + 60);
            String::from_utf8_lossy(bytes.get(start..end).unwrap_or_default()).into_owned()
        };
        let mut text = match document.offset_bytes {
            None => format!("The bodies are equal: {} bytes\n", document.ours_bytes),
            Some(offset) => format!(
                "The bodies differ from byte {offset} on\n  ours   {}\n  golden {}\n",
                around(&ours),
                around(&golden)
            ),
        };
        for problem in &document.problems {
            let _ = writeln!(text, "  {problem}");
        }
        text
    });
    Ok(if document.equal { Exit::Done } else { Exit::Definite })
}
