//! `ovs_videos`: a video of the ODL Video Service is new, changed or gone.
//!
//! An upsert is the object of the service's public interface as it came, every field in its place. MIT Learn checks
//! it and then loads it within the request; some shapes pass the check and break the load, which it answers with 500.
//! Since 500 is repeated for days, those shapes are refused here too.

use super::build::{BuildOptions, Draft, Payload};
use super::fields;
use super::json::Value;
use super::kind::Kind;
use super::media_url;
use super::problem::{Problem, Problems};

const SOURCE: &str = "ovs";

/// The longest title that MIT Learn stores, in characters.
const LONGEST_TITLE_CHARACTERS: usize = 256;

/// Announces a video.
pub(super) fn upsert(input: Value, options: &BuildOptions) -> Result<Payload, Vec<Problem>> {
    let mut problems = Problems::default();
    if input.as_object().is_none() {
        return Err(Problems::only("payload", "Must be an object"));
    }
    configured_source(options.source.as_deref(), &mut problems);
    let key =
        fields::video_key(input.get("key"), "key", &mut problems).unwrap_or_default().to_owned();
    if input.get("video_id").is_some() {
        fields::video_key(input.get("video_id"), "video_id", &mut problems);
    }
    if input.get("delete").is_some_and(|delete| *delete != Value::Bool(false)) {
        problems.refuse(
            "delete",
            "Must not be set in an upsert; ovs_videos/delete says that a video is gone",
        );
    }
    title(input.get("title"), "title", &mut problems);
    if !matches!(input.get("description"), None | Some(Value::Null | Value::String(_))) {
        problems.refuse("description", "Must be a text or null");
    } else if input.get("description").is_some_and(fields::holds_null) {
        problems.refuse("description", fields::NO_NULL);
    }
    if !matches!(
        input.get("duration"),
        None | Some(Value::Null | Value::Integer(_) | Value::Float(_))
    ) {
        problems.refuse("duration", "Must be a number of seconds or null");
    }
    let hosts = &options.ovs_allowed_hosts;
    link(input.get("cta_link"), "cta_link", hosts, &mut problems);
    let sources = links(&input, "sources", "src", hosts, &mut problems);
    if !sources.iter().any(|source| media_url::is_stream(source)) {
        problems.warn(
            "sources",
            "Hold no link to an .m3u8 stream: MIT Learn answers 200 and stores nothing",
        );
    }
    links(&input, "videothumbnail_set", "cloudfront_url", hosts, &mut problems);
    objects(&input, "videosubtitle_set", &mut problems);
    collection(input.get("collection"), &mut problems);
    visibility(&input, &mut problems);
    let kind = Kind::OvsVideos;
    Draft { kind, source: SOURCE, identity: key, body: input, volatile: &[], problems }.seal()
}

/// Says that a video is gone: `{"video_id":…,"delete":true}`.
pub(super) fn delete(input: &Value, configured: Option<&str>) -> Result<Payload, Vec<Problem>> {
    let mut problems = Problems::default();
    let Some(pairs) = input.as_object() else {
        return Err(Problems::only("payload", "Must be an object"));
    };
    configured_source(configured, &mut problems);
    fields::refuse_unknown(pairs, "", &["video_id", "delete"], &mut problems);
    let id = fields::video_key(input.get("video_id"), "video_id", &mut problems);
    if input.get("delete").is_some_and(|delete| *delete != Value::Bool(true)) {
        problems.refuse("delete", "Must be true where it is given");
    }
    let identity = id.unwrap_or_default().to_owned();
    let body = Value::object([
        ("video_id", Value::from(identity.as_str())),
        ("delete", Value::Bool(true)),
    ]);
    let kind = Kind::OvsVideosDelete;
    Draft { kind, source: SOURCE, identity, body, volatile: &[], problems }.seal()
}

fn configured_source(configured: Option<&str>, problems: &mut Problems) {
    if configured.is_some_and(|configured| configured != SOURCE) {
        problems.refuse("source", "Must be ovs for videos");
    }
}

fn title(title: Option<&Value>, field: &str, problems: &mut Problems) {
    match title {
        None => problems.warn(field, "Is not given; MIT Learn shows an empty title"),
        Some(value @ Value::String(title)) => {
            if fields::holds_null(value) {
                problems.refuse(field, fields::NO_NULL);
            }
            if title.chars().count() > LONGEST_TITLE_CHARACTERS {
                problems.refuse(field, "Must not be longer than 256 characters");
            }
        }
        Some(_) => problems.refuse(field, "Must be a text: MIT Learn answers 500 to null"),
    }
}

