//! The session as a program sees it, over files.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use ol_pipes::{
    AssetKey, CONTEXT_VARIABLE, Check, ErrorKind, Exception, Level, MESSAGES_VARIABLE,
    Materialization, Metadata, Pipes, Severity, Stream,
};
use serde_json::{Map, Value, json};
use tracing_subscriber::layer::SubscriberExt as _;

fn encode(value: &Value) -> String {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(value.to_string().as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap())
}

fn variables(context: &Value, messages: &Value) -> Vec<(OsString, OsString)> {
    vec![
        (CONTEXT_VARIABLE.into(), encode(context).into()),
        (MESSAGES_VARIABLE.into(), encode(messages).into()),
    ]
}

fn open(path: &Path) -> Pipes {
    let context = json!({"data": {"asset_keys": ["raw/a", "raw/b"], "run_id": "r", "extras": {}}});
    Pipes::open_with(variables(&context, &json!({ "path": path })), &[]).unwrap()
}

fn messages(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn methods(path: &Path) -> Vec<String> {
    messages(path).iter().map(|message| message["method"].as_str().unwrap().to_owned()).collect()
}

fn key(text: &str) -> AssetKey {
    text.parse().unwrap()
}

#[test]
fn outside_dagster_everything_works_and_nothing_is_sent() {
    let pipes = Pipes::open_with(Vec::new(), &["run".to_owned()]).unwrap();
    assert!(!pipes.is_active());
    assert_eq!(pipes.context().run_id, "");
    let materialization = Materialization::of(key("any/asset"));
    pipes.report_materialization(&materialization).unwrap();
    pipes.report_materialization(&materialization).unwrap();
    pipes.log(Level::Critical, "x").unwrap();
    pipes.log_external_stream(Stream::Stdout, "x", &Map::new()).unwrap();
    pipes.report_custom(&json!(1)).unwrap();
    pipes.install_panic_hook();
    pipes.close(Some(Exception::of("x"))).unwrap();
    pipes.log(Level::Info, "after closing").unwrap();
}

#[test]
fn the_first_close_counts_and_nothing_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    let pipes = open(&path);
    pipes.close(Some(Exception::of("the first"))).unwrap();
    pipes.close(None).unwrap();
    pipes.clone().close(Some(Exception::of("the third"))).unwrap();
    assert_eq!(pipes.log(Level::Info, "late").unwrap_err().kind(), ErrorKind::Closed);
    drop(pipes);
    let messages = messages(&path);
    assert_eq!(methods(&path), ["opened", "closed"]);
    assert_eq!(messages[1]["params"]["exception"]["message"], "the first");
}

#[test]
fn a_session_dropped_open_says_so_once_the_last_clone_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    let pipes = open(&path);
    let layer = pipes.layer();
    let clone = pipes.clone();
    drop(pipes);
    assert_eq!(methods(&path), ["opened"]);
    drop(clone);
    let messages = messages(&path);
    let message = messages[1]["params"]["exception"]["message"].as_str().unwrap();
    assert_eq!(message, "The session ended without being closed");
    drop(layer);
}

#[test]
fn reports_that_would_fail_the_step_are_refused_before_they_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    let pipes = open(&path);
    let mut materialization = Materialization::of(key("raw/a"));
    materialization.metadata.insert("rows".to_owned(), Metadata::from(1));
    pipes.report_materialization(&materialization).unwrap();
    let twice = pipes.report_materialization(&materialization).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::MaterializedTwice);
    let other = pipes.report_materialization(&Materialization::of(key("raw/c"))).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AssetNotTargeted);
    assert!(other.to_string().contains("targets: raw/a raw/b"), "{other}");
    let check = Check {
        asset_key: key("raw/c"),
        name: "guard".to_owned(),
        passed: true,
        severity: Severity::Error,
        metadata: BTreeMap::new(),
    };
    assert_eq!(pipes.report_check(&check).unwrap_err().kind(), ErrorKind::AssetNotTargeted);
    pipes.close(None).unwrap();
    assert_eq!(methods(&path), ["opened", "report_asset_materialization", "closed"]);
}

#[test]
fn lines_of_many_threads_stay_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    let pipes = open(&path);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let pipes = pipes.clone();
            scope.spawn(move || {
                for number in 0..200 {
                    pipes.report_custom(&json!([thread, number, "é".repeat(number)])).unwrap();
                }
            });
        }
    });
    pipes.close(None).unwrap();
    let mut next = [0_u64; 8];
    let messages = messages(&path);
    for message in &messages[1..messages.len() - 1] {
        let payload = &message["params"]["payload"];
        let thread = usize::try_from(payload[0].as_u64().unwrap()).unwrap();
        assert_eq!(payload[1].as_u64().unwrap(), next[thread], "in the order of the calls");
        next[thread] += 1;
    }
    assert_eq!(next, [200; 8]);
}

#[test]
fn events_become_log_messages_with_their_spans() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    let pipes = open(&path);
    let subscriber = tracing_subscriber::registry()
        .with(pipes.layer())
        .with(pipes.layer().with_least_level(tracing::Level::ERROR));
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("table", name = "users", rows = tracing::field::Empty);
        let _entered = span.enter();
        tracing::info!(bytes = 7, "wrote the file");
        span.record("rows", 3);
        tracing::debug!("not sent");
        tracing::error!("sent by both layers");
        pipes.close(None).unwrap();
        tracing::error!("after closing");
    });
    let logs: Vec<(String, String)> = messages(&path)
        .iter()
        .filter(|message| message["method"] == "log")
        .map(|message| {
            let text = |name: &str| message["params"][name].as_str().unwrap().to_owned();
            (text("level"), text("message"))
        })
        .collect();
    let expected = [
        ("INFO", "table{name=users}: wrote the file bytes=7"),
        ("ERROR", "table{name=users rows=3}: sent by both layers"),
        ("ERROR", "table{name=users rows=3}: sent by both layers"),
    ];
    assert_eq!(logs, expected.map(|(level, text)| (level.to_owned(), text.to_owned())));
}

#[test]
fn output_arrives_by_line_and_characters_are_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    let pipes = open(&path);
    let long = "🦀".repeat(5_000);
    {
        let mut output = pipes.external_stream(Stream::Stderr);
        output.write_all(b"one\ntwo\nthr").unwrap();
        output.write_all(b"ee\n").unwrap();
        output.write_all(long.as_bytes()).unwrap();
    }
    pipes.close(None).unwrap();
    let texts: Vec<String> = messages(&path)
        .iter()
        .filter(|message| message["method"] == "log_external_stream")
        .map(|message| message["params"]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts[..2], ["one\ntwo\n", "three\n"]);
    assert_eq!(texts[2..].concat(), long);
}

#[test]
fn a_context_that_is_damaged_is_refused_without_quoting_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("context");
    std::fs::write(&path, r#"{"run_id": "r", "extras": "hush"}"#).unwrap();
    let messages = json!({"path": folder.path().join("messages")});
    for context in [json!({ "path": path }), json!({"data": {"run_id": "r", "extras": "hush"}})] {
        let error = Pipes::open_with(variables(&context, &messages), &[]).unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::ContextInvalid, false));
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
    let missing = json!({"path": folder.path().join("missing")});
    let error = Pipes::open_with(variables(&missing, &messages), &[]).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::ContextUnreadable, false));
}
