//! Values as the receiver's Python sees them.
//!
//! MIT Learn reads a body with `json.loads` and checks fields by Python's rules. They are laxer than
//! those of Rust's parsers (`NaN` is a number, half a surrogate pair is a character, `0` is false),
//! and a payload that Learn takes must not fail here.

use std::borrow::Cow;

use serde_json::Value;

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not UTF-8. Learn does not catch the exception and answers 500.
    Encoding,
    /// Not JSON.
    Syntax,
}

/// Reads a body as `json.loads` does.
///
/// Differs from Python in corners that no sender reaches: UTF-16 and UTF-32 bodies, nesting deeper
/// than 127 levels and floats beyond the range of 64 bits are refused.
pub(super) fn json(body: &[u8]) -> Result<Value, Unreadable> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::Encoding)?;
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&strict(text)))
        .map_err(|_| Unreadable::Syntax)
}

/// Rewrites what only Python takes into JSON with the same fate: a constant becomes a float, half a
/// surrogate pair becomes U+0000, which the serializers refuse as well.
fn strict(text: &str) -> String {
    const CONSTANTS: [(&str, &str); 3] =
        [("NaN", " 0.5 "), ("Infinity", " 0.5 "), ("-Infinity", " -0.5 ")];
    let mut written = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        let constant = CONSTANTS.iter().find(|(name, _)| !in_string && rest.starts_with(name));
        let (length, replacement) = match (next, constant) {
            (_, Some((name, value))) => (name.len(), Some(*value)),
            ('\\', None) if in_string => escape(rest),
            ('"', None) => {
                in_string = !in_string;
                (1, None)
            }
            (_, None) => (next.len_utf8(), None),
        };
        let (taken, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        written.push_str(replacement.unwrap_or(taken));
        rest = tail;
    }
    written
}

/// The length of the escape at the start of `text`, and what to write for it unless itself.
fn escape(text: &str) -> (usize, Option<&'static str>) {
    match surrogate(text) {
        Some(0xd800..=0xdbff)
            if text.get(6..).and_then(surrogate).is_some_and(|unit| unit >= 0xdc00) =>
        {
            (12, None)
        }
        Some(_) => (6, Some("\\u0000")),
        None => (1 + text.chars().nth(1).map_or(0, char::len_utf8), None),
    }
}

/// The surrogate that a `\uXXXX` at the start of `text` stands for.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xd800..=0xdfff).contains(&unit).then_some(unit)
}

/// `bool(value)`.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// `str(value)`.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed("None"),
        Value::Bool(true) => Cow::Borrowed("True"),
        Value::Bool(false) => Cow::Borrowed("False"),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(representation).collect();
            Cow::Owned(format!("[{}]", items.join(", ")))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), representation(value)))
                .collect();
            Cow::Owned(format!("{{{}}}", fields.join(", ")))
        }
    }
}

/// `repr(value)`, but for strings with unusual characters.
fn representation(value: &Value) -> String {
    value.as_str().map_or_else(|| text(value).into_owned(), quoted)
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    format!("{quote}{}{quote}", text.replace('\\', "\\\\"))
}

/// `type(value).__name__`.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// `text.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|character: char| {
        character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
    })
}
