//! Values stored out of line that an update did not touch, so that the log of the server does not hold them: taken from the
//! lake or from the old row, or refused, but never written as NULL.

use ol_testkit::Unit;
use ol_testkit::ledger::Landing;

use super::common::{DEFINITE, DONE, Follow, followed, lake_answer, outcome, server};

/// A table with two long values, and updates that touch neither, one or both.
const TABLE: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int, body text, extra text);
    ALTER TABLE t ALTER body SET STORAGE EXTERNAL, ALTER extra SET STORAGE EXTERNAL;
    INSERT INTO t SELECT n, 0, repeat(md5(n::text), 300), repeat(md5('x' || n), 300) FROM generate_series(1, 20) n;";
const UPDATES: &str = "
    DELETE FROM t WHERE id IN (21, 105);
    UPDATE t SET n = n + 1 WHERE id <= 10;
    UPDATE t SET extra = repeat(md5('y' || id), 300) WHERE id BETWEEN 6 AND 12;
    INSERT INTO t VALUES (21, 0, repeat(md5('21'), 300), NULL); UPDATE t SET n = 5 WHERE id = 21;
    UPDATE t SET body = NULL WHERE id = 3; UPDATE t SET n = 6 WHERE id = 3;
    BEGIN; UPDATE t SET n = 7 WHERE id = 4; UPDATE t SET body = repeat(md5('z'), 300) WHERE id = 4;
    UPDATE t SET n = 8 WHERE id = 4; COMMIT;
    UPDATE t SET id = 105 WHERE id = 5; INSERT INTO t VALUES (5, 0, repeat(md5('5'), 300), 'again');
    DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (6, 1, repeat(md5('6 again'), 300), 'short'); UPDATE t SET n = 2 WHERE id = 6;";

#[test]
fn merged_rows_keep_what_an_update_did_not_touch() {
    for (deployment, mode) in
        [("cdctoastupdate", "incremental_update"), ("cdctoastsoft", "incremental_soft_delete")]
    {
        let database = server().create_database(deployment);
        database.psql(TABLE);
        let unit = Unit::new(deployment)
            .method("cdc")
            .table("public", "t", mode)
            .with("primary_key: [id]");
        let follow = Follow::unit(deployment, database, &unit);
        follow.tick(DONE);
        for _ in 0..3 {
            follow.case.database.psql(UPDATES);
            let document = follow.tick(DONE).json();
            if mode == "incremental_update" {
                follow.case.compare(&follow.unit, &document).expect_equal();
            } else {
                let lost = lost_values(&follow, "_ol_deleted_at IS NULL AND id <> 3");
                assert_eq!(lost, 0, "living rows lost their values");
            }
        }
    }
}

#[test]
fn a_log_never_has_null_for_a_value_that_is_not_known() {
    let database = server().create_database("cdctoastlog");
    database.psql(TABLE);
    let unit = Unit::new("cdctoastlog").method("cdc").table("public", "t", "incremental_append");
    let follow = Follow::unit("cdctoastlog", database, &unit);
    follow.tick(DONE);
    // Two updates that leave the long values as they are, of rows that have both.
    follow.case.database.psql("UPDATE t SET n = n + 1 WHERE id IN (1, 2)");
    let finished = follow.case.finish(follow.until_caught_up());
    let document = finished.json();
    match outcome(&document, &follow, "t") {
        ("done", _) => {
            assert_eq!(finished.code(), DONE, "{document:#}");
            assert_eq!(lost_values(&follow, "_ol_op = 'u'"), 0, "unknown is written as NULL");
        }
        (became, advice) => {
            assert_eq!((became, finished.code()), ("blocked", DEFINITE), "{document:#}");
            assert!(advice.contains("REPLICA IDENTITY FULL"), "{advice}");
        }
    }
}

#[test]
fn wide_rows_under_many_updates_are_right() {
    let (follow, mut ledger) = followed("cdctoastmany", Landing::Merged, &[]);
    for _ in 0..4 {
        ledger.run(60);
        follow.tick(DONE);
    }
    follow.expect_complete("after many updates of wide rows");
}

/// Rows of the lake's table, under a condition, that have no value in `body`.
fn lost_values(follow: &Follow, condition: &str) -> u64 {
    let query = format!("SELECT count(*) FROM lake WHERE body IS NULL AND {condition}");
    lake_answer(follow, "t", &query).parse().unwrap()
}
