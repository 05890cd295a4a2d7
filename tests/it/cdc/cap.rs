//! A source that keeps too much log for a slot: it is said before the server gives the slot up, and nothing is begun that
//! would make it worse.

use ol_testkit::Unit;

use super::common::{DEFINITE, DONE, Follow, outcome, own_server};
use crate::common::expect_told;

/// Nine tenths of the server's 64 MB.
const CAP_BYTES: u64 = (64 << 20) / 10 * 9;

fn unit(deployment: &str, tables: &[&str]) -> Unit {
    tables.iter().fold(Unit::new(deployment).method("cdc"), |unit, table| {
        unit.table("public", table, "incremental_update").with("primary_key: [id]")
    })
}

fn started(deployment: &'static str) -> Follow {
    let server = own_server(&["max_slot_wal_keep_size=64MB"]);
    let database = server.create_database(deployment);
    database.psql(
        "CREATE TABLE a (id int PRIMARY KEY, note text); INSERT INTO a VALUES (1, 'x');
         CREATE TABLE b (id int PRIMARY KEY, note text); INSERT INTO b VALUES (1, 'x');
         CREATE TABLE noise (junk text);",
    );
    let follow = Follow::unit(deployment, database, &unit(deployment, &["a"]));
    follow.tick(DONE);
    follow
}

/// Other tables write until the server keeps more than the cap, and less than it ever would.
fn fill(follow: &Follow) {
    let retained = || -> u64 {
        let bytes = follow.slot("pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::int8");
        bytes.parse().unwrap()
    };
    while retained() <= CAP_BYTES {
        follow.case.database.psql(
            "INSERT INTO noise SELECT repeat(md5(n::text), 30) FROM generate_series(1, 500) n",
        );
    }
    assert_ne!(follow.slot("wal_status"), "lost");
}

#[test]
fn beyond_the_cap_a_stream_goes_on_and_no_copy_begins() {
    let follow = started("cdccap");
    fill(&follow);
    let status = follow.case.finish(follow.case.command("status")).expect_code(DONE).json();
    let slot = &status["slots"][0];
    assert_eq!(
        (&slot["slot"], &slot["cap_bytes"]),
        (&follow.slot_name().into(), &CAP_BYTES.into())
    );
    assert!(slot["retained_bytes"].as_u64() > Some(CAP_BYTES), "{slot:#}");
    assert!(slot["safe_wal_size_bytes"].as_i64() > Some(0), "{slot:#}");
    follow.case.inventory.unit(&unit("cdccap", &["a", "b"]));
    follow.case.database.psql("INSERT INTO a VALUES (2, 'y')");
    let finished = follow.tick(DEFINITE);
    let told = ["too much", &follow.slot_name(), "pg_drop_replication_slot", "cap_bytes"];
    expect_told(&finished, &told);
    let document = finished.json();
    assert_eq!(outcome(&document, &follow, "a").0, "done");
    assert_eq!(outcome(&document, &follow, "b").0, "blocked");
    // The stream has freed the log; what was refused is copied now.
    for _ in 0..5 {
        follow.case.database.psql("INSERT INTO a SELECT max(id) + 1, 'z' FROM a; CHECKPOINT");
        if follow.case.finish(follow.until_caught_up()).code() == DONE {
            break;
        }
    }
    follow.tick(DONE);
    follow.case.finish(follow.case.command("verify").args(["--wait", "0"])).expect_code(DONE);
}

#[test]
fn beyond_the_cap_a_unit_that_follows_nothing_says_what_is_kept() {
    let follow = started("cdccapstuck");
    follow.case.database.psql("ALTER TABLE a RENAME TO gone");
    fill(&follow);
    let told = ["too much", &follow.slot_name(), "pg_drop_replication_slot", "does not exist"];
    expect_told(&follow.tick(DEFINITE), &told);
    // With a larger cap the table's own failure is what is told.
    let step = follow.until_caught_up().env("OL_STREAM__CAP_BYTES", "1000000000");
    let finished = follow.case.finish(step).expect_code(DEFINITE);
    expect_told(&finished, &["does not exist"]);
    assert!(!finished.stdout.contains("pg_drop_replication_slot"), "{}", finished.stdout);
}
