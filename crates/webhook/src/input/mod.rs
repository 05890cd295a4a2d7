//! Where payloads come from: flags, JSON lines, the lake.

pub mod lake;
mod lines;

use crate::cli::PayloadInput;
use crate::error::{Definite, Error, Result};
use crate::payload::{Kind, Value, parse};

pub use lake::rows;
pub use lines::{LONGEST_LINE_BYTES, read_lines};

/// The object that flags describe; `None` when no flag says anything of a payload.
///
/// # Errors
/// [`Definite::InputInvalid`] when `--payload` is no JSON object, [`Definite::Configuration`] when it is mixed with
/// other fields.
pub fn from_flags(input: &PayloadInput, kind: Kind) -> Result<Option<Value>> {
    let mut fields: Vec<(&str, Value)> = Vec::new();
    let texts = [
        ("course_id", &input.course_id),
        ("course_readable_id", &input.course_readable_id),
        ("content_path", &input.content_path),
        ("video_id", &input.video_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            fields.push((name, Value::String(text.clone())));
        }
    }
    let Some(json) = &input.payload else {
        if fields.is_empty() {
            return Ok(None);
        }
        return Ok(Some(Value::object(fields)));
    };
    if !fields.is_empty() {
        return Err(Error::new(Definite::Configuration)
            .with("flag", "--payload")
            .with("reason", "it holds all fields; the others are not combined with it"));
    }
    object(json.as_bytes(), kind).map(Some).map_err(|reason| {
        Error::new(Definite::InputInvalid).with("flag", "--payload").with("reason", reason)
    })
}

/// A JSON object (a list is taken for learning_resources), or why it is none, without what it says.
pub fn object(bytes: &[u8], kind: Kind) -> std::result::Result<Value, String> {
    let value = parse(bytes).map_err(|error| error.to_string())?;
    let is_list = value.as_array().is_some() && kind == Kind::LearningResources;
    if value.as_object().is_some() || is_list {
        Ok(value)
    } else {
        Err("it is not a JSON object".to_owned())
    }
}
