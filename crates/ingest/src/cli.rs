//! The command line: what can be asked, and how it is explained.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ol_chassis::cli::{GlobalOptions, Shell};

/// Application databases into raw Iceberg, each value exact.
#[derive(Debug, Parser)]
#[command(
    name = "ol-ingest",
    version,
    max_term_width = 120,
    after_help = "\
Where things are is said by the environment: OL_ENV, OL_CATALOG, OL_WAREHOUSE and, for each source, \
OL_SOURCE_<DEPLOYMENT>_<LAYER>_URL.

Exit codes: 0 done, 1 transient (try again), 2 definite (a person must act), 3 configuration, 75 stopped early \
(resume later)."
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The context that Dagster hands over; usually a variable instead.
    #[arg(long, global = true, hide = true)]
    pub dagster_pipes_context: Option<String>,
    /// Where Dagster listens; usually a variable instead.
    #[arg(long, global = true, hide = true)]
    pub dagster_pipes_messages: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draft the unit file of a live source, on stdout
    #[command(after_help = "\
Example:
  export OL_SOURCE_MITXONLINE_APP_POSTGRES_URL=postgres://reader@db.example.org/mitxonline
  ol-ingest discover --deployment mitxonline --layer app_postgres --exclude password > units/mitxonline.yml
  export OL_SOURCE_MITX_OPENEDX_MYSQL_URL=mysql://reader@db.example.org/edxapp
  ol-ingest discover --deployment mitx --layer openedx_mysql --exclude password > units/mitx-openedx.yml")]
    Discover(Discover),
    /// Show the type contract: source type, Iceberg type, and how faithfully
    #[command(after_help = "\
Example:
  ol-ingest plan --inventory inventory --table '*users_user'
  ol-ingest plan --contract postgres
  ol-ingest plan --contract mysql
  ol-ingest plan --contract mongodb")]
    Plan(Plan),
    /// Read every selected table once and commit it
    #[command(after_help = "\
Example:
  ol-ingest run --inventory inventory --unit mitxonline/app_postgres
  ol-ingest run --inventory inventory --table '*ecommerce_*' --output json
  ol-ingest run --inventory inventory --table '*users_user' --from 'public.users_user=2026-11-24 06:00:00+00'")]
    Run(Run),
    /// Follow the changes of a unit: as they happen, or until caught up
    #[command(after_help = "\
One replication slot serves all tables of a unit. Tables that are new are copied first, beside the others.
SIGTERM ends the stream at the next commit (exit 75); the next one goes on from there.

Example:
  ol-ingest stream --inventory inventory --unit mitxonline/app_postgres --until-caught-up
  ol-ingest stream --inventory inventory --unit mitxonline/app_postgres --metrics-address 127.0.0.1:9464
  ol-ingest stream --inventory inventory --unit mitxonline/app_postgres --from-slot airbyte_slot --until-caught-up")]
    Stream(Stream),
    /// Compare source and lake: every row, by ranges of keys, at one position
    #[command(after_help = "\
Tables that are followed by their changes are compared at one place of the source's log, also while the source is being \
written and a stream runs. That takes a free replication slot for a moment. Rows of other tables that changed at the \
source after the last run are differences: for a source that is being written to, run first.

Up to 10 differing rows a table are named by their key, on standard output alone.

Example:
  ol-ingest verify --inventory inventory --table '*ecommerce_order'
  ol-ingest verify --inventory inventory --unit mitxonline/app_postgres --wait 300 --output json")]
    Verify(Verify),
    /// Show where each table stands
    Status(Selection),
    /// Forget what the lake knows of a table's position, so that the next run loads it anew
    Reset(Selection),
    /// Take over raw tables that Airbyte or dlt wrote, where they stand
    #[command(after_help = "\
The table keeps its name, folder, rows and history; columns that the contract has and it lacks are added, and no file is \
rewritten. What cannot be taken over is refused with the reason: a column of another kind (with the declaration that would \
keep it), equality deletes, another layout. Stop the other loader first, then hand the position over: run --from, stream \
--from-slot, or a first run that copies the table anew.

