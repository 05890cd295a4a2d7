//! One unit file's tree into one unit: every rule that a file can break by itself, except those
//! that take a whole table or several to see (see [`super::validate`]).

use std::collections::BTreeMap;

use super::declared_type::DeclaredType;
use super::name;
use super::node::{Node, Value};
use super::problem::Rule;
use super::reader::{MapReader, Notes};
use super::unit::{
    DEFAULT_NAMESPACE, DateTransform, Mask, MetadataColumns, PartitionTerm, PartitionTransform,
    ReplicationMethod, SkippedUnit, SortTerm, SourceKind, SyncMode, Table, TableOverrides, Unit,
    UnitId,
};

/// The loader whose units are ours.
pub(crate) const LOADER: &str = "ol_ingest";

/// The only schema version there is.
const SCHEMA_VERSION: i64 = 1;

/// The blocks of other loaders; a unit has the block of its own loader only.
const OTHER_BLOCKS: &[&str] = &["airbyte", "dlt"];

/// A unit with the lines of what later rules may have to point at.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) unit: Unit,
    /// The line of each table, in the order of `unit.tables`.
    pub(crate) table_lines: Vec<u64>,
    /// The index in the file of each table: `unit.tables` lacks those that could not be read.
    pub(crate) table_indexes: Vec<usize>,
    /// Whether every table of the file could be read; if not, what seems missing may be there.
    pub(crate) complete: bool,
    /// Overrides by the key they are written under, with its line.
    pub(crate) overrides: Vec<(String, u64, TableOverrides)>,
}

/// What of another loader's unit concerns ours: the raw tables and prefix that are taken.
#[derive(Debug)]
pub(crate) struct Skipped {
    pub(crate) unit: SkippedUnit,
    pub(crate) table_prefix: Option<String>,
    /// Raw tables with their index in the file.
    pub(crate) raw_tables: Vec<(String, usize)>,
}

/// What one file holds.
#[derive(Debug)]
pub(crate) enum Decoded {
    Ours(Box<Draft>),
    Skipped(Skipped),
}

/// Decodes one file; `None` when it cannot be a unit, which is then noted.
pub(crate) fn decode(notes: &mut Notes, file: &str, root: &Node) -> Option<Decoded> {
    let mut map = MapReader::open(notes, "", root)?;
    let loader = map.required_text(notes, "loader");
    if let Some(loader) = &loader
        && loader != LOADER
    {
        return Some(Decoded::Skipped(skipped(file, loader, root)));
    }
    let version_ok = version(notes, &mut map);
    let deployment = identifier(notes, &mut map, "deployment");
    let layer = identifier(notes, &mut map, "layer");
    let scope = free_words(notes, &mut map, "scope");
    let strategies = free_words(notes, &mut map, "strategies");
    map.tolerate("mirror_max_age_days");
    let table_prefix = map.optional_text(notes, "table_prefix");
    let tables = map.required(notes, "tables");
    let settings_node = map.required(notes, LOADER);
    for block in OTHER_BLOCKS {
        let why = format!(
            "the block \"{block}\" belongs to units with \"loader: {block}\"; remove it here"
        );
        map.forbid(notes, block, &why);
    }
    map.finish(notes, OTHER_BLOCKS);

    let settings = settings_node.and_then(|node| Settings::decode(notes, node));
    let notes_before_tables = notes.problems.len();
    let (tables, table_lines, table_indexes) = tables_of(notes, tables);
    let complete = notes.problems.len() == notes_before_tables;
    let (deployment, layer, settings) = (deployment?, layer?, settings?);
    if !version_ok || loader.is_none() {
        return None;
    }
    let table_prefix = table_prefix.unwrap_or_else(|| name::raw_table_prefix(&deployment, &layer));
    let unit = Unit {
        file: file.to_owned(),
        id: UnitId { deployment, layer },
        scope,
        strategies,
        table_prefix,
        source_kind: settings.source_kind,
        replication_method: settings.replication_method,
        metadata_columns: settings.metadata_columns,
        tables,
    };
    let overrides = settings.overrides;
    Some(Decoded::Ours(Box::new(Draft { unit, table_lines, table_indexes, complete, overrides })))
}

