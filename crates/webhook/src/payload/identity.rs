//! Which record of MIT Learn a payload is about, as rules with a version.
//!
//! The receiver has no field for it: it derives an id from the payload, differently for each source, and a sender that
//! derives it otherwise makes near-duplicates that nobody notices. So each rule is written down once, has golden tests,
//! and changes only together with its version.
//!
//! From the same facts come the names this side works with:
//! - the *scope*, the set that a complete snapshot is compared with;
//! - the *identity*, which one of the set, and what a tombstone names;
//! - the *entity*, scope and identity together. Payloads of one entity are sent in order, so an upload and a delete of
//!   the same course have the same entity.

use super::json::Value;
use super::kind::Kind;

/// The source of a rule that holds wherever no other rule does.
pub const ANY_SOURCE: &str = "*";

/// How MIT Learn finds the record that a payload is about.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The ETL source, or [`ANY_SOURCE`].
    pub source: &'static str,
    /// The kind of payload. For [`Kind::LearningResources`] the rule is about one resource of the list.
    pub kind: Kind,
    /// Counted up whenever the outcome for some payload changes.
    pub version: u32,
    /// The rule in words.
    pub describe: &'static str,
    /// The id from the payload's fields. `None` when they do not say.
    pub derive: fn(&Value) -> Option<String>,
}

/// Every rule; of two for a kind the first that fits the source counts.
pub static RULES: [Rule; 13] = [
    Rule {
        source: "canvas",
        kind: Kind::ContentFiles,
        version: 1,
        describe: "<course_id>-<course_code> is the readable id. MIT Learn reads the id \
                   from the folder of content_path and the code from inside the archive; \
                   both must be the course's own",
        derive: |payload| {
            Some(format!("{}-{}", text(payload, "course_id")?, text(payload, "course_code")?))
        },
    },
    Rule {
        source: "mit_edx",
        kind: Kind::ContentFiles,
        version: 1,
        describe: "course_readable_id, else course_id, equals the run id, letter for \
                   letter. Without either the folder of content_path, normalised: - and + \
                   become a dot, lower case, without course.v1: in front, searched for \
                   anywhere in a run id",
        derive: |payload| {
            given_run(payload).or_else(|| folder(payload).map(|id| normalised(&id, &['-', '+'])))
        },
    },
    Rule {
        source: "oll",
        kind: Kind::ContentFiles,
        version: 1,
        describe: "course_readable_id, else course_id, equals the run id, letter for \
                   letter. Without either the file name of content_path before .tar.gz \
                   without _OLL, normalised: - and + and _ become a dot, lower case, \
                   without course.v1: in front, searched for anywhere in a run id",
        derive: |payload| {
            given_run(payload)
                .or_else(|| file_stem(payload).map(|id| normalised(&id, &['-', '+', '_'])))
        },
    },
    Rule {
        source: ANY_SOURCE,
        kind: Kind::ContentFiles,
        version: 1,
        describe: "course_readable_id, else course_id, else the folder of content_path, \
                   equals the run id, letter for letter",
        derive: |payload| given_run(payload).or_else(|| folder(payload)),
    },
    Rule {
        source: "canvas",
        kind: Kind::ContentFilesDelete,
        version: 1,
        describe: "The one readable id that begins with <course_id>-, in any case",
        derive: |payload| Some(format!("{}-", text(payload, "course_id")?)),
    },
    Rule {
        source: ANY_SOURCE,
        kind: Kind::ContentFilesDelete,
        version: 1,
        describe: "The one readable id of a course, not of a run, that begins with \
                   course_id, in any case; several are answered with 500",
        derive: |payload| text(payload, "course_id"),
    },
    Rule {
        source: ANY_SOURCE,
        kind: Kind::OvsVideos,
        version: 1,
        describe: "key is the readable id",
        derive: |payload| text(payload, "key"),
    },
    Rule {
        source: ANY_SOURCE,
        kind: Kind::OvsVideosDelete,
        version: 1,
        describe: "video_id is the readable id",
        derive: |payload| text(payload, "video_id"),
    },
    Rule {
        source: "mitpe",
        kind: Kind::LearningResources,
        version: 1,
        describe: "readable_id is the uuid of the feed. The warehouse model has the path of \
                   the page there, which would make a second record of every course",
        derive: |resource| text(resource, "readable_id").filter(|id| is_uuid(id)),
    },
    Rule {
        source: "mit_climate",
        kind: Kind::LearningResources,
        version: 1,
        describe: "readable_id is the uuid of the article",
        derive: |resource| text(resource, "readable_id").filter(|id| is_uuid(id)),
    },
    Rule {
        source: "mit_edx",
        kind: Kind::LearningResources,
        version: 1,
        describe: "readable_id is the uuid of a program and the key of a course, whose \
                   parts are joined by + and not by /",
        derive: |resource| {
            let id = text(resource, "readable_id")?;
            let is_program =
                resource.get("resource_type").and_then(Value::as_str) == Some("program");
            let fits = if is_program { is_uuid(&id) } else { !id.contains('/') };
            fits.then_some(id)
        },
    },
    Rule {
        source: "oll",
        kind: Kind::LearningResources,
        version: 1,
        describe: "readable_id is MITx+<number> without the term; the id with the term is a \
                   run id",
        derive: |resource| text(resource, "readable_id").filter(|id| id.split('+').count() == 2),
    },
    Rule {
        source: ANY_SOURCE,
        kind: Kind::LearningResources,
        version: 1,
        describe: "readable_id, letter for letter: a slash at the end makes another record",
        derive: |resource| text(resource, "readable_id"),
    },
];

