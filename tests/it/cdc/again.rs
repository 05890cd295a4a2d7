//! A table that is forgotten is copied again, and what a copy cannot bring back stays: the history of a log, and rows that
//! were deleted at the source long ago.

use ol_testkit::Unit;

use super::common::{DONE, Follow, lake_answer, server};

const TABLES: &str = "
    CREATE TABLE keyed (id int PRIMARY KEY, n int); CREATE TABLE keyless (id int, n int);
    ALTER TABLE keyless REPLICA IDENTITY FULL; CREATE TABLE soft (id int PRIMARY KEY, n int);
    INSERT INTO keyed SELECT n, 0 FROM generate_series(1, 50) n;
    INSERT INTO keyless SELECT n, 0 FROM generate_series(1, 50) n;
    INSERT INTO soft SELECT n, 0 FROM generate_series(1, 50) n;";

/// Deletes the rows whose number this divides, and changes the others.
fn change(follow: &Follow, divisor: u32) {
    for table in ["keyed", "keyless", "soft"] {
        follow.case.database.psql(&format!(
            "UPDATE {table} SET n = n + 1; DELETE FROM {table} WHERE id % {divisor} = 0;"
        ));
    }
}

#[test]
fn a_reset_keeps_what_only_the_lake_has() {
    let database = server().create_database("cdcagain");
    database.psql(TABLES);
    let unit = Unit::new("cdcagain")
        .method("cdc")
        .table("public", "keyed", "incremental_append")
        .table("public", "keyless", "incremental_append")
        .table("public", "soft", "incremental_soft_delete")
        .with("primary_key: [id]");
    let follow = Follow::unit("cdcagain", database, &unit);
    follow.tick(DONE);
    change(&follow, 7);
    follow.tick(DONE);
    let counted = |table: &str| -> u64 {
        lake_answer(&follow, table, "SELECT count(*) FROM lake").parse().unwrap()
    };
    let before = [counted("keyed"), counted("keyless"), counted("soft")];
    let reset = follow.case.command("reset").arg("--unit").arg("cdcagain/app_postgres");
    follow.case.finish(reset).expect_code(DONE);
    // Nobody follows meanwhile, so that these deletes are known from the copy alone.
    follow.drop_slot();
    change(&follow, 5);
    follow.tick(DONE);
    for (table, before) in ["keyed", "keyless"].iter().zip(before) {
        assert!(counted(table) > before, "{table} lost its history");
        let first = "SELECT count(*) FROM lake WHERE _ol_op IN ('u', 'd')";
        assert!(lake_answer(&follow, table, first).parse::<u64>().unwrap() >= 50, "{table}");
    }
    assert_eq!(counted("soft"), 50);
    change(&follow, 11);
    follow.tick(DONE);
    let truth = |table: &str| {
        follow.case.database.psql(&format!(
            "SELECT count(*) || ' ' || coalesce(sum(id), 0) || ' ' || coalesce(sum(n), 0) FROM {table}"
        ))
    };
    // The latest row of each key; in the log without a key, what stands since the last time it was emptied.
    let latest = "WITH last AS (SELECT id, n, _ol_op, row_number() OVER (PARTITION BY id ORDER BY _ol_position DESC) r \
                  FROM lake WHERE id IS NOT NULL) SELECT count(*) || ' ' || sum(id) || ' ' || sum(n) FROM last \
                  WHERE r = 1 AND _ol_op <> 'd'";
    assert_eq!(lake_answer(&follow, "keyed", latest), truth("keyed"));
    let since = "SELECT max(_ol_position) FROM lake WHERE _ol_op = 't'";
    let emptied = lake_answer(&follow, "keyless", since);
    let after =
        latest.replace("id IS NOT NULL", &format!("id IS NOT NULL AND _ol_position > '{emptied}'"));
    assert_eq!(lake_answer(&follow, "keyless", &after), truth("keyless"));
    let living =
        "SELECT count(*) || ' ' || sum(id) || ' ' || sum(n) FROM lake WHERE _ol_deleted_at IS NULL";
    assert_eq!(lake_answer(&follow, "soft", living), truth("soft"));
}
