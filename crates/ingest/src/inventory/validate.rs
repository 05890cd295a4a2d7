//! The rules that take a whole table, a whole unit or the whole inventory to see.
//!
//! Units of other loaders take part where they could collide with ours: the same raw table
//! written by two loaders would have each of them overwrite the other.

use std::collections::BTreeMap;

use super::decode::{Draft, LOADER, Skipped};
use super::name;
use super::problem::{Problem, Rule};
use super::suggest;
use super::unit::{ReplicationMethod, SourceKind, Table, TableOverrides, Unit, UnitId};

/// Checks every rule beyond the single field, puts the overrides into their tables, and returns
/// all problems in no particular order.
pub(crate) fn validate(drafts: &mut [Draft], skipped: &[Skipped]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for draft in drafts.iter_mut() {
        method_of_source(&draft.unit, &mut problems);
        tables_of_unit(draft, &mut problems);
        assign_overrides(draft, &mut problems);
        for index in 0..draft.unit.tables.len() {
            one_table(draft, index, &mut problems);
        }
    }
    across_units(drafts, skipped, &mut problems);
    problems
}

fn problem(unit: &Unit, path: String, line: u64, rule: Rule, message: String) -> Problem {
    let line = Some(line).filter(|line| *line > 0);
    Problem { file: unit.file.clone(), yaml_path: path, line, rule, message }
}

/// Where the table at a position of `unit.tables` stands in its file.
fn place(draft: &Draft, position: usize) -> (String, u64) {
    let index = draft.table_indexes.get(position).copied().unwrap_or(position);
    let line = draft.table_lines.get(position).copied().unwrap_or_default();
    (format!("tables[{index}]"), line)
}

/// Transaction numbers in rows are Postgres' own.
fn method_of_source(unit: &Unit, problems: &mut Vec<Problem>) {
    if unit.replication_method == ReplicationMethod::Xmin
        && unit.source_kind != SourceKind::Postgres
    {
        let message = format!(
            "rows of {} have no transaction number; use cursor, with a cursor_field for each incremental table",
            unit.source_kind
        );
        let path = format!("{LOADER}.replication_method");
        problems.push(problem(unit, path, 0, Rule::Incremental, message));
    }
}

fn tables_of_unit(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (position, table) in draft.unit.tables.iter().enumerate() {
        let (path, line) = place(draft, position);
        match seen.get(&(table.namespace.as_str(), table.name.as_str())) {
            Some(first) => {
                let (first, _) = place(draft, *first);
                let message = format!(
                    "the table {} is listed twice, first at {first}; remove one",
                    table.qualified_name()
                );
                problems.push(problem(&draft.unit, path, line, Rule::UniqueTable, message));
            }
            None => {
                seen.insert((&table.namespace, &table.name), position);
            }
        }
    }
    for (position, table) in draft.unit.tables.iter().enumerate() {
        let Some(old) = &table.renamed_from else { continue };
        let (path, line) = place(draft, position);
        let message = if *old == table.name {
            format!("\"{old}\" is the table's present name; give the old one or remove this field")
        } else if seen.contains_key(&(table.namespace.as_str(), old.as_str())) {
            format!("\"{old}\" is still listed as a table of this unit; remove one of the two")
        } else {
            continue;
        };
        let path = format!("{path}.renamed_from");
        problems.push(problem(&draft.unit, path, line, Rule::Rename, message));
    }
}

