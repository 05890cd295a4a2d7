//! A large table is copied in chunks: after a crash the next process reads those that are missing, under a snapshot of its
//! own, and what happened in between is replayed over all of them.

use ol_testkit::Unit;
use ol_testkit::ledger::Landing;
use serde_json::Value;

use super::common::{DEFINITE, DONE, FEW, Follow, new_ledger, outcome, server};
use crate::common::entry;

/// Rows of the table; its chunks are of some hundred.
const ROWS: u64 = 4_000;
/// A table with a value out of line that most updates leave alone. Its statistics are those of its first rows: were it
/// analyzed anew while it is changed, its rows would no longer lie in the order of the key, and a copy would take one piece.
const TABLE: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int, body text) WITH (autovacuum_enabled = false);
    ALTER TABLE t ALTER body SET STORAGE EXTERNAL;
    INSERT INTO t SELECT n, 0, repeat(md5(n::text), 70) FROM generate_series(1, 4000) n;
    VACUUM ANALYZE t";
/// What happens between two processes, all over the table: rows that one change leaves half unsaid are deleted, moved to
/// another key and written anew by later ones.
const CHANGES: &str = "
    UPDATE t SET n = n + 1 WHERE id % 7 = 0;
    DELETE FROM t WHERE id % 35 = 0;
    UPDATE t SET n = n + 1 WHERE id % 11 = 0;
    DELETE FROM t WHERE id BETWEEN 3000 AND 3003;
    UPDATE t SET id = id + 100000, body = 'moved ' || id WHERE id % 97 = 0;
    INSERT INTO t SELECT n, 5, repeat(md5('again' || n), 70) FROM generate_series(35, 4000, 35) n
        WHERE n % 2 = 1 ON CONFLICT DO NOTHING;
    UPDATE t SET n = n + 1 WHERE id % 35 = 0;
    UPDATE t SET body = repeat(md5('new' || id), 70) WHERE id % 13 = 0;";

/// A tick that makes chunks of a few pages.
fn chunked(follow: &mut Follow) {
    follow.settings.push(("OL_STREAM__CHUNK_BYTES".to_owned(), "16384".to_owned()));
}

/// Kills a tick at a point; it must come there.
#[track_caller]
fn kill_at(follow: &Follow, point: &str, arrival: u64) {
    let step = follow.until_caught_up().env("OL_FAILPOINT_KILL", format!("{point}:{arrival}"));
    let finished = follow.case.finish(step);
    assert_eq!(finished.code(), -1, "{point}: {}{}", finished.stdout, finished.stderr);
}

/// What `status` says of the table.
fn phase(follow: &Follow) -> String {
    let status = follow.case.finish(follow.case.command("status")).expect_code(DONE).json();
    entry(&status, &follow.case.raw_table("t"))["phase"].as_str().unwrap().to_owned()
}

fn rows(document: &Value, follow: &Follow, table: &str) -> u64 {
    entry(document, &follow.case.raw_table(table))["rows"].as_u64().unwrap()
}

fn table(deployment: &'static str, mode: &str) -> Follow {
    let database = server().create_database(deployment);
    for statement in TABLE.split(';') {
        database.psql(statement);
    }
    let unit =
        Unit::new(deployment).method("cdc").table("public", "t", mode).with("primary_key: [id]");
    let mut follow = Follow::unit(deployment, database, &unit);
    chunked(&mut follow);
    follow
}

#[test]
fn a_killed_copy_goes_on_where_it_was() {
    let follow = table("cdcchunks", "incremental_update");
    assert_eq!(phase(&follow), "planned");
    for _ in 0..3 {
        kill_at(&follow, "copy.chunk-committed", 3);
        assert!(phase(&follow).starts_with("copying ("), "{}", phase(&follow));
        follow.case.database.psql(CHANGES);
    }
    kill_at(&follow, "copy.gathered", 1);
    follow.case.database.psql(CHANGES);
    // Nothing is left to read of the table, only what happened to it.
    let count = follow.case.database.psql("SELECT count(*) FROM t");
    let document = follow.tick(DONE).json();
    follow.case.compare(&follow.unit, &document).expect_equal();
    assert_eq!(phase(&follow), "streaming");
    follow.case.database.psql(CHANGES);
    let document = follow.tick(DONE).json();
    follow.case.compare(&follow.unit, &document).expect_equal();
    eprintln!("{count} rows; then {} changes", rows(&document, &follow, "t"));
}

