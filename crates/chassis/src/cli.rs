//! How a `main` starts and ends, the same in every binary.
//!
//! [`parse`] reads the command line (a mistake there is exit code 3, not clap's 2); [`run`] starts
//! logging, tracing, signals, metrics and the async runtime, runs the command, and turns what it
//! returns into one clear sentence, an advice and an exit code. A panic is a failure like any
//! other: reported, flushed, exit code 2.

use std::fmt;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub use clap_complete::Shell;

use crate::clock::{Clock, SystemClock};
use crate::error::{Cause, Error, chain};
use crate::exit::Exit;
use crate::metrics;
use crate::progress::Progress;
use crate::shutdown::Shutdown;
use crate::telemetry::{self, ExtraLayer, LogFormat, TelemetryOptions};

/// How long tasks left behind may take after the command has returned.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// The form of a command's result on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// The flags every binary takes, before or after its command: `#[command(flatten)]` it into the
/// parser.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// File of settings, laid over the built-in defaults
    #[arg(long, global = true, value_name = "FILE", env = "OL_CONFIG")]
    pub config: Option<PathBuf>,

    /// Form of the result on stdout
    #[arg(long, global = true, value_enum, value_name = "FORM", default_value = "text")]
    pub output: Output,

    /// Form of log lines on stderr [default: text on a terminal, json otherwise]
    #[arg(long, global = true, value_enum, value_name = "FORM", env = "OL_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,

    /// What is logged: a level, or directives such as info,ol_lake=debug [default: OL_LOG,
    /// RUST_LOG, info]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log_level: Option<String>,

    /// Serve Prometheus metrics at http://ADDRESS/metrics while running
    #[arg(long, global = true, value_name = "ADDRESS", env = "OL_METRICS_ADDRESS")]
    pub metrics_address: Option<SocketAddr>,
}

/// What a command gets to work with.
#[derive(Clone, Debug)]
pub struct Context {
    /// The request to stop; heed it at every safe point and end with [`Exit::Stopped`].
    pub shutdown: Shutdown,
    /// Bars on the terminal, if there is one.
    pub progress: Progress,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why a command ended without doing what was asked.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    advice: Option<String>,
    source: Cause,
}

impl Failure {
    /// A failure that ends the process with `exit` and tells `source` and its causes.
    pub fn new(exit: Exit, source: impl Into<Cause>) -> Self {
        Self { exit, advice: None, source: source.into() }
    }

    /// Says what to do next, in one sentence.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The code the process ends with.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let advice = error.advice().map(str::to_owned);
        Self { exit: error.exit(), advice, source: error.into() }
    }
}

/// The sentence, then `Advice: …` on a line of its own when there is one.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&chain(self.source.as_ref()))?;
        match &self.advice {
            Some(advice) => write!(formatter, "\nAdvice: {advice}"),
            None => Ok(()),
        }
    }
}

/// Parses the command line, or prints what is wrong with it and ends the process: 0 for `--help`
/// and `--version`, 3 for a mistake.
pub fn parse<P: clap::Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| {
        // Nothing is left to do when the terminal is gone.
        let _ = error.print();
        let exit = if error.use_stderr() { Exit::Configuration } else { Exit::Done };
        std::process::exit(exit.code().into())
    })
}

/// Writes the completion script of a command for `shell`.
///
/// # Errors
/// Definite, when `out` cannot be written to.
pub fn completion(
    command: &mut clap::Command,
    shell: Shell,
    out: &mut impl Write,
) -> Result<(), Error> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, command, name, &mut script);
    out.write_all(&script)
        .map_err(|source| Error::definite("Cannot write the completion script").caused_by(source))
}

/// Writes the document. A reader that has gone away (`| head`) is no failure of ours.
pub fn print(document: &str) {
    let mut stdout = std::io::stdout().lock();
    let written =
        stdout.write_all(document.trim_end().as_bytes()).and_then(|()| stdout.write_all(b"\n"));
    if let Err(error) = written {
        tracing::warn!(%error, "the document could not be written to stdout");
    }
}

/// Runs a command from start to exit code.
///
/// `service_name` is the binary's name and `service_version` its version. Further consumers of log
/// lines are `layers` (none: `Vec::new()`). On failure stderr ends with `error: …` and, where
/// something can be done, `Advice: …`.
pub fn run<Run, Running>(
    service_name: &'static str,
    service_version: &'static str,
    options: &GlobalOptions,
    layers: Vec<ExtraLayer>,
    command: Run,
) -> ExitCode
where
    Run: FnOnce(Context) -> Running,
    Running: Future<Output = Result<Exit, Failure>>,
{
    let progress = Progress::for_stderr();
    let telemetry = telemetry::init(TelemetryOptions {
        log_format: options.log_format,
        log_filter: options.log_level.clone(),
        progress: progress.clone(),
        layers,
        ..TelemetryOptions::new(service_name, service_version)
    });
    let outcome = match telemetry {
        Ok(guard) => {
            let outcome = run_in_runtime(options, progress, command);
            drop(guard);
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit().into()
        }
    }
}

fn run_in_runtime<Run, Running>(
    options: &GlobalOptions,
    progress: Progress,
    command: Run,
) -> Result<Exit, Failure>
where
    Run: FnOnce(Context) -> Running,
    Running: Future<Output = Result<Exit, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::transient("Cannot start the runtime").caused_by(source))?;
    let work = async {
        let shutdown = Shutdown::listen()?;
        if let Some(address) = options.metrics_address {
            metrics::serve(address)?;
        }
        let clock = Arc::new(SystemClock);
        Box::pin(command(Context { shutdown, progress, clock })).await
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    runtime.shutdown_timeout(LEFTOVER_TIMEOUT);
    outcome.unwrap_or_else(|_| {
        Err(Error::definite("The program met a state it does not know and stopped")
            .advise("This is a defect: report it with the panic message and the lines above it")
            .into())
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "ol-example")]
    struct Arguments {
        #[command(flatten)]
        global: GlobalOptions,
        #[command(subcommand)]
        command: Verb,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Verb {
        Run,
    }

    #[test]
    fn global_options_may_follow_the_command() {
        let line = ["ol-example", "run", "--output", "json", "--metrics-address", "127.0.0.1:9464"];
        let arguments = Arguments::try_parse_from(line).unwrap();
        assert_eq!(arguments.global.output, Output::Json);
        assert_eq!(arguments.global.metrics_address.unwrap().port(), 9464);
        assert!(matches!(arguments.command, Verb::Run));
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_shell_gets_a_completion_script() {
        use clap::ValueEnum;
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            completion(&mut Arguments::command(), *shell, &mut script).unwrap();
            assert!(String::from_utf8(script).unwrap().contains("metrics-address"), "{shell}");
        }
    }

    #[test]
    fn a_failure_is_a_sentence_and_an_advice() {
        let error = Error::transient("Cannot reach Vault")
            .with("VAULT_ADDR", "https://vault")
            .caused_by(std::io::Error::other("refused"))
            .advise("Try again");
        let failure = Failure::from(error);
        assert_eq!(failure.exit(), Exit::Transient);
        assert_eq!(
            failure.to_string(),
            "Cannot reach Vault (VAULT_ADDR: https://vault): refused\nAdvice: Try again"
        );
        let plain = Failure::new(Exit::Definite, std::io::Error::other("broken"));
        assert_eq!(plain.to_string(), "broken");
    }
}
