//! A value that knows the file and the place it was read from, so that whatever is wrong with it can be
//! said with both.

use std::path::PathBuf;

use serde_json::Value;

use super::Place;
use crate::error::Error;

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    path: String,
    /// Before the pointer: `line 3 ` of NDJSON, `document 2 ` of a YAML stream; empty when it is alone.
    prefix: String,
    value: Value,
}

impl Document {
    /// The root of its values.
    pub(super) fn root(&self) -> At<'_> {
        At { document: self, pointer: String::new(), value: &self.value }
    }
}

/// The one document of a JSON file.
pub(super) fn json(path: &str, text: &str, what: &str) -> Result<Document, Error> {
    let value = serde_json::from_str(text).map_err(|error| {
        let at = format!("line {}", error.line());
        unreadable(path, &at, &error.to_string(), what)
    })?;
    Ok(Document { path: path.to_owned(), prefix: String::new(), value })
}

/// The documents of a file with one JSON document a line; empty lines are none.
pub(super) fn json_lines(path: &str, text: &str, what: &str) -> Result<Vec<Document>, Error> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let at = format!("line {}", number + 1);
            let value = serde_json::from_str(line)
                .map_err(|error| unreadable(path, &at, &error.to_string(), what))?;
            Ok(Document { path: path.to_owned(), prefix: format!("{at} "), value })
        })
        .collect()
}

/// The documents of a YAML stream, of which JSON is a part; empty ones are neither read nor counted.
pub(super) fn yaml(path: &str, text: &str, what: &str) -> Result<Vec<Document>, Error> {
    let values: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let at = error
            .location()
            .map_or_else(|| "the beginning".to_owned(), |at| format!("line {}", at.line()));
        let problem = error.to_string();
        let first = problem.lines().next().unwrap_or_default();
        unreadable(path, &at, first, what)
    })?;
    let many = values.len() > 1;
    let documents = values.into_iter().enumerate().filter(|(_, value)| !value.is_null());
    Ok(documents
        .map(|(number, value)| {
            let prefix = if many { format!("document {} ", number + 1) } else { String::new() };
            Document { path: path.to_owned(), prefix, value }
        })
        .collect())
}

fn unreadable(path: &str, at: &str, problem: &str, what: &str) -> Error {
    Error::Import {
        path: PathBuf::from(path),
        at: at.to_owned(),
        problem: format!("it cannot be read: {problem}"),
        cure: format!("give {what}"),
    }
}

/// A value in its place.
#[derive(Debug, Clone)]
pub(super) struct At<'document> {
    document: &'document Document,
    pointer: String,
    /// The value itself.
    pub(super) value: &'document Value,
}

impl<'document> At<'document> {
    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        Place { path: self.document.path.clone(), at: format!("{}{pointer}", self.document.prefix) }
    }

    /// What is wrong here, and what cures it.
    pub(super) fn fault(&self, problem: &str, cure: &str) -> Error {
        let place = self.place();
        Error::Import {
            path: PathBuf::from(place.path),
            at: place.at,
            problem: problem.to_owned(),
            cure: cure.to_owned(),
        }
    }

    fn child(&self, key: &str, value: &'document Value) -> Self {
        let key = key.replace('~', "~0").replace('/', "~1");
        Self { document: self.document, pointer: format!("{}/{key}", self.pointer), value }
    }

    /// A field; none when it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(self.child(key, value))
    }

    /// A field that must be there.
    pub(super) fn need(&self, key: &str, cure: &str) -> Result<Self, Error> {
        self.get(key).ok_or_else(|| self.fault(&format!("there is no `{key}`"), cure))
    }

    /// A text, when it is there.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'document str>, Error> {
        self.get(key).map(|at| at.as_text()).transpose()
    }

    /// A text that must be there and say something.
    pub(super) fn need_text(&self, key: &str, cure: &str) -> Result<&'document str, Error> {
        let at = self.need(key, cure)?;
        let text = at.as_text()?;
        if text.is_empty() { Err(at.fault("the text is empty", cure)) } else { Ok(text) }
    }

    /// The value as a text.
    pub(super) fn as_text(&self) -> Result<&'document str, Error> {
        self.value.as_str().ok_or_else(|| self.is_no("a text"))
    }

    /// A boolean, or what holds when it is absent.
    pub(super) fn flag(&self, key: &str, absent: bool) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(absent),
            Some(at) => at.value.as_bool().ok_or_else(|| at.is_no("true or false")),
        }
    }

    /// The items of a list; none when it is absent.
    pub(super) fn items(&self, key: &str) -> Result<Vec<Self>, Error> {
        self.get(key).map_or_else(|| Ok(Vec::new()), |at| at.as_items())
    }

    /// The value as the items of a list.
    pub(super) fn as_items(&self) -> Result<Vec<Self>, Error> {
        let items = self.value.as_array().ok_or_else(|| self.is_no("a list"))?;
        Ok(items
            .iter()
            .enumerate()
            .map(|(index, value)| self.child(&index.to_string(), value))
            .collect())
    }

    /// The fields of a map; none when it is absent.
    pub(super) fn fields(&self, key: &str) -> Result<Vec<(&'document str, Self)>, Error> {
        self.get(key).map_or_else(|| Ok(Vec::new()), |at| at.as_fields())
    }

    /// The value as the fields of a map.
    pub(super) fn as_fields(&self) -> Result<Vec<(&'document str, Self)>, Error> {
        let fields = self.value.as_object().ok_or_else(|| self.is_no("a map"))?;
        Ok(fields.iter().map(|(key, value)| (key.as_str(), self.child(key, value))).collect())
    }

    fn is_no(&self, wanted: &str) -> Error {
        let found = match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        };
        self.fault(&format!("{found} stands where {wanted} belongs"), "correct the file")
    }
}