/// Reads of a foreign unit what it says, and asks nothing of it.
fn skipped(file: &str, loader: &str, root: &Node) -> Skipped {
    let text = |node: &Node, field: &str| {
        child(node, field).and_then(|node| node.value.as_text()).map(str::to_owned)
    };
    let tables = child(root, "tables").and_then(|node| node.value.as_list());
    let raw_tables = tables
        .unwrap_or_default()
        .iter()
        .enumerate()
        .filter_map(|(index, item)| Some((text(item, "raw_table")?, index)))
        .collect();
    let id = UnitId {
        deployment: text(root, "deployment").unwrap_or_default(),
        layer: text(root, "layer").unwrap_or_default(),
    };
    let unit = SkippedUnit { file: file.to_owned(), id, loader: loader.to_owned() };
    Skipped { unit, table_prefix: text(root, "table_prefix"), raw_tables }
}

fn child<'a>(node: &'a Node, field: &str) -> Option<&'a Node> {
    node.value.as_map()?.iter().find(|(name, _, _)| name == field).map(|(_, _, node)| node)
}

/// The version is `version: 1`; the platform's own files spell it `schema_version`.
fn version(notes: &mut Notes, map: &mut MapReader<'_>) -> bool {
    let (field, node) = match (map.optional("version"), map.optional("schema_version")) {
        (Some(node), _) => ("version", node),
        (None, Some(node)) => ("schema_version", node),
        (None, None) => {
            let message =
                format!("the field \"version\" is missing; add \"version: {SCHEMA_VERSION}\"");
            notes.note("", map.line(), Rule::MissingField, message);
            return false;
        }
    };
    if node.value == Value::Integer(SCHEMA_VERSION) {
        return true;
    }
    let message = format!("this build reads version {SCHEMA_VERSION} of the schema only");
    notes.note(&map.path_of(field), node.line, Rule::Version, message);
    false
}

/// A deployment or layer: it becomes part of lake names, environment variables and filters.
fn identifier(notes: &mut Notes, map: &mut MapReader<'_>, field: &'static str) -> Option<String> {
    let node = map.required(notes, field)?;
    let text = notes.text(&map.path_of(field), node)?;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    if starts_well && text.chars().all(legal) {
        return Some(text);
    }
    let message = format!(
        "\"{text}\" is not a {field}; use lower-case letters, digits, \"_\" and \"-\", a letter first"
    );
    notes.note(&map.path_of(field), node.line, Rule::Value, message);
    None
}

/// `scope` and `strategies` are the platform's to define; a text, a list or a map is kept.
fn free_words(
    notes: &mut Notes,
    map: &mut MapReader<'_>,
    field: &'static str,
) -> Option<serde_json::Value> {
    let node = map.optional(field)?;
    match &node.value {
        Value::Text(_) | Value::List(_) | Value::Map(_) => Some(node.value.to_json()),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Number(_) => {
            let message =
                format!("this must be a text, a list or a map, not {}", node.value.kind());
            notes.note(&map.path_of(field), node.line, Rule::Value, message);
            None
        }
    }
}

fn tables_of(notes: &mut Notes, node: Option<&Node>) -> (Vec<Table>, Vec<u64>, Vec<usize>) {
    let (mut tables, mut lines, mut indexes) = (Vec::new(), Vec::new(), Vec::new());
    let Some(node) = node else { return (tables, lines, indexes) };
    let Value::List(items) = &node.value else {
        let message = format!("this must be a list of tables, not {}", node.value.kind());
        notes.note("tables", node.line, Rule::Value, message);
        return (tables, lines, indexes);
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(table) = table(notes, &format!("tables[{index}]"), item) {
            tables.push(table);
            lines.push(item.line);
            indexes.push(index);
        }
    }
    (tables, lines, indexes)
}

