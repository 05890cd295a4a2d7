//! From the fields of a row to a body that is ready to be signed.

use sha2::{Digest as _, Sha256};

use super::json::Value;
use super::kind::Kind;
use super::problem::{Problem, Problems};
use super::{batch, content_file, identity, ovs_video, python};

/// The largest body that MIT Learn reads: Django's default `DATA_UPLOAD_MAX_MEMORY_SIZE`. Beyond it the answer is 405.
pub const MAXIMUM_BODY_BYTES: usize = 2_621_440;

/// One body with what the outbox needs to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What it tells MIT Learn.
    pub kind: Kind,
    /// The ETL source, for example `canvas`.
    pub source: String,
    /// The set that a complete snapshot is compared with, for example `content_files/canvas`.
    pub scope: String,
    /// What is kept in order, for example `content_files/canvas/2198`; the same for an upsert and its tombstone.
    pub entity: String,
    /// Which one of the scope: what [`tombstone`] takes.
    pub identity: String,
    /// The bytes to sign and to send.
    pub body: Vec<u8>,
    /// Lower-case hexadecimal SHA-256 of the kind, the entity and the body without the fields that differ each time.
    pub content_hash: String,
    /// Whether it says that something is gone.
    pub is_tombstone: bool,
    /// What a person should know about it; none is a reason not to send it.
    pub warnings: Vec<Problem>,
}

/// What a builder needs besides the payload's own fields.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// The ETL source, where the payload does not say; where it does, it must say the same.
    pub source: Option<String>,
    /// The time now, in seconds since 1970.
    pub now_seconds: f64,
    /// The hosts that links of a video may have, each a whole name or, with a dot in front, the end of one. MIT Learn
    /// also takes the host of its own setting `OVS_API_BASE_URL`; add it here when videos link to it.
    pub ovs_allowed_hosts: Vec<String>,
}

impl BuildOptions {
    /// No source, and the hosts that the deployed MIT Learn allows.
    pub fn at(now_seconds: f64) -> Self {
        Self { source: None, now_seconds, ovs_allowed_hosts: vec![".cloudfront.net".to_owned()] }
    }
}

/// Builds the body of one payload from an object whose fields are named as the payload's.
///
/// For [`Kind::LearningResources`] the input is a list of resources, or an object with it in `resources`, that fits in
/// one part; [`build_batch`](super::build_batch) splits more.
///
/// # Errors
/// Every problem of the payload, when at least one is a refusal.
pub fn build(kind: Kind, input: Value, options: &BuildOptions) -> Result<Payload, Vec<Problem>> {
    if let Some((place, promise)) = input.broken_promise() {
        let place = if place.is_empty() { "payload" } else { &place };
        return Err(Problems::only(place, promise));
    }
    match kind {
        Kind::ContentFiles => content_file::upload(&input, options),
        Kind::ContentFilesDelete => content_file::delete(&input, options.source.as_deref()),
        Kind::OvsVideos => ovs_video::upsert(input, options),
        Kind::OvsVideosDelete => ovs_video::delete(&input, options.source.as_deref()),
        Kind::LearningResources => batch::single(input, options.source.as_deref()),
    }
}

/// Builds the payload that says that an entity is gone, from the scope and identity of the payload that announced it.
///
/// # Errors
/// A problem when the scope is unknown, when nothing can be said about its entities, or when the identity cannot be one.
pub fn tombstone(scope: &str, identity: &str) -> Result<Payload, Vec<Problem>> {
    match scope.split_once('/').unwrap_or((scope, "")) {
        ("content_files", source) => {
            let fields = [("course_id", Value::from(identity)), ("source", Value::from(source))];
            content_file::delete(&Value::object(fields), None)
        }
        ("ovs_videos", "") => {
            ovs_video::delete(&Value::object([("video_id", Value::from(identity))]), None)
        }
        ("learning_resources", _) => Err(Problems::only(
            "scope",
            "MIT Learn takes no tombstone of a catalogue record; send it with \
             published false, or a complete batch with its prune marker",
        )),
        _ => Err(Problems::only("scope", "Must be content_files/ and a source, or ovs_videos")),
    }
}

/// A payload before its body is written.
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) source: &'static str,
    pub(super) identity: String,
    pub(super) body: Value,
    /// Fields of the body that differ each time and say nothing.
    pub(super) volatile: &'static [&'static str],
    pub(super) problems: Problems,
}

impl Draft {
    /// Writes the body, unless a problem refuses it.
    pub(super) fn seal(self) -> Result<Payload, Vec<Problem>> {
        let Self { kind, source, identity, body, volatile, mut problems } = self;
        let bytes = python::encode(&body);
        if bytes.len() > MAXIMUM_BODY_BYTES {
            problems
                .refuse("payload", "Must not be larger than 2621440 bytes, the limit of MIT Learn");
        }
        let warnings = problems.verdict()?;
        let entity = identity::entity(kind, source, &identity);
        let content_hash = if volatile.is_empty() {
            digest(&[kind.word().as_bytes(), entity.as_bytes(), &bytes])
        } else {
            let lasting = without(body, volatile);
            digest(&[kind.word().as_bytes(), entity.as_bytes(), &python::encode(&lasting)])
        };
        Ok(Payload {
            kind,
            source: source.to_owned(),
            scope: identity::scope(kind, source),
            entity,
            identity,
            body: bytes,
            content_hash,
            is_tombstone: kind.is_tombstone(),
            warnings,
        })
    }
}

