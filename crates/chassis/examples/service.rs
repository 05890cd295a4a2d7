//! A whole binary on the chassis: it does what it is told until it is asked to stop.
//!
//! ```sh
//! cargo run -p ol-chassis --example service -- wait --metrics-address 127.0.0.1:9464
//! ```

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use ol_chassis::cli::{self, Context, Failure, GlobalOptions, Shell};
use ol_chassis::progress::Unit;
use ol_chassis::{Error, Exit};

/// Shows how a binary starts, works and stops
#[derive(Debug, Parser)]
#[command(name = "service", version)]
struct Arguments {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Work until asked to stop
    Wait,
    /// Ignore the first request to stop
    Stubborn,
    /// Fail with an advice
    Fail,
    /// Panic
    Panic,
    /// Write the completion script of a shell
    Completion {
        /// Which shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    let command = arguments.command.clone();
    cli::run("service", env!("CARGO_PKG_VERSION"), &arguments.global, Vec::new(), |context| {
        work(command, context)
    })
}

#[tracing::instrument(skip(context))]
async fn work(command: Command, context: Context) -> Result<Exit, Failure> {
    match command {
        Command::Wait => {
            let bar = context.progress.bar("waiting", None, Unit::Rows);
            tracing::info!("ready");
            while !context.shutdown.is_requested() {
                bar.add(1);
                tokio::select! {
                    () = context.shutdown.requested() => {}
                    () = context.clock.sleep(Duration::from_millis(100)) => {}
                }
            }
            Ok(Exit::Stopped)
        }
        Command::Stubborn => {
            tracing::info!("ready");
            context.shutdown.requested().await;
            context.clock.sleep(Duration::from_secs(3600)).await;
            Ok(Exit::Done)
        }
        Command::Fail => Err(Error::definite("Cannot read the table")
            .with("table", "users_user")
            .caused_by(std::io::Error::other("permission denied"))
            .advise("GRANT SELECT ON users_user TO reader")
            .into()),
        Command::Panic => panic!("a state nobody thought of"),
        Command::Completion { shell } => {
            cli::completion(&mut Arguments::command(), shell, &mut std::io::stdout())?;
            Ok(Exit::Done)
        }
    }
}
