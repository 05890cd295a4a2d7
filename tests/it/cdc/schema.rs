//! Tables that change under a stream: what can be followed is followed in its place among the rows, what cannot blocks
//! its own table by name, and the others go on.

use ol_testkit::Unit;
use ol_testkit::ledger::Landing;

use super::common::{DEFINITE, DONE, FEW, Follow, followed, lake_answer, outcome, server};
use crate::common::rows;

#[test]
fn alterations_between_and_within_transactions_are_followed() {
    for (deployment, landing) in [("cdcalterlog", Landing::Log), ("cdcaltermix", Landing::Mixed)] {
        let (follow, mut ledger) = followed(deployment, landing, &[]);
        while ledger.alter() {
            ledger.run(3);
            follow.tick(DONE);
            follow.expect_right_so_far("after an alteration");
        }
        follow.expect_complete("after all alterations");
    }
    // All of them between two ticks.
    let (follow, mut ledger) = followed("cdcalterall", Landing::Log, &[]);
    while ledger.alter() {
        ledger.run(3);
    }
    follow.tick(DONE);
    follow.expect_complete("after all alterations at once");
}

/// Follows two tables, changes one, and demands what becomes of it while the other goes on.
#[track_caller]
fn expect_blocked_alone(deployment: &'static str, change: &str, wanted: &[&str]) {
    let database = server().create_database(deployment);
    database.psql(
        "CREATE TABLE changed (id int PRIMARY KEY, v int, note text); INSERT INTO changed VALUES (1, 5, 'a'), (2, 6, 'b');
         CREATE TABLE other (id int PRIMARY KEY, note text); INSERT INTO other VALUES (1, 'a');",
    );
    let unit = Unit::new(deployment)
        .method("cdc")
        .table("public", "changed", "incremental_append")
        .table("public", "other", "incremental_append");
    let follow = Follow::unit(deployment, database, &unit);
    follow.tick(DONE);
    follow.case.database.psql("INSERT INTO changed VALUES (3, 7, 'c')");
    follow.case.database.psql(change);
    for round in 2..=4 {
        follow.case.database.psql(&format!("INSERT INTO other VALUES ({round}, 'b')"));
        let finished = follow.tick(DEFINITE);
        let document = finished.json();
        let (became, advice) = outcome(&document, &follow, "changed");
        assert_eq!(became, "blocked", "{document:#}");
        for words in wanted {
            assert!(advice.contains(words), "nothing says \"{words}\": {advice}");
        }
        assert_eq!(outcome(&document, &follow, "other").0, "done", "{document:#}");
        let state = follow.case.state();
        assert_eq!(rows(&state, &follow.case.raw_table("other")), Some(round));
        // What was committed before the change is kept; nothing behind it is made up.
        let kept = rows(&state, &follow.case.raw_table("changed"));
        assert!([Some(2), Some(3)].contains(&kept), "{kept:?}");
    }
}

#[test]
fn a_table_that_was_dropped_blocks_itself_only() {
    expect_blocked_alone("cdcdropped", "DROP TABLE changed", &["changed"]);
}

#[test]
fn a_table_that_was_renamed_blocks_itself_only() {
    expect_blocked_alone("cdcrenamed", "ALTER TABLE changed RENAME TO elsewhere", &["changed"]);
}

#[test]
fn a_table_that_was_dropped_and_made_anew_is_not_taken_for_the_old_one() {
    expect_blocked_alone(
        "cdcanew",
        "DROP TABLE changed; CREATE TABLE changed (id int PRIMARY KEY, v int, note text); INSERT INTO changed VALUES (9, 9, 'new')",
        &["changed"],
    );
}

#[test]
fn a_column_of_another_kind_blocks_its_table_only() {
    expect_blocked_alone(
        "cdcretyped",
        "ALTER TABLE changed ALTER v TYPE text USING 'v' || v; INSERT INTO changed VALUES (4, 'text', 'd')",
        &["changed", "v"],
    );
}

