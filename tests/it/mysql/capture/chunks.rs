//! A large table is copied in chunks, beside the stream of the others: after a crash the next process reads those that are
//! missing, under a snapshot of its own, and what happened in between is replayed over all of them.

use std::time::Instant;

use ol_ingest::failpoints;
use ol_testkit::{Finished, MysqlServer, Software, Unit};

use super::Follow;
use crate::common::{PATIENCE, entry};

/// Rows of the table; its chunks are of some hundred.
const ROWS: u64 = 4_000;
const TABLE: &str = "
    CREATE TABLE t (id bigint unsigned PRIMARY KEY, n int, body text, doc json);
    INSERT INTO t SELECT seq, 0, repeat(sha2(seq, 256), 15), json_object('n', seq) FROM seq_1_to_4000;
    ANALYZE TABLE t";
/// What happens between two processes, all over the table: rows are deleted, moved to another key and written anew, and the
/// log goes on in another file.
const CHANGES: &str = "
    UPDATE t SET n = n + 1 WHERE id % 7 = 0;
    DELETE FROM t WHERE id % 35 = 0;
    FLUSH BINARY LOGS;
    UPDATE t SET n = n + 1 WHERE id % 11 = 0;
    DELETE FROM t WHERE id BETWEEN 3000 AND 3003;
    UPDATE t SET id = id + 100000, body = concat('moved ', id) WHERE id % 97 = 0 AND id < 100000;
    INSERT IGNORE INTO t SELECT seq, 5, repeat(sha2(seq, 256), 14), json_object('again', seq) FROM seq_35_to_4000_step_70;
    UPDATE t SET n = n + 1 WHERE id % 35 = 0;
    UPDATE t SET doc = json_set(doc, '$.m', id) WHERE id % 13 = 0";

fn table(software: Software, deployment: &'static str, mode: &str) -> Follow {
    let mut follow = Follow::of(software, deployment, TABLE, &[("t", mode)]);
    chunked(&mut follow, 200_000);
    follow
}

fn chunked(follow: &mut Follow, bytes: u32) {
    follow.settings.push(("OL_STREAM__CHUNK_BYTES".to_owned(), bytes.to_string()));
}

on_both!(a_killed_copy_goes_on_where_it_was, a_table_is_copied_beside_the_stream_of_the_others,);

/// Kills a tick at a point; it must come there.
#[track_caller]
fn kill_at(follow: &Follow, point: &str, arrival: u64) {
    let step = follow.until_caught_up().env("OL_FAILPOINT_KILL", format!("{point}:{arrival}"));
    let finished = follow.case.finish(step);
    assert_eq!(finished.code(), -1, "{point}: {}{}", finished.stdout, finished.stderr);
}

fn rows(follow: &Follow, finished: &Finished) -> u64 {
    entry(&finished.json(), &follow.case.raw_table("t"))["rows"].as_u64().unwrap()
}

fn count(follow: &Follow) -> u64 {
    follow.case.database.sql("SELECT count(*) FROM t").parse().unwrap()
}

fn a_killed_copy_goes_on_where_it_was(software: Software) {
    let follow = table(software, "mysqlchunks", "incremental_update");
    for _ in 0..3 {
        kill_at(&follow, failpoints::CHUNK_COMMITTED, 3);
        let phase = follow.phase("t");
        assert!(phase.starts_with("copying ("), "{phase}");
        follow.case.database.sql(CHANGES);
    }
    kill_at(&follow, failpoints::COPY_GATHERED, 1);
    follow.case.database.sql(CHANGES);
    // What was read at different moments is shown as such, until all that happened in between is taken again.
    let step = follow.until_caught_up().env("OL_FAILPOINT_KILL", "capture.batch-due:1");
    assert_eq!(follow.case.finish(step).code(), -1);
    assert_eq!(follow.phase("t"), "catching-up");
    follow.expect_equal();
    assert_eq!(follow.phase("t"), "streaming");
    follow.case.database.sql(CHANGES);
    follow.expect_equal();
    follow.case.finish(follow.case.command("verify")).expect_code(0);
}

