//! The bodies: byte for byte what CPython writes of the same objects, under both signatures.

use ol_testkit::{Python, Step};
use serde_json::{Value, json};

use super::decoded;
use crate::common::text;
use crate::webhook::common::{Receiver, Sender};

/// What CPython writes for each of these documents, in base64, their keys in the order in which they stand.
fn dumped(documents: &[&str]) -> Vec<String> {
    const PROGRAM: &str = "
import base64, json, sys
for line in sys.stdin:
    body = json.dumps(json.loads(line), separators=(',', ':')).encode()
    print(base64.b64encode(body).decode())
";
    let step = Step::new(Python::Receivers.path()).args(["-c", PROGRAM]);
    let done = step.input(documents.join("\n")).run().expect_code(0);
    done.stdout.lines().map(str::to_owned).collect()
}

const MITXONLINE: &str = r#"{"course_id": "course-v1:MITx+6.00x+1T2026", "course_readable_id": "course-v1:MITx+6.00x+1T2026", "content_path": "mitxonline/openedx/raw_data/course_xml/course-v1:MITx+6.00x+1T2026/5d41.xml.tar.gz", "source": "mitxonline"}"#;
const XPRO: &str = r#"{"course_id": "course-v1:xPRO+SysEngx+R1", "course_readable_id": "course-v1:xPRO+SysEngx+R1", "content_path": "xpro/openedx/raw_data/course_xml/course-v1:xPRO+SysEngx+R1/aa.xml.tar.gz", "source": "xpro"}"#;
const EDXORG: &str = r#"{"course_id": "MITx-6.00x-1T2026", "course_readable_id": "MITx-6.00x-1T2026", "content_path": "/edxorg/raw_data/course_xml/prod/MITx-6.00x-1T2026/bb.xml.tar.gz", "source": "mit_edx"}"#;
pub(super) const CANVAS: &str = r#"{"course_id": 2198, "course_name": "Société générale 😀", "course_code": "15.S20", "content_path": "canvas/course_content/2198/cc.imscc", "metadata_path": "canvas/course_content/2198/cc.metadata.json", "source": "canvas", "time": 1787000000.0}"#;
const CANVAS_WITH_ID: &str = r#"{"course_id": 34025, "course_name": null, "course_code": "6.100L", "content_path": "canvas/course_content/34025/dd.imscc", "metadata_path": "canvas/course_content/34025/dd.metadata.json", "source": "canvas", "time": 1787000000.123457, "course_readable_id": "SIS 6.100L/é"}"#;
const DELETE: &str = r#"{"course_id": "course-v1:MITx+6.00x", "source": "mitxonline"}"#;
pub(super) const CANVAS_DELETE: &str = r#"{"course_id": 2198, "source": "canvas"}"#;
pub(super) const VIDEO_DELETE: &str = r#"{"video_id": "vid_abc123", "delete": true}"#;
pub(super) const VIDEO: &str = r#"{"key": "vid_abc123", "created_at": "2026-04-28T17:35:42.065326Z", "title": "Poincaré’s 予想 — лекция 1 🎓", "description": "one\n\"two\"\t\\ \u007f\u0001 </p>", "status": "Complete", "is_public": true, "is_private": false, "youtube_id": null, "duration": 5400.0, "sources": [{"src": "https://du3yhovcx8dht.cloudfront.net/transcoded/k/video__index.m3u8", "label": "HLS", "type": "application/x-mpegURL"}], "videothumbnail_set": [{"id": 1, "cloudfront_url": "https://du3yhovcx8dht.cloudfront.net/thumbnails/k.jpg", "bucket_name": "odl-thumbnails"}], "videosubtitle_set": [{"language": "en", "language_name": "English", "s3_object_key": "subtitles/k_en.vtt", "filename": "Ünïcode.vtt"}], "collection": {"key": "a1b2c3", "title": "18.S191 Été", "description": null, "for_shorts": false}, "cta_link": "", "view_count": 123456789012345678901234567890, "rating": 1e-07, "weights": [1E22, 0.1, -0.0, 1e16, 123456789.125]}"#;