Example:
  ol-ingest adopt --inventory inventory --unit mitxonline/app_postgres --dry-run
  ol-ingest adopt --inventory inventory --table '*users_user' --output json")]
    Adopt(Adopt),
    /// Load a unit in shadow and hold it against the tables of another loader, row by row
    #[command(after_help = "\
The selected tables are read in full into a shadow namespace, which replaces what is there, and each is compared with the \
table of the same name in the other namespace. Of each primary key the newest row counts, metadata columns are aside, and \
values that are the same in another type are equal. The tables of the other namespace are only read. With --no-load the \
tables of the shadow namespace are compared as they are: those of another environment, say.

Exit code 0 says that every row of every table is equal; 2 that something differs. Rows that only one side has seen yet \
differ, too: those that are newer by the table's cursor_field are counted apart.

Example:
  ol-ingest compare --inventory inventory --against ol_warehouse_production_raw
  ol-ingest compare --inventory inventory --against ol_warehouse_production_raw --table '*users_user' --show-values
  ol-ingest compare --inventory inventory --against ol_warehouse_production_raw --shadow ol_warehouse_qa_raw --no-load")]
    Compare(Compare),
    /// Keep the tables of a namespace small: expire, compact, sweep, repair
    #[command(after_help = "\
Nothing is changed unless it is asked for: without a flag the report shows what there would be to do. Every step is safe \
beside runs and streams, and may be killed; to go on, run it again. SIGTERM ends it after the tables under way (exit 75), \
and the report says where the next one may begin.

--orphan-days must be longer than the longest run: files of a run that is still going are referred to by nothing, too.

Example:
  ol-ingest maintain --namespace ol_warehouse_dev_raw
  ol-ingest maintain --namespace ol_warehouse_dev_raw --expire-days 7 --orphan-days 7 --compact
  ol-ingest maintain --namespace ol_warehouse_dev_raw --table '*__salesforce__*' --expire-days 14
  ol-ingest maintain --namespace ol_warehouse_dev_raw --repair-pointers --output json")]
    Maintain(Maintain),
    /// Print the completion script of a shell
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// Which tables of which inventory.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// Folder of the inventory: it, or its folder units, holds the unit files
    #[arg(long, value_name = "DIR")]
    pub inventory: PathBuf,
    /// Only this unit, as deployment/layer; may be repeated
    #[arg(long = "unit", value_name = "D/L")]
    pub units: Vec<String>,
    /// Only tables that match, by raw table, namespace.name or name; may be repeated
    #[arg(long = "table", value_name = "GLOB")]
    pub tables: Vec<String>,
}

/// `discover`.
#[derive(Debug, Args)]
pub struct Discover {
    /// The deployment, e.g. mitxonline
    #[arg(long)]
    pub deployment: String,
    /// The layer, e.g. app_postgres
    #[arg(long)]
    pub layer: String,
    /// Only this schema; of a MySQL server, this database instead of the one that the URL names
    #[arg(long)]
    pub namespace: Option<String>,
    /// Exclude columns of this name from every table; may be repeated
    #[arg(long = "exclude", value_name = "COL")]
    pub excluded: Vec<String>,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Folder of the inventory
    #[arg(long, value_name = "DIR", required_unless_present = "contract")]
    pub inventory: Option<PathBuf>,
    /// Only this unit, as deployment/layer; may be repeated
    #[arg(long = "unit", value_name = "D/L")]
    pub units: Vec<String>,
    /// Only tables that match; may be repeated
    #[arg(long = "table", value_name = "GLOB")]
    pub tables: Vec<String>,
    /// Print the contract of every type of a kind of source, as Markdown; needs no source
    #[arg(long, value_name = "KIND", conflicts_with = "inventory", value_parser = ["postgres", "mysql", "mongodb"])]
    pub contract: Option<String>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Which tables.
    #[command(flatten)]
    pub selection: Selection,
    /// Begin at this value of the table's cursor, without loading what is below: where another loader stopped; may be
    /// repeated
    #[arg(long, value_name = "TABLE=VALUE", value_parser = hand_over)]
    pub from: Vec<(String, String)>,
    /// Let a replace or a sweep of deleted rows shrink tables whose raw name matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub allow_shrink: Vec<String>,
}

