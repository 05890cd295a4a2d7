//! What each command does: settings in, one document on stdout, an exit code.

mod deliver;
mod inspect;
mod listen;
mod probe;
mod replay;
mod send;
mod signing;
mod times;

use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory as _;
use ol_chassis::cli::{Context, Failure, Output, completion};
use ol_chassis::config::Variables;
use ol_chassis::secret::{SecretSource, SecretUrl};
use ol_chassis::{Exit, error::chain};
use ol_pipes::{Exception, Pipes};
use serde::Serialize;

use crate::cli::{Cli, Command};
use crate::config::{Config, Webhook};
use crate::error::{Definite, Error, Result};
use crate::outbox::Outbox;
use crate::policy::{advice, policy};

/// Where the outbox is when nobody says.
const DEFAULT_OUTBOX: &str = "sqlite:.ol/outbox.db";

/// What every command gets to work with.
struct Work {
    settings: Webhook,
    variables: Variables,
    context: Context,
    pipes: Pipes,
    json: bool,
}

/// Carries out the command line, and tells Dagster how it ended.
///
/// # Errors
/// What ended the process before there was a report.
pub async fn execute(
    cli: Cli,
    context: Context,
    pipes: Pipes,
) -> std::result::Result<Exit, Failure> {
    let ended = Box::pin(dispatch(cli, context, pipes.clone())).await;
    let exception = match &ended {
        Ok(Exit::Done) => None,
        Ok(exit) => Some(
            Exception::of(format!(
                "The run ended with exit code {}; its log has the reasons",
                exit.code()
            ))
            .named("RunNotDone"),
        ),
        Err(error) => {
            crate::dagster::failed(&pipes, error);
            Some(Exception::from_error(error))
        }
    };
    if let Err(error) = pipes.close(exception) {
        tracing::warn!(error = %chain(&error), "Dagster was not told how the run ended");
    }
    ended.map_err(|error| {
        let exit = policy(error.failure()).exit;
        let advice = advice(&error);
        Failure::new(exit, error).advise(advice)
    })
}

async fn dispatch(cli: Cli, context: Context, pipes: Pipes) -> Result<Exit> {
    let work = Work {
        settings: Config::load(cli.global.config.as_deref())?.webhook,
        variables: Variables::process(),
        context,
        pipes,
        json: cli.global.output == Output::Json,
    };
    match cli.command {
        Command::Completion { shell } => {
            completion(&mut Cli::command(), shell, &mut std::io::stdout())?;
            Ok(Exit::Done)
        }
        Command::Send(arguments) => Box::pin(send::execute(&work, &arguments)).await,
        Command::Deliver(arguments) => Box::pin(deliver::execute(&work, &arguments)).await,
        Command::List(arguments) => inspect::list(&work, &arguments).await,
        Command::Show { id } => inspect::show(&work, &id).await,
        Command::Replay(arguments) => Box::pin(replay::replay(&work, &arguments)).await,
        Command::Drop(arguments) => replay::drop_messages(&work, &arguments).await,
        Command::Probe(arguments) => probe::execute(&work, &arguments).await,
        Command::Sign(arguments) => signing::sign(&work, &arguments).await,
        Command::Check(arguments) => signing::check(&work, &arguments).await,
        Command::Listen(arguments) => listen::execute(&work, arguments).await,
        Command::Diff(arguments) => send::diff(&work, &arguments),
    }
}

impl Work {
    /// Opens the outbox that `OL_OUTBOX` names.
    async fn outbox(&self) -> Result<Outbox> {
        let address = match SecretSource::from_variables("OL_OUTBOX", &self.variables)? {
            Some(source) => source.read_url().await?,
            None => SecretUrl::parse(DEFAULT_OUTBOX)?,
        };
        Outbox::open(&address, Arc::clone(&self.context.clock)).await
    }

    /// Prints the document in the form that was asked for.
    fn print<D: Serialize>(&self, document: &D, text: impl FnOnce(&D) -> String) {
        if self.json {
            let json = serde_json::to_string(document).unwrap_or_else(|_| "null".to_owned());
            ol_chassis::cli::print(&json);
        } else {
            ol_chassis::cli::print(&text(document));
        }
    }
}

/// The word of an exit code in a document.
fn outcome(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Transient | Exit::Stopped => "retry",
        Exit::Definite | Exit::Configuration => "blocked",
    }
}

/// A name for this run, by which its messages are told from others.
fn run_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// The bytes of a file, or of standard input for `-`.
fn read_body(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return Ok(ol_chassis::fs::read(path)?);
    }
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)
        .map_err(|error| Error::new(Definite::InputInvalid).with("file", "-").because(error))?;
    Ok(bytes)
}
