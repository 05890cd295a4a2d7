//! `content_files`: a course archive lies in the landing zone, or a course is gone.
//!
//! Bodies are those of today's senders, key by key. MIT Learn reads `source`, `content_path` and the two ids and
//! ignores the rest; a 200 says only that the work is queued. So what would fail later, unseen, is refused here.

use super::build::{BuildOptions, Draft, Payload};
use super::fields::{self, is_plain_id};
use super::identity::{self, learn_id};
use super::json::Value;
use super::kind::Kind;
use super::problem::{Problem, Problems};
use super::{canvas, landing};

/// The longest run id that MIT Learn stores, in characters.
const LONGEST_RUN_ID_CHARACTERS: usize = 128;

type Body = Vec<(String, Value)>;

/// Announces an archive.
pub(super) fn upload(input: &Value, options: &BuildOptions) -> Result<Payload, Vec<Problem>> {
    let mut problems = Problems::default();
    let Some(pairs) = input.as_object() else {
        return Err(Problems::only("payload", "Must be an object"));
    };
    let source = fields::source(input, options.source.as_deref(), &mut problems);
    let path = path(input, &mut problems);
    // Without a source there is nothing more to hold the fields against.
    let Some(source) = source else {
        return Err(problems.verdict().unwrap_or_else(|all| all));
    };
    if source == "canvas" {
        canvas::upload(input, pairs, path, options.now_seconds, problems)
    } else {
        open_edx(input, pairs, path, source, problems)
    }
}

/// `{"course_id":…,"course_readable_id":…,"content_path":…,"source":…}`, both ids the same unless both are given.
fn open_edx(
    input: &Value,
    pairs: &[(String, Value)],
    path: Option<&str>,
    source: &'static str,
    mut problems: Problems,
) -> Result<Payload, Vec<Problem>> {
    const KNOWN: [&str; 4] = ["course_id", "course_readable_id", "content_path", "source"];
    fields::refuse_unknown(pairs, "", &KNOWN, &mut problems);
    let course = run_id(input, "course_id", &mut problems);
    let readable = run_id(input, "course_readable_id", &mut problems);
    if course.is_some() && readable.is_some() && course != readable {
        problems.warn(
            "course_readable_id",
            "Is not course_id; MIT Learn takes this one for an archive and course_id \
             for a delete",
        );
    }
    let run = readable.or(course);
    let is_given = ["course_id", "course_readable_id"]
        .iter()
        .any(|field| input.get(field).is_some_and(Value::is_truthy));
    if let Some(path) = path {
        landing::check(source, path, run, &mut problems);
    }
    let mut body = Body::new();
    if let Some(run) = run {
        body.push(("course_id".to_owned(), course.unwrap_or(run).into()));
        body.push(("course_readable_id".to_owned(), run.into()));
    } else if !is_given {
        problems.warn("course_id", "Is not given; MIT Learn guesses the run from content_path");
    }
    body.extend(path.map(|path| ("content_path".to_owned(), path.into())));
    body.push(("source".to_owned(), source.into()));
    let body = Value::Object(body);
    let identity = learn_id(Kind::ContentFiles, source, &body).unwrap_or_default();
    if identity.is_empty() && !is_given {
        problems.refuse("course_id", "Must be given: content_path does not say which run it is");
    }
    Draft { kind: Kind::ContentFiles, source, identity, body, volatile: &[], problems }.seal()
}

/// Says that a course is gone: `{"course_id":…,"source":…}`.
///
/// No sender sends this today; the order of the keys is that of the other bodies, in which the id comes first and the
/// source last.
pub(super) fn delete(input: &Value, configured: Option<&str>) -> Result<Payload, Vec<Problem>> {
    let mut problems = Problems::default();
    let Some(pairs) = input.as_object() else {
        return Err(Problems::only("payload", "Must be an object"));
    };
    fields::refuse_unknown(pairs, "", &["course_id", "source"], &mut problems);
    let source = fields::source(input, configured, &mut problems);
    let id = if source == Some("canvas") {
        canvas::id(input, &mut problems)
    } else {
        let id = run_id(input, "course_id", &mut problems).map(Value::from);
        if id.is_none() && !input.get("course_id").is_some_and(Value::is_truthy) {
            problems.refuse(
                "course_id",
                "Must be given: MIT Learn answers 200 without it and deletes nothing",
            );
        }
        problems.warn(
            "course_id",
            "MIT Learn looks for the course whose readable id begins with this: the \
             id of a run deletes nothing, and the beginning of another course's id \
             deletes that course with all its runs",
        );
        id
    };
    let (Some(source), Some(id)) = (source, id) else {
        return Err(problems.verdict().unwrap_or_else(|all| all));
    };
    let body = Value::object([("course_id", id), ("source", Value::from(source))]);
    let identity = identity::text(&body, "course_id").unwrap_or_default();
    let kind = Kind::ContentFilesDelete;
    Draft { kind, source, identity, body, volatile: &[], problems }.seal()
}

fn path<'a>(input: &'a Value, problems: &mut Problems) -> Option<&'a str> {
    const FIELD: &str = "content_path";
    match input.get(FIELD) {
        Some(Value::String(path)) if !path.is_empty() => return Some(path),
        None | Some(Value::Null | Value::String(_)) => problems
            .refuse(FIELD, "Must be given: MIT Learn accepts a payload without it and fails later"),
        Some(_) => problems.refuse(FIELD, "Must be a text"),
    }
    None
}

