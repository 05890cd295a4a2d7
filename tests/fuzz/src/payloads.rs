//! What must hold for whatever is built from a value.

use crate::payload::python::rewrite;
use crate::payload::{
    BuildOptions, ChunkLimit, Kind, MAXIMUM_BODY_BYTES, Payload, Problem, Severity, Value, build,
    build_batch, identity, parse, tombstone,
};
use crate::receiver::Receiver;
use crate::signature::LEGACY_HEADER;
use crate::{OVS_HOST, keyring};

/// The secret of sender and receiver.
const SECRET: &str = "supersecret";

thread_local! {
    static RECEIVER: Receiver = Receiver::new(keyring(SECRET).expect("a secret"));
}

/// Builds a payload of every kind, and a batch, from what may be any value.
pub fn build_all(value: &Value, source: Option<&str>) {
    let options = BuildOptions {
        source: source.map(str::to_owned),
        now_seconds: 1_700_000_000.25,
        ovs_allowed_hosts: vec![OVS_HOST.to_owned()],
    };
    for kind in Kind::ALL {
        match build(kind, value.clone(), &options) {
            Ok(payload) => built(kind, &payload, &options),
            Err(problems) => refused(&problems),
        }
    }
    if let Some(items) = value.as_array().or_else(|| value.get("resources")?.as_array()) {
        let first = items.first().and_then(|item| item.get("etl_source")?.as_str());
        batch(source.or(first).unwrap_or("oll"), items.to_vec());
    }
}

fn built(kind: Kind, payload: &Payload, options: &BuildOptions) {
    assert_eq!((payload.kind, payload.is_tombstone), (kind, kind.is_tombstone()));
    assert_eq!(payload.scope, identity::scope(kind, &payload.source));
    assert!(payload.entity.starts_with(&payload.scope));
    assert!(payload.body.len() <= MAXIMUM_BODY_BYTES);
    assert!(payload.content_hash.len() == 64);
    assert!(payload.warnings.iter().all(|problem| problem.severity == Severity::Warning));
    one_line_each(&payload.warnings);
    let body = parse(&payload.body).expect("a body is JSON");
    assert_eq!(rewrite(&payload.body).unwrap(), payload.body);

    // What was built is built again from itself.
    let again = build(kind, body, options).expect("a body is a payload");
    assert_eq!(again.body, payload.body);
    assert_eq!(again.content_hash, payload.content_hash);

    match tombstone(&payload.scope, &payload.identity) {
        Ok(gone) => {
            assert!(gone.is_tombstone && kind != Kind::LearningResources);
            assert_eq!(gone.entity, payload.entity);
            assert!(!payload.is_tombstone || gone.body == payload.body);
        }
        Err(problems) => {
            assert!(!payload.is_tombstone);
            refused(&problems);
        }
    }
    let told = RECEIVER.with(|receiver| {
        let signature = keyring(SECRET).unwrap().legacy(0, &payload.body).unwrap();
        let headers = [(LEGACY_HEADER.to_owned(), signature)];
        receiver.ask("POST", kind.route(), &headers, &payload.body).unwrap()
    });
    assert_eq!(told.status, 200, "{kind}: {}", String::from_utf8_lossy(&told.body));
}

fn refused(problems: &[Problem]) {
    assert!(problems.iter().any(|problem| problem.severity == Severity::Refusal));
    one_line_each(problems);
}

fn one_line_each(problems: &[Problem]) {
    for problem in problems {
        assert!(problem.field.chars().count() <= 101, "{problem}");
        assert!(!problem.to_string().chars().any(char::is_control), "{problem}");
    }
}

/// Nothing is lost between parts, and each is within its limit.
fn batch(source: &str, items: Vec<Value>) {
    let limit = ChunkLimit { count: 2, bytes: 2048 };
    let count = items.len();
    match build_batch(source, items, limit) {
        Ok(batch) => {
            let mut sent = 0;
            for part in &batch.parts {
                assert!(part.body.len() <= limit.bytes);
                let body = parse(&part.body).unwrap();
                let resources = body.get("resources").unwrap().as_array().unwrap().len();
                assert!((1..=limit.count).contains(&resources));
                sent += resources;
            }
            assert_eq!(sent, count);
            one_line_each(&batch.warnings);
        }
        Err(problems) => refused(&problems),
    }
}
