//! Tables that are altered, dropped, made anew, renamed; statements that are logged instead of rows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ol_testkit::{MysqlServer, Software};

use super::Follow;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(20), c int);
                     CREATE TABLE u (id int PRIMARY KEY, n int);
                     INSERT INTO t SELECT seq, seq, 'x', 1 FROM seq_1_to_5; INSERT INTO u VALUES (1, 1)";
const MERGED: &[(&str, &str)] = &[("t", "incremental_update"), ("u", "incremental_update")];

/// A statement, rows of before and after it; whether the old rows must be read again for it.
const ALTERATIONS: &[(&str, bool)] = &[
    ("ALTER TABLE t ADD COLUMN d int", false),
    ("ALTER TABLE t ADD COLUMN e int NOT NULL DEFAULT 7", true),
    ("ALTER TABLE t DROP COLUMN d", false),
    ("ALTER TABLE t ADD COLUMN d int", true),
    ("ALTER TABLE t MODIFY b varchar(200)", false),
    ("ALTER TABLE t MODIFY a bigint", false),
    ("ALTER TABLE t CHANGE c renamed int", true),
    ("ALTER TABLE t ADD INDEX (b)", false),
    ("CREATE INDEX i ON t (a)", false),
    ("ALTER TABLE t MODIFY b varchar(200) CHARACTER SET latin1", true),
    ("RENAME TABLE t TO elsewhere, elsewhere TO t", true),
    ("ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 2", false),
];

on_both!(
    altered_tables_are_followed_or_read_again,
    a_table_that_is_dropped_and_made_anew_is_read_again,
    a_statement_that_is_logged_instead_of_rows_is_noticed,
    a_transaction_that_is_taken_back_in_part_is_none,
    a_table_that_is_emptied_all_the_time_is_seen_whole,
);

fn altered_tables_are_followed_or_read_again(software: Software) {
    let follow = Follow::of(software, "mysqlaltered", TABLE, MERGED);
    follow.tick(0);
    for (number, (statement, is_read_again)) in ALTERATIONS.iter().enumerate() {
        let (first, second) = (100 + number * 10, 101 + number * 10);
        follow.case.database.sql(&format!(
            "INSERT INTO t (id, a) VALUES ({first}, 1); UPDATE u SET n = n + 1; {statement};
             INSERT INTO t (id, a, b) VALUES ({second}, 2, 'ü'); UPDATE t SET a = a + 1 WHERE id = 1"
        ));
        let finished = follow.tick(0);
        let said = finished.stderr.contains("a table is copied again");
        assert_eq!(said, *is_read_again, "{statement}: {}", finished.stderr);
        follow.case.compare(&follow.unit, &finished.json()).expect_equal();
    }
    // All of them at once, of which only the first has been seen by nobody.
    follow.case.database.sql(
        "UPDATE t SET a = 0; ALTER TABLE t ADD COLUMN z int, DROP COLUMN e; UPDATE t SET z = 5 WHERE id < 3;
         ALTER TABLE t DROP COLUMN z; ALTER TABLE t ADD COLUMN z varchar(9); UPDATE t SET z = 'q' WHERE id = 2",
    );
    follow.expect_equal();
}

fn a_table_that_is_dropped_and_made_anew_is_read_again(software: Software) {
    let follow = Follow::of(software, "mysqlremade", TABLE, MERGED);
    follow.tick(0);
    follow.case.database.sql(
        "UPDATE t SET a = 9; DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(20), c int);
         INSERT INTO t VALUES (7, 7, 'new', 7); UPDATE u SET n = 2",
    );
    follow.expect_equal();
    assert_eq!(follow.case.lines("t", "SELECT id, b FROM lake"), ["7\tnew"]);
    // One that stays away is told; the others go on.
    follow.case.database.sql("DROP TABLE t; UPDATE u SET n = 3");
    let finished = follow.tick(2);
    assert!(finished.stdout.contains("does not exist at the source"), "{}", finished.stdout);
    assert_eq!(follow.case.lines("u", "SELECT n FROM lake"), ["3"]);
    assert!(follow.phase("t").starts_with("blocked since"), "{}", follow.phase("t"));
    follow.case.database.sql("CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(20), c int)");
    follow.expect_equal();
}

#[test]
fn a_log_keeps_what_was_when_its_table_is_read_again() {
    let follow = Follow::new("mysqlhistory", TABLE, &[("t", "incremental_append")]);
    follow.tick(0);
    follow.case.database.sql("DELETE FROM t WHERE id > 2; DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (9, 9)");
    follow.tick(0);
    let query = "SELECT _ol_op, count(*) FROM lake GROUP BY 1 ORDER BY 1";
    assert_eq!(follow.case.lines("t", query), ["d\t5", "r\t6"]);
    follow.case.database.sql("INSERT INTO t VALUES (10, 1)");
    follow.tick(0);
    assert_eq!(follow.case.lines("t", query), ["d\t5", "i\t1", "r\t6"]);
}