/// The rule for a kind and a source.
pub fn rule(kind: Kind, source: &str) -> Option<&'static Rule> {
    let fits = |rule: &&Rule| rule.kind == kind && [source, ANY_SOURCE].contains(&rule.source);
    RULES.iter().find(fits)
}

/// The id that MIT Learn will look for. `None` when the payload's fields do not say, or cannot be right.
pub fn learn_id(kind: Kind, source: &str, payload: &Value) -> Option<String> {
    rule(kind, source).and_then(|rule| (rule.derive)(payload))
}

/// The set that a complete snapshot of this kind and source is compared with, for example `content_files/canvas`.
pub fn scope(kind: Kind, source: &str) -> String {
    match kind {
        Kind::ContentFiles | Kind::ContentFilesDelete => format!("content_files/{source}"),
        Kind::OvsVideos | Kind::OvsVideosDelete => "ovs_videos".to_owned(),
        Kind::LearningResources => format!("learning_resources/{source}"),
    }
}

/// What is kept in order, for example `content_files/mitxonline/course-v1:MITx+6.00`.
///
/// Catalogue records have one entity for a source: their parts and the marker behind them belong together.
pub fn entity(kind: Kind, source: &str, identity: &str) -> String {
    let scope = scope(kind, source);
    match kind {
        Kind::LearningResources => scope,
        Kind::ContentFiles | Kind::ContentFilesDelete | Kind::OvsVideos | Kind::OvsVideosDelete => {
            format!("{scope}/{identity}")
        }
    }
}

