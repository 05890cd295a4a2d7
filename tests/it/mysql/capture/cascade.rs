//! Rows that go or change with others by a foreign key, which most servers do not log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ol_testkit::Software;

use super::Follow;
use crate::common::{PATIENCE, entry};

/// `parent` is not followed, `child` leads to it, `grandchild` to that, `tree` to itself.
const TABLES: &str = "
    CREATE TABLE parent (id int PRIMARY KEY, code varchar(20) UNIQUE, note text);
    CREATE TABLE child (id int PRIMARY KEY, p int, n int,
        FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE grandchild (id int PRIMARY KEY, c int,
        CONSTRAINT upwards FOREIGN KEY (c) REFERENCES child (id) ON DELETE SET NULL);
    CREATE TABLE coded (id int PRIMARY KEY, code varchar(20),
        FOREIGN KEY (code) REFERENCES parent (code) ON UPDATE SET NULL);
    CREATE TABLE tree (id int PRIMARY KEY, above int,
        FOREIGN KEY (above) REFERENCES tree (id) ON DELETE CASCADE);
    CREATE TABLE beside (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id));
    INSERT INTO parent SELECT seq, CONCAT('code ', seq), 'note' FROM seq_1_to_10;
    INSERT INTO child SELECT seq, 1 + (seq DIV 10), 0 FROM seq_1_to_90;
    INSERT INTO grandchild SELECT seq, seq DIV 2 + 1 FROM seq_1_to_100;
    INSERT INTO coded SELECT seq, CONCAT('code ', seq) FROM seq_1_to_9;
    INSERT INTO tree SELECT seq, NULL FROM seq_1_to_5;
    INSERT INTO tree SELECT seq, seq % 5 + 1 FROM seq_6_to_50;
    INSERT INTO beside VALUES (1, 10), (2, 10)";

const MODES: &[(&str, &str)] = &[
    ("child", "incremental_update"),
    ("grandchild", "incremental_soft_delete"),
    ("coded", "incremental_append"),
    ("tree", "incremental_soft_delete"),
    ("beside", "incremental_update"),
];