#[test]
fn rows_that_only_a_mark_keeps_stay_when_a_table_is_read_again() {
    let follow = Follow::new("mysqlmarks", TABLE, &[("t", "incremental_soft_delete")]);
    follow.tick(0);
    follow.case.database.sql("DELETE FROM t WHERE id = 1; ALTER TABLE t ADD COLUMN d int NOT NULL DEFAULT 3; DELETE FROM t WHERE id = 2");
    follow.tick(0);
    let query = "SELECT id, d, _ol_deleted_at IS NULL FROM lake ORDER BY id";
    assert_eq!(
        follow.case.lines("t", query),
        ["1\t\tFalse", "2\t\tFalse", "3\t3\tTrue", "4\t3\tTrue", "5\t3\tTrue"]
    );
}

fn a_statement_that_is_logged_instead_of_rows_is_noticed(software: Software) {
    let follow = Follow::of(software, "mysqlstatement", TABLE, MERGED);
    follow.tick(0);
    follow.case.database.sql("SET SESSION binlog_format = STATEMENT; UPDATE t SET a = a * 2; SET SESSION binlog_format = ROW; UPDATE u SET n = 5");
    let finished = follow.tick(0);
    assert!(
        finished.stderr.contains("a statement was logged instead of the rows"),
        "{}",
        finished.stderr
    );
    follow.expect_equal();
    // Rows without some of their columns are noticed, too.
    follow.case.database.sql("SET SESSION binlog_row_image = MINIMAL; UPDATE t SET a = 1 WHERE id = 3; DELETE FROM t WHERE id = 4");
    let finished = follow.tick(0);
    assert!(finished.stderr.contains("not all columns of its rows"), "{}", finished.stderr);
    follow.expect_equal();
}

fn a_transaction_that_is_taken_back_in_part_is_none(software: Software) {
    // With ids MySQL lets no transaction write to tables of both kinds.
    let server = match software {
        Software::MariaDb => MysqlServer::shared(),
        Software::MySql => {
            let settings = &["gtid-mode=OFF", "enforce-gtid-consistency=OFF"];
            Box::leak(Box::new(MysqlServer::start(software, settings)))
        }
    };
    let follow = Follow::on(
        server,
        "mysqltakenback",
        &format!("{TABLE}; CREATE TABLE m (id int PRIMARY KEY) ENGINE=MyISAM"),
        &[("t", "incremental_update"), ("u", "incremental_update"), ("m", "incremental_update")],
    );
    follow.tick(0);
    follow.case.database.sql(
        "BEGIN; UPDATE t SET a = 77; INSERT INTO m VALUES (1); UPDATE u SET n = 77; ROLLBACK; UPDATE u SET n = 8;
         BEGIN; UPDATE t SET a = 5 WHERE id = 1; SAVEPOINT s; UPDATE t SET a = 6; ROLLBACK TO s; COMMIT",
    );
    follow.expect_equal();
    assert_eq!(follow.case.lines("u", "SELECT n FROM lake"), ["8"]);
}

#[test]
fn a_table_may_join_and_leave_the_unit() {
    let follow = Follow::new("mysqljoin", TABLE, &[("u", "incremental_update")]);
    follow.tick(0);
    follow.case.database.sql("UPDATE u SET n = 2; UPDATE t SET a = 2");
    let unit = ol_testkit::Unit::mysql("mysqljoin").method("cdc");
    let with = |unit: ol_testkit::Unit, table: &str| {
        unit.table("public", table, "incremental_update").with("primary_key: [id]")
    };
    let both = with(with(unit.clone(), "u"), "t");
    follow.case.inventory.unit(&both);
    follow.expect_equal();
    follow.case.inventory.unit(&with(unit, "u"));
    follow.case.database.sql("UPDATE t SET a = 3; UPDATE u SET n = 3; DELETE FROM t WHERE id = 5");
    follow.tick(0);
    follow.case.database.sql("UPDATE u SET n = 4");
    follow.tick(0);
    // Back again, it goes on where it was: the server still has its log.
    follow.case.inventory.unit(&both);
    let document = follow.expect_equal();
    let taken = &crate::common::entry(&document, &follow.case.raw_table("t"))["rows"];
    assert_eq!(taken.as_u64(), Some(5), "it was read again");
}

/// To a session with a lock, a server leaves a table out of its catalog, or its columns, while it is truncated.
fn a_table_that_is_emptied_all_the_time_is_seen_whole(software: Software) {
    let table = "CREATE TABLE t (id int PRIMARY KEY, n int)";
    let follow = Follow::of(software, "mysqlemptied", table, &[("t", "incremental_append")]);
    follow.tick(0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let script = "TRUNCATE t; INSERT INTO t VALUES (1, 2); UPDATE t SET n = 3;".repeat(50);
            while !is_over.load(Ordering::Relaxed) {
                follow.case.database.sql(&script);
            }
        });
        for _ in 0..5 {
            follow.tick(0);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    follow.tick(0);
    let told = "SELECT DISTINCT _ol_op, id, n FROM lake WHERE _ol_op <> 'r' ORDER BY _ol_op";
    assert_eq!(follow.case.lines("t", told), ["i\t1\t2", "t\t\t", "u\t1\t3"]);
}
