//! Arbitrary requests: each is answered, and nothing panics.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::super::answer::Answer;
use super::super::entity;
use super::super::learn::{self, Asked, Learn};
use super::super::python;
use super::super::request::Content;
use super::*;
use crate::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};

fn learn() -> Learn {
    Learn {
        keyring: keyring(),
        with_learning_resources: true,
        ovs_allowed_hosts: vec![".cloudfront.net".to_owned()],
    }
}

/// The answer to a request; the body is signed when `is_signed`.
fn answer(
    method: &str,
    path: &str,
    headers: &[(&'static str, Vec<u8>)],
    body: &[u8],
    is_signed: bool,
) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            map.append(HeaderName::from_static(name), value);
        }
    }
    if is_signed {
        let signature = keyring().legacy(0, body).unwrap();
        map.insert(LEGACY_HEADER, HeaderValue::try_from(signature).unwrap());
    }
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let content = Content::Whole(body.to_vec().into());
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let asked = Asked { method: &method, path, query, headers: &map, content: &content };
    learn().answer(&asked, |route, payload| !entity::names(route, payload).is_empty())
}

fn paths() -> impl Strategy<Value = String> {
    let known = vec![
        CONTENT_FILES,
        OVS_VIDEOS,
        LEARNING_RESOURCES,
        "/api/v1/webhooks/content_files/delete/",
        "/api/v1/webhooks/content_files",
    ];
    prop_oneof![prop::sample::select(known).prop_map(str::to_owned), "[ -~]{0,60}", ".{0,20}"]
}

/// JSON that looks like payloads, and now and then is one.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let names = vec![
        "source",
        "content_path",
        "course_id",
        "course_readable_id",
        "key",
        "video_id",
        "delete",
        "cta_link",
        "sources",
        "src",
        "videothumbnail_set",
        "collection",
        "resources",
        "readable_id",
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("NaN".to_owned()),
        Just("true".to_owned()),
        Just("-Infinity".to_owned()),
        "-?[0-9]{1,25}(\\.[0-9]{1,3})?",
        "\"[a-z:/.\\\\\\[\\]@%]{0,12}\"",
        Just("\"\\ud800\"".to_owned()),
        Just("\"https://a.cloudfront.net/\"".to_owned()),
        Just("\"canvas\"".to_owned()),
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        let field = (prop::sample::select(names.clone()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(field, 0..5).prop_map(|fields| {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    prop_oneof![any::<Vec<u8>>(), value.prop_map(String::into_bytes)]
}

proptest! {
    #[test]
    fn every_request_has_an_answer(
        method in "(POST|GET|HEAD|OPTIONS|[A-Z]{1,8})", path in paths(),
        headers in prop::collection::vec((
            prop::sample::select(vec![
                LEGACY_HEADER, ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER, "content-type"]),
            any::<Vec<u8>>(),
        ), 0..5),
        body in payloads(), is_signed in any::<bool>(),
    ) {
        let answer = answer(&method, &path, &headers, &body, is_signed);
        let status = answer.status.as_u16();
        prop_assert!([200, 301, 400, 404, 405, 500].contains(&status), "{}", status);
        prop_assert!(status != 405 || answer.allow.is_some());
        if method == "POST" && status == 200 {
            prop_assert!(is_signed);
        }
    }

    #[test]
    fn what_rust_reads_as_json_python_reads_the_same_way(body in payloads()) {
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&body) {
            prop_assert_eq!(python::json(&body), Ok(value));
        }
    }

    #[test]
    fn no_path_makes_the_decoder_panic(path in "(%[0-9a-fA-F]{0,2}|.){0,20}") {
        let decoded = learn::decoded(&path);
        if !path.contains('%') {
            prop_assert_eq!(decoded, path.as_str());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever bytes come, the connection ends or is answered, and the next one is served.
    #[test]
    fn no_bytes_end_the_receiver(
        bytes in any::<Vec<u8>>(), prefix in prop::sample::select(vec![
            "", "POST / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "POST /__control__/faults HTTP/1.1\r\ncontent-length: 9\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let receiver = Running::start(settings()).await;
            let mut client = receiver.client().await;
            client.send(prefix.as_bytes()).await;
            client.send(&bytes).await;
            let _ = client.stream.shutdown().await;
            while client.fill().await.is_some() {}
            assert_eq!(receiver.post(CONTENT_FILES, GOOD).await.unwrap().status, 200);
            assert_eq!(receiver.stop().await.accepted, 1);
        });
    }
}