fn without(mut body: Value, fields: &[&str]) -> Value {
    if let Value::Object(pairs) = &mut body {
        pairs.retain(|(name, _)| !fields.contains(&name.as_str()));
    }
    body
}

/// Lower-case hexadecimal SHA-256 of the parts, each preceded by its length in bytes so that no two lists of parts run
/// into the same bytes.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::parser::parse;
    use super::*;

    #[test]
    fn a_tombstone_of_each_scope() {
        let canvas = tombstone("content_files/canvas", "2198").unwrap();
        assert_eq!(canvas.body, br#"{"course_id":2198,"source":"canvas"}"#);
        assert_eq!(canvas.entity, "content_files/canvas/2198");
        assert!(canvas.is_tombstone && canvas.warnings.is_empty());

        let video = tombstone("ovs_videos", "vid_abc123").unwrap();
        assert_eq!(video.body, br#"{"video_id":"vid_abc123","delete":true}"#);
        assert_eq!(
            (video.scope.as_str(), video.entity.as_str()),
            ("ovs_videos", "ovs_videos/vid_abc123")
        );

        for (scope, id) in [
            ("learning_resources/oll", "MITx+1"),
            ("content_files", "1"),
            ("content_files/mitx", "1"),
            ("content_files/canvas", "course-v1:a"),
            ("content_files/xpro", ""),
            ("ovs_videos/ovs", "a"),
            ("ovs_videos", "a b"),
            ("", "a"),
        ] {
            assert!(tombstone(scope, id).is_err(), "{scope} {id}");
        }
    }

    #[test]
    fn what_a_payload_says_leads_to_its_tombstone() {
        let cases = [
            (
                Kind::ContentFiles,
                r#"{"source":"canvas","course_id":7,"course_name":"n","course_code":"c","content_path":"canvas/course_content/7/h.imscc","metadata_path":"canvas/course_content/7/h.metadata.json"}"#,
            ),
            (
                Kind::ContentFiles,
                r#"{"source":"xpro","course_id":"course-v1:xPRO+A+R1","content_path":"xpro/openedx/raw_data/course_xml/course-v1:xPRO+A+R1/h.xml.tar.gz"}"#,
            ),
            (
                Kind::OvsVideos,
                r#"{"key":"k","title":"t","sources":[{"src":"https://a.cloudfront.net/v.m3u8"}]}"#,
            ),
        ];
        for (kind, input) in cases {
            let payload =
                build(kind, parse(input.as_bytes()).unwrap(), &BuildOptions::at(1.5)).unwrap();
            let gone = tombstone(&payload.scope, &payload.identity).unwrap();
            assert_eq!(Some(gone.kind), kind.tombstone_kind());
            assert_eq!(gone.entity, payload.entity);
            assert_eq!(gone.scope, payload.scope);
            assert_ne!(gone.content_hash, payload.content_hash);
        }
    }

    #[test]
    fn a_body_may_be_as_large_as_the_limit_and_not_larger() {
        let video = |bytes: usize| {
            let frame = r#"{"key":"k","title":"t","sources":[{"src":"https://a.cloudfront.net/v.m3u8"}],"x":""}"#;
            let input =
                frame.replace("\"\"}", &format!("\"{}\"}}", "x".repeat(bytes - frame.len())));
            build(Kind::OvsVideos, parse(input.as_bytes()).unwrap(), &BuildOptions::at(1.5))
        };
        assert_eq!(video(MAXIMUM_BODY_BYTES).unwrap().body.len(), MAXIMUM_BODY_BYTES);
        let problems = video(MAXIMUM_BODY_BYTES + 1).unwrap_err();
        assert!(problems.iter().any(|problem| problem.rule.contains("2621440")), "{problems:?}");
    }

    #[test]
    fn a_value_made_by_hand_is_refused_before_it_is_built() {
        let input =
            Value::object([("key", Value::from("k")), ("duration", Value::Float(f64::NAN))]);
        let problems = build(Kind::OvsVideos, input, &BuildOptions::at(1.5)).unwrap_err();
        assert_eq!(problems.first().unwrap().field, "duration");
        for kind in Kind::ALL {
            for input in
                [Value::Null, Value::from("x"), Value::Array(Vec::new()), Value::Object(Vec::new())]
            {
                assert!(build(kind, input, &BuildOptions::at(1.5)).is_err(), "{kind}");
            }
        }
    }

    #[test]
    fn parts_of_a_digest_do_not_run_together() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(
            digest(&[]),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "SHA-256 of nothing"
        );
    }
}
