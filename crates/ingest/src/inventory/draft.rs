//! The unit file that `ol-ingest discover` drafts from a live source.
//!
//! The YAML is written by hand, because a draft is read by a person: it carries the row estimate
//! of every table and, as comments, everything that was found and left out with the reason, so
//! that nothing is missing without a word. Read back, it gives the unit it was made of.

use std::fmt::Write as _;

use super::name;
use super::unit::{DEFAULT_NAMESPACE, SourceKind};

/// What discovery found at one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftUnit {
    /// The deployment, as it will be written in the unit.
    pub deployment: String,
    /// The layer, as it will be written in the unit.
    pub layer: String,
    /// What kind of system the source is.
    pub source_kind: SourceKind,
    /// The tables that can be read, in the order they are to be listed.
    pub tables: Vec<DraftTable>,
    /// What was found and is not listed as a table.
    pub left_out: Vec<LeftOut>,
}

/// One table that can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftTable {
    /// The table's name at the source.
    pub name: String,
    /// The schema it lives in.
    pub namespace: String,
    /// The name of the lake table, as [`name::raw_table_name`] gives it.
    pub raw_table: String,
    /// The columns of the primary key, in order; empty when there is none.
    pub primary_key: Vec<String>,
    /// Columns that are not to leave the server.
    pub excluded_columns: Vec<String>,
    /// How many rows the source thinks the table has; `None` when it does not know.
    pub row_estimate: Option<u64>,
    /// Something a person should know about the table.
    pub comment: Option<String>,
}

impl DraftTable {
    /// The draft of a table that has these columns and this key, of a unit's deployment and layer. What is excluded wherever
    /// it is, and that it has, is no part of it.
    #[must_use]
    pub fn new<'a>(
        (deployment, layer): (&str, &str),
        (namespace, name): (&str, &str),
        columns: impl Iterator<Item = &'a str>,
        primary_key: &[String],
        excluded: &[String],
    ) -> Self {
        let excluded_columns: Vec<String> = columns
            .filter(|column| excluded.iter().any(|name| name == column))
            .map(str::to_owned)
            .collect();
        // A key with an excluded part identifies nothing in the lake.
        let is_whole = !primary_key.iter().any(|name| excluded_columns.contains(name));
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            raw_table: name::raw_table_name(deployment, layer, namespace, name),
            primary_key: if is_whole { primary_key.to_vec() } else { Vec::new() },
            excluded_columns,
            row_estimate: None,
            comment: None,
        }
    }
}

/// Something that was found at the source and is not read as a table of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is called, with its namespace.
    pub relation: String,
    /// Why it is left out, for example `view` or `partition, read through public.events`.
    pub reason: String,
}

/// The draft as the text of a unit file.
pub fn render_unit(draft: &DraftUnit) -> String {
    let mut yaml = String::new();
    write_unit(&mut yaml, draft).expect("a String takes all that is written to it");
    yaml
}

fn write_unit(yaml: &mut String, draft: &DraftUnit) -> std::fmt::Result {
    let DraftUnit { deployment, layer, source_kind, tables, left_out } = draft;
    let prefix = name::raw_table_prefix(deployment, layer);
    writeln!(yaml, "# A draft: review the tables, the sync modes and the columns to exclude.")?;
    writeln!(yaml, "version: 1")?;
    writeln!(yaml, "deployment: {}", scalar(deployment))?;
    writeln!(yaml, "layer: {}", scalar(layer))?;
    writeln!(yaml, "loader: ol_ingest")?;
    writeln!(yaml, "table_prefix: {}", scalar(&prefix))?;
    writeln!(yaml, "ol_ingest:")?;
    writeln!(yaml, "  source_kind: {source_kind}")?;
    writeln!(yaml, "  replication_method: full")?;
    writeln!(yaml, "  metadata_columns: native")?;
    if tables.is_empty() {
        writeln!(yaml, "tables: []")?;
    } else {
        writeln!(yaml, "tables:")?;
    }
    for table in tables {
        write!(yaml, "  - name: {}", scalar(&table.name))?;
        match table.row_estimate {
            Some(rows) => writeln!(yaml, " # about {} rows", grouped(rows))?,
            None => writeln!(yaml, " # rows unknown, the table was never analyzed")?,
        }
        if let Some(comment) = &table.comment {
            write_comment(yaml, "    ", comment)?;
        }
        if table.namespace != DEFAULT_NAMESPACE {
            writeln!(yaml, "    namespace: {}", scalar(&table.namespace))?;
        }
        writeln!(yaml, "    raw_table: {}", scalar(&table.raw_table))?;
        writeln!(yaml, "    sync_mode: full_refresh_overwrite")?;
        if table.primary_key.is_empty() {
            writeln!(yaml, "    # no primary key")?;
        } else {
            writeln!(yaml, "    primary_key: {}", scalars(&table.primary_key))?;
        }
        if !table.excluded_columns.is_empty() {
            writeln!(yaml, "    excluded_columns: {}", scalars(&table.excluded_columns))?;
        }
    }
    if !left_out.is_empty() {
        writeln!(yaml, "# Found and left out:")?;
        for LeftOut { relation, reason } in left_out {
            write_comment(yaml, "", &format!("- {relation}: {reason}"))?;
        }
    }
    Ok(())
}

