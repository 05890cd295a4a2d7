//! One layer of settings: a TOML table that remembers where each key was written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::Variables;
use crate::error::Error;

/// Sections that one of our binaries reads. A file or an environment serves all of them, so each
/// binary leaves the sections of the others alone; any other unknown section is a mistake.
const SECTIONS: [&str; 5] = ["ingest", "lake", "pipes", "transform", "webhook"];

/// Where a key was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The embedded defaults.
    Defaults,
    /// A file and the line in it, from 1.
    File(PathBuf, usize),
    /// An environment variable, by name.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => formatter.write_str("the embedded defaults"),
            Self::File(path, line) => write!(formatter, "{} line {line}", path.display()),
            Self::Variable(name) => write!(formatter, "the variable {name}"),
        }
    }
}

/// Settings merged so far, and for each dotted key path who set it last.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) table: Table,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// The lowest layer.
    pub(super) fn new(defaults: &str) -> Result<Self, Error> {
        let table = parse(defaults, "the embedded defaults")?;
        Ok(Self { table, origins: BTreeMap::new() })
    }

    /// Lays the content of a file on top.
    pub(super) fn add_file(&mut self, path: &Path, content: &str) -> Result<(), Error> {
        let mut table = parse(content, &path.display().to_string())?;
        table.retain(|section, _| !self.belongs_to_another(section));
        let mut lines = BTreeMap::new();
        let spanned = DeTable::parse(content)
            .map_err(|error| syntax(&error, content, &path.display().to_string()))?;
        collect_lines(spanned.get_ref(), "", content, &mut lines);
        for (key, line) in lines {
            self.origins.insert(key, Origin::File(path.to_owned(), line));
        }
        merge(&mut self.table, table);
        Ok(())
    }

    /// Lays the variables `OL_<SECTION>__<KEY>[__<KEY>…]` on top.
    ///
    /// A value takes the type of the default it replaces; a list is written as TOML (`["a", "b"]`)
    /// or `a,b`.
    pub(super) fn add_variables(&mut self, variables: &Variables) -> Result<(), Error> {
        for name in variables.names() {
            let Some(keys) = keys_of(name) else { continue };
            let Some(section) = keys.first() else { continue };
            if self.belongs_to_another(section) {
                continue;
            }
            let Some(text) = variables.get(name)? else { continue };
            let value = typed(text, lookup(&self.table, &keys)).map_err(|expected| {
                Error::configuration("The variable's value does not fit the key")
                    .with("variable", name)
                    .with("key", keys.join("."))
                    .with("expected", expected)
                    .advise(format!("Set {name} to {expected}"))
            })?;
            insert(&mut self.table, &keys, value);
            self.origins.insert(keys.join("."), Origin::Variable(name.to_owned()));
        }
        Ok(())
    }

    /// Who set `key` last, or the nearest section above it that somebody wrote.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return origin.clone();
            }
            match key.rfind('.') {
                Some(dot) => key = key.get(..dot).unwrap_or_default(),
                None => return Origin::Defaults,
            }
        }
    }

    fn belongs_to_another(&self, section: &str) -> bool {
        SECTIONS.contains(&section) && !self.table.contains_key(section)
    }
}

fn parse(content: &str, place: &str) -> Result<Table, Error> {
    toml::from_str(content).map_err(|error| syntax(&error, content, place))
}

/// A syntax error by position only: the parser's own text quotes the line, which may hold a secret.
fn syntax(error: &toml::de::Error, content: &str, place: &str) -> Error {
    let line = error.span().map_or(1, |span| line_of(content, span.start));
    Error::configuration("The configuration is not valid TOML")
        .with("file", place)
        .with("line", line)
        .with("reason", error.message().lines().next().unwrap_or("unreadable"))
        .advise("Correct that line; the embedded defaults show the form of every key")
}

fn line_of(content: &str, offset_bytes: usize) -> usize {
    content.bytes().take(offset_bytes).filter(|byte| *byte == b'\n').count() + 1
}

fn collect_lines(
    table: &DeTable<'_>,
    prefix: &str,
    content: &str,
    lines: &mut BTreeMap<String, usize>,
) {
    for (key, value) in table.iter() {
        let path = join(prefix, key.get_ref());
        lines.insert(path.clone(), line_of(content, key.span().start));
        if let DeValue::Table(inner) = value.get_ref() {
            collect_lines(inner, &path, content, lines);
        }
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// The key path a variable means; `None` when it is not one of ours. `OL_SOURCE_…` names sources,
/// not keys.
fn keys_of(variable: &str) -> Option<Vec<String>> {
    let rest = variable.strip_prefix("OL_")?;
    if rest.starts_with("SOURCE_") || !rest.contains("__") {
        return None;
    }
    let keys: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
    keys.iter().all(|key| !key.is_empty()).then_some(keys)
}

fn lookup<'t>(table: &'t Table, keys: &[String]) -> Option<&'t Value> {
    let (first, rest) = keys.split_first()?;
    let value = table.get(first)?;
    if rest.is_empty() { Some(value) } else { lookup(value.as_table()?, rest) }
}

fn insert(table: &mut Table, keys: &[String], value: Value) {
    let Some((first, rest)) = keys.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        insert(inner, rest, value);
    }
}

/// A variable's text as the type of the default it replaces. Without a default: a number, a truth
/// value or a list when it reads as one in TOML, otherwise text (write `"123"` with its quotes to
/// mean text).
fn typed(text: &str, default: Option<&Value>) -> Result<Value, &'static str> {
    let literal = || {
        let document: Result<Table, _> = toml::from_str(&format!("value = {text}"));
        document.ok().filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"))
    };
    match default {
        Some(Value::String(_)) => Ok(Value::String(text.to_owned())),
        Some(Value::Integer(_)) => {
            text.replace('_', "").parse().map(Value::Integer).map_err(|_| "a whole number")
        }
        Some(Value::Float(_)) => text.parse().map(Value::Float).map_err(|_| "a number"),
        Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).map_err(|_| "true or false"),
        Some(Value::Datetime(_)) => {
            text.parse().map(Value::Datetime).map_err(|_| "a date and time")
        }
        Some(Value::Array(_)) => Ok(match literal() {
            Some(list @ Value::Array(_)) => list,
            _ => Value::Array(
                text.split(',').map(|item| Value::String(item.trim().to_owned())).collect(),
            ),
        }),
        Some(Value::Table(_)) => {
            literal().filter(Value::is_table).ok_or("a TOML table, such as {a = 1}")
        }
        None => Ok(literal().unwrap_or_else(|| Value::String(text.to_owned()))),
    }
}
