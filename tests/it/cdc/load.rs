//! A real application's database that is written while it is followed: 159 tables, every one exact at the end.
//!
//! `OL_LOAD_SECONDS` says how long it is written (default 20; 600 in the long test).

use std::thread;
use std::time::{Duration, Instant};

use ol_testkit::{WriteLoad, number_setting, shared_data};

use super::common::{DONE, Follow, server};
use crate::common::{Case, Random};

#[test]
fn a_real_application_under_load_is_followed_exactly() {
    let Some(dump) = shared_data("mitxonline.dump") else { return };
    let seconds = number_setting("OL_LOAD_SECONDS").unwrap_or(20);
    let database = server().create_database("cdcload");
    database.restore(&dump);
    let tables = WriteLoad::tables(&database);
    assert_eq!(tables.len(), 159);
    let random = Random::seeded("write load");
    let load = WriteLoad::new(&database, random);
    let follow = Follow::unit("cdcload", database, &unit("cdcload", &tables));
    follow.tick(DONE);

    let writing = load.start();
    let started = Instant::now();
    // What it may take to catch up and to end comes on top.
    let limit = Duration::from_secs(seconds + 300);
    let mut running = follow.stream().limit(limit).start();
    while started.elapsed() < Duration::from_secs(seconds) {
        thread::sleep(Duration::from_millis(200));
        assert!(running.lives(), "the stream ended: {}{}", running.said(), running.told());
    }
    let done = writing.stop();
    eprintln!("{done:?} in {seconds} s");
    assert!(done.inserts > 0 && done.updates > 0 && done.deletes > 0, "{done:?}");
    follow.wait_until_caught_up(&mut running);
    running.signal("TERM");
    let streamed = follow.case.told_no_secret(running.wait()).expect_code(super::common::STOPPED);
    eprintln!("the stream's peak memory: {} MB", streamed.peak_bytes >> 20);

    let document = follow.tick(DONE).json();
    let comparison = follow.case.compare(&follow.unit, &document);
    comparison.expect_equal();
    assert_eq!(comparison.tables("equal").len(), 159);
    let unit = "cdcload/app_postgres";
    follow.case.finish(follow.case.command("verify").args(["--unit", unit])).expect_code(DONE);
    untouched_is_untouched(&follow.case, done.tables);
}

/// A unit of all tables that have a primary key merged, and of the others as logs.
fn unit(deployment: &str, tables: &[ol_testkit::LoadTable]) -> ol_testkit::Unit {
    tables.iter().fold(ol_testkit::Unit::new(deployment).method("cdc"), |unit, table| {
        assert!(!table.key.is_empty(), "{} has no key", table.name);
        unit.table("public", &table.name, "incremental_update")
            .with(&format!("primary_key: [{}]", table.key.join(", ")))
    })
}

/// The load reached most tables: a comparison of tables that nobody wrote would say little.
fn untouched_is_untouched(case: &Case, written: usize) {
    let changed = case.database.psql(
        "SELECT count(*) FROM pg_stat_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0",
    );
    assert!(written > 60, "only {written} tables were written ({changed} in all)");
}
