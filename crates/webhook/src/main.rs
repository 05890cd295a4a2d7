//! The binary `ol-webhook`: parse, run, exit code; nothing else.

use std::process::ExitCode;

use ol_pipes::Pipes;
use ol_webhook::cli::Cli;
use ol_webhook::command;

fn main() -> ExitCode {
    // Reads FAILPOINTS: without it no point is ever armed.
    #[cfg(feature = "failpoints")]
    let _armed = fail::FailScenario::setup();
    let cli: Cli = ol_chassis::cli::parse();
    // This process signs: its memory is nobody else's business.
    ol_chassis::process::seal();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pipes = match Pipes::open(&arguments) {
        Ok(pipes) => pipes,
        Err(error) => {
            eprintln!("error: {}", ol_chassis::error::chain(&error));
            eprintln!(
                "Advice: Start the binary by a Pipes client of Dagster 1.13, or without its variables."
            );
            return ol_chassis::Exit::Configuration.into();
        }
    };
    pipes.install_panic_hook();
    let layer = pipes.layer();
    let options = cli.global.clone();
    ol_chassis::cli::run(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        &options,
        vec![Box::new(layer)],
        |context| command::execute(cli, context, pipes),
    )
}
