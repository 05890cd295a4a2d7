//! Builds, checks and exports the architecture site.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use c4gen::error::Error;
use c4gen::export::{self, Format};
use c4gen::import::mapping::{Comparison, Mapping};
use c4gen::import::{self, Imported, Origin};
use c4gen::layout::elk::Elk;
use c4gen::observed::Observed;
use c4gen::released::Released;
use c4gen::{check, collect, diff, site, workspace};
use c4model::platform::{ArchitectureSite, Workspace};
use c4model::{Endpoint, Runner, declared};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ol_chassis::exit::Exit;
use serde_json::{Value, json};

/// Collects what the crates declare, checks it and draws it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// Root of the workspace; found upwards from the current folder when not given.
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// How the result is printed on standard output.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Subcommand)]
enum Command {
    /// Write the architecture site.
    Build {
        /// Folder to write it to.
        #[arg(long, value_name = "DIR", default_value = "docs/architecture")]
        out: PathBuf,
        /// What was seen running, as `c4gen observe` writes it.
        #[arg(long, value_name = "FILE")]
        observed: Option<PathBuf>,
        /// What files of others tell.
        #[command(flatten)]
        imported: ImportedFiles,
    },
    /// Check the model, its evidence, the checked-in files, the crates' dependencies and the
    /// diagrams. Exit code 2 when something does not hold.
    Check {
        /// What was seen running, as `c4gen observe` writes it: what ran undeclared is found, too.
        #[arg(long, value_name = "FILE")]
        observed: Option<PathBuf>,
        /// What files of others tell: what is imported and not declared is found, and the reverse.
        #[command(flatten)]
        imported: ImportedFiles,
    },
    /// Compare the model of two commits, or of one with the code as it is: Markdown on standard
    /// output. Exit code 2 when something differs and --exit-code is given.
    Diff {
        /// `BEFORE..AFTER` as git names commits; without `..AFTER`, the code as it is.
        range: String,
        /// Folder to write `architecture-diff.svg` and `architecture-diff.md` to.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Say by the exit code whether something differs.
        #[arg(long)]
        exit_code: bool,
        /// What files of others tell; it is added to the newer side.
        #[command(flatten)]
        imported: ImportedFiles,
    },
    /// Fold lines of logs, run records or OpenLineage events into one file of what was seen running.
    Observe {
        /// Files with one JSON document a line; other lines are passed over.
        #[arg(required = true, value_name = "FILE")]
        events: Vec<PathBuf>,
        /// The file to write; what it already holds is kept and added to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Read elements and flows from files that exist already: JSON on standard output, the same bytes for
    /// the same files. `build`, `check` and `diff` take it by --imported.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import {
        /// What the files are.
        #[arg(value_enum, value_name = "KIND")]
        origin: Origin,
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// File to write instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write architecture.json and architecture.layout.json at the root of the workspace, or the model
    /// in the language of another tool on standard output.
    Export {
        /// Language to print the model in, instead of writing the files.
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// Write architecture.released.json instead: the model of this release, with which the page of
        /// changes compares from now on.
        #[arg(long, value_name = "VERSION", conflicts_with = "format")]
        release: Option<String>,
    },
}

/// What was imported, and what it stands for.
#[derive(Args)]
struct ImportedFiles {
    /// What `c4gen import` wrote; may be given several times.
    #[arg(long, value_name = "FILE")]
    imported: Vec<PathBuf>,
    /// Which declared elements the imported ones stand for; architecture.imported.toml at the root when
    /// not given.
    #[arg(long, value_name = "FILE", requires = "imported")]
    mapping: Option<PathBuf>,
}

impl ImportedFiles {
    fn read(&self, root: &Path) -> Result<Option<(Imported, Mapping)>, Error> {
        let mut all: Option<Imported> = None;
        for path in &self.imported {
            let one = Imported::read(path)?;
            all = Some(match all {
                None => one,
                Some(before) => before.with(one),
            });
        }
        let default = root.join(workspace::MAPPING_FILE);
        let mapping = self.mapping.as_deref().unwrap_or(&default);
        all.map(|all| Ok((all, Mapping::read(mapping)?))).transpose()
    }
}

const IMPORT_EXAMPLES: &str = "Examples:
  c4gen import airbyte connections.json sources.json destinations.json --out airbyte.json
  c4gen import inventory inventory/units/*.yml --out inventory.json
  c4gen import dbt target/manifest.json --out dbt.json
  c4gen import dagster assets.json --out dagster.json
  c4gen import open_lineage events.ndjson --out lineage.json
  kustomize build overlays/production > objects.yaml && c4gen import kubernetes objects.yaml --out cluster.json
  c4gen import compose docker-compose.yml --out compose.json
  c4gen check --imported airbyte.json --imported dbt.json";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked_for = !error.use_stderr();
            // Nowhere is left to say that standard output is gone.
            let _ = error.print();
            return if asked_for { Exit::Done } else { Exit::Configuration }.into();
        }
    };
    match run(&arguments) {
        Ok((exit, text, document)) => {
            let mut printed = match arguments.output {
                Output::Text => text,
                Output::Json => document.to_string(),
            };
            printed.push('\n');
            match std::io::stdout().write_all(printed.as_bytes()) {
                Ok(()) => exit.into(),
                Err(_) => Exit::Transient.into(),
            }
        }
        Err(error) => {
            let mut message = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                message.push_str(": ");
                message.push_str(&cause.to_string());
                source = cause.source();
            }
            // As above: the exit code is what is left.
            let _ = writeln!(std::io::stderr(), "c4gen: {message}");
            error.exit().into()
        }
    }
}

/// The exit code, the text for people and the document for programs.
fn run(arguments: &Arguments) -> Result<(Exit, String, Value), Error> {
    let root = match &arguments.root {
        Some(root) => root.clone(),
        None => {
            let here = std::env::current_dir().map_err(|source| Error::File {
                action: "find",
                path: PathBuf::from("."),
                source,
            })?;
            workspace::find_root(&here)?
        }
    };
    let model = collect::model();
    match &arguments.command {
        Command::Build { out, observed, imported } => {
            let cache = check::read_cache(&root)?;
            let mut input = site::Input::new(model, cache, workspace::commit_date(&root));
            input.observed = observed.as_deref().map(read_observed).transpose()?;
            input.imported = imported.read(&root)?;
            input.released = Released::read(&root)?;
            let report = Runner::silent().run_blocking(
                declared!(site::write_site),
                Endpoint::<Workspace, _>::new(input),
                Endpoint::<ArchitectureSite, _>::new(out.clone()),
                &Elk,
            )?;
            let text = format!(
                "{} elements, {} flows: {} files, {} KB in {}\nopen {}",
                report.elements,
                report.flows,
                report.files,
                report.bytes / 1024,
                report.folder.display(),
                report.folder.join("index.html").display()
            );
            Ok((Exit::Done, text, json!(report)))
        }
        Command::Check { observed, imported } => {
            let mut findings = check::all(&root, &model, &Elk)?;
            if let Some(path) = observed {
                findings.extend(read_observed(path)?.undeclared(&model));
            }
            if let Some((imported, mapping)) = imported.read(&root)? {
                findings.extend(Comparison::new(&model, &imported, &mapping).findings());
            }
            let mut lines: Vec<String> = findings
                .iter()
                .map(|finding| {
                    format!("{} {}: {}", finding.check, finding.subject, finding.message)
                })
                .collect();
            let truth = site::Truth::of(&model);
            lines.push(format!(
                "{} findings; {} elements, {} flows: {} by code, {} by file, {} only said, {} planned",
                findings.len(),
                model.elements.len(),
                model.flows.len(),
                truth.by_code,
                truth.by_file,
                truth.only_said,
                truth.planned
            ));
            let exit = if findings.is_empty() { Exit::Done } else { Exit::Definite };
            Ok((exit, lines.join("\n"), json!({ "findings": findings, "truth": truth })))
        }
        Command::Diff { range, out, exit_code, imported } => {
            let (before, after) = match range.split_once("..") {
                Some((before, after)) if !after.is_empty() => {
                    (diff::model_of(&root, before)?, diff::model_of(&root, after)?)
                }
                Some((before, _)) => (diff::model_of(&root, before)?, model),
                None => (diff::model_of(&root, range)?, model),
            };
            let after = match imported.read(&root)? {
                Some((imported, mapping)) => Comparison::new(&after, &imported, &mapping).merged(),
                None => after,
            };
            let found = diff::differences(&before, &after);
            let text = diff::markdown(&before, &after, &found);
            if let Some(folder) = out {
                let (_, drawn) = diff::picture(&before, &after, &found, &Elk)?;
                workspace::write(&folder.join("architecture-diff.svg"), &drawn)?;
                workspace::write(&folder.join("architecture-diff.md"), &text)?;
            }
            let differs = *exit_code && !found.is_empty();
            let exit = if differs { Exit::Definite } else { Exit::Done };
            Ok((exit, text.trim_end().to_owned(), json!({ "differences": found })))
        }
        Command::Observe { events, out } => {
            let mut seen = if out.exists() { read_observed(out)? } else { Observed::default() };
            for path in events {
                seen.fold(&workspace::read(path)?);
            }
            let written = json!(seen);
            workspace::write(out, &format!("{written:#}\n"))?;
            let text = format!(
                "{} flows seen, {} other lines: {}",
                seen.flows.len(),
                seen.other_lines,
                out.display()
            );
            Ok((Exit::Done, text, written))
        }
        Command::Import { origin, files, out } => {
            let imported = import::import(*origin, files)?;
            let text = imported.to_json();
            let document = json!(imported);
            let Some(out) = out else {
                return Ok((Exit::Done, text.trim_end().to_owned(), document));
            };
            workspace::write(out, &text)?;
            let text = format!(
                "{} elements, {} flows, {} left out: {}",
                imported.elements.len(),
                imported.flows.len(),
                imported.left_out.len(),
                out.display()
            );
            Ok((Exit::Done, text, document))
        }
        Command::Export { release: Some(version), .. } => {
            let released = Released { version: version.clone(), model };
            workspace::write(&root.join(workspace::RELEASED_FILE), &released.to_json())?;
            let text = format!("wrote {}", workspace::RELEASED_FILE);
            Ok((Exit::Done, text, json!({ "files": [workspace::RELEASED_FILE] })))
        }
        Command::Export { format: Some(format), .. } => {
            let cache = check::read_cache(&root)?;
            let mut input = site::Input::new(model, cache, workspace::commit_date(&root));
            input.released = Released::read(&root)?;
            let text = export::export(&mut input, *format, &Elk)?;
            Ok((Exit::Done, text.trim_end().to_owned(), json!({ "text": text })))
        }
        Command::Export { .. } => {
            let mut written = Vec::new();
            let (released, cache) = (Released::read(&root)?, check::read_cache(&root)?);
            for (name, text) in check::exported(&model, released.as_ref(), &Elk, &cache)? {
                workspace::write(&root.join(name), &text)?;
                written.push(name);
            }
            Ok((Exit::Done, format!("wrote {}", written.join(", ")), json!({ "files": written })))
        }
    }
}

fn read_observed(path: &Path) -> Result<Observed, Error> {
    serde_json::from_str(&workspace::read(path)?)
        .map_err(|source| Error::Format { path: path.to_path_buf(), source })
}