/// `stream`.
#[derive(Debug, Args)]
pub struct Stream {
    /// Folder of the inventory: it, or its folder units, holds the unit files
    #[arg(long, value_name = "DIR")]
    pub inventory: PathBuf,
    /// The unit, as deployment/layer; may be repeated
    #[arg(long = "unit", value_name = "D/L", required = true)]
    pub units: Vec<String>,
    /// Stop when everything that the source has logged by now is in the lake
    #[arg(long)]
    pub until_caught_up: bool,
    /// Begin where this replication slot is, that of another loader which has stopped: tables that are in the lake are not
    /// copied
    #[arg(long, value_name = "SLOT")]
    pub from_slot: Option<String>,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Which tables.
    #[command(flatten)]
    pub selection: Selection,
    /// Wait so long for the lake to come to the source's position; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub wait: u64,
    /// Compare so many ranges of keys
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub ranges: u32,
    /// Look so many times at rows that keep changing
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
}

/// The two sides of `TABLE=VALUE`.
fn hand_over(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((table, value)) if !table.is_empty() && !value.is_empty() => {
            Ok((table.to_owned(), value.to_owned()))
        }
        _ => Err("write TABLE=VALUE"),
    }
}

/// `adopt`.
#[derive(Debug, Args)]
pub struct Adopt {
    /// Which tables.
    #[command(flatten)]
    pub selection: Selection,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Which tables.
    #[command(flatten)]
    pub selection: Selection,
    /// The namespace of the other loader's tables; nothing in it is changed
    #[arg(long, value_name = "NAMESPACE")]
    pub against: String,
    /// The namespace of our tables [default: the other one's name with _shadow added]
    #[arg(long, value_name = "NAMESPACE")]
    pub shadow: Option<String>,
    /// Compare the tables in the shadow namespace as they are, without reading the source
    #[arg(long, requires = "shadow")]
    pub no_load: bool,
    /// Name so many differing rows of each kind and table
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub rows: u16,
    /// Show the values that differ, on standard output alone
    #[arg(long)]
    pub show_values: bool,
}

/// `maintain`.
#[derive(Debug, Args)]
pub struct Maintain {
    /// The namespace, e.g. ol_warehouse_production_raw
    #[arg(long)]
    pub namespace: String,
    /// Only tables whose name matches; may be repeated
    #[arg(long = "table", value_name = "GLOB")]
    pub tables: Vec<String>,
    /// Expire snapshots of at least this age; without a number, as the properties of each table say (7 days without one)
    #[arg(long, value_name = "DAYS", num_args = 0..=1, default_missing_value = "table")]
    pub expire_days: Option<ExpireDays>,
    /// Keep so many snapshots of each branch, whatever their age [default: as the table says, else 1]
    #[arg(long, value_name = "N", requires = "expire_days")]
    pub keep_snapshots: Option<usize>,
    /// Delete files that nothing refers to and that are at least this old [default: 7, shown and not deleted, and looked for
    /// only when nothing else is asked]
    #[arg(long, value_name = "DAYS")]
    pub orphan_days: Option<u32>,
    /// Rewrite small files, files with many deleted rows, and small manifests
    #[arg(long)]
    pub compact: bool,
    /// Repair pointers to the current snapshot that another loader left behind
    #[arg(long)]
    pub repair_pointers: bool,
    /// Begin after this table, where an earlier run stopped
    #[arg(long, value_name = "TABLE")]
    pub after: Option<String>,
}

/// How old a snapshot may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpireDays {
    /// As the properties of the table say.
    OfTable,
    /// So many days.
    Days(u32),
}

impl std::str::FromStr for ExpireDays {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "table" { Ok(Self::OfTable) } else { text.parse().map(Self::Days) }
    }
}
