//! The rules of Learn's serializers, field by field.
//!
//! `content_files` needs only a yes or no, because its failure is answered without a reason. The
//! other routes answer with the messages of Django REST framework, which are reproduced verbatim.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::python;

/// The messages by field, as a validation error is answered.
pub(super) type Errors = Map<String, Value>;

/// What `source` may be: the names of Learn's `ETLSource`.
const SOURCES: [&str; 12] = [
    "mit_edx",
    "mitpe",
    "mitxonline",
    "oll",
    "ocw",
    "podcast",
    "mit_climate",
    "see",
    "xpro",
    "youtube",
    "canvas",
    "ovs",
];

const NULL: &str = "This field may not be null.";
const BLANK: &str = "This field may not be blank.";
const REQUIRED: &str = "This field is required.";
const NOT_TEXT: &str = "Not a valid string.";
const NULL_CHARACTER: &str = "Null characters are not allowed.";
const PATTERN: &str = "This value does not match the required pattern.";
const NOT_BOOLEAN: &str = "Must be a valid boolean.";

/// How a text field is checked.
#[derive(Clone, Copy, Default)]
pub(super) struct TextRules {
    pub(super) blank: bool,
    pub(super) null: bool,
    /// It is a key of OVS.
    pub(super) key: bool,
}

/// True when `content_files` and `content_files/delete` take the payload.
pub(super) fn content_files(payload: &Value) -> bool {
    let Some(fields) = payload.as_object() else { return false };
    let holds = |name: &str, rules| fields.get(name).is_none_or(|value| text(value, rules).is_ok());
    let id = TextRules { blank: true, null: true, ..TextRules::default() };
    holds("content_path", TextRules { blank: true, ..TextRules::default() })
        && fields.get("source").and_then(Value::as_str).is_some_and(|name| SOURCES.contains(&name))
        && holds("course_id", id)
        && holds("course_readable_id", id)
}

/// Checks a payload of `learning_resources`, a route that Learn has not got.
///
/// Asks for what the sender's docstring calls the minimum of a resource, or for the marker behind the
/// parts of a batch, and refuses in the form that Django REST framework would.
pub(super) fn learning_resources(payload: &Value) -> Result<(), Errors> {
    let fields = object(payload)?;
    let resources = match fields.get("resources") {
        Some(Value::Array(resources)) => resources,
        None => {
            let Some(marker) = fields.get("prune") else {
                return Err(error("resources", REQUIRED));
            };
            let errors = required(marker, ["etl_source", "batch_id", "batch_total"]);
            if errors.is_empty() {
                return Ok(());
            }
            return Err(Errors::from_iter([("prune".to_owned(), Value::Object(errors))]));
        }
        Some(other) => {
            let kind = python::type_name(other);
            return Err(error(
                "resources",
                format!("Expected a list of items but got type \"{kind}\"."),
            ));
        }
    };
    let check = |resource| required(resource, ["readable_id", "etl_source", "resource_type"]);
    let checked: Vec<Errors> = resources.iter().map(check).collect();
    if checked.iter().all(Map::is_empty) {
        return Ok(());
    }
    let all = checked.into_iter().map(Value::Object).collect();
    Err(Errors::from_iter([("resources".to_owned(), Value::Array(all))]))
}

/// What an object lacks of these fields.
fn required<const N: usize>(value: &Value, names: [&str; N]) -> Errors {
    let mut errors = Errors::new();
    let fields = match object(value) {
        Ok(fields) => fields,
        Err(errors) => return errors,
    };
    for name in names {
        match fields.get(name).map(|value| text(value, TextRules::default())) {
            Some(Ok(_)) => {}
            Some(Err(messages)) => insert(&mut errors, name, messages),
            None => insert(&mut errors, name, vec![REQUIRED]),
        }
    }
    errors
}

/// The fields of a payload.
pub(super) fn object(payload: &Value) -> Result<&Map<String, Value>, Errors> {
    payload.as_object().ok_or_else(|| {
        if payload.is_null() {
            return error("non_field_errors", "No data provided");
        }
        let kind = python::type_name(payload);
        error("non_field_errors", format!("Invalid data. Expected a dictionary, but got {kind}."))
    })
}

/// The error of one field with one message.
pub(super) fn error(field: &str, message: impl Into<Value>) -> Errors {
    Errors::from_iter([(field.to_owned(), Value::Array(vec![message.into()]))])
}

/// Adds the messages of a field.
pub(super) fn insert(errors: &mut Errors, field: &str, messages: Vec<&'static str>) {
    errors.insert(field.to_owned(), messages.into());
}

/// A `CharField`: text, or a number that becomes text; blanks around it do not count.
pub(super) fn text(value: &Value, rules: TextRules) -> Result<Cow<'_, str>, Vec<&'static str>> {
    let text = match value {
        Value::Null if rules.null => return Ok(Cow::Borrowed("")),
        Value::Null => return Err(vec![NULL]),
        Value::String(text) => Cow::Borrowed(python::strip(text)),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(vec![if rules.key { PATTERN } else { NOT_TEXT }]);
        }
    };
    if text.is_empty() {
        return if rules.blank { Ok(text) } else { Err(vec![BLANK]) };
    }
    let mut messages = Vec::new();
    if text.contains('\0') {
        messages.push(NULL_CHARACTER);
    }
    if rules.key && !is_key(&text) {
        messages.push(PATTERN);
    }
    if messages.is_empty() { Ok(text) } else { Err(messages) }
}

/// `^[A-Za-z0-9._-]{1,255}$`.
pub(super) fn is_key(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A `BooleanField`.
pub(super) fn boolean(value: &Value) -> Result<bool, Vec<&'static str>> {
    const TRUE: [&str; 6] = ["t", "y", "yes", "true", "on", "1"];
    const FALSE: [&str; 6] = ["f", "n", "no", "false", "off", "0"];
    let held = match value {
        Value::Null => return Err(vec![NULL]),
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::String(text) => {
            let text = text.to_lowercase();
            match (TRUE.contains(&text.as_str()), FALSE.contains(&text.as_str())) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                (false, false) => None,
            }
        }
        Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    held.ok_or_else(|| vec![NOT_BOOLEAN])
}
