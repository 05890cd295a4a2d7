//! SIGKILL at every named point of a first copy and of following, and at random moments: what is in the lake stays right,
//! the source was told no more than is in the lake, and the next run completes it.

use std::thread;
use std::time::{Duration, Instant};

use ol_ingest::failpoints;
use ol_testkit::ledger::{self, Landing, Ledger};
use ol_testkit::{number_setting, workspace_root};
use serde_json::json;

use super::common::{DEFINITE, DONE, FEW, Follow, followed, new_ledger, outcome, server};
use super::idle::NOISE;
use crate::common::{PATIENCE, Random};

/// Every named point of change capture: the process sends itself a real SIGKILL there.
const POINTS: &[&str] = failpoints::CAPTURE;

/// Those that only a first copy comes to, those that following cannot miss, and those that a test of their own brings about:
/// together all.
const ONLY_AT_FIRST: &[&str] = &[failpoints::SLOT_CREATED];
const ON_THE_WAY: &[&str] = &[
    failpoints::CHANGE_TAKEN,
    failpoints::BATCH_DUE,
    failpoints::TABLE_SEALED,
    failpoints::TABLE_COMMITTED,
    failpoints::BATCH_COMMITTED,
    failpoints::BEFORE_ACKNOWLEDGE,
    failpoints::ACKNOWLEDGED,
];
const BROUGHT_ABOUT: &[&str] =
    &[failpoints::RECORDED, failpoints::SCHEMA_CHANGED, failpoints::GAP_RECORDED];

/// Those of a copy, which goes the way of a full load.
const POINTS_OF_A_COPY: &[&str] = failpoints::ALL;

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

#[track_caller]
fn expect_reached(wanted: &[&str], reached: &[&str]) {
    let missed: Vec<_> = wanted.iter().filter(|point| !reached.contains(point)).collect();
    assert!(missed.is_empty(), "no run came by {missed:?}, only by {reached:?}");
}

