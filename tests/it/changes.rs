//! A source that changes its tables between runs: the lake follows, or says why it cannot.

use crate::common::{Case, entry, rows, text};

#[test]
fn columns_added_dropped_renamed_and_widened_are_followed() {
    let case = Case::new("evolving");
    case.database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, gone text, small int, renamed text, n numeric(5,2));
         INSERT INTO t VALUES (1, 'a', 5, 'r', 1.5), (2, NULL, NULL, NULL, NULL);",
    );
    let (unit, _) = case.discover();
    case.run(0);
    case.database.psql(
        "ALTER TABLE t ADD added timestamptz DEFAULT '2020-01-01 00:00+00', DROP gone, ALTER small TYPE bigint,
             ALTER n TYPE numeric(12,2);
         ALTER TABLE t RENAME renamed TO named; UPDATE t SET small = 9000000000 WHERE id = 1;",
    );
    let document = case.run(0);
    case.compare(&unit, &document).expect_equal();
    // A name that returns with another type is another column.
    case.database.psql("ALTER TABLE t ADD gone int DEFAULT 7");
    let document = case.finish(case.command("run")).json();
    if text(&document, "outcome") == "done" {
        case.compare(&unit, &document).expect_equal();
    } else {
        let table = entry(&document, &case.raw_table("t"));
        assert_eq!(text(table, "outcome"), "blocked", "{document:#}");
        assert!(text(table, "advice").contains("gone"), "{document:#}");
        assert_eq!(rows(&case.state(), &case.raw_table("t")), Some(2), "what was there stays");
    }
}

#[test]
fn a_type_that_changed_to_another_kind_is_followed_or_blocked_by_name() {
    let case = Case::new("retyped");
    case.database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 5), (2, NULL);",
    );
    let (unit, _) = case.discover();
    case.run(0);
    case.database.psql("ALTER TABLE t ALTER v TYPE text USING 'v' || v");
    let done = case.finish(case.command("run"));
    let document = done.json();
    let table = entry(&document, &case.raw_table("t"));
    match text(table, "outcome") {
        "done" => {
            case.compare(&unit, &document).expect_equal();
        }
        outcome => {
            assert_eq!((outcome, done.code()), ("blocked", 2), "{document:#}");
            assert!(text(table, "advice").contains('v'), "{document:#}");
            assert_eq!(rows(&case.state(), &case.raw_table("t")), Some(2), "what was there stays");
        }
    }
}

#[test]
fn two_runs_at_once_leave_one_right_table() {
    let case = Case::new("racing");
    case.database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, note text);
         INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 200000) n;",
    );
    let (unit, _) = case.discover();
    let running: Vec<_> = (0..3).map(|_| case.command("run").start()).collect();
    let codes: Vec<_> =
        running.into_iter().map(|one| case.told_no_secret(one.wait()).code()).collect();
    assert!(codes.contains(&0), "none of three runs completed: {codes:?}");
    assert!(
        codes.iter().all(|code| [0, 1].contains(code)),
        "a race is weather, not a fault: {codes:?}"
    );
    assert_eq!(rows(&case.state(), &case.raw_table("t")), Some(200_000));
    let document = case.run(0);
    case.compare(&unit, &document).expect_equal();
}

#[test]
fn a_connection_the_server_ends_is_made_anew() {
    let case = Case::new("cut");
    case.database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, note text);
         INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 1000000) n;",
    );
    let (unit, _) = case.discover();
    let marker = case.lake.folder().join("reached");
    let mut running = case
        .command("run")
        .env("FAILPOINTS", "load.first-batch-written=1*sleep(1500)")
        .env("OL_FAILPOINT_MARKER", &marker)
        .start();
    assert!(
        running.wait_until(crate::common::PATIENCE, || marker.exists()),
        "the run read nothing"
    );
    let ended = case.database.psql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    assert_ne!(ended, "0", "there was no connection to end");
    let document = case.told_no_secret(running.wait()).expect_code(0).json();
    case.compare(&unit, &document).expect_equal();
}