/// Moves each override to the table it names: `name` where that is one table, else
/// `namespace.name`.
fn assign_overrides(draft: &mut Draft, problems: &mut Vec<Problem>) {
    for (key, line, overrides) in std::mem::take(&mut draft.overrides) {
        let exact = draft.unit.tables.iter().position(|table| table.qualified_name() == key);
        let named: Vec<usize> = draft
            .unit
            .tables
            .iter()
            .enumerate()
            .filter(|(_, table)| table.name == key)
            .map(|(position, _)| position)
            .collect();
        let path = format!("{LOADER}.overrides.{key}");
        let found = match (exact, named.as_slice()) {
            (Some(position), []) => Ok(position),
            (None, [position]) => Ok(*position),
            (None, []) if !draft.complete => continue,
            (None, []) => {
                let names: Vec<&str> = draft.unit.tables.iter().map(|t| t.name.as_str()).collect();
                let cure = match suggest::nearest(&key, &names) {
                    Some(name) => format!("did you mean \"{name}\"?"),
                    None => "list the table or remove the override".to_owned(),
                };
                Err(format!("the unit lists no table \"{key}\"; {cure}"))
            }
            (_, _) => {
                Err(format!("\"{key}\" could be several tables of this unit; write namespace.name"))
            }
        };
        let message = match found {
            Ok(position) => match draft.unit.tables.get_mut(position) {
                Some(table) if table.overrides == TableOverrides::default() => {
                    table.overrides = overrides;
                    continue;
                }
                _ => format!("the table \"{key}\" has two overrides; join them"),
            },
            Err(message) => message,
        };
        problems.push(problem(&draft.unit, path, line, Rule::Override, message));
    }
}

fn one_table(draft: &Draft, position: usize, problems: &mut Vec<Problem>) {
    let unit = &draft.unit;
    let Some(table) = unit.tables.get(position) else { return };
    let (path, line) = place(draft, position);
    let mut note = |field: &str, rule: Rule, message: String| {
        problems.push(problem(unit, format!("{path}.{field}"), line, rule, message));
    };
    if let Some(message) = name::raw_table_fault(&table.raw_table) {
        note("raw_table", Rule::RawTableName, format!("\"{}\": {message}", table.raw_table));
    } else if !table.raw_table.starts_with(&unit.table_prefix) {
        let message = format!(
            "\"{}\" does not start with the unit's prefix \"{}\"; rename it or correct table_prefix",
            table.raw_table, unit.table_prefix
        );
        note("raw_table", Rule::RawTableName, message);
    }
    if table.sync_mode.is_incremental() && table.cursor_field.is_none() {
        let message = match unit.replication_method {
            ReplicationMethod::Full | ReplicationMethod::Cursor => Some(format!(
                "{} reads what is new and needs a way to know it; add cursor_field, or use \
                 replication_method xmin or cdc",
                table.sync_mode
            )),
            ReplicationMethod::Xmin | ReplicationMethod::Cdc => None,
        };
        if let Some(message) = message {
            note("cursor_field", Rule::Incremental, message);
        }
    }
    if table.sync_mode.needs_primary_key() && table.primary_key.is_empty() {
        let message = format!(
            "{} matches rows by key; add primary_key, or use a sync mode that appends or overwrites",
            table.sync_mode
        );
        note("primary_key", Rule::PrimaryKey, message);
    }
    excluded_columns(table, &mut note);
}