fn table(notes: &mut Notes, path: &str, node: &Node) -> Option<Table> {
    let mut map = MapReader::open(notes, path, node)?;
    let name = map.required_text(notes, "name");
    let namespace = map.optional_text(notes, "namespace");
    let raw_table = map.required_text(notes, "raw_table");
    let sync_mode = map.required(notes, "sync_mode").and_then(|node| {
        word(notes, &format!("{path}.sync_mode"), node, SyncMode::NOUN, SyncMode::ALL, |m| m.word())
    });
    let cursor_fields = map.texts(notes, "cursor_field");
    let primary_key = map.texts(notes, "primary_key");
    let excluded_columns = map.texts(notes, "excluded_columns");
    let modeled = match map.optional("modeled") {
        Some(node) => notes.boolean(&map.path_of("modeled"), node).unwrap_or_default(),
        None => false,
    };
    let renamed_from = map.optional_text(notes, "renamed_from");
    if cursor_fields.len() > 1 {
        let message =
            "a cursor is one column; keep the one that grows with every change".to_owned();
        notes.note(&map.path_of("cursor_field"), map.line(), Rule::Value, message);
    }
    map.finish(notes, &[]);
    Some(Table {
        name: name?,
        namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        raw_table: raw_table?,
        sync_mode: sync_mode?,
        cursor_field: cursor_fields.into_iter().next(),
        primary_key,
        excluded_columns,
        modeled,
        renamed_from,
        overrides: TableOverrides::default(),
    })
}