/// A merged row has one place for a value: under which name it stands, nobody can tell from the log.
#[test]
fn a_renamed_column_of_a_merged_table_is_right_or_blocked() {
    let database = server().create_database("cdccolumn");
    database.psql("CREATE TABLE t (id int PRIMARY KEY, old_name text); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    let unit = Unit::new("cdccolumn")
        .method("cdc")
        .table("public", "t", "incremental_update")
        .with("primary_key: [id]");
    let follow = Follow::unit("cdccolumn", database, &unit);
    follow.tick(DONE);
    follow.case.database.psql(
        "ALTER TABLE t RENAME old_name TO new_name; UPDATE t SET new_name = 'c' WHERE id = 1",
    );
    expect_right_or_blocked(&follow);
}

/// The inventory says what a column was called: rows stay where they are, in a log, too, and so do values.
#[test]
fn a_column_whose_new_name_is_declared_is_renamed_in_the_lake() {
    let database = server().create_database("cdcnamed");
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, old_name text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
         CREATE TABLE log (id int PRIMARY KEY, old_name text); INSERT INTO log VALUES (1, 'a'), (2, 'b')",
    );
    let unit = Unit::new("cdcnamed")
        .method("cdc")
        .table("public", "t", "incremental_update")
        .with("primary_key: [id]")
        .table("public", "log", "incremental_append")
        .overriding("t:\n  renamed_columns: {new_name: old_name}\nlog:\n  renamed_columns: {new_name: old_name}");
    let follow = Follow::unit("cdcnamed", database, &unit);
    // Declared before it is done, it changes nothing.
    follow.tick(DONE);
    for table in ["t", "log"] {
        follow.case.database.psql(&format!(
            "UPDATE {table} SET old_name = 'before' WHERE id = 1; ALTER TABLE {table} RENAME old_name TO new_name;
             UPDATE {table} SET new_name = 'after' WHERE id = 1"
        ));
    }
    let document = follow.tick(DONE).json();
    for (table, rows) in [("t", 2), ("log", 2)] {
        let entry = crate::common::entry(&document, &follow.case.raw_table(table));
        assert_eq!(entry["rows"], rows, "{table} was copied again");
    }
    let merged = "SELECT string_agg(new_name, ' ' ORDER BY id) FROM lake";
    assert_eq!(lake_answer(&follow, "t", merged), "after b");
    let logged = "SELECT string_agg(new_name, ' ' ORDER BY _ol_position, id) FROM lake";
    assert_eq!(lake_answer(&follow, "log", logged), "a b before after");
    let old = "SELECT count(*) FROM (DESCRIBE SELECT * FROM lake) WHERE column_name = 'old_name'";
    assert_eq!(lake_answer(&follow, "t", old), "0");
}

/// Rows that nobody touched show the default at the source, and no change says so.
#[test]
fn a_column_added_with_a_default_is_right_or_blocked() {
    let database = server().create_database("cdcdefault");
    database
        .psql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)");
    let unit = Unit::new("cdcdefault")
        .method("cdc")
        .table("public", "t", "incremental_update")
        .with("primary_key: [id]");
    let follow = Follow::unit("cdcdefault", database, &unit);
    follow.tick(DONE);
    follow
        .case
        .database
        .psql("ALTER TABLE t ADD flag text DEFAULT 'on' NOT NULL; UPDATE t SET v = 3 WHERE id = 1");
    expect_right_or_blocked(&follow);
}

#[track_caller]
fn expect_right_or_blocked(follow: &Follow) {
    let finished = follow.case.finish(follow.until_caught_up());
    let document = finished.json();
    if finished.code() == DONE {
        follow.case.compare(&follow.unit, &document).expect_equal();
    } else {
        finished.expect_code(DEFINITE);
        let (became, advice) = outcome(&document, follow, "t");
        assert!(became == "blocked" && !advice.is_empty(), "{document:#}");
    }
}

#[test]
fn a_table_emptied_and_filled_again_and_again_is_right() {
    let left_out: Vec<&str> = FEW.iter().copied().filter(|name| *name != "buffer_too").collect();
    let (follow, mut ledger) = followed("cdctruncate", Landing::SoftDeleted, &left_out);
    for _ in 0..6 {
        ledger.run(15);
        follow.tick(DONE);
    }
    follow.expect_complete("after truncates");
}