/// A field as the receiver's serializer sees it: a text without blanks around it, or an integer as text; an empty one
/// counts as absent.
pub(super) fn text(payload: &Value, field: &str) -> Option<String> {
    let value = payload.get(field)?;
    let text = value.as_str().or_else(|| value.as_digits())?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn given_run(payload: &Value) -> Option<String> {
    text(payload, "course_readable_id").or_else(|| text(payload, "course_id"))
}

/// The folder that the file of `content_path` is in.
fn folder(payload: &Value) -> Option<String> {
    let path = text(payload, "content_path")?;
    let mut parts = path.rsplit('/').filter(|part| !matches!(*part, "" | "."));
    parts.nth(1).map(str::to_owned)
}

/// The name of the file of `content_path`, as the receiver shortens it for the Open Learning Library.
fn file_stem(payload: &Value) -> Option<String> {
    let path = text(payload, "content_path")?;
    let name = path.rsplit('/').next()?;
    let stem = name.split(".tar.gz").next()?.replace("_OLL", "");
    (!stem.is_empty()).then_some(stem)
}

/// A run id as the receiver compares it where archives and catalogue spell it differently.
pub(super) fn normalised(run_id: &str, separators: &[char]) -> String {
    let dotted = run_id.replace(separators, ".").to_lowercase();
    dotted.strip_prefix("course.v1:").map_or(dotted.clone(), str::to_owned)
}

/// Whether the text is a UUID with its hyphens, in any case.
pub(super) fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::parser::parse;
    use super::*;

    /// Kind, source, version of the rule, payload, id or nothing. Never change a line: add one with the next version.
    const GOLDEN: &str = r#"
content_files canvas 1 {"course_id":2198,"course_code":"6.100L"} 2198-6.100L
content_files canvas 1 {"course_id":"2198","course_code":"15.S20","course_readable_id":"SIS"} 2198-15.S20
content_files canvas 1 {"course_id":2198,"course_code":null}
content_files mitxonline 1 {"course_id":"a","course_readable_id":"course-v1:MITx+6.00+1T"} course-v1:MITx+6.00+1T
content_files mitxonline 1 {"course_id":"a","course_readable_id":""} a
content_files mitxonline 1 {"course_id":7,"course_readable_id":null} 7
content_files xpro 1 {"content_path":"xpro/openedx/raw_data/course_xml/course-v1:xPRO+A+R1/f.xml.tar.gz"} course-v1:xPRO+A+R1
content_files xpro 1 {"content_path":"f.xml.tar.gz"}
content_files mit_edx 1 {"course_id":"MITx-1.00x-1T2022"} MITx-1.00x-1T2022
content_files mit_edx 1 {"content_path":"edxorg-raw-data/courses/xml/MITx-1.00x-1T2022/t.tar.gz"} mitx.1.00x.1t2022
content_files mit_edx 1 {"content_path":"/x/course-v1:MITx+6.00_1x+1T2022//t.tar.gz"} mitx.6.00_1x.1t2022
content_files oll 1 {"content_path":"open-learning-library/courses/course-v1:OLL+Test_1+R1_OLL.tar.gz"} oll.test.1.r1
content_files oll 1 {"course_id":"course-v1:OLL+Test","content_path":"a/b_OLL.tar.gz"} course-v1:OLL+Test
content_files ocw 1 {}
content_files/delete canvas 1 {"course_id":2198,"source":"canvas"} 2198-
content_files/delete mitxonline 1 {"course_id":"course-v1:MITx+6.00"} course-v1:MITx+6.00
content_files/delete mitxonline 1 {"course_readable_id":"course-v1:MITx+6.00"}
ovs_videos ovs 1 {"key":"vid_abc123"} vid_abc123
ovs_videos/delete ovs 1 {"video_id":"vid_abc123","delete":true} vid_abc123
learning_resources mitpe 1 {"readable_id":"2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b"} 2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b
learning_resources mitpe 1 {"readable_id":"/course-catalog/machine-learning"}
learning_resources mit_climate 1 {"readable_id":"2F9B3A54-0C1D-4E8F-9A7B-6C5D4E3F2A1B"} 2F9B3A54-0C1D-4E8F-9A7B-6C5D4E3F2A1B
learning_resources mit_climate 1 {"readable_id":"https://climate.mit.edu/a"}
learning_resources mit_edx 1 {"readable_id":"2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b","resource_type":"program"} 2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b
learning_resources mit_edx 1 {"readable_id":"MITx+6.00.1x","resource_type":"program"}
learning_resources mit_edx 1 {"readable_id":"MITx+6.00.1x","resource_type":"course"} MITx+6.00.1x
learning_resources mit_edx 1 {"readable_id":"MITx/6.00.1x","resource_type":"course"}
learning_resources oll 1 {"readable_id":"MITx+0.501x"} MITx+0.501x
learning_resources oll 1 {"readable_id":"MITx+0.501x+2T2019"}
learning_resources podcast 1 {"readable_id":"https://example.org/feed/"} https://example.org/feed/
"#;

    /// The golden lines: kind, source, version, payload, id.
    fn golden() -> impl Iterator<Item = (Kind, &'static str, u32, Value, Option<&'static str>)> {
        GOLDEN.trim().lines().map(|line| {
            let mut words = line.splitn(5, ' ');
            let mut word = || words.next().unwrap();
            let (kind, source, version) =
                (word().parse().unwrap(), word(), word().parse().unwrap());
            let payload = parse(word().as_bytes()).unwrap();
            (kind, source, version, payload, words.next())
        })
    }

    #[test]
    fn golden_ids() {
        for (kind, source, version, payload, expected) in golden() {
            assert_eq!(rule(kind, source).unwrap().version, version, "{kind} of {source}");
            let id = learn_id(kind, source, &payload);
            assert_eq!(id.as_deref(), expected, "{kind} of {source}: {payload:?}");
        }
    }

    #[test]
    fn every_rule_has_a_golden_line_and_can_be_reached() {
        for one in &RULES {
            let source = if one.source == ANY_SOURCE { "some other" } else { one.source };
            let found = rule(one.kind, source).unwrap();
            assert!(std::ptr::eq(found, one), "{} of {} is shadowed", one.kind, one.source);
            let has_golden = golden().any(|(kind, source, ..)| {
                rule(kind, source).is_some_and(|rule| std::ptr::eq(rule, one))
            });
            assert!(has_golden, "{} of {}", one.kind, one.source);
        }
    }

    #[test]
    fn an_upload_and_a_delete_are_kept_in_order() {
        let id = "course-v1:MITx+6.00";
        let upload = entity(Kind::ContentFiles, "mitxonline", id);
        assert_eq!(upload, "content_files/mitxonline/course-v1:MITx+6.00");
        assert_eq!(entity(Kind::ContentFilesDelete, "mitxonline", id), upload);
        assert_eq!(entity(Kind::OvsVideosDelete, "ovs", "k"), entity(Kind::OvsVideos, "ovs", "k"));
        assert_eq!(entity(Kind::LearningResources, "oll", "x"), "learning_resources/oll");
    }
}
