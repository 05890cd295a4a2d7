//! SIGKILL at every named point of a first copy and of following, and at random moments, while documents are written: what is in
//! the lake is right, and the next run completes it.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use ol_ingest::failpoints;
use ol_testkit::{MongoServer, Random, Running, Step, number_setting};
use serde_json::json;

use super::Follow;
use crate::common::PATIENCE;

const MODES: &[(&str, &str)] = &[
    ("moving", "incremental_update"),
    ("marked", "incremental_soft_delete"),
    ("history", "incremental_append"),
    ("idle", "incremental_update"),
];
/// Documents that nobody changes, in which the columns are; `idle` has enough of them to be some chunks, whatever the keys of the
/// other collections are (one whose middle key has no order is one piece).
const BEGIN: &str = r#"{"insert": "idle", "documents": [{"_id": "still", "n": 0, "body": ""}, {"_id": "still 2"}, {"_id": "still 3"}]}
                       {"insert": "idle", "documents": [{"_id": "still 4"}, {"_id": "still 5"}, {"_id": "still 6"}]}
                       {"insert": "moving", "documents": [{"_id": "still", "n": 0, "body": ""}]}
                       {"insert": "marked", "documents": [{"_id": "still", "n": 0, "body": ""}]}
                       {"insert": "history", "documents": [{"_id": "still", "n": 0, "body": ""}]}"#;
/// Points of the log of another kind of source.
const OF_A_SLOT: &[&str] =
    &[failpoints::SLOT_CREATED, failpoints::BEFORE_ACKNOWLEDGE, failpoints::ACKNOWLEDGED];
/// Points that following comes by only when something is brought about.
const BROUGHT_ABOUT: &[&str] = &[failpoints::GAP_RECORDED, failpoints::RECORDED];

/// What writes, and where its journal is.
pub(super) struct Ledger {
    journal: PathBuf,
    seed: u64,
}

impl Ledger {
    pub(super) fn new(follow: &Follow, seed: u64) -> Self {
        Self { journal: follow.case.lake.folder().join("journal"), seed: seed % 1_000_000 }
    }

    pub(super) fn step(&self, follow: &Follow) -> Step {
        follow
            .database
            .program("ledger.py")
            .args(["--database", follow.database.name(), "--seed", &self.seed.to_string()])
            .arg("--journal")
            .arg(&self.journal)
    }

    /// What has happened to `history`: letter, key, number.
    fn journal(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(&self.journal).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let line = |line: &str| line.split('\t').map(str::to_owned).collect();
        whole.lines().map(line).collect()
    }

    /// Demands that the lake's log tells each change once, in its order; how many it tells, and how many there were.
    #[track_caller]
    pub(super) fn judge_log(&self, follow: &Follow, when: &str) -> (usize, usize) {
        let told = "SELECT _ol_op, _id, n FROM lake WHERE _ol_op <> 'r' ORDER BY _ol_position";
        let lines = follow.case.lines("history", told);
        let journal = self.journal();
        // What the server has answered last may not be in the journal yet.
        let known = lines.iter().zip(&journal);
        for (number, (line, expected)) in known.enumerate() {
            let line: Vec<&str> = line.split('\t').collect();
            let [op, key, n] = line.as_slice() else { panic!("{when}: {line:?}") };
            let [what, of, was] = expected.as_slice() else { panic!("{when}: {expected:?}") };
            assert_eq!((op, key), (&what.as_str(), &of.as_str()), "{when}: change {number}");
            let was: u64 = was.parse().unwrap();
            // What is looked up is the document or a later one.
            let fits = match (*op, n.parse::<u64>()) {
                ("i", Ok(n)) => n == was,
                ("u", Ok(n)) => n >= was,
                ("u" | "d", Err(_)) => true,
                _ => false,
            };
            assert!(fits, "{when}: change {number} is {line:?} of {expected:?}");
        }
        assert!(lines.len() <= journal.len() + 3, "{when}: more is told than happened");
        (lines.len(), journal.len())
    }

    /// The same, and, if `is_complete`, that it tells all changes, and that then the merged tables hold what the collections hold.
    #[track_caller]
    fn judge(&self, follow: &Follow, is_complete: bool, when: &str) {
        let (told, happened) = self.judge_log(follow, when);
        if !is_complete {
            return;
        }
        assert_eq!(told, happened, "{when}: changes are lost or doubled");
        follow.expect_equal("moving");
        let kept = "SELECT _id, n FROM lake WHERE _ol_deleted_at IS NULL ORDER BY _id";
        let step = follow.database.program("kept.py").args(["--collection", "marked"]);
        let at_source = step.args(["--database", follow.database.name()]).run().expect_code(0);
        let at_source: Vec<&str> = at_source.stdout.lines().collect();
        assert_eq!(follow.case.lines("marked", kept), at_source, "{when}");
    }
}

