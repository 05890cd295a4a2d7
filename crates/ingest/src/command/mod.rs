//! What each command does: settings in, one document on stdout, an exit code.

mod discover;
mod maintain;
mod plan;
mod status;
mod verify;

use clap::CommandFactory as _;
use globset::{Glob, GlobSet, GlobSetBuilder};
use ol_chassis::cli::{Context, Failure, Output, completion, print};
use ol_chassis::config::Platform;
use ol_chassis::{Exit, error::chain};
use ol_pipes::{Exception, Pipes};

use crate::cli::{Cli, Command, Selection};
use crate::config::Config;
use crate::error::{Definite, Error};
use crate::inventory::{self, Inventory};
use crate::policy::{advice, policy};
use crate::run::{self, RunContext};

/// Carries out the command line, and tells Dagster how it ended.
///
/// # Errors
/// What ended the process before there was a report.
pub async fn execute(cli: Cli, context: Context, pipes: Pipes) -> Result<Exit, Failure> {
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
        Err(error) => Some(Exception::from_error(error)),
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

async fn dispatch(cli: Cli, context: Context, pipes: Pipes) -> Result<Exit, Error> {
    let json = cli.global.output == Output::Json;
    match cli.command {
        Command::Completion { shell } => {
            completion(&mut Cli::command(), shell, &mut std::io::stdout())?;
            Ok(Exit::Done)
        }
        Command::Discover(arguments) => discover::execute(&arguments, json).await,
        Command::Plan(arguments) => plan::execute(&arguments, json).await,
        Command::Run(arguments) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let inventory = select(&arguments.selection)?;
            let run_context = RunContext {
                platform: Platform::from_environment().await?,
                config,
                shutdown: context.shutdown,
                progress: context.progress,
                clock: context.clock,
                pipes,
                allow_shrink: globs(&arguments.allow_shrink)?,
                from: arguments.from,
            };
            let report = run::run(&run_context, inventory).await?;
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(report.exit())
        }
        Command::Verify(selection) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let report = verify::execute(&selection, &config, &context).await?;
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(report.exit())
        }
        Command::Status(selection) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let report = status::status(&selection, &config).await?;
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(Exit::Done)
        }
        Command::Reset(selection) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let report = status::reset(&selection, &config).await?;
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(Exit::Done)
        }
        Command::Maintain(arguments) => {
            let config = Config::load(cli.global.config.as_deref())?;
            maintain::execute(&arguments, &config, context.clock.now(), json).await
        }
    }
}

/// The selected part of an inventory; units of other loaders are named in the log.
fn select(selection: &Selection) -> Result<Inventory, Error> {
    let inventory = inventory::load(&selection.inventory)?;
    for unit in &inventory.skipped {
        tracing::info!(unit = %unit.id, loader = unit.loader, "the unit belongs to another loader");
    }
    Ok(inventory.select(&selection.units, &selection.tables)?)
}

fn globs(patterns: &[String]) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| bad_glob(pattern, error))?);
    }
    set.build().map_err(|error| bad_glob("", error))
}

fn bad_glob(pattern: &str, error: globset::Error) -> Error {
    Error::new(Definite::Configuration).with("pattern", pattern).because(error)
}
