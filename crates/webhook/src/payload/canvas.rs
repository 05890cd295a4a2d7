//! `content_files` of Canvas: the one source whose body has fields of its own.
//!
//! MIT Learn reads only the path and drops the other seven; they are kept because a cutover compares bodies. The path
//! is worth the more checks: from its folder MIT Learn takes the id of the course, and beside it the file of metadata.

use super::build::{Draft, Payload};
use super::json::Value;
use super::kind::Kind;
use super::landing;
use super::problem::{Problem, Problems};

/// The eight fields of Canvas, the last only when the course has an id of the student information system.
pub(super) fn upload(
    input: &Value,
    pairs: &[(String, Value)],
    path: Option<&str>,
    now_seconds: f64,
    mut problems: Problems,
) -> Result<Payload, Vec<Problem>> {
    const KNOWN: [&str; 8] = [
        "course_id",
        "course_name",
        "course_code",
        "content_path",
        "metadata_path",
        "source",
        "time",
        "course_readable_id",
    ];
    for (name, _) in pairs.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())) {
        problems.warn(name, "Is not a field that today's sender sends, and is left out");
    }
    let id = id(input, &mut problems);
    let id_text = id.as_ref().and_then(Value::as_digits).unwrap_or_default().to_owned();
    if let Some(path) = path {
        landing::check("canvas", path, id.as_ref().map(|_| id_text.as_str()), &mut problems);
    }
    let body = [
        ("course_id", id),
        ("course_name", text(input, "course_name", &mut problems)),
        ("course_code", code(input, &mut problems)),
        ("content_path", path.map(Value::from)),
        ("metadata_path", metadata_path(input, path, &mut problems)),
        ("source", Some(Value::from("canvas"))),
        ("time", time(input, now_seconds, &mut problems)),
        ("course_readable_id", sis_id(input, &mut problems)),
    ];
    let body = Value::object(body.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Draft {
        kind: Kind::ContentFiles,
        source: "canvas",
        identity: id_text,
        body,
        volatile: &["time"],
        problems,
    }
    .seal()
}

/// The id of a Canvas course, which is sent as an integer. A text of digits, as a query may give it, becomes one.
pub(super) fn id(input: &Value, problems: &mut Problems) -> Option<Value> {
    const FIELD: &str = "course_id";
    let id = match input.get(FIELD) {
        Some(Value::String(digits)) => Value::integer_of_digits(digits),
        other => other.cloned(),
    };
    let is_positive =
        |digits: &str| digits != "0" && !digits.starts_with('-') && digits.len() <= 19;
    let id = id.filter(|id| id.as_digits().is_some_and(is_positive));
    if id.is_none() {
        problems.refuse(FIELD, "Must be a positive integer of at most 19 digits");
    }
    id
}

/// A text that MIT Learn does not read. Canvas may have none, which is sent as null.
fn text(input: &Value, field: &str, problems: &mut Problems) -> Option<Value> {
    match input.get(field) {
        Some(value @ (Value::String(_) | Value::Null)) => Some(value.clone()),
        Some(_) => {
            problems.refuse(field, "Must be a text or null");
            None
        }
        None => {
            problems.refuse(field, "Must be given, as a text or null");
            None
        }
    }
}

fn code(input: &Value, problems: &mut Problems) -> Option<Value> {
    let code = text(input, "course_code", problems)?;
    if !code.is_truthy() {
        problems.warn(
            "course_code",
            "Is empty; the id in MIT Learn ends with the code inside the archive",
        );
    }
    Some(code)
}

/// MIT Learn does not read this path: it looks beside the archive. Another place is never found.
fn metadata_path(input: &Value, path: Option<&str>, problems: &mut Problems) -> Option<Value> {
    const FIELD: &str = "metadata_path";
    let Some(metadata) = input.get(FIELD).and_then(Value::as_str) else {
        problems.refuse(FIELD, "Must be given, as a text");
        return None;
    };
    let beside = path.and_then(|path| path.strip_suffix(".imscc"));
    if beside.is_some_and(|beside| metadata.strip_suffix(".metadata.json") != Some(beside)) {
        problems.refuse(
            FIELD,
            "Must be content_path with .metadata.json in place of .imscc: MIT Learn \
             looks nowhere else",
        );
    }
    Some(metadata.into())
}

/// When the payload was made, a float of seconds since 1970 as Python's `time.time()` gives it.
fn time(input: &Value, now_seconds: f64, problems: &mut Problems) -> Option<Value> {
    const FIELD: &str = "time";
    let seconds = match input.get(FIELD) {
        None | Some(Value::Null) => Some(now_seconds),
        Some(given) => given.as_f64(),
    };
    let time = seconds.filter(|seconds| *seconds >= 0.0).and_then(Value::float);
    if time.is_none() {
        problems.refuse(FIELD, "Must be a number of seconds since 1970");
    }
    time
}

