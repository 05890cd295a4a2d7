//! SIGKILL at every named point of a first copy and of following, and at random moments: what is in the lake stays right,
//! the source was told no more than is in the lake, and the next run completes it.

use std::thread;
use std::time::{Duration, Instant};

use ol_testkit::ledger::{Landing, Ledger};
use ol_testkit::number_setting;
use serde_json::json;

use super::common::{DONE, FEW, Follow, followed, new_ledger, server};
use crate::common::{PATIENCE, Random};

/// Every named point of change capture: the process sends itself a real SIGKILL there.
const POINTS: &[&str] = ol_ingest::failpoints::CAPTURE;

/// Those of a copy, which goes the way of a full load.
const POINTS_OF_A_COPY: &[&str] = ol_ingest::failpoints::ALL;

/// Points inside the lake's own steps. They stand still and leave no marker, so the run is killed when it is quiet.
const POINTS_OF_THE_LAKE: &[&str] = &[
    "lake.create.before_insert",
    "lake.write.file_closed",
    "lake.commit.manifest_written",
    "lake.commit.staged",
    "lake.commit.before_swap",
    "lake.commit.after_swap",
];

/// How often a run comes by a point before it is killed there, at most.
const ARRIVALS: u64 = 3;

/// Kills a tick at a point; tells whether it came there.
#[track_caller]
fn kill_at(follow: &Follow, point: &str, arrival: u64) -> bool {
    if POINTS_OF_THE_LAKE.contains(&point) {
        let mut running =
            follow.until_caught_up().env("FAILPOINTS", format!("{point}=pause")).start();
        let still = running.wait_until_quiet(PATIENCE, Duration::from_millis(1_500));
        if still {
            running.signal("KILL");
        }
        let finished = follow.case.told_no_secret(running.wait());
        return finished.code() == -1;
    }
    let step = follow.until_caught_up().env("OL_FAILPOINT_KILL", format!("{point}:{arrival}"));
    let finished = follow.case.finish(step);
    assert!(
        [-1, DONE].contains(&finished.code()),
        "{point}: {}{}",
        finished.stdout,
        finished.stderr
    );
    finished.code() == -1
}

/// Every point of a first copy: each kill meets a unit of its own, is completed by the next run, and followed on.
#[test]
fn a_first_copy_killed_at_any_point_is_completed() {
    let mut reached = Vec::new();
    for point in POINTS_OF_A_COPY.iter().chain(POINTS).chain(POINTS_OF_THE_LAKE) {
        let (database, mut ledger) = new_ledger(server(), "cdckillcopy", "kills of a first copy");
        ledger.bulk(2_000);
        let left_out: Vec<&str> = FEW.iter().copied().filter(|name| *name != "bulk").collect();
        let follow = Follow::ledger("cdckillcopy", database, Landing::Mixed, &left_out)
            .judged_by(&[&ledger]);
        if !kill_at(&follow, point, 1) {
            continue;
        }
        reached.push(*point);
        follow.expect_right_so_far(point);
        ledger.run(10);
        follow.tick(DONE);
        follow.expect_complete(&format!("after a kill at {point} of a first copy"));
        let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
        assert_eq!(
            follow.case.database.psql(slots),
            "1",
            "{point}: a slot that nobody reads was left"
        );
    }
    eprintln!("a first copy was killed at {} points: {}", reached.len(), reached.join(", "));
    assert!(reached.len() >= 8, "a first copy comes by {reached:?} only");
}

/// Every point of following, one after another over one unit of each kind, at the first arrival and at later ones.
#[test]
fn following_killed_at_any_point_loses_and_doubles_nothing() {
    for (deployment, landing) in [("cdckilllog", Landing::Log), ("cdckillmix", Landing::Mixed)] {
        let (follow, ledger) = followed(deployment, landing, &[]);
        let writing = ledger.start(Duration::from_millis(10));
        let mut reached = Vec::new();
        for point in POINTS.iter().chain(POINTS_OF_THE_LAKE) {
            for arrival in 1..=ARRIVALS {
                // Something to bring in, so that the run comes by.
                let wanted = writing.committed() + 5;
                while writing.committed() < wanted {
                    thread::sleep(Duration::from_millis(5));
                }
                if !kill_at(&follow, point, arrival) {
                    break;
                }
                if arrival == 1 {
                    reached.push(*point);
                    follow.expect_right_so_far(point);
                }
            }
        }
        let ledger = writing.stop();
        follow.tick(DONE);
        follow.expect_complete("after a kill at every point");
        eprintln!(
            "{deployment}: {} transactions; killed at {} points: {}",
            ledger.committed(),
            reached.len(),
            reached.join(", ")
        );
        assert!(reached.len() >= 8, "following comes by {reached:?} only");
    }
}

/// `OL_KILLS` random kills (default 6) of streams and ticks while the ledger is written, for `make kill`; one JSON line at
/// the end.
#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    let kills = number_setting("OL_KILLS").unwrap_or(6);
    let mut random = Random::seeded("random kills");
    let seed = random.0;
    let started = Instant::now();
    let database = server().create_database("cdckillrandom");
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(&database, folder.path(), random.clone());
    let other = ledger.another(&database, folder.path(), 1);
    let follow = Follow::ledger("cdckillrandom", database, Landing::Mixed, &[])
        .judged_by(&[&ledger, &other]);
    let mut writers =
        vec![ledger.start(Duration::from_millis(10)), other.start(Duration::from_millis(15))];
    let (mut killed, mut runs) = (0, 0);
    while killed < kills {
        // A tick that was faster than its kill is none.
        assert!(
            runs < 4 * kills + 8,
            "only {killed} of {runs} runs lived long enough to be killed"
        );
        runs += 1;
        let step = if random.happens(3) { follow.until_caught_up() } else { follow.stream() };
        let running = step.start();
        thread::sleep(Duration::from_millis(random.below(3_000)));
        running.signal("KILL");
        let finished = follow.case.told_no_secret(running.wait());
        if finished.code() == -1 {
            killed += 1;
        } else {
            assert_eq!(finished.code(), DONE, "{}{}", finished.stdout, finished.stderr);
        }
        // The checker costs more than a kill: it looks at every tenth, and at the few of a short test.
        if kills <= 10 || killed % 10 == 0 {
            follow.expect_right_so_far(&format!("kill {killed}, seed {seed}"));
        }
        if killed % 25 == 24 {
            // Now and then all is brought in, so that what the next kills meet is not always the same rest.
            follow.tick(DONE);
        }
    }
    let ledgers: Vec<Ledger> = writers.drain(..).map(ol_testkit::ledger::Writing::stop).collect();
    let caught_up = Instant::now();
    follow.tick(DONE);
    eprintln!("caught up in {:.1} s", caught_up.elapsed().as_secs_f64());
    follow.expect_complete(&format!("after {killed} kills, seed {seed}"));
    let transactions: u64 = ledgers.iter().map(Ledger::committed).sum();
    eprintln!(
        "{}",
        json!({"source": "postgres-cdc", "kills": killed, "points": runs, "lost": 0, "doubled": 0, "altered": 0,
               "seed": seed, "seconds": started.elapsed().as_secs(), "transactions": transactions})
    );
}