/// Kills a tick at a point; tells whether it came there.
fn kill_at(follow: &Follow, point: &str, arrival: u64) -> bool {
    let step = follow.until_caught_up().env("OL_FAILPOINT_KILL", format!("{point}:{arrival}"));
    follow.case.finish(step).code() == -1
}

#[track_caller]
fn wait_for_changes(running: &mut Running, ledger: &Ledger, more: usize) {
    let before = ledger.journal().len();
    let arrived = || ledger.journal().len() >= before + more;
    assert!(running.wait_until(PATIENCE, arrived), "{}", running.told());
}

#[track_caller]
pub(super) fn stop(running: Running) {
    running.signal("TERM");
    running.wait().expect_code(0);
}

#[test]
fn following_killed_at_any_point_loses_and_doubles_nothing() {
    let follow = Follow::on(MongoServer::start_leaked_member(), "mongokillpoints", BEGIN, MODES);
    let ledger = Ledger::new(&follow, Random::seeded("MongoDB kills at points").0);
    follow.tick(0);
    let mut writing = ledger.step(&follow).start();
    for point in failpoints::CAPTURE.iter().filter(|point| !OF_A_SLOT.contains(point)) {
        for arrival in 1..=2 {
            wait_for_changes(&mut writing, &ledger, 20);
            let reached = kill_at(&follow, point, arrival);
            let must = arrival == 1 && !BROUGHT_ABOUT.contains(point);
            assert!(reached || !must, "{point} was not come by");
        }
        ledger.judge(&follow, false, &format!("killed at {point}"));
    }
    stop(writing);
    follow.tick(0);
    ledger.judge(&follow, true, "after a kill at every point");
}

#[test]
fn a_first_copy_killed_at_any_point_is_completed() {
    let whole = failpoints::ALL.iter().filter(|point| **point != failpoints::REPORT);
    let whole = whole.map(|point| (point, "1073741824"));
    // A collection of more than some documents is some chunks then.
    let chunked = failpoints::CHUNKS.iter().map(|point| (point, "40"));
    for (point, chunk_bytes) in whole.chain(chunked) {
        let follow = Follow::new("mongokillcopy", BEGIN, MODES);
        let ledger = Ledger::new(&follow, Random::seeded("MongoDB kills of a copy").0);
        ledger.step(&follow).args(["--steps", "60"]).run().expect_code(0);
        let batches = |step: Step| {
            step.env("OL_INGEST__BATCH_ROWS", "2").env("OL_STREAM__CHUNK_BYTES", chunk_bytes)
        };
        let kill = batches(follow.until_caught_up()).env("OL_FAILPOINT_KILL", format!("{point}:1"));
        assert_eq!(follow.case.finish(kill).code(), -1, "{point} was not come by");
        follow.case.finish(batches(follow.until_caught_up())).expect_code(0);
        follow.expect_equal("moving");
        follow.expect_equal("history");
    }
}

/// `OL_KILLS` random kills (default 5) of streams and ticks while documents are written; one JSON line at the end. Connections
/// are cut, too.
#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    let kills = number_setting("OL_KILLS").unwrap_or(5);
    let mut random = Random::seeded("random kills of MongoDB");
    let seed = random.0;
    let started = Instant::now();
    let follow = Follow::on(MongoServer::start_leaked_member(), "mongokillrandom", BEGIN, MODES);
    let ledger = Ledger::new(&follow, seed);
    follow.tick(0);
    let writing = ledger.step(&follow).start();
    let (mut killed, mut runs, mut cuts) = (0, 0, 0);
    while killed < kills {
        runs += 1;
        let step = if random.happens(3) { follow.until_caught_up() } else { follow.stream() };
        let running = step.start();
        thread::sleep(Duration::from_millis(random.within(200, 2_500)));
        if random.happens(3) {
            cuts += 1;
            follow.fail("getMore", 1, r#""closeConnection": true"#);
            thread::sleep(Duration::from_millis(random.below(800)));
        }
        running.signal("KILL");
        killed += u64::from(running.wait().code() == -1);
        ledger.judge(&follow, false, &format!("kill {killed}, seed {seed}"));
    }
    stop(writing);
    follow.tick(0);
    ledger.judge(&follow, true, &format!("after {killed} kills, seed {seed}"));
    eprintln!(
        "{}",
        json!({
            "source": "mongodb", "kills": killed, "runs": runs, "cuts": cuts, "changes": ledger.journal().len(),
            "lost": 0, "doubled": 0, "altered": 0, "seed": seed, "seconds": started.elapsed().as_secs_f64(),
        })
    );
}
