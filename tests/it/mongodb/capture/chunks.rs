//! A large collection is copied in chunks, beside the stream of the others: after a crash the next process reads those that are
//! missing, at a later time, and what happened in between is taken again over all of them.

use ol_ingest::failpoints;
use ol_testkit::{Finished, MongoServer};

use super::kill::Ledger;
use super::{Follow, unit};
use crate::common::{PATIENCE, entry};

/// Documents of the collection; its chunks are of some hundred.
const DOCUMENTS: u32 = 3_000;

/// Documents with keys of three types; most are object ids.
fn documents() -> String {
    let key = |number: u32| match number % 10 {
        0 => format!("{{\"$numberLong\": \"{number}\"}}"),
        1 => format!("\"key {number}\""),
        _ => format!("{{\"$oid\": \"{number:024x}\"}}"),
    };
    let body = "words ".repeat(60);
    let document = |number: u32| {
        format!("{{\"_id\": {}, \"k\": {number}, \"n\": 0, \"body\": \"{body}\"}}", key(number))
    };
    let numbers: Vec<u32> = (1..=DOCUMENTS).collect();
    let insert = |numbers: &[u32]| {
        let documents: Vec<String> = numbers.iter().map(|number| document(*number)).collect();
        format!("{{\"insert\": \"t\", \"documents\": [{}]}}", documents.join(", "))
    };
    numbers.chunks(500).map(insert).collect::<Vec<_>>().join("\n")
}

/// What happens between two processes, all over the collection: documents are changed, deleted, and there again.
fn changes(round: u32) -> String {
    let between = |first: u32| format!("{{\"k\": {{\"$gte\": {first}, \"$lt\": {}}}}}", first + 30);
    let of = |first: u32| {
        let (some, others) = (between(first), between(first + 40));
        format!(
            r#"{{"update": "t", "updates": [{{"q": {some}, "u": {{"$inc": {{"n": 1}}}}, "multi": true}}]}}
               {{"delete": "t", "deletes": [{{"q": {others}, "limit": 0}}]}}
               {{"insert": "t", "documents": [{{"_id": "again {round} {first}", "k": {first}, "n": 5}}, {{"_id": {{"$numberLong": "{}"}}, "k": -1, "n": 6}}, {{"_id": {{"$oid": "{:024x}"}}, "n": 7}}]}}"#,
            10_000 * (round + 1) + first,
            10_000 * (round + 1) + first,
        )
    };
    (0..4).map(|part| of(1 + part * 700 + round * 100)).collect::<Vec<_>>().join("\n")
}

/// What a chunk has, in bytes.
const CHUNK_BYTES: &str = "40000";

fn tick(follow: &Follow) -> Finished {
    let step = follow.until_caught_up().env("OL_STREAM__CHUNK_BYTES", CHUNK_BYTES);
    follow.case.finish(step).expect_code(0)
}

/// Kills a tick at a point; it must come there.
#[track_caller]
fn kill_at(follow: &Follow, point: &str, arrival: u64) {
    let step = follow.until_caught_up().env("OL_STREAM__CHUNK_BYTES", CHUNK_BYTES);
    let finished = follow.case.finish(step.env("OL_FAILPOINT_KILL", format!("{point}:{arrival}")));
    assert_eq!(finished.code(), -1, "{point}: {}{}", finished.stdout, finished.stderr);
}

fn rows(follow: &Follow, finished: &Finished) -> u64 {
    entry(&finished.json(), &follow.case.raw_table("t"))["rows"].as_u64().unwrap()
}