/// A point that no test reaches proves nothing: each has a test that demands to come by it. `ALL` is gone through, name by
/// name, by `kill.rs`, `INCREMENTAL` by `incremental/race.rs`, `CHUNKS` by `cdc/chunks.rs`, and `CAPTURE` here.
#[test]
fn every_named_point_is_reached_by_a_test() {
    let mut ours = [ONLY_AT_FIRST, ON_THE_WAY, BROUGHT_ABOUT].concat();
    let mut named = failpoints::CAPTURE.to_vec();
    ours.sort_unstable();
    named.sort_unstable();
    assert_eq!(ours, named);
    let listed =
        [failpoints::ALL, failpoints::INCREMENTAL, failpoints::CHUNKS, failpoints::CAPTURE]
            .concat();
    let source = workspace_root().join("crates/ingest/src/failpoints.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let declared: Vec<_> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""))
        .filter_map(|(_, rest)| rest.strip_suffix("\";"))
        .collect();
    assert_eq!(declared.len(), listed.len(), "{declared:?} are declared, {listed:?} are listed");
    expect_reached(&declared, &listed);
}

/// Every point of a first copy: each kill meets a unit of its own, is completed by the next run, and followed on.
#[test]
fn a_first_copy_killed_at_any_point_is_completed() {
    let mut reached = Vec::new();
    for point in POINTS_OF_A_COPY.iter().chain(POINTS).chain(POINTS_OF_THE_LAKE) {
        let (database, mut ledger) = new_ledger(server(), "cdckillcopy", "kills of a first copy");
        ledger.bulk(2_000);
        let left_out: Vec<&str> = FEW.iter().copied().filter(|name| *name != "bulk").collect();
        let mut follow = Follow::ledger("cdckillcopy", database, Landing::Mixed, &left_out)
            .judged_by(&[&ledger]);
        // More than one batch of the large table, however its rows fall into ranges.
        follow.settings.push(("OL_INGEST__BATCH_ROWS".to_owned(), "100".to_owned()));
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
    expect_reached(ONLY_AT_FIRST, &reached);
    expect_reached(POINTS_OF_A_COPY, &reached);
    expect_reached(POINTS_OF_THE_LAKE, &reached);
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
                let (wanted, waited) = (writing.committed() + 5, Instant::now());
                while writing.committed() < wanted {
                    assert!(waited.elapsed() < PATIENCE, "the writer writes no more");
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
        expect_reached(ON_THE_WAY, &reached);
        expect_reached(
            POINTS_OF_THE_LAKE,
            &[&reached[..], &["lake.create.before_insert"]].concat(),
        );
    }
}

/// Killed between a change of the lake's columns and the first row that has them, and again when the next run finds the
/// columns as it would make them.
#[test]
fn a_kill_between_new_columns_and_their_rows_loses_nothing() {
    for (deployment, landing) in
        [("cdckillshapelog", Landing::Log), ("cdckillshapemix", Landing::Mixed)]
    {
        let (follow, mut ledger) = followed(deployment, landing, &[]);
        let mut killed = 0;
        while ledger.alter() {
            ledger.run(3);
            for _ in 0..2 {
                if kill_at(&follow, failpoints::SCHEMA_CHANGED, 1) {
                    killed += 1;
                    follow.expect_right_so_far("killed after a change of columns");
                }
            }
            follow.tick(DONE);
            follow.expect_right_so_far("after a change of columns");
        }
        ledger.run(10);
        follow.tick(DONE);
        follow.expect_complete("after kills at every change of columns");
        eprintln!("{deployment}: killed {killed} times at {}", failpoints::SCHEMA_CHANGED);
        assert!(killed >= 4, "following came by a change of columns {killed} times only");
    }
}

/// Killed when an idle source's place was recorded and not acknowledged.
#[test]
fn a_kill_at_an_idle_source_loses_nothing() {
    let (follow, mut ledger) = followed("cdckillidle", Landing::Mixed, FEW);
    for round in 0..3 {
        follow.case.database.psql(NOISE);
        assert!(kill_at(&follow, failpoints::RECORDED, 1), "round {round}: nothing was recorded");
        follow.expect_right_so_far("killed when the place was recorded");
        ledger.run(5);
        follow.tick(DONE);
    }
    follow.expect_complete("after kills at an idle source");
}

/// Killed when a table that fails for good has said since when: it stays the one that lacks changes, by name, the others
/// go on, and what a person does about it makes it complete.
#[test]
fn a_kill_when_a_table_has_failed_is_no_gap_without_a_word() {
    let (database, mut ledger) = new_ledger(server(), "cdckillgap", "a table that fails");
    // The log does not hold a long value that an update did not touch, and this table's log would have to.
    let unit = ledger::unit("cdckillgap", Landing::Log, &["insert_only"]);
    let mut follow = Follow::unit("cdckillgap", database, &unit).judged_by(&[&ledger]);
    follow.tick(DONE);
    let killed = (0..20).any(|_| {
        ledger.run(20);
        kill_at(&follow, failpoints::GAP_RECORDED, 1)
    });
    assert!(killed, "no table has failed");
    follow.expect_right_so_far("killed when a table had failed");
    assert!(kill_at(&follow, failpoints::GAP_RECORDED, 1), "the failed table is forgotten");
    follow.expect_right_so_far("killed again");
    ledger.run(10);
    let document = follow.tick(DEFINITE).json();
    let (became, advice) = outcome(&document, &follow, "wide");
    assert!(became == "blocked" && advice.contains("REPLICA IDENTITY FULL"), "{document:#}");
    assert_eq!(outcome(&document, &follow, "wide_full").0, "done", "{document:#}");
    follow.expect_right_so_far("when the others went on");
    follow.case.database.psql("ALTER TABLE ledger.wide REPLICA IDENTITY FULL");
    follow.case.finish(follow.case.command("reset").args(["--table", "wide"])).expect_code(DONE);
    follow.renewed.push("wide");
    follow.tick(DONE);
    ledger.run(20);
    follow.tick(DONE);
    follow.expect_complete("when a person had mended the table");
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
    let ledgers: Vec<Ledger> = writers.drain(..).map(ledger::Writing::stop).collect();
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