/// While rows go all the time, a run ends all the same, and the one after it has what is missing.
#[test]
fn a_run_ends_though_rows_go_with_others_all_the_time() {
    let follow = Follow::new("mysqlcascades", TABLES, MODES);
    follow.case.database.sql("INSERT INTO tree SELECT seq, NULL FROM seq_1000_to_9000");
    follow.tick(0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let delete = || {
            (1_000..9_000).take_while(|_| !is_over.load(Ordering::Relaxed)).for_each(|id| {
                follow.case.database.sql(&format!("DELETE FROM tree WHERE id = {id}"));
            });
        };
        let deleting = scope.spawn(delete);
        for _ in 0..3 {
            let mut running = follow.until_caught_up().start();
            running.wait_until(PATIENCE, || false);
            let went_on = running.lives() || deleting.is_finished();
            assert!(!went_on, "a run did not end: {}", running.told());
            running.wait().expect_code(0);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    follow.tick(0);
    expect_right(&follow);
}

on_both!(
    rows_that_go_with_others_go_from_the_lake_too,
    keys_that_came_and_went_are_minded,
    a_plan_says_what_a_table_is_copied_again_for,
);

/// The tables hold what the source holds.
#[track_caller]
fn expect_right(follow: &Follow) {
    for (table, columns, mode) in [
        ("child", "id, p, n", "merged"),
        ("grandchild", "id, c", "marked"),
        ("coded", "id, code", "logged"),
        ("tree", "id, above", "marked"),
        ("beside", "id, p", "merged"),
    ] {
        let now = match mode {
            "merged" => format!("SELECT {columns} FROM lake"),
            "marked" => format!("SELECT {columns} FROM lake WHERE _ol_deleted_at IS NULL"),
            _ => format!(
                "SELECT {columns} FROM (SELECT DISTINCT ON (id) {columns}, _ol_op FROM lake ORDER BY id, _ol_position DESC)
                 WHERE _ol_op <> 'd'"
            ),
        };
        let in_lake = follow.case.lines(table, &format!("{now} ORDER BY id")).join("\n");
        let at_source = format!("SELECT {columns} FROM {table} ORDER BY id");
        // A reader tells NULL by nothing.
        let at_source = follow.case.database.sql(&at_source).replace("NULL", "");
        assert_eq!(in_lake, at_source, "{table}");
    }
}

/// Catches up; the tables are right, and these of them were read again, as far as the server makes that needed.
#[track_caller]
fn expect(follow: &Follow, software: Software, copied: &[&str]) {
    let document = follow.tick(0).json();
    expect_right(follow);
    let number = |query: &str| follow.case.database.sql(query).parse::<u64>().unwrap();
    for (table, _) in MODES {
        let rows = entry(&document, &follow.case.raw_table(table))["rows"].as_u64().unwrap();
        let is_copied = rows >= number(&format!("SELECT count(*) FROM {table}"));
        let must = software == Software::MariaDb && copied.contains(table);
        assert!(is_copied || !must, "{table} was not copied again: {document:#}");
        assert!(!is_copied || copied.contains(table), "{table} was copied again: {document:#}");
    }
}

fn rows_that_go_with_others_go_from_the_lake_too(software: Software) {
    let follow = Follow::of(software, "mysqlcascade", TABLES, MODES);
    follow.tick(0);
    let sql = |script: &str| drop(follow.case.database.sql(script));
    // Nothing goes along.
    sql("UPDATE parent SET note = 'other', code = code WHERE id < 5; INSERT INTO parent VALUES (11, 'code 11', '');
         UPDATE child SET n = 1 WHERE id = 5; DELETE FROM beside WHERE id = 2");
    expect(&follow, software, &[]);
    sql("DELETE FROM coded WHERE id = 3; DELETE FROM parent WHERE id = 3");
    expect(&follow, software, &["child", "grandchild"]);
    sql(
        "BEGIN; UPDATE child SET n = 2 WHERE id = 15; UPDATE parent SET id = 40 WHERE id = 4; INSERT INTO child VALUES (200, 40, 7); COMMIT",
    );
    expect(&follow, software, &["child", "grandchild"]);
    sql("UPDATE parent SET code = 'another' WHERE id = 5");
    expect(&follow, software, &["coded"]);
    sql("DELETE FROM child WHERE id = 6");
    expect(&follow, software, &["grandchild"]);
    sql("DELETE FROM tree WHERE id = 3");
    expect(&follow, software, &["tree"]);
    sql("INSERT INTO tree VALUES (100, 1); UPDATE child SET n = 9 WHERE id = 7");
    expect(&follow, software, &[]);
}

fn a_plan_says_what_a_table_is_copied_again_for(software: Software) {
    let follow = Follow::of(software, "mysqlcascadeplan", TABLES, MODES);
    let planned = follow.case.finish(follow.case.command("plan")).expect_code(0).json();
    let name = follow.case.database.name();
    for (table, above) in [
        ("child", &["parent"][..]),
        ("grandchild", &["child", "parent"]),
        ("coded", &["parent"]),
        ("tree", &["tree"]),
        ("beside", &[]),
    ] {
        let note = &entry(&planned, &follow.case.raw_table(table))["note"];
        if above.is_empty() || software != Software::MariaDb {
            assert!(note.is_null(), "{table}: {note}");
            continue;
        }
        let above: Vec<String> = above.iter().map(|table| format!("{name}.{table}")).collect();
        let told = format!("gone or changed with rows of {} (", above.join(", "));
        assert!(note.as_str().is_some_and(|note| note.contains(&told)), "{table}: {note}");
    }
    let to_read =
        follow.case.ingest().args(["plan", "--inventory"]).arg(follow.case.inventory.path());
    let text = follow.case.finish(to_read).expect_code(0).stdout;
    assert_eq!(text.contains("It is copied again"), software == Software::MariaDb, "{text}");
}

fn keys_that_came_and_went_are_minded(software: Software) {
    let follow = Follow::of(software, "mysqlkeys", TABLES, MODES);
    follow.tick(0);
    let sql = |script: &str| drop(follow.case.database.sql(script));
    // Whoever looks now does not see by what the rows went.
    sql("DELETE FROM child WHERE id = 8; ALTER TABLE grandchild DROP FOREIGN KEY upwards");
    expect(&follow, software, &["grandchild"]);
    sql("DELETE FROM child WHERE id = 9");
    expect(&follow, software, &[]);
    sql("UPDATE grandchild SET c = NULL WHERE c NOT IN (SELECT id FROM child);
         ALTER TABLE grandchild ADD CONSTRAINT upwards FOREIGN KEY (c) REFERENCES child (id) ON DELETE CASCADE");
    follow.tick(0);
    expect_right(&follow);
    sql("DELETE FROM child WHERE id = 11");
    expect(&follow, software, &["grandchild"]);
    // By way of a table of another database that nobody follows.
    let far = format!("{}_far", follow.case.database.name());
    sql(&format!(
        "CREATE DATABASE {far}; CREATE TABLE {far}.far (id int PRIMARY KEY); INSERT INTO {far}.far VALUES (1), (2);
         ALTER TABLE parent ADD COLUMN f int; UPDATE parent SET f = 1 WHERE id = 7;
         ALTER TABLE parent ADD FOREIGN KEY (f) REFERENCES {far}.far (id) ON DELETE CASCADE;
         DELETE FROM coded WHERE id = 7; DELETE FROM {far}.far WHERE id = 1"
    ));
    expect(&follow, software, &["child", "grandchild", "coded"]);
    sql("ALTER TABLE parent DROP COLUMN note");
    expect(&follow, software, &[]);
}
