//! What the builders ask of single fields.

use super::json::Value;
use super::problem::Problems;
use super::vocabulary::ETL_SOURCES;

/// Refuses every field of an object that is not among `known`.
pub(super) fn refuse_unknown(
    pairs: &[(String, Value)],
    place: &str,
    known: &[&str],
    problems: &mut Problems,
) {
    for (name, _) in pairs {
        if !known.contains(&name.as_str()) {
            problems.refuse(&format!("{place}{name}"), "Is not a field of this payload");
        }
    }
}

/// The ETL source, from the payload or from the configuration. `None` when there is none that MIT Learn knows.
pub(super) fn source(
    payload: &Value,
    configured: Option<&str>,
    problems: &mut Problems,
) -> Option<&'static str> {
    const FIELD: &str = "source";
    let given = match payload.get(FIELD) {
        None | Some(Value::Null) => configured,
        Some(Value::String(given)) => {
            if configured.is_some_and(|configured| configured != given) {
                problems.refuse(FIELD, "Must be the configured source");
            }
            Some(given.as_str())
        }
        Some(_) => {
            problems.refuse(FIELD, "Must be a text");
            return None;
        }
    };
    let Some(given) = given else {
        problems.refuse(FIELD, "Must be given, in the payload or in the configuration");
        return None;
    };
    let known = ETL_SOURCES.into_iter().find(|source| *source == given);
    if known.is_none() {
        problems.refuse(
            FIELD,
            match given {
                "mitx" => "MIT Learn has no source mitx: its courses are not sent".to_owned(),
                "edxorg" => "Must be mit_edx for courses of edx.org".to_owned(),
                _ => format!("Must be one of {}", ETL_SOURCES.join(", ")),
            },
        );
    }
    known
}

/// The rule for what [`holds_null`].
pub(super) const NO_NULL: &str =
    "Must not hold the character U+0000, which no database of MIT Learn can store";

/// Whether a text or a key anywhere inside holds the character U+0000. JSON can say it, PostgreSQL cannot.
pub(super) fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(pairs) => {
            pairs.iter().any(|(name, value)| name.contains('\0') || holds_null(value))
        }
    }
}

/// Whether the text is printable ASCII without blanks: what every id of a course or run is made of.
pub(super) fn is_plain_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether the text is 1 to 255 of the characters that the receiver allows in the key of a video or a collection.
pub(super) fn is_video_key(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The key of a video or a collection, or a problem.
pub(super) fn video_key<'a>(
    value: Option<&'a Value>,
    field: &str,
    problems: &mut Problems,
) -> Option<&'a str> {
    let key = value.and_then(Value::as_str).filter(|key| is_video_key(key));
    if key.is_none() {
        problems.refuse(
            field,
            "Must be a text of 1 to 255 letters, digits, dots, hyphens or underscores",
        );
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_videos() {
        for key in ["a", "vid_abc123", "A.b-C_9", &"x".repeat(255)] {
            assert!(is_video_key(key), "{key}");
        }
        for key in ["", "a b", "a/b", "a\n", "é", &"x".repeat(256)] {
            assert!(!is_video_key(key), "{key:?}");
        }
    }

    #[test]
    fn the_source_is_one_of_twelve_and_the_configured_one() {
        let found = |payload: Value, configured: Option<&str>| {
            let mut problems = Problems::default();
            let source = source(&payload, configured, &mut problems);
            (source, problems.verdict().err().map(|all| all.len()))
        };
        let given = |text: &str| Value::object([("source", Value::from(text))]);
        for known in ETL_SOURCES {
            assert_eq!(found(given(known), None), (Some(known), None));
            assert_eq!(found(given(known), Some(known)), (Some(known), None));
        }
        let nothing = Value::Object(Vec::new());
        assert_eq!(found(nothing.clone(), Some("xpro")), (Some("xpro"), None));
        assert_eq!(found(nothing, None), (None, Some(1)));
        assert_eq!(found(given("xpro"), Some("ocw")), (Some("xpro"), Some(1)));
        assert_eq!(found(Value::object([("source", Value::from(1_i64))]), None), (None, Some(1)));
        for unknown in ["", "mitx", "edxorg", "Canvas", "see "] {
            assert_eq!(found(given(unknown), None), (None, Some(1)), "{unknown}");
        }
    }
}
