//! Runs that are killed or asked to stop: the lake shows the old table or the new one, and the next run completes.

use std::thread;
use std::time::Duration;

use ol_testkit::{MongoDatabase, MongoServer, Readers};

use super::MongoCase;
use crate::common::{PATIENCE, rows};

const ROWS: u64 = 6_000;

/// A collection whose every document says which version it is of; there is one document more with each.
fn fill(database: &MongoDatabase<'_>, version: u64) {
    let padding = "x".repeat(300);
    let documents: Vec<String> = (0..ROWS + version)
        .map(|id| format!(r#"{{"_id": {id}, "version": {version}, "padding": "{padding}"}}"#))
        .collect();
    let inserts: Vec<String> = documents
        .chunks(1_000)
        .map(|chunk| format!(r#"{{"insert": "t", "documents": [{}]}}"#, chunk.join(",")))
        .collect();
    database.run(&format!("{}\n{}", r#"{"drop": "t"}"#, inserts.join("\n")));
}

/// Starts a run that stands still at a failpoint, and sends it a signal there; its exit code.
#[track_caller]
fn signal_at(case: &MongoCase, point: &str, action: &str, signal: &str) -> i32 {
    let marker = case.lake.folder().join("reached");
    let _ = std::fs::remove_file(&marker);
    let mut running = case
        .command("run")
        .env("OL_INGEST__BATCH_ROWS", "1000")
        .env("FAILPOINTS", format!("{point}={action}"))
        .env("OL_FAILPOINT_MARKER", &marker)
        .start();
    assert!(running.wait_until(PATIENCE, || marker.exists()), "the run never came to {point}");
    thread::sleep(Duration::from_millis(100));
    running.signal(signal);
    running.wait().code()
}

#[test]
fn a_kill_at_any_point_of_a_run_leaves_the_old_or_the_new_table() {
    let (case, database) =
        MongoCase::new("mongokill", r#"{"insert": "t", "documents": [{"_id": 0}]}"#);
    case.discover();
    let raw_table = case.raw_table("t");
    let mut landed = None;
    for (version, point) in (1..).zip(ol_ingest::failpoints::ALL) {
        fill(&database, version);
        let code = signal_at(&case, point, "pause", "KILL");
        assert_eq!(code, -1, "the run at {point} ended by itself");
        let seen = rows(&case.state(), &raw_table);
        let fits =
            seen == landed || seen == Some(ROWS + version) || (landed.is_none() && seen == Some(0));
        assert!(fits, "{point}: {seen:?} rows, before {landed:?}");
        case.run(0);
        landed = Some(ROWS + version);
        let server = format!("mongodb://127.0.0.1:{}", MongoServer::shared().port());
        let of = ["--url", &server, "--database", database.name(), "--collection", "t"];
        let compared = Readers::compare_documents(&of, &case.lake, &raw_table);
        assert_eq!(compared["documents"].as_u64(), landed, "{point}");
    }
}

#[test]
fn sigterm_stops_with_75_and_the_next_run_completes() {
    let (case, database) =
        MongoCase::new("mongostop", r#"{"insert": "t", "documents": [{"_id": 0}]}"#);
    case.discover();
    fill(&database, 1);
    let code = signal_at(&case, "load.first-batch-written", "sleep(3000)", "TERM");
    assert_eq!(code, 75);
    let seen = rows(&case.state(), &case.raw_table("t"));
    assert!(matches!(seen, None | Some(0)), "a stopped run shows {seen:?} rows");
    case.run(0);
    assert_eq!(rows(&case.state(), &case.raw_table("t")), Some(ROWS + 1));
}