#[test]
fn a_killed_copy_goes_on_where_it_was() {
    let server = MongoServer::start_leaked_member();
    let follow = Follow::on(server, "mongochunks", &documents(), &[("t", "incremental_update")]);
    for round in 0..3 {
        kill_at(&follow, failpoints::CHUNK_COMMITTED, 5);
        let phase = follow.phase("t");
        assert!(phase.starts_with("copying ("), "{phase}");
        follow.database.run(&changes(round));
    }
    kill_at(&follow, failpoints::COPY_GATHERED, 1);
    follow.database.run(&changes(3));
    // What was read at different times is shown as such, until all that happened in between is taken again.
    kill_at(&follow, failpoints::BATCH_DUE, 1);
    assert_eq!(follow.phase("t"), "catching-up");
    // The time of the cluster moves on behind that of the last chunk.
    let noise = follow.database.server().create_database("noise");
    noise.run(r#"{"insert": "noise", "documents": [{}]}"#);
    tick(&follow);
    follow.expect_equal("t");
    assert_eq!(follow.phase("t"), "streaming");
    follow.database.run(&changes(4));
    tick(&follow);
    follow.expect_equal("t");
    follow.case.finish(follow.case.command("verify")).expect_code(0);
}

#[test]
fn chunks_that_are_in_the_lake_are_not_read_again() {
    let follow = Follow::new("mongochunkonce", &documents(), &[("t", "incremental_append")]);
    kill_at(&follow, failpoints::CHUNK_COMMITTED, 10);
    let finished = tick(&follow);
    let read = rows(&follow, &finished);
    assert!(read > 0 && read < u64::from(DOCUMENTS) / 10 * 9, "{read} documents were read again");
    follow.expect_equal("t");
    follow.database.run(&changes(0));
    tick(&follow);
    let latest = "SELECT _id, n FROM (SELECT _id, n, _ol_op, row_number() OVER (PARTITION BY _id ORDER BY _ol_position DESC) AS place \
                  FROM lake) AS l WHERE place = 1 AND _ol_op <> 'd' ORDER BY _id";
    let kept = follow.database.program("kept.py").args(["--collection", "t"]);
    let kept = kept.args(["--database", follow.database.name()]).run().expect_code(0);
    let kept: Vec<&str> = kept.stdout.lines().collect();
    assert_eq!(follow.case.lines("t", latest), kept);
}

#[test]
fn a_copy_whose_columns_or_log_changed_begins_anew() {
    let server = MongoServer::start_leaked_member();
    let modes = [("t", "incremental_update")];
    let follow = Follow::on(server, "mongochunkanew", &documents(), &modes);
    let anew = |follow: &Follow| {
        let read = rows(follow, &tick(follow));
        assert!(read >= u64::from(DOCUMENTS), "{read} rows: chunks of before were taken up");
        follow.expect_equal("t");
        follow.case.finish(follow.case.command("reset")).expect_code(0);
    };
    kill_at(&follow, failpoints::CHUNK_COMMITTED, 4);
    let declared = unit("mongochunkanew", &modes).overriding("t:\n  columns: {rare: long}");
    follow.case.inventory.unit(&declared);
    anew(&follow);
    kill_at(&follow, failpoints::CHUNK_COMMITTED, 4);
    follow.database.run(
        r#"{"update": "t", "updates": [{"q": {"k": {"$lt": 50}}, "u": {"$inc": {"n": 7}}, "multi": true}]}"#,
    );
    // The server keeps the last of its changes alone.
    follow.database.admin(r#"{"forget": 1}"#);
    anew(&follow);
}

#[test]
fn a_collection_is_copied_beside_the_stream_of_the_others() {
    let deployment = "mongobeside";
    let first = format!(
        "{{\"insert\": \"history\", \"documents\": [{{\"_id\": \"still\", \"n\": 0, \"body\": \"\"}}]}}\n{}",
        documents()
    );
    let follow = Follow::on(
        MongoServer::start_leaked_member(),
        deployment,
        &first,
        &[("history", "incremental_append")],
    );
    let ledger = Ledger::new(&follow, 7);
    tick(&follow);
    let both = [("history", "incremental_append"), ("t", "incremental_update")];
    follow.case.inventory.unit(&unit(deployment, &both));
    let writing = ledger.step(&follow).start();
    // Some hundred chunks; the process dies before the copy is complete.
    let step = follow.stream().env("OL_INGEST__STREAMS", "1").env("OL_STREAM__CHUNK_BYTES", "3000");
    let point = format!("{}:100", failpoints::CHUNK_COMMITTED);
    let mut running = step.env("OL_FAILPOINT_KILL", point).start();
    let has_ended = !running.wait_until(PATIENCE, || false) && !running.lives();
    assert!(has_ended, "the collection is not copied: {}", running.told());
    assert_eq!(running.wait().code(), -1);
    let phase = follow.phase("t");
    assert!(phase.starts_with("copying ("), "{phase}");
    let told = follow.case.lines("history", "SELECT count(*) FROM lake WHERE _ol_op <> 'r'");
    let beside: u32 = told[0].parse().unwrap();
    assert!(beside > 0, "no change arrived while the collection was copied");
    ledger.judge_log(&follow, "beside a copy");
    super::kill::stop(writing);
    tick(&follow);
    follow.expect_equal("t");
    ledger.judge_log(&follow, "behind a copy");
    eprintln!("{beside} changes arrived while the collection was copied");
}

#[test]
fn a_copy_in_the_midst_of_a_transaction_lacks_nothing() {
    let insert =
        |key: u32| format!("{{\"insert\": \"t\", \"documents\": [{{\"_id\": {key}, \"n\": 1}}]}}");
    let modes = [("t", "incremental_update")];
    let server = MongoServer::start_leaked_member();
    let follow = Follow::on(server, "mongomidst", &insert(1), &modes);
    // All that happens from here on has one time of the cluster.
    follow.database.admin(r#"{"together": true}"#);
    follow.database.run(&insert(2));
    tick(&follow);
    follow.database.run(&insert(3));
    follow.database.admin(r#"{"together": false}"#);
    follow.database.run(&insert(4));
    tick(&follow);
    assert_eq!(follow.expect_equal("t")["documents"], 4);
}

#[test]
fn a_copy_that_fails_for_the_time_being_is_tried_again_beside_the_stream() {
    let deployment = "mongoagain";
    let first = r#"{"insert": "log", "documents": [{"_id": 0}]}
                   {"insert": "t", "documents": [{"_id": 1}]}"#;
    let server = MongoServer::start_leaked_member();
    let follow = Follow::on(server, deployment, first, &[("log", "incremental_append")]);
    tick(&follow);
    let both = [("log", "incremental_append"), ("t", "incremental_update")];
    follow.case.inventory.unit(&unit(deployment, &both));
    // Two samples, then the copy, which meets a server that shuts down.
    follow.database.admin(
        r#"{"configureFailPoint": "failCommand", "mode": {"skip": 2, "times": 1}, "data": {"failCommands": ["find"], "errorCode": 91}}"#,
    );
    let mut running = follow.stream().start();
    let arrived =
        |table: &str| follow.case.lines(table, "SELECT _id FROM lake ORDER BY 1").len() == 2;
    follow.database.run(r#"{"insert": "log", "documents": [{"_id": 1}]}"#);
    assert!(running.wait_until(PATIENCE, || arrived("log")), "{}", running.told());
    assert!(running.told().contains("a table failed"), "{}", running.told());
    assert_eq!(follow.phase("t"), "planned");
    let is_followed = || follow.phase("t") == "streaming";
    assert!(running.wait_until(PATIENCE, is_followed), "{}", running.told());
    follow.database.run(r#"{"insert": "t", "documents": [{"_id": 2}]}"#);
    assert!(running.wait_until(PATIENCE, || arrived("t")), "{}", running.told());
    running.signal("TERM");
    assert_eq!(running.wait().code(), 75);
}
