//! A run that is asked to stop stops soon, says so with exit code 75, and is completed by the next.

use std::time::{Duration, Instant};

use crate::common::{Case, PATIENCE, rows};

#[test]
fn sigterm_stops_with_75_and_the_next_run_completes() {
    let case = Case::new("interrupt");
    case.database.psql(
        "CREATE TABLE events (id bigint PRIMARY KEY, note text, at timestamptz);
         INSERT INTO events SELECT n, md5(n::text), '2020-01-01'::timestamptz + n * interval '1 s' \
         FROM generate_series(1, 3000000) n;
         CREATE TABLE first (id int PRIMARY KEY); INSERT INTO first VALUES (1);",
    );
    let (unit, _) = case.discover();
    let marker = case.lake.folder().join("reached");
    let mut running = case
        .command("run")
        .env("FAILPOINTS", "load.first-batch-written=sleep(20)")
        .env("OL_FAILPOINT_MARKER", &marker)
        .start();
    assert!(running.wait_until(PATIENCE, || marker.exists()), "the run wrote nothing");
    let asked = Instant::now();
    running.signal("TERM");
    let stopped = case.told_no_secret(running.wait()).expect_code(75);
    assert!(asked.elapsed() < Duration::from_secs(15), "stopping took {:?}", asked.elapsed());
    let document = stopped.json();
    assert_ne!(document.get("outcome"), Some(&"done".into()), "{document:#}");
    let seen = rows(&case.state(), &case.raw_table("events"));
    assert!(matches!(seen, None | Some(0)), "a stopped run shows {seen:?} rows");
    let document = case.run(0);
    case.compare(&unit, &document).expect_equal();
}
