//! SIGKILL between every two steps of send → record → acknowledge, and at random moments: nothing is lost, no entity
//! goes back, and what arrives twice arrives under the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ol_testkit::number_setting;
use ol_webhook::failpoints;
use serde_json::{Value, json};

use super::common::{Receiver, Sender, course, told_no_secret};
use crate::common::Random;

/// Courses that change all the time.
const COURSES: u64 = 12;

/// A sender that is killed again and again, and what it had accepted when it lived.
struct Killed {
    receiver: Receiver,
    sender: Sender,
    random: Random,
    seed: u64,
    version: u64,
    /// The newest version of each course that a `send` is known to have accepted, or may have.
    offered: BTreeMap<u64, u64>,
    kills: u64,
    points: BTreeSet<&'static str>,
}

impl Killed {
    fn new(what: &str) -> Self {
        let receiver = Receiver::ours(&[]);
        let sender = Sender::to(&receiver.base_url)
            .with("OL_WEBHOOK__DELIVERY__PATIENCE_SECONDS", "30")
            .with("OL_LOG", "error");
        let random = Random::seeded(what);
        Self {
            receiver,
            sender,
            seed: random.0,
            random,
            version: 0,
            offered: BTreeMap::new(),
            kills: 0,
            points: BTreeSet::new(),
        }
    }

    /// New versions of some courses, as JSON lines.
    fn change(&mut self) -> String {
        let mut lines = String::new();
        for _ in 0..=self.random.below(4) {
            let number = self.random.below(COURSES);
            self.version += 1;
            self.offered.insert(number, self.version);
            writeln!(lines, "{}", course(number, self.version)).unwrap();
        }
        lines
    }

    /// Runs a command that dies at a point, or at a random moment; whether it died.
    fn run_and_kill(&mut self, arguments: &[&str], lines: &str, at: Kill) -> bool {
        let mut step = self.sender.step(arguments.iter().copied());
        if !lines.is_empty() {
            step = step.input(lines);
        }
        let finished = match at {
            Kill::At(point, times) => {
                step.env("OL_FAILPOINT_KILL", format!("{point}:{times}")).start().wait()
            }
            Kill::After(pause) => {
                let running = step.start();
                std::thread::sleep(pause);
                running.signal("KILL");
                running.wait()
            }
        };
        let died = told_no_secret(finished).code() == -1;
        if died {
            self.kills += 1;
            if let Kill::At(point, _) = at {
                self.points.insert(point);
            }
        }
        died
    }

    /// Lets everything arrive, then judges what the receiver saw.
    #[track_caller]
    fn judge(&self) {
        // What a killed `send` had not accepted is sent again by whoever sent it.
        let mut lines = String::new();
        for (number, version) in &self.offered {
            writeln!(lines, "{}", course(*number, *version)).unwrap();
        }
        self.sender.send_lines("content_files", &lines, &["--deliver"], 0);
        self.sender.run(["deliver"], 0);
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut ids: BTreeMap<(String, u64), BTreeSet<String>> = BTreeMap::new();
        for request in self.receiver.requests() {
            if request["status"] != 200 {
                continue;
            }
            let body: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
            let id = body["course_id"].as_str().unwrap().to_owned();
            let path = body["content_path"].as_str().unwrap();
            let hash = path.rsplit('/').next().unwrap().split('.').next().unwrap();
            let version = u64::from_str_radix(hash, 16).unwrap();
            let before = last.insert(id.clone(), version).unwrap_or_default();
            assert!(version >= before, "{id} went back from version {before} to {version}");
            let webhook_id = request["webhook_id"].as_str().unwrap().to_owned();
            ids.entry((id, version)).or_default().insert(webhook_id);
        }
        for ((course, version), ids) in &ids {
            assert_eq!(ids.len(), 1, "{course} version {version} came under {ids:?}");
        }
        for (number, version) in &self.offered {
            let course = format!("course-v1:MITx+{number}");
            assert_eq!(last.get(&course), Some(version), "{course} has not arrived");
        }
    }
}

/// When a process dies.
#[derive(Debug, Clone, Copy)]
enum Kill {
    At(&'static str, u64),
    After(Duration),
}

/// Kills at every named point and at random moments, `kills` in all.
fn kill_again_and_again(kills: u64) -> Killed {
    let mut killed = Killed::new("webhook kills");
    let mut attempts = 0u64;
    while killed.kills < kills {
        attempts += 1;
        assert!(attempts < 6 * kills + 100, "only {} of {attempts} runs died", killed.kills);
        let place = usize::try_from(attempts).unwrap() % failpoints::ALL.len();
        let point = failpoints::ALL[place];
        let at = if killed.random.below(5) == 0 {
            Kill::After(Duration::from_millis(killed.random.below(60)))
        } else {
            Kill::At(point, 1 + killed.random.below(3))
        };
        match point {
            failpoints::REPLAYED => {
                // Something to replay: a message that was taken away.
                let lines = killed.change();
                killed.sender.send_lines("content_files", &lines, &[], 0);
                killed.sender.run(["drop", "--filter", "state=queued", "--reason", "test"], 0);
                killed.run_and_kill(&["replay", "--filter", "state=dropped"], "", at);
            }
            point if point.starts_with("send.") => {
                let lines = killed.change();
                let arguments: &[&str] = if killed.random.below(2) == 0 {
                    &["send", "--kind", "content_files", "--lines", "-"]
                } else {
                    &["send", "--kind", "content_files", "--lines", "-", "--deliver"]
                };
                killed.run_and_kill(arguments, &lines, at);
            }
            _ => {
                let lines = killed.change();
                killed.sender.send_lines("content_files", &lines, &[], 0);
                killed.run_and_kill(&["deliver"], "", at);
            }
        }
        if killed.kills.is_multiple_of(100) {
            killed.judge();
        }
    }
    killed.judge();
    killed
}

/// `OL_WEBHOOK_KILLS` kills (default 500), for `make kill SOURCE=webhook`; one JSON line at the end.
#[test]
fn kills_between_any_two_steps_lose_nothing_and_reorder_nothing() {
    let kills = number_setting("OL_WEBHOOK_KILLS").unwrap_or(500);
    let started = Instant::now();
    let killed = kill_again_and_again(kills);
    let requests = killed.receiver.requests().len();
    assert!(kills < 100 || killed.points.len() >= 9, "points that were met: {:?}", killed.points);
    eprintln!("{} points met, {requests} requests: {:?}", killed.points.len(), killed.points);
    eprintln!(
        "{}",
        json!({"source": "webhook", "kills": killed.kills, "points": killed.points.len(), "lost": 0, "doubled": 0,
               "altered": 0, "seed": killed.seed, "seconds": started.elapsed().as_secs()})
    );
}
