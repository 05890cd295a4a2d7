//! What each command does: settings in, one document on stdout, an exit code.

mod adopt;
mod compare;
mod discover;
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
use crate::inventory::{self, Inventory, ReplicationMethod};
use crate::maintain;
use crate::policy::{advice, policy};
use crate::run::{self, Reporter, RunContext, Until};
use crate::source::mysql;

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
        Command::Discover(arguments) => discover::execute(&arguments, &context, json).await,
        Command::Plan(arguments) => plan::execute(&arguments, &context, json).await,
        Command::Run(arguments) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let selected = select(&arguments.selection)?;
            let inventory = with_whole_slots(&arguments.selection, &selected)?;
            let run_context = RunContext {
                platform: Platform::from_environment().await?,
                config,
                shutdown: context.shutdown,
                progress: context.progress,
                clock: context.clock,
                pipes,
                allow_shrink: globs(&arguments.allow_shrink)?,
                from: arguments.from,
                from_slot: None,
            };
            let report = run::run(&run_context, inventory, Until::CaughtUp).await?;
            let report = report.of(&selected);
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(report.exit())
        }
        Command::Stream(arguments) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let selection = Selection {
                inventory: arguments.inventory,
                units: arguments.units,
                tables: Vec::new(),
            };
            let inventory = followed(select(&selection)?)?;
            let run_context = RunContext {
                platform: Platform::from_environment().await?,
                config,
                shutdown: context.shutdown,
                progress: context.progress,
                clock: context.clock,
                pipes,
                allow_shrink: globs(&[])?,
                from: Vec::new(),
                from_slot: arguments.from_slot,
            };
            let until = if arguments.until_caught_up { Until::CaughtUp } else { Until::Stopped };
            let report = run::run(&run_context, inventory, until).await?;
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(report.exit())
        }
        Command::Verify(arguments) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let report = Box::pin(verify::execute(&arguments, &config, &context)).await?;
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
        Command::Adopt(arguments) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let report = adopt::execute(&arguments, &config, &context).await?;
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(report.exit())
        }
        Command::Compare(arguments) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let report = Box::pin(compare::execute(&arguments, config, context)).await?;
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(report.exit())
        }
        Command::Maintain(arguments) => {
            let config = Config::load(cli.global.config.as_deref())?;
            let tables = globs(&arguments.tables)?;
            let report =
                Box::pin(maintain::execute(&arguments, &tables, &config, &context)).await?;
            Reporter::new(pipes).maintained(&report);
            print(&if json { report.to_json() } else { report.to_text() });
            Ok(report.exit())
        }
    }
}

/// How a MySQL source is opened by a command that reads no rows, or those of one table at a time.
fn opening(databases: Vec<String>, context: &Context) -> mysql::session::Opening {
    mysql::session::Opening {
        databases,
        streams: 1,
        now_microseconds: run::microseconds(context.clock.now()),
        shutdown: context.shutdown.clone(),
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

/// The selected tables, and those that share a replication slot with one of them: a slot passes all its tables at once.
fn with_whole_slots(selection: &Selection, selected: &Inventory) -> Result<Inventory, Error> {
    let whole = inventory::load(&selection.inventory)?;
    let mut wider = selected.clone();
    for unit in &mut wider.units {
        let Some(all) = whole.units.iter().find(|all| all.id == unit.id) else { continue };
        if unit.tables.iter().any(|table| all.follows(table)) {
            let mine = std::mem::replace(&mut unit.tables, all.tables.clone());
            unit.tables.retain(|table| all.follows(table) || mine.contains(table));
        }
    }
    Ok(wider)
}

/// The tables of an inventory that can be followed by their changes.
fn followed(mut inventory: Inventory) -> Result<Inventory, Error> {
    for unit in &mut inventory.units {
        if unit.replication_method != ReplicationMethod::Cdc {
            return Err(Error::new(Definite::ModeUnsupported)
                .with("unit", &unit.id)
                .with("replication_method", unit.replication_method));
        }
        unit.tables.retain(|table| table.sync_mode.is_incremental());
    }
    Ok(inventory)
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