/// The objects of a list. Null passes the check of MIT Learn and breaks its load.
fn objects<'a>(input: &'a Value, field: &str, problems: &mut Problems) -> &'a [Value] {
    let items = match input.get(field) {
        None => &[][..],
        Some(Value::Array(items)) => items,
        Some(_) => {
            problems.refuse(
                field,
                "Must be a list: MIT Learn answers 500 to null and 400 to anything else",
            );
            &[][..]
        }
    };
    for (index, item) in items.iter().enumerate() {
        if item.as_object().is_none() {
            problems.refuse(&format!("{field}[{index}]"), "Must be an object");
        }
    }
    items
}

/// The allowed links of a list of objects.
fn links<'a>(
    input: &'a Value,
    field: &str,
    name: &str,
    hosts: &[String],
    problems: &mut Problems,
) -> Vec<&'a str> {
    let items = objects(input, field, problems).iter().enumerate();
    items
        .filter_map(|(index, item)| {
            link(item.get(name), &format!("{field}[{index}].{name}"), hosts, problems)
        })
        .collect()
}

/// A link, if there is one and it is allowed. An empty one counts as none.
fn link<'a>(
    value: Option<&'a Value>,
    field: &str,
    hosts: &[String],
    problems: &mut Problems,
) -> Option<&'a str> {
    let value = value.filter(|value| value.is_truthy())?;
    let link = value.as_str().filter(|link| media_url::is_allowed(link, hosts));
    if link.is_none() {
        problems.refuse(
            field,
            "Must be an https link on an allowed media host, without user name: MIT \
             Learn refuses the whole payload",
        );
    }
    link
}

fn collection(collection: Option<&Value>, problems: &mut Problems) {
    const FIELD: &str = "collection";
    match collection {
        None | Some(Value::Null) => {}
        Some(collection @ Value::Object(_)) => {
            if collection.get("key").is_some_and(Value::is_truthy) {
                fields::video_key(collection.get("key"), "collection.key", problems);
                title(collection.get("title"), "collection.title", problems);
            }
        }
        Some(_) => problems.refuse(FIELD, "Must be an object or null"),
    }
}