/// The id of an Open edX run. An absent, null or empty one is none.
fn run_id<'a>(input: &'a Value, field: &str, problems: &mut Problems) -> Option<&'a str> {
    match input.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if id.is_empty() => None,
        Some(Value::String(id)) if !is_plain_id(id) => {
            problems.refuse(field, "Must be printable ASCII without blanks");
            None
        }
        Some(Value::String(id)) if id.len() > LONGEST_RUN_ID_CHARACTERS => {
            problems.refuse(field, "Must not be longer than 128 characters");
            None
        }
        Some(Value::String(id)) => Some(id),
        Some(_) => {
            problems.refuse(field, "Must be a text");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::parser::parse;
    use super::super::problem::Severity;
    use super::*;

    const NOW_SECONDS: f64 = 1_787_000_000.25;

    fn built(input: &str) -> Result<Payload, Vec<Problem>> {
        upload(&parse(input.as_bytes()).unwrap(), &BuildOptions::at(NOW_SECONDS))
    }

    fn body(input: &str) -> String {
        String::from_utf8(built(input).unwrap().body).unwrap()
    }

    /// The fields that are refused, each once.
    fn refused(outcome: Result<Payload, Vec<Problem>>) -> Vec<String> {
        let mut fields: Vec<String> = outcome
            .unwrap_err()
            .into_iter()
            .filter(|problem| problem.severity == Severity::Refusal)
            .map(|problem| problem.field)
            .collect();
        fields.dedup();
        fields
    }

    #[test]
    fn the_body_of_open_edx_and_of_edx_org() {
        let path = "mitxonline/openedx/raw_data/course_xml/course-v1:MITx+6.00+1T/h.xml.tar.gz";
        let expected = format!(
            r#"{{"course_id":"course-v1:MITx+6.00+1T","course_readable_id":"course-v1:MITx+6.00+1T","content_path":"{path}","source":"mitxonline"}}"#
        );
        for ids in [
            r#""course_id":"course-v1:MITx+6.00+1T""#,
            r#""course_readable_id":"course-v1:MITx+6.00+1T","course_id":null"#,
        ] {
            let input = format!(r#"{{"content_path":"{path}",{ids},"source":"mitxonline"}}"#);
            assert_eq!(body(&input), expected);
            assert_eq!(
                built(&input).unwrap().entity,
                "content_files/mitxonline/course-v1:MITx+6.00+1T"
            );
        }

        let legacy = r#"{"course_id":"MITx-6.00x-1T","course_readable_id":"MITx-6.00x-1T","content_path":"/edxorg/raw_data/course_xml/prod/MITx-6.00x-1T/h.xml.tar.gz","source":"mit_edx"}"#;
        assert_eq!(body(legacy), legacy);
        assert_eq!(built(legacy).unwrap().warnings.len(), 1, "the slash in front");
    }

    #[test]
    fn without_an_id_the_path_says_which_run() {
        let input =
            r#"{"content_path":"open-learning-library/courses/OLL+T+R_OLL.tar.gz","source":"oll"}"#;
        let payload = built(input).unwrap();
        assert_eq!(payload.body, input.as_bytes());
        assert_eq!(payload.identity, "oll.t.r");
        assert_eq!(payload.warnings.len(), 1);
    }

    #[test]
    fn ids_that_mit_learn_would_refuse_or_never_find() {
        for id in
            ["true", "[]", "7", "1.5", r#""a b""#, r#""é""#, &format!("\"{}\"", "x".repeat(129))]
        {
            let input = format!(
                r#"{{"source":"oll","content_path":"open-learning-library/courses/a.tar.gz","course_id":{id}}}"#
            );
            assert_eq!(refused(built(&input)), ["course_id"], "{id}");
        }
        let without = r#"{"source":"xpro","content_path":"a.tar.gz"}"#;
        assert_eq!(refused(built(without)), ["content_path", "course_id"]);
    }

    #[test]
    fn a_delete_names_the_course_and_warns_where_it_is_risky() {
        let gone = |input: &str| delete(&parse(input.as_bytes()).unwrap(), None);
        let canvas = gone(r#"{"source":"canvas","course_id":2198}"#).unwrap();
        assert_eq!(canvas.body, br#"{"course_id":2198,"source":"canvas"}"#);
        assert!(canvas.warnings.is_empty());
        let other = gone(r#"{"source":"xpro","course_id":"course-v1:xPRO+A"}"#).unwrap();
        assert_eq!(other.body, br#"{"course_id":"course-v1:xPRO+A","source":"xpro"}"#);
        assert_eq!(other.warnings.len(), 1);
        for input in [
            r#"{"source":"xpro","course_id":""}"#,
            r#"{"source":"xpro","course_id":null}"#,
            r#"{"source":"xpro"}"#,
            r#"{"source":"canvas"}"#,
            r#"{"source":"xpro","course_id":1}"#,
        ] {
            assert_eq!(refused(gone(input)), ["course_id"], "{input}");
        }
        let extra = r#"{"source":"canvas","course_id":1,"content_path":"a"}"#;
        assert_eq!(refused(gone(extra)), ["content_path"]);
    }

    #[test]
    fn a_field_too_many_is_refused() {
        let input =
            r#"{"source":"oll","content_path":"open-learning-library/courses/a.tar.gz","extra":1}"#;
        assert_eq!(refused(built(input)), ["extra"]);
    }
}
