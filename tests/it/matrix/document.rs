//! What was seen, as the Markdown that the repository keeps.

use std::fmt::Write as _;

use ol_testkit::TrinoServer;
use serde_json::Value;

use super::tables::TABLES;
use super::{DEPLOYMENT, READERS, rows_of};

/// What all readers saw at one moment.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) seen: Value,
}

/// The document of some stages.
pub(super) fn markdown(stages: &[Stage]) -> String {
    let mut document = String::from(
        "# What each reader sees\n\n\
         Made by `tests/it/matrix`, which fails when it sees something else. ✓ and the number of rows: the reader sees \
         the same\nvalues in every column of every row as all others with a ✓; ✗: it refuses the table, for the reason \
         below it. The tables\nlie in an Iceberg catalog in Postgres, and hold what a source went through.\n\n",
    );
    let versions = stages.first().map_or(&Value::Null, |stage| &stage.seen["versions"]);
    document.push_str("| reader | version |\n|---|---|\n");
    for reader in READERS {
        let version = versions[reader].as_str().unwrap_or_default();
        writeln!(document, "| {} | {} |", shown(reader), version_of(reader, version)).unwrap();
    }
    document.push_str("\n| table | what it is | what Trino then does |\n|---|---|---|\n");
    for table in TABLES {
        let by_trino = table.by_trino_shown;
        writeln!(document, "| `{}` | {} | {by_trino} |", table.name, table.what).unwrap();
    }
    for stage in stages {
        writeln!(document, "\n## {}\n", stage.name).unwrap();
        let heads: Vec<_> = READERS.iter().map(|reader| shown(reader)).collect();
        writeln!(document, "| table | {} |", heads.join(" | ")).unwrap();
        writeln!(document, "|---|{}", "---:|".repeat(READERS.len())).unwrap();
        let mut refusals = String::new();
        for table in TABLES {
            let raw_table = format!("raw__{DEPLOYMENT}__app__postgres__{}", table.name);
            let cells: Vec<String> = READERS
                .iter()
                .map(|reader| match rows_of(&stage.seen["tables"][&raw_table][reader]) {
                    Ok(rows) => format!("✓ {rows}"),
                    Err(_) => "✗".to_owned(),
                })
                .collect();
            writeln!(document, "| `{}` | {} |", table.name, cells.join(" | ")).unwrap();
            for (reader, reason) in table.refused_by {
                writeln!(refusals, "{} on `{}`: {reason}.", shown(reader), table.name).unwrap();
            }
        }
        if !refusals.is_empty() {
            write!(document, "\n{refusals}").unwrap();
        }
    }
    document
}

fn shown(reader: &str) -> &str {
    match reader {
        "pyiceberg" => "PyIceberg",
        "duckdb" => "DuckDB",
        "spark" => "Spark",
        "trino" => "Trino",
        _ => "DataFusion",
    }
}

fn version_of<'a>(reader: &str, version: &'a str) -> &'a str {
    match reader {
        "datafusion" => "as embedded in `ol-webhook`, over the reader of `ol-lake`",
        "trino" => {
            assert_eq!(version, TrinoServer::VERSION, "another Trino than was started");
            version
        }
        _ => version,
    }
}