/// An excluded column never leaves the server, so nothing can be done with it on the way.
fn excluded_columns(table: &Table, note: &mut impl FnMut(&str, Rule, String)) {
    let overrides = &table.overrides;
    for column in &table.excluded_columns {
        let uses = [
            ("the primary key", table.primary_key.contains(column)),
            ("the cursor", table.cursor_field.as_ref() == Some(column)),
            ("a declared type", overrides.columns.contains_key(column)),
            ("a mask", overrides.masked_columns.contains_key(column)),
            ("partition_by", overrides.partition_by.iter().any(|term| term.column == *column)),
            ("sort_by", overrides.sort_by.iter().any(|term| term.column == *column)),
        ];
        let purposes: Vec<&str> =
            uses.iter().filter(|(_, used)| *used).map(|(purpose, _)| *purpose).collect();
        if !purposes.is_empty() {
            let message = format!(
                "the column \"{column}\" is excluded and used in {}; exclude it or use it",
                purposes.join(", ")
            );
            note("excluded_columns", Rule::ExcludedColumn, message);
        }
    }
    for (column, old) in &overrides.renamed_columns {
        let again = overrides.renamed_columns.values().filter(|name| *name == old).count() > 1;
        if column == old || again || overrides.renamed_columns.contains_key(old) {
            let message = format!(
                "the column \"{column}\" cannot have been \"{old}\" before; give each new name one old name of its own"
            );
            note("name", Rule::Override, message);
        }
    }
    for column in overrides.masked_columns.keys() {
        if table.primary_key.contains(column) || table.cursor_field.as_ref() == Some(column) {
            let message = format!(
                "the column \"{column}\" is masked and used in the primary key or as the cursor; \
                 remove it from one"
            );
            note("primary_key", Rule::Override, message);
        } else if overrides.columns.contains_key(column) {
            let message = format!(
                "the column \"{column}\" is masked and has a declared type; remove one of the two"
            );
            note("name", Rule::Override, message);
        }
    }
}

fn across_units(drafts: &[Draft], skipped: &[Skipped], problems: &mut Vec<Problem>) {
    let mut ids: BTreeMap<&UnitId, &str> = BTreeMap::new();
    for draft in drafts {
        if let Some(first) = ids.insert(&draft.unit.id, &draft.unit.file) {
            let message = format!(
                "the unit {} is already defined by {first}; merge the two files",
                draft.unit.id
            );
            problems.push(problem(&draft.unit, String::new(), 0, Rule::UniqueUnit, message));
        }
    }
    let mut raw_tables: BTreeMap<&str, String> = BTreeMap::new();
    for unit in skipped {
        for (raw_table, index) in &unit.raw_tables {
            let owner =
                format!("{} (loader {}), tables[{index}]", unit.unit.file, unit.unit.loader);
            raw_tables.entry(raw_table).or_insert(owner);
        }
    }
    for draft in drafts {
        for (position, table) in draft.unit.tables.iter().enumerate() {
            let (path, line) = place(draft, position);
            let owner = format!("{}, {path}", draft.unit.file);
            if let Some(first) = raw_tables.get(table.raw_table.as_str()) {
                let message = format!(
                    "the raw table \"{}\" is already written by {first}; give each its own",
                    table.raw_table
                );
                let path = format!("{path}.raw_table");
                problems.push(problem(&draft.unit, path, line, Rule::UniqueRawTable, message));
            } else {
                raw_tables.insert(&table.raw_table, owner);
            }
        }
    }
    disjoint_prefixes(drafts, skipped, problems);
}

/// A raw table's unit is found by its prefix, so no prefix may be the start of another.
fn disjoint_prefixes(drafts: &[Draft], skipped: &[Skipped], problems: &mut Vec<Problem>) {
    let mut others: Vec<(&str, &str)> = skipped
        .iter()
        .filter_map(|unit| Some((unit.table_prefix.as_deref()?, unit.unit.file.as_str())))
        .collect();
    for draft in drafts {
        let (unit, prefix) = (&draft.unit, draft.unit.table_prefix.as_str());
        if prefix.starts_with("raw__") && prefix.ends_with("__") {
            for (other, file) in &others {
                if other.starts_with(prefix) || prefix.starts_with(other) {
                    let message = format!(
                        "\"{prefix}\" and \"{other}\" of {file} overlap; a raw table must belong \
                         to one unit"
                    );
                    let path = "table_prefix".to_owned();
                    problems.push(problem(unit, path, 0, Rule::DisjointPrefix, message));
                }
            }
            others.push((prefix, &unit.file));
        } else {
            let message = format!(
                "\"{prefix}\" is not a prefix of raw tables; start it with \"raw__\" and end it \
                 with \"__\""
            );
            let path = "table_prefix".to_owned();
            problems.push(problem(unit, path, 0, Rule::RawTableName, message));
        }
    }
}