#[test]
fn chunks_that_are_in_the_lake_are_not_read_again() {
    let follow = table("cdcchunkonce", "incremental_append");
    kill_at(&follow, "copy.chunk-committed", 5);
    let document = follow.tick(DONE).json();
    let read = rows(&document, &follow, "t");
    // Five chunks are there, or six where another reader was quicker than the signal.
    assert!(read > 0 && read < ROWS / 10 * 9, "{read} of {ROWS} rows were read again");
    follow.case.compare(&follow.unit, &document).expect_equal();
}

#[test]
fn a_copy_whose_table_or_slot_changed_begins_anew() {
    let follow = table("cdcchunkanew", "incremental_update");
    kill_at(&follow, "copy.chunk-committed", 4);
    follow.case.database.psql("ALTER TABLE t ADD COLUMN kind text NOT NULL DEFAULT 'old'");
    kill_at(&follow, "copy.chunk-committed", 4);
    follow.drop_slot();
    follow.case.database.psql(CHANGES);
    kill_at(&follow, "copy.chunk-committed", 4);
    let publication = follow.slot_name();
    follow.case.database.psql(&format!("ALTER PUBLICATION {publication} DROP TABLE t"));
    follow.case.database.psql(CHANGES);
    let document = follow.tick(DONE).json();
    follow.case.compare(&follow.unit, &document).expect_equal();
    follow.case.database.psql(CHANGES);
    let document = follow.tick(DONE).json();
    follow.case.compare(&follow.unit, &document).expect_equal();
}

#[test]
fn a_copy_that_the_slot_has_passed_begins_anew() {
    let follow = table("cdcchunkpassed", "incremental_update");
    follow.case.database.psql("CREATE TABLE a (id int PRIMARY KEY, note text)");
    let with = |unit: Unit, table| {
        unit.table("public", table, "incremental_update").with("primary_key: [id]")
    };
    let only_a = with(Unit::new("cdcchunkpassed").method("cdc"), "a");
    follow.case.inventory.unit(&only_a);
    follow.tick(DONE);
    follow.case.inventory.unit(&with(only_a, "t"));
    kill_at(&follow, "copy.chunk-committed", 4);
    follow.case.database.psql(CHANGES);
    follow.case.database.psql("INSERT INTO a SELECT n, 'x' FROM generate_series(1, 100) n");
    let before = follow.slot("confirmed_flush_lsn");
    // Beyond the cap no copy goes on, nor does it hold the slot, which moves over what the chunks lack.
    for _ in 0..2 {
        let step = follow.until_caught_up().env("OL_STREAM__CAP_BYTES", "1");
        let document = follow.case.finish(step).expect_code(DEFINITE).json();
        assert_eq!(outcome(&document, &follow, "t").0, "blocked");
        follow.case.database.psql("INSERT INTO a SELECT max(id) + 1, 'y' FROM a");
    }
    assert_ne!(follow.slot("confirmed_flush_lsn"), before, "the slot did not move");
    let count: u64 = follow.case.database.psql("SELECT count(*) FROM t").parse().unwrap();
    let document = follow.tick(DONE).json();
    assert!(rows(&document, &follow, "t") >= count, "chunks of before were taken up");
    follow.case.compare(&follow.unit, &document).expect_equal();
    follow.case.database.psql(CHANGES);
    let document = follow.tick(DONE).json();
    follow.case.compare(&follow.unit, &document).expect_equal();
}

#[test]
fn a_copy_in_chunks_killed_at_any_point_is_completed() {
    for (point, arrival) in
        ol_ingest::failpoints::CHUNKS.iter().flat_map(|point| [(point, 1), (point, 3)])
    {
        let (database, mut ledger) = new_ledger(server(), "cdcchunkkill", "kills between chunks");
        ledger.bulk(2_000);
        database.psql("VACUUM ANALYZE");
        let left_out: Vec<&str> = FEW.iter().copied().filter(|name| *name != "bulk").collect();
        let mut follow = Follow::ledger("cdcchunkkill", database, Landing::Mixed, &left_out)
            .judged_by(&[&ledger]);
        chunked(&mut follow);
        let step = follow.until_caught_up().env("OL_FAILPOINT_KILL", format!("{point}:{arrival}"));
        let finished = follow.case.finish(step);
        if arrival == 1 {
            assert_eq!(finished.code(), -1, "{point}: {}{}", finished.stdout, finished.stderr);
        }
        follow.expect_right_so_far(point);
        ledger.run(20);
        follow.tick(DONE);
        follow.expect_complete(&format!("after a kill at {point} ({arrival})"));
    }
}
