//! What becomes of rows: in a merged table, in one that marks deleted rows, in a change log.

use ol_testkit::Software;
use serde_json::Value;

use super::Follow;
use crate::common::entry;

const TABLES: &str = "
    CREATE TABLE merged (id int PRIMARY KEY, n int, body text);
    CREATE TABLE marked (id int PRIMARY KEY, n int, body text);
    CREATE TABLE logged (id int PRIMARY KEY, n int, body text);
    CREATE TABLE keyless (a int, b varchar(10));
    CREATE TABLE other (id int PRIMARY KEY);
    INSERT INTO merged SELECT seq, 0, 'first' FROM seq_1_to_10;
    INSERT INTO marked SELECT seq, 0, 'first' FROM seq_1_to_10;
    INSERT INTO logged SELECT seq, 0, 'first' FROM seq_1_to_3;
    INSERT INTO keyless VALUES (1, 'a'), (1, 'a'), (NULL, NULL)";

const MODES: &[(&str, &str)] = &[
    ("merged", "incremental_update"),
    ("marked", "incremental_soft_delete"),
    ("logged", "incremental_append"),
    ("keyless", "incremental_append"),
];

on_both!(
    rows_arrive_in_every_shape,
    an_emptied_table_is_emptied,
    text_of_every_character_set_is_what_a_copy_shows,
);

fn changed(table: &str) -> String {
    format!(
        "UPDATE {table} SET n = n + 1 WHERE id < 3; DELETE FROM {table} WHERE id = 2;
         INSERT INTO {table} VALUES (20, 5, 'new'), (21, 6, NULL); UPDATE {table} SET id = 30 WHERE id = 20;"
    )
}

/// The rows that a run has written into a table.
fn taken(document: &Value, follow: &Follow, table: &str) -> u64 {
    entry(document, &follow.case.raw_table(table))["rows"].as_u64().unwrap()
}

fn rows_arrive_in_every_shape(software: Software) {
    let follow = Follow::of(software, "mysqlshapes", TABLES, MODES);
    follow.tick(0);
    for (table, _) in MODES {
        assert_eq!(follow.phase(table), "streaming", "{table}");
    }
    let (merged, marked, logged) = (changed("merged"), changed("marked"), changed("logged"));
    let keyless =
        "UPDATE keyless SET b = 'z' WHERE a = 1 LIMIT 1; DELETE FROM keyless WHERE a IS NULL";
    follow.case.database.sql(&format!(
        "BEGIN; {merged} {marked} {logged} {keyless}; COMMIT; INSERT INTO other VALUES (1)"
    ));
    let document = follow.tick(0).json();
    let lines = |table: &str, query: &str| follow.case.lines(table, query);
    let at_source =
        follow.case.database.sql("SELECT id, n, IFNULL(body, 'NULL') FROM merged ORDER BY id");
    assert_eq!(
        lines("merged", "SELECT id, n, ifnull(body, 'NULL') FROM lake ORDER BY id").join("\n"),
        at_source
    );
    assert_eq!(
        lines(
            "marked",
            "SELECT id, n, _ol_deleted_at IS NULL FROM lake WHERE id IN (1, 2, 20, 21, 30) ORDER BY id"
        ),
        ["1\t1\tTrue", "2\t1\tFalse", "20\t5\tFalse", "21\t6\tTrue", "30\t5\tTrue"]
    );
    let log = "SELECT _ol_op, id, n FROM lake ORDER BY _ol_position, id";
    assert_eq!(
        lines("logged", log),
        [
            "r\t1\t0", "r\t2\t0", "r\t3\t0", "u\t1\t1", "u\t2\t1", "d\t2\t1", "i\t20\t5",
            "i\t21\t6", "d\t20\t5", "i\t30\t5"
        ]
    );
    let log = "SELECT _ol_op, a, b FROM lake ORDER BY _ol_position, a";
    assert_eq!(
        lines("keyless", log),
        ["r\t1\ta", "r\t1\ta", "r\t\t", "d\t1\ta", "i\t1\tz", "d\t\t"]
    );
    assert_eq!(taken(&document, &follow, "merged"), 5);
    // Nothing has happened: nothing is written.
    let document = follow.tick(0).json();
    for (table, _) in MODES {
        assert_eq!(taken(&document, &follow, table), 0, "{table}");
    }
}

fn an_emptied_table_is_emptied(software: Software) {
    let follow = Follow::of(software, "mysqltruncate", TABLES, MODES);
    follow.tick(0);
    follow.case.database.sql(
        "TRUNCATE merged; INSERT INTO merged VALUES (1, 1, 'after'); TRUNCATE TABLE marked; INSERT INTO marked \
         VALUES (1, 1, 'after'); TRUNCATE logged; INSERT INTO logged VALUES (1, 1, 'after'); TRUNCATE keyless",
    );
    follow.tick(0);
    let lines = |table: &str, query: &str| follow.case.lines(table, query);
    assert_eq!(lines("merged", "SELECT id, body FROM lake"), ["1\tafter"]);
    assert_eq!(
        lines("marked", "SELECT count(*), count(_ol_deleted_at), sum(n)::int FROM lake"),
        ["10\t9\t1"]
    );
    let log = "SELECT _ol_op, id FROM lake WHERE _ol_op <> 'r' ORDER BY _ol_position";
    assert_eq!(lines("logged", log), ["t\t", "i\t1"]);
    assert_eq!(lines("keyless", "SELECT _ol_op, a FROM lake WHERE _ol_op <> 'r'"), ["t\t"]);
}

/// Of many writings; each set has some of these characters, and the server writes `?` for the others.
const WRITINGS: &str = "aé€ß ŁőșЖєґ Ωλ שלום مرحبا ไทย あア漢丂侒鷗畩 ～①−ー ｱｲ 가힣 你好龘 ÿ±™";

fn text_of_every_character_set_is_what_a_copy_shows(software: Software) {
    let follow = Follow::of(software, "mysqlsets", "SELECT 1", &[]);
    let sets = follow.case.database.sql(
        "SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS \
         WHERE CHARACTER_SET_NAME NOT IN ('binary', 'filename') ORDER BY 1",
    );
    let columns: String =
        sets.lines().map(|set| format!(", c_{set} varchar(200) CHARACTER SET {set}")).collect();
    let count = sets.lines().count();
    assert!(count > 30 && sets.contains("ujis") && sets.contains("eucjpms"), "{sets}");
    let create = format!("CREATE TABLE t (id int PRIMARY KEY{columns})");
    let follow = Follow::of(software, "mysqlcharsets", &create, &[("t", "incremental_update")]);
    follow.tick(0);
    let values = format!(", '{WRITINGS}'").repeat(count);
    let insert = format!("SET NAMES utf8mb4; INSERT IGNORE INTO t VALUES (1{values})");
    follow.case.database.sql(&insert);
    follow.expect_equal();
    let list: Vec<String> = sets.lines().map(|set| format!("c_{set}")).collect();
    let shown = follow.case.lines("t", &format!("SELECT {} FROM lake", list.join(", "))).join("");
    let of_the_log: Vec<&str> = shown.split('\t').collect();
    let whole = of_the_log.iter().filter(|text| **text == WRITINGS).count();
    assert_eq!(of_the_log.len(), count);
    assert!(whole >= 4, "{whole} sets of Unicode have all of the text");
    // A character of three bytes, and one of two.
    for set in ["ujis", "eucjpms"] {
        let place = sets.lines().position(|it| it == set).unwrap();
        assert!(of_the_log[place].contains("あア漢丂侒鷗"), "{set}: {}", of_the_log[place]);
    }
}