#[test]
fn chunks_that_are_in_the_lake_are_not_read_again() {
    let follow = table(Software::MariaDb, "mysqlchunkonce", "incremental_append");
    kill_at(&follow, failpoints::CHUNK_COMMITTED, 5);
    let finished = follow.tick(0);
    let read = rows(&follow, &finished);
    // Five chunks are there, or six where another reader was quicker than the signal.
    assert!(read > 0 && read < ROWS / 10 * 9, "{read} of {ROWS} rows were read again");
    let lake = follow.case.lines("t", "SELECT id, n, body, doc FROM lake ORDER BY id");
    let source = follow.case.database.sql("SELECT id, n, body, doc FROM t ORDER BY id");
    assert!(lake.join("\n") == source, "the rows are not the source's");
}

#[test]
fn a_copy_whose_table_or_log_changed_begins_anew() {
    let server: &'static MysqlServer = Box::leak(Box::new(MysqlServer::start_with(&[])));
    let mut follow = Follow::on(server, "mysqlchunkanew", TABLE, &[("t", "incremental_update")]);
    chunked(&mut follow, 200_000);
    let anew = |follow: &Follow| {
        let whole = count(follow);
        let finished = follow.tick(0);
        let read = rows(follow, &finished);
        assert!(read >= whole, "{read} of {whole} rows: chunks of before were taken up");
        follow.expect_equal();
        follow.case.finish(follow.case.command("reset")).expect_code(0);
    };
    kill_at(&follow, failpoints::CHUNK_COMMITTED, 4);
    follow.case.database.sql("ALTER TABLE t ADD COLUMN kind varchar(9) NOT NULL DEFAULT 'old'");
    anew(&follow);
    kill_at(&follow, failpoints::CHUNK_COMMITTED, 4);
    follow.case.database.server().forget_log();
    follow.case.database.sql("UPDATE t SET n = -1 WHERE id < 2000");
    anew(&follow);
    kill_at(&follow, failpoints::CHUNK_COMMITTED, 4);
    follow.case.database.sql("UPDATE t SET n = -2; FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    super::server::purge(&follow);
    anew(&follow);
}

fn a_table_is_copied_beside_the_stream_of_the_others(software: Software) {
    let deployment = "mysqlbeside";
    let script = format!("CREATE TABLE log (id int PRIMARY KEY, a int); {TABLE}");
    let mut follow = Follow::of(software, deployment, &script, &[("log", "incremental_append")]);
    follow.tick(0);
    let unit = Unit::mysql(deployment).method("cdc").table("public", "log", "incremental_append");
    let unit = unit.table("public", "t", "incremental_update").with("primary_key: [id]");
    follow.unit = follow.case.inventory.unit(&unit);
    // Some hundred chunks; the process dies before the copy is complete.
    chunked(&mut follow, 16_000);
    let step = follow.stream().env("OL_INGEST__STREAMS", "1");
    let mut running =
        step.env("OL_FAILPOINT_KILL", format!("{}:150", failpoints::CHUNK_COMMITTED)).start();
    let started = Instant::now();
    let mut written: u32 = 0;
    while running.lives() {
        written += 1;
        follow.case.database.sql(&format!(
            "INSERT INTO log VALUES ({written}, 1); UPDATE t SET n = n + 1 WHERE id % 50 = {written} % 50"
        ));
        assert!(started.elapsed() < PATIENCE, "the table is not copied: {}", running.told());
    }
    assert_eq!(running.wait().code(), -1);
    let phase = follow.phase("t");
    assert!(phase.starts_with("copying ("), "{phase}");
    let count = follow.case.lines("log", "SELECT count(*) FROM lake");
    let beside: u32 = count[0].parse().unwrap();
    assert!(beside > 0, "none of {written} changes arrived while the table was copied");
    follow.tick(0);
    let query = "SELECT id, n, body, doc FROM t ORDER BY id";
    let lake = follow.case.lines("t", &query.replace("FROM t", "FROM lake"));
    assert!(lake.join("\n") == follow.case.database.sql(query), "the rows are not the source's");
    eprintln!("{beside} of {written} changes arrived while the table was copied");
}