/// A comment that stays one whatever it holds: control characters could end the line.
fn write_comment(yaml: &mut String, indent: &str, text: &str) -> std::fmt::Result {
    let text: String =
        text.chars().map(|c| if breaks_a_line(c) { '\u{fffd}' } else { c }).collect();
    writeln!(yaml, "{indent}# {text}")
}

fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn scalars(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| scalar(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A text as a YAML scalar: bare when no reader could take it for anything else, otherwise in
/// double quotes.
fn scalar(text: &str) -> String {
    // Words that some version of YAML reads as a boolean or as nothing.
    const WORDS: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if bare {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if breaks_a_line(c) => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A number with a comma every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{SyncMode, load_text};

    fn table(namespace: &str, name: &str) -> DraftTable {
        DraftTable {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            raw_table: name::raw_table_name("mitxonline", "app_postgres", namespace, name),
            primary_key: vec!["id".to_owned()],
            ..DraftTable::default()
        }
    }

    fn draft() -> DraftUnit {
        DraftUnit {
            deployment: "mitxonline".to_owned(),
            layer: "app_postgres".to_owned(),
            source_kind: SourceKind::Postgres,
            tables: vec![
                DraftTable { row_estimate: Some(1_234_567), ..table("public", "users_user") },
                DraftTable {
                    primary_key: Vec::new(),
                    excluded_columns: vec!["password".to_owned(), "no".to_owned()],
                    comment: Some("row-level security\nis on".to_owned()),
                    ..table("Ticket \"x\"", "select")
                },
            ],
            left_out: vec![
                LeftOut { relation: "public.v_users".to_owned(), reason: "view".to_owned() },
                LeftOut {
                    relation: "public.events_2024".to_owned(),
                    reason: "partition, read through public.events".to_owned(),
                },
            ],
        }
    }

    #[test]
    fn reads_like_a_unit_a_person_wrote() {
        let expected = r#"# A draft: review the tables, the sync modes and the columns to exclude.
version: 1
deployment: mitxonline
layer: app_postgres
loader: ol_ingest
table_prefix: raw__mitxonline__app__postgres__
ol_ingest:
  source_kind: postgres
  replication_method: full
  metadata_columns: native
tables:
  - name: users_user # about 1,234,567 rows
    raw_table: raw__mitxonline__app__postgres__users_user
    sync_mode: full_refresh_overwrite
    primary_key: [id]
  - name: select # rows unknown, the table was never analyzed
    # row-level security�is on
    namespace: "Ticket \"x\""
    raw_table: HASHED
    sync_mode: full_refresh_overwrite
    # no primary key
    excluded_columns: [password, "no"]
# Found and left out:
# - public.v_users: view
# - public.events_2024: partition, read through public.events
"#;
        let hashed = draft().tables.pop().map(|table| table.raw_table).unwrap_or_default();
        assert_eq!(render_unit(&draft()), expected.replace("HASHED", &hashed));
    }

    #[test]
    fn reads_back_as_the_unit_it_was_made_of() {
        let mut draft = draft();
        let odd = [
            "é ü",
            "a: b",
            "# c",
            "- d",
            "'e'",
            "\\f\"",
            "tab\there",
            "yes",
            "12",
            "0x1f",
            "~",
            "[g]",
            "{h}",
            "&i",
            "*j",
            "!k",
            "%l",
            "@m",
            "`n",
            " o ",
            "p\u{2028}q",
            "𝛑",
            "null",
            "1_000",
            ".nan",
            "<<",
            "=",
            "?",
            "a\u{85}b",
            "\u{feff}c",
            "\u{1}",
            "long\nlines",
        ];
        draft.tables.extend(odd.iter().map(|name| table("public", name)));
        draft.tables.extend(odd.iter().map(|name| table(name, "same")));
        draft.tables.push(DraftTable {
            primary_key: odd.iter().map(|name| (*name).to_owned()).collect(),
            ..table("public", "key")
        });
        let inventory = load_text("draft.yml", &render_unit(&draft)).expect("the draft is valid");
        let [unit] = inventory.units.as_slice() else { panic!("one unit") };
        assert_eq!((&*unit.id.deployment, &*unit.id.layer), ("mitxonline", "app_postgres"));
        assert_eq!(unit.source_kind, SourceKind::Postgres);
        assert_eq!(unit.tables.len(), draft.tables.len());
        for (read, written) in unit.tables.iter().zip(&draft.tables) {
            assert_eq!(read.sync_mode, SyncMode::FullRefreshOverwrite);
            let back = DraftTable {
                name: read.name.clone(),
                namespace: read.namespace.clone(),
                raw_table: read.raw_table.clone(),
                primary_key: read.primary_key.clone(),
                excluded_columns: read.excluded_columns.clone(),
                row_estimate: written.row_estimate,
                comment: written.comment.clone(),
            };
            assert_eq!(back, *written);
        }
    }

    #[test]
    fn a_source_without_tables_gives_an_empty_list() {
        let empty = DraftUnit { tables: Vec::new(), left_out: Vec::new(), ..draft() };
        let inventory = load_text("draft.yml", &render_unit(&empty)).expect("the draft is valid");
        assert_eq!(inventory.units.first().map(|unit| unit.tables.len()), Some(0));
    }
}