/// The word of a vocabulary that a node holds.
fn word<T: Copy>(
    notes: &mut Notes,
    path: &str,
    node: &Node,
    noun: &str,
    all: &[T],
    spelling: fn(T) -> &'static str,
) -> Option<T> {
    let words: Vec<(&'static str, T)> =
        all.iter().map(|value| (spelling(*value), *value)).collect();
    notes.word(path, node, noun, &words)
}

/// The `ol_ingest` block.
struct Settings {
    source_kind: SourceKind,
    replication_method: ReplicationMethod,
    metadata_columns: MetadataColumns,
    overrides: Vec<(String, u64, TableOverrides)>,
}

impl Settings {
    fn decode(notes: &mut Notes, node: &Node) -> Option<Self> {
        let mut map = MapReader::open(notes, LOADER, node)?;
        let source_kind = map.required(notes, "source_kind").and_then(|node| {
            let path = format!("{LOADER}.source_kind");
            word(notes, &path, node, SourceKind::NOUN, SourceKind::ALL, SourceKind::word)
        });
        let replication_method = match map.optional("replication_method") {
            Some(node) => {
                let path = format!("{LOADER}.replication_method");
                let (noun, all) = (ReplicationMethod::NOUN, ReplicationMethod::ALL);
                word(notes, &path, node, noun, all, ReplicationMethod::word)
            }
            None => Some(ReplicationMethod::Full),
        };
        let metadata_columns = match map.optional("metadata_columns") {
            Some(node) => {
                let path = format!("{LOADER}.metadata_columns");
                let (noun, all) = (MetadataColumns::NOUN, MetadataColumns::ALL);
                word(notes, &path, node, noun, all, MetadataColumns::word)
            }
            None => Some(MetadataColumns::Native),
        };
        let overrides = match map.optional("overrides") {
            Some(node) => overrides(notes, node),
            None => Vec::new(),
        };
        map.finish(notes, &[]);
        Some(Self {
            source_kind: source_kind?,
            replication_method: replication_method?,
            metadata_columns: metadata_columns?,
            overrides,
        })
    }
}

fn overrides(notes: &mut Notes, node: &Node) -> Vec<(String, u64, TableOverrides)> {
    let path = format!("{LOADER}.overrides");
    let Value::Map(fields) = &node.value else {
        let message = format!("this must be a map by table name, not {}", node.value.kind());
        notes.note(&path, node.line, Rule::Value, message);
        return Vec::new();
    };
    let mut overrides = Vec::new();
    for (table, line, node) in fields {
        if let Some(decoded) = table_overrides(notes, &format!("{path}.{table}"), node) {
            overrides.push((table.clone(), *line, decoded));
        }
    }
    overrides
}

fn table_overrides(notes: &mut Notes, path: &str, node: &Node) -> Option<TableOverrides> {
    let mut map = MapReader::open(notes, path, node)?;
    let columns = by_column(notes, &mut map, "columns", |notes, path, node| {
        let text = notes.text(path, node)?;
        DeclaredType::parse(&text)
            .map_err(|message| notes.note(path, node.line, Rule::DeclaredType, message))
            .ok()
    });
    let masked_columns = by_column(notes, &mut map, "masked_columns", |notes, path, node| {
        word(notes, path, node, Mask::NOUN, Mask::ALL, Mask::word)
    });
    let renamed_columns =
        by_column(notes, &mut map, "renamed_columns", |notes, path, node| notes.text(path, node));
    let partition_by = terms(notes, &mut map, "partition_by", partition_term);
    let sort_by = terms(notes, &mut map, "sort_by", sort_term);
    map.finish(notes, &[]);
    Some(TableOverrides { columns, masked_columns, renamed_columns, partition_by, sort_by })
}

fn by_column<T>(
    notes: &mut Notes,
    map: &mut MapReader<'_>,
    field: &'static str,
    decode: impl Fn(&mut Notes, &str, &Node) -> Option<T>,
) -> BTreeMap<String, T> {
    let Some(node) = map.optional(field) else { return BTreeMap::new() };
    let path = map.path_of(field);
    let Value::Map(fields) = &node.value else {
        let message = format!("this must be a map by column name, not {}", node.value.kind());
        notes.note(&path, node.line, Rule::Value, message);
        return BTreeMap::new();
    };
    fields
        .iter()
        .filter_map(|(column, _, node)| {
            Some((column.clone(), decode(notes, &format!("{path}.{column}"), node)?))
        })
        .collect()
}

fn terms<T>(
    notes: &mut Notes,
    map: &mut MapReader<'_>,
    field: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let Some(node) = map.optional(field) else { return Vec::new() };
    let path = map.path_of(field);
    let texts = notes.texts(&path, node);
    let mut terms = Vec::new();
    for text in &texts {
        match parse(text) {
            Ok(term) => terms.push(term),
            Err(message) => notes.note(&path, node.line, Rule::Value, message),
        }
    }
    terms
}

/// `column`, `day(column)`, `bucket(16, column)` or `truncate(8, column)`.
fn partition_term(text: &str) -> Result<PartitionTerm, String> {
    let text = text.trim();
    let call = text.strip_suffix(')').and_then(|open| open.split_once('('));
    let Some((function, arguments)) = call else {
        let column = text.to_owned();
        return Ok(PartitionTerm { transform: PartitionTransform::Identity, column });
    };
    let function = function.trim();
    if let Some(date) = DateTransform::from_word(function) {
        let column = arguments.trim().to_owned();
        return Ok(PartitionTerm { transform: PartitionTransform::Date(date), column });
    }
    let numbered: fn(u32) -> PartitionTransform = match function {
        "bucket" => PartitionTransform::Bucket,
        "truncate" => PartitionTransform::Truncate,
        _ => {
            let known = ["year", "month", "day", "hour", "bucket", "truncate"];
            let cure = super::suggest::cure(function, &known);
            return Err(format!("\"{function}\" is not a partition transform; {cure}"));
        }
    };
    let (number, column) = arguments.split_once(',').unwrap_or((arguments, ""));
    match number.trim().parse::<u32>() {
        Ok(number) if number > 0 && !column.trim().is_empty() => {
            Ok(PartitionTerm { transform: numbered(number), column: column.trim().to_owned() })
        }
        _ => Err(format!("\"{text}\" needs a number and a column, {function}(16, id)")),
    }
}

/// `column`, `column asc` or `column desc`.
fn sort_term(text: &str) -> Result<SortTerm, String> {
    let (column, descending) = match text.trim().rsplit_once(' ') {
        Some((column, "desc")) => (column, true),
        Some((column, "asc")) => (column, false),
        _ => (text, false),
    };
    Ok(SortTerm { column: column.trim().to_owned(), descending })
}