/// The id of the student information system, left out when the course has none: MIT Learn refused null for long.
fn sis_id(input: &Value, problems: &mut Problems) -> Option<Value> {
    const FIELD: &str = "course_readable_id";
    match input.get(FIELD)? {
        Value::Null => None,
        Value::String(id) if id.is_empty() => None,
        Value::String(id) if id.trim() == id && !id.chars().any(char::is_control) => {
            Some(id.as_str().into())
        }
        Value::String(_) => {
            problems.refuse(FIELD, "Must not hold control characters or blanks at its ends");
            None
        }
        Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Array(_)
        | Value::Object(_) => {
            problems.refuse(FIELD, "Must be a text or null");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::build::{BuildOptions, build};
    use super::super::parser::parse;
    use super::super::problem::Severity;
    use super::*;

    fn built_at(input: &str, now_seconds: f64) -> Result<Payload, Vec<Problem>> {
        let options = BuildOptions::at(now_seconds);
        build(Kind::ContentFiles, parse(input.as_bytes()).unwrap(), &options)
    }

    fn built(input: &str) -> Result<Payload, Vec<Problem>> {
        built_at(input, 1_787_000_000.25)
    }

    fn body(input: &str) -> String {
        String::from_utf8(built(input).unwrap().body).unwrap()
    }

    /// The fields that are refused, each once.
    fn refused(input: &str) -> Vec<String> {
        let refusals = built(input).unwrap_err().into_iter();
        let refusals = refusals.filter(|problem| problem.severity == Severity::Refusal);
        let mut fields: Vec<String> = refusals.map(|problem| problem.field).collect();
        fields.dedup();
        fields
    }

    const CANVAS: &str = r#"{"source":"canvas","course_code":"15.S20","course_id":"2198","course_name":"Société 😀","metadata_path":"canvas/course_content/2198/abc.metadata.json","content_path":"canvas/course_content/2198/abc.imscc","course_readable_id":null}"#;

    #[test]
    fn the_body_of_canvas() {
        let expected = r#"{"course_id":2198,"course_name":"Soci\u00e9t\u00e9 \ud83d\ude00","course_code":"15.S20","content_path":"canvas/course_content/2198/abc.imscc","metadata_path":"canvas/course_content/2198/abc.metadata.json","source":"canvas","time":1787000000.25}"#;
        assert_eq!(body(CANVAS), expected);
        let with_id = CANVAS.replace("null", r#""SIS 1","time":1500000000"#);
        let expected =
            expected.replace("1787000000.25}", r#"1500000000.0,"course_readable_id":"SIS 1"}"#);
        assert_eq!(body(&with_id), expected);
    }

    #[test]
    fn the_time_does_not_change_the_content() {
        let one = built(CANVAS).unwrap();
        let other = built_at(CANVAS, 0.0).unwrap();
        assert_ne!(one.body, other.body);
        assert_eq!(one.content_hash, other.content_hash);
        assert_ne!(
            one.content_hash,
            built(&CANVAS.replace("15.S20", "15.S21")).unwrap().content_hash
        );
        assert_eq!(
            (one.entity.as_str(), one.identity.as_str()),
            ("content_files/canvas/2198", "2198")
        );
    }

    #[test]
    fn every_problem_is_named_and_no_value() {
        let input = r#"{"source":"canvas","course_id":true,"course_name":["secret"],"course_code":7,"content_path":"/secret/x","metadata_path":1,"time":"secret","course_readable_id":{}}"#;
        let problems = built(input).unwrap_err();
        assert!(problems.iter().all(|problem| !problem.to_string().contains("secret")));
        let fields = [
            "content_path",
            "course_id",
            "course_name",
            "course_code",
            "metadata_path",
            "time",
            "course_readable_id",
        ];
        let named = refused(input);
        for field in fields {
            assert!(named.iter().any(|name| name == field), "{field}: {named:?}");
        }
    }

    #[test]
    fn paths_are_given_and_lie_together() {
        for (from, to, fields) in [
            ("2198/abc.imscc", "2199/abc.imscc", vec!["content_path", "metadata_path"]),
            ("abc.metadata.json", "abd.metadata.json", vec!["metadata_path"]),
            (r#""canvas/course_content/2198/abc.imscc""#, "null", vec!["content_path"]),
            (r#""canvas/course_content/2198/abc.imscc""#, "\"\"", vec!["content_path"]),
            ("null", "null,\"time\":-1", vec!["time"]),
        ] {
            assert_eq!(refused(&CANVAS.replace(from, to)), fields, "{to}");
        }
    }

    #[test]
    fn an_id_is_a_positive_integer() {
        for id in ["null", "0", "-1", "1.0", "\"\"", "\"12a\"", "12345678901234567890"] {
            let input = CANVAS.replace("\"2198\"", id);
            assert_eq!(refused(&input), ["course_id"], "{id}");
        }
    }

    #[test]
    fn a_field_too_many_is_left_out() {
        let payload = built(&CANVAS.replace("null", "null,\"extra\":1")).unwrap();
        assert_eq!(payload.body, built(CANVAS).unwrap().body);
        let names: Vec<_> = payload.warnings.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(names, ["extra"]);
    }
}
