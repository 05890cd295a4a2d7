//! SIGKILL at every named point of a first copy and of following, and at random moments, with restarts of the server and new
//! files of its log in between: what is in the lake stays right, and the next run completes it.

use std::thread;
use std::time::{Duration, Instant};

use ol_ingest::failpoints;
use ol_testkit::{MysqlServer, Random, Software, Stop, number_setting};
use serde_json::json;

use super::Follow;
use super::ledger::{Ledger, MODES, SCHEMA};

/// A server of its own for each test: one of them kills it.
fn server(software: Software) -> &'static MysqlServer {
    // Its commits are on the disk when they are answered.
    let settings = &["innodb-flush-log-at-trx-commit=1", "sync-binlog=1"];
    Box::leak(Box::new(MysqlServer::start(software, settings)))
}

/// Points of the log of another kind of source.
const OF_A_SLOT: &[&str] =
    &[failpoints::SLOT_CREATED, failpoints::BEFORE_ACKNOWLEDGE, failpoints::ACKNOWLEDGED];
/// Points that following comes by only when something is brought about.
const BROUGHT_ABOUT: &[&str] = &[failpoints::GAP_RECORDED, failpoints::RECORDED];

on_both!(
    following_killed_at_any_point_loses_and_doubles_nothing,
    a_first_copy_killed_at_any_point_is_completed,
    kills_at_random_moments_lose_and_double_nothing,
);

/// Kills a tick at a point; tells whether it came there.
fn kill_at(follow: &Follow, point: &str, arrival: u64) -> bool {
    let step = follow.until_caught_up().env("OL_FAILPOINT_KILL", format!("{point}:{arrival}"));
    let finished = follow.case.finish(step);
    finished.code() == -1
}

fn following_killed_at_any_point_loses_and_doubles_nothing(software: Software) {
    let follow = Follow::on(server(software), "mysqlkill", SCHEMA, MODES);
    let random = Random::seeded("MySQL kills at points");
    let mut ledger = Ledger::new(&follow.case.database, random);
    follow.tick(0);
    for point in failpoints::CAPTURE.iter().filter(|point| !OF_A_SLOT.contains(point)) {
        for arrival in 1..=2 {
            ledger.run(6);
            if arrival == 2 {
                follow.case.database.sql("FLUSH BINARY LOGS");
            }
            let reached = kill_at(&follow, point, arrival);
            let must = arrival == 1 && !BROUGHT_ABOUT.contains(point);
            assert!(reached || !must, "{point} was not come by");
            ledger.judge(&follow, false, &format!("killed at {point} ({arrival})"));
        }
    }
    follow.tick(0);
    ledger.judge(&follow, true, "after a kill at every point");
}

fn a_first_copy_killed_at_any_point_is_completed(software: Software) {
    let whole = failpoints::ALL.iter().filter(|point| **point != failpoints::REPORT);
    let whole = whole.map(|point| (point, "1073741824"));
    // Every table but the smallest is some chunks then.
    let chunked = failpoints::CHUNKS.iter().map(|point| (point, "4096"));
    let server = server(software);
    for (point, chunk_bytes) in whole.chain(chunked) {
        let mut follow = Follow::on(server, "mysqlkillcopy", SCHEMA, MODES);
        follow.settings.push(("OL_INGEST__BATCH_ROWS".to_owned(), "2".to_owned()));
        follow.settings.push(("OL_STREAM__CHUNK_BYTES".to_owned(), chunk_bytes.to_owned()));
        let random = Random::seeded("MySQL kills of a copy");
        let mut ledger = Ledger::new(&follow.case.database, random);
        ledger.run(10);
        assert!(kill_at(&follow, point, 1), "{point} was not come by");
        ledger.judge(&follow, false, point);
        ledger.run(5);
        follow.tick(0);
        ledger.judge(&follow, true, &format!("after a kill at {point} of a first copy"));
    }
}

/// `OL_KILLS` random kills (default 5) of streams and ticks while the ledger is written, for `make kill`; one JSON line at the
/// end. The server is killed, too, and begins new files of its log.
fn kills_at_random_moments_lose_and_double_nothing(software: Software) {
    let kills = number_setting("OL_KILLS").unwrap_or(5);
    let mut random = Random::seeded("random kills of MySQL");
    let seed = random.0;
    let started = Instant::now();
    let server = server(software);
    let follow = Follow::on(server, "mysqlkillrandom", SCHEMA, MODES);
    let mut ledger = Ledger::new(&follow.case.database, random.clone());
    let (mut killed, mut runs, mut restarts) = (0, 0, 0);
    while killed < kills {
        runs += 1;
        let step = if random.happens(3) { follow.until_caught_up() } else { follow.stream() };
        let running = step.start();
        let end = Instant::now() + Duration::from_millis(random.below(2_000));
        while Instant::now() < end {
            ledger.run(1);
        }
        match random.below(6) {
            0 => drop(follow.case.database.sql("FLUSH BINARY LOGS")),
            1 => {
                restarts += 1;
                server.restart(random.pick(&[Stop::Fast, Stop::Immediate]));
            }
            _ => thread::sleep(Duration::from_millis(random.below(300))),
        }
        running.signal("KILL");
        killed += u64::from(running.wait().code() == -1);
        if killed % 10 == 0 || kills < 10 {
            ledger.judge(&follow, false, &format!("kill {killed}, seed {seed}"));
        }
    }
    follow.tick(0);
    ledger.judge(&follow, true, &format!("after {killed} kills, seed {seed}"));
    let transactions = ledger.next - 1;
    eprintln!(
        "{}",
        json!({
            "source": format!("{software:?}").to_lowercase(), "kills": killed, "runs": runs, "restarts": restarts, "transactions": transactions,
            "lost": 0, "doubled": 0, "altered": 0, "seed": seed, "seconds": started.elapsed().as_secs_f64(),
        })
    );
}