#[test]
fn every_body_is_what_python_writes_and_both_signatures_hold() {
    let receiver = Receiver::django(&[
        "--resource",
        "mitxonline=course-v1:MITx+6.00x",
        "--resource",
        "canvas=2198-15.S20",
    ]);
    let sender = Sender::to(&receiver.base_url);
    let cases = [
        ("content_files", MITXONLINE, "ingest_edx_run_archive"),
        ("content_files", XPRO, "ingest_edx_run_archive"),
        ("content_files", EDXORG, "ingest_edx_run_archive"),
        ("content_files", CANVAS, "ingest_canvas_course"),
        ("content_files", CANVAS_WITH_ID, "ingest_canvas_course"),
        ("content_files/delete", DELETE, "deleted"),
        ("content_files/delete", CANVAS_DELETE, "deleted"),
        ("ovs_videos", VIDEO, "stored"),
        ("ovs_videos/delete", VIDEO_DELETE, "deleted"),
    ];
    for (kind, line, _) in cases {
        sender.send_lines(kind, line, &["--deliver"], 0);
    }
    let expected = dumped(&cases.map(|(_, line, _)| line));
    let requests = receiver.requests();
    assert_eq!((requests.len(), expected.len()), (cases.len(), cases.len()));
    for (request, (body, (kind, _, effect))) in requests.iter().zip(expected.iter().zip(cases)) {
        let shown = |base64: &str| String::from_utf8_lossy(&decoded(base64)).into_owned();
        let sent = text(request, "body_base64");
        assert_eq!(sent, body, "{kind}:\n{}\n{}", shown(sent), shown(body));
        assert_eq!(request["signature_valid"], true, "{kind}");
        assert_eq!(request["standard_valid"], true, "{kind}: {}", request["standard_refusal"]);
        assert_eq!(
            (&request["status"], &request["effect"]),
            (&json!(200), &json!(effect)),
            "{kind}"
        );
    }
}

#[test]
fn flags_make_the_same_bodies_as_objects() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url);
    let object: Value = serde_json::from_str(MITXONLINE).unwrap();
    let (id, path) = (text(&object, "course_id"), text(&object, "content_path"));
    let by_flags: [&[&str]; 4] = [
        &[
            "--kind",
            "content_files",
            "--source",
            "mitxonline",
            "--course-id",
            id,
            "--content-path",
            path,
        ],
        &["--kind", "content_files", "--source", "canvas", "--payload", CANVAS],
        &[
            "--kind",
            "content_files/delete",
            "--source",
            "mitxonline",
            "--course-id",
            "course-v1:MITx+6.00x",
        ],
        &["--kind", "ovs_videos/delete", "--video-id", "vid_abc123"],
    ];
    for flags in by_flags {
        sender.run(["send", "--deliver"].iter().chain(flags).copied(), 0);
    }
    let sent: Vec<String> =
        receiver.requests().iter().map(|one| text(one, "body_base64").to_owned()).collect();
    assert_eq!(sent, dumped(&[MITXONLINE, CANVAS, DELETE, VIDEO_DELETE]));
}

#[test]
fn the_legacy_form_is_the_one_header_alone() {
    let receiver = Receiver::django(&[]);
    let sender = Sender::to(&receiver.base_url).with("OL_WEBHOOK__SIGNATURE", "legacy");
    sender.send_lines("ovs_videos", VIDEO, &["--deliver"], 0);
    let [request] = &receiver.requests()[..] else { panic!("more than one request") };
    assert_eq!((&request["status"], &request["signature_valid"]), (&json!(200), &json!(true)));
    assert!(request["standard_valid"].is_null() && request["webhook_id"].is_null());
}