/// What the nightly load of MIT Learn leaves out and the route does not.
fn visibility(input: &Value, problems: &mut Problems) {
    if input.get("is_public").is_some_and(|public| !public.is_truthy()) {
        problems.warn("is_public", "Is not true; MIT Learn publishes the video all the same");
    }
    if input.get("status").is_some_and(|status| status.as_str() != Some("Complete")) {
        problems.warn("status", "Is not Complete; MIT Learn publishes the video all the same");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::parser::parse;
    use super::super::problem::Severity;
    use super::super::python;
    use super::*;

    const VIDEO: &str = r#"{"key":"vid_abc123","created_at":"2026-04-28T17:35:42.065326Z","title":"Sample","description":"","status":"Complete","is_public":true,"youtube_id":null,"sources":[{"src":"https://du3yhovcx8dht.cloudfront.net/transcoded/k/video__index.m3u8","label":"HLS"}],"cta_link":null,"duration":5.28,"videothumbnail_set":[{"id":1,"cloudfront_url":"https://du3yhovcx8dht.cloudfront.net/t.jpg"}],"videosubtitle_set":[],"collection":{"key":"col_abc","title":"Lectures","for_shorts":false}}"#;

    fn built(input: &str) -> Result<Payload, Vec<Problem>> {
        upsert(parse(input.as_bytes()).unwrap(), &BuildOptions::at(0.0))
    }

    /// The outcome of VIDEO with one replacement: the fields found, and whether they refuse it.
    fn changed(from: &str, to: &str) -> (Vec<String>, bool) {
        let input = VIDEO.replace(from, to);
        assert_ne!(input, VIDEO, "{from} is not in the video");
        let (problems, is_refused) = match built(&input) {
            Ok(payload) => (payload.warnings, false),
            Err(problems) => (problems, true),
        };
        (problems.into_iter().map(|problem| problem.field).collect(), is_refused)
    }

    #[test]
    fn the_object_is_sent_as_it_came() {
        let payload = built(VIDEO).unwrap();
        assert_eq!(payload.body, VIDEO.as_bytes());
        assert_eq!(payload.warnings, []);
        assert_eq!(
            (payload.entity.as_str(), payload.source.as_str()),
            ("ovs_videos/vid_abc123", "ovs")
        );
        assert_eq!(payload.identity, "vid_abc123");
        let other = VIDEO.replace("\"youtube_id\":null", "\"extra\":[1e22,\"é\"]");
        assert_eq!(built(&other).unwrap().body, python::rewrite(other.as_bytes()).unwrap());
    }

    #[test]
    fn what_mit_learn_refuses_is_refused() {
        for (from, to, field) in [
            ("\"vid_abc123\"", "\"vid/abc\"", "key"),
            ("\"vid_abc123\"", "7", "key"),
            ("\"vid_abc123\"", "\"\"", "key"),
            ("\"youtube_id\"", "\"video_id\"", "video_id"),
            ("\"youtube_id\":null", "\"delete\":true", "delete"),
            ("\"youtube_id\":null", "\"delete\":null", "delete"),
            ("https://du3yhovcx8dht.cloudfront.net/tr", "https://evil.io/tr", "sources[0].src"),
            (
                "https://du3yhovcx8dht.cloudfront.net/t.jpg",
                "http://a.cloudfront.net/t.jpg",
                "videothumbnail_set[0].cloudfront_url",
            ),
            (
                "\"cta_link\":null",
                "\"cta_link\":\"https://video.odl.mit.edu/videos/k\"",
                "cta_link",
            ),
            ("\"cta_link\":null", "\"cta_link\":1", "cta_link"),
            ("\"videosubtitle_set\":[]", "\"videosubtitle_set\":{}", "videosubtitle_set"),
            ("\"videosubtitle_set\":[]", "\"videosubtitle_set\":[null]", "videosubtitle_set[0]"),
            ("\"col_abc\"", "\"col abc\"", "collection.key"),
            (
                "{\"key\":\"col_abc\",\"title\":\"Lectures\",\"for_shorts\":false}",
                "\"c\"",
                "collection",
            ),
        ] {
            let (fields, is_refused) = changed(from, to);
            assert!(is_refused && fields.iter().any(|name| name == field), "{to}: {fields:?}");
        }
    }

    #[test]
    fn what_breaks_the_load_of_mit_learn_is_refused() {
        let long = format!("\"{}\"", "x".repeat(257));
        for (from, to, field) in [
            ("\"videosubtitle_set\":[]", "\"videosubtitle_set\":null", "videosubtitle_set"),
            ("\"title\":\"Sample\"", "\"title\":null", "title"),
            ("\"Sample\"", long.as_str(), "title"),
            ("\"title\":\"Lectures\"", "\"title\":null", "collection.title"),
            ("\"description\":\"\"", "\"description\":{}", "description"),
            ("\"description\":\"\"", "\"description\":\"\\u0000\"", "description"),
            ("\"Sample\"", "\"Sam\\u0000ple\"", "title"),
            ("\"Lectures\"", "\"\\u0000\"", "collection.title"),
            ("5.28", "\"5.28\"", "duration"),
        ] {
            assert_eq!(changed(from, to), (vec![field.to_owned()], true), "{to}");
        }
    }

    #[test]
    fn what_is_allowed_or_only_odd() {
        for (from, to) in [
            ("\"cta_link\":null", "\"cta_link\":\"\""),
            ("https://du3yhovcx8dht.cloudfront.net/t.jpg", ""),
            ("\"youtube_id\":null", "\"delete\":false"),
            ("5.28", "null"),
            ("{\"key\":\"col_abc\",\"title\":\"Lectures\",\"for_shorts\":false}", "null"),
            ("\"key\":\"col_abc\"", "\"key\":null"),
        ] {
            assert_eq!(changed(from, to), (Vec::new(), false), "{to}");
        }
        for (from, to, field) in [
            (".m3u8", ".mp4", "sources"),
            ("\"is_public\":true", "\"is_public\":false", "is_public"),
            ("Complete", "Transcoding", "status"),
            ("\"title\":\"Sample\",", "", "title"),
        ] {
            assert_eq!(changed(from, to), (vec![field.to_owned()], false), "{to}");
        }
    }

    #[test]
    fn hosts_can_be_added() {
        let mut options = BuildOptions::at(0.0);
        options.ovs_allowed_hosts.push("video.odl.mit.edu".to_owned());
        let input =
            VIDEO.replace("\"cta_link\":null", "\"cta_link\":\"https://video.odl.mit.edu/v\"");
        assert!(upsert(parse(input.as_bytes()).unwrap(), &options).is_ok());
        options.source = Some("canvas".to_owned());
        assert!(upsert(parse(VIDEO.as_bytes()).unwrap(), &options).is_err());
    }

    #[test]
    fn a_delete_has_two_fields() {
        let gone = |input: &str| delete(&parse(input.as_bytes()).unwrap(), None);
        for input in [r#"{"video_id":"vid_abc123"}"#, r#"{"delete":true,"video_id":"vid_abc123"}"#]
        {
            let payload = gone(input).unwrap();
            assert_eq!(payload.body, br#"{"video_id":"vid_abc123","delete":true}"#);
            assert!(payload.is_tombstone);
            assert_eq!(payload.entity, "ovs_videos/vid_abc123");
        }
        for input in [
            r#"{"video_id":"vid abc"}"#,
            r#"{"video_id":"a","delete":false}"#,
            r#"{"video_id":"a","key":"a"}"#,
            "{}",
        ] {
            let problems = gone(input).unwrap_err();
            assert!(
                problems.iter().all(|problem| problem.severity == Severity::Refusal),
                "{input}"
            );
        }
    }
}
