//! Reads the fields of one map of a unit file, noting every mistake with its path and line.
//!
//! A [`MapReader`] hands out fields by name and afterwards refuses the ones nobody asked for, so
//! the list of known fields is the code that reads them and cannot fall behind it.

use super::node::{Node, Value};
use super::problem::{Problem, Rule};
use super::suggest;

/// Collects the problems of one file.
#[derive(Debug)]
pub(crate) struct Notes {
    file: String,
    pub(crate) problems: Vec<Problem>,
}

impl Notes {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), problems: Vec::new() }
    }

    pub(crate) fn note(&mut self, yaml_path: &str, line: u64, rule: Rule, message: String) {
        self.problems.push(Problem {
            file: self.file.clone(),
            yaml_path: yaml_path.to_owned(),
            line: Some(line).filter(|line| *line > 0),
            rule,
            message,
        });
    }

    fn wrong_kind(&mut self, path: &str, node: &Node, wanted: &str) {
        let quotable =
            matches!(node.value, Value::Integer(_) | Value::Number(_) | Value::Boolean(_));
        let cure = if quotable && wanted == "a text" { "; put it in quotes" } else { "" };
        let message = format!("this must be {wanted}, not {}{cure}", node.value.kind());
        self.note(path, node.line, Rule::Value, message);
    }

    /// A text that is not empty.
    pub(crate) fn text(&mut self, path: &str, node: &Node) -> Option<String> {
        let Some(text) = node.value.as_text() else {
            self.wrong_kind(path, node, "a text");
            return None;
        };
        if text.trim().is_empty() {
            self.note(path, node.line, Rule::Value, "this must not be empty".to_owned());
            return None;
        }
        Some(text.to_owned())
    }

    pub(crate) fn boolean(&mut self, path: &str, node: &Node) -> Option<bool> {
        if let Value::Boolean(value) = node.value {
            return Some(value);
        }
        self.wrong_kind(path, node, "true or false");
        None
    }

    /// A list of texts without repetition. One text alone counts as a list of one, and a list of
    /// one text counts as that text, because other loaders write composite keys that way.
    pub(crate) fn texts(&mut self, path: &str, node: &Node) -> Vec<String> {
        let Some(items) = node.value.as_list() else {
            if node.value.as_text().is_some() {
                return self.text(path, node).into_iter().collect();
            }
            self.wrong_kind(path, node, "a list of texts");
            return Vec::new();
        };
        let mut texts: Vec<String> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let item_path = format!("{path}[{index}]");
            let inner = match item.value.as_list() {
                Some([inner]) => inner,
                _ => item,
            };
            let Some(text) = self.text(&item_path, inner) else { continue };
            if texts.contains(&text) {
                let message = format!("\"{text}\" is listed twice; remove one");
                self.note(&item_path, inner.line, Rule::Value, message);
            } else {
                texts.push(text);
            }
        }
        texts
    }

    /// One of the words of a vocabulary.
    pub(crate) fn word<T: Copy>(
        &mut self,
        path: &str,
        node: &Node,
        noun: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(path, node)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let cure = suggest::cure(&text, &known);
            let message = format!("\"{text}\" is not a {noun}; {cure}");
            self.note(path, node.line, Rule::Value, message);
        }
        found
    }
}

/// The fields of one map, each handed out once.
#[derive(Debug)]
pub(crate) struct MapReader<'a> {
    path: String,
    line: u64,
    fields: &'a [(String, u64, Node)],
    asked: Vec<&'static str>,
}

impl<'a> MapReader<'a> {
    /// Opens a map; anything else is noted and gives `None`.
    pub(crate) fn open(notes: &mut Notes, path: &str, node: &'a Node) -> Option<Self> {
        let Value::Map(fields) = &node.value else {
            notes.wrong_kind(path, node, "a map");
            return None;
        };
        Some(Self { path: path.to_owned(), line: node.line, fields, asked: Vec::new() })
    }

    /// Where a field of this map is.
    pub(crate) fn path_of(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// The line the map starts at.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// A field, when it is there; an empty one counts as absent.
    pub(crate) fn optional(&mut self, field: &'static str) -> Option<&'a Node> {
        self.asked.push(field);
        self.fields
            .iter()
            .find(|(name, _, _)| name == field)
            .map(|(_, _, node)| node)
            .filter(|node| node.value != Value::Null)
    }

    /// A field that must be there.
    pub(crate) fn required(&mut self, notes: &mut Notes, field: &'static str) -> Option<&'a Node> {
        let found = self.optional(field);
        if found.is_none() {
            let message = format!("the field \"{field}\" is missing; add it");
            notes.note(&self.path, self.line, Rule::MissingField, message);
        }
        found
    }

    /// A text field that must be there.
    pub(crate) fn required_text(
        &mut self,
        notes: &mut Notes,
        field: &'static str,
    ) -> Option<String> {
        let node = self.required(notes, field)?;
        notes.text(&self.path_of(field), node)
    }

    /// A text field that may be absent.
    pub(crate) fn optional_text(
        &mut self,
        notes: &mut Notes,
        field: &'static str,
    ) -> Option<String> {
        let node = self.optional(field)?;
        notes.text(&self.path_of(field), node)
    }

    /// A list of texts; absent is empty.
    pub(crate) fn texts(&mut self, notes: &mut Notes, field: &'static str) -> Vec<String> {
        match self.optional(field) {
            Some(node) => notes.texts(&self.path_of(field), node),
            None => Vec::new(),
        }
    }

    /// Fields that belong to other tools and are accepted here without being read.
    pub(crate) fn tolerate(&mut self, field: &'static str) {
        self.asked.push(field);
    }

    /// Refuses a field that exists in the schema but has no place in this map.
    pub(crate) fn forbid(&mut self, notes: &mut Notes, field: &'static str, why: &str) {
        if let Some((_, line, _)) = self.fields.iter().find(|(name, _, _)| name == field) {
            notes.note(&self.path_of(field), *line, Rule::UnknownField, why.to_owned());
        }
    }

    /// Notes every field that was never asked for. `forbidden` fields were noted already.
    pub(crate) fn finish(self, notes: &mut Notes, forbidden: &[&str]) {
        for (name, line, _) in self.fields {
            let known = self.asked.iter().any(|asked| asked == name);
            if known || forbidden.contains(&name.as_str()) {
                continue;
            }
            let cure = suggest::cure(name, &self.asked);
            let message = format!("the schema has no field \"{name}\" here; {cure}");
            notes.note(&self.path_of(name), *line, Rule::UnknownField, message);
        }
    }
}
